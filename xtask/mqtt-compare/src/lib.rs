//! One MQTT session, by device-sdk's client and by rust-mqtt: CONNECT with user name, password and will, SUBSCRIBE and
//! PUBLISH at QoS 1 with their acknowledgements, PINGREQ, one message received at QoS 1 and acknowledged, DISCONNECT.
#![cfg_attr(not(test), no_std)]

#[cfg(target_os = "none")]
pub mod chip;
pub mod line;
pub mod ours;
#[cfg(test)]
mod tests;
pub mod theirs;

/// What both say.
pub mod words {
    pub const CLIENT_ID: &str = "pump-7";
    pub const USER: &str = "pump-7";
    pub const PASSWORD: &str = "a-password";
    pub const WILL_TOPIC: &str = "pumps/7/state";
    pub const WILL: &[u8] = b"gone";
    pub const FILTER: &str = "pumps/7/command";
    pub const TOPIC: &str = "pumps/7/flow";
    pub const PAYLOAD: &[u8] = b"12.5";
    /// Seconds.
    pub const KEEP_ALIVE: u16 = 60;
    /// How long each step may take, in milliseconds.
    pub const PATIENCE_MS: u64 = 10_000;
}
