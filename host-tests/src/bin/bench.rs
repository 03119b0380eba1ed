//! The tables of `cargo xtask bench` and `cargo xtask sizes`, in Markdown: what the emulated board costs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use data_encoding::BASE64URL_NOPAD;
use host_tests::ca::{Ca, CaOptions, DAY, Validity};
use host_tests::key::{Key, KeyKind};
use host_tests::measure::{Boot, Cost, boots, computed};
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::jws::sign;
use host_tests::plant::NAMES;
use host_tests::token_cost::{Tokens, Way, tokens};
use host_tests::token_ram::tokens_for;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;

const HELP: &str = "\
bench computation  instructions and stack of computations, without network
bench boots        instructions, stack and octets on the wire of first boot and reboot, by phase
bench memory       high-water mark of the stack in a whole first boot, sizes of the futures
bench tokens       round trips, octets on the wire and instructions of access tokens; the RAM they take
bench chains       makes the certificate chains of `computation` anew
bench jwts         makes its tokens and their key sets anew";

/// The board's folder.
const BOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../boards/qemu-mps2-an386");
/// When chains and tokens begin, 2026-01-01; the board judges them at a time of its own.
const NOW: u64 = 1_767_225_600;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("computation") => computation(),
        Some("boots") => boot_tables(),
        Some("memory") => memory(),
        Some("tokens") => token_tables(),
        Some("chains") => chains(),
        Some("jwts") => jwts(),
        _ => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn computation() -> Result<String, String> {
    let mut text = "| computation | instructions | stack, octets |\n|---|---:|---:|\n".to_owned();
    for row in computed("cost")? {
        let [what, instructions, stack] = row.as_slice() else { return Err(format!("unreadable: {row:?}")) };
        let number = |text: &str| text.parse().map(grouped).map_err(|_| format!("not a number: {text}"));
        // String takes everything
        let _ = writeln!(text, "| {what} | {} | {} |", number(instructions)?, number(stack)?);
    }
    Ok(text)
}

fn boot_tables() -> Result<String, String> {
    let [first, again] = boots()?;
    let mut text = String::new();
    table(&mut text, "first boot, blank flash", &first);
    text.push('\n');
    table(&mut text, "reboot", &again);
    Ok(text)
}

fn table(text: &mut String, title: &str, boot: &Boot) {
    let _ = writeln!(
        text,
        "| {title} | instructions | octets sent | received | stack, octets |\n|---|---:|---:|---:|---:|"
    );
    for (what, cost) in &boot.phases {
        row(text, what, cost);
    }
    row(text, &format!("**{title}, to the first acknowledged publish**"), &boot.whole);
}

fn row(text: &mut String, what: &str, cost: &Cost) {
    let Cost { instructions, sent, received, stack } = *cost;
    let octets = |octets| if octets == 0 { String::new() } else { grouped(octets) };
    let _ = writeln!(
        text,
        "| {what} | {} | {} | {} | {} |",
        grouped(rounded(instructions)),
        octets(sent),
        octets(received),
        grouped(stack)
    );
}

fn memory() -> Result<String, String> {
    let [first, again] = boots()?;
    let mut text = "| RAM besides statics, and parts of them | octets |\n|---|---:|\n".to_owned();
    let _ = writeln!(text, "| stack, high-water mark of a first boot | {} |", grouped(first.stack));
    let _ = writeln!(text, "| stack, high-water mark of a reboot | {} |", grouped(again.stack));
    for row in computed("size")? {
        let [what, octets] = row.as_slice() else { return Err(format!("unreadable: {row:?}")) };
        let octets = octets.parse().map_err(|_| format!("not a number: {octets}"))?;
        let _ = writeln!(text, "| {what} | {} |", grouped(octets));
    }
    Ok(text)
}

