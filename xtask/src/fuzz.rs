//! Fuzz targets of `fuzz/`, by `cargo fuzz` on the nightly compiler. The corpus grows in `target/fuzz/corpus`.

use crate::fuzz_seeds::seeds;
use crate::shell::{cargo, command, output, root, run as shell};
use crate::{Outcome, shell};
use std::fs;
use std::path::PathBuf;

/// Seconds for each target, unless told.
const SECONDS: u32 = 10;

/// `cargo xtask fuzz [--seconds N] [target]`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (mut seconds, mut wanted) = (SECONDS, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let number = words.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or("--seconds wants a number")?;
            }
            target => wanted = Some(target),
        }
    }
    let all = targets()?;
    if let Some(unknown) = wanted.filter(|wanted| all.iter().all(|target| target != wanted)) {
        return Err(format!("there is no target {unknown:?}; there are {}", all.join(", ")));
    }
    each(seconds, all.iter().filter(|target| wanted.is_none_or(|wanted| wanted == *target)))
}

fn each<'t>(seconds: u32, targets: impl Iterator<Item = &'t String>) -> Outcome {
    tools()?;
    let work = root().join("target/fuzz");
    let mut build = cargo("+nightly fuzz build --fuzz-dir . --target-dir ../target/fuzz");
    build.current_dir(root().join("fuzz"));
    shell(build)?;
    let binaries = work.join(host()?).join("release");
    let mut table = Vec::new();
    for target in targets {
        let (corpus, found) = (folder(&work, "corpus", target)?, folder(&work, "artifacts", target)?);
        for (number, seed) in seeds(target)?.into_iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number}")), seed).map_err(|error| error.to_string())?;
        }
        let limits =
            format!("-max_total_time={seconds} -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1");
        let mut fuzzer = command(binaries.join(target), &limits);
        fuzzer.arg(format!("-artifact_prefix={}/", found.display())).arg(&corpus);
        let (lines, outcome) = shell::run_lines(fuzzer);
        outcome.map_err(|why| format!("{target}: {why}\nthe input that does it is in {}", found.display()))?;
        let stat = |name: &str| {
            let line = lines.iter().find(|line| line.starts_with("stat::") && line.contains(name));
            line.and_then(|line| line.split_whitespace().last()).unwrap_or("?").to_owned()
        };
        table.push(format!("{target:12} {:>10} inputs in {seconds} s", stat("number_of_executed_units")));
    }
    println!("\n=== fuzz ===\n{}", table.join("\n"));
    Ok(())
}

fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(root().join("fuzz/targets")).map_err(|error| error.to_string())?;
    let names =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn folder(work: &std::path::Path, kind: &str, target: &str) -> Result<PathBuf, String> {
    let folder = work.join(kind).join(target);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn host() -> Result<String, String> {
    let text = output(cargo("+nightly -vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "`cargo -vV` names no host".into())
}

/// The nightly compiler and cargo-fuzz, installed where they are missing.
fn tools() -> Outcome {
    if !output(command("rustup", "toolchain list"))?.lines().any(|line| line.starts_with("nightly")) {
        shell(command("rustup", "toolchain install nightly --profile minimal"))?;
    }
    if output(cargo("fuzz --version")).is_err() {
        shell(cargo("install cargo-fuzz --locked"))?;
    }
    Ok(())
}
