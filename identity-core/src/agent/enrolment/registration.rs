//! Enrolment whose credential is a client registration: what is composed for it, the order of its records, its end.

use super::{Enrolment, Phase, Shared, WRONG_OUTCOME};
use crate::Error;
use crate::agent::Answer;
use crate::agent::step::Step;
use crate::config::Config;
use crate::enrol::{Applicant, Manage, Stage};
use crate::keys::Slot;
use crate::record::{self, Record, RegisteredClient};
use crate::time::Now;

/// What is forgotten after a registration has ended, in this order: a cut leaves a device that finishes when it is told
/// again, or enrols anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Forget {
    /// How it is managed. Without it the end is not asked for a second time.
    Registration,
    /// What came of it.
    Refresh,
    /// Without its key the credential is of no use.
    Key,
    Credential,
    /// What a rotation left in the other slot.
    FormerKey,
    FormerCredential,
    Live,
}

impl Forget {
    pub(super) const FIRST: Self = Self::Registration;

    pub(super) fn step<'a>(self, slot: Slot) -> Step<'a> {
        match self {
            Self::Registration => Step::Erase { record: Record::Registration },
            Self::Refresh => Step::Erase { record: Record::Refresh },
            Self::Key => Step::Destroy { slot },
            Self::Credential => Step::Erase { record: Record::Credential(slot) },
            Self::FormerKey => Step::Destroy { slot: slot.other() },
            Self::FormerCredential => Step::Erase { record: Record::Credential(slot.other()) },
            Self::Live => Step::Erase { record: Record::Live },
        }
    }

    pub(super) const fn next(self) -> Option<Self> {
        match self {
            Self::Registration => Some(Self::Refresh),
            Self::Refresh => Some(Self::Key),
            Self::Key => Some(Self::Credential),
            Self::Credential => Some(Self::FormerKey),
            Self::FormerKey => Some(Self::FormerCredential),
            Self::FormerCredential => Some(Self::Live),
            Self::Live => None,
        }
    }
}

/// Stores the first `length` octets of `memory.reply` sealed. They are copied each time: sealing happens in place.
pub(super) fn seal<'a>(shared: &'a mut Shared<'_>, length: usize) -> Step<'a> {
    let memory = &mut shared.memory;
    let record = memory.reply.get(..length).unwrap_or_default();
    memory.request.iter_mut().zip(record).for_each(|(to, from)| *to = *from);
    Step::StoreSealed { record: Record::Registration, octets: memory.request, length }
}

impl Enrolment {
    /// Has the backend write what the stage sends.
    pub(super) fn compose(
        &self,
        config: &Config,
        shared: &mut Shared<'_>,
        length: usize,
        then: Stage,
    ) -> Result<Phase, Error> {
        let live = shared.live_credential().and_then(|credential| credential.client).map(|client| client.key);
        let device = Applicant { subject: config.subject, key: &self.key, live: live.filter(|_| self.renewal) };
        let memory = &mut shared.memory;
        let body = memory.reply.get(..length).unwrap_or_default();
        shared.csr = config.profile.enrol.compose(then, &device, body, memory.request)?;
        Ok(Phase::Ask(then))
    }

    /// The registration is stored: the credential record is made of it, and secrets are wiped. None if that was all.
    pub(super) fn registered(
        &self,
        shared: &mut Shared<'_>,
        now: Now,
        length: usize,
        flaw: Option<Error>,
    ) -> Result<Option<Phase>, Error> {
        let at = shared.judge(now).at_least();
        let memory = &mut shared.memory;
        memory.request.fill(0);
        shared.csr = 0;
        if self.manage == Some(Manage::Read) {
            memory.reply.fill(0);
            shared.answer = Some(Ok(Answer::Registered));
            return Ok(None);
        }
        // written behind, so that it can be made of what is in front
        let (kept, free) = memory.reply.split_at_mut_checked(length).ok_or(WRONG_OUTCOME)?;
        let found = record::read_registration(kept)?;
        let client = RegisteredClient { issuer: found.issuer, id: found.id, key: self.key };
        let record = record::write_client(&client, at, free)?;
        crate::x509::der::slide(memory.reply, length, 0, record);
        memory.reply.get_mut(record..).unwrap_or_default().fill(0);
        if record > memory.credential.len() {
            return Err(Error::NoSpace { what: "the client identifier (memory::CREDENTIAL)", wanted: record });
        }
        match flaw {
            Some(flaw) => Err(flaw),
            None => Ok(Some(Phase::StoreCredential { record })),
        }
    }
}
