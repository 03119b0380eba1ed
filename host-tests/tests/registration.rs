//! Registration as enrolment (RFC 7591) and its management (RFC 7592), in virtual time against the authorization server.

use host_tests::ca::{Ca, DAY};
use host_tests::est::EstServer;
use host_tests::est_options::{EstOptions, RetryAfter};
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::verify::Verifier;
use host_tests::oauth::{AuthFault, AuthOptions, AuthServer, Credential, Endpoint, InitialToken, Registration};
use host_tests::virtual_time::{End, World};
use identity_core::agent::{Answer, Status, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Manage, Register, Software};
use identity_core::error::Error;
use identity_core::keys::Slot;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, KeyId, OauthCode, TokenType};
use identity_core::record::{Record, read_credential, read_live};
use identity_core::session::{MqttVersion, Mtls, Present, TokenSession};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject as Name;

const START: u64 = 1_800_000_000;
const ISSUER: &str = "https://id.plant.example";
const MQTT: &str = "https://mqtt.plant.example";
const INITIAL: &str = "let me in";

const OPEN: Register = Register { issuer: ISSUER, scope: "mqtt:publish", ..Register::DEFAULT };
static REGISTER: Register = OPEN;
static TOKEN: ClientCredentials = ClientCredentials {
    issuer: ISSUER,
    client_id: ClientId::Registered,
    client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
    scope: "mqtt:publish",
    resource: &[MQTT],
    ..ClientCredentials::DEFAULT
};
static SESSION: TokenSession = TokenSession {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Password { user_name: None },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};

struct Bed {
    world: World,
    config: Config,
}

/// What a run saw.
#[derive(Default)]
struct Seen {
    token: Option<(String, TokenType)>,
    login: Option<Result<(), Error>>,
    trouble: Option<Error>,
    words: String,
    ready: bool,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn bed(register: &'static Register, options: AuthOptions) -> Bed {
    let ca = Ca::new(START);
    let anchors: &'static [&'static [u8]] = leak([&*ca.root().to_vec().leak()]);
    let mut world = World::new(EstServer::new(ca, EstOptions::default()), START);
    world.auth = Some(AuthServer::new(AuthOptions { registration: Registration::Open, ..options }));
    let config = Config {
        profile: Profile { enrol: register, token: Some(&TOKEN), session: &SESSION },
        subject: Name { common_name: "pump-7", ..Name::default() },
        names: &[],
        anchors,
        built: UnixTime(START - DAY),
    };
    Bed { world, config }
}

/// Only who has the initial access token may register, so many times.
fn guarded(uses: u32) -> Registration {
    Registration::Token(vec![InitialToken { token: INITIAL.into(), uses }])
}

impl Bed {
    fn auth(&mut self) -> &mut AuthServer {
        self.world.auth.as_mut().unwrap()
    }

    fn run(&mut self, seconds: u64) -> Seen {
        let (config, until) = (self.config, self.world.unix + seconds);
        let mut seen = Seen::default();
        let source = config.profile.token.unwrap();
        let want = Want { source, scope: source.scope() };
        let end = self.world.live_as(&config, until, None, true, |world, agent, now| {
            agent.want(want, now).unwrap();
            if let Some(token) = agent.token(&want, now) {
                seen.token = Some((token.secret.reveal().to_owned(), token.kind));
            }
            seen.ready |= matches!(agent.status(now), Status::Ready { not_after: UnixTime::NEVER, .. });
            if let Some(login) = agent.session(now) {
                assert!(login.is_err() || login.unwrap().client.is_none());
                seen.login = Some(login.map(|_| ()));
            }
            seen.trouble = agent.trouble().or(agent.token_waits(&want, now).and_then(|(_, why)| why)).or(seen.trouble);
            if !agent.words().is_empty() {
                seen.words = agent.words().to_owned();
            }
            world.unix + 1
        });
        assert_eq!(end, End::Time);
        seen
    }

