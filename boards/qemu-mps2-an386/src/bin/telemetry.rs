//! The telemetry application on the emulated board.
#![no_std]
#![no_main]

use apps::telemetry::{self, Telemetry};
use board::scenario;
use device_sdk::{Device, Memory};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use static_cell::{ConstStaticCell, StaticCell};

static SOCKETS: StaticCell<StackResources<{ board::SOCKETS }>> = StaticCell::new();
static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory::new());

#[embassy_executor::main(entry = "cortex_m_rt::entry", executor = "board::Executor")]
async fn main(spawner: Spawner) {
    let board = board::init(spawner, SOCKETS.init(StackResources::new())).await;
    let config = scenario::config(board.scenario);
    let telemetry = Telemetry { topic: config.topic, every_ms: 200, readings: board.scenario.readings() };
    let mut device = Device::new(&config.device, MEMORY.take(), board.ports());
    let ended = telemetry::run(&mut device, &telemetry, || 17).await;
    board::end(ended).await
}
