//! Boot: read flash, find out whether there is a usable identity.

use super::backoff::Backoff;
use super::{Enrolment, Ready, Shared, State, Step, WRONG_OUTCOME, failure};
use crate::Error;
use crate::agent::step::Outcome;
use crate::config::Config;
use crate::keys::{PublicKey, Slot};
use crate::record::{self, Record};
use crate::time::{Instant, Now};
use crate::x509::cert::Certificate;

/// Boot so far; a glitch is waited out.
pub(super) struct Boot {
    at: At,
    /// Nothing before this instant.
    until: Option<Instant>,
    backoff: Backoff,
}

/// What is being read. Each is a step of its own.
#[derive(Clone, Copy)]
enum At {
    Floor,
    Anchors,
    Live,
    Credential(Slot, Why),
    Key(Slot, Why),
    /// Whether the other slot's credential is newer than this firmware: it may be the one that a lost pointer named.
    Other(Slot),
    /// The commit of a slot that no sound pointer names.
    Repoint(Slot),
    /// Whether an interrupted renewal left a key in the slot that is not live.
    Leftover(Slot),
    DestroyLeftover(Slot),
}

/// Why a slot is looked at.
#[derive(Clone, Copy)]
enum Why {
    /// The pointer names it.
    Named,
    /// The pointer names the other, which is of no use.
    Instead,
    /// No pointer: first B, then A, so that blank flash is filled from A.
    Unnamed,
}

impl Boot {
    /// From the start.
    pub(super) const fn new() -> Self {
        Self::from(At::Floor)
    }

    /// From the identity in a slot that the pointer names.
    pub(super) const fn again(live: Slot) -> Self {
        Self::from(At::Credential(live, Why::Named))
    }

    const fn from(at: At) -> Self {
        Self { at, until: None, backoff: Backoff::new() }
    }

    /// Until when it waits, if it does.
    pub(super) fn waits_until(&self, now: Now) -> Option<Instant> {
        self.until.filter(|until| now.mono < *until)
    }

    /// Waits before trying the same step again.
    pub(super) fn failed(&mut self, shared: &Shared<'_>, now: Now) {
        self.until = Some(now.mono.after_ms(self.backoff.after_failure(false, &shared.device)));
    }

    pub(super) fn step<'a>(&self, shared: &'a mut Shared<'_>, now: Now) -> Step<'a> {
        if let Some(until) = self.waits_until(now) {
            return Step::Idle { until };
        }
        let memory = &mut shared.memory;
        match self.at {
            At::Floor => Step::Load { record: Record::Floor, into: memory.reply },
            At::Anchors => Step::Load { record: Record::Anchors, into: memory.reply },
            At::Live => Step::Load { record: Record::Live, into: memory.reply },
            At::Credential(slot, _) => Step::Load { record: Record::Credential(slot), into: memory.credential },
            At::Other(slot) => Step::Load { record: Record::Credential(slot.other()), into: memory.reply },
            At::Key(slot, _) => Step::Public { slot, into: &mut shared.public },
            At::Leftover(live) => Step::Public { slot: live.other(), into: &mut shared.public },
            At::DestroyLeftover(live) => Step::Destroy { slot: live.other() },
            At::Repoint(slot) => {
                let length = record::write_live(slot, memory.reply).unwrap_or(0);
                Step::Store { record: Record::Live, bytes: memory.reply.get(..length).unwrap_or_default() }
            }
        }
    }

