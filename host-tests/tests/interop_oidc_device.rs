//! The device before npm's oidc-provider, over real sockets: each way to a token, and how the provider refuses it.

use device_sdk::Error;
use host_tests::bench_device::{BenchDevice, NAME, Rig, RigOptions};
use host_tests::ca::{Ca, CaOptions, DAY, Validity};
use host_tests::http::HttpRequest;
use host_tests::https_client::send;
use host_tests::oauth::jwk::Jwk;
use host_tests::oidc_provider::{OidcProvider, OidcProviderOptions, SECRET, clients};
use identity_core::config::Secret;
use identity_core::crypto::sha256;
use identity_core::error::Error as CoreError;
use identity_core::jose::{jwk, jwt, verify};
use identity_core::oauth::{
    ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId, OauthCode, Source, TokenSource, TokenType,
};
use identity_core::record::Record;
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::{Judge, UnixTime};
use serde_json::{Value, json};

const MQTT: &str = "https://mqtt.plant.example";
const API: &str = "https://api.plant.example";
/// Its tokens are used for requests only.
static SESSION: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

/// A device with a certificate, and a provider that knows it as several clients.
struct World {
    rig: Rig,
    provider: OidcProvider,
    certificate: Vec<u8>,
}

fn leak<T: ?Sized>(value: Box<T>) -> &'static T {
    Box::leak(value)
}

impl World {
    /// None, said aloud, if the provider is not installed. `haste` is how much faster the device's waits pass.
    fn start(haste: u64, options: OidcProviderOptions) -> Option<Self> {
        if !OidcProvider::available() {
            assert!(std::env::var_os("CI").is_none(), "install oidc-provider: cargo xtask setup");
            eprintln!("skipped: cargo xtask setup installs oidc-provider");
            return None;
        }
        let rig = Rig::enrolled(&RigOptions { haste, ..RigOptions::default() });
        let certificate = rig.plant.est().enrolments()[0].certificate.clone();
        let options = OidcProviderOptions { clients: registered(&certificate), ..options };
        let provider = OidcProvider::at(&rig.plant, &options).unwrap();
        Some(Self { rig, provider, certificate })
    }

