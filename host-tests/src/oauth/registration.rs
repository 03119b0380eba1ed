//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use crate::http::HttpResponse;
use crate::oauth::client::{Client, Credential, GRANTS, Registered, Subject};
use crate::oauth::json::{self, Object, text, texts};
use crate::oauth::jwk::read_set;
use crate::oauth::options::Registration;
use crate::oauth::problem::{Problem, reply};
use crate::oauth::random;
use crate::oauth::server::{Ask, AuthServer};
use serde_json::Value;

/// Metadata that is kept. Any other is ignored (RFC 7591 §2).
const KNOWN: [&str; 18] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "grant_types",
    "response_types",
    "client_name",
    "client_uri",
    "contacts",
    "scope",
    "jwks",
    "software_id",
    "software_version",
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
    "id_token_signed_response_alg",
];

/// Metadata that are true or false.
const FLAGS: [&str; 2] = ["dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"];

fn invalid(why: impl Into<String>) -> Problem {
    Problem::new("invalid_client_metadata", why)
}

impl AuthServer {
    /// RFC 7591 §3.
    pub(crate) fn register(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        let given = bearer(ask);
        let token = match &mut self.options.registration {
            Registration::Closed => return Ok(HttpResponse::text(404, "No registration here.\n")),
            Registration::Open => None,
            Registration::Token(tokens) => {
                let given = given.ok_or_else(|| Problem::bearer(false, "an initial access token is needed"))?;
                let found = tokens.iter_mut().find(|known| known.token == given && known.uses > 0);
                Some(found.ok_or_else(|| Problem::bearer(true, "the initial access token is unknown or used up"))?)
            }
        };
        let metadata = read(ask)?;
        let mut client = client(&random(12), &metadata, None)?;
        if let Some(token) = token {
            token.uses -= 1;
        }
        client.secret_expires_at = self.secret_end(ask.now, &client);
        client.registered = Some(Registered { token: random(32), at: ask.now, metadata });
        let body = self.information(&client);
        ask.client = Some(client.id.clone());
        self.add(client);
        Ok(reply(201, &body))
    }

    /// RFC 7592 §2: read, update, delete.
    pub(crate) fn manage(&mut self, ask: &mut Ask<'_>, id: &str) -> Result<HttpResponse, Problem> {
        let given = bearer(ask).ok_or_else(|| Problem::bearer(false, "the registration access token is needed"))?;
        let known = self.clients.get(id).cloned();
        let known =
            known.and_then(|client| Some((client.registered.clone().filter(|own| own.token == given)?, client)));
        // RFC 7592 §2.1: a client that is gone, or another's token: 401
        let (own, old) =
            known.ok_or_else(|| Problem::bearer(true, "not the registration access token of this client"))?;
        ask.client = Some(id.into());
        match ask.request.method.as_str() {
            "GET" => {
                let token = if self.options.rotate_at_read { random(32) } else { own.token };
                let client = Client { registered: Some(Registered { token, ..own }), ..old };
                let body = self.information(&client);
                self.add(client);
                Ok(reply(200, &body))
            }
            "DELETE" => {
                self.clients.remove(id);
                self.tokens.revoke_client(id);
                Ok(HttpResponse::status(204).with("Cache-Control", "no-store").with("Pragma", "no-cache"))
            }
            _ => {
                let sent = body(ask)?;
                for name in [
                    "registration_access_token",
                    "registration_client_uri",
                    "client_secret_expires_at",
                    "client_id_issued_at",
                ] {
                    if sent.contains_key(name) {
                        return Err(Problem::request(format!("{name} must not be sent (RFC 7592 section 2.2)")));
                    }
                }
                if text(&sent, "client_id") != Some(id) {
                    return Err(Problem::request("client_id must be that of the client"));
                }
                if sent.contains_key("client_secret") && text(&sent, "client_secret") != secret(&old) {
                    return Err(Problem::request("client_secret must be the present one"));
                }
                let metadata = read(ask)?;
                let kept = secret(&old).filter(|_| self.options.secret_lifetime.is_none());
                let mut client = client(id, &metadata, kept)?;
                client.secret_expires_at = self.secret_end(ask.now, &client);
                client.introspects = old.introspects;
                let token = if self.options.rotate_registration { random(32) } else { own.token };
                client.registered = Some(Registered { token, at: own.at, metadata });
                let body = self.information(&client);
                self.add(client);
                Ok(reply(200, &body))
            }
        }
    }

    /// `client_secret_expires_at`
    fn secret_end(&self, now: u64, client: &Client) -> u64 {
        self.options.secret_lifetime.filter(|_| secret(client).is_some()).map_or(0, |lifetime| now + lifetime)
    }

    /// RFC 7591 §3.2.1, RFC 7592 §3.
    fn information(&self, client: &Client) -> Value {
        let Some(own) = &client.registered else { return Value::Null };
        let issuer = self.options.issuer.trim_end_matches('/');
        let mut body = Value::Object(own.metadata.clone());
        body["client_id"] = client.id.as_str().into();
        body["client_id_issued_at"] = own.at.into();
        body["registration_access_token"] = own.token.as_str().into();
        body["registration_client_uri"] = format!("{issuer}/register/{}", client.id).into();
        if let Some(secret) = secret(client) {
            body["client_secret"] = secret.into();
            body["client_secret_expires_at"] = client.secret_expires_at.into();
        }
        body
    }
}

