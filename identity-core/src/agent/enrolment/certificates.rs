//! Enrolment whose credential are certificates: trust anchors, what the CSR says, what is accepted.

use super::{Enrolment, Phase, Shared, client_of};
use crate::Error;
use crate::config::Config;
use crate::crypto;
use crate::enrol::Stage;
use crate::record;
use crate::time::Now;
use crate::x509::cert::Certificate;
use crate::x509::csr::{self, CsrRequest};
use crate::x509::verify::accept_issued;

impl Enrolment {
    /// Keeps the anchors that were fetched.
    pub(super) fn adopt_anchors(
        &mut self,
        shared: &mut Shared<'_>,
        length: usize,
        then: Stage,
    ) -> Result<Phase, Error> {
        let memory = &mut shared.memory;
        let certificates = memory.reply.get(..length).unwrap_or_default();
        let room = memory
            .anchors
            .get_mut(..length)
            .ok_or(Error::NoSpace { what: "trust anchors (memory::ANCHORS)", wanted: length })?;
        room.iter_mut().zip(certificates).for_each(|(to, from)| *to = *from);
        shared.anchors = length;
        self.backoff.reset();
        let record = record::write_anchors(memory.anchors.get(..length).unwrap_or_default(), memory.reply)?;
        Ok(Phase::StoreAnchors { record, then })
    }

    /// Writes what is to be signed: at renewal with the names that the CA gave (RFC 7030 §4.2.2), else with ours.
    pub(super) fn request(&self, config: &Config, shared: &mut Shared<'_>) -> Result<usize, Error> {
        let Shared { memory, credential, .. } = shared;
        let public = &self.key;
        match client_of(memory.credential.get(..*credential), self.fill).filter(|_| self.renewal) {
            Some(live) => csr::write_renewal(&Certificate::parse(live.certificate)?, public, memory.request),
            None => {
                csr::write_info(&CsrRequest { subject: config.subject, names: config.names, public }, memory.request)
            }
        }
    }

    /// Checks the issued certificates against key, anchors, purpose and dates; only then are they made a record.
    pub(super) fn accept(
        &mut self,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        length: usize,
    ) -> Result<Phase, Error> {
        let certificates = shared.memory.reply.get(..length).unwrap_or_default();
        let issued =
            accept_issued(crypto::ALGORITHMS, certificates, &self.key, shared.anchors(config), shared.judge(now))?;
        let memory = &mut shared.memory;
        let record = record::write_credential(&issued, memory.reply, length)?;
        let room = memory.credential.len();
        if record > room {
            return Err(Error::NoSpace { what: "the issued certificates (memory::CREDENTIAL)", wanted: record });
        }
        self.backoff.reset();
        Ok(Phase::StoreCredential { record })
    }
}
