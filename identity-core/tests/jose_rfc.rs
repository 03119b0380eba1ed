//! The examples of RFC 7515, 7517, 7638 and 9449.

mod jose;

use identity_core::crypto::{hmac_sha256, sha256, verify_p256};
use identity_core::error::Error;
use identity_core::jose::jwk::{self, KeySet, Material};
use identity_core::jose::verify::{EXPIRED, Rules, verify};
use identity_core::jose::{dpop, jws, jwt};
use identity_core::keys::{PublicKey, Signature};
use identity_core::time::{Judge, UnixTime};
use identity_core::wire::base64url;
use jose::{decoded, encoded, key, rules};

/// Claims of RFC 7515 appendix A.1 to A.3: `iss` is joe, `exp` is 1300819380, no `aud`.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7515 appendix A.2.1.
const RSA_KEY: &str = r#"{"keys":[{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}]}"#;

const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 appendix A.3.1, private member and all.
const EC_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]}"#;

const EC_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// The examples have no `aud`, so they are refused; but only after their signature was found good.
#[test]
fn rfc_7515_a_2_and_a_3_rs256_and_es256() {
    let rules = Rules { issuer: "joe", typ: None, judge: Judge::Wall(UnixTime(1_300_819_000)), ..rules() };
    for (header, keys, signature) in
        [("eyJhbGciOiJSUzI1NiJ9", RSA_KEY, RSA_SIGNATURE), ("eyJhbGciOiJFUzI1NiJ9", EC_KEY, EC_SIGNATURE)]
    {
        let token = format!("{header}.{PAYLOAD}.{signature}");
        assert_eq!(jose::problem(&token, keys, &rules), "JWT: its aud does not name the audience wanted");
        let token = format!("{header}.{PAYLOAD}.{}", &format!("A{}", &signature[1..]));
        assert!(jose::problem(&token, keys, &rules).contains("signature does not verify"));
        let token = format!("{header}.{}.{signature}", PAYLOAD.replacen("eyJ", "ey_", 1));
        assert!(jose::problem(&token, keys, &rules).contains("signature does not verify"));
    }
}

/// Appendix A.1: the key is no UTF-8, so it is held against the code that [`jws::finish_hs256`] uses.
#[test]
fn rfc_7515_a_1_hs256() {
    let key = decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let header = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let code = hmac_sha256(&key, &[header.as_bytes(), b".", PAYLOAD.as_bytes()]);
    assert_eq!(encoded(&code), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    let claims =
        jwt::read(&format!("{header}.{PAYLOAD}.{}", encoded(&code)), &mut [0; 200]).unwrap().unwrap().expires();
    assert_eq!(claims, Ok(Some(UnixTime(1_300_819_380))));
}

/// RFC 7515 appendix A.5 (`none`) and RFC 7519 appendix A.1 (encrypted, five parts).
#[test]
fn unsecured_and_encrypted_tokens_are_refused() {
    let rules = Rules { issuer: "joe", typ: None, ..rules() };
    let unsecured = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    assert_eq!(jose::problem(&unsecured, EC_KEY, &rules), "JWT: its alg is not one of those allowed");
    let encrypted = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2u.AxY8DCtD.MKOle7UQ.fiK51VwhsxJ";
    assert!(jose::problem(encrypted, EC_KEY, &rules).contains("not three parts"));
    assert!(jwt::read(encrypted, &mut [0; 200]).unwrap().is_none());
}

/// RFC 7517 appendix A.1: the EC key is for encryption, so only the RSA key is left.
#[test]
fn rfc_7517_a_1_public_keys() {
    let document = r#"{"keys":
       [
         {"kty":"EC",
          "crv":"P-256",
          "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
          "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
          "use":"enc",
          "kid":"1"},

         {"kty":"RSA",
          "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
          "e":"AQAB",
          "alg":"RS256",
          "kid":"2011-04-29"}
       ]
     }"#;
    let read = |document: &str| -> Vec<(Option<String>, usize)> {
        let keys = KeySet::parse(document.as_bytes()).unwrap().keys();
        keys.map(|key| {
            let octets = match key.material {
                Material::P256(point) => point.len(),
                Material::P384(point) => point.len(),
                Material::Rsa { modulus, .. } => base64url::decoded_len(modulus.len()),
            };
            (key.kid.map(|kid| String::from_utf8(kid.octets().collect()).unwrap()), octets)
        })
        .collect()
    };
    assert_eq!(read(document), [(Some("2011-04-29".into()), 256)]);
    let signing = document.replace("\"enc\"", "\"sig\"");
    assert_eq!(read(&signing), [(Some("1".into()), 65), (Some("2011-04-29".into()), 256)]);
}

