//! The agent's tokens in virtual time against the authorization server: every grant and client authentication, renewal, refusal,
//! outages, power cuts, bad replies; and a week of 5-minute tokens.

mod token_world;

use host_tests::ca::DAY;
use host_tests::est_options::{Fault, Operation, RetryAfter};
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::verify::Verifier;
use host_tests::oauth::{AssertionIssuer, AuthFault, AuthOptions, Credential, Endpoint, Resource, Subject};
use host_tests::virtual_time::{End, World};
use identity_core::agent::{Agent, Want};
use identity_core::config::Secret;
use identity_core::error::Error;
use identity_core::oauth::{
    ClientAuth, ClientCredentials, ClientId, DeviceLogin, JwtBearer, JwtBearerGrant, KeyId, OauthCode, Renew, Source,
    TokenExchange, TokenExchangeGrant, TokenType,
};
use identity_core::record::Record;
use identity_core::time::Now;

use token_world::*;

#[test]
fn every_client_authentication_gets_a_token_in_two_requests() {
    type Of = fn(&[u8]) -> Credential;
    let rows: [(&str, ClientAuth, Of); 9] = [
        ("none", ClientAuth::None, |_| Credential::Public),
        ("basic", ClientAuth::SecretBasic(Secret::new(SECRET)), |_| Credential::Basic(SECRET.into())),
        ("post", ClientAuth::SecretPost(Secret::new(SECRET)), |_| Credential::Post(SECRET.into())),
        ("secret jwt", ClientAuth::SecretJwt(Secret::new(SECRET)), |_| Credential::SecretJwt(SECRET.into())),
        ("key jwt", ClientAuth::PrivateKeyJwt(KeyId::None), keys),
        ("key jwt, kid", ClientAuth::PrivateKeyJwt(KeyId::Thumbprint), |der| {
            let mut key = Jwk::of_certificate(der).unwrap();
            key.kid = Some(key.thumbprint());
            Credential::Keys(vec![key])
        }),
        ("key jwt, x5t", ClientAuth::PrivateKeyJwt(KeyId::CertificateDigest), |der| {
            Credential::Certificates(vec![der.to_vec()])
        }),
        ("key jwt, x5c", ClientAuth::PrivateKeyJwt(KeyId::Certificate), |_| {
            Credential::Chain(Subject::Name("CN=pump-7".into()))
        }),
        ("certificate", ClientAuth::Certificate, |_| Credential::Tls(Subject::Name("CN=pump-7".into()))),
    ];
    for (name, client_auth, credential) in rows {
        for dpop in [false, true] {
            let source = leak(ClientCredentials { client_auth, dpop, ..PLAIN });
            let options = AuthOptions { dpop_nonce: dpop.then_some(60), ..AuthOptions::default() };
            let mut bed = bed(source, options, credential);
            // a public client may not use this grant (RFC 6749 §4.4)
            let public = matches!(client_auth, ClientAuth::None);
            let seen = bed.run(20);
            if public {
                assert!(seen.token.is_none());
                let denied = matches!(seen.trouble, Some(Error::Denied { code: OauthCode::UnauthorizedClient, .. }));
                assert!(denied || matches!(seen.trouble, Some(Error::Denied { .. })), "{:?}", seen.trouble);
                continue;
            }
            let requests = bed.requests();
            let (token, kind) = seen.token.unwrap_or_else(|| panic!("{name}: {:?} {requests:?}", seen.trouble));
            assert!(bed.takes(&token), "{name}: {token}");
            assert_eq!(kind, if dpop { TokenType::Dpop } else { TokenType::Bearer }, "{name}");
            // metadata, then the token; with DPoP once more for the nonce
            assert_eq!(requests.len(), if dpop { 3 } else { 2 }, "{name}: {requests:?}");
        }
    }
}

