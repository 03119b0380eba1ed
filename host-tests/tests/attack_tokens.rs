//! Attacks on the agent's tokens: servers that are each other's rivals, wants that come and go half way through a request,
//! a certificate that is renewed in between, flash that fails, memory that is short.

mod attack;

use std::cell::Cell;
use std::rc::Rc;

use attack::{A, B, Bench, LOGIN_A, LOGIN_B, Life, POST_A, POST_B, Seen, code, denied, leak, metadata, token};
use host_tests::ca::DAY;
use host_tests::est_options::{Approval, Fault, Operation, RetryAfter};
use identity_core::agent::{Agent, Want};
use identity_core::error::Error;
use identity_core::memory::Memory;
use identity_core::oauth::{
    ClientAuth, ClientCredentials, ClientId, JwtBearer, JwtBearerGrant, KeyId, Source, TokenExchange,
    TokenExchangeGrant, TokenSource,
};
use identity_core::record::Record;

const LONG: u64 = 90 * DAY;

/// Metadata, codes and tokens for all.
fn generous(seen: &Seen) -> (u16, String) {
    match seen.path.as_str() {
        "/token" => token(&seen.host, seen.client()),
        "/device" => code(&seen.host),
        _ => metadata(&seen.host),
    }
}

/// A device that lives with `TOKENS` octets of memory for tokens.
macro_rules! life {
    ($life:ident, $bench:ident, $octets:expr) => {
        let config = $bench.config;
        let mut memory = Box::new(Memory::<6144, { $octets }>::new());
        #[allow(unused_mut)]
        let mut $life = Life::new(&mut $bench, &config, memory.lend());
    };
}

#[test]
fn no_server_sees_the_refresh_token_or_device_code_of_another() {
    let mut bench = Bench::new(&LOGIN_A, LONG);
    let failing = Rc::new(Cell::new(false));
    let fails = failing.clone();
    bench.script(move |seen| match seen.path.as_str() {
        "/token" if fails.get() => (500, "{}".into()),
        _ => generous(seen),
    });
    life!(life, bench, 8192);
    let (a, b) = (life.want(&LOGIN_A, ""), life.want(&LOGIN_B, ""));
    life.pass(60);
    assert_eq!(life.token(&a).as_deref(), Some("access-a.example-login-a"));
    assert_eq!(life.token(&b).as_deref(), Some("access-b.example-login-b"));
    // both are waiting for a person, and their servers stumble
    failing.set(true);
    life.want(&LOGIN_A, "");
    life.want(&LOGIN_B, "");
    life.pass(1200);
    failing.set(false);
    life.want(&LOGIN_A, "");
    life.want(&LOGIN_B, "");
    life.pass(3600);
    let requests = life.bench.requests();
    for seen in &requests {
        let other = if seen.host == "a.example" { "b.example" } else { "a.example" };
        assert!(!seen.body.contains(other), "{seen:?}");
        assert!(!seen.body.contains(&format!("secret-of-{}", &other[..1])), "{seen:?}");
    }
    assert!(requests.len() > 10);
}

#[test]
fn a_token_never_lands_at_a_want_that_took_the_place_of_its_own() {
    let mut bench = Bench::new(&POST_A, LONG);
    bench.script(generous);
    life!(life, bench, 8192);
    let wants: Vec<Want> = ["1", "2", "3", "4"].into_iter().map(|scope| life.want(&POST_A, scope)).collect();
    life.settle();
    assert!(wants.iter().all(|want| life.token(want).is_some()));
    // all have expired, and are wanted again; the first is being fetched when another is wanted
    life.bench.world.unix += 400;
    wants.iter().for_each(|want| life.agent.want(*want, life.now()).unwrap());
    while life.step() != Ok("random".into()) {}
    let fifth = life.want(&POST_B, "5");
    life.settle();
    let token = life.token(&fifth).expect("a token");
    assert!(token.contains("b.example"), "{token} is for another server");
}

#[test]
fn tokens_that_come_and_go_do_not_spoil_the_request_being_made() {
    // after how many steps of the request the others are refused and wanted
    for after in 0..12 {
        let mut bench = Bench::new(&POST_A, LONG);
        bench.script(generous);
        life!(life, bench, 8192);
        let first = life.want(&POST_A, "1");
        life.settle();
        let before = life.bench.requests().len();
        life.want(
            leak(ClientCredentials { dpop: false, client_auth: ClientAuth::PrivateKeyJwt(KeyId::None), ..POST_A }),
            "",
        );
        for _ in 0..after {
            let _ = life.step();
        }
        life.agent.token_refused(&first, life.now());
        life.settle();
        for seen in &life.bench.requests()[before..] {
            assert!(
                seen.body.starts_with("grant_type=client_credentials&") && seen.body.is_ascii(),
                "{after}: {seen:?}"
            );
            assert!(!seen.body.contains('\0'), "{after}: {seen:?}");
        }
    }
}

