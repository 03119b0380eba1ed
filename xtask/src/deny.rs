//! Licences, sources and duplicates of the dependencies by cargo-deny (`deny.toml`), and their known faults where the
//! database of faults can be reached.

use crate::Outcome;
use crate::shell::{cargo, exists, run as shell, run_lines};

pub(crate) fn run(_: &[String]) -> Outcome {
    if !exists("cargo-deny") {
        println!("cargo-deny is not installed; building it takes some minutes");
        shell(cargo("install --locked cargo-deny"))?;
    }
    shell(cargo("deny --workspace check bans licenses sources"))?;
    match run_lines(cargo("deny --workspace check advisories")) {
        (_, Ok(())) => Ok(()),
        (lines, Err(_)) if lines.iter().any(|line| line.contains("failed to fetch advisory database")) => {
            println!("advisories NOT CHECKED: database unreachable");
            Ok(())
        }
        (_, failed) => failed,
    }
}
