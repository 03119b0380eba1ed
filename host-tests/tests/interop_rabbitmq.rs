//! The device at Debian's RabbitMQ, with JWTs of npm's oidc-provider as MQTT passwords and with its certificate alone.

use device_sdk::net::mqtt::Qos;
use device_sdk::{Error, SideMemory};
use host_tests::bench_device::{BenchDevice, NAME, Rig, RigOptions, TOPIC};
use host_tests::broker::OBSERVER;
use host_tests::ca::{DAY, Identity, Validity};
use host_tests::oauth::jwk::Jwk;
use host_tests::oidc_provider::{OidcProvider, OidcProviderOptions, SECRET, clients};
use host_tests::rabbitmq::RabbitMq;
use host_tests::subscriber::{Subscriber, client_config};
use identity_core::config::Secret;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, KeyId, Source};
use identity_core::session::{MqttVersion, Mtls, Present, TokenSession};
use rustls::{ClientConnection, StreamOwned};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Resources of the provider: the broker, whose tokens carry `aud` rabbitmq, and another one.
const BROKER: &str = "https://mqtt.plant.example";
const ELSEWHERE: &str = "https://other.plant.example";
/// What it takes to publish there; RabbitMQ writes the levels of a topic with dots.
const OWN: &str = "rabbitmq.write:*/amq.topic/devices.pump-7.*";
/// The same, and what it takes to subscribe: each MQTT client has a queue of its own.
const OWN_BOTH_WAYS: &str = "rabbitmq.write:*/amq.topic/devices.pump-7.* rabbitmq.read:*/amq.topic/devices.pump-7.* \
     rabbitmq.configure:*/mqtt-subscription-pump-7* rabbitmq.write:*/mqtt-subscription-pump-7* \
     rabbitmq.read:*/mqtt-subscription-pump-7*";
/// Topic of another device.
const OTHERS: &str = "devices/pump-8/flow";
/// Seconds a token is good for.
const LIFETIME: u64 = 8;
const SOON: Duration = Duration::from_secs(5);

struct World {
    rig: Rig,
    provider: OidcProvider,
    rabbit: RabbitMq,
    observer: Identity,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl World {
    /// None, said aloud, if a server is not installed.
    fn start() -> Option<Self> {
        if !OidcProvider::available() || !RabbitMq::available() {
            assert!(std::env::var_os("CI").is_none(), "install RabbitMQ and oidc-provider: cargo xtask setup");
            eprintln!("skipped: cargo xtask setup installs RabbitMQ and oidc-provider");
            return None;
        }
        let rig = Rig::enrolled(&RigOptions { haste: 1, ..RigOptions::default() });
        let certificate = rig.plant.est().enrolments()[0].certificate.clone();
        let options = OidcProviderOptions {
            clients: clients(&Jwk::of_certificate(&certificate).unwrap().json(), &certificate, "CN=pump-7"),
            resources: vec![(BROKER, OWN_BOTH_WAYS), (ELSEWHERE, OWN)],
            audiences: vec![(BROKER, "rabbitmq")],
            lifetime: LIFETIME,
            ..OidcProviderOptions::default()
        };
        let provider = OidcProvider::at(&rig.plant, &options).unwrap();
        let rabbit = RabbitMq::start(&rig.plant, &provider, &[NAME]).unwrap_or_else(|why| panic!("{why}"));
        let observer = rig.plant.est().ca.client(OBSERVER, Validity::starting(rig.plant.now(), DAY));
        Some(Self { rig, provider, rabbit, observer })
    }

    fn source(&self) -> ClientCredentials {
        Source {
            issuer: leak(self.provider.issuer()),
            client_id: ClientId::Fixed("private_key_jwt"),
            client_auth: ClientAuth::PrivateKeyJwt(KeyId::None),
            scope: OWN,
            resource: &[BROKER],
            ..ClientCredentials::DEFAULT
        }
    }

    fn with_token(&self, source: ClientCredentials) -> BenchDevice {
        let session = TokenSession {
            host: "mqtt.plant.example",
            port: self.rabbit.port(),
            version: MqttVersion::V311,
            client_id: None,
            present: Present::Password { user_name: None },
            certificate: false,
            alpn: &[],
            keep_alive: 60,
        };
        self.rig.boot_as(Some(leak(source)), leak(session))
    }

    fn with_certificate(&self, version: MqttVersion) -> BenchDevice {
        let (host, port) = ("mqtt.plant.example", self.rabbit.port());
        let session = Mtls { host, port, version, client_id: None, alpn: &[], keep_alive: 60 };
        self.rig.boot_as(None, leak(session))
    }

    fn subscribe(&self) -> Subscriber {
        let tls = client_config(self.rig.plant.root(), Some(&self.observer));
        Subscriber::start(self.rabbit.port(), tls, OBSERVER, "devices/#").unwrap()
    }

    /// Goes online and publishes once.
    fn publish(&self, device: &mut BenchDevice, topic: &str) -> Result<(), Error> {
        let work = async {
            let mut link = device.online().await?;
            link.publish(topic, topic.as_bytes()).await?;
            link.disconnect().await
        };
        self.rig.time(work).result
    }

    fn log_has(&self, words: &str) -> bool {
        self.rabbit.log().iter().any(|line| line.contains(words))
    }

    /// The answer to a log-in with this token by a client made by hand: 0, or why not (MQTT 3.1.1 §3.2.2.3).
    fn by_hand(&self, token: &str) -> u8 {
        let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
        let rest = [&text("MQTT")[..], &[4, 0xC2, 0, 60], &text("by hand"), &text("pump-7"), &text(token)].concat();
        let length = [0x80 | (rest.len() % 128) as u8, (rest.len() / 128) as u8];
        let tcp = TcpStream::connect(("127.0.0.1", self.rabbit.port())).unwrap();
        let config = client_config(self.rig.plant.root(), None);
        let tls = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        stream.write_all(&[&[0x10], &length[..], &rest].concat()).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..2], [0x20, 2]);
        answer[3]
    }

    /// Connections to the provider so far; the device opens one for each token.
    fn fetches(&self) -> usize {
        let port = self.provider.port();
        self.rig.net.asked().iter().filter(|asked| asked.1 == port).count()
    }
}

