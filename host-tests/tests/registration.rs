//! Registration as enrolment (RFC 7591), in virtual time against the authorization server.

mod registration_world;

use host_tests::ca::DAY;
use host_tests::est_options::RetryAfter;
use host_tests::oauth::{AuthFault, AuthOptions, Endpoint, Registration};
use host_tests::virtual_time::End;
use identity_core::config::Secret;
use identity_core::enrol::{Manage, Register, Software};
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::oauth::{ClientAuth, ClientCredentials, OauthCode, TokenType};
use identity_core::record::Record;
use identity_core::session::{MqttVersion, Mtls, TokenSession};

use registration_world::*;

#[test]
fn a_device_without_a_ca_registers_itself_once_and_logs_in() {
    let register = leak(Register {
        initial_access_token: Some(Secret::new(INITIAL)),
        software: Some(Software { id: "pump-firmware", version: "1.2.3", statement: None }),
        ..OPEN
    });
    let mut bed = bed(register, AuthOptions::default());
    bed.auth().options.registration = guarded(1);
    let seen = bed.run(20);
    assert!(seen.ready && seen.trouble.is_none(), "{:?} {}", seen.trouble, seen.words);
    assert_eq!(seen.login, Some(Ok(())));
    assert!(bed.takes(&seen.token.expect("a token").0));
    // metadata for the registration and once more for the tokens, registration, token
    assert_eq!(bed.auth().served().len(), 4, "{:?}", bed.auth().served());
    let id = bed.id();
    let client = bed.auth().client(&id).unwrap().clone();
    assert_eq!((client.grants, client.scopes), (vec!["client_credentials".into()], vec!["mqtt:publish".into()]));
    let keys = bed.keys();
    assert_eq!((keys.len(), keys[0].kid.clone()), (1, Some(keys[0].thumbprint())));
    // what manages it is sealed, what it is not
    let sealed = &bed.world.flash[&Record::Registration.number()];
    assert!(!sealed.windows(id.len()).any(|window| window == id.as_bytes()));
    // a reboot asks for a token and nothing else
    let seen = bed.run(20);
    assert!(bed.takes(&seen.token.expect("a token").0));
    assert_eq!((bed.asked("POST /register"), bed.auth().served().len()), (1, 6));
    // years later nothing is due
    bed.world.unix += 4000 * DAY;
    assert!(bed.run(20).ready);
    assert_eq!(bed.asked("PUT "), 0);
}

#[test]
fn tokens_are_bound_to_the_registered_key_by_dpop() {
    let mut bed = bed(leak(Register { dpop: true, ..OPEN }), AuthOptions::default());
    bed.auth().options.dpop_nonce = Some(60);
    bed.config.profile.token = Some(leak(ClientCredentials { dpop: true, ..TOKEN }));
    let seen = bed.run(20);
    let (token, kind) = seen.token.expect("a token");
    assert!(kind == TokenType::Dpop && bed.takes(&token));
    let id = bed.id();
    assert!(bed.auth().client(&id).unwrap().dpop_bound);
    // a token that is bound to a key does not outlive it
    let (config, until, mut renewed, mut seen) = (bed.config, bed.world.unix + 60, false, Vec::new());
    bed.world.live_as(&config, until, None, true, |world, agent, now| {
        let Some(Ok(login)) = agent.session(now) else { return world.unix + 1 };
        seen.push((agent.slot(now), login.password.unwrap().reveal().to_owned()));
        if !renewed {
            renewed = true;
            agent.renew(now).unwrap();
            return world.unix;
        }
        world.unix + 1
    });
    seen.dedup();
    assert_eq!(seen.iter().map(|seen| seen.0).collect::<Vec<_>>(), [Some(Slot::A), Some(Slot::B)]);
}

#[test]
fn a_wrong_or_used_up_initial_access_token_says_so_and_waits() {
    for (token, uses) in [(None, 1), (Some("guessed"), 1), (Some(INITIAL), 0)] {
        let mut bed =
            bed(leak(Register { initial_access_token: token.map(Secret::new), ..OPEN }), AuthOptions::default());
        bed.auth().options.registration = guarded(uses);
        let seen = bed.run(3600);
        assert!(!seen.ready && seen.token.is_none());
        let trouble = seen.trouble.unwrap();
        assert!(trouble.to_string().contains("initial_access_token"), "{trouble}");
        assert!(!format!("{trouble} {}", seen.words).contains(INITIAL));
        assert!((4..=12).contains(&bed.asked("POST /register")), "{} times in an hour", bed.asked("POST /register"));
        // once it is let in it goes on by itself, with the key it has
        bed.auth().options.registration = Registration::Open;
        assert!(bed.run(7200).ready);
        assert_eq!(bed.auth().served().iter().filter(|served| served.status == 201).count(), 1);
    }
}

