//! Readers and writers: certificates, requests, replies, records.

use crate::{any, control, keep, octets, text};
use identity_core::agent::step::{Challenge, Media, Reply};
use identity_core::keys::{PublicKey, Signature, Slot};
use identity_core::oauth::form::Form;
use identity_core::oauth::url::Url;
use identity_core::oauth::{ClientCredentials, Endpoint, TokenSource, Words, endpoint, reply};
use identity_core::record::{self, Record};
use identity_core::time::{Instant, Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::wire::json::{self, Text, Value, Writer};
use identity_core::wire::{base64, base64url, http};
use identity_core::x509::cert::{Certificate, split_der};
use identity_core::x509::csr::{self, CsrRequest, Subject};
use identity_core::x509::csrattrs::CsrAttrs;
use identity_core::x509::verify::{self, Purpose};
use identity_core::x509::{cms, der_certificates};

pub fn all(buffer: &mut [u8]) {
    keep((any(Instant(0)).after_ms(any(0)), any(Instant(0)).after_seconds(any(0)), any(Slot::A).other()));
    keep(http::media(octets()));
    keep(http::retry_after(octets()));
    keep(http::date(octets()));
    keep(base64::encoded_len(any(0)));
    keep(base64::encode_in_place(buffer, any(0)).is_ok());
    keep(base64::decode_in_place("", buffer, any(0)).is_ok());
    keep(base64::decode_body("", buffer, any(0)).is_ok());
    keep((base64url::encoded_len(any(0)), base64url::decoded_len(any(0))));
    keep(base64url::encode(octets(), buffer).is_ok());
    keep(base64url::encode_in_place(buffer, any(0)).is_ok());
    keep(base64url::decode("", octets(), buffer).is_ok());
    base64url::letters(octets()).for_each(keep);
    read_json(buffer);
    write_json(buffer);
    requests(buffer);
    certificates(buffer);
    paths(buffer);
    records(buffer);
    oauth(buffer);
    control(cfg!(feature = "control-formats"));
}

fn read_json(buffer: &mut [u8]) {
    let Ok(object) = json::object("", octets()) else { return };
    keep(object.unique("").is_ok());
    keep(object.get(text()).is_ok());
    keep((object.whole(text()), object.boolean(text())));
    keep(object.array(text()).is_ok());
    keep(object.object(text()).is_ok());
    let text = |read: Text<'_>, buffer: &mut [u8]| {
        keep((read.as_plain(), read.is(text()), read.same(read), read.copy("", buffer).is_ok()));
        read.words().for_each(|word| keep(word.octets().count()));
    };
    if let Ok(Some(read)) = object.text("") {
        text(read, buffer);
    }
    for (name, value) in object.members() {
        text(name, buffer);
        match value {
            Value::Array(array) => {
                array.texts().for_each(|read| text(read, buffer));
                array.values().for_each(|value| keep(matches!(value, Value::Null)));
            }
            Value::Number(number) => keep(number.whole()),
            _ => {}
        }
    }
}

fn write_json(buffer: &mut [u8]) {
    let mut out = Writer::new(buffer);
    out.open_object();
    out.object(text());
    out.close_object();
    out.array(text());
    out.item(text());
    out.item_base64(octets());
    out.close_array();
    out.text(text(), text());
    out.number(text(), any(0));
    out.boolean(text(), any(false));
    out.base64url(text(), octets());
    keep(out.used());
    keep(out.finish("").is_ok());
}

