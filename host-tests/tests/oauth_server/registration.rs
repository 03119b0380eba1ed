//! Dynamic registration (RFC 7591) and its management (RFC 7592).

use crate::client::{Bench, JWT_ASSERTION, Key, Reply, START, basic, form};
use data_encoding::BASE64;
use host_tests::ca::{Ca, CaOptions, DAY, Validity};
use host_tests::http::HttpRequest;
use host_tests::oauth::{AuthOptions, InitialToken, Registration};
use serde_json::{Value, json};

fn bench(uses: u32) -> Bench {
    let token = InitialToken { token: "initial".into(), uses };
    Bench::new(AuthOptions { registration: Registration::Token(vec![token]), ..AuthOptions::default() })
}

fn register(bench: &mut Bench, metadata: &Value) -> Reply {
    let request = HttpRequest::post("/pumps/register", "application/json", metadata.to_string());
    bench.send(&request.with("Authorization", "Bearer initial"))
}

fn secret_client() -> Value {
    json!({ "grant_types": ["client_credentials"], "scope": "mqtt:publish", "client_name": "pump" })
}

#[test]
fn with_a_secret() {
    let mut bench = bench(1);
    let reply = register(&mut bench, &secret_client());
    assert_eq!((reply.status(), reply.response.header("Cache-Control")), (201, Some("no-store")));
    assert_eq!(reply.json["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(
        (&reply.json["client_secret_expires_at"], &reply.json["client_id_issued_at"]),
        (&json!(0), &json!(START))
    );
    assert_eq!(reply.json["client_name"], "pump");
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    let field = basic(&reply.text("client_id"), &reply.text("client_secret"));
    bench.send(&form("/pumps/token", &pairs).with("Authorization", &field)).granted();
    let more = [("grant_type", "client_credentials"), ("scope", "mqtt:subscribe")];
    bench.send(&form("/pumps/token", &more).with("Authorization", &field)).refused(400, "invalid_scope");
    let unregistered = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    bench.send(&form("/pumps/token", &unregistered).with("Authorization", &field)).refused(400, "unauthorized_client");
    register(&mut bench, &secret_client()).refused(401, "invalid_token"); // the initial token is used up
    let metadata = bench.get("/pumps/.well-known/openid-configuration").json;
    assert_eq!(metadata["registration_endpoint"], "https://id.plant.example/pumps/register");
}

#[test]
fn with_a_key_or_certificate() {
    let mut bench = bench(9);
    let key = Key::new();
    let reply = register(
        &mut bench,
        &json!({
            "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256", "jwks": { "keys": [key.jwk()] }, "unknown": { "a": 1 },
            "dpop_bound_access_tokens": true,
        }),
    );
    assert_eq!(reply.status(), 201, "{}", reply.json);
    assert_eq!((reply.json.get("client_secret"), reply.json.get("unknown")), (None, None));
    let claims = bench.assertion(&reply.text("client_id"));
    let assertion = key.jws(&json!({ "alg": "ES256" }), &claims);
    let pairs = [
        ("grant_type", "client_credentials"),
        ("scope", "mqtt:publish"),
        ("client_assertion_type", JWT_ASSERTION),
        ("client_assertion", &assertion),
    ];
    bench.send(&form("/pumps/token", &pairs).with("DPoP", &key.proof(START, None))).granted();

    let identity = Ca::with(START, &CaOptions::default()).client("me", Validity::starting(START, DAY));
    let certificate = identity.chain[0].clone();
    let mut jwk = Key::of_pkcs8(identity.key.pkcs8()).jwk();
    jwk["x5c"] = json!([BASE64.encode(&certificate)]);
    let self_signed = json!({
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "jwks": { "keys": [jwk] }, "tls_client_certificate_bound_access_tokens": true,
    });
    let id = register(&mut bench, &self_signed).text("client_id");
    bench.certificate = Some(certificate);
    bench.credentials(&[("client_id", &id)]).granted();
    let by_name = json!({
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_subject_dn": "CN=pump-7",
    });
    assert_eq!(register(&mut bench, &by_name).status(), 201);
}

#[test]
fn what_is_refused() {
    let mut bench = bench(99);
    let key = Key::new().jwk();
    let mut private = key.clone();
    private["d"] = json!("AAAA");
    let foreign = Ca::with(START, &CaOptions::default()).client("me", Validity::starting(START, DAY));
    let mut mismatched = key.clone();
    mismatched["x5c"] = json!([BASE64.encode(&foreign.chain[0])]);
    let keys = |key: &Value| json!({ "keys": [key] });
    let method = |method: &str, more: Value| {
        let mut metadata = json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": method });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        metadata
    };
    for metadata in [
        json!({}), // its default, authorization_code, is not served
        json!({ "grant_types": "client_credentials" }),
        json!({ "grant_types": ["password"] }),
        method("other", json!({})),
        method("private_key_jwt", json!({})),
        method("private_key_jwt", json!({ "jwks": { "keys": [] } })),
        method("private_key_jwt", json!({ "jwks": keys(&private) })),
        method("private_key_jwt", json!({ "jwks_uri": "https://pump.example/jwks" })),
        method("private_key_jwt", json!({ "jwks": keys(&key), "token_endpoint_auth_signing_alg": "RS256" })),
        method("self_signed_tls_client_auth", json!({ "jwks": keys(&key) })),
        method("self_signed_tls_client_auth", json!({ "jwks": keys(&mismatched) })),
        method("tls_client_auth", json!({})),
        method("tls_client_auth", json!({ "tls_client_auth_subject_dn": "CN=a", "tls_client_auth_san_dns": "a" })),
        method("none", json!({ "tls_client_auth_san_dns": "a" })),
        method("none", json!({ "scope": ["a"] })),
        method("none", json!({ "dpop_bound_access_tokens": "yes" })),
        method("none", json!({ "response_types": ["code"] })),
    ] {
        let reply = register(&mut bench, &metadata);
        assert_eq!((reply.status(), &reply.json["error"]), (400, &json!("invalid_client_metadata")), "{metadata}");
    }
    let twice = r#"{"grant_types":["client_credentials"],"grant_types":["client_credentials"]}"#;
    let request = HttpRequest::post("/pumps/register", "application/json", twice);
    bench.send(&request.with("Authorization", "Bearer initial")).refused(400, "invalid_client_metadata");
    let text = HttpRequest::post("/pumps/register", "text/plain", secret_client().to_string());
    bench.send(&text.with("Authorization", "Bearer initial")).refused(400, "invalid_request");
    let none = HttpRequest::post("/pumps/register", "application/json", secret_client().to_string());
    bench.send(&none).refused(401, "invalid_token");
    bench.send(&none.with("Authorization", "Bearer other")).refused(401, "invalid_token");
    bench.server.options.registration = Registration::Open;
    assert_eq!(
        bench.send(&HttpRequest::post("/pumps/register", "application/json", secret_client().to_string())).status(),
        201
    );
}

#[test]
fn read_updated_and_deleted() {
    let mut bench = bench(1);
    let reply = register(&mut bench, &secret_client());
    let (id, secret) = (reply.text("client_id"), reply.text("client_secret"));
    let uri = reply.text("registration_client_uri");
    let path = uri.strip_prefix("https://id.plant.example").unwrap().to_owned();
    let send = |bench: &mut Bench, method: &str, token: &str, body: &Value| {
        let mut request = HttpRequest::post(&path, "application/json", body.to_string());
        request.method = method.into();
        bench.send(&request.with("Authorization", &format!("Bearer {token}")))
    };
    let first = reply.text("registration_access_token");
    let read = send(&mut bench, "GET", &first, &Value::Null).granted();
    assert_eq!(read.json, reply.json);
    send(&mut bench, "GET", "other", &Value::Null).refused(401, "invalid_token");

    let mut update = secret_client();
    send(&mut bench, "PUT", &first, &update).refused(400, "invalid_request"); // no client_id
    update["client_id"] = id.as_str().into();
    update["client_secret"] = json!("mine");
    send(&mut bench, "PUT", &first, &update).refused(400, "invalid_request");
    update["client_secret"] = secret.as_str().into();
    update["registration_access_token"] = first.as_str().into();
    send(&mut bench, "PUT", &first, &update).refused(400, "invalid_request");
    update.as_object_mut().unwrap().remove("registration_access_token");
    update["scope"] = json!("mqtt:subscribe");
    let updated = send(&mut bench, "PUT", &first, &update).granted();
    assert_eq!((&updated.json["scope"], &updated.json["client_secret"]), (&json!("mqtt:subscribe"), &json!(secret)));
    let second = updated.text("registration_access_token");
    assert_ne!(first, second);
    send(&mut bench, "GET", &first, &Value::Null).refused(401, "invalid_token");

    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:subscribe")];
    let field = basic(&id, &secret);
    let token = bench.send(&form("/pumps/token", &pairs).with("Authorization", &field)).granted().text("access_token");
    assert_eq!(send(&mut bench, "DELETE", &second, &Value::Null).status(), 204);
    assert!(!bench.server.active(START, &token));
    send(&mut bench, "GET", &second, &Value::Null).refused(401, "invalid_token");
    bench.send(&form("/pumps/token", &pairs).with("Authorization", &field)).refused(401, "invalid_client");
}

#[test]
fn a_secret_that_ends_is_renewed_by_an_update() {
    let mut bench = bench(1);
    bench.server.options.secret_lifetime = Some(3600);
    let reply = register(&mut bench, &secret_client());
    assert_eq!(reply.json["client_secret_expires_at"], START + 3600);
    let id = reply.text("client_id");
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    let ask = |bench: &mut Bench, secret: &str| {
        bench.send(&form("/pumps/token", &pairs).with("Authorization", &basic(&id, secret)))
    };
    let first = reply.text("client_secret");
    ask(&mut bench, &first).granted();
    bench.now += 3600;
    ask(&mut bench, &first).refused(401, "invalid_client");
    let mut update = secret_client();
    update["client_id"] = id.as_str().into();
    let mut request = HttpRequest::post(&format!("/pumps/register/{id}"), "application/json", update.to_string());
    request.method = "PUT".into();
    let token = format!("Bearer {}", reply.text("registration_access_token"));
    let updated = bench.send(&request.with("Authorization", &token)).granted();
    assert_eq!(updated.json["client_secret_expires_at"], START + 7200);
    ask(&mut bench, &updated.text("client_secret")).granted();
    ask(&mut bench, &first).refused(401, "invalid_client");
}
