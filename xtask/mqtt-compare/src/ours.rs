//! The session by device-sdk's client, in either version.

use device_sdk::Error;
use device_sdk::net::mqtt::{Buffers, Client, Connect, Qos, Will};
use device_sdk::net::transport::Transport;
use device_sdk::ports::Clock;
use identity_core::config::Secret;
use identity_core::session::MqttVersion;
use identity_core::time::Instant;

use crate::line::{Line, arrived};
use crate::words::*;

/// The line with deadlines.
pub struct Timed<'c, L, C> {
    pub line: L,
    pub clock: &'c C,
}

impl<L: Line, C: Clock> Transport for Timed<'_, L, C> {
    async fn readable(&mut self, until: Instant) -> Result<bool, Error> {
        Ok(arrived(&self.line, || self.clock.now() >= until).await)
    }

    async fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize, Error> {
        match self.readable(until).await? {
            true => Ok(self.line.take(into)),
            false => Err(Error::Timeout { what: "data from the peer", after_ms: 0 }),
        }
    }

    async fn write_all(&mut self, octets: &[u8], _: Instant) -> Result<(), Error> {
        self.line.put(octets);
        Ok(())
    }
}

/// Logs in.
pub async fn connect<'a, L: Line, C: Clock>(
    line: L,
    clock: &'a C,
    version: MqttVersion,
    buffers: Buffers<'a>,
) -> Result<Client<'a, Timed<'a, L, C>, C>, Error> {
    let connect = Connect {
        authentication: None,
        version,
        client_id: CLIENT_ID,
        user_name: Some(USER),
        password: Some(Secret::new(PASSWORD)),
        keep_alive: KEEP_ALIVE,
        will: Some(Will { topic: WILL_TOPIC, payload: WILL, qos: Qos::AtLeastOnce, retain: true }),
    };
    Client::connect(Timed { line, clock }, clock, buffers, &connect, clock.now().after_ms(PATIENCE_MS)).await
}

/// The whole session; `see` gets the message.
pub async fn session<L: Line, C: Clock>(
    line: L,
    clock: &C,
    version: MqttVersion,
    buffers: Buffers<'_>,
    see: impl FnOnce(&str, &[u8]),
) -> Result<(), Error> {
    let until = || clock.now().after_ms(PATIENCE_MS);
    let mut client = connect(line, clock, version, buffers).await?;
    client.subscribe(FILTER, Qos::AtLeastOnce, until()).await?;
    client.publish(TOPIC, PAYLOAD, Qos::AtLeastOnce, false, until()).await?;
    if let Some(due) = client.keep_alive_due() {
        clock.sleep_until(due).await;
        client.keep_alive(until()).await?;
    }
    if let Some(message) = client.next(until()).await? {
        see(message.topic, message.payload);
    }
    client.disconnect(until()).await.map(drop)
}
