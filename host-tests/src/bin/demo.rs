//! `cargo demo`: a plant on loopback, a device with blank flash, and a timeline of its first boot.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fs, thread};

use device_sdk::Error;
use host_tests::est_options::{EstOptions, Grant};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::qemu::{self, Qemu};
use host_tests::simulator::{self, SECRET, USER};
use host_tests::timeline::Timeline;
use identity_core::session::MqttVersion;

/// Messages after which the demonstration has shown its point.
const READINGS: u32 = 3;
/// Common name of the device.
const NAME: &str = "pump-7";
/// The file that is the device's flash.
const FLASH: &str = "flash.bin";

const HELP: &str = "\
cargo demo [--again] [--fresh] [--mqtt311] [--board qemu-mps2-an386]
  boots a simulated device with blank flash against a plant on loopback: enrols, connects, publishes
  --again    boots the flash of the last run: no enrolment
  --fresh    wipes the flash and the plant's authority, then boots
  --mqtt311  speaks MQTT 3.1.1 instead of 5
  --board qemu-mps2-an386
             the device is the real Cortex-M4 image, in QEMU";
/// The board that can be asked for.
const BOARD: &str = "qemu-mps2-an386";

struct Wish {
    again: bool,
    board: bool,
    version: MqttVersion,
}

/// The device under way.
enum Running {
    Desktop(mpsc::Receiver<Result<(), Error>>),
    Board(Qemu),
}

impl Running {
    fn start(wish: &Wish, plant: &Plant, folder: &Path) -> Result<Self, String> {
        if wish.board {
            qemu::scenario(folder, plant, NAME, wish.version, READINGS)?;
            Timeline::line("demo", "building the image for the board");
            let image = qemu::image("telemetry")?;
            return Ok(Self::Board(Qemu::start(&image, folder, false)?));
        }
        let (config, flash) = (simulator::config(plant, NAME, wish.version), folder.join(FLASH));
        let (report, ended) = mpsc::channel();
        thread::spawn(move || {
            // the receiver is gone after Ctrl-C
            let _ = report.send(simulator::run(config, &flash, READINGS));
        });
        Ok(Self::Desktop(ended))
    }

    /// How it ended, if it did.
    fn ended(&mut self) -> Option<Result<(), String>> {
        match self {
            Self::Desktop(ended) => match ended.try_recv() {
                Ok(outcome) => Some(outcome.map_err(|error| format!("the device is stuck: {error}"))),
                Err(mpsc::TryRecvError::Empty) => None,
                Err(mpsc::TryRecvError::Disconnected) => Some(Err("the device's thread panicked".into())),
            },
            Self::Board(board) => {
                while let Some(line) = board.line(Duration::from_millis(1)) {
                    Timeline::line("board", &line);
                }
                let status = board.ended()?;
                Some(if status.success() { Ok(()) } else { Err(format!("the board ended with {status}")) })
            }
        }
    }
}

fn main() -> ExitCode {
    let mut wish = Wish { again: false, board: false, version: MqttVersion::V5 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--again" => wish.again = true,
            "--fresh" => wish.again = false,
            "--mqtt311" => wish.version = MqttVersion::V311,
            "--board" => match arguments.next().as_deref() {
                Some(BOARD) => wish.board = true,
                other => {
                    eprintln!("demo: --board {}: the only one is {BOARD}", other.unwrap_or_default());
                    return ExitCode::from(2);
                }
            },
            "--help" | "-h" => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("demo: unknown option {other}\n{HELP}");
                return ExitCode::from(2);
            }
        }
    }
    match show(&wish) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(wish: &Wish) -> Result<(), String> {
    let folder = folder(wish);
    if wish.again {
        if !folder.join(FLASH).exists() {
            return Err("there is no flash of an earlier run; run `cargo demo` first".into());
        }
    } else {
        wipe(&folder)?;
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;

    let mut options = PlantOptions {
        est: EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..Default::default() },
        ..Default::default()
    };
    options.ca.kept_in = Some(folder.clone());
    Timeline::start();
    let plant = Plant::start(options)?;
    Timeline::line("plant", &format!("EST on port {}, broker on port {}", plant.est_port(), plant.broker_port()));
    let subscriber = plant.subscribe("devices/#")?;

    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)).map_err(|error| error.to_string())?;

    let mut device = Running::start(wish, &plant, &folder)?;
    let (mut seen, mut received) = (0, 0);
    let outcome = loop {
        for (_, event) in plant.events().after(seen, Duration::from_millis(50)) {
            seen += 1;
            Timeline::event(&event);
        }
        while let Some(message) = subscriber.receive(Duration::from_millis(1)) {
            received += 1;
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            Timeline::line("subscriber", &format!("received {text} on {}", message.topic));
        }
        if interrupted.load(Ordering::SeqCst) {
            Timeline::line("demo", "Ctrl-C: ended; the flash is as the device left it");
            return Ok(());
        }
        if let Some(outcome) = device.ended() {
            break outcome;
        }
    };
    outcome?;
    while received < READINGS {
        let Some(message) = subscriber.receive(Duration::from_secs(5)) else {
            return Err(format!("the subscriber received {received} of {READINGS} messages"));
        };
        received += 1;
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        Timeline::line("subscriber", &format!("received {text} on {}", message.topic));
    }
    let enrolments = plant.est().enrolments().len();
    Timeline::line("demo", &format!("{received} messages received, {enrolments} certificates issued in this run"));
    match (wish.again, enrolments) {
        (true, 0) | (false, 1) => Ok(()),
        (true, n) => Err(format!("{n} enrolments after a reboot; none was needed")),
        (false, n) => Err(format!("{n} enrolments at a first boot; one was due")),
    }
}

/// Where flash and authority stay between runs: below the folder that cargo builds into.
fn folder(wish: &Wish) -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent()?.parent().map(Path::to_path_buf));
    beside.unwrap_or_else(std::env::temp_dir).join(if wish.board { "demo-board" } else { "demo" })
}

fn wipe(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
