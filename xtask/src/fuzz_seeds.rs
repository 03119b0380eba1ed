//! What the fuzzer starts from: one sound input of each kind, in the layout that its target reads.

use crate::shell::root;

/// The seeds of a target.
pub(crate) fn seeds(target: &str) -> Result<Vec<Vec<u8>>, String> {
    let texts: &[&[u8]] = match target {
        "json" => &[br#"{"a":"b\u00e9\ud83d\ude00","n":-1.5e3,"l":[true,null,{}],"a":"twice"}"#],
        "token_reply" => &[
            b"\x00\x00\x00{\"access_token\":\"a.b.c\",\"token_type\":\"bEarer\",\"expires_in\":300,\"scope\":\"a b\",\"refresh_token\":\"r\"}",
            b"\x00\x00\x00{\"device_code\":\"d\",\"user_code\":\"WDJB\",\"verification_uri\":\"https://x/\",\"expires_in\":600,\"interval\":5}",
            b"\x05\x00\x00{\"error\":\"invalid_client\",\"error_description\":\"no such client\"}",
        ],
        "metadata" => &[
            b"\x00{\"issuer\":\"https://id.example/t\",\"token_endpoint\":\"https://id.example/t/token\",\"mtls_endpoint_aliases\":{\"token_endpoint\":\"https://mtls.id.example:8443/token\"}}",
            b"\x03{\"issuer\":\"https:\\/\\/id.example\\/t\",\"token_endpoint\":\"https://id.example\",\"jwks_uri\":\"https://id.example/jwks\"}",
        ],
        "jwt" => &[
            b"\x01{\"alg\":\"ES256\"}\0{\"iss\":\"https://id.example\",\"aud\":[\"https://mqtt.example\"],\"exp\":1800000300,\"iat\":1800000000,\"scope\":\"a b\"}",
            b"\x03{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"crit\":[\"b64\"]}\0{\"iss\":\"https://id.example\",\"aud\":\"https://mqtt.example\",\"exp\":1800000300,\"cnf\":{\"jkt\":\"AAAA\"}}",
            b"\x00{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"alg\":\"RS256\"}]}\0eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
        ],
        "http_fields" => &[
            b"Sun, 06 Nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-94 08:49:37 GMT",
            b"Sun Nov  6 08:49:37 1994",
            b"120",
            b"application/problem+json; charset=utf-8",
            b"DPoP error=\"use_dpop_nonce\", algs=\"ES256\"",
        ],
        "http" => &[
            b"\x01\x20\x03HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nDPoP-Nonce: n1\r\n\r\n{}",
            b"\x00\x20\x05HTTP/1.1 401 No\r\nWWW-Authenticate: DPoP error=\"invalid_token\"\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
            b"\x00\x20\x02HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 Busy\r\nRetry-After: 9\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nlater",
        ],
        "mqtt" => &[
            b"\x00\x03\x00\x02\x03\x05\x04\x00\x00\x00\x40\x02\x00\x01\x90\x04\x00\x02\x00\x01\x32\x08\x00\x01a\x00\x07\x0017\xF0\x00",
            b"\x01\x01\x00\x02\x03\x04\x03\x03\x03\x03\x40\x02\x00\x01\x90\x03\x00\x02\x01\x30\x05\x00\x01a17\xD0\x00",
            b"\x06\x09\x05\x03\x03\x03\x03\x03\x03\x03\x20\x0C\x00\x00\x09\x13\x00\x3C\x24\x00\x25\x00\x22\x00\x05\xF0\x02\x18\x00\xE0\x01\x87",
        ],
        "est" => &[
            b"\x00\x00\x00\x04\x00MAAGCSqGSIb3DQEHAqAAMAA=",
            b"\x02\x02\x00\x05\x00MAsGCSqGSIb3DQEJBw==",
            b"\x03\x03\x02\x00\x01",
        ],
        "record" => &[
            b"\xA2\x00\x01\x01\x01",
            b"\xA2\x00\x01\x01\x1A\x6B\x49\xD2\x00",
            b"\xA2\x00\x01\x01\x43\x30\x01\x00",
            b"\xA5\x00\x01\x01\x43\x30\x01\x00\x02\x82\x00\x03\x03\x00\x04\x18\x64",
            b"\xA3\x00\x01\x01\x58\x20\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x02\x61r",
        ],
        "agent" => &[&[2; 512], &[0; 512], b"\x02\xC2\xC2\xC2\xC2", &[1, 255, 194, 20, 0, 21, 0, 202, 3, 3, 3, 0, 0, 0, 210]],
        "certificate" | "sntp" => &[],
        _ => return Err(format!("no seeds for {target:?}; add some to xtask/src/fuzz_seeds.rs")),
    };
    let mut seeds: Vec<Vec<u8>> = texts.iter().map(|seed| seed.to_vec()).collect();
    match target {
        "certificate" => {
            let folder = root().join("boards/qemu-mps2-an386/chains");
            for name in ["p256", "p384", "rsa2048"] {
                let chain = std::fs::read(folder.join(format!("{name}.der"))).map_err(|error| error.to_string())?;
                seeds.push([&[1][..], &turned(&chain)].concat());
            }
        }
        "sntp" => {
            let mut answer = vec![0; 56];
            (answer[8], answer[9]) = (0x24, 2);
            answer[48..52].copy_from_slice(&0xEE00_0000_u32.to_be_bytes());
            seeds.push(answer);
        }
        _ => {}
    }
    Ok(seeds)
}

/// A chain with its last certificate, the root, at the front.
fn turned(chain: &[u8]) -> Vec<u8> {
    let mut at = 0;
    let mut last = 0;
    while let Some(&[0x30, 0x82, high, low]) = chain.get(at..at + 4) {
        last = at;
        at += 4 + usize::from(high) * 256 + usize::from(low);
    }
    [&chain[last..], &chain[..last]].concat()
}
