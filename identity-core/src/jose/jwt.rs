//! The claims of a JWT (RFC 7519), read without trusting it: nothing is verified here. See [`super::verify`].

use crate::error::Error;
use crate::keys::Digest;
use crate::time::UnixTime;
use crate::wire::base64url;
use crate::wire::json::{self, Array, Object, Text, Value};

/// Octets of the largest JWT that is read.
pub const TOKEN_MAX: usize = 8192;

/// The three parts of a compact JWS.
pub(super) struct Parts<'a> {
    pub(super) header: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) signature: &'a [u8],
    /// What is signed: header, dot, payload.
    pub(super) signed: &'a [u8],
}

/// Splits a token at its two dots; none if there are more or fewer.
pub(super) fn split(token: &str) -> Option<Parts<'_>> {
    let token = token.as_bytes();
    let dot = |octets: &[u8]| octets.iter().position(|&octet| octet == b'.');
    let first = dot(token)?;
    let (header, rest) = (token.get(..first)?, token.get(first.checked_add(1)?..)?);
    let second = dot(rest)?;
    let (payload, signature) = (rest.get(..second)?, rest.get(second.checked_add(1)?..)?);
    let signed = token.get(..first.checked_add(1)?.checked_add(second)?)?;
    dot(signature).is_none().then_some(Parts { header, payload, signature, signed })
}

/// Decodes one part into `scratch`, and reads its object.
pub(super) fn part<'a>(what: &'static str, text: &[u8], scratch: &'a mut [u8]) -> Result<Object<'a>, Error> {
    let length = base64url::decode(what, text, scratch)?;
    let scratch: &'a [u8] = scratch;
    json::object(what, scratch.get(..length).unwrap_or_default())
}

/// Reads the claims of a token, if it is a JWT, without verifying anything: of use for the device's own tokens, which came
/// from the issuer over TLS. None if it is opaque or encrypted, as tokens may well be (RFC 6749 §1.4).
///
/// `scratch` receives the decoded payload; three quarters of the token's octets are enough.
///
/// # Errors
/// [`Error::NoSpace`] with the octets of `scratch` wanted; [`Error::Malformed`] if the header is that of a JWS and the payload
/// is no JSON object, or if the token is larger than [`TOKEN_MAX`].
pub fn read<'a>(token: &str, scratch: &'a mut [u8]) -> Result<Option<Claims<'a>>, Error> {
    read_if(token, |_| true, scratch)
}

/// The same for a token that says to be an access token by RFC 9068: its `typ` is at+jwt (§2.1). None if it does not.
///
/// # Errors
/// As [`read`].
pub fn read_access_token<'a>(token: &str, scratch: &'a mut [u8]) -> Result<Option<Claims<'a>>, Error> {
    let says =
        |header: Object<'_>| header.text("typ").is_ok_and(|typ| typ.is_some_and(|typ| is_media_type(typ, "at+jwt")));
    read_if(token, says, scratch)
}

fn read_if<'a>(
    token: &str,
    wanted: impl FnOnce(Object<'_>) -> bool,
    scratch: &'a mut [u8],
) -> Result<Option<Claims<'a>>, Error> {
    let Some(parts) = split(token) else { return Ok(None) };
    if token.len() > TOKEN_MAX {
        return Err(Error::Malformed { what: "JWT", problem: "larger than 8192 octets" });
    }
    match part("JWT header", parts.header, scratch) {
        Err(error @ Error::NoSpace { .. }) => return Err(error),
        Ok(header) if wanted(header) => {}
        _ => return Ok(None),
    }
    part("JWT claims", parts.payload, scratch).map(|claims| Some(Claims(claims)))
}

/// Media types differ in neither case nor the prefix `application/`. RFC 7515 §4.1.9.
pub(super) fn is_media_type(typ: Text<'_>, wanted: &str) -> bool {
    let lower = |octet: u8| octet.to_ascii_lowercase();
    let is = |prefix: &str| typ.octets().map(lower).eq(prefix.bytes().chain(wanted.bytes()).map(lower));
    is("") || is("application/")
}

/// The claims of a JWT. Each is looked up when asked for; a claim that is null counts as absent.
///
/// Every function fails with [`Error::Malformed`] if the claim is of another type than its standard says, or occurs twice.
#[derive(Clone, Copy)]
pub struct Claims<'a>(pub(super) Object<'a>);

