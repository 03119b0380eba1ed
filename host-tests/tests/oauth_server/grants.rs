//! Metadata, client credentials, resources, token exchange, JWT bearer, introspection, revocation.

use crate::client::{Bench, ISSUER, Key, START, TOKEN, basic, form, unique, verified};
use host_tests::http::HttpRequest;
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::{AssertionIssuer, AuthOptions, Client, Credential, Resource, UnknownScopes};
use serde_json::{Value, json};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const MQTT: &str = "https://mqtt.plant.example";
const API: &str = "https://api.plant.example";
const ME: [(&str, &str); 2] = [("client_id", "pump-7"), ("client_secret", "secret")];

fn bench() -> Bench {
    Bench::new(AuthOptions {
        clients: vec![
            Client::new("pump-7", Credential::Post("secret".into())),
            Client::new("pump-8", Credential::Post("secret".into())).grants(&["refresh_token"]),
            Client::new("broker", Credential::Basic("secret".into())).resource_server(),
        ],
        resources: vec![Resource::jwt(MQTT, &["mqtt:publish", "mqtt:subscribe"]), Resource::opaque(API, &["api:read"])],
        ..AuthOptions::default()
    })
}

fn token(bench: &mut Bench, pairs: &[(&str, &str)]) -> crate::client::Reply {
    bench.token(&[&ME, pairs].concat())
}

fn credentials(bench: &mut Bench, pairs: &[(&str, &str)]) -> crate::client::Reply {
    token(bench, &[&[("grant_type", "client_credentials")], pairs].concat())
}

#[test]
fn metadata_of_both_kinds() {
    let mut bench = bench();
    let oauth = bench.get("/.well-known/oauth-authorization-server/pumps");
    let openid = bench.get("/pumps/.well-known/openid-configuration");
    for document in [&oauth.json, &openid.json] {
        assert_eq!((&document["issuer"], &document["token_endpoint"]), (&json!(ISSUER), &json!(TOKEN)));
        for member in ["jwks_uri", "device_authorization_endpoint", "introspection_endpoint", "revocation_endpoint"] {
            assert!(document[member].as_str().unwrap().starts_with(ISSUER), "{member}");
        }
        assert_eq!(document.get("registration_endpoint"), None);
        assert_eq!(document.get("mtls_endpoint_aliases"), None);
    }
    assert!(openid.json["subject_types_supported"].is_array());
    assert_eq!(bench.get("/.well-known/oauth-authorization-server").status(), 404);
    assert_eq!(bench.get("/pumps/token").status(), 405);
    bench.server.options.rfc8414 = false;
    assert_eq!(bench.get("/.well-known/oauth-authorization-server/pumps").status(), 404);
}

#[test]
fn keys_change_and_old_tokens_stay_good() {
    let mut bench = bench();
    let old = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted().text("access_token");
    bench.server.rotate_key(false);
    let new = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted().text("access_token");
    verified(&mut bench.server, &old);
    verified(&mut bench.server, &new);
    bench.server.rotate_key(true);
    assert_eq!(bench.get("/pumps/jwks").json["keys"].as_array().unwrap().len(), 1);
    assert!(!bench.get("/pumps/jwks").json.to_string().contains("\"d\""));
}

#[test]
fn client_credentials() {
    let mut bench = bench();
    let reply = credentials(&mut bench, &[("scope", "mqtt:publish mqtt:subscribe")]).granted();
    assert_eq!(reply.json["token_type"], "Bearer");
    assert_eq!((&reply.json["expires_in"], &reply.json["scope"]), (&json!(300), &json!("mqtt:publish mqtt:subscribe")));
    assert_eq!(reply.json.get("refresh_token"), None);
    let claims = verified(&mut bench.server, &reply.text("access_token"));
    let wanted = json!({
        "iss": ISSUER, "sub": "pump-7", "client_id": "pump-7", "aud": MQTT, "scope": "mqtt:publish mqtt:subscribe",
        "iat": START, "exp": START + 300, "jti": claims["jti"],
    });
    assert_eq!(claims, wanted);
    assert_eq!(bench.server.issued().len(), 1);

    credentials(&mut bench, &[]).refused(400, "invalid_scope");
    for scope in ["", "mqtt:publish  mqtt:subscribe", "other", "mqtt:publish other", "a\"b", "api:read"] {
        credentials(&mut bench, &[("scope", scope)]).refused(400, "invalid_scope");
    }
    bench.server.options.unknown_scopes = UnknownScopes::Drop;
    bench.server.options.terse_scope = true;
    let reply = credentials(&mut bench, &[("scope", "mqtt:publish other")]).granted();
    assert_eq!(reply.json["scope"], "mqtt:publish");
    let reply = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted();
    assert_eq!(reply.json.get("scope"), None);
    token(&mut bench, &[("grant_type", "password")]).refused(400, "unsupported_grant_type");
    token(&mut bench, &[]).refused(400, "invalid_request");
    let other = [("client_id", "pump-8"), ("client_secret", "secret"), ("grant_type", "client_credentials")];
    bench.token(&other).refused(400, "unauthorized_client");
    let client = bench.server.client("pump-7").unwrap().clone().default_scope("mqtt:publish").scopes(&["mqtt:publish"]);
    bench.server.add(client);
    credentials(&mut bench, &[]).granted();
}

