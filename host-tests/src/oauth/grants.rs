//! The token endpoint (RFC 6749 §3.2): one function for each grant.

use crate::http::HttpResponse;
use crate::oauth::authenticate::anonymous;
use crate::oauth::client::{
    CLIENT_CREDENTIALS, Client, Credential, DEVICE_CODE, JWT_BEARER, REFRESH_TOKEN, TOKEN_EXCHANGE,
};
use crate::oauth::form::Form;
use crate::oauth::json::{self, Object};
use crate::oauth::options::UnknownScopes;
use crate::oauth::problem::{Problem, reply};
use crate::oauth::server::{Ask, AuthServer, certificate_thumbprint};
use crate::oauth::tokens::{Binding, Granted};
use serde_json::json;

/// Token types (RFC 8693 §3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What a grant comes to.
struct Outcome {
    granted: Granted,
    /// Scope in the request.
    asked: Option<String>,
    refresh: Option<String>,
    /// `issued_token_type` (RFC 8693 §2.2.1).
    issued_type: Option<&'static str>,
}

impl AuthServer {
    pub(crate) fn token(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        ask.form = Form::read(ask.request)?;
        let grant = ask.form.need("grant_type")?.to_owned();
        let client = if grant == JWT_BEARER && anonymous(ask) {
            let claims =
                json::text(&ask.form.get("assertion").map_or_else(Object::new, unverified), "iss").map(str::to_owned);
            // RFC 7521 §4.1: the assertion alone will do; it stands for the client of that name
            let client = self.known(&claims.unwrap_or_default());
            client.map_err(|_| Problem::client("no client authentication, and the assertion is not by a client"))?
        } else {
            self.authenticate(ask)?
        };
        if !crate::oauth::client::GRANTS.contains(&grant.as_str()) {
            return Err(Problem::new("unsupported_grant_type", grant));
        }
        if !client.grants.contains(&grant) {
            return Err(Problem::new("unauthorized_client", format!("the client may not use {grant}")));
        }
        let binding = self.binding(ask, &client)?;
        let Outcome { granted, asked, refresh, issued_type } = match grant.as_str() {
            CLIENT_CREDENTIALS => self.client_credentials(ask, &client, binding)?,
            REFRESH_TOKEN => self.refresh(ask, &client, binding)?,
            DEVICE_CODE => self.device_code(ask, &client, binding)?,
            TOKEN_EXCHANGE => self.exchange(ask, &client, binding)?,
            _ => self.bearer_assertion(ask, &client, binding)?,
        };
        ask.client = Some(client.id);
        let token = self.issue_access(ask.now, &granted, ask.token_octets);
        let mut body = json!({
            "access_token": token, "token_type": granted.binding.token_type(), "expires_in": self.options.access_lifetime,
        });
        let scope = granted.scope.join(" ");
        if !self.options.terse_scope || asked.as_deref() != Some(&scope) {
            body["scope"] = scope.into();
        }
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        if let Some(kind) = issued_type {
            body["issued_token_type"] = kind.into();
        }
        let response = reply(200, &body);
        Ok(match self.options.dpop_nonce {
            // RFC 9449 §8.2: a change of the nonce is told with any reply
            Some(lifetime) if granted.binding.jkt.is_some() => {
                response.with("DPoP-Nonce", &self.judge.nonces.newest(ask.now, lifetime))
            }
            _ => response,
        })
    }

    /// What the token will be bound to (RFC 8705 §3, RFC 9449 §5).
    fn binding(&mut self, ask: &Ask<'_>, client: &Client) -> Result<Binding, Problem> {
        let jkt = self.proof(ask)?;
        if client.dpop_bound && jkt.is_none() {
            return Err(Problem::new("invalid_dpop_proof", "the client must send a DPoP proof"));
        }
        let x5t = certificate_thumbprint(ask).filter(|_| client.certificate_bound);
        if client.certificate_bound && x5t.is_none() {
            return Err(Problem::request("the client must show the certificate its tokens are bound to"));
        }
        Ok(Binding { jkt, x5t })
    }

    /// RFC 6749 §4.4.
    fn client_credentials(&mut self, ask: &Ask<'_>, client: &Client, binding: Binding) -> Result<Outcome, Problem> {
        if client.credential == Credential::Public {
            return Err(Problem::new("unauthorized_client", "client_credentials is for confidential clients only"));
        }
        let granted = self.grant(ask, client, &client.id, binding)?;
        Ok(self.outcome(ask, granted))
    }

    /// RFC 7523 §2.1.
    fn bearer_assertion(&mut self, ask: &Ask<'_>, client: &Client, binding: Binding) -> Result<Outcome, Problem> {
        let assertion = ask.form.need("assertion")?.to_owned();
        let claims = self.grant_assertion(ask, &assertion)?;
        let subject = json::text(&claims, "sub").unwrap_or_default();
        let granted = self.grant(ask, client, subject, binding)?;
        Ok(self.outcome(ask, granted))
    }

