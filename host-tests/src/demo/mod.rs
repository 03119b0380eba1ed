//! `cargo demo`: a plant on loopback, a device with blank flash, and a timeline of what happens. One file a profile.

mod certificate;
mod oauth;
mod oauth_acts;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::{fs, io};

use identity_core::session::MqttVersion;

use crate::est_options::{EstOptions, Grant};
use crate::plant::PlantOptions;
use crate::simulator::{SECRET, USER};

/// Common name of the device.
const NAME: &str = "pump-7";
/// The file that is the device's flash.
const FLASH: &str = "flash.bin";

/// Set it, and the demonstration ends.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Which backend is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EST, and the certificate as log-in to the broker.
    Certificate,
    /// EST, and tokens of an authorization server for broker and API.
    OAuth,
}

/// What is to be shown.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The backend.
    pub kind: Kind,
    /// Boot the flash of the last run.
    pub again: bool,
    /// The device is the emulated board.
    pub board: bool,
    /// The version of MQTT.
    pub version: MqttVersion,
    /// Where flash and authority stay between runs.
    pub folder: PathBuf,
}

/// Shows it.
///
/// # Errors
/// What did not go as it should.
pub fn show(wish: &Wish) -> Result<(), String> {
    if wish.board && wish.kind == Kind::OAuth {
        return Err("the board shows the certificate profile only".into());
    }
    if wish.again {
        if !wish.folder.join(FLASH).exists() {
            return Err("there is no flash of an earlier run; run it without --again first".into());
        }
    } else {
        wipe(&wish.folder)?;
    }
    fs::create_dir_all(&wish.folder).map_err(|error| format!("{}: {error}", wish.folder.display()))?;
    match wish.kind {
        Kind::Certificate => certificate::show(wish),
        Kind::OAuth => oauth::show(wish),
    }
}

/// A plant whose authority stays in the folder, and at which one device may enrol.
fn plant_options(folder: &Path) -> PlantOptions {
    let mut options = PlantOptions {
        est: EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..Default::default() },
        ..Default::default()
    };
    options.ca.kept_in = Some(folder.to_path_buf());
    options
}

/// A first boot enrols once, a later one not at all.
fn judge_enrolments(again: bool, enrolments: usize) -> Result<(), String> {
    match (again, enrolments) {
        (true, 0) | (false, 1) => Ok(()),
        (true, n) => Err(format!("{n} enrolments after a reboot; none was needed")),
        (false, n) => Err(format!("{n} enrolments at a first boot; one was due")),
    }
}

fn wipe(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
