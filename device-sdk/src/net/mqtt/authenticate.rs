//! Enhanced authentication on a live link: a new token before the old one expires (MQTT 5 §4.12.1).

use identity_core::config::Secret;
use identity_core::session::MqttVersion;
use identity_core::time::Instant;

use super::codec::{self, Writer};
use super::{Client, misuse};
use crate::Error;
use crate::net::transport::Transport;
use crate::ports::Clock;

/// Reason codes of AUTH (§3.15.2.1).
const SUCCESS: u8 = 0x00;
const RE_AUTHENTICATE: u8 = 0x19;

impl<T: Transport, C: Clock> Client<'_, T, C> {
    /// Shows a new token on the live link and awaits the broker's verdict. Messages that arrive meanwhile are kept.
    ///
    /// # Errors
    /// [`Error::Broker`] if the broker refuses, which ends the session; [`Error::Timeout`]; those of the transport.
    pub async fn reauthenticate(&mut self, method: &str, data: Secret<'_>, until: Instant) -> Result<(), Error> {
        if self.version != MqttVersion::V5 {
            return Err(misuse("MQTT 3.1.1 has no enhanced authentication"));
        }
        self.release(until).await?;
        let mut writer = Writer::new(self.send);
        writer.u8(RE_AUTHENTICATE).variable(6 + method.len() + data.reveal().len());
        writer.u8(codec::AUTHENTICATION_METHOD).field(method.as_bytes());
        writer.u8(codec::AUTHENTICATION_DATA).lend(data.reveal().len());
        let (before, behind) = writer.finish_around(codec::AUTH)?;
        send_around(&mut self.transport, before, Some(data), behind, until).await?;
        self.sent = self.clock.now();
        match self.answer(codec::AUTH, 0, "AUTH", until).await? {
            SUCCESS => Ok(()),
            _ => Err(codec::malformed("AUTH asks for more; this client has one answer, which it gave")),
        }
    }
}

/// Sends a packet around a secret, which goes out from where it lies.
pub(super) async fn send_around<T: Transport>(
    transport: &mut T,
    before: &[u8],
    secret: Option<Secret<'_>>,
    behind: &[u8],
    until: Instant,
) -> Result<(), Error> {
    transport.write_all(before, until).await?;
    if let Some(secret) = secret {
        transport.write_all(secret.reveal().as_bytes(), until).await?;
    }
    if !behind.is_empty() {
        transport.write_all(behind, until).await?;
    }
    Ok(())
}
