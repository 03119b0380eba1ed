//! Certificates made by OpenSSL.

use super::Folder;
use identity_core::keys::PublicKey;
use identity_core::time::UnixTime;
use identity_core::x509::cert::Certificate;
use identity_core::x509::verify::Algorithms;

/// What paths are verified with.
pub(crate) const ALGORITHMS: Algorithms<'static> = identity_core::crypto::ALGORITHMS;

pub(crate) const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";
pub(crate) const P384: &str = "EC -pkeyopt ec_paramgen_curve:P-384";
pub(crate) const P521: &str = "EC -pkeyopt ec_paramgen_curve:P-521";
pub(crate) const RSA2048: &str = "RSA -pkeyopt rsa_keygen_bits:2048";
pub(crate) const RSA4096: &str = "RSA -pkeyopt rsa_keygen_bits:4096";
pub(crate) const PSS: &str = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";

pub(crate) const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash";
pub(crate) const SERVER: &str = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
     subjectAltName=DNS:plant.example,DNS:*.wild.example,IP:192.0.2.7,IP:2001:db8::7";
pub(crate) const CLIENT: &str =
    "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\nsubjectKeyIdentifier=hash";

/// A folder of keys and certificates; `name.der`, `name.pem` and `name.key`.
pub(crate) struct Pki(pub(crate) Folder);

impl Pki {
    pub(crate) fn new() -> Option<Self> {
        Folder::new().map(Self)
    }

    /// A self-signed CA.
    pub(crate) fn root(&self, name: &str, key: &str, options: &str) -> Vec<u8> {
        self.certificate(name, key, &format!("-signkey {name}.key"), CA, options)
    }

    /// A certificate issued by `issuer`.
    pub(crate) fn issue(&self, name: &str, key: &str, issuer: &str, extensions: &str, options: &str) -> Vec<u8> {
        self.certificate(name, key, &format!("-CA {issuer}.pem -CAkey {issuer}.key"), extensions, options)
    }

    fn certificate(&self, name: &str, key: &str, issuer: &str, extensions: &str, options: &str) -> Vec<u8> {
        let Self(folder) = self;
        folder.write("extensions", extensions.as_bytes());
        folder.run(&format!("genpkey -algorithm {key} -out {name}.key"));
        folder.run(&format!("req -new -key {name}.key -subj /O=Plant/CN={name} -out {name}.csr"));
        folder.run(&format!(
            "x509 -req -in {name}.csr {issuer} -extfile extensions -set_serial 0x1234 -days 30 {options} -out {name}.pem"
        ));
        folder.run(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
        folder.read(&format!("{name}.der"))
    }
}

/// A moment within the certificate's validity.
pub(crate) fn within(der: &[u8]) -> UnixTime {
    let certificate = Certificate::parse(der).unwrap();
    UnixTime(certificate.not_before.0 + 3600)
}

pub(crate) fn public(der: &[u8]) -> PublicKey {
    Certificate::parse(der).unwrap().public_key().unwrap()
}
