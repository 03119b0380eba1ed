//! Log in with an OAuth access token.

use super::{Login, MqttVersion, Session, SessionContext};
use crate::Error;

/// How the broker is shown the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// As MQTT password. RabbitMQ, EMQX, HiveMQ.
    Password {
        /// MQTT user name; none: the client identifier.
        user_name: Option<&'static str>,
    },
    /// By MQTT 5 enhanced authentication (MQTT 5 §4.12) of this method, such as `OAUTH2-JWT` of Azure Event Grid: the token
    /// is the authentication data, and a new one is shown on the live link.
    Enhanced {
        /// The authentication method.
        method: &'static str,
    },
}

/// A broker that knows the device by its token.
#[derive(Clone, Copy)]
pub struct TokenSession {
    /// Server name, as in its certificate.
    pub host: &'static str,
    /// TCP port; 8883 by custom.
    pub port: u16,
    /// MQTT version to speak.
    pub version: MqttVersion,
    /// MQTT client identifier; the certificate request's common name if none.
    pub client_id: Option<&'static str>,
    /// How the token is shown.
    pub present: Present,
    /// Present the device certificate in TLS as well: for tokens that are bound to it (RFC 8705 §3).
    pub certificate: bool,
    /// Application protocols to offer in TLS; empty for most brokers.
    pub alpn: &'static [&'static [u8]],
    /// Keep-alive, in seconds.
    pub keep_alive: u16,
}

impl Session for TokenSession {
    fn login<'a>(&'a self, context: &SessionContext<'a>) -> Result<Login<'a>, Error> {
        let client_id = self.client_id.unwrap_or(context.config.subject.common_name);
        if client_id.is_empty() {
            return Err(Error::Misuse("MQTT: no client identifier; set `client_id` or the subject's common name"));
        }
        let token = context.token.ok_or(Error::Misuse("MQTT: no token source; set the profile's `token`"))?;
        let (user_name, password, authentication) = match self.present {
            Present::Password { user_name } => (Some(user_name.unwrap_or(client_id)), Some(token), None),
            Present::Enhanced { .. } if self.version != MqttVersion::V5 => {
                return Err(Error::Misuse(
                    "MQTT 3.1.1 has no enhanced authentication; use V5 or the token as password",
                ));
            }
            Present::Enhanced { method } => (None, None, Some((method, token))),
        };
        Ok(Login {
            host: self.host,
            port: self.port,
            version: self.version,
            client_id,
            user_name,
            password,
            authentication,
            client: if self.certificate { Some(context.certificate()?) } else { None },
            alpn: self.alpn,
            keep_alive: self.keep_alive,
            anchors: context.anchors,
            judge: context.judge,
        })
    }

    fn needs_token(&self) -> bool {
        true
    }
}
