//! Values of HTTP fields: dates come back as they were written.
#![no_main]

use fuzz::Input;
use identity_core::agent::step::{Nonce, RetryAfter};
use identity_core::wire::http;
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, UNIX_EPOCH};

fuzz_target!(|octets: &[u8]| {
    let _ = (http::media(octets), http::challenge(octets));
    let asked = http::retry_after(octets);
    let digits = octets.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    assert_eq!(matches!(asked, Some(RetryAfter::Seconds(_))), is_number);
    if let Some(date) = http::date(octets) {
        assert!(date.0 < 253_402_300_801, "year 9999");
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(date.0.min(253_402_300_799)));
        assert_eq!(http::date(text.as_bytes()).map(|date| date.0), Some(date.0.min(253_402_300_799)));
    }
    let mut input = Input(octets);
    let seconds = input.octets(8).iter().fold(0, |sum: u64, octet| (sum << 8) | u64::from(*octet)) % 253_402_300_800;
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(http::date(text.as_bytes()).map(|date| date.0), Some(seconds), "{text}");
    let mut nonce = Nonce::default();
    nonce.set(octets);
    assert!(nonce.get().is_none_or(|text| text.len() <= 128 && text.bytes().all(|octet| octet.is_ascii_graphic())));
});
