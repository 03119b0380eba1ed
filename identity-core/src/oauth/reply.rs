//! Replies of a token endpoint (RFC 6749 §5) and of what refuses in the same form.

use super::code::{OauthCode, Words};
use crate::Error;
use crate::agent::step::{Media, Reply};
use crate::jose::jwt;
use crate::time::UnixTime;
use crate::wire::json::{self, Object, Text};

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TokenType {
    /// Bearer (RFC 6750); it may be bound to the client certificate (RFC 8705 §3).
    Bearer,
    /// With a proof of possession of the device key (RFC 9449).
    Dpop,
}

/// A token reply, read in place. The tokens are secrets.
#[derive(Clone, Copy)]
pub struct TokenReply<'a> {
    /// The access token.
    pub access: Text<'a>,
    /// Its type.
    pub kind: TokenType,
    /// Its lifetime in seconds from the reply; none if the server does not say.
    pub expires_in: Option<u32>,
    /// The granted scope; none if it is the one that was asked for (§5.1).
    pub scope: Option<Text<'a>>,
    /// A refresh token.
    pub refresh: Option<Text<'a>>,
}

/// Longest lifetime that is believed, in seconds: a year.
const LONGEST: u64 = 31_536_000;

/// Shortest life of the codes of a device authorization that is taken, in seconds: with less, the device would ask for new ones
/// all the time.
const SHORTEST: u32 = 5;

/// Reads the reply of a successful request, status 200.
///
/// # Errors
/// [`Error::Malformed`] with the member that is wrong.
pub fn read_token<'a>(by: &'static str, reply: &Reply, body: &'a [u8]) -> Result<TokenReply<'a>, Error> {
    let malformed = |problem| Error::Malformed { what: by, problem };
    let reply = json_of(by, reply, body)?;
    let access =
        reply.text("access_token")?.filter(|token| !token.is("")).ok_or(malformed("it has no access_token"))?;
    // RFC 6749 A.12 and A.17
    let visible = |token: Text<'_>| token.octets().all(|octet| octet == b' ' || octet.is_ascii_graphic());
    let kind = match reply.text("token_type")? {
        Some(kind) if is_word(kind, "bearer") => TokenType::Bearer,
        Some(kind) if is_word(kind, "dpop") => TokenType::Dpop,
        Some(_) => return Err(malformed("its token_type is neither Bearer nor DPoP")),
        None => return Err(malformed("it has no token_type")),
    };
    // absent is legal; what is no number, or not above 0, is taken as absent rather than as a reason to do without a token
    let expires_in = reply.whole("expires_in").unwrap_or(None).filter(|seconds| *seconds > 0);
    let expires_in = expires_in.map(|seconds| u32::try_from(seconds.min(LONGEST)).unwrap_or(u32::MAX));
    let scope = reply.text("scope")?;
    let refresh = reply.text("refresh_token")?.filter(|token| !token.is(""));
    if !visible(access) || !refresh.is_none_or(visible) {
        return Err(malformed("a token that is not printable ASCII (RFC 6749 A.12, A.17)"));
    }
    Ok(TokenReply { access, kind, expires_in, scope, refresh })
}

/// A device authorization reply (RFC 8628 §3.2), read in place.
#[derive(Clone, Copy)]
pub struct AuthorizationReply<'a> {
    /// The device code: a secret of the device.
    pub device_code: Text<'a>,
    /// What the person enters.
    pub user_code: Text<'a>,
    /// Where.
    pub uri: Text<'a>,
    /// The same with the code in it, for a QR code.
    pub complete: Option<Text<'a>>,
    /// Life of both codes, in seconds.
    pub expires_in: u32,
    /// Seconds between two token requests: 5 if the server does not say (§3.2).
    pub interval: u32,
}

