//! Refresh tokens: rotation, reuse, binding.

use crate::client::{Bench, DEVICE_CODE, Key, Reply, form};
use host_tests::oauth::{AuthOptions, Client, Credential};
use serde_json::json;

fn bench() -> Bench {
    let clients = ["pump-7", "pump-8"].map(|id| Client::new(id, Credential::Public));
    Bench::new(AuthOptions { clients: clients.into(), ..AuthOptions::default() })
}

fn login(bench: &mut Bench, key: Option<&Key>) -> Reply {
    let pairs = [("client_id", "pump-7"), ("scope", "mqtt:publish mqtt:subscribe")];
    let begun = bench.send(&form("/pumps/device_authorization", &pairs)).granted();
    assert!(bench.server.approve(&begun.text("user_code"), "person"));
    let code = begun.text("device_code");
    let mut request =
        form("/pumps/token", &[("client_id", "pump-7"), ("grant_type", DEVICE_CODE), ("device_code", &code)]);
    if let Some(key) = key {
        request = request.with("DPoP", &key.proof(bench.now, None));
    }
    bench.send(&request).granted()
}

fn refresh(bench: &mut Bench, token: &str, more: &[(&str, &str)]) -> Reply {
    let pairs = [("client_id", "pump-7"), ("grant_type", "refresh_token"), ("refresh_token", token)];
    bench.token(&[&pairs, more].concat())
}

#[test]
fn rotates_and_revokes_the_family_at_reuse() {
    let mut bench = bench();
    let first = login(&mut bench, None);
    let old = first.text("refresh_token");
    let second = refresh(&mut bench, &old, &[]).granted();
    assert_eq!(second.json["scope"], "mqtt:publish mqtt:subscribe");
    let new = second.text("refresh_token");
    assert_ne!(old, new);
    assert!(bench.server.active(bench.now, &second.text("access_token")));
    refresh(&mut bench, &old, &[]).refused(400, "invalid_grant");
    refresh(&mut bench, &new, &[]).refused(400, "invalid_grant");
    for reply in [first, second] {
        assert!(!bench.server.active(bench.now, &reply.text("access_token")));
    }
}

#[test]
fn grace_for_a_lost_reply_and_no_rotation() {
    let mut bench = bench();
    bench.server.options.reuse_grace = 10;
    let old = login(&mut bench, None).text("refresh_token");
    refresh(&mut bench, &old, &[]).granted();
    bench.now += 9;
    let again = refresh(&mut bench, &old, &[]).granted().text("refresh_token");
    bench.now += 1;
    refresh(&mut bench, &old, &[]).refused(400, "invalid_grant");
    refresh(&mut bench, &again, &[]).refused(400, "invalid_grant");

    bench.server.options.rotate = false;
    let kept = login(&mut bench, None).text("refresh_token");
    for _ in 0..3 {
        bench.now += 20 * 86_400; // its life starts anew at every use
        assert_eq!(refresh(&mut bench, &kept, &[]).granted().json.get("refresh_token"), None);
    }
    bench.now += 30 * 86_400;
    refresh(&mut bench, &kept, &[]).refused(400, "invalid_grant");
}

#[test]
fn scope_can_shrink_and_not_grow() {
    let mut bench = bench();
    let token = login(&mut bench, None).text("refresh_token");
    refresh(&mut bench, &token, &[("scope", "mqtt:publish other")]).refused(400, "invalid_scope");
    refresh(&mut bench, &token, &[("resource", "https://elsewhere.example")]).refused(400, "invalid_target");
    let less = refresh(&mut bench, &token, &[("scope", "mqtt:publish")]).granted();
    assert_eq!(less.json["scope"], "mqtt:publish");
    // RFC 6749 §6: the new refresh token has the scope of the old one
    let full = refresh(&mut bench, &less.text("refresh_token"), &[]).granted();
    assert_eq!(full.json["scope"], "mqtt:publish mqtt:subscribe");
}

#[test]
fn belongs_to_its_client_and_key() {
    let mut bench = bench();
    let token = login(&mut bench, None).text("refresh_token");
    let foreign = [("client_id", "pump-8"), ("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    bench.token(&foreign).refused(400, "invalid_grant");
    refresh(&mut bench, "unknown", &[]).refused(400, "invalid_grant");

    let key = Key::new();
    let reply = login(&mut bench, Some(&key));
    assert_eq!(reply.json["token_type"], "DPoP");
    let token = reply.text("refresh_token");
    refresh(&mut bench, &token, &[]).refused(400, "invalid_grant");
    let pairs = [("client_id", "pump-7"), ("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let other = form("/pumps/token", &pairs).with("DPoP", &Key::new().proof(bench.now, None));
    bench.send(&other).refused(400, "invalid_grant");
    let own = form("/pumps/token", &pairs).with("DPoP", &key.proof(bench.now, None));
    bench.send(&own).granted();
}

#[test]
fn revocation_takes_the_family() {
    let mut bench = bench();
    let reply = login(&mut bench, None);
    let (access, token) = (reply.text("access_token"), reply.text("refresh_token"));
    let pairs = [("client_id", "pump-7"), ("token", token.as_str())];
    assert_eq!(bench.send(&form("/pumps/revoke", &pairs)).status(), 200);
    assert!(!bench.server.active(bench.now, &access));
    assert_eq!(refresh(&mut bench, &token, &[]).json["error"], json!("invalid_grant"));
}