#[test]
fn a_wrong_key_or_secret_is_refused_with_the_servers_own_words() {
    let wrong = host_tests::key::Key::generate(host_tests::key::KeyKind::P256);
    let rows: [(ClientAuth, Credential); 5] = [
        (ClientAuth::SecretBasic(Secret::new(SECRET)), Credential::Basic("another".into())),
        (ClientAuth::SecretPost(Secret::new(SECRET)), Credential::Post("another".into())),
        (ClientAuth::SecretJwt(Secret::new(SECRET)), Credential::SecretJwt("another".into())),
        (ClientAuth::PrivateKeyJwt(KeyId::None), Credential::Keys(vec![Jwk::of_key(&wrong)])),
        (ClientAuth::Certificate, Credential::Tls(Subject::Name("CN=pump-8".into()))),
    ];
    for (client_auth, credential) in rows {
        let source = leak(ClientCredentials { client_auth, ..PLAIN });
        let mut bed = bed(source, AuthOptions::default(), |_| credential.clone());
        let seen = bed.run(3600);
        assert!(seen.token.is_none());
        let denied = matches!(seen.trouble, Some(Error::Denied { code: OauthCode::InvalidClient, .. }));
        assert!(denied, "{:?}", seen.trouble);
        assert!(seen.words.starts_with("invalid_client"), "{}", seen.words);
        assert!(!format!("{:?} {}", seen.trouble, seen.words).contains(SECRET));
        let tokens = bed.requests().iter().filter(|request| request.0.ends_with("/token")).count();
        assert!((4..=12).contains(&tokens), "asked {tokens} times in an hour");
    }
}

#[test]
fn an_api_is_named_by_audience_where_the_provider_wants_that() {
    let source =
        leak(ClientCredentials { resource: &[], target: "https://api.plant.example", scope: "api:read", ..PLAIN });
    let mut bed = bed(source, AuthOptions::default(), keys);
    assert!(bed.run(20).token.is_some());
    assert_eq!(bed.auth().issued()[0].audience, ["https://api.plant.example"]);
}

