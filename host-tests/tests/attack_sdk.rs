//! Attacks on tokens in the SDK, over real sockets: a link that breaks while the new token is shown, futures that are dropped
//! anywhere, and a reader of the log.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use device_sdk::clock::std_clock::block_on;
use device_sdk::{Config, Device, Memory, SideMemory};
use host_tests::broker_auth::TokenLogin;
use host_tests::est_options::{EstOptions, Grant};
use host_tests::http::Delivery;
use host_tests::log_lines;
use host_tests::oauth::resource::ResourceOptions;
use host_tests::oauth::{AuthFault, AuthOptions, Client, Credential, Endpoint, Resource, Subject};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::rig::{World, at_most, board};
use host_tests::server::{WallClock, system_clock};
use host_tests::simulator::{self, SECRET, USER};
use identity_core::oauth::{ClientAuth, ClientCredentials, KeyId};
use identity_core::session::{MqttVersion, Present, TokenSession};

const API: &str = "https://localhost";

/// A plant whose clock is so many seconds ahead.
fn plant(later: &Arc<AtomicU64>) -> Plant {
    let (later, system) = (later.clone(), system_clock());
    let clock: WallClock = Arc::new(move || system() + later.load(Ordering::Relaxed));
    let est = EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..EstOptions::default() };
    let subject = Subject::Name("CN=pump-7,OU=Pumps,O=Plant Example".into());
    let auth = AuthOptions {
        issuer: "https://localhost".into(),
        clients: vec![Client::new("pump-7", Credential::Chain(subject))],
        resources: vec![Resource::jwt(API, &["mqtt:publish", "read"])],
        ..AuthOptions::default()
    };
    let resource = ResourceOptions { url: API.into(), audience: API.into(), ..ResourceOptions::default() };
    let login = TokenLogin { audience: API.into(), ..TokenLogin::default() };
    let (auth, resource, token_login) = (Some(auth), Some(resource), Some(login));
    Plant::start(PlantOptions { est, auth, resource, token_login, clock, ..PlantOptions::default() }).expect("a plant")
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn config(plant: &Plant, dpop: bool) -> &'static Config {
    let mut config = *simulator::config(plant, "pump-7", MqttVersion::V5);
    config.identity.profile.token = Some(leak(ClientCredentials {
        issuer: plant.auth().options.issuer.clone().leak(),
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Certificate),
        scope: "mqtt:publish read",
        resource: &[API],
        dpop,
        ..ClientCredentials::DEFAULT
    }));
    config.identity.profile.session = leak(TokenSession {
        host: "localhost",
        port: plant.broker_port(),
        version: MqttVersion::V5,
        client_id: None,
        present: Present::Enhanced { method: "OAUTH2-JWT" },
        certificate: false,
        alpn: &[],
        keep_alive: 2,
    });
    leak(config)
}

#[test]
fn a_link_that_breaks_while_the_new_token_is_shown_does_not_cost_the_token() {
    let later = Arc::new(AtomicU64::new(0));
    let (plant, world) = (plant(&later), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let (mut memory, mut side): (Memory<6144, 8192>, SideMemory) = (Memory::new(), SideMemory::new());
    let other = board(&world).net;
    let mut device =
        Device::new(config(&plant, false), &mut memory, board(&world)).with_second_socket(other, &mut side);
    for round in 1..=3 {
        let mut link = block_on(device.online()).expect("a link");
        block_on(link.publish("devices/pump-7/flow", b"17")).expect("it works");
        assert_eq!(plant.auth().issued().len(), round, "the token of the last round is still good");
        // the network goes away, and then the token is renewed
        world.cut.set(world.connections.get());
        world.ahead.set(world.ahead.get() + 285);
        later.fetch_add(285, Ordering::Relaxed);
        let broken = block_on(link.publish("devices/pump-7/flow", b"18")).expect_err("the network is away");
        assert!(matches!(broken, device_sdk::Error::Closed { .. }), "{broken}");
    }
    assert_eq!(plant.auth().issued().len(), 4);
}

#[test]
fn an_authorization_server_that_trickles_does_not_cost_the_link() {
    let later = Arc::new(AtomicU64::new(0));
    let (plant, world) = (plant(&later), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let (mut memory, mut side): (Memory<6144, 8192>, SideMemory) = (Memory::new(), SideMemory::new());
    let other = board(&world).net;
    let mut device =
        Device::new(config(&plant, false), &mut memory, board(&world)).with_second_socket(other, &mut side);
    let mut link = block_on(device.online()).expect("a link");
    block_on(link.publish("devices/pump-7/flow", b"17")).expect("it works");
    // some 700 octets, in twice the time that the broker waits for a sign of life
    plant.auth().inject(Endpoint::Token, AuthFault::Delivery(Delivery::Trickle(8)), 1);
    world.ahead.set(world.ahead.get() + 275);
    later.fetch_add(275, Ordering::Relaxed);
    block_on(link.publish("devices/pump-7/flow", b"18")).expect("the link lives");
    assert_eq!(plant.auth().issued().len(), 2);
}

#[test]
fn a_token_that_is_asked_for_by_futures_that_are_dropped_comes_all_the_same() {
    let (plant, world) = (plant(&Arc::default()), Rc::new(World::default()));
    world.wall.set(Some(plant.now()));
    let mut memory: Memory<6144, 8192> = Memory::new();
    let mut device = Device::new(config(&plant, true), &mut memory, board(&world));
    let mut polls = 1;
    let token = loop {
        match block_on(at_most(polls, async { device.token("").await.map(|token| token.secret.reveal().to_owned()) })) {
            Some(Ok(token)) => break token,
            Some(Err(error)) => panic!("after {polls} polls: {error}"),
            None => polls += 1 + polls / 8,
        }
    };
    assert!(token.starts_with("eyJ"));
    assert_eq!(plant.est().enrolments().len(), 1);
    let refused: Vec<_> = plant.auth().served().iter().filter_map(|served| served.error.clone()).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn the_log_tells_no_secret() {
    log_lines::keep();
    let _ = log_lines::take();
    let (plant, world) = (plant(&Arc::default()), Rc::new(World::default()));
    plant.resource().options.scopes = vec![("GET", "read")];
    world.wall.set(Some(plant.now()));
    let mut memory: Memory<6144, 8192> = Memory::new();
    let mut device = Device::new(config(&plant, false), &mut memory, board(&world));
    let token = block_on(device.token("")).expect("a token").secret.reveal().to_owned();
    let url = format!("https://localhost:{}/state?hush=x", plant.resource_port());
    let answer = block_on(device.http().get(&url, &mut [0; 1024])).expect("an answer");
    assert_eq!(answer.status, 200);
    let mut link = block_on(device.online()).expect("a link");
    block_on(link.publish("devices/pump-7/flow", b"a hushed reading")).expect("it works");
    block_on(link.disconnect()).expect("an end");
    let text = log_lines::take().join("\n");
    assert!(text.contains("API") && text.contains("CONNECT"), "{text}");
    for secret in ["eyJ", SECRET, "hush", "assertion=", &token] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
