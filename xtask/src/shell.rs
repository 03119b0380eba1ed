//! Running programs: each line is printed before it is run, from the top of the project unless said otherwise.

use crate::Outcome;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, pipe};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The targets that a firmware is promised to build for.
pub(crate) const TARGETS: [&str; 5] = [
    "thumbv7em-none-eabihf",
    "thumbv7m-none-eabi",
    "thumbv8m.main-none-eabihf",
    "riscv32imc-unknown-none-elf",
    "riscv32imac-unknown-none-elf",
];

/// The crates that a firmware links.
pub(crate) const FIRMWARE: [&str; 2] = ["identity-core", "device-sdk"];

/// Top of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Folders of `boards/` that are a workspace, sorted.
pub(crate) fn boards() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("boards")).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("Cargo.toml").exists());
    folders.sort();
    folders
}

/// `program` with space-separated arguments, at the top of the project.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace()).current_dir(root());
    command
}

/// `cargo` with space-separated arguments, at the top of the project. `+toolchain` works as the first one.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = command("cargo", arguments);
    // set by the cargo that runs this task: they would pin its toolchain and hide a `+toolchain`
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC", "CARGO", "CARGO_MANIFEST_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Whether the program can be started at all.
pub(crate) fn exists(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&folders).chain(system).any(|folder| folder.join(program).is_file())
}

/// Runs it with its output on the terminal.
pub(crate) fn run(mut command: Command) -> Outcome {
    let line = line(&command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}`: {status}")),
        Err(error) => Err(format!("`{line}` does not start: {error}")),
    }
}

/// Runs it with its output on the terminal; gives the lines of both its outputs, in their order, and whether it succeeded.
pub(crate) fn run_lines(mut command: Command) -> (Vec<String>, Outcome) {
    let text = line(&command);
    println!("$ {text}");
    let failed = |error: std::io::Error| format!("`{text}`: {error}");
    let started = pipe().and_then(|(reader, writer)| {
        let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
        Ok((reader, child))
    });
    // it holds the writing ends, and the reading below ends only when all are closed
    drop(command);
    let (reader, mut child) = match started {
        Ok(started) => started,
        Err(error) => return (Vec::new(), Err(failed(error))),
    };
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        println!("{line}");
        lines.push(line);
    }
    let outcome = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{text}`: {status}")),
        Err(error) => Err(failed(error)),
    };
    (lines, outcome)
}

/// Standard output of a program that must succeed, with its standard error on the terminal.
pub(crate) fn output(mut command: Command) -> Result<String, String> {
    let line = line(&command);
    let out = command.stderr(std::process::Stdio::inherit()).output();
    match out {
        Ok(out) if out.status.success() => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        Ok(out) => Err(format!("`{line}`: {}", out.status)),
        Err(error) => Err(format!("`{line}` does not start: {error}")),
    }
}

/// What a person would type, with the folder if it is not the top of the project.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let text = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
    let below = command.get_current_dir().and_then(|folder| folder.strip_prefix(root()).ok());
    match below.filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => format!("(cd {}; {text})", folder.display()),
        None => text,
    }
}
