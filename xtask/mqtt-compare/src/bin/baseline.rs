//! Line, clock and executor, and the copying of octets that any firmware links, without a client.
#![no_std]
#![no_main]

use device_sdk::ports::Clock;
use mqtt_compare::chip::{Ticks, Uart, keep, run, unknown};
use mqtt_compare::line::{Line, arrived};
use mqtt_compare::words::PATIENCE_MS;

async fn work() {
    let mut room = [0; 256];
    let until = Ticks.now().after_ms(PATIENCE_MS);
    Ticks.sleep_until(until).await;
    if arrived(&Uart, || Ticks.now() >= until).await {
        let from = (unknown() & 0x7F) as usize;
        let taken = Uart.take(&mut room);
        room.copy_within(from..taken.max(from).min(256), 1);
        if let Some((to, octets)) = room.split_at_mut_checked(from)
            && let Some(octets) = octets.get_mut(..from)
        {
            to.copy_from_slice(octets);
            octets.fill(unknown() as u8);
        }
        Uart.put(&room);
    }
    keep(room);
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    run(work())
}
