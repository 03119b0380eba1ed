//! Client authentication (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2): exactly one method, and the one on record.

use crate::oauth::client::{Client, Credential, believed};
use crate::oauth::form::decode;
use crate::oauth::problem::Problem;
use crate::oauth::server::{Ask, AuthServer};

/// `client_assertion_type` (RFC 7523 §2.2).
const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a request brought along.
enum Shown {
    Basic(String, String),
    Post(String, String),
    Assertion(String),
    Nothing(String),
}

impl AuthServer {
    /// Who asks; notes it in `ask`.
    pub(crate) fn authenticate(&mut self, ask: &mut Ask<'_>) -> Result<Client, Problem> {
        let client = match shown(ask)? {
            Shown::Assertion(assertion) => self.client_assertion(ask, &assertion)?,
            Shown::Basic(id, secret) => {
                let client = self.known(&id)?;
                secret_fits(
                    ask.now,
                    &client,
                    matches!(&client.credential, Credential::Basic(known) if *known == secret),
                    "client_secret_basic",
                )?
            }
            Shown::Post(id, secret) => {
                let client = self.known(&id)?;
                secret_fits(
                    ask.now,
                    &client,
                    matches!(&client.credential, Credential::Post(known) if *known == secret),
                    "client_secret_post",
                )?
            }
            Shown::Nothing(id) => {
                let client = self.known(&id)?;
                self.certificate_fits(ask, &client)?;
                client
            }
        };
        if ask.form.get("client_id").is_some_and(|id| id != client.id) {
            return Err(Problem::request("client_id is not that of the client that authenticated"));
        }
        ask.client = Some(client.id.clone());
        Ok(client)
    }

    /// A client by its identifier.
    pub(crate) fn known(&self, id: &str) -> Result<Client, Problem> {
        self.clients.get(id).cloned().ok_or_else(|| Problem::client("there is no such client"))
    }

    /// A client that showed nothing but, perhaps, a certificate.
    fn certificate_fits(&self, ask: &Ask<'_>, client: &Client) -> Result<(), Problem> {
        let certificate = || ask.certificate.ok_or_else(|| Problem::client("a client certificate is needed"));
        match &client.credential {
            Credential::Public => Ok(()),
            Credential::Tls(subject) => {
                let certificate = certificate()?;
                believed(certificate, &self.options.trust, ask.now).map_err(Problem::client)?;
                if subject.owns(certificate) {
                    Ok(())
                } else {
                    Err(Problem::client(format!("the certificate is not for {subject:?}")))
                }
            }
            Credential::SelfSigned(registered) => {
                let certificate = certificate()?;
                if registered.iter().any(|known| known == certificate) {
                    Ok(())
                } else {
                    Err(Problem::client("the certificate is not one on record"))
                }
            }
            other => Err(Problem::client(format!("the client must use {}", other.method()))),
        }
    }
}

fn secret_fits(now: u64, client: &Client, right: bool, used: &str) -> Result<Client, Problem> {
    if client.credential.method() != used {
        return Err(Problem::client(format!("the client must use {}", client.credential.method())));
    }
    if !right {
        return Err(Problem::client("wrong secret"));
    }
    still_good(now, client)?;
    Ok(client.clone())
}

/// Secrets may end (RFC 7591 §3.2.1).
pub(crate) fn still_good(now: u64, client: &Client) -> Result<(), Problem> {
    if client.secret_expires_at != 0 && client.secret_expires_at <= now {
        return Err(Problem::client("the secret has expired"));
    }
    Ok(())
}

/// Whether a request shows who asks.
pub(crate) fn anonymous(ask: &Ask<'_>) -> bool {
    ["client_id", "client_secret", "client_assertion"].iter().all(|name| ask.form.get(name).is_none())
        && ask.request.header("Authorization").is_none()
}

fn shown(ask: &Ask<'_>) -> Result<Shown, Problem> {
    let fields = ask.request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
    let fields: Vec<&str> = fields.map(|(_, value)| value.as_str()).collect();
    let (secret, assertion) = (ask.form.get("client_secret"), ask.form.get("client_assertion"));
    if fields.len() + usize::from(secret.is_some()) + usize::from(assertion.is_some()) > 1 {
        return Err(Problem::request("more than one client authentication method"));
    }
    if assertion.is_some() != ask.form.get("client_assertion_type").is_some() {
        return Err(Problem::request("client_assertion and client_assertion_type belong together"));
    }
    if let Some(field) = fields.first() {
        let (id, secret) = basic(field).map_err(Problem::client)?;
        return Ok(Shown::Basic(id, secret));
    }
    if let Some(assertion) = assertion {
        if ask.form.get("client_assertion_type") != Some(JWT_ASSERTION) {
            return Err(Problem::client(format!("client_assertion_type must be {JWT_ASSERTION}")));
        }
        return Ok(Shown::Assertion(assertion.into()));
    }
    let id = ask.form.get("client_id").map(str::to_owned);
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Shown::Post(id, secret.into())),
        (Some(id), None) => Ok(Shown::Nothing(id)),
        (None, Some(_)) => Err(Problem::request("client_secret without client_id")),
        (None, None) => Err(Problem::client("no client authentication and no client_id")),
    }
}

/// RFC 6749 §2.3.1: both parts form-encoded, then Basic (RFC 7617).
fn basic(field: &str) -> Result<(String, String), String> {
    let (scheme, encoded) = field.split_once(' ').ok_or("Authorization without credentials")?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err("only Basic is served".into());
    }
    let octets = data_encoding::BASE64.decode(encoded.trim().as_bytes()).map_err(|error| error.to_string())?;
    let text = String::from_utf8(octets).map_err(|error| error.to_string())?;
    let (id, secret) = text.split_once(':').ok_or("no colon between identifier and secret")?;
    Ok((decode(id)?, decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_encoded() {
        let encode = |text: &str| format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()));
        let good = basic(&encode("pump%3A7:p%2Bw+d%C3%A9")).unwrap();
        assert_eq!(good, ("pump:7".into(), "p+w d\u{e9}".into()));
        for bad in ["pump:a:b", "pump:a/b", "pump", "pump:%"] {
            assert!(basic(&encode(bad)).is_err(), "{bad}");
        }
        assert!(basic("Bearer abc").is_err());
    }
}
