//! A whole plant on loopback: authority, EST server over TLS, MQTT broker with mutual TLS, time server; authorization
//! server, resource server and log-in by token where they are wanted.

use crate::broker::{Broker, OBSERVER};
use crate::broker_auth::TokenLogin;
use crate::ca::{Ca, CaOptions, DAY, Identity, Validity, common_name_of, name_as_text};
use crate::est::{EstOptions, EstServer, read_csr};
use crate::events::{Event, Events};
use crate::http::{Delivery, HttpRequest};
use crate::key::KeyKind;
use crate::mosquitto::Mosquitto;
use crate::oauth::resource::{ResourceOptions, ResourceServer};
use crate::oauth::{AuthOptions, AuthServer};
use crate::plant_oauth::{self, PlantOAuth};
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
    /// The authorization server, if there is to be one. Its port goes into the issuer, and the plant's authority is
    /// believed.
    pub auth: Option<AuthOptions>,
    /// The resource server, if there is to be one besides the authorization server. Its port goes into its URL.
    pub resource: Option<ResourceOptions>,
    /// Log-in to the embedded broker by tokens of the authorization server.
    pub token_login: Option<TokenLogin>,
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
            auth: None,
            resource: None,
            token_login: None,
            server_key: KeyKind::P256,
            server_lifetime: 365 * DAY,
            clock: system_clock(),
        }
    }
}

/// DNS names in the servers' certificates.
pub const NAMES: [&str; 5] =
    ["est.plant.example", "mqtt.plant.example", "id.plant.example", "api.plant.example", "localhost"];

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
    oauth: Option<PlantOAuth>,
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
    /// When mosquitto is wanted and does not start, or is to take tokens.
    pub fn start(options: PlantOptions) -> Result<Self, String> {
        let PlantOptions { ca, est, framing, broker, auth, resource, token_login, .. } = options;
        let PlantOptions { server_key, server_lifetime, clock, .. } = options;
        let events = Events::default();
        let now = clock();
        let mut ca = Ca::with(now, &ca);
        let validity = Validity::starting(now, server_lifetime);
        let server = ca.server(server_key, &NAMES, &ADDRESSES, validity);
        let observer = ca.client(OBSERVER, validity);
        let root = ca.root().to_vec();
        let trust: Vec<Vec<u8>> = ca.certificates().into_iter().map(<[u8]>::to_vec).collect();
        let oauth = auth.map(|auth| {
            let auth = AuthOptions { trust, ..auth };
            PlantOAuth::start(&server, auth, resource, framing, &clock, &events)
        });
        let login = plant_oauth::login(token_login, oauth.as_ref(), &clock)?;
        let broker = match broker {
            BrokerKind::Embedded => Running::Embedded(Broker::with(&server, &[&root], login, events.clone())),
            BrokerKind::Mosquitto if login.takes_tokens() => return Err("mosquitto takes no tokens".into()),
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
        Ok(Self { root, est, https, oauth, broker, sntp, observer, clock, events })
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

    fn oauth(&self) -> &PlantOAuth {
        self.oauth.as_ref().expect("a plant with PlantOptions::auth")
    }

    /// The authorization server: options, clients, faults, what was issued. Do not hold it across a request.
    ///
    /// # Panics
    /// When the plant was started without.
    pub fn auth(&self) -> MutexGuard<'_, AuthServer> {
        self.oauth().auth()
    }

    /// Port of the authorization server (HTTPS); it is in the issuer too.
    ///
    /// # Panics
    /// When the plant was started without.
    #[must_use]
    pub fn auth_port(&self) -> u16 {
        self.oauth().auth_port()
    }

    /// The resource server. Do not hold it across a request.
    ///
    /// # Panics
    /// When the plant was started without.
    pub fn resource(&self) -> MutexGuard<'_, ResourceServer> {
        self.oauth().resource()
    }

    /// Port of the resource server (HTTPS); it is in its URL too.
    ///
    /// # Panics
    /// When the plant was started without.
    #[must_use]
    pub fn resource_port(&self) -> u16 {
        self.oauth().resource_port()
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

    /// Certificate and key for a further server of the plant, valid for a day.
    #[must_use]
    pub fn server(&self) -> Identity {
        let validity = Validity::starting(self.now(), DAY);
        self.est().ca.server(KeyKind::P256, &NAMES, &ADDRESSES, validity)
    }

    /// Subscribes with the observer's certificate, which may read and write every topic. One at a time.
    ///
    /// # Errors
    /// What the broker said against it.
    pub fn subscribe(&self, filter: &str) -> Result<Subscriber, String> {
        Subscriber::start(self.broker_port(), client_config(&self.root, Some(&self.observer)), "observer", filter)
    }
}
