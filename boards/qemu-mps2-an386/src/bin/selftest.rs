//! The board alone: clock, noise, flash and network, without an identity. Exit code 0 when all work.
//!
//! Echoes with whatever listens at `broker_port`, and counts its boots in flash.
#![no_std]
#![no_main]

use board::Board;
use device_sdk::ports::Store;
use device_sdk::store::nor::NorStore;
use embassy_executor::Spawner;
use embassy_net::StackResources;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, Write};
use identity_core::entropy::Rng;
use static_cell::StaticCell;

static SOCKETS: StaticCell<StackResources<{ board::SOCKETS }>> = StaticCell::new();
const BOOTS: u8 = 1;
const ROUNDS: u8 = 32;

#[embassy_executor::main(entry = "cortex_m_rt::entry", executor = "board::Executor")]
async fn main(spawner: Spawner) {
    let Board { stack, flash, entropy, scenario } = board::init(spawner, SOCKETS.init(StackResources::new())).await;
    Rng::start(entropy, b"selftest").expect("healthy noise");

    let mut store: NorStore<_> = NorStore::new(flash, 0..16 * 4096).expect("a range of whole pages");
    let mut boots = [0; 4];
    store.load(BOOTS, &mut boots).await.expect("a readable flash");
    let boots = u32::from_le_bytes(boots) + 1;
    store.store(BOOTS, &boots.to_le_bytes()).await.expect("a writable flash");
    log::info!("selftest: boot {boots}");

    let (mut receive, mut send) = ([0; 4096], [0; 4096]);
    let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
    socket.set_timeout(Some(Duration::from_secs(10)));
    socket.connect((board::HOST, scenario.broker_port)).await.expect("an echo server at broker_port");
    for round in 0..ROUNDS {
        let (sent, mut echoed) = ([round; 2048], [0; 2048]);
        socket.write_all(&sent).await.expect("a connection");
        socket.read_exact(&mut echoed).await.expect("an echo");
        assert_eq!(sent, echoed, "the echo differs");
    }
    log::info!("selftest: {} KiB echoed", u32::from(ROUNDS) * 2);
    Timer::after_millis(20).await;
    log::info!("selftest: passed");
    board::exit(0)
}
