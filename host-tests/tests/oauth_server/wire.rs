//! A whole plant over TLS: tokens by certificate, an API, and MQTT with tokens, packets written by hand.

use crate::client::{JWT_ASSERTION, Key, basic, form, unique};
use host_tests::broker::ReauthFault;
use host_tests::broker_auth::TokenLogin;
use host_tests::ca::{Ca, CaOptions, DAY, Identity, Validity};
use host_tests::events::Event;
use host_tests::http::HttpRequest;
use host_tests::https_client::send;
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::resource::ResourceOptions;
use host_tests::oauth::{AuthOptions, Client, Credential, Subject};
use host_tests::plant::{BrokerKind, Plant, PlantOptions};
use host_tests::subscriber::client_config;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

type Tls = StreamOwned<ClientConnection, TcpStream>;

struct World {
    plant: Plant,
    clock: Arc<AtomicU64>,
    key: Key,
}

fn world() -> World {
    world_with(TokenLogin::default())
}

fn world_with(login: TokenLogin) -> World {
    let system = host_tests::server::system_clock();
    let clock = Arc::new(AtomicU64::new(system()));
    let (now, key) = (clock.clone(), Key::new());
    let jwk = Jwk::read(key.jwk().as_object().unwrap()).unwrap();
    let clients = vec![
        Client::new("pump-7", Credential::Keys(vec![jwk])),
        Client::new("pump-8", Credential::Tls(Subject::Name("CN=pump-8".into()))).certificate_bound(),
        Client::new("pump-9", Credential::Basic("secret".into())),
    ];
    let auth = AuthOptions { issuer: "https://localhost/pumps".into(), clients, ..AuthOptions::default() };
    let resource = ResourceOptions { url: "https://localhost".into(), ..ResourceOptions::default() };
    let plant = Plant::start(PlantOptions {
        auth: Some(auth),
        resource: Some(resource),
        token_login: Some(login),
        clock: Arc::new(move || now.load(Ordering::Relaxed)),
        ..PlantOptions::default()
    });
    World { plant: plant.expect("a plant"), clock, key }
}

impl World {
    fn connect(&self, port: u16, identity: Option<&Identity>) -> Tls {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        let config = client_config(self.plant.root(), identity);
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(config, name).unwrap(), tcp)
    }

    fn http(&self, port: u16, identity: Option<&Identity>, request: &HttpRequest) -> (u16, Value) {
        let response = send(port, self.plant.root(), identity, request).unwrap();
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
    }

    fn post(&self, identity: Option<&Identity>, request: &HttpRequest) -> (u16, Value) {
        self.http(self.plant.auth_port(), identity, request)
    }

    /// A token of pump-7, by private_key_jwt.
    fn token(&self, scope: &str) -> String {
        let issuer = self.plant.auth().options.issuer.clone();
        let exp = self.clock.load(Ordering::Relaxed) + 60;
        let claims = json!({ "iss": "pump-7", "sub": "pump-7", "aud": issuer, "jti": unique(), "exp": exp });
        let assertion = self.key.jws(&json!({ "alg": "ES256" }), &claims);
        let pairs = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", JWT_ASSERTION),
            ("client_assertion", assertion.as_str()),
        ];
        let (status, reply) = self.post(None, &form("/pumps/token", &pairs));
        assert_eq!(status, 200, "{reply}");
        reply["access_token"].as_str().unwrap().to_owned()
    }

    fn mqtt(&self, connect: &[u8]) -> Tls {
        let mut tls = self.connect(self.plant.broker_port(), None);
        tls.write_all(connect).unwrap();
        tls
    }
}

fn field(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes()[..], octets].concat()
}

fn packet(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut length = rest.len();
    while length > 0x7F {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [&out[..], rest].concat()
}

/// A property length of two octets, so that a token fits.
fn properties(list: &[u8]) -> Vec<u8> {
    [&[list.len() as u8 | 0x80, (list.len() >> 7) as u8][..], list].concat()
}

fn method_and_data(method: &str, data: &str) -> Vec<u8> {
    properties(&[&[0x15][..], &field(method.as_bytes()), &[0x16], &field(data.as_bytes())].concat())
}

fn connect4(password: &str) -> Vec<u8> {
    let head = [&field(b"MQTT")[..], &[4, 0xC2, 0, 60]].concat();
    packet(0x10, &[head, field(b"c-7"), field(b"anybody"), field(password.as_bytes())].concat())
}

fn connect5(method: &str, data: &str) -> Vec<u8> {
    let head = [&field(b"MQTT")[..], &[5, 0x02, 0, 60]].concat();
    packet(0x10, &[head, method_and_data(method, data), field(b"c-7")].concat())
}

/// The next packet: type and rest.
fn read(tls: &mut Tls) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    tls.read_exact(&mut head).expect("a packet");
    assert!(head[1] < 0x80, "short packets only");
    let mut rest = vec![0; head[1].into()];
    tls.read_exact(&mut rest).unwrap();
    (head[0], rest)
}

