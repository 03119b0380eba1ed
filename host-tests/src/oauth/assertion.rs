//! JWTs as assertions (RFC 7523): of a client about itself, and of an issuer that is believed.

use crate::oauth::authenticate::still_good;
use crate::oauth::client::{Client, Credential, believed};
use crate::oauth::json::{Object, text, texts, time};
use crate::oauth::jwk::{Jwk, thumbprint};
use crate::oauth::jws::Jws;
use crate::oauth::options::AssertionAudience;
use crate::oauth::problem::Problem;
use crate::oauth::server::{Ask, AuthServer};

impl AuthServer {
    /// `client_secret_jwt` and `private_key_jwt` (RFC 7523 §3, OpenID Connect Core 1.0 §9).
    pub(crate) fn client_assertion(&mut self, ask: &Ask<'_>, assertion: &str) -> Result<Client, Problem> {
        let refuse = |why: String| Problem::client(format!("client_assertion: {why}"));
        let jws = Jws::read(assertion).map_err(refuse)?;
        if !matches!(text(&jws.header, "typ"), None | Some("JWT" | "client-authentication+jwt")) {
            return Err(refuse("typ is not JWT".into()));
        }
        let subject = text(&jws.claims, "sub").ok_or_else(|| refuse("sub is missing".into()))?;
        if text(&jws.claims, "iss") != Some(subject) {
            return Err(refuse("iss and sub must both be the client_id".into()));
        }
        let client = self.known(subject)?;
        self.made_by(ask.now, &client, &jws).map_err(refuse)?;
        self.times(ask, &jws.claims).map_err(refuse)?;
        let jti = text(&jws.claims, "jti").filter(|jti| !jti.is_empty());
        let jti = jti.ok_or_else(|| refuse("jti is missing".into()))?;
        self.once(ask, &jws.claims, subject, jti).map_err(refuse)?;
        still_good(ask.now, &client)?;
        Ok(client)
    }

    /// Whether the client made the signature, in the way on record.
    fn made_by(&self, now: u64, client: &Client, jws: &Jws) -> Result<(), String> {
        let by = |key: &Jwk| jws.is_by(key);
        let good = match &client.credential {
            Credential::SecretJwt(secret) => jws.is_by_secret(secret),
            Credential::Keys(keys) => match text(&jws.header, "kid") {
                Some(kid) => keys.iter().filter(|key| *key.kid.as_ref().unwrap_or(&key.thumbprint()) == kid).any(by),
                None => keys.iter().any(by),
            },
            Credential::Certificates(certificates) => {
                let named = text(&jws.header, "x5t#S256").ok_or("x5t#S256 is missing in the header")?;
                let certificate = certificates.iter().find(|certificate| thumbprint(certificate) == named);
                let certificate = certificate.ok_or("x5t#S256 names no certificate on record")?;
                if chain(&jws.header)?.is_some_and(|chain| chain.first() != Some(certificate)) {
                    return Err("x5c is not the certificate of x5t#S256".into());
                }
                by(&Jwk::of_certificate(certificate)?)
            }
            Credential::Chain(subject) => {
                let chain = chain(&jws.header)?.ok_or("x5c is missing in the header")?;
                let certificate = chain.first().ok_or("x5c is empty")?;
                if text(&jws.header, "x5t#S256").is_some_and(|named| named != thumbprint(certificate)) {
                    return Err("x5t#S256 is not of the first certificate of x5c".into());
                }
                believed(certificate, &self.options.trust, now)?;
                if !subject.owns(certificate) {
                    return Err(format!("the certificate is not for {subject:?}"));
                }
                by(&Jwk::of_certificate(certificate)?)
            }
            other => return Err(format!("the client must use {}", other.method())),
        };
        if good { Ok(()) } else { Err(format!("the signature ({}) is not the client's", jws.algorithm())) }
    }

