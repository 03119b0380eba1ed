//! A desktop device against a whole plant over real sockets: certificate by EST, token by OAuth, broker by token.

use std::time::Duration;

use device_sdk::clock::std_clock::block_on;
use device_sdk::net::std_net::StdNet;
use device_sdk::{Config, Device, Error, Memory, SideMemory};
use host_tests::broker_auth::{ReauthFault, TokenLogin};
use host_tests::est_options::{EstOptions, Grant};
use host_tests::events::Event;
use host_tests::oauth::resource::{ResourceFault, ResourceOptions};
use host_tests::oauth::{AuthFault, AuthOptions, Client, Credential, Endpoint, Resource, Subject};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator::{self, SECRET, USER};
use identity_core::error::Error as CoreError;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId, OauthCode, TokenSource};
use identity_core::session::{MqttVersion, Present, TokenSession};

const WAIT: Duration = Duration::from_secs(5);
const MQTT: &str = "https://mqtt.plant.example";

/// A plant whose tokens live for so many seconds, and which believes certificates of its own authority.
fn plant(lifetime: u64, login: TokenLogin) -> Plant {
    let est = EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..EstOptions::default() };
    let auth = AuthOptions {
        issuer: "https://localhost".into(),
        access_lifetime: lifetime,
        clients: vec![Client::new(
            "pump-7",
            Credential::Chain(Subject::Name("CN=pump-7,OU=Pumps,O=Plant Example".into())),
        )],
        resources: vec![
            Resource::jwt(MQTT, &["mqtt:publish", "mqtt:subscribe"]),
            Resource::jwt("https://localhost", &["read"]),
        ],
        ..AuthOptions::default()
    };
    let options = PlantOptions {
        est,
        auth: Some(auth),
        resource: Some(ResourceOptions { url: "https://localhost".into(), ..ResourceOptions::default() }),
        token_login: Some(login),
        ..PlantOptions::default()
    };
    Plant::start(options).expect("a plant")
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn issuer(plant: &Plant) -> &'static str {
    plant.auth().options.issuer.clone().leak()
}

fn source(plant: &Plant) -> ClientCredentials {
    ClientCredentials {
        issuer: issuer(plant),
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Certificate),
        scope: "mqtt:publish mqtt:subscribe",
        resource: &[MQTT],
        ..ClientCredentials::DEFAULT
    }
}

fn config(plant: &Plant, source: &'static dyn TokenSource, version: MqttVersion, present: Present) -> &'static Config {
    let mut config = *simulator::config(plant, "pump-7", version);
    config.identity.profile.token = Some(source);
    config.identity.profile.session = leak(TokenSession {
        host: "localhost",
        port: plant.broker_port(),
        version,
        client_id: None,
        present,
        certificate: false,
        alpn: &[],
        keep_alive: 30,
    });
    leak(config)
}

/// Publishes numbered messages over links that are opened again when they end, for `seconds`; how many, and how many links.
async fn publish<K, S, N, C>(device: &mut Device<'_, K, S, N, C>, seconds: u64) -> (u32, u32)
where
    K: device_sdk::ports::KeyStore,
    S: device_sdk::ports::Store,
    N: device_sdk::ports::Net,
    C: device_sdk::ports::Clock,
{
    let (mut sent, mut links, mut until) = (0, 0, None);
    loop {
        let mut link = match device.online().await {
            Ok(link) => link,
            Err(error) => panic!("{error}"),
        };
        links += 1;
        let until = *until.get_or_insert(link.now().after_seconds(seconds));
        loop {
            if link.now() >= until {
                link.disconnect().await.expect("an orderly end");
                return (sent, links);
            }
            if link.publish("devices/pump-7/flow", format!("{sent}").as_bytes()).await.is_err() {
                break;
            }
            sent += 1;
            if link.next(link.now().after_ms(100)).await.is_err() {
                break;
            }
        }
    }
}

fn crosses_expiry(version: MqttVersion, present: Present, second_socket: bool) -> (u32, Plant) {
    let plant = plant(6, TokenLogin::default());
    let scratch = Scratch::new();
    let subscriber = plant.subscribe("devices/#").expect("a subscription");
    let config = config(&plant, leak(source(&plant)), version, present);
    let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
    let (mut memory, mut side): (Memory<6144, 8192>, SideMemory) = (Memory::new(), SideMemory::new());
    let mut device = Device::new(config, &mut memory, board);
    if second_socket {
        device = device.with_second_socket(StdNet, &mut side);
    }
    let (sent, links) = block_on(publish(&mut device, 14));
    assert!(sent > 70, "{sent}");
    let mut wanted = 0;
    while wanted < sent {
        let message = subscriber.receive(WAIT).unwrap_or_else(|| panic!("{wanted} of {sent}"));
        let number: u32 = String::from_utf8_lossy(&message.payload).parse().expect("a number");
        assert!(number <= wanted, "message {wanted} is lost");
        wanted = wanted.max(number + 1);
    }
    assert!(plant.auth().issued().len() <= 4, "{} tokens for 14 s of 6 s each", plant.auth().issued().len());
    assert_eq!(plant.est().enrolments().len(), 1);
    (links, plant)
}

#[test]
fn a_token_as_password_crosses_its_expiry_without_loss() {
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let (links, _) = crosses_expiry(version, Present::Password { user_name: None }, false);
        assert!((3..=4).contains(&links), "{links} links: one for each token");
    }
}

#[test]
fn a_new_token_is_fetched_beside_the_live_link_and_shown_on_it() {
    let (links, plant) = crosses_expiry(MqttVersion::V5, Present::Enhanced { method: "OAUTH2-JWT" }, true);
    assert_eq!(links, 1, "the link lives on");
    let events = plant.events().all();
    assert!(events.iter().filter(|(_, event)| matches!(event, Event::Reauthenticated { .. })).count() >= 2);
}

#[test]
fn without_a_second_socket_the_new_token_comes_with_the_next_link() {
    let (links, _) = crosses_expiry(MqttVersion::V5, Present::Enhanced { method: "plant-token" }, false);
    assert!((3..=4).contains(&links), "{links}");
}

#[test]
fn an_api_gets_the_token_with_a_proof_where_it_is_bound_and_refusals_are_mended_once() {
    for dpop in [false, true] {
        let plant = plant(300, TokenLogin::default());
        plant.resource().options.scopes = vec![("GET", "read"), ("POST", "read")];
        plant.resource().options.audience = "https://localhost".into();
        plant.resource().options.dpop_nonce = dpop.then_some(60);
        let scratch = Scratch::new();
        let api = leak(ClientCredentials { scope: "read", resource: &["https://localhost"], dpop, ..source(&plant) });
        let present = Present::Password { user_name: None };
        let config = config(&plant, api, MqttVersion::V5, present);
        let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
        let mut memory: Memory<6144, 8192> = Memory::new();
        let mut device = Device::new(config, &mut memory, board);
        let url = format!("https://localhost:{}/state?x=1", plant.resource_port());
        let mut body = [0; 1024];
        let answer = block_on(device.http().get(&url, &mut body)).expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&body[..answer.length]));
        let issued = plant.auth().issued().len();
        let posted = block_on(device.http().post(&url, "application/json", b"{}", &mut body)).expect("an answer");
        assert_eq!((posted.status, plant.auth().issued().len()), (200, issued), "the token is from RAM");
        // a token that is refused is fetched anew once
        plant.resource().inject(ResourceFault::InvalidToken, 1);
        let answer = block_on(device.http().get(&url, &mut body)).expect("an answer");
        assert_eq!((answer.status, plant.auth().issued().len()), (200, issued + 1));
        plant.resource().inject(ResourceFault::Empty(403), 1);
        assert_eq!(block_on(device.http().get(&url, &mut body)).expect("an answer").status, 403);
        // the token goes nowhere else
        let elsewhere = block_on(device.http().get("https://127.0.0.1:1/", &mut body));
        assert!(matches!(elsewhere, Err(Error::Core(CoreError::Misuse(_)))), "{elsewhere:?}");
        plant.resource().inject(ResourceFault::Redirect, 1);
        assert_eq!(block_on(device.http().get(&url, &mut body)).expect("an answer").status, 302);
    }
}

