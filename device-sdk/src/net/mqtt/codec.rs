//! Packets: a writer into a lent buffer, and a reader in place. MQTT 5 and 3.1.1 (OASIS), §2 and §3 of each.

use identity_core::error::Error as CoreError;
use identity_core::session::MqttVersion;

use super::Qos;
use crate::Error;

/// Packet types, in the high four bits of the first octet (§2.1.2).
pub(super) const CONNECT: u8 = 0x10;
pub(super) const CONNACK: u8 = 0x20;
pub(super) const PUBLISH: u8 = 0x30;
pub(super) const PUBACK: u8 = 0x40;
pub(super) const SUBSCRIBE: u8 = 0x82;
pub(super) const SUBACK: u8 = 0x90;
pub(super) const PINGREQ: u8 = 0xC0;
pub(super) const PINGRESP: u8 = 0xD0;
pub(super) const DISCONNECT: u8 = 0xE0;
pub(super) const AUTH: u8 = 0xF0;

/// Properties of MQTT 5 (§2.2.2.2).
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;

/// Octets before the body: one of type, four of remaining length. The writer always uses the longest form of length it
/// may need, moved to its place at the end.
const HEADER: usize = 5;

/// Writes one packet: the body first, then the header in front of it.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    /// Octets wanted so far, written or not.
    length: usize,
    /// Where a secret goes that is sent from where it lies, and its octets.
    gap: Option<(usize, usize)>,
}

impl<'b> Writer<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, length: HEADER, gap: None }
    }

    /// A field whose octets are sent from where they lie: a token may be larger than the buffer. One in a packet.
    pub(super) fn lend(&mut self, octets: usize) -> &mut Self {
        match u16::try_from(octets) {
            Ok(length) => {
                self.u16(length);
                self.gap = Some((self.length, octets));
            }
            Err(_) => self.length = usize::MAX,
        }
        self
    }

    /// A variable-length number (§1.5.5).
    pub(super) fn variable(&mut self, mut value: usize) -> &mut Self {
        loop {
            let more = value > 0x7F;
            self.u8((value & 0x7F) as u8 | u8::from(more) << 7);
            value >>= 7;
            if !more {
                return self;
            }
        }
    }

    pub(super) fn raw(&mut self, octets: &[u8]) -> &mut Self {
        let end = self.length.saturating_add(octets.len());
        if let Some(room) = self.buffer.get_mut(self.length..end) {
            room.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
        }
        self.length = end;
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// A string or binary data: two octets of length, then the octets. Longer than 65,535 does not fit any buffer.
    pub(super) fn field(&mut self, octets: &[u8]) -> &mut Self {
        match u16::try_from(octets.len()) {
            Ok(length) => self.u16(length).raw(octets),
            Err(_) => {
                self.length = usize::MAX;
                self
            }
        }
    }

    /// The whole packet.
    pub(super) fn finish(self, first: u8) -> Result<&'b [u8], Error> {
        self.finish_around(first).map(|(whole, _)| whole)
    }

    /// The packet before and behind what [`lend`](Self::lend) left out.
    pub(super) fn finish_around(self, first: u8) -> Result<(&'b [u8], &'b [u8]), Error> {
        let Self { buffer, length, gap } = self;
        let (gap, lent) = gap.unwrap_or((length, 0));
        let no_space = Error::Core(CoreError::NoSpace { what: "the MQTT send buffer", wanted: length });
        if length > buffer.len() {
            return Err(no_space);
        }
        let mut header = [first, 0, 0, 0, 0];
        let mut rest = length - HEADER + lent;
        let mut used = 1;
        for octet in header.iter_mut().skip(1) {
            *octet = (rest & 0x7F) as u8;
            rest >>= 7;
            used += 1;
            if rest == 0 {
                break;
            }
            *octet |= 0x80;
        }
        if rest > 0 {
            return Err(no_space);
        }
        let start = HEADER - used;
        let room = buffer.get_mut(start..HEADER).unwrap_or_default();
        room.iter_mut().zip(header).for_each(|(to, from)| *to = from);
        let packet = buffer.get(start..length).ok_or(no_space)?;
        packet.split_at_checked(gap.saturating_sub(start)).ok_or(no_space)
    }
}

