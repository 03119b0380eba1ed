//! rust-mqtt, for MQTT 5.
#![no_std]
#![no_main]

use core::num::NonZero;

use mqtt_compare::chip::{Ticks, Uart, future, future_1, keep, run};
use mqtt_compare::tell;
use mqtt_compare::theirs::{Client, session};
use rust_mqtt::buffer::BumpBuffer;

type Theirs = Client<'static, Uart>;

tell!("client", size_of::<Theirs>());
tell!("receive", future_1(Theirs::poll));
tell!("session", future(work) - PACKET);

/// Octets of the largest packet that arrives.
const PACKET: usize = 128;

async fn work() {
    let mut memory = [0; PACKET];
    let mut buffer = BumpBuffer::new(&mut memory);
    let largest = const { NonZero::new(PACKET as u32).unwrap() };
    keep(session(Uart, &Ticks, &mut buffer, largest, |topic, payload| keep((topic, payload))).await);
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    run(work())
}
