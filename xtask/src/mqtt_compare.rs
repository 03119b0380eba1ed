//! One MQTT session by device-sdk's client and by rust-mqtt (`xtask/mqtt-compare`): octets on a Cortex-M4, and what a
//! dropped receive loses. The table goes into `docs/decisions.md`.

use crate::Outcome;
use crate::coverage::tools;
use crate::shell::{cargo, command, output, root, run as shell, run_lines};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "thumbv7em-none-eabihf";
const DOCUMENT: &str = "docs/decisions.md";
const BEGIN: &str = "<!-- cargo xtask mqtt-compare -->\n";
const END: &str = "<!-- end -->";
/// Sections that are in flash, and those in RAM.
const FLASH: [&str; 4] = [".text", ".rodata", ".ARM.exidx", ".data"];
const RAM: [&str; 2] = [".data", ".bss"];

const BOTH: &str = "poll_header and poll_body dropped";

/// Size of each section, by name.
type Sections = BTreeMap<String, u64>;

pub(crate) fn run(_: &[String]) -> Outcome {
    let place =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("mqtt-compare");
    let (lines, outcome) = run_lines(here(&place, "test --locked --lib -- --nocapture"));
    outcome?;
    let told: BTreeMap<_, _> = lines.iter().filter_map(|line| line.split_once("figure ")?.1.split_once(": ")).collect();
    let tell = |which: &str| told.get(which).copied().ok_or(format!("no test told the figure {which:?}"));

    let [baseline, ours, theirs] = images(&place, "release")?;
    let over = |names: &[&str], image: &Sections, baseline: &Sections| {
        let sum = |image: &Sections| names.iter().filter_map(|name| image.get(*name)).sum::<u64>();
        sum(image).saturating_sub(sum(baseline)).to_string()
    };
    let both = |names| [over(names, &ours, &baseline), over(names, &theirs, &baseline)];
    let ([flash_ours, flash_theirs], [ram_ours, ram_theirs]) = (both(&FLASH), both(&RAM));
    let [small_baseline, small_ours, small_theirs] = images(&place, "smallest")?;
    let small = |image| over(&FLASH, image, &small_baseline);
    let size = |image: &Sections, of: &str| {
        image.get(&format!(".tell.{of}")).map(u64::to_string).ok_or(format!("no section tells the size of {of:?}"))
    };
    let row = |what: &str, of: &str| Ok::<_, String>([what.to_owned(), size(&ours, of)?, size(&theirs, of)?]);
    let rows = [
        [format!("octets, {TARGET}, opt-level s, LTO"), "ours".into(), "rust-mqtt 0.6.0".into()],
        ["---".into(), "---:".into(), "---:".into()],
        ["versions of MQTT".into(), "5 and 3.1.1".into(), "5".into()],
        ["flash, without transport, clock and executor".into(), flash_ours, flash_theirs],
        ["… at opt-level z".into(), small(&small_ours), small(&small_theirs)],
        ["static RAM".into(), ram_ours, ram_theirs],
        row("client value", "client")?,
        row("future of one receive (`next`, `poll`)", "receive")?,
        row("future of the whole session, client within", "session")?,
        ["least memory lent, to send + to receive".into(), tell("ours lent")?.into(), tell("theirs lent")?.into()],
        ["sent in the session".into(), tell("ours sent")?.into(), tell("theirs sent")?.into()],
        ["message arrives though `next` was dropped".into(), tell("next dropped")?.into(), String::new()],
        ["… though `poll` was dropped".into(), String::new(), tell("poll dropped")?.into()],
        ["… though `poll_header` or `poll_body` was dropped".into(), String::new(), tell(BOTH)?.into()],
        ["… though `poll_header` was dropped".into(), String::new(), tell("poll_header dropped")?.into()],
    ];
    let table: String = rows.iter().map(|[what, ours, theirs]| format!("| {what} | {ours} | {theirs} |\n")).collect();
    println!("\n{table}");
    paste(&table)
}

/// `cargo` in the workspace of the comparison.
fn here(place: &Path, arguments: &str) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(root().join("xtask/mqtt-compare")).env("CARGO_TARGET_DIR", place).env_remove("RUSTFLAGS");
    command
}

/// Baseline, ours and theirs, built by that profile.
fn images(place: &Path, profile: &str) -> Result<[Sections; 3], String> {
    shell(here(place, &format!("build --locked --bins --target {TARGET} --profile {profile}")))?;
    let folder = place.join(TARGET).join(profile);
    let read = |name| sections(&folder.join(name));
    Ok([read("baseline")?, read("ours")?, read("theirs")?])
}

/// The lines of `llvm-size -A` that are `name size address`.
fn sections(image: &Path) -> Result<Sections, String> {
    let mut list = command(tools()?.join("llvm-size"), "-A");
    list.arg(image);
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Ok(output(list)?.lines().filter_map(read).collect())
}

/// Puts the table between the marks of the document.
fn paste(table: &str) -> Outcome {
    let file = root().join(DOCUMENT);
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(&file).map_err(failed)?;
    let marks = || Some((text.split_once(BEGIN)?.0, text.split_once(BEGIN)?.1.split_once(END)?.1));
    let (before, after) = marks().ok_or(format!("{DOCUMENT} has no {} … {END}", BEGIN.trim_end()))?;
    let new = format!("{before}{BEGIN}{table}{END}{after}");
    if new == text {
        println!("{DOCUMENT} says the same");
        return Ok(());
    }
    std::fs::write(&file, new).map_err(failed)?;
    println!("{DOCUMENT} now says so");
    Ok(())
}
