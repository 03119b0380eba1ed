//! Chains made by OpenSSL are accepted; each way in which one can be wrong is refused and named.

mod openssl;

use identity_core::Error;
use identity_core::error::CertProblem;
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::cert::Certificate;
use identity_core::x509::verify::{Purpose, accept_issued, find_pinned, verify_path, verify_server};
use openssl::pki::*;

fn server<'a>(chain: &[&'a [u8]], root: &[u8], host: &str, judge: Judge) -> Result<Certificate<'a>, CertProblem> {
    let anchors = Anchors { configured: &[root], fetched: &[] };
    let (leaf, intermediates) = chain.split_first().unwrap();
    match verify_server(ALGORITHMS, "server", leaf, intermediates.iter().copied(), anchors, host, judge) {
        Ok(server) => Ok(*server.certificate()),
        Err(Error::Certificate { which: "server", problem }) => Err(problem),
        Err(other) => panic!("{other}"),
    }
}

/// What the check says of `chain` to `plant.example`, within its dates.
fn verdict(chain: &[&[u8]], root: &[u8]) -> Result<(), CertProblem> {
    server(chain, root, "plant.example", Judge::Wall(within(chain[0]))).map(|_| ())
}

#[test]
fn every_supported_kind_of_chain_is_accepted() {
    let Some(pki) = Pki::new() else { return };
    for (kind, options) in [
        (P256, "-sha256"),
        (P384, "-sha384"),
        (RSA2048, "-sha256"),
        (RSA2048, "-sha512"),
        (RSA4096, "-sha384"),
        (RSA2048, &format!("-sha256 {PSS}")),
        (RSA4096, &format!("-sha384 {PSS}")),
    ] {
        let root = pki.root("root", kind, options);
        let between = pki.issue("between", kind, "root", CA, options);
        let leaf = pki.issue("leaf", kind, "between", SERVER, options);
        assert_eq!(verdict(&[&leaf, &between], &root), Ok(()), "{kind} {options}");
        // Order and surplus do not matter: a root is often sent along.
        assert_eq!(verdict(&[&leaf, &root, &between], &root), Ok(()), "{kind} {options}");
        // One bit of each signature.
        for position in [0, 1] {
            let mut chain = [leaf.clone(), between.clone()];
            *chain[position].last_mut().unwrap() ^= 1;
            let wanted = Err(CertProblem::BadSignature);
            assert_eq!(verdict(&[&chain[0], &chain[1]], &root), wanted, "{kind} {options}");
        }
    }
    let root = pki.root("root", P521, "-sha512");
    let leaf = pki.issue("leaf", P256, "root", SERVER, "-sha512");
    assert_eq!(verdict(&[&leaf], &root), Err(CertProblem::UnsupportedAlgorithm));
}

#[test]
fn names_are_checked_against_the_alternative_names_only() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let leaf = pki.issue("leaf", P256, "root", SERVER, "");
    let judge = Judge::Wall(within(&leaf));
    for host in ["plant.example", "PLANT.example", "a.wild.example", "192.0.2.7", "2001:db8::7"] {
        assert!(server(&[&leaf], &root, host, judge).is_ok(), "{host}");
    }
    for host in ["leaf", "wild.example", "a.b.wild.example", "x.plant.example", "192.0.2.8", "2001:db8::8"] {
        assert_eq!(server(&[&leaf], &root, host, judge).unwrap_err(), CertProblem::WrongName, "{host}");
    }
    let anchors = Anchors { configured: &[&root], fetched: &[] };
    for host in ["", "a b", "-", "[::1]"] {
        let verdict = verify_server(ALGORITHMS, "server", &leaf, std::iter::empty(), anchors, host, judge);
        assert!(matches!(verdict, Err(Error::Misuse(_))), "{host}");
    }
}