impl<'a> Claims<'a> {
    /// All claims, for those that have no function here.
    #[must_use]
    pub const fn object(self) -> Object<'a> {
        self.0
    }

    /// `exp`: from when on it must not be accepted. RFC 7519 §4.1.4. Fractions of seconds are cut off, here and below.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn expires(self) -> Result<Option<UnixTime>, Error> {
        self.time("exp")
    }

    /// `nbf`: before when it must not be accepted. RFC 7519 §4.1.5.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn not_before(self) -> Result<Option<UnixTime>, Error> {
        self.time("nbf")
    }

    /// `iat`: when it was issued. RFC 7519 §4.1.6.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn issued(self) -> Result<Option<UnixTime>, Error> {
        self.time("iat")
    }

    /// `iss`: who issued it. RFC 7519 §4.1.1.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn issuer(self) -> Result<Option<Text<'a>>, Error> {
        self.0.text("iss")
    }

    /// `sub`: whom it is about. RFC 7519 §4.1.2.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn subject(self) -> Result<Option<Text<'a>>, Error> {
        self.0.text("sub")
    }

    /// `jti`: its own name. RFC 7519 §4.1.7.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn id(self) -> Result<Option<Text<'a>>, Error> {
        self.0.text("jti")
    }

    /// `client_id` (RFC 9068 §2.2), or else `azp` (OpenID Connect Core §2): the client it was issued to.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn client_id(self) -> Result<Option<Text<'a>>, Error> {
        Ok(self.0.text("client_id")?.or(self.0.text("azp")?))
    }

    /// `aud`: for whom it is, one or several. RFC 7519 §4.1.3.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn audiences(self) -> Result<impl Iterator<Item = Text<'a>> + use<'a>, Error> {
        let (one, several) = self.one_or_several("aud")?;
        Ok(one.into_iter().chain(several.into_iter().flat_map(Array::texts)))
    }

    /// `scope` (RFC 9068 §2.2.3), or else `scp` as Entra ID and Okta have it: words in one string, or an array.
    ///
    /// # Errors
    /// See [`Claims`].
    pub fn scopes(self) -> Result<impl Iterator<Item = Text<'a>> + use<'a>, Error> {
        let (words, several) = match self.one_or_several("scope")? {
            (None, None) => self.one_or_several("scp")?,
            found => found,
        };
        Ok(words.into_iter().flat_map(Text::words).chain(several.into_iter().flat_map(Array::texts)))
    }

    /// `cnf`: the key that whoever presents the token must prove to hold. RFC 7800 §3.1.
    ///
    /// # Errors
    /// See [`Claims`]; also if a digest in it is not the base64url of 32 octets.
    pub fn confirmation(self) -> Result<Option<Confirmation>, Error> {
        let Some(cnf) = self.0.object("cnf")? else { return Ok(None) };
        Ok(Some(Confirmation { jkt: digest(cnf, "jkt")?, x5t_s256: digest(cnf, "x5t#S256")? }))
    }

    fn time(self, name: &'static str) -> Result<Option<UnixTime>, Error> {
        Ok(self.0.whole(name)?.map(UnixTime))
    }

    fn one_or_several(self, name: &'static str) -> Result<(Option<Text<'a>>, Option<Array<'a>>), Error> {
        match self.0.get(name)? {
            None | Some(Value::Null) => Ok((None, None)),
            Some(Value::Text(text)) => Ok((Some(text), None)),
            Some(Value::Array(array)) => Ok((None, Some(array))),
            Some(_) => Err(Error::Malformed { what: name, problem: "neither a string nor an array" }),
        }
    }
}

/// The key that a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// `jkt`: thumbprint of the DPoP key. RFC 9449 §6.1.
    pub jkt: Option<Digest>,
    /// `x5t#S256`: SHA-256 of the client certificate's DER. RFC 8705 §3.1.
    pub x5t_s256: Option<Digest>,
}

fn digest(cnf: Object<'_>, name: &'static str) -> Result<Option<Digest>, Error> {
    let Some(text) = cnf.text(name)? else { return Ok(None) };
    let mut digest = [0; 32];
    let decoded = text.as_plain().map(|text| base64url::decode(name, text.as_bytes(), &mut digest));
    match decoded {
        Some(Ok(32)) => Ok(Some(digest)),
        _ => Err(Error::Malformed { what: name, problem: "not the base64url of 32 octets" }),
    }
}
