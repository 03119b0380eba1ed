//! Error codes of OAuth servers, and the server's own words.

use crate::wire::json::Text;
use core::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal: $hint:literal,)*) => {
        /// An error code of OAuth (RFC 6749 §5.2 and its extensions).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub enum OauthCode {
            $($(#[$doc])* $variant,)*
            /// Any other; [`crate::agent::Agent::words`] has it.
            Other,
        }

        impl OauthCode {
            /// The code of a reply.
            #[must_use]
            pub fn of(text: Text<'_>) -> Self {
                $(if text.is($code) { return Self::$variant; })*
                Self::Other
            }

            /// The code as servers write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other => "an error code that is not registered",
                }
            }

            /// What to fix.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self {
                    $(Self::$variant => $hint,)*
                    Self::Other => "look the code up in the server's manual and log",
                }
            }
        }
    };
}

codes! {
    /// RFC 6749 §5.2
    InvalidRequest = "invalid_request": "the server misses a parameter or finds one wrong; compare `grant`, `resource` and `client_auth` with its manual",
    /// RFC 6749 §5.2
    InvalidClient = "invalid_client": "client authentication failed; check `client_id`, `client_auth`, the key or secret registered for it, and the clocks",
    /// RFC 6749 §5.2
    InvalidGrant = "invalid_grant": "the code, refresh token or assertion has expired, was used or was revoked",
    /// RFC 6749 §5.2
    UnauthorizedClient = "unauthorized_client": "the client may not use this grant; allow it at the server",
    /// RFC 6749 §5.2
    UnsupportedGrantType = "unsupported_grant_type": "the server does not know this grant; enable it there or choose another source",
    /// RFC 6749 §5.2
    InvalidScope = "invalid_scope": "the client may not have this scope; grant it at the server or ask for less",
    /// RFC 8707 §2
    InvalidTarget = "invalid_target": "the server does not know this `resource`; register it there",
    /// RFC 8628 §3.5
    AuthorizationPending = "authorization_pending": "the person has not decided yet",
    /// RFC 8628 §3.5
    SlowDown = "slow_down": "the device asked too often",
    /// RFC 8628 §3.5
    AccessDenied = "access_denied": "the person or the server's policy said no",
    /// RFC 8628 §3.5
    ExpiredToken = "expired_token": "nobody approved in time; a new user code is needed",
    /// RFC 9449 §5
    InvalidDpopProof = "invalid_dpop_proof": "the DPoP proof was refused; check the clocks and that the server supports ES256",
    /// RFC 9449 §8
    UseDpopNonce = "use_dpop_nonce": "the server wants its nonce in the DPoP proof, time after time",
    /// RFC 6750 §3.1
    InvalidToken = "invalid_token": "the token has expired, was revoked, or is not for this server; check `resource` and `scope`",
    /// RFC 6750 §3.1
    InsufficientScope = "insufficient_scope": "the token's scope is too small for this; ask for more `scope`",
    /// RFC 7591 §3.2.2
    InvalidRedirectUri = "invalid_redirect_uri": "the server wants redirect URIs, which a device has none of; change its registration policy",
    /// RFC 7591 §3.2.2
    InvalidClientMetadata = "invalid_client_metadata": "the server does not accept what the device registers; compare with its registration policy",
    /// RFC 7591 §3.2.2
    InvalidSoftwareStatement = "invalid_software_statement": "the server finds the software statement wrong; check its issuer, signature and dates",
    /// RFC 7591 §3.2.2
    UnapprovedSoftwareStatement = "unapproved_software_statement": "the server does not accept the software statement",
    /// RFC 7009 §2.2.1
    UnsupportedTokenType = "unsupported_token_type": "the server cannot revoke this kind of token",
    /// RFC 6749 §4.1.2.1
    TemporarilyUnavailable = "temporarily_unavailable": "the server is overloaded; it is asked again later",
    /// RFC 6749 §4.1.2.1
    ServerError = "server_error": "the server failed; see its log",
}

/// The server's own words: its error code and description, printable ASCII, cut at 160 octets. Never a secret: it is read
/// from replies that refuse.
#[derive(Clone, Copy)]
pub struct Words {
    text: [u8; Self::MOST],
    length: u8,
}

impl Words {
    const MOST: usize = 160;
    /// None.
    pub const NONE: Self = Self { text: [0; Self::MOST], length: 0 };

    /// Puts another text behind, after `: ` if there is something before. What is not printable ASCII becomes `?`.
    pub(crate) fn add(&mut self, text: Text<'_>) {
        let separator: &[u8] = if self.length == 0 { b"" } else { b": " };
        let rest = self.text.iter_mut().skip(self.length.into());
        for (to, from) in rest.zip(separator.iter().copied().chain(text.octets())) {
            *to = if from == b' ' || from.is_ascii_graphic() { from } else { b'?' };
            self.length = self.length.saturating_add(1);
        }
    }

    /// The text; empty if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.length.into()).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
