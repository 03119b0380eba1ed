//! What the authorization server knows of a client, and its certificate rules (RFC 8705 §2).

use crate::oauth::jwk::Jwk;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// `grant_type` of client credentials (RFC 6749 §4.4).
pub const CLIENT_CREDENTIALS: &str = "client_credentials";
/// `grant_type` of a refresh (RFC 6749 §6).
pub const REFRESH_TOKEN: &str = "refresh_token";
/// `grant_type` of the device grant (RFC 8628 §3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// `grant_type` of token exchange (RFC 8693 §2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `grant_type` of JWT bearer (RFC 7523 §2.1).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Every grant served.
pub const GRANTS: [&str; 5] = [CLIENT_CREDENTIALS, REFRESH_TOKEN, DEVICE_CODE, TOKEN_EXCHANGE, JWT_BEARER];

/// How a client proves who it is; each client has one way, and no other is accepted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `none`: a public client.
    Public,
    /// `client_secret_basic`
    Basic(String),
    /// `client_secret_post`
    Post(String),
    /// `client_secret_jwt`, HS256.
    SecretJwt(String),
    /// `private_key_jwt`, ES256, by keys on record.
    Keys(Vec<Jwk>),
    /// `private_key_jwt`, ES256, by certificates on record (DER), named in the header by `x5t#S256`.
    Certificates(Vec<Vec<u8>>),
    /// `private_key_jwt`, ES256, by a certificate in `x5c` from an authority that is believed, for this subject.
    Chain(Subject),
    /// `tls_client_auth`: a certificate from an authority that is believed, for this subject.
    Tls(Subject),
    /// `self_signed_tls_client_auth`: one of these certificates (DER).
    SelfSigned(Vec<Vec<u8>>),
}

impl Credential {
    /// Its name in metadata (RFC 8414 §2, RFC 8705 §2).
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Basic(_) => "client_secret_basic",
            Self::Post(_) => "client_secret_post",
            Self::SecretJwt(_) => "client_secret_jwt",
            Self::Keys(_) | Self::Certificates(_) | Self::Chain(_) => "private_key_jwt",
            Self::Tls(_) => "tls_client_auth",
            Self::SelfSigned(_) => "self_signed_tls_client_auth",
        }
    }
}

/// Every client authentication method served.
pub const METHODS: [&str; 7] = [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];

/// Whose certificate it must be (RFC 8705 §2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Distinguished name as text (RFC 4514).
    Name(String),
    /// A DNS name among the alternative names.
    Dns(String),
    /// A URI among the alternative names.
    Uri(String),
    /// An IPv4 address among the alternative names, dotted.
    Ip(String),
    /// An e-mail address among the alternative names.
    Email(String),
}

impl Subject {
    /// Whether the certificate (DER) is for this subject.
    #[must_use]
    pub fn owns(&self, certificate: &[u8]) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        match self {
            Self::Name(wanted) => same_name(wanted, &distinguished_name(&certificate)),
            Self::Dns(wanted) => names
                .into_iter()
                .any(|name| matches!(name, GeneralName::DNSName(dns) if dns.eq_ignore_ascii_case(wanted))),
            Self::Uri(wanted) => names.into_iter().any(|name| matches!(name, GeneralName::URI(uri) if uri == wanted)),
            Self::Email(wanted) => {
                names.into_iter().any(|name| matches!(name, GeneralName::RFC822Name(mail) if mail == wanted))
            }
            Self::Ip(wanted) => {
                let dotted = |octets: &[u8]| octets.iter().map(u8::to_string).collect::<Vec<_>>().join(".");
                names
                    .into_iter()
                    .any(|name| matches!(name, GeneralName::IPAddress(octets) if dotted(octets) == *wanted))
            }
        }
    }
}

/// The subject as RFC 4514 §2.1 writes it: last part first.
fn distinguished_name(certificate: &X509Certificate<'_>) -> String {
    let registry = x509_parser::oid_registry::OidRegistry::default().with_x509();
    let mut parts: Vec<String> = Vec::new();
    for attribute in certificate.subject().iter_attributes() {
        let kind = x509_parser::objects::oid2abbrev(attribute.attr_type(), &registry)
            .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
        let mut value = String::new();
        for c in attribute.as_str().unwrap_or_default().chars() {
            if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
                value.push('\\');
            }
            value.push(c);
        }
        parts.push(format!("{kind}={value}"));
    }
    parts.reverse();
    parts.join(",")
}

