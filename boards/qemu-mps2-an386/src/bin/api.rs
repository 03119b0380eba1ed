//! Gets a URL again and again with the device's token, and at the end says what a token from RAM costs.
#![no_std]
#![no_main]

use board::{Scenario, meter, tokens};
use device_sdk::ports::{Clock, KeyStore, Net, Store};
use device_sdk::{Device, Error, Memory};
use embassy_executor::Spawner;
use embassy_net::StackResources;
use embassy_time::Timer;
use static_cell::{ConstStaticCell, StaticCell};

static SOCKETS: StaticCell<StackResources<{ board::SOCKETS }>> = StaticCell::new();
static MEMORY: ConstStaticCell<Memory<6144, 6144, 3072>> = ConstStaticCell::new(Memory::new());

/// Milliseconds between two requests.
const EVERY_MS: u64 = 1000;
/// Look-ups that the cost is the mean of.
const LOOK_UPS: u64 = 100;

#[embassy_executor::main(entry = "cortex_m_rt::entry", executor = "board::Executor")]
async fn main(spawner: Spawner) {
    let board = board::init(spawner, SOCKETS.init(StackResources::new())).await;
    let (scenario, run) = (board.scenario, tokens::config(board.scenario));
    let mut device = Device::new(&run.constants.device, MEMORY.take(), board.ports());
    let ended = get(&mut device, run.url, &scenario).await;
    board::end(ended).await
}

async fn get<K: KeyStore, S: Store, N: Net, C: Clock>(
    device: &mut Device<'_, K, S, N, C>,
    url: &str,
    scenario: &Scenario,
) -> Result<(), Error> {
    let mut body = [0; 512];
    for _ in 0..scenario.publishes {
        let answer = device.http().get(url, &mut body).await?;
        let text = core::str::from_utf8(&body[..answer.length]).unwrap_or("no text");
        log::info!("{}: {}", answer.status, text);
        Timer::after_millis(EVERY_MS).await;
    }
    // the last one may be due for renewal
    device.token("").await?;
    let start = meter::instructions();
    for _ in 0..LOOK_UPS {
        device.token("").await?;
    }
    log::info!("token from RAM: {} instructions", (meter::instructions() - start) / LOOK_UPS);
    Ok(())
}