/// Reads the reply of a device authorization request, status 200.
///
/// # Errors
/// [`Error::Malformed`] with the member that is wrong.
pub fn read_authorization<'a>(
    by: &'static str,
    reply: &Reply,
    body: &'a [u8],
) -> Result<AuthorizationReply<'a>, Error> {
    let missing = |problem| Error::Malformed { what: by, problem };
    let reply = json_of(by, reply, body)?;
    let seconds = |seconds: u64| u32::try_from(seconds.min(LONGEST)).unwrap_or(u32::MAX);
    let code = |name| reply.text(name).map(|code| code.filter(|code| !code.is("")));
    let expires_in = seconds(reply.whole("expires_in")?.ok_or(missing("it has no expires_in"))?);
    if expires_in < SHORTEST {
        return Err(missing("its codes expire within 5 s, before a person can enter them; raise their lifetime"));
    }
    Ok(AuthorizationReply {
        device_code: code("device_code")?.ok_or(missing("it has no device_code"))?,
        user_code: code("user_code")?.ok_or(missing("it has no user_code"))?,
        // some servers still use the name of an early draft
        uri: match reply.text("verification_uri")? {
            Some(uri) => uri,
            None => reply.text("verification_url")?.ok_or(missing("it has no verification_uri"))?,
        },
        complete: reply.text("verification_uri_complete")?,
        expires_in,
        interval: reply.whole("interval")?.map_or(5, seconds).clamp(1, 600),
    })
}

impl AuthorizationReply<'_> {
    /// Writes user code, URL and complete URL (or nothing) to the start of `room`, a line feed between them; the octets written.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; [`Error::Malformed`] if a control character is among them.
    pub(crate) fn write_for_person(&self, room: &mut [u8]) -> Result<usize, Error> {
        let mut at = 0_usize;
        let parts = [Some(self.user_code), Some(self.uri), self.complete];
        for (index, part) in parts.into_iter().enumerate() {
            let no_space = Error::NoSpace { what: "the user code; `Memory`'s TOKENS", wanted: at.saturating_add(1) };
            if index > 0 {
                *room.get_mut(at).ok_or(no_space)? = b'\n';
                at = at.saturating_add(1);
            }
            let Some(part) = part else { continue };
            let written = part
                .copy("the user code; `Memory`'s TOKENS", room.get_mut(at..).unwrap_or_default())
                .map_err(|error| error.behind(at))?;
            if written.bytes().any(|octet| octet.is_ascii_control()) {
                let problem = "a control character in the user code or its URL";
                return Err(Error::Malformed { what: "device authorization request", problem });
            }
            at = at.saturating_add(written.len());
        }
        Ok(at)
    }
}

/// What the authorization server says of a token (RFC 7662 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Introspection {
    /// It is valid now.
    pub active: bool,
    /// `exp`, if it is told.
    pub expires: Option<UnixTime>,
    /// Whether its scope has all that was wanted, if it is told.
    pub covers: Option<bool>,
}

/// Reads the reply of an introspection request, status 200; `wanted` is the scope that the token was asked for with.
///
/// # Errors
/// [`Error::Malformed`] with the member that is wrong.
pub fn read_introspection(by: &'static str, reply: &Reply, body: &[u8], wanted: &str) -> Result<Introspection, Error> {
    let reply = json_of(by, reply, body)?;
    let active = reply.boolean("active")?.ok_or(Error::Malformed { what: by, problem: "it has no member `active`" })?;
    if !active {
        return Ok(Introspection { active, expires: None, covers: None });
    }
    let covers = reply.text("scope")?.map(|scope| covers(scope, wanted));
    Ok(Introspection { active, expires: reply.whole("exp")?.map(UnixTime), covers })
}

/// Scopes that ask for an ID token and a refresh token (OpenID Connect Core §3.1.2.1, §11). They are no rights of the access
/// token, so servers leave them out of its scope.
const NO_RIGHTS: [&str; 2] = ["openid", "offline_access"];

/// The scope tokens that are rights.
fn rights(scope: &str) -> impl Iterator<Item = &str> {
    scope.split_ascii_whitespace().filter(|scope| !NO_RIGHTS.contains(scope))
}

/// Whether every scope token of `wanted` that is a right is among those of `granted`; both space-separated (RFC 6749 §3.3).
#[must_use]
pub fn covers(granted: Text<'_>, wanted: &str) -> bool {
    rights(wanted).all(|scope| granted.words().any(|word| word.is(scope)))
}