#[test]
fn each_broken_chain_is_refused_and_named() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let leaf = pki.issue("leaf", P256, "root", SERVER, "");
    let other_root = pki.root("other", P256, "");
    assert_eq!(verdict(&[&leaf], &other_root), Err(CertProblem::UnknownIssuer));

    let under_leaf = pki.issue("under", P256, "leaf", SERVER, "");
    assert_eq!(verdict(&[&under_leaf, &leaf], &root), Err(CertProblem::NotAnAuthority));
    let no_constraints = pki.issue("plain", P256, "root", "subjectKeyIdentifier=hash", "");
    let under_plain = pki.issue("under", P256, "plain", SERVER, "");
    assert_eq!(verdict(&[&under_plain, &no_constraints], &root), Err(CertProblem::NotAnAuthority));
    let no_cert_sign = pki.issue("nosign", P256, "root", "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature", "");
    let under_nosign = pki.issue("under", P256, "nosign", SERVER, "");
    assert_eq!(verdict(&[&under_nosign, &no_cert_sign], &root), Err(CertProblem::NotAnAuthority));

    for wrong in [
        "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:plant.example",
        "keyUsage=keyEncipherment\nsubjectAltName=DNS:plant.example",
        "basicConstraints=CA:TRUE\nsubjectAltName=DNS:plant.example",
    ] {
        let leaf = pki.issue("wrong", P256, "root", wrong, "");
        assert_eq!(verdict(&[&leaf], &root), Err(CertProblem::WrongPurpose), "{wrong}");
    }

    let short = pki.issue("short", P256, "root", "basicConstraints=critical,CA:TRUE,pathlen:0", "");
    let direct = pki.issue("direct", P256, "short", SERVER, "");
    assert_eq!(verdict(&[&direct, &short], &root), Ok(()));
    let deeper = pki.issue("deeper", P256, "short", CA, "");
    let deep = pki.issue("deep", P256, "deeper", SERVER, "");
    assert_eq!(verdict(&[&deep, &deeper, &short], &root), Err(CertProblem::Constraint));

    let constrained = format!("{CA}\nnameConstraints=critical,permitted;DNS:hall.example");
    let narrow = pki.issue("narrow", P256, "root", &constrained, "");
    let outside = pki.issue("outside", P256, "narrow", SERVER, "");
    assert_eq!(verdict(&[&outside, &narrow], &root), Err(CertProblem::Constraint));

    let critical = format!("{SERVER}\n1.2.3.4=critical,DER:0500");
    let unknown = pki.issue("unknown", P256, "root", &critical, "");
    assert_eq!(verdict(&[&unknown], &root), Err(CertProblem::Constraint));
}

#[test]
fn junk_and_surplus_are_refused() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let leaf = pki.issue("leaf", P256, "root", SERVER, "");
    let judge = Judge::Wall(within(&leaf));
    let anchors = Anchors { configured: &[&root], fetched: &[] };
    let check = |leaf: &[u8], count: usize, anchors: Anchors<'_>| {
        let intermediates = std::iter::repeat_n(&root[..], count);
        verify_path(ALGORITHMS, "peer", leaf, intermediates, anchors, Purpose::ServerAuth, judge).map(|_| ())
    };
    let refused = |which, problem| Err(Error::Certificate { which, problem });
    assert_eq!(check(&leaf, 8, anchors), Ok(()));
    assert!(matches!(check(&leaf, 9, anchors), Err(Error::Malformed { what: "peer", .. })));
    assert_eq!(check(&[&leaf[..], &[0]].concat(), 0, anchors), refused("peer", CertProblem::Unreadable));
    assert_eq!(check(&[], 0, anchors), refused("peer", CertProblem::Unreadable));
    assert_eq!(check(&leaf, 0, Anchors::default()), refused("peer", CertProblem::UnknownIssuer));
    let broken = Anchors { configured: &[&root[1..]], fetched: &[] };
    assert_eq!(check(&leaf, 0, broken), refused("trust anchor", CertProblem::Unreadable));
    // A broken anchor or one of the same name does not stop a good one, wherever it comes from.
    let imposter = pki.root("root", P256, "");
    let fetched = [&imposter[..], &root[..]].concat();
    assert_eq!(check(&leaf, 0, Anchors { configured: &[&root[1..]], fetched: &fetched }), Ok(()));
    assert_eq!(
        check(&leaf, 0, Anchors { configured: &[&imposter], fetched: &[] }),
        refused("peer", CertProblem::BadSignature)
    );
}

#[test]
fn dates_are_judged_by_the_clock_or_by_the_floor() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let between = pki.issue("between", P256, "root", CA, "");
    let leaf = pki.issue("leaf", P256, "between", SERVER, "");
    let Certificate { not_before: UnixTime(first), not_after: UnixTime(last), .. } = Certificate::parse(&leaf).unwrap();
    let at = |judge| server(&[&leaf, &between], &root, "plant.example", judge).map(|_| ());
    // The intermediate may be a second older than the leaf.
    let expired = |now| Err(CertProblem::Expired { not_after: last, now });
    assert_eq!(at(Judge::Wall(UnixTime(first))), Ok(()));
    assert_eq!(
        at(Judge::Wall(UnixTime(first - 1))),
        Err(CertProblem::NotYetValid { not_before: first, now: first - 1 })
    );
    assert_eq!(at(Judge::Wall(UnixTime(last + 1))), expired(last + 1));
    assert_eq!(at(Judge::Floor(UnixTime(0))), Ok(()));
    assert_eq!(at(Judge::Floor(UnixTime(first - 1_000_000))), Ok(()));
    assert_eq!(at(Judge::Floor(UnixTime(last + 1))), expired(last + 1));
}

