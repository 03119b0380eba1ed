//! The telemetry application on the emulated board, logged in by access tokens.
#![no_std]
#![no_main]

use apps::telemetry::{self, Telemetry};
use board::tokens;
use device_sdk::{Device, Memory, SideMemory};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use static_cell::{ConstStaticCell, StaticCell};

static SOCKETS: StaticCell<StackResources<{ board::SOCKETS_OF_TWO }>> = StaticCell::new();
/// Tokens of up to 2 KB, with room for the request of the next beside the one that is kept.
static MEMORY: ConstStaticCell<Memory<6144, 6144>> = ConstStaticCell::new(Memory::new());
static SIDE: ConstStaticCell<SideMemory> = ConstStaticCell::new(SideMemory::new());

#[embassy_executor::main(entry = "cortex_m_rt::entry", executor = "board::Executor")]
async fn main(spawner: Spawner) {
    let board = board::init(spawner, SOCKETS.init(StackResources::new())).await;
    let run = tokens::config(board.scenario);
    let telemetry = Telemetry { topic: run.topic, every_ms: 200, readings: board.scenario.readings() };
    let beside = run.second_socket.then(|| board.second_net());
    let mut device = Device::new(&run.constants.device, MEMORY.take(), board.ports());
    if let Some(net) = beside {
        device = device.with_second_socket(net, SIDE.take());
    }
    let ended = telemetry::run(&mut device, &telemetry, || 17).await;
    board::end(ended).await
}
