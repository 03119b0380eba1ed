//! One small MQTT client for versions 5 and 3.1.1: clean sessions, QoS 0 and 1, one acknowledgement awaited at a time.

mod authenticate;
mod codec;
mod connect;
mod inbox;
mod message;
mod reason;
#[cfg(all(test, feature = "std"))]
mod tests;

use codec::{Publish, Reader, Writer, malformed};
use connect::Limits;
use identity_core::error::Error as CoreError;
use identity_core::session::MqttVersion;
use identity_core::time::Instant;
use inbox::Inbox;
use reason::refused;

pub use connect::Connect;
pub use message::{Message, Qos, Will};

use crate::Error;
use crate::net::transport::Transport;
use crate::ports::Clock;

/// What a broker ends without a word; the second, before it answered at all.
const SESSION: &str = "an MQTT session; look into the broker's log";
const HELLO: &str = "an MQTT session; look into the broker's log, and whether it speaks this `version`";

/// Memory lent to a client.
pub struct Buffers<'a> {
    /// As large as the largest packet that is sent.
    pub send: &'a mut [u8],
    /// As large as the largest packet that may arrive. Messages that arrive while an acknowledgement is awaited are kept here.
    pub receive: &'a mut [u8],
}

/// A session with a broker. After any error it is of no use: drop it and connect again.
pub struct Client<'a, T, C> {
    transport: T,
    clock: &'a C,
    send: &'a mut [u8],
    inbox: Inbox<'a>,
    version: MqttVersion,
    /// Octets at the start of the inbox that the last message takes, and the identifier to acknowledge it by.
    lent: usize,
    owed: Option<u16>,
    last_id: u16,
    keep_alive_ms: u64,
    sent: Instant,
    /// When the broker was heard last.
    heard: Instant,
    /// When a PINGREQ went out that is not answered yet.
    pinged: Option<Instant>,
    limits: Limits,
}

/// An answer that can be awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Answer {
    kind: u8,
    id: u16,
    code: u8,
}

