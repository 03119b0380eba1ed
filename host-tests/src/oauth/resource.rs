//! A resource server: an HTTP API that wants an access token (RFC 6750, RFC 8705 §3, RFC 9449 §7).

use crate::http::{HttpRequest, HttpResponse};
use crate::oauth::dpop::{Expected, Flaw, Judge};
use crate::oauth::jwk::thumbprint;
use crate::oauth::problem::{plain, reply};
use crate::oauth::server::AuthServer;
use crate::oauth::verify::{Verified, Verifier};
use serde_json::json;

/// How a resource server is set up.
#[derive(Clone, Debug)]
pub struct ResourceOptions {
    /// Its URL without path; `htu` in proofs begins with it.
    pub url: String,
    /// What `aud` must hold.
    pub audience: String,
    /// Scope it takes, per method.
    pub scopes: Vec<(&'static str, &'static str)>,
    /// Takes tokens without proof of possession.
    pub bearer: bool,
    /// Takes DPoP tokens.
    pub dpop: bool,
    /// Asks the authorization server about every token, so that revocation counts. Opaque tokens need it.
    pub introspect: bool,
    /// Seconds by which `iat` of a proof may differ from now.
    pub dpop_window: u64,
    /// Demand nonces of its own, changed every so many seconds (RFC 9449 §9).
    pub dpop_nonce: Option<u64>,
}

impl Default for ResourceOptions {
    fn default() -> Self {
        Self {
            url: "https://api.plant.example".into(),
            audience: "https://api.plant.example".into(),
            scopes: vec![("GET", "api:read"), ("POST", "api:write")],
            bearer: true,
            dpop: true,
            introspect: false,
            dpop_window: 60,
            dpop_nonce: None,
        }
    }
}

/// What a resource server can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceFault {
    /// This status, without body and without challenge.
    Empty(u16),
    /// 401 with `invalid_token`, whatever the token is.
    InvalidToken,
    /// A fresh nonce, and a proof with it is demanded whatever the request had.
    DemandNonce,
    /// 302 to another host.
    Redirect,
}

/// A resource server.
pub struct ResourceServer {
    /// Set-up; may be changed at any time.
    pub options: ResourceOptions,
    judge: Judge,
    faults: Vec<(ResourceFault, u32)>,
    served: u32,
    refused: u32,
}

impl ResourceServer {
    /// A resource server.
    #[must_use]
    pub fn new(options: ResourceOptions) -> Self {
        Self { options, judge: Judge::default(), faults: Vec::new(), served: 0, refused: 0 }
    }

    /// Misbehaves the next `times` times.
    pub fn inject(&mut self, fault: ResourceFault, times: u32) {
        self.faults.push((fault, times));
    }

