//! Client authentication.

use crate::client::{Bench, ISSUER, JWT_ASSERTION, Key, START, TOKEN, basic, form, hs256, unique, verified};
use data_encoding::BASE64;
use host_tests::ca::{Ca, CaOptions, DAY, Leaf, Purpose, Validity};
use host_tests::der;
use host_tests::http::HttpRequest;
use host_tests::key::KeyKind;
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::{AssertionAudience, AuthOptions, Client, Credential, Subject};
use serde_json::{Value, json};

fn bench(credential: Credential) -> Bench {
    Bench::new(AuthOptions { clients: vec![Client::new("pump-7", credential)], ..AuthOptions::default() })
}

fn jwk(key: &Key, kid: Option<&str>) -> Jwk {
    let mut value = key.jwk();
    if let Some(kid) = kid {
        value["kid"] = kid.into();
    }
    Jwk::read(value.as_object().unwrap()).unwrap()
}

fn by_basic(bench: &mut Bench, field: &str) -> crate::client::Reply {
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    bench.send(&form("/pumps/token", &pairs).with("Authorization", field))
}

fn by_assertion(bench: &mut Bench, assertion: &str) -> crate::client::Reply {
    bench.credentials(&[("client_assertion_type", JWT_ASSERTION), ("client_assertion", assertion)])
}

#[test]
fn client_secret_basic() {
    let secret = "p+w d:%\u{e9}/";
    let mut bench = bench(Credential::Basic(secret.into()));
    by_basic(&mut bench, &basic("pump-7", secret)).granted();
    by_basic(&mut bench, &basic("pump-7", "wrong")).refused(401, "invalid_client");
    by_basic(&mut bench, &basic("pump-8", secret)).refused(401, "invalid_client");
    let not_encoded = format!("Basic {}", BASE64.encode(format!("pump-7:{secret}").as_bytes()));
    by_basic(&mut bench, &not_encoded).refused(401, "invalid_client");
    by_basic(&mut bench, "Bearer abc").refused(401, "invalid_client");
    bench.credentials(&[("client_id", "pump-7"), ("client_secret", secret)]).refused(401, "invalid_client");
    bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client");
    bench.credentials(&[]).refused(401, "invalid_client");
}

#[test]
fn client_secret_post_and_one_method_only() {
    let mut bench = bench(Credential::Post("secret".into()));
    bench.credentials(&[("client_id", "pump-7"), ("client_secret", "secret")]).granted();
    bench.credentials(&[("client_id", "pump-7"), ("client_secret", "other")]).refused(401, "invalid_client");
    bench.credentials(&[("client_secret", "secret")]).refused(400, "invalid_request");
    by_basic(&mut bench, &basic("pump-7", "secret")).refused(401, "invalid_client");
    let both = [
        ("grant_type", "client_credentials"),
        ("scope", "mqtt:publish"),
        ("client_id", "pump-7"),
        ("client_secret", "secret"),
    ];
    let request = form("/pumps/token", &both).with("Authorization", &basic("pump-7", "secret"));
    bench.send(&request).refused(400, "invalid_request");
    let in_uri = form("/pumps/token?client_id=pump-7", &both);
    bench.send(&in_uri).refused(400, "invalid_request");
    let json = HttpRequest::post("/pumps/token", "application/json", "{}");
    bench.send(&json).refused(400, "invalid_request");
    bench.token(&[("grant_type", "a"), ("grant_type", "a")]).refused(400, "invalid_request");
}

#[test]
fn a_secret_ends() {
    let mut bench = bench(Credential::Basic("secret".into()));
    let mut client = bench.server.client("pump-7").unwrap().clone();
    client.secret_expires_at = START + 10;
    bench.server.add(client);
    by_basic(&mut bench, &basic("pump-7", "secret")).granted();
    bench.now += 10;
    by_basic(&mut bench, &basic("pump-7", "secret")).refused(401, "invalid_client");
}

