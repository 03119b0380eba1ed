//! The session by rust-mqtt, in its version, MQTT 5. It leaves deadlines, keep-alive and messages that arrive while an
//! acknowledgement is awaited to its user: here nobody cares for them, so that its figures are the least they can be.

use core::convert::Infallible;
use core::num::NonZero;

use device_sdk::ports::Clock;
use embedded_io_async::{ErrorType, Read, Write};
use rust_mqtt::Bytes;
use rust_mqtt::buffer::BumpBuffer;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, DisconnectOptions, PublicationOptions, SubscriptionOptions, TopicReference, WillOptions,
};
use rust_mqtt::client::{Client as Any, MqttError};
use rust_mqtt::config::KeepAlive;
use rust_mqtt::types::{MqttBinary, MqttString, TopicFilter, TopicName};

use crate::line::{Line, arrived};
use crate::words::*;

/// One SUBSCRIBE and one PUBLISH under way, Receive Maximum 4 as ours says; no subscription identifiers, user properties or
/// topic aliases.
pub type Client<'b, L> = Any<'b, 'b, Stream<L>, BumpBuffer<'b>, 1, 4, 1, 0, 0, 0, 0>;
pub type Error<'b> = MqttError<'b, 0>;

/// The line by the traits that rust-mqtt asks for.
pub struct Stream<L>(pub L);

impl<L> ErrorType for Stream<L> {
    type Error = Infallible;
}

impl<L: Line> Read for Stream<L> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        arrived(&self.0, || false).await;
        Ok(self.0.take(into))
    }
}

impl<L: Line> Write for Stream<L> {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, Infallible> {
        self.0.put(octets);
        Ok(octets.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Logs in. `largest` is the largest packet that the client takes, in octets.
pub async fn connect<'b, L: Line>(
    line: L,
    buffer: &'b mut BumpBuffer<'b>,
    largest: NonZero<u32>,
) -> Result<Client<'b, L>, Error<'b>> {
    let mut client = Client::new(buffer);
    let will = WillOptions::new(topic(WILL_TOPIC), MqttBinary::from_slice_unchecked(WILL)).at_least_once().retain();
    let options = ConnectOptions::new()
        .clean_start()
        .keep_alive(KeepAlive::Seconds(const { NonZero::new(KEEP_ALIVE).unwrap() }))
        .maximum_packet_size(largest)
        .user_name(MqttString::from_str_unchecked(USER))
        .password(MqttBinary::from_slice_unchecked(PASSWORD.as_bytes()))
        .will(will);
    client.connect(Stream(line), &options, Some(MqttString::from_str_unchecked(CLIENT_ID))).await?;
    forget(&mut client);
    Ok(client)
}

/// The whole session; `see` gets the message.
pub async fn session<'b, L: Line, C: Clock>(
    line: L,
    clock: &C,
    buffer: &'b mut BumpBuffer<'b>,
    largest: NonZero<u32>,
    see: impl FnOnce(&str, &[u8]),
) -> Result<(), Error<'b>> {
    let mut client = connect(line, buffer, largest).await?;
    let filter = TopicFilter::new_unchecked(MqttString::from_str_unchecked(FILTER));
    client.subscribe(filter, &SubscriptionOptions::new().at_least_once()).await?;
    while !matches!(client.poll().await?, Event::Suback(suback) if suback.reason_code.is_success()) {
        forget(&mut client);
    }
    let options = PublicationOptions::new(TopicReference::Name(topic(TOPIC))).at_least_once();
    let id = client.publish(&options, Bytes::from(PAYLOAD)).await?;
    while !matches!(client.poll().await?, Event::PublishAcknowledged(puback) if Some(puback.packet_identifier) == id) {
        forget(&mut client);
    }
    clock.sleep_until(clock.now().after_ms(u64::from(KEEP_ALIVE) * 750)).await;
    client.ping().await?;
    loop {
        // the acknowledgement is sent by `poll`, before the application has seen the message
        if let Event::Publish(message) = client.poll().await? {
            let topic = message.topic.name().map_or("", |name| name.as_ref().as_str());
            see(topic, message.message.as_bytes());
            break;
        }
        forget(&mut client);
    }
    client.disconnect(&DisconnectOptions::new()).await.map(drop)
}

/// Gives the memory of received packets back.
pub fn forget<L: Line>(client: &mut Client<'_, L>) {
    // SAFETY: every caller has dropped what it received before
    unsafe { client.buffer_mut().reset() };
}

fn topic(name: &'static str) -> TopicName<'static> {
    TopicName::new_unchecked(MqttString::from_str_unchecked(name))
}
