//! A device in virtual time that registers itself, and its authorization server.
#![allow(dead_code, reason = "each test binary uses a part")]

use host_tests::ca::{Ca, DAY};
use host_tests::est::EstServer;
use host_tests::est_options::EstOptions;
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::verify::Verifier;
use host_tests::oauth::{AuthOptions, AuthServer, Credential, InitialToken, Registration};
use host_tests::virtual_time::{End, World};
use identity_core::agent::{Answer, Status, Want};
use identity_core::config::{Config, Profile};
use identity_core::enrol::{Manage, Register};
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, KeyId, TokenType};
use identity_core::record::{Record, read_credential, read_live};
use identity_core::session::{MqttVersion, Present, TokenSession};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject as Name;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://id.plant.example";
pub(crate) const MQTT: &str = "https://mqtt.plant.example";
pub(crate) const INITIAL: &str = "let me in";

pub(crate) const OPEN: Register = Register { issuer: ISSUER, scope: "mqtt:publish", ..Register::DEFAULT };
pub(crate) static REGISTER: Register = OPEN;
pub(crate) static TOKEN: ClientCredentials = ClientCredentials {
    issuer: ISSUER,
    client_id: ClientId::Registered,
    client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
    scope: "mqtt:publish",
    resource: &[MQTT],
    ..ClientCredentials::DEFAULT
};
pub(crate) static SESSION: TokenSession = TokenSession {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Password { user_name: None },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};

pub(crate) struct Bed {
    pub(crate) world: World,
    pub(crate) config: Config,
}

/// What a run saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) token: Option<(String, TokenType)>,
    pub(crate) login: Option<Result<(), Error>>,
    pub(crate) trouble: Option<Error>,
    pub(crate) words: String,
    pub(crate) ready: bool,
}

pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn bed(register: &'static Register, options: AuthOptions) -> Bed {
    let ca = Ca::new(START);
    let anchors: &'static [&'static [u8]] = leak([&*ca.root().to_vec().leak()]);
    let mut world = World::new(EstServer::new(ca, EstOptions::default()), START);
    world.auth = Some(AuthServer::new(AuthOptions { registration: Registration::Open, ..options }));
    let config = Config {
        profile: Profile { enrol: register, token: Some(&TOKEN), session: &SESSION },
        subject: Name { common_name: "pump-7", ..Name::default() },
        names: &[],
        anchors,
        built: UnixTime(START - DAY),
    };
    Bed { world, config }
}

/// Only who has the initial access token may register, so many times.
pub(crate) fn guarded(uses: u32) -> Registration {
    Registration::Token(vec![InitialToken { token: INITIAL.into(), uses }])
}

impl Bed {
    pub(crate) fn auth(&mut self) -> &mut AuthServer {
        self.world.auth.as_mut().unwrap()
    }

    pub(crate) fn run(&mut self, seconds: u64) -> Seen {
        let (config, until) = (self.config, self.world.unix + seconds);
        let mut seen = Seen::default();
        let source = config.profile.token.unwrap();
        let want = Want { source, scope: source.scope() };
        let end = self.world.live_as(&config, until, None, true, |world, agent, now| {
            agent.want(want, now).unwrap();
            if let Some(token) = agent.token(&want, now) {
                seen.token = Some((token.secret.reveal().to_owned(), token.kind));
            }
            seen.ready |= matches!(agent.status(now), Status::Ready { not_after: UnixTime::NEVER, .. });
            if let Some(login) = agent.session(now) {
                assert!(login.is_err() || login.unwrap().client.is_none());
                seen.login = Some(login.map(|_| ()));
            }
            seen.trouble = agent.trouble().or(agent.token_waits(&want, now).and_then(|(_, why)| why)).or(seen.trouble);
            if !agent.words().is_empty() {
                seen.words = agent.words().to_owned();
            }
            world.unix + 1
        });
        assert_eq!(end, End::Time);
        seen
    }

    /// Asks for something once the device is ready, and lives until it is answered.
    pub(crate) fn manage(&mut self, what: Manage, effects: Option<usize>) -> (End, Option<Result<Answer, Error>>) {
        let (config, until) = (self.config, self.world.unix + 600);
        let (mut asked, mut answer) = (false, None);
        let end = self.world.live_as(&config, until, effects, true, |world, agent, now| {
            if !asked {
                agent.manage(what, now).unwrap();
                asked = true;
                return world.unix;
            }
            answer = answer.or_else(|| agent.answer());
            // what comes after the answer is for the next boot
            world.auth_up = answer.is_none();
            world.unix + 1
        });
        self.world.auth_up = true;
        (end, answer)
    }

    /// Requests to an endpoint by method and the beginning of its path.
    pub(crate) fn asked(&mut self, request: &str) -> usize {
        self.auth().served().iter().filter(|served| served.request.starts_with(request)).count()
    }

    pub(crate) fn live(&self) -> Slot {
        read_live(&self.world.flash[&Record::Live.number()]).unwrap()
    }

    pub(crate) fn id(&self) -> String {
        let record = &self.world.flash[&Record::Credential(self.live()).number()];
        read_credential(record).unwrap().client.unwrap().id.to_owned()
    }

    pub(crate) fn takes(&mut self, token: &str) -> bool {
        let now = self.world.unix;
        let keys = self.auth().public_keys();
        Verifier { issuer: ISSUER.into(), keys, audience: MQTT.into() }.verify(now, token).is_ok()
    }

    /// Keys of the client at the server.
    pub(crate) fn keys(&mut self) -> Vec<Jwk> {
        let id = self.id();
        match &self.auth().client(&id).unwrap().credential {
            Credential::Keys(keys) => keys.clone(),
            other => panic!("{other:?}"),
        }
    }
}
