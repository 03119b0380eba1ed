//! The project's tasks: `cargo xtask` lists them. A task is a file with a function, and a row of [`TASKS`].

mod bench;
mod coverage;
mod cross;
mod deny;
mod fuzz;
mod fuzz_seeds;
mod lint;
mod mqtt_compare;
mod msrv;
mod numbers;
mod panic_proof;
mod setup;
mod shell;
mod sizes;
mod test;

use std::process::ExitCode;

/// What a task says at its end: nothing, or what went wrong and what to do.
type Outcome = Result<(), String>;

/// One task: name, its line in the list, and its function, which gets the arguments after the name.
struct Task(&'static str, &'static str, fn(&[String]) -> Outcome);

const TASKS: &[Task] = &[
    Task("setup", "check the tools that the tests need, and install what is missing", setup::run),
    Task("test", "everything that must hold; --quick: what needs only cargo; --long: longer searches", test::run),
    Task("lint", "cargo fmt --check and clippy: workspace, cross targets, boards", lint::run),
    Task("cross", "build the two crates of a firmware for the five targets", cross::run),
    Task("msrv", "check the two crates of a firmware with the oldest compiler that is promised", msrv::run),
    Task("deny", "licences, sources and known faults of the dependencies", deny::run),
    Task("panic-proof", "show by the linker that identity-core has no panic", panic_proof::run),
    Task(
        "sizes",
        "flash, RAM, stack and futures of the emulated board, into the docs; --check, --print",
        sizes::run_all,
    ),
    Task("bench", "instructions and octets on the wire, counted in QEMU, into the docs; --check, --print", bench::run),
    Task("mqtt-compare", "flash, RAM and cancel-safety of the MQTT client beside rust-mqtt", mqtt_compare::run),
    Task("fuzz", "arbitrary input to every parser, 10 s each: [--seconds N] [target]", fuzz::run),
    Task("coverage", "lines of identity-core that the tests run; fails below the floor", coverage::run),
];

fn main() -> ExitCode {
    if let Some(code) = coverage::as_compiler() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        TASKS.iter().for_each(|Task(name, line, _)| println!("cargo xtask {name:12} {line}"));
        return ExitCode::SUCCESS;
    };
    let outcome = match TASKS.iter().find(|task| task.0 == name) {
        Some(Task(.., task)) => task(rest),
        None => Err(format!("no task {name:?}; `cargo xtask` lists them")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\n{name} failed: {why}");
            ExitCode::FAILURE
        }
    }
}
