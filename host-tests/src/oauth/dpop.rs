//! DPoP (RFC 9449) from the side of both servers: proofs, server nonces, proofs seen before.

use crate::http::HttpRequest;
use crate::oauth::json::{text, time};
use crate::oauth::jwk::{Jwk, thumbprint};
use crate::oauth::jws::Jws;
use crate::oauth::random;
use std::collections::HashMap;

/// `jti` values seen, until they could not be used again anyhow.
#[derive(Debug, Default)]
pub(crate) struct Replays(HashMap<(String, String), u64>);

impl Replays {
    /// Remembers `jti` of `who` until `until`; false if it was there already.
    pub(crate) fn first(&mut self, now: u64, who: &str, jti: &str, until: u64) -> bool {
        self.0.retain(|_, until| *until >= now);
        self.0.insert((who.into(), jti.into()), until).is_none()
    }
}

/// Server nonces: the newest, and the one before, which stays good until the next change.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    newest: Option<(String, u64)>,
    before: Option<String>,
}

impl Nonces {
    /// The newest, changed if it is older than `lifetime` seconds.
    pub(crate) fn newest(&mut self, now: u64, lifetime: u64) -> String {
        match &self.newest {
            Some((nonce, since)) if now < since + lifetime => nonce.clone(),
            _ => self.renew(now),
        }
    }

    /// A new one, now.
    pub(crate) fn renew(&mut self, now: u64) -> String {
        let nonce = random(16);
        self.before = self.newest.replace((nonce.clone(), now)).map(|(nonce, _)| nonce);
        nonce
    }

    fn knows(&self, nonce: &str) -> bool {
        self.newest.as_ref().is_some_and(|(newest, _)| newest == nonce) || self.before.as_deref() == Some(nonce)
    }
}

/// What is wrong with a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// `invalid_dpop_proof`
    Invalid(String),
    /// `use_dpop_nonce`: it has none, or not a recent one. The nonce to use.
    Nonce(String),
}

impl From<String> for Flaw {
    fn from(why: String) -> Self {
        Self::Invalid(why)
    }
}

impl From<&str> for Flaw {
    fn from(why: &str) -> Self {
        Self::Invalid(why.into())
    }
}

/// What judges proofs: one for each server.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    pub(crate) nonces: Nonces,
    replays: Replays,
}

/// What a proof must say.
pub(crate) struct Expected<'a> {
    /// URL of the request, without query.
    pub(crate) url: &'a str,
    /// Seconds by which `iat` may differ.
    pub(crate) window: u64,
    /// Seconds between changes of the nonce, where nonces are demanded.
    pub(crate) nonce: Option<u64>,
    /// The access token that comes with it, at a resource server.
    pub(crate) token: Option<&'a str>,
}

impl Judge {
    /// Checks the proof of a request wholly (RFC 9449 §4.3) and gives the thumbprint of its key; none if there is no
    /// proof.
    pub(crate) fn check(
        &mut self,
        now: u64,
        request: &HttpRequest,
        expected: &Expected<'_>,
    ) -> Result<Option<String>, Flaw> {
        let mut fields = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("DPoP"));
        let proof = match (fields.next(), fields.next()) {
            (None, _) => return Ok(None),
            (Some((_, proof)), None) => Jws::read(proof)?,
            _ => return Err("more than one DPoP header".into()),
        };
        if text(&proof.header, "typ") != Some("dpop+jwt") {
            return Err("typ is not dpop+jwt".into());
        }
        if proof.algorithm() != "ES256" {
            return Err("alg is not ES256".into());
        }
        let key = proof.header.get("jwk").and_then(|key| key.as_object()).ok_or("there is no jwk in the header")?;
        let key = Jwk::read(key)?;
        if !proof.is_by(&key) {
            return Err("the signature is not by the key in jwk".into());
        }
        let claims = &proof.claims;
        let jti = text(claims, "jti").ok_or("jti is missing")?;
        if jti.len() < 16 {
            return Err("jti has less than 96 bits".into());
        }
        if text(claims, "htm") != Some(&request.method) {
            return Err("htm is not the method of the request".into());
        }
        let htu = text(claims, "htu").ok_or("htu is missing")?;
        if htu.contains(['?', '#']) {
            return Err("htu has a query or fragment".into());
        }
        if normal(htu) != normal(expected.url) {
            return Err(format!("htu is not {}", expected.url).into());
        }
        let iat = time(claims, "iat")?.ok_or("iat is missing")?;
        if iat.abs_diff(now) > expected.window {
            return Err("iat is too far from now".into());
        }
        match expected.token {
            Some(token) if text(claims, "ath") != Some(&thumbprint(token.as_bytes())) => {
                return Err("ath is not the hash of the access token".into());
            }
            _ => {}
        }
        if let Some(lifetime) = expected.nonce {
            let newest = self.nonces.newest(now, lifetime);
            match claims.get("nonce") {
                Some(nonce) if nonce.as_str().is_some_and(|nonce| self.nonces.knows(nonce)) => {}
                _ => return Err(Flaw::Nonce(newest)),
            }
        }
        let key = key.thumbprint();
        if !self.replays.first(now, &key, jti, iat + expected.window) {
            return Err("jti was used before".into());
        }
        Ok(Some(key))
    }
}

/// Scheme and host in lower case, the default port and an empty path made one (RFC 3986 §6.2.2, §6.2.3).
fn normal(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let host = if scheme == "https" { host.strip_suffix(":443").unwrap_or(&host) } else { &host };
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_the_same() {
        assert_eq!(normal("HTTPS://Id.Example:443"), normal("https://id.example/"));
        assert_ne!(normal("https://id.example/Token"), normal("https://id.example/token"));
        assert_ne!(normal("http://id.example/"), normal("https://id.example/"));
    }

    #[test]
    fn a_nonce_outlives_one_change() {
        let mut nonces = Nonces::default();
        let first = nonces.newest(0, 10);
        assert_eq!(nonces.newest(9, 10), first);
        let second = nonces.newest(10, 10);
        assert!(nonces.knows(&first) && nonces.knows(&second));
        nonces.newest(20, 10);
        assert!(!nonces.knows(&first) && nonces.knows(&second) && !nonces.knows("other"));
    }
}