    /// Asks for something once the device is ready, and lives until it is answered.
    fn manage(&mut self, what: Manage, effects: Option<usize>) -> (End, Option<Result<Answer, Error>>) {
        let (config, until) = (self.config, self.world.unix + 600);
        let (mut asked, mut answer) = (false, None);
        let end = self.world.live_as(&config, until, effects, true, |world, agent, now| {
            if !asked {
                agent.manage(what, now).unwrap();
                asked = true;
                return world.unix;
            }
            answer = answer.or_else(|| agent.answer());
            // what comes after the answer is for the next boot
            world.auth_up = answer.is_none();
            world.unix + 1
        });
        self.world.auth_up = true;
        (end, answer)
    }

    /// Requests to an endpoint by method and the beginning of its path.
    fn asked(&mut self, request: &str) -> usize {
        self.auth().served().iter().filter(|served| served.request.starts_with(request)).count()
    }

    fn live(&self) -> Slot {
        read_live(&self.world.flash[&Record::Live.number()]).unwrap()
    }

    fn id(&self) -> String {
        let record = &self.world.flash[&Record::Credential(self.live()).number()];
        read_credential(record).unwrap().client.unwrap().id.to_owned()
    }

    fn takes(&mut self, token: &str) -> bool {
        let now = self.world.unix;
        let keys = self.auth().public_keys();
        Verifier { issuer: ISSUER.into(), keys, audience: MQTT.into() }.verify(now, token).is_ok()
    }

    /// Keys of the client at the server.
    fn keys(&mut self) -> Vec<Jwk> {
        let id = self.id();
        match &self.auth().client(&id).unwrap().credential {
            Credential::Keys(keys) => keys.clone(),
            other => panic!("{other:?}"),
        }
    }
}

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
fn the_key_is_rotated_at_its_age_and_the_old_one_serves_until_then() {
    for rotates in [true, false] {
        let options = AuthOptions { rotate_registration: rotates, ..AuthOptions::default() };
        let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), options);
        assert!(bed.run(20).ready);
        let (id, first) = (bed.id(), bed.keys());
        bed.world.unix += 89 * DAY;
        assert!(bed.run(20).ready);
        assert_eq!((bed.live(), bed.asked("PUT ")), (Slot::A, 0));
        for (turn, slot) in [(1, Slot::B), (2, Slot::A), (3, Slot::B)] {
            bed.world.unix += 90 * DAY;
            let seen = bed.run(20);
            assert!(bed.takes(&seen.token.expect("a token").0), "{turn}: {:?}", seen.trouble);
            assert_eq!((bed.live(), bed.id(), bed.asked("PUT ")), (slot, id.clone(), turn));
            assert!(!bed.world.flash.contains_key(&Record::Key(slot.other()).number()), "the old key is destroyed");
            assert_eq!(bed.keys().len(), 2, "the new key and the one before");
        }
        assert!(bed.keys().iter().all(|key| key.thumbprint() != first[0].thumbprint()));
        assert_eq!(bed.asked("POST /register"), 1);
    }
}

#[test]
fn an_outage_at_the_rotation_keeps_the_device_working() {
    let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), AuthOptions::default());
    assert!(bed.run(20).ready);
    bed.world.unix += 90 * DAY;
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 5);
    let seen = bed.run(20);
    assert!(bed.takes(&seen.token.expect("a token of the old key").0));
    assert_eq!(bed.live(), Slot::A);
    assert!(bed.run(3600).token.is_some());
    assert_eq!(bed.live(), Slot::B, "{:?}", bed.world.errors);
}

#[test]
fn power_cut_at_any_effect_of_the_rotation_leaves_the_old_key_or_the_new() {
    let register =
        leak(Register { initial_access_token: Some(Secret::new(INITIAL)), rotate_after_days: Some(90), ..OPEN });
    let (mut old, mut new, mut anew) = (0, 0, 0);
    for cut in 0.. {
        let mut bed = bed(register, AuthOptions::default());
        bed.auth().options.registration = guarded(2);
        assert!(bed.run(20).ready);
        bed.world.unix += 90 * DAY;
        let (config, until) = (bed.config, bed.world.unix + 60);
        if bed.world.live(&config, until, Some(cut), false) != End::Cut {
            assert!(cut > 12, "only {cut} effects");
            break;
        }
        match bed.live() {
            Slot::A => old += 1,
            _ => new += 1,
        }
        // whatever the cut left gets tokens, even if the rotation that is due cannot go on
        let faults = bed.asked("PUT ");
        bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 1);
        let seen = bed.run(30);
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0), "cut {cut}");
        assert!(faults <= 1);
        let seen = bed.run(600);
        assert!(bed.takes(&seen.token.unwrap_or_else(|| panic!("cut {cut}: {:?}", seen.trouble)).0), "cut {cut}");
        assert_eq!(bed.live(), Slot::B, "cut {cut}");
        anew += bed.asked("POST /register") - 1;
    }
    assert!(old > 0 && new > 0);
    assert_eq!(anew, 1, "a registration access token whose successor was lost: registered anew, once");
}

