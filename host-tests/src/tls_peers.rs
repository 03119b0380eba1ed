//! A TLS 1.3 server in small pieces (RFC 8446), for peers that skip, reorder or corrupt what a real one sends.
//!
//! TLS_AES_128_GCM_SHA256 and P-256 only. Each piece adds to the transcript and sends at once; nothing is checked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use rand_core::OsRng;
use sha2::{Digest, Sha256};

use crate::key::Key;

/// Content types.
pub const CHANGE_CIPHER_SPEC: u8 = 20;
/// Alert.
pub const ALERT: u8 = 21;
/// Handshake.
pub const HANDSHAKE: u8 = 22;
/// Application data; also every sealed record.
pub const APPLICATION: u8 = 23;

/// ServerHello.random that makes it a HelloRetryRequest.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Runs `behave` on the first connection to a new port of 127.0.0.1, in a thread that ends with it.
///
/// # Panics
/// If loopback has no free port.
pub fn serve<R: Send + 'static>(behave: impl FnOnce(TcpStream) -> R + Send + 'static) -> (SocketAddr, JoinHandle<R>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    (address, thread::spawn(move || behave(listener.accept().expect("a client").0)))
}

/// One handshake message: type, 24-bit length, body.
#[must_use]
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// Octets after a length of `width` octets.
fn sized(width: usize, octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u32).to_be_bytes()[4 - width..], octets].concat()
}

fn expand(secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let info = [&(length as u16).to_be_bytes(), &*sized(1, label.as_bytes()), &sized(1, context)].concat();
    let mut out = vec![0; length];
    Hkdf::<Sha256>::from_prk(secret).expect("a secret").expand(&info, &mut out).expect("a short output");
    out
}

fn extract(salt: &[u8], input: &[u8]) -> Vec<u8> {
    Hkdf::<Sha256>::extract(Some(salt), input).0.to_vec()
}

/// A server in the middle of a handshake.
pub struct Rogue {
    /// The stream.
    pub tcp: TcpStream,
    transcript: Sha256,
    /// Secret of the key schedule from which the next phase derives.
    secret: Vec<u8>,
    traffic: Vec<u8>,
    sequence: u64,
    client_point: Vec<u8>,
}

impl Rogue {
    /// Reads the ClientHello.
    ///
    /// # Panics
    /// If it is none with a P-256 key share.
    #[must_use]
    pub fn accept(mut tcp: TcpStream) -> Self {
        let mut header = [0; 5];
        tcp.read_exact(&mut header).expect("a record header");
        let mut hello = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        tcp.read_exact(&mut hello).expect("a ClientHello");
        // The only uncompressed point: group secp256r1 (0x0017), 65 octets, 0x04.
        let share = hello.windows(5).position(|w| w == [0, 0x17, 0, 65, 4]).expect("a P-256 key share") + 4;
        let client_point = hello[share..share + 65].to_vec();
        let mut transcript = Sha256::new();
        transcript.update(&hello);
        Self { tcp, transcript, secret: Vec::new(), traffic: Vec::new(), sequence: 0, client_point }
    }

    fn hash(&self) -> Vec<u8> {
        self.transcript.clone().finalize().to_vec()
    }

