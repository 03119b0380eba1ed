//! Keys, tokens and signatures for the tests of JOSE.
#![allow(dead_code)]

pub(crate) mod vectors;

use identity_core::crypto::{SecretKey, sha256};
use identity_core::entropy::{Drbg, RawSource, Tested};
use identity_core::error::{EntropyFault, Error};
use identity_core::jose::jwk::{self, KeySet};
use identity_core::jose::jwt::Claims;
use identity_core::jose::verify::{Algorithm, Rules, verify};
use identity_core::keys::{PublicKey, Signature};
use identity_core::time::{Judge, UnixTime};
use identity_core::wire::base64url;

/// When the tokens were issued, in seconds since 1970.
pub(crate) const ISSUED: u64 = 1_700_000_000;

/// What the tokens of [`vectors`] and of [`signed`] fulfil.
pub(crate) fn rules() -> Rules<'static> {
    Rules {
        algorithms: Algorithm::ALL,
        issuer: "https://id.example",
        audience: "pumps",
        typ: Some("at+jwt"),
        judge: Judge::Wall(UnixTime(ISSUED + 60)),
        skew: 30,
    }
}

/// The claims that [`rules`] wants.
pub(crate) const CLAIMS: &str =
    r#"{"iss":"https://id.example","aud":["pumps","valves"],"iat":1700000000,"nbf":1700000000,"exp":1700003600}"#;

/// Verifies, and hands the claims to `look`.
pub(crate) fn judged<R>(
    token: &str,
    jwks: &str,
    rules: &Rules<'_>,
    look: impl FnOnce(Claims<'_>) -> R,
) -> Result<R, Error> {
    let mut scratch = vec![0; 8192];
    let verified = verify(token, KeySet::parse(jwks.as_bytes())?, rules, &mut scratch)?;
    Ok(look(verified.claims()))
}

/// What is wrong with a token, or an empty text.
pub(crate) fn problem(token: &str, jwks: &str, rules: &Rules<'_>) -> String {
    judged(token, jwks, rules, |_| ()).err().map(|error| error.to_string()).unwrap_or_default()
}

pub(crate) fn encoded(octets: &[u8]) -> String {
    base64url::letters(octets).map(char::from).collect()
}

pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut into = vec![0; text.len()];
    let length = base64url::decode("test", text.as_bytes(), &mut into).unwrap();
    into.truncate(length);
    into
}

/// A key made of one number.
pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_octets(&[number; 32]).unwrap()
}

/// A JWKS of one public key with the further members `more`, such as `"kid":"a",`.
pub(crate) fn jwks(more: &str, public: &PublicKey) -> String {
    let mut room = [0; jwk::PUBLIC_LEN];
    jwk::write(public, &mut room).unwrap();
    let jwk = std::str::from_utf8(&room).unwrap();
    format!(r#"{{"keys":[{{{more}{}]}}"#, &jwk[1..])
}

/// A compact JWS of any header and payload, signed by ES256 whatever the header says.
pub(crate) fn signed(header: &str, payload: &str, key: &SecretKey) -> String {
    let input = format!("{}.{}", encoded(header.as_bytes()), encoded(payload.as_bytes()));
    format!("{input}.{}", encoded(&sign(input.as_bytes(), key).0))
}

pub(crate) fn sign(input: &[u8], key: &SecretKey) -> Signature {
    /// SHA-256 in counter mode: noise for tests.
    struct Counter(u64);
    impl RawSource for Counter {
        const CENTIBITS_PER_OCTET: u16 = 800;
        fn read(&mut self, into: &mut [u8]) -> Result<(), EntropyFault> {
            for block in into.chunks_mut(32) {
                self.0 += 1;
                block.copy_from_slice(&sha256(&self.0.to_be_bytes())[..block.len()]);
            }
            Ok(())
        }
    }
    let mut drbg = Drbg::new(Tested::start(Counter(0)).unwrap().seed().unwrap(), b"test");
    key.sign(&sha256(input), &mut drbg).unwrap()
}