#[test]
fn a_person_who_takes_their_time_holds_nobody_up() {
    let mut bench = Bench::new(&LOGIN_A, LONG);
    bench.script(|seen| match (seen.path.as_str(), seen.client()) {
        ("/token", "login-a") => denied("authorization_pending"),
        _ => generous(seen),
    });
    life!(life, bench, 8192);
    let login = life.want(&LOGIN_A, "");
    life.pass(20);
    let code = life.agent.user_code(life.now()).expect("a user code").code.to_owned();
    let other = life.want(&POST_A, "");
    life.pass(20);
    assert!(life.token(&other).is_some(), "held up by a person");
    let still = life.agent.user_code(life.now()).expect("the code is still shown").code.to_owned();
    assert_eq!(still, code);
    life.pass(200);
    let asked = life.bench.requests().iter().filter(|seen| seen.path == "/device").count();
    assert_eq!(asked, 1, "one code for one person");
    assert!(life.token(&login).is_none());
    assert!(life.bench.by("login-a") > 40);
}

#[test]
fn what_is_denied_to_one_source_leaves_the_others_their_codes_and_refresh_tokens() {
    for refusal in ["invalid_grant", "access_denied", "expired_token", "authorization_pending", "slow_down"] {
        let mut bench = Bench::new(&LOGIN_A, LONG);
        bench.script(move |seen| match (seen.path.as_str(), seen.client()) {
            ("/token", "bearer") => denied(refusal),
            _ => generous(seen),
        });
        life!(life, bench, 8192);
        life.want(&LOGIN_A, "");
        life.pass(20);
        assert!(life.bench.world.flash.contains_key(&Record::Refresh.number()));
        let bearer: &'static JwtBearer = leak(JwtBearer {
            issuer: A,
            client_id: ClientId::Fixed("bearer"),
            client_auth: ClientAuth::None,
            ..Source::of(JwtBearerGrant { subject: None })
        });
        life.want(bearer, "");
        life.pass(200);
        assert!(life.bench.world.flash.contains_key(&Record::Refresh.number()), "{refusal}: it was another's");
        let asked = life.bench.by("bearer");
        assert!((1..=4).contains(&asked), "{refusal}: asked {asked} times");
        life.want(&LOGIN_A, "");
        life.pass(300);
        let asked = life.bench.requests().iter().filter(|seen| seen.path == "/device").count();
        assert_eq!(asked, 1, "{refusal}: a person is asked once");
    }
}

#[test]
fn an_exchange_whose_subject_is_refused_holds_nobody_up() {
    let exchange: &'static TokenExchange = leak(TokenExchange {
        issuer: A,
        client_id: ClientId::Fixed("exchange"),
        client_auth: ClientAuth::None,
        ..Source::of(TokenExchangeGrant { subject: &POST_A, audience: "" })
    });
    let mut bench = Bench::new(&POST_B, LONG);
    bench.script(|seen| match (seen.path.as_str(), seen.client()) {
        ("/token", "post-a") => denied("invalid_client"),
        _ => generous(seen),
    });
    life!(life, bench, 8192);
    life.want(exchange, "");
    life.settle();
    let other = life.want(&POST_B, "");
    life.pass(5);
    assert!(life.token(&other).is_some(), "held up by an exchange");
    life.pass(3600);
    assert!((4..=12).contains(&life.bench.by("post-a")), "{}", life.bench.by("post-a"));
}

#[test]
fn an_exchange_and_its_subject_never_push_each_other_out() {
    let exchange: &'static TokenExchange = leak(TokenExchange {
        issuer: A,
        client_id: ClientId::Fixed("exchange"),
        client_auth: ClientAuth::None,
        ..Source::of(TokenExchangeGrant { subject: &POST_A, audience: "" })
    });
    let mut bench = Bench::new(&POST_B, LONG);
    bench.script(generous);
    life!(life, bench, 8192);
    let exchanged = life.want(exchange, "");
    life.settle();
    let others = ["1", "2", "3"].map(|scope| life.want(&POST_B, scope));
    life.settle();
    life.bench.world.unix += 400;
    for want in [exchanged, others[0], others[1], others[2]] {
        life.agent.want(want, life.now()).unwrap();
    }
    life.settle();
    assert!(life.token(&exchanged).is_some() || !life.errors.is_empty(), "no token and no error");
    assert!(life.token(&exchanged).is_none_or(|token| token.contains("exchange")));
}

