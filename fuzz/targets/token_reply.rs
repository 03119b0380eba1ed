//! Token reply, device authorization reply, refusal: what is taken can be used, and what is shown can be shown.
#![no_main]

use fuzz::{Input, head};
use identity_core::error::Error;
use identity_core::oauth::Words;
use identity_core::oauth::reply::{read_authorization, read_refusal, read_token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let reply = head(&mut input, octets.len().saturating_sub(3));
    let body = input.0;
    if let Ok(read) = read_token("token request", &reply, body) {
        assert!(read.access.octets().count() > 0);
        assert!(read.access.octets().all(|octet| (0x20..0x7F).contains(&octet)), "RFC 6749 A.12: VSCHAR");
        assert!(read.refresh.is_none_or(|token| token.octets().all(|octet| (0x20..0x7F).contains(&octet))));
        assert!(read.expires_in.is_none_or(|seconds| (1..=31_536_000).contains(&seconds)));
    }
    if let Ok(read) = read_authorization("device authorization request", &reply, body) {
        assert!((1..=600).contains(&read.interval));
        assert!(read.expires_in >= 5 && read.expires_in <= 31_536_000, "codes that nobody can enter in time");
        assert!(read.device_code.octets().count() > 0 && read.user_code.octets().count() > 0);
    }
    let mut words = Words::NONE;
    let error = read_refusal("token request", &reply, body, &mut words);
    assert!(words.as_str().len() <= 160);
    assert!(words.as_str().bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()));
    match error {
        Error::Denied { .. } => assert!(body.iter().any(|octet| *octet == b'{'), "a code comes from JSON"),
        Error::Refused { code, hint, .. } => assert!(code == reply.status && !hint.is_empty()),
        other => panic!("{other}"),
    }
});
