//! JWTs against a JWKS: as they come, and with a sound signature around what comes.
#![no_main]

use std::sync::LazyLock;

use fuzz::Input;
use identity_core::crypto::{SecretKey, sha256};
use identity_core::jose::jwk::KeySet;
use identity_core::jose::jwt::{self, TOKEN_MAX};
use identity_core::jose::verify::{Algorithm, Rules, scratch_len, verify};
use identity_core::time::{Judge, UnixTime};
use identity_core::wire::base64url;
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_800_000_000;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let choice = input.octet();
    let (keys, token) = if choice & 1 == 0 {
        let (keys, token) = (input.field(), input.0);
        (keys.to_vec(), token.to_vec())
    } else {
        let (header, claims) = (input.field(), input.0);
        (JWKS.as_bytes().to_vec(), signed(header, claims))
    };
    let Ok(token) = core::str::from_utf8(&token) else { return };
    let mut scratch = vec![0xA5; scratch_len(token.len())];
    if let Ok(Some(claims)) = jwt::read(token, &mut scratch) {
        let _ = (claims.expires(), claims.not_before(), claims.issued(), claims.confirmation());
        let _ = (claims.issuer().is_ok(), claims.subject().is_ok(), claims.id().is_ok(), claims.client_id().is_ok());
        let _ = claims.audiences().map(Iterator::count);
        let _ = claims.scopes().map(Iterator::count);
    }
    let Ok(keys) = KeySet::parse(&keys) else { return };
    let rules = Rules {
        algorithms: Algorithm::ALL,
        issuer: "https://id.example",
        audience: "https://mqtt.example",
        typ: (choice & 2 != 0).then_some("at+jwt"),
        judge: Judge::Wall(UnixTime(NOW)),
        skew: 10,
    };
    let Ok(verified) = verify(token, keys, &rules, &mut scratch) else { return };
    assert!(token.len() <= TOKEN_MAX);
    let claims = verified.claims();
    let expires = claims.expires().expect("it was judged").expect("it was demanded");
    assert!(expires.0 + 10 > NOW);
    assert!(claims.issuer().is_ok_and(|issuer| issuer.is_some_and(|issuer| issuer.is(rules.issuer))));
    assert!(claims.audiences().is_ok_and(|mut all| all.any(|audience| audience.is(rules.audience))));
    assert!(verify(token, keys, &rules, &mut vec![0; scratch_len(token.len())]).is_ok(), "it verifies again");
    let none = KeySet::parse(b"{\"keys\":[]}").expect("an empty set");
    assert!(verify(token, none, &rules, &mut scratch).is_err());
});

static KEY: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_octets(&[7; 32]).expect("a key"));
static JWKS: LazyLock<String> = LazyLock::new(|| {
    let mut room = [0; identity_core::jose::jwk::PUBLIC_LEN];
    let length = identity_core::jose::jwk::write(&KEY.public(), &mut room).expect("room");
    format!("{{\"keys\":[{}]}}", core::str::from_utf8(&room[..length]).expect("JSON"))
});

fn signed(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let encode = |octets: &[u8]| {
        let mut text = vec![0; base64url::encoded_len(octets.len())];
        base64url::encode(octets, &mut text).expect("room");
        text
    };
    let mut token = [encode(header), encode(claims)].join(&b'.');
    let signature = KEY.sign(&sha256(&token), &mut fuzz::drbg()).expect("a signature");
    token.push(b'.');
    token.extend(encode(&signature.0));
    token
}
