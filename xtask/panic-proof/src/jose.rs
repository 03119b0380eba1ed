//! Keys, signatures, assertions and tokens of JOSE.

use crate::{any, control, keep, octets, text};
use identity_core::config::Secret;
use identity_core::jose::assertion::{self, Assertion};
use identity_core::jose::dpop::{self, Proof};
use identity_core::jose::jwk::{self, KeySet};
use identity_core::jose::jws;
use identity_core::jose::jwt::{self, Claims};
use identity_core::jose::verify::{self, Algorithm, Rules};
use identity_core::keys::{PublicKey, Signature};
use identity_core::time::{Judge, UnixTime};

pub fn all(buffer: &mut [u8]) {
    written(buffer);
    if let Ok(Some(claims)) = jwt::read(text(), buffer) {
        every(claims);
    }
    if let Ok(keys) = KeySet::parse(octets()) {
        keys.keys().for_each(|key| keep((key.kid.is_some(), key.alg.is_some())));
        let rules = Rules {
            algorithms: any(Algorithm::ALL),
            issuer: text(),
            audience: text(),
            typ: any(Some("")),
            judge: any(Judge::Wall(UnixTime(0))),
            skew: any(0),
        };
        keep(verify::scratch_len(any(0)));
        if let Ok(verified) = verify::verify(text(), keys, &rules, buffer) {
            every(verified.claims());
        }
    }
    control(cfg!(feature = "control-jose"));
}

fn written(buffer: &mut [u8]) {
    let (key, random, issued) = (any(&PublicKey::EMPTY), any(&[0; 16]), any(UnixTime(0)));
    keep(jwk::write(key, buffer).is_ok());
    keep(jwk::thumbprint(key));
    let proof = Proof { key, method: text(), url: text(), random, issued, token: any(Some("")), nonce: any(Some("")) };
    keep(dpop::write(&proof, buffer).is_ok());
    let assertion = Assertion {
        scope: any(Some("")),
        lifetime: any(0),
        not_before: any(false),
        kid: any(Some("")),
        certificate: any(Some(&[])),
        chain: octets(),
        ..Assertion::of_client(text(), text(), random, issued)
    };
    keep(assertion::write(&assertion, buffer).is_ok());
    keep(assertion::write_hs256(&assertion, &Secret::new(text()), buffer).is_ok());
    keep(jws::write("", buffer, |header| header.text(text(), text()), |claims| claims.text(text(), text())).is_ok());
    keep(jws::finish(buffer, any(0), any(&Signature::EMPTY)).is_ok());
    keep(jws::finish_hs256(buffer, any(0), &Secret::new(text())).is_ok());
}

fn every(claims: Claims<'_>) {
    keep((claims.expires(), claims.not_before(), claims.issued(), claims.confirmation()));
    for text in [claims.issuer(), claims.subject(), claims.id(), claims.client_id()] {
        keep(text.is_ok());
    }
    keep(claims.audiences().is_ok_and(|mut texts| texts.any(|audience| audience.is(text()))));
    keep(claims.scopes().is_ok_and(|mut texts| texts.any(|scope| scope.is(text()))));
    keep(claims.object().members().count());
}
