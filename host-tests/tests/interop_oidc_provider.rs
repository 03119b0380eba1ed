//! npm's oidc-provider before a raw client: every way to ask for a token that the device will use, and its refusals.

#[allow(dead_code)] // shared with the tests of the test bed's own server
#[path = "oauth_server/client.rs"]
mod client;

use client::{JWT_ASSERTION, Key, basic, form, hs256, sha256, unique};
use host_tests::ca::{Ca, CaOptions, DAY, Identity, Validity};
use host_tests::http::{HttpRequest, HttpResponse};
use host_tests::https_client::send;
use host_tests::key::KeyKind;
use host_tests::oidc_provider::{OidcProvider, OidcProviderOptions, SECRET, clients};
use host_tests::server::system_clock;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const MQTT: &str = "https://mqtt.plant.example";

struct World {
    provider: OidcProvider,
    ca: Ca,
    key: Key,
    /// Of `tls_client_auth` and of `self_signed_tls_client_auth`.
    pump: Identity,
    own: Identity,
}

impl World {
    /// None, said aloud, if the provider is not installed.
    fn start(nonce: bool) -> Option<Self> {
        if !OidcProvider::available() {
            assert!(std::env::var_os("CI").is_none(), "install oidc-provider: cargo xtask setup");
            eprintln!("skipped: cargo xtask setup installs oidc-provider");
            return None;
        }
        let now = system_clock()();
        let validity = Validity::starting(now, DAY);
        let mut ca = Ca::with(now, &CaOptions::default());
        let server = ca.server(KeyKind::P256, &["localhost"], &[Ipv4Addr::LOCALHOST], validity);
        let pump = ca.client("pump-7", validity);
        let own = Ca::with(now, &CaOptions::default()).client("pump-7", validity);
        let key = Key::new();
        let certified = Key::of_pkcs8(own.key.pkcs8()).jwk();
        let mut clients = clients(&key.jwk(), &own.chain[0], "CN=pump-7");
        for client in &mut clients {
            if client["client_id"] == "self_signed_tls_client_auth" {
                for (name, value) in certified.as_object().unwrap() {
                    client["jwks"]["keys"][0][name] = value.clone();
                }
            }
        }
        let options = OidcProviderOptions { clients, nonce, ..OidcProviderOptions::default() };
        let provider = OidcProvider::start(&server, &ca.certificates(), &options).unwrap();
        Some(Self { provider, ca, key, pump, own })
    }

    fn send(&self, identity: Option<&Identity>, request: &HttpRequest) -> (HttpResponse, Value) {
        let response = send(self.provider.port(), self.ca.root(), identity, request).unwrap();
        let json = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response, json)
    }

    /// Client credentials for `mqtt:publish` with these parameters besides.
    fn request(pairs: &[(&str, &str)]) -> HttpRequest {
        let base = [("grant_type", "client_credentials"), ("scope", "mqtt:publish"), ("resource", MQTT)];
        form("/token", &[&base, pairs].concat())
    }

    fn claims(&self, id: &str) -> Value {
        let now = system_clock()();
        json!({ "iss": id, "sub": id, "aud": self.provider.issuer(), "jti": unique(), "iat": now, "exp": now + 60 })
    }
}