/// A packet in the receive buffer.
#[derive(Clone, Copy)]
pub(super) struct Packet<'b> {
    pub(super) first: u8,
    pub(super) body: &'b [u8],
    /// Octets with its header.
    pub(super) length: usize,
}

impl<'b> Packet<'b> {
    /// The packet at the start of `octets`, if it is there whole. `most` is what the buffer can take.
    pub(super) fn at(octets: &'b [u8], most: usize) -> Result<Option<Self>, Error> {
        let Some((&first, after)) = octets.split_first() else { return Ok(None) };
        let (mut rest, mut used) = (0usize, 1usize);
        for (index, &octet) in after.iter().take(4).enumerate() {
            rest |= usize::from(octet & 0x7F) << (7 * index);
            used += 1;
            if octet & 0x80 == 0 {
                let length = used.saturating_add(rest);
                if length > most {
                    return Err(Error::Core(CoreError::NoSpace { what: "the MQTT receive buffer", wanted: length }));
                }
                return Ok(octets.get(used..length).map(|body| Self { first, body, length }));
            }
        }
        if used > 4 { Err(malformed("the remaining length has more than four octets")) } else { Ok(None) }
    }

    pub(super) fn kind(&self) -> u8 {
        self.first & 0xF0
    }
}

/// Reads fields.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(malformed("a packet ends within a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.take(1).map(|taken| taken.first().copied().unwrap_or_default())
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.number(2).map(|number| number as u16)
    }

    fn number(&mut self, octets: usize) -> Result<u32, Error> {
        Ok(self.take(octets)?.iter().fold(0, |sum, &octet| (sum << 8) | u32::from(octet)))
    }

    pub(super) fn field(&mut self) -> Result<&'b [u8], Error> {
        let length = self.u16()?;
        self.take(length.into())
    }

    fn variable(&mut self) -> Result<usize, Error> {
        let mut value = 0;
        for index in 0..4 {
            let octet = self.u8()?;
            value |= usize::from(octet & 0x7F) << (7 * index);
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a variable-length number has more than four octets"))
    }

    /// The properties of MQTT 5 (§2.2.2): each number-like one is told to `see`, all others are skipped.
    pub(super) fn properties(&mut self, mut see: impl FnMut(u8, u32)) -> Result<(), Error> {
        let length = self.variable()?;
        let mut inner = Reader(self.take(length)?);
        while !inner.0.is_empty() {
            let identifier = inner.u8()?;
            match identifier {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => see(identifier, inner.number(1)?),
                0x13 | 0x21 | 0x22 | 0x23 => see(identifier, inner.number(2)?),
                0x02 | 0x11 | 0x18 | 0x27 => see(identifier, inner.number(4)?),
                0x0B => drop(inner.variable()?),
                0x26 => {
                    inner.field()?;
                    inner.field()?;
                }
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => drop(inner.field()?),
                _ => return Err(malformed("an unknown property")),
            }
        }
        Ok(())
    }
}

/// The fields of a PUBLISH from the broker.
pub(super) struct Publish<'b> {
    pub(super) topic: &'b str,
    pub(super) payload: &'b [u8],
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// To be acknowledged, at QoS 1.
    pub(super) id: Option<u16>,
}

impl<'b> Publish<'b> {
    pub(super) fn read(packet: Packet<'b>, version: MqttVersion) -> Result<Self, Error> {
        let mut reader = Reader(packet.body);
        let topic = core::str::from_utf8(reader.field()?).map_err(|_| malformed("a topic is not UTF-8"))?;
        let (qos, id) = match (packet.first >> 1) & 3 {
            0 => (Qos::AtMostOnce, None),
            1 => (Qos::AtLeastOnce, Some(reader.u16()?)),
            _ => return Err(malformed("PUBLISH at QoS 2, which was not subscribed to")),
        };
        if id == Some(0) || topic.is_empty() {
            return Err(malformed("PUBLISH with packet identifier 0 or without topic"));
        }
        if version == MqttVersion::V5 {
            reader.properties(|_, _| ())?;
        }
        Ok(Self { topic, payload: reader.0, qos, retain: packet.first & 1 == 1, id })
    }
}

/// The broker sent what MQTT does not allow.
pub(super) const fn malformed(problem: &'static str) -> Error {
    Error::Core(CoreError::Malformed { what: "MQTT packet of the broker", problem })
}
