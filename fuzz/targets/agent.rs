//! The agent, driven by arbitrary outcomes: it asks the same when asked again, it rests, and no server sees what is another's.
//!
//! Everything secret that a server gives carries the name of that server and of the client that asked.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fuzz::{CHAIN, Input, head};
use identity_core::agent::step::{Authorization, Cause, Failure, Method, Outcome, Request, Step};
use identity_core::agent::{Agent, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::error::Error;
use identity_core::keys::{PublicKey, Slot};
use identity_core::memory::{Lent, Memory};
use identity_core::oauth::{
    ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId, Source, TokenExchange, TokenExchangeGrant, TokenSource,
};
use identity_core::record::Record;
use identity_core::session::{MqttVersion, Present, TokenSession};
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::x509::cert::Certificate;
use identity_core::x509::csr::Subject;
use identity_core::x509::der_certificates;
use libfuzzer_sys::fuzz_target;

const A: &str = "https://id.a.example";
const B: &str = "https://id.b.example";

static SESSION: ClientCredentials =
    ClientCredentials { issuer: A, client_id: ClientId::Fixed("client0"), dpop: true, ..ClientCredentials::DEFAULT };
static LOGIN_A: DeviceLogin = DeviceLogin {
    issuer: A,
    client_id: ClientId::Fixed("client1"),
    client_auth: ClientAuth::None,
    ..DeviceLogin::DEFAULT
};
static LOGIN_B: DeviceLogin = DeviceLogin { issuer: B, client_id: ClientId::Fixed("client2"), ..LOGIN_A };
static EXCHANGE: TokenExchange = TokenExchange {
    issuer: B,
    client_id: ClientId::Fixed("client3"),
    client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
    ..Source::of(TokenExchangeGrant { subject: &POST, audience: "x" })
};
static POST: ClientCredentials = ClientCredentials {
    issuer: B,
    client_id: ClientId::Fixed("client4"),
    client_auth: ClientAuth::SecretPost(Secret::new("MARKb-secret")),
    ..ClientCredentials::DEFAULT
};
/// Each with the letter of its server and the number of its client.
static SOURCES: [(&dyn TokenSource, &str, &str); 6] = [
    (&SESSION, "a", "client0"),
    (&SESSION, "a", "client0"),
    (&LOGIN_A, "a", "client1"),
    (&LOGIN_B, "b", "client2"),
    (&EXCHANGE, "b", "client3"),
    (&POST, "b", "client4"),
];
const SCOPES: [&str; 3] = ["", "x", "y z"];

static EST: Est = Est {
    host: "est.example",
    port: 443,
    label: None,
    bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("EST-once") },
    pinned: None,
};
static MQTT: TokenSession = TokenSession {
    host: "mqtt.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Password { user_name: None },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    match input.octet() % 4 {
        0 => live(Memory::<4096, 1200>::new().lend(), input),
        1 => live(Memory::<4096, 0>::new().lend(), input),
        _ => live(Memory::<4096, 4096>::new().lend(), input),
    }
});