fn oauth(buffer: &mut [u8]) {
    let reply = any(Reply {
        status: 200,
        media: Media::Json,
        retry_after: None,
        date: None,
        challenge: Challenge::None,
        length: 0,
    });
    keep(http::challenge(octets()));
    if let Ok(read) = reply::read_token("", &reply, octets()) {
        keep((read.kind, read.expires_in, read.scope.map(|scope| reply::covers(scope, text()))));
    }
    keep(reply::read_authorization("", &reply, octets()).is_ok());
    keep(reply::read_introspection("", &reply, octets(), text()).is_ok());
    let mut words = Words::NONE;
    keep((reply::read_refusal("", &reply, octets(), &mut words), words.as_str()));
    keep(endpoint::read_metadata(&any(&ClientCredentials::DEFAULT).provider(), octets(), buffer).is_ok());
    keep(endpoint::endpoint_url(octets(), any(Endpoint::Token)));
    keep(Url::parse("", text()).map(|url| url.target()).is_ok());
    let mut form = Form::new(buffer);
    form.field(text(), text()).optional(text(), any(Some("")));
    keep(form.finish().is_ok());
}

fn requests(buffer: &mut [u8]) {
    let subject =
        Subject { common_name: text(), organization: text(), organizational_unit: text(), serial_number: text() };
    let request = CsrRequest { subject, names: any::<&[_]>(&[]), public: any(&PublicKey::EMPTY) };
    keep(csr::write_info(&request, buffer).is_ok());
    keep(csr::finish(buffer, any(0), any(&Signature::EMPTY)).is_ok());
    if let Ok(attributes) = CsrAttrs::parse(octets()) {
        keep(attributes.honour().is_ok());
    }
}

fn certificates(buffer: &mut [u8]) {
    keep(split_der(octets()));
    keep(cms::unpack(buffer, any(0)).is_ok());
    if let Ok(certificates) = cms::certificates(octets()) {
        certificates.for_each(keep);
    }
    if let Ok(certificate) = Certificate::parse(octets()) {
        keep((certificate.public_key(), certificate.common_name(), certificate.is_ca(), certificate.is_self_issued()));
        certificate.alternative_names().for_each(keep);
        keep(certificate.key_usage.map(|usage| (usage.digital_signature(), usage.cert_sign())));
        keep(certificate);
    }
}

fn judge() -> Judge {
    any(Judge::Floor(UnixTime(0)))
}

fn paths(buffer: &mut [u8]) {
    let (algorithms, anchors) = (any(identity_core::crypto::ALGORITHMS), any(Anchors::default()));
    keep(anchors.is_empty());
    keep(verify::find_pinned(octets(), any(&[0; 32])).is_ok());
    let between = || der_certificates(octets());
    let purpose = any(Purpose::ServerAuth);
    keep(verify::verify_path(algorithms, "", octets(), between(), anchors, purpose, judge()).is_ok());
    if let Ok(server) = verify::verify_server(algorithms, "", octets(), between(), anchors, text(), judge()) {
        keep(server.certificate());
    }
    if let Ok(issued) = verify::accept_issued(algorithms, octets(), any(&PublicKey::EMPTY), anchors, judge()) {
        keep((issued.leaf(), issued.not_before(), issued.not_after()));
        keep(record::write_credential(&issued, buffer, any(0)).is_ok());
    }
}

fn records(buffer: &mut [u8]) {
    let record = any(Record::Live);
    keep((record.number(), record.name(), Slot::from_number(any(0))));
    keep(record::read_credential(octets()).is_ok());
    keep(record::read_live(octets()).is_ok());
    keep(record::read_anchors(octets()).is_ok());
    keep(record::read_floor(octets()).is_ok());
    keep(record::read_registration(octets()).is_ok());
    keep(record::read_refresh(any(&[0; 32]), octets()).is_ok());
    let client = record::RegisteredClient { issuer: any(&[0; 32]), id: text(), key: any(PublicKey::EMPTY) };
    keep(record::write_client(&client, any(UnixTime(0)), buffer).is_ok());
    keep(record::write_refresh(any(&[0; 32]), text(), buffer).is_ok());
    if let Some(text) = Text::of(text()) {
        keep(record::write_registration(any(&[0; 32]), [text; 3], buffer).is_ok());
    }
    keep(record::write_live(any(Slot::A), buffer).is_ok());
    keep(record::write_anchors(octets(), buffer).is_ok());
    keep(record::write_floor(any(UnixTime(0)), buffer).is_ok());
}
