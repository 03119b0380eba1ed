//! The OAuth2 profile: one device, some boots of the same flash, each with another token source in its `const`.

use std::thread;
use std::time::{Duration, Instant};

use super::oauth_acts::{ACTS, Act, LOGIN, Lived, Scene};
use super::watch::{End, Watch};
use super::{NAME, Wish, judge_enrolments, plant_options};
use crate::broker_auth::TokenLogin;
use crate::events::Event;
use crate::oauth::client::{DEVICE_CODE, REFRESH_TOKEN};
use crate::oauth::resource::ResourceOptions;
use crate::oauth::{AuthOptions, Client, Credential, Registration, Resource, Subject};
use crate::plant::{Plant, PlantOptions};
use crate::simulator::SECRET;
use crate::timeline::Timeline;

/// Seconds that a token lives: short, so that its end is seen, and longer than the ten seconds that the device leaves between
/// two tokens at least.
const LIFETIME: u64 = 15;
/// Seconds until a person approves the device.
const PERSON: Duration = Duration::from_secs(2);

/// Audience of the broker.
pub(super) const BROKER: &str = "https://mqtt.plant.example";
/// Audience of the API.
pub(super) const API: &str = "https://localhost";

/// A plant with an authorization server that believes the plant's authority, an API, and a broker that takes tokens.
fn plant(wish: &Wish) -> Result<Plant, String> {
    let mut auth = AuthOptions {
        issuer: "https://localhost".into(),
        access_lifetime: LIFETIME,
        resources: vec![
            Resource::jwt(BROKER, &["mqtt:publish", "mqtt:subscribe"]),
            Resource::jwt(API, &["api:read", "api:write"]),
        ],
        clients: vec![
            // known by its certificate, which is in each assertion: nothing is registered for one device
            Client::new(NAME, Credential::Chain(Subject::Name(format!("CN={NAME},OU=Pumps,O=Plant Example"))))
                .scopes(&["mqtt:publish", "api:read"]),
            Client::new(LOGIN, Credential::Public).grants(&[DEVICE_CODE, REFRESH_TOKEN]),
        ],
        dpop_nonce: Some(300),
        registration: Registration::Open,
        ..AuthOptions::default()
    };
    auth.device.interval = Some(1);
    Plant::start(PlantOptions {
        auth: Some(auth),
        resource: Some(ResourceOptions {
            url: "https://localhost".into(),
            audience: API.into(),
            dpop_nonce: Some(300),
            ..ResourceOptions::default()
        }),
        token_login: Some(TokenLogin { audience: BROKER.into(), ..TokenLogin::default() }),
        ..plant_options(&wish.folder)
    })
}

pub(super) fn show(wish: &Wish) -> Result<(), String> {
    Timeline::start();
    let plant = plant(wish)?;
    let ports = format!(
        "EST on port {}, authorization server on {}, broker on {}, API on {}",
        plant.est_port(),
        plant.auth_port(),
        plant.broker_port(),
        plant.resource_port()
    );
    Timeline::line("plant", &ports);
    let mut watch = Watch::new(&plant)?;
    for act in ACTS.iter().filter(|act| act.speaks(wish.version)) {
        Timeline::heading(act.title);
        if play(act, &plant, wish, &mut watch)? == End::Interrupted {
            return Ok(());
        }
    }
    Timeline::heading("The end");
    let (enrolments, tokens) = (plant.est().enrolments().len(), plant.auth().issued().len());
    let messages = watch.received.len();
    let what =
        format!("messages received: {messages}; certificates issued in this run: {enrolments}, tokens: {tokens}");
    Timeline::line("demo", &what);
    leaks(&plant)?;
    judge_enrolments(wish.again, enrolments)
}