#[test]
fn endpoints_that_moved_are_found_again() {
    let moved = Rc::new(Cell::new(false));
    let is_moved = moved.clone();
    let mut bench = Bench::new(&POST_A, LONG);
    bench.script(move |seen| match (seen.path.as_str(), is_moved.get()) {
        ("/token", false) | ("/v2/token", true) => token(&seen.host, seen.client()),
        ("/token", true) => (404, "gone".into()),
        (path, moved) if path.starts_with("/.well-known") => {
            let (status, text) = metadata(&seen.host);
            (status, if moved { text.replace("/token", "/v2/token") } else { text })
        }
        _ => (404, String::new()),
    });
    life!(life, bench, 8192);
    let want = life.want(&POST_A, "");
    life.settle();
    moved.set(true);
    life.want(&POST_A, "");
    life.pass(500);
    assert!(life.token(&want).is_some(), "{:?}", life.errors);
}

#[test]
fn endpoints_are_judged_by_the_rules_of_the_source_that_uses_them() {
    // the first source allows another host and is for certificates; the second, of the same issuer, is neither
    let certificate: &'static ClientCredentials = leak(ClientCredentials {
        client_id: ClientId::Fixed("certificate"),
        client_auth: ClientAuth::Certificate,
        hosts: &["mtls.a.example"],
        ..POST_A
    });
    let mut bench = Bench::new(certificate, LONG);
    bench.script(|seen| match seen.path.as_str() {
        "/token" => token(&seen.host, seen.client()),
        _ => {
            let alias = r#","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.a.example/token"}}"#;
            let (status, text) = metadata("a.example");
            (status, format!("{}{alias}", text.strip_suffix('}').unwrap()))
        }
    });
    life!(life, bench, 8192);
    let first = life.want(certificate, "");
    life.settle();
    let second = life.want(&POST_A, "");
    life.settle();
    assert!(life.token(&first).is_some() && life.token(&second).is_some(), "{:?}", life.errors);
    for seen in life.bench.requests().iter().filter(|seen| seen.path == "/token") {
        let right = if seen.client() == "certificate" { "mtls.a.example" } else { "a.example" };
        assert_eq!(seen.host, right, "{seen:?}");
    }
}

#[test]
fn a_certificate_that_is_issued_later_is_taken_though_tokens_were_fetched_meanwhile() {
    let life_s = 30 * DAY;
    let source: &'static ClientCredentials =
        leak(ClientCredentials { dpop: false, client_auth: ClientAuth::PrivateKeyJwt(KeyId::None), ..POST_A });
    let mut bench = Bench::new(source, life_s);
    bench.world.server.options.approval = Approval::After(3);
    bench.world.server.options.retry_after = RetryAfter::Seconds(600);
    bench.script(generous);
    bench.world.unix += life_s / 3 * 2 - 100;
    life!(life, bench, 8192);
    for _ in 0..100 {
        life.want(source, "");
        life.pass(60);
    }
    assert_eq!(life.bench.world.server.enrolments().len(), 2, "{:?}", life.errors);
    assert!(life.errors.is_empty(), "{:?}", life.errors);
}

#[test]
fn flash_that_fails_at_renewal_never_gets_a_token_for_a_credential() {
    for record in [0x11, 0x12, 0x01, 0x02] {
        let life_s = 30 * DAY;
        let mut bench = Bench::new(&POST_A, life_s);
        bench.script(generous);
        bench.world.unix += life_s / 3 * 2 - 100;
        bench.world.broken.insert(record, 5);
        life!(life, bench, 8192);
        for _ in 0..100 {
            life.want(&POST_A, "");
            life.pass(60);
        }
        for (record, octets) in &life.bench.world.flash {
            let text = String::from_utf8_lossy(octets);
            assert!(!text.contains("access") && !text.contains("refresh"), "record {record:#x}: {text}");
        }
        assert_eq!(life.bench.world.server.enrolments().len(), 2, "{:?}", life.errors);
        assert!(life.agent.identity(life.now()).is_some(), "record {record:#x}: {:?}", life.errors);
        let (config, until) = (life.bench.config, life.bench.world.unix + DAY);
        drop(life);
        let end = bench.world.live(&config, until, None, false);
        assert_eq!(end, host_tests::virtual_time::End::Ready, "record {record:#x}");
        assert_eq!(bench.world.server.enrolments().len(), 2, "record {record:#x}: and it is found at boot");
    }
}

