//! The board of a desktop: flash in a file, keys in software, the operating system's network and clock.

pub mod device_login;
pub mod terminal;

use std::path::Path;
use std::{fs, io};

use device_sdk::clock::std_clock::StdClock;
use device_sdk::entropy::Rng;
use device_sdk::keys::software::{DeviceSecret, SoftwareKeys};
use device_sdk::keys::std_entropy::StdEntropy;
use device_sdk::net::std_net::StdNet;
use device_sdk::ports::Platform;
use device_sdk::store::NorStore;
use device_sdk::store::file_flash::FileFlash;

/// Octets of flash: six pages.
const FLASH: usize = 6 * 4096;

/// A desktop as a board.
pub type Board = Platform<SoftwareKeys<StdEntropy>, NorStore<FileFlash>, StdNet, StdClock>;

/// Powers the board on. Its flash is the file `flash`; its fuses are the file `flash` with the extension `secret`.
///
/// # Errors
/// Files that cannot be read or written, an entropy source that fails its tests.
pub fn init(flash: &Path) -> io::Result<Board> {
    let secret = fuses(&flash.with_extension("secret"))?;
    let rng = Rng::start(StdEntropy, b"desktop").map_err(io::Error::other)?;
    log::info!("entropy source passed its start-up tests");
    let end = u32::try_from(FLASH).map_err(io::Error::other)?;
    Ok(Platform {
        keys: SoftwareKeys::new(rng, DeviceSecret::new(secret)),
        store: NorStore::new(FileFlash::open(flash, FLASH)?, 0..end).map_err(io::Error::other)?,
        net: StdNet,
        clock: StdClock::new(),
    })
}

/// What a microcontroller has in fuses: a number that only this device knows.
fn fuses(path: &Path) -> io::Result<[u8; 32]> {
    if !path.exists() {
        let mut fresh = [0; 32];
        getrandom::fill(&mut fresh).map_err(io::Error::other)?;
        fs::write(path, fresh)?;
    }
    let burnt = fs::read(path)?;
    burnt.try_into().map_err(|_| io::Error::other("the file of fuses is not 32 octets; delete it and the flash file"))
}