#[test]
fn a_bad_reply_is_a_clear_error_and_then_a_registration() {
    use AuthFault::{Busy, Empty, EndpointsAt, Error as Refuse, Html, Member, OtherIssuer, Redirect, Truncated, Twice};
    let rows: [(&str, Endpoint, AuthFault, &str); 15] = [
        ("metadata", Endpoint::Registration, Refuse(400, "invalid_client_metadata"), "invalid_client_metadata"),
        ("statement", Endpoint::Registration, Refuse(400, "unapproved_software_statement"), "software statement"),
        ("redirect uri", Endpoint::Registration, Refuse(400, "invalid_redirect_uri"), "redirect URIs"),
        ("html", Endpoint::Registration, Html(200), "JSON"),
        ("html 500", Endpoint::Registration, Html(500), "500"),
        ("empty 400", Endpoint::Registration, Empty(400), "400"),
        ("busy", Endpoint::Registration, Busy(503, RetryAfter::Seconds(30)), "503"),
        ("redirect", Endpoint::Registration, Redirect, "redirects"),
        ("truncated", Endpoint::Registration, Truncated, "cut short"),
        ("twice", Endpoint::Registration, Twice("client_id", "\"x\""), "twice"),
        ("no id", Endpoint::Registration, Member("client_id", None), "client_id"),
        (
            "elsewhere",
            Endpoint::Registration,
            Member("registration_client_uri", Some("\"https://evil.example/x\"")),
            "hosts",
        ),
        ("header", Endpoint::Registration, Member("registration_access_token", Some("\"a\\nb\"")), "header"),
        ("issuer", Endpoint::Metadata, OtherIssuer, "issuer"),
        ("other host", Endpoint::Metadata, EndpointsAt("https://elsewhere.example"), "hosts"),
    ];
    for (name, endpoint, fault, words) in rows {
        let mut bed = bed(&REGISTER, AuthOptions::default());
        bed.auth().inject(endpoint, fault, 1);
        let seen = bed.run(600);
        let told: Vec<String> = bed.world.errors.iter().map(Error::to_string).collect();
        let told = told.first().cloned().or(seen.trouble.map(|trouble| trouble.to_string()));
        assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{name}: {told:?}");
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("{name}: {told:?}")).0), "{name}");
    }
    // a server that registers nobody
    let mut bed = bed(&REGISTER, AuthOptions::default());
    bed.auth().options.registration = Registration::Closed;
    assert!(bed.run(60).trouble.unwrap().to_string().contains("registration_endpoint"));
}

#[test]
fn a_server_that_registers_another_authentication_is_told_of_and_leaves_no_heap_of_clients() {
    let mut bed = bed(&REGISTER, AuthOptions::default());
    let other = AuthFault::Member("token_endpoint_auth_method", Some("\"client_secret_basic\""));
    bed.auth().inject(Endpoint::Registration, other.clone(), 1);
    bed.auth().inject(Endpoint::Management, other, 2);
    let seen = bed.run(1800);
    assert!(bed.world.errors[0].to_string().contains("private_key_jwt"), "{:?}", bed.world.errors);
    assert!(seen.token.is_some());
    assert_eq!((bed.asked("POST /register"), bed.asked("PUT /register")), (1, 3), "it is mended, not made anew");
}

#[test]
fn a_server_without_management_is_enough() {
    let mut bed = bed(leak(Register { rotate_after_days: Some(30), ..OPEN }), AuthOptions::default());
    for member in ["registration_client_uri", "registration_access_token"] {
        bed.auth().options.registration = Registration::Open;
        bed.world.flash.clear();
        bed.auth().inject(Endpoint::Registration, AuthFault::Member(member, None), 1);
        assert!(bed.run(20).token.is_some(), "{member}");
        let (_, answer) = bed.manage(Manage::Read, None);
        assert!(matches!(answer, Some(Err(Error::Stored { .. }))), "{answer:?}");
        // what cannot be updated is registered anew
        bed.world.unix += 31 * DAY;
        let before = bed.id();
        assert!(bed.run(20).token.is_some(), "{member}");
        assert_ne!(before, bed.id());
    }
}