#[test]
fn a_person_lets_the_device_in_and_a_reboot_needs_nobody() {
    let source = leak(DeviceLogin {
        issuer: ISSUER,
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    for interval in [Some(5), None] {
        let mut options = AuthOptions::default();
        options.device.interval = interval;
        let mut bed = bed(source, options, |_| Credential::Public);
        let seen = bed.run_with(60, |world, agent, now| {
            if agent.user_code(now).is_some() && now.mono.0 > 30_000 {
                let auth = world.auth.as_mut().unwrap();
                for code in auth.waiting() {
                    assert!(auth.approve(&code, "a person"));
                }
            }
        });
        let code = seen.code.expect("a user code");
        assert!(code.contains(&format!("{ISSUER}/device ")) && code.contains("user_code="), "{code}");
        let (token, _) = seen.token.expect("a token");
        assert!(bed.takes(&token));
        let errors: Vec<_> = bed.requests().into_iter().filter_map(|request| request.2).collect();
        assert!(errors.iter().all(|error| error == "authorization_pending"), "{errors:?}");
        assert!((5..=7).contains(&errors.len()), "{errors:?}");
        // the refresh token is in flash, sealed
        let record = &bed.world.flash[&Record::Refresh.number()];
        assert!(record.len() > 60);
        let before = bed.requests().len();
        let seen = bed.run(20);
        assert!(seen.code.is_none() && bed.takes(&seen.token.expect("a token").0));
        assert_eq!(bed.requests().len(), before + 2, "metadata and refresh");
        assert_eq!(bed.auth().issued().last().unwrap().grant, "refresh_token");
    }
}

#[test]
fn a_person_who_denies_or_does_nothing_is_asked_again_with_a_new_code() {
    let source = leak(DeviceLogin {
        issuer: ISSUER,
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    for denies in [true, false] {
        let mut bed = bed(source, AuthOptions::default(), |_| Credential::Public);
        let mut codes = std::collections::BTreeSet::new();
        let seen = bed.run_with(3000, |world, agent, now| {
            if let Some(code) = agent.user_code(now) {
                codes.insert(code.code.to_owned());
                if denies {
                    world.auth.as_mut().unwrap().deny(code.code);
                }
            }
        });
        assert!(seen.token.is_none());
        match seen.trouble {
            Some(Error::Denied { code: OauthCode::AccessDenied, .. }) if denies => {}
            None if !denies => {}
            other => panic!("{other:?}"),
        }
        assert!((2..=20).contains(&codes.len()), "{} codes in 50 minutes", codes.len());
    }
}

#[test]
fn power_cut_at_any_effect_of_login_and_rotation_asks_a_person_at_most_once_more() {
    let source = leak(DeviceLogin {
        issuer: ISSUER,
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    let mut lost = 0;
    for cut in 0.. {
        let options = AuthOptions { reuse_grace: 60, ..AuthOptions::default() };
        let mut bed = bed(source, options, |_| Credential::Public);
        let want = bed.want;
        let approve = |world: &mut World, agent: &mut Agent<'_>, now: Now| {
            agent.want(want, now).unwrap();
            let auth = world.auth.as_mut().unwrap();
            for code in auth.waiting() {
                auth.approve(&code, "a person");
            }
            world.unix + 1
        };
        let (config, until) = (bed.config, bed.world.unix + 700);
        let end = bed.world.live_as(&config, until, Some(cut), true, approve);
        if end == End::Time {
            assert!(cut > 20, "only {cut} effects");
            break;
        }
        let had = bed.world.flash.contains_key(&Record::Refresh.number());
        let before = bed.auth().served().iter().filter(|served| served.request.contains("device")).count();
        let until = bed.world.unix + 60;
        bed.world.live_as(&config, until, None, true, approve);
        let seen = bed.run(20);
        let token = seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0;
        assert!(bed.takes(&token), "cut {cut}");
        let after = bed.auth().served().iter().filter(|served| served.request.contains("device")).count();
        if had {
            assert_eq!(after, before, "cut {cut}: a refresh token was in flash, so nobody is asked");
        } else {
            lost += 1;
        }
    }
    assert!(lost > 0);
}

#[test]
fn a_refresh_token_that_the_server_forgot_is_dropped_and_the_grant_starts_over() {
    let source = leak(DeviceLogin {
        issuer: ISSUER,
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    let mut bed = bed(source, AuthOptions::default(), |_| Credential::Public);
    let approve = |world: &mut World, _: &Agent<'_>, _: Now| {
        let auth = world.auth.as_mut().unwrap();
        for code in auth.waiting() {
            auth.approve(&code, "a person");
        }
    };
    assert!(bed.run_with(30, approve).token.is_some());
    bed.auth().inject(Endpoint::Token, AuthFault::Error(400, "invalid_grant"), 1);
    let seen = bed.run_with(60, approve);
    assert!(seen.code.is_some(), "a person is asked again");
    assert!(seen.token.is_some());
    // another issuer's refresh token is not sent
    let other = leak(DeviceLogin { issuer: "https://id.other.example", ..*source });
    bed.want = Want { source: other, scope: "mqtt:publish" };
    bed.config.profile.token = Some(other);
    bed.auth().options.issuer = "https://id.other.example".into();
    let before = bed.requests().len();
    let seen = bed.run(20);
    assert!(seen.code.is_some());
    let served = bed.auth().served()[before..].iter();
    assert!(served.clone().all(|served| served.grant.as_deref() != Some("refresh_token")));
}

#[test]
fn tokens_are_exchanged_and_assertions_granted() {
    let base: &'static ClientCredentials = leak(PLAIN);
    let exchange: &'static TokenExchange = leak(TokenExchange {
        issuer: ISSUER,
        scope: "read",
        resource: &["https://api.plant.example"],
        ..Source::of(TokenExchangeGrant { subject: base, audience: "" })
    });
    let resources = vec![Resource::jwt(MQTT, &["mqtt:publish"]), Resource::jwt("https://api.plant.example", &["read"])];
    let mut bed = bed(exchange, AuthOptions { resources, ..AuthOptions::default() }, keys);
    let seen = bed.run(20);
    assert!(seen.token.is_some(), "{:?} {}", seen.trouble, seen.words);
    let grants: Vec<_> = bed.auth().issued().iter().map(|issued| issued.grant.clone()).collect();
    assert_eq!(grants, ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]);
    assert_eq!(bed.auth().issued()[1].audience, ["https://api.plant.example"]);

    let bearer: &'static JwtBearer = leak(JwtBearer {
        issuer: ISSUER,
        client_id: ClientId::Fixed("pump-7"),
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..Source::of(JwtBearerGrant { subject: Some("pump-7") })
    });
    let mut bed = self::bed(bearer, AuthOptions::default(), keys);
    let certificate = bed.world.server.enrolments()[0].certificate.clone();
    let key = Jwk::of_certificate(&certificate).unwrap();
    bed.auth().options.assertion_issuers = vec![AssertionIssuer { issuer: "pump-7".into(), key }];
    let seen = bed.run(20);
    assert!(seen.token.is_some(), "{:?} {}", seen.trouble, seen.words);
    assert_eq!(bed.auth().issued()[0].grant, "urn:ietf:params:oauth:grant-type:jwt-bearer");
}

#[test]
fn every_bad_reply_is_a_clear_error_a_wait_and_then_a_token() {
    use AuthFault::{
        Busy, Empty, EndpointsAt, Error as Refuse, Html, Member, OtherIssuer, Redirect, Truncated, Twice,
        WrongContentType,
    };
    let rows: [(&str, Endpoint, AuthFault, &str); 21] = [
        ("html", Endpoint::Token, Html(200), "JSON"),
        ("html 500", Endpoint::Token, Html(500), "500"),
        ("html metadata", Endpoint::Metadata, Html(200), "JSON"),
        ("empty 401", Endpoint::Token, Empty(401), "client_auth"),
        ("empty 403", Endpoint::Token, Empty(403), "forbids"),
        ("invalid_client", Endpoint::Token, Refuse(401, "invalid_client"), "invalid_client"),
        ("invalid_scope", Endpoint::Token, Refuse(400, "invalid_scope"), "invalid_scope"),
        ("unknown code", Endpoint::Token, Refuse(400, "odd"), "not registered"),
        ("busy 429", Endpoint::Token, Busy(429, RetryAfter::Seconds(60)), "429"),
        ("busy 503", Endpoint::Token, Busy(503, RetryAfter::Seconds(60)), "503"),
        ("redirect", Endpoint::Token, Redirect, "redirects"),
        ("wrong content type", Endpoint::Token, WrongContentType, "Content-Type"),
        ("truncated", Endpoint::Token, Truncated, "cut short"),
        ("twice", Endpoint::Token, Twice("access_token", "\"x\""), "twice"),
        ("no token", Endpoint::Token, Member("access_token", None), "access_token"),
        ("no type", Endpoint::Token, Member("token_type", None), "token_type"),
        ("other type", Endpoint::Token, Member("token_type", Some("\"mac\"")), "token_type"),
        ("other issuer", Endpoint::Metadata, OtherIssuer, "issuer"),
        ("other host", Endpoint::Metadata, EndpointsAt("https://elsewhere.example"), "hosts"),
        ("not https", Endpoint::Metadata, EndpointsAt("http://id.plant.example"), "https"),
        ("smaller scope", Endpoint::Token, Member("scope", Some("\"other\"")), "scope"),
    ];
    for (name, endpoint, fault, words) in rows {
        let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
        // metadata is asked for under two names
        let times = if endpoint == Endpoint::Metadata { 2 } else { 1 };
        bed.auth().inject(endpoint, fault, times);
        let seen = bed.run(300);
        let trouble = seen.trouble.unwrap_or_else(|| panic!("{name}: no error"));
        assert!(trouble.to_string().contains(words), "{name}: {trouble}");
        assert!(!trouble.to_string().contains("eyJ"), "{name}: {trouble}");
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("{name}: {trouble}")).0), "{name}");
        assert!(bed.requests().len() <= 8, "{name}: {:?}", bed.requests());
    }
}

