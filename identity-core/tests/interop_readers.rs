//! The readers of certificates and CMS agree with OpenSSL, and no octets make any reader panic.

mod openssl;

use std::sync::OnceLock;

use identity_core::Error;
use identity_core::keys::PublicKey;
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::cert::{AltName, BasicConstraints, Certificate, ExtendedKeyUsage};
use identity_core::x509::csrattrs::CsrAttrs;
use identity_core::x509::verify::{accept_issued, find_pinned, verify_server};
use identity_core::x509::{cms, der_certificates};
use openssl::pki::*;
use proptest::prelude::*;

#[test]
fn a_certificate_is_read_as_openssl_shows_it() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P384, "");
    let names = "DNS:a.example,URI:urn:dev:1,IP:192.0.2.7,IP:2001:db8::7,email:a@b.example";
    let extensions = format!("{CLIENT}\nauthorityKeyIdentifier=keyid\nsubjectAltName={names}");
    let leaf = pki.issue("leaf", P256, "root", &extensions, "");

    let read = Certificate::parse(&leaf).unwrap();
    assert_eq!((read.der, read.serial, read.common_name()), (&leaf[..], &[0x12, 0x34][..], Some("leaf")));
    assert_eq!(read.key_usage.map(|usage| (usage.digital_signature(), usage.cert_sign())), Some((true, false)));
    let client = ExtendedKeyUsage { client_auth: true, ..ExtendedKeyUsage::default() };
    assert_eq!(read.extended_key_usage, Some(client));
    assert_eq!((read.basic_constraints, read.is_ca(), read.is_self_issued()), (None, false, false));
    let ipv6 = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let wanted = [
        AltName::Dns("a.example"),
        AltName::Uri("urn:dev:1"),
        AltName::Ip(&[192, 0, 2, 7]),
        AltName::Ip(&ipv6),
        AltName::Other { choice: 1, contents: b"a@b.example" },
    ];
    assert!(read.alternative_names().eq(wanted));
    let end = UnixTime(read.not_before.0 + 30 * 86_400);
    assert_eq!(read.not_after, end);
    pki.0.run("x509 -in leaf.pem -noout -pubkey -out leaf.pub");
    pki.0.run("pkey -pubin -in leaf.pub -outform DER -out spki.der");
    assert_eq!(read.spki, pki.0.read("spki.der"));
    assert!(read.spki.ends_with(&read.public_key().unwrap().0));

    let ca = Certificate::parse(&root).unwrap();
    assert_eq!((ca.issuer, ca.is_self_issued(), ca.public_key()), (read.issuer, true, None));
    assert_eq!(ca.basic_constraints, Some(BasicConstraints { ca: true, path_len: None }));
    assert_eq!((read.authority_key_id.map(<[u8]>::len), read.authority_key_id), (Some(20), ca.subject_key_id));
}

#[test]
fn what_is_not_one_whole_certificate_is_refused() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let malformed = |octets: &[u8]| matches!(Certificate::parse(octets), Err(Error::Malformed { .. }));
    assert!(malformed(&[&root[..], &[0]].concat()));
    assert!((0..root.len()).all(|length| malformed(&root[..length])));
    // OpenSSL refuses to write an extension twice, so a second one becomes the first by one octet.
    let mut leaf = pki.issue("leaf", P256, "root", &format!("{CLIENT}\n2.5.29.13=DER:0402dead"), "");
    assert!(!malformed(&leaf));
    let second = leaf.windows(3).position(|octets| octets == [0x55, 0x1d, 13]).unwrap();
    leaf[second + 2] = 14;
    assert!(malformed(&leaf));
}

/// Certificates root, leaf and the certs-only CMS of both.
fn fixture() -> Option<&'static [Vec<u8>; 3]> {
    static FIXTURE: OnceLock<Option<[Vec<u8>; 3]>> = OnceLock::new();
    FIXTURE
        .get_or_init(|| {
            let pki = Pki::new()?;
            let root = pki.root("root", P256, "");
            let leaf = pki.issue("leaf", P256, "root", SERVER, "");
            pki.0.run("crl2pkcs7 -nocrl -certfile leaf.pem -certfile root.pem -outform DER -out both.p7");
            pki.0.run("crl2pkcs7 -nocrl -outform DER -out none.p7");
            assert!(cms::certificates(&pki.0.read("none.p7")).is_err());
            Some([root, leaf, pki.0.read("both.p7")])
        })
        .as_ref()
}

#[test]
fn certs_only_cms_is_unpacked_in_place() {
    let Some([root, leaf, both]) = fixture() else { return };
    let mut sent: Vec<&[u8]> = cms::certificates(both).unwrap().collect();
    assert_eq!(sent.len(), 2);
    let concatenated = sent.concat();
    let mut body = [&both[..], &[0xee; 9]].concat();
    let length = cms::unpack(&mut body, both.len()).unwrap();
    assert_eq!(body[..length], concatenated);
    assert!(body.ends_with(&[0xee; 9]));
    assert!(der_certificates(&body[..length]).eq(sent.iter().copied()));
    sent.sort();
    let mut wanted = [&root[..], &leaf[..]];
    wanted.sort();
    assert_eq!(sent, wanted);
    assert!(matches!(cms::unpack(&mut body, 1_000_000), Err(Error::Misuse(_))));
}