    fn issuer(&self) -> &'static str {
        leak(self.provider.issuer().into_boxed_str())
    }

    /// Client credentials as this client.
    fn client(&self, id: &'static str, client_auth: ClientAuth) -> ClientCredentials {
        let (issuer, client_id) = (self.issuer(), ClientId::Fixed(id));
        Source {
            issuer,
            client_id,
            client_auth,
            scope: "mqtt:publish",
            resource: &[MQTT],
            ..ClientCredentials::DEFAULT
        }
    }

    /// A freshly booted device asks for the token of `source`.
    fn ask(&self, source: &'static dyn TokenSource) -> Asked {
        Asked::by(&self.rig, &mut self.rig.boot_as(Some(source), &SESSION))
    }

    fn send(&self, request: &HttpRequest) -> (u16, Value) {
        let response = send(self.provider.port(), self.rig.plant.root(), None, request).unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    /// The claims of a token for `audience`, by the core's own verification against the provider's key set.
    fn verified(&self, token: &str, audience: &str, use_of: impl Fn(jwt::Claims<'_>)) -> Result<(), CoreError> {
        let keys = self.send(&HttpRequest::get("/jwks")).1.to_string();
        let rules = verify::Rules {
            algorithms: &[verify::Algorithm::Es256],
            issuer: self.issuer(),
            audience,
            typ: Some("at+jwt"),
            judge: Judge::Wall(UnixTime(self.rig.plant.now())),
            skew: 5,
        };
        let mut scratch = vec![0; verify::scratch_len(token.len())];
        let keys = jwk::KeySet::parse(keys.as_bytes())?;
        verify::verify(token, keys, &rules, &mut scratch).map(|verified| use_of(verified.claims()))
    }
}

/// The clients of [`clients`], and some that the device is not: each has another key, certificate or name.
fn registered(certificate: &[u8]) -> Vec<Value> {
    let key = Jwk::of_certificate(certificate).unwrap();
    let other = Ca::with(1_800_000_000, &CaOptions::default()).client(NAME, Validity::starting(1_800_000_000, DAY));
    let wrong = clients(&Jwk::of_key(&other.key).json(), &other.chain[0], "CN=pump-8");
    let mut all = clients(&key.json(), certificate, &format!("CN={NAME}"));
    // the provider takes a kid that it does not know for a key that it does not know
    let mut named = all[3].clone();
    named["client_id"] = "named key".into();
    named["jwks"]["keys"][0]["kid"] = key.thumbprint().into();
    all.push(named);
    for mut client in wrong.into_iter().filter(|client| client["client_secret"].is_null()) {
        client["client_id"] = format!("wrong {}", client["client_id"].as_str().unwrap()).into();
        all.push(client);
    }
    all
}

/// What asking for a token came to.
#[derive(Debug)]
struct Asked {
    result: Result<(String, TokenType), Error>,
    words: String,
}

impl Asked {
    fn by(rig: &Rig, device: &mut BenchDevice) -> Self {
        let asked = async { device.token("").await.map(|token| (token.secret.reveal().to_owned(), token.kind)) };
        let result = rig.time(asked).result;
        Self { result, words: device.words().to_owned() }
    }

    #[track_caller]
    fn refused(&self, code: OauthCode) {
        let denied = matches!(self.result, Err(Error::Core(CoreError::Denied { code: said, .. })) if said == code);
        assert!(denied, "{self:?}");
        assert!(!format!("{self:?}").contains(SECRET));
    }

    #[track_caller]
    fn granted(self, kind: TokenType) -> String {
        let (token, of) = self.result.unwrap_or_else(|error| panic!("{error}: {}", self.words));
        assert_eq!(of, kind);
        token
    }
}

#[test]
fn each_client_authentication_and_its_refusal() {
    let Some(world) = World::start(1, OidcProviderOptions::default()) else { return };
    let (right, wrong) = (|| Secret::new(SECRET), || Secret::new("another secret of more than thirty-two octets"));
    let key = ClientAuth::PrivateKeyJwt;
    type Row = (&'static str, ClientAuth, &'static str, ClientAuth);
    let rows: [Row; 7] = [
        (
            "client_secret_basic",
            ClientAuth::SecretBasic(right()),
            "client_secret_basic",
            ClientAuth::SecretBasic(wrong()),
        ),
        ("client_secret_post", ClientAuth::SecretPost(right()), "client_secret_post", ClientAuth::SecretPost(wrong())),
        ("client_secret_jwt", ClientAuth::SecretJwt(right()), "client_secret_jwt", ClientAuth::SecretJwt(wrong())),
        ("private_key_jwt", key(KeyId::None), "wrong private_key_jwt", key(KeyId::None)),
        ("named key", key(KeyId::Thumbprint), "named key", key(KeyId::Fixed("another"))),
        ("tls_client_auth", ClientAuth::Certificate, "wrong tls_client_auth", ClientAuth::Certificate),
        (
            "self_signed_tls_client_auth",
            ClientAuth::Certificate,
            "wrong self_signed_tls_client_auth",
            ClientAuth::Certificate,
        ),
    ];
    for (client, client_auth, other, wrongly) in rows {
        let token = world.ask(leak(Box::new(world.client(client, client_auth)))).granted(TokenType::Bearer);
        let bound = matches!(client_auth, ClientAuth::Certificate).then(|| sha256(&world.certificate));
        let claims = |claims: jwt::Claims<'_>| {
            assert!(claims.client_id().unwrap().unwrap().is(client));
            assert!(claims.scopes().unwrap().all(|scope| scope.is("mqtt:publish")));
            assert_eq!(claims.confirmation().unwrap().and_then(|cnf| cnf.x5t_s256), bound, "{client}");
        };
        world.verified(&token, MQTT, claims).unwrap_or_else(|error| panic!("{client}: {error}"));
        let refused = world.ask(leak(Box::new(world.client(other, wrongly))));
        refused.refused(OauthCode::InvalidClient);
        assert!(refused.words.starts_with("invalid_client: "), "{}", refused.words);
    }
}

