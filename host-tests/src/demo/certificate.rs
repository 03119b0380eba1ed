//! The first profile: EST, then mutual TLS with the broker. The device is simulated, or the image of a board in QEMU.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::watch::{End, Watch};
use super::{FLASH, NAME, Wish, judge_enrolments, plant_options};
use crate::plant::Plant;
use crate::qemu::{self, Qemu};
use crate::simulator;
use crate::timeline::Timeline;
use device_sdk::Error;

/// Messages after which the demonstration has shown its point.
const READINGS: u32 = 3;

/// The device under way.
enum Running {
    Desktop(mpsc::Receiver<Result<(), Error>>),
    Board(Qemu),
}

impl Running {
    fn start(wish: &Wish, plant: &Plant) -> Result<Self, String> {
        if wish.board {
            qemu::scenario(&wish.folder, plant, NAME, wish.version, READINGS)?;
            Timeline::line("demo", "building the image for the board");
            let image = qemu::image("telemetry")?;
            return Ok(Self::Board(Qemu::start(&image, &wish.folder, false)?));
        }
        let (config, flash) = (simulator::config(plant, NAME, wish.version), wish.folder.join(FLASH));
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

pub(super) fn show(wish: &Wish) -> Result<(), String> {
    Timeline::start();
    let plant = Plant::start(plant_options(&wish.folder))?;
    Timeline::line("plant", &format!("EST on port {}, broker on port {}", plant.est_port(), plant.broker_port()));
    let mut watch = Watch::new(&plant)?;
    let mut device = Running::start(wish, &plant)?;
    if watch.until(|| device.ended(), |_| {})? == End::Interrupted {
        return Ok(());
    }
    watch.expect(READINGS as usize)?;
    let enrolments = plant.est().enrolments().len();
    let received = watch.received.len();
    Timeline::line("demo", &format!("messages received: {received}; certificates issued in this run: {enrolments}"));
    judge_enrolments(wish.again, enrolments)
}