#[test]
fn a_renewal_in_the_middle_of_a_token_request_does_not_mix_up_keys() {
    use host_tests::oauth::jwk::Jwk;
    use host_tests::oauth::{AuthOptions, AuthServer, Client, Credential, Subject};
    let life_s = 30 * DAY;
    let source: &'static ClientCredentials = leak(ClientCredentials {
        issuer: A,
        client_id: ClientId::CommonName,
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Certificate),
        dpop: true,
        scope: "mqtt:publish",
        resource: &["https://mqtt.plant.example"],
        ..ClientCredentials::DEFAULT
    });
    // the renewal begins after so many steps of the token request; it fails for a while, or not
    for fails in [0, 2] {
        for after in 0..9 {
            let mut bench = Bench::new(source, life_s);
            let trust = vec![bench.world.server.ca.root().to_vec()];
            let mut auth = AuthServer::new(AuthOptions { issuer: A.into(), trust, ..AuthOptions::default() });
            auth.add(Client::new("pump-7", Credential::Chain(Subject::Name("CN=pump-7".into()))));
            bench.world.auth = Some(auth);
            bench.world.server.inject(Operation::SimpleReenroll, Fault::Busy(RetryAfter::Seconds(30)), fails);
            bench.world.unix += life_s / 3 * 2 - 5;
            life!(life, bench, 8192);
            life.settle();
            let want = life.want(source, "mqtt:publish");
            for _ in 0..after {
                let _ = life.step();
            }
            life.bench.world.unix += 30;
            life.pass(40);
            assert!(life.errors.is_empty(), "{fails} {after}: {:?} {}", life.errors, life.agent.words());
            let held = life.agent.token(&want, life.now()).is_some();
            assert!(held, "{fails} {after}");
            life.pass(600);
            let errors: Vec<_> =
                life.bench.world.auth.as_ref().unwrap().served().iter().filter_map(|s| s.error.clone()).collect();
            assert!(errors.is_empty(), "{fails} {after}: {errors:?}");
            assert_eq!(life.bench.world.server.enrolments().len(), 2);
        }
    }
    let _ = Jwk::of_certificate;
}

#[test]
fn a_refresh_token_of_newer_firmware_is_left_as_it_is() {
    let mut bench = Bench::new(&LOGIN_A, LONG);
    bench.script(generous);
    {
        use device_sdk::ports::KeyStore;
        let mut keys = bench.world.boot();
        let mut octets = [0; 128];
        let newer = [0xA2, 0, 0x18, 99, 1, 1];
        octets[..newer.len()].copy_from_slice(&newer);
        let length = keys.seal(Record::Refresh.number(), &mut octets, newer.len()).unwrap();
        bench.world.flash.insert(Record::Refresh.number(), octets[..length].to_vec());
    }
    let before = bench.world.flash[&Record::Refresh.number()].clone();
    life!(life, bench, 8192);
    life.want(&LOGIN_A, "");
    life.pass(7200);
    assert!(life.errors.iter().all(|error| matches!(error, Error::Newer { .. })), "{:?}", life.errors);
    assert_eq!(life.bench.world.flash[&Record::Refresh.number()], before);
}