#[test]
fn dpop_with_and_without_nonce() {
    for nonce in [false, true] {
        let Some(world) = World::start(1, OidcProviderOptions { nonce, ..Default::default() }) else { return };
        let plain = world.client("dpop", ClientAuth::SecretBasic(Secret::new(SECRET)));
        let token = world.ask(leak(Box::new(Source { dpop: true, ..plain }))).granted(TokenType::Dpop);
        let thumbprint = Jwk::of_certificate(&world.certificate).unwrap().thumbprint();
        let thumbprint = data_encoding::BASE64URL_NOPAD.decode(thumbprint.as_bytes()).unwrap();
        let claims = |claims: jwt::Claims<'_>| {
            assert_eq!(claims.confirmation().unwrap().unwrap().jkt.unwrap().to_vec(), thumbprint);
        };
        world.verified(&token, MQTT, claims).unwrap();
        // this client must bind its tokens
        world.ask(leak(Box::new(plain))).refused(OauthCode::InvalidGrant);
    }
}

#[test]
fn resource_and_scope_decide_what_a_token_is_for() {
    let Some(world) = World::start(1, OidcProviderOptions::default()) else { return };
    let source = world.client("private_key_jwt", ClientAuth::PrivateKeyJwt(KeyId::None));
    let token = world.ask(leak(Box::new(source))).granted(TokenType::Bearer);
    let unused = |_: jwt::Claims<'_>| {};
    assert!(world.verified(&token, API, unused).unwrap_err().to_string().contains("aud"));
    let forged = token.replacen('.', ".e", 1);
    assert!(world.verified(&forged, MQTT, unused).unwrap_err().to_string().contains("signature"));
    // the device reads its own token without the key set
    let mut scratch = vec![0; token.len()];
    let claims = jwt::read(&token, &mut scratch).unwrap().expect("a JWT");
    assert!(claims.audiences().unwrap().all(|audience| audience.is(MQTT)));
    let left = claims.expires().unwrap().unwrap().0 - world.rig.plant.now();
    assert!((290..=301).contains(&left), "{left} s");

    let api = Source { scope: "api:read", resource: &[API], ..source };
    let token = world.ask(leak(Box::new(api))).granted(TokenType::Bearer);
    world.verified(&token, API, unused).unwrap();
    // for no resource it is opaque: nothing to read, and nothing against it
    let token = world.ask(leak(Box::new(Source { resource: &[], ..source }))).granted(TokenType::Bearer);
    assert!(jwt::read(&token, &mut [0; 64]).unwrap().is_none(), "{token}");
    let unknown = Source { resource: &["https://unknown.example"], ..source };
    world.ask(leak(Box::new(unknown))).refused(OauthCode::InvalidTarget);
    // the provider drops what it does not know, or what the resource does not have, without a word
    for scope in ["mqtt:publish mqtt:unknown", "mqtt:publish api:read", "mqtt:unknown"] {
        world.ask(leak(Box::new(Source { scope, ..source }))).refused(OauthCode::InvalidScope);
    }
}

