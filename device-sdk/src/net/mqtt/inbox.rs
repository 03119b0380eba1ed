//! What arrived and is not dealt with yet, packet by packet in lent memory.

use identity_core::error::Error as CoreError;

use super::codec::Packet;
use crate::Error;

pub(super) struct Inbox<'a> {
    buffer: &'a mut [u8],
    /// Octets in it.
    filled: usize,
}

impl<'a> Inbox<'a> {
    pub(super) fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, filled: 0 }
    }

    /// Octets of the largest packet that it takes.
    pub(super) fn largest(&self) -> usize {
        self.buffer.len()
    }

    /// The octet that arrived first.
    pub(super) fn first(&self) -> Option<u8> {
        self.buffer.get(..self.filled)?.first().copied()
    }

    /// The packet at `at`, if it is there whole.
    pub(super) fn packet(&self, at: usize) -> Result<Option<Packet<'_>>, Error> {
        Packet::at(self.buffer.get(at..self.filled).unwrap_or_default(), self.buffer.len())
    }

    /// Kind and length of the packet at `at`, if it is there whole.
    pub(super) fn head(&self, at: usize) -> Result<Option<(u8, usize)>, Error> {
        Ok(self.packet(at)?.map(|packet| (packet.kind(), packet.length)))
    }

    /// Takes `length` octets out from `at` on.
    pub(super) fn remove(&mut self, at: usize, length: usize) {
        let end = at.saturating_add(length).min(self.filled);
        if at < end {
            self.buffer.copy_within(end..self.filled, at);
            self.filled -= end - at;
        }
    }

    /// Where the next octets go; never empty.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Error> {
        let wanted = self.buffer.len().saturating_add(1);
        let room = self.buffer.get_mut(self.filled..).filter(|room| !room.is_empty());
        room.ok_or(Error::Core(CoreError::NoSpace { what: "the MQTT receive buffer", wanted }))
    }

    /// So many octets were put into the room.
    pub(super) fn add(&mut self, octets: usize) {
        self.filled += octets;
    }
}