/// One boot: the device lives in a thread of its own, and a person approves it if it waits for one.
fn play(act: &Act, plant: &Plant, wish: &Wish, watch: &mut Watch<'_>) -> Result<End, String> {
    let (before, had) = (plant.events().all().len(), watch.received.len());
    let scene = Scene {
        config: (act.config)(plant, wish),
        flash: wish.folder.join(act.flash),
        api: format!("{API}:{}/flow", plant.resource_port()),
    };
    let life = act.life;
    let mut device = Some(thread::spawn(move || life(&scene)));
    let mut lived = Lived::default();
    let ended = || {
        let device = device.take_if(|device| device.is_finished())?;
        Some(match device.join() {
            Ok(outcome) => outcome.map(|outcome| lived = outcome),
            Err(_) => Err("the device's thread panicked".into()),
        })
    };
    let mut waits_since = None;
    let person = |plant: &Plant| {
        let Some(code) = plant.auth().waiting().into_iter().next() else { return };
        if waits_since.get_or_insert_with(Instant::now).elapsed() > PERSON {
            plant.auth().approve(&code, "a person");
            Timeline::line("person", &format!("approves {code}"));
        }
    };
    if watch.until(ended, person)? == End::Interrupted {
        return Ok(End::Interrupted);
    }
    watch.expect(had + lived.published)?;
    let events: Vec<Event> = plant.events().all().into_iter().skip(before).map(|(_, event)| event).collect();
    let seen = Seen::of(&events);
    if !(act.fits)(&seen) {
        return Err(format!("{}: that was not to be seen: {seen:?}", act.title));
    }
    // each reading once, in order
    for (n, text) in (1..).zip(watch.received.iter().skip(had)) {
        if !text.starts_with(&format!("{{\"n\":{n},")) {
            return Err(format!("message {n} is {text}"));
        }
    }
    Timeline::line("demo", &format!("{}; {}", lived.said, seen.text()));
    Ok(End::Lived)
}

/// What the servers saw in one act.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Log-ins refused, and tokens that ended while they were in use.
    pub(super) refused: usize,
    /// Connections to the broker.
    pub(super) connected: usize,
    /// New tokens shown on a live link.
    pub(super) shown: usize,
    /// Device authorization requests: a person is asked.
    pub(super) asked: usize,
    /// Tokens given.
    pub(super) tokens: usize,
    /// Clients registered.
    pub(super) registered: usize,
    /// Requests that the API granted.
    pub(super) granted: usize,
}

impl Seen {
    fn of(events: &[Event]) -> Self {
        let count = |kind: fn(&Event) -> bool| events.iter().filter(|event| kind(event)).count();
        Self {
            refused: count(|event| matches!(event, Event::TokenExpired { .. } | Event::LoginRefused { .. })),
            connected: count(|event| matches!(event, Event::Connected { .. })),
            shown: count(|event| matches!(event, Event::Reauthenticated { allowed: true, .. })),
            asked: count(
                |event| matches!(event, Event::Authorization { request, .. } if request.ends_with("/device_authorization")),
            ),
            registered: count(
                |event| matches!(event, Event::Authorization { request, status: 201, .. } if request.ends_with("/register")),
            ),
            tokens: count(|event| matches!(event, Event::Token { status: 200, .. })),
            granted: count(|event| matches!(event, Event::Resource { status: 200, .. })),
        }
    }

    fn text(&self) -> String {
        let Self { connected, shown, tokens, .. } = self;
        format!("tokens: {tokens}, log-ins to the broker: {connected}, re-authentications: {shown}")
    }
}

/// No secret that crossed the wire may be in what was printed.
fn leaks(plant: &Plant) -> Result<(), String> {
    let (printed, auth) = (Timeline::printed().join("\n"), plant.auth());
    let mut secrets = auth.secrets().iter().map(String::as_str).chain([SECRET]);
    if auth.secrets().len() < 10 || secrets.any(|secret| printed.contains(secret)) {
        return Err("a secret is in the lines above, or the authorization server did not note what it gave".into());
    }
    Ok(())
}