#[test]
fn a_device_at_rabbitmq() {
    let Some(world) = World::start() else { return };
    type Case = (&'static str, fn(&World));
    let cases: [Case; 6] = [
        ("a token as password opens the device's own topic only", own_topic_only),
        ("a token opens the device's own commands only", own_commands_only),
        ("a token for another server is refused, and fetched anew once", wrong_audience),
        ("expiry is crossed with one socket", expiry_with_one_socket),
        ("expiry is crossed with two sockets", expiry_with_two_sockets),
        ("the certificate alone opens the device's own topic only", certificate_alone),
    ];
    for (name, case) in cases {
        let from = Instant::now();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        println!("{name}: {} ms", from.elapsed().as_millis());
        let log = world.rabbit.log();
        run.unwrap_or_else(|_| panic!("{name}; RabbitMQ logged:\n{}", log[log.len() - 20..].join("\n")));
    }
}

fn own_topic_only(world: &World) {
    only_own(world, &mut world.with_token(world.source()));
    // RabbitMQ does not look at `cnf`, so a token that is bound to the certificate serves too
    let (client_id, client_auth) = (ClientId::Fixed("tls_client_auth"), ClientAuth::Certificate);
    only_own(world, &mut world.with_token(Source { client_id, client_auth, ..world.source() }));
    assert!(world.log_has("access to topic 'devices.pump-8.flow' in exchange 'amq.topic' in vhost '/' refused"));
}

fn own_commands_only(world: &World) {
    let mut device = world.with_token(Source { scope: OWN_BOTH_WAYS, ..world.source() });
    let commands = world.subscribe();
    let work = async {
        let mut link = device.online().await?;
        link.subscribe("devices/pump-7/set", Qos::AtLeastOnce).await?;
        commands.publish("devices/pump-7/set", b"on").unwrap();
        let until = link.now().after_seconds(5);
        let command = link.next(until).await?.map(|message| message.payload.to_vec());
        let refused = link.subscribe("devices/pump-8/set", Qos::AtLeastOnce).await;
        Ok((command, refused))
    };
    let (command, refused) = world.rig.time(work).result.unwrap();
    assert_eq!(command.as_deref(), Some(&b"on"[..]));
    assert!(matches!(refused, Err(Error::Closed { .. })), "{refused:?}");
}

fn certificate_alone(world: &World) {
    only_own(world, &mut world.with_certificate(MqttVersion::V311));
    // RabbitMQ before 3.13 does not speak version 5, and closes without an answer
    let error = world.publish(&mut world.with_certificate(MqttVersion::V5), TOPIC).unwrap_err();
    assert!(error.to_string().contains("`version`"), "{error}");
    // a certificate of the plant whose name is no user
    let stranger = world.rig.plant.birth("pump-9");
    let tls = client_config(world.rig.plant.root(), Some(&stranger));
    assert!(Subscriber::start(world.rabbit.port(), tls, "pump-9", "devices/#").is_err());
}

/// Its own topic is taken and delivered; at another's the broker drops the connection, and the login stays good.
fn only_own(world: &World, device: &mut BenchDevice) {
    let subscriber = world.subscribe();
    world.publish(device, TOPIC).unwrap();
    assert_eq!(subscriber.receive(SOON).expect("delivered").topic, TOPIC);
    let fetches = world.fetches();
    let error = world.publish(device, OTHERS).unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    world.publish(device, TOPIC).unwrap();
    assert_eq!(subscriber.receive(SOON).expect("delivered").topic, TOPIC, "{OTHERS} was not delivered");
    assert_eq!(world.fetches(), fetches, "what was refused was not the token");
}

fn wrong_audience(world: &World) {
    let source = world.source();
    let (client_id, client_auth) =
        (ClientId::Fixed("client_secret_basic"), ClientAuth::SecretBasic(Secret::new(SECRET)));
    let mut device = world.with_token(Source { client_id, client_auth, resource: &[ELSEWHERE], ..source });
    let before = world.fetches();
    let mut refused = || {
        let error = world.publish(&mut device, TOPIC).unwrap_err();
        assert!(matches!(error, Error::Broker { what: "CONNECT", reason: 4 | 5, .. }), "{error}");
        world.fetches() - before
    };
    assert_eq!([refused(), refused()], [1, 2], "a second token is fetched at once");
    let from = world.rig.clock.ms();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(world.fetches() - before, 2, "the third has to wait");
            world.rig.clock.skip_seconds(60);
        });
        assert_eq!(refused(), 3);
    });
    assert!(world.rig.clock.ms() - from > 60_000);
    assert!(world.log_has("MQTT login failed for user 'pump-7'"));
}

