//! Every form of CSR is verified and shown by OpenSSL.

mod openssl;

use identity_core::Error;
use identity_core::keys::{PublicKey, Signature};
use identity_core::x509::csr::{CsrRequest, MAX_OVERHEAD, Subject, SubjectAlt, finish, write_info};
use openssl::Folder;
use p256::ecdsa::signature::Signer;
use proptest::prelude::*;

const FULL: Subject<'static> = Subject {
    common_name: "pump-7 ä",
    organization: "Plant Example",
    organizational_unit: "Hall 3",
    serial_number: "SN-0007",
};
const HARDWARE: SubjectAlt<'static> =
    SubjectAlt::HardwareModule { kind: &[0x2b, 6, 1, 4, 1, 0x82, 0x37], serial: &[0xde, 0xad, 0xbe, 0xef] };

fn key() -> (p256::ecdsa::SigningKey, PublicKey) {
    let key = p256::ecdsa::SigningKey::from_slice(&[0x42; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let public = PublicKey(point.as_bytes().try_into().unwrap());
    (key, public)
}

fn csr(subject: Subject<'_>, names: &[SubjectAlt<'_>]) -> Vec<u8> {
    let (key, public) = key();
    let mut buffer = vec![0; 2048];
    let info = write_info(&CsrRequest { subject, names, public: &public }, &mut buffer).unwrap();
    let signature: p256::ecdsa::Signature = key.sign(&buffer[..info]);
    let length = finish(&mut buffer, info, &Signature(signature.to_bytes().into())).unwrap();
    buffer.truncate(length);
    buffer
}

fn shown(csr: &[u8]) -> Option<String> {
    let folder = Folder::new()?;
    folder.write("csr.der", csr);
    folder.run("asn1parse -inform DER -in csr.der");
    let text = folder.run("req -inform DER -in csr.der -verify -noout -text -nameopt RFC2253,utf8,-esc_msb");
    assert!(text.contains("verify OK"), "{text}");
    for always in [
        "ASN1 OID: prime256v1",
        "ecdsa-with-SHA256",
        "X509v3 Key Usage: critical\n                    Digital Signature\n",
        "X509v3 Extended Key Usage: \n                    TLS Web Client Authentication",
    ] {
        assert!(text.contains(always), "{always}\n{text}");
    }
    Some(text)
}

#[test]
fn all_subject_fields() {
    let Some(text) = shown(&csr(FULL, &[])) else { return };
    assert!(text.contains("Subject: serialNumber=SN-0007,CN=pump-7 ä,OU=Hall 3,O=Plant Example\n"), "{text}");
    assert!(!text.contains("Alternative Name"), "{text}");
}

#[test]
fn each_kind_of_name() {
    let names = [SubjectAlt::Dns("pump-7.plant.example"), SubjectAlt::Uri("urn:dev:mac:0024befffe804ff1"), HARDWARE];
    let Some(text) = shown(&csr(FULL, &names)) else { return };
    assert!(text.contains("X509v3 Subject Alternative Name: \n"), "{text}");
    assert!(text.contains("DNS:pump-7.plant.example, URI:urn:dev:mac:0024befffe804ff1, othername:"), "{text}");
    for name in &names {
        shown(&csr(FULL, std::slice::from_ref(name)));
    }
}

#[test]
fn hardware_module_name_has_the_syntax_of_rfc_4108() {
    let der = csr(FULL, &[HARDWARE]);
    // otherName [0] { id-on-hardwareModuleName, [0] { SEQUENCE { hwType OID, hwSerialNum OCTET STRING } } }
    let wanted: &[u8] = &[
        0xa0, 0x1d, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 4, 0xa0, 0x11, 0x30, 0x0f, 0x06, 0x07, 0x2b, 6, 1, 4, 1, 0x82,
        0x37, 0x04, 0x04, 0xde, 0xad, 0xbe, 0xef,
    ];
    assert!(der.windows(wanted.len()).any(|window| window == wanted), "{der:02x?}");
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let Some(text) = shown(&csr(Subject::default(), &[SubjectAlt::Uri("urn:uuid:1")])) else { return };
    assert!(text.contains("Subject: \n"), "{text}");
    assert!(text.contains("X509v3 Subject Alternative Name: critical\n"), "{text}");
}

#[test]
fn what_rfc_5280_does_not_allow_is_named() {
    let (_, public) = key();
    let long = "x".repeat(65);
    let refused = |subject: Subject<'_>, names: &[SubjectAlt<'_>], field: &str| match write_info(
        &CsrRequest { subject, names, public: &public },
        &mut [0; 2048],
    ) {
        Err(Error::Misuse(text)) => assert!(text.contains(field), "{field}: {text}"),
        other => panic!("{field}: {other:?}"),
    };
    refused(Subject::default(), &[], "names nothing");
    refused(Subject { common_name: &long, ..FULL }, &[], "common_name");
    refused(Subject { common_name: "a\0b", ..FULL }, &[], "common_name");
    refused(Subject { organization: &long, ..FULL }, &[], "organization:");
    refused(Subject { organizational_unit: &long, ..FULL }, &[], "organizational_unit");
    refused(Subject { serial_number: &long, ..FULL }, &[], "serial_number");
    refused(Subject { serial_number: "a_b", ..FULL }, &[], "PrintableString");
    for dns in ["", ".", "a..b", "a b", "ä", &"x".repeat(64), &"x.".repeat(127)] {
        refused(FULL, &[SubjectAlt::Dns(dns)], "Dns");
    }
    for uri in ["", "urn", ":x", "urn:", "urn:a b", "urn:ä"] {
        refused(FULL, &[SubjectAlt::Uri(uri)], "Uri");
    }
    for kind in [&[][..], &[0x80, 1], &[0x2b, 0x82], &[0x2b, 0x80, 0x01]] {
        refused(FULL, &[SubjectAlt::HardwareModule { kind, serial: &[1] }], "kind");
    }
    refused(FULL, &[SubjectAlt::HardwareModule { kind: &[0x2b], serial: &[] }], "serial");
}

