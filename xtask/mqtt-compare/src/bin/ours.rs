//! device-sdk's client, for MQTT 5 and 3.1.1.
#![no_std]
#![no_main]

use device_sdk::net::mqtt::{Buffers, Client};
use identity_core::session::MqttVersion;
use mqtt_compare::chip::{Ticks, Uart, future, future_2, keep, run, unknown};
use mqtt_compare::ours::{Timed, session};
use mqtt_compare::tell;

type Ours = Client<'static, Timed<'static, Uart, Ticks>, Ticks>;

tell!("client", size_of::<Ours>());
tell!("receive", future_2(Ours::next));
tell!("session", future(work) - 2 * PACKET);

/// Octets of the largest packet either way.
const PACKET: usize = 128;

async fn work() {
    let (mut send, mut receive) = ([0; PACKET], [0; PACKET]);
    let version = if unknown() & 2 == 0 { MqttVersion::V5 } else { MqttVersion::V311 };
    let buffers = Buffers { send: &mut send, receive: &mut receive };
    keep(session(Uart, &Ticks, version, buffers, |topic, payload| keep((topic, payload))).await);
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    run(work())
}
