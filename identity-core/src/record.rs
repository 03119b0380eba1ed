//! Records in flash. The format is written down in `docs/flash-format.md`.

use crate::keys::Slot;

/// A stored record, named by one octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Record {
    /// Which slot is live: writing it is the commit.
    Live,
    /// Trust anchors fetched by the device.
    Anchors,
    /// The credential of a slot.
    Credential(Slot),
    /// The sealed private key of a slot; written and read by the driver for its key store.
    Key(Slot),
    /// Last known good time.
    Floor,
}

impl Record {
    /// The record's key in the store.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Live => 0x01,
            Self::Anchors => 0x02,
            Self::Floor => 0x03,
            Self::Credential(slot) => 0x10 + slot.number(),
            Self::Key(slot) => 0x20 + slot.number(),
        }
    }
}
