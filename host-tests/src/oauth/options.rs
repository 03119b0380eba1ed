//! How the authorization server is set up, and how it can be made to misbehave.

use crate::est_options::RetryAfter;
use crate::http::Delivery;
use crate::oauth::client::Client;
use crate::oauth::jwk::Jwk;

/// An endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Metadata (RFC 8414, OpenID Connect Discovery 1.0).
    Metadata,
    /// Public keys (RFC 7517 §5).
    Jwks,
    /// Token endpoint (RFC 6749 §3.2).
    Token,
    /// Device authorization endpoint (RFC 8628 §3.1).
    DeviceAuthorization,
    /// The page a person approves a device on (RFC 8628 §3.3).
    Verification,
    /// Client registration (RFC 7591 §3).
    Registration,
    /// Client configuration (RFC 7592 §2).
    Management,
    /// Introspection (RFC 7662 §2).
    Introspection,
    /// Revocation (RFC 7009 §2).
    Revocation,
}

/// How an authorization server is set up.
#[derive(Clone, Debug)]
pub struct AuthOptions {
    /// Issuer identifier: an https URL without query and fragment. Its path is where the endpoints are.
    pub issuer: String,
    /// Base URL of `mtls_endpoint_aliases` (RFC 8705 §5). With it, client certificates count nowhere else.
    pub mtls_base: Option<String>,
    /// Serve RFC 8414 metadata.
    pub rfc8414: bool,
    /// Serve OpenID Connect metadata.
    pub openid: bool,
    /// Clients known from the start.
    pub clients: Vec<Client>,
    /// What tokens are for.
    pub resources: Vec<Resource>,
    /// What a scope nobody knows gets.
    pub unknown_scopes: UnknownScopes,
    /// Tell the scope in the reply only where it differs from the one asked for (RFC 6749 §5.1).
    pub terse_scope: bool,
    /// Seconds an access token is good for.
    pub access_lifetime: u64,
    /// Seconds a refresh token is good for, counted anew at every use.
    pub refresh_lifetime: u64,
    /// Grants that also give a refresh token.
    pub refresh_after: Vec<&'static str>,
    /// A new refresh token at every refresh (RFC 9700 §4.14.2).
    pub rotate: bool,
    /// Seconds in which an old refresh token still works, as some providers allow for lost replies.
    pub reuse_grace: u64,
    /// What `aud` of an assertion must hold.
    pub assertion_audience: AssertionAudience,
    /// Seconds ahead that a client assertion may expire.
    pub assertion_max: u64,
    /// Seconds by which clocks may differ.
    pub skew: u64,
    /// Seconds by which `iat` of a DPoP proof may differ from now.
    pub dpop_window: u64,
    /// Demand server nonces in DPoP proofs, changed every so many seconds (RFC 9449 §8).
    pub dpop_nonce: Option<u64>,
    /// The device grant.
    pub device: DeviceOptions,
    /// Who may register clients.
    pub registration: Registration,
    /// A new registration access token at every update (RFC 7592 §3).
    pub rotate_registration: bool,
    /// And at every read.
    pub rotate_at_read: bool,
    /// Seconds a registered client's secret is good for, if it ends at all. Every update then gives a new one.
    pub secret_lifetime: Option<u64>,
    /// Who may sign assertions for the JWT bearer grant and JWTs to be exchanged.
    pub assertion_issuers: Vec<AssertionIssuer>,
    /// Certificates (DER) of authorities whose client certificates are believed.
    pub trust: Vec<Vec<u8>>,
    /// Further claims for every JWT access token.
    pub claims: serde_json::Value,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            issuer: "https://id.plant.example".into(),
            mtls_base: None,
            rfc8414: true,
            openid: true,
            clients: Vec::new(),
            resources: vec![
                Resource::jwt("https://mqtt.plant.example", &["mqtt:publish", "mqtt:subscribe"]),
                Resource::jwt("https://api.plant.example", &["api:read", "api:write"]),
            ],
            unknown_scopes: UnknownScopes::Refuse,
            terse_scope: false,
            access_lifetime: 300,
            refresh_lifetime: 30 * 86_400,
            refresh_after: vec!["urn:ietf:params:oauth:grant-type:device_code"],
            rotate: true,
            reuse_grace: 0,
            assertion_audience: AssertionAudience::Either,
            assertion_max: 600,
            skew: 10,
            dpop_window: 60,
            dpop_nonce: None,
            device: DeviceOptions::default(),
            registration: Registration::Closed,
            rotate_registration: true,
            rotate_at_read: false,
            secret_lifetime: None,
            assertion_issuers: Vec::new(),
            trust: Vec::new(),
            claims: serde_json::Value::Null,
        }
    }
}