#[test]
fn a_person_approves_and_a_reboot_needs_nobody() {
    let Some(world) = World::start(12, OidcProviderOptions::default()) else { return };
    let source: &DeviceLogin = leak(Box::new(Source {
        issuer: world.issuer(),
        client_id: ClientId::Fixed("none"),
        client_auth: ClientAuth::None,
        scope: "openid offline_access mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    }));
    // one says no
    let mut device = world.rig.boot_as(Some(source), &SESSION);
    assert_eq!(Asked::by(&world.rig, &mut device).result, Err(Error::Approval));
    let code = device.user_code().expect("a code for a person").code.to_owned();
    world.provider.decide(&code, false).unwrap();
    Asked::by(&world.rig, &mut device).refused(OauthCode::AccessDenied);
    // another yes, after a while
    assert_eq!(Asked::by(&world.rig, &mut device).result, Err(Error::Approval));
    let shown = device.user_code().expect("a new code");
    assert!(shown.complete.is_some_and(|url| url.ends_with(shown.code)), "{shown:?}");
    let code = shown.code.to_owned();
    let from = world.rig.clock.ms();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(1500));
            world.provider.decide(&code, true).unwrap();
        });
        let token = Asked::by(&world.rig, &mut device).granted(TokenType::Bearer);
        world.verified(&token, MQTT, |claims| assert!(claims.subject().unwrap().unwrap().is("person"))).unwrap();
    });
    assert!(world.rig.clock.ms() - from > 10_000, "it asked only every 5 s");
    drop(device);

    let refresh = Record::Refresh.number();
    let first = world.rig.record(refresh).expect("a sealed refresh token");
    for _ in 0..2 {
        let token = world.ask(source).granted(TokenType::Bearer);
        world.verified(&token, MQTT, |_| {}).unwrap();
    }
    assert_ne!(world.rig.record(refresh).as_ref(), Some(&first), "it rotates");
    // a used refresh token costs the whole family (RFC 9700 §4.14.2), and the device asks a person again
    world.rig.write(refresh, &first);
    assert_eq!(world.ask(source).result, Err(Error::Approval));
    assert_eq!(world.rig.record(refresh), None);
}

#[test]
fn a_code_that_nobody_entered_in_time_is_replaced() {
    let Some(world) = World::start(1, OidcProviderOptions { code_lifetime: 6, ..Default::default() }) else { return };
    let source: &DeviceLogin = leak(Box::new(Source {
        issuer: world.issuer(),
        client_id: ClientId::Fixed("none"),
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    }));
    let mut device = world.rig.boot_as(Some(source), &SESSION);
    assert_eq!(Asked::by(&world.rig, &mut device).result, Err(Error::Approval));
    let first = device.user_code().expect("a code").code.to_owned();
    assert!(world.provider.decide("XXXX-XXXX", true).is_err());
    assert_eq!(Asked::by(&world.rig, &mut device).result, Err(Error::Approval));
    let second = device.user_code().expect("a new code").code.to_owned();
    assert_ne!(first, second);
    world.provider.decide(&second, true).unwrap();
    Asked::by(&world.rig, &mut device).granted(TokenType::Bearer);
}

#[test]
fn a_client_that_was_removed_gets_no_further_token() {
    let Some(world) = World::start(1, OidcProviderOptions::default()) else { return };
    let metadata = json!({
        "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        "id_token_signed_response_alg": "ES256", "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": { "keys": [Jwk::of_certificate(&world.certificate).unwrap().json()] },
    });
    let register = HttpRequest::post("/reg", "application/json", metadata.to_string());
    let (_, registered) = world.send(&register.with("Authorization", "Bearer initial"));
    let id: &str = leak(registered["client_id"].as_str().expect("a client").into());
    let source: &ClientCredentials = leak(Box::new(world.client(id, ClientAuth::PrivateKeyJwt(KeyId::None))));
    let mut device = world.rig.boot_as(Some(source), &SESSION);
    let token = Asked::by(&world.rig, &mut device).granted(TokenType::Bearer);

    let mut removal = HttpRequest::get(&format!("/reg/{id}"));
    removal.method = "DELETE".into();
    let token_of = format!("Bearer {}", registered["registration_access_token"].as_str().unwrap());
    assert_eq!(world.send(&removal.with("Authorization", &token_of)).0, 204);
    assert_eq!(Asked::by(&world.rig, &mut device).granted(TokenType::Bearer), token, "what it has still serves");
    world.rig.clock.skip_seconds(300);
    Asked::by(&world.rig, &mut device).refused(OauthCode::InvalidClient);
}
