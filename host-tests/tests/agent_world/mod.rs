//! A driver of the agent that can go wrong at any step: flash, keys and clock fail as the test says.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;

use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::ports::{KeyStore, SEALED_MAX};
use host_tests::ca::DAY;
use host_tests::entropy::TestSource;
use host_tests::est::EstServer;
use host_tests::http::HttpRequest;
use identity_core::agent::step::{
    Authorization, Cause, Challenge, Failure, Media, Method, Outcome, Reply, Request, Step,
};
use identity_core::agent::{Agent, Status};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::entropy::Rng;
use identity_core::memory::Memory;
use identity_core::record::Record;
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::x509::csr::Subject;
use identity_core::{Error, crypto, wire};

pub(crate) const START: u64 = 1_800_000_000;

static MTLS: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

/// What the agent asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Load(u8),
    Store(u8),
    Public(u8),
    Generate(u8),
    Sign(u8),
    Destroy(u8),
    Exchange(&'static str),
}

/// Where a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ready,
    Time,
    Stuck(Error),
    /// More steps than any sane life has.
    Frantic,
}

type Rewrite = Box<dyn FnMut(&Request<'_>, Reply) -> Reply>;
type Fault = Box<dyn FnMut(Asked) -> Option<Failure>>;

pub(crate) struct Bench {
    pub(crate) flash: BTreeMap<u8, Vec<u8>>,
    pub(crate) server: EstServer,
    /// True time.
    pub(crate) unix: u64,
    /// What the device's wall clock shows at a true time.
    pub(crate) wall: fn(u64) -> Option<u64>,
    /// Fails a step.
    pub(crate) fault: Fault,
    /// Answers an idle step with `Done`, as the contract allows.
    pub(crate) answers_idle: bool,
    /// Every step is begun and dropped once, its buffer half written, before it is done.
    pub(crate) cancels: bool,
    /// Longest time between two polls, in seconds.
    pub(crate) nap: u64,
    /// Rewrites a reply of the server.
    pub(crate) rewrite: Rewrite,
    pub(crate) asked: Vec<Asked>,
    pub(crate) errors: Vec<Error>,
    /// Instants of the present life, in milliseconds, at which a session was asked for in vain.
    pub(crate) offline: Vec<u64>,
    boots: u64,
}

/// A device that pins the root of `server` and enrols with a secret.
pub(crate) fn config(server: &EstServer) -> Config {
    let est = Est {
        host: "est.plant.example",
        port: 443,
        label: None,
        bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
        pinned: Some(crypto::sha256(server.ca.root())),
    };
    configured(est)
}

pub(crate) fn configured(est: Est) -> Config {
    Config {
        profile: Profile { enrol: Box::leak(Box::new(est)), token: None, session: &MTLS },
        subject: Subject { common_name: "pump-7", ..Subject::default() },
        names: &[],
        anchors: &[],
        built: UnixTime(START - DAY),
    }
}

pub(crate) fn transient() -> Failure {
    Failure { cause: Cause::Transient, error: Error::Unreachable { by: "bench", problem: "a glitch" } }
}

pub(crate) fn permanent() -> Failure {
    Failure { cause: Cause::Permanent, error: Error::Unreachable { by: "bench", problem: "it is broken" } }
}

/// Fails the first `times` steps that are `what`.
pub(crate) fn failing(what: Asked, mut times: usize, failure: Failure) -> Fault {
    Box::new(move |asked| {
        let fails = asked == what && times > 0;
        times -= usize::from(fails);
        fails.then_some(failure)
    })
}

impl Bench {
    pub(crate) fn new(server: EstServer) -> Self {
        Self {
            flash: BTreeMap::new(),
            server,
            unix: START,
            wall: Some,
            fault: Box::new(|_| None),
            answers_idle: false,
            nap: u64::MAX,
            cancels: false,
            rewrite: Box::new(|_, reply| reply),
            asked: Vec::new(),
            errors: Vec::new(),
            offline: Vec::new(),
            boots: 0,
        }
    }

    /// Boots and lives until ready with nothing due (if `ready`), or until `until`.
    pub(crate) fn live(&mut self, config: &Config, until: u64, ready: bool) -> End {
        self.boots += 1;
        self.offline.clear();
        let mut keys = keys(self.boots);
        let mut memory = Box::new(Memory::<6144>::new());
        let mut agent = Agent::new(config, memory.lend());
        let start = self.unix;
        for _ in 0..5000 {
            let now = Now { mono: Instant((self.unix - start) * 1000), wall: (self.wall)(self.unix).map(UnixTime) };
            let step = agent.poll(now);
            let step = if self.cancels {
                let print = fingerprint(&step);
                scribble(step);
                let later = Now { mono: now.mono.after_ms(900), ..now };
                assert_eq!(fingerprint(&agent.poll(later)), print, "the same step, a moment later");
                agent.poll(now)
            } else {
                step
            };
            if let Step::Idle { until: wake } = step {
                match agent.status(now) {
                    Status::Stuck(error) => return End::Stuck(error),
                    Status::Ready { .. } if ready => return End::Ready,
                    _ => {}
                }
                if agent.session(now).is_none() {
                    self.offline.push(now.mono.0);
                }
                let wait = wake.0.saturating_sub(now.mono.0).div_ceil(1000).clamp(1, self.nap);
                self.unix = self.unix.saturating_add(wait).min(until);
                if self.unix >= until {
                    return End::Time;
                }
                if self.answers_idle {
                    let now = Now { mono: Instant((self.unix - start) * 1000), ..now };
                    self.errors.extend(agent.done(now, Outcome::Done).err());
                }
                continue;
            }
            let outcome = self.perform(step, &mut keys);
            self.errors.extend(agent.done(now, outcome).err());
        }
        End::Frantic
    }

    fn perform(&mut self, step: Step<'_>, keys: &mut SoftwareKeys<TestSource>) -> Outcome {
        let asked = asked(&step).expect("idle is handled by the caller");
        self.asked.push(asked);
        if let Some(failure) = (self.fault)(asked) {
            return Outcome::Failed(failure);
        }
        match step {
            Step::Load { record, into } => match self.flash.get(&record.number()) {
                Some(octets) => {
                    into[..octets.len()].copy_from_slice(octets);
                    Outcome::Loaded(octets.len())
                }
                None => Outcome::Absent,
            },
            Step::Store { record, bytes } => {
                self.flash.insert(record.number(), bytes.to_vec());
                Outcome::Done
            }
            Step::Public { slot, into } => {
                let sealed = self.flash.get(&Record::Key(slot).number());
                let open = sealed.is_some_and(|sealed| keys.restore(slot, sealed).is_ok());
                match keys.public(slot).expect("keys").filter(|_| open) {
                    Some(public) => {
                        *into = public;
                        Outcome::Done
                    }
                    None => Outcome::Absent,
                }
            }
            Step::Generate { slot, into } => {
                let mut sealed = [0; SEALED_MAX];
                let length = keys.generate(slot, into, &mut sealed).expect("a key");
                self.flash.insert(Record::Key(slot).number(), sealed[..length].to_vec());
                Outcome::Done
            }
            Step::Sign { slot, digest, into } => {
                *into = keys.sign(slot, digest).expect("a signature");
                Outcome::Done
            }
            Step::Destroy { slot } => {
                self.flash.remove(&Record::Key(slot).number());
                keys.destroy(slot).expect("keys");
                Outcome::Done
            }
            Step::StoreSealed { .. } | Step::Erase { .. } | Step::Random { .. } => {
                unreachable!("there is no token source")
            }
            Step::Exchange { request, into, .. } => {
                let reply = self.exchange(&request, into);
                Outcome::Reply((self.rewrite)(&request, reply))
            }
            Step::Idle { .. } => unreachable!("handled by the caller"),
        }
    }

    fn exchange(&mut self, request: &Request<'_>, into: &mut [u8]) -> Reply {
        let mut http = match request.method {
            Method::Get => HttpRequest::get(request.path),
            Method::Post => HttpRequest::post(request.path, request.content_type, request.body),
            Method::Put | Method::Delete => unreachable!("not of EST"),
        };
        http = match request.authorization {
            Authorization::None => http,
            Authorization::Dpop(_) => unreachable!("not of EST"),
            Authorization::Bearer(token) => http.with("Authorization", &format!("Bearer {}", token.reveal())),
            Authorization::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal());
                http.with("Authorization", &format!("Basic {}", data_encoding::BASE64.encode(both.as_bytes())))
            }
        };
        let reply = self.server.handle(self.unix, request.client.map(|c| c.certificate), &http);
        into[..reply.body.len()].copy_from_slice(&reply.body);
        Reply {
            status: reply.status,
            media: reply.header("Content-Type").map_or(Media::Absent, |v| wire::http::media(v.as_bytes())),
            retry_after: reply.header("Retry-After").and_then(|v| wire::http::retry_after(v.as_bytes())),
            date: reply.header("Date").and_then(|v| wire::http::date(v.as_bytes())),
            challenge: Challenge::None,
            length: reply.body.len(),
        }
    }
}

