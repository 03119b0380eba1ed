//! Debian's mosquitto on loopback: mutual TLS 1.3, user name and access list from the certificate, its log captured.

use crate::ca::Identity;
use crate::der;
use crate::events::{Event, Events};
use crate::scratch::Scratch;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running mosquitto; ended by its process id when dropped.
pub struct Mosquitto {
    child: Child,
    log: Option<JoinHandle<()>>,
    port: u16,
    _scratch: Scratch,
}

/// Where Debian puts it; `/usr/sbin` is not in everybody's path.
fn program() -> Option<&'static str> {
    ["mosquitto", "/usr/sbin/mosquitto"]
        .into_iter()
        .find(|name| Command::new(name).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok())
}

impl Mosquitto {
    /// Whether it is installed.
    #[must_use]
    pub fn available() -> bool {
        program().is_some()
    }

    /// Starts it. Clients need a certificate that leads to `authorities` (DER, root first). A client may use
    /// `devices/<its common name>/#`, and [`crate::broker::OBSERVER`] everything.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(identity: &Identity, authorities: &[&[u8]], events: Events) -> Result<Self, String> {
        let program = program().ok_or("install mosquitto: apt-get install mosquitto")?;
        let scratch = Scratch::new();
        let pem =
            |list: &[&[u8]]| list.iter().map(|certificate| der::pem("CERTIFICATE", certificate)).collect::<String>();
        let chain: Vec<&[u8]> = identity.chain.iter().map(Vec::as_slice).collect();
        let cafile = scratch.file("ca.pem", pem(authorities));
        let certfile = scratch.file("server.pem", pem(&chain));
        let keyfile = scratch.file("server.key", identity.key.pem());
        let observer = crate::broker::OBSERVER;
        let acl = format!("user {observer}\ntopic readwrite #\n\npattern readwrite devices/%u/#\n");
        let acl_file = scratch.file("acl", acl);
        // mosquitto cannot say which port the system chose, so a free one is looked up for it
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\ntls_version tlsv1.3\n\
                 require_certificate true\nuse_identity_as_username true\nallow_anonymous false\nacl_file {}\n\
                 persistence false\nlog_dest stderr\nlog_type all\nlog_timestamp false\nset_tcp_nodelay true\n",
            cafile.display(),
            certfile.display(),
            keyfile.display(),
            acl_file.display()
        );
        let config = scratch.file("mosquitto.conf", config);
        let mut child = Command::new(program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        let sink = events.clone();
        let log = std::thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                sink.push(Event::Mosquitto(line));
            }
        });
        let mut started = Self { child, log: Some(log), port, _scratch: scratch };
        started.wait_until_up()?;
        Ok(started)
    }

    fn wait_until_up(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("mosquitto ended with {status}; its log is in the events"));
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("mosquitto did not listen within 5 s".into())
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}
