//! Enrolment and renewal: key → CSR → exchanges → check → store → commit → destroy the old key. What is particular to
//! [`certificates`], and to a client [`registration`] in their place, is below.
//!
//! A cut at any point leaves either the old identity or none and a clean start; the live slot is never written.

mod certificates;
mod registration;

use super::backoff::Backoff;
use super::boot::Boot;
use super::{Answer, Ready, Shared, State, Step, WRONG_OUTCOME, client_of};
use crate::Error;
use crate::agent::step::Outcome;
use crate::config::Config;
use crate::crypto::sha256;
use crate::enrol::{Context, Manage, Next, Stage};
use crate::keys::{PublicKey, Slot};
use crate::record::{self, Record};
use crate::time::{Instant, Judge, Now, UnixTime};
use crate::trust::Anchors;
use crate::x509::csr;
use registration::Forget;

/// One enrolment, from the first step to the commit.
pub(super) struct Enrolment {
    /// The slot being filled; not the live one.
    fill: Slot,
    /// The slot that is live, whose key is destroyed after the commit.
    live: Option<Slot>,
    /// Whether the live identity vouches for the new one; else the bootstrap does.
    renewal: bool,
    /// What else is done with the registration; nothing is enrolled then, and nothing tried twice.
    manage: Option<Manage>,
    /// The key of the slot being filled, once it is made: what is shared is not ours alone.
    key: PublicKey,
    /// When the live identity ended, if that is why it does not.
    ended: Option<UnixTime>,
    phase: Phase,
    /// Nothing before this instant.
    until: Option<Instant>,
    backoff: Backoff,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Load the certificate to present: the live one, or the birth one.
    Identity,
    Ask(Stage),
    /// Load the record of the client registration.
    Recall(Stage),
    /// At a first enrolment a key that a cut left behind is used again, so that a CSR awaiting approval stays the same.
    Lookup(Made),
    Generate(Made),
    Sign {
        /// Octets of the CertificationRequestInfo in `memory.request`.
        info: usize,
        then: Stage,
    },
    /// Store the first `record` octets of `memory.reply`: the record of the certificates in `memory.anchors`.
    StoreAnchors {
        record: usize,
        then: Stage,
    },
    /// Seal and store the first `record` octets of `memory.reply`: the record of the client registration.
    StoreRegistration {
        record: usize,
        flaw: Option<Error>,
    },
    /// Store the first `record` octets of `memory.reply`; `memory.credential` holds the live credential up to the commit.
    StoreCredential {
        record: usize,
    },
    Commit {
        record: usize,
    },
    DestroyOld,
    /// The registration has ended: forget what is left of it.
    Forget(Forget),
}

/// What is made of a key.
#[derive(Clone, Copy)]
enum Made {
    Csr(Stage),
    /// What [`crate::enrol::Enrol::compose`] writes; it needs the first `length` octets of `memory.reply`.
    Composed {
        length: usize,
        then: Stage,
    },
}

impl Enrolment {
    /// A first enrolment into `fill`; `live` is the slot that the pointer names, if any, however useless.
    pub(super) const fn first(fill: Slot, live: Option<Slot>) -> Self {
        Self {
            fill,
            live,
            renewal: false,
            manage: None,
            key: PublicKey::EMPTY,
            ended: None,
            phase: Phase::Identity,
            until: None,
            backoff: Backoff::new(),
        }
    }

    /// Renewal of the live slot. An expired certificate vouches for nothing: the bootstrap does.
    pub(super) fn renewal(live: Slot, not_after: UnixTime, judge: Judge) -> Self {
        let expired = judge.at_least() >= not_after;
        Self { renewal: !expired, ended: expired.then_some(not_after), ..Self::first(live.other(), Some(live)) }
    }

    /// What else can be done with the registration of the live slot.
    pub(super) const fn managing(live: Slot, what: Manage) -> Self {
        Self { renewal: true, manage: Some(what), ..Self::first(live.other(), Some(live)) }
    }

