//! Debian's RabbitMQ on loopback: MQTT over TLS, log-in by JWT or by certificate, everything it keeps in a scratch folder.

use crate::broker::OBSERVER;
use crate::der;
use crate::leash::Leash;
use crate::oidc_provider::OidcProvider;
use crate::plant::Plant;
use crate::scratch::Scratch;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The script itself: the one in the path changes to another user.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const EPMD: &str = "epmd";
const PLUGINS: &str = "[rabbitmq_mqtt,rabbitmq_auth_backend_oauth2,rabbitmq_auth_mechanism_ssl].";
/// It takes some 10 s on two idle cores.
const START: Duration = Duration::from_secs(120);
/// What it logs when all listeners are there.
const UP: &str = "Server startup complete";

/// A running RabbitMQ with a port mapper of its own; both are ended by their process ids when dropped.
pub struct RabbitMq {
    server: Child,
    epmd: Child,
    leash: Option<Leash>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    port: u16,
    _scratch: Scratch,
}

fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(|error| error.to_string())
}

/// Users that log in by certificate: each may use `devices/<its name>/#`, and [`OBSERVER`] everything.
fn definitions(users: &[&str]) -> String {
    let own = r"mqtt-subscription-.*|amq\.topic";
    let topics = r"^devices\.{username}\..*";
    let all: Vec<_> = [OBSERVER].iter().chain(users).collect();
    json!({
        "vhosts": [{ "name": "/" }],
        "users": all.iter().map(|name| json!({ "name": name, "password_hash": "", "tags": "" })).collect::<Vec<_>>(),
        "permissions": all.iter().map(|name| {
            let right = if **name == OBSERVER { ".*" } else { own };
            json!({ "user": name, "vhost": "/", "configure": right, "write": right, "read": right })
        }).collect::<Vec<_>>(),
        "topic_permissions": users.iter().map(|name| {
            json!({ "user": name, "vhost": "/", "exchange": "amq.topic", "write": topics, "read": topics })
        }).collect::<Vec<_>>(),
    })
    .to_string()
}

fn config(scratch: &Scratch, plant: &Plant, jwks: &str, port: u16) -> String {
    let server = plant.server();
    let chain: String = server.chain.iter().map(|certificate| der::pem("CERTIFICATE", certificate)).collect();
    let authorities = scratch.file("ca.pem", der::pem("CERTIFICATE", plant.root()));
    let certificate = scratch.file("server.pem", chain);
    let key = scratch.file("server.key", server.key.pem());
    format!(
        "listeners.tcp = none\nmqtt.listeners.tcp = none\nmqtt.listeners.ssl.default = 127.0.0.1:{port}\n\
         ssl_options.cacertfile = {authorities}\nssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n\
         ssl_options.versions.1 = tlsv1.3\nssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         mqtt.allow_anonymous = false\nmqtt.ssl_cert_login = true\nssl_cert_login_from = common_name\n\
         auth_backends.1 = rabbit_auth_backend_oauth2\nauth_backends.2 = internal\n\
         auth_oauth2.resource_server_id = rabbitmq\nauth_oauth2.jwks_url = {jwks}\n\
         auth_oauth2.https.peer_verification = verify_peer\nauth_oauth2.https.cacertfile = {authorities}\n\
         auth_oauth2.algorithms.1 = ES256\nload_definitions = {definitions}\n\
         log.file = false\nlog.console = true\nlog.console.level = info\n",
        authorities = authorities.display(),
        certificate = certificate.display(),
        key = key.display(),
        definitions = scratch.path().join("definitions.json").display(),
    )
}

impl RabbitMq {
    /// Whether it is installed.
    #[must_use]
    pub fn available() -> bool {
        Path::new(PROGRAM).is_file()
    }

    /// Starts it with a certificate of `plant`. Tokens are verified with the keys of `issuer`, must name `rabbitmq` in
    /// `aud`, and say in `scope` what is allowed; `users` log in by certificate.
    ///
    /// # Errors
    /// When it is not installed or does not start; what it logged.
    pub fn start(plant: &Plant, issuer: &OidcProvider, users: &[&str]) -> Result<Self, String> {
        Self::with_keys(plant, &format!("{}/jwks", issuer.issuer()), users)
    }

    /// The same with the key set at the URL `jwks`, which a server with a certificate of `plant` serves.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_keys(plant: &Plant, jwks: &str, users: &[&str]) -> Result<Self, String> {
        if !Self::available() {
            return Err("install RabbitMQ: cargo xtask setup".into());
        }
        let scratch = Scratch::new();
        let (port, mapper, distribution) = (free_port()?, free_port()?, free_port()?);
        scratch.file("definitions.json", definitions(users));
        let settings = scratch.file("rabbitmq.conf", config(&scratch, plant, jwks, port));
        let plugins = scratch.file("plugins", PLUGINS);
        let nothing = scratch.file("environment", "");
        let mut epmd = Command::new(EPMD)
            .args(["-address", "127.0.0.1", "-port", &mapper.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{EPMD}: {error}"))?;
        // else Erlang starts one of its own, which outlives it
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, mapper)).is_err() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut command = Command::new(PROGRAM);
        command
            .env("HOME", scratch.path())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", nothing)
            .env("RABBITMQ_CONFIG_FILE", settings)
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", scratch.path().join("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_MNESIA_BASE", scratch.path().join("mnesia"))
            .env("RABBITMQ_LOG_BASE", scratch.path().join("log"))
            .env("RABBITMQ_NODENAME", "plant@localhost")
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} -noinput")
            // the script becomes the server then, so that the process id is the server's
            .env("RABBITMQ_ALLOW_INPUT", "1");
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server = match spawned {
            Ok(server) => server,
            Err(error) => {
                let _ = epmd.kill();
                let _ = epmd.wait();
                return Err(format!("{PROGRAM}: {error}"));
            }
        };
        let leash = Leash::on(&[&server, &epmd]);
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sink, (report, up)) = (log.clone(), channel());
        let lines = server.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let reader = std::thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if line.contains(UP) {
                    let _ = report.send(());
                }
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let mut started = Self { server, epmd, leash: None, log, reader: Some(reader), port, _scratch: scratch };
        started.leash = Some(leash?);
        started.wait(&up)
    }

    fn wait(self, up: &Receiver<()>) -> Result<Self, String> {
        match up.recv_timeout(START) {
            Ok(()) => Ok(self),
            Err(_) => Err(format!("RabbitMQ did not start; its log:\n{}", self.log().join("\n"))),
        }
    }

    /// Port of MQTT over TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for process in [&mut self.server, &mut self.epmd] {
            let _ = process.kill();
        }
        drop(self.leash.take());
        for process in [&mut self.server, &mut self.epmd] {
            let _ = process.wait();
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
