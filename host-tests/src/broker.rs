//! An MQTT broker on loopback: 3.1.1 and 5 on one port, QoS 0 and 1, retained messages, wills, log-in by certificate or
//! access token, and faults. No sessions outlive a connection.
//!
//! Why not rumqttd 0.20: its threads never end, a port cannot be left to the system, and it brings a second rustls.

use crate::broker_auth::{Access, Login, Refused};
pub use crate::broker_auth::{OBSERVER, ReauthFault};
use crate::broker_router::{Client, Router};
use crate::ca::Identity;
use crate::events::{Event, Events};
use crate::mqtt_auth::Auth;
use crate::mqtt_wire::{Connect, Incoming, Message, Outgoing, Version, version};
use crate::server::{Background, ClientAuth, Line, WallClock, accept_tls, loopback, tls_config};
use bytes::BytesMut;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_rustls::server::TlsStream;

/// What the broker can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerFault {
    /// CONNACK: not authorised.
    Refuse,
    /// CONNACK: server busy (5), unavailable (3.1.1).
    Busy,
    /// CONNACK with this reason code (5) or return code (3.1.1).
    Connack(u8),
    /// No CONNACK.
    Ignore,
    /// No PUBACK, SUBACK or PINGRESP.
    NoAcks,
    /// Messages nobody asked for, right after CONNACK, on `devices/<name>/flood`: their number from 0, filled with zeros.
    Flood {
        /// How many.
        times: u32,
        /// Least octets of a payload.
        octets: usize,
        /// Quality of service, 0 or 1. No acknowledgement is awaited before the next.
        qos: u8,
    },
    /// Octets that are not MQTT, in place of CONNACK.
    Garbage,
    /// These octets in place of CONNACK; then silence.
    Instead(&'static [u8]),
    /// These octets after CONNACK; then all is as it should be.
    Also(&'static [u8]),
    /// These octets after CONNACK; then the connection ends.
    Torn(&'static [u8]),
    /// These octets after CONNACK, again and again.
    Chatter(&'static [u8]),
    /// The connection ends after CONNACK.
    Hangup,
    /// The connection ends after the first packet was answered.
    HangupAfterAnswer,
}

/// A broker; ends when dropped.
pub struct Broker {
    port: u16,
    login: Login,
    router: Arc<Mutex<Router>>,
    line: Line,
    _background: Background,
}

impl Broker {
    /// Starts on a free port of loopback. Clients need a certificate that leads to `roots`.
    #[must_use]
    pub fn start(identity: &Identity, roots: &[&[u8]], clock: &WallClock, events: Events) -> Self {
        Self::with(identity, roots, Login::certificates(clock), events)
    }

    /// The same; clients may log in by token too.
    #[must_use]
    pub fn with(identity: &Identity, roots: &[&[u8]], login: Login, events: Events) -> Self {
        let clients = if login.takes_tokens() { ClientAuth::Optional } else { ClientAuth::Required };
        let tls = tls_config(identity, roots, clients, &login.clock);
        let (listener, address) = loopback();
        let router = Arc::new(Mutex::new(Router::default()));
        let (shared, refusals, logins) = (router.clone(), events.clone(), login.clone());
        let serve = move |stream: TlsStream<TcpStream>, client: Option<Vec<u8>>| {
            let (router, events, login) = (shared.clone(), events.clone(), logins.clone());
            async move {
                let (received, name, access) = (BytesMut::new(), String::new(), Access::default());
                let mut link = Link { stream, received, version: Version::V5, name, access, login, router, events };
                let _ = link.run(client.as_deref()).await;
                let _ = link.stream.shutdown().await;
            }
        };
        let refused = move |why| refusals.push(Event::TlsRefused { server: "mqtt", why });
        let line = Line::default();
        let theirs = line.clone();
        let background = Background::start("broker", move || accept_tls(listener, tls, theirs, serve, refused));
        Self { port: address.port(), login, router, line, _background: background }
    }

    /// Its connections, for their faults.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Misbehaves towards every client that connects from now on, or behaves again.
    pub fn set_fault(&self, fault: Option<BrokerFault>) {
        self.router.lock().unwrap_or_else(PoisonError::into_inner).fault = fault;
    }

    /// Misbehaves when clients re-authenticate, or behaves again.
    pub fn set_reauth_fault(&self, fault: Option<ReauthFault>) {
        self.login.set_fault(fault);
    }

    /// Publishes as the broker itself.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: u8) {
        let payload = payload.to_vec().into();
        let message = Message { topic: topic.into(), payload, qos, retain: false };
        self.router.lock().unwrap_or_else(PoisonError::into_inner).publish(&message);
    }

    /// Ends every connection, as a restart would.
    pub fn kick(&self) {
        self.router.lock().unwrap_or_else(PoisonError::into_inner).clients.clear();
    }
}

/// One client's connection. `Err` ends it.
struct Link {
    stream: TlsStream<TcpStream>,
    received: BytesMut,
    version: Version,
    name: String,
    access: Access,
    login: Login,
    router: Arc<Mutex<Router>>,
    events: Events,
}

impl Link {
    fn router(&self) -> std::sync::MutexGuard<'_, Router> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&mut self, packet: Outgoing) -> Result<(), String> {
        let octets = self.version.write(packet)?;
        self.octets(&octets).await
    }

    async fn octets(&mut self, octets: &[u8]) -> Result<(), String> {
        self.stream.write_all(octets).await.map_err(|error| error.to_string())?;
        self.stream.flush().await.map_err(|error| error.to_string())
    }

    /// Receives at least one octet. Cancel-safe.
    async fn receive(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err("end of stream".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn connect(&mut self) -> Result<Connect, String> {
        self.version = loop {
            match version(&self.received) {
                Some(version) => break version?,
                None => self.receive().await?,
            }
        };
        loop {
            match self.version.read(&mut self.received)? {
                Some(Incoming::Connect(connect)) => return Ok(connect),
                Some(other) => return Err(format!("first packet: {other:?}")),
                None => self.receive().await?,
            }
        }
    }

    async fn run(&mut self, certificate: Option<&[u8]>) -> Result<(), String> {
        let connect = self.connect().await?;
        match self.login.connect(certificate, &connect) {
            Ok(access) => (self.name, self.access) = (access.name.clone(), access),
            Err(Refused(packet, why)) => {
                self.events.push(Event::LoginRefused { client_id: connect.client_id, why });
                return self.send(packet).await;
            }
        }
        let Connect { client_id, keep_alive, will, .. } = connect;
        let fault = self.router().fault;
        match fault {
            Some(BrokerFault::Refuse) => return self.send(Outgoing::NotAuthorized).await,
            Some(BrokerFault::Busy) => return self.send(Outgoing::Busy).await,
            Some(BrokerFault::Connack(code)) => {
                let octets: &[u8] =
                    if self.version == Version::V4 { &[0x20, 2, 0, code] } else { &[0x20, 3, 0, code, 0] };
                return self.octets(octets).await;
            }
            Some(BrokerFault::Garbage) => return self.octets(&[0xFF; 32]).await,
            Some(BrokerFault::Instead(octets)) => {
                self.octets(octets).await?;
                loop {
                    self.receive().await?;
                }
            }
            Some(BrokerFault::Ignore) => loop {
                self.receive().await?;
            },
            _ => {}
        }
        let (outbox, mut inbox) = unbounded_channel();
        let (serial, client_id, assigned) = {
            let mut router = self.router();
            router.serial += 1;
            let serial = router.serial;
            let assigned = client_id.is_empty().then(|| format!("assigned-{serial}"));
            let client_id = assigned.clone().unwrap_or(client_id);
            let client = Client { serial, outbox, filters: Vec::new() };
            if let Some(old) = router.clients.insert(client_id.clone(), client) {
                let _ = old.outbox.send(Outgoing::TakenOver);
            }
            (serial, client_id, assigned)
        };
        let version = if self.version == Version::V4 { 4 } else { 5 };
        self.events.push(Event::Connected { name: self.name.clone(), client_id: client_id.clone(), version });
        let method = self.access.method.clone();
        self.send(Outgoing::Accept { assigned, method }).await?;
        let ended = match fault {
            Some(BrokerFault::Hangup) => Err("hung up".into()),
            _ => self.session(&client_id, keep_alive, fault, &mut inbox).await,
        };
        let mut router = self.router.lock().unwrap_or_else(PoisonError::into_inner);
        if router.clients.get(&client_id).is_some_and(|client| client.serial == serial) {
            router.clients.remove(&client_id);
        }
        let with_will = !matches!(ended, Ok(false));
        if let Some(will) = will.filter(|will| with_will && self.access.publish(&will.topic)) {
            router.publish(&will);
        }
        self.events.push(Event::Disconnected { name: self.name.clone(), orderly: ended.is_ok() });
        ended.map(|_| ())
    }

    /// Serves until DISCONNECT, and says whether that asks for the will. MQTT 3.1.1 §3.1.2.10: one and a half times
    /// the keep-alive without a packet ends the connection.
    async fn session(
        &mut self,
        client_id: &str,
        keep_alive: u16,
        fault: Option<BrokerFault>,
        inbox: &mut UnboundedReceiver<Outgoing>,
    ) -> Result<bool, String> {
        match fault {
            Some(BrokerFault::Flood { times, octets, qos }) => self.flood(times, octets, qos).await?,
            Some(BrokerFault::Also(octets)) => self.octets(octets).await?,
            Some(BrokerFault::Torn(octets)) => {
                self.octets(octets).await?;
                return Err("torn".into());
            }
            Some(BrokerFault::Chatter(octets)) => loop {
                self.octets(octets).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
            _ => {}
        }
        let patience = if keep_alive == 0 { u64::from(u32::MAX) } else { u64::from(keep_alive) * 1500 };
        let mut deadline = tokio::time::Instant::now() + Duration::from_millis(patience);
        let mut next_id = 0_u16;
        loop {
            while let Some(packet) = self.version.read(&mut self.received)? {
                deadline = tokio::time::Instant::now() + Duration::from_millis(patience);
                if let Incoming::Disconnect(with_will) = packet {
                    return Ok(with_will);
                }
                let answer = match packet {
                    Incoming::Auth(auth) => self.authenticate(&auth).await?,
                    packet => self.answer(client_id, packet)?,
                };
                if let Some(answer) = answer.filter(|_| fault != Some(BrokerFault::NoAcks)) {
                    self.send(answer).await?;
                    if fault == Some(BrokerFault::HangupAfterAnswer) {
                        return Err("hung up".into());
                    }
                }
            }
            let (login, access) = (self.login.clone(), self.access.clone());
            tokio::select! {
                received = self.receive() => received?,
                () = login.expiry(&access) => {
                    self.events.push(Event::TokenExpired { name: self.name.clone() });
                    self.send(Outgoing::EndNotAuthorized).await?;
                    return Err("the token has expired".into());
                }
                outgoing = inbox.recv() => match outgoing {
                    Some(Outgoing::Publish { message, .. }) => {
                        next_id = next_id.checked_add(1).unwrap_or(1);
                        self.send(Outgoing::Publish { id: next_id, message }).await?;
                    }
                    Some(last) => {
                        self.send(last).await?;
                        return Err("taken over".into());
                    }
                    None => return Err("kicked".into()),
                },
                () = tokio::time::sleep_until(deadline) => return Err("silent for too long".into()),
            }
        }
    }

    async fn flood(&mut self, times: u32, octets: usize, qos: u8) -> Result<(), String> {
        for number in 0..times {
            let mut payload = number.to_string().into_bytes();
            payload.resize(payload.len().max(octets), 0);
            let topic = format!("devices/{}/flood", self.name);
            let message = Message { topic, payload: payload.into(), qos, retain: false };
            let id = u16::try_from(number).unwrap_or(u16::MAX).saturating_add(1);
            self.send(Outgoing::Publish { id, message }).await?;
        }
        Ok(())
    }

    fn answer(&mut self, client_id: &str, packet: Incoming) -> Result<Option<Outgoing>, String> {
        let name = self.name.clone();
        Ok(match packet {
            Incoming::Publish { id, message } => {
                if message.qos > 1 {
                    return Err("QoS 2 is not served".into());
                }
                let allowed = self.access.publish(&message.topic);
                let (topic, octets) = (message.topic.clone(), message.payload.len());
                self.events.push(Event::Published { name, topic, octets, allowed });
                if allowed {
                    self.router().publish(&message);
                }
                (message.qos == 1).then_some(Outgoing::PubAck { id, allowed })
            }
            Incoming::Subscribe { id, filters } => {
                let granted = filters.into_iter().map(|filter| self.subscribe(client_id, filter)).collect();
                Some(Outgoing::SubAck { id, granted })
            }
            Incoming::Unsubscribe { id, filters } => {
                if let Some(client) = self.router().clients.get_mut(client_id) {
                    client.filters.retain(|(filter, _)| !filters.contains(filter));
                }
                Some(Outgoing::UnsubAck { id, filters: filters.len() })
            }
            Incoming::Ping => Some(Outgoing::Pong),
            Incoming::Ack | Incoming::Auth(_) | Incoming::Disconnect(_) => None,
            Incoming::Connect(_) => return Err("a second CONNECT".into()),
        })
    }

    fn subscribe(&mut self, client_id: &str, (filter, qos): (String, u8)) -> Option<u8> {
        let allowed = self.access.subscribe(&filter) && rumqttc::valid_filter(&filter);
        self.events.push(Event::Subscribed { name: self.name.clone(), filter: filter.clone(), allowed });
        if !allowed {
            return None;
        }
        self.router().subscribe(client_id, filter, qos.min(1))
    }

    /// AUTH on a live link.
    async fn authenticate(&mut self, auth: &Auth) -> Result<Option<Outgoing>, String> {
        let name = self.name.clone();
        match self.login.again(&mut self.access, auth) {
            Ok(answer) => {
                self.events.push(Event::Reauthenticated { name, allowed: true });
                Ok(answer)
            }
            Err(Refused(packet, why)) => {
                self.events.push(Event::Reauthenticated { name, allowed: false });
                self.send(packet).await?;
                Err(why)
            }
        }
    }
}
