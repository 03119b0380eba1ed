//! The agent over every backend of the core: a driver that does anything and answers anything.

use crate::{any, control, keep, octets, text};
use core::fmt::{self, Write};
use identity_core::Error;
use identity_core::agent::step::{Challenge, Media, Outcome, Reply, Step};
use identity_core::agent::{Agent, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Enrol, Est, Manage, Register, Software};
use identity_core::error::CertProblem;
use identity_core::memory::Memory;
use identity_core::oauth::{
    Audience, ClientAuth, ClientCredentials, ClientId, DeviceLogin, JwtBearer, JwtBearerGrant, KeyId, OauthCode,
    Source, TokenExchange, TokenExchangeGrant, TokenSource,
};
use identity_core::session::{MqttVersion, Mtls, Present, Session, TokenSession};
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::x509::csr::Subject;

static EST: Est = Est { host: "", port: 443, label: None, bootstrap: Bootstrap::Open, pinned: None };
static REGISTER: Register = Register {
    initial_access_token: Some(Secret::new("")),
    software: Some(Software { id: "", version: "", statement: None }),
    ..Register::DEFAULT
};
static MTLS: Mtls = Mtls { host: "", port: 8883, version: MqttVersion::V5, client_id: None, alpn: &[], keep_alive: 60 };
static TOKEN: TokenSession = TokenSession {
    host: "",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Password { user_name: None },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};
static CREDENTIALS: ClientCredentials = ClientCredentials::DEFAULT;
static LOGIN: DeviceLogin = DeviceLogin::DEFAULT;
static BEARER: JwtBearer = Source::of(JwtBearerGrant { subject: None });
static EXCHANGE: TokenExchange = Source::of(TokenExchangeGrant { subject: &CREDENTIALS, audience: "" });

fn now() -> Now {
    any(Now { mono: Instant(0), wall: None })
}

/// Each backend by itself: what a configuration says is known to nobody, which backend it is decides what is linked.
fn enrol() -> &'static dyn Enrol {
    match any(0) {
        0 => any(&EST as &dyn Enrol),
        _ => any(&REGISTER as &dyn Enrol),
    }
}

fn source() -> &'static dyn TokenSource {
    keep([ClientAuth::None, ClientAuth::SecretBasic(Secret::new("")), ClientAuth::PrivateKeyJwt(KeyId::Thumbprint)]);
    keep((any(ClientId::Registered), any(Audience::Issuer)));
    match any(0) {
        0 => any(&CREDENTIALS as &dyn TokenSource),
        1 => any(&LOGIN as &dyn TokenSource),
        2 => any(&BEARER as &dyn TokenSource),
        _ => any(&EXCHANGE as &dyn TokenSource),
    }
}

fn session() -> &'static dyn Session {
    match any(0) {
        0 => any(&MTLS as &dyn Session),
        _ => any(&TOKEN as &dyn Session),
    }
}

pub fn all() {
    let profile = Profile { enrol: enrol(), token: any(Some(source())), session: session() };
    let subject = Subject { common_name: text(), ..any(Subject::default()) };
    let config =
        Config { profile, subject, names: any::<&[_]>(&[]), anchors: any::<&[_]>(&[]), built: any(UnixTime(0)) };
    let mut memory = Memory::<6144, 4096>::new();
    let mut agent = Agent::new(any(&config), any(&mut memory).lend());
    while any(true) {
        drive(&mut agent);
        ask(&mut agent);
    }
    control(cfg!(feature = "control-agent"));
}

fn drive(agent: &mut Agent<'_>) {
    match agent.poll(now()) {
        Step::Load { record, into } => keep((record.name(), record.is_sealed(), into)),
        Step::Exchange { request, into, nonce } => {
            nonce.set(octets());
            keep((request.path, request.body, request.proof, request.client.is_some(), into, nonce.get()));
        }
        step => keep(step),
    }
    let reply = Reply {
        status: any(200),
        media: any(Media::Json),
        retry_after: any(None),
        date: any(None),
        challenge: any(Challenge::None),
        length: any(0),
    };
    let outcome = match any(0) {
        0 => Outcome::Loaded(octets().len()),
        1 => Outcome::Reply(reply),
        _ => any(Outcome::Done),
    };
    if let Err(error) = agent.done(now(), outcome) {
        keep(write!(Log, "{error}").is_ok());
    }
    keep((agent.status(now()), agent.trouble(), agent.floor(), agent.config().built));
    if let Some(Ok(login)) = agent.session(now()) {
        keep((login.host, login.client_id, login.anchors.is_empty()));
    }
    for error in [
        Error::Misuse(""),
        Error::Denied { by: "", code: OauthCode::Other },
        Error::Certificate { which: "", problem: CertProblem::Expired { not_after: 1, now: 2 } },
    ] {
        keep(write!(Log, "{}", any(error)).is_ok());
    }
}

/// What an application asks.
fn ask(agent: &mut Agent<'_>) {
    let want = Want { source: source(), scope: text() };
    keep(agent.want(want, now()).is_ok());
    keep(agent.token(&want, now()).map(|token| (token.kind, token.expires)));
    keep(agent.token_waits(&want, now()));
    keep(agent.user_code(now()).map(|code| (code.code, code.uri, code.complete)));
    agent.token_refused(&want, now());
    agent.token_accepted(&want);
    keep((agent.revoke(want).is_ok(), agent.introspect(want).is_ok(), agent.fetch_keys(want.source).is_ok()));
    keep((agent.manage(any(Manage::Read), now()).is_ok(), agent.renew(now()).is_ok()));
    keep((
        agent.answer(),
        agent.slot(now()),
        agent.identity(now()).is_some(),
        agent.client_id(now()),
        agent.time(now()),
    ));
    keep((agent.words(), agent.key_set(any(0)).len(), agent.session_want().is_some(), agent.anchors().is_empty()));
}

/// Takes any text, or fails.
struct Log;

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        keep(text);
        any(Ok(()))
    }
}
