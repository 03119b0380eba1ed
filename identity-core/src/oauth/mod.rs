//! OAuth 2.0 and OpenID Connect: tokens from any provider. Pure requests and replies; progress lives in the agent.

pub(crate) mod client;
pub mod code;
pub mod endpoint;
pub mod form;
pub mod grant;
pub mod reply;
pub(crate) mod shelf;
pub mod source;
pub mod url;

pub use code::{OauthCode, Words};
pub use endpoint::Endpoint;
pub use grant::{DeviceGrant, Grant, JwtBearerGrant, TokenExchangeGrant};
pub use reply::{Introspection, TokenType};
pub use source::{
    Audience, ClientAuth, ClientCredentials, ClientId, DeviceLogin, JwtBearer, KeyId, Provider, Renew, Source,
    TokenExchange, TokenSource,
};
