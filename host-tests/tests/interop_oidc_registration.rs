//! A device that registers itself with npm's oidc-provider, over real sockets: its registration from the first boot to the
//! end, and what it asks about its tokens; each with what the provider refuses.

use device_sdk::clock::std_clock::{StdClock, block_on};
use device_sdk::keys::software::SoftwareKeys;
use device_sdk::keys::std_entropy::StdEntropy;
use device_sdk::net::std_net::StdNet;
use device_sdk::store::NorStore;
use device_sdk::store::file_flash::FileFlash;
use device_sdk::{Config, Device, Error, Memory};
use host_tests::http::HttpRequest;
use host_tests::https_client::send;
use host_tests::oidc_provider::{OidcProvider, OidcProviderOptions, SECRET, clients};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::server::system_clock;
use host_tests::simulator;
use identity_core::config::Secret;
use identity_core::enrol::Register;
use identity_core::error::Error as CoreError;
use identity_core::jose::{jwk, verify};
use identity_core::oauth::{
    ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId, OauthCode, Source, TokenSource, TokenType,
};
use identity_core::session::MqttVersion;
use identity_core::time::{Judge, UnixTime};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const MQTT: &str = "https://mqtt.plant.example";
/// By default a client has its ID tokens signed by RS256, for which this provider has no key, so that it refuses the client.
const FURTHER: &str = r#""id_token_signed_response_alg":"ES256""#;

type Desktop = Device<'static, SoftwareKeys<StdEntropy>, NorStore<FileFlash>, StdNet, StdClock>;

/// A plant, a provider under its CA, and files for the flash of devices.
struct World {
    plant: Plant,
    provider: OidcProvider,
    scratch: Scratch,
}

fn leak<T: ?Sized>(value: Box<T>) -> &'static T {
    Box::leak(value)
}

impl World {
    /// None, said aloud, if the provider is not installed.
    fn start() -> Option<Self> {
        if !OidcProvider::available() {
            assert!(std::env::var_os("CI").is_none(), "install oidc-provider: cargo xtask setup");
            eprintln!("skipped: cargo xtask setup installs oidc-provider");
            return None;
        }
        let plant = Plant::start(PlantOptions::default()).expect("a plant");
        // the one with a secret, which the tests have as well
        let clients = clients(&json!({}), &[], "").into_iter();
        let clients = clients.filter(|client| client["client_id"] == "client_secret_basic").collect();
        let options = OidcProviderOptions { clients, ..OidcProviderOptions::default() };
        let provider = OidcProvider::at(&plant, &options).unwrap();
        Some(Self { plant, provider, scratch: Scratch::new() })
    }