/// Tag, long length, contents.
fn tlv(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    let length = contents.len();
    match length {
        0..=0x7f => [&[tag, length as u8], &contents[..]].concat(),
        0x80..=0xff => [&[tag, 0x81, length as u8], &contents[..]].concat(),
        _ => [&[tag, 0x82, (length >> 8) as u8, length as u8], &contents[..]].concat(),
    }
}

/// Tag, indefinite length, contents.
fn indefinite(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], &contents.concat()[..], &[0, 0]].concat()
}

type Wrap = fn(u8, &[&[u8]]) -> Vec<u8>;
const SIGNED_DATA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];

/// ContentInfo of SignedData with these parts after encapContentInfo.
fn signed_data(wrap: Wrap, kind: &[u8; 11], parts: &[&[u8]]) -> Vec<u8> {
    let content = wrap(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1]]);
    let signed = wrap(0x30, &[&[2, 1, 1], &wrap(0x31, &[]), &content, &parts.concat()]);
    wrap(0x30, &[kind, &wrap(0xa0, &[&signed])])
}

#[test]
fn definite_and_indefinite_lengths_are_read_alike() {
    let Some([root, leaf, _]) = fixture() else { return };
    // An attribute certificate ([1]) among the certificates and a CRL are passed over.
    for wrap in [tlv as Wrap, indefinite] {
        let certificates = wrap(0xa0, &[leaf, &wrap(0xa1, &[&[5, 0]]), root]);
        let mut body = signed_data(wrap, &SIGNED_DATA, &[&certificates, &wrap(0xa1, &[&[0x30, 0]]), &wrap(0x31, &[])]);
        let length = body.len();
        let length = cms::unpack(&mut body, length).unwrap();
        assert_eq!(body[..length], [&leaf[..], root].concat());
    }
}

#[test]
fn each_wrong_cms_is_refused_and_named() {
    let Some([root, _, both]) = fixture() else { return };
    let certificates = tlv(0xa0, &[root]);
    let none = tlv(0x31, &[]);
    let enveloped = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
    for (body, wanted) in [
        (vec![], "not a CMS"),
        (b"<html>".to_vec(), "not a CMS"),
        (both[..both.len() - 1].to_vec(), "cut short"),
        ([&both[..], &[0]].concat(), "octets follow"),
        (root.clone(), "not a CMS"),
        (signed_data(tlv, &enveloped, &[&certificates, &none]), "not signedData"),
        (signed_data(tlv, &SIGNED_DATA, &[&none]), "no certificates"),
        (signed_data(tlv, &SIGNED_DATA, &[&tlv(0xa0, &[]), &none]), "no certificates"),
        (signed_data(tlv, &SIGNED_DATA, &[&tlv(0xa0, &[&[0xa1, 0]]), &none]), "no certificates"),
        (signed_data(tlv, &SIGNED_DATA, &[&tlv(0xa0, &[&[0x30, 0x80, 0, 0]]), &none]), "not DER"),
        (signed_data(tlv, &SIGNED_DATA, &[&tlv(0xa0, &[&[0x30, 5]]), &none]), "not readable"),
        (signed_data(tlv, &SIGNED_DATA, &[&certificates, &tlv(0x31, &[&[0x30, 0]])]), "has signers"),
        (signed_data(tlv, &SIGNED_DATA, &[&certificates]), "not readable"),
    ] {
        match cms::certificates(&body).map(Iterator::count) {
            Err(Error::Malformed { problem, .. }) => assert!(problem.contains(wanted), "{wanted}: {problem}"),
            other => panic!("{wanted}: {other:?}"),
        }
        let mut changed = body.clone();
        assert!(cms::unpack(&mut changed, body.len()).is_err() && changed == body);
    }
}

/// Gives these octets to every reader.
fn read_all(octets: &[u8]) {
    let judge = Judge::Floor(UnixTime(1));
    let anchors = Anchors { configured: &[octets], fetched: octets };
    if let Ok(certificate) = Certificate::parse(octets) {
        certificate.alternative_names().for_each(drop);
        let _ = (certificate.common_name(), certificate.public_key());
        let _ =
            accept_issued(ALGORITHMS, octets, &certificate.public_key().unwrap_or(PublicKey::EMPTY), anchors, judge);
    }
    let _ = verify_server(ALGORITHMS, "server", octets, der_certificates(octets), anchors, "plant.example", judge);
    let _ = find_pinned(octets, &[0; 32]);
    let _ = CsrAttrs::parse(octets);
    let _ = cms::certificates(octets).map(Iterator::count);
    let _ = cms::unpack(&mut octets.to_vec(), octets.len());
}

proptest! {
    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&octets);
    }

    #[test]
    fn no_der_shaped_octets_panic(octets in proptest::collection::vec(prop_oneof![
        Just(0x30u8), Just(0x31), Just(0xa0), Just(0xa3), Just(6), Just(2), Just(3), Just(4), Just(0x80), Just(0x81),
        Just(0x82), Just(0), 0u8..16, any::<u8>(),
    ], 0..300)) {
        read_all(&octets);
    }

    #[test]
    fn no_mutation_panics(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        length in any::<proptest::sample::Index>(),
        which in 0..3usize,
        whole in any::<bool>(),
    ) {
        if let Some(samples) = fixture() {
            let mut octets = samples[which].clone();
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            if !whole {
                octets.truncate(length.index(octets.len()));
            }
            read_all(&octets);
        }
    }
}