pub(crate) fn keys(seed: u64) -> SoftwareKeys<TestSource> {
    let rng = Rng::start(TestSource::good(seed), b"bench").expect("a good source");
    SoftwareKeys::new(rng, DeviceSecret::new([7; 32]))
}

fn asked(step: &Step<'_>) -> Option<Asked> {
    Some(match step {
        Step::Load { record, .. } => Asked::Load(record.number()),
        Step::Store { record, .. } => Asked::Store(record.number()),
        Step::Public { slot, .. } => Asked::Public(slot.number()),
        Step::Generate { slot, .. } => Asked::Generate(slot.number()),
        Step::Sign { slot, .. } => Asked::Sign(slot.number()),
        Step::Destroy { slot } => Asked::Destroy(slot.number()),
        Step::Exchange { request, .. } => Asked::Exchange(request.purpose),
        Step::StoreSealed { .. } | Step::Erase { .. } | Step::Random { .. } | Step::Idle { .. } => return None,
    })
}

/// What a step asks for, and the octets that it lends to be read.
fn fingerprint(step: &Step<'_>) -> (Option<Asked>, Vec<u8>) {
    let octets = match step {
        Step::Store { bytes, .. } => bytes.to_vec(),
        Step::Sign { digest, .. } => digest.to_vec(),
        Step::Exchange { request, .. } => [request.path.as_bytes(), request.body].concat(),
        _ => Vec::new(),
    };
    (asked(step), octets)
}

/// What a driver leaves that is dropped in the middle.
fn scribble(step: Step<'_>) {
    match step {
        Step::Load { into, .. } | Step::Exchange { into, .. } => into.fill(0xa5),
        Step::Public { into, .. } | Step::Generate { into, .. } => into.0.fill(0xa5),
        Step::Sign { into, .. } => into.0.fill(0xa5),
        Step::StoreSealed { octets, .. } => octets.fill(0xa5),
        Step::Random { into } => into.fill(0xa5),
        Step::Store { .. } | Step::Destroy { .. } | Step::Erase { .. } | Step::Idle { .. } => {}
    }
}