#[test]
fn client_secret_jwt() {
    let secret = "a secret of at least thirty-two octets";
    let mut bench = bench(Credential::SecretJwt(secret.into()));
    let claims = bench.assertion("pump-7");
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    by_assertion(&mut bench, &hs256(secret, &header, &claims)).granted();
    by_assertion(&mut bench, &hs256(secret, &header, &claims)).refused(401, "invalid_client"); // replay
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &hs256("other", &header, &claims)).refused(401, "invalid_client");
    by_assertion(&mut bench, &hs256(secret, &json!({ "alg": "none" }), &claims)).refused(401, "invalid_client");
    by_assertion(&mut bench, &Key::new().jws(&json!({ "alg": "ES256" }), &claims)).refused(401, "invalid_client");
}

#[test]
fn private_key_jwt_by_keys() {
    let (key, spare) = (Key::new(), Key::new());
    let mut bench = bench(Credential::Keys(vec![jwk(&key, Some("one")), jwk(&spare, Some("two"))]));
    let header = json!({ "alg": "ES256", "kid": "one" });
    for audience in [json!(ISSUER), json!(TOKEN), json!(["https://elsewhere.example", ISSUER])] {
        let mut claims = bench.assertion("pump-7");
        claims["aud"] = audience;
        by_assertion(&mut bench, &key.jws(&header, &claims)).granted();
    }
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &spare.jws(&json!({ "alg": "ES256" }), &claims)).granted();
    by_assertion(&mut bench, &spare.jws(&json!({ "alg": "ES256" }), &claims)).refused(401, "invalid_client"); // replay

    let mut wrong: Vec<(&str, Value)> = vec![
        ("aud", json!("https://elsewhere.example")),
        ("aud", Value::Null),
        ("iss", json!("pump-8")),
        ("sub", json!("pump-8")),
        ("jti", Value::Null),
        ("exp", Value::Null),
        ("exp", json!(START - 11)),
        ("exp", json!(START + 3600)),
        ("exp", json!("soon")),
        ("nbf", json!(START + 60)),
        ("iat", json!(START + 60)),
    ];
    for (name, value) in wrong.drain(..) {
        let mut claims = bench.assertion("pump-7");
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        let reply = by_assertion(&mut bench, &key.jws(&header, &claims));
        assert_eq!((reply.status(), reply.text("error").as_str()), (401, "invalid_client"), "{name}: {value}");
    }
    for header in [
        json!({ "alg": "ES256", "kid": "two" }),
        json!({ "alg": "ES256", "kid": "three" }),
        json!({ "alg": "ES384", "kid": "one" }),
        json!({ "alg": "none", "kid": "one" }),
        json!({ "alg": "ES256", "kid": "one", "crit": ["b64"] }),
        json!({ "alg": "ES256", "kid": "one", "typ": "dpop+jwt" }),
    ] {
        let claims = bench.assertion("pump-7");
        by_assertion(&mut bench, &key.jws(&header, &claims)).refused(401, "invalid_client");
    }
    // RFC 7521 §4.2: client_id may come along, if it is the same
    let claims = bench.assertion("pump-7");
    let assertion = key.jws(&header, &claims);
    let pairs = [("client_assertion_type", JWT_ASSERTION), ("client_assertion", &assertion), ("client_id", "pump-8")];
    bench.credentials(&pairs).refused(400, "invalid_request");
    bench.credentials(&pairs[1..2]).refused(400, "invalid_request");
    bench
        .credentials(&[("client_assertion_type", "urn:other"), ("client_assertion", "a.b.c")])
        .refused(401, "invalid_client");
}

#[test]
fn a_key_without_name_is_named_by_its_thumbprint() {
    let key = Key::new();
    let mut bench = bench(Credential::Keys(vec![jwk(&key, None)]));
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &key.jws(&json!({ "alg": "ES256", "kid": key.thumbprint() }), &claims)).granted();
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &key.jws(&json!({ "alg": "ES256", "kid": "one" }), &claims))
        .refused(401, "invalid_client");
}

