//! What the device writes (assertions, proofs) and what it reads of its own tokens.

mod jose;

use identity_core::config::Secret;
use identity_core::crypto::{hmac_sha256, sha256, verify_p256};
use identity_core::error::Error;
use identity_core::jose::assertion::{self, Assertion};
use identity_core::jose::dpop::{self, Proof};
use identity_core::jose::jwt::{self, Claims, Confirmation};
use identity_core::jose::{jwk, jws};
use identity_core::keys::Signature;
use identity_core::time::UnixTime;
use jose::{decoded, encoded, key, sign};
use proptest::prelude::*;

const NOW: UnixTime = UnixTime(1_700_000_000);

fn parts(token: &[u8]) -> (String, String, String) {
    let token = std::str::from_utf8(token).unwrap();
    let [header, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let json = |text: &str| String::from_utf8(decoded(text)).unwrap();
    (json(header), json(claims), signature.to_owned())
}

/// SEQUENCEs that stand for certificates.
const LEAF: [u8; 5] = [0x30, 3, 2, 1, 1];
const ISSUER: [u8; 4] = [0x30, 2, 5, 0];

#[test]
fn private_key_jwt() {
    let secret = key(5);
    let mut buffer = [0; 900];
    let chain = [&LEAF[..], &ISSUER].concat();
    let plain = Assertion::of_client("c-7", "https://id.example/token", &[0; 16], NOW);
    let full = Assertion {
        kid: Some("k\"1"),
        certificate: Some(&LEAF),
        chain: &chain,
        not_before: true,
        lifetime: 300,
        ..plain
    };
    let claims =
        r#"{"iss":"c-7","sub":"c-7","aud":"https://id.example/token","jti":"AAAAAAAAAAAAAAAAAAAAAA","iat":1700000000"#;
    for (assertion, header, rest) in [
        (plain, r#"{"typ":"JWT","alg":"ES256"}"#.to_owned(), r#","exp":1700000060}"#),
        (
            full,
            format!(
                r#"{{"typ":"JWT","alg":"ES256","kid":"k\"1","x5t#S256":"{}","x5c":["MAMCAQE=","MAIFAA=="]}}"#,
                encoded(&sha256(&LEAF))
            ),
            r#","nbf":1700000000,"exp":1700000300}"#,
        ),
    ] {
        let length = assertion::write(&assertion, &mut buffer).unwrap();
        let signature = sign(&buffer[..length], &secret);
        let whole = jws::finish(&mut buffer, length, &signature).unwrap();
        assert_eq!(whole, length + jws::MAX_OVERHEAD);
        let (got_header, got_claims, got_signature) = parts(&buffer[..whole]);
        assert_eq!(got_header, header);
        assert_eq!(got_claims, format!("{claims}{rest}"));
        let signature = Signature(decoded(&got_signature).try_into().unwrap());
        verify_p256(&secret.public(), &sha256(&buffer[..length]), &signature).unwrap();
        // The space wanted is exact, and told before anything is signed.
        let mut exact = vec![0; whole];
        assert_eq!(assertion::write(&assertion, &mut exact), Ok(length));
        for short in [0, 1, 20, 60, length, whole - 1] {
            let wanted = Err(Error::NoSpace { what: "assertion", wanted: whole });
            assert_eq!(assertion::write(&assertion, &mut exact[..short]), wanted);
        }
    }
}

#[test]
fn client_secret_jwt() {
    let secret = "a client secret of 32 octets, min";
    let assertion = Assertion::of_client("c-7", "https://id.example", &[1; 16], NOW);
    let mut buffer = [0; 500];
    let length = assertion::write_hs256(&assertion, &Secret::new(secret), &mut buffer).unwrap();
    let token = std::str::from_utf8(&buffer[..length]).unwrap();
    let (input, code) = token.rsplit_once('.').unwrap();
    assert_eq!(code, encoded(&hmac_sha256(secret.as_bytes(), &[input.as_bytes()])));
    assert!(parts(token.as_bytes()).0.contains(r#""alg":"HS256""#));
    assert!(!token.contains(secret) && !parts(token.as_bytes()).1.contains(secret));
    let short = assertion::write_hs256(&assertion, &Secret::new("31 octets are one octet too few"), &mut buffer);
    assert!(matches!(short, Err(Error::Misuse(problem)) if problem.contains("32 octets")));
}

#[test]
fn bearer_grant() {
    let assertion = Assertion {
        issuer: "https://plant.example",
        subject: "device-7",
        scope: Some("telemetry:write"),
        ..Assertion::of_client("", "https://id.example", &[1; 16], NOW)
    };
    let mut buffer = [0; 500];
    let length = assertion::write(&assertion, &mut buffer).unwrap();
    let length = jws::finish(&mut buffer, length, &Signature::EMPTY).unwrap();
    let claims = parts(&buffer[..length]).1;
    assert!(claims.starts_with(r#"{"iss":"https://plant.example","sub":"device-7","aud":"https://id.example""#));
    assert!(claims.ends_with(r#","exp":1700000060,"scope":"telemetry:write"}"#));
    for bad in [
        Assertion { issuer: "", ..assertion },
        Assertion { subject: "", ..assertion },
        Assertion { audience: "", ..assertion },
        Assertion { lifetime: 0, ..assertion },
        Assertion { chain: &LEAF[..4], ..assertion },
        Assertion { chain: b"-----BEGIN", ..assertion },
    ] {
        assert!(matches!(assertion::write(&bad, &mut buffer), Err(Error::Misuse(_))));
    }
}

#[test]
fn dpop_proof() {
    let public = key(5).public();
    let proof = Proof {
        key: &public,
        method: "POST",
        url: "https://id.example/token?a=b#c",
        random: &[2; 16],
        issued: NOW,
        token: Some("abc"),
        nonce: Some("n-\"1"),
    };
    let mut buffer = [0; 800];
    let length = dpop::write(&proof, &mut buffer).unwrap();
    let length = jws::finish(&mut buffer, length, &Signature::EMPTY).unwrap();
    let (header, claims, _) = parts(&buffer[..length]);
    let mut jwk = [0; jwk::PUBLIC_LEN];
    jwk::write(&public, &mut jwk).unwrap();
    assert_eq!(header, format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{}}}"#, std::str::from_utf8(&jwk).unwrap()));
    assert_eq!(
        claims,
        format!(
            r#"{{"jti":"AgICAgICAgICAgICAgICAg","htm":"POST","htu":"https://id.example/token","iat":1700000000,"ath":"{}","nonce":"n-\"1"}}"#,
            encoded(&sha256(b"abc"))
        )
    );
    let variable = "POST".len() + "https://id.example/token".len() + "n-\\\"1".len();
    assert!(length <= dpop::BASE_LEN + variable.div_ceil(3) * 4, "{length}");
    assert!(length + 30 > dpop::BASE_LEN + variable.div_ceil(3) * 4, "{length}: BASE_LEN is too large");
    for url in ["", "?a", "#a"] {
        assert!(matches!(dpop::write(&Proof { url, ..proof }, &mut buffer), Err(Error::Misuse(_))));
    }
}

#[test]
fn finishing_where_there_is_no_room_or_no_input() {
    let mut buffer = [7; 100];
    let no_space = |wanted| Err(Error::NoSpace { what: "JWS", wanted });
    assert_eq!(jws::finish(&mut buffer, 14, &Signature::EMPTY), no_space(101));
    assert_eq!(buffer, [7; 100]);
    assert_eq!(jws::finish(&mut buffer, 13, &Signature::EMPTY), Ok(100));
    assert!(matches!(jws::finish(&mut buffer, 101, &Signature::EMPTY), Err(Error::Misuse(_))));
    let secret = Secret::new("a client secret of 32 octets, min");
    assert_eq!(jws::finish_hs256(&mut buffer, 57, &secret), no_space(101));
    assert!(matches!(jws::finish_hs256(&mut buffer, 101, &secret), Err(Error::Misuse(_))));
}

fn read<R>(claims: &str, look: impl FnOnce(Claims<'_>) -> R) -> R {
    let token = format!("{}.{}.c2ln", encoded(br#"{"alg":"RS256"}"#), encoded(claims.as_bytes()));
    look(jwt::read(&token, &mut [0; 1000]).unwrap().unwrap())
}

fn texts<'a>(texts: impl Iterator<Item = identity_core::wire::json::Text<'a>>) -> Vec<String> {
    texts.map(|text| String::from_utf8(text.octets().collect()).unwrap()).collect()
}

#[test]
fn claims_of_the_devices_own_tokens() {
    let digest = encoded(&[7; 32]);
    let claims = format!(
        r#"{{"iss":"i","sub":"s","aud":"a","exp":9.5,"nbf":8,"iat":7,"jti":"j","scope":"x y","client_id":"c","azp":"z","cnf":{{"jkt":"{digest}"}}}}"#
    );
    read(&claims, |claims| {
        assert!(claims.issuer().unwrap().unwrap().is("i") && claims.subject().unwrap().unwrap().is("s"));
        assert!(claims.id().unwrap().unwrap().is("j") && claims.client_id().unwrap().unwrap().is("c"));
        assert_eq!(claims.expires(), Ok(Some(UnixTime(9))));
        assert_eq!((claims.not_before(), claims.issued()), (Ok(Some(UnixTime(8))), Ok(Some(UnixTime(7)))));
        assert_eq!(texts(claims.audiences().unwrap()), ["a"]);
        assert_eq!(texts(claims.scopes().unwrap()), ["x", "y"]);
        assert_eq!(claims.confirmation(), Ok(Some(Confirmation { jkt: Some([7; 32]), x5t_s256: None })));
        assert_eq!(claims.object().members().count(), 11);
    });
    // Entra ID: scp as words; Okta: scp as an array; neither has client_id.
    for scp in [r#""x y""#, r#"["x","y"]"#] {
        read(&format!(r#"{{"aud":["a","b"],"scp":{scp},"azp":"z","cnf":{{"x5t#S256":"{digest}"}}}}"#), |claims| {
            assert_eq!(texts(claims.audiences().unwrap()), ["a", "b"]);
            assert_eq!(texts(claims.scopes().unwrap()), ["x", "y"]);
            assert!(claims.client_id().unwrap().unwrap().is("z"));
            assert_eq!(claims.confirmation(), Ok(Some(Confirmation { jkt: None, x5t_s256: Some([7; 32]) })));
        });
    }
    read("{}", |claims| {
        assert_eq!(claims.scopes().unwrap().count() + claims.audiences().unwrap().count(), 0);
        assert_eq!((claims.expires(), claims.confirmation()), (Ok(None), Ok(None)));
        assert!(claims.client_id().unwrap().is_none());
    });
    read(r#"{"scope":7,"aud":{},"exp":"9","cnf":{"jkt":"AAAA"},"sub":1,"iss":"a","iss":"b"}"#, |claims| {
        assert!(claims.scopes().is_err() && claims.audiences().is_err() && claims.expires().is_err());
        assert!(claims.confirmation().is_err() && claims.subject().is_err() && claims.issuer().is_err());
    });
}

#[test]
fn opaque_tokens_are_no_jwt() {
    for opaque in ["", "2YotnFZFEjr1zCsicMWpAA", "a.b", "a.b.c", "a.b.c.d.e", "é.é.é", "e30", "..", "bnVsbA.e30.c2ln"]
    {
        assert!(matches!(jwt::read(opaque, &mut [0; 100]), Ok(None)), "{opaque}");
    }
    let mut scratch = [0; 7000];
    for (claims, what) in [("bnVsbA", "not an object"), ("eyJ", "base64url"), ("e30=", "padding")] {
        let error = jwt::read(&format!("e30.{claims}.c2ln"), &mut scratch).err().unwrap().to_string();
        assert!(error.starts_with("JWT claims") && (error.contains(what) || error.contains("cut short")), "{error}");
    }
    let large = format!("e30.{}.c2ln", encoded(&[b' '; 6200]));
    assert!(matches!(jwt::read(&large, &mut scratch), Err(Error::Malformed { what: "JWT", .. })));
    let no_space = Some(Error::NoSpace { what: "JWT claims", wanted: 30 });
    assert_eq!(jwt::read(&format!("e30.{}.c2ln", encoded(&[b' '; 30])), &mut [0; 29]).err(), no_space);
    assert_eq!(jwt::read("e30.e30.c2ln", &mut [0; 1]).err(), Some(Error::NoSpace { what: "JWT header", wanted: 2 }));
}

proptest! {
    #[test]
    fn any_token_is_read_or_refused(claims in ".{0,100}", token in "[A-Za-z0-9_.=-]{0,100}") {
        let _ = jwt::read(&token, &mut [0; 100]).is_ok();
        let token = format!("e30.{}.c2ln", encoded(claims.as_bytes()));
        if let Ok(Some(claims)) = jwt::read(&token, &mut [0; 400]) {
            let _ = (claims.expires(), claims.confirmation(), claims.scopes().map(Iterator::count));
        }
    }

    #[test]
    fn any_text_goes_into_an_assertion_and_comes_out(client in ".{1,40}", audience in ".{1,40}") {
        let mut buffer = [0; 2000];
        let length = assertion::write(&Assertion::of_client(&client, &audience, &[0; 16], NOW), &mut buffer).unwrap();
        let length = jws::finish(&mut buffer, length, &Signature::EMPTY).unwrap();
        let token = std::str::from_utf8(&buffer[..length]).unwrap();
        let mut scratch = [0; 2000];
        let claims = jwt::read(token, &mut scratch).unwrap().unwrap();
        prop_assert!(claims.issuer().unwrap().unwrap().is(&client));
        prop_assert!(claims.audiences().unwrap().next().unwrap().is(&audience));
    }
}
