//! An authority, a server certificate and a client of `device_sdk::net::tls`, for the TLS tests.

use std::net::SocketAddr;
use std::sync::Arc;

use device_sdk::Error;
use device_sdk::net::tls::{Buffers, Peer, RECEIVE, SEND, Secure};
use identity_core::agent::step::ClientIdentity;
use identity_core::keys::Slot;
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::{Anchors, Trust};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::ca::{Ca, Identity, Leaf, Purpose, Validity};
use crate::der;
use crate::key::KeyKind;
use crate::loopback::{OneKey, Tcp, Ticks};

/// The name of the server.
pub const HOST: &str = "tls.plant.example";
/// The time of the tests, Unix seconds.
pub const NOW: u64 = 1_790_000_000;

/// Valid on [`NOW`], and by the clock of the machine, by which the servers judge clients: from 2020, for long.
#[must_use]
pub fn valid() -> Validity {
    Validity { from: 1_577_836_800, until: NOW + 20 * 365 * 86_400 }
}

/// What a device holds for TLS.
pub struct Device {
    /// Trusted root, DER.
    pub root: Vec<u8>,
    /// Its key.
    pub keys: OneKey,
    /// Its certificate, DER, if it has one to show.
    pub certificate: Option<Vec<u8>>,
    /// The host it wants.
    pub host: &'static str,
    /// ALPN it offers.
    pub alpn: &'static [&'static [u8]],
    /// Whether it trusts anyone.
    pub provisional: bool,
    /// Octets of its receive buffer.
    pub receive: usize,
    /// Milliseconds for the handshake.
    pub limit_ms: u32,
}

/// An open connection of a test.
pub type Connection<'b> = Secure<'b, Tcp, Ticks>;

impl Device {
    /// A device that trusts `ca` and has no certificate.
    #[must_use]
    pub fn trusting(ca: &Ca) -> Self {
        Self {
            root: ca.root().to_vec(),
            keys: OneKey::fresh(),
            certificate: None,
            host: HOST,
            alpn: &[],
            provisional: false,
            receive: RECEIVE,
            limit_ms: 5_000,
        }
    }

    /// Has its key certified for clients.
    #[must_use]
    pub fn certified_by(mut self, ca: &mut Ca) -> Self {
        let point = self.keys.key.verifying_key().to_encoded_point(false);
        let curve = der::sequence(&[&der::oid(&[1, 2, 840, 10045, 2, 1]), &der::oid(&[1, 2, 840, 10045, 3, 1, 7])]);
        let spki = der::sequence(&[&curve, &der::bit_string(point.as_bytes())]);
        self.certificate = Some(ca.issue(&Leaf {
            spki: &spki,
            subject: &der::common_name("device 7"),
            alternative: None,
            purpose: Purpose::Client,
            validity: valid(),
        }));
        self
    }

    /// Connects to `server` and, if that succeeds, does `then`.
    ///
    /// # Errors
    /// As [`Secure::open`], and as `then`.
    pub fn connect<R>(
        &mut self,
        server: SocketAddr,
        then: impl AsyncFnOnce(Connection<'_>, &Ticks) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let clock = Ticks::default();
        let (mut receive, mut send) = (vec![0; self.receive], vec![0; SEND]);
        let anchor = [self.root.as_slice()];
        let peer = Peer {
            host: self.host,
            trust: match self.provisional {
                true => Trust::Provisional,
                false => Trust::Anchors(Anchors { configured: &anchor, fetched: &[] }),
            },
            client: self.certificate.as_deref().map(|certificate| ClientIdentity { slot: Slot::A, certificate }),
            alpn: self.alpn,
            judge: Judge::Wall(UnixTime(NOW)),
        };
        let buffers = Buffers { receive: &mut receive, send: &mut send };
        async_io::block_on(async {
            let tcp = Tcp::connect(server).await;
            let secure = Secure::open(tcp, &clock, buffers, peer, &mut self.keys, self.limit_ms).await?;
            then(secure, &clock).await
        })
    }

    /// Connects, reads once for at most a second, and closes: what comes of it.
    ///
    /// # Errors
    /// As [`Secure::open`] and [`Secure::read`].
    pub fn greet(&mut self, server: SocketAddr) -> Result<Vec<u8>, Error> {
        self.connect(server, async |mut secure, clock| {
            let mut into = [0; 64];
            let read = secure.read(&mut into, clock.after_ms(1_000)).await?;
            Ok(into[..read].to_vec())
        })
    }
}

/// An authority and a server certificate of `kind` for [`HOST`].
#[must_use]
pub fn world(kind: KeyKind) -> (Ca, Identity) {
    let mut ca = Ca::new(NOW);
    let server = ca.server(kind, &[HOST], &[], valid());
    (ca, server)
}

/// A TLS 1.3 server of rustls with this identity; with `clients`, it demands a certificate that their root vouches for.
///
/// # Panics
/// If rustls refuses the identity.
#[must_use]
pub fn rustls_server(identity: &Identity, clients: Option<&Ca>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from(ca.root().to_vec())).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.pkcs8().to_vec()));
    builder.with_single_cert(chain, key).expect("a server identity")
}