/// RFC 7638 §3.1 has an RSA key; the device's own are on P-256, and RFC 9449 §6.1 has the thumbprint of one.
#[test]
fn thumbprints() {
    let (public, _) = proof_key(TOKEN_REQUEST);
    assert_eq!(encoded(&jwk::thumbprint(&public)), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    let mut room = [0; jwk::PUBLIC_LEN];
    assert_eq!(jwk::write(&public, &mut room), Ok(jwk::PUBLIC_LEN));
    assert_eq!(
        std::str::from_utf8(&room).unwrap(),
        r#"{"crv":"P-256","kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#
    );
    let wanted = jwk::PUBLIC_LEN;
    assert_eq!(jwk::write(&public, &mut room[1..]), Err(Error::NoSpace { what: "public JWK", wanted }));
}

/// RFC 9449 §5 figure 2.
const TOKEN_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";

/// RFC 9449 §7.1 figure 13.
const RESOURCE_REQUEST: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

/// The key in the header of a proof, once it has verified the proof; and the members of both its parts, sorted.
fn proof_key(proof: &str) -> (PublicKey, String) {
    let mut parts = proof.split('.');
    let (header, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let json = String::from_utf8(decoded(header)).unwrap();
    let jwk = &json[json.find("\"jwk\":").unwrap() + 6..json.len() - 1];
    let document = format!(r#"{{"keys":[{jwk}]}}"#);
    let Material::P256(point) = KeySet::parse(document.as_bytes()).unwrap().keys().next().unwrap().material else {
        panic!("not P-256")
    };
    let signature = Signature(decoded(signature).try_into().unwrap());
    let digest = sha256(format!("{header}.{payload}").as_bytes());
    verify_p256(&PublicKey(point), &digest, &signature).unwrap();
    let both = format!("{json}.{}", String::from_utf8(decoded(payload)).unwrap());
    let mut members: Vec<_> = both.split(['{', '}', ',', '.']).collect();
    members.sort_unstable();
    (PublicKey(point), members.join(","))
}

/// A proof of ours says what that of the RFC says, but for the key, and a `jti` as long as ours is.
#[test]
fn rfc_9449_proofs() {
    let secret = key(7);
    for (theirs, method, url, issued, token, jti) in [
        (TOKEN_REQUEST, "POST", "https://server.example.com/token?x=1", 1_562_262_616, None, "-BwC3ESc6acc2lTc"),
        (
            RESOURCE_REQUEST,
            "GET",
            "https://resource.example.org/protectedresource#top",
            1_562_262_618,
            Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            "e1j3V_bKic8-LAEB",
        ),
    ] {
        let (their_key, wanted) = proof_key(theirs);
        let (public, random) = (secret.public(), [9; 16]);
        let proof =
            dpop::Proof { key: &public, method, url, random: &random, issued: UnixTime(issued), token, nonce: None };
        let mut buffer = [0; 800];
        let length = dpop::write(&proof, &mut buffer).unwrap();
        let signature = jose::sign(&buffer[..length], &secret);
        let length = jws::finish(&mut buffer, length, &signature).unwrap();
        let (our_key, got) = proof_key(std::str::from_utf8(&buffer[..length]).unwrap());
        assert_eq!(our_key, public);
        let coordinate = |key: &PublicKey, half: usize| encoded(&key.0[1 + half * 32..33 + half * 32]);
        let mut wanted = wanted.replace(jti, &encoded(&random));
        for half in [0, 1] {
            wanted = wanted.replace(&coordinate(&their_key, half), &coordinate(&public, half));
        }
        let sorted = |text: &str| {
            let mut members: Vec<_> = text.split(',').map(str::to_owned).collect();
            members.sort_unstable();
            members
        };
        assert_eq!(sorted(&got), sorted(&wanted));
    }
}

/// RFC 7519 §4.1.4 and §4.1.5 to the second, and the skew on both sides.
#[test]
fn times_are_judged_to_the_second() {
    let secret = key(3);
    let jwks = jose::jwks("", &secret.public());
    let token = jose::signed(r#"{"alg":"ES256","typ":"at+jwt"}"#, jose::CLAIMS, &secret);
    let at = |judge| {
        let keys = KeySet::parse(jwks.as_bytes()).unwrap();
        verify(&token, keys, &Rules { judge, ..rules() }, &mut [0; 2000]).err()
    };
    let wall = |seconds: u64| at(Judge::Wall(UnixTime(seconds)));
    let (start, end) = (jose::ISSUED, jose::ISSUED + 3600);
    assert_eq!(wall(start), None);
    assert_eq!(wall(start - 30), None);
    assert!(wall(start - 31).unwrap().to_string().contains("in the future"));
    assert_eq!(wall(end + 29), None);
    assert_eq!(wall(end + 30), Some(EXPIRED));
    assert_eq!(at(Judge::Floor(UnixTime(start - 1_000_000))), None, "a floor says nothing of the start");
    assert_eq!(at(Judge::Floor(UnixTime(end + 30))), Some(EXPIRED));
}