/// A protected resource (RFC 8707), which an `audience` parameter may name as well. The first is the default.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its identifier, an absolute URI; what `aud` holds.
    pub uri: String,
    /// Scopes it knows.
    pub scopes: Vec<String>,
    /// Tokens are JWTs (RFC 9068), not opaque.
    pub jwt: bool,
}

impl Resource {
    /// With JWTs.
    #[must_use]
    pub fn jwt(uri: &str, scopes: &[&str]) -> Self {
        Self { uri: uri.into(), scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), jwt: true }
    }

    /// With opaque tokens.
    #[must_use]
    pub fn opaque(uri: &str, scopes: &[&str]) -> Self {
        Self { jwt: false, ..Self::jwt(uri, scopes) }
    }
}

/// What a scope gets that the client or the resource does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownScopes {
    /// `invalid_scope`.
    Refuse,
    /// It is left out of the token in silence.
    Drop,
}

/// What `aud` of an assertion must hold; providers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer, the token endpoint or the endpoint called (RFC 7523 §3, RFC 9126 §2).
    Either,
    /// The issuer and nothing else.
    Issuer,
    /// The token endpoint and nothing else.
    TokenEndpoint,
}

/// How the device grant is set up.
#[derive(Clone, Copy, Debug)]
pub struct DeviceOptions {
    /// Seconds a code is good for.
    pub lifetime: u64,
    /// Least seconds between polls; 5 where nothing is told (RFC 8628 §3.2).
    pub interval: Option<u64>,
    /// Give `verification_uri_complete`.
    pub complete: bool,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { lifetime: 600, interval: Some(5), complete: true }
    }
}

/// Who may register clients (RFC 7591 §1.2), and what the registration token does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Nobody: there is no such endpoint.
    Closed,
    /// Anybody.
    Open,
    /// Who has one of these initial access tokens.
    Token(Vec<InitialToken>),
}

/// An initial access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialToken {
    /// The token.
    pub token: String,
    /// Registrations it is still good for.
    pub uses: u32,
}

/// Somebody whose JWTs are believed.
#[derive(Clone, Debug)]
pub struct AssertionIssuer {
    /// Value of `iss`.
    pub issuer: String,
    /// The key.
    pub key: Jwk,
}

/// What the authorization server can do wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthFault {
    /// This status with a page of HTML.
    Html(u16),
    /// This status without body and without challenge.
    Empty(u16),
    /// This status with this error code.
    Error(u16, &'static str),
    /// 429 or 503.
    Busy(u16, RetryAfter),
    /// 302 to another host.
    Redirect,
    /// A fresh nonce, and a proof with it is demanded whatever the request had.
    DemandNonce,
    /// The right reply without Content-Type.
    NoContentType,
    /// The right reply, called HTML.
    WrongContentType,
    /// The reply with this member as this JSON text; none leaves it out. `("expires_in", Some("-1"))`.
    Member(&'static str, Option<&'static str>),
    /// The reply with this member a second time, last, as this JSON text.
    Twice(&'static str, &'static str),
    /// The reply among some 30 KB of members nobody knows, nested.
    Unknown,
    /// A good access token of at least so many octets.
    LongToken(usize),
    /// Metadata of another issuer.
    OtherIssuer,
    /// Metadata whose endpoints are at this origin, such as `http://id.plant.example` or another host.
    EndpointsAt(&'static str),
    /// The right reply, its JSON cut to two thirds.
    Truncated,
    /// The right reply, delivered badly: slow, cut, not at all. The request has its effect all the same.
    Delivery(Delivery),
}

/// A fault, where and how often.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) on: Endpoint,
    pub(crate) fault: AuthFault,
    pub(crate) times: u32,
}
