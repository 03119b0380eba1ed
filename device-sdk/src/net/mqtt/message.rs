//! What is published and received.

/// Quality of service (§4.3). QoS 2 is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

/// What the broker publishes when the device vanishes (§3.1.2.5).
#[derive(Clone, Copy, Debug)]
pub struct Will<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// Kept by the broker for later subscribers.
    pub retain: bool,
}

/// A message from the broker.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: Qos,
    /// It was kept by the broker from before the subscription.
    pub retain: bool,
}
