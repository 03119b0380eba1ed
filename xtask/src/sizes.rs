//! Flash and RAM of the board's images by crate, from the symbols that the linker kept; its stack and its futures, measured.

use crate::Outcome;
use crate::coverage::tools;
use crate::numbers::{Place, Use, cell, grouped, measured};
use crate::shell::{cargo, command, output, root, run};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const BOARD: &str = "boards/qemu-mps2-an386";
/// The telemetry application with mutual TLS, and the same with access tokens.
const IMAGES: [&str; 2] = ["telemetry", "telemetry-oauth"];
/// Where the core makes token requests.
const TOKEN_REQUESTS: &str = "identity_core::agent::call::";
/// Crates and statics below so many octets are in the totals only.
const LEAST: u64 = 1024;
/// In per cent: panic messages hold the paths of the sources, which differ from machine to machine.
const TOLERANCE: f64 = 2.0;

pub(crate) fn run_all(arguments: &[String]) -> Outcome {
    let what = Use::read(arguments)?;
    let folder = root().join(BOARD);
    let mut build = cargo("build --release --target-dir target");
    build.current_dir(&folder).env_remove("RUSTFLAGS");
    run(build)?;
    let images = IMAGES.map(|name| Image::read(&folder.join("target/thumbv7em-none-eabihf/release").join(name)));
    let [mtls, tokens] = images;
    let images = [mtls?, tokens?];
    images[0].is_without_tokens()?;
    let tables = format!("{}\n{}", by_crate(&images), statics(&images));
    println!("\n{tables}");
    let text = format!("\n\n{tables}\n{}\n", measured("memory")?);
    let standing = Place { file: "docs/numbers.md", name: "sizes", text, tolerance: TOLERANCE }.settle(what)?;
    // the same figures as in the tables that stand
    let figure = |row, column| cell(&standing, row, column).map(grouped);
    let text = format!(
        "\n- the telemetry image: {} octets of flash, {} of RAM in statics, {} of stack at most\n\
         - the same with access tokens of up to 2 KB and a second socket: {} octets of flash, {} of RAM in statics\n",
        figure("**whole image**", 1)?,
        figure("**whole image**", 2)?,
        figure("a first boot", 1)?,
        figure("**whole image**", 3)?,
        figure("**whole image**", 4)?
    );
    Place { file: "README.md", name: "sizes", text, tolerance: 0.0 }.settle(what)?;
    Ok(())
}

/// Flash and RAM by crate, largest first.
fn by_crate(images: &[Image; 2]) -> String {
    let mut crates = BTreeMap::<&str, [Octets; 2]>::new();
    let mut named = [Octets::default(); 2];
    for (at, image) in images.iter().enumerate() {
        for symbol in &image.symbols {
            // the application's own crate is called as its image
            let of = if IMAGES.iter().any(|name| name.replace('-', "_") == symbol.of) {
                "(application)"
            } else {
                &symbol.of
            };
            for sum in [&mut crates.entry(of).or_default()[at], &mut named[at]] {
                sum.flash += symbol.size.flash;
                sum.ram += symbol.size.ram;
            }
        }
    }
    let large = |octets: &[Octets; 2]| octets.iter().any(|octets| octets.flash.max(octets.ram) >= LEAST);
    let mut rows: Vec<_> = crates.into_iter().filter(|(_, octets)| large(octets)).collect();
    rows.sort_by_key(|(name, octets)| (Reverse(octets[0].flash), *name));
    let rest = |at: usize| Octets {
        flash: images[at].whole.flash - named[at].flash,
        ram: images[at].whole.ram - named[at].ram,
    };
    rows.push(("constants without a symbol, padding", [rest(0), rest(1)]));
    rows.push(("**whole image**", [images[0].whole, images[1].whole]));
    let mut text =
        "| crate | flash, octets | RAM, octets | with tokens: flash | RAM |\n|---|---:|---:|---:|---:|\n".to_owned();
    for (name, [mtls, tokens]) in rows {
        let numbers = [mtls.flash, mtls.ram, tokens.flash, tokens.ram].map(grouped).join(" | ");
        // String takes everything
        let _ = writeln!(text, "| {name} | {numbers} |");
    }
    text
}