#[test]
fn providers_differ_in_the_audience_they_want() {
    let key = Key::new();
    let mut bench = bench(Credential::Keys(vec![jwk(&key, None)]));
    for (wish, good, bad) in
        [(AssertionAudience::Issuer, ISSUER, TOKEN), (AssertionAudience::TokenEndpoint, TOKEN, ISSUER)]
    {
        bench.server.options.assertion_audience = wish;
        let mut send = |audience: Value| {
            let mut claims = bench.assertion("pump-7");
            claims["aud"] = audience;
            by_assertion(&mut bench, &key.jws(&json!({ "alg": "ES256" }), &claims))
        };
        send(json!(good)).granted();
        send(json!(bad)).refused(401, "invalid_client");
        send(json!([good, bad])).refused(401, "invalid_client");
    }
}

#[test]
fn private_key_jwt_by_certificate() {
    let mut ca = Ca::with(START, &CaOptions::default());
    let validity = Validity::starting(START, DAY);
    let (identity, other) = (ca.client("pump-7", validity), ca.client("pump-7", validity));
    let key = Key::of_pkcs8(identity.key.pkcs8());
    let named = |certificate: &[u8]| crate::client::sha256(certificate);
    let mut bench = bench(Credential::Certificates(vec![identity.chain[0].clone()]));
    let header = json!({ "alg": "ES256", "x5t#S256": named(&identity.chain[0]) });
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &key.jws(&header, &claims)).granted();
    for header in [json!({ "alg": "ES256" }), json!({ "alg": "ES256", "x5t#S256": named(&other.chain[0]) })] {
        let claims = bench.assertion("pump-7");
        by_assertion(&mut bench, &key.jws(&header, &claims)).refused(401, "invalid_client");
    }

    // by the chain in the header, so that a renewed certificate needs no registration
    let client = Client::new("pump-7", Credential::Chain(Subject::Name("CN=pump-7".into())));
    bench.server.add(client);
    bench.server.options.trust = vec![ca.root().to_vec()];
    let x5c = |certificate: &[u8]| json!({ "alg": "ES256", "x5c": [BASE64.encode(certificate)] });
    for identity in [&identity, &other] {
        let claims = bench.assertion("pump-7");
        let key = Key::of_pkcs8(identity.key.pkcs8());
        by_assertion(&mut bench, &key.jws(&x5c(&identity.chain[0]), &claims)).granted();
    }
    let stranger = ca.client("pump-8", validity);
    let impostor = ca.impostor(START).client("pump-7", validity);
    for identity in [&stranger, &impostor] {
        let claims = bench.assertion("pump-7");
        let key = Key::of_pkcs8(identity.key.pkcs8());
        by_assertion(&mut bench, &key.jws(&x5c(&identity.chain[0]), &claims)).refused(401, "invalid_client");
    }
    let claims = bench.assertion("pump-7");
    by_assertion(&mut bench, &key.jws(&x5c(&other.chain[0]), &claims)).refused(401, "invalid_client"); // not its key
}

#[test]
fn tls_client_auth_and_bound_tokens() {
    let mut ca = Ca::with(START, &CaOptions::default());
    let validity = Validity::starting(START, DAY);
    let pump = ca.client("pump-7", validity).chain[0].clone();
    let mut bench = bench(Credential::Tls(Subject::Name("CN=pump-7".into())));
    bench.server.options.trust = vec![ca.root().to_vec()];
    bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client");
    bench.certificate = Some(pump.clone());
    let reply = bench.credentials(&[("client_id", "pump-7")]).granted();
    let claims = verified(&mut bench.server, &reply.text("access_token"));
    assert_eq!(claims.get("cnf"), None);

    let client = bench.server.client("pump-7").unwrap().clone().certificate_bound();
    bench.server.add(client);
    let reply = bench.credentials(&[("client_id", "pump-7")]).granted();
    let claims = verified(&mut bench.server, &reply.text("access_token"));
    assert_eq!(claims["cnf"], json!({ "x5t#S256": crate::client::sha256(&pump) }));
    assert_eq!(reply.json["token_type"], "Bearer");

    for wrong in [ca.client("pump-8", validity), ca.impostor(START).client("pump-7", validity)] {
        bench.certificate = Some(wrong.chain[0].clone());
        bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client");
    }
    bench.certificate = Some(pump);
    bench.now += 2 * DAY;
    bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client"); // expired
}

