//! RAM lent to the agent. Every area has one use; its least size is checked at compile time.

/// Octets kept for the live credential: a leaf and its intermediates.
pub const CREDENTIAL: usize = 3072;
/// Octets kept for trust anchors fetched by the device.
pub const ANCHORS: usize = 3072;
/// Octets kept for a CSR, encoded as the enrolment protocol wants it.
pub const REQUEST: usize = 2048;

/// The agent's RAM: `REPLY` octets for the largest body a server may send, `TOKENS` for OAuth, and three fixed areas.
///
/// `REPLY` is at least 4096, checked at compile time. `TOKENS` is 0 without a token source; else it takes the endpoints of the
/// authorization server (some 400 octets), each token that is kept, and the largest token request (some 700 octets with a
/// signed assertion, 500 more with a DPoP proof): 4096 do for one token of up to 2 KB. Total: `REPLY` + `TOKENS` + 8192.
pub struct Memory<const REPLY: usize = 6144, const TOKENS: usize = 0> {
    reply: [u8; REPLY],
    tokens: [u8; TOKENS],
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
    pub(crate) tokens: &'m mut [u8],
}

impl<const REPLY: usize, const TOKENS: usize> Memory<REPLY, TOKENS> {
    const LARGE_ENOUGH: () = assert!(REPLY >= 4096, "Memory: REPLY must be at least 4096 octets");

    /// Zeroed memory; `const`, so that it can live in a static.
    #[must_use]
    pub const fn new() -> Self {
        let () = Self::LARGE_ENOUGH;
        Self {
            reply: [0; REPLY],
            tokens: [0; TOKENS],
            request: [0; REQUEST],
            credential: [0; CREDENTIAL],
            anchors: [0; ANCHORS],
        }
    }

    /// Lends all areas.
    pub const fn lend(&mut self) -> Lent<'_> {
        Lent {
            reply: &mut self.reply,
            request: &mut self.request,
            credential: &mut self.credential,
            anchors: &mut self.anchors,
            tokens: &mut self.tokens,
        }
    }
}

impl<const REPLY: usize, const TOKENS: usize> Default for Memory<REPLY, TOKENS> {
    fn default() -> Self {
        Self::new()
    }
}
