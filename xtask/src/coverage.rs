//! Which lines of identity-core its own tests and those of the agent's life run, by the compiler's own instruments.
//!
//! Only crates of the workspace are instrumented: this program stands in for the compiler there
//! (`RUSTC_WORKSPACE_WRAPPER`) and adds one option, so that dependencies run at their usual speed.

use crate::Outcome;
use crate::shell::{cargo, command, output, root, run as shell, run_lines};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The least share of lines, in per cent.
const FLOOR: f64 = 90.0;

/// Test runs that exercise the core.
const RUNS: [&str; 2] = [
    "-p identity-core --lib --tests",
    "-p host-tests --test lifecycle --test agent_faults --test boot_table --test tokens --test token_requests \
     --test registration --test registration_management --test attack_tokens",
];

/// Set for cargo, and so for this program where cargo calls it as the compiler.
const AS_COMPILER: &str = "XTASK_COVERAGE";

/// Lines of one file that can run: how often each did.
type Lines = BTreeMap<usize, u64>;

/// Stands in for the compiler, if it was called so: `xtask RUSTC ARGUMENTS`.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    std::env::var_os(AS_COMPILER)?;
    let mut arguments = std::env::args_os().skip(1);
    let status = Command::new(arguments.next()?).args(arguments).arg("-Cinstrument-coverage").status();
    Some(if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn run(_: &[String]) -> Outcome {
    let folder = root().join("target/coverage");
    let profiles = folder.join("profiles");
    let _ = std::fs::remove_dir_all(&profiles);
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut programs = Vec::new();
    for tests in RUNS {
        let mut command = cargo(&format!("test {tests}"));
        command.env("CARGO_TARGET_DIR", &folder).env("RUSTC_WORKSPACE_WRAPPER", &me).env(AS_COMPILER, "1");
        command.env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw")).env("CI", "true");
        let (lines, outcome) = run_lines(command);
        outcome?;
        programs.extend(lines.iter().filter_map(|line| program(line)));
    }
    report(&measure(&profiles, &programs)?)
}

/// The program in cargo's line `     Running tests/x.rs (target/…/x-0123)`.
fn program(line: &str) -> Option<PathBuf> {
    let (_, path) = line.trim_start().strip_prefix("Running ")?.split_once(" (")?;
    Some(root().join(path.strip_suffix(')')?))
}

/// Merges what the programs wrote and asks which lines ran; by file of `identity-core/src`, without tests.
fn measure(profiles: &Path, programs: &[PathBuf]) -> Result<BTreeMap<String, Lines>, String> {
    let tools = tools()?;
    let merged = profiles.join("all.profdata");
    let written = std::fs::read_dir(profiles).map_err(|error| format!("no profile was written: {error}"))?;
    let mut merge = command(tools.join("llvm-profdata"), "merge --sparse -o");
    merge.arg(&merged).args(written.flatten().map(|entry| entry.path()));
    shell(merge)?;
    let mut export = command(tools.join("llvm-cov"), "export --format=lcov --instr-profile");
    export.arg(&merged);
    for program in programs {
        export.arg("--object").arg(program);
    }
    let sources = root().join("identity-core/src");
    let mut files: BTreeMap<String, Lines> = BTreeMap::new();
    let mut current = None;
    for line in output(export)?.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let name = Path::new(path).strip_prefix(&sources).ok().and_then(Path::to_str);
            let name = name.filter(|name| !name.ends_with("tests.rs"));
            current = name.map(|name| (first_test_line(Path::new(path)), files.entry(name.to_owned()).or_default()));
        } else if let (Some((end, lines)), Some(data)) = (&mut current, line.strip_prefix("DA:")) {
            let mut numbers = data.split(',').map_while(|number| number.parse::<u64>().ok());
            if let (Some(line), Some(count)) = (numbers.next(), numbers.next())
                && line < *end
            {
                let line = usize::try_from(line).map_err(|error| error.to_string())?;
                *lines.entry(line).or_default() += count;
            }
        }
    }
    if files.is_empty() { Err("the profiles name no file of identity-core/src".into()) } else { Ok(files) }
}

/// Tests stand at the end of a file.
fn first_test_line(file: &Path) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    (1..).zip(text.lines()).find(|(_, line)| line.starts_with("#[cfg(test)]")).map_or(u64::MAX, |(number, _)| number)
}

/// Prints each file's share and the lines that did not run, and compares the whole with the floor.
fn report(files: &BTreeMap<String, Lines>) -> Outcome {
    let (mut all, mut ran) = (0, 0);
    println!("\n{:28} {:>6} {:>6} {:>7}  not run", "identity-core/src/", "lines", "run", "share");
    for (name, lines) in files {
        let hit = lines.values().filter(|count| **count > 0).count();
        println!("{name:28} {:6} {hit:6} {:6.1}%  {}", lines.len(), share(hit, lines.len()), gaps(lines));
        all += lines.len();
        ran += hit;
    }
    let total = share(ran, all);
    println!("{:28} {all:6} {ran:6} {total:6.1}%", "total");
    if total < FLOOR { Err(format!("{total:.1} % of the lines of identity-core ran, {FLOOR} % must")) } else { Ok(()) }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Lines that did not run, neighbours as ranges: `7, 10-12`.
fn gaps(lines: &Lines) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (&line, &count) in lines {
        match ranges.last_mut() {
            Some((_, end)) if open && count == 0 => *end = line,
            _ if count == 0 => ranges.push((line, line)),
            _ => {}
        }
        open = count == 0;
    }
    let text = |(start, end): &(usize, usize)| if start == end { start.to_string() } else { format!("{start}-{end}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Where rustup keeps llvm-profdata and llvm-cov.
pub(crate) fn tools() -> Result<PathBuf, String> {
    let sysroot = output(command("rustc", "--print sysroot"))?;
    let version = output(command("rustc", "-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let folder = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    if folder.join("llvm-cov").exists() {
        Ok(folder)
    } else {
        Err("llvm-cov is missing; run `cargo xtask setup`".into())
    }
}
