//! What receivers of access tokens share: a JWT access token verified (RFC 9068 §4).

use crate::oauth::json::{Object, text, texts, time};
use crate::oauth::jwk::Jwk;
use crate::oauth::jws::Jws;

/// What a receiver knows.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// Who must have issued the token.
    pub issuer: String,
    /// The issuer's keys.
    pub keys: Vec<Jwk>,
    /// What the token must be for.
    pub audience: String,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// `sub`
    pub subject: String,
    /// `scope`
    pub scope: Vec<String>,
    /// `exp`, in Unix seconds.
    pub expires: u64,
    /// All claims.
    pub claims: Object,
}

impl Verifier {
    /// Checks type, signature, issuer, audience and time, without any leeway.
    ///
    /// # Errors
    /// What is wrong with the token.
    pub fn verify(&self, now: u64, token: &str) -> Result<Verified, String> {
        let jws = Jws::read(token)?;
        if !text(&jws.header, "typ")
            .is_some_and(|typ| matches!(typ.to_lowercase().as_str(), "at+jwt" | "application/at+jwt"))
        {
            return Err("typ is not at+jwt".into());
        }
        let named = text(&jws.header, "kid");
        if !self.keys.iter().filter(|key| named.is_none() || key.kid.as_deref() == named).any(|key| jws.is_by(key)) {
            return Err("the signature is not by the issuer".into());
        }
        if text(&jws.claims, "iss") != Some(&self.issuer) {
            return Err("iss is someone else".into());
        }
        if !texts(&jws.claims, "aud")?.contains(&self.audience) {
            return Err("aud is something else".into());
        }
        self.read(now, jws.claims)
    }

    /// What introspection gave (RFC 7662 §2.2), judged alike.
    pub(crate) fn introspected(&self, now: u64, claims: &Object) -> Result<Verified, String> {
        if claims.get("active") != Some(&true.into()) {
            return Err("it is not active".into());
        }
        if !texts(claims, "aud")?.contains(&self.audience) {
            return Err("aud is something else".into());
        }
        self.read(now, claims.clone())
    }

    fn read(&self, now: u64, claims: Object) -> Result<Verified, String> {
        let expires = time(&claims, "exp")?.ok_or("exp is missing")?;
        if expires <= now {
            return Err("it has expired".into());
        }
        if time(&claims, "nbf")?.is_some_and(|from| from > now) {
            return Err("it is not valid yet".into());
        }
        let scope = text(&claims, "scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Ok(Verified { subject: text(&claims, "sub").unwrap_or_default().into(), scope, expires, claims })
    }
}

impl Verified {
    /// A member of `cnf`: `jkt` or `x5t#S256`.
    #[must_use]
    pub fn bound_to(&self, member: &str) -> Option<&str> {
        self.claims.get("cnf")?.get(member)?.as_str()
    }
}
