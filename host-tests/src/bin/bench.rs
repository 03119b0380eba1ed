//! The tables of `cargo xtask bench` and `cargo xtask sizes`, in Markdown: what the emulated board costs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use host_tests::ca::{Ca, CaOptions, DAY, Validity};
use host_tests::key::KeyKind;
use host_tests::measure::{Boot, Cost, boots, computed};
use host_tests::plant::NAMES;

const HELP: &str = "\
bench computation  instructions and stack of computations, without network
bench boots        instructions, stack and octets on the wire of first boot and reboot, by phase
bench memory       high-water mark of the stack in a whole first boot, sizes of the futures
bench chains       makes the certificate chains of `computation` anew";

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("computation") => computation(),
        Some("boots") => boot_tables(),
        Some("memory") => memory(),
        Some("chains") => chains(),
        _ => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn computation() -> Result<String, String> {
    let mut text = "| computation | instructions | stack, octets |\n|---|---:|---:|\n".to_owned();
    for row in computed("cost")? {
        let [what, instructions, stack] = row.as_slice() else { return Err(format!("unreadable: {row:?}")) };
        let number = |text: &str| text.parse().map(grouped).map_err(|_| format!("not a number: {text}"));
        // String takes everything
        let _ = writeln!(text, "| {what} | {} | {} |", number(instructions)?, number(stack)?);
    }
    Ok(text)
}

fn boot_tables() -> Result<String, String> {
    let [first, again] = boots()?;
    let mut text = String::new();
    table(&mut text, "first boot, blank flash", &first);
    text.push('\n');
    table(&mut text, "reboot", &again);
    Ok(text)
}

fn table(text: &mut String, title: &str, boot: &Boot) {
    let _ = writeln!(
        text,
        "| {title} | instructions | octets sent | received | stack, octets |\n|---|---:|---:|---:|---:|"
    );
    for (what, cost) in &boot.phases {
        row(text, what, cost);
    }
    row(text, &format!("**{title}, to the first acknowledged publish**"), &boot.whole);
}

fn row(text: &mut String, what: &str, cost: &Cost) {
    let Cost { instructions, sent, received, stack } = *cost;
    let octets = |octets| if octets == 0 { String::new() } else { grouped(octets) };
    let _ = writeln!(
        text,
        "| {what} | {} | {} | {} | {} |",
        grouped(rounded(instructions)),
        octets(sent),
        octets(received),
        grouped(stack)
    );
}

fn memory() -> Result<String, String> {
    let [first, again] = boots()?;
    let mut text = "| RAM besides statics, and parts of them | octets |\n|---|---:|\n".to_owned();
    let _ = writeln!(text, "| stack, high-water mark of a first boot | {} |", grouped(first.stack));
    let _ = writeln!(text, "| stack, high-water mark of a reboot | {} |", grouped(again.stack));
    for row in computed("size")? {
        let [what, octets] = row.as_slice() else { return Err(format!("unreadable: {row:?}")) };
        let octets = octets.parse().map_err(|_| format!("not a number: {octets}"))?;
        let _ = writeln!(text, "| {what} | {} |", grouped(octets));
    }
    Ok(text)
}

/// Writes chains of leaf, intermediate and root into the board's folder.
fn chains() -> Result<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/qemu-mps2-an386/chains");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // 2026-01-01; the board judges them at a time of its own
    let now = 1_767_225_600;
    let kinds = [
        ("p256", KeyKind::P256),
        ("p384", KeyKind::P384),
        ("rsa2048", KeyKind::Rsa(2048)),
        ("rsa4096", KeyKind::Rsa(4096)),
    ];
    for (name, key) in kinds {
        let mut ca = Ca::with(now, &CaOptions { key, intermediate: true, ..CaOptions::default() });
        let server = ca.server(key, &NAMES, &[], Validity::starting(now, 3650 * DAY));
        let whole = [server.chain.concat(), ca.root().to_vec()].concat();
        fs::write(folder.join(name).with_extension("der"), whole).map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

/// The three leading digits; the rest varies from run to run.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or_default().saturating_sub(2));
    (number + unit / 2) / unit * unit
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
