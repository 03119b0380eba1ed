//! The device login on a desktop: options of the command line to a configuration, and a terminal as display.

use std::path::PathBuf;

use apps::device_login::{self, Notice};
use device_sdk::clock::std_clock::block_on;
use device_sdk::{Config, Device, Memory};
use identity_core::config::{Config as Identity, Profile, Secret};
use identity_core::enrol::{Bootstrap, Enrol, Est, Register};
use identity_core::oauth::{ClientAuth, ClientId, DeviceLogin, KeyId};
use identity_core::session::{MqttVersion, Present, TokenSession};
use identity_core::time::UnixTime;
use identity_core::x509::csr::Subject;
use pki_types::CertificateDer;
use pki_types::pem::PemObject;

use crate::terminal::qr;

/// How to use it.
pub const HELP: &str = "\
device-login --issuer URL [--root FILE]… [--scope SCOPE] [--resource URL] [--name NAME] [--flash FILE]
             [--est HOST[:PORT] --est-user NAME --client-id ID]
  logs a device in by the device grant (RFC 8628), and keeps the refresh token: the next run asks nobody
  --issuer     issuer of the authorization server, as in its metadata; the device registers itself there as a
               client (RFC 7591), with the initial access token in INITIAL_ACCESS_TOKEN if that is set
  --root       certificate to trust, PEM or DER: of the authorization server, of the EST server
  --name       common name of the device; device-1
  --flash      file that is the device's flash; device-login.bin
  --est        instead of registering: the EST server that certifies the device's key
  --est-user   user name there; the password is in EST_PASSWORD
  --client-id  with --est: a public client that may use the device grant";

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Options {
    issuer: String,
    scope: String,
    resource: Option<String>,
    initial_access_token: Option<String>,
    /// Nothing of this: the device registers itself.
    est: Option<Ca>,
    roots: Vec<PathBuf>,
    name: String,
    flash: PathBuf,
}

/// A CA, and the client that its devices are.
#[derive(Clone, Debug, Default)]
struct Ca {
    host: String,
    port: u16,
    user: String,
    password: String,
    client_id: String,
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
        let (mut est, mut user, mut client_id) = (None, None, None);
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            let value = arguments.next().ok_or(format!("{argument} has no value"))?;
            match argument.as_str() {
                "--issuer" => options.issuer = value,
                "--scope" => options.scope = value,
                "--resource" => options.resource = Some(value),
                "--est" => est = Some(value),
                "--est-user" => user = Some(value),
                "--client-id" => client_id = Some(value),
                "--root" => options.roots.push(value.into()),
                "--name" => options.name = value,
                "--flash" => options.flash = value.into(),
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        if options.issuer.is_empty() {
            return Err("--issuer is missing".into());
        }
        options.initial_access_token = variable("INITIAL_ACCESS_TOKEN");
        options.est = match (est, user, client_id) {
            (None, None, None) => None,
            (Some(est), Some(user), Some(client_id)) => {
                let (host, port) = est.split_once(':').unwrap_or((&est, "443"));
                let port = port.parse().map_err(|_| format!("--est: {port} is no port"))?;
                let password = variable("EST_PASSWORD").ok_or("the variable EST_PASSWORD is not set")?;
                Some(Ca { host: host.into(), port, user, password, client_id })
            }
            _ => return Err("--est, --est-user and --client-id go together".into()),
        };
        Ok(Some(options))
    }

    /// The configuration. It is leaked: a device's configuration is a `static`.
    fn config(&self) -> Result<&'static Config, String> {
        let text = |text: &str| -> &'static str { text.to_owned().leak() };
        let mut anchors: Vec<&'static [u8]> = Vec::new();
        for path in &self.roots {
            anchors.extend(certificates(path)?.into_iter().map(|der| &*der.leak()));
        }
        let issuer = text(&self.issuer);
        let (enrol, client_id, client_auth): (&'static dyn Enrol, _, _) = match &self.est {
            Some(ca) => {
                let bootstrap = Bootstrap::Secret { user: text(&ca.user), password: Secret::new(text(&ca.password)) };
                let est = Est { host: text(&ca.host), port: ca.port, label: None, bootstrap, pinned: None };
                (Box::leak(Box::new(est)), ClientId::Fixed(text(&ca.client_id)), ClientAuth::None)
            }
            None => {
                let register = Register {
                    issuer,
                    initial_access_token: self.initial_access_token.as_deref().map(|token| Secret::new(text(token))),
                    scope: text(&self.scope),
                    grant_types: &["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
                    ..Register::DEFAULT
                };
                let client_auth = ClientAuth::PrivateKeyJwt(KeyId::Thumbprint);
                (Box::leak(Box::new(register)), ClientId::Registered, client_auth)
            }
        };
        let token = DeviceLogin {
            issuer,
            client_id,
            client_auth,
            scope: text(&self.scope),
            resource: self.resource.iter().map(|resource| text(resource)).collect::<Vec<_>>().leak(),
            ..DeviceLogin::DEFAULT
        };
        let profile = Profile {
            enrol,
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
