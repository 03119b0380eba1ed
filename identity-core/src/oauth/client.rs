//! The device as a client: what proves it in a token request (RFC 6749 §2.3, RFC 7523, RFC 9449).

use super::form::{Form, encode_into};
use super::source::{Audience, ClientAuth, KeyId, Provider};
use crate::Error;
use crate::agent::step::RANDOM;
use crate::config::Secret;
use crate::jose::{assertion, dpop, jwk};
use crate::keys::PublicKey;
use crate::time::UnixTime;
use crate::wire::base64url;

/// `client_assertion_type` (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request may carry that is signed, in the order in which it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jws {
    /// The assertion of the JWT bearer grant.
    Grant,
    /// The client's assertion.
    Client,
    /// The DPoP proof.
    Proof,
}

impl Jws {
    /// The one made after `last`.
    pub(crate) const fn after(last: Option<Self>) -> Option<Self> {
        match last {
            None => Some(Self::Grant),
            Some(Self::Grant) => Some(Self::Client),
            Some(Self::Client) => Some(Self::Proof),
            Some(Self::Proof) => None,
        }
    }
}

/// The client in one request.
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    pub(crate) provider: &'a Provider,
    /// URL of the token endpoint.
    pub(crate) token_endpoint: &'a str,
    pub(crate) public: &'a PublicKey,
    /// Its certificate, DER; empty if it has none.
    pub(crate) certificate: &'a [u8],
    pub(crate) random: &'a [u8; RANDOM],
    pub(crate) now: UnixTime,
}

/// Octets of an assertion's field that precede the assertion, and of its signing input.
pub(crate) type Written = (usize, usize);

impl Client<'_> {
    /// Writes the fields of client authentication that are not signed.
    pub(crate) fn fields(&self, form: &mut Form<'_>) {
        match self.provider.client_auth {
            ClientAuth::SecretBasic(_) => {}
            ClientAuth::SecretPost(secret) => {
                form.field("client_id", self.id).field("client_secret", secret.reveal());
            }
            ClientAuth::None | ClientAuth::Certificate => {
                form.field("client_id", self.id);
            }
            ClientAuth::SecretJwt(_) | ClientAuth::PrivateKeyJwt(_) => {
                form.field("client_id", self.id).field("client_assertion_type", ASSERTION_TYPE);
            }
        }
    }

    /// Writes identifier and secret, each form-encoded (RFC 6749 §2.3.1), to the start of `room`; the octets of each.
    pub(crate) fn basic(&self, secret: &Secret<'_>, room: &mut [u8]) -> Result<(usize, usize), Error> {
        let user = encode_into(self.id, room);
        let password = encode_into(secret.reveal(), room.get_mut(user..).unwrap_or_default());
        let wanted = user.saturating_add(password);
        if wanted > room.len() {
            return Err(Error::NoSpace { what: "client authentication; `Memory`'s TOKENS", wanted });
        }
        Ok((user, password))
    }

    /// Writes `&client_assertion=` and the signing input behind it.
    pub(crate) fn assertion(&self, key: KeyId, room: &mut [u8]) -> Result<Written, Error> {
        let skip = label("&client_assertion=", room);
        let mut kid = [0; base64url::encoded_len(32)];
        let assertion = self.identified(self.common(16), key, &mut kid)?;
        let written = assertion::write(&assertion, room.get_mut(skip..).unwrap_or_default());
        Ok((skip, written.map_err(|error| error.behind(skip))?))
    }

    /// Writes `&client_assertion=` and the whole assertion under HMAC; the octets of both.
    pub(crate) fn secret_assertion(&self, secret: &Secret<'_>, room: &mut [u8]) -> Result<usize, Error> {
        let skip = label("&client_assertion=", room);
        let written = assertion::write_hs256(&self.common(16), secret, room.get_mut(skip..).unwrap_or_default());
        Ok(skip.saturating_add(written.map_err(|error| error.behind(skip))?))
    }

    /// Writes `&assertion=` and the signing input of the grant's assertion behind it (RFC 7523 §2.1).
    pub(crate) fn grant_assertion(&self, subject: &str, scope: &str, room: &mut [u8]) -> Result<Written, Error> {
        let skip = label("&assertion=", room);
        let key = match self.provider.client_auth {
            ClientAuth::PrivateKeyJwt(key) => key,
            _ => KeyId::Thumbprint,
        };
        let mut kid = [0; base64url::encoded_len(32)];
        let scope = Some(scope).filter(|scope| !scope.is_empty());
        let common = assertion::Assertion { subject, scope, ..self.common(0) };
        let assertion = self.identified(common, key, &mut kid)?;
        let written = assertion::write(&assertion, room.get_mut(skip..).unwrap_or_default());
        Ok((skip, written.map_err(|error| error.behind(skip))?))
    }

    /// Writes the signing input of a proof for the token endpoint.
    pub(crate) fn proof(&self, nonce: Option<&str>, room: &mut [u8]) -> Result<usize, Error> {
        let proof = dpop::Proof {
            key: self.public,
            method: "POST",
            url: self.token_endpoint,
            random: self.sixteen(32),
            issued: self.now,
            token: None,
            nonce,
        };
        dpop::write(&proof, room)
    }

    fn common(&self, random: usize) -> assertion::Assertion<'_> {
        let audience = match self.provider.audience {
            Audience::Issuer => self.provider.issuer,
            Audience::TokenEndpoint => self.token_endpoint,
        };
        assertion::Assertion::of_client(self.id, audience, self.sixteen(random), self.now)
    }

    fn identified<'a>(
        &'a self,
        mut assertion: assertion::Assertion<'a>,
        key: KeyId,
        kid: &'a mut [u8; base64url::encoded_len(32)],
    ) -> Result<assertion::Assertion<'a>, Error> {
        let missing =
            "token source: the key is to be named by its certificate, but the device has none; enrol with a CA";
        let certificate = Some(self.certificate).filter(|certificate| !certificate.is_empty());
        match key {
            KeyId::None => {}
            KeyId::Fixed(name) => assertion.kid = Some(name),
            KeyId::Thumbprint => {
                let length = base64url::encode(&jwk::thumbprint(self.public), kid)?;
                let text = kid.get(..length).and_then(|text| core::str::from_utf8(text).ok());
                assertion.kid = text;
            }
            KeyId::CertificateDigest => assertion.certificate = Some(certificate.ok_or(Error::Misuse(missing))?),
            KeyId::Certificate => assertion.chain = certificate.ok_or(Error::Misuse(missing))?,
        }
        Ok(assertion)
    }

    /// Sixteen of the random octets, from `at`.
    fn sixteen(&self, at: usize) -> &[u8; 16] {
        const NONE: &[u8; 16] = &[0; 16];
        self.random.get(at..).and_then(<[u8]>::first_chunk).unwrap_or(NONE)
    }
}

/// Writes a name of a form's field; its octets, also if they do not fit (then what follows does not fit either).
fn label(text: &str, room: &mut [u8]) -> usize {
    room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    text.len()
}
