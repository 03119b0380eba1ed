//! QEMU's `mps2-an386` as a board: Cortex-M4F at 25 MHz, LAN9118 Ethernet, and a NOR flash that is a file of the host.
//!
//! The directory QEMU runs in is the device: `flash.bin` is its flash, and survives a power cut (kill QEMU);
//! [`scenario`] says what else is read there. Output, host files and the exit code go through semihosting.
#![no_std]

mod executor;
mod fault;
mod flash;
mod lan9118;
mod logger;
pub mod meter;
mod rng;
pub mod scenario;
mod time;
pub mod tokens;

use device_sdk::clock::embassy_clock::EmbassyClock;
use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::net::embassy_net::{EmbassyNet, SocketBuffers};
use device_sdk::ports::Platform;
use device_sdk::store::NorStore;
use embassy_executor::Spawner;
use embassy_net::{Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use identity_core::entropy::{RawSource, Rng};
use lan9118::Lan9118;
use static_cell::ConstStaticCell;

pub use executor::Executor;
pub use flash::HostFileFlash;
pub use rng::EmulationOnlyEntropy;
pub use scenario::Scenario;
pub use semihosting::process::exit;

/// The host's loopback interface, as QEMU's user network shows it to the device.
pub const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

/// The device's address on that network.
const DEVICE: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24);

/// Sockets of a stack with one network of the SDK: one TCP, one UDP, one for DNS, and one that embassy-net keeps for DHCP.
pub const SOCKETS: usize = 4;

/// Sockets of a stack with two: one TCP and one UDP more.
pub const SOCKETS_OF_TWO: usize = SOCKETS + 2;

/// What the board has.
pub struct Board {
    /// The network, configured and up; a task drives it.
    pub stack: Stack<'static>,
    /// The flash.
    pub flash: HostFileFlash,
    /// Noise of the host, for emulation only.
    pub entropy: EmulationOnlyEntropy,
    /// What this run is to do.
    pub scenario: Scenario,
}

/// The board as the SDK sees it.
pub type Ports = Platform<SoftwareKeys<EmulationOnlyEntropy>, NorStore<HostFileFlash>, EmbassyNet, EmbassyClock>;

/// Octets of flash for the device's records.
const RECORDS: u32 = 16 * 4096;

impl Board {
    /// A second network over the same stack, for [`Device::with_second_socket`](device_sdk::Device::with_second_socket). The
    /// stack needs [`SOCKETS_OF_TWO`].
    ///
    /// # Panics
    /// When called twice, or with fewer sockets.
    #[must_use]
    pub fn second_net(&self) -> EmbassyNet {
        static BUFFERS: ConstStaticCell<SocketBuffers<4096, 4096>> = ConstStaticCell::new(SocketBuffers::new());
        EmbassyNet::new(self.stack, BUFFERS.take())
    }

    /// The four ports. The device secret, in fuses on a product, is a constant here: **for emulation only**.
    ///
    /// # Panics
    /// When the noise fails its health tests.
    #[must_use]
    // inlined, its copy of the store's scratch would lie in the task's frame for good: 1.3 KB of stack
    #[inline(never)]
    pub fn ports(self) -> Ports {
        static BUFFERS: ConstStaticCell<SocketBuffers<4096, 4096>> = ConstStaticCell::new(SocketBuffers::new());
        let rng = Rng::start(self.entropy, b"qemu-mps2-an386").expect("noise that passes its health tests");
        log::info!("entropy source passed its start-up tests");
        Platform {
            keys: SoftwareKeys::new(rng, DeviceSecret::new([0x5A; 32])),
            store: NorStore::new(self.flash, 0..RECORDS).expect("a range of whole pages"),
            net: EmbassyNet::new(self.stack, BUFFERS.take()),
            clock: EmbassyClock,
        }
    }
}

/// Brings the board up and waits for its network, which has as many sockets as `sockets` has room for.
///
/// # Panics
/// With what to fix, when the network controller or a host file is missing.
pub async fn init<const N: usize>(spawner: Spawner, sockets: &'static mut StackResources<N>) -> Board {
    logger::start();
    time::start();
    let scenario = Scenario::load();
    if scenario.meter {
        logger::meter();
    }
    let mut entropy = EmulationOnlyEntropy::open();
    let mut seed = [0; 8];
    entropy.read(&mut seed).expect("noise from the host");
    let address = StaticConfigV4 { address: DEVICE, gateway: Some(HOST), dns_servers: Default::default() };
    let (stack, runner) = embassy_net::new(
        Lan9118::start(),
        embassy_net::Config::ipv4_static(address),
        sockets,
        u64::from_le_bytes(seed),
    );
    spawner.spawn(drive(runner).expect("spawned once"));
    stack.wait_config_up().await;
    log::info!("network up at {DEVICE}");
    Board { stack, flash: HostFileFlash::open(c"flash.bin"), entropy, scenario }
}

/// Ends the run: exit code 0, or the error in the log and exit code 1.
pub async fn end(ended: Result<(), device_sdk::Error>) -> ! {
    if let Err(error) = ended {
        log::error!("{error}");
    }
    // the last segments leave in the background
    embassy_time::Timer::after_millis(50).await;
    exit(ended.is_err().into())
}

#[embassy_executor::task]
async fn drive(mut runner: Runner<'static, Lan9118>) -> ! {
    runner.run().await
}