#[test]
fn the_wanted_space_is_enough_and_nothing_is_touched_outside() {
    let (_, public) = key();
    let request = CsrRequest { subject: FULL, names: &[HARDWARE], public: &public };
    let Err(Error::NoSpace { wanted, .. }) = write_info(&request, &mut []) else { panic!() };
    let mut exact = vec![0; wanted];
    let info = write_info(&request, &mut exact).unwrap();
    assert_eq!(info, wanted - MAX_OVERHEAD);
    // The largest signature: both numbers need a leading zero octet.
    let largest = Signature([0xff; 64]);
    let before = exact.clone();
    let mut short = exact[..wanted - 1].to_vec();
    assert_eq!(finish(&mut short, info, &largest), Err(Error::NoSpace { what: "certification request", wanted }));
    assert_eq!(short, before[..wanted - 1]);
    assert_eq!(finish(&mut exact, info, &largest), Ok(wanted));
    assert!(matches!(finish(&mut exact, wanted + 1, &largest), Err(Error::Misuse(_))));
    assert!(matches!(write_info(&request, &mut vec![0; info - 1]), Err(Error::NoSpace { .. })));
}

proptest! {
    #[test]
    fn any_request_is_written_or_refused(
        (cn, o, ou, sn) in (".{0,70}", ".{0,70}", ".{0,70}", "[ -~]{0,70}"),
        (dns, uri) in ("[ -~]{0,300}", ".{0,300}"),
        kind in proptest::collection::vec(any::<u8>(), 0..40),
        serial in proptest::collection::vec(any::<u8>(), 0..300),
        space in 0usize..2000,
        signature in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let (_, public) = key();
        let names = [SubjectAlt::Dns(&dns), SubjectAlt::Uri(&uri), SubjectAlt::HardwareModule { kind: &kind, serial: &serial }];
        let subject = Subject { common_name: &cn, organization: &o, organizational_unit: &ou, serial_number: &sn };
        for names in [&names[..], &names[2..], &[]] {
            let mut buffer = vec![0; space];
            if let Ok(info) = write_info(&CsrRequest { subject, names, public: &public }, &mut buffer) {
                let _ = finish(&mut buffer, info, &Signature(signature.clone().try_into().unwrap()));
            }
        }
    }
}