#[test]
fn tls_client_auth_by_alternative_name() {
    let mut ca = Ca::with(START, &CaOptions::default());
    let key = host_tests::key::Key::generate(KeyKind::P256);
    let names = [
        der::tlv(0x82, b"pump-7.plant.example"),
        der::tlv(0x86, b"urn:dev:os:32473-pump-7"),
        der::tlv(0x81, b"pump-7@plant.example"),
        der::tlv(0x87, &[10, 0, 0, 7]),
    ];
    let certificate = ca.issue(&Leaf {
        spki: key.spki(),
        subject: &der::common_name("pump, \"seven\""),
        alternative: Some(&der::sequence(&[&names.concat()])),
        purpose: Purpose::Client,
        validity: Validity::starting(START, DAY),
    });
    let right = [
        Subject::Dns("pump-7.plant.example".into()),
        Subject::Uri("urn:dev:os:32473-pump-7".into()),
        Subject::Email("pump-7@plant.example".into()),
        Subject::Ip("10.0.0.7".into()),
        Subject::Name("CN=pump\\, \\\"seven\\\"".into()),
    ];
    for subject in right {
        assert!(subject.owns(&certificate), "{subject:?}");
    }
    let wrong = [
        Subject::Dns("plant.example".into()),
        Subject::Uri("pump-7.plant.example".into()),
        Subject::Ip("10.0.0.8".into()),
        Subject::Name("CN=pump".into()),
    ];
    for subject in wrong {
        assert!(!subject.owns(&certificate), "{subject:?}");
    }
}

#[test]
fn self_signed_tls_client_auth() {
    let mut own = Ca::with(START, &CaOptions::default());
    let validity = Validity::starting(START, DAY);
    let (mine, other) = (own.client("me", validity).chain[0].clone(), own.client("me", validity).chain[0].clone());
    let mut bench = bench(Credential::SelfSigned(vec![mine.clone()]));
    bench.certificate = Some(mine);
    bench.credentials(&[("client_id", "pump-7")]).granted();
    bench.certificate = Some(other);
    bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client");
}

#[test]
fn with_aliases_certificates_count_there_only() {
    let mut ca = Ca::with(START, &CaOptions::default());
    let mut bench = bench(Credential::Tls(Subject::Name("CN=pump-7".into())));
    bench.server.options.trust = vec![ca.root().to_vec()];
    bench.server.options.mtls_base = Some("https://mtls.plant.example/pumps-mtls".into());
    bench.certificate = Some(ca.client("pump-7", Validity::starting(START, DAY)).chain[0].clone());
    bench.credentials(&[("client_id", "pump-7")]).refused(401, "invalid_client");
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish"), ("client_id", "pump-7")];
    bench.send(&form("/pumps-mtls/token", &pairs)).granted();
    let metadata = bench.get("/.well-known/oauth-authorization-server/pumps").json;
    let alias = &metadata["mtls_endpoint_aliases"]["token_endpoint"];
    assert_eq!(alias, "https://mtls.plant.example/pumps-mtls/token");
}

#[test]
fn public_clients() {
    let mut bench = bench(Credential::Public);
    bench.credentials(&[("client_id", "pump-7")]).refused(400, "unauthorized_client");
    bench.credentials(&[("client_id", &unique())]).refused(401, "invalid_client");
}
