use super::prelude::*;

pub(crate) static SESSION: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};
