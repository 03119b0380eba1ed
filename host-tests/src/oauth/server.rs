//! The server: which endpoint is asked, and what all endpoints share.

use crate::http::{HttpRequest, HttpResponse};
use crate::key::{Key, KeyKind};
use crate::oauth::client::Client;
use crate::oauth::device::DeviceFlow;
use crate::oauth::dpop::{Expected, Flaw, Judge, Replays};
use crate::oauth::form::Form;
use crate::oauth::json;
use crate::oauth::jwk::{Jwk, thumbprint};
use crate::oauth::options::{AuthFault, AuthOptions, Endpoint, Injection};
use crate::oauth::problem::Problem;
use crate::oauth::tokens::Tokens;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// An access token that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// When, in Unix seconds.
    pub at: u64,
    /// `grant_type`
    pub grant: String,
    /// Whose.
    pub client: String,
    /// Its scope.
    pub scope: String,
    /// For which resources.
    pub audience: Vec<String>,
    /// When it ends, in Unix seconds.
    pub expires: u64,
}

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// When, in Unix seconds.
    pub at: u64,
    /// Method and path.
    pub request: String,
    /// `grant_type`, at the token endpoint.
    pub grant: Option<String>,
    /// The client that proved who it is.
    pub client: Option<String>,
    /// Octets of the request's body.
    pub request_octets: usize,
    /// Status code.
    pub status: u16,
    /// Error code of the reply.
    pub error: Option<String>,
    /// Octets of the reply's body.
    pub reply_octets: usize,
}

/// An authorization server.
pub struct AuthServer {
    /// Set-up; may be changed at any time, its clients excepted.
    pub options: AuthOptions,
    pub(crate) clients: BTreeMap<String, Client>,
    /// Newest first.
    pub(crate) keys: Vec<Key>,
    pub(crate) tokens: Tokens,
    pub(crate) devices: Vec<DeviceFlow>,
    pub(crate) judge: Judge,
    pub(crate) assertions: Replays,
    pub(crate) issued: Vec<Issued>,
    faults: Vec<Injection>,
    served: Vec<Served>,
    secrets: Vec<String>,
}

/// One request on its way through the server.
pub(crate) struct Ask<'a> {
    pub(crate) now: u64,
    pub(crate) request: &'a HttpRequest,
    /// The client certificate (DER), where it counts.
    pub(crate) certificate: Option<&'a [u8]>,
    /// URL that was called, without query.
    pub(crate) url: String,
    pub(crate) form: Form,
    /// Who asks, once that is known.
    pub(crate) client: Option<String>,
    /// Octets a fault wants the token to have.
    pub(crate) token_octets: usize,
}

