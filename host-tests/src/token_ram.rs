//! How much of `Memory`'s TOKENS a token takes, found by trying: the agent in virtual time with ever less.

use identity_core::agent::{Agent, Want};
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::memory::{Lent, Memory};
use identity_core::oauth::{ClientCredentials, TokenSource};
use identity_core::session::{MqttVersion, Mtls};
use identity_core::time::{Now, UnixTime};
use identity_core::x509::csr::Subject;

use crate::ca::{Ca, DAY};
use crate::est::EstServer;
use crate::est_options::{EstOptions, Grant};
use crate::oauth::jwk::Jwk;
use crate::oauth::{AuthFault, AuthOptions, AuthServer, Client, Credential, Endpoint};
use crate::virtual_time::{End, World};

const START: u64 = 1_800_000_000;
const ISSUER: &str = "https://id.plant.example";
/// Octets from one try to the next.
const STEP: usize = 128;

static SESSION: Mtls = Mtls {
    host: "mqtt.plant.example",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    alpn: &[],
    keep_alive: 60,
};

type Make = fn() -> Lent<'static>;

/// Memory with `TOKENS` octets; leaked, as a device's is a `static`.
fn memory<const TOKENS: usize>() -> Lent<'static> {
    Box::leak(Box::new(Memory::<6144, TOKENS>::new())).lend()
}

/// A row of sizes: the thousand's multiple, and seven steps above it.
macro_rules! sizes {
    ($($of:literal)*) => {
        [$(
            memory::<{ $of * 1024 }> as Make, memory::<{ $of * 1024 + STEP }>, memory::<{ $of * 1024 + 2 * STEP }>,
            memory::<{ $of * 1024 + 3 * STEP }>, memory::<{ $of * 1024 + 4 * STEP }>, memory::<{ $of * 1024 + 5 * STEP }>,
            memory::<{ $of * 1024 + 6 * STEP }>, memory::<{ $of * 1024 + 7 * STEP }>,
        )*]
    };
}

/// From no octet to 8 KB.
static SIZES: [Make; 64] = sizes!(0 1 2 3 4 5 6 7);

/// The least TOKENS, in steps of 128 octets, in which a token of `octets` is obtained by client credentials with a signed
/// assertion, kept and renewed.
///
/// # Errors
/// When 8 KB are not enough.
pub fn tokens_for(octets: usize, dpop: bool) -> Result<usize, String> {
    let found = SIZES.partition_point(|make| !serves(*make, octets, dpop));
    if found == SIZES.len() { Err(format!("8 KB do not do for {octets} octets")) } else { Ok(found * STEP) }
}

fn serves(make: Make, octets: usize, dpop: bool) -> bool {
    let grants = vec![Grant::basic("pump-7", "once").once()];
    let server = EstServer::new(Ca::new(START), EstOptions { grants, ..EstOptions::default() });
    let est: &'static Est = Box::leak(Box::new(Est {
        host: "est.plant.example",
        port: 443,
        label: None,
        bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
        pinned: Some(identity_core::crypto::sha256(server.ca.root())),
    }));
    let default = ClientCredentials::DEFAULT;
    let source: &'static dyn TokenSource =
        Box::leak(Box::new(ClientCredentials { issuer: ISSUER, scope: "mqtt:publish", dpop, ..default }));
    let config = Config {
        profile: Profile { enrol: est, token: Some(source), session: &SESSION },
        subject: Subject { common_name: "pump-7", ..Subject::default() },
        names: &[],
        anchors: &[],
        built: UnixTime(START - DAY),
    };
    let mut world = World::new(server, START);
    assert_eq!(world.live(&config, START + DAY, None, false), End::Ready, "{:?}", world.errors);
    let key = Jwk::of_certificate(&world.server.enrolments()[0].certificate).expect("a P-256 key");
    let nonce = dpop.then_some(60);
    let mut auth = AuthServer::new(AuthOptions { dpop_nonce: nonce, ..AuthOptions::default() });
    auth.add(Client::new("pump-7", Credential::Keys(vec![key])));
    auth.inject(Endpoint::Token, AuthFault::LongToken(octets), u32::MAX);
    world.auth = Some(auth);
    let want = Want { source, scope: source.scope() };
    let until = world.unix + 600;
    let ask = |world: &mut World, agent: &mut Agent<'_>, now: Now| {
        agent.want(want, now).expect("room for one want");
        world.unix + 1
    };
    world.live_in(make(), &config, until, None, true, ask);
    // the second was obtained while the first was kept
    world.errors.is_empty() && world.auth.is_some_and(|auth| auth.issued().len() >= 2)
}
