//! `cargo demo`: reads the command line; [`host_tests::demo`] has what is shown.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use host_tests::demo::{INTERRUPTED, Kind, Wish, show};
use identity_core::session::MqttVersion;

const HELP: &str = "\
cargo demo [--profile NAME] [--again] [--fresh] [--mqtt311] [--board qemu-mps2-an386] [--folder PATH]
  boots a simulated device with blank flash against a plant on loopback: enrols, connects, publishes
  --profile certificate
             EST, then the certificate as log-in to the broker (the default)
  --profile oauth
             EST, then tokens: for the broker, for an API, after a person's approval, refused
  --again    boots the flash of the last run: no enrolment
  --fresh    wipes the flash and the plant's authority, then boots
  --mqtt311  speaks MQTT 3.1.1 instead of 5
  --board qemu-mps2-an386
             the device is the real Cortex-M4 image, in QEMU; certificate profile only
  --folder PATH
             keeps flash and authority in a folder there instead of below cargo's target folder";
/// The board that can be asked for.
const BOARD: &str = "qemu-mps2-an386";

/// What the command line asks for; none if for help.
fn wish(mut arguments: impl Iterator<Item = String>) -> Result<Option<Wish>, String> {
    let (mut kind, mut again, mut board, mut folder) = (Kind::Certificate, false, false, None);
    let mut version = MqttVersion::V5;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--again" => again = true,
            "--fresh" => again = false,
            "--mqtt311" => version = MqttVersion::V311,
            "--profile" => match arguments.next().unwrap_or_default().as_str() {
                "certificate" => kind = Kind::Certificate,
                "oauth" => kind = Kind::OAuth,
                other => return Err(format!("--profile {other}: there are certificate and oauth")),
            },
            "--board" => match arguments.next().unwrap_or_default().as_str() {
                BOARD => board = true,
                other => return Err(format!("--board {other}: the only one is {BOARD}")),
            },
            "--folder" => folder = Some(PathBuf::from(arguments.next().ok_or("--folder has no value")?)),
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown option {other}\n{HELP}")),
        }
    }
    let folder = folder.unwrap_or_else(target).join(name(kind, board));
    Ok(Some(Wish { kind, again, board, version, folder }))
}

/// Where flash and authority stay between runs: below the folder that cargo builds into.
fn target() -> PathBuf {
    let target = std::env::current_exe().ok().and_then(|exe| exe.parent()?.parent().map(Path::to_path_buf));
    target.unwrap_or_else(std::env::temp_dir)
}

/// A folder of its own for each kind of device.
fn name(kind: Kind, board: bool) -> &'static str {
    match (kind, board) {
        (Kind::OAuth, _) => "demo-oauth",
        (Kind::Certificate, true) => "demo-board",
        (Kind::Certificate, false) => "demo",
    }
}

fn main() -> ExitCode {
    let wish = match wish(std::env::args().skip(1)) {
        Ok(Some(wish)) => wish,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::from(2);
        }
    };
    let heard = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).map_err(|error| error.to_string());
    match heard.and_then(|()| show(&wish)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