    /// Whether it is something else than an enrolment.
    pub(super) const fn is_managing(&self) -> bool {
        self.manage.is_some()
    }

    /// Until when it waits, if it does.
    pub(super) fn waits_until(&self, now: Now) -> Option<Instant> {
        self.until.filter(|until| now.mono < *until)
    }

    /// The live slot, while its credential is in memory and can serve: between the tries of a renewal.
    pub(super) fn serves(&self, now: Now) -> Option<Slot> {
        self.waits_until(now)?;
        let loaded = !matches!(self.phase, Phase::Identity | Phase::DestroyOld | Phase::Forget(_));
        self.live.filter(|_| self.renewal && loaded)
    }

    /// Whether others may use what is shared while it waits: nothing is kept there between two steps but the request.
    pub(super) fn shares(&self, now: Now) -> Option<Slot> {
        self.serves(now).filter(|_| matches!(self.phase, Phase::Ask(_)))
    }

    /// Whether nothing was issued yet.
    const fn is_asking(&self) -> bool {
        !matches!(
            self.phase,
            Phase::StoreRegistration { .. }
                | Phase::StoreCredential { .. }
                | Phase::Commit { .. }
                | Phase::DestroyOld
                | Phase::Forget(_)
        )
    }

    /// The identity that vouches for a renewal and its end, if that has passed meanwhile.
    pub(super) fn outlived(&self, shared: &Shared<'_>, judge: Judge) -> Option<(Slot, UnixTime)> {
        let live = self.live.filter(|_| self.renewal && self.is_asking() && !matches!(self.phase, Phase::Identity))?;
        let end = shared.live_credential()?.not_after;
        (judge.at_least() >= end).then_some((live, end))
    }

    /// The live slot, if it was taken for expired and a wall clock now says that it is not.
    pub(super) fn revived(&self, judge: Judge) -> Option<Slot> {
        let end = self.ended.filter(|_| self.is_asking())?;
        self.live.filter(|_| matches!(judge, Judge::Wall(now) if now < end))
    }

    fn context<'a>(&self, config: &'a Config, shared: &'a Shared<'_>, now: Now) -> Context<'a> {
        Context {
            renewal: self.renewal,
            anchors: shared.anchors(config),
            csr: shared.memory.request.get(..shared.csr).unwrap_or_default(),
            client: shared.client(self.identity()),
            judge: shared.judge(now),
        }
    }

    fn identity(&self) -> Slot {
        self.live.filter(|_| self.renewal).unwrap_or(Slot::Birth)
    }
}

