//! What a broker's refusals mean, and the next step. MQTT 5 §2.4, MQTT 3.1.1 §3.2.2.3 and §3.9.3.

use identity_core::session::MqttVersion;

use crate::Error;

/// The error of a refused packet.
pub(super) fn refused(what: &'static str, version: MqttVersion, reason: u8) -> Error {
    let hint = match (version, reason) {
        (MqttVersion::V311, 1) => "it does not speak MQTT 3.1.1; set `version` to V5",
        (MqttVersion::V5, 1) => "it does not speak MQTT 5; set `version` to V311",
        (_, 0x84) => "it does not speak this version of MQTT; change `version`",
        (MqttVersion::V311, 2) | (_, 0x85) => {
            "it does not allow the client identifier; set `client_id` as the broker demands"
        }
        (MqttVersion::V311, 3) | (_, 0x88 | 0x89) => "it is not available; try again later",
        (MqttVersion::V311, 4) | (_, 0x86) => "user name or password are wrong; check the session's credentials",
        (MqttVersion::V311, 5) | (_, 0x87) => {
            "the device is not authorised; check the broker's access rules for its name"
        }
        (MqttVersion::V311, 0x80) => "the topic filter is not allowed; check the broker's access rules for its name",
        (_, 0x80) => "it gives no reason; look into the broker's log",
        (_, 0x81 | 0x82) => "it calls a packet of ours malformed; report this as a bug",
        (_, 0x83) => "the packet is valid but not acceptable to this broker; look into the broker's log",
        (_, 0x8A) => "the client is banned; ask the broker's administrator",
        (_, 0x8B) => "it is shutting down; try again later",
        (_, 0x8C) => "the authentication method is not supported; choose another session",
        (_, 0x8D) => "nothing was heard for too long; call `next()` or `publish()` more often than the keep-alive",
        (_, 0x8E) => "another client connected with this client identifier; give each device its own",
        (_, 0x8F) => "the topic filter is not valid for this broker",
        (_, 0x90) => "the topic name is not valid for this broker",
        (_, 0x93) => "too many messages are unacknowledged",
        (_, 0x95) => "the packet is larger than the broker takes; publish less at once",
        (_, 0x96 | 0x97) => "a quota is used up; publish less often, or ask for a larger quota",
        (_, 0x98) => "an administrator ended the session",
        (_, 0x99) => "the payload does not have the announced format",
        (_, 0x9A) => "it keeps no retained messages; publish without retain",
        (_, 0x9B) => "it does not support this QoS; use a lower one",
        (_, 0x9C | 0x9D) => "it wants the device to use another server; change the session's host",
        (_, 0x9F) => "connections come too often; wait longer between them",
        (_, 0xA0) => "the session has reached its longest time; connect again",
        _ => "look the code up in MQTT 5 §2.4 and in the broker's log",
    };
    Error::Broker { what, reason, hint }
}