#[test]
fn what_the_rfcs_allow_and_servers_do_is_taken() {
    use AuthFault::{LongToken, Member, NoContentType, Unknown};
    let rows: [(&str, AuthFault); 9] = [
        ("case of the type", Member("token_type", Some("\"bEaReR\""))),
        ("no scope", Member("scope", None)),
        ("larger scope", Member("scope", Some("\"x mqtt:publish y\""))),
        ("no content type", NoContentType),
        ("no lifetime", Member("expires_in", None)),
        ("lifetime 0", Member("expires_in", Some("0"))),
        ("negative lifetime", Member("expires_in", Some("-1"))),
        ("lifetime as text", Member("expires_in", Some("\"300\""))),
        ("huge lifetime", Member("expires_in", Some("99999999999999"))),
    ];
    for (name, fault) in rows {
        let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
        bed.auth().inject(Endpoint::Token, fault, u32::MAX);
        let seen = bed.run(200);
        assert!(seen.trouble.is_none(), "{name}: {:?}", seen.trouble);
        assert!(seen.token.is_some(), "{name}");
        assert_eq!(bed.requests().len(), 2, "{name}");
    }
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    bed.auth().inject(Endpoint::Token, LongToken(4096), 1);
    assert!(bed.run(20).token.expect("a token").0.len() >= 4096);
    // 30 KB of JSON do not fit the 6 KB lent here: an error that says so, and then a token
    let mut bed = self::bed(leak(PLAIN), AuthOptions::default(), keys);
    bed.auth().inject(Endpoint::Token, Unknown, 1);
    let seen = bed.run(7200);
    assert!(matches!(seen.trouble, Some(Error::NoSpace { wanted: 20_000.., .. })), "{:?}", seen.trouble);
    assert!(seen.token.is_some());
}

