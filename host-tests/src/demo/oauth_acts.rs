//! What the device does in each boot of the OAuth2 profile: a token source, a log-in, and a short life.

use std::path::PathBuf;
use std::{fs, io};

use apps::device_login::{self, Notice};
use apps::telemetry::{self, Telemetry};
use device_sdk::clock::std_clock::block_on;
use device_sdk::net::std_net::StdNet;
use device_sdk::{Config, Device, Memory, SideMemory};
use host::terminal;
use identity_core::enrol::Register;
use identity_core::oauth::{ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId, Renew, TokenSource};
use identity_core::session::{MqttVersion, Present, TokenSession};

use super::oauth::{API, BROKER, Seen};
use super::{FLASH, NAME, Wish};
use crate::plant::Plant;
use crate::simulator::{config_with, topic};
use crate::timeline::Timeline;

/// Readings of an act, and milliseconds between them: longer than a token lives.
const READINGS: u32 = 11;
const EVERY_MS: u64 = 1500;
/// `client_id` of the device for a person's approval: a public client that all devices of a kind share.
pub(super) const LOGIN: &str = "pump-panel";
/// Tokens of these seconds are renewed early, so that a slow desktop is in time.
const RENEW: Renew = Renew { after_percent: 50, jitter_percent: 5 };

/// One boot.
pub(super) struct Act {
    pub(super) title: &'static str,
    pub(super) config: fn(&Plant, &Wish) -> &'static Config,
    pub(super) life: fn(&Scene) -> Result<Lived, String>,
    /// Whether the servers saw what they should.
    pub(super) fits: fn(&Seen) -> bool,
    /// The file that is the device's flash.
    pub(super) flash: &'static str,
    v5_only: bool,
}

/// What a life needs.
pub(super) struct Scene {
    pub(super) config: &'static Config,
    pub(super) flash: PathBuf,
    /// A URL of the API.
    pub(super) api: String,
}

/// How a life went.
#[derive(Default)]
pub(super) struct Lived {
    pub(super) said: String,
    /// Messages that the subscriber must have.
    pub(super) published: usize,
}

impl Act {
    /// Whether it can be shown in this version of MQTT.
    pub(super) fn speaks(&self, version: MqttVersion) -> bool {
        !self.v5_only || version == MqttVersion::V5
    }
}

pub(super) const ACTS: [Act; 8] = [
    Act {
        title: "1. Certificate by EST, token by private_key_jwt, the token as MQTT password; a new link for each token",
        config: |plant, wish| broker(plant, wish, Present::Password { user_name: None }),
        life: |scene| publish(scene, false),
        fits: |seen| seen.refused == 0 && seen.connected >= 2 && seen.tokens >= 2 && seen.shown == 0,
        flash: FLASH,
        v5_only: false,
    },
    Act {
        title: "2. MQTT 5 enhanced authentication and a second socket: one link, new tokens are shown on it",
        config: |plant, wish| broker(plant, wish, Present::Enhanced { method: "OAUTH2-JWT" }),
        life: |scene| publish(scene, true),
        fits: |seen| seen.refused == 0 && seen.connected == 1 && seen.shown >= 1,
        flash: FLASH,
        v5_only: true,
    },
    Act {
        title: "3. An API, with a bearer token",
        config: |plant, wish| api(plant, wish, "api:read", false),
        life: ask_api,
        fits: |seen| seen.granted == 2 && seen.tokens == 1,
        flash: FLASH,
        v5_only: false,
    },
    Act {
        title: "4. The same API, the token bound to the device key (DPoP), each server with nonces of its own",
        config: |plant, wish| api(plant, wish, "api:read", true),
        life: ask_api,
        fits: |seen| seen.granted == 2 && seen.tokens == 1,
        flash: FLASH,
        v5_only: false,
    },
    Act {
        title: "5. Device login: a person approves",
        config: login,
        life: log_in,
        fits: |seen| seen.asked == 1 && seen.tokens == 1,
        flash: FLASH,
        v5_only: false,
    },
    Act {
        title: "6. Power off and on: nobody is asked again",
        config: login,
        life: log_in,
        fits: |seen| seen.asked == 0 && seen.tokens == 1,
        flash: FLASH,
        v5_only: false,
    },
    Act {
        title: "7. Another device, blank and without a CA: registers itself as a client (RFC 7591), then asks the API",
        config: registered,
        life: |scene| {
            // the authorization server of an earlier run has forgotten its registration
            match fs::remove_file(&scene.flash) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
                _ => ask_api(scene),
            }
        },
        fits: |seen| seen.registered == 1 && seen.granted == 2 && seen.tokens == 1,
        flash: "registered.bin",
        v5_only: false,
    },
    Act {
        title: "8. A scope that this client may not have",
        config: |plant, wish| api(plant, wish, "api:write", false),
        life: be_refused,
        fits: |seen| seen.tokens == 0,
        flash: FLASH,
        v5_only: false,
    },
];

/// Everything about the provider that is the same in each act.
fn credentials(plant: &Plant) -> ClientCredentials {
    ClientCredentials {
        issuer: plant.auth().options.issuer.clone().leak(),
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Certificate),
        renew: RENEW,
        ..ClientCredentials::DEFAULT
    }
}

