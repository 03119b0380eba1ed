//! Device login (RFC 8628): shows a person a code, a URL and a QR code, and is in once the person has approved.

use device_sdk::agent::{Status, UserCode};
use device_sdk::ports::{Clock, KeyStore, Net, Store};
use device_sdk::{Device, Error};
use identity_core::Error as CoreError;
use qrcodegen_no_heap::{QrCode, QrCodeEcc, Version};

/// The largest QR code: 53 by 53 modules, a URL of some 220 octets.
const LARGEST: Version = Version::new(9);

/// What the device has to say to the person before it.
#[derive(Clone, Copy)]
pub enum Notice<'a> {
    /// Open the URL, enter the code, approve.
    Approve {
        /// Code and URLs.
        code: UserCode<'a>,
        /// The URL, with the code in it if the server gives one that has; none if it is too long for [`QrCode`].
        qr: Option<&'a QrCode<'a>>,
    },
    /// It did not work, and is tried again.
    Trouble {
        /// Why.
        error: Error,
        /// The server's error code and description; empty if it was not the server that said no.
        words: &'a str,
    },
    /// The device has its token. It asks nobody again while the server honours its refresh token.
    In,
}

/// Logs the device in with its profile's token source; `show` is its display.
///
/// # Errors
/// Why the device is stuck.
pub async fn run<K: KeyStore, S: Store, N: Net, C: Clock>(
    device: &mut Device<'_, K, S, N, C>,
    mut show: impl FnMut(Notice<'_>),
) -> Result<(), Error> {
    loop {
        let error = match device.token("").await.map(drop) {
            Ok(()) => {
                show(Notice::In);
                return Ok(());
            }
            Err(error) => error,
        };
        match (error, device.user_code()) {
            (Error::Approval, Some(code)) => {
                let (mut work, mut modules) = ([0; LARGEST.buffer_len()], [0; LARGEST.buffer_len()]);
                let url = code.complete.unwrap_or(code.uri);
                let qr = QrCode::encode_text(
                    url,
                    &mut work,
                    &mut modules,
                    QrCodeEcc::Low,
                    Version::MIN,
                    LARGEST,
                    None,
                    true,
                );
                show(Notice::Approve { code, qr: qr.as_ref().ok() });
            }
            _ if matches!(device.status(), Status::Stuck(_)) => return Err(error),
            _ => {
                let denied = matches!(error, Error::Core(CoreError::Denied { .. }));
                show(Notice::Trouble { error, words: if denied { device.words() } else { "" } });
            }
        }
    }
}