fn secret(client: &Client) -> Option<&str> {
    match &client.credential {
        Credential::Basic(secret) | Credential::Post(secret) | Credential::SecretJwt(secret) => Some(secret),
        _ => None,
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer(ask: &Ask<'_>) -> Option<String> {
    let (scheme, token) = ask.request.header("Authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim().to_owned())
}

fn body(ask: &Ask<'_>) -> Result<Object, Problem> {
    let media = ask.request.header("Content-Type").and_then(|media| media.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::request("Content-Type: application/json is needed"));
    }
    json::object(&ask.request.body).map_err(invalid)
}

/// Metadata as they will be kept, with the defaults of RFC 7591 §2 filled in.
fn read(ask: &Ask<'_>) -> Result<Object, Problem> {
    let mut sent = body(ask)?;
    if sent.contains_key("software_statement") {
        return Err(Problem::new("invalid_software_statement", "none is taken"));
    }
    if sent.contains_key("jwks_uri") {
        return Err(invalid("keys are taken in jwks only"));
    }
    sent.retain(|name, value| !value.is_null() && (KNOWN.contains(&name.as_str()) || FLAGS.contains(&name.as_str())));
    sent.entry("token_endpoint_auth_method").or_insert_with(|| "client_secret_basic".into());
    sent.entry("grant_types").or_insert_with(|| vec!["authorization_code"].into());
    Ok(sent)
}

/// The client that metadata describe, with the secret it has already.
fn client(id: &str, metadata: &Object, secret: Option<&str>) -> Result<Client, Problem> {
    let list = |name: &str| match metadata.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(_)) => texts(metadata, name).map_err(invalid),
        Some(_) => Err(invalid(format!("{name} is not a list"))),
    };
    let flag = |name: &str| match metadata.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| invalid(format!("{name} is neither true nor false"))),
    };
    let grants = list("grant_types")?;
    if let Some(unknown) = grants.iter().find(|grant| !GRANTS.contains(&grant.as_str())) {
        return Err(invalid(format!("grant_types: {unknown} is not served")));
    }
    if !list("response_types")?.is_empty() {
        return Err(invalid("response_types: there is no authorization endpoint"));
    }
    list("redirect_uris")?;
    list("contacts")?;
    let credential = credential(metadata, secret)?;
    let scope = text(metadata, "scope");
    if metadata.contains_key("scope") && scope.is_none() {
        return Err(invalid("scope is not text"));
    }
    let mut client = Client::new(id, credential);
    client.grants = grants;
    client.scopes = scope.map(|scope| scope.split(' ').map(str::to_owned).collect()).unwrap_or_default();
    client.dpop_bound = flag("dpop_bound_access_tokens")?;
    client.certificate_bound = flag("tls_client_certificate_bound_access_tokens")?;
    Ok(client)
}

fn credential(metadata: &Object, secret: Option<&str>) -> Result<Credential, Problem> {
    let secret = || secret.map_or_else(|| random(32), str::to_owned);
    let jwks = || metadata.get("jwks").ok_or_else(|| invalid("jwks is missing"));
    let algorithm = |wanted: &str| match metadata.get("token_endpoint_auth_signing_alg") {
        Some(given) if given != wanted => Err(invalid(format!("token_endpoint_auth_signing_alg must be {wanted}"))),
        _ => Ok(()),
    };
    let subject = subject(metadata)?;
    let method = text(metadata, "token_endpoint_auth_method").unwrap_or_default();
    if subject.is_some() && method != "tls_client_auth" {
        return Err(invalid("tls_client_auth_… belongs to tls_client_auth"));
    }
    if let Some(set) = metadata.get("jwks") {
        read_set(set).map_err(invalid)?;
    }
    Ok(match method {
        "none" => Credential::Public,
        "client_secret_basic" => Credential::Basic(secret()),
        "client_secret_post" => Credential::Post(secret()),
        "client_secret_jwt" => {
            algorithm("HS256")?;
            Credential::SecretJwt(secret())
        }
        "private_key_jwt" => {
            algorithm("ES256")?;
            Credential::Keys(read_set(jwks()?).map_err(invalid)?)
        }
        "tls_client_auth" => {
            let one =
                "exactly one of tls_client_auth_subject_dn, …_san_dns, …_san_uri, …_san_ip, …_san_email is needed";
            Credential::Tls(subject.ok_or_else(|| invalid(one))?)
        }
        "self_signed_tls_client_auth" => Credential::SelfSigned(certificates(jwks()?)?),
        other => return Err(invalid(format!("token_endpoint_auth_method {other} is not served"))),
    })
}

/// RFC 8705 §2.1.2: at most one.
fn subject(metadata: &Object) -> Result<Option<Subject>, Problem> {
    type Kind = fn(String) -> Subject;
    let kinds: [(&str, Kind); 5] = [
        ("tls_client_auth_subject_dn", Subject::Name),
        ("tls_client_auth_san_dns", Subject::Dns),
        ("tls_client_auth_san_uri", Subject::Uri),
        ("tls_client_auth_san_ip", Subject::Ip),
        ("tls_client_auth_san_email", Subject::Email),
    ];
    let mut found = kinds.iter().filter_map(|(name, kind)| Some(kind(text(metadata, name)?.to_owned())));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(invalid("more than one tls_client_auth_… member")),
        (found, None) => Ok(found),
    }
}

/// First certificate of each key's `x5c` (RFC 8705 §2.2.2).
fn certificates(jwks: &Value) -> Result<Vec<Vec<u8>>, Problem> {
    let keys = jwks.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let first = |key: &Value| {
        let text = key.get("x5c")?.get(0)?.as_str()?;
        data_encoding::BASE64.decode(text.as_bytes()).ok()
    };
    let all: Option<Vec<Vec<u8>>> = keys.iter().map(first).collect();
    all.filter(|all| !all.is_empty()).ok_or_else(|| invalid("each key in jwks needs its certificate in x5c"))
}
