//! Introspection (RFC 7662) and revocation (RFC 7009).

use crate::http::HttpResponse;
use crate::oauth::client::{Client, Credential};
use crate::oauth::form::Form;
use crate::oauth::problem::{Problem, reply};
use crate::oauth::server::{Ask, AuthServer};
use crate::oauth::tokens::Granted;
use serde_json::{Value, json};

impl AuthServer {
    /// RFC 7662 §2. A client learns about its own tokens, a resource server about all.
    pub(crate) fn introspect(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        ask.form = Form::read(ask.request)?;
        let client = self.authenticate(ask)?;
        if client.credential == Credential::Public {
            return Err(Problem::client("introspection is for clients that prove who they are"));
        }
        let token = ask.form.need("token")?;
        Ok(reply(200, &self.describe(ask.now, token, &client)))
    }

    fn describe(&self, now: u64, token: &str, client: &Client) -> Value {
        let visible = |granted: &Granted| client.introspects || granted.client == client.id;
        if let Some(access) = self.tokens.access.get(token)
            && access.expires > now
            && visible(&access.granted)
        {
            let mut body = common(&self.options.issuer, &access.granted, access.issued, access.expires);
            body["token_type"] = access.granted.binding.token_type().into();
            body["jti"] = access.jti.as_str().into();
            if let Some(cnf) = access.granted.binding.confirmation() {
                body["cnf"] = cnf;
            }
            if let Some(actor) = &access.granted.actor {
                body["act"] = actor.clone();
            }
            return body;
        }
        match self.tokens.refresh.get(token) {
            Some(refresh) if refresh.expires > now && refresh.used.is_none() && visible(&refresh.granted) => {
                common(&self.options.issuer, &refresh.granted, refresh.issued, refresh.expires)
            }
            _ => json!({ "active": false }),
        }
    }

    /// Whether an access token is neither expired nor revoked, as introspection would tell it.
    #[must_use]
    pub fn active(&self, now: u64, token: &str) -> bool {
        self.tokens.access.get(token).is_some_and(|access| access.expires > now)
    }

    /// Claims of an access token as introspection gives them to a resource server.
    pub(crate) fn claims_of(&self, now: u64, token: &str) -> Value {
        self.describe(now, token, &Client::new("", Credential::Public).resource_server())
    }

    /// RFC 7009 §2. A token that is unknown counts as revoked.
    pub(crate) fn revoke(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        ask.form = Form::read(ask.request)?;
        let client = self.authenticate(ask)?;
        let token = ask.form.need("token")?;
        let access = self.tokens.access.get(token).map(|access| &access.granted);
        let refresh = self.tokens.refresh.get(token).map(|refresh| &refresh.granted);
        if let Some(granted) = access.or(refresh) {
            if granted.client != client.id {
                return Err(Problem::new("unauthorized_client", "the token is another client's"));
            }
            match (refresh.is_some(), granted.family) {
                (true, Some(family)) => self.tokens.revoke_family(family),
                _ => {
                    self.tokens.access.remove(token);
                    self.tokens.refresh.remove(token);
                }
            }
        }
        Ok(HttpResponse::status(200).with("Cache-Control", "no-store").with("Pragma", "no-cache"))
    }

    /// Revokes every token of a client, as an administrator would.
    pub fn revoke_client(&mut self, client: &str) {
        self.tokens.revoke_client(client);
    }
}

fn common(issuer: &str, granted: &Granted, issued: u64, expires: u64) -> Value {
    json!({
        "active": true, "iss": issuer, "client_id": granted.client, "sub": granted.subject, "aud": granted.audience,
        "scope": granted.scope.join(" "), "iat": issued, "exp": expires,
    })
}
