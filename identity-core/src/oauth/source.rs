//! Where tokens come from: an authorization server, this device as its client, and a grant.

use super::grant::{ClientCredentialsGrant, DeviceGrant, Grant, JwtBearerGrant, TokenExchangeGrant};
use crate::agent::Requests;
use crate::config::Secret;

/// How the device proves at the authorization server which client it is.
#[derive(Clone, Copy)]
pub enum ClientAuth {
    /// Not at all: a public client (RFC 6749 §2.1).
    None,
    /// client_secret_basic: HTTP basic authentication (RFC 6749 §2.3.1).
    SecretBasic(Secret<'static>),
    /// client_secret_post: in the form (RFC 6749 §2.3.1).
    SecretPost(Secret<'static>),
    /// client_secret_jwt: an assertion under HMAC-SHA-256 with the secret (OpenID Connect Core §9, RFC 7523 §2.2).
    SecretJwt(Secret<'static>),
    /// private_key_jwt: an assertion signed by the device key with ES256 (RFC 7523 §2.2).
    PrivateKeyJwt(KeyId),
    /// tls_client_auth or self_signed_tls_client_auth: the device certificate in TLS (RFC 8705 §2); tokens are then bound to
    /// it where the server does so (§3), and the endpoints of `mtls_endpoint_aliases` are used (§5).
    Certificate,
}

/// How an assertion names the key that signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyId {
    /// Not: the server knows one key of the client.
    None,
    /// `kid`: as registered at the server.
    Fixed(&'static str),
    /// `kid`: the key's JWK thumbprint (RFC 7638), as dynamic registration sends it.
    Thumbprint,
    /// `x5t#S256`: SHA-256 of the device certificate (RFC 7515 §4.1.8), as Entra ID wants it.
    CertificateDigest,
    /// `x5c`: the device certificate itself (RFC 7515 §4.1.6); costs about four thirds of its octets.
    Certificate,
}

/// The device's client identifier at the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientId {
    /// The common name of the device's subject.
    CommonName,
    /// Fixed.
    Fixed(&'static str),
    /// The one that the authorization server gave at registration; see [`crate::enrol::Register`].
    Registered,
}

/// `aud` of the device's assertions (RFC 7523 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The issuer identifier, as current profiles want it.
    Issuer,
    /// The URL of the token endpoint, as Okta wants it.
    TokenEndpoint,
}

/// When a token is renewed: ahead of its expiry, so that no request waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renew {
    /// Per cent of the token's lifetime after which a new one is fetched; 1 to 100.
    pub after_percent: u8,
    /// Per cent of the lifetime by which devices differ, earlier than that.
    pub jitter_percent: u8,
}

/// An authorization server, and this device as its client.
#[derive(Clone, Copy)]
pub struct Provider {
    /// Issuer identifier: an https URL; the metadata must carry the same octets (RFC 8414 §3.3).
    pub issuer: &'static str,
    /// The client identifier.
    pub client_id: ClientId,
    /// Client authentication.
    pub client_auth: ClientAuth,
    /// `aud` of assertions.
    pub audience: Audience,
    /// Bind tokens to the device key with DPoP (RFC 9449).
    pub dpop: bool,
    /// Hosts, beside the issuer's, on which its endpoints may be.
    pub hosts: &'static [&'static str],
    /// When tokens are renewed.
    pub renew: Renew,
}

/// A way to obtain tokens; a value of a profile.
pub trait TokenSource: Sync {
    /// The authorization server.
    fn provider(&self) -> Provider;
    /// The grant.
    fn grant(&self) -> &dyn Grant;
    /// The scope to ask for where the caller names none; space-separated (RFC 6749 §3.3), may be empty.
    fn scope(&self) -> &'static str;
    /// The resources that the token is for (RFC 8707); may be empty.
    fn resource(&self) -> &'static [&'static str];
    /// The parameter `audience`; see [`Source::target`].
    fn target(&self) -> &'static str {
        ""
    }
    /// What makes its requests; there is nothing to choose.
    #[doc(hidden)]
    fn requests(&self) -> Requests {
        Requests::OAUTH
    }
}

/// A [`TokenSource`] by the grant `G`.
#[derive(Clone, Copy)]
pub struct Source<G: 'static> {
    /// Issuer identifier: an https URL; the metadata must carry the same octets (RFC 8414 §3.3).
    pub issuer: &'static str,
    /// The client identifier.
    pub client_id: ClientId,
    /// Client authentication.
    pub client_auth: ClientAuth,
    /// `aud` of assertions.
    pub audience: Audience,
    /// The scope to ask for; space-separated (RFC 6749 §3.3), may be empty.
    pub scope: &'static str,
    /// The resources that the token is for (RFC 8707); may be empty.
    pub resource: &'static [&'static str],
    /// Logical name of the service that the token is for, sent as `audience`, by which Auth0 names an API in place of
    /// `resource`; in token exchange RFC 8693 §2.1. May be empty.
    pub target: &'static str,
    /// Bind tokens to the device key with DPoP (RFC 9449).
    pub dpop: bool,
    /// Hosts, beside the issuer's, on which its endpoints may be.
    pub hosts: &'static [&'static str],
    /// When tokens are renewed.
    pub renew: Renew,
    /// What is particular to the grant.
    pub grant: G,
}

/// Client credentials (RFC 6749 §4.4): the device on its own behalf.
pub type ClientCredentials = Source<ClientCredentialsGrant>;
/// Device authorization grant (RFC 8628): on behalf of a person, who approves on another device.
pub type DeviceLogin = Source<DeviceGrant>;
/// JWT bearer grant (RFC 7523 §2.1): an assertion that the device key signed.
pub type JwtBearer = Source<JwtBearerGrant>;
/// Token exchange (RFC 8693): a token of another source for one that a broker or API takes.
pub type TokenExchange = Source<TokenExchangeGrant>;

impl<G> Source<G> {
    /// Defaults, for `..`: the client is named by the common name and signs with the device key; renewal at nine tenths
    /// of the lifetime, spread over one twentieth.
    pub const fn of(grant: G) -> Self {
        Self {
            issuer: "",
            client_id: ClientId::CommonName,
            client_auth: ClientAuth::PrivateKeyJwt(KeyId::None),
            audience: Audience::Issuer,
            scope: "",
            resource: &[],
            target: "",
            dpop: false,
            hosts: &[],
            renew: Renew { after_percent: 90, jitter_percent: 5 },
            grant,
        }
    }
}

impl ClientCredentials {
    /// Defaults, for `..`; see [`Source::of`].
    pub const DEFAULT: Self = Self::of(ClientCredentialsGrant);
}

impl DeviceLogin {
    /// Defaults, for `..`; see [`Source::of`].
    pub const DEFAULT: Self = Self::of(DeviceGrant);
}

impl<G: Grant> TokenSource for Source<G> {
    fn provider(&self) -> Provider {
        Provider {
            issuer: self.issuer,
            client_id: self.client_id,
            client_auth: self.client_auth,
            audience: self.audience,
            dpop: self.dpop,
            hosts: self.hosts,
            renew: self.renew,
        }
    }

    fn grant(&self) -> &dyn Grant {
        &self.grant
    }

    fn scope(&self) -> &'static str {
        self.scope
    }

    fn resource(&self) -> &'static [&'static str] {
        self.resource
    }

    fn target(&self) -> &'static str {
        self.target
    }
}