fn live(memory: Lent<'_>, mut input: Input<'_>) {
    static ROOT: LazyLock<[&[u8]; 1]> = LazyLock::new(|| [der_certificates(CHAIN).last().expect("a root")]);
    let leaf = der_certificates(CHAIN).next().expect("a leaf");
    let certificate = Certificate::parse(leaf).expect("a certificate");
    let config = Config {
        profile: Profile { enrol: &EST, token: Some(&SESSION), session: &MQTT },
        subject: Subject { common_name: "pump-7", ..Subject::default() },
        names: &[],
        anchors: &*ROOT,
        built: certificate.not_before,
    };
    let mut world = World::new(leaf, &certificate);
    let mut agent = Agent::new(&config, memory);
    let mut mono = 0;
    // exchanges since time passed or the application did something
    let mut busy = 0;
    for _ in 0..600 {
        if input.0.is_empty() {
            break;
        }
        let now = Now { mono: Instant(mono), wall: Some(UnixTime(world.start + mono / 1000)) };
        if let Some(Err(error)) = agent.answer() {
            assert!(!format!("{error:?} {error}").contains("MARK"), "a secret in an answer");
        }
        world.application(&mut agent, now, &mut input, &mut busy);
        let print = fingerprint(&agent.poll(now));
        scribble(agent.poll(now));
        let step = agent.poll(now);
        assert!(fingerprint(&step) == print, "asked twice, it gives another step");
        if let Step::Idle { until } = step {
            assert!(until > now.mono, "it idles until now");
            busy = 0;
            let wait = until.0 - mono;
            mono += match input.octet() % 4 {
                0 => wait.min(1_000),
                1 => wait.min(60_000),
                _ => wait.min(86_400_000),
            };
            continue;
        }
        let outcome = world.perform(step, &certificate, &mut input, &mut busy);
        mono += u64::from(input.octet() & 7) * 100;
        let later = Now { mono: Instant(mono), wall: Some(UnixTime(world.start + mono / 1000)) };
        if let Err(error) = agent.done(later, outcome) {
            assert!(!format!("{error:?} {error} {}", agent.words()).contains("MARK"), "a secret in an error");
        }
        for (source, server, client) in SOURCES {
            for scope in SCOPES {
                if let Some(token) = agent.token(&Want { source, scope }, later) {
                    let secret = token.secret.reveal();
                    assert!(
                        secret.contains(&format!("MARK{server}")) && secret.contains(client),
                        "{secret} for {client}"
                    );
                    assert!(token.expires > later.mono);
                }
            }
        }
    }
}

struct World {
    flash: BTreeMap<u8, Vec<u8>>,
    sealed: BTreeMap<u8, Vec<u8>>,
    start: u64,
    given: u32,
}

impl World {
    fn new(leaf: &[u8], certificate: &Certificate<'_>) -> Self {
        let mut record = vec![0xA5, 0, 1, 1, 0x59];
        record.extend(u16::try_from(leaf.len()).expect("small").to_be_bytes());
        record.extend(leaf);
        record.extend([2, 0x82, 0x1A, 0, 0, 0, 0, 0x1A]);
        record.extend(u32::try_from(leaf.len()).expect("small").to_be_bytes());
        for (key, time) in [(3, certificate.not_before), (4, certificate.not_after)] {
            record.extend([key, 0x1B]);
            record.extend(time.0.to_be_bytes());
        }
        let live = vec![0xA2, 0, 1, 1, 1];
        let flash = BTreeMap::from([(Record::Live.number(), live), (Record::Credential(Slot::A).number(), record)]);
        let life = certificate.not_after.0 - certificate.not_before.0;
        // renewal is due a day later
        let start = certificate.not_before.0 + life / 3 * 2 - 86_400;
        Self { flash, sealed: BTreeMap::new(), start, given: 0 }
    }

    fn application(&self, agent: &mut Agent<'_>, now: Now, input: &mut Input<'_>, busy: &mut u32) {
        let operation = input.octet();
        if operation < 192 {
            return;
        }
        *busy = 0;
        let (source, ..) = SOURCES[usize::from(operation) % 6];
        let want = Want { source, scope: SCOPES[usize::from(operation / 8) % 3] };
        match operation & 7 {
            0 => agent.token_refused(&want, now),
            1 => agent.token_accepted(&want),
            2 => drop(agent.revoke(want)),
            3 => drop(agent.introspect(want)),
            4 => drop(agent.fetch_keys(source)),
            5 => agent.torn(),
            _ => drop(agent.want(want, now)),
        }
    }