    /// `aud`, `exp`, `nbf`, `iat` (RFC 7523 §3, items 3 to 6).
    pub(crate) fn times(&self, ask: &Ask<'_>, claims: &Object) -> Result<(), String> {
        let issuer = &self.options.issuer;
        let token_endpoint = format!("{}/token", issuer.trim_end_matches('/'));
        let given = texts(claims, "aud")?;
        let (right, wanted) = match self.options.assertion_audience {
            AssertionAudience::Issuer => (given == [issuer.as_str()], issuer.clone()),
            AssertionAudience::TokenEndpoint => (given == [token_endpoint.as_str()], token_endpoint),
            AssertionAudience::Either => {
                let ours = |audience: &String| [issuer, &token_endpoint, &ask.url].contains(&audience);
                (given.iter().any(ours), format!("{issuer} or {token_endpoint}"))
            }
        };
        if !right {
            return Err(format!("aud must be {wanted}"));
        }
        let (now, skew) = (ask.now, self.options.skew);
        let exp = time(claims, "exp")?.ok_or("exp is missing")?;
        if exp + skew <= now {
            return Err("it has expired".into());
        }
        if exp > now + self.options.assertion_max + skew {
            return Err(format!("exp is more than {} s ahead", self.options.assertion_max));
        }
        if time(claims, "nbf")?.is_some_and(|from| from > now + skew) {
            return Err("nbf is in the future".into());
        }
        if time(claims, "iat")?.is_some_and(|at| at > now + skew) {
            return Err("iat is in the future".into());
        }
        Ok(())
    }

    /// An assertion is good once (RFC 7523 §3, item 7).
    fn once(&mut self, ask: &Ask<'_>, claims: &Object, who: &str, jti: &str) -> Result<(), String> {
        let until = time(claims, "exp")?.unwrap_or_default() + self.options.skew;
        if self.assertions.first(ask.now, who, jti, until) { Ok(()) } else { Err("jti was used before".into()) }
    }

    /// A JWT as authorization grant (RFC 7523 §3.1) by an issuer that is believed, or by a client about itself: its
    /// claims.
    pub(crate) fn grant_assertion(&mut self, ask: &Ask<'_>, assertion: &str) -> Result<Object, Problem> {
        let refuse = |why: String| Problem::grant(format!("assertion: {why}"));
        let jws = Jws::read(assertion).map_err(refuse)?;
        let issuer = text(&jws.claims, "iss").ok_or_else(|| refuse("iss is missing".into()))?.to_owned();
        let subject = text(&jws.claims, "sub").ok_or_else(|| refuse("sub is missing".into()))?;
        let keys: Vec<&Jwk> =
            self.options.assertion_issuers.iter().filter(|by| by.issuer == issuer).map(|by| &by.key).collect();
        if !keys.is_empty() {
            if !keys.into_iter().any(|key| jws.is_by(key)) {
                return Err(refuse("the signature is not by its issuer".into()));
            }
        } else if let Some(client) = self.clients.get(&issuer) {
            if subject != issuer {
                return Err(refuse("a client can only assert itself".into()));
            }
            self.made_by(ask.now, client, &jws).map_err(refuse)?;
        } else {
            return Err(refuse("its issuer is not believed".into()));
        }
        self.times(ask, &jws.claims).map_err(refuse)?;
        if let Some(jti) = text(&jws.claims, "jti") {
            self.once(ask, &jws.claims, &format!("grant {issuer}"), jti).map_err(refuse)?;
        }
        Ok(jws.claims)
    }
}

/// `x5c` (RFC 7515 §4.1.6): base64, not base64url, of DER.
fn chain(header: &Object) -> Result<Option<Vec<Vec<u8>>>, String> {
    if !header.contains_key("x5c") {
        return Ok(None);
    }
    let decode = |text: &String| data_encoding::BASE64.decode(text.as_bytes()).map_err(|error| format!("x5c: {error}"));
    texts(header, "x5c")?.iter().map(decode).collect::<Result<_, _>>().map(Some)
}
