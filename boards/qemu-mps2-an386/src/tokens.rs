//! What one run of firmware with tokens is to do: the keys of `plant.cfg` that begin with `token_`.
//!
//! - `token_issuer`: URL of the authorization server, with its port; the grant is client credentials.
//! - `token_client_auth`: `private_key_jwt` (behind a colon how the key is named: `x5c`, `x5t` or `thumbprint`),
//!   `tls_client_auth`, or `client_secret_basic`, `client_secret_post`, `client_secret_jwt` with a colon and the secret.
//! - `token_scope`, `token_resource`: as in a token request; may be missing.
//! - `token_dpop`: `true` binds tokens to the device key.
//! - `token_renew`: per cent of a token's life after which it is renewed.
//! - `token_session`: `password`, or `enhanced:` and the method, or `mtls` for a broker that wants no token.
//! - `token_user`: MQTT user name, where the token is the password; the client identifier if missing.
//! - `token_second_socket`: `true` fetches tokens beside the live link.
//! - `token_topic`: where to publish, in place of the device's own topic.
//! - `token_url`: what the program `api` gets.

use identity_core::config::{Profile, Secret};
use identity_core::oauth::{ClientAuth, ClientCredentials, KeyId, Renew};
use identity_core::session::{Present, Session, TokenSession};
use static_cell::StaticCell;

use crate::scenario::{Constants, HOST, KEEP_ALIVE, Scenario, constants, mutual_tls};

/// What a run with tokens has beside its constants.
pub struct Extra {
    /// The constants.
    pub constants: &'static Constants,
    /// Where to publish.
    pub topic: &'static str,
    /// What to get from an API.
    pub url: &'static str,
    /// Whether tokens are fetched beside the live link.
    pub second_socket: bool,
}

/// Makes the constants of a run with tokens. Call once.
///
/// # Panics
/// When it is called twice, or `plant.cfg` lacks or misspells something.
#[must_use]
pub fn config(scenario: Scenario) -> Extra {
    static SOURCE: StaticCell<ClientCredentials> = StaticCell::new();
    static RESOURCE: StaticCell<[&str; 1]> = StaticCell::new();

    let plant = Keys(scenario.plant);
    let resource = RESOURCE.init([plant.get("token_resource").unwrap_or_default()]);
    let default = ClientCredentials::DEFAULT;
    let source = SOURCE.init(ClientCredentials {
        issuer: plant.get("token_issuer").expect("plant.cfg: token_issuer"),
        client_auth: plant.read("token_client_auth", client_auth).unwrap_or(default.client_auth),
        scope: plant.get("token_scope").unwrap_or_default(),
        resource: if resource[0].is_empty() { &[] } else { resource },
        dpop: plant.is("token_dpop"),
        renew: plant.read("token_renew", renew).unwrap_or(default.renew),
        ..default
    });
    let by_certificate = matches!(source.client_auth, ClientAuth::Certificate);
    let session = plant.read("token_session", |session| session_of(session, plant, &scenario, by_certificate));
    let session = session.expect("plant.cfg: token_session");
    let constants = constants(scenario, |enrol| Profile { enrol, token: Some(source), session });
    Extra {
        constants,
        topic: plant.get("token_topic").unwrap_or(constants.topic),
        url: plant.get("token_url").unwrap_or_default(),
        second_socket: plant.is("token_second_socket"),
    }
}

fn session_of(name: &'static str, plant: Keys, scenario: &Scenario, certificate: bool) -> Option<&'static dyn Session> {
    static SESSION: StaticCell<TokenSession> = StaticCell::new();
    let present = match name {
        "mtls" => return Some(mutual_tls(scenario)),
        "password" => Present::Password { user_name: plant.get("token_user") },
        name => Present::Enhanced { method: name.strip_prefix("enhanced:")? },
    };
    Some(SESSION.init(TokenSession {
        host: HOST,
        port: scenario.broker_port,
        version: scenario.version(),
        client_id: None,
        present,
        // the token may be bound to the certificate that it was obtained with
        certificate,
        alpn: &[],
        keep_alive: KEEP_ALIVE,
    }))
}

fn client_auth(text: &'static str) -> Option<ClientAuth> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    Some(match (name, rest) {
        ("private_key_jwt", "") => ClientAuth::PrivateKeyJwt(KeyId::None),
        ("private_key_jwt", "x5c") => ClientAuth::PrivateKeyJwt(KeyId::Certificate),
        ("private_key_jwt", "x5t") => ClientAuth::PrivateKeyJwt(KeyId::CertificateDigest),
        ("private_key_jwt", "thumbprint") => ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
        ("tls_client_auth", "") => ClientAuth::Certificate,
        ("client_secret_basic", secret) => ClientAuth::SecretBasic(Secret::new(secret)),
        ("client_secret_post", secret) => ClientAuth::SecretPost(Secret::new(secret)),
        ("client_secret_jwt", secret) => ClientAuth::SecretJwt(Secret::new(secret)),
        _ => return None,
    })
}

fn renew(percent: &str) -> Option<Renew> {
    Some(Renew { after_percent: percent.parse().ok()?, jitter_percent: 0 })
}

/// The lines of `plant.cfg`.
#[derive(Clone, Copy, Debug)]
struct Keys(&'static str);

impl Keys {
    fn get(self, key: &str) -> Option<&'static str> {
        self.0.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn is(self, key: &str) -> bool {
        self.read(key, |value| value.parse().ok()).unwrap_or_default()
    }

    /// A value that is understood, if there is one.
    fn read<T>(self, key: &str, understand: impl FnOnce(&'static str) -> Option<T>) -> Option<T> {
        let value = self.get(key)?;
        let understood = understand(value);
        assert!(understood.is_some(), "plant.cfg: bad value: {key}={value}");
        understood
    }
}
