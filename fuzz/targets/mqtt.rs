//! The MQTT client against a broker that says anything: every operation ends, and the token goes out once for each showing.
#![no_main]

use device_sdk::net::mqtt::{Buffers, Client, Connect, Qos};
use embassy_futures::block_on;
use fuzz::{Frozen, Input, Script};
use identity_core::config::Secret;
use identity_core::session::MqttVersion;
use identity_core::time::Instant;
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "eyJ.secret.token";
const UNTIL: Instant = Instant(1000);

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let (choice, piece) = (input.octet(), usize::from(input.octet()));
    let operations = input.octets(8);
    let version = if choice & 1 == 0 { MqttVersion::V5 } else { MqttVersion::V311 };
    let enhanced = version == MqttVersion::V5 && choice & 2 != 0;
    let connect = Connect {
        version,
        client_id: "pump-7",
        user_name: Some("pump-7"),
        password: (!enhanced).then_some(Secret::new(TOKEN)),
        authentication: enhanced.then_some(("OAUTH2-JWT", Secret::new(TOKEN))),
        keep_alive: 60,
        will: None,
    };
    // what the broker says begins with a CONNACK of success, or does not
    let accepted: &[u8] = if version == MqttVersion::V5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
    let says = if choice & 4 == 0 { [accepted, input.0].concat() } else { input.0.to_vec() };
    let (mut send, mut receive) = ([0; 256], [0; 256]);
    let mut script = Script::new(&says, piece, choice & 8 == 0);
    let mut shown = 1;
    block_on(async {
        let buffers = Buffers { send: &mut send, receive: &mut receive };
        let mut client = Client::connect(&mut script, &Frozen, buffers, &connect, UNTIL).await.ok()?;
        for operation in operations {
            match operation % 6 {
                0 => client.publish("a/b", b"17", Qos::AtLeastOnce, false, UNTIL).await.ok()?,
                1 => client.publish("a/b", b"17", Qos::AtMostOnce, true, UNTIL).await.ok()?,
                2 => client.subscribe("c/#", Qos::AtLeastOnce, UNTIL).await.ok()?,
                3 => {
                    if let Some(message) = client.next(UNTIL).await.ok()? {
                        assert!(message.topic.len() + message.payload.len() <= 256);
                    }
                }
                4 => client.keep_alive(UNTIL).await.ok()?,
                _ if version == MqttVersion::V311 => {
                    assert!(client.reauthenticate("OAUTH2-JWT", Secret::new(TOKEN), UNTIL).await.is_err());
                    return None;
                }
                _ => {
                    shown += 1;
                    client.reauthenticate("OAUTH2-JWT", Secret::new(TOKEN), UNTIL).await.ok()?;
                }
            }
        }
        Some(())
    });
    let seen = script.heard.windows(TOKEN.len()).filter(|window| *window == TOKEN.as_bytes()).count();
    assert!(seen <= shown);
    for buffer in [send, receive] {
        let stays = buffer.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!stays || says.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()), "the token stays behind");
    }
});
