//! Certificates and paths. The first certificate of the input is the anchor, the second the leaf, the others come between.
#![no_main]

use std::ops::Range;

use fuzz::Input;
use identity_core::crypto::ALGORITHMS;
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::cert::Certificate;
use identity_core::x509::der_certificates;
use identity_core::x509::verify::{Purpose, accept_issued, find_pinned, has_authority, verify_path, verify_server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let choice = input.octet();
    let chain = input.0;
    let all: Vec<&[u8]> = der_certificates(chain).collect();
    assert!(all.iter().map(|der| der.len()).sum::<usize>() <= chain.len());
    for der in &all {
        if let Ok(certificate) = Certificate::parse(der) {
            for part in
                [certificate.tbs, certificate.issuer, certificate.subject, certificate.spki, certificate.signature]
            {
                assert!(within(part, der));
            }
            let _ = (
                certificate.public_key(),
                certificate.common_name(),
                certificate.is_ca(),
                certificate.is_self_issued(),
            );
            let _ = certificate.alternative_names().count();
        }
    }
    let _ = (find_pinned(chain, &[0; 32]), has_authority(chain));
    let [anchor, leaf, between @ ..] = all.as_slice() else { return };
    let judge = match choice & 3 {
        0 => Judge::Wall(UnixTime(u64::from(choice) << 24)),
        _ => Judge::Floor(UnixTime(0)),
    };
    let configured = [*anchor];
    let anchors = Anchors { configured: &configured, fetched: if choice & 4 == 0 { &[] } else { chain } };
    let strict = Anchors { configured: &configured, fetched: &[] };
    let between = || between.iter().copied();
    for purpose in [Purpose::ServerAuth, Purpose::ClientAuth] {
        if verify_path(ALGORITHMS, "leaf", leaf, between(), strict, purpose, judge).is_ok() {
            assert!(Certificate::parse(leaf).is_ok());
            let nobody = Anchors::default();
            assert!(verify_path(ALGORITHMS, "leaf", leaf, between(), nobody, purpose, judge).is_err());
            assert!(
                verify_path(&[], "leaf", leaf, between(), strict, purpose, judge).is_err(),
                "no algorithm, no path"
            );
        }
    }
    for host in ["plant.example", "10.0.2.2", "*.example", ""] {
        let server = verify_server(ALGORITHMS, "server", leaf, between(), anchors, host, judge);
        assert!(server.is_err() || !host.is_empty() && !host.starts_with('*'));
    }
    if let Some(public) = Certificate::parse(leaf).ok().and_then(|leaf| leaf.public_key())
        && let Ok(issued) = accept_issued(ALGORITHMS, chain, &public, anchors, judge)
    {
        let found = Certificate::parse(&chain[issued.leaf().clone()]).expect("it was accepted");
        assert_eq!(found.public_key(), Some(public));
    }
});

fn within(part: &[u8], whole: &[u8]) -> bool {
    let range = |octets: &[u8]| -> Range<usize> { octets.as_ptr() as usize..octets.as_ptr() as usize + octets.len() };
    let (part, whole) = (range(part), range(whole));
    whole.start <= part.start && part.end <= whole.end
}
