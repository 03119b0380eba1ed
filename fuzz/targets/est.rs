//! Replies of an EST server: CMS, attributes, base64, and what each stage makes of them.
#![no_main]

use fuzz::{Input, head};
use identity_core::config::Secret;
use identity_core::enrol::{Bootstrap, Context, Enrol, Est, Next, Path, Stage};
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::wire::{base64, base64url};
use identity_core::x509::csrattrs::CsrAttrs;
use identity_core::x509::{cms, der_certificates};
use libfuzzer_sys::fuzz_target;

static EST: Est = Est {
    host: "est.example",
    port: 443,
    label: Some("pumps"),
    bootstrap: Bootstrap::Secret { user: "pump-7", password: Secret::new("once") },
    pinned: Some([7; 32]),
};

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let (choice, stage) = (input.octet(), input.octet());
    let reply = head(&mut input, 0);
    let body = input.0;
    let reply = identity_core::agent::step::Reply { length: body.len(), ..reply };

    if let Ok(certificates) = cms::certificates(body) {
        assert!(certificates.map(<[u8]>::len).sum::<usize>() <= body.len());
    }
    let mut room = body.to_vec();
    if let Ok(length) = cms::unpack(&mut room, body.len()) {
        assert!(length <= body.len());
        let whole: usize = der_certificates(&room[..length]).map(<[u8]>::len).sum();
        assert_eq!(whole, length, "what is unpacked is certificates and nothing else");
    }
    if let Ok(attributes) = CsrAttrs::parse(body) {
        let _ = attributes.honour();
    }
    let mut room = body.to_vec();
    if let Ok(length) = base64::decode_in_place("fuzz", &mut room, body.len()) {
        room.resize(base64::encoded_len(length), 0);
        let encoded = base64::encode_in_place(&mut room, length).expect("room");
        assert!(base64::decode_in_place("fuzz", &mut room, encoded).is_ok_and(|again| again == length));
    }
    let mut room = vec![0; base64url::decoded_len(body.len())];
    if let Ok(length) = base64url::decode("fuzz", body, &mut room) {
        let mut text = vec![0; base64url::encoded_len(length)];
        assert!(base64url::encode(&room[..length], &mut text).is_ok());
        assert_eq!(text, body, "there is one text for each");
    }

    let context = Context {
        renewal: choice & 1 != 0,
        anchors: Anchors { configured: &[], fetched: if choice & 2 == 0 { &[] } else { fuzz::CHAIN } },
        csr: b"MIIB",
        client: None,
        judge: Judge::Wall(UnixTime(1_800_000_000)),
    };
    let stage = Stage(stage % 6);
    let mut path = Path::new();
    let request = EST.request(stage, &context, &mut path);
    assert!(request.path.starts_with("/.well-known/est/pumps/") && request.host == "est.example");
    let mut room = body.to_vec();
    match EST.reply(stage, &context, &reply, &mut room) {
        Ok(Next::Anchors { length, .. } | Next::Issued { length }) => assert!(length <= body.len()),
        Ok(_) | Err(_) => {}
    }
});
