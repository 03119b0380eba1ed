//! Tokens that were issued: access tokens, refresh tokens and their families.

use crate::oauth::jwk::Jwk;
use crate::oauth::jws;
use crate::oauth::random;
use crate::oauth::server::{AuthServer, Issued};
use serde_json::{Value, json};
use std::collections::HashMap;

/// What a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Thumbprint of the key of DPoP proofs.
    pub(crate) jkt: Option<String>,
    /// Thumbprint of the TLS client certificate.
    pub(crate) x5t: Option<String>,
}

impl Binding {
    /// `cnf` (RFC 7800 §3.1, RFC 8705 §3.1, RFC 9449 §6.1).
    pub(crate) fn confirmation(&self) -> Option<Value> {
        let mut cnf = serde_json::Map::new();
        cnf.extend(self.jkt.iter().map(|jkt| ("jkt".to_owned(), jkt.as_str().into())));
        cnf.extend(self.x5t.iter().map(|x5t| ("x5t#S256".to_owned(), x5t.as_str().into())));
        (!cnf.is_empty()).then_some(Value::Object(cnf))
    }

    pub(crate) fn token_type(&self) -> &'static str {
        if self.jkt.is_some() { "DPoP" } else { "Bearer" }
    }
}

/// What a token grants, to whom and for what.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) grant: String,
    pub(crate) client: String,
    pub(crate) subject: String,
    pub(crate) scope: Vec<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) jwt: bool,
    pub(crate) binding: Binding,
    /// `act` (RFC 8693 §4.1).
    pub(crate) actor: Option<Value>,
    /// The refresh tokens it descends from.
    pub(crate) family: Option<u64>,
}

/// An access token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) granted: Granted,
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    pub(crate) jti: String,
}

/// A refresh token.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    pub(crate) granted: Granted,
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    /// When it was rotated away.
    pub(crate) used: Option<u64>,
}

/// Every token that is not revoked.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) access: HashMap<String, Access>,
    pub(crate) refresh: HashMap<String, Refresh>,
    families: u64,
}

impl Tokens {
    pub(crate) fn new_family(&mut self) -> u64 {
        self.families += 1;
        self.families
    }

    /// Revokes a refresh token, its forebears and offspring, and their access tokens (RFC 7009 §2.1, RFC 9700 §4.14.2).
    pub(crate) fn revoke_family(&mut self, family: u64) {
        self.access.retain(|_, access| access.granted.family != Some(family));
        self.refresh.retain(|_, refresh| refresh.granted.family != Some(family));
    }

    /// Revokes whatever a client has.
    pub(crate) fn revoke_client(&mut self, client: &str) {
        self.access.retain(|_, access| access.granted.client != client);
        self.refresh.retain(|_, refresh| refresh.granted.client != client);
    }
}

impl AuthServer {
    /// Issues an access token of at least `octets` octets.
    pub(crate) fn issue_access(&mut self, now: u64, granted: &Granted, octets: usize) -> String {
        let expires = now + self.options.access_lifetime;
        let jti = random(16);
        let mut token = if granted.jwt { self.jwt(now, expires, &jti, granted, 0) } else { random(32) };
        if token.len() < octets {
            let short = octets - token.len();
            token =
                if granted.jwt { self.jwt(now, expires, &jti, granted, short) } else { random(octets.div_ceil(4) * 3) };
        }
        self.issued.push(Issued {
            at: now,
            grant: granted.grant.clone(),
            client: granted.client.clone(),
            scope: granted.scope.join(" "),
            audience: granted.audience.clone(),
            expires,
        });
        self.tokens.access.retain(|_, access| access.expires > now);
        self.tokens.access.insert(token.clone(), Access { granted: granted.clone(), issued: now, expires, jti });
        token
    }

    /// RFC 9068 §2, with `short` characters of padding.
    fn jwt(&self, now: u64, expires: u64, jti: &str, granted: &Granted, short: usize) -> String {
        let key = &self.keys[0];
        let audience = match granted.audience.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        let mut claims = json!({
            "iss": self.options.issuer, "sub": granted.subject, "client_id": granted.client, "aud": audience,
            "iat": now, "exp": expires, "jti": jti, "scope": granted.scope.join(" "),
        });
        if let Some(cnf) = granted.binding.confirmation() {
            claims["cnf"] = cnf;
        }
        if let Some(actor) = &granted.actor {
            claims["act"] = actor.clone();
        }
        if short > 0 {
            claims["padding"] = "p".repeat(short.div_ceil(4) * 3).into();
        }
        if let Some(more) = self.options.claims.as_object() {
            more.iter().for_each(|(name, value)| claims[name] = value.clone());
        }
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": Jwk::of_key(key).kid });
        jws::sign(&header, &claims, key)
    }

    /// Issues a refresh token.
    pub(crate) fn issue_refresh(&mut self, now: u64, granted: &Granted) -> String {
        let token = random(32);
        let expires = now + self.options.refresh_lifetime;
        self.tokens
            .refresh
            .insert(token.clone(), Refresh { granted: granted.clone(), issued: now, expires, used: None });
        token
    }
}