#[test]
fn power_cut_at_any_effect_of_the_registration_leaves_one_orphan_at_most() {
    let register = leak(Register { initial_access_token: Some(Secret::new(INITIAL)), ..OPEN });
    let mut orphans = 0;
    for cut in 0.. {
        let mut bed = bed(register, AuthOptions::default());
        bed.auth().options.registration = guarded(2);
        let (config, until) = (bed.config, bed.world.unix + 60);
        if bed.world.live(&config, until, Some(cut), false) == End::Ready {
            assert!(cut > 10, "only {cut} effects");
            break;
        }
        let seen = bed.run(60);
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0));
        let registered = bed.asked("POST /register");
        assert!(registered <= 2, "cut {cut}");
        orphans += registered - 1;
        assert_eq!(bed.keys().len(), 1);
    }
    assert_eq!(orphans, 1, "the cut between the reply and its store, and no other");
}

#[test]
fn a_key_that_was_lost_is_replaced_in_the_same_registration() {
    let register = leak(Register { initial_access_token: Some(Secret::new(INITIAL)), ..OPEN });
    let mut bed = bed(register, AuthOptions::default());
    bed.auth().options.registration = guarded(1);
    assert!(bed.run(20).ready);
    let id = bed.id();
    bed.world.flash.remove(&Record::Key(bed.live()).number());
    let seen = bed.run(20);
    assert!(bed.takes(&seen.token.expect("a token").0));
    assert_eq!((bed.id(), bed.asked("POST /register"), bed.keys().len()), (id, 1, 1));
}

#[test]
fn a_session_that_needs_a_certificate_says_so() {
    static MTLS: Mtls = Mtls {
        host: "mqtt.plant.example",
        port: 8883,
        version: MqttVersion::V5,
        client_id: None,
        alpn: &[],
        keep_alive: 60,
    };
    static BOUND: TokenSession = TokenSession { certificate: true, ..SESSION };
    for mtls in [true, false] {
        let mut bed = bed(&REGISTER, AuthOptions::default());
        bed.config.profile.session = if mtls { &MTLS } else { &BOUND };
        let login = bed.run(20).login.expect("an answer");
        assert!(login.unwrap_err().to_string().contains("certificate"));
    }
    let mut bed = bed(&REGISTER, AuthOptions::default());
    bed.config.profile.token = Some(leak(ClientCredentials { client_auth: ClientAuth::Certificate, ..TOKEN }));
    let trouble = bed.run(20).trouble.expect("an error");
    assert!(trouble.to_string().contains("Certificate"), "{trouble}");
}

#[test]
fn a_firmware_for_another_server_registers_there() {
    let mut bed = bed(&REGISTER, AuthOptions::default());
    assert!(bed.run(20).ready);
    let id = bed.id();
    let elsewhere = "https://id.other.example";
    bed.auth().options.issuer = elsewhere.into();
    // the client identifier of the one is not shown to the other
    bed.config.profile.token = Some(leak(ClientCredentials { issuer: elsewhere, ..TOKEN }));
    assert!(bed.run(20).trouble.unwrap().to_string().contains("not registered at this issuer"));
    bed.config.profile.enrol = leak(Register { issuer: elsewhere, ..OPEN });
    assert!(bed.run(60).token.is_some());
    assert_ne!(bed.id(), id);
    assert_eq!(bed.asked("PUT "), 0, "nor is its registration access token");
}

#[test]
fn a_software_statement_that_is_not_taken_is_told_of() {
    let software = Some(Software { id: "pump-firmware", version: "1", statement: Some("a.b.c") });
    let mut bed = bed(leak(Register { software, ..OPEN }), AuthOptions::default());
    let seen = bed.run(60);
    assert!(matches!(seen.trouble, Some(Error::Denied { code: OauthCode::InvalidSoftwareStatement, .. })));
    assert!(seen.words.starts_with("invalid_software_statement"), "{}", seen.words);
}