    fn perform(
        &mut self,
        step: Step<'_>,
        certificate: &Certificate<'_>,
        input: &mut Input<'_>,
        busy: &mut u32,
    ) -> Outcome {
        let choice = input.octet();
        if choice >= 224 {
            let cause = if choice & 1 == 0 { Cause::Transient } else { Cause::Permanent };
            let error = Error::Unreachable { by: "fuzz", problem: "a glitch" };
            return match choice & 6 {
                0 => Outcome::Done,
                2 => Outcome::Absent,
                _ => Outcome::Failed(Failure { cause, error }),
            };
        }
        match step {
            Step::Load { record, into } => {
                let flash = if record.is_sealed() { &self.sealed } else { &self.flash };
                let Some(octets) = flash.get(&record.number()) else { return Outcome::Absent };
                into[..octets.len()].copy_from_slice(octets);
                Outcome::Loaded(octets.len())
            }
            Step::Store { record, bytes } => {
                assert!(!record.is_sealed() && !has(bytes, "MARK"), "a secret goes to flash as it is");
                self.flash.insert(record.number(), bytes.to_vec());
                Outcome::Done
            }
            Step::StoreSealed { record, octets, length } => {
                assert!(record.is_sealed() && octets.len() >= length + identity_core::crypto::SEAL_OVERHEAD);
                assert!(length > 0 && has(&octets[..length], "MARK"));
                self.sealed.insert(record.number(), octets[..length].to_vec());
                octets[..length].fill(0x5A);
                Outcome::Done
            }
            Step::Erase { record } => {
                self.sealed.remove(&record.number());
                Outcome::Done
            }
            Step::Public { slot, into } => match certificate.public_key().filter(|_| slot == Slot::A) {
                Some(public) => {
                    *into = public;
                    Outcome::Done
                }
                None => Outcome::Absent,
            },
            Step::Generate { slot, into } => {
                assert_ne!(slot, Slot::A, "the live key is lost");
                *into = PublicKey([4; 65]);
                Outcome::Done
            }
            Step::Sign { into, .. } => {
                into.0.fill(1);
                Outcome::Done
            }
            Step::Random { into } => {
                into.fill(choice);
                Outcome::Done
            }
            Step::Destroy { slot } => {
                assert_ne!(slot, Slot::A, "the live key is lost");
                Outcome::Done
            }
            Step::Exchange { request, into, nonce } => {
                *busy += 1;
                assert!(*busy < 60, "requests without rest");
                check(&request);
                if choice & 32 != 0 {
                    nonce.set(b"nonce");
                }
                self.answer(choice, &request, input, into)
            }
            Step::Idle { .. } => unreachable!("dealt with above"),
        }
    }

