//! The commands of the README: `cargo demo` in its profiles, then `--again`; and nothing secret in what they print.

use std::process::Command;

use host_tests::scratch::Scratch;
use host_tests::simulator::SECRET;

/// Runs the demo; what it printed.
fn demo(folder: &Scratch, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    let output = command.args(arguments).arg("--folder").arg(folder.path()).output().expect("the demo");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).expect("text");
    assert!(output.status.success(), "{arguments:?} ended with {}:\n{printed}", output.status);
    no_secrets(&printed);
    printed
}

/// Tokens, codes, assertions and proofs are long runs of base64url; nothing else that is printed is.
fn no_secrets(printed: &str) {
    assert!(!printed.contains(SECRET));
    let base64url = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let longest = printed.split(|c| !base64url(c)).max_by_key(|run| run.len()).unwrap_or_default();
    assert!(longest.len() < 32, "this looks like a secret: {longest}");
}

/// Each text after the one before it. Lines of device and servers about the same moment come in either order.
fn in_order(printed: &str, texts: &[&str]) {
    let mut rest = printed;
    for text in texts {
        let at = rest.find(text).unwrap_or_else(|| panic!("no {text:?} where it was to be:\n{printed}"));
        rest = &rest[at + text.len()..];
    }
}

#[test]
fn tokens_from_blank_flash_and_again() {
    let folder = Scratch::new();
    let first = demo(&folder, &["--profile", "oauth"]);
    in_order(
        &first,
        &[
            "POST /.well-known/est/simpleenroll",
            "GET /.well-known/openid-configuration",
            "token by client_credentials for pump-7",
            "good for 15 s",
            "pump-7 connected as pump-7, MQTT 5",
            "11 readings, none lost",
            "pump-7 re-authenticates: accepted",
            "11 readings, none lost",
            "GET /flow with Bearer token: 0 octets in, status 200",
            "GET /flow with DPoP token: 0 octets in, status 200",
            "/device and enter ",
            "approves ",
            "in: the token is in RAM",
            "6. Power off and on",
            "in: the token is in RAM",
            "client registration: ",
            "GET /flow, a token is fetched: status 200",
            "the server's words: invalid_scope: ",
            "messages received: 22; certificates issued in this run: 1",
        ],
    );
    for of_a_server in
        ["POST /device_authorization by pump-panel", "token by refresh_token", "status 400 invalid_scope"]
    {
        in_order(&first, &[of_a_server]);
    }
    let again = demo(&folder, &["--profile", "oauth", "--again", "--mqtt311"]);
    assert!(!again.contains("simpleenroll"), "{again}");
    in_order(
        &again,
        &["MQTT 3.1.1", "11 readings, none lost", "messages received: 11; certificates issued in this run: 0"],
    );
}

#[test]
fn certificate_from_blank_flash_and_again() {
    let folder = Scratch::new();
    let first = demo(&folder, &[]);
    in_order(&first, &["simpleenroll", "CONNECT accepted", "messages received: 3; certificates issued in this run: 1"]);
    let again = demo(&folder, &["--again"]);
    in_order(&again, &["CONNECT accepted", "messages received: 3; certificates issued in this run: 0"]);
}

#[test]
fn a_wrong_command_line_says_what_there_is() {
    for (arguments, hint) in [
        (vec!["--profile", "x"], "there are certificate and oauth"),
        (vec!["--board", "x"], "the only one is qemu-mps2-an386"),
        (vec!["--colour"], "unknown option --colour"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).output().expect("the demo");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(hint));
    }
}