#[test]
fn a_person_lets_the_device_in_over_real_sockets() {
    let plant = plant(300, TokenLogin::default());
    plant.auth().options.device.interval = Some(1);
    plant.auth().add(Client::new("panel", Credential::Public));
    let scratch = Scratch::new();
    let login = leak(DeviceLogin {
        issuer: issuer(&plant),
        client_id: ClientId::Fixed("panel"),
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    let config = config(&plant, login, MqttVersion::V5, Present::Password { user_name: None });
    for boot in 1..=2 {
        let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
        let mut memory: Memory<6144, 8192> = Memory::new();
        let mut device = Device::new(config, &mut memory, board);
        let mut outcome = block_on(device.token("")).map(|_| ());
        assert_eq!(outcome.err(), (boot == 1).then_some(Error::Approval), "boot {boot}");
        if boot == 1 {
            let code = device.user_code().expect("a code").code.to_owned();
            assert!(plant.auth().approve(&code, "a person"));
            outcome = block_on(device.token("")).map(|_| ());
        }
        outcome.expect("a token");
    }
}

#[test]
fn refusals_say_who_refused_and_why() {
    let plant = plant(300, TokenLogin { audience: "https://other.example".into(), ..TokenLogin::default() });
    let scratch = Scratch::new();
    let config = config(&plant, leak(source(&plant)), MqttVersion::V5, Present::Password { user_name: None });
    let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
    let mut memory: Memory<6144, 8192> = Memory::new();
    let mut device = Device::new(config, &mut memory, board);
    // the authorization server says no
    plant.auth().inject(Endpoint::Token, AuthFault::Error(400, "invalid_scope"), 1);
    let denied = block_on(device.token("")).map(|_| ());
    let wanted = CoreError::Denied { by: "token request", code: OauthCode::InvalidScope };
    assert_eq!(denied, Err(Error::Core(wanted)));
    assert!(device.words().starts_with("invalid_scope"), "{}", device.words());
}

#[test]
fn a_broker_that_refuses_the_new_token_or_ignores_it_costs_the_link_and_nothing_else() {
    for fault in [ReauthFault::Refuse, ReauthFault::Ignore] {
        let plant = plant(8, TokenLogin::default());
        plant.broker().expect("ours").set_reauth_fault(Some(fault));
        let scratch = Scratch::new();
        let present = Present::Enhanced { method: "OAUTH2-JWT" };
        let config = config(&plant, leak(source(&plant)), MqttVersion::V5, present);
        let board = host::init(&scratch.path().join("flash.bin")).expect("a board");
        let (mut memory, mut side): (Memory<6144, 8192>, SideMemory) = (Memory::new(), SideMemory::new());
        let mut device = Device::new(config, &mut memory, board).with_second_socket(StdNet, &mut side);
        let (sent, links) = block_on(publish(&mut device, 12));
        assert!(sent > 20 && links > 1, "{fault:?}: {sent} messages over {links} links");
        assert!(plant.auth().issued().len() <= 6, "{fault:?}: {} tokens", plant.auth().issued().len());
    }
}
