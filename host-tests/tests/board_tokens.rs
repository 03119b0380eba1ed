//! The Cortex-M4 image in QEMU with access tokens: EST certificate → client authentication → JWT → broker or API.

use std::time::Duration;

use host_tests::broker::OBSERVER;
use host_tests::broker_auth::TokenLogin;
use host_tests::ca::{DAY, Validity};
use host_tests::est_options::{EstOptions, Grant};
use host_tests::events::Event;
use host_tests::oauth::resource::ResourceOptions;
use host_tests::oauth::{AuthOptions, Client, Credential, Resource, Subject};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::qemu::{Qemu, also, image, scenario};
use host_tests::rabbitmq::RabbitMq;
use host_tests::scratch::Scratch;
use host_tests::simulator::{SECRET, USER};
use host_tests::subscriber::{Subscriber, client_config};
use identity_core::session::MqttVersion;

/// The emulated board works at some tens of millions of instructions a second; CI shares its processor.
const WAIT: Duration = Duration::from_secs(120);
const NAME: &str = "pump-7";
const TOPIC: &str = "devices/pump-7/flow";
/// The subject that the device asks for, as RFC 4514 writes it.
const SUBJECT: &str = "CN=pump-7,OU=Pumps,O=Plant Example";
/// What tokens for the broker and for the API name as audience.
const MQTT: &str = "https://mqtt.plant.example";
const API: &str = "https://10.0.2.2/api";
/// Keys of a client that signs with the key of its certificate, and shows it.
const BY_KEY: &[(&str, &str)] = &[("token_client_auth", "private_key_jwt:x5c")];
/// Keys of a client that shows its certificate in TLS.
const BY_CERTIFICATE: &[(&str, &str)] = &[("token_client_auth", "tls_client_auth")];

/// A plant whose authorization server knows the device by a certificate of the plant's CA, and gives tokens for `lifetime`
/// seconds.
fn plant(client: Client, lifetime: u64) -> Plant {
    let auth = AuthOptions {
        issuer: "https://10.0.2.2".into(),
        mtls_base: Some("https://10.0.2.2/mtls".into()),
        clients: vec![client],
        resources: vec![Resource::jwt(MQTT, &["mqtt:publish"]), Resource::jwt(API, &["api:read"])],
        access_lifetime: lifetime,
        ..AuthOptions::default()
    };
    let est = EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..EstOptions::default() };
    let resource =
        ResourceOptions { url: "https://10.0.2.2".into(), audience: API.into(), ..ResourceOptions::default() };
    let (token_login, resource) = (Some(TokenLogin::default()), Some(resource));
    Plant::start(PlantOptions { est, auth: Some(auth), token_login, resource, ..PlantOptions::default() })
        .expect("a plant")
}

fn by_key() -> Client {
    Client::new(NAME, Credential::Chain(Subject::Name(SUBJECT.into())))
}

/// A device at a plant, and what it is to do beside the telemetry.
struct Bed {
    plant: Plant,
    scratch: Scratch,
    version: MqttVersion,
    keys: Vec<(&'static str, &'static str)>,
}

impl Bed {
    fn new(plant: Plant, version: MqttVersion, keys: &[&[(&'static str, &'static str)]]) -> Self {
        Self { plant, scratch: Scratch::new(), version, keys: keys.concat() }
    }

    /// Powers the board on for so many readings, or requests.
    fn boot(&self, program: &str, times: u32, more: &[(&str, &str)]) -> Qemu {
        let image = image(program).expect("an image");
        let issuer = self.plant.auth().options.issuer.clone();
        scenario(self.scratch.path(), &self.plant, NAME, self.version, times).expect("a scenario");
        let wanted = [&[("token_issuer", issuer.as_str())], more, &self.keys].concat();
        also(self.scratch.path(), &wanted).expect("a scenario");
        Qemu::start(&image, self.scratch.path(), false).expect("QEMU")
    }

    /// Runs the telemetry application for so many readings; its output.
    fn telemetry(&self, readings: u32) -> Vec<String> {
        let more = [("token_scope", "mqtt:publish"), ("token_resource", MQTT)];
        let board = self.boot("telemetry-oauth", readings, &more);
        board.finish(WAIT).unwrap_or_else(|error| panic!("{error}\n{:#?}", self.plant.events().all()))
    }

    fn count(&self, kind: impl Fn(&Event) -> bool) -> usize {
        self.plant.events().all().iter().filter(|(_, event)| kind(event)).count()
    }

    fn tokens(&self) -> usize {
        self.count(|event| matches!(event, Event::Token { status: 200, .. }))
    }

    fn links(&self) -> usize {
        self.count(|event| matches!(event, Event::Connected { name, .. } if name == NAME))
    }

    fn shown_again(&self) -> usize {
        self.count(|event| matches!(event, Event::Reauthenticated { allowed: true, .. }))
    }