    /// RFC 8628 §3.4, §3.5.
    fn device_code(&mut self, ask: &Ask<'_>, client: &Client, binding: Binding) -> Result<Outcome, Problem> {
        let mut granted = self.redeem_device(ask, client, binding.jkt.as_deref())?;
        granted.binding = binding;
        let mut outcome = self.outcome(ask, granted);
        outcome.asked = None; // it was asked for elsewhere
        Ok(outcome)
    }

    /// RFC 6749 §6, RFC 9700 §4.14.2.
    fn refresh(&mut self, ask: &Ask<'_>, client: &Client, binding: Binding) -> Result<Outcome, Problem> {
        let token = ask.form.need("refresh_token")?.to_owned();
        let known = self.tokens.refresh.get(&token).cloned();
        let known = known.ok_or_else(|| Problem::grant("the refresh token is unknown or revoked"))?;
        if known.granted.client != client.id {
            return Err(Problem::grant("the refresh token is another client's"));
        }
        if known.expires <= ask.now {
            return Err(Problem::grant("the refresh token has expired"));
        }
        let public = client.credential == Credential::Public;
        // RFC 9449 §5, RFC 8705 §4: those of public clients are bound, the others are by client authentication
        if public && known.granted.binding != binding {
            return Err(Problem::grant("the refresh token is bound to another key"));
        }
        let family = known.granted.family.unwrap_or_default();
        if known.used.is_some_and(|used| ask.now >= used + self.options.reuse_grace) {
            self.tokens.revoke_family(family);
            return Err(Problem::grant("the refresh token was used before; all of its family are revoked"));
        }
        let mut granted = Granted { binding, grant: REFRESH_TOKEN.into(), ..known.granted };
        let full = granted.clone();
        let asked = ask.form.get("scope").map(str::to_owned);
        if let Some(asked) = &asked {
            granted.scope = words(asked)?;
            if granted.scope.iter().any(|scope| !full.scope.contains(scope)) {
                return Err(Problem::new("invalid_scope", "more than was granted"));
            }
        }
        let wanted: Vec<String> = wanted(&ask.form);
        if !wanted.is_empty() {
            if wanted.iter().any(|wanted| !full.audience.contains(wanted)) {
                return Err(Problem::new("invalid_target", "not among what was granted"));
            }
            granted.audience = wanted;
        }
        let refresh = if self.options.rotate {
            if let Some(old) = self.tokens.refresh.get_mut(&token) {
                old.used.get_or_insert(ask.now);
            }
            Some(self.issue_refresh(ask.now, &full))
        } else {
            if let Some(same) = self.tokens.refresh.get_mut(&token) {
                same.expires = ask.now + self.options.refresh_lifetime;
            }
            None
        };
        Ok(Outcome { granted, asked, refresh, issued_type: None })
    }

    /// RFC 8693 §2.
    fn exchange(&mut self, ask: &Ask<'_>, client: &Client, binding: Binding) -> Result<Outcome, Problem> {
        let form = &ask.form;
        let (subject, kind) = (form.need("subject_token")?.to_owned(), form.need("subject_token_type")?.to_owned());
        let actor = match (form.get("actor_token"), form.get("actor_token_type")) {
            (Some(token), Some(kind)) => Some((token.to_owned(), kind.to_owned())),
            (None, None) => None,
            _ => return Err(Problem::request("actor_token and actor_token_type belong together")),
        };
        let issued_type = match form.get("requested_token_type") {
            None | Some(ACCESS_TOKEN) => ACCESS_TOKEN,
            Some(JWT) => JWT,
            Some(other) => return Err(Problem::request(format!("requested_token_type {other} is not issued"))),
        };
        let subject = self.subject_of(ask, &subject, &kind, &binding)?;
        let mut granted = self.grant(ask, client, &subject, binding.clone())?;
        if let Some((token, kind)) = actor {
            granted.actor = Some(json!({ "sub": self.subject_of(ask, &token, &kind, &binding)? }));
        }
        if issued_type == JWT && !granted.jwt {
            return Err(Problem::new("invalid_target", "the resource takes no JWT"));
        }
        let mut outcome = self.outcome(ask, granted);
        outcome.issued_type = Some(issued_type);
        Ok(outcome)
    }