/// Upper and lower case of a name, and spaces after commas, make no difference (RFC 4517 §4.2.11).
fn same_name(wanted: &str, found: &str) -> bool {
    let parts = |name: &str| {
        let mut parts = vec![String::new()];
        let mut escaped = false;
        for c in name.chars() {
            match parts.last_mut() {
                Some(part) if c != ',' || escaped => part.push(c),
                _ => parts.push(String::new()),
            }
            escaped = c == '\\' && !escaped;
        }
        parts.iter().map(|part| part.trim().to_lowercase()).collect::<Vec<_>>()
    };
    parts(wanted) == parts(found)
}

/// Whether one of the authorities `trust` (DER) issued the client certificate, valid at `now`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn believed(certificate: &[u8], trust: &[Vec<u8>], now: u64) -> Result<(), String> {
    let (_, leaf) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let issued = trust.iter().any(|authority| {
        X509Certificate::from_der(authority).is_ok_and(|(_, authority)| {
            authority.subject().as_raw() == leaf.issuer().as_raw()
                && leaf.verify_signature(Some(authority.public_key())).is_ok()
        })
    });
    let at = ASN1Time::from_timestamp(now as i64).map_err(|error| error.to_string())?;
    if !issued {
        Err("the certificate is from an authority that is not believed".into())
    } else if !leaf.validity().is_valid_at(at) {
        Err("the certificate is not valid now".into())
    } else if !matches!(leaf.extended_key_usage(), Ok(Some(usage)) if usage.value.client_auth) {
        Err("the certificate is not for client authentication".into())
    } else {
        Ok(())
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`
    pub id: String,
    /// How it proves who it is.
    pub credential: Credential,
    /// Grants it may use.
    pub grants: Vec<String>,
    /// Scopes it may have; every one if empty.
    pub scopes: Vec<String>,
    /// Scope it gets when it names none; without, such a request is refused.
    pub default_scope: Option<String>,
    /// Unix seconds at which its secret ends; 0: never (RFC 7591 §3.2.1).
    pub secret_expires_at: u64,
    /// `dpop_bound_access_tokens` (RFC 9449 §5.2): it must send proofs.
    pub dpop_bound: bool,
    /// `tls_client_certificate_bound_access_tokens` (RFC 8705 §3.4): it must show a certificate.
    pub certificate_bound: bool,
    /// It is a resource server: it may introspect every token.
    pub introspects: bool,
    /// Of its registration; none if it was there from the start.
    pub(crate) registered: Option<Registered>,
}

/// A client's registration.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) token: String,
    pub(crate) at: u64,
    pub(crate) metadata: crate::oauth::json::Object,
}

impl Client {
    /// A client that may use every grant and every scope.
    #[must_use]
    pub fn new(id: &str, credential: Credential) -> Self {
        Self {
            id: id.into(),
            credential,
            grants: GRANTS.iter().map(|grant| (*grant).to_owned()).collect(),
            scopes: Vec::new(),
            default_scope: None,
            secret_expires_at: 0,
            dpop_bound: false,
            certificate_bound: false,
            introspects: false,
            registered: None,
        }
    }

    /// The same with a scope where it names none.
    #[must_use]
    pub fn default_scope(self, scope: &str) -> Self {
        Self { default_scope: Some(scope.into()), ..self }
    }

    /// The same, bound to the key of its DPoP proofs.
    #[must_use]
    pub fn dpop_bound(self) -> Self {
        Self { dpop_bound: true, ..self }
    }

    /// The same, bound to its TLS certificate.
    #[must_use]
    pub fn certificate_bound(self) -> Self {
        Self { certificate_bound: true, ..self }
    }

    /// The same with these scopes and no other.
    #[must_use]
    pub fn scopes(self, scopes: &[&str]) -> Self {
        Self { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..self }
    }

    /// The same with these grants and no other.
    #[must_use]
    pub fn grants(self, grants: &[&str]) -> Self {
        Self { grants: grants.iter().map(|grant| (*grant).to_owned()).collect(), ..self }
    }

    /// The same as a resource server: it may introspect every token.
    #[must_use]
    pub fn resource_server(self) -> Self {
        Self { introspects: true, ..self }
    }
}