    /// Sends octets as they are; a client that has gone is no matter.
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        let _ = self.tcp.write_all(octets);
        self
    }

    /// Sends an unsealed record.
    pub fn plain(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        self.raw(&[&[kind, 3, 3], &*sized(2, body)].concat())
    }

    /// The octets of a ServerHello with this random, cipher suite and extensions.
    fn hello_of(random: [u8; 32], extensions: &[u8]) -> Vec<u8> {
        message(2, &[&[3, 3][..], &random, &[0, 0x13, 0x01, 0], &sized(2, extensions)].concat())
    }

    /// Sends ServerHello and turns to handshake keys.
    ///
    /// # Panics
    /// If the client's point is none.
    pub fn hello(&mut self) -> &mut Self {
        let secret = EphemeralSecret::random(&mut OsRng);
        let point = secret.public_key().to_encoded_point(false);
        let share = [&[0, 51, 0, 69, 0, 0x17, 0, 65], point.as_bytes()].concat();
        let hello = Self::hello_of([7; 32], &[&[0, 43, 0, 2, 3, 4], &*share].concat());
        self.transcript.update(&hello);
        self.plain(HANDSHAKE, &hello);
        let client = p256::PublicKey::from_sec1_bytes(&self.client_point).expect("a point");
        let shared = secret.diffie_hellman(&client);
        let early = expand(&extract(&[], &[0; 32]), "derived", &Sha256::digest([]), 32);
        self.secret = extract(&early, shared.raw_secret_bytes());
        self.turn_keys("s hs traffic");
        self
    }

    fn turn_keys(&mut self, label: &str) {
        self.traffic = expand(&self.secret, label, &self.hash(), 32);
        self.sequence = 0;
    }

    /// Sends a HelloRetryRequest for X25519.
    pub fn retry(&mut self) -> &mut Self {
        let hello = Self::hello_of(RETRY, &[0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 0x1d]);
        self.plain(HANDSHAKE, &hello)
    }

    /// Sends a ServerHello of TLS 1.2: no extensions.
    pub fn old_hello(&mut self) -> &mut Self {
        let hello = Self::hello_of([7; 32], &[]);
        self.plain(HANDSHAKE, &hello)
    }

    /// Seals an inner plaintext, which is to be content, its type, and padding; and sends it.
    ///
    /// # Panics
    /// Never: the key has the right length.
    pub fn sealed_inner(&mut self, mut inner: Vec<u8>) -> &mut Self {
        let key = Aes128Gcm::new_from_slice(&expand(&self.traffic, "key", &[], 16)).expect("16 octets");
        let mut nonce: [u8; 12] = expand(&self.traffic, "iv", &[], 12).try_into().expect("12 octets");
        nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()).for_each(|(n, s)| *n ^= s);
        self.sequence += 1;
        let header = [&[APPLICATION, 3, 3], ((inner.len() + 16) as u16).to_be_bytes().as_slice()].concat();
        let tag = key.encrypt_in_place_detached(&nonce.into(), &header, &mut inner).expect("a short record");
        self.raw(&[header, inner, tag.to_vec()].concat())
    }

    /// Sends a sealed record.
    pub fn sealed(&mut self, kind: u8, content: &[u8]) -> &mut Self {
        self.sealed_inner([content, &[kind]].concat())
    }

    /// Adds a handshake message to the transcript and sends it sealed.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> &mut Self {
        let message = message(kind, body);
        self.transcript.update(&message);
        self.sealed(HANDSHAKE, &message)
    }

    /// EncryptedExtensions, none.
    pub fn extensions(&mut self) -> &mut Self {
        self.send(8, &[0, 0])
    }

    /// CertificateRequest for ECDSA P-256.
    pub fn certificate_request(&mut self) -> &mut Self {
        self.send(13, &[0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3])
    }

    /// Certificate with this chain.
    pub fn certificate(&mut self, chain: &[&[u8]]) -> &mut Self {
        let entries: Vec<u8> = chain.iter().flat_map(|der| [sized(3, der), vec![0, 0]].concat()).collect();
        self.send(11, &[&[0], &*sized(3, &entries)].concat())
    }

    /// CertificateVerify of `scheme`, by `key` over the transcript so far.
    pub fn certificate_verify(&mut self, scheme: u16, key: &Key) -> &mut Self {
        let signed = [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &self.hash()].concat();
        self.send(15, &[&scheme.to_be_bytes(), &*sized(2, &key.sign(&signed))].concat())
    }

    /// The verify_data of Finished for the transcript so far.
    fn finished_body(&self) -> Vec<u8> {
        let key = expand(&self.traffic, "finished", &[], 32);
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).expect("any length").chain_update(self.hash());
        mac.finalize().into_bytes().to_vec()
    }

    /// Finished, and application keys from then on.
    pub fn finished(&mut self) -> &mut Self {
        let body = self.finished_body();
        self.send(20, &body);
        let derived = expand(&self.secret, "derived", &Sha256::digest([]), 32);
        self.secret = extract(&derived, &[0; 32]);
        self.turn_keys("s ap traffic");
        self
    }

    /// Finished and, in the same record, more messages after it.
    pub fn finished_and(&mut self, more: &[u8]) -> &mut Self {
        let body = self.finished_body();
        self.sealed(HANDSHAKE, &[&message(20, &body), more].concat())
    }

    /// The whole flight of an honest server.
    pub fn honest(&mut self, chain: &[&[u8]], key: &Key) {
        self.hello();
        self.extensions();
        self.certificate(chain);
        self.certificate_verify(0x0403, key);
        self.finished();
    }

    /// Reads until the client goes.
    pub fn drain(mut self) {
        let _ = std::io::copy(&mut self.tcp, &mut std::io::sink());
    }
}
