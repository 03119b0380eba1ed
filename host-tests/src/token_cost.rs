//! What a token costs the emulated board on the wire and in instructions, counted by itself.

use crate::est_options::{EstOptions, Grant};
use crate::measure::{Line, METERED, WAIT};
use crate::oauth::jwk::Jwk;
use crate::oauth::resource::{ResourceFault, ResourceOptions};
use crate::oauth::{AuthOptions, Client, Credential, Resource};
use crate::plant::{Plant, PlantOptions};
use crate::qemu::{self, Qemu};
use crate::scratch::Scratch;
use crate::simulator::{SECRET, USER};
use identity_core::session::MqttVersion;

const API: &str = "https://10.0.2.2/api";

/// What one token took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fetch {
    /// TLS connections.
    pub connections: u64,
    /// HTTP requests on them.
    pub requests: u64,
    /// Octets of TLS records sent.
    pub sent: u64,
    /// Octets of TLS records received.
    pub received: u64,
    /// Instructions, those of TLS included.
    pub instructions: u64,
}

impl Fetch {
    /// Times that the device waits for the network: for TCP, for TLS 1.3, and for each reply.
    #[must_use]
    pub const fn round_trips(&self) -> u64 {
        self.connections * 2 + self.requests
    }
}

/// The tokens of one life.
pub struct Tokens {
    /// The first one after a boot: the server's metadata is not known yet.
    pub first: Fetch,
    /// The next one.
    pub renewal: Fetch,
    /// Instructions of a call that finds the token in RAM.
    pub look_up: u64,
    /// Octets of the token reply's body.
    pub reply: usize,
}

/// How the device proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// private_key_jwt.
    Key,
    /// private_key_jwt and DPoP, at a server that demands nonces.
    Dpop,
    /// self_signed_tls_client_auth: the same on the wire as tls_client_auth.
    Certificate,
}

/// Enrols the board, makes it known to the authorization server, boots it again, and lets it call an API that refuses its first token.
///
/// # Errors
/// What the board, QEMU or the plant said.
pub fn tokens(way: Way) -> Result<Tokens, String> {
    let nonce = (way == Way::Dpop).then_some(60);
    let auth = AuthOptions {
        issuer: "https://10.0.2.2".into(),
        resources: vec![Resource::jwt(API, &["api:read"])],
        dpop_nonce: nonce,
        ..AuthOptions::default()
    };
    let est = EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..EstOptions::default() };
    let resource =
        ResourceOptions { url: "https://10.0.2.2".into(), audience: API.into(), ..ResourceOptions::default() };
    let plant =
        Plant::start(PlantOptions { est, auth: Some(auth), resource: Some(resource), ..PlantOptions::default() })?;
    let scratch = Scratch::new();
    let boot = |program: &str, keys: &[(&str, &str)]| {
        qemu::scenario(scratch.path(), &plant, "pump-7", MqttVersion::V5, 1)?;
        qemu::also(scratch.path(), keys)?;
        Qemu::start(&qemu::image(program)?, scratch.path(), true)?.finish(WAIT)
    };
    boot("telemetry", &[])?;
    let certificate = plant.est().enrolments().first().map(|enrolled| enrolled.certificate.clone()).unwrap_or_default();
    let credential = match way {
        Way::Certificate => Credential::SelfSigned(vec![certificate]),
        Way::Key | Way::Dpop => Credential::Keys(vec![Jwk::of_certificate(&certificate)?]),
    };
    plant.auth().add(Client::new("pump-7", credential));
    plant.resource().inject(ResourceFault::InvalidToken, 1);
    let issuer = plant.auth().options.issuer.clone();
    let url = format!("https://10.0.2.2:{}/readings", plant.resource_port());
    let keys: &[(&str, &str)] = &[
        ("token_issuer", &issuer),
        ("token_client_auth", if way == Way::Certificate { "tls_client_auth" } else { "private_key_jwt" }),
        ("token_scope", "api:read"),
        ("token_resource", API),
        ("token_dpop", if way == Way::Dpop { "true" } else { "false" }),
        ("token_session", "mtls"),
        ("token_url", &url),
    ];
    let output = boot("api", &[keys, METERED].concat())?;
    let lines: Vec<Line> = output.iter().filter_map(|line| Line::read(line)).collect();
    let wrong = || format!("not two tokens and a look-up:\n{}", output.join("\n"));
    let [first, renewal] = fetches(&lines).try_into().map_err(|_| wrong())?;
    let look_up =
        lines.iter().find_map(|line| line.text.strip_prefix("token from RAM: ")?.split(' ').next()?.parse().ok());
    let reply = plant.auth().served().last().map(|served| served.reply_octets).unwrap_or_default();
    Ok(Tokens { first, renewal, look_up: look_up.ok_or_else(wrong)?, reply })
}

/// Reads what was fetched for tokens; anything else that was sent ends a fetch.
fn fetches(lines: &[Line]) -> Vec<Fetch> {
    let (mut fetches, mut open) = (Vec::new(), None::<Fetch>);
    let (mut start, mut carried) = (0, (0, 0));
    for line in lines {
        let purposes = ["authorization server metadata: ", "token request: "];
        let for_token = purposes.iter().any(|purpose| line.text.starts_with(purpose));
        if let Some((sent, received)) = line.traffic().filter(|_| for_token) {
            let fetch = open.get_or_insert_default();
            if line.text.ends_with("after TLS") {
                fetch.connections += 1;
                carried = (0, 0);
            } else {
                fetch.requests += 1;
            }
            // each connection counts from zero
            fetch.sent += sent - carried.0;
            fetch.received += received - carried.1;
            fetch.instructions = line.instructions - start;
            carried = (sent, received);
        } else if !for_token && !["TLS with", "signed with"].iter().any(|start| line.text.starts_with(start)) {
            fetches.extend(open.take());
            start = line.instructions;
        }
    }
    fetches
}
