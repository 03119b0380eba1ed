//! Instructions, stack and octets on the wire of the emulated board, into docs/numbers.md and the README.

use crate::Outcome;
use crate::numbers::{Place, Use, cell, grouped, measured};

/// In per cent. The same image counts the same; what is left is for another compiler.
const COMPUTATION: f64 = 0.5;
/// In per cent. Frames of the network come when they come, and the DER of a signature has 70 to 72 octets.
const BOOTS: f64 = 5.0;

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let what = Use::read(arguments)?;
    let place =
        |name, text: &str, tolerance| Place { file: "docs/numbers.md", name, text: format!("\n\n{text}\n"), tolerance };
    place("computation", &measured("computation")?, COMPUTATION).settle(what)?;
    place("tokens", &measured("tokens")?, BOOTS).settle(what)?;
    let boots = place("boots", &measured("boots")?, BOOTS).settle(what)?;
    // the same figures as in the table that stands
    let figure = |row, column| cell(&boots, row, column);
    let text = format!(
        "\n- blank flash to the first acknowledged publish: {} instructions, {} octets of TLS\n- reboot to it: {} instructions\n",
        grouped(figure("**first boot", 1)?),
        grouped(figure("**first boot", 2)? + figure("**first boot", 3)?),
        grouped(figure("**reboot", 1)?)
    );
    Place { file: "README.md", name: "bench", text, tolerance: 0.0 }.settle(what)?;
    Ok(())
}