fn token_tables() -> Result<String, String> {
    let mut text = "| token | round trips | TLS connections | requests | octets sent | received | instructions |\n\
                    |---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let ways = [
        ("private_key_jwt", Way::Key),
        ("private_key_jwt and DPoP with nonces", Way::Dpop),
        ("tls_client_auth", Way::Certificate),
    ];
    let mut last = None;
    for (name, way) in ways {
        let tokens = tokens(way)?;
        for (what, fetch) in [("first after a boot", &tokens.first), ("renewal", &tokens.renewal)] {
            let _ = writeln!(
                text,
                "| {name}: {what} | {} | {} | {} | {} | {} | {} |",
                fetch.round_trips(),
                fetch.connections,
                fetch.requests,
                grouped(fetch.sent),
                grouped(fetch.received),
                grouped(rounded(fetch.instructions))
            );
        }
        last.get_or_insert(tokens);
    }
    let Tokens { look_up, reply, .. } = last.ok_or("no token")?;
    let _ = writeln!(text, "\n| token at hand | |\n|---|---:|");
    let _ = writeln!(text, "| `Device::token` that finds it in RAM, instructions | {} |", grouped(look_up));
    let _ = writeln!(text, "| body of the token reply above, octets | {} |", grouped(reply as u64));
    let _ = writeln!(text, "\n| RAM for a token: least TOKENS of `Memory` | bearer | with DPoP |\n|---|---:|---:|");
    for octets in [1024, 2048, 4096] {
        let [bearer, dpop] = [tokens_for(octets, false)?, tokens_for(octets, true)?].map(|of| grouped(of as u64));
        let _ = writeln!(text, "| {} octets | {bearer} | {dpop} |", grouped(octets as u64));
    }
    Ok(text)
}

/// Writes chains of leaf, intermediate and root into the board's folder.
fn chains() -> Result<String, String> {
    let folder = Path::new(BOARD).join("chains");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let kinds = [
        ("p256", KeyKind::P256),
        ("p384", KeyKind::P384),
        ("rsa2048", KeyKind::Rsa(2048)),
        ("rsa4096", KeyKind::Rsa(4096)),
    ];
    for (name, key) in kinds {
        let mut ca = Ca::with(NOW, &CaOptions { key, intermediate: true, ..CaOptions::default() });
        let server = ca.server(key, &NAMES, &[], Validity::starting(NOW, 3650 * DAY));
        let whole = [server.chain.concat(), ca.root().to_vec()].concat();
        fs::write(folder.join(name).with_extension("der"), whole).map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

/// Writes one access token by each algorithm, and the key set of its issuer, into the board's folder.
fn jwts() -> Result<String, String> {
    let folder = Path::new(BOARD).join("jwts");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let encode = |octets: &[u8]| BASE64URL_NOPAD.encode(octets);
    for (name, kind, jwt) in [("es256", KeyKind::P256, sign as Signer), ("rs256", KeyKind::Rsa(2048), sign_rs256)] {
        let key = Key::generate(kind);
        let mut jwk = match kind {
            KeyKind::P256 => Jwk::of_key(&key).json(),
            _ => {
                let (_, spki) = SubjectPublicKeyInfo::from_der(key.spki()).map_err(|error| error.to_string())?;
                let Ok(PublicKey::RSA(rsa)) = spki.parsed() else { return Err("an RSA key".into()) };
                json!({ "kty": "RSA", "n": encode(significant(rsa.modulus)), "e": encode(significant(rsa.exponent)) })
            }
        };
        jwk["kid"] = "1".into();
        let header = json!({ "typ": "at+jwt", "alg": name.to_uppercase(), "kid": "1" });
        // what the board's program wants; good for ten years
        let claims = json!({
            "iss": "https://id.plant.example", "sub": "pump-7", "client_id": "pump-7",
            "aud": "https://mqtt.plant.example", "scope": "mqtt:publish mqtt:subscribe",
            "iat": NOW, "exp": NOW + 3650 * DAY, "jti": encode(&[7; 16]),
        });
        let files = [("jwt", jwt(&header, &claims, &key)), ("jwks", json!({ "keys": [jwk] }).to_string())];
        for (extension, text) in files {
            fs::write(folder.join(name).with_extension(extension), text).map_err(|error| error.to_string())?;
        }
    }
    Ok(String::new())
}

type Signer = fn(&Value, &Value, &Key) -> String;

fn sign_rs256(header: &Value, claims: &Value, key: &Key) -> String {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// A number of DER without the zero that keeps it positive.
fn significant(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

/// The three leading digits; the rest varies from run to run.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or_default().saturating_sub(2));
    (number + unit / 2) / unit * unit
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
