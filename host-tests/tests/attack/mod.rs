//! A device that has its certificate, and authorization servers that answer as the test says.
//!
//! What a scripted server gives carries its mark, so that a test sees where it turns up.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::cell::RefCell;
use std::rc::Rc;

use device_sdk::keys::software::SoftwareKeys;
use host_tests::ca::{Ca, DAY};
use host_tests::entropy::TestSource;
use host_tests::est::EstServer;
use host_tests::est_options::{EstOptions, Grant};
use host_tests::virtual_time::{End, World};
use identity_core::Error;
use identity_core::agent::step::{Authorization, Request, Step};
use identity_core::agent::{Agent, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, DeviceLogin, TokenSource};
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::x509::csr::Subject;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const A: &str = "https://a.example";
pub(crate) const B: &str = "https://b.example";

pub(crate) static LOGIN_A: DeviceLogin = DeviceLogin {
    issuer: A,
    client_id: ClientId::Fixed("login-a"),
    client_auth: ClientAuth::None,
    ..DeviceLogin::DEFAULT
};
pub(crate) static LOGIN_B: DeviceLogin = DeviceLogin { issuer: B, client_id: ClientId::Fixed("login-b"), ..LOGIN_A };
pub(crate) static POST_A: ClientCredentials = ClientCredentials {
    issuer: A,
    client_id: ClientId::Fixed("post-a"),
    client_auth: ClientAuth::SecretPost(Secret::new("secret-of-a")),
    ..ClientCredentials::DEFAULT
};
pub(crate) static POST_B: ClientCredentials = ClientCredentials {
    issuer: B,
    client_id: ClientId::Fixed("post-b"),
    client_auth: ClientAuth::SecretPost(Secret::new("secret-of-b")),
    ..ClientCredentials::DEFAULT
};