fn ended(tls: &mut Tls) {
    assert_eq!(tls.read(&mut [0; 1]).expect("an end"), 0);
}

#[test]
fn certificate_bound_tokens_over_tls() {
    let world = world();
    let port = world.plant.auth_port();
    let (status, metadata) = world.http(port, None, &HttpRequest::get("/.well-known/oauth-authorization-server/pumps"));
    assert_eq!((status, &metadata["issuer"]), (200, &json!(format!("https://localhost:{port}/pumps"))));
    assert_eq!(metadata["token_endpoint"], format!("https://localhost:{port}/pumps/token"));

    let pump = world.plant.birth("pump-8");
    let pairs = [
        ("grant_type", "client_credentials"),
        ("scope", "api:read"),
        ("resource", "https://api.plant.example"),
        ("client_id", "pump-8"),
    ];
    assert_eq!(world.post(None, &form("/pumps/token", &pairs)).0, 401);
    let own =
        Ca::with(world.plant.now(), &CaOptions::default()).client("pump-8", Validity::starting(world.plant.now(), DAY));
    assert_eq!(world.post(Some(&own), &form("/pumps/token", &pairs)).0, 401); // the handshake takes it, the server does not believe it
    let (status, reply) = world.post(Some(&pump), &form("/pumps/token", &pairs));
    assert_eq!(status, 200, "{reply}");
    let call = |identity: Option<&Identity>| {
        let token = reply["access_token"].as_str().unwrap();
        let request = HttpRequest::get("/flow").with("Authorization", &format!("Bearer {token}"));
        world.http(world.plant.resource_port(), identity, &request).0
    };
    assert_eq!((call(Some(&pump)), call(None), call(Some(&world.plant.birth("pump-8")))), (200, 401, 401));

    let events: Vec<Event> = world.plant.events().all().into_iter().map(|(_, event)| event).collect();
    let token = |wanted: u16| {
        events.iter().any(|event| matches!(event, Event::Token { grant, status, .. } if grant == "client_credentials" && *status == wanted))
    };
    assert!(token(200) && token(401));
    assert!(
        events.iter().any(
            |event| matches!(event, Event::Resource { scheme: Some(scheme), status: 200, .. } if scheme == "Bearer")
        )
    );
}

#[test]
fn a_token_as_mqtt_password() {
    let world = world();
    let token = world.token("mqtt:publish");
    let mut tls = world.mqtt(&connect4(&token));
    assert_eq!(read(&mut tls), (0x20, vec![0, 0]));
    for (topic, wanted) in [("devices/pump-7/flow", true), ("devices/pump-8/flow", false)] {
        tls.write_all(&packet(0x32, &[field(topic.as_bytes()), vec![0, 9, b'1']].concat())).unwrap();
        assert_eq!(read(&mut tls), (0x40, vec![0, 9])); // 3.1.1 cannot say no
        let seen = |event: &Event| matches!(event, Event::Published { topic: seen, allowed, .. } if seen == topic && *allowed == wanted);
        assert!(world.plant.events().wait_for(SOON, seen).is_some(), "{topic}");
    }
    tls.write_all(&packet(0x82, &[vec![0, 8], field(b"devices/pump-7/#"), vec![1]].concat())).unwrap();
    assert_eq!(read(&mut tls), (0x90, vec![0, 8, 0x80])); // the scope is missing
    world.clock.fetch_add(300, Ordering::Relaxed);
    ended(&mut tls);
    let expired = |event: &Event| matches!(event, Event::TokenExpired { name } if name == "pump-7");
    assert!(world.plant.events().wait_for(SOON, expired).is_some());
    let mut late = world.mqtt(&connect4(&token));
    assert_eq!(read(&mut late), (0x20, vec![0, 5]));

    for (scope, resource) in [("api:read", "https://api.plant.example"), ("mqtt:publish", "https://mqtt.plant.example")]
    {
        let pairs = [("grant_type", "client_credentials"), ("scope", scope), ("resource", resource)];
        let request = form("/pumps/token", &pairs).with("Authorization", &basic("pump-9", "secret"));
        let (status, reply) = world.post(None, &request);
        assert_eq!(status, 200, "{reply}");
        let mut tls = world.mqtt(&connect4(reply["access_token"].as_str().unwrap()));
        let code = if scope == "api:read" { 5 } else { 0 }; // a token for someone else is no token
        assert_eq!(read(&mut tls), (0x20, vec![0, code]), "{scope}");
    }
    let mut none = world.mqtt(&packet(0x10, &[&field(b"MQTT")[..], &[4, 2, 0, 60], &field(b"c-7")].concat()));
    assert_eq!(read(&mut none), (0x20, vec![0, 5]));
}

