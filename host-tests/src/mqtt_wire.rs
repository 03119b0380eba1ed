//! What the broker needs of MQTT 3.1.1 and 5, on the codecs of rumqttc: written by others, so they judge the device.

use crate::mqtt_auth::{self, Auth};
use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes as five;
use rumqttc::v5::mqttbytes::v5;

/// Octets of the largest packet.
const PACKET_MAX: usize = 256 * 1024;

/// Protocol level of CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1
    V4,
    /// MQTT 5
    V5,
}

/// An application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// CONNECT.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<Message>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// Authentication method and data, MQTT 5 only.
    pub(crate) method: Option<String>,
    pub(crate) data: Option<Bytes>,
}

/// What a client sends.
#[derive(Debug)]
pub(crate) enum Incoming {
    Connect(Connect),
    Publish {
        id: u16,
        message: Message,
    },
    Subscribe {
        id: u16,
        filters: Vec<(String, u8)>,
    },
    Unsubscribe {
        id: u16,
        filters: Vec<String>,
    },
    Ack,
    Auth(Auth),
    Ping,
    /// True: publish the will all the same.
    Disconnect(bool),
}

/// What the broker sends.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Accept {
        /// The identifier, if the broker chose it.
        assigned: Option<String>,
        /// The authentication method, if CONNECT had one.
        method: Option<String>,
    },
    NotAuthorized,
    /// MQTT 5 only: bad authentication method.
    BadMethod,
    Busy,
    Publish {
        id: u16,
        message: Message,
    },
    PubAck {
        id: u16,
        allowed: bool,
    },
    /// Granted QoS, none if denied.
    SubAck {
        id: u16,
        granted: Vec<Option<u8>>,
    },
    UnsubAck {
        id: u16,
        filters: usize,
    },
    Pong,
    /// MQTT 5 only: another client has the same identifier.
    TakenOver,
    /// MQTT 5 only.
    Auth(Auth),
    /// The session ends: not authorised any more. 3.1.1 has no word for it.
    EndNotAuthorized,
    /// The session ends: protocol error.
    ProtocolError,
}

/// Protocol level of a CONNECT at the start of `octets`; none if more octets are needed. MQTT 3.1.1 §3.1.2.
pub(crate) fn version(octets: &[u8]) -> Option<Result<Version, String>> {
    let length = octets.iter().skip(1).take(4).position(|octet| octet & 0x80 == 0)? + 1;
    let head = octets.get(1 + length..1 + length + 7)?;
    Some(match head {
        [0, 4, b'M', b'Q', b'T', b'T', 4] if octets[0] == 0x10 => Ok(Version::V4),
        [0, 4, b'M', b'Q', b'T', b'T', 5] if octets[0] == 0x10 => Ok(Version::V5),
        other => Err(format!("not a CONNECT of MQTT 3.1.1 or 5: {:02x} {other:02x?}", octets[0])),
    })
}

fn qos4(qos: u8) -> rumqttc::QoS {
    if qos == 0 { rumqttc::QoS::AtMostOnce } else { rumqttc::QoS::AtLeastOnce }
}

