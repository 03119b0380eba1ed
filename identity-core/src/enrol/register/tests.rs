use super::*;
use crate::agent::step::{Challenge, Media};
use crate::time::{Judge, UnixTime};
use crate::trust::Anchors;
use crate::x509::csr::Subject;
use std::string::{String, ToString};
use std::vec::Vec;

const HERE: Register = Register {
    issuer: "https://id.example/t",
    initial_access_token: Some(Secret::new("let me in")),
    scope: "a b",
    ..Register::DEFAULT
};
const METADATA: &[u8] =
    br#"{"issuer":"https://id.example/t","registration_endpoint":"https:\/\/id.example:8443\/register?x=1"}"#;
const STAGES: [Stage; 7] = [ENROL, OPENID, OAUTH, REGISTER, UPDATE, READ, DELETE];

fn context(csr: &[u8]) -> Context<'_> {
    let anchors = Anchors { configured: &[&[0x30, 0]], fetched: &[] };
    Context { renewal: false, anchors, csr, client: None, judge: Judge::Floor(UnixTime(0)) }
}

fn device(key: &PublicKey, live: Option<PublicKey>) -> Applicant<'_> {
    Applicant { subject: Subject { common_name: "pump-7", ..Subject::default() }, key, live }
}

fn reply(status: u16, length: usize) -> Reply {
    Reply { status, media: Media::Json, retry_after: None, date: None, challenge: Challenge::None, length }
}

fn record(room: &mut [u8]) -> usize {
    let texts = ["c-1", "https://id.example/r/c-1", "rat"].map(|text| Text::of(text).unwrap());
    record::write_registration(&HERE.owner(), texts, room).unwrap()
}

