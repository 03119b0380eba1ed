//! Readers and writers: certificates, requests, replies, records.

use crate::{any, control, keep, octets, text};
use identity_core::keys::{PublicKey, Signature, Slot};
use identity_core::record::{self, Record};
use identity_core::time::{Instant, Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::wire::{base64, http};
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
    requests(buffer);
    certificates(buffer);
    paths(buffer);
    records(buffer);
    control(cfg!(feature = "control-formats"));
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
    keep(record::write_live(any(Slot::A), buffer).is_ok());
    keep(record::write_anchors(octets(), buffer).is_ok());
    keep(record::write_floor(any(UnixTime(0)), buffer).is_ok());
}
