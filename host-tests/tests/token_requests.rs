//! What an application asks of the authorization server about its tokens, in virtual time: introspection, revocation, keys.

mod token_world;

use host_tests::oauth::{AuthFault, AuthOptions, Credential, Endpoint, Subject};
use identity_core::agent::{Answer, Want};
use identity_core::config::Secret;
use identity_core::error::Error;
use identity_core::jose::jwk::KeySet;
use identity_core::jose::verify::{self, Algorithm, Rules};
use identity_core::oauth::{ClientAuth, ClientCredentials, DeviceLogin, KeyId, OauthCode};
use identity_core::record::Record;
use identity_core::time::{Judge, UnixTime};

use token_world::*;

#[test]
fn a_token_is_introspected_by_every_client_authentication() {
    type Of = fn(&[u8]) -> Credential;
    let rows: [(ClientAuth, Of); 4] = [
        (ClientAuth::SecretBasic(Secret::new(SECRET)), |_| Credential::Basic(SECRET.into())),
        (ClientAuth::SecretJwt(Secret::new(SECRET)), |_| Credential::SecretJwt(SECRET.into())),
        (ClientAuth::PrivateKeyJwt(KeyId::None), keys),
        (ClientAuth::Certificate, |_| Credential::Tls(Subject::Name("CN=pump-7".into()))),
    ];
    for (client_auth, credential) in rows {
        for dpop in [false, true] {
            let source = leak(ClientCredentials { client_auth, dpop, ..PLAIN });
            let mut bed = bed(source, AuthOptions::default(), credential);
            bed.ask(
                |agent, want| agent.introspect(want),
                |world, _, answer, _| {
                    let Ok(Answer::Introspected(found)) = answer else { panic!("{answer:?}") };
                    assert!(found.active && found.covers == Some(true), "{found:?}");
                    assert!(found.expires.unwrap().0.abs_diff(world.unix + 300) < 10);
                },
            );
        }
    }
}

#[test]
fn introspection_tells_of_a_dead_token_a_smaller_scope_and_of_bad_replies() {
    use AuthFault::{Empty, Error as Refuse, Html, Member};
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    let want = bed.want;
    bed.ask(
        |agent, want| agent.introspect(want),
        |_, agent, answer, now| {
            assert!(matches!(answer, Ok(Answer::Introspected(found)) if found.active));
            assert!(agent.token(&want, now).is_some());
        },
    );
    let rows: [(AuthFault, &str); 6] = [
        (Member("active", Some("false")), "active: false, expires: None, covers: None"),
        (Member("scope", Some("\"mqtt:subscribe\"")), "covers: Some(false)"),
        (Member("scope", None), "covers: None"),
        (Member("active", None), "active"),
        (Refuse(401, "invalid_client"), "InvalidClient"),
        (Html(200), "JSON"),
    ];
    for (fault, words) in rows.into_iter().chain([(Empty(500), "500")]) {
        let mut bed = self::bed(leak(PLAIN), AuthOptions::default(), keys);
        let want = bed.want;
        bed.auth().inject(Endpoint::Introspection, fault.clone(), 1);
        bed.ask(
            |agent, want| agent.introspect(want),
            |_, agent, answer, now| {
                assert!(format!("{answer:?}").contains(words), "{fault:?}: {answer:?}");
                assert!(agent.token(&want, now).is_some(), "{fault:?}: what a server says loses no token");
            },
        );
        assert_eq!(bed.requests().iter().filter(|request| request.0.ends_with("/introspect")).count(), 1, "no retry");
    }
}

#[test]
fn a_revoked_token_is_gone_here_and_there_and_the_next_is_new() {
    for dpop in [false, true] {
        let mut bed = bed(leak(ClientCredentials { dpop, ..PLAIN }), AuthOptions::default(), keys);
        let want = bed.want;
        bed.ask(
            |agent, want| agent.revoke(want),
            |_, agent, answer, now| {
                assert_eq!(answer, Ok(Answer::Revoked));
                assert!(agent.token(&want, now).is_none());
            },
        );
        let requests = bed.requests();
        let revoked = requests.iter().position(|request| request.0.ends_with("/revoke")).unwrap();
        assert_eq!(requests[revoked].1, 200);
        assert!(requests[revoked..].iter().any(|request| request.0.ends_with("/token")), "fetched anew when asked for");
        assert_eq!(bed.auth().issued().len(), 2);
    }
    // a server that refuses keeps the token, and is asked once
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    let want = bed.want;
    bed.auth().inject(Endpoint::Revocation, AuthFault::Error(400, "unsupported_token_type"), 1);
    bed.ask(
        |agent, want| agent.revoke(want),
        |_, agent, answer, now| {
            assert!(matches!(answer, Err(Error::Denied { code: OauthCode::UnsupportedTokenType, .. })), "{answer:?}");
            assert!(agent.token(&want, now).is_some());
        },
    );
    assert_eq!(bed.requests().len(), 3);
}

