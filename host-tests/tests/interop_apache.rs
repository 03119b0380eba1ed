//! The device at Debian's Apache with mod_oauth2, an API that takes tokens of npm's oidc-provider: bound to the device's
//! certificate, or to its key by DPoP.

#[allow(dead_code)] // shared with the tests of the test bed's own server
#[path = "oauth_server/client.rs"]
mod client;

use client::{Key, basic, form, sha256};
use device_sdk::{Answer, Error};
use host_tests::apache::{Apache, BODY, BY_CERTIFICATE, BY_PROOF};
use host_tests::bench_device::{BenchDevice, Rig, RigOptions};
use host_tests::ca::Identity;
use host_tests::http::HttpRequest;
use host_tests::https_client::send;
use host_tests::oauth::jwk::Jwk;
use host_tests::oidc_provider::{OidcProvider, OidcProviderOptions, SECRET, clients};
use identity_core::config::Secret;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, Source};
use identity_core::session::{MqttVersion, Mtls};
use serde_json::Value;

const API: &str = "https://api.plant.example";
const MQTT: &str = "https://mqtt.plant.example";
/// No link is opened.
static SESSION: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

struct World {
    rig: Rig,
    provider: OidcProvider,
    apache: Apache,
}

impl World {
    /// None, said aloud, if a server is not installed.
    fn start() -> Option<Self> {
        if !OidcProvider::available() || !Apache::available() {
            assert!(std::env::var_os("CI").is_none(), "install Apache and oidc-provider: cargo xtask setup");
            eprintln!("skipped: cargo xtask setup installs Apache and oidc-provider");
            return None;
        }
        let rig = Rig::enrolled(&RigOptions { haste: 1, ..RigOptions::default() });
        let certificate = rig.plant.est().enrolments()[0].certificate.clone();
        let clients = clients(&Jwk::of_certificate(&certificate).unwrap().json(), &certificate, "CN=pump-7");
        let options = OidcProviderOptions { clients, ..OidcProviderOptions::default() };
        let provider = OidcProvider::at(&rig.plant, &options).unwrap();
        let keys = send(provider.port(), rig.plant.root(), None, &HttpRequest::get("/jwks")).unwrap();
        let keys: Value = serde_json::from_slice(&keys.body).unwrap();
        let apache = Apache::start(&rig.plant, &keys["keys"][0], API).unwrap_or_else(|why| panic!("{why}"));
        Some(Self { rig, provider, apache })
    }

    fn device(&self, id: &'static str, client_auth: ClientAuth, dpop: bool) -> BenchDevice {
        let source: &ClientCredentials = Box::leak(Box::new(Source {
            issuer: self.provider.issuer().leak(),
            client_id: ClientId::Fixed(id),
            client_auth,
            dpop,
            scope: "api:read",
            resource: &[API],
            ..ClientCredentials::DEFAULT
        }));
        self.rig.boot_as(Some(source), &SESSION)
    }

    /// What the device gets of the API.
    fn get(&self, device: &mut BenchDevice, path: &str) -> (Result<Answer, Error>, Vec<u8>) {
        let url = format!("{API}:{}{path}", self.apache.port());
        let mut into = [0; 1024];
        let answer = self.rig.time(device.http().get(&url, &mut into)).result;
        (answer, into[..answer.map_or(0, |answer| answer.length)].to_vec())
    }

    #[track_caller]
    fn gets(&self, device: &mut BenchDevice, path: &str) {
        let (answer, body) = self.get(device, path);
        assert_eq!(answer, Ok(Answer { status: 200, length: BODY.len() }), "{}", self.apache.log());
        assert_eq!(body, BODY.as_bytes());
    }

    /// The token that the device shows, for somebody else to show.
    fn stolen(&self, device: &mut BenchDevice) -> String {
        let token = async { device.token("").await.map(|token| token.secret.reveal().to_owned()) };
        self.rig.time(token).result.unwrap()
    }

    /// Connections of the device to this port so far.
    fn connections(&self, port: u16) -> usize {
        self.rig.net.asked().iter().filter(|asked| asked.1 == port).count()
    }

    /// The status of a request made by hand.
    fn by_hand(&self, identity: Option<&Identity>, path: &str, headers: &[(&str, &str)]) -> u16 {
        let request = headers.iter().fold(HttpRequest::get(path), |request, (name, value)| request.with(name, value));
        send(self.apache.port(), self.rig.plant.root(), identity, &request).unwrap().status
    }
}

