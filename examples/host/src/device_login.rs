//! The device login on a desktop: options of the command line to a configuration, and a terminal as display.

use std::path::PathBuf;

use apps::device_login::{self, Notice};
use device_sdk::clock::std_clock::block_on;
use device_sdk::{Config, Device, Memory};
use identity_core::config::{Config as Identity, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est};
use identity_core::oauth::{ClientAuth, ClientId, DeviceLogin};
use identity_core::session::{MqttVersion, Present, TokenSession};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;
use pki_types::CertificateDer;
use pki_types::pem::PemObject;

use crate::terminal::qr;

/// How to use it.
pub const HELP: &str = "\
device-login --issuer URL --client-id ID --est HOST[:PORT] --est-user NAME [--root FILE]… [--scope SCOPE]
             [--resource URL] [--name NAME] [--flash FILE]
  enrols a device, logs it in by the device grant (RFC 8628), and keeps the refresh token: the next run asks nobody
  --issuer     issuer of the authorization server, as in its metadata
  --client-id  a public client there that may use the device grant
  --est        the EST server that certifies the device's key; the password of --est-user is in EST_PASSWORD
  --root       certificate to trust, PEM or DER: of the authorization server, of the EST server
  --name       common name of the device; device-1
  --flash      file that is the device's flash; device-login.bin";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    issuer: String,
    client_id: String,
    scope: String,
    resource: Option<String>,
    est: String,
    est_user: String,
    est_password: String,
    roots: Vec<PathBuf>,
    name: String,
    flash: PathBuf,
}

impl Options {
    /// Reads arguments, and what `variable` gives of the environment; none if only help is wanted.
    ///
    /// # Errors
    /// Which option is missing or wrong.
    pub fn parse(
        mut arguments: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let mut options = Self { name: "device-1".into(), flash: "device-login.bin".into(), ..Self::default() };
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let value = arguments.next().ok_or(format!("{argument} has no value"))?;
            match argument.as_str() {
                "--issuer" => options.issuer = value,
                "--client-id" => options.client_id = value,
                "--scope" => options.scope = value,
                "--resource" => options.resource = Some(value),
                "--est" => options.est = value,
                "--est-user" => options.est_user = value,
                "--root" => options.roots.push(value.into()),
                "--name" => options.name = value,
                "--flash" => options.flash = value.into(),
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        for (name, value) in [
            ("--issuer", &options.issuer),
            ("--client-id", &options.client_id),
            ("--est", &options.est),
            ("--est-user", &options.est_user),
        ] {
            if value.is_empty() {
                return Err(format!("{name} is missing"));
            }
        }
        options.est_password = variable("EST_PASSWORD").ok_or("the variable EST_PASSWORD is not set")?;
        Ok(Some(options))
    }

    /// The configuration. It is leaked: a device's configuration is a `static`.
    fn config(&self) -> Result<&'static Config, String> {
        let text = |text: &str| -> &'static str { text.to_owned().leak() };
        let mut anchors: Vec<&'static [u8]> = Vec::new();
        for path in &self.roots {
            anchors.extend(certificates(path)?.into_iter().map(|der| &*der.leak()));
        }
        let (host, port) = self.est.split_once(':').unwrap_or((&self.est, "443"));
        let port = port.parse().map_err(|_| format!("--est: {port} is no port"))?;
        let bootstrap =
            Bootstrap::Secret { user: text(&self.est_user), password: Secret::new(text(&self.est_password)) };
        let token = DeviceLogin {
            issuer: text(&self.issuer),
            client_id: ClientId::Fixed(text(&self.client_id)),
            client_auth: ClientAuth::None,
            scope: text(&self.scope),
            resource: self.resource.iter().map(|resource| text(resource)).collect::<Vec<_>>().leak(),
            ..DeviceLogin::DEFAULT
        };
        let profile = Profile {
            enrol: Box::leak(Box::new(Est { host: text(host), port, label: None, bootstrap, pinned: None })),
            token: Some(Box::leak(Box::new(token))),
            // a device that only talks to APIs: `online()` is never called
            session: &TokenSession {
                host: "",
                port: 8883,
                version: MqttVersion::V5,
                client_id: None,
                present: Present::Password { user_name: None },
                certificate: false,
                alpn: &[],
                keep_alive: 60,
            },
        };
        let subject = Subject { common_name: text(&self.name), ..Subject::default() };
        let identity =
            Identity { profile, subject, names: &[], anchors: anchors.leak(), built: UnixTime(1_760_000_000) };
        Ok(Box::leak(Box::new(Config { identity, time_servers: &[], will: None })))
    }
}

/// The certificates in a file, PEM or DER.
fn certificates(path: &PathBuf) -> Result<Vec<Vec<u8>>, String> {
    let contents = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if !contents.starts_with(b"-----") && contents.first() == Some(&0x30) {
        return Ok(vec![contents]);
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found.into_iter().map(|der| der.to_vec()).collect()),
        _ => Err(format!("{}: no certificate in it, neither PEM nor DER", path.display())),
    }
}

/// Powers the device on and logs it in; `print` is the terminal.
///
/// # Errors
/// Options that cannot be used, a board that fails, a device that is stuck.
pub fn run(options: &Options, mut print: impl FnMut(&str)) -> Result<(), String> {
    let config = options.config()?;
    let board = crate::init(&options.flash).map_err(|error| format!("{}: {error}", options.flash.display()))?;
    let mut memory = Box::new(Memory::<6144, 6144>::new());
    let mut device = Device::new(config, &mut memory, board);
    let login = device_login::run(&mut device, |notice| match notice {
        Notice::Approve { code, qr: picture } => {
            print(&format!("Open {} and enter the code {}", code.uri, code.code));
            if let Some(picture) = picture {
                print(&qr(picture));
            }
        }
        Notice::Trouble { error, words: "" } => print(&format!("{error}")),
        Notice::Trouble { error, words } => print(&format!("{error} (the server says: {words})")),
        Notice::In => print("The device is in."),
    });
    block_on(login).map_err(|error| error.to_string())
}
