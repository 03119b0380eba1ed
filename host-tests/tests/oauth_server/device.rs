//! The device grant (RFC 8628).

use crate::client::{Bench, DEVICE_CODE, Key, Reply, form};
use host_tests::http::HttpRequest;
use host_tests::oauth::{AuthOptions, Client, Credential};
use serde_json::json;

fn bench() -> Bench {
    let clients = ["pump-7", "pump-8"].map(|id| Client::new(id, Credential::Public));
    Bench::new(AuthOptions { clients: clients.into(), ..AuthOptions::default() })
}

fn begin(bench: &mut Bench, pairs: &[(&str, &str)]) -> Reply {
    let all = [&[("client_id", "pump-7"), ("scope", "mqtt:publish")], pairs].concat();
    bench.send(&form("/pumps/device_authorization", &all)).granted()
}

fn poll(bench: &mut Bench, code: &str) -> Reply {
    bench.token(&[("client_id", "pump-7"), ("grant_type", DEVICE_CODE), ("device_code", code)])
}

#[test]
fn approved_by_a_person() {
    let mut bench = bench();
    let begun = begin(&mut bench, &[]);
    assert_eq!((&begun.json["interval"], &begun.json["expires_in"]), (&json!(5), &json!(600)));
    assert_eq!(begun.json["verification_uri"], "https://id.plant.example/pumps/device");
    let user_code = begun.text("user_code");
    assert!(begun.text("verification_uri_complete").ends_with(&format!("device?user_code={user_code}")));
    let code = begun.text("device_code");
    poll(&mut bench, &code).refused(400, "authorization_pending");
    bench.now += 5;
    poll(&mut bench, &code).refused(400, "authorization_pending");
    bench.now += 4;
    poll(&mut bench, &code).refused(400, "slow_down");
    bench.now += 9; // the interval is 10 s from here on
    poll(&mut bench, &code).refused(400, "slow_down");
    bench.now += 15;
    assert_eq!(bench.server.waiting(), [user_code.as_str()]);
    let page = bench.get(&format!("/pumps/device?user_code={user_code}")).response;
    assert!(String::from_utf8(page.body).unwrap().contains(&user_code));
    let typed = user_code.to_lowercase().replace('-', "");
    let decision = form("/pumps/device", &[("user_code", &typed), ("verdict", "approve")]);
    assert_eq!(bench.send(&decision).status(), 200);
    bench.send(&decision).refused(400, "invalid_request");
    let reply = poll(&mut bench, &code).granted();
    assert_eq!(reply.json["scope"], "mqtt:publish");
    reply.text("refresh_token");
    bench.now += 15;
    poll(&mut bench, &code).refused(400, "invalid_grant"); // used
}

#[test]
fn denied_expired_foreign_and_unknown() {
    let mut bench = bench();
    let first = begin(&mut bench, &[]);
    assert!(bench.server.deny(&first.text("user_code")));
    poll(&mut bench, &first.text("device_code")).refused(400, "access_denied");
    let second = begin(&mut bench, &[]).text("device_code");
    let foreign = [("client_id", "pump-8"), ("grant_type", DEVICE_CODE), ("device_code", second.as_str())];
    bench.token(&foreign).refused(400, "invalid_grant");
    bench.now += 600;
    poll(&mut bench, &second).refused(400, "expired_token");
    poll(&mut bench, "unknown").refused(400, "invalid_grant");
    poll(&mut bench, "").refused(400, "invalid_request");
    let missing = form("/pumps/device_authorization", &[("scope", "mqtt:publish")]);
    bench.send(&missing).refused(401, "invalid_client");
    let wrong = form("/pumps/device_authorization", &[("client_id", "pump-7"), ("scope", "other")]);
    bench.send(&wrong).refused(400, "invalid_scope");
    assert_eq!(bench.send(&HttpRequest::get("/pumps/device_authorization")).status(), 405);
}

#[test]
fn without_interval_and_bound_to_a_key() {
    let mut bench = bench();
    bench.server.options.device.interval = None;
    bench.server.options.device.complete = false;
    let key = Key::new();
    let begun = begin(&mut bench, &[("dpop_jkt", &key.thumbprint())]);
    assert_eq!((begun.json.get("interval"), begun.json.get("verification_uri_complete")), (None, None));
    let code = begun.text("device_code");
    poll(&mut bench, &code).refused(400, "authorization_pending");
    bench.now += 4;
    poll(&mut bench, &code).refused(400, "slow_down"); // 5 s where none is told
    bench.server.approve(&begun.text("user_code"), "person");
    bench.now += 10;
    let pairs = [("client_id", "pump-7"), ("grant_type", DEVICE_CODE), ("device_code", code.as_str())];
    bench.token(&pairs).refused(400, "invalid_dpop_proof");
    bench.now += 10;
    let stranger = form("/pumps/token", &pairs).with("DPoP", &Key::new().proof(bench.now, None));
    bench.send(&stranger).refused(400, "invalid_dpop_proof");
    bench.now += 10;
    let own = form("/pumps/token", &pairs).with("DPoP", &key.proof(bench.now, None));
    assert_eq!(bench.send(&own).granted().json["token_type"], "DPoP");
}
