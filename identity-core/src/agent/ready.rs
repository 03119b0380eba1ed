//! Ready: a usable identity; keeps the clock floor, and says when renewal is due.

use super::{Shared, State, Step, failure};
use crate::Error;
use crate::agent::step::Outcome;
use crate::enrol::Enrol;
use crate::keys::Slot;
use crate::record::{self, Credential, Record};
use crate::time::{Instant, Judge, Now, UnixTime};

/// The share of a certificate's life after which it is renewed: 2/3.
const RENEW_AFTER: (u64, u64) = (2, 3);
/// Least and longest time from one renewal to the next, in seconds; in between it is half of what is left of the life. A CA may
/// backdate a certificate, or cut it to its own end, so that two thirds of its life have passed when it is issued.
const REST_S: (u64, u64) = (60, 3_600);
/// How far trusted time must have passed the stored floor before it is written again: a day, for the flash's sake.
const FLOOR_EVERY_S: u64 = DAY_S;
const DAY_S: u64 = 86_400;
/// How long to idle without a wall clock before looking again, in seconds.
const BLIND_S: u64 = 3_600;

pub(super) struct Ready {
    pub(super) slot: Slot,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    renew_at: UnixTime,
    /// No renewal before this instant.
    rested: Instant,
    /// The floor being written.
    writing: Option<UnixTime>,
}

impl Ready {
    pub(super) fn new(slot: Slot, credential: &Credential<'_>, enrol: &dyn Enrol) -> Self {
        let (not_before, not_after) = (credential.not_before, credential.not_after);
        let life = match (credential.client, enrol.rotate_after_days()) {
            (None, _) => {
                let (share, of) = RENEW_AFTER;
                (not_after.0.saturating_sub(not_before.0) / of).saturating_mul(share)
            }
            (Some(_), Some(days)) => u64::from(days).saturating_mul(DAY_S),
            (Some(_), None) => u64::MAX,
        };
        let renew_at = UnixTime(not_before.0.saturating_add(life));
        Self { slot, not_before, not_after, renew_at, rested: Instant(0), writing: None }
    }

    /// The same after an enrolment at `now`.
    pub(super) fn rested(self, now: Now, judge: Judge) -> Self {
        let left = self.not_after.0.saturating_sub(judge.at_least().max(self.not_before).0);
        let (least, longest) = REST_S;
        Self { rested: now.mono.after_seconds((left / 2).clamp(least, longest)), ..self }
    }

    pub(super) fn is_due(&self, now: Now, judge: Judge) -> bool {
        judge.at_least() >= self.renew_at && now.mono >= self.rested
    }

    /// Until when there is nothing to do but wait; none if a record is to be written.
    pub(super) fn idles(&self, shared: &Shared<'_>, now: Now) -> Option<Instant> {
        let Some(wall) = now.wall else { return Some(now.mono.after_seconds(BLIND_S).max(self.rested)) };
        // a floor at which the identity is due would make a lie about time last: it might cost the identity itself
        let harmless = wall < self.renew_at;
        if self.writing.is_some() || harmless && wall.0.saturating_sub(shared.floor.0) >= FLOOR_EVERY_S {
            return None;
        }
        let due = self.renew_at.0.saturating_sub(wall.0);
        Some(now.mono.after_seconds(due.min(FLOOR_EVERY_S)).max(self.rested))
    }

    pub(super) fn step<'a>(&mut self, shared: &'a mut Shared<'_>, now: Now) -> Step<'a> {
        let idles = self.idles(shared, now);
        if self.writing.is_none() && idles.is_none() {
            self.writing = now.wall;
        }
        if let Some(floor) = self.writing
            && let Ok(length) = record::write_floor(floor, shared.memory.request)
        {
            let bytes = shared.memory.request.get(..length).unwrap_or_default();
            return Step::Store { record: Record::Floor, bytes };
        }
        Step::Idle { until: idles.unwrap_or(now.mono.after_seconds(BLIND_S)) }
    }

    pub(super) fn done(&mut self, shared: &mut Shared<'_>, outcome: Outcome) -> Result<Option<State>, Error> {
        match (outcome, self.writing.take()) {
            (Outcome::Done, Some(floor)) => {
                shared.floor = floor;
                Ok(None)
            }
            (Outcome::Failed(_), floor) => {
                // a floor that cannot be written is tried again a day later, in RAM it holds at once
                shared.floor = floor.unwrap_or(shared.floor);
                Err(failure(outcome))
            }
            _ => Ok(None),
        }
    }
}