/// Whether an access token by RFC 9068 lacks some of `wanted`: a server that drops the whole scope may say so there alone,
/// by no `scope` (§2.2.3), as oidc-provider does. Not judged if it is another token, or does not fit into `scratch`.
pub(crate) fn lacks(token: &str, wanted: &str, scratch: &mut [u8]) -> bool {
    let Ok(Some(claims)) = jwt::read_access_token(token, scratch) else { return false };
    let has = |scope: &str| claims.scopes().is_ok_and(|mut granted| granted.any(|word| word.is(scope)));
    !rights(wanted).all(has)
}

/// Whether the text is `word`, case aside: `token_type` is not case-sensitive (RFC 6749 §5.1).
fn is_word(text: Text<'_>, word: &str) -> bool {
    text.octets().map(|octet| octet.to_ascii_lowercase()).eq(word.bytes())
}

/// The error of a reply that refuses (RFC 6749 §5.2), with the server's words where it has any: JSON where there is JSON,
/// else the status alone (empty bodies, pages for people).
pub fn read_refusal(by: &'static str, reply: &Reply, body: &[u8], words: &mut Words) -> Error {
    *words = Words::NONE;
    let body = body.get(..reply.length).unwrap_or_default();
    let parsed = json::object(by, body).ok();
    let code = parsed.and_then(|object| object.text("error").ok().flatten());
    if let (Some(object), Some(code)) = (parsed, code) {
        words.add(code);
        if let Ok(Some(description)) = object.text("error_description") {
            words.add(description);
        }
        return Error::Denied { by, code: OauthCode::of(code) };
    }
    Error::Refused { by, code: reply.status, hint: hint(reply.status) }
}

/// The JSON object of a reply. No Content-Type is forgiven, another one is not.
pub(crate) fn json_of<'a>(by: &'static str, reply: &Reply, body: &'a [u8]) -> Result<Object<'a>, Error> {
    if !matches!(reply.media, Media::Json | Media::Absent) {
        return Err(Error::Malformed {
            what: by,
            problem: "its Content-Type is not JSON; is this an authorization server, and is the path right?",
        });
    }
    json::object(by, body.get(..reply.length).unwrap_or_default())
}

const fn hint(status: u16) -> &'static str {
    match status {
        301 | 302 | 303 | 307 | 308 => "it redirects; set `issuer` to the final server",
        400 => "it gives no reason; see its log",
        401 => "client authentication failed and it gives no reason; check `client_id` and `client_auth`",
        403 => "it forbids this client and gives no reason; check the client's rights there",
        404 => "it has no such path; check `issuer`",
        405 | 415 => "it does not take such requests at this path; check `issuer`",
        429 => "it is asked too often",
        500..=599 => "it failed; see its log",
        _ => "this status is not part of OAuth; check `issuer`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::base64url;

    fn jwt(header: &str, claims: &str) -> std::string::String {
        let part = |text: &str| {
            let mut encoded = [0; 256];
            let length = base64url::encode(text.as_bytes(), &mut encoded).unwrap();
            std::string::String::from_utf8(encoded[..length].to_vec()).unwrap()
        };
        std::format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims))
    }

    #[test]
    fn a_token_that_has_less_than_was_asked_for_is_noticed_where_it_says_so() {
        let access = r#"{"alg":"ES256","typ":"application/AT+JWT"}"#;
        let other = r#"{"alg":"ES256","typ":"JWT"}"#;
        let rows = [
            (access, r#"{"scope":"a b"}"#, "a", false),
            (access, r#"{"scope":"a b"}"#, "b openid offline_access a", false),
            (access, r#"{"scope":"a b"}"#, "c", true),
            (access, r#"{"scp":["a","b"]}"#, "b", false),
            (access, r#"{"sub":"x"}"#, "a", true),
            (access, r#"{"sub":"x"}"#, "", false),
            (access, "[]", "a", false),
            // another server's own format: nothing is known of its claims
            (other, r#"{"roles":["a"]}"#, "a", false),
        ];
        for (header, claims, wanted, less) in rows {
            let token = jwt(header, claims);
            assert_eq!(lacks(&token, wanted, &mut [0; 256]), less, "{header} {claims} {wanted}");
            assert!(!lacks(&token, wanted, &mut [0; 8]), "no room to read it");
        }
        assert!(!lacks("opaque", "a", &mut [0; 256]));
    }
}
