//! The emulated board: builds its image, runs it in QEMU, reads its output, cuts its power.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use identity_core::session::MqttVersion;

use crate::plant::Plant;
use crate::simulator::SECRET;

/// What to do when QEMU is missing.
const INSTALL: &str = "install qemu-system-arm: `cargo xtask setup` does";

/// A running board. Dropping it cuts the power.
pub struct Qemu {
    child: Child,
    lines: Receiver<String>,
}

impl Qemu {
    /// Powers the board on with `folder` as its directory: flash and scenario are files there. `count` makes each
    /// instruction one nanosecond of the board's time, so that its clock counts instructions.
    ///
    /// # Errors
    /// When QEMU is not there.
    pub fn start(image: &Path, folder: &Path, count: bool) -> Result<Self, String> {
        let mut command = Command::new("qemu-system-arm");
        command.args(["-cpu", "cortex-m4", "-machine", "mps2-an386", "-nographic", "-nic", "user,model=lan9118"]);
        command.args(["-semihosting-config", "enable=on,target=native"]);
        if count {
            command.args(["-icount", "shift=0"]);
        }
        command.arg("-kernel").arg(image).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("qemu-system-arm: {error}; {INSTALL}"))?;
        let (send, lines) = channel();
        // semihosting writes to either, QEMU's own complaints go to stderr
        if let Some(out) = child.stdout.take() {
            let send = send.clone();
            thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
            });
        }
        if let Some(out) = child.stderr.take() {
            thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
            });
        }
        Ok(Self { child, lines })
    }

    /// The next line of output; none once the board is off and all was read, or when `timeout` is over.
    pub fn line(&self, timeout: Duration) -> Option<String> {
        self.lines.recv_timeout(timeout).ok()
    }

    /// Reads output until a line contains `text`.
    ///
    /// # Errors
    /// All lines so far, when it does not come in time or the board went off.
    pub fn wait_for(&self, text: &str, timeout: Duration) -> Result<String, String> {
        let until = Instant::now() + timeout;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(format!("no {text:?} in time:\n{}", seen.join("\n"))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("off before {text:?}:\n{}", seen.join("\n")));
                }
            }
        }
    }

    /// Waits for the board to go off by itself; all its output that was not read yet.
    ///
    /// # Errors
    /// That output, when it went off with a failure or not in time.
    pub fn finish(mut self, timeout: Duration) -> Result<Vec<String>, String> {
        let until = Instant::now() + timeout;
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(format!("still on:\n{}", seen.join("\n"))),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(seen),
            Ok(status) => Err(format!("{status}:\n{}", seen.join("\n"))),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether the board went off by itself, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the scenario of a device named `name` at `plant` into `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn scenario(folder: &Path, plant: &Plant, name: &str, version: MqttVersion, publishes: u32) -> Result<(), String> {
    let lines = format!(
        "est_port={}\nbroker_port={}\nsntp_port={}\nv311={}\ncommon_name={name}\nsecret={SECRET}\nbuilt=1760000000\npublishes={publishes}\n",
        plant.est_port(),
        plant.broker_port(),
        plant.sntp().port(),
        version == MqttVersion::V311,
    );
    let write = |file: &str, octets: &[u8]| fs::write(folder.join(file), octets).map_err(|error| error.to_string());
    write("plant.cfg", lines.as_bytes())?;
    write("root.der", plant.root())
}

/// Adds keys and values to the scenario in `folder`.
///
/// # Errors
/// When it cannot be written.
pub fn also(folder: &Path, keys: &[(&str, &str)]) -> Result<(), String> {
    let lines: String = keys.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let file = fs::OpenOptions::new().append(true).open(folder.join("plant.cfg"));
    file.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(|error| error.to_string())
}

/// Builds the image of one of the board's programs, once in a process; its path.
///
/// # Errors
/// What cargo said.
pub fn image(program: &str) -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/qemu-mps2-an386");
        let target = workspace.join("target");
        let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        cargo.args(["build", "--release", "--target-dir"]).arg(&target).current_dir(&workspace);
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
        let built = cargo.output().map_err(|error| error.to_string())?;
        if !built.status.success() {
            return Err(String::from_utf8_lossy(&built.stderr).into_owned());
        }
        Ok(target.join("thumbv7em-none-eabihf/release"))
    });
    folder.clone().map(|folder| folder.join(program))
}
