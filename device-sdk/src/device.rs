//! The device: asks the core what to do, does it over the board's ports, and opens the link to the broker.

use identity_core::agent::step::Step;
use identity_core::agent::{Agent, Status};
use identity_core::error::Error as CoreError;
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::trust::Trust;

use crate::Error;
use crate::config::{Areas, Config, Memory, SideMemory};
use crate::converse::{EXCHANGE_MS, HANDSHAKE_MS, Means, connect, converse, tell};
use crate::effects::{key, perform};
use crate::link::Link;
use crate::net::mqtt::{self, Client};
use crate::net::tls::{Buffers, Peer, Secure};
use crate::ports::{Clock, KeyStore, Net, Platform, Store};
use crate::reconnect::Reconnect;
use crate::wall::Wall;

/// A device with an identity: keys, flash, network and clock of a board, driven by the core's agent.
pub struct Device<'m, K, S, N, C> {
    pub(crate) config: &'m Config,
    pub(crate) agent: Agent<'m>,
    pub(crate) platform: Platform<K, S, N, C>,
    pub(crate) areas: Areas<'m>,
    pub(crate) wall: Wall,
    pub(crate) reconnect: Reconnect,
    /// A second socket, for requests beside a live link.
    pub(crate) side: Option<Side<'m, N>>,
    /// When the user code expires that the application was told of last.
    told: Instant,
}

/// A second socket and the memory of a connection over it.
pub(crate) struct Side<'m, N> {
    pub(crate) net: N,
    pub(crate) areas: Areas<'m>,
}

impl<'m, K: KeyStore, S: Store, N: Net, C: Clock> Device<'m, K, S, N, C> {
    /// A device at power-on. Nothing is read or sent before [`online`](Self::online).
    // inlined, a copy of it would lie in the caller's frame for good
    #[inline(never)]
    pub fn new<const REPLY: usize, const TOKENS: usize, const INBOX: usize, const OUTBOX: usize>(
        config: &'m Config,
        memory: &'m mut Memory<REPLY, TOKENS, INBOX, OUTBOX>,
        platform: Platform<K, S, N, C>,
    ) -> Self {
        let (agent, areas) = memory.lend();
        let agent = Agent::new(&config.identity, agent);
        let (wall, reconnect) = (Wall::default(), Reconnect::default());
        Self { config, agent, platform, areas, wall, reconnect, side: None, told: Instant(0) }
    }

    /// The same with a second socket: tokens and certificates are then fetched beside a live link instead of between two.
    #[must_use]
    pub fn with_second_socket<const INBOX: usize>(mut self, net: N, memory: &'m mut SideMemory<INBOX>) -> Self {
        self.side = Some(Side { net, areas: memory.lend() });
        self
    }

    /// What the application may know.
    pub fn status(&self) -> Status {
        self.agent.status(self.wall.now(&self.platform.clock))
    }

    /// Does what is due (load, enrol, renew), then logs in to the broker: one attempt.
    ///
    /// Waits first, if the last attempt failed: at enrolment as long as the server asked or the agent's backoff says, at
    /// the broker or when stuck with full jitter up to 5 minutes. Call it again after an error. Dropping it is as safe as
    /// cutting power: what was under way is done again.
    ///
    /// # Errors
    /// What went wrong; only [`Status::Stuck`] needs a person before the next call.
    pub async fn online(&mut self) -> Result<Link<'_, 'm, K, S, N, C>, Error> {
        self.platform.clock.sleep_until(self.reconnect.until()).await;
        let now = match self.settle().await {
            Ok(now) => now,
            Err(error) => return Err(self.unsettled(error)),
        };
        let session =
            self.agent.session_want().and_then(|want| self.agent.token(&want, now)).map(|token| token.expires);
        let Self { config, agent, platform, areas, wall, reconnect, side, .. } = self;
        let Platform { keys, store, net, clock } = platform;
        let clock: &C = clock;
        reconnect.attempt(clock.now(), random(keys));
        let opened = async {
            let login =
                agent.session(now).unwrap_or(Err(CoreError::Misuse("the agent is ready without an identity")))?;
            if let Some(client) = login.client {
                key(keys, store, client.slot).await?;
            }
            let stream = connect(net, clock, login.host, login.port).await?;
            let peer = Peer {
                host: login.host,
                trust: Trust::Anchors(login.anchors),
                client: login.client,
                alpn: login.alpn,
                judge: login.judge,
            };
            let Areas { receive, send, inbox, outbox, .. } = areas;
            let secure = Secure::open(stream, clock, Buffers { receive, send }, peer, keys, HANDSHAKE_MS).await?;
            info!("TLS with {} port {}, for MQTT", login.host, login.port);
            tell("MQTT", "TLS", secure.traffic());
            let connect = mqtt::Connect {
                version: login.version,
                client_id: login.client_id,
                user_name: login.user_name,
                password: login.password,
                authentication: login.authentication,
                keep_alive: login.keep_alive,
                will: config.will,
            };
            let until = clock.now().after_ms(EXCHANGE_MS.into());
            let buffers = mqtt::Buffers { send: outbox, receive: inbox };
            let mut client = Client::connect(secure, clock, buffers, &connect, until).await?;
            info!("CONNECT accepted as {}", login.client_id);
            tell("MQTT", "CONNECT", client.transport().traffic());
            Ok(client)
        };
        match opened.await {
            Ok(client) => {
                let client = Some(client);
                Ok(Link {
                    client,
                    agent,
                    keys,
                    store,
                    clock,
                    wall,
                    reconnect,
                    side: side.as_mut(),
                    token_until: session,
                })
            }
            Err(error) => {
                wall.doubt(error);
                if let (Some(want), true) = (agent.session_want(), refused_token(error)) {
                    agent.token_refused(&want, wall.now(clock));
                }
                reconnect.ended(clock.now(), random(keys));
                Err(error)
            }
        }
    }

