//! A device in virtual time that has a certificate and gets tokens, and its authorization server.
#![allow(dead_code, reason = "each test binary uses a part")]

use host_tests::ca::{Ca, DAY};
use host_tests::est::EstServer;
use host_tests::est_options::{EstOptions, Grant as EstGrant};
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::verify::Verifier;
use host_tests::oauth::{AuthOptions, AuthServer, Client, Credential};
use host_tests::virtual_time::{End, World};
use identity_core::agent::{Agent, Answer, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::error::Error;
use identity_core::oauth::{ClientCredentials, TokenSource, TokenType};
use identity_core::session::{MqttVersion, Mtls, Present, TokenSession};
use identity_core::time::{Now, UnixTime};
use identity_core::x509::csr::Subject as Name;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://id.plant.example";
pub(crate) const MQTT: &str = "https://mqtt.plant.example";
pub(crate) const SECRET: &str = "a secret & of 32 octets or more: %";

pub(crate) static MTLS: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};
pub(crate) static TOKEN: TokenSession = TokenSession {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Password { user_name: None },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};
pub(crate) const PLAIN: ClientCredentials =
    ClientCredentials { issuer: ISSUER, scope: "mqtt:publish", resource: &[MQTT], ..ClientCredentials::DEFAULT };

/// A world whose authorization server knows `pump-7` as `credential` makes it of the device's certificate, once there is one.
pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) config: Config,
    pub(crate) want: Want,
}

pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn bed(
    source: &'static dyn TokenSource,
    options: AuthOptions,
    credential: impl Fn(&[u8]) -> Credential,
) -> Bed {
    let grants = vec![EstGrant::basic("pump-7", "once").once()];
    let server = EstServer::new(Ca::new(START), EstOptions { grants, ..EstOptions::default() });
    let est: &'static Est = leak(Est {
        host: "est.plant.example",
        port: 443,
        label: None,
        bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
        pinned: Some(identity_core::crypto::sha256(server.ca.root())),
    });
    let config = Config {
        profile: Profile { enrol: est, token: Some(source), session: &MTLS },
        subject: Name { common_name: "pump-7", ..Name::default() },
        names: &[],
        anchors: &[],
        built: UnixTime(START - DAY),
    };
    let trust = vec![server.ca.root().to_vec()];
    let mut world = World::new(server, START);
    assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{:?}", world.errors);
    let certificate = world.server.enrolments()[0].certificate.clone();
    let mut auth = AuthServer::new(AuthOptions { trust, ..options });
    auth.add(Client::new("pump-7", credential(&certificate)));
    world.auth = Some(auth);
    world.exchanges = 0;
    Bed { world, config, want: Want { source, scope: source.scope() } }
}

pub(crate) fn keys(certificate: &[u8]) -> Credential {
    Credential::Keys(vec![Jwk::of_certificate(certificate).unwrap()])
}

/// What a run saw of a token.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) token: Option<(String, TokenType)>,
    pub(crate) code: Option<String>,
    pub(crate) trouble: Option<Error>,
    pub(crate) words: String,
}

impl Bed {
    /// Boots, asks for the token, and lives for `seconds`.
    pub(crate) fn run(&mut self, seconds: u64) -> Seen {
        self.run_with(seconds, |_, _, _| {})
    }

    pub(crate) fn run_with(&mut self, seconds: u64, mut each: impl FnMut(&mut World, &Agent<'_>, Now)) -> Seen {
        let (want, until) = (self.want, self.world.unix + seconds);
        let (mut seen, mut asked) = (Seen::default(), false);
        let end = self.world.live_as(&self.config, until, None, true, |world, agent, now| {
            if !asked {
                asked = true;
                agent.want(want, now).unwrap();
            }
            if let Some(token) = agent.token(&want, now) {
                seen.token = Some((token.secret.reveal().to_owned(), token.kind));
            }
            if let Some(code) = agent.user_code(now) {
                seen.code = Some(format!("{} {} {:?}", code.code, code.uri, code.complete));
            }
            seen.trouble = agent.token_waits(&want, now).and_then(|(_, trouble)| trouble).or(seen.trouble);
            if !agent.words().is_empty() {
                seen.words = agent.words().to_owned();
            }
            each(world, agent, now);
            world.unix + 1
        });
        assert_eq!(end, End::Time);
        seen
    }

    pub(crate) fn auth(&mut self) -> &mut AuthServer {
        self.world.auth.as_mut().unwrap()
    }

    /// Whether the resource server takes the token.
    pub(crate) fn takes(&mut self, token: &str) -> bool {
        let now = self.world.unix;
        let keys = self.auth().public_keys();
        Verifier { issuer: ISSUER.into(), keys, audience: MQTT.into() }.verify(now, token).is_ok()
    }

    pub(crate) fn requests(&mut self) -> Vec<(String, u16, Option<String>)> {
        let served = self.auth().served().iter();
        served.map(|served| (served.request.clone(), served.status, served.error.clone())).collect()
    }
}

impl Bed {
    /// Gets a token, asks `what`, and lives until there is an answer; `then` sees it.
    pub(crate) fn ask(
        &mut self,
        what: impl Fn(&mut Agent<'_>, Want) -> Result<(), Error>,
        mut then: impl FnMut(&mut World, &mut Agent<'_>, Result<Answer, Error>, Now),
    ) {
        let (config, until, want) = (self.config, self.world.unix + 60, self.want);
        let (mut asked, mut answered) = (false, false);
        self.world.live_as(&config, until, None, true, |world, agent, now| {
            agent.want(want, now).unwrap();
            for code in world.auth.as_ref().unwrap().waiting() {
                world.auth.as_mut().unwrap().approve(&code, "a person");
            }
            if agent.token(&want, now).is_some() && !asked {
                what(agent, want).unwrap();
                assert!(matches!(what(agent, want), Err(Error::Misuse(_))), "one at a time");
                asked = true;
                return world.unix;
            }
            if let Some(answer) = agent.answer() {
                assert!(!answered, "one answer");
                answered = true;
                then(world, agent, answer, now);
            }
            world.unix + 1
        });
        assert!(answered, "{:?}", self.world.errors);
    }
}
