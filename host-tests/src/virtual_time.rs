//! A device in virtual time: the agent, software keys, records, and EST and authorization server as pure functions. No
//! network, no waiting.
//!
//! What TLS does is left out: a server is told which certificate the device would present.

use std::collections::BTreeMap;

use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::ports::{KeyStore, SEALED_MAX};
use identity_core::agent::step::{Authorization, Cause, Failure, Method, Nonce, Outcome, Reply, Request, Step};
use identity_core::agent::{Agent, Status};
use identity_core::config::Config;
use identity_core::entropy::Rng;
use identity_core::memory::{Lent, Memory};
use identity_core::record::Record;
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::trust::Trust;
use identity_core::{Error, wire};

use crate::entropy::TestSource;
use crate::est::EstServer;
use crate::http::HttpRequest;
use crate::oauth::AuthServer;

/// Where a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The agent idles and has a usable identity.
    Ready,
    /// The clock reached the time given.
    Time,
    /// Power was cut after the number of effects given.
    Cut,
    /// A person is needed.
    Stuck(Error),
}

/// What survives a reset: flash, and the clocks of the world.
pub struct World {
    /// Records by number.
    pub flash: BTreeMap<u8, Vec<u8>>,
    /// The CA's EST server.
    pub server: EstServer,
    /// True time.
    pub unix: u64,
    /// The authorization server, for whatever host is not the EST server's.
    pub auth: Option<AuthServer>,
    /// Whether the authorization server can be reached.
    pub auth_up: bool,
    /// Seconds that the device's wall clock differs from true time.
    pub clock_off: i64,
    /// Whether the device has a trusted wall clock.
    pub wall: bool,
    /// Errors that the agent reported.
    pub errors: Vec<Error>,
    /// Exchanges made.
    pub exchanges: usize,
    /// Answers in place of the authorization server: status and JSON; none leaves it to the server.
    pub script: Option<Script>,
    /// Records that flash does not take, each so many times.
    pub broken: BTreeMap<u8, u32>,
    boots: u64,
}