/// Claims of a JWT, not verified: the provider's signature is not what is judged here.
fn claims(reply: &Value) -> Value {
    let token = reply["access_token"].as_str().unwrap_or_else(|| panic!("{reply}"));
    let payload = token.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

#[track_caller]
fn refused(reply: &(HttpResponse, Value), status: u16, error: &str) {
    assert_eq!((reply.0.status, &reply.1["error"]), (status, &json!(error)), "{}", reply.1);
}

#[test]
fn metadata_and_keys() {
    let Some(world) = World::start(false) else { return };
    let (_, metadata) = world.send(None, &HttpRequest::get("/.well-known/openid-configuration"));
    assert_eq!(metadata["issuer"], world.provider.issuer());
    assert_eq!(metadata["token_endpoint"], format!("{}/token", world.provider.issuer()));
    let (_, keys) = world.send(None, &HttpRequest::get("/jwks"));
    assert_eq!((&keys["keys"][0]["crv"], keys["keys"][0].get("d")), (&json!("P-256"), None));
}

#[test]
fn client_credentials_by_each_client_authentication() {
    let Some(world) = World::start(false) else { return };
    let good = |reply: (HttpResponse, Value), id: &str| {
        assert_eq!(reply.0.status, 200, "{id}: {}", reply.1);
        let claims = claims(&reply.1);
        assert_eq!(
            (&claims["client_id"], &claims["scope"], &claims["aud"]),
            (&json!(id), &json!("mqtt:publish"), &json!(MQTT))
        );
        claims
    };
    let by_basic = |secret: &str| World::request(&[]).with("Authorization", &basic("client_secret_basic", secret));
    good(world.send(None, &by_basic(SECRET)), "client_secret_basic");
    refused(&world.send(None, &by_basic("wrong")), 401, "invalid_client");
    let by_post = |secret| World::request(&[("client_id", "client_secret_post"), ("client_secret", secret)]);
    good(world.send(None, &by_post(SECRET)), "client_secret_post");
    refused(&world.send(None, &by_post("wrong")), 401, "invalid_client");

    let by_jwt = |jwt: &str| World::request(&[("client_assertion_type", JWT_ASSERTION), ("client_assertion", jwt)]);
    let jwt = hs256(SECRET, &json!({ "alg": "HS256" }), &world.claims("client_secret_jwt"));
    good(world.send(None, &by_jwt(&jwt)), "client_secret_jwt");
    let jwt = world.key.jws(&json!({ "alg": "ES256" }), &world.claims("private_key_jwt"));
    good(world.send(None, &by_jwt(&jwt)), "private_key_jwt");
    refused(&world.send(None, &by_jwt(&jwt)), 401, "invalid_client"); // replay
    let jwt = Key::new().jws(&json!({ "alg": "ES256" }), &world.claims("private_key_jwt"));
    refused(&world.send(None, &by_jwt(&jwt)), 401, "invalid_client");

    for (id, right, wrong) in
        [("tls_client_auth", &world.pump, &world.own), ("self_signed_tls_client_auth", &world.own, &world.pump)]
    {
        let request = World::request(&[("client_id", id)]);
        let claims = good(world.send(Some(right), &request), id);
        assert_eq!(claims["cnf"], json!({ "x5t#S256": sha256(&right.chain[0]) }), "{id}");
        refused(&world.send(Some(wrong), &request), 401, "invalid_client");
        refused(&world.send(None, &request), 401, "invalid_client");
    }
}

#[test]
fn dpop_with_and_without_nonce() {
    for nonce in [false, true] {
        let Some(world) = World::start(nonce) else { return };
        let url = format!("{}/token", world.provider.issuer());
        let ask = |nonce: Option<&str>| {
            let proof = world.key.proof_with(system_clock()(), "POST", &url, |_, claims| {
                if let Some(nonce) = nonce {
                    claims["nonce"] = nonce.into();
                }
            });
            world.send(None, &World::request(&[]).with("Authorization", &basic("dpop", SECRET)).with("DPoP", &proof))
        };
        let mut reply = ask(None);
        if nonce {
            refused(&reply, 400, "use_dpop_nonce");
            reply = ask(reply.0.header("DPoP-Nonce"));
        }
        assert_eq!((reply.0.status, &reply.1["token_type"]), (200, &json!("DPoP")), "{}", reply.1);
        assert_eq!(claims(&reply.1)["cnf"], json!({ "jkt": world.key.thumbprint() }));
        let none = world.send(None, &World::request(&[]).with("Authorization", &basic("dpop", SECRET)));
        assert_eq!(none.0.status, 400, "{}", none.1);
    }
}

#[test]
fn device_grant_and_refresh() {
    let Some(world) = World::start(false) else { return };
    let begin = || {
        let pairs = [("client_id", "none"), ("scope", "openid offline_access mqtt:publish"), ("resource", MQTT)];
        world.send(None, &form("/device/auth", &pairs)).1
    };
    let poll = |begun: &Value| {
        let code = begun["device_code"].as_str().unwrap();
        let pairs = [("client_id", "none"), ("grant_type", client::DEVICE_CODE), ("device_code", code)];
        world.send(None, &form("/token", &pairs))
    };
    let begun = begin();
    refused(&poll(&begun), 400, "authorization_pending");
    world.provider.decide(begun["user_code"].as_str().unwrap(), true).unwrap();
    let (_, granted) = poll(&begun);
    assert_eq!(claims(&granted)["scope"], "mqtt:publish");
    let refresh = |token: &Value| {
        let token = token.as_str().unwrap();
        let pairs = [("client_id", "none"), ("grant_type", "refresh_token"), ("refresh_token", token)];
        world.send(None, &form("/token", &pairs))
    };
    let (_, renewed) = refresh(&granted["refresh_token"]);
    assert_ne!(renewed["refresh_token"], granted["refresh_token"]);
    refused(&refresh(&granted["refresh_token"]), 400, "invalid_grant");
    refused(&refresh(&renewed["refresh_token"]), 400, "invalid_grant"); // the family is gone
    let denied = begin();
    world.provider.decide(denied["user_code"].as_str().unwrap(), false).unwrap();
    refused(&poll(&denied), 400, "access_denied");
    assert!(world.provider.decide("XXXX-XXXX", true).is_err());
}

#[test]
fn registration_and_its_management() {
    let Some(world) = World::start(false) else { return };
    let metadata = json!({
        "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        "id_token_signed_response_alg": "ES256", "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256", "jwks": { "keys": [world.key.jwk()] },
    });
    let register = |token: &str| {
        let request = HttpRequest::post("/reg", "application/json", metadata.to_string());
        world.send(None, &request.with("Authorization", &format!("Bearer {token}")))
    };
    refused(&register("other"), 401, "invalid_token");
    let (response, registered) = register("initial");
    assert_eq!(response.status, 201, "{registered}");
    let id = registered["client_id"].as_str().unwrap();
    let jwt = world.key.jws(&json!({ "alg": "ES256" }), &world.claims(id));
    let pairs = [("client_assertion_type", JWT_ASSERTION), ("client_assertion", jwt.as_str())];
    assert_eq!(world.send(None, &World::request(&pairs)).0.status, 200);

    let manage = |method: &str, token: &Value, body: &Value| {
        let mut request = HttpRequest::post(&format!("/reg/{id}"), "application/json", body.to_string());
        request.method = method.into();
        world.send(None, &request.with("Authorization", &format!("Bearer {}", token.as_str().unwrap())))
    };
    let first = &registered["registration_access_token"];
    let mut update = metadata.clone();
    update["client_id"] = json!(id);
    update["client_name"] = json!("pump");
    let (response, updated) = manage("PUT", first, &update);
    assert_eq!((response.status, &updated["client_name"]), (200, &json!("pump")), "{updated}");
    refused(&manage("PUT", first, &update), 401, "invalid_token"); // it rotates
    assert_eq!(manage("DELETE", &updated["registration_access_token"], &Value::Null).0.status, 204);
}

#[test]
fn introspection_and_revocation() {
    let Some(world) = World::start(false) else { return };
    let by = |path: &str, token: &str| {
        let request = form(path, &[("token", token)]).with("Authorization", &basic("client_secret_basic", SECRET));
        world.send(None, &request)
    };
    // a JWT is not on record there: an opaque token is asked for, without resource
    let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
    let request = form("/token", &pairs).with("Authorization", &basic("client_secret_basic", SECRET));
    let (_, granted) = world.send(None, &request);
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(by("/token/introspection", token).1["active"], true);
    assert_eq!(by("/token/introspection", "unknown").1, json!({ "active": false }));
    assert_eq!(by("/token/revocation", token).0.status, 200);
    assert_eq!(by("/token/introspection", token).1, json!({ "active": false }));
    refused(&world.send(None, &form("/token/revocation", &[("token", token)])), 400, "invalid_request");
}
