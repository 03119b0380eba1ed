//! The oldest compiler that is promised: `rust-version` of the workspace.

use crate::Outcome;
use crate::cross::FEATURES;
use crate::shell::{FIRMWARE, cargo, command, output, root, run as shell};

pub(crate) fn run(_: &[String]) -> Outcome {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).map_err(|error| error.to_string())?;
    let promised = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = promised.ok_or("Cargo.toml names no rust-version")?.trim_matches('"');
    let (target, [core, sdk]) = ("thumbv7em-none-eabihf", FIRMWARE);
    let installed = output(command("rustup", "toolchain list"))?;
    if !installed.lines().any(|line| line.starts_with(version)) {
        shell(command("rustup", &format!("toolchain install {version} --profile minimal")))?;
    }
    shell(command("rustup", &format!("target add --toolchain {version} {target}")))?;
    shell(cargo(&format!("+{version} check -p {core} -p {sdk} --features device-sdk/std,device-sdk/log")))?;
    shell(cargo(&format!("+{version} check -p {core} -p {sdk} --features {FEATURES} --target {target}")))
}
