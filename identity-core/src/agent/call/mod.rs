//! One request to an authorization server, step by step: metadata → identifiers → form → assertions → proof → exchange →
//! reply. What it consists of: [`compose`]; what the reply means: [`reply`].
//!
//! The form, the assertions in it and the DPoP proof are written behind the kept tokens in the lent area. Each is made in
//! `done` and only lent in `step`, so that asking twice gives the same.

mod compose;
mod reply;
mod request;

use super::tokens::{Home, Tokens, Want};
use super::{Answer, Shared, WRONG_OUTCOME};
use crate::Error;
use crate::agent::step::{Nonce, Outcome, RANDOM, Step};
use crate::config::Config;
use crate::keys::Slot;
use crate::oauth::client::Jws;
use crate::oauth::endpoint::{Document, document_path, endpoint_url};
use crate::oauth::shelf::Item;
use crate::oauth::url::Url;
use crate::record::{self, Record};
use crate::time::{Instant, Now, UnixTime};
use crate::trust::Trust;
use compose::owner;
use request::{Stage, With};
use zeroize::Zeroize;

/// For errors.
const METADATA: &str = "authorization server metadata";
const AUTHORIZE: &str = "device authorization request";
const TOKEN: &str = "token request";
const INTROSPECT: &str = "token introspection";
const REVOKE: &str = "token revocation";
const KEYS: &str = "JWKS";

/// A request that could not be sent for so many seconds is written anew: what is signed in it is good for a minute or so.
const FRESH_S: u64 = 20;

/// What the application asks of an authorization server beside tokens: one attempt, answered by [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Revoke the refresh token, if there is one, and the access token (RFC 7009).
    Revoke,
    /// What the server thinks of the access token (RFC 7662).
    Introspect,
    /// The server's public keys (RFC 7517 §5).
    Keys,
}

/// A request under way.
pub(super) struct Call {
    /// The index of the want that it is for; of none, if it is an errand.
    pub(super) at: usize,
    want: Want,
    errand: Option<Errand>,
    stage: Stage,
    phase: Phase,
    /// The slot whose key the request is written for.
    slot: Option<Slot>,
    /// When it was written.
    written: Instant,
    /// The server's nonce was demanded and is used; a second demand is an error.
    renonced: bool,
    random: [u8; RANDOM],
    /// Octets of the form.
    form: usize,
    /// Octets of client identifier and secret, form-encoded, behind it: for HTTP basic authentication.
    basic: (usize, usize),
    /// Octets of the proof behind that.
    proof: usize,
}

/// The functions that make token requests. A [`TokenSource`](crate::oauth::TokenSource) gives them to the agent, so that firmware
/// that names no source has no code for it.
#[derive(Clone, Copy)]
pub struct Requests {
    pub(super) step: for<'a> fn(&'a mut Tokens, &'a Config, &'a mut Shared<'_>, Slot, Now) -> Option<Step<'a>>,
    pub(super) done: fn(&mut Tokens, &Config, &mut Shared<'_>, Now, Outcome) -> Result<(), Error>,
}

impl Requests {
    /// Those of OAuth 2.0.
    pub(crate) const OAUTH: Self = Self { step: Tokens::step, done: Tokens::done };
}

/// What is being done for it.
#[derive(Clone, Copy)]
enum Phase {
    /// The device key's public point: identifiers and jitter depend on it.
    Public,
    /// Read the refresh token.
    Load,
    Random,
    /// Sign the JWS whose signing input of `input` octets begins at `start` of the free area.
    Sign {
        what: Jws,
        start: usize,
        input: usize,
    },
    Ask,
    /// Store the refresh token.
    Store,
    /// Erase the refresh token that was refused.
    Forget,
}

impl Call {
    pub(super) const fn new(at: usize, want: Want) -> Self {
        Self {
            at,
            want,
            errand: None,
            stage: Stage::Token,
            phase: Phase::Public,
            slot: None,
            written: Instant(0),
            renonced: false,
            random: [0; RANDOM],
            form: 0,
            basic: (0, 0),
            proof: 0,
        }
    }

    pub(super) const fn of_errand(errand: Errand, want: Want) -> Self {
        Self { errand: Some(errand), ..Self::new(usize::MAX, want) }
    }

