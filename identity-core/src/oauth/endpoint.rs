//! Metadata of an authorization server (RFC 8414, OpenID Connect Discovery 1.0): where to ask for it, and the endpoints in it.

use super::source::{ClientAuth, Provider};
use super::url::Url;
use crate::Error;
use crate::enrol::Path;
use crate::wire::json::{self, Object, Text};
use core::fmt::Write;

/// For errors.
const WHAT: &str = "authorization server metadata";

/// An endpoint of the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Endpoint {
    /// `token_endpoint` (RFC 6749 §3.2).
    Token,
    /// `device_authorization_endpoint` (RFC 8628 §3.1).
    DeviceAuthorization,
    /// `registration_endpoint` (RFC 7591 §3).
    Registration,
    /// `introspection_endpoint` (RFC 7662 §2).
    Introspection,
    /// `revocation_endpoint` (RFC 7009 §2).
    Revocation,
    /// `jwks_uri` (RFC 8414 §2).
    Jwks,
}

impl Endpoint {
    /// All, in the order in which they are kept.
    pub const ALL: [Self; 6] =
        [Self::Token, Self::DeviceAuthorization, Self::Registration, Self::Introspection, Self::Revocation, Self::Jwks];

    /// Its member in the metadata.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::DeviceAuthorization => "device_authorization_endpoint",
            Self::Registration => "registration_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::Jwks => "jwks_uri",
        }
    }
}

/// Which of the two well-known documents is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// OpenID Connect Discovery 1.0 §4: the suffix comes after the issuer's path.
    OpenId,
    /// RFC 8414 §3.1: the well-known part comes before the issuer's path.
    OAuth,
}

/// Writes the path of the document into `path`.
///
/// # Errors
/// [`Error::Misuse`] if it is longer than a path may be.
pub fn document_path(issuer: &Url<'_>, document: Document, path: &mut Path) -> Result<(), Error> {
    path.clear();
    let base = issuer.path.strip_suffix('/').unwrap_or(issuer.path);
    let written = match document {
        Document::OpenId => write!(path, "{base}/.well-known/openid-configuration"),
        Document::OAuth => write!(path, "/.well-known/oauth-authorization-server{base}"),
    };
    written.map_err(|_| Error::Misuse("the token source's `issuer` is too long a URL"))
}

/// Octets that a URL may have at most.
pub const URL: usize = 255;
/// Octets that the endpoints take at most.
pub const ENDPOINTS: usize = Endpoint::ALL.len() * (URL + 1);

/// Checks the metadata and writes its endpoints to `into`: for each of [`Endpoint::ALL`] one octet of length, then the URL.
/// Gives the octets written, at most [`ENDPOINTS`].
///
/// # Errors
/// [`Error::Malformed`] if it is no JSON object, names another issuer, or has an endpoint that may not be used.
pub fn read_metadata(provider: &Provider, body: &[u8], into: &mut [u8]) -> Result<usize, Error> {
    let metadata = checked(provider, body)?;
    let aliases = match provider.client_auth {
        ClientAuth::Certificate => metadata.object("mtls_endpoint_aliases")?,
        _ => None,
    };
    let mut used = 0_usize;
    for endpoint in Endpoint::ALL {
        let alias = match aliases {
            Some(aliases) => aliases.text(endpoint.member())?,
            None => None,
        };
        let url = match alias {
            Some(alias) => Some(alias),
            None => metadata.text(endpoint.member())?,
        };
        used = keep(provider, endpoint.member(), url, into, used)?;
    }
    Ok(used)
}

/// The same for one endpoint alone: one octet of length, 0 if the server has no such endpoint, then the URL.
///
/// # Errors
/// As [`read_metadata`].
pub(crate) fn read_endpoint(
    provider: &Provider,
    body: &[u8],
    endpoint: Endpoint,
    into: &mut [u8],
) -> Result<usize, Error> {
    keep(provider, endpoint.member(), checked(provider, body)?.text(endpoint.member())?, into, 0)
}

/// The metadata, once they are known to be of the issuer.
fn checked<'a>(provider: &Provider, body: &'a [u8]) -> Result<Object<'a>, Error> {
    let malformed = |problem| Error::Malformed { what: WHAT, problem };
    let metadata = json::object(WHAT, body)?;
    let issuer = metadata.text("issuer")?.ok_or(malformed("it names no issuer; is `issuer` the right URL?"))?;
    if !issuer.is(provider.issuer) {
        return Err(malformed("its issuer is not the configured `issuer`, octet for octet"));
    }
    Ok(metadata)
}

/// Writes one URL of the server at `at`: one octet of length, then the URL; the octets used after it. `member` names it.
pub(crate) fn keep(
    provider: &Provider,
    member: &'static str,
    url: Option<Text<'_>>,
    into: &mut [u8],
    at: usize,
) -> Result<usize, Error> {
    let home = Url::parse("`issuer`", provider.issuer)?;
    let no_space = |url: usize| Error::NoSpace {
        what: "the endpoints; `Memory`'s TOKENS",
        wanted: at.saturating_add(1).saturating_add(url),
    };
    let (length, room) = into.get_mut(at..).and_then(<[u8]>::split_first_mut).ok_or(no_space(0))?;
    *length = 0;
    let Some(url) = url else { return Ok(at.saturating_add(1)) };
    let octets = url.octets().count();
    if octets > URL {
        return Err(Error::Malformed { what: member, problem: "its URL is longer than 255 octets" });
    }
    let room = room.get_mut(..octets).ok_or(no_space(octets))?;
    let text = url.copy(member, room)?;
    let written = text.len();
    let url = Url::parse(member, text)?;
    if url.host != home.host && !provider.hosts.contains(&url.host) {
        return Err(Error::Malformed {
            what: member,
            problem: "it is on a host other than the issuer's; list that host in `hosts` if it is right",
        });
    }
    *length = u8::try_from(written).unwrap_or(0);
    Ok(at.saturating_add(1).saturating_add(written))
}

/// The URL of an endpoint among those that [`read_metadata`] wrote; none if the server has no such endpoint.
#[must_use]
pub fn endpoint_url(mut endpoints: &[u8], wanted: Endpoint) -> Option<&str> {
    for endpoint in Endpoint::ALL {
        let (&length, rest) = endpoints.split_first()?;
        let (url, rest) = rest.split_at_checked(length.into())?;
        if endpoint == wanted {
            return core::str::from_utf8(url).ok().filter(|url| !url.is_empty());
        }
        endpoints = rest;
    }
    None
}
