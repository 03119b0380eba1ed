//! Debian's Apache with mod_oauth2 on loopback: a resource server over TLS whose tokens are bound to a certificate
//! (RFC 8705) or to a key by DPoP (RFC 9449).

use crate::der;
use crate::leash::Leash;
use crate::plant::Plant;
use crate::scratch::Scratch;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
/// The modules it loads, by their file names without `mod_`.
const LOADED: [&str; 6] = ["mpm_event", "authn_core", "authz_core", "authz_user", "ssl", "oauth2"];

/// What it serves at both paths.
pub const BODY: &str = "the flow is 17";
/// Where a token must be bound to the client certificate.
pub const BY_CERTIFICATE: &str = "/certificate/flow";
/// Where a DPoP proof must come with the token.
pub const BY_PROOF: &str = "/proof/flow";

/// A running Apache; ended by its process id when dropped.
pub struct Apache {
    server: Child,
    leash: Option<Leash>,
    log: PathBuf,
    port: u16,
    _scratch: Scratch,
}

/// `policy` is the options of `OAuth2TokenVerify`.
fn place(path: &str, key: &Value, policy: &str, scheme: &str, audience: &str) -> String {
    let folder = path.trim_end_matches("/flow");
    let key = key.to_string().replace('"', "\\\"");
    format!(
        "<Location {folder}>\nAuthType oauth2\nOAuth2TokenVerify jwk \"{key}\" \"{policy}&verify.exp=required\"\n\
         OAuth2AcceptTokenIn header name=Authorization&type={scheme}\nRequire oauth2_claim aud:{audience}\n</Location>\n"
    )
}

impl Apache {
    /// Whether it and mod_oauth2 are installed.
    #[must_use]
    pub fn available() -> bool {
        Path::new(PROGRAM).is_file() && Path::new(MODULES).join("mod_oauth2.so").is_file()
    }

    /// Starts it with a certificate of `plant`. A token must be for `audience` and verify with `key`, a JWK.
    ///
    /// # Errors
    /// When it is not installed or does not start; what it logged.
    pub fn start(plant: &Plant, key: &Value, audience: &str) -> Result<Self, String> {
        if !Self::available() {
            return Err("install Apache and mod_oauth2: cargo xtask setup".into());
        }
        let scratch = Scratch::new();
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = bound.map_err(|error| error.to_string())?.port();
        let server = plant.server();
        let chain: String = server.chain.iter().map(|certificate| der::pem("CERTIFICATE", certificate)).collect();
        scratch.file("server.pem", chain);
        scratch.file("server.key", server.key.pem());
        scratch.file("ca.pem", der::pem("CERTIFICATE", plant.root()));
        for path in [BY_CERTIFICATE, BY_PROOF] {
            let path = path.trim_start_matches('/');
            let folder = scratch.path().join("pages").join(path.trim_end_matches("flow"));
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
            scratch.file(&format!("pages/{path}"), BODY);
        }
        let modules: String =
            LOADED.iter().map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).collect();
        let config = format!(
            "ServerRoot {root}\nListen 127.0.0.1:{port}\nServerName api.plant.example:{port}\nPidFile {root}/pid\n\
             DefaultRuntimeDir {root}\nDocumentRoot {root}/pages\nErrorLog {root}/log\nLogLevel warn oauth2:debug\n\
             {modules}User www-data\nGroup www-data\n\
             SSLEngine on\nSSLProtocol TLSv1.3\nSSLCertificateFile {root}/server.pem\n\
             SSLCertificateKeyFile {root}/server.key\nSSLCACertificateFile {root}/ca.pem\n\
             SSLVerifyClient optional_no_ca\nSSLOptions +ExportCertData\n{certificate}{proof}",
            root = scratch.path().display(),
            certificate = place(BY_CERTIFICATE, key, "type=mtls&mtls.policy=required", "Bearer", audience),
            proof = place(BY_PROOF, key, "type=dpop", "DPoP", audience),
        );
        let config = scratch.file("apache.conf", config);
        // -X: one process, in the foreground
        let server = Command::new(PROGRAM)
            .arg("-X")
            .arg("-f")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(scratch.path().join("output")).map_err(|error| error.to_string())?)
            .spawn()
            .map_err(|error| format!("{PROGRAM}: {error}"))?;
        let leash = Leash::on(&[&server]);
        let log = scratch.path().join("log");
        let mut started = Self { server, leash: None, log, port, _scratch: scratch };
        started.leash = Some(leash?);
        started.wait()
    }

    fn wait(mut self) -> Result<Self, String> {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && matches!(self.server.try_wait(), Ok(None)) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(self);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = fs::read_to_string(self.log.with_file_name("output")).unwrap_or_default();
        Err(format!("Apache did not start: {output}\n{}", self.log()))
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.server.kill();
        drop(self.leash.take());
        let _ = self.server.wait();
    }
}
