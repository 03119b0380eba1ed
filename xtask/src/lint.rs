//! Form and clippy, of the workspace, of what a firmware links on its targets, and of each board.

use crate::Outcome;
use crate::cross::FEATURES;
use crate::shell::{FIRMWARE, boards, cargo, root, run as shell};

pub(crate) fn run(_: &[String]) -> Outcome {
    format()?;
    workspace()?;
    cross()
}

/// `cargo fmt --check` everywhere.
pub(crate) fn format() -> Outcome {
    shell(cargo("fmt --all --check"))?;
    boards().into_iter().try_for_each(|board| {
        let mut command = cargo("fmt --all --check");
        command.current_dir(board);
        shell(command)
    })
}

/// Everything that runs on a desktop.
pub(crate) fn workspace() -> Outcome {
    shell(cargo("clippy --workspace --all-targets --features device-sdk/std,device-sdk/log -- -D warnings"))
}

/// What runs on a chip: one Arm and the smallest RISC-V target, and each board on the target that it names.
pub(crate) fn cross() -> Outcome {
    for target in ["thumbv7em-none-eabihf", "riscv32imc-unknown-none-elf"] {
        let [core, sdk] = FIRMWARE;
        shell(cargo(&format!("clippy -p {core} -p {sdk} --features {FEATURES} --target {target} -- -D warnings")))?;
    }
    boards().into_iter().try_for_each(|board| {
        let mut command = cargo("clippy --bins -- -D warnings");
        command.current_dir(board);
        shell(command)
    })?;
    // no step of the tests runs it, so that it compiles at least
    let mut compare = cargo("clippy --locked --lib --tests -- -D warnings");
    compare.current_dir(root().join("xtask/mqtt-compare"));
    shell(compare)
}
