//! What the servers of a plant saw, in order and with the time since start: the demo prints it, tests wait for it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Something a server saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An HTTP request was answered.
    Http {
        /// Method and path.
        request: String,
        /// Common name of the client certificate.
        client: Option<String>,
        /// Octets of the request's body.
        request_octets: usize,
        /// Status code.
        status: u16,
        /// Octets of the reply's body.
        reply_octets: usize,
    },
    /// A certificate was requested.
    Csr {
        /// Subject in the CSR.
        subject: String,
        /// Octets of the CSR, DER.
        octets: usize,
    },
    /// A TLS handshake failed.
    TlsRefused {
        /// Which server: "https", "mqtt".
        server: &'static str,
        /// Why.
        why: String,
    },
    /// The token endpoint answered.
    Token {
        /// `grant_type`
        grant: String,
        /// The client that proved who it is.
        client: Option<String>,
        /// Status code.
        status: u16,
        /// Error code of the reply.
        error: Option<String>,
        /// Octets of the request's body.
        request_octets: usize,
        /// Octets of the reply's body.
        reply_octets: usize,
        /// Seconds for which the token is good that was given.
        lifetime: Option<u64>,
    },
    /// Another endpoint of the authorization server answered.
    Authorization {
        /// Method and path.
        request: String,
        /// The client that proved who it is.
        client: Option<String>,
        /// Octets of the request's body.
        request_octets: usize,
        /// Status code.
        status: u16,
        /// Octets of the reply's body.
        reply_octets: usize,
    },
    /// The resource server answered.
    Resource {
        /// Method and path.
        request: String,
        /// Authentication scheme of the request: "Bearer", "DPoP".
        scheme: Option<String>,
        /// Octets of the request's body.
        request_octets: usize,
        /// Status code.
        status: u16,
        /// Octets of the reply's body.
        reply_octets: usize,
    },
    /// The broker refused a log-in.
    LoginRefused {
        /// The client identifier.
        client_id: String,
        /// Why.
        why: String,
    },
    /// The token of a connected client expired; the broker ends the connection.
    TokenExpired {
        /// Subject of its token.
        name: String,
    },
    /// A client re-authenticated on a live link (MQTT 5 §4.12.1).
    Reauthenticated {
        /// Subject of its token.
        name: String,
        /// Whether its new token was accepted.
        allowed: bool,
    },
    /// A client connected to the broker.
    Connected {
        /// Common name of its certificate, or subject of its token.
        name: String,
        /// Its client identifier.
        client_id: String,
        /// Protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5.
        version: u8,
    },
    /// A client published.
    Published {
        /// Common name of its certificate, or subject of its token.
        name: String,
        /// Topic.
        topic: String,
        /// Octets of the payload.
        octets: usize,
        /// Whether it was allowed to.
        allowed: bool,
    },
    /// A client subscribed.
    Subscribed {
        /// Common name of its certificate, or subject of its token.
        name: String,
        /// Topic filter.
        filter: String,
        /// Whether it was allowed to.
        allowed: bool,
    },
    /// A client left the broker.
    Disconnected {
        /// Common name of its certificate, or subject of its token.
        name: String,
        /// By DISCONNECT, not by a broken connection.
        orderly: bool,
    },
    /// Somebody asked for the time.
    Sntp,
    /// A line of mosquitto's log.
    Mosquitto(String),
}

#[derive(Default)]
struct Shared {
    log: Mutex<Vec<(Duration, Event)>>,
    grown: Condvar,
}

/// A shared log; clones are the same log.
#[derive(Clone)]
pub struct Events {
    start: Instant,
    shared: Arc<Shared>,
}

impl Default for Events {
    fn default() -> Self {
        Self { start: Instant::now(), shared: Arc::default() }
    }
}

impl Events {
    /// Adds an event, now.
    pub fn push(&self, event: Event) {
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push((self.start.elapsed(), event));
        self.shared.grown.notify_all();
    }

    /// Everything so far.
    #[must_use]
    pub fn all(&self) -> Vec<(Duration, Event)> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What came after the first `seen` events; waits for at least one, or gives none after `timeout`.
    #[must_use]
    pub fn after(&self, seen: usize, timeout: Duration) -> Vec<(Duration, Event)> {
        let log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.grown.wait_timeout_while(log, timeout, |log| log.len() <= seen);
        let (log, _) = waited.unwrap_or_else(PoisonError::into_inner);
        log.get(seen..).unwrap_or_default().to_vec()
    }

    /// Waits for the first event of that kind, past or to come.
    #[must_use]
    pub fn wait_for(&self, timeout: Duration, mut kind: impl FnMut(&Event) -> bool) -> Option<Event> {
        let until = Instant::now() + timeout;
        let mut seen = 0;
        loop {
            let news = self.after(seen, until.saturating_duration_since(Instant::now()));
            if news.is_empty() {
                return None;
            }
            seen += news.len();
            if let Some((_, event)) = news.into_iter().find(|(_, event)| kind(event)) {
                return Some(event);
            }
        }
    }
}
