//! Log in by TLS client certificate alone.

use super::{Login, MqttVersion, Session, SessionContext};
use crate::Error;

/// A broker that knows the device by its certificate.
#[derive(Clone, Copy)]
pub struct Mtls {
    /// Server name, as in its certificate.
    pub host: &'static str,
    /// TCP port; 8883 by custom.
    pub port: u16,
    /// MQTT version to speak.
    pub version: MqttVersion,
    /// MQTT client identifier; the certificate request's common name if none.
    pub client_id: Option<&'static str>,
    /// Application protocols to offer in TLS, such as AWS's `x-amzn-mqtt-ca`; empty for most brokers.
    pub alpn: &'static [&'static [u8]],
    /// Keep-alive, in seconds.
    pub keep_alive: u16,
}

impl Session for Mtls {
    fn login<'a>(&'a self, context: &SessionContext<'a>) -> Result<Login<'a>, Error> {
        let client_id = self.client_id.unwrap_or(context.config.subject.common_name);
        if client_id.is_empty() {
            return Err(Error::Misuse("MQTT: no client identifier; set `client_id` or the subject's common name"));
        }
        Ok(Login {
            host: self.host,
            port: self.port,
            version: self.version,
            client_id,
            user_name: None,
            password: None,
            authentication: None,
            client: Some(context.certificate()?),
            alpn: self.alpn,
            keep_alive: self.keep_alive,
            anchors: context.anchors,
            judge: context.judge,
        })
    }
}