    pub(super) const fn is_errand(&self) -> bool {
        self.errand.is_some()
    }

    /// What was written so far is of no use: others have used what is shared meanwhile, it lies elsewhere now, is of another
    /// key, or too old. Begins anew, unless the refresh token is to be stored or erased.
    pub(super) const fn restart(&mut self) {
        if !matches!(self.phase, Phase::Store | Phase::Forget) {
            self.phase = Phase::Public;
        }
    }

    /// Whether it has to do with a refresh token or a device code.
    fn keeps(&self) -> bool {
        let grant = self.want.source.grant();
        matches!(self.errand, None | Some(Errand::Revoke)) && (grant.keeps_refresh() || grant.needs_person())
    }

    fn is_stale(&self, slot: Slot, now: Now) -> bool {
        let dated = !matches!(self.stage, Stage::Metadata(_) | Stage::Keys) && matches!(self.phase, Phase::Ask);
        self.slot != Some(slot) || (dated && now.mono >= self.written.after_seconds(FRESH_S))
    }
}

impl Tokens {
    /// What makes the request under way; none if there is none.
    pub(super) fn requests(&self) -> Option<Requests> {
        self.call.as_ref().map(|call| call.want.source.requests())
    }

    /// The next step of the request under way; none if there is none.
    fn step<'a>(
        &'a mut self,
        config: &'a Config,
        shared: &'a mut Shared<'_>,
        slot: Slot,
        now: Now,
    ) -> Option<Step<'a>> {
        let judge = shared.judge(now);
        let call = self.call.as_mut()?;
        if call.is_stale(slot, now) {
            call.restart();
        }
        let Shared { memory, path, credential, anchors, .. } = shared;
        let Self { public, digest, signature, .. } = self;
        let used = self.shelf.used();
        Some(match call.phase {
            Phase::Public => {
                call.slot = Some(slot);
                Step::Public { slot, into: public }
            }
            Phase::Load => Step::Load { record: Record::Refresh, into: memory.reply },
            Phase::Random => Step::Random { into: &mut call.random },
            Phase::Sign { .. } => Step::Sign { slot, digest, into: signature },
            Phase::Store => {
                // written anew each time: sealing happens in place
                let (items, free) = self.shelf.split(memory.tokens);
                let token = self.shelf.text(items, Item::Refresh).unwrap_or_default();
                let certificate = memory.credential.get(..*credential).unwrap_or_default();
                let length = record::write_refresh(&owner(config, certificate, call), token, free).unwrap_or(0);
                Step::StoreSealed { record: Record::Refresh, octets: free, length }
            }
            Phase::Forget => Step::Erase { record: Record::Refresh },
            Phase::Ask => {
                let fetched = memory.anchors.get(..*anchors).unwrap_or_default();
                let with = With {
                    trust: Trust::Anchors(crate::trust::Anchors { configured: config.anchors, fetched }),
                    judge,
                    client: super::client_of(memory.credential.get(..*credential), slot),
                };
                let (items, free) = memory.tokens.split_at_checked(used).unwrap_or_default();
                let endpoints = self.shelf.get(items, Item::Endpoints);
                let request = call.request(endpoints, free, path, with);
                Step::Exchange { request, into: memory.reply, nonce: &mut self.nonce }
            }
        })
    }

    /// Takes the outcome of a step. An error has ended the request; the want waits before the next.
    fn done(&mut self, config: &Config, shared: &mut Shared<'_>, now: Now, outcome: Outcome) -> Result<(), Error> {
        let Some(mut call) = self.call.take() else { return Err(WRONG_OUTCOME) };
        let at = call.at;
        let next = match (call.phase, outcome) {
            (Phase::Store, Outcome::Failed(failure)) => {
                // the access token came all the same; without the refresh token in flash a reboot asks a person again
                return Err(failure.error);
            }
            (_, Outcome::Failed(failure)) => Err(failure.error),
            (phase, outcome) => self.advance(&mut call, config, shared, now, phase, outcome),
        };
        if matches!(call.phase, Phase::Load | Phase::Ask) && call.stage != Stage::Keys {
            // tokens have no business there any more
            shared.memory.reply.zeroize();
        }
        match next {
            Ok(Some(phase)) => {
                call.phase = phase;
                self.call = Some(call);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                if call.stage != Stage::Metadata(Document::OpenId) && has_moved(call.phase, error, outcome) {
                    self.shelf.remove(shared.memory.tokens, Item::Endpoints);
                }
                if call.errand.is_some() {
                    shared.answer = Some(Err(error));
                    return Err(error);
                }
                let transient = match outcome {
                    Outcome::Failed(failure) => matches!(failure.cause, super::step::Cause::Transient),
                    Outcome::Reply(reply) => reply.status >= 500,
                    _ => false,
                };
                let (device, wall) = (shared.device, self.time(shared, now));
                let asked = match outcome {
                    Outcome::Reply(reply) if matches!(reply.status, 429 | 503) => Some(reply.retry_after),
                    _ => None,
                };
                self.failed(
                    at,
                    error,
                    |backoff| match asked {
                        Some(asked) => backoff.as_asked(asked, Some(wall), &device),
                        None => backoff.after_failure(!transient, &device),
                    },
                    now,
                );
                Err(error)
            }
        }
    }

    /// The next phase; none if the request is done.
    fn advance(
        &mut self,
        call: &mut Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        phase: Phase,
        outcome: Outcome,
    ) -> Result<Option<Phase>, Error> {
        Ok(Some(match (phase, outcome) {
            (Phase::Public, Outcome::Done) if call.keeps() => {
                if !self.claim(call, config, shared, now) {
                    if call.errand.is_some() {
                        return Err(Error::Misuse("a person is awaited for another source; revoke this one later"));
                    }
                    self.wait_for_person(call, now);
                    return Ok(None);
                }
                if self.refresh_loaded {
                    return self.plan(call, shared, now);
                }
                Phase::Load
            }
            (Phase::Public, Outcome::Done) => return self.plan(call, shared, now),
            (Phase::Load, Outcome::Loaded(_) | Outcome::Absent) => {
                if let Outcome::Loaded(length) = outcome {
                    let octets = shared.memory.reply.get(..length).unwrap_or_default();
                    match record::read_refresh(&owner(config, shared.credential(), call), octets) {
                        Ok(Some(token)) => {
                            self.shelf.put(shared.memory.tokens, Item::Refresh, |room| copy(token, room))?;
                        }
                        Err(newer @ Error::Newer { .. }) => return Err(newer),
                        // of another server, or damaged: the grant starts over
                        Ok(None) | Err(_) => {}
                    }
                }
                self.refresh_loaded = true;
                return self.plan(call, shared, now);
            }
            (Phase::Random, Outcome::Done) => self.compose(call, config, shared, now)?,
            (Phase::Sign { what, start, input }, Outcome::Done) => {
                let used = self.shelf.used();
                let free = shared.memory.tokens.get_mut(used..).unwrap_or_default();
                let room = free.get_mut(start..).unwrap_or_default();
                let length = crate::jose::jws::finish(room, input, &self.signature)?;
                match what {
                    Jws::Proof => call.proof = length,
                    Jws::Grant | Jws::Client => call.form = start.saturating_add(length),
                }
                self.sign_after(Some(what), call, config, shared, now)?
            }
            (Phase::Ask, Outcome::Reply(reply)) => {
                if let Some(date) = reply.date {
                    self.told = Some((now.mono, date));
                }
                return self.reply(call, config, shared, now, &reply);
            }
            (Phase::Store, Outcome::Done) => return Ok(None),
            (Phase::Forget, Outcome::Done) => return self.plan(call, shared, now),
            _ => return Err(WRONG_OUTCOME),
        }))
    }

    /// Takes the places of refresh token and codes for the server, client and scope of the call: what is there of others is
    /// forgotten, since nobody else may see it. False while a person is awaited for another.
    fn claim(&mut self, call: &Call, config: &Config, shared: &mut Shared<'_>, now: Now) -> bool {
        let owner = owner(config, shared.credential(), call);
        let tokens = &mut *shared.memory.tokens;
        let (mine, scope) = (self.owner == owner, call.errand.is_some() || self.code_scope == call.want.scope);
        let waits = self.shelf.text(tokens, Item::DeviceCode).is_some() && now.mono < self.code_until;
        if waits && !(mine && scope) {
            return false;
        }
        if !mine {
            self.shelf.remove(tokens, Item::Refresh);
            (self.owner, self.refresh_loaded) = (owner, false);
        }
        if !(mine && scope) {
            self.shelf.remove(tokens, Item::DeviceCode);
            self.shelf.remove(tokens, Item::UserCode);
        }
        if call.errand.is_none() {
            self.code_scope = call.want.scope;
        }
        true
    }

    /// What to ask next, and what that takes first; none if nothing is left to ask.
    fn plan(&mut self, call: &mut Call, shared: &mut Shared<'_>, now: Now) -> Result<Option<Phase>, Error> {
        let source = call.want.source;
        let provider = source.provider();
        let tokens = &*shared.memory.tokens;
        if self.home != Some(Home::of(&provider)) || self.shelf.get(tokens, Item::Endpoints).is_empty() {
            let url = Url::parse("`issuer` of the token source", provider.issuer)?;
            document_path(&url, Document::OAuth, &mut shared.path)?;
            call.stage = Stage::Metadata(Document::OpenId);
            if self.home.is_none_or(|home| home.issuer() != provider.issuer) {
                // another server's nonce and time are no business of this one
                (self.nonce, self.told) = (Nonce::NONE, None);
            }
            return Ok(Some(Phase::Ask));
        }
        let keeps = source.grant().keeps_refresh();
        let refresh = Some(Item::Refresh).filter(|item| keeps && self.shelf.text(tokens, *item).is_some());
        let access = self.token(&call.want, tokens, now).map(|token| Item::Access(token.place));
        call.stage = match call.errand {
            None => {
                let waiting = self.shelf.text(tokens, Item::DeviceCode).is_some() && now.mono < self.code_until;
                let authorize = source.grant().needs_person() && refresh.is_none() && !waiting;
                if authorize { Stage::Authorize } else { Stage::Token }
            }
            Some(Errand::Keys) => Stage::Keys,
            Some(Errand::Introspect) => Stage::Introspect(access.ok_or(Error::Misuse(
                "introspection: there is no token of that source and scope; call `token` first",
            ))?),
            Some(Errand::Revoke) => match refresh.or(access) {
                Some(item) => Stage::Revoke(item),
                None => {
                    shared.answer = Some(Ok(Answer::Revoked));
                    return Ok(None);
                }
            },
        };
        if endpoint_url(self.shelf.get(tokens, Item::Endpoints), call.stage.endpoint()).is_none() {
            let problem = match call.errand {
                None => "it lacks the endpoint that this grant needs",
                Some(_) => "it lacks the endpoint for that: revocation, introspection or jwks_uri",
            };
            return Err(Error::Malformed { what: METADATA, problem });
        }
        Ok(Some(if call.stage == Stage::Keys { Phase::Ask } else { Phase::Random }))
    }

    /// Wall time for what the server judges: its own clock, if it told; else the device's.
    pub(super) fn time(&self, shared: &Shared<'_>, now: Now) -> UnixTime {
        match self.told {
            Some((at, told)) => UnixTime(told.0.saturating_add(now.mono.0.saturating_sub(at.0) / 1000)),
            None => shared.judge(now).at_least(),
        }
    }
}

/// Whether the endpoint may lie elsewhere by now, so that the metadata is to be asked for again.
fn has_moved(phase: Phase, error: Error, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Reply(reply) => {
            !matches!(error, Error::Denied { .. }) && matches!(reply.status, 300..=399 | 404 | 405 | 410)
        }
        Outcome::Failed(failure) => {
            matches!(phase, Phase::Ask) && matches!(failure.cause, super::step::Cause::Transient)
        }
        _ => false,
    }
}

fn copy(text: &str, room: &mut [u8]) -> Result<usize, Error> {
    let no_space = Error::NoSpace { what: "a refresh token; `Memory`'s TOKENS", wanted: text.len() };
    let room = room.get_mut(..text.len()).ok_or(no_space)?;
    room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    Ok(text.len())
}