impl Enrolment {
    pub(super) fn step<'a>(&mut self, config: &'a Config, shared: &'a mut Shared<'_>, now: Now) -> Step<'a> {
        if let Some(until) = self.waits_until(now) {
            return Step::Idle { until };
        }
        match self.phase {
            Phase::Identity => {
                Step::Load { record: Record::Credential(self.identity()), into: shared.memory.credential }
            }
            Phase::Ask(stage) => self.exchange(config, shared, now, stage),
            Phase::Recall(_) => Step::Load { record: Record::Registration, into: shared.memory.reply },
            Phase::Lookup(_) => Step::Public { slot: self.fill, into: &mut shared.public },
            Phase::Generate(_) => Step::Generate { slot: self.fill, into: &mut shared.public },
            Phase::Sign { .. } => Step::Sign { slot: self.fill, digest: &shared.digest, into: &mut shared.signature },
            Phase::StoreAnchors { record, .. } => {
                Step::Store { record: Record::Anchors, bytes: shared.memory.reply.get(..record).unwrap_or_default() }
            }
            Phase::StoreRegistration { record, .. } => registration::seal(shared, record),
            Phase::StoreCredential { record } => Step::Store {
                record: Record::Credential(self.fill),
                bytes: shared.memory.reply.get(..record).unwrap_or_default(),
            },
            Phase::Commit { .. } => {
                let length = record::write_live(self.fill, shared.memory.request).unwrap_or(0);
                Step::Store { record: Record::Live, bytes: shared.memory.request.get(..length).unwrap_or_default() }
            }
            Phase::DestroyOld => Step::Destroy { slot: self.fill.other() },
            Phase::Forget(what) => what.step(self.fill.other()),
        }
    }

    fn exchange<'a>(&self, config: &'a Config, shared: &'a mut Shared<'_>, now: Now, stage: Stage) -> Step<'a> {
        let judge = shared.judge(now);
        let Shared { memory, path, credential, anchors, csr, nonce, .. } = shared;
        let context = Context {
            renewal: self.renewal,
            anchors: Anchors {
                configured: config.anchors,
                fetched: memory.anchors.get(..*anchors).unwrap_or_default(),
            },
            csr: memory.request.get(..*csr).unwrap_or_default(),
            client: client_of(memory.credential.get(..*credential), self.identity()),
            judge,
        };
        Step::Exchange { request: config.profile.enrol.request(stage, &context, path), into: memory.reply, nonce }
    }

    pub(super) fn done(
        &mut self,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        outcome: Outcome,
    ) -> Result<Option<State>, Error> {
        self.until = None;
        self.phase = match (self.phase, outcome) {
            // the new identity is committed: the old key is tried again at the next boot
            (Phase::DestroyOld, Outcome::Failed(failure)) => {
                return self.ready(config, shared, now, Some(failure.error)).map(Some);
            }
            (_, Outcome::Failed(failure)) => return Err(failure.error),
            (Phase::Identity, Outcome::Loaded(_) | Outcome::Absent) => {
                shared.credential = match outcome {
                    Outcome::Loaded(length) => length.min(shared.memory.credential.len()),
                    _ => 0,
                };
                let next = match self.manage {
                    Some(what) => config.profile.enrol.manage(what)?,
                    None => config.profile.enrol.start(&self.context(config, shared, now))?,
                };
                self.follow(next, config, shared, now, None)?
            }
            (Phase::Recall(stage), Outcome::Loaded(_) | Outcome::Absent) => {
                let length = if let Outcome::Loaded(length) = outcome { length } else { 0 };
                let record = shared.memory.reply.get(..length).unwrap_or_default();
                let next = config.profile.enrol.recall(stage, record)?;
                self.follow(next, config, shared, now, None)?
            }
            (Phase::Ask(stage), Outcome::Reply(reply)) => {
                let judge = shared.judge(now);
                let Shared { memory, credential, anchors, csr, .. } = &mut *shared;
                let context = Context {
                    renewal: self.renewal,
                    anchors: Anchors {
                        configured: config.anchors,
                        fetched: memory.anchors.get(..*anchors).unwrap_or_default(),
                    },
                    csr: memory.request.get(..*csr).unwrap_or_default(),
                    client: client_of(memory.credential.get(..*credential), self.identity()),
                    judge,
                };
                let next = config.profile.enrol.reply(stage, &context, &reply, memory.reply)?;
                match next {
                    Next::Anchors { length, then } => self.adopt_anchors(shared, length, then)?,
                    Next::Issued { length } => self.accept(config, shared, now, length)?,
                    // a date is meant by the server's clock, whatever ours shows
                    other => self.follow(other, config, shared, now, reply.date.or(now.wall))?,
                }
            }
            (Phase::Lookup(then), Outcome::Absent) => Phase::Generate(then),
            (Phase::Lookup(made) | Phase::Generate(made), Outcome::Done) => {
                self.key = shared.public;
                let then = match made {
                    Made::Csr(then) => then,
                    Made::Composed { length, then } => {
                        self.phase = self.compose(config, shared, length, then)?;
                        return Ok(None);
                    }
                };
                let info = self.request(config, shared)?;
                shared.digest = sha256(shared.memory.request.get(..info).unwrap_or_default());
                Phase::Sign { info, then }
            }
            (Phase::Sign { info, then }, Outcome::Done) => {
                let length = csr::finish(shared.memory.request, info, &shared.signature)?;
                shared.csr = config.profile.enrol.wrap_csr(shared.memory.request, length)?;
                Phase::Ask(then)
            }
            (Phase::StoreAnchors { then, .. }, Outcome::Done) => Phase::Ask(then),
            (Phase::StoreRegistration { record, flaw }, Outcome::Done) => {
                // the registration is safe: whatever is wrong now, the next try begins with it
                self.phase = Phase::Identity;
                match self.registered(shared, now, record, flaw)? {
                    Some(phase) => phase,
                    None => return self.ready(config, shared, now, None).map(Some),
                }
            }
            (Phase::StoreCredential { record }, Outcome::Done) => Phase::Commit { record },
            (Phase::Commit { record }, Outcome::Done) => {
                let Shared { memory, credential, .. } = &mut *shared;
                let octets = memory.reply.get(..record).unwrap_or_default();
                memory.credential.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
                *credential = record;
                if self.live.is_none() {
                    return self.ready(config, shared, now, None).map(Some);
                }
                Phase::DestroyOld
            }
            (Phase::DestroyOld, Outcome::Done) => return self.ready(config, shared, now, None).map(Some),
            (Phase::Forget(what), Outcome::Done) => match what.next() {
                Some(next) => Phase::Forget(next),
                None => {
                    shared.credential = 0;
                    shared.answer = Some(Ok(Answer::Unregistered));
                    return Ok(Some(State::Left));
                }
            },
            _ => return Err(WRONG_OUTCOME),
        };
        Ok(None)
    }

    /// The live identity, and what went wrong after the commit.
    fn ready(
        &self,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        trouble: Option<Error>,
    ) -> Result<State, Error> {
        let credential = shared.live_credential().ok_or(WRONG_OUTCOME)?;
        let slot = if self.manage.is_some() { self.fill.other() } else { self.fill };
        let ready = Ready::new(slot, &credential, config.profile.enrol);
        shared.trouble = trouble;
        Ok(State::Ready(ready.rested(now, shared.judge(now))))
    }

    /// After something else than an enrolment failed: the live slot, to boot from.
    pub(super) fn gave_up(&self) -> Option<State> {
        self.manage.map(|_| State::Boot(Boot::again(self.fill.other())))
    }

    /// The phase that `next` asks for.
    fn follow(
        &mut self,
        next: Next,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        wall: Option<UnixTime>,
    ) -> Result<Phase, Error> {
        let key = |made| if self.renewal { Phase::Generate(made) } else { Phase::Lookup(made) };
        Ok(match next {
            Next::Ask(stage) => {
                self.backoff.reset();
                Phase::Ask(stage)
            }
            // a renewal takes a new key; whatever the slot holds is from an earlier life
            Next::Csr(then) => key(Made::Csr(then)),
            Next::Compose { length, key: true, then } => key(Made::Composed { length, then }),
            Next::Compose { length, key: false, then } => self.compose(config, shared, length, then)?,
            Next::Recall(stage) => Phase::Recall(stage),
            Next::Registered { length, flaw } => {
                self.backoff.reset();
                Phase::StoreRegistration { record: length, flaw }
            }
            Next::Gone => Phase::Forget(Forget::FIRST),
            Next::Later { why, .. } if self.manage.is_some() => return Err(why),
            Next::Later { retry_after, stage, why } => {
                shared.trouble = Some(why);
                let wait = self.backoff.as_asked(retry_after, wall, &shared.device);
                self.until = Some(now.mono.after_ms(wait));
                Phase::Ask(stage)
            }
            Next::Anchors { .. } | Next::Issued { .. } => return Err(WRONG_OUTCOME),
        })
    }

    /// Waits before trying the same phase again.
    pub(super) fn failed(&mut self, shared: &Shared<'_>, now: Now, refused: bool) {
        let wait = self.backoff.after_failure(refused, &shared.device);
        self.until = Some(now.mono.after_ms(wait));
    }
}