#[test]
fn revoking_a_login_takes_the_refresh_token_out_of_flash_too() {
    let source = leak(DeviceLogin {
        issuer: ISSUER,
        client_auth: ClientAuth::None,
        scope: "mqtt:publish",
        resource: &[MQTT],
        ..DeviceLogin::DEFAULT
    });
    let mut bed = bed(source, AuthOptions::default(), |_| Credential::Public);
    let mut erased = false;
    bed.ask(
        |agent, want| agent.revoke(want),
        |world, agent, answer, now| {
            assert_eq!(answer, Ok(Answer::Revoked));
            assert!(agent.user_code(now).is_none());
            erased = !world.flash.contains_key(&Record::Refresh.number());
        },
    );
    assert!(erased);
    let revoked = bed.requests().iter().filter(|request| request.0.ends_with("/revoke")).count();
    assert_eq!(revoked, 2, "the refresh token and the access token");
    assert!(bed.requests().iter().filter(|request| request.0.ends_with("/device_authorization")).count() >= 2);
}

#[test]
fn a_token_is_verified_against_the_keys_that_were_fetched() {
    let mut bed = bed(leak(PLAIN), AuthOptions::default(), keys);
    let mut checked = 0;
    for rotated in [false, true] {
        bed.ask(
            |agent, want| agent.fetch_keys(want.source),
            |world, agent, answer, now| {
                let Ok(Answer::Keys(octets)) = answer else { panic!("{answer:?}") };
                let keys = KeySet::parse(agent.key_set(octets)).unwrap();
                let want = Want { source: agent.config().profile.token.unwrap(), scope: "mqtt:publish" };
                let token = agent.token(&want, now).unwrap().secret.reveal().to_owned();
                let rules = Rules {
                    algorithms: Algorithm::ALL,
                    issuer: ISSUER,
                    audience: MQTT,
                    typ: Some("at+jwt"),
                    judge: Judge::Wall(UnixTime(world.unix)),
                    skew: 10,
                };
                let scratch = &mut vec![0; verify::scratch_len(token.len())];
                let verified = verify::verify(&token, keys, &rules, scratch).unwrap();
                assert!(verified.claims().client_id().unwrap().unwrap().is("pump-7"));
                let forged = format!("{}A", &token[..token.len() - 1]);
                let other = Rules { audience: "https://api.plant.example", ..rules };
                assert!(verify::verify(&token, keys, &other, scratch).is_err());
                let changed = if token.ends_with('A') { format!("{}Q", &token[..token.len() - 1]) } else { forged };
                assert!(verify::verify(&changed, keys, &rules, scratch).is_err());
                checked += 1;
            },
        );
        // a server that has signed with a new key since
        bed.auth().rotate_key(rotated);
    }
    assert_eq!(checked, 2);
    for (fault, words) in [(AuthFault::Member("keys", None), "keys"), (AuthFault::Truncated, "cut short")] {
        bed.auth().inject(Endpoint::Jwks, fault, 1);
        bed.ask(
            |agent, want| agent.fetch_keys(want.source),
            |_, _, answer, _| assert!(answer.unwrap_err().to_string().contains(words), "{answer:?}"),
        );
    }
}

#[test]
fn a_request_of_the_application_does_not_wait_for_a_person() {
    let source = leak(DeviceLogin { issuer: ISSUER, client_auth: ClientAuth::None, ..DeviceLogin::DEFAULT });
    let mut bed = bed(source, AuthOptions::default(), |_| Credential::Public);
    bed.want = Want { source, scope: "mqtt:publish" };
    let (mut asked, mut waited) = (None, None);
    let seen = bed.run_with(60, |_, _, _| {});
    let first = seen.code.expect("a user code");
    let (config, until, want) = (bed.config, bed.world.unix + 60, bed.want);
    bed.world.live_as(&config, until, None, true, |world, agent, now| {
        agent.want(want, now).unwrap();
        if agent.user_code(now).is_some() && asked.is_none() {
            asked = Some(world.unix);
            agent.fetch_keys(source).unwrap();
            return world.unix;
        }
        if let Some(answer) = agent.answer() {
            assert!(answer.is_ok() && agent.user_code(now).is_some_and(|code| !first.contains(code.code)));
            waited = asked.map(|asked| world.unix - asked);
        }
        world.unix + 1
    });
    assert!(waited.is_some_and(|waited| waited <= 1), "{waited:?}");
    let codes = bed.requests().iter().filter(|request| request.0.ends_with("/device_authorization")).count();
    assert_eq!(codes, 2, "one for each boot: the code of the person stays good");
}
