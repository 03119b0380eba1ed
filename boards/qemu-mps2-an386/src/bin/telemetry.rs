//! The telemetry application on the emulated board.
#![no_std]
#![no_main]

use apps::telemetry::{self, Telemetry};
use board::scenario;
use device_sdk::{Device, Memory};
use embassy_executor::Spawner;
use embassy_time::Timer;
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    board::run(|spawner| spawner.spawn(app(spawner).expect("spawned once")))
}

#[embassy_executor::task]
async fn app(spawner: Spawner) {
    let board = board::init(spawner).await;
    let config = scenario::config(board.scenario);
    let telemetry = Telemetry { topic: config.topic, every_ms: 200, readings: board.scenario.readings() };
    let mut device = Device::new(&config.device, MEMORY.take(), board.ports());
    let ended = telemetry::run(&mut device, &telemetry, || 17).await;
    if let Err(error) = ended {
        log::error!("telemetry: {error}");
    }
    // the last segments leave in the background
    Timer::after_millis(50).await;
    board::exit(ended.is_err().into())
}
