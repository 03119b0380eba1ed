//! A whole plant on loopback: authority, EST server over TLS, MQTT broker with mutual TLS, time server.

use crate::broker::{Broker, OBSERVER};
use crate::ca::{Ca, CaOptions, DAY, Identity, Validity, common_name_of, name_as_text};
use crate::est::{EstOptions, EstServer, read_csr};
use crate::events::{Event, Events};
use crate::http::{Delivery, HttpRequest};
use crate::key::KeyKind;
use crate::mosquitto::Mosquitto;
use crate::server::{ClientAuth, HttpsServer, Line, WallClock, system_clock, tls_config};
use crate::sntp::SntpServer;
use crate::subscriber::{Subscriber, client_config};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which MQTT broker a plant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerKind {
    /// The one in this crate.
    Embedded,
    /// Debian's mosquitto.
    Mosquitto,
}

/// How a plant is set up.
#[derive(Clone)]
pub struct PlantOptions {
    /// The authority.
    pub ca: CaOptions,
    /// The EST server.
    pub est: EstOptions,
    /// How plain HTTP responses are framed.
    pub framing: Delivery,
    /// The broker.
    pub broker: BrokerKind,
    /// Keys of the servers.
    pub server_key: KeyKind,
    /// Seconds for which the servers' certificates are valid.
    pub server_lifetime: u64,
    /// Wall time of every server but mosquitto.
    pub clock: WallClock,
}

impl Default for PlantOptions {
    fn default() -> Self {
        Self {
            ca: CaOptions::default(),
            est: EstOptions::default(),
            framing: Delivery::Length,
            broker: BrokerKind::Embedded,
            server_key: KeyKind::P256,
            server_lifetime: 365 * DAY,
            clock: system_clock(),
        }
    }
}

/// DNS names in the servers' certificates.
pub const NAMES: [&str; 3] = ["est.plant.example", "mqtt.plant.example", "localhost"];

/// Addresses in the servers' certificates: loopback, and what QEMU's guests call it.
pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 0, 2, 2)];

enum Running {
    Embedded(Broker),
    Mosquitto(Mosquitto),
}

/// A running plant; ends when dropped.
pub struct Plant {
    root: Vec<u8>,
    est: Arc<Mutex<EstServer>>,
    https: HttpsServer,
    broker: Running,
    sntp: SntpServer,
    observer: Identity,
    clock: WallClock,
    events: Events,
}

impl Plant {
    /// Starts every server on a free port of loopback.
    ///
    /// # Errors
    /// When mosquitto is wanted and does not start.
    pub fn start(options: PlantOptions) -> Result<Self, String> {
        let PlantOptions { ca, est, framing, broker, server_key, server_lifetime, clock } = options;
        let events = Events::default();
        let now = clock();
        let mut ca = Ca::with(now, &ca);
        let validity = Validity::starting(now, server_lifetime);
        let server = ca.server(server_key, &NAMES, &ADDRESSES, validity);
        let observer = ca.client(OBSERVER, validity);
        let root = ca.root().to_vec();
        let broker = match broker {
            BrokerKind::Embedded => Running::Embedded(Broker::start(&server, &[&root], &clock, events.clone())),
            BrokerKind::Mosquitto => Running::Mosquitto(Mosquitto::start(&server, &ca.certificates(), events.clone())?),
        };
        let tls = tls_config(&server, &[&root], ClientAuth::Optional, &clock);
        let est = Arc::new(Mutex::new(EstServer::new(ca, est)));
        let (shared, log, time) = (est.clone(), events.clone(), clock.clone());
        let handler = move |client: Option<&[u8]>, request: &HttpRequest| {
            if let Ok(csr) = read_csr(request) {
                log.push(Event::Csr { subject: name_as_text(&csr.subject), octets: csr.octets });
            }
            let response = shared.lock().unwrap_or_else(PoisonError::into_inner).handle(time(), client, request);
            log.push(Event::Http {
                request: format!("{} {}", request.method, request.path),
                client: client.and_then(common_name_of),
                request_octets: request.body.len(),
                status: response.status,
                reply_octets: response.body.len(),
            });
            response
        };
        let https = HttpsServer::start(tls, framing, events.clone(), Arc::new(Mutex::new(handler)));
        let sntp = SntpServer::start(clock.clone(), events.clone());
        Ok(Self { root, est, https, broker, sntp, observer, clock, events })
    }

    /// The root certificate, DER.
    #[must_use]
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The EST server: options, faults, what was issued. Do not hold it across a request.
    pub fn est(&self) -> MutexGuard<'_, EstServer> {
        self.est.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Port of the EST server (HTTPS).
    #[must_use]
    pub fn est_port(&self) -> u16 {
        self.https.port()
    }

    /// Connections of the EST server, for their faults.
    #[must_use]
    pub fn est_line(&self) -> &Line {
        self.https.line()
    }

    /// Port of the broker (MQTT over TLS, both versions).
    #[must_use]
    pub fn broker_port(&self) -> u16 {
        match &self.broker {
            Running::Embedded(broker) => broker.port(),
            Running::Mosquitto(mosquitto) => mosquitto.port(),
        }
    }

    /// The broker of this crate, for its faults; none if it is mosquitto.
    #[must_use]
    pub fn broker(&self) -> Option<&Broker> {
        match &self.broker {
            Running::Embedded(broker) => Some(broker),
            Running::Mosquitto(_) => None,
        }
    }

    /// The time server.
    #[must_use]
    pub fn sntp(&self) -> &SntpServer {
        &self.sntp
    }

    /// Wall time of the plant, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.clock)()
    }

    /// What the servers saw.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// A birth certificate and its key, from the plant's own authority, valid for a day.
    #[must_use]
    pub fn birth(&self, common_name: &str) -> Identity {
        let validity = Validity::starting(self.now(), DAY);
        self.est().ca.client(common_name, validity)
    }

    /// Subscribes with the observer's certificate, which may read and write every topic. One at a time.
    ///
    /// # Errors
    /// What the broker said against it.
    pub fn subscribe(&self, filter: &str) -> Result<Subscriber, String> {
        Subscriber::start(self.broker_port(), client_config(&self.root, Some(&self.observer)), "observer", filter)
    }
}
