//! Telemetry: a reading each interval, at QoS 1, over a link that is opened again whenever it is lost.

use core::fmt::Write;

use device_sdk::agent::Status;
use device_sdk::ports::{Clock, KeyStore, Net, Store};
use device_sdk::{Device, Error};

/// What to publish, where and how often.
#[derive(Clone, Copy, Debug)]
pub struct Telemetry<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Milliseconds between two readings.
    pub every_ms: u64,
    /// Stop after so many readings; none: never.
    pub readings: Option<u32>,
}

/// Publishes what `read` gives as `{"n":1,"value":…}`, until the readings are done or a person is needed.
///
/// # Errors
/// Why the device is stuck.
pub async fn run<K: KeyStore, S: Store, N: Net, C: Clock>(
    device: &mut Device<'_, K, S, N, C>,
    telemetry: &Telemetry<'_>,
    mut read: impl FnMut() -> i32,
) -> Result<(), Error> {
    let mut sent = 0;
    loop {
        let error = match device.online().await {
            Ok(mut link) => loop {
                if telemetry.readings == Some(sent) {
                    return link.disconnect().await;
                }
                let mut text = heapless::String::<40>::new();
                // 40 octets take any two numbers
                let _ = write!(text, r#"{{"n":{},"value":{}}}"#, sent + 1, read());
                if let Err(error) = link.publish(telemetry.topic, text.as_bytes()).await {
                    break error;
                }
                sent += 1;
                if let Err(error) = link.next(link.now().after_ms(telemetry.every_ms)).await {
                    break error;
                }
            },
            Err(error) => error,
        };
        if let Status::Stuck(_) = device.status() {
            return Err(error);
        }
    }
}