#[test]
fn metadata_is_found_in_either_place_and_once() {
    for (openid, rfc8414, path) in
        [(true, false, ""), (false, true, ""), (false, true, "/tenant"), (true, false, "/t/v2.0")]
    {
        let issuer: &'static str = format!("{ISSUER}{path}").leak();
        let options = AuthOptions { issuer: issuer.into(), openid, rfc8414, ..AuthOptions::default() };
        let mut bed = bed(leak(ClientCredentials { issuer, ..PLAIN }), options, keys);
        assert!(bed.run(200).token.is_some(), "{issuer} {openid}");
        assert_eq!(bed.requests().len(), if openid { 2 } else { 3 });
    }
    // an issuer that is no https URL says so
    let mut bed =
        bed(leak(ClientCredentials { issuer: "http://id.plant.example", ..PLAIN }), AuthOptions::default(), keys);
    assert!(bed.run(20).trouble.unwrap().to_string().contains("https://"));
}

#[test]
fn a_nonce_demanded_for_ever_is_an_error() {
    let mut bed = bed(leak(ClientCredentials { dpop: true, ..PLAIN }), AuthOptions::default(), keys);
    bed.auth().inject(Endpoint::Token, AuthFault::DemandNonce, u32::MAX);
    let seen = bed.run(600);
    assert!(matches!(seen.trouble, Some(Error::Denied { code: OauthCode::UseDpopNonce, .. })), "{:?}", seen.trouble);
    assert!(bed.requests().len() < 14, "{:?}", bed.requests().len());
    // a server that ignores DPoP is told of
    let mut bed = self::bed(leak(ClientCredentials { dpop: true, ..PLAIN }), AuthOptions::default(), keys);
    bed.auth().inject(Endpoint::Token, AuthFault::Member("token_type", Some("\"Bearer\"")), u32::MAX);
    assert!(bed.run(20).trouble.unwrap().to_string().contains("ignored DPoP"));
}

#[test]
fn a_clock_wrong_by_a_year_is_mended_by_the_servers_own() {
    for off in [-30_000_000, 5_000_000] {
        let mut bed = bed(leak(ClientCredentials { dpop: true, ..PLAIN }), AuthOptions::default(), keys);
        bed.world.clock_off = off;
        let seen = bed.run(20);
        assert!(seen.token.is_some(), "{off}: {:?} {}", seen.trouble, seen.words);
    }
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    bed.world.wall = false;
    assert!(bed.run(20).token.is_some(), "no wall clock at all");
}

