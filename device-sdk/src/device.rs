//! The device: asks the core what to do, does it over the board's ports, and opens the link to the broker.

use embassy_futures::select::{Either, select};
use identity_core::agent::step::{Outcome, Request, Step};
use identity_core::agent::{Agent, Status};
use identity_core::crypto::Sha256;
use identity_core::error::Error as CoreError;
use identity_core::keys::Digest;
use identity_core::time::Now;
use identity_core::trust::Trust;

use crate::Error;
use crate::config::{Areas, Config, Memory};
use crate::effects::{failure, key, perform};
use crate::link::Link;
use crate::net::http;
use crate::net::mqtt::{self, Client};
use crate::net::tls::{Buffers, Peer, Secure};
use crate::ports::{Clock, KeyStore, Net, Platform, Store};
use crate::reconnect::Reconnect;
use crate::wall::Wall;

/// Longest wait for a TCP connection, name look-up included, in milliseconds.
const CONNECT_MS: u32 = 20_000;
/// Longest TLS handshake, in milliseconds.
const HANDSHAKE_MS: u32 = 30_000;
/// Longest exchange of a request and its reply, in milliseconds.
pub(crate) const EXCHANGE_MS: u32 = 30_000;
/// Longest orderly end of a connection, in milliseconds.
pub(crate) const CLOSE_MS: u64 = 2_000;

/// A device with an identity: keys, flash, network and clock of a board, driven by the core's agent.
pub struct Device<'m, K, S, N, C> {
    pub(crate) config: &'m Config,
    pub(crate) agent: Agent<'m>,
    pub(crate) platform: Platform<K, S, N, C>,
    pub(crate) areas: &'m mut Areas,
    pub(crate) wall: Wall,
    pub(crate) reconnect: Reconnect,
}

impl<'m, K: KeyStore, S: Store, N: Net, C: Clock> Device<'m, K, S, N, C> {
    /// A device at power-on. Nothing is read or sent before [`online`](Self::online).
    pub fn new<const REPLY: usize>(
        config: &'m Config,
        memory: &'m mut Memory<REPLY>,
        platform: Platform<K, S, N, C>,
    ) -> Self {
        let Memory { agent, areas } = memory;
        let agent = Agent::new(&config.identity, agent.lend());
        Self { config, agent, platform, areas, wall: Wall::default(), reconnect: Reconnect::default() }
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
        let Self { config, agent, platform, areas, wall, reconnect } = self;
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
            let Areas { receive, send, inbox, outbox } = &mut **areas;
            let secure = Secure::open(stream, clock, Buffers { receive, send }, peer, keys, HANDSHAKE_MS).await?;
            info!("TLS with {} port {}, for MQTT", login.host, login.port);
            tell("MQTT", "TLS", secure.traffic());
            let connect = mqtt::Connect {
                version: login.version,
                client_id: login.client_id,
                user_name: login.user_name,
                password: login.password,
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
            Ok(client) => Ok(Link { client: Some(client), agent, keys, store, clock, wall, reconnect }),
            Err(error) => {
                wall.doubt(error);
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
                (None, _) => self.converse().await?,
                (_, Status::Stuck(error)) => return Err(Error::Core(error)),
                (_, Status::Ready { slot, not_before, not_after }) => {
                    info!("identity in slot {}, valid from {} to {}", slot.number(), not_before.0, not_after.0);
                    return Ok(now);
                }
                _ if self.agent.session(now).is_some() => return Ok(now),
                (Some(until), _) => {
                    info!("waiting {} s before the next try", until.0.saturating_sub(now.mono.0) / 1000);
                    self.platform.clock.sleep_until(until).await;
                }
            }
        }
    }

