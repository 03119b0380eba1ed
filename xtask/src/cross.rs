//! Builds of what a firmware links, for every promised target, with and without its optional parts.

use crate::Outcome;
use crate::shell::{FIRMWARE, TARGETS, cargo, run as shell};

/// The optional parts that are for a chip.
pub(crate) const FEATURES: &str = "device-sdk/embassy,device-sdk/defmt";

pub(crate) fn run(_: &[String]) -> Outcome {
    let [core, sdk] = FIRMWARE;
    for target in TARGETS {
        shell(cargo(&format!("build --release -p {core} -p {sdk} --target {target}")))?;
        shell(cargo(&format!("build --release -p {core} -p {sdk} --features {FEATURES} --target {target}")))?;
    }
    Ok(())
}