    pub(super) fn done(
        &mut self,
        config: &Config,
        shared: &mut Shared<'_>,
        outcome: Outcome,
    ) -> Result<Option<State>, Error> {
        self.until = None;
        if let Outcome::Failed(failure) = outcome {
            // an identity is there: what is left to clean up is tried again at the next boot
            if let At::Leftover(live) | At::DestroyLeftover(live) = self.at {
                shared.trouble = Some(failure.error);
                return ready(config, shared, live);
            }
            return Err(failure.error);
        }
        self.at = match self.at {
            At::Floor => {
                match loaded(shared, outcome)?.map(record::read_floor) {
                    Some(Ok(floor)) => shared.floor = shared.floor.max(floor),
                    Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                    // a lost floor only makes the judge more lenient, down to the build time
                    Some(Err(_)) | None => {}
                }
                At::Anchors
            }
            At::Anchors => {
                shared.anchors = 0;
                match loaded(shared, outcome)?.map(record::read_anchors) {
                    Some(Ok(certificates)) => {
                        let length = certificates.len();
                        keep_anchors(shared, length)?;
                    }
                    Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                    // corrupt: the configured anchors or the pin fetch them anew
                    Some(Err(error)) => shared.trouble = Some(error),
                    None => {}
                }
                At::Live
            }
            At::Live => match loaded(shared, outcome)?.map(record::read_live) {
                Some(Ok(slot)) => At::Credential(slot, Why::Named),
                Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                Some(Err(error)) => {
                    shared.trouble = Some(error);
                    At::Credential(Slot::B, Why::Unnamed)
                }
                // blank flash, or a cut just before the first commit
                None => At::Credential(Slot::B, Why::Unnamed),
            },
            At::Credential(slot, why) => {
                shared.credential = match outcome {
                    Outcome::Loaded(length) if length <= shared.memory.credential.len() => length,
                    Outcome::Absent => 0,
                    _ => return Err(WRONG_OUTCOME),
                };
                let record = shared.memory.credential.get(..shared.credential).unwrap_or_default();
                match record::read_credential(record) {
                    // that of another backend stays where it is until its slot is filled
                    Ok(credential) if !config.profile.enrol.accepts(&credential) => {
                        shared.trouble.get_or_insert(OTHER_BACKEND);
                        return Ok(self.unusable(slot, why));
                    }
                    Ok(_) => At::Key(slot, why),
                    Err(newer @ Error::Newer { .. }) => return Err(newer),
                    Err(_) if outcome == Outcome::Absent && matches!(why, Why::Unnamed) => {
                        return Ok(self.unusable(slot, why));
                    }
                    Err(error) => {
                        shared.trouble.get_or_insert(error);
                        return Ok(self.unusable(slot, why));
                    }
                }
            }
            At::Key(slot, why) => {
                let mine = match outcome {
                    Outcome::Done => carries(shared, &shared.public),
                    Outcome::Absent => false,
                    _ => return Err(WRONG_OUTCOME),
                };
                match (mine, why) {
                    (true, Why::Named) => At::Leftover(slot),
                    (true, Why::Unnamed) if slot == Slot::B => At::Other(slot),
                    (true, Why::Unnamed | Why::Instead) => At::Repoint(slot),
                    (false, _) => {
                        shared.trouble.get_or_insert(LOST_KEY);
                        return Ok(self.unusable(slot, why));
                    }
                }
            }
            At::Other(slot) => match loaded(shared, outcome)?.map(record::read_credential) {
                Some(Err(newer @ Error::Newer { .. })) => return Err(newer),
                _ => At::Repoint(slot),
            },
            At::Repoint(slot) => At::Leftover(slot),
            At::Leftover(live) => match outcome {
                Outcome::Done => At::DestroyLeftover(live),
                Outcome::Absent => return ready(config, shared, live),
                _ => return Err(WRONG_OUTCOME),
            },
            At::DestroyLeftover(live) => return ready(config, shared, live),
        };
        self.backoff.reset();
        Ok(None)
    }

    /// Tries the other slot; then enrols into the slot tried last, so that one that a pointer names stays as it is.
    fn unusable(&mut self, slot: Slot, why: Why) -> Option<State> {
        self.at = match (why, slot) {
            (Why::Named, _) => At::Credential(slot.other(), Why::Instead),
            (Why::Unnamed, Slot::B) => At::Credential(Slot::A, Why::Unnamed),
            (Why::Instead, _) => return Some(State::Enrolment(Enrolment::first(slot, Some(slot.other())))),
            (Why::Unnamed, _) => return Some(State::Enrolment(Enrolment::first(slot, None))),
        };
        None
    }
}

const LOST_KEY: Error = Error::Stored {
    what: "credential",
    problem: "its private key is missing or another; without a second credential the device enrols again",
};

const OTHER_BACKEND: Error = Error::Stored {
    what: "credential",
    problem: "it is of another backend than the profile's `enrol`; the device enrols anew",
};

fn loaded<'a>(shared: &'a Shared<'_>, outcome: Outcome) -> Result<Option<&'a [u8]>, Error> {
    match outcome {
        Outcome::Loaded(length) => shared.memory.reply.get(..length).map(Some).ok_or(WRONG_OUTCOME),
        Outcome::Absent => Ok(None),
        other => Err(failure(other)),
    }
}

/// Keeps the anchors of the record in `reply`: its certificates end the record.
fn keep_anchors(shared: &mut Shared<'_>, length: usize) -> Result<(), Error> {
    // read again: the borrow of the first reading cannot cross the copy
    let certificates = record::read_anchors(shared.memory.reply)?;
    let room = shared.memory.anchors.get_mut(..length);
    let room = room.ok_or(Error::NoSpace { what: "trust anchors (memory::ANCHORS)", wanted: length })?;
    for (to, from) in room.iter_mut().zip(certificates) {
        *to = *from;
    }
    shared.anchors = length;
    Ok(())
}

fn carries(shared: &Shared<'_>, public: &PublicKey) -> bool {
    let key = shared.live_credential().and_then(|credential| match credential.client {
        Some(client) => Some(client.key),
        None => Certificate::parse(credential.leaf).ok()?.public_key(),
    });
    key.is_some_and(|key| key == *public)
}

fn ready(config: &Config, shared: &Shared<'_>, slot: Slot) -> Result<Option<State>, Error> {
    let credential = shared.live_credential().ok_or(Error::Stored { what: "credential", problem: "it was lost" })?;
    Ok(Some(State::Ready(Ready::new(slot, &credential, config.profile.enrol))))
}