    /// Does steps until one needs the network or time.
    async fn local(&mut self) -> Result<(), Error> {
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

    async fn learn_time(&mut self) -> Result<(), Error> {
        let Platform { keys, net, clock, .. } = &mut self.platform;
        self.wall.learn(self.config.time_servers, self.agent.floor(), keys, net, clock).await
    }

    /// Opens a connection for the pending exchange, and keeps it for those after it as long as they go to the same peer.
    async fn converse(&mut self) -> Result<(), Error> {
        let Self { agent, platform, areas, wall, .. } = self;
        let Platform { keys, store, net, clock } = platform;
        let clock: &C = clock;
        let Areas { receive, send, inbox, .. } = &mut **areas;

        let Step::Exchange { request, .. } = agent.poll(wall.now(clock)) else { return Ok(()) };
        let (peer, by) = (peer_of(&request), request.purpose);
        let opened = async {
            if let Some(client) = request.client {
                key(keys, store, client.slot).await?;
            }
            let stream = connect(net, clock, request.host, request.port).await?;
            let peer = Peer {
                host: request.host,
                trust: request.trust,
                client: request.client,
                alpn: &[],
                judge: request.judge,
            };
            Secure::open(stream, clock, Buffers { receive, send }, peer, keys, HANDSHAKE_MS).await
        };
        let mut secure = match opened.await {
            Ok(secure) => {
                info!("TLS with {} port {}, for {}", request.host, request.port, by);
                tell(by, "TLS", secure.traffic());
                secure
            }
            Err(error) => {
                warn!("{}: {}", by, error);
                agent.done(wall.now(clock), Outcome::Failed(failure(by, error)))?;
                return Err(error);
            }
        };
        let mut used = false;
        loop {
            let step = agent.poll(wall.now(clock));
            let (outcome, again) = match step {
                Step::Exchange { request, into } if peer_of(&request) == peer => {
                    let until = clock.now().after_ms(EXCHANGE_MS.into());
                    let purpose = request.purpose;
                    let asked = request.body.len();
                    match http::exchange(&mut secure, &request, into, inbox, until).await {
                        Ok((reply, again)) => {
                            info!("{}: {} octets, status {}, {} octets", purpose, asked, reply.status, reply.length);
                            tell(purpose, "request and reply", secure.traffic());
                            used = true;
                            (Outcome::Reply(reply), again)
                        }
                        // A server may close a connection that idles (RFC 9112 §9.3.1): asked again on a fresh one.
                        Err(Error::Closed { .. }) if used => return Ok(()),
                        Err(error) => {
                            warn!("{}: {}", purpose, error);
                            agent.done(wall.now(clock), Outcome::Failed(failure(purpose, error)))?;
                            return Err(error);
                        }
                    }
                }
                Step::Exchange { .. } | Step::Idle { .. } => break,
                local => (perform(local, keys, store).await, true),
            };
            agent.done(wall.now(clock), outcome)?;
            if !again {
                break;
            }
        }
        // the peer may be gone already, and nothing depends on this
        let _ = secure.close(clock.now().after_ms(CLOSE_MS)).await;
        Ok(())
    }
}

/// Tells what a connection has carried so far, TLS included: the counters of [`Secure::traffic`].
pub(crate) fn tell(by: &str, after: &str, (received, sent): (u32, u32)) {
    debug!("{}: {} octets sent and {} received on this connection after {}", by, sent, received, after);
}

/// A number for jitter; the largest, for the longest wait, if the key store gives none.
pub(crate) fn random<K: KeyStore>(keys: &mut K) -> u32 {
    let mut octets = [0; 4];
    keys.random(&mut octets).map_or(u32::MAX, |()| u32::from_ne_bytes(octets))
}

/// A connected stream, within [`CONNECT_MS`].
async fn connect<'a, N: Net, C: Clock>(
    net: &'a mut N,
    clock: &C,
    host: &str,
    port: u16,
) -> Result<N::Stream<'a>, Error> {
    let until = clock.now().after_ms(CONNECT_MS.into());
    match select(net.connect(host, port), clock.sleep_until(until)).await {
        Either::First(Ok(stream)) => Ok(stream),
        Either::First(Err(error)) => Err(Error::port("net", &error)),
        Either::Second(()) => Err(Error::Timeout { what: "TCP connection", after_ms: CONNECT_MS }),
    }
}

/// Names the TLS connection that a request needs: server, how it is authenticated, and as whom.
fn peer_of(request: &Request<'_>) -> Digest {
    let mut hash = Sha256::new();
    hash.update(request.host.as_bytes());
    hash.update(&[0]);
    hash.update(&request.port.to_be_bytes());
    match request.trust {
        Trust::Provisional => hash.update(&[0]),
        Trust::Anchors(anchors) => {
            hash.update(&[1]);
            for anchor in anchors.iter() {
                hash.update(anchor);
            }
        }
    }
    if let Some(client) = request.client {
        hash.update(&[2, client.slot.number()]);
        hash.update(client.certificate);
    }
    hash.finish()
}