    /// Subject of a token to be exchanged. RFC 8693 §2.2.2: `invalid_request` if it is no good.
    fn subject_of(&mut self, ask: &Ask<'_>, token: &str, kind: &str, binding: &Binding) -> Result<String, Problem> {
        let ours = self.tokens.access.get(token).filter(|access| access.expires > ask.now);
        match (kind, ours) {
            (ACCESS_TOKEN | JWT, Some(access)) => {
                let bound = &access.granted.binding;
                // RFC 9449 §6: a bound token is worth nothing without its key
                if bound.jkt.is_some() && bound.jkt != binding.jkt {
                    return Err(Problem::request("the token is bound to another key"));
                }
                if bound.x5t.is_some() && bound.x5t != certificate_thumbprint(ask) {
                    return Err(Problem::request("the token is bound to another certificate"));
                }
                Ok(access.granted.subject.clone())
            }
            (ACCESS_TOKEN, None) => Err(Problem::request("the token is unknown, expired or revoked")),
            (JWT, None) => {
                let claims = self.grant_assertion(ask, token);
                let claims = claims.map_err(|problem| Problem::request(problem.description))?;
                Ok(json::text(&claims, "sub").unwrap_or_default().to_owned())
            }
            _ => Err(Problem::request(format!("token type {kind} is not taken"))),
        }
    }

    fn outcome(&mut self, ask: &Ask<'_>, mut granted: Granted) -> Outcome {
        let refresh = self.options.refresh_after.contains(&granted.grant.as_str()).then(|| {
            granted.family = Some(self.tokens.new_family());
            self.issue_refresh(ask.now, &granted)
        });
        Outcome { granted, asked: ask.form.get("scope").map(str::to_owned), refresh, issued_type: None }
    }

    /// What the request's scope, `resource` (RFC 8707 §2.2) and `audience` (RFC 8693 §2.1) come to.
    pub(crate) fn grant(
        &self,
        ask: &Ask<'_>,
        client: &Client,
        subject: &str,
        binding: Binding,
    ) -> Result<Granted, Problem> {
        let wanted = wanted(&ask.form);
        for resource in ask.form.all("resource") {
            if !resource.contains("://") && !resource.starts_with("urn:") || resource.contains('#') {
                return Err(Problem::new("invalid_target", "resource is not an absolute URI without fragment"));
            }
        }
        let resources = &self.options.resources;
        let targets: Vec<_> = if wanted.is_empty() {
            resources.iter().take(1).collect()
        } else {
            let find = |uri: &String| resources.iter().find(|resource| resource.uri == *uri);
            let unknown = |uri: &String| Problem::new("invalid_target", format!("{uri} is not known here"));
            wanted.iter().map(|uri| find(uri).ok_or_else(|| unknown(uri))).collect::<Result<_, _>>()?
        };
        let asked = ask.form.get("scope").or(client.default_scope.as_deref());
        let asked =
            asked.ok_or_else(|| Problem::new("invalid_scope", "scope is missing and the client has no default"))?;
        let mut scope = words(asked)?;
        let fits = |scope: &String| {
            targets.iter().any(|target| target.scopes.contains(scope))
                && (client.scopes.is_empty() || client.scopes.contains(scope))
        };
        match (self.options.unknown_scopes, scope.iter().find(|scope| !fits(scope))) {
            (_, None) => {}
            (UnknownScopes::Refuse, Some(unknown)) => {
                return Err(Problem::new("invalid_scope", format!("{unknown} is not for this client and resource")));
            }
            (UnknownScopes::Drop, Some(_)) => scope.retain(fits),
        }
        Ok(Granted {
            grant: ask.form.get("grant_type").unwrap_or(DEVICE_CODE).into(),
            client: client.id.clone(),
            subject: subject.into(),
            scope,
            audience: targets.iter().map(|target| target.uri.clone()).collect(),
            jwt: targets.iter().all(|target| target.jwt),
            binding,
            actor: None,
            family: None,
        })
    }
}

fn wanted(form: &Form) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    for uri in form.all("resource").chain(form.all("audience")) {
        if !wanted.iter().any(|known| known == uri) {
            wanted.push(uri.into());
        }
    }
    wanted
}

/// Scope tokens (RFC 6749 §3.3): one space between them, and only the characters allowed.
fn words(scope: &str) -> Result<Vec<String>, Problem> {
    let allowed = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
    let words = scope.split(' ').map(|word| (!word.is_empty() && word.chars().all(allowed)).then(|| word.to_owned()));
    words
        .collect::<Option<_>>()
        .ok_or_else(|| Problem::new("invalid_scope", "scope is malformed (RFC 6749 section 3.3)"))
}

/// Claims of a JWT that nobody has verified yet.
fn unverified(jwt: &str) -> Object {
    crate::oauth::jws::Jws::read(jwt).map_or_else(|_| Object::new(), |jws| jws.claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_syntax() {
        assert_eq!(words("a b:c/*").ok(), Some(vec!["a".into(), "b:c/*".into()]));
        for bad in ["", " a", "a  b", "a\"b", "a\\b", "\u{e9}"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
