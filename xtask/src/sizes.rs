//! Flash and RAM of the board's image by crate, from the symbols that the linker kept.

use crate::Outcome;
use crate::coverage::tools;
use crate::shell::{cargo, command, output, root, run};
use std::collections::BTreeMap;

const BOARD: &str = "boards/qemu-mps2-an386";
const IMAGE: &str = "target/thumbv7em-none-eabihf/release/telemetry";

pub(crate) fn run_all(_: &[String]) -> Outcome {
    let folder = root().join(BOARD);
    let mut build = cargo("build --release --target-dir target");
    build.current_dir(&folder).env_remove("RUSTFLAGS");
    run(build)?;
    let image = folder.join(IMAGE);
    let mut list = command(tools()?.join("llvm-nm"), "--print-size --demangle --defined-only");
    list.arg(&image);
    let (mut crates, mut total) = (BTreeMap::<String, Octets>::new(), Octets::default());
    for symbol in output(list)?.lines().filter_map(Symbol::read) {
        let entry = crates.entry(symbol.of.clone()).or_default();
        for sum in [entry, &mut total] {
            sum.flash += symbol.size.flash;
            sum.ram += symbol.size.ram;
        }
    }
    let mut rows: Vec<_> = crates.into_iter().filter(|(_, octets)| octets.flash + octets.ram >= 512).collect();
    rows.sort_by_key(|(name, octets)| (std::cmp::Reverse(octets.flash), name.clone()));
    println!(
        "\ntelemetry on qemu-mps2-an386 (thumbv7em, opt-level s), octets by symbol; crates below 512 are in the total only"
    );
    println!("{:24} {:>8} {:>8}", "crate", "flash", "RAM");
    for (name, octets) in &rows {
        println!("{name:24} {:8} {:8}", octets.flash, octets.ram);
    }
    println!("{:24} {:8} {:8}", "total of symbols", total.flash, total.ram);
    let mut sections = command(tools()?.join("llvm-size"), "");
    sections.arg(&image);
    println!(
        "\nsections, with padding and constants that have no symbol:\n{}",
        output(sections)?.lines().map(columns).collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

/// text, data, bss of a line of llvm-size; the rest is sums and a path.
fn columns(line: &str) -> String {
    line.split_whitespace().take(3).map(|column| format!("{column:>8}")).collect()
}

#[derive(Default, Clone, Copy)]
struct Octets {
    flash: u64,
    ram: u64,
}

struct Symbol {
    of: String,
    size: Octets,
}

impl Symbol {
    /// `address size kind name`; symbols without a size have no second column.
    fn read(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let (_, size, kind, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let size = u64::from_str_radix(size, 16).ok()?;
        let size = match kind {
            "t" | "T" | "r" | "R" | "w" | "W" => Octets { flash: size, ram: 0 },
            "d" | "D" => Octets { flash: size, ram: size },
            "b" | "B" => Octets { flash: 0, ram: size },
            _ => return None,
        };
        // `<a::B as c::D>::e` is code of `a`; a name without a path is the compiler's or assembly
        let path = name.trim_start_matches(['<', '&', '(', '*']).trim_start_matches("mut ").trim_start_matches("dyn ");
        let first = path
            .split("::")
            .next()
            .filter(|first| path.contains("::") && first.chars().all(|c| c.is_alphanumeric() || c == '_'));
        Some(Self { of: first.unwrap_or("(compiler, C names)").to_owned(), size })
    }
}
