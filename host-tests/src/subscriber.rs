//! An independent MQTT client with mutual TLS, on rumqttc: what it receives, the broker delivered.

use crate::ca::Identity;
use crate::server::Background;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// A TLS client that trusts `root` and presents `identity`, if there is one.
///
/// # Panics
/// When root or identity cannot be used.
#[must_use]
pub fn client_config(root: &[u8], identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec())).expect("a root certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS")
        .with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::try_from(identity.key.pkcs8().to_vec()).expect("PKCS#8");
            builder.with_client_auth_cert(chain, key).expect("a key that fits its certificate")
        }
    })
}

/// A subscriber (MQTT 3.1.1); ends when dropped.
pub struct Subscriber {
    client: AsyncClient,
    messages: Receiver<Received>,
    _background: Background,
}

impl Subscriber {
    /// Connects to a broker on loopback and subscribes; returns when the broker has granted it.
    ///
    /// # Errors
    /// What the broker or TLS said against it.
    pub fn start(port: u16, tls: Arc<ClientConfig>, client_id: &str, filter: &str) -> Result<Self, String> {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        options.set_max_packet_size(256 * 1024, 256 * 1024);
        let (client, mut connection) = AsyncClient::new(options, 16);
        client.try_subscribe(filter, QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        let (inbox, messages) = channel();
        let (report, ready) = channel();
        let background = Background::start("subscriber", move || async move {
            loop {
                match connection.poll().await {
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let _ = inbox.send(Received { topic: publish.topic, payload: publish.payload.to_vec() });
                    }
                    Ok(Event::Incoming(Packet::SubAck(ack))) => {
                        let denied = ack.return_codes.contains(&rumqttc::SubscribeReasonCode::Failure);
                        let _ = report.send(if denied { Err("subscription denied".into()) } else { Ok(()) });
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let _ = report.send(Err(error.to_string()));
                        return;
                    }
                }
            }
        });
        ready.recv_timeout(Duration::from_secs(5)).map_err(|error| error.to_string())??;
        Ok(Self { client, messages, _background: background })
    }

    /// The next message, if one comes in time.
    #[must_use]
    pub fn receive(&self, timeout: Duration) -> Option<Received> {
        self.messages.recv_timeout(timeout).ok()
    }

    /// Publishes with QoS 1.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), String> {
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|error| error.to_string())
    }
}
