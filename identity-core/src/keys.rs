//! Names of keys and the plain octet shapes that cross the key store's border. Private keys never do.

/// A place that holds one key pair and the credential issued for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Slot {
    /// The factory or claim credential.
    Birth,
    /// One of the two operational slots.
    A,
    /// The other operational slot.
    B,
}

impl Slot {
    /// All slots.
    pub const ALL: [Self; 3] = [Self::Birth, Self::A, Self::B];

    /// The number of the slot in stored records: 0, 1, 2.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Birth => 0,
            Self::A => 1,
            Self::B => 2,
        }
    }

    /// The slot that a stored number names.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Birth),
            1 => Some(Self::A),
            2 => Some(Self::B),
            _ => None,
        }
    }

    /// The operational slot that renewal fills while `self` is live.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::Birth | Self::B => Self::A,
        }
    }
}

/// A P-256 public point, uncompressed: 0x04, then x and y of 32 octets each. SEC 1 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PublicKey(pub [u8; 65]);

impl PublicKey {
    /// A place to receive a key; not a valid point.
    pub const EMPTY: Self = Self([0; 65]);
}

/// An ECDSA P-256 signature, r and s big-endian of 32 octets each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// A place to receive a signature.
    pub const EMPTY: Self = Self([0; 64]);
}

/// A SHA-256 digest, 32 octets.
pub type Digest = [u8; 32];