fn expiry_with_one_socket(world: &World) {
    expiry(world, &mut world.with_token(world.source()));
}

fn expiry_with_two_sockets(world: &World) {
    let side: &'static mut SideMemory = Box::leak(Box::new(SideMemory::new()));
    let device = world.with_token(world.source());
    expiry(world, &mut device.with_second_socket(world.rig.net.clone(), side));
}

/// Numbers published through the life of two tokens and into a third's: every one arrives.
fn expiry(world: &World, device: &mut BenchDevice) {
    let subscriber = world.subscribe();
    let token = async { device.token("").await.map(|token| token.secret.reveal().to_owned()) };
    let first = world.rig.time(token).result.unwrap();
    assert_eq!(world.by_hand(&first), 0);
    let (fetches, until) = (world.fetches(), Instant::now() + Duration::from_secs(2 * LIFETIME));
    let (mut number, mut links) = (0_u32, 0);
    let work = async {
        while Instant::now() < until {
            let mut link = device.online().await?;
            links += 1;
            loop {
                match link.publish(TOPIC, number.to_string().as_bytes()).await {
                    Ok(()) => number += 1,
                    Err(Error::Due) => break,
                    Err(error) => return Err(error),
                }
                if Instant::now() >= until {
                    break;
                }
                let next = link.now().after_ms(100);
                match link.next(next).await {
                    Ok(_) => {}
                    Err(Error::Due) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    };
    world.rig.time(work).result.unwrap();
    let mut missing: BTreeSet<u32> = (0..number).collect();
    let mut received = 0;
    while let Some(message) = subscriber.receive(if missing.is_empty() { Duration::ZERO } else { SOON }) {
        missing.remove(&String::from_utf8(message.payload).unwrap().parse().unwrap());
        received += 1;
    }
    let fetched = world.fetches() - fetches;
    println!("{number} numbers over {links} links with {fetched} tokens, {received} received");
    assert!(missing.is_empty(), "lost: {missing:?}");
    assert!(number > 40 && links >= 3 && fetched >= 2, "{number} numbers, {links} links, {fetched} tokens");
    assert_eq!(world.by_hand(&first), 4, "the first token is over, for the broker too");
}