#[test]
fn lifetimes_of_a_second_do_not_make_a_flood() {
    let mut bench = Bench::new(&POST_A, LONG);
    bench.script(|seen| match seen.path.as_str() {
        "/token" => (200, r#"{"access_token":"x","token_type":"Bearer","expires_in":1}"#.into()),
        _ => metadata(&seen.host),
    });
    life!(life, bench, 8192);
    for _ in 0..600 {
        life.want(&POST_A, "");
        life.pass(1);
    }
    assert!(life.bench.by("post-a") <= 151, "{} requests in ten minutes", life.bench.by("post-a"));
    for seconds in [0, 1, 4] {
        let mut bench = Bench::new(&LOGIN_A, LONG);
        bench.script(move |seen| match seen.path.as_str() {
            "/token" => denied("authorization_pending"),
            "/device" => {
                let (status, text) = code(&seen.host);
                (status, text.replace(":600", &format!(":{seconds}")).replace(":5", ":1"))
            }
            _ => metadata(&seen.host),
        });
        life!(life, bench, 8192);
        life.want(&LOGIN_A, "");
        life.pass(3600);
        let asked = life.bench.requests().len();
        assert!(asked <= 30, "codes of {seconds} s: {asked} requests in an hour");
    }
}

#[test]
fn memory_that_is_short_is_told_so_that_the_next_size_is_larger() {
    macro_rules! sizes {
        ($source:expr, $($octets:literal)*) => {[$({
            let mut bench = Bench::new($source, LONG);
            bench.script(generous);
            life!(life, bench, $octets);
            let want = life.want($source, "");
            life.pass(60);
            let taken = life.token(&want).is_some();
            life.pass(3600);
            let requests = life.bench.requests().len();
            assert!(requests < 60, "{} octets: {requests} requests in an hour", $octets);
            for error in &life.errors {
                let Error::NoSpace { wanted, .. } = error else { panic!("{}: {error}", $octets) };
                assert!(*wanted > $octets, "{} octets are lent, and {error}", $octets);
                assert!(*wanted < 4096, "{error}");
            }
            assert!(taken || !life.errors.is_empty(), "{} octets: no token, no error", $octets);
            taken
        }),*]};
    }
    let key: &'static ClientCredentials =
        leak(ClientCredentials { client_auth: ClientAuth::PrivateKeyJwt(KeyId::None), ..POST_A });
    let enough = sizes!(key, 0 1 40 80 120 200 300 400 500 600 700 800 1000 1700);
    assert!(enough[13] && !enough[0]);
    let enough = sizes!(&LOGIN_A, 0 80 120 150 180 200 220 240 260 280 300 320 340 360 400 600);
    assert!(enough[15] && !enough[0]);
}

#[test]
fn a_cut_in_a_rotation_without_grace_costs_at_most_one_approval() {
    use host_tests::oauth::{AuthOptions, AuthServer, Client, Credential};
    use host_tests::virtual_time::{End, World};
    for cut in 0.. {
        let mut bench = Bench::new(&LOGIN_A, LONG);
        let mut auth = AuthServer::new(AuthOptions { issuer: A.into(), reuse_grace: 0, ..AuthOptions::default() });
        auth.add(Client::new("login-a", Credential::Public));
        bench.world.auth = Some(auth);
        let want = Want { source: &LOGIN_A, scope: "mqtt:publish" };
        let approve = move |world: &mut World, agent: &mut Agent<'_>, now: identity_core::time::Now| {
            agent.want(want, now).unwrap();
            let auth = world.auth.as_mut().unwrap();
            for code in auth.waiting() {
                auth.approve(&code, "a person");
            }
            world.unix + 1
        };
        let (config, until) = (bench.config, bench.world.unix + 900);
        let end = bench.world.live_as(&config, until, Some(cut), true, approve);
        let asked = |world: &World| {
            let served = world.auth.as_ref().unwrap().served().iter();
            served.filter(|served| served.request.ends_with("/device_authorization")).count()
        };
        let before = asked(&bench.world);
        let until = bench.world.unix + 900;
        assert_eq!(bench.world.live_as(&config, until, None, true, approve), End::Time);
        let served = bench.world.auth.as_ref().unwrap().served().iter();
        let served: Vec<_> =
            served.map(|served| (&served.request, &served.grant, served.status, &served.error)).collect();
        assert!(asked(&bench.world) <= before + 1, "cut {cut}: {served:?}");
        let last = bench.world.auth.as_ref().unwrap().issued().last().map(|issued| issued.at);
        assert!(last.is_some_and(|at| at + 300 >= bench.world.unix), "cut {cut}: no token at the end");
        if end == End::Time {
            assert!(cut > 20, "only {cut} effects");
            break;
        }
    }
}

#[test]
fn sources_of_two_issuers_each_keep_their_token() {
    let mut bench = Bench::new(&POST_A, LONG);
    bench.script(generous);
    life!(life, bench, 8192);
    for _ in 0..60 {
        let wants: [&'static dyn TokenSource; 2] = [&POST_A, &POST_B];
        let wants = wants.map(|source| life.want(source, ""));
        life.pass(60);
        assert!(wants.iter().all(|want| life.token(want).is_some()));
    }
    let requests = life.bench.requests().len();
    assert!(requests <= 4 * 3600 / 270 + 4, "{requests}");
    let _ = B;
}
