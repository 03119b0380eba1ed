//! RAM lent to the agent. Every area has one use; its least size is checked at compile time.

/// Octets kept for the live credential: a leaf and its intermediates.
pub const CREDENTIAL: usize = 3072;
/// Octets kept for trust anchors fetched by the device.
pub const ANCHORS: usize = 3072;
/// Octets kept for a CSR, encoded as the enrolment protocol wants it.
pub const REQUEST: usize = 2048;

/// The agent's RAM: `REPLY` octets for the largest body a server may send, and three fixed areas.
///
/// `REPLY` is at least 4096, checked at compile time. Total: `REPLY` + 8192 octets.
pub struct Memory<const REPLY: usize = 6144> {
    reply: [u8; REPLY],
    request: [u8; REQUEST],
    credential: [u8; CREDENTIAL],
    anchors: [u8; ANCHORS],
}

/// The areas of a [`Memory`], lent.
pub struct Lent<'m> {
    pub(crate) reply: &'m mut [u8],
    pub(crate) request: &'m mut [u8],
    pub(crate) credential: &'m mut [u8],
    pub(crate) anchors: &'m mut [u8],
}

impl<const REPLY: usize> Memory<REPLY> {
    const LARGE_ENOUGH: () = assert!(REPLY >= 4096, "Memory: REPLY must be at least 4096 octets");

    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::LARGE_ENOUGH;
        Self { reply: [0; REPLY], request: [0; REQUEST], credential: [0; CREDENTIAL], anchors: [0; ANCHORS] }
    }

    /// Lends all areas.
    pub const fn lend(&mut self) -> Lent<'_> {
        Lent {
            reply: &mut self.reply,
            request: &mut self.request,
            credential: &mut self.credential,
            anchors: &mut self.anchors,
        }
    }
}

impl<const REPLY: usize> Default for Memory<REPLY> {
    fn default() -> Self {
        Self::new()
    }
}