    /// Nobody was refused, and no link lived longer than its token.
    fn went_well(&self) {
        let bad = |event: &Event| {
            matches!(
                event,
                Event::LoginRefused { .. }
                    | Event::TokenExpired { .. }
                    | Event::Reauthenticated { allowed: false, .. }
                    | Event::Published { allowed: false, .. }
                    | Event::Token { status: 400.., .. }
            )
        };
        assert_eq!(self.count(bad), 0, "{:#?}", self.plant.events().all());
    }
}

/// Readings that take some `seconds`: five each second at most, fewer on a slow machine.
const fn readings(seconds: u32) -> u32 {
    seconds * 5
}

/// Publishes over several lifetimes of tokens, then after a reboot; the bed for what else there is to look at.
fn crosses(plant: Plant, version: MqttVersion, keys: &[&[(&'static str, &'static str)]]) -> (Bed, Vec<String>) {
    let renew: &[_] = &[("token_renew", "60")];
    let bed = Bed::new(plant, version, &[keys, &[renew]].concat());
    let subscriber = bed.plant.subscribe("devices/#").expect("a subscription");
    let mut output = Vec::new();
    for (boot, wanted) in [readings(50), 2].into_iter().enumerate() {
        let (tokens, lines) = (bed.tokens(), bed.telemetry(wanted));
        for n in 1..=wanted {
            let message = subscriber.receive(Duration::from_secs(5)).expect("a message for each reading");
            assert_eq!(message.topic, TOPIC);
            assert_eq!(String::from_utf8_lossy(&message.payload), format!(r#"{{"n":{n},"value":17}}"#), "none lost");
        }
        assert_eq!(subscriber.receive(Duration::from_millis(200)), None, "none twice");
        assert!(bed.tokens() - tokens >= if boot == 0 { 3 } else { 1 }, "{lines:#?}");
        output = if boot == 0 { lines } else { output };
    }
    bed.went_well();
    assert_eq!(bed.plant.est().enrolments().len(), 1);
    (bed, output)
}

const PASSWORD: &[(&str, &str)] = &[("token_session", "password")];
const ENHANCED: &[(&str, &str)] = &[("token_session", "enhanced:OAUTH2-JWT")];
const BESIDE: &[(&str, &str)] = &[("token_second_socket", "true")];

#[test]
fn a_live_link_is_shown_new_tokens_that_a_second_socket_fetched() {
    let (bed, output) = crosses(plant(by_key(), 20), MqttVersion::V5, &[BY_KEY, ENHANCED, BESIDE]);
    assert_eq!(bed.links(), 2, "one for each boot: {output:#?}");
    assert_eq!(bed.shown_again(), bed.tokens() - 2, "{output:#?}");
}

#[test]
fn one_socket_fetches_tokens_for_enhanced_authentication_between_links() {
    let (bed, output) = crosses(plant(by_key(), 20), MqttVersion::V5, &[BY_KEY, ENHANCED]);
    assert_eq!((bed.links(), bed.shown_again()), (bed.tokens(), 0), "{output:#?}");
}

#[test]
fn the_password_of_mqtt_5_is_renewed_between_links() {
    let (bed, output) = crosses(plant(by_key(), 20), MqttVersion::V5, &[BY_KEY, PASSWORD]);
    assert_eq!(bed.links(), bed.tokens(), "{output:#?}");
}

#[test]
fn the_password_of_mqtt_3_1_1_is_fetched_beside_the_link_it_replaces() {
    let (bed, output) = crosses(plant(by_key(), 20), MqttVersion::V311, &[BY_KEY, PASSWORD, BESIDE]);
    assert_eq!(bed.links(), bed.tokens(), "{output:#?}");
    let at =
        |text: &str, from: usize| output.iter().skip(from).position(|line| line.contains(text)).map(|at| at + from);
    let connected = at("CONNECT accepted", 0).expect("a link");
    let fetched = at("token request: ", connected).expect("a renewal");
    let ended = at("the link is opened anew", connected).expect("a new link");
    assert!(connected < fetched && fetched < ended, "{output:#?}");
}

#[test]
fn a_token_bound_to_the_certificate_opens_a_session_with_that_certificate() {
    let client = Client::new(NAME, Credential::Tls(Subject::Name(SUBJECT.into()))).certificate_bound();
    let (bed, output) = crosses(plant(client, 20), MqttVersion::V5, &[BY_CERTIFICATE, ENHANCED, BESIDE]);
    assert_eq!(bed.links(), 2, "{output:#?}");
    let at_alias = |event: &Event| matches!(event, Event::Token { client: Some(_), .. });
    assert_eq!(bed.count(at_alias), bed.tokens());
}

#[test]
fn another_devices_topic_is_refused() {
    let bed = Bed::new(plant(by_key(), 300), MqttVersion::V5, &[BY_KEY, PASSWORD]);
    let subscriber = bed.plant.subscribe("devices/#").expect("a subscription");
    let elsewhere = [("token_topic", "devices/pump-8/flow"), ("token_scope", "mqtt:publish")];
    {
        let board = bed.boot("telemetry-oauth", 1, &elsewhere);
        let refused = |event: &Event| matches!(event, Event::Published { allowed: false, .. });
        assert!(bed.plant.events().wait_for(WAIT, refused).is_some(), "{:#?}", bed.plant.events().all());
        // the application tries again, ever more rarely: with the same token, for that was not what was refused
        board.wait_for("CONNECT accepted", WAIT).expect("a link");
        board.wait_for("CONNECT accepted", WAIT).expect("another link");
    }
    assert_eq!((subscriber.receive(Duration::from_secs(1)), bed.tokens()), (None, 1));
    bed.telemetry(1);
    assert_eq!(subscriber.receive(WAIT).map(|message| message.topic).as_deref(), Some(TOPIC));
}

#[test]
fn rabbitmq_takes_the_boards_jwt_as_password() {
    if !RabbitMq::available() {
        assert!(std::env::var_os("CI").is_none(), "install RabbitMQ: cargo xtask setup");
        eprintln!("skipped: cargo xtask setup installs RabbitMQ");
        return;
    }
    const OWN: &str = "rabbitmq.write:*/amq.topic/devices.pump-7.*";
    let plant = plant(by_key(), 20);
    plant.auth().options.resources = vec![Resource::jwt("rabbitmq", &[OWN])];
    let jwks = format!("https://localhost:{}/jwks", plant.auth_port());
    let rabbit = RabbitMq::with_keys(&plant, &jwks, &[]).unwrap_or_else(|why| panic!("{why}"));
    let observer = plant.est().ca.client(OBSERVER, Validity::starting(plant.now(), DAY));
    let tls = client_config(plant.root(), Some(&observer));
    let subscriber = Subscriber::start(rabbit.port(), tls, OBSERVER, "devices/#").expect("a subscription");
    let bed = Bed::new(plant, MqttVersion::V311, &[BY_KEY, PASSWORD, &[("token_scope", OWN), ("token_renew", "60")]]);
    let port = rabbit.port().to_string();
    let beside = [("broker_port", port.as_str()), ("token_second_socket", "true")];
    // the first boot fetches tokens between links, the second beside them
    for more in [&beside[..1], &beside[..]] {
        let (tokens, wanted) = (bed.tokens(), readings(30));
        let output = bed.boot("telemetry-oauth", wanted, more).finish(WAIT);
        let output = output.unwrap_or_else(|error| panic!("{error}\n{}", rabbit.log().join("\n")));
        for n in 1..=wanted {
            let message = subscriber.receive(Duration::from_secs(5)).expect("a message for each reading");
            assert_eq!(message.topic, TOPIC);
            assert_eq!(String::from_utf8_lossy(&message.payload), format!(r#"{{"n":{n},"value":17}}"#), "none lost");
        }
        assert!(bed.tokens() - tokens >= 2, "{output:#?}");
    }
    let others = [beside[0], ("token_topic", "devices/pump-8/flow")];
    let tokens = bed.tokens();
    let board = bed.boot("telemetry-oauth", 1, &others);
    // it drops the connection, as MQTT 3.1.1 has no other answer; the token is kept
    board.wait_for("CONNECT accepted", WAIT).expect("a link");
    board.wait_for("CONNECT accepted", WAIT).expect("another link");
    drop(board);
    assert_eq!((subscriber.receive(Duration::from_secs(1)), bed.tokens()), (None, tokens + 1));
    let refused = "access to topic 'devices.pump-8.flow' in exchange 'amq.topic' in vhost '/' refused";
    assert!(rabbit.log().iter().any(|line| line.contains(refused)), "{}", rabbit.log().join("\n"));
    bed.went_well();
    assert_eq!(bed.plant.est().enrolments().len(), 1);
}

#[test]
fn an_api_takes_bearer_and_dpop_tokens_of_the_board() {
    for dpop in ["false", "true"] {
        let plant = plant(by_key(), 4);
        let url = format!("https://10.0.2.2:{}/readings", plant.resource_port());
        if dpop == "true" {
            plant.auth().options.dpop_nonce = Some(60);
            let mut api = plant.resource();
            (api.options.dpop_nonce, api.options.bearer) = (Some(60), false);
        }
        let bed = Bed::new(plant, MqttVersion::V5, &[BY_KEY, &[("token_session", "mtls"), ("token_dpop", dpop)]]);
        let more = [("token_url", url.as_str()), ("token_scope", "api:read"), ("token_resource", API)];
        let output = bed.boot("api", 5, &more).finish(WAIT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bed.plant.resource().counts().0, 5, "{output:#?}");
        assert!(bed.tokens() >= 2, "a token of 4 s is renewed: {output:#?}");
    }
}
