//! Everything that must hold, in order, until something does not. A table at the end says what was run.
//!
//! Files of `tests/` say by their names what they need: `interop_*` other programs (openssl, mosquitto, curl, node, …),
//! `board*` QEMU, any other only cargo.

use crate::shell::{FIRMWARE, cargo, root, run_lines};
use crate::{Outcome, bench, coverage, cross, deny, fuzz, lint, msrv, panic_proof, setup, sizes};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

/// Name, whether it needs only cargo, and what it does.
type Step = (&'static str, bool, fn(&Mode) -> Outcome);

/// What is run, in order.
const STEPS: &[Step] = &[
    ("tools", false, |_| setup::run(&[])),
    ("format", true, |_| lint::format()),
    ("clippy", true, |_| lint::workspace()),
    ("clippy for chips", false, |_| lint::cross()),
    ("builds for chips", false, |_| cross::run(&[])),
    ("tests", true, tests),
    ("emulated boards", false, emulated),
    ("numbers", false, |_| numbers()),
    ("coverage", false, |_| coverage::run(&[])),
    ("no panic in the core", false, |_| panic_proof::run(&[])),
    ("dependencies", false, |_| deny::run(&[])),
    ("oldest compiler", false, |_| msrv::run(&[])),
];

/// In the long mode alone: it wants the nightly compiler.
const FUZZ: Step = ("fuzz targets", false, fuzzed);

/// How much is tested.
struct Mode {
    /// Only what needs no program but cargo.
    quick: bool,
    /// Longer random searches.
    long: bool,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.iter().find(|word| !["--quick", "--long"].contains(&word.as_str())) {
        return Err(format!("{unknown:?} is neither --quick nor --long"));
    }
    let given = |word: &str| arguments.iter().any(|argument| argument == word);
    let mode = Mode { quick: given("--quick"), long: given("--long") };
    let mut table = Vec::new();
    let mut outcome = Ok(());
    let steps = STEPS.iter().filter(|step| step.1 || !mode.quick).chain(mode.long.then_some(&FUZZ));
    for (name, _, step) in steps {
        println!("\n=== {name} ===");
        let start = Instant::now();
        outcome = step(&mode).map_err(|why| format!("{name}: {why}"));
        let verdict = if outcome.is_ok() { "pass" } else { "FAIL" };
        table.push(format!("{name:20} {:5} s  {verdict}", start.elapsed().as_secs()));
        if outcome.is_err() {
            break;
        }
    }
    println!("\n=== summary ===\n{}", table.join("\n"));
    outcome
}

/// Tests of the workspace, except those on emulated boards. A quick run leaves out those with other programs.
fn tests(mode: &Mode) -> Outcome {
    let named: Vec<String> = test_files()
        .into_iter()
        .filter(|name| !name.starts_with("board"))
        .filter(|name| !mode.quick || !name.starts_with("interop_"))
        .map(|name| format!("--test {name}"))
        .collect();
    let features = "--features device-sdk/std,device-sdk/log";
    cargo_test(mode, &format!("--workspace {features} --lib --bins {}", named.join(" ")))?;
    let [core, sdk] = FIRMWARE;
    cargo_test(mode, &format!("--doc -p {core} -p {sdk} {features}"))
}

/// Firmware in QEMU.
fn emulated(mode: &Mode) -> Outcome {
    let named: Vec<String> = test_files()
        .into_iter()
        .filter(|name| name.starts_with("board"))
        .map(|name| format!("--test {name}"))
        .collect();
    if named.is_empty() {
        println!("no test named board*");
        return Ok(());
    }
    cargo_test(mode, &format!("-p host-tests {}", named.join(" ")))
}

/// Arbitrary input to every parser.
fn fuzzed(_: &Mode) -> Outcome {
    fuzz::run(&["--seconds".into(), "60".into()])
}

/// The measuring works. Whether the documents still say what it says depends on the compiler, so that is not asked here:
/// `cargo xtask sizes --check` and `cargo xtask bench --check` do.
fn numbers() -> Outcome {
    let print = ["--print".to_owned()];
    sizes::run_all(&print)?;
    bench::run(&print)
}

/// Names of the files of `tests/` of every package that has tests of the workspace.
fn test_files() -> BTreeSet<String> {
    let folders = ["identity-core", "device-sdk", "host-tests"].map(|package| root().join(package).join("tests"));
    let entries = folders.into_iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let names = entries.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned));
    names.collect()
}

/// `cargo test`, then once more each test binary with its own last line.
fn cargo_test(mode: &Mode, arguments: &str) -> Outcome {
    let mut command = cargo(&format!("test --no-fail-fast {arguments}"));
    environment(&mut command, mode);
    let (lines, outcome) = run_lines(command);
    println!("\n--- {arguments}");
    let told = ["     Running ", "   Doc-tests ", "test result: "];
    lines.iter().filter(|line| told.iter().any(|start| line.starts_with(start))).for_each(|line| println!("{line}"));
    outcome
}

/// `CI` makes a test that misses a program fail instead of saying so; `PROPTEST_CASES` is how long random searches last.
fn environment(command: &mut Command, mode: &Mode) {
    if mode.long {
        command.env("PROPTEST_CASES", "20000").env("LONG", "1");
    }
    if !mode.quick {
        command.env("CI", "true");
    }
}