static MTLS: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn metadata(host: &str) -> (u16, String) {
    let member = |name: &str, path: &str| format!(r#","{name}":"https://{host}{path}""#);
    let endpoints = member("token_endpoint", "/token") + &member("device_authorization_endpoint", "/device");
    (200, format!(r#"{{"issuer":"https://{host}"{endpoints}}}"#))
}

/// A token reply of `host` to `client`, good for 300 s.
pub(crate) fn token(host: &str, client: &str) -> (u16, String) {
    let token = format!(r#""access_token":"access-{host}-{client}","token_type":"Bearer","expires_in":300"#);
    (200, format!(r#"{{{token},"refresh_token":"refresh-{host}-{client}"}}"#))
}

/// A device authorization reply.
pub(crate) fn code(host: &str) -> (u16, String) {
    let code = format!(r#""device_code":"device-{host}","user_code":"WDJB","verification_uri":"https://{host}/go""#);
    (200, format!(r#"{{{code},"expires_in":600,"interval":5}}"#))
}

pub(crate) fn denied(code: &str) -> (u16, String) {
    (400, format!(r#"{{"error":"{code}"}}"#))
}

/// One request that a scripted server saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) at: u64,
}

impl Seen {
    /// The value of a field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn client(&self) -> &str {
        self.field("client_id").unwrap_or_default()
    }
}

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) config: Config,
    pub(crate) seen: Rc<RefCell<Vec<Seen>>>,
}

impl Bench {
    /// A device with a certificate of `lifetime` seconds.
    pub(crate) fn new(source: &'static dyn TokenSource, lifetime: u64) -> Self {
        let grants = vec![Grant::basic("pump-7", "once").once()];
        let server = EstServer::new(Ca::new(START), EstOptions { grants, lifetime, ..EstOptions::default() });
        let est: &'static Est = leak(Est {
            host: "est.plant.example",
            port: 443,
            label: None,
            bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
            pinned: Some(identity_core::crypto::sha256(server.ca.root())),
        });
        let config = Config {
            profile: Profile { enrol: est, token: Some(source), session: &MTLS },
            subject: Subject { common_name: "pump-7", ..Subject::default() },
            names: &[],
            anchors: &[],
            built: UnixTime(START - DAY),
        };
        let mut world = World::new(server, START);
        assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{:?}", world.errors);
        Self { world, config, seen: Rc::default() }
    }

    /// Scripts all authorization servers, which keep what they see.
    pub(crate) fn script(&mut self, mut answer: impl FnMut(&Seen) -> (u16, String) + 'static) {
        let seen = self.seen.clone();
        self.world.script = Some(Box::new(move |request: &Request<'_>| {
            if request.purpose.starts_with("EST") {
                return None;
            }
            let secret = match request.authorization {
                Authorization::None => String::new(),
                Authorization::Basic { user, password } => format!("{user}:{}", password.reveal()),
                Authorization::Bearer(token) | Authorization::Dpop(token) => token.reveal().to_owned(),
            };
            let body = String::from_utf8_lossy(request.body).into_owned() + &secret;
            let request = Seen { host: request.host.into(), path: request.path.into(), body, at: 0 };
            let reply = answer(&request);
            seen.borrow_mut().push(request);
            Some(reply)
        }));
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Requests to a token endpoint by a client.
    pub(crate) fn by(&self, client: &str) -> usize {
        self.requests().iter().filter(|seen| seen.path == "/token" && seen.client() == client).count()
    }
}

/// A device that is switched on, with its steps in the hand of the test.
pub(crate) struct Life<'b, 'm> {
    pub(crate) bench: &'b mut Bench,
    pub(crate) agent: Agent<'m>,
    keys: SoftwareKeys<TestSource>,
    start: u64,
    pub(crate) errors: Vec<Error>,
}

impl<'b, 'm> Life<'b, 'm> {
    pub(crate) fn new(bench: &'b mut Bench, config: &'m Config, memory: identity_core::memory::Lent<'m>) -> Self {
        let keys = bench.world.boot();
        let start = bench.world.unix;
        Self { agent: Agent::new(config, memory), keys, start, errors: Vec::new(), bench }
    }

    pub(crate) fn now(&self) -> Now {
        let unix = self.bench.world.unix;
        Now { mono: Instant((unix - self.start) * 1000), wall: Some(UnixTime(unix)) }
    }

    pub(crate) fn want(&mut self, source: &'static dyn TokenSource, scope: &'static str) -> Want {
        let want = Want { source, scope };
        self.agent.want(want, self.now()).expect("room for a want");
        want
    }

    pub(crate) fn token(&self, want: &Want) -> Option<String> {
        self.agent.token(want, self.now()).map(|token| token.secret.reveal().to_owned())
    }

    /// Does one step; what it was. At rest: until when.
    pub(crate) fn step(&mut self) -> Result<String, Instant> {
        let now = self.now();
        let step = self.agent.poll(now);
        let name = match &step {
            Step::Idle { until } => return Err(*until),
            Step::Load { record, .. } => format!("load {}", record.name()),
            Step::Store { record, .. } => format!("store {}", record.name()),
            Step::StoreSealed { record, .. } => format!("seal {}", record.name()),
            Step::Erase { record } => format!("erase {}", record.name()),
            Step::Public { .. } => "public".into(),
            Step::Generate { .. } => "generate".into(),
            Step::Sign { .. } => "sign".into(),
            Step::Random { .. } => "random".into(),
            Step::Destroy { .. } => "destroy".into(),
            Step::Exchange { request, .. } => format!("{} {}", request.host, request.path),
        };
        if let Step::Load { into, .. } | Step::Exchange { into, .. } = &step {
            let stays = String::from_utf8_lossy(into).contains("refresh-");
            assert!(!stays, "{name}: a token stays in the buffer of replies");
        }
        let outcome = self.bench.world.perform(step, &mut self.keys);
        self.errors.extend(self.agent.done(now, outcome).err());
        Ok(name)
    }

    /// Does what is due now.
    pub(crate) fn settle(&mut self) {
        for _ in 0..300 {
            if self.step().is_err() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.errors.last());
    }

    /// Lives for `seconds`.
    pub(crate) fn pass(&mut self, seconds: u64) {
        let end = self.bench.world.unix + seconds;
        loop {
            self.settle();
            let Err(until) = self.step() else { continue };
            let wake = self.start + until.0.div_ceil(1000);
            if wake >= end {
                self.bench.world.unix = end;
                return self.settle();
            }
            assert!(wake > self.bench.world.unix);
            self.bench.world.unix = wake;
        }
    }
}