fn with(plant: &Plant, wish: &Wish, source: impl TokenSource + 'static, present: Present) -> &'static Config {
    let session = TokenSession {
        host: "localhost",
        port: plant.broker_port(),
        version: wish.version,
        client_id: None,
        present,
        certificate: false,
        alpn: &[],
        keep_alive: 30,
    };
    config_with(plant, NAME, Some(Box::leak(Box::new(source))), Box::leak(Box::new(session)))
}

fn broker(plant: &Plant, wish: &Wish, present: Present) -> &'static Config {
    let source = ClientCredentials { scope: "mqtt:publish", resource: &[BROKER], ..credentials(plant) };
    with(plant, wish, source, present)
}

fn api(plant: &Plant, wish: &Wish, scope: &'static str, dpop: bool) -> &'static Config {
    let source = ClientCredentials { scope, resource: &[API], dpop, ..credentials(plant) };
    with(plant, wish, source, Present::Password { user_name: None })
}

fn registered(plant: &Plant, wish: &Wish) -> &'static Config {
    let source = ClientCredentials {
        client_id: ClientId::Registered,
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
        scope: "api:read",
        resource: &[API],
        ..credentials(plant)
    };
    let mut config = *with(plant, wish, source, Present::Password { user_name: None });
    let register = Register { issuer: source.issuer, scope: source.scope, ..Register::DEFAULT };
    config.identity.profile.enrol = Box::leak(Box::new(register));
    config.identity.subject.common_name = "pump-8";
    Box::leak(Box::new(config))
}

fn login(plant: &Plant, wish: &Wish) -> &'static Config {
    let source = DeviceLogin {
        issuer: plant.auth().options.issuer.clone().leak(),
        client_id: ClientId::Fixed(LOGIN),
        client_auth: ClientAuth::None,
        scope: "api:read",
        resource: &[API],
        ..DeviceLogin::DEFAULT
    };
    with(plant, wish, source, Present::Password { user_name: None })
}

/// RAM that the device is lent.
type Ram = Memory<6144, 6144>;

fn board(scene: &Scene) -> Result<host::Board, String> {
    host::init(&scene.flash).map_err(|error| format!("{}: {error}", scene.flash.display()))
}

fn publish(scene: &Scene, second_socket: bool) -> Result<Lived, String> {
    let (mut memory, mut side) = (Box::new(Ram::new()), Box::new(SideMemory::<2048>::new()));
    let mut device = Device::new(scene.config, &mut memory, board(scene)?);
    if second_socket {
        device = device.with_second_socket(StdNet, &mut side);
    }
    let topic = topic(NAME);
    let telemetry = Telemetry { topic: &topic, every_ms: EVERY_MS, readings: Some(READINGS) };
    block_on(telemetry::run(&mut device, &telemetry, || 17))
        .map_err(|error| format!("the device is stuck: {error}"))?;
    Ok(Lived { said: format!("{READINGS} readings, none lost"), published: READINGS as usize })
}

fn ask_api(scene: &Scene) -> Result<Lived, String> {
    let mut memory = Box::new(Ram::new());
    let mut device = Device::new(scene.config, &mut memory, board(scene)?);
    let mut body = [0; 512];
    for time in ["a token is fetched", "the token is in RAM"] {
        let answer = block_on(device.http().get(&scene.api, &mut body)).map_err(|error| error.to_string())?;
        Timeline::line("device", &format!("GET /flow, {time}: status {}, {} octets", answer.status, answer.length));
        if answer.status != 200 {
            return Err(format!("the API answered {}", answer.status));
        }
    }
    Ok(Lived { said: "two requests, one token".into(), published: 0 })
}

fn log_in(scene: &Scene) -> Result<Lived, String> {
    let mut memory = Box::new(Ram::new());
    let mut device = Device::new(scene.config, &mut memory, board(scene)?);
    let show = |notice: Notice<'_>| match notice {
        Notice::Approve { code, qr } => {
            Timeline::line("device", &format!("open {} and enter {}, or scan:", code.uri, code.code));
            if let Some(qr) = qr {
                Timeline::picture(&terminal::qr(qr));
            }
        }
        Notice::Trouble { error, words } => Timeline::line("device", &format!("{error}; {words}")),
        Notice::In => Timeline::line("device", "in: the token is in RAM, the refresh token in flash, sealed"),
    };
    block_on(device_login::run(&mut device, show)).map_err(|error| format!("the device is stuck: {error}"))?;
    Ok(Lived { said: "logged in".into(), published: 0 })
}

fn be_refused(scene: &Scene) -> Result<Lived, String> {
    let mut memory = Box::new(Ram::new());
    let mut device = Device::new(scene.config, &mut memory, board(scene)?);
    match block_on(device.token("")) {
        Ok(_) => return Err("the server gave a scope that the client may not have".into()),
        Err(error) => Timeline::line("device", &error.to_string()),
    }
    let words = device.words().to_owned();
    Timeline::line("device", &format!("the server's words: {words}"));
    if !words.starts_with("invalid_scope") {
        return Err(format!("the server said {words:?}"));
    }
    Ok(Lived { said: "refused, and it waits before it asks again".into(), published: 0 })
}