#[test]
fn a_refused_token_is_fetched_once_then_after_growing_waits() {
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    let want = bed.want;
    let (config, until) = (bed.config, bed.world.unix + 3600);
    let mut first = None;
    bed.world.live_as(&config, until, None, true, |world, agent, now| {
        agent.want(want, now).unwrap();
        // the broker refuses every token
        if let Some(token) = agent.token(&want, now) {
            first.get_or_insert(token.secret.reveal().to_owned());
            agent.token_refused(&want, now);
        }
        world.unix + 1
    });
    let tokens = bed.auth().issued().len();
    assert!((4..=12).contains(&tokens), "{tokens} tokens in an hour of refusals");
    let times: Vec<u64> = bed.auth().issued().iter().map(|issued| issued.at).collect();
    assert!(times[1] - times[0] <= 2, "the first is replaced at once: {times:?}");
    assert!(times[2] - times[1] >= 30, "then there is a wait: {times:?}");
}

#[test]
fn tokens_fetched_while_a_renewal_waits_do_not_disturb_it() {
    let mut bed = bed(leak(ClientCredentials { dpop: true, ..PLAIN }), AuthOptions::default(), keys);
    bed.config.profile.session = &TOKEN;
    // the key of the certificate that is renewed stays registered; tokens are asked for with the live one all the time
    bed.world.unix += 61 * DAY;
    let busy = Fault::Busy(RetryAfter::Seconds(900));
    bed.world.server.inject(Operation::SimpleReenroll, busy, 4);
    let (config, until) = (bed.config, bed.world.unix + 7200);
    bed.world.live(&config, until, None, true);
    let renewed = bed.world.server.enrolments().len();
    assert_eq!(renewed, 2, "{:?}", bed.world.errors);
    assert!(bed.auth().issued().len() >= 12, "{} tokens in an hour of waiting", bed.auth().issued().len());
    let wrong = |error: &&Error| matches!(error, Error::Certificate { .. });
    assert_eq!(bed.world.errors.iter().find(wrong), None);
    let mut refused = bed.requests().into_iter().filter(|request| request.1 != 200).map(|request| request.2.unwrap());
    assert!(refused.all(|error| error == "invalid_client"), "no more than that the new key is unknown there");
}

#[test]
fn a_week_of_five_minute_tokens_with_outages_publishes_all_and_asks_little_more_than_it_must() {
    let renew = Renew { after_percent: 97, jitter_percent: 1 };
    let source = leak(ClientCredentials { renew, ..PLAIN });
    let mut bed = bed(source, AuthOptions::default(), keys);
    bed.config.profile.session = &TOKEN;
    let (config, from) = (bed.config, bed.world.unix);
    let keys = bed.auth().public_keys();
    let verifier = Verifier { issuer: ISSUER.into(), keys, audience: MQTT.into() };
    // outages: a minute each three hours, and an hour each day
    let is_down = |unix: u64| (unix - from) % 10_800 < 60 || (unix - from) % 86_400 < 3600;
    let (mut published, mut held, mut bad, mut offline_s) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut due = from;
    bed.world.live_as(&config, from + 7 * DAY, None, true, |world, agent, now| {
        world.auth_up = !is_down(world.unix);
        while due <= world.unix {
            due += 10;
            held += 1;
        }
        if held > 0 {
            match agent.session(now) {
                Some(Ok(login)) => match verifier.verify(world.unix, login.password.unwrap().reveal()) {
                    Ok(_) => {
                        published += held;
                        held = 0;
                    }
                    Err(_) => bad += 1,
                },
                _ => offline_s += 10,
            }
        }
        due
    });
    assert_eq!(bad, 0, "no publish with an expired token");
    assert_eq!((published + held) / 10 * 10, 7 * DAY / 10 / 10 * 10, "none lost");
    assert!(held < 400, "only what an outage longer than a token's life holds back");
    let issued = bed.auth().issued().len() as f64;
    // the least: one token for each 300 s of the time that the server is up
    let up = (0..7 * DAY).filter(|s| !is_down(from + s)).count() as f64;
    let least = up / 300.0;
    assert!(issued / least < 1.05, "{issued} tokens, {least} at least");
    println!("{issued} tokens, at least {least:.0}; offline {offline_s} s of 604800, all in outages");
}