    fn answer(&mut self, choice: u8, request: &Request<'_>, input: &mut Input<'_>, into: &mut [u8]) -> Outcome {
        let server = if request.host == "id.a.example" { "a" } else { "b" };
        self.given += 1;
        let form = String::from_utf8_lossy(request.body);
        let client = (0..5).find(|number| form.contains(&format!("client_id=client{number}"))).unwrap_or(9);
        let secret = |what| format!("{what}MARK{server}client{client}n{}", self.given);
        let right = match request.path {
            "/token" => {
                let seconds = u32::from(input.octet()) * 8;
                let kind = if client == 0 { "DPoP" } else { "Bearer" };
                format!(
                    r#"{{"access_token":"{}","token_type":"{kind}","expires_in":{seconds},"refresh_token":"{}"}}"#,
                    secret("access"),
                    secret("refresh")
                )
            }
            "/device" => format!(
                r#"{{"device_code":"{}","user_code":"WDJB","verification_uri":"https://x/","expires_in":{},"interval":1}}"#,
                secret("device"),
                u32::from(input.octet()) * 8
            ),
            "/revoke" => String::new(),
            "/introspect" => r#"{"active":true,"scope":"x"}"#.into(),
            "/jwks" => r#"{"keys":[]}"#.into(),
            _ => {
                let at = |name: &str, path: &str| format!(r#","{name}":"https://{}/{path}""#, request.host);
                let endpoints = at("token_endpoint", "token") + &at("device_authorization_endpoint", "device");
                let others = at("revocation_endpoint", "revoke") + &at("introspection_endpoint", "introspect");
                format!(r#"{{"issuer":"https://{}"{endpoints}{others}{}}}"#, request.host, at("jwks_uri", "jwks"))
            }
        };
        const CODES: [&str; 8] = [
            "authorization_pending",
            "slow_down",
            "use_dpop_nonce",
            "invalid_grant",
            "invalid_client",
            "expired_token",
            "access_denied",
            "odd",
        ];
        let body = match choice & 31 {
            0..20 => right.into_bytes(),
            20..28 => format!(r#"{{"error":"{}"}}"#, CODES[usize::from(choice & 7)]).into_bytes(),
            _ => input.field().to_vec(),
        };
        let length = body.len().min(into.len());
        into[..length].copy_from_slice(&body[..length]);
        let mut reply = head(input, length);
        match choice & 31 {
            0..20 => reply.status = 200,
            20..28 => reply.status = 400,
            _ => {}
        }
        Outcome::Reply(reply)
    }
}

/// No server sees what is another's.
fn check(request: &Request<'_>) {
    let (user, secret) = match request.authorization {
        Authorization::None => ("", ""),
        Authorization::Basic { user, password } => (user, password.reveal()),
        Authorization::Bearer(token) | Authorization::Dpop(token) => ("", token.reveal()),
    };
    let all = [request.path.as_bytes(), request.body, user.as_bytes(), secret.as_bytes()].concat();
    match request.host {
        "est.example" => assert!(!has(&all, "MARK"), "EST"),
        "id.a.example" => assert!(!has(&all, "MARKb") && !has(&all, "EST-once"), "{}", String::from_utf8_lossy(&all)),
        "id.b.example" => assert!(!has(&all, "MARKa") && !has(&all, "EST-once"), "{}", String::from_utf8_lossy(&all)),
        other => panic!("a request to {other:?}"),
    }
    if request.method == Method::Post && request.host != "est.example" {
        assert!(request.body.iter().all(|octet| octet.is_ascii_graphic()), "the form was spoilt");
        assert!(
            request.proof.is_none_or(|proof| proof.bytes().all(|octet| octet.is_ascii_graphic()) && !proof.is_empty())
        );
    }
}

fn has(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

/// What a step asks for, and what it lends to be read.
fn fingerprint(step: &Step<'_>) -> (u8, Vec<u8>) {
    match step {
        Step::Load { record, .. } => (0, vec![record.number()]),
        Step::Store { record, bytes } => (1, [&[record.number()], *bytes].concat()),
        Step::Public { slot, .. } => (2, vec![slot.number()]),
        Step::Generate { slot, .. } => (3, vec![slot.number()]),
        Step::Sign { slot, digest, .. } => (4, [&[slot.number()], digest.as_slice()].concat()),
        Step::StoreSealed { octets, length, .. } => (5, octets[..*length].to_vec()),
        Step::Erase { record } => (6, vec![record.number()]),
        Step::Random { .. } => (7, Vec::new()),
        Step::Destroy { slot } => (8, vec![slot.number()]),
        Step::Exchange { request, .. } => {
            let proof = request.proof.unwrap_or_default().as_bytes();
            (9, [request.host.as_bytes(), request.path.as_bytes(), request.body, proof].concat())
        }
        Step::Idle { until } => (10, until.0.to_be_bytes().to_vec()),
    }
}

/// What a driver leaves that is dropped in the middle.
fn scribble(step: Step<'_>) {
    match step {
        Step::Load { into, .. } | Step::Exchange { into, .. } => into.fill(0xA5),
        Step::Public { into, .. } | Step::Generate { into, .. } => into.0.fill(0xA5),
        Step::Sign { into, .. } => into.0.fill(0xA5),
        Step::StoreSealed { octets, .. } => octets.fill(0xA5),
        Step::Random { into } => into.fill(0xA5),
        Step::Store { .. } | Step::Destroy { .. } | Step::Erase { .. } | Step::Idle { .. } => {}
    }
}
