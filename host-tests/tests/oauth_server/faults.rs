//! Misbehaviour, counted.

use crate::client::{Bench, START, verified};
use host_tests::est_options::RetryAfter;
use host_tests::http::Delivery;
use host_tests::oauth::{AuthFault, AuthOptions, Client, Credential, Endpoint};

fn bench() -> Bench {
    let client = Client::new("pump-7", Credential::Post("secret".into()));
    Bench::new(AuthOptions { clients: vec![client], ..AuthOptions::default() })
}

fn ask(bench: &mut Bench) -> crate::client::Reply {
    bench.credentials(&[("client_id", "pump-7"), ("client_secret", "secret")])
}

fn with(fault: AuthFault) -> crate::client::Reply {
    let mut bench = bench();
    bench.server.inject(Endpoint::Token, fault.clone(), 1);
    let reply = ask(&mut bench);
    ask(&mut bench).granted(); // once means once
    assert_eq!(bench.server.served()[0].status, reply.status(), "{fault:?}");
    reply
}

#[test]
fn in_place_of_the_reply() {
    let html = with(AuthFault::Html(502));
    assert_eq!((html.status(), html.response.header("Content-Type")), (502, Some("text/html; charset=utf-8")));
    let empty = with(AuthFault::Empty(403)).response;
    assert_eq!((empty.status, empty.body.len(), empty.header("Content-Type")), (403, 0, None));
    with(AuthFault::Error(401, "invalid_client")).refused(401, "invalid_client");
    with(AuthFault::Error(400, "invalid_scope")).refused(400, "invalid_scope");
    let busy = with(AuthFault::Busy(429, RetryAfter::Seconds(7))).response;
    assert_eq!((busy.status, busy.header("Retry-After")), (429, Some("7")));
    let busy = with(AuthFault::Busy(503, RetryAfter::Date(7))).response;
    assert_eq!(busy.header("Retry-After"), Some("Fri, 15 Jan 2027 08:00:07 GMT"));
    assert!(with(AuthFault::Redirect).response.header("Location").is_some());
}

#[test]
fn the_reply_spoilt() {
    let text = |reply: &crate::client::Reply| String::from_utf8(reply.response.body.clone()).unwrap();
    assert_eq!(with(AuthFault::NoContentType).response.header("Content-Type"), None);
    assert_eq!(with(AuthFault::WrongContentType).response.header("Content-Type"), Some("text/html"));
    assert_eq!(with(AuthFault::Member("token_type", Some("\"bEaReR\""))).json["token_type"], "bEaReR");
    assert_eq!(with(AuthFault::Member("scope", None)).json.get("scope"), None);
    assert_eq!(with(AuthFault::Member("scope", Some("\"less\""))).json["scope"], "less");
    for number in ["0", "-1", "99999999999999999999999999", "1e400", "\"300\"", "300.5", "null"] {
        let reply = with(AuthFault::Member("expires_in", Some(number)));
        assert!(text(&reply).ends_with(&format!(",\"expires_in\":{number}}}")), "{}", text(&reply));
    }
    let twice = with(AuthFault::Twice("access_token", "\"evil\""));
    assert_eq!(text(&twice).matches("\"access_token\":").count(), 2);
    let unknown = with(AuthFault::Unknown);
    let octets = unknown.response.body.len();
    assert!((25_000..40_000).contains(&octets), "{octets}");
    assert!(unknown.json["access_token"].is_string());
    assert_eq!(with(AuthFault::Truncated).json, serde_json::Value::Null);
    let slow = with(AuthFault::Delivery(Delivery::Trickle(1)));
    assert_eq!(slow.response.delivery, Delivery::Trickle(1));

    let mut bench = bench();
    bench.server.inject(Endpoint::Token, AuthFault::LongToken(4096), 1);
    let token = ask(&mut bench).text("access_token");
    assert!((4096..4200).contains(&token.len()), "{}", token.len());
    verified(&mut bench.server, &token);
    assert!(bench.server.active(START, &token));
}

#[test]
fn false_metadata() {
    let mut bench = bench();
    let path = "/pumps/.well-known/openid-configuration";
    bench.server.inject(Endpoint::Metadata, AuthFault::OtherIssuer, 1);
    assert_eq!(bench.get(path).json["issuer"], "https://elsewhere.example");
    bench.server.inject(Endpoint::Metadata, AuthFault::EndpointsAt("http://id.plant.example"), u32::MAX);
    assert_eq!(bench.get(path).json["token_endpoint"], "http://id.plant.example/pumps/token");
    bench.server.heal();
    assert_eq!(bench.get(path).json["token_endpoint"], "https://id.plant.example/pumps/token");
}