impl<'a, T: Transport, C: Clock> Client<'a, T, C> {
    /// Publishes; at QoS 1 awaits the acknowledgement. Messages that arrive meanwhile are kept for [`next`](Self::next).
    ///
    /// # Errors
    /// [`Error::Broker`] if the broker refuses (MQTT 5); [`Error::Core`] with `NoSpace` if the packet is too large for the
    /// send buffer or the broker, or the receive buffer overflows while waiting.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        qos: Qos,
        retain: bool,
        until: Instant,
    ) -> Result<(), Error> {
        if topic.is_empty() || topic.contains(['+', '#', '\0']) {
            return Err(misuse("MQTT: a topic is not empty and has no +, # or NUL"));
        }
        if retain && !self.limits.retain {
            return Err(refused("PUBLISH", self.version, 0x9A));
        }
        if qos == Qos::AtLeastOnce && !self.limits.at_least_once {
            return Err(refused("PUBLISH", self.version, 0x9B));
        }
        self.release(until).await?;
        let id = self.fresh_id();
        let mut writer = Writer::new(self.send);
        writer.field(topic.as_bytes());
        if qos == Qos::AtLeastOnce {
            writer.u16(id);
        }
        if self.version == MqttVersion::V5 {
            writer.u8(0);
        }
        writer.raw(payload);
        let packet = writer.finish(codec::PUBLISH | (u8::from(qos == Qos::AtLeastOnce) << 1) | u8::from(retain))?;
        if packet.len() > self.limits.packet {
            return Err(refused("PUBLISH", self.version, 0x95));
        }
        self.transport.write_all(packet, until).await?;
        self.sent = self.clock.now();
        if qos == Qos::AtMostOnce {
            return Ok(());
        }
        match self.answer(codec::PUBACK, id, "PUBACK", until).await? {
            code if code < 0x80 => Ok(()),
            code => Err(refused("PUBLISH", self.version, code)),
        }
    }

    /// Subscribes and awaits the acknowledgement.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn subscribe(&mut self, filter: &str, qos: Qos, until: Instant) -> Result<(), Error> {
        if filter.is_empty() || filter.contains('\0') {
            return Err(misuse("MQTT: a topic filter is not empty and has no NUL"));
        }
        self.release(until).await?;
        let id = self.fresh_id();
        let mut writer = Writer::new(self.send);
        writer.u16(id);
        if self.version == MqttVersion::V5 {
            writer.u8(0);
        }
        writer.field(filter.as_bytes()).u8(u8::from(qos == Qos::AtLeastOnce));
        let packet = writer.finish(codec::SUBSCRIBE)?;
        if packet.len() > self.limits.packet {
            return Err(refused("SUBSCRIBE", self.version, 0x95));
        }
        self.transport.write_all(packet, until).await?;
        self.sent = self.clock.now();
        match self.answer(codec::SUBACK, id, "SUBACK", until).await? {
            code if code < 0x80 => Ok(()),
            code => Err(refused("SUBSCRIBE", self.version, code)),
        }
    }

    /// Waits until [`next`](Self::next) has a message: true; false when `until` came first. Acknowledges the last message.
    /// Dropping the wait loses nothing, as long as the transport was not just writing.
    ///
    /// # Errors
    /// The connection is lost, or the broker ended the session or broke the protocol.
    pub async fn wait(&mut self, until: Instant) -> Result<bool, Error> {
        // an acknowledgement is not a wait: it gets time of its own
        self.release(until.max(self.clock.now().after_ms(5_000))).await?;
        loop {
            match self.inbox.head(0)? {
                Some((codec::PUBLISH, _)) => return Ok(true),
                Some(_) => drop(self.take(0)?),
                None if !self.more(until).await? => return Ok(false),
                None => {}
            }
        }
    }

    /// The next message; none when `until` came first. At QoS 1 it is acknowledged by the next call of any kind.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn next(&mut self, until: Instant) -> Result<Option<Message<'_>>, Error> {
        if !self.wait(until).await? {
            return Ok(None);
        }
        let Some(packet) = self.inbox.packet(0)? else { return Ok(None) };
        let Publish { topic, payload, qos, retain, id } = Publish::read(packet, self.version)?;
        (self.lent, self.owed) = (packet.length, id);
        Ok(Some(Message { topic, payload, qos, retain }))
    }

    /// When [`keep_alive`](Self::keep_alive) has something to do; none without keep-alive.
    pub fn keep_alive_due(&self) -> Option<Instant> {
        // three quarters, so that a slow network still delivers in time; an answer is due within half of that. Also when
        // only the device talks: a publish at QoS 0 does not show that anybody listens.
        let every = self.keep_alive_ms / 4 * 3;
        let from = self.pinged.map_or(self.sent.min(self.heard).after_ms(every), |pinged| pinged.after_ms(every / 2));
        (every > 0).then_some(from)
    }

    /// Sends PINGREQ if one is due.
    ///
    /// # Errors
    /// [`Error::Timeout`] if the last PINGREQ was not answered.
    pub async fn keep_alive(&mut self, until: Instant) -> Result<(), Error> {
        let now = self.clock.now();
        if self.keep_alive_due().is_none_or(|due| now < due) {
            return Ok(());
        }
        if self.pinged.is_some() {
            self.take_in(until.min(now.after_ms(100))).await?;
        }
        if let Some(pinged) = self.pinged {
            let after_ms = u32::try_from(now.0.saturating_sub(pinged.0)).unwrap_or(u32::MAX);
            return Err(Error::Timeout { what: "PINGRESP of the broker", after_ms });
        }
        if self.keep_alive_due().is_none_or(|due| now < due) {
            return Ok(());
        }
        self.transport.write_all(&[codec::PINGREQ, 0], until).await?;
        (self.sent, self.pinged) = (now, Some(now));
        Ok(())
    }

    /// Deals with what has arrived, messages excepted, when the application waits for none.
    async fn take_in(&mut self, until: Instant) -> Result<(), Error> {
        while self.pinged.is_some() && self.more(until).await? {
            let mut at = 0;
            while let Some((kind, length)) = self.inbox.head(at)? {
                match kind {
                    codec::PUBLISH => at += length,
                    _ => drop(self.take(at)?),
                }
            }
        }
        Ok(())
    }

    /// Ends the session in order, so that the last will is not published.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn disconnect(&mut self, until: Instant) -> Result<(), Error> {
        self.release(until).await?;
        // reason and properties are spelt out in MQTT 5: some brokers do not take the short form for an orderly end
        let packet: &[u8] = match self.version {
            MqttVersion::V311 => &[codec::DISCONNECT, 0],
            MqttVersion::V5 => &[codec::DISCONNECT, 2, 0, 0],
        };
        self.transport.write_all(packet, until).await
    }

    /// Gives the transport back.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// The transport.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Awaits one answer; its code. Stale answers to something else are dropped.
    async fn answer(&mut self, kind: u8, id: u16, what: &'static str, until: Instant) -> Result<u8, Error> {
        let mut at = 0;
        loop {
            match self.inbox.head(at)? {
                Some((codec::PUBLISH, length)) => at += length,
                Some(_) => match self.take(at)? {
                    Some(answer) if (answer.kind, answer.id) == (kind, id) => return Ok(answer.code),
                    _ => {}
                },
                None if !self.more(until).await? => return Err(self.late(what, until)),
                None => {}
            }
        }
    }

    /// Deals with the packet at `at`, which is not a PUBLISH, and takes it out of the buffer.
    fn take(&mut self, at: usize) -> Result<Option<Answer>, Error> {
        let version = self.version;
        let Some(packet) = self.inbox.packet(at)? else { return Ok(None) };
        let (kind, length) = (packet.kind(), packet.length);
        let mut reader = Reader(packet.body);
        let answer = match packet.first {
            codec::PUBACK => {
                let id = reader.u16()?;
                // MQTT 5 §3.4.2.1: success may be left out
                Some(Answer { kind, id, code: reader.u8().unwrap_or(0) })
            }
            codec::SUBACK => {
                let id = reader.u16()?;
                if version == MqttVersion::V5 {
                    reader.properties(|_, _| ())?;
                }
                Some(Answer { kind, id, code: reader.u8()? })
            }
            // §3.15.2.1: without a reason it is success
            codec::AUTH if version == MqttVersion::V5 => Some(Answer { kind, id: 0, code: reader.u8().unwrap_or(0) }),
            codec::PINGRESP => {
                self.pinged = None;
                None
            }
            codec::DISCONNECT if version == MqttVersion::V5 => {
                return Err(refused("session", version, reader.u8().unwrap_or(0)));
            }
            _ => return Err(malformed("a packet that a broker may not send to this client")),
        };
        self.inbox.remove(at, length);
        Ok(answer)
    }

    /// Acknowledges the message lent by the last `next`, and takes it out of the buffer.
    async fn release(&mut self, until: Instant) -> Result<(), Error> {
        if let Some(id) = self.owed {
            let [high, low] = id.to_be_bytes();
            self.transport.write_all(&[codec::PUBACK, 2, high, low], until).await?;
            (self.sent, self.owed) = (self.clock.now(), None);
        }
        let lent = core::mem::take(&mut self.lent);
        self.inbox.remove(0, lent);
        Ok(())
    }

    /// Receives something; false when `until` came first. Cancel-safe.
    async fn more(&mut self, until: Instant) -> Result<bool, Error> {
        let room = self.inbox.room()?;
        if !self.transport.readable(until).await? {
            return Ok(false);
        }
        match self.transport.read(room, until.max(self.clock.now().after_ms(5_000))).await? {
            0 => Err(Error::Closed { during: SESSION }),
            read => {
                self.inbox.add(read);
                self.heard = self.clock.now();
                Ok(true)
            }
        }
    }

    fn fresh_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.last_id
    }

    fn late(&self, what: &'static str, until: Instant) -> Error {
        let after_ms = u32::try_from(until.0.saturating_sub(self.sent.0)).unwrap_or(u32::MAX);
        Error::Timeout { what, after_ms }
    }
}

const fn misuse(what: &'static str) -> Error {
    Error::Core(CoreError::Misuse(what))
}
