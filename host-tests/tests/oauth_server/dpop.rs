//! DPoP at the token endpoint (RFC 9449 §4.3, §5, §8).

use crate::client::{Bench, Key, START, TOKEN, verified};
use host_tests::oauth::{AuthFault, AuthOptions, Client, Credential, Endpoint};
use serde_json::{Value, json};

fn bench(nonce: Option<u64>) -> Bench {
    let client = Client::new("pump-7", Credential::Basic("secret".into()));
    Bench::new(AuthOptions { clients: vec![client], dpop_nonce: nonce, ..AuthOptions::default() })
}

#[test]
fn the_token_is_bound_to_the_key_of_the_proof() {
    let (mut bench, key) = (bench(None), Key::new());
    let reply = bench.with_proof(&key.proof(START, None)).granted();
    assert_eq!(reply.json["token_type"], "DPoP");
    assert_eq!(reply.response.header("DPoP-Nonce"), None);
    let claims = verified(&mut bench.server, &reply.text("access_token"));
    assert_eq!(claims["cnf"], json!({ "jkt": key.thumbprint() }));
    let same = key.proof_with(START, "POST", "HTTPS://ID.plant.example:443/pumps/token", |_, _| {});
    bench.with_proof(&same).granted();
}

#[test]
fn bad_proofs() {
    let (mut bench, key) = (bench(None), Key::new());
    type Change = fn(&mut Value, &mut Value);
    let changes: [(&str, Change); 20] = [
        ("typ", |header, _| header["typ"] = json!("JWT")),
        ("no typ", |header, _| drop(header.as_object_mut().unwrap().remove("typ"))),
        ("alg none", |header, _| header["alg"] = json!("none")),
        ("alg HS256", |header, _| header["alg"] = json!("HS256")),
        ("no key", |header, _| drop(header.as_object_mut().unwrap().remove("jwk"))),
        ("private key", |header, _| header["jwk"]["d"] = json!("AAAA")),
        ("another key", |header, _| header["jwk"] = Key::new().jwk()),
        ("another curve", |header, _| header["jwk"]["crv"] = json!("P-384")),
        ("off the curve", |header, _| header["jwk"]["y"] = header["jwk"]["x"].clone()),
        ("crit", |header, _| header["crit"] = json!(["exp"])),
        ("no jti", |_, claims| drop(claims.as_object_mut().unwrap().remove("jti"))),
        ("short jti", |_, claims| claims["jti"] = json!("1")),
        ("htm", |_, claims| claims["htm"] = json!("GET")),
        ("htm in lower case", |_, claims| claims["htm"] = json!("post")),
        ("htu of another endpoint", |_, claims| claims["htu"] = json!("https://id.plant.example/pumps/introspect")),
        ("htu over http", |_, claims| claims["htu"] = json!("http://id.plant.example/pumps/token")),
        ("htu with query", |_, claims| claims["htu"] = json!(format!("{TOKEN}?a=b"))),
        ("old", |_, claims| claims["iat"] = json!(START - 61)),
        ("early", |_, claims| claims["iat"] = json!(START + 61)),
        ("no iat", |_, claims| drop(claims.as_object_mut().unwrap().remove("iat"))),
    ];
    for (name, change) in changes {
        let proof = key.proof_with(START, "POST", TOKEN, change);
        let reply = bench.with_proof(&proof);
        assert_eq!((reply.status(), &reply.json["error"]), (400, &json!("invalid_dpop_proof")), "{name}");
    }
    let proof = key.proof(START, None);
    bench.with_proof(&proof).granted();
    bench.with_proof(&proof).refused(400, "invalid_dpop_proof"); // replay
    bench.with_proof("not.a.jws").refused(400, "invalid_dpop_proof");
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    let twice = crate::client::form("/pumps/token", &pairs)
        .with("Authorization", &crate::client::basic("pump-7", "secret"))
        .with("DPoP", &key.proof(START, None))
        .with("DPoP", &key.proof(START, None));
    bench.send(&twice).refused(400, "invalid_dpop_proof");
    let client = bench.server.client("pump-7").unwrap().clone().dpop_bound();
    bench.server.add(client);
    let none =
        crate::client::form("/pumps/token", &pairs).with("Authorization", &crate::client::basic("pump-7", "secret"));
    bench.send(&none).refused(400, "invalid_dpop_proof");
}

#[test]
fn nonces_are_demanded_and_change() {
    let (mut bench, key) = (bench(Some(60)), Key::new());
    let reply = bench.with_proof(&key.proof(START, None));
    reply.refused(400, "use_dpop_nonce");
    let nonce = reply.response.header("DPoP-Nonce").unwrap().to_owned();
    let reply = bench.with_proof(&key.proof(START, Some(&nonce))).granted();
    assert_eq!(reply.response.header("DPoP-Nonce"), Some(nonce.as_str()));
    bench.with_proof(&key.proof(START, Some("invented"))).refused(400, "use_dpop_nonce");

    bench.now += 60; // the next change: the old one still does, and the reply tells the new one
    let reply = bench.with_proof(&key.proof(bench.now, Some(&nonce))).granted();
    let next = reply.response.header("DPoP-Nonce").unwrap().to_owned();
    assert_ne!(next, nonce);
    bench.now += 60;
    bench.with_proof(&key.proof(bench.now, Some(&nonce))).refused(400, "use_dpop_nonce");
    bench.with_proof(&key.proof(bench.now, Some(&next))).granted();
}

#[test]
fn a_nonce_demanded_twice() {
    let (mut bench, key) = (bench(None), Key::new());
    bench.server.inject(Endpoint::Token, AuthFault::DemandNonce, 2);
    let first = bench.with_proof(&key.proof(START, None));
    first.refused(400, "use_dpop_nonce");
    let nonce = first.response.header("DPoP-Nonce").unwrap();
    let second = bench.with_proof(&key.proof(START, Some(nonce)));
    second.refused(400, "use_dpop_nonce");
    assert_ne!(second.response.header("DPoP-Nonce"), Some(nonce));
    bench.with_proof(&key.proof(START, second.response.header("DPoP-Nonce"))).granted();
}
