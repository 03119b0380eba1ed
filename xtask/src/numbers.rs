//! Measured numbers in the documents: between `<!-- name -->` and `<!-- /name -->` a command puts them, nobody types them.

use crate::shell::{cargo, output, root};

/// What a command does with what it measured, after printing it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Replaces the documents' numbers, where one differs by more than the tolerance.
    Write,
    /// Fails where one does.
    Check,
    /// Says where one does.
    Print,
}

impl Use {
    /// By the arguments of a command: none, `--check` or `--print`.
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [] => Ok(Self::Write),
            [one] if one == "--check" => Ok(Self::Check),
            [one] if one == "--print" => Ok(Self::Print),
            _ => Err(format!("{arguments:?}: give nothing, --check or --print")),
        }
    }
}

/// A place in a document, and what was measured for it.
pub(crate) struct Place<'a> {
    /// Path from the top of the project.
    pub(crate) file: &'a str,
    /// Name of the markers.
    pub(crate) name: &'a str,
    /// What belongs between them.
    pub(crate) text: String,
    /// Difference of a number up to which it stands, in per cent.
    pub(crate) tolerance: f64,
}

impl Place<'_> {
    /// Writes or checks it; the text that stands there now.
    pub(crate) fn settle(self, what: Use) -> Result<String, String> {
        let Self { file, name, text, tolerance } = self;
        let failed = |error: std::io::Error| format!("{file}: {error}");
        let path = root().join(file);
        let whole = std::fs::read_to_string(&path).map_err(failed)?;
        let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
        let parts = whole.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?)));
        let (before, (old, after)) = parts.ok_or_else(|| format!("{file} has no {open} … {close}"))?;
        let Some((was, is)) = difference(old, &text, tolerance) else {
            println!("{file}: {name} stands, within {tolerance} %");
            return Ok(old.to_owned());
        };
        match what {
            Use::Print => println!("{file}: {name} says {was:?}, measured {is:?}"),
            Use::Check => {
                return Err(format!(
                    "{file}: {name} says {was:?}, measured {is:?}; run it without --check to write it"
                ));
            }
            Use::Write => {
                std::fs::write(&path, format!("{before}{open}{text}{close}{after}")).map_err(failed)?;
                println!("{file}: {name} written");
            }
        }
        Ok(text)
    }
}

/// The first words that differ: numbers by more than `tolerance` per cent, other words at all.
fn difference(old: &str, new: &str, tolerance: f64) -> Option<(String, String)> {
    let number = |word: &str| word.replace(',', "").parse::<f64>().ok();
    let (mut old, mut new) = (old.split_whitespace(), new.split_whitespace());
    loop {
        let (was, is) = (old.next(), new.next());
        let same = match (was.and_then(number), is.and_then(number)) {
            (Some(was), Some(is)) => (was - is).abs() <= tolerance / 100.0 * was.abs().max(is.abs()),
            _ => was == is,
        };
        match (was, is) {
            (None, None) => return None,
            _ if same => {}
            _ => return Some((was.unwrap_or_default().into(), is.unwrap_or_default().into())),
        }
    }
}

/// Tables that the test bed's program `bench` prints for `part`, on the terminal as well.
pub(crate) fn measured(part: &str) -> Result<String, String> {
    let tables = output(cargo(&format!("run --quiet --package host-tests --bin bench -- {part}")))?;
    println!("\n{tables}");
    Ok(tables)
}

/// The number in column `column`, from 0, of the first row of a table that contains `row`.
pub(crate) fn cell(table: &str, row: &str, column: usize) -> Result<u64, String> {
    let line = table.lines().find(|line| line.contains(row));
    let cell = line.and_then(|line| line.trim_matches('|').split('|').nth(column));
    cell.and_then(|cell| cell.trim().replace(',', "").parse().ok()).ok_or_else(|| format!("no number for {row:?}"))
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_within_the_tolerance_and_a_word_only_as_it_is() {
        assert_eq!(difference("| a |  1,000 |\n", "| a | 1,020 |", 2.0), None);
        assert_eq!(difference("a 1,000", "a 1,021", 2.0), Some(("1,000".into(), "1,021".into())));
        assert_eq!(difference("a 1", "b 1", 2.0), Some(("a".into(), "b".into())));
        assert_eq!(difference("a", "a 1", 2.0), Some((String::new(), "1".into())));
        assert_eq!(difference("40", "40.1", 0.0), Some(("40".into(), "40.1".into())));
    }

    #[test]
    fn cells_are_found_by_row_and_column() {
        let table = "| what | n |\n|---|---:|\n| first boot | 1,234 |\n";
        assert_eq!(cell(table, "first boot", 1), Ok(1234));
        assert!(cell(table, "first boot", 2).is_err() && cell(table, "reboot", 1).is_err());
        assert_eq!([grouped(7), grouped(1000), grouped(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