#[test]
fn a_registration_is_read_and_its_new_token_stored_before_it_is_used() {
    let mut bed = bed(leak(Register { rotate_after_days: Some(90), ..OPEN }), AuthOptions::default());
    assert!(bed.run(20).ready);
    let before = bed.world.flash[&Record::Registration.number()].clone();
    let (_, answer) = bed.manage(Manage::Read, None);
    assert_eq!(answer, Some(Ok(Answer::Registered)));
    assert_ne!(bed.world.flash[&Record::Registration.number()], before);
    bed.world.unix += 90 * DAY;
    assert!(bed.run(20).token.is_some());
    let (_, answer) = bed.manage(Manage::Read, None);
    assert_eq!(answer, Some(Ok(Answer::Registered)), "with the token that the rotation gave");
    // a server that fails, and one that forgot
    bed.auth().inject(Endpoint::Management, AuthFault::Html(500), 1);
    let (_, answer) = bed.manage(Manage::Read, None);
    assert!(matches!(answer, Some(Err(Error::Refused { code: 500, .. }))), "{answer:?}");
    assert!(bed.run(20).token.is_some(), "the device works on");
    bed.auth().inject(Endpoint::Management, AuthFault::Error(401, "invalid_token"), 1);
    let (_, answer) = bed.manage(Manage::Read, None);
    assert!(matches!(answer, Some(Err(Error::Denied { code: OauthCode::InvalidToken, .. }))), "{answer:?}");
}

#[test]
fn a_registration_that_has_ended_leaves_nothing_and_a_new_one_can_be_made() {
    let mut bed = bed(&REGISTER, AuthOptions::default());
    assert!(bed.run(20).ready);
    let id = bed.id();
    // a server that cannot be asked ends nothing
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(503), 1);
    let (_, answer) = bed.manage(Manage::Delete, None);
    assert!(matches!(answer, Some(Err(Error::Refused { code: 503, .. }))), "{answer:?}");
    assert!(bed.run(20).token.is_some());
    let (_, answer) = bed.manage(Manage::Delete, None);
    assert_eq!(answer, Some(Ok(Answer::Unregistered)));
    assert!(bed.auth().client(&id).is_none());
    let left: Vec<u8> = bed.world.flash.keys().copied().collect();
    assert!(left.iter().all(|record| *record == Record::Floor.number()), "{left:x?}");
    assert!(bed.run(20).token.is_some());
    assert_ne!(bed.id(), id);
    // one that the server knows no more has ended as well
    bed.auth().inject(Endpoint::Management, AuthFault::Empty(404), 1);
    assert_eq!(bed.manage(Manage::Delete, None).1, Some(Ok(Answer::Unregistered)));
}

#[test]
fn power_cut_at_any_effect_of_the_end_is_mended_by_asking_again() {
    let register = leak(Register { initial_access_token: Some(Secret::new(INITIAL)), ..OPEN });
    for cut in 0.. {
        let mut bed = bed(register, AuthOptions::default());
        bed.auth().options.registration = guarded(2);
        assert!(bed.run(20).ready);
        let id = bed.id();
        let (_, answer) = bed.manage(Manage::Delete, Some(cut));
        if answer.is_some() {
            assert!(cut > 8, "only {cut} effects");
            break;
        }
        // the device is there still, or it is like new and registers
        let (_, answer) = bed.manage(Manage::Delete, None);
        assert_eq!(answer, Some(Ok(Answer::Unregistered)), "cut {cut}");
        assert!(bed.auth().client(&id).is_none(), "cut {cut}");
        assert!(bed.asked("POST /register") <= 2, "cut {cut}");
    }
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