#[test]
fn what_is_registered_is_said_to_the_letter() {
    let (key, live) = (PublicKey([4; 65]), PublicKey([5; 65]));
    let software = Some(Software { id: "fw", version: "1", statement: Some("s.t.m") });
    let full = Register { software, dpop: true, ..HERE };
    let mut room = [0; 2048];
    let length = full.compose(REGISTER, &device(&key, None), METADATA, &mut room).unwrap();
    let mut path = Path::new();
    let request = full.request(REGISTER, &context(&room[..length]), &mut path);
    assert_eq!((request.host, request.port, request.path), ("id.example", 8443, "/register?x=1"));
    let kid = |key: &PublicKey| {
        let mut room = [0; 43];
        base64url_of(&jwk::thumbprint(key), &mut room)
    };
    let xy = |octet: u8| {
        let text = base64url_of(&[octet; 32], &mut [0; 43]);
        std::format!(r#""crv":"P-256","kty":"EC","x":"{text}","y":"{text}""#)
    };
    let written =
        |key: &PublicKey, octet| std::format!(r#"{{"kid":"{}","use":"sig","alg":"ES256",{}}}"#, kid(key), xy(octet));
    let common = r#""client_name":"pump-7","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_signing_alg":"ES256","grant_types":["client_credentials"],"response_types":[],"redirect_uris":[],"scope":"a b""#;
    let wanted = std::format!(
        r#"{{{common},"dpop_bound_access_tokens":true,"software_id":"fw","software_version":"1","software_statement":"s.t.m","jwks":{{"keys":[{}]}}}}"#,
        written(&key, 4)
    );
    assert_eq!(core::str::from_utf8(request.body).unwrap(), wanted);
    // an update names the client, and the live key beside the new one
    let mut kept = [0; 256];
    let kept_length = record(&mut kept);
    let length = HERE.compose(UPDATE, &device(&key, Some(live)), &kept[..kept_length], &mut room).unwrap();
    let request = HERE.request(UPDATE, &context(&room[..length]), &mut path);
    assert_eq!((request.method, request.host, request.path), (Method::Put, "id.example", "/r/c-1"));
    let keys = [written(&key, 4), written(&live, 5)].join(",");
    let wanted = std::format!(r#"{{"client_id":"c-1",{common},"jwks":{{"keys":[{keys}]}}}}"#);
    assert_eq!(core::str::from_utf8(request.body).unwrap(), wanted);
    for room in 0..length {
        let short = HERE.compose(UPDATE, &device(&key, Some(live)), &kept[..kept_length], &mut [0; 2048][..room]);
        assert!(matches!(short, Err(Error::NoSpace { .. })), "{room}: {short:?}");
    }
}

#[test]
fn further_members_are_sent_as_they_stand() {
    let (key, mut room) = (PublicKey([4; 65]), [0; 2048]);
    let device = device(&key, None);
    let mut compose = |further| {
        let software = Some(Software { id: "fw", version: "1", statement: Some("s.t.m") });
        let register = Register { further, software, dpop: true, ..HERE };
        let length = register.compose(REGISTER, &device, METADATA, &mut room)?;
        let (_, body) = read_head(&room[..length]).unwrap();
        Ok::<_, Error>(core::str::from_utf8(body).unwrap().to_string())
    };
    let plain = compose("").unwrap();
    let more = r#""id_token_signed_response_alg": "ES256", "contacts": ["a}", {"b": 1}]"#;
    let (before, after) = plain.split_once(r#","jwks""#).unwrap();
    assert_eq!(compose(more).unwrap(), std::format!(r#"{before},{more},"jwks"{after}"#));
    let own = json::object("", plain.as_bytes()).unwrap();
    let own: Vec<String> = own.members().map(|(name, _)| std::format!(r#""{}":1"#, name.as_plain().unwrap())).collect();
    assert_eq!(own.len(), 12);
    let wrong =
        [" ", "{}", "x", r#""a""#, r#""a":1,"#, r#""a":1},"b":{"c":1"#, r#""a":1,"a":2"#, r#"{"a":1}"#, r#""a":1}"#];
    for further in wrong.into_iter().map(str::to_string).chain(own) {
        assert_eq!(compose(further.clone().leak()), Err(FURTHER), "{further}");
    }
}

fn base64url_of(octets: &[u8], room: &mut [u8]) -> String {
    let length = crate::wire::base64url::encode(octets, room).unwrap();
    core::str::from_utf8(&room[..length]).unwrap().to_string()
}

#[test]
fn a_secret_is_shown_to_the_endpoint_it_is_for_alone() {
    let key = PublicKey([4; 65]);
    let (mut kept, mut room, mut path) = ([0; 256], [0; 2048], Path::new());
    let length = record(&mut kept);
    for stage in STAGES {
        let body = if stage == REGISTER { METADATA } else { &kept[..length] };
        let composed = HERE.compose(stage, &device(&key, None), body, &mut room).unwrap();
        let context = context(&room[..composed]);
        let request = HERE.request(stage, &context, &mut path);
        let shown = match request.authorization {
            Authorization::Bearer(token) => token.reveal(),
            _ => "",
        };
        let wanted = match stage {
            REGISTER => "let me in",
            UPDATE | READ | DELETE => "rat",
            _ => "",
        };
        assert_eq!(shown, wanted, "{stage:?}");
        assert_eq!(request.body.is_empty(), !matches!(stage, REGISTER | UPDATE), "{stage:?}");
        assert!(matches!(request.trust, Trust::Anchors(_)) && request.client.is_none());
    }
}

#[test]
fn every_status_has_a_next_step() {
    for status in (0..=1000).chain([u16::MAX]) {
        for stage in STAGES {
            match (stage, HERE.reply(stage, &context(&[]), &reply(status, 0), &mut [])) {
                (OPENID, Ok(Next::Ask(OAUTH))) => assert!((400..500).contains(&status) && status != 429),
                (UPDATE, Ok(Next::Ask(OPENID))) => assert!(matches!(status, 401 | 404)),
                (DELETE, Ok(Next::Gone)) => assert!(matches!(status, 200 | 204 | 401 | 404)),
                (_, Err(Error::Refused { code, hint, .. })) => assert!(code == status && !hint.is_empty()),
                (_, Err(Error::Malformed { .. })) => assert!(matches!(status, 200 | 201), "{stage:?} {status}"),
                (_, other) => panic!("{stage:?} {status}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_configuration_is_checked_before_anything_is_asked() {
    assert!(matches!(HERE.start(&context(&[])), Ok(Next::Recall(ENROL))));
    let nobody = Context { anchors: Anchors::default(), ..context(&[]) };
    assert!(matches!(HERE.start(&nobody), Err(Error::Misuse(text)) if text.contains("anchor")));
    let long: &'static str = std::format!("https://id.example/{}", "x".repeat(128)).leak();
    for issuer in ["", "id.example", "http://id.example", long] {
        assert!(Register { issuer, ..HERE }.start(&context(&[])).is_err(), "{issuer}");
    }
    assert!(HERE.wrap_csr(&mut [], 0).is_err());
}

#[test]
fn a_registration_of_another_issuer_or_without_management_is_not_used() {
    let mut kept = [0; 256];
    let length = record(&mut kept);
    assert_eq!(HERE.recall(ENROL, &kept[..length]), Ok(Next::Compose { length, key: true, then: UPDATE }));
    assert_eq!(HERE.recall(READ, &kept[..length]), Ok(Next::Compose { length, key: false, then: READ }));
    let other = Register { issuer: "https://other.example", ..HERE };
    let texts = ["c-1", "", "rat"].map(|text| Text::of(text).unwrap());
    let mut unmanaged = [0; 256];
    let short = record::write_registration(&HERE.owner(), texts, &mut unmanaged).unwrap();
    for (register, record) in
        [(other, &kept[..length]), (HERE, &unmanaged[..short]), (HERE, &kept[..length - 1]), (HERE, &[])]
    {
        assert_eq!(register.recall(ENROL, record), Ok(Next::Ask(OPENID)));
        assert_eq!(register.recall(DELETE, record), Ok(Next::Gone));
        assert!(matches!(register.recall(READ, record), Err(Error::Stored { .. })));
    }
}

#[test]
fn a_reply_becomes_a_record_in_place() {
    let mut head = [0; 256];
    let managed = write_head(["https://id.example/r/c-1", "rat", "c-1"], &mut head).unwrap();
    let managed = &head[..managed];
    let uri = r#""registration_client_uri":"https:\/\/id.example\/r\/c-1""#;
    type Wanted = Result<[&'static str; 3], &'static str>;
    let rows: [(&[u8], String, Wanted); 8] = [
        (
            &[],
            std::format!(r#"{{"client_id":"c-1",{uri},"registration_access_token":"new"}}"#),
            Ok(["c-1", "https://id.example/r/c-1", "new"]),
        ),
        (&[], r#"{"client_id":"c-1"}"#.into(), Ok(["c-1", "", ""])),
        (managed, r#"{"client_id":"c-1"}"#.into(), Ok(["c-1", "https://id.example/r/c-1", "rat"])),
        (
            managed,
            r#"{"client_id":"c-1","registration_access_token":"new"}"#.into(),
            Ok(["c-1", "https://id.example/r/c-1", "new"]),
        ),
        (managed, r#"{"client_id":"c-2"}"#.into(), Err("another")),
        (&[], r#"{"client_id":""}"#.into(), Err("client_id")),
        (&[], r#"{"client_id":"c-1","registration_client_uri":"http://id.example/"}"#.into(), Err("https")),
        (&[], r#"{"client_id":"c-1","registration_access_token":"a b"}"#.into(), Err("header")),
    ];
    for (csr, json, wanted) in rows {
        let stage = if csr.is_empty() { REGISTER } else { UPDATE };
        let mut body: Vec<u8> = json.clone().into_bytes();
        body.resize(1024, 0);
        match (HERE.reply(stage, &context(csr), &reply(200, json.len()), &mut body), wanted) {
            (Ok(Next::Registered { length, flaw: None }), Ok(wanted)) => {
                let read = record::read_registration(&body[..length]).unwrap();
                assert_eq!([read.id, read.uri, read.token], wanted, "{json}");
            }
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{json}: {error}"),
            (other, _) => panic!("{json}: {other:?}"),
        }
        let mut body = json.clone().into_bytes();
        let full = HERE.reply(stage, &context(csr), &reply(200, json.len()), &mut body);
        assert!(full.is_err(), "{json}: no room for the record");
    }
}