/// What the RAM is: the largest statics of either image. A task's is its future.
fn statics(images: &[Image; 2]) -> String {
    let mut text = "| static | octets |\n|---|---:|\n".to_owned();
    for image in images {
        let mut rows: Vec<_> = image.symbols.iter().filter(|symbol| symbol.size.ram >= LEAST).collect();
        rows.sort_by_key(|symbol| (Reverse(symbol.size.ram), &symbol.name));
        for symbol in rows {
            let line = format!("| `{}` | {} |\n", symbol.name, grouped(symbol.size.ram));
            // what both have alike is said once
            if !text.contains(&line) {
                text += &line;
            }
        }
    }
    text
}

/// What the linker made.
struct Image {
    symbols: Vec<Symbol>,
    whole: Octets,
}

impl Image {
    fn read(path: &Path) -> Result<Self, String> {
        Ok(Self { symbols: symbols(path)?, whole: sections(path)? })
    }

    /// What firmware does not name is not linked.
    fn is_without_tokens(&self) -> Outcome {
        let found = self.symbols.iter().find(|symbol| symbol.name.starts_with(TOKEN_REQUESTS));
        found.map_or(Ok(()), |symbol| Err(format!("{} names no token source, yet has {}", IMAGES[0], symbol.name)))
    }
}

#[derive(Default, Clone, Copy)]
struct Octets {
    flash: u64,
    ram: u64,
}

/// Code, constants and first values of variables; variables.
fn sections(image: &Path) -> Result<Octets, String> {
    let mut sections = command(tools()?.join("llvm-size"), "");
    sections.arg(image);
    let sections = output(sections)?;
    let columns = sections.lines().nth(1).unwrap_or_default().split_whitespace();
    match *columns.map_while(|column| column.parse().ok()).collect::<Vec<u64>>() {
        [text, data, bss, ..] => Ok(Octets { flash: text + data, ram: data + bss }),
        _ => Err(format!("llvm-size says\n{sections}")),
    }
}

fn symbols(image: &Path) -> Result<Vec<Symbol>, String> {
    let mut list = command(tools()?.join("llvm-nm"), "--print-size --demangle --defined-only");
    list.arg(image);
    Ok(output(list)?.lines().filter_map(Symbol::read).collect())
}

struct Symbol {
    of: String,
    name: String,
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
        let name = legible(name);
        // `<a::B as c::D>::e` is code of `a`, `<T as c::D>::e` of `c`; a name without a path is the compiler's or assembly
        let of = match name.split_once("::") {
            Some((first, _)) => first.rsplit([' ', '<', '&', '(', '*', '[']).next().unwrap_or(first).to_owned(),
            None => "(compiler, C names)".to_owned(),
        };
        Some(Self { of, name: without_hash(&name), size })
    }
}

/// Undoes what the demangler leaves of Rust's legacy mangling: `_$LT$a..B$u20$as$u20$c..D$GT$` is `<a::B as c::D>`.
fn legible(name: &str) -> String {
    let codes =
        [("$LT$", "<"), ("$GT$", ">"), ("$RF$", "&"), ("$u20$", " "), ("$LP$", "("), ("$RP$", ")"), ("$C$", ",")];
    let name = codes.iter().fold(name.replace("..", "::"), |name, (code, sign)| name.replace(code, sign));
    name.strip_prefix('_').filter(|rest| rest.starts_with('<')).map_or_else(|| name.clone(), str::to_owned)
}

/// A path without the hash at its end and without the names of closures.
fn without_hash(name: &str) -> String {
    let parts = name.split("::").filter(|part| !part.contains("closure") && !is_hash(part));
    parts.collect::<Vec<_>>().join("::")
}

fn is_hash(part: &str) -> bool {
    part.strip_prefix('h').is_some_and(|hex| hex.len() == 16 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}
