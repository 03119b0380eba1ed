//! Boot: read flash, find out whether there is a usable identity.

use super::{Enrolment, Ready, Shared, State, Step, WRONG_OUTCOME, failure};
use crate::Error;
use crate::agent::step::Outcome;
use crate::keys::{PublicKey, Slot};
use crate::record::{self, Record};
use crate::x509::cert::Certificate;

/// What is being read. Each is a step of its own.
#[derive(Clone, Copy)]
pub(super) enum Boot {
    Floor,
    Anchors,
    Live,
    Credential {
        slot: Slot,
        /// This slot is not the one that a sound pointer names.
        second: bool,
        /// No other slot is left to try.
        last: bool,
    },
    Key {
        slot: Slot,
        second: bool,
        last: bool,
    },
    /// The commit of a second choice.
    Repoint(Slot),
    /// Whether an interrupted renewal left a key in the slot that is not live.
    Leftover(Slot),
    DestroyLeftover(Slot),
}

impl Boot {
    pub(super) fn step<'a>(&self, shared: &'a mut Shared<'_>) -> Step<'a> {
        let memory = &mut shared.memory;
        match *self {
            Self::Floor => Step::Load { record: Record::Floor, into: memory.reply },
            Self::Anchors => Step::Load { record: Record::Anchors, into: memory.reply },
            Self::Live => Step::Load { record: Record::Live, into: memory.reply },
            Self::Credential { slot, .. } => Step::Load { record: Record::Credential(slot), into: memory.credential },
            Self::Key { slot, .. } => Step::Public { slot, into: &mut shared.public },
            Self::Leftover(live) => Step::Public { slot: live.other(), into: &mut shared.public },
            Self::DestroyLeftover(live) => Step::Destroy { slot: live.other() },
            Self::Repoint(slot) => match record::write_live(slot, memory.reply) {
                Ok(length) => {
                    Step::Store { record: Record::Live, bytes: memory.reply.get(..length).unwrap_or_default() }
                }
                Err(_) => Step::Store { record: Record::Live, bytes: &[] },
            },
        }
    }

    pub(super) fn done(&mut self, shared: &mut Shared<'_>, outcome: Outcome) -> Result<Option<State>, Error> {
        if let Outcome::Failed(failure) = outcome {
            return Err(failure.error);
        }
        *self = match *self {
            Self::Floor => {
                match self.loaded(shared, outcome)?.map(record::read_floor) {
                    Some(Ok(floor)) => shared.floor = shared.floor.max(floor),
                    Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                    // a lost floor only makes the judge more lenient, down to the build time
                    Some(Err(_)) | None => {}
                }
                Self::Anchors
            }
            Self::Anchors => {
                shared.anchors = 0;
                match self.loaded(shared, outcome)?.map(record::read_anchors) {
                    Some(Ok(certificates)) => {
                        let length = certificates.len();
                        keep_anchors(shared, length)?;
                    }
                    Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                    // corrupt: the configured anchors or the pin fetch them anew
                    Some(Err(error)) => shared.trouble = Some(error),
                    None => {}
                }
                Self::Live
            }
            Self::Live => match self.loaded(shared, outcome)?.map(record::read_live) {
                Some(Ok(slot)) => Self::Credential { slot, second: false, last: false },
                Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                Some(Err(error)) => {
                    shared.trouble = Some(error);
                    Self::Credential { slot: Slot::A, second: true, last: false }
                }
                None => return Ok(Some(State::Enrolment(Enrolment::first(Slot::A, None)))),
            },
            Self::Credential { slot, second, last } => {
                shared.credential = length(outcome, shared.memory.credential.len())?;
                let record = shared.memory.credential.get(..shared.credential).unwrap_or_default();
                match record::read_credential(record) {
                    Ok(_) => Self::Key { slot, second, last },
                    Err(newer @ Error::Newer { .. }) => return Err(newer),
                    Err(error) => return self.unusable(shared, slot, last, error),
                }
            }
            Self::Key { slot, second, last } => {
                let mine = match outcome {
                    Outcome::Done => carries(shared, &shared.public),
                    Outcome::Absent => false,
                    _ => return Err(WRONG_OUTCOME),
                };
                match (mine, second) {
                    (true, false) => Self::Leftover(slot),
                    (true, true) => Self::Repoint(slot),
                    (false, _) => {
                        let lost = Error::Stored {
                            what: "credential",
                            problem: "its private key is missing or another; the device enrols again",
                        };
                        return self.unusable(shared, slot, last, lost);
                    }
                }
            }
            Self::Repoint(slot) => Self::Leftover(slot),
            Self::Leftover(live) => match outcome {
                Outcome::Done => Self::DestroyLeftover(live),
                Outcome::Absent => return ready(shared, live),
                _ => return Err(WRONG_OUTCOME),
            },
            Self::DestroyLeftover(live) => return ready(shared, live),
        };
        Ok(None)
    }

    /// Tries the other slot; then enrols into the slot tried last, so that the one first chosen stays as it is.
    fn unusable(
        &mut self,
        shared: &mut Shared<'_>,
        slot: Slot,
        last: bool,
        error: Error,
    ) -> Result<Option<State>, Error> {
        shared.trouble.get_or_insert(error);
        if last {
            return Ok(Some(State::Enrolment(Enrolment::first(slot, Some(slot.other())))));
        }
        *self = Self::Credential { slot: slot.other(), second: true, last: true };
        Ok(None)
    }

    fn loaded<'a>(&self, shared: &'a Shared<'_>, outcome: Outcome) -> Result<Option<&'a [u8]>, Error> {
        match outcome {
            Outcome::Loaded(length) => Ok(shared.memory.reply.get(..length)),
            Outcome::Absent => Ok(None),
            other => Err(failure(other)),
        }
    }
}

/// Keeps the anchors of the record in `reply`: its certificates end the record.
fn keep_anchors(shared: &mut Shared<'_>, length: usize) -> Result<(), Error> {
    // read again: the borrow of the first reading cannot cross the copy
    let certificates = record::read_anchors(shared.memory.reply)?;
    let room = shared.memory.anchors.get_mut(..length);
    let room = room.ok_or(Error::NoSpace { what: "trust anchors", wanted: length })?;
    for (to, from) in room.iter_mut().zip(certificates) {
        *to = *from;
    }
    shared.anchors = length;
    Ok(())
}

fn length(outcome: Outcome, most: usize) -> Result<usize, Error> {
    match outcome {
        Outcome::Loaded(length) => Ok(length.min(most)),
        Outcome::Absent => Ok(0),
        _ => Err(WRONG_OUTCOME),
    }
}

fn carries(shared: &Shared<'_>, public: &PublicKey) -> bool {
    shared
        .live_credential()
        .and_then(|c| Certificate::parse(c.leaf).ok())
        .and_then(|c| c.public_key())
        .is_some_and(|key| key == *public)
}

fn ready(shared: &mut Shared<'_>, slot: Slot) -> Result<Option<State>, Error> {
    let credential = shared.live_credential().ok_or(Error::Stored { what: "credential", problem: "it was lost" })?;
    let ready = Ready::new(slot, credential.not_before, credential.not_after);
    Ok(Some(State::Ready(ready)))
}