fn qos5(qos: u8) -> five::QoS {
    if qos == 0 { five::QoS::AtMostOnce } else { five::QoS::AtLeastOnce }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

impl Version {
    /// Takes the next packet out of `octets`; none if it is not whole yet.
    pub(crate) fn read(self, octets: &mut BytesMut) -> Result<Option<Incoming>, String> {
        match self {
            Self::V4 => match v4::Packet::read(octets, PACKET_MAX) {
                Ok(packet) => read4(packet).map(Some),
                Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            // rumqttc takes no DISCONNECT without reason code or without properties (MQTT 5 §3.14.2.1, §3.14.2.2)
            Self::V5 if octets.starts_with(&[0xE0, 0]) => {
                octets.advance(2);
                Ok(Some(Incoming::Disconnect(false)))
            }
            Self::V5 if octets.starts_with(&[0xE0, 1]) && octets.len() > 2 => {
                let reason = octets.split_to(3)[2];
                Ok(Some(Incoming::Disconnect(reason == v5::DisconnectReasonCode::DisconnectWithWillMessage as u8)))
            }
            Self::V5 if octets.first().is_some_and(|octet| octet & 0xF0 == 0xF0) => {
                Ok(mqtt_auth::read(octets)?.map(Incoming::Auth))
            }
            Self::V5 => match v5::Packet::read(octets, Some(PACKET_MAX as u32)) {
                Ok(packet) => read5(packet).map(Some),
                Err(five::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// The octets of a packet.
    pub(crate) fn write(self, packet: Outgoing) -> Result<BytesMut, String> {
        let mut out = BytesMut::new();
        match self {
            Self::V4 => match write4(packet) {
                Some(packet) => packet.write(&mut out, PACKET_MAX).map_err(|error| error.to_string())?,
                None => 0,
            },
            Self::V5 => match write5(packet) {
                Ok(packet) => packet.write(&mut out, None).map_err(|error| error.to_string())?,
                Err(octets) => return Ok(octets),
            },
        };
        Ok(out)
    }
}

fn read4(packet: v4::Packet) -> Result<Incoming, String> {
    Ok(match packet {
        v4::Packet::Connect(connect) => Incoming::Connect(Connect {
            client_id: connect.client_id,
            keep_alive: connect.keep_alive,
            will: connect.last_will.map(|will| Message {
                topic: will.topic,
                payload: will.message,
                qos: will.qos as u8,
                retain: will.retain,
            }),
            user: connect.login.as_ref().map(|login| login.username.clone()),
            password: connect.login.map(|login| login.password).filter(|password| !password.is_empty()),
            method: None,
            data: None,
        }),
        v4::Packet::Publish(publish) => Incoming::Publish {
            id: publish.pkid,
            message: Message {
                topic: publish.topic,
                payload: publish.payload,
                qos: publish.qos as u8,
                retain: publish.retain,
            },
        },
        v4::Packet::Subscribe(subscribe) => Incoming::Subscribe {
            id: subscribe.pkid,
            filters: subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect(),
        },
        v4::Packet::Unsubscribe(packet) => Incoming::Unsubscribe { id: packet.pkid, filters: packet.topics },
        v4::Packet::PubAck(_) => Incoming::Ack,
        v4::Packet::PingReq => Incoming::Ping,
        v4::Packet::Disconnect => Incoming::Disconnect(false),
        other => return Err(format!("unexpected {other:?}")),
    })
}

fn read5(packet: v5::Packet) -> Result<Incoming, String> {
    Ok(match packet {
        v5::Packet::Connect(connect, will, login) => Incoming::Connect(Connect {
            client_id: connect.client_id,
            keep_alive: connect.keep_alive,
            will: will.map(|will| Message {
                topic: text(&will.topic),
                payload: will.message,
                qos: will.qos as u8,
                retain: will.retain,
            }),
            user: login.as_ref().map(|login| login.username.clone()),
            password: login.map(|login| login.password).filter(|password| !password.is_empty()),
            method: connect.properties.as_ref().and_then(|properties| properties.authentication_method.clone()),
            data: connect.properties.and_then(|properties| properties.authentication_data),
        }),
        v5::Packet::Publish(publish) => Incoming::Publish {
            id: publish.pkid,
            message: Message {
                topic: text(&publish.topic),
                payload: publish.payload,
                qos: publish.qos as u8,
                retain: publish.retain,
            },
        },
        v5::Packet::Subscribe(subscribe) => Incoming::Subscribe {
            id: subscribe.pkid,
            filters: subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect(),
        },
        v5::Packet::Unsubscribe(packet) => Incoming::Unsubscribe { id: packet.pkid, filters: packet.filters },
        v5::Packet::PubAck(_) => Incoming::Ack,
        v5::Packet::PingReq(_) => Incoming::Ping,
        v5::Packet::Disconnect(packet) => {
            Incoming::Disconnect(packet.reason_code == v5::DisconnectReasonCode::DisconnectWithWillMessage)
        }
        other => return Err(format!("unexpected {other:?}")),
    })
}

fn write4(packet: Outgoing) -> Option<v4::Packet> {
    let connack = |code| v4::Packet::ConnAck(v4::ConnAck::new(code, false));
    Some(match packet {
        Outgoing::Accept { .. } => connack(v4::ConnectReturnCode::Success),
        Outgoing::NotAuthorized | Outgoing::BadMethod => connack(v4::ConnectReturnCode::NotAuthorized),
        Outgoing::Busy => connack(v4::ConnectReturnCode::ServiceUnavailable),
        Outgoing::Publish { id, message } => {
            let mut publish = v4::Publish::from_bytes(message.topic, qos4(message.qos), message.payload);
            (publish.pkid, publish.retain) = (id, message.retain);
            v4::Packet::Publish(publish)
        }
        // 3.1.1 cannot say no: it acknowledges what it denied, as mosquitto does
        Outgoing::PubAck { id, .. } => v4::Packet::PubAck(v4::PubAck::new(id)),
        Outgoing::SubAck { id, granted } => {
            let code = |granted: Option<u8>| match granted {
                Some(qos) => v4::SubscribeReasonCode::Success(qos4(qos)),
                None => v4::SubscribeReasonCode::Failure,
            };
            v4::Packet::SubAck(v4::SubAck::new(id, granted.into_iter().map(code).collect()))
        }
        Outgoing::UnsubAck { id, .. } => v4::Packet::UnsubAck(v4::UnsubAck::new(id)),
        Outgoing::Pong => v4::Packet::PingResp,
        Outgoing::TakenOver | Outgoing::Auth(_) | Outgoing::EndNotAuthorized | Outgoing::ProtocolError => return None,
    })
}

/// A packet, or the octets of one that rumqttc cannot write.
fn write5(packet: Outgoing) -> Result<v5::Packet, BytesMut> {
    let connack = |code, assigned_client_identifier, authentication_method| {
        let properties = v5::ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: Some(1),
            retain_available: None,
            max_packet_size: Some(PACKET_MAX as u32),
            assigned_client_identifier,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: Some(0),
            shared_subscription_available: Some(0),
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method,
            authentication_data: None,
        };
        v5::Packet::ConnAck(v5::ConnAck { session_present: false, code, properties: Some(properties) })
    };
    Ok(match packet {
        Outgoing::Accept { assigned, method } => connack(v5::ConnectReturnCode::Success, assigned, method),
        Outgoing::NotAuthorized => connack(v5::ConnectReturnCode::NotAuthorized, None, None),
        Outgoing::BadMethod => connack(v5::ConnectReturnCode::BadAuthenticationMethod, None, None),
        Outgoing::Busy => connack(v5::ConnectReturnCode::ServerBusy, None, None),
        Outgoing::Publish { id, message } => {
            let mut publish = v5::Publish::new(message.topic, qos5(message.qos), message.payload, None);
            (publish.pkid, publish.retain) = (id, message.retain);
            v5::Packet::Publish(publish)
        }
        Outgoing::PubAck { id, allowed } => {
            let reason = if allowed { v5::PubAckReason::Success } else { v5::PubAckReason::NotAuthorized };
            v5::Packet::PubAck(v5::PubAck { pkid: id, reason, properties: None })
        }
        Outgoing::SubAck { id, granted } => {
            let code = |granted: Option<u8>| match granted {
                Some(qos) => v5::SubscribeReasonCode::Success(qos5(qos)),
                None => v5::SubscribeReasonCode::NotAuthorized,
            };
            let return_codes = granted.into_iter().map(code).collect();
            v5::Packet::SubAck(v5::SubAck { pkid: id, return_codes, properties: None })
        }
        Outgoing::UnsubAck { id, filters } => {
            let reasons = vec![v5::UnsubAckReason::Success; filters];
            v5::Packet::UnsubAck(v5::UnsubAck { pkid: id, reasons, properties: None })
        }
        Outgoing::Pong => v5::Packet::PingResp(v5::PingResp),
        Outgoing::TakenOver => return Err(disconnect(v5::DisconnectReasonCode::SessionTakenOver)),
        Outgoing::EndNotAuthorized => return Err(disconnect(v5::DisconnectReasonCode::NotAuthorized)),
        Outgoing::ProtocolError => return Err(disconnect(v5::DisconnectReasonCode::ProtocolError)),
        Outgoing::Auth(auth) => return Err(mqtt_auth::write(&auth)),
    })
}

/// rumqttc 0.25.1 writes one octet more than it announces, or leaves the reason out.
fn disconnect(reason: v5::DisconnectReasonCode) -> BytesMut {
    BytesMut::from(&[0xE0, 2, reason as u8, 0][..])
}