#[test]
fn a_token_bound_to_the_certificate() {
    let Some(world) = World::start() else { return };
    for client in ["tls_client_auth", "self_signed_tls_client_auth"] {
        let mut device = world.device(client, ClientAuth::Certificate, false);
        world.gets(&mut device, BY_CERTIFICATE);
        let bearer = format!("Bearer {}", world.stolen(&mut device));
        let headers = [("Authorization", bearer.as_str())];
        let other = world.rig.plant.birth("pump-7");
        assert_eq!(world.by_hand(None, BY_CERTIFICATE, &headers), 401, "no certificate");
        assert_eq!(world.by_hand(Some(&other), BY_CERTIFICATE, &headers), 401, "another certificate");
        assert_eq!(world.by_hand(None, BY_CERTIFICATE, &[]), 401, "no token");
    }
    // a token that is bound to nothing: refused, fetched anew once, and reported
    let mut device = world.device("client_secret_basic", ClientAuth::SecretBasic(Secret::new(SECRET)), false);
    let ports = [world.provider.port(), world.apache.port()];
    let before = ports.map(|port| world.connections(port));
    assert_eq!(world.get(&mut device, BY_CERTIFICATE).0.unwrap().status, 401);
    let after = ports.map(|port| world.connections(port));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [2, 2]);
}

#[test]
fn a_token_bound_to_the_key_by_dpop() {
    let Some(world) = World::start() else { return };
    let mut device = world.device("dpop", ClientAuth::SecretBasic(Secret::new(SECRET)), true);
    world.gets(&mut device, BY_PROOF);
    world.gets(&mut device, BY_PROOF);
    let token = world.stolen(&mut device);
    let thief = Key::new();
    let own = Key::new();
    let url = format!("https://localhost:{}{BY_PROOF}", world.apache.port());
    let show = |token: &str, proof: Option<&str>| {
        let authorization = format!("DPoP {token}");
        let proof = proof.map(|proof| ("DPoP", proof));
        world.by_hand(None, BY_PROOF, &[&[("Authorization", authorization.as_str())], proof.as_slice()].concat())
    };
    let proof = |key: &Key, method: &str, url: &str, token: &str| {
        key.proof_with(world.rig.plant.now(), method, url, |_, claims| claims["ath"] = sha256(token.as_bytes()).into())
    };
    assert_eq!(show(&token, None), 401, "no proof");
    assert_eq!(show(&token, Some(&proof(&thief, "GET", &url, &token))), 401, "another key");

    // a client made by hand, whose proofs can be shown twice
    let fetch = |scope: &str, resource: &str| {
        let (now, at) = (world.rig.plant.now(), format!("{}/token", world.provider.issuer()));
        let pairs = [("grant_type", "client_credentials"), ("scope", scope), ("resource", resource)];
        let request = form("/token", &pairs).with("Authorization", &basic("dpop", SECRET));
        let request = request.with("DPoP", &own.proof_with(now, "POST", &at, |_, _| {}));
        let reply = send(world.provider.port(), world.rig.plant.root(), None, &request).unwrap();
        let reply: Value = serde_json::from_slice(&reply.body).unwrap();
        reply["access_token"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    };
    let elsewhere = fetch("mqtt:publish", MQTT);
    assert_eq!(show(&elsewhere, Some(&proof(&own, "GET", &url, &elsewhere))), 401, "of another audience");
    let token = fetch("api:read", API);
    let good = proof(&own, "GET", &url, &token);
    assert_eq!(show(&token, Some(&good)), 200, "{}", world.apache.log());
    assert_eq!(show(&token, Some(&good)), 401, "replayed");
    assert_eq!(show(&token, Some(&proof(&own, "POST", &url, &token))), 401, "of another method");
    let elsewhere = url.replace(BY_PROOF, BY_CERTIFICATE);
    assert_eq!(show(&token, Some(&proof(&own, "GET", &elsewhere, &token))), 401, "of another URL");
    assert_eq!(show(&token, Some(&proof(&own, "GET", &url, &token))), 200);
}

#[test]
fn a_token_for_another_server_is_not_sent_there() {
    let Some(world) = World::start() else { return };
    let source: &ClientCredentials = Box::leak(Box::new(Source {
        issuer: world.provider.issuer().leak(),
        client_id: ClientId::Fixed("tls_client_auth"),
        client_auth: ClientAuth::Certificate,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..ClientCredentials::DEFAULT
    }));
    let mut device = world.rig.boot_as(Some(source), &SESSION);
    let (answer, _) = world.get(&mut device, BY_CERTIFICATE);
    assert!(answer.unwrap_err().to_string().contains("`resource`"), "{answer:?}");
    assert_eq!(world.connections(world.apache.port()), 0, "nothing was sent");
}
