//! `cargo demo`: a plant on loopback, a device with blank flash, and a timeline of its first boot.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fs, thread};

use host_tests::est_options::{EstOptions, Grant};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::simulator::{self, SECRET, USER};
use host_tests::timeline::Timeline;
use identity_core::session::MqttVersion;

/// Messages after which the demonstration has shown its point.
const READINGS: u32 = 3;
/// Common name of the device.
const NAME: &str = "pump-7";

const HELP: &str = "\
cargo demo [--again] [--fresh] [--mqtt311]
  boots a simulated device with blank flash against a plant on loopback: enrols, connects, publishes
  --again    boots the flash of the last run: no enrolment
  --fresh    wipes the flash and the plant's authority, then boots
  --mqtt311  speaks MQTT 3.1.1 instead of 5";

struct Wish {
    again: bool,
    version: MqttVersion,
}

fn main() -> ExitCode {
    let mut wish = Wish { again: false, version: MqttVersion::V5 };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--again" => wish.again = true,
            "--fresh" => wish.again = false,
            "--mqtt311" => wish.version = MqttVersion::V311,
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
    let folder = folder();
    let flash = folder.join("flash.bin");
    if wish.again {
        if !flash.exists() {
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

    let config = simulator::config(&plant, NAME, wish.version);
    let (report, ended) = mpsc::channel();
    thread::spawn(move || {
        // the receiver is gone after Ctrl-C
        let _ = report.send(simulator::run(config, &flash, READINGS));
    });

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
        match ended.try_recv() {
            Ok(outcome) => break outcome,
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return Err("the device's thread panicked".into()),
        }
    };
    outcome.map_err(|error| format!("the device is stuck: {error}"))?;
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
fn folder() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent()?.parent().map(Path::to_path_buf));
    beside.unwrap_or_else(std::env::temp_dir).join("demo")
}

fn wipe(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(format!("{}: {error}", folder.display())),
        _ => Ok(()),
    }
}