    /// Requests granted, and requests refused.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        (self.served, self.refused)
    }

    /// Answers one request at `now` (Unix seconds), made over TLS with the client certificate `client` (DER), with a
    /// token of `issuer`.
    pub fn handle(
        &mut self,
        now: u64,
        client: Option<&[u8]>,
        request: &HttpRequest,
        issuer: &AuthServer,
    ) -> HttpResponse {
        let response = match self.injected(now) {
            Some(response) => response,
            None => match self.admit(now, client, request, issuer) {
                Ok(token) => {
                    reply(200, &json!({ "subject": token.subject, "scope": token.scope, "octets": request.body.len() }))
                }
                Err(refusal) => refusal,
            },
        };
        *(if response.status == 200 { &mut self.served } else { &mut self.refused }) += 1;
        match self.options.dpop_nonce {
            Some(lifetime) if response.header("DPoP-Nonce").is_none() => {
                response.with("DPoP-Nonce", &self.judge.nonces.newest(now, lifetime))
            }
            _ => response,
        }
    }

    fn injected(&mut self, now: u64) -> Option<HttpResponse> {
        let (fault, times) = self.faults.iter_mut().find(|(_, times)| *times > 0)?;
        *times -= 1;
        Some(match *fault {
            ResourceFault::Empty(status) => HttpResponse::status(status),
            ResourceFault::InvalidToken => challenge(401, "Bearer", "invalid_token", "injected"),
            ResourceFault::DemandNonce => needs_nonce(&self.judge.nonces.renew(now)),
            ResourceFault::Redirect => HttpResponse::status(302).with("Location", "https://elsewhere.example/"),
        })
    }

    fn admit(
        &mut self,
        now: u64,
        client: Option<&[u8]>,
        request: &HttpRequest,
        issuer: &AuthServer,
    ) -> Result<Verified, HttpResponse> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if query.split('&').any(|pair| pair.starts_with("access_token=")) {
            return Err(challenge(400, "Bearer", "invalid_request", "a token does not belong in the URI"));
        }
        let mut fields = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
        let field = fields.next().map(|(_, value)| value.as_str());
        if fields.next().is_some() {
            return Err(challenge(400, "Bearer", "invalid_request", "more than one Authorization header"));
        }
        // RFC 6750 §3.1: no error code for a request without token
        let Some((scheme, token)) = field.and_then(|field| field.split_once(' ')) else {
            return Err(self.schemes(HttpResponse::status(401)));
        };
        let dpop = scheme.eq_ignore_ascii_case("DPoP");
        if !(dpop && self.options.dpop || scheme.eq_ignore_ascii_case("Bearer") && self.options.bearer) {
            return Err(self.schemes(HttpResponse::status(401)));
        }
        let scheme = if dpop { "DPoP" } else { "Bearer" };
        let refuse = |why: String| challenge(401, scheme, "invalid_token", &why);
        let verifier = Verifier {
            issuer: issuer.options.issuer.clone(),
            keys: issuer.public_keys(),
            audience: self.options.audience.clone(),
        };
        let verified = if self.options.introspect {
            let claims = issuer.claims_of(now, token);
            claims.as_object().ok_or("no reply".to_owned()).and_then(|claims| verifier.introspected(now, claims))
        } else {
            verifier.verify(now, token)
        };
        let verified = verified.map_err(refuse)?;
        self.possession(now, client, request, path, (dpop, token), &verified)?;
        let wanted = self.options.scopes.iter().find(|(method, _)| *method == request.method);
        match wanted {
            None => Err(HttpResponse::text(405, "Wrong method.\n")),
            Some((_, scope)) if !verified.scope.iter().any(|word| word == scope) => {
                let value = format!("{scheme} error=\"insufficient_scope\", scope=\"{scope}\"");
                Err(HttpResponse::status(403).with("WWW-Authenticate", &value))
            }
            Some(_) => Ok(verified),
        }
    }

    /// RFC 9449 §7.1, RFC 8705 §3.
    fn possession(
        &mut self,
        now: u64,
        client: Option<&[u8]>,
        request: &HttpRequest,
        path: &str,
        (dpop, token): (bool, &str),
        verified: &Verified,
    ) -> Result<(), HttpResponse> {
        let scheme = if dpop { "DPoP" } else { "Bearer" };
        if let Some(wanted) = verified.bound_to("x5t#S256")
            && client.map(thumbprint).as_deref() != Some(wanted)
        {
            return Err(challenge(401, scheme, "invalid_token", "the token is bound to another certificate"));
        }
        match (dpop, verified.bound_to("jkt")) {
            (false, None) => Ok(()),
            (false, Some(_)) => Err(challenge(401, "DPoP", "invalid_token", "the token is bound to a key; use DPoP")),
            (true, None) => Err(challenge(401, "DPoP", "invalid_token", "the token is not bound to a key")),
            (true, Some(jkt)) => {
                let expected = Expected {
                    url: &format!("{}{path}", self.options.url),
                    window: self.options.dpop_window,
                    nonce: self.options.dpop_nonce,
                    token: Some(token),
                };
                match self.judge.check(now, request, &expected) {
                    Ok(Some(key)) if key == jkt => Ok(()),
                    Ok(Some(_)) => Err(challenge(401, "DPoP", "invalid_token", "the proof is by another key")),
                    Ok(None) => Err(challenge(401, "DPoP", "invalid_dpop_proof", "the proof is missing")),
                    Err(Flaw::Invalid(why)) => Err(challenge(401, "DPoP", "invalid_dpop_proof", &why)),
                    Err(Flaw::Nonce(nonce)) => Err(needs_nonce(&nonce)),
                }
            }
        }
    }

    fn schemes(&self, mut response: HttpResponse) -> HttpResponse {
        if self.options.bearer {
            response = response.with("WWW-Authenticate", "Bearer realm=\"api\"");
        }
        if self.options.dpop {
            response = response.with("WWW-Authenticate", "DPoP realm=\"api\", algs=\"ES256\"");
        }
        response
    }
}

fn challenge(status: u16, scheme: &str, error: &str, why: &str) -> HttpResponse {
    let algorithms = if scheme == "DPoP" { ", algs=\"ES256\"" } else { "" };
    let value = format!("{scheme} realm=\"api\", error=\"{error}\", error_description=\"{}\"{algorithms}", plain(why));
    HttpResponse::status(status).with("WWW-Authenticate", &value)
}

fn needs_nonce(nonce: &str) -> HttpResponse {
    challenge(401, "DPoP", "use_dpop_nonce", "a proof with this nonce is needed").with("DPoP-Nonce", nonce)
}