/// See [`World::script`].
pub type Script = Box<dyn FnMut(&Request<'_>) -> Option<(u16, String)>>;

impl World {
    /// Blank flash at `unix` (seconds since 1970).
    #[must_use]
    pub fn new(server: EstServer, unix: u64) -> Self {
        Self {
            flash: BTreeMap::new(),
            server,
            unix,
            auth: None,
            auth_up: true,
            clock_off: 0,
            wall: true,
            errors: Vec::new(),
            exchanges: 0,
            script: None,
            broken: BTreeMap::new(),
            boots: 0,
        }
    }

    /// Boots the device and lets it live until it is ready with nothing due, until `until`, or for `effects` effects.
    ///
    /// A cut comes after the effect and before the agent hears of it: the harder half of "at least once".
    pub fn live(&mut self, config: &Config, until: u64, effects: Option<usize>, past_ready: bool) -> End {
        self.live_as(config, until, effects, past_ready, |_, _, _| u64::MAX)
    }

    /// The same with an application, which is called whenever the agent has nothing to do: it gets the agent and the time,
    /// and says when it wants to be called again, in seconds since 1970.
    pub fn live_as(
        &mut self,
        config: &Config,
        until: u64,
        effects: Option<usize>,
        past_ready: bool,
        application: impl FnMut(&mut Self, &mut Agent<'_>, Now) -> u64,
    ) -> End {
        let mut memory = Box::new(Memory::<6144, 10240>::new());
        self.live_in(memory.lend(), config, until, effects, past_ready, application)
    }

    /// The same in memory of another size.
    pub fn live_in(
        &mut self,
        memory: Lent<'_>,
        config: &Config,
        until: u64,
        effects: Option<usize>,
        past_ready: bool,
        mut application: impl FnMut(&mut Self, &mut Agent<'_>, Now) -> u64,
    ) -> End {
        let mut keys = self.boot();
        let mut agent = Agent::new(config, memory);
        let start = self.unix;
        let mut left = effects;
        loop {
            let wall = self.unix.saturating_add_signed(self.clock_off);
            let now = Now { mono: Instant((self.unix - start) * 1000), wall: self.wall.then_some(UnixTime(wall)) };
            let step = agent.poll(now);
            let outcome = if let Step::Idle { until: wake } = step {
                match agent.status(now) {
                    Status::Stuck(error) => return End::Stuck(error),
                    Status::Ready { .. } if !past_ready => return End::Ready,
                    _ => {}
                }
                let called = application(self, &mut agent, now);
                if called <= self.unix {
                    continue;
                }
                // the application may have asked for something
                let wake = match agent.poll(now) {
                    Step::Idle { until } => until.min(wake),
                    _ => continue,
                };
                let wait = wake.0.saturating_sub(now.mono.0).div_ceil(1000).max(1);
                self.unix = self.unix.saturating_add(wait).min(until).min(called);
                if self.unix >= until {
                    return End::Time;
                }
                continue;
            } else {
                self.perform(step, &mut keys)
            };
            if let Some(left) = &mut left {
                if *left == 0 {
                    return End::Cut;
                }
                *left -= 1;
            }
            if let Err(error) = agent.done(now, outcome) {
                self.errors.push(error);
            }
        }
    }

    /// The key store of a device that is switched on.
    ///
    /// # Panics
    /// Never: the source is good.
    pub fn boot(&mut self) -> SoftwareKeys<TestSource> {
        self.boots += 1;
        let rng = Rng::start(TestSource::good(self.boots), b"virtual").expect("a good source");
        SoftwareKeys::new(rng, DeviceSecret::new([7; 32]))
    }

    /// Does one step.
    ///
    /// # Panics
    /// When the step is to idle, or keys or room are missing.
    pub fn perform(&mut self, step: Step<'_>, keys: &mut SoftwareKeys<TestSource>) -> Outcome {
        let number = match &step {
            Step::Store { record, .. } | Step::StoreSealed { record, .. } => record.number(),
            _ => 0,
        };
        if let Some(left) = self.broken.get_mut(&number).filter(|left| **left > 0) {
            *left -= 1;
            let error = Error::Unreachable { by: "store", problem: "a glitch" };
            return Outcome::Failed(Failure { cause: Cause::Transient, error });
        }
        match step {
            Step::Load { record, into } => match self.flash.get(&record.number()) {
                Some(octets) => {
                    into[..octets.len()].copy_from_slice(octets);
                    let opened = if record.is_sealed() {
                        keys.open(record.number(), into, octets.len())
                    } else {
                        Ok(octets.len())
                    };
                    opened.map_or(Outcome::Absent, Outcome::Loaded)
                }
                None => Outcome::Absent,
            },
            Step::StoreSealed { record, octets, length } => {
                let length = keys.seal(record.number(), octets, length).expect("room to seal");
                self.flash.insert(record.number(), octets[..length].to_vec());
                Outcome::Done
            }
            Step::Erase { record } => {
                self.flash.remove(&record.number());
                Outcome::Done
            }
            Step::Random { into } => {
                keys.random(into).expect("a healthy source");
                Outcome::Done
            }
            Step::Store { record, bytes } => {
                self.flash.insert(record.number(), bytes.to_vec());
                Outcome::Done
            }
            Step::Public { slot, into } => {
                if let Some(sealed) = self.flash.get(&Record::Key(slot).number()) {
                    keys.restore(slot, sealed).expect("a sealed key");
                }
                match keys.public(slot).expect("keys") {
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
            Step::Exchange { request, into, nonce } => self.exchange(&request, into, nonce),
            Step::Idle { .. } => unreachable!("handled by the caller"),
        }
    }

    fn exchange(&mut self, request: &Request<'_>, into: &mut [u8], nonce: &mut Nonce) -> Outcome {
        self.exchanges += 1;
        let provisional = matches!(request.trust, Trust::Provisional);
        assert!(!provisional || request.client.is_none(), "no identity is shown to an unproven server");
        assert!(!provisional || matches!(request.authorization, Authorization::None), "nor a secret");
        let mut http = match request.method {
            Method::Post => HttpRequest::post(request.path, request.content_type, request.body),
            Method::Put => HttpRequest {
                method: "PUT".into(),
                ..HttpRequest::post(request.path, request.content_type, request.body)
            },
            Method::Get => HttpRequest::get(request.path),
            Method::Delete => HttpRequest { method: "DELETE".into(), ..HttpRequest::get(request.path) },
        };
        http = http.with("Host", request.host);
        if let Some(proof) = request.proof {
            http = http.with("DPoP", proof);
        }
        if request.base64 {
            http = http.with("Content-Transfer-Encoding", "base64");
        }
        http = match request.authorization {
            Authorization::None => http,
            Authorization::Dpop(token) => http.with("Authorization", &format!("DPoP {}", token.reveal())),
            Authorization::Bearer(token) => http.with("Authorization", &format!("Bearer {}", token.reveal())),
            Authorization::Basic { user, password } => {
                let both = format!("{user}:{}", password.reveal());
                http.with("Authorization", &format!("Basic {}", data_encoding::BASE64.encode(both.as_bytes())))
            }
        };
        let client = request.client.map(|client| client.certificate);
        if let Some((status, json)) = self.script.as_mut().and_then(|script| script(request)) {
            into[..json.len()].copy_from_slice(json.as_bytes());
            let media = identity_core::agent::step::Media::Json;
            let (retry_after, date, challenge) = (None, None, Default::default());
            return Outcome::Reply(Reply { status, media, retry_after, date, challenge, length: json.len() });
        }
        let reply = match &mut self.auth {
            Some(auth) if !request.purpose.starts_with("EST") => {
                if !self.auth_up {
                    let error = Error::Unreachable { by: request.purpose, problem: "the server is down" };
                    return Outcome::Failed(Failure { cause: Cause::Transient, error });
                }
                auth.handle(self.unix, client, &http)
            }
            _ => self.server.handle(self.unix, client, &http),
        };
        if let Some(value) = reply.header("DPoP-Nonce") {
            nonce.set(value.as_bytes());
        }
        let Some(room) = into.get_mut(..reply.body.len()) else {
            let error = Error::NoSpace { what: request.purpose, wanted: reply.body.len() };
            return Outcome::Failed(Failure { cause: Cause::Permanent, error });
        };
        room.copy_from_slice(&reply.body);
        let media = |v: &str| wire::http::media(v.as_bytes());
        Outcome::Reply(Reply {
            status: reply.status,
            media: reply.header("Content-Type").map_or(identity_core::agent::step::Media::Absent, media),
            retry_after: reply.header("Retry-After").and_then(|v| wire::http::retry_after(v.as_bytes())),
            date: reply.header("Date").and_then(|v| wire::http::date(v.as_bytes())),
            challenge: reply
                .header("WWW-Authenticate")
                .map(|v| wire::http::challenge(v.as_bytes()))
                .unwrap_or_default(),
            length: reply.body.len(),
        })
    }
}
