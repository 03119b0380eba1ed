//! The agent over EST and mTLS: a driver that does anything and answers anything.

use crate::{any, control, keep, octets, text};
use core::fmt::{self, Write};
use identity_core::Error;
use identity_core::agent::Agent;
use identity_core::agent::step::{Outcome, Step};
use identity_core::config::{Config, Profile};
use identity_core::enrol::{Bootstrap, Enrol, Est};
use identity_core::memory::Memory;
use identity_core::session::{MqttVersion, Mtls, Session};
use identity_core::time::{Instant, Now, UnixTime};
use identity_core::x509::csr::Subject;

static EST: Est = Est { host: "", port: 443, label: None, bootstrap: Bootstrap::Open, pinned: None };
static MTLS: Mtls = Mtls { host: "", port: 8883, version: MqttVersion::V5, client_id: None, alpn: &[], keep_alive: 60 };

fn now() -> Now {
    any(Now { mono: Instant(0), wall: None })
}

pub fn all() {
    let profile = Profile { enrol: any(&EST as &dyn Enrol), token: any(None), session: any(&MTLS as &dyn Session) };
    let subject = Subject { common_name: text(), ..any(Subject::default()) };
    let config =
        Config { profile, subject, names: any::<&[_]>(&[]), anchors: any::<&[_]>(&[]), built: any(UnixTime(0)) };
    let mut memory = Memory::<6144>::new();
    let mut agent = Agent::new(any(&config), any(&mut memory).lend());
    while any(true) {
        drive(&mut agent);
    }
    control(cfg!(feature = "control-agent"));
}

fn drive(agent: &mut Agent<'_>) {
    match agent.poll(now()) {
        Step::Load { record, into } => keep((record.name(), into)),
        Step::Exchange { request, into } => keep((request.path, request.body, request.client.is_some(), into)),
        step => keep(step),
    }
    if let Err(error) = agent.done(now(), any(Outcome::Loaded(octets().len()))) {
        keep(write!(Log, "{error}").is_ok());
    }
    keep((agent.status(now()), agent.trouble(), agent.floor(), agent.config().built));
    if let Some(Ok(login)) = agent.session(now()) {
        keep((login.host, login.client_id, login.anchors.is_empty()));
    }
    keep(write!(Log, "{}", any(Error::Misuse(""))).is_ok());
}

/// Takes any text, or fails.
struct Log;

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        keep(text);
        any(Ok(()))
    }
}