#[test]
fn an_issued_certificate_is_found_and_checked() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let between = pki.issue("between", RSA2048, "root", CA, "");
    let leaf = pki.issue("leaf", P256, "between", CLIENT, "");
    let someone = pki.issue("someone", P256, "between", CLIENT, "");
    let for_servers = pki.issue("for-servers", P256, "between", SERVER, "");
    let judge = Judge::Wall(within(&leaf));
    let anchors = Anchors { configured: &[], fetched: &root };
    let accept =
        |chain: &[&[u8]], mine: &[u8]| accept_issued(ALGORITHMS, &chain.concat(), &public(mine), anchors, judge);
    let refused = |problem| Err(Error::Certificate { which: "issued certificate", problem });

    let issued = accept(&[&between, &leaf, &root], &leaf).unwrap();
    assert_eq!(*issued.leaf(), between.len()..between.len() + leaf.len());
    let read = Certificate::parse(&leaf).unwrap();
    assert_eq!((issued.not_before(), issued.not_after()), (read.not_before, read.not_after));
    assert_eq!(accept(&[&leaf, &between], &leaf).unwrap().leaf().start, 0);

    assert_eq!(accept(&[&someone, &between], &leaf), refused(CertProblem::WrongKey));
    assert_eq!(accept(&[&leaf], &leaf), refused(CertProblem::UnknownIssuer));
    assert_eq!(accept(&[&for_servers, &between], &for_servers), refused(CertProblem::WrongPurpose));
    assert_eq!(accept(&[], &leaf), refused(CertProblem::Unreadable));
    assert_eq!(accept(&[&leaf, &between, &[0x30, 5]], &leaf), refused(CertProblem::Unreadable));
    let late = Judge::Floor(UnixTime(read.not_after.0 + 1));
    let expired = CertProblem::Expired { not_after: read.not_after.0, now: read.not_after.0 + 1 };
    let chain = [&leaf[..], &between].concat();
    assert_eq!(accept_issued(ALGORITHMS, &chain, &public(&leaf), anchors, late), refused(expired));
}

#[test]
fn the_pinned_ca_is_found_by_its_fingerprint() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let leaf = pki.issue("leaf", P256, "root", SERVER, "");
    let fingerprint = |name: &str| {
        let text = pki.0.run(&format!("x509 -in {name}.pem -noout -fingerprint -sha256"));
        let digits = text.trim().split_once('=').unwrap().1;
        let octets: Vec<u8> = digits.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
        <[u8; 32]>::try_from(octets).unwrap()
    };
    let chain = [&leaf[..], &root].concat();
    let refused = |problem| Err(Error::Certificate { which: "pinned CA", problem });
    assert_eq!(find_pinned(&chain, &fingerprint("root")), Ok(&root[..]));
    assert_eq!(find_pinned(&chain, &fingerprint("leaf")), refused(CertProblem::NotAnAuthority));
    assert_eq!(find_pinned(&chain, &[0; 32]), refused(CertProblem::WrongFingerprint));
}

#[test]
fn of_fetched_certificates_only_the_self_issued_are_anchors() {
    let Some(pki) = Pki::new() else { return };
    let root = pki.root("root", P256, "");
    let between = pki.issue("between", P256, "root", CA, "");
    let leaf = pki.issue("leaf", P256, "between", SERVER, "");
    let _absent = pki.root("absent", P256, "");
    let stray = pki.issue("stray", P256, "absent", CA, "");
    let under_stray = pki.issue("under-stray", P256, "stray", SERVER, "");
    let judge = Judge::Wall(within(&under_stray));
    let check = |leaf: &[u8], fetched: &[&[u8]]| {
        let fetched = fetched.concat();
        let anchors = Anchors { configured: &[], fetched: &fetched };
        verify_path(ALGORITHMS, "peer", leaf, std::iter::empty(), anchors, Purpose::ServerAuth, judge).map(|_| ())
    };
    let unknown = Err(Error::Certificate { which: "peer", problem: CertProblem::UnknownIssuer });
    // An intermediate that was fetched completes the path to its root, but is no root itself.
    assert_eq!(check(&leaf, &[&root]), unknown);
    assert_eq!(check(&leaf, &[&between, &stray, &root]), Ok(()));
    assert_eq!(check(&under_stray, &[&between, &stray, &root]), unknown);
    // With no root among them, what the server named is all there is to trust.
    assert_eq!(check(&under_stray, &[&stray]), Ok(()));
}
