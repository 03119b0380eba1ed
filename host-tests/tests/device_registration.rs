//! A desktop device without a certificate against a plant over real sockets: it registers itself, and asks the authorization
//! server about its tokens and its registration.

use std::time::Duration;

use device_sdk::clock::std_clock::block_on;
use device_sdk::{Config, Device, Error, Memory};
use host_tests::broker_auth::TokenLogin;
use host_tests::oauth::resource::ResourceOptions;
use host_tests::oauth::{AuthFault, AuthOptions, Endpoint, Registration, Resource};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator;
use identity_core::enrol::Register;
use identity_core::error::Error as CoreError;
use identity_core::jose::jwk::KeySet;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, KeyId, OauthCode};
use identity_core::session::{MqttVersion, Present, TokenSession};

const MQTT: &str = "https://mqtt.plant.example";

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn plant() -> Plant {
    let auth = AuthOptions {
        issuer: "https://localhost".into(),
        resources: vec![
            Resource::jwt(MQTT, &["mqtt:publish", "mqtt:subscribe"]),
            Resource::jwt("https://localhost", &["read"]),
        ],
        registration: Registration::Open,
        ..AuthOptions::default()
    };
    Plant::start(PlantOptions {
        auth: Some(auth),
        resource: Some(ResourceOptions {
            url: "https://localhost".into(),
            audience: "https://localhost".into(),
            scopes: vec![("GET", "read")],
            ..ResourceOptions::default()
        }),
        token_login: Some(TokenLogin::default()),
        ..PlantOptions::default()
    })
    .expect("a plant")
}

fn config(plant: &Plant) -> &'static Config {
    let issuer: &'static str = plant.auth().options.issuer.clone().leak();
    let mut config = *simulator::config(plant, "pump-7", MqttVersion::V5);
    let profile = &mut config.identity.profile;
    profile.enrol = leak(Register { issuer, scope: "mqtt:publish mqtt:subscribe read", ..Register::DEFAULT });
    profile.token = Some(leak(ClientCredentials {
        issuer,
        client_id: ClientId::Registered,
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
        scope: "mqtt:publish mqtt:subscribe",
        resource: &[MQTT],
        ..ClientCredentials::DEFAULT
    }));
    profile.session = leak(TokenSession {
        host: "localhost",
        port: plant.broker_port(),
        version: MqttVersion::V5,
        client_id: None,
        present: Present::Password { user_name: None },
        certificate: false,
        alpn: &[],
        keep_alive: 30,
    });
    leak(config)
}

fn asked(plant: &Plant, request: &str) -> usize {
    plant.auth().served().iter().filter(|served| served.request.starts_with(request)).count()
}

#[test]
fn a_device_without_a_certificate_registers_publishes_rotates_its_key_and_leaves() {
    let (plant, scratch) = (plant(), Scratch::new());
    let config = config(&plant);
    let subscriber = plant.subscribe("devices/#").expect("a subscription");
    let mut ids = Vec::new();
    for boot in 0..2 {
        let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
        let mut memory: Memory<6144, 8192> = Memory::new();
        let mut device = Device::new(config, &mut memory, board);
        for turn in 0..2 {
            block_on(async {
                device.token("").await?;
                let topic = format!("devices/{}/flow", device.client_id().unwrap());
                let mut link = device.online().await?;
                link.publish(&topic, b"17").await?;
                link.disconnect().await
            })
            .unwrap_or_else(|error| panic!("boot {boot} turn {turn}: {error} {}", device.words()));
            assert!(subscriber.receive(Duration::from_secs(5)).is_some());
            ids.push(device.client_id().unwrap().to_owned());
            device.renew().unwrap();
        }
        block_on(device.registration()).expect("still known there");
        if boot == 1 {
            assert_eq!((asked(&plant, "POST /register"), asked(&plant, "PUT /register")), (1, 4));
            ids.dedup();
            assert_eq!(ids.len(), 1, "one client over two boots and five keys");
            block_on(device.unregister()).expect("the end");
            assert!(plant.auth().client(&ids[0]).is_none() && device.client_id().is_none());
            block_on(device.token("")).map(drop).expect("a token of a new client");
            assert_ne!(device.client_id(), Some(&*ids[0]));
        }
    }
}

#[test]
fn tokens_are_introspected_and_revoked_and_keys_fetched() {
    let (plant, scratch) = (plant(), Scratch::new());
    let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
    let mut memory: Memory<6144, 8192> = Memory::new();
    let mut device = Device::new(config(&plant), &mut memory, board);
    let found = block_on(device.introspect("")).expect("an answer");
    assert!(found.active && found.covers == Some(true), "{found:?}");
    let mut keys = [0; 1024];
    let octets = block_on(device.keys(&mut keys)).expect("keys");
    assert_eq!(KeySet::parse(&keys[..octets]).unwrap().keys().count(), 1);
    let short = block_on(device.keys(&mut keys[..7]));
    assert!(matches!(short, Err(Error::Core(CoreError::NoSpace { wanted, .. })) if wanted == octets));
    let issued = plant.auth().issued().len();
    block_on(device.revoke("")).expect("revoked");
    block_on(device.token("")).map(drop).expect("another");
    assert_eq!(plant.auth().issued().len(), issued + 1);
    // refusals have the server's words, and lose no token
    plant.auth().inject(Endpoint::Revocation, AuthFault::Error(400, "unsupported_token_type"), 1);
    let refused = block_on(device.revoke(""));
    let denied = matches!(refused, Err(Error::Core(CoreError::Denied { code: OauthCode::UnsupportedTokenType, .. })));
    assert!(denied && device.words().contains("injected"), "{refused:?} {}", device.words());
    // what the server calls dead is fetched anew
    plant.auth().inject(Endpoint::Introspection, AuthFault::Member("active", Some("false")), 1);
    assert!(!block_on(device.introspect("")).expect("an answer").active);
    block_on(device.token("")).map(drop).expect("another");
    assert_eq!(plant.auth().issued().len(), issued + 2);
    // a server that is away
    drop(plant);
    assert!(block_on(device.revoke("")).is_err());
    assert!(block_on(device.registration()).is_err());
    assert!(block_on(device.token("")).is_ok(), "the token at hand serves");
}