#[test]
fn a_bound_token_needs_what_it_is_bound_to() {
    let world = world();
    let (pump, other) = (world.plant.birth("pump-8"), world.plant.birth("pump-8"));
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish"), ("client_id", "pump-8")];
    let (status, reply) = world.post(Some(&pump), &form("/pumps/token", &pairs));
    assert_eq!(status, 200, "{reply}");
    let token = reply["access_token"].as_str().unwrap();
    for (identity, code) in [(Some(&pump), 0), (Some(&other), 5), (None, 5)] {
        let mut tls = world.connect(world.plant.broker_port(), identity);
        tls.write_all(&connect4(token)).unwrap();
        assert_eq!(read(&mut tls), (0x20, vec![0, code]));
    }
    let url = format!("https://localhost:{}/pumps/token", world.plant.auth_port());
    let proof = world.key.proof_with(world.plant.now(), "POST", &url, |_, _| {});
    let request = form("/pumps/token", &pairs[..2]).with("Authorization", &basic("pump-9", "secret"));
    let (status, reply) = world.post(None, &request.with("DPoP", &proof));
    assert_eq!((status, &reply["token_type"]), (200, &json!("DPoP")), "{reply}");
    let mut tls = world.mqtt(&connect4(reply["access_token"].as_str().unwrap()));
    assert_eq!(read(&mut tls), (0x20, vec![0, 5]));
}

#[test]
fn the_user_name_that_is_wanted() {
    let world = world_with(TokenLogin { user: Some("oauth".into()), ..TokenLogin::default() });
    let token = world.token("mqtt:publish");
    for (level, user, answer) in
        [(4, "oauth", vec![0, 0]), (4, "other", vec![0, 5]), (5, "oauth", vec![]), (5, "", vec![])]
    {
        // MQTT 5 §3.1.2.9: a password without user name is allowed
        let flags = if user.is_empty() { 0x42 } else { 0xC2 };
        let mut connect = [&field(b"MQTT")[..], &[level, flags, 0, 60]].concat();
        connect.extend(if level == 5 { vec![0] } else { vec![] });
        connect.extend(field(b"c-7"));
        connect.extend(if user.is_empty() { vec![] } else { field(user.as_bytes()) });
        connect.extend(field(token.as_bytes()));
        let (kind, connack) = read(&mut world.mqtt(&packet(0x10, &connect)));
        assert_eq!(kind, 0x20);
        match level {
            4 => assert_eq!(connack, answer, "{user}"),
            _ => assert_eq!(connack[1], if user.is_empty() { 0x87 } else { 0 }, "{user}"),
        }
    }
}

#[test]
fn mosquitto_is_not_asked_for_what_it_cannot() {
    let options = PlantOptions {
        broker: BrokerKind::Mosquitto,
        auth: Some(AuthOptions::default()),
        token_login: Some(TokenLogin::default()),
        ..PlantOptions::default()
    };
    assert_eq!(Plant::start(options).err().as_deref(), Some("mosquitto takes no tokens"));
    let options = PlantOptions { token_login: Some(TokenLogin::default()), ..PlantOptions::default() };
    assert!(Plant::start(options).is_err());
}

