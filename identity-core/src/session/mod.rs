//! How to log in to a broker: one file per way, each a [`Session`].

pub mod mtls;
pub mod token;

pub use mtls::Mtls;
pub use token::{Present, TokenSession};

use crate::Error;
use crate::agent::step::ClientIdentity;
use crate::config::{Config, Secret};
use crate::time::Judge;
use crate::trust::Anchors;

/// Version of the MQTT protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MqttVersion {
    /// MQTT 3.1.1 (OASIS 2014)
    V311,
    /// MQTT 5.0 (OASIS 2019)
    V5,
}

/// Everything a connection to the broker needs. A user with an MQTT client of their own stops here.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Server name, for DNS and for the certificate check.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// MQTT version to speak.
    pub version: MqttVersion,
    /// MQTT client identifier.
    pub client_id: &'a str,
    /// MQTT user name, if any.
    pub user_name: Option<&'a str>,
    /// MQTT password, if any.
    pub password: Option<Secret<'a>>,
    /// MQTT 5 enhanced authentication: method and data, if any (MQTT 5 §4.12).
    pub authentication: Option<(&'a str, Secret<'a>)>,
    /// Client certificate, if any.
    pub client: Option<ClientIdentity<'a>>,
    /// Application protocols to offer in TLS (RFC 7301).
    pub alpn: &'static [&'static [u8]],
    /// Keep-alive, in seconds.
    pub keep_alive: u16,
    /// Whom the broker's certificate must chain to.
    pub anchors: Anchors<'a>,
    /// What validity is judged against.
    pub judge: Judge,
}

/// What a [`Session`] may look at.
#[derive(Clone, Copy)]
pub struct SessionContext<'a> {
    /// The device's configuration.
    pub config: &'a Config,
    /// The live certificate; none if the device is known by a client registration alone.
    pub client: Option<ClientIdentity<'a>>,
    /// The token, if [`Session::needs_token`].
    pub token: Option<Secret<'a>>,
    /// Whom to trust.
    pub anchors: Anchors<'a>,
    /// What validity is judged against.
    pub judge: Judge,
}

impl<'a> SessionContext<'a> {
    /// The certificate, for a session that cannot do without.
    fn certificate(&self) -> Result<ClientIdentity<'a>, Error> {
        self.client.ok_or(Error::Misuse(
            "MQTT: the session wants a certificate, but a client registration gives none; enrol with a CA, or use a token alone",
        ))
    }
}

/// A way to log in to a broker: a pure function.
pub trait Session: Sync {
    /// What the next connection needs.
    ///
    /// # Errors
    /// [`Error::Misuse`] naming the field of the configuration to fix.
    fn login<'a>(&'a self, context: &SessionContext<'a>) -> Result<Login<'a>, Error>;

    /// Whether a token of the profile's source is needed.
    fn needs_token(&self) -> bool {
        false
    }
}
