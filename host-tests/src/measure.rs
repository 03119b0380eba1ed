//! What the emulated board costs, counted by itself: instructions, stack, octets on the wire.

use std::time::Duration;

use identity_core::session::MqttVersion;

use crate::est_options::{EstOptions, Grant};
use crate::plant::{Plant, PlantOptions};
use crate::qemu::{self, Qemu};
use crate::scratch::Scratch;
use crate::simulator::{SECRET, USER};

/// Longest run of the board.
pub(crate) const WAIT: Duration = Duration::from_secs(120);

/// Asks for counts in the log.
pub(crate) const METERED: &[(&str, &str)] = &[("meter", "true")];

/// A line of the telemetry application's log.
pub(crate) struct Line {
    /// Instructions since power-on.
    pub(crate) instructions: u64,
    /// High-water mark of the stack since the line before, in octets.
    stack: u64,
    pub(crate) text: String,
}

impl Line {
    /// `instructions stack text`
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (instructions, stack) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { instructions, stack, text: words.next()?.to_owned() })
    }

    /// Octets sent and received on the connection so far, if the line tells them.
    pub(crate) fn traffic(&self) -> Option<(u64, u64)> {
        let (_, counts) = self.text.split_once(": ")?;
        let mut words = counts.split(" octets sent and ");
        let sent = words.next()?.parse().ok()?;
        let received = words.next()?.split(' ').next()?.parse().ok()?;
        Some((sent, received))
    }
}

/// From one line of the log to another.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// What happens in it.
    pub what: &'static str,
    /// What the line at its end contains, in this order.
    pub until: &'static [&'static str],
}

/// The first boot: the flash is blank.
pub const FIRST_BOOT: [Phase; 12] = [
    Phase { what: "power-on, network up", until: &["network up"] },
    Phase { what: "entropy start-up", until: &["entropy source passed"] },
    Phase { what: "flash read, time by SNTP", until: &["time from"] },
    Phase { what: "TLS to the EST server, by the built-in anchor", until: &["EST cacerts: ", "after TLS"] },
    Phase { what: "EST cacerts", until: &["EST cacerts: ", "after request and reply"] },
    Phase { what: "anchors stored, TLS by them", until: &["EST csrattrs: ", "after TLS"] },
    Phase { what: "EST csrattrs", until: &["EST csrattrs: ", "after request and reply"] },
    Phase { what: "key made and stored", until: &["key made"] },
    Phase { what: "CSR", until: &["signed with the key"] },
    Phase { what: "EST simpleenroll", until: &["EST simpleenroll: ", "after request and reply"] },
    Phase { what: "certificate verified, identity stored", until: &["identity in slot"] },
    CONNECTED[0],
];

/// A boot with an identity in flash, up to the network.
pub const REBOOT: [Phase; 4] = [
    FIRST_BOOT[0],
    FIRST_BOOT[1],
    Phase { what: "identity read, time by SNTP", until: &["identity in slot"] },
    CONNECTED[0],
];

/// What follows in both.
pub const CONNECTED: [Phase; 3] = [
    Phase { what: "TLS to the broker, mutual", until: &["MQTT: ", "after TLS"] },
    Phase { what: "MQTT 5 CONNECT", until: &["MQTT: ", "after CONNECT"] },
    Phase { what: "MQTT 5 PUBLISH at QoS 1, 18 octets", until: &["MQTT: ", "after publish"] },
];

/// What a phase took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Instructions.
    pub instructions: u64,
    /// Octets of TLS records sent.
    pub sent: u64,
    /// Octets of TLS records received.
    pub received: u64,
    /// High-water mark of the stack, in octets.
    pub stack: u64,
}

/// What a boot took, by phase, and in the whole run.
pub struct Boot {
    /// Phases with their costs.
    pub phases: Vec<(&'static str, Cost)>,
    /// From power-on to the first acknowledged publish.
    pub whole: Cost,
    /// High-water mark of the stack from power-on to the orderly end, in octets.
    pub stack: u64,
}

impl Boot {
    /// Cuts the log of a run into phases.
    fn read(output: &[String], phases: &[Phase]) -> Result<Self, String> {
        let lines: Vec<Line> = output.iter().filter_map(|line| Line::read(line)).collect();
        let stack = lines.iter().map(|line| line.stack).max().unwrap_or_default();
        let mut boot = Self { phases: Vec::new(), whole: Cost::default(), stack };
        let (mut at, mut start, mut carried) = (0, 0, (0, 0));
        for Phase { what, until } in phases {
            let rest = lines.get(at..).unwrap_or_default();
            let ends = |line: &Line| until.iter().all(|part| line.text.contains(part));
            let end = rest.iter().position(ends);
            let end = end.ok_or_else(|| format!("no line of the board has {until:?}:\n{}", output.join("\n")))?;
            let (within, last) = (&rest[..=end], &rest[end]);
            let mut cost = Cost {
                instructions: last.instructions - start,
                stack: within.iter().map(|line| line.stack).max().unwrap_or_default(),
                ..Cost::default()
            };
            if let Some((sent, received)) = last.traffic() {
                // a new connection counts from zero
                let before = if last.text.ends_with("after TLS") { (0, 0) } else { carried };
                (cost.sent, cost.received) = (sent - before.0, received - before.1);
                carried = (sent, received);
            }
            boot.whole.sent += cost.sent;
            boot.whole.received += cost.received;
            boot.whole.stack = boot.whole.stack.max(cost.stack);
            boot.phases.push((what, cost));
            (at, start) = (at + end + 1, last.instructions);
        }
        boot.whole.instructions = start;
        Ok(boot)
    }
}

/// Runs the telemetry application against a plant on loopback: with blank flash, and once more.
///
/// # Errors
/// What the board, QEMU or the plant said.
pub fn boots() -> Result<[Boot; 2], String> {
    let grants = vec![Grant::basic(USER, SECRET).once()];
    let est = EstOptions { grants, ..EstOptions::default() };
    let plant = Plant::start(PlantOptions { est, ..PlantOptions::default() })?;
    let scratch = Scratch::new();
    let image = qemu::image("telemetry")?;
    let run = |phases: &[Phase]| {
        qemu::scenario(scratch.path(), &plant, "pump-7", MqttVersion::V5, 1)?;
        qemu::also(scratch.path(), METERED)?;
        let output = Qemu::start(&image, scratch.path(), true)?.finish(WAIT)?;
        Boot::read(&output, phases)
    };
    Ok([run(&[&FIRST_BOOT[..], &CONNECTED[1..]].concat())?, run(&[&REBOOT[..], &CONNECTED[1..]].concat())?])
}

/// What the board's own program of that kind printed: fields between tabs, after the kind.
///
/// # Errors
/// What the board or QEMU said.
pub fn computed(kind: &str) -> Result<Vec<Vec<String>>, String> {
    let scratch = Scratch::new();
    let output = Qemu::start(&qemu::image("bench")?, scratch.path(), true)?.finish(WAIT)?;
    let fields = output.iter().filter_map(|line| line.strip_prefix(kind)?.strip_prefix('\t'));
    Ok(fields.map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}
