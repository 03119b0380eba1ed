//! The timeline that the demo prints: the device's own log lines and what the plant saw, in order, with milliseconds.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::events::Event;

static START: OnceLock<Instant> = OnceLock::new();
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints the device's log lines.
pub struct Timeline;

impl Timeline {
    /// From here on milliseconds count, and the SDK's log lines are printed.
    pub fn start() {
        START.get_or_init(Instant::now);
        if log::set_logger(&Self).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    }

    /// Prints one line: who, and what.
    pub fn line(who: &str, what: &str) {
        let elapsed = START.get_or_init(Instant::now).elapsed();
        Self::print(format!("{:>7} ms  {who:<10} {what}", elapsed.as_millis()));
    }

    /// Begins a part.
    pub fn heading(title: &str) {
        Self::print(format!("\n{title}"));
    }

    /// Prints a picture, such as a QR code, as it is.
    pub fn picture(picture: &str) {
        Self::print(picture.to_owned());
    }

    fn print(text: String) {
        println!("{text}");
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Everything that this process has printed, for tests.
    #[must_use]
    pub fn printed() -> Vec<String> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Prints what a server of the plant saw.
    pub fn event(event: &Event) {
        match event {
            Event::Http { request, client, request_octets, status, reply_octets } => {
                let as_whom = client.as_ref().map_or(String::new(), |name| format!(" by {name}"));
                let what =
                    format!("{request}{as_whom}: {request_octets} octets in, status {status}, {reply_octets} out");
                Self::line("EST", &what);
            }
            Event::Csr { subject, octets } => Self::line("EST", &format!("CSR for {subject}, {octets} octets of DER")),
            Event::TlsRefused { server, why } => Self::line(server, &format!("TLS refused: {why}")),
            Event::Token { grant, client, status, error, request_octets, reply_octets, lifetime } => {
                let grant = grant.rsplit(':').next().unwrap_or(grant);
                let whom = client.as_ref().map_or(String::new(), |client| format!(" for {client}"));
                let error = error.as_ref().map_or(String::new(), |error| format!(" {error}"));
                let life = lifetime.map_or(String::new(), |seconds| format!(", good for {seconds} s"));
                let what = format!(
                    "token by {grant}{whom}: {request_octets} octets in, status {status}{error}, {reply_octets} out{life}"
                );
                Self::line("OAuth2", &what);
            }
            Event::Authorization { request, client, request_octets, status, reply_octets } => {
                let whom = client.as_ref().map_or(String::new(), |client| format!(" by {client}"));
                let what = format!("{request}{whom}: {request_octets} octets in, status {status}, {reply_octets} out");
                Self::line("OAuth2", &what);
            }
            Event::Resource { request, scheme, request_octets, status, reply_octets } => {
                let scheme = scheme.as_deref().unwrap_or("no");
                let what = format!(
                    "{request} with {scheme} token: {request_octets} octets in, status {status}, {reply_octets} out"
                );
                Self::line("API", &what);
            }
            Event::LoginRefused { client_id, why } => Self::line("broker", &format!("{client_id} REFUSED: {why}")),
            Event::TokenExpired { name } => Self::line("broker", &format!("{name}'s token has EXPIRED")),
            Event::Reauthenticated { name, allowed } => {
                let verdict = if *allowed { "accepted" } else { "REFUSED" };
                Self::line("broker", &format!("{name} re-authenticates: {verdict}"));
            }
            Event::Connected { name, client_id, version } => {
                let version = if *version == 5 { "5" } else { "3.1.1" };
                Self::line("broker", &format!("{name} connected as {client_id}, MQTT {version}"));
            }
            Event::Published { name, topic, octets, allowed } => {
                let verdict = if *allowed { "allowed" } else { "DENIED" };
                Self::line("broker", &format!("{name} publishes {octets} octets to {topic}: {verdict}"));
            }
            Event::Subscribed { name, filter, allowed } => {
                let verdict = if *allowed { "allowed" } else { "DENIED" };
                Self::line("broker", &format!("{name} subscribes to {filter}: {verdict}"));
            }
            Event::Disconnected { name, orderly } => {
                let how = if *orderly { "in order" } else { "without DISCONNECT" };
                Self::line("broker", &format!("{name} left {how}"));
            }
            Event::Sntp => Self::line("time", "asked"),
            Event::Mosquitto(line) => Self::line("mosquitto", line),
        }
    }
}

impl Log for Timeline {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info && ["device_sdk", "host"].iter().any(|of| metadata.target().starts_with(of))
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mark = if record.level() == Level::Warn { "! " } else { "" };
            Self::line("device", &format!("{mark}{}", record.args()));
        }
    }

    fn flush(&self) {}
}
