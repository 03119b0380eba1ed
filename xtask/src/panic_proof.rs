//! Shows by the linker that identity-core contains no panic: `xtask/panic-proof` links every public function of it under a
//! panic handler that calls an undefined symbol, so that one panic left after optimisation is a link error.

use crate::Outcome;
use crate::shell::{cargo, root};
use std::path::PathBuf;

const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "riscv32imc-unknown-none-elf"];
const CONTROLS: [&str; 4] = ["control-agent", "control-crypto", "control-formats", "control-jose"];
/// What the panic handler calls.
const SYMBOL: &str = "identity_core_can_panic";
/// The optimiser sees that an index of the AES key schedule is in bounds only once the function is inlined.
const INLINE: &str = "llvm-args=-inline-threshold=5000";
/// What a stand-in replaces, so that nothing is shown about it.
const NOT_COVERED: &str = "rustls-webpki: reading the certificates of a path, building and checking it, matching names";

/// Links for each target, then with each negative control, which must not link.
///
/// # Errors
/// A panic that is left, a control that links, or a build that fails.
pub(crate) fn run(_: &[String]) -> Outcome {
    for target in TARGETS {
        let octets = link(target, None)??;
        println!("links: no panic in identity-core on {target} ({} KiB linked)", octets / 1024);
        for control in CONTROLS {
            match link(target, Some(control))? {
                Ok(_) => return Err(format!("{control} links on {target}: the proof would not see a panic there")),
                Err(_) => println!("refused, as it must be: a panic put there by {control}"),
            }
        }
    }
    println!("covered: identity-core and all it links, save {NOT_COVERED}");
    Ok(())
}

/// The size of the linked file, or the inner error if a panic is left.
fn link(target: &str, control: Option<&str>) -> Result<Result<u64, String>, String> {
    let place =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("panic-proof");
    let mut cargo = cargo("rustc --locked --quiet --release --target");
    cargo.arg(target).args(control.iter().flat_map(|feature| ["--features", feature])).args(["--", "-C", INLINE]);
    cargo.current_dir(root().join("xtask/panic-proof")).env("CARGO_TARGET_DIR", &place).env_remove("RUSTFLAGS");
    let output = cargo.output().map_err(|error| format!("cargo does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let file = place.join(target).join("release/panic-proof");
        let size = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?.len();
        Ok(Ok(size))
    } else if said.contains(&format!("undefined symbol: {SYMBOL}")) {
        Ok(Err(format!(
            "a panic is left in identity-core on {target}. Define the symbol to see where: in xtask/panic-proof run \
             `CARGO_PROFILE_RELEASE_DEBUG=1 cargo rustc --release --target {target} -- -C {INLINE} \
             -C link-arg=--defsym={SYMBOL}=0`, disassemble, and look who calls core::panicking"
        )))
    } else {
        Err(format!("the build for {target} failed (is the target installed? `rustup target add {target}`):\n{said}"))
    }
}