#[test]
fn mutual_tls_stays() {
    let world = world();
    let subscriber = world.plant.subscribe("devices/#").unwrap();
    let mut tls = world.mqtt(&connect4(&world.token("mqtt:publish")));
    assert_eq!(read(&mut tls), (0x20, vec![0, 0]));
    tls.write_all(&packet(0x30, &[field(b"devices/pump-7/flow"), b"1".to_vec()].concat())).unwrap();
    assert_eq!(subscriber.receive(SOON).unwrap().payload, b"1");
}

#[test]
fn enhanced_authentication() {
    for method in ["OAUTH2-JWT", "plant-token"] {
        let world = world();
        let mut tls = world.mqtt(&connect5(method, &world.token("mqtt:publish")));
        let (kind, connack) = read(&mut tls);
        assert_eq!((kind, connack[1]), (0x20, 0));
        let told = [&[0x15][..], &field(method.as_bytes())].concat();
        assert!(connack.windows(told.len()).any(|window| window == told), "MQTT 5 §4.12: CONNACK names the method");

        world.clock.fetch_add(200, Ordering::Relaxed);
        let again = |token: &str| packet(0xF0, &[&[0x19][..], &method_and_data(method, token)].concat());
        tls.write_all(&again(&world.token("mqtt:publish"))).unwrap();
        let (kind, auth) = read(&mut tls);
        assert_eq!((kind, auth[0], &auth[2..]), (0xF0, 0, &told[..]));
        world.clock.fetch_add(200, Ordering::Relaxed); // past the end of the first token
        tls.write_all(&[0xC0, 0]).unwrap();
        assert_eq!(read(&mut tls), (0xD0, vec![]));
        world.clock.fetch_add(100, Ordering::Relaxed); // and of the second
        let (kind, disconnect) = read(&mut tls);
        assert_eq!((kind, disconnect[0]), (0xE0, 0x87));
        ended(&mut tls);
    }
}

#[test]
fn enhanced_authentication_refused() {
    let world = world();
    let good = world.token("mqtt:publish");
    for (method, data, code) in
        [("SCRAM-SHA-1", good.as_str(), 0x8C), ("OAUTH2-JWT", "a.b.c", 0x87), ("OAUTH2-JWT", "", 0x87)]
    {
        let (kind, connack) = read(&mut world.mqtt(&connect5(method, data)));
        assert_eq!((kind, connack[1]), (0x20, code), "{method}");
    }
    assert!(world.plant.events().wait_for(SOON, |event| matches!(event, Event::LoginRefused { .. })).is_some());

    let attempt = |again: &[u8]| {
        let mut tls = world.mqtt(&connect5("OAUTH2-JWT", &good));
        assert_eq!(read(&mut tls).1[1], 0);
        tls.write_all(again).unwrap();
        let (kind, disconnect) = read(&mut tls);
        assert_eq!(kind, 0xE0);
        ended(&mut tls);
        disconnect[0]
    };
    let auth = |reason: u8, method: &str, token: &str| {
        packet(0xF0, &[&[reason][..], &method_and_data(method, token)].concat())
    };
    assert_eq!(attempt(&auth(0x19, "OAUTH2-JWT", "a.b.c")), 0x87);
    assert_eq!(attempt(&auth(0x19, "plant-token", &good)), 0x82); // MQTT 5 §4.12.1: the method stays
    assert_eq!(attempt(&auth(0x18, "OAUTH2-JWT", &good)), 0x82);
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    let request = form("/pumps/token", &pairs).with("Authorization", &basic("pump-9", "secret"));
    let (_, other) = world.post(None, &request);
    let other = other["access_token"].as_str().unwrap();
    assert_eq!(attempt(&auth(0x19, "OAUTH2-JWT", other)), 0x87); // someone else's
    let broker = world.plant.broker().unwrap();
    broker.set_reauth_fault(Some(ReauthFault::Refuse));
    assert_eq!(attempt(&auth(0x19, "OAUTH2-JWT", &good)), 0x87);
    broker.set_reauth_fault(Some(ReauthFault::Ignore));
    let mut tls = world.mqtt(&connect5("OAUTH2-JWT", &good));
    assert_eq!(read(&mut tls).1[1], 0);
    tls.write_all(&[&auth(0x19, "OAUTH2-JWT", &good)[..], &[0xC0, 0]].concat()).unwrap();
    assert_eq!(read(&mut tls), (0xD0, vec![])); // no AUTH before it
}