impl AuthServer {
    /// A server with a fresh signing key.
    #[must_use]
    pub fn new(options: AuthOptions) -> Self {
        Self {
            clients: options.clients.iter().map(|client| (client.id.clone(), client.clone())).collect(),
            options,
            keys: vec![Key::generate(KeyKind::P256)],
            tokens: Tokens::default(),
            devices: Vec::new(),
            judge: Judge::default(),
            assertions: Replays::default(),
            issued: Vec::new(),
            faults: Vec::new(),
            served: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Adds a client or replaces it.
    pub fn add(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// A client as it is now.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<&Client> {
        self.clients.get(id)
    }

    /// Access tokens issued.
    #[must_use]
    pub fn issued(&self) -> &[Issued] {
        &self.issued
    }

    /// Requests answered.
    #[must_use]
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// What clients sent and were given that no log may hold: secrets, assertions, proofs, codes, tokens.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The public keys, newest first.
    #[must_use]
    pub fn public_keys(&self) -> Vec<Jwk> {
        self.keys.iter().map(Jwk::of_key).collect()
    }

    /// Signs with a new key from now on. The old ones stay in the key set unless `forget` says otherwise.
    pub fn rotate_key(&mut self, forget: bool) {
        if forget {
            self.keys.clear();
        }
        self.keys.insert(0, Key::generate(KeyKind::P256));
    }

    /// Misbehaves the next `times` times it is asked `on`.
    pub fn inject(&mut self, on: Endpoint, fault: AuthFault, times: u32) {
        self.faults.push(Injection { on, fault, times });
    }

    /// Behaves again.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Answers one request at `now` (Unix seconds), made over TLS with the client certificate `client` (DER), if any,
    /// judged by nobody yet.
    pub fn handle(&mut self, now: u64, client: Option<&[u8]>, request: &HttpRequest) -> HttpResponse {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
        let form = Form::read(request).unwrap_or_default();
        let mut ask =
            Ask { now, request, certificate: client, url: String::new(), form, client: None, token_octets: 0 };
        let response = self.route(&mut ask).with("Date", &date);
        let reply = json::object(&response.body).ok();
        const SENT: [&str; 5] = ["client_secret", "client_assertion", "assertion", "subject_token", "refresh_token"];
        const GIVEN: [&str; 5] =
            ["access_token", "refresh_token", "device_code", "client_secret", "registration_access_token"];
        let sent = SENT.iter().filter_map(|name| ask.form.get(name)).chain(request.header("DPoP"));
        self.secrets.extend(sent.map(str::to_owned));
        let given = reply.iter().flat_map(|reply| GIVEN.iter().filter_map(|name| json::text(reply, name)));
        self.secrets.extend(given.map(str::to_owned));
        self.served.push(Served {
            at: now,
            request: format!("{} {}", request.method, request.path),
            grant: ask.form.get("grant_type").map(str::to_owned),
            client: ask.client,
            request_octets: request.body.len(),
            status: response.status,
            error: reply.as_ref().and_then(|reply| json::text(reply, "error")).map(str::to_owned),
            reply_octets: response.body.len(),
        });
        response
    }

    fn route(&mut self, ask: &mut Ask<'_>) -> HttpResponse {
        let Some((endpoint, tail)) = self.endpoint(ask) else {
            return HttpResponse::text(404, "No such endpoint.\n");
        };
        let methods: &[&str] = match endpoint {
            Endpoint::Metadata | Endpoint::Jwks => &["GET"],
            Endpoint::Verification => &["GET", "POST"],
            Endpoint::Management => &["GET", "PUT", "DELETE"],
            _ => &["POST"],
        };
        if !methods.contains(&ask.request.method.as_str()) {
            return HttpResponse::text(405, "Wrong method.\n").with("Allow", &methods.join(", "));
        }
        let fault = self.due(endpoint);
        if let Some(response) = fault.as_ref().and_then(|fault| self.instead(fault, ask)) {
            return response;
        }
        if let Some(AuthFault::LongToken(octets)) = fault {
            ask.token_octets = octets;
        }
        let answer = match endpoint {
            Endpoint::Metadata => Ok(self.metadata(&tail)),
            Endpoint::Jwks => Ok(self.key_set()),
            Endpoint::Token => self.token(ask),
            Endpoint::DeviceAuthorization => self.authorize_device(ask),
            Endpoint::Verification => self.verification(ask),
            Endpoint::Registration => self.register(ask),
            Endpoint::Management => self.manage(ask, &tail),
            Endpoint::Introspection => self.introspect(ask),
            Endpoint::Revocation => self.revoke(ask),
        };
        let response = answer.unwrap_or_else(|problem| problem.response());
        match fault {
            Some(fault) => self.spoil(&fault, response),
            None => response,
        }
    }

    /// The endpoint of a path, and what follows it: the client's identifier, or which metadata.
    fn endpoint(&self, ask: &mut Ask<'_>) -> Option<(Endpoint, String)> {
        let path = ask.request.path.split('?').next()?;
        let (origin, base) = split(&self.options.issuer);
        if self.options.rfc8414 && path.strip_prefix("/.well-known/oauth-authorization-server") == Some(base) {
            return Some((Endpoint::Metadata, "oauth".into()));
        }
        let alias = self.options.mtls_base.as_deref().map(split);
        let through_alias = alias.and_then(|(origin, base)| Some((origin, path.strip_prefix(base)?)));
        // the longer path decides where one lies below the other
        let (origin, name) = match (through_alias, path.strip_prefix(base)) {
            (Some(found), None) => found,
            (Some(found), Some(_)) if alias.is_some_and(|(_, alias)| alias.len() > base.len()) => found,
            (_, Some(name)) => {
                if alias.is_some() {
                    ask.certificate = None;
                }
                (origin, name)
            }
            (None, None) => return None,
        };
        ask.url = format!("{origin}{path}");
        let endpoint = match name {
            "/.well-known/openid-configuration" if self.options.openid => Endpoint::Metadata,
            "/jwks" => Endpoint::Jwks,
            "/token" => Endpoint::Token,
            "/device_authorization" => Endpoint::DeviceAuthorization,
            "/device" => Endpoint::Verification,
            "/register" => Endpoint::Registration,
            "/introspect" => Endpoint::Introspection,
            "/revoke" => Endpoint::Revocation,
            _ => return Some((Endpoint::Management, name.strip_prefix("/register/")?.into())),
        };
        Some((endpoint, "openid".into()))
    }

    /// The fault due now, if any; counts it down.
    fn due(&mut self, endpoint: Endpoint) -> Option<AuthFault> {
        let injection = self.faults.iter_mut().find(|injection| injection.on == endpoint && injection.times > 0)?;
        injection.times -= 1;
        Some(injection.fault.clone())
    }

    /// Thumbprint of the key of the request's DPoP proof, if there is one and it is good.
    pub(crate) fn proof(&mut self, ask: &Ask<'_>) -> Result<Option<String>, Problem> {
        let AuthOptions { dpop_window: window, dpop_nonce: nonce, .. } = self.options;
        let expected = Expected { url: &ask.url, window, nonce, token: None };
        self.judge.check(ask.now, ask.request, &expected).map_err(|flaw| match flaw {
            Flaw::Invalid(why) => Problem::new("invalid_dpop_proof", why),
            Flaw::Nonce(nonce) => {
                Problem::new("use_dpop_nonce", "a DPoP proof with this nonce is needed").with("DPoP-Nonce", &nonce)
            }
        })
    }
}

/// Origin and path of a URL.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let at = url[start..].find('/').map_or(url.len(), |at| start + at);
    url.split_at(at)
}

/// `x5t#S256` of the request's client certificate.
pub(crate) fn certificate_thumbprint(ask: &Ask<'_>) -> Option<String> {
    ask.certificate.map(thumbprint)
}
