//! The resource server: bearer, certificate-bound and DPoP tokens, and each where it must not pass.

use crate::client::{Bench, Key, START, basic, form, sha256};
use host_tests::http::{HttpRequest, HttpResponse};
use host_tests::oauth::resource::{ResourceFault, ResourceOptions, ResourceServer};
use host_tests::oauth::{AuthOptions, Client, Credential, Resource};

const API: &str = "https://api.plant.example";

fn servers(options: ResourceOptions, client: impl Fn(Client) -> Client) -> (Bench, ResourceServer) {
    let bench = Bench::new(AuthOptions {
        clients: vec![client(Client::new("pump-7", Credential::Basic("secret".into())))],
        resources: vec![
            Resource::jwt(API, &["api:read", "api:write"]),
            Resource::jwt("https://x.example", &["api:read"]),
        ],
        ..AuthOptions::default()
    });
    (bench, ResourceServer::new(options))
}

fn token(bench: &mut Bench, key: Option<&Key>, more: &[(&str, &str)]) -> String {
    let pairs = [&[("grant_type", "client_credentials"), ("scope", "api:read")], more].concat();
    let mut request = form("/pumps/token", &pairs).with("Authorization", &basic("pump-7", "secret"));
    if let Some(key) = key {
        request = request.with("DPoP", &key.proof(bench.now, None));
    }
    bench.send(&request).granted().text("access_token")
}

fn call(bench: &Bench, api: &mut ResourceServer, request: &HttpRequest) -> HttpResponse {
    api.handle(bench.now, bench.certificate.as_deref(), request, &bench.server)
}

#[track_caller]
fn refused(response: &HttpResponse, status: u16, error: &str) {
    let value = response.header("WWW-Authenticate").unwrap_or_default();
    assert_eq!(response.status, status, "{value}");
    assert!(value.contains(&format!("error=\"{error}\"")), "{value}");
}

fn get(authorization: &str) -> HttpRequest {
    HttpRequest::get("/flow?unit=l").with("Authorization", authorization)
}

#[test]
fn bearer_tokens() {
    let (mut bench, mut api) = servers(ResourceOptions::default(), |client| client);
    let good = token(&mut bench, None, &[]);
    assert_eq!(call(&bench, &mut api, &get(&format!("Bearer {good}"))).status, 200);
    assert_eq!(call(&bench, &mut api, &get(&format!("bearer {good}"))).status, 200);
    let none = call(&bench, &mut api, &HttpRequest::get("/flow"));
    assert_eq!(none.headers.iter().filter(|(name, _)| name == "WWW-Authenticate").count(), 2);
    assert!(none.status == 401 && !none.header("WWW-Authenticate").unwrap().contains("error"));
    let post = HttpRequest::post("/flow", "text/plain", "1").with("Authorization", &format!("Bearer {good}"));
    refused(&call(&bench, &mut api, &post), 403, "insufficient_scope");
    refused(&call(&bench, &mut api, &get("Bearer a.b.c")), 401, "invalid_token");
    refused(&call(&bench, &mut api, &get(&format!("DPoP {good}"))), 401, "invalid_token");
    let elsewhere = token(&mut bench, None, &[("resource", "https://x.example")]);
    refused(&call(&bench, &mut api, &get(&format!("Bearer {elsewhere}"))), 401, "invalid_token");
    let in_uri = HttpRequest::get(&format!("/flow?access_token={good}"));
    refused(&call(&bench, &mut api, &in_uri), 400, "invalid_request");
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    refused(&call(&bench, &mut api, &get(&format!("Bearer {forged}"))), 401, "invalid_token");

    bench.server.revoke_client("pump-7"); // a JWT outlives its revocation where nobody asks
    assert_eq!(call(&bench, &mut api, &get(&format!("Bearer {good}"))).status, 200);
    api.options.introspect = true;
    refused(&call(&bench, &mut api, &get(&format!("Bearer {good}"))), 401, "invalid_token");
    let fresh = token(&mut bench, None, &[]);
    assert_eq!(call(&bench, &mut api, &get(&format!("Bearer {fresh}"))).status, 200);
    bench.now += 300;
    refused(&call(&bench, &mut api, &get(&format!("Bearer {fresh}"))), 401, "invalid_token");
    api.options.introspect = false;
    refused(&call(&bench, &mut api, &get(&format!("Bearer {fresh}"))), 401, "invalid_token");
}

#[test]
fn certificate_bound_tokens() {
    let (mut bench, mut api) = servers(ResourceOptions::default(), Client::certificate_bound);
    bench.certificate = Some(b"any certificate".to_vec());
    let bound = get(&format!("Bearer {}", token(&mut bench, None, &[])));
    assert_eq!(call(&bench, &mut api, &bound).status, 200);
    bench.certificate = Some(b"another certificate".to_vec());
    refused(&call(&bench, &mut api, &bound), 401, "invalid_token");
    bench.certificate = None;
    refused(&call(&bench, &mut api, &bound), 401, "invalid_token");
}

#[test]
fn dpop_tokens() {
    let (mut bench, mut api) = servers(ResourceOptions::default(), |client| client);
    let key = Key::new();
    let token = token(&mut bench, Some(&key), &[]);
    let proof = |key: &Key, change: &dyn Fn(&mut serde_json::Value)| {
        key.proof_with(START, "GET", "https://api.plant.example/flow", |_, claims| {
            claims["ath"] = sha256(token.as_bytes()).into();
            change(claims);
        })
    };
    let with = |proof: &str| get(&format!("DPoP {token}")).with("DPoP", proof);
    let good = proof(&key, &|_| {});
    assert_eq!(call(&bench, &mut api, &with(&good)).status, 200);
    refused(&call(&bench, &mut api, &with(&good)), 401, "invalid_dpop_proof"); // replay
    refused(&call(&bench, &mut api, &with(&proof(&Key::new(), &|_| {}))), 401, "invalid_token");
    refused(&call(&bench, &mut api, &get(&format!("DPoP {token}"))), 401, "invalid_dpop_proof");
    refused(&call(&bench, &mut api, &get(&format!("Bearer {token}"))), 401, "invalid_token");
    for (name, value) in [("ath", "x"), ("htm", "POST"), ("htu", "https://api.plant.example/other")] {
        let wrong = proof(&key, &|claims| claims[name] = value.into());
        refused(&call(&bench, &mut api, &with(&wrong)), 401, "invalid_dpop_proof");
    }

    api.options.dpop_nonce = Some(60);
    let demanded = call(&bench, &mut api, &with(&proof(&key, &|_| {})));
    refused(&demanded, 401, "use_dpop_nonce");
    let nonce = demanded.header("DPoP-Nonce").unwrap();
    let answer = call(&bench, &mut api, &with(&proof(&key, &|claims| claims["nonce"] = nonce.into())));
    assert_eq!((answer.status, answer.header("DPoP-Nonce")), (200, Some(nonce)));
}

#[test]
fn misbehaviour() {
    let (mut bench, mut api) = servers(ResourceOptions::default(), |client| client);
    let good = get(&format!("Bearer {}", token(&mut bench, None, &[])));
    api.inject(ResourceFault::InvalidToken, 1);
    api.inject(ResourceFault::DemandNonce, 1);
    api.inject(ResourceFault::Empty(401), 1);
    refused(&call(&bench, &mut api, &good), 401, "invalid_token");
    refused(&call(&bench, &mut api, &good), 401, "use_dpop_nonce");
    assert_eq!(call(&bench, &mut api, &good).headers, []);
    assert_eq!(call(&bench, &mut api, &good).status, 200);
    assert_eq!(api.counts(), (1, 3));
}