    fn issuer(&self) -> &'static str {
        leak(self.provider.issuer().into_boxed_str())
    }

    fn register(&self) -> Register {
        Register {
            issuer: self.issuer(),
            initial_access_token: Some(Secret::new("initial")),
            scope: "mqtt:publish",
            further: FURTHER,
            ..Register::DEFAULT
        }
    }

    fn source(&self) -> ClientCredentials {
        Source {
            issuer: self.issuer(),
            client_id: ClientId::Registered,
            client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
            scope: "mqtt:publish",
            resource: &[MQTT],
            ..ClientCredentials::DEFAULT
        }
    }

    fn config(&self, register: Register, source: impl TokenSource + 'static) -> &'static Config {
        let mut config = *simulator::config(&self.plant, "pump-7", MqttVersion::V5);
        config.identity.profile.enrol = leak(Box::new(register));
        config.identity.profile.token = Some(leak(Box::new(source)));
        leak(Box::new(config))
    }

    /// The flash file of that name; a device's secret lies beside it.
    fn flash(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn boot(&self, config: &'static Config, flash: &str) -> Desktop {
        let board = host::init(&self.flash(flash)).expect("a board");
        Device::new(config, Box::leak(Box::new(Memory::<6144, 8192>::new())), board)
    }

    /// The flash as it is now: what a device would be that missed all that comes.
    fn copy(&self, flash: &str, name: &str) {
        let copy = |from: &Path, to: &Path| fs::copy(from, to).expect("a copy");
        let (from, to) = (self.flash(flash), self.flash(name));
        copy(&from, &to);
        copy(&from.with_extension("secret"), &to.with_extension("secret"));
    }

    /// Asks as the client with the secret: a resource server.
    fn ask(&self, path: &str, token: &str) -> (u16, Value) {
        // RFC 6749 section 2.3.1: the secret is form-encoded first
        let login = format!("client_secret_basic:{}", SECRET.replace(' ', "+"));
        let login = data_encoding::BASE64.encode(login.as_bytes());
        let request = HttpRequest::post(path, "application/x-www-form-urlencoded", format!("token={token}"));
        let request = request.with("Authorization", &format!("Basic {login}"));
        let response = send(self.provider.port(), self.plant.root(), None, &request).unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    fn active(&self, token: &str) -> bool {
        let (status, said) = self.ask("/token/introspection", token);
        assert_eq!(status, 200, "{said}");
        said["active"].as_bool().expect("active")
    }

    /// Verifies a token with the keys that the device fetched.
    fn verify(&self, device: &mut Desktop, token: &str, audience: &str) -> Result<String, CoreError> {
        let mut keys = [0; 2048];
        let octets = block_on(device.keys(&mut keys)).expect("keys");
        let rules = verify::Rules {
            algorithms: &[verify::Algorithm::Es256],
            issuer: self.issuer(),
            audience,
            typ: Some("at+jwt"),
            judge: Judge::Wall(UnixTime(system_clock()())),
            skew: 5,
        };
        let mut scratch = vec![0; verify::scratch_len(token.len())];
        let verified = verify::verify(token, jwk::KeySet::parse(&keys[..octets])?, &rules, &mut scratch)?;
        let client = verified.claims().client_id()?.expect("a client");
        let mut room = [0; 64];
        Ok(client.copy("client_id", &mut room)?.to_owned())
    }
}

/// Asks for the token of the profile's source.
fn token(device: &mut Desktop) -> Result<String, Error> {
    block_on(device.token("")).map(|token| token.secret.reveal().to_owned())
}

#[track_caller]
fn good(device: &mut Desktop) -> String {
    token(device).unwrap_or_else(|error| panic!("{error}: {}", device.words()))
}

#[track_caller]
fn denied<T: std::fmt::Debug>(result: Result<T, Error>, wanted: OauthCode) {
    let said = matches!(result, Err(Error::Core(CoreError::Denied { code, .. })) if code == wanted);
    assert!(said, "{result:?}");
}

#[test]
fn only_the_right_initial_access_token_and_metadata_register_and_a_reboot_registers_nothing() {
    let Some(world) = World::start() else { return };
    for initial in [Some("another"), None] {
        let initial_access_token = initial.map(Secret::new);
        let config = world.config(Register { initial_access_token, ..world.register() }, world.source());
        let mut device = world.boot(config, "flash.bin");
        let refused = token(&mut device);
        assert!(matches!(refused, Err(Error::Core(CoreError::Refused { code: 401, .. }))), "{refused:?}");
        assert!(device.words().starts_with("invalid_token: "), "{}", device.words());
        assert!(device.client_id().is_none());
    }
    for (register, word) in [
        (Register { further: "", ..world.register() }, "id_token_signed_response_alg"),
        (Register { scope: "mqtt:unknown", ..world.register() }, "scope"),
        (Register { grant_types: &["client_credentials", "unknown"], ..world.register() }, "grant_types"),
    ] {
        let mut device = world.boot(world.config(register, world.source()), "flash.bin");
        let refused = token(&mut device);
        assert!(device.words().contains(word), "{refused:?} {}", device.words());
        denied(refused, OauthCode::InvalidClientMetadata);
        assert!(device.client_id().is_none());
    }
    let config = world.config(world.register(), world.source());
    let mut device = world.boot(config, "flash.bin");
    let first = good(&mut device);
    let id = device.client_id().expect("a client").to_owned();
    assert_eq!(world.verify(&mut device, &first, MQTT), Ok(id.clone()));
    drop(device);
    // a second registration would have another identifier, and this firmware could make none
    let rebooted = Register { initial_access_token: Some(Secret::new("used up")), ..world.register() };
    let mut device = world.boot(world.config(rebooted, world.source()), "flash.bin");
    let second = good(&mut device);
    assert_ne!(first, second);
    assert_eq!(device.client_id(), Some(&*id));
    assert_eq!(world.verify(&mut device, &second, MQTT), Ok(id));
    // as a verifier
    let other = world.verify(&mut device, &second, "https://api.plant.example").unwrap_err().to_string();
    assert!(other.contains("aud"), "{other}");
    let (head, signature) = second.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    for forged in [format!("{head}.{turned}"), second.replacen('.', ".e", 1)] {
        let said = world.verify(&mut device, &forged, MQTT).unwrap_err().to_string();
        assert!(said.contains("signature"), "{said}");
    }
}

#[test]
fn a_registration_is_read_gets_new_keys_and_ends() {
    let Some(world) = World::start() else { return };
    let config = world.config(world.register(), world.source());
    let mut device = world.boot(config, "flash.bin");
    good(&mut device);
    let id = device.client_id().expect("a client").to_owned();
    block_on(device.registration()).expect("it is known");
    world.copy("flash.bin", "before.bin");
    device.renew().unwrap();
    let of_new_key = good(&mut device);
    assert_eq!(world.verify(&mut device, &of_new_key, MQTT), Ok(id.clone()));
    block_on(device.registration()).expect("it is known with the new registration access token");
    // the update named the live key too, but the registration access token of before is worth nothing
    let mut before = world.boot(config, "before.bin");
    good(&mut before);
    denied(block_on(before.registration()), OauthCode::InvalidToken);
    drop(before);
    device.renew().unwrap();
    good(&mut device);
    assert_eq!(device.client_id(), Some(&*id), "one client with its third key");
    let mut before = world.boot(config, "before.bin");
    denied(token(&mut before), OauthCode::InvalidClient);
    drop(before);

    world.copy("flash.bin", "unaware.bin");
    block_on(device.unregister()).expect("the end");
    assert_eq!(device.client_id(), None);
    let mut unaware = world.boot(config, "unaware.bin");
    denied(token(&mut unaware), OauthCode::InvalidClient);
    denied(block_on(unaware.registration()), OauthCode::InvalidToken);
    block_on(unaware.unregister()).expect("what the provider knows no more has ended");
    for device in [&mut device, &mut unaware] {
        good(device);
        assert_ne!(device.client_id(), Some(&*id));
    }
    assert_ne!(device.client_id(), unaware.client_id());
}

#[test]
fn a_device_whose_update_is_refused_registers_anew() {
    let Some(world) = World::start() else { return };
    let config = world.config(world.register(), world.source());
    let mut device = world.boot(config, "flash.bin");
    good(&mut device);
    let id = device.client_id().expect("a client").to_owned();
    world.copy("flash.bin", "before.bin");
    device.renew().unwrap();
    good(&mut device);
    drop(device);
    let mut before = world.boot(config, "before.bin");
    good(&mut before);
    assert_eq!(before.client_id(), Some(&*id));
    before.renew().unwrap();
    good(&mut before);
    assert_ne!(before.client_id(), Some(&*id));
    block_on(before.registration()).expect("known");
}

#[test]
fn a_client_registered_for_dpop_gets_no_token_without() {
    let Some(world) = World::start() else { return };
    let register = Register { dpop: true, ..world.register() };
    let config = world.config(register, Source { dpop: true, ..world.source() });
    let mut device = world.boot(config, "flash.bin");
    for _ in 0..2 {
        assert_eq!(block_on(device.token("")).map(|token| token.kind), Ok(TokenType::Dpop));
        device.renew().unwrap();
    }
    let mut device = world.boot(world.config(register, world.source()), "flash.bin");
    denied(token(&mut device), OauthCode::InvalidGrant);
}

#[test]
fn an_access_token_is_introspected_and_revoked() {
    let Some(world) = World::start() else { return };
    let opaque = Source { resource: &[], ..world.source() };
    let config = world.config(world.register(), opaque);
    let mut device = world.boot(config, "flash.bin");
    let first = good(&mut device);
    let found = block_on(device.introspect("")).expect("an answer");
    assert!(found.active && found.covers == Some(true) && found.expires.is_some(), "{found:?}");
    assert!(world.active(&first));
    block_on(device.revoke("")).expect("revoked");
    assert!(!world.active(&first));
    let second = good(&mut device);
    assert_ne!(second, first);
    assert!(world.active(&second));
    // nobody else revokes it
    let (status, said) = world.ask("/token/revocation", &second);
    assert_eq!((status, &said["error"]), (400, &json!("invalid_request")), "{said}");
    assert!(block_on(device.introspect("")).expect("an answer").active);

    // a client that was removed may ask nothing, and keeps what it has
    world.copy("flash.bin", "unaware.bin");
    block_on(world.boot(config, "unaware.bin").unregister()).expect("the end");
    denied(block_on(device.introspect("")), OauthCode::InvalidClient);
    denied(block_on(device.revoke("")), OauthCode::InvalidClient);
    assert_eq!(good(&mut device), second);
}

#[test]
fn a_token_that_another_revoked_is_found_inactive_and_replaced() {
    let Some(world) = World::start() else { return };
    let (client_id, client_auth) =
        (ClientId::Fixed("client_secret_basic"), ClientAuth::SecretBasic(Secret::new(SECRET)));
    let source = Source { client_id, client_auth, resource: &[], ..world.source() };
    let mut device = world.boot(world.config(world.register(), source), "flash.bin");
    let first = good(&mut device);
    assert!(block_on(device.introspect("")).expect("an answer").active);
    assert_eq!(world.ask("/token/revocation", &first).0, 200);
    assert_eq!(good(&mut device), first, "it does not know yet");
    assert!(!block_on(device.introspect("")).expect("an answer").active);
    let second = good(&mut device);
    assert!(second != first && block_on(device.introspect("")).expect("an answer").active);
}

#[test]
fn a_jwt_is_neither_introspected_nor_revoked() {
    let Some(world) = World::start() else { return };
    let mut device = world.boot(world.config(world.register(), world.source()), "flash.bin");
    let jwt = good(&mut device);
    denied(block_on(device.introspect("")), OauthCode::UnsupportedTokenType);
    denied(block_on(device.revoke("")), OauthCode::UnsupportedTokenType);
    assert!(device.words().contains("JWT"), "{}", device.words());
    assert_eq!(good(&mut device), jwt);
}

#[test]
fn a_refresh_token_is_revoked_and_a_person_approves_again() {
    let Some(world) = World::start() else { return };
    let scope = "openid offline_access mqtt:publish";
    let grant_types = &["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"];
    let register = Register { grant_types, scope, ..world.register() };
    for (flash, resource) in [("opaque.bin", &[][..]), ("jwt.bin", &[MQTT])] {
        let ClientCredentials { issuer, client_id, client_auth, .. } = world.source();
        let login = Source { issuer, client_id, client_auth, scope, resource, ..DeviceLogin::DEFAULT };
        let config = world.config(register, login);
        let mut device = world.boot(config, flash);
        assert_eq!(token(&mut device), Err(Error::Approval));
        let code = device.user_code().expect("a code").code.to_owned();
        world.provider.decide(&code, true).unwrap();
        good(&mut device);
        drop(device);
        // a reboot needs nobody
        let mut device = world.boot(config, flash);
        let access = good(&mut device);
        world.copy(flash, "before.bin");
        if resource.is_empty() {
            assert!(world.active(&access));
            block_on(device.revoke("")).expect("revoked");
            assert!(!world.active(&access));
            assert_eq!(token(&mut device), Err(Error::Approval));
        } else {
            // the refresh token is, and the JWT cannot be: it stays
            denied(block_on(device.revoke("")), OauthCode::UnsupportedTokenType);
            assert_eq!(good(&mut device), access);
        }
        drop(device);
        // the refresh token is forgotten, and that of before is worth nothing
        for flash in [flash, "before.bin"] {
            assert_eq!(token(&mut world.boot(config, flash)), Err(Error::Approval), "{flash}");
        }
    }
}
