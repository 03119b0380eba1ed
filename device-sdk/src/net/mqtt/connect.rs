//! The handshake: CONNECT and the broker's answer (§3.1, §3.2).

use identity_core::config::Secret;
use identity_core::error::Error as CoreError;
use identity_core::session::MqttVersion;
use identity_core::time::Instant;

use super::codec::{self, Packet, Reader, Writer, malformed};
use super::inbox::Inbox;
use super::reason::refused;
use super::{Buffers, Client, HELLO, Qos, SESSION, Will};
use crate::Error;
use crate::net::transport::Transport;
use crate::ports::Clock;

/// What CONNECT says (§3.1).
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// Protocol version.
    pub version: MqttVersion,
    /// Client identifier.
    pub client_id: &'a str,
    /// User name, if any.
    pub user_name: Option<&'a str>,
    /// Password, if any.
    pub password: Option<Secret<'a>>,
    /// Enhanced authentication of MQTT 5 (§4.12): method and data, if any.
    pub authentication: Option<(&'a str, Secret<'a>)>,
    /// Keep-alive in seconds; 0 for none.
    pub keep_alive: u16,
    /// Last will, if any.
    pub will: Option<Will<'a>>,
}

/// What the broker said in CONNACK (MQTT 5 §3.2.2.3).
pub(super) struct Limits {
    pub(super) packet: usize,
    pub(super) at_least_once: bool,
    pub(super) retain: bool,
}

impl Limits {
    const NONE: Self = Self { packet: usize::MAX, at_least_once: true, retain: true };

    /// From CONNACK, unless it refuses; also the keep-alive in seconds, if the broker wants another than CONNECT said.
    fn read(packet: Packet<'_>, version: MqttVersion) -> Result<(Self, Option<u32>), Error> {
        let mut reader = Reader(packet.body);
        let (flags, code) = (reader.u8()?, reader.u8()?);
        if code != 0 {
            return Err(refused("CONNECT", version, code));
        }
        if flags != 0 {
            return Err(malformed("CONNACK speaks of an old session, but a clean one was asked for"));
        }
        let (mut limits, mut keep_alive) = (Self::NONE, None);
        if version == MqttVersion::V5 {
            reader.properties(|property, value| match property {
                0x13 => keep_alive = Some(value),
                0x24 => limits.at_least_once = value > 0,
                0x25 => limits.retain = value > 0,
                0x27 => limits.packet = usize::try_from(value).unwrap_or(usize::MAX),
                _ => {}
            })?;
        }
        Ok((limits, keep_alive))
    }
}

impl<'a, T: Transport, C: Clock> Client<'a, T, C> {
    /// Sends CONNECT with a clean session and awaits CONNACK.
    ///
    /// # Errors
    /// [`Error::Broker`] if the broker refuses; [`Error::Timeout`]; those of the transport.
    pub async fn connect(
        transport: T,
        clock: &'a C,
        buffers: Buffers<'a>,
        connect: &Connect<'_>,
        until: Instant,
    ) -> Result<Self, Error> {
        let mut client = Self {
            transport,
            clock,
            send: buffers.send,
            inbox: Inbox::new(buffers.receive),
            version: connect.version,
            lent: 0,
            owed: None,
            last_id: 0,
            keep_alive_ms: u64::from(connect.keep_alive) * 1000,
            sent: clock.now(),
            heard: clock.now(),
            pinged: None,
            limits: Limits::NONE,
        };
        let (before, behind) = write_connect(client.send, connect, client.inbox.largest())?;
        let secret = connect.authentication.map(|(_, data)| data).or(connect.password);
        super::authenticate::send_around(&mut client.transport, before, secret, behind, until).await?;
        client.hello(until).await?;
        Ok(client)
    }

    /// Awaits CONNACK.
    async fn hello(&mut self, until: Instant) -> Result<(), Error> {
        while self.inbox.packet(0)?.is_none() {
            match self.more(until).await {
                Ok(true) => {}
                Ok(false) => return Err(self.late("CONNACK", until)),
                // as brokers do that do not know the version: RabbitMQ before 3.13
                Err(Error::Closed { during: SESSION }) => return Err(Error::Closed { during: HELLO }),
                Err(error) => return Err(error),
            }
            if self.inbox.first() == Some(codec::AUTH) {
                return Err(malformed("a challenge (AUTH) before CONNACK; this client's one answer was in CONNECT"));
            }
            // the rest of a packet of another kind, or of another protocol, may never come
            if self.inbox.first().is_some_and(|first| first & 0xF0 != codec::CONNACK) {
                return Err(malformed("the first packet is not CONNACK; check that the port speaks MQTT"));
            }
        }
        let Some(packet) = self.inbox.packet(0)? else { return Err(malformed("no CONNACK")) };
        let length = packet.length;
        let (limits, keep_alive) = Limits::read(packet, self.version)?;
        self.limits = limits;
        self.keep_alive_ms = keep_alive.map_or(self.keep_alive_ms, |seconds| u64::from(seconds) * 1000);
        self.inbox.remove(0, length);
        Ok(())
    }
}

/// CONNECT (§3.1), before and behind its secret: authentication data or password. `receive` is the largest packet that the
/// client takes, in octets.
pub(super) fn write_connect<'b>(
    buffer: &'b mut [u8],
    connect: &Connect<'_>,
    receive: usize,
) -> Result<(&'b [u8], &'b [u8]), Error> {
    if connect.authentication.is_some() && (connect.password.is_some() || connect.version != MqttVersion::V5) {
        return Err(Error::Core(CoreError::Misuse("MQTT: enhanced authentication is for MQTT 5 without a password")));
    }
    let five = connect.version == MqttVersion::V5;
    let mut flags = 0x02;
    if let Some(will) = connect.will {
        flags |= 0x04 | (u8::from(will.qos == Qos::AtLeastOnce) << 3) | (u8::from(will.retain) << 5);
    }
    flags |= u8::from(connect.user_name.is_some()) << 7 | u8::from(connect.password.is_some()) << 6;
    let mut writer = Writer::new(buffer);
    writer.field(b"MQTT").u8(if five { 5 } else { 4 }).u8(flags).u16(connect.keep_alive);
    if five {
        // Receive Maximum 4, Maximum Packet Size: what the buffer takes
        let most = u32::try_from(receive).unwrap_or(u32::MAX).to_be_bytes();
        let (method, data) = connect.authentication.map_or(("", 0), |(method, data)| (method, data.reveal().len()));
        let authentication = if method.is_empty() { 0 } else { 6 + method.len() + data };
        writer.variable(8 + authentication).u8(0x21).u16(4).u8(0x27).raw(&most);
        if authentication > 0 {
            writer.u8(codec::AUTHENTICATION_METHOD).field(method.as_bytes()).u8(codec::AUTHENTICATION_DATA).lend(data);
        }
    }
    writer.field(connect.client_id.as_bytes());
    if let Some(will) = connect.will {
        if five {
            writer.u8(0);
        }
        writer.field(will.topic.as_bytes()).field(will.payload);
    }
    if let Some(user) = connect.user_name {
        writer.field(user.as_bytes());
    }
    if let Some(password) = connect.password {
        writer.lend(password.reveal().len());
    }
    writer.finish_around(codec::CONNECT)
}
