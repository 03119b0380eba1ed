//! The HTTP client: whatever the server sends, the exchange ends, and how the octets are cut makes no difference.
#![no_main]

use device_sdk::net::http::exchange;
use embassy_futures::block_on;
use fuzz::{Input, Script};
use identity_core::agent::step::{Authorization, Method, Nonce, Request};
use identity_core::config::Secret;
use identity_core::time::{Instant, Judge, UnixTime};
use identity_core::trust::{Anchors, Trust};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let (choice, room, piece) = (input.octet(), usize::from(input.octet()) * 8, usize::from(input.octet()));
    // where room is short, what fits at a time depends on the pieces
    let once = run(choice, room, usize::MAX, input.0);
    let again = run(choice, room, piece, input.0);
    assert_eq!(once, again, "cut in pieces of {piece}");
});

fn run(choice: u8, room: usize, piece: usize, says: &[u8]) -> Option<(String, Vec<u8>, Option<String>)> {
    let request = Request {
        purpose: "fuzz",
        method: if choice & 1 == 0 { Method::Get } else { Method::Post },
        host: "id.example",
        port: 8443,
        path: "/token?a=b",
        accept: "application/json",
        content_type: if choice & 1 == 0 { "" } else { "application/x-www-form-urlencoded" },
        base64: false,
        authorization: Authorization::Basic { user: "pump-7", password: Secret::new("hush") },
        proof: Some("proof"),
        body: if choice & 1 == 0 { b"" } else { b"grant_type=client_credentials" },
        trust: Trust::Anchors(Anchors::default()),
        judge: Judge::Floor(UnixTime(0)),
        client: None,
    };
    let (mut into, mut head, mut nonce) = (vec![0; room], [0; 1024], Nonce::default());
    let mut script = Script::new(says, piece, choice & 2 == 0);
    let result = block_on(exchange(&mut script, &request, &mut into, &mut nonce, &mut head, Instant(1000)));
    assert_eq!(head, [0; 1024], "the head is wiped");
    assert!(script.heard.starts_with(if choice & 1 == 0 { b"GET /token?a=b " } else { b"POST /token?a=b" }));
    let (reply, again) = result.ok()?;
    assert!((200..600).contains(&reply.status) && reply.length <= room);
    // whether the connection may go on depends on what was read beyond the end
    let _ = again;
    into.truncate(reply.length);
    Some((format!("{reply:?}"), into, nonce.get().map(str::to_owned)))
}