    /// Sees to it that the next attempt waits: the agent's backoff does, unless the device is stuck or its own ports fail.
    fn unsettled(&mut self, error: Error) -> Error {
        self.wall.doubt(error);
        if !matches!(self.status(), Status::Waiting { .. }) {
            self.reconnect.attempt(self.platform.clock.now(), random(&mut self.platform.keys));
        }
        error
    }

    /// Lets the agent do what is due until there is an identity to log in with; says when that was.
    async fn settle(&mut self) -> Result<Now, Error> {
        loop {
            // of a request that was dropped
            let _ = self.agent.answer();
            self.local().await?;
            self.learn_time().await?;
            self.local().await?;
            let now = self.wall.now(&self.platform.clock);
            let until = match self.agent.poll(now) {
                Step::Exchange { .. } => None,
                Step::Idle { until } => Some(until),
                _ => continue,
            };
            match (until, self.agent.status(now)) {
                _ if self.must_show(now) => return Err(Error::Approval),
                (None, _) => {
                    self.converse().await?;
                    // the server said "later": the application is told, and waits in its next call
                    if let Status::Waiting { trouble: Some(error), .. } = self.status() {
                        return Err(Error::Core(error));
                    }
                }
                (_, Status::Stuck(error)) => return Err(Error::Core(error)),
                (_, status) if self.agent.session(now).is_some() => {
                    if let Status::Ready { slot, not_before, not_after } = status {
                        match not_after {
                            UnixTime::NEVER => info!("client with the key in slot {}", slot.number()),
                            _ => info!(
                                "identity in slot {}, valid from {} to {}",
                                slot.number(),
                                not_before.0,
                                not_after.0
                            ),
                        }
                    }
                    return Ok(now);
                }
                (Some(until), _) => {
                    info!("waiting {} s before the next try", until.0.saturating_sub(now.mono.0) / 1000);
                    self.platform.clock.sleep_until(until).await;
                }
            }
        }
    }

    /// Does steps until one needs the network or time.
    pub(crate) async fn local(&mut self) -> Result<(), Error> {
        let Platform { keys, store, clock, .. } = &mut self.platform;
        loop {
            let step = self.agent.poll(self.wall.now(clock));
            if matches!(step, Step::Exchange { .. } | Step::Idle { .. }) {
                return Ok(());
            }
            let outcome = perform(step, keys, store).await;
            self.agent.done(self.wall.now(clock), outcome)?;
        }
    }

    /// Whether there is a user code that the application was not told of.
    pub(crate) fn must_show(&mut self, now: Now) -> bool {
        let expires = self.agent.user_code(now).map(|code| code.expires);
        let fresh = expires.is_some_and(|expires| expires != self.told);
        self.told = expires.unwrap_or(self.told);
        fresh
    }

    pub(crate) async fn converse(&mut self) -> Result<(), Error> {
        let Self { agent, platform, areas, wall, .. } = self;
        let Platform { keys, store, net, clock } = platform;
        converse(agent, wall, Means { keys, store, net, clock, areas }).await
    }

    pub(crate) async fn learn_time(&mut self) -> Result<(), Error> {
        let Platform { keys, net, clock, .. } = &mut self.platform;
        self.wall.learn(self.config.time_servers, self.agent.floor(), keys, net, clock).await
    }
}

/// A number for jitter; the largest, for the longest wait, if the key store gives none.
pub(crate) fn random<K: KeyStore>(keys: &mut K) -> u32 {
    let mut octets = [0; 4];
    keys.random(&mut octets).map_or(u32::MAX, |()| u32::from_ne_bytes(octets))
}

/// Whether the broker's refusal may be about the token: bad user name or password, not authorised (MQTT 5 §2.4, 3.1.1
/// §3.2.2.3).
fn refused_token(error: Error) -> bool {
    matches!(error, Error::Broker { what: "CONNECT" | "session", reason: 4 | 5 | 0x86 | 0x87, .. })
}
