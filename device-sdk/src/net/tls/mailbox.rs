//! What the seam and the framing below embedded-tls tell each other.
//!
//! embedded-tls owns the stream and gives no way to reach it again, so the few octets that both sides need live as cells at
//! the head of the lent send buffer. Safe code, no second buffer for the caller to lend, no static.

use core::cell::Cell;

use identity_core::time::Instant;

use super::fault::Fault;

/// Octets taken from the head of the send buffer.
pub(super) const MAILBOX: usize = 25;

const DEADLINE: usize = 0;
const RECEIVED: usize = 8;
const SENT: usize = 12;
const WANTED: usize = 16;
const FAULT: usize = 20;
const ALERT: usize = 21;
const OPEN: usize = 22;
const PEEK: usize = 23;
const HELD: usize = 24;

/// The shared cells.
#[derive(Clone, Copy)]
pub(super) struct Mailbox<'b>(&'b [Cell<u8>]);

impl<'b> Mailbox<'b> {
    /// Cuts the mailbox off the front of `lent`; none if it is too small.
    pub(super) fn cut(lent: &'b mut [u8]) -> Option<(Self, &'b mut [u8])> {
        let (cells, rest) = lent.split_at_mut_checked(MAILBOX)?;
        cells.fill(0);
        Some((Self(Cell::from_mut(cells).as_slice_of_cells()), rest))
    }

    fn get<const N: usize>(self, at: usize) -> [u8; N] {
        let mut octets = [0; N];
        octets.iter_mut().zip(self.0.iter().skip(at)).for_each(|(to, from)| *to = from.get());
        octets
    }

    fn set<const N: usize>(self, at: usize, octets: [u8; N]) {
        self.0.iter().skip(at).zip(octets).for_each(|(to, from)| to.set(from));
    }

    fn add(self, at: usize, octets: usize) {
        let sum = u32::from_le_bytes(self.get(at)).wrapping_add(octets as u32);
        self.set(at, sum.to_le_bytes());
    }

    pub(super) fn deadline(self) -> Instant {
        Instant(u64::from_le_bytes(self.get(DEADLINE)))
    }

    pub(super) fn set_deadline(self, until: Instant) {
        self.set(DEADLINE, until.0.to_le_bytes());
    }

    /// Octets received and sent on the raw stream; they wrap.
    pub(super) fn traffic(self) -> (u32, u32) {
        (u32::from_le_bytes(self.get(RECEIVED)), u32::from_le_bytes(self.get(SENT)))
    }

    pub(super) fn count_received(self, octets: usize) {
        self.add(RECEIVED, octets);
    }

    pub(super) fn count_sent(self, octets: usize) {
        self.add(SENT, octets);
    }

    /// Whether the handshake is over.
    pub(super) fn is_open(self) -> bool {
        self.get(OPEN) == [1]
    }

    pub(super) fn set_open(self) {
        self.set(OPEN, [1]);
    }

    /// Whether the next read only waits for the header of a record.
    pub(super) fn peeks(self) -> bool {
        self.get(PEEK) == [1]
    }

    pub(super) fn set_peek(self, on: bool) {
        self.set(PEEK, [u8::from(on)]);
    }

    /// Whether the last peek received the record whole.
    pub(super) fn is_held(self) -> bool {
        self.get(HELD) == [1]
    }

    pub(super) fn set_held(self, whole: bool) {
        self.set(HELD, [u8::from(whole)]);
    }

    /// Latches why the framing broke off, unless a reason is latched already.
    pub(super) fn latch(self, fault: Fault) {
        if self.get(FAULT) == [0] {
            let (code, detail) = fault.encode();
            self.set(FAULT, [code]);
            match fault {
                Fault::Alert(_) => self.set(ALERT, [detail as u8]),
                _ => self.set(WANTED, detail.to_le_bytes()),
            }
        }
    }

    /// Takes the latched reason out.
    pub(super) fn take_fault(self) -> Option<Fault> {
        let [code] = self.get(FAULT);
        self.set(FAULT, [0]);
        let [alert] = self.get(ALERT);
        Fault::decode(code, alert, u32::from_le_bytes(self.get(WANTED)))
    }
}
