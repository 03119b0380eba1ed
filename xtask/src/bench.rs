//! Instructions, stack and octets on the wire of the emulated board, into docs/numbers.md and the README.

use crate::Outcome;
use crate::numbers::{Place, Use, cell, grouped, measured};

/// In per cent. The same image counts the same; what is left is for another compiler.
const COMPUTATION: f64 = 0.5;
/// In per cent. Frames of the network come when they come, and the DER of a signature has 70 to 72 octets.
const BOOTS: f64 = 5.0;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let what = Use::read(arguments)?;
    let (computation, boots) = (measured("computation")?, measured("boots")?);
    let first = cell(&boots, "**first boot", 1)?;
    let again = cell(&boots, "**reboot", 1)?;
    let (sent, received) = (cell(&boots, "**first boot", 2)?, cell(&boots, "**first boot", 3)?);
    let extract = format!(
        "\n- blank flash to the first acknowledged publish: {} instructions, {} octets of TLS\n- reboot to it: {} instructions\n",
        grouped(first),
        grouped(sent + received),
        grouped(again)
    );
    let places = [
        ("docs/numbers.md", "computation", format!("\n\n{computation}\n"), COMPUTATION),
        ("docs/numbers.md", "boots", format!("\n\n{boots}\n"), BOOTS),
        ("README.md", "bench", extract, BOOTS),
    ];
    places.into_iter().try_for_each(|(file, name, text, tolerance)| Place { file, name, text, tolerance }.settle(what))
}