#[test]
fn resources_and_audiences() {
    let mut bench = bench();
    let reply = credentials(&mut bench, &[("scope", "api:read"), ("resource", API)]).granted();
    assert!(!reply.text("access_token").contains('.'), "opaque");
    credentials(&mut bench, &[("scope", "mqtt:publish"), ("audience", MQTT)]).granted();
    let both = [("scope", "api:read mqtt:publish"), ("resource", MQTT), ("resource", API)];
    credentials(&mut bench, &both).granted();
    assert_eq!(bench.server.issued().last().unwrap().audience, [MQTT, API]);
    for resource in ["https://elsewhere.example", "mqtt.plant.example", "https://mqtt.plant.example#x"] {
        credentials(&mut bench, &[("scope", "mqtt:publish"), ("resource", resource)]).refused(400, "invalid_target");
    }
    credentials(&mut bench, &[("scope", "api:read"), ("resource", MQTT)]).refused(400, "invalid_scope");
}

#[test]
fn token_exchange() {
    let mut bench = bench();
    let issuer = Key::new();
    let key = Jwk::read(issuer.jwk().as_object().unwrap()).unwrap();
    bench.server.options.assertion_issuers = vec![AssertionIssuer { issuer: "https://factory.example".into(), key }];
    let own = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted().text("access_token");
    let base = [("grant_type", EXCHANGE), ("scope", "api:read"), ("resource", API)];
    let subject = [("subject_token", own.as_str()), ("subject_token_type", ACCESS_TOKEN)];
    let reply = token(&mut bench, &[&base, &subject[..]].concat()).granted();
    assert_eq!(reply.json["issued_token_type"], ACCESS_TOKEN);
    assert_eq!(reply.json["token_type"], "Bearer");

    let mut claims = json!({ "iss": "https://factory.example", "sub": "line-2", "aud": TOKEN, "exp": START + 60 });
    let foreign = issuer.jws(&json!({ "alg": "ES256" }), &claims);
    let with_actor = [
        ("grant_type", EXCHANGE),
        ("scope", "mqtt:publish"),
        ("subject_token", &foreign),
        ("subject_token_type", JWT),
        ("actor_token", &own),
        ("actor_token_type", ACCESS_TOKEN),
        ("requested_token_type", JWT),
    ];
    let reply = token(&mut bench, &with_actor).granted();
    let exchanged = verified(&mut bench.server, &reply.text("access_token"));
    assert_eq!((&exchanged["sub"], &exchanged["act"]), (&json!("line-2"), &json!({ "sub": "pump-7" })));

    token(&mut bench, &base).refused(400, "invalid_request");
    token(&mut bench, &with_actor[..5]).refused(400, "invalid_request");
    let saml = [("subject_token", "x"), ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")];
    token(&mut bench, &[&base, &saml[..]].concat()).refused(400, "invalid_request");
    let wanted = [("requested_token_type", "urn:ietf:params:oauth:token-type:saml2")];
    token(&mut bench, &[&base, &subject[..], &wanted].concat()).refused(400, "invalid_request");
    claims["exp"] = json!(START - 60);
    let stale = issuer.jws(&json!({ "alg": "ES256" }), &claims);
    let stale = [("subject_token", stale.as_str()), ("subject_token_type", JWT)];
    token(&mut bench, &[&base, &stale[..]].concat()).refused(400, "invalid_request");
    let elsewhere = [("grant_type", EXCHANGE), ("scope", "a"), ("audience", "https://elsewhere.example")];
    token(&mut bench, &[&elsewhere, &subject[..]].concat()).refused(400, "invalid_target");
    bench.now += 300;
    token(&mut bench, &[&base, &subject[..]].concat()).refused(400, "invalid_request"); // expired
}

#[test]
fn jwt_bearer() {
    let mut bench = bench();
    let (issuer, own) = (Key::new(), Key::new());
    let read = |key: &Key| Jwk::read(key.jwk().as_object().unwrap()).unwrap();
    let believed = AssertionIssuer { issuer: "https://factory.example".into(), key: read(&issuer) };
    bench.server.options.assertion_issuers = vec![believed];
    bench.server.add(Client::new("pump-9", Credential::Keys(vec![read(&own)])));
    let header = json!({ "alg": "ES256" });
    let claims = |change: (&str, Value)| {
        let mut claims = json!({
            "iss": "https://factory.example", "sub": "pump-7", "aud": ISSUER, "exp": START + 60, "jti": unique(),
        });
        claims[change.0] = change.1;
        claims
    };
    let mut send = |assertion: &str| {
        token(&mut bench, &[("grant_type", JWT_BEARER), ("scope", "mqtt:publish"), ("assertion", assertion)])
    };
    let good = issuer.jws(&header, &claims(("sub", json!("pump-7"))));
    send(&good).granted();
    send(&good).refused(400, "invalid_grant"); // replay
    send(&own.jws(&header, &claims(("sub", json!("pump-7"))))).refused(400, "invalid_grant");
    for change in [("aud", json!("x")), ("exp", json!(START - 60)), ("iss", json!("x")), ("sub", json!(7))] {
        send(&issuer.jws(&header, &claims(change))).refused(400, "invalid_grant");
    }
    send("").refused(400, "invalid_request");

    // RFC 7521 §4.1: a client's own assertion needs no client authentication besides
    let claims = bench.assertion("pump-9");
    let assertion = own.jws(&header, &claims);
    let pairs = [("grant_type", JWT_BEARER), ("scope", "mqtt:publish"), ("assertion", assertion.as_str())];
    let reply = bench.token(&pairs).granted();
    assert_eq!(verified(&mut bench.server, &reply.text("access_token"))["client_id"], "pump-9");
    bench.token(&pairs).refused(400, "invalid_grant");
    let mut claims = bench.assertion("pump-9");
    claims["sub"] = json!("pump-7");
    let assertion = own.jws(&header, &claims);
    let pairs = [("grant_type", JWT_BEARER), ("scope", "mqtt:publish"), ("assertion", assertion.as_str())];
    bench.token(&pairs).refused(400, "invalid_grant");
}

#[test]
fn introspection_and_revocation() {
    let mut bench = bench();
    let token = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted().text("access_token");
    let ask = |bench: &mut Bench, token: &str| {
        let request = form("/pumps/introspect", &[("token", token)]);
        bench.send(&request.with("Authorization", &basic("broker", "secret"))).granted().json
    };
    let told = ask(&mut bench, &token);
    assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!("pump-7")));
    assert_eq!((&told["exp"], &told["token_type"]), (&json!(START + 300), &json!("Bearer")));
    assert_eq!(ask(&mut bench, "unknown"), json!({ "active": false }));
    let own = bench.send(&form("/pumps/introspect", &[&ME[..], &[("token", &token)]].concat())).granted().json;
    assert_eq!(own["active"], true);
    let other = [("client_id", "pump-8"), ("client_secret", "secret"), ("token", token.as_str())];
    assert_eq!(bench.send(&form("/pumps/introspect", &other)).granted().json, json!({ "active": false }));
    bench.send(&form("/pumps/introspect", &[("token", &token)])).refused(401, "invalid_client");
    bench.send(&form("/pumps/introspect", &ME)).refused(400, "invalid_request");

    bench.send(&form("/pumps/revoke", &other)).refused(400, "unauthorized_client");
    bench.send(&form("/pumps/revoke", &ME)).refused(400, "invalid_request");
    bench.send(&form("/pumps/revoke", &[("token", &token)])).refused(401, "invalid_client");
    assert_eq!(ask(&mut bench, &token)["active"], true);
    for token in [token.as_str(), "unknown"] {
        let pairs = [&ME[..], &[("token", token), ("token_type_hint", "whatever")]].concat();
        let reply = bench.send(&form("/pumps/revoke", &pairs));
        assert_eq!((reply.status(), reply.response.body.len()), (200, 0));
    }
    assert_eq!(ask(&mut bench, &token), json!({ "active": false }));
    let late = credentials(&mut bench, &[("scope", "mqtt:publish")]).granted().text("access_token");
    bench.now += 300;
    assert_eq!(ask(&mut bench, &late), json!({ "active": false }));
    assert_eq!(bench.send(&HttpRequest::get("/pumps/revoke")).status(), 405);
    assert!(bench.server.served().iter().any(|served| served.error.as_deref() == Some("unauthorized_client")));
}
