//! The lifecycle machine. A driver polls it for the next step, does the step, and says how it went.
//!
//! ```text
//! Boot ──no identity──▶ Enrolment ──committed──▶ Ready ──due──▶ Enrolment (renewal) ──▶ Ready
//!   └──────identity found─────────────────────────▶┘      ├──registration ended──▶ Left ──▶ Boot
//! ```

mod access;
mod backoff;
mod boot;
mod call;
mod enrolment;
mod ready;
pub mod step;
mod tokens;

use crate::Error;
use crate::config::Config;
use crate::enrol::Path;
use crate::keys::{Digest, PublicKey, Signature, Slot};
use crate::memory::Lent;
use crate::record::{self, Credential};
use crate::session::{Login, SessionContext};
use crate::time::{Instant, Judge, Now, UnixTime};
use crate::trust::Anchors;
pub use access::Answer;
use boot::Boot;
pub use call::Requests;
use enrolment::Enrolment;
use ready::Ready;
use step::{Cause, ClientIdentity, Nonce, Outcome, Step};
use tokens::Tokens;
pub use tokens::{Token, UserCode, Want};

/// The device's identity over its life: boot, enrolment, ready, renewal.
///
/// [`poll`](Self::poll) twice gives the same step, so a driver that is cancelled loses nothing; state changes in
/// [`done`](Self::done), after the effect.
pub struct Agent<'m> {
    config: &'m Config,
    state: State,
    tokens: Tokens,
    turn: Turn,
    shared: Shared<'m>,
    /// The step last given was to idle.
    idle: bool,
}

/// Whose step was asked last, and so whose outcome comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    State,
    Tokens,
}

enum State {
    Boot(Boot),
    Enrolment(Enrolment),
    Ready(Ready),
    /// The registration has ended: nothing is done before the application knows.
    Left,
    Stuck(Error),
}

/// What every state may use: lent memory, and what is known across states.
struct Shared<'m> {
    memory: Lent<'m>,
    path: Path,
    /// Octets of the credential record in `memory.credential`; 0 if there is none.
    credential: usize,
    /// Octets of certificates in `memory.anchors`.
    anchors: usize,
    /// Octets of the wrapped CSR in `memory.request`.
    csr: usize,
    public: PublicKey,
    signature: Signature,
    digest: Digest,
    /// What jitter is drawn from.
    device: Digest,
    floor: UnixTime,
    /// Where a nonce goes that nobody asked for.
    nonce: Nonce,
    /// The last failure, until something succeeds.
    trouble: Option<Error>,
    /// What the application asked for and has not taken.
    answer: Option<Result<Answer, Error>>,
}

/// What the application may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Status {
    /// Reading flash, or talking to a server.
    Working,
    /// Waiting before trying again.
    Waiting {
        /// Until when.
        until: Instant,
        /// What went wrong, if anything did.
        trouble: Option<Error>,
    },
    /// There is a usable identity.
    Ready {
        /// The live slot.
        slot: Slot,
        /// Start of its certificate's validity, or when the client was registered.
        not_before: UnixTime,
        /// End of its certificate's validity; [`UnixTime::NEVER`] for a client registration.
        not_after: UnixTime,
    },
    /// A person is needed.
    Stuck(Error),
}

impl<'m> Agent<'m> {
    /// An agent that begins at boot.
    #[must_use]
    pub fn new(config: &'m Config, memory: Lent<'m>) -> Self {
        let shared = Shared {
            memory,
            path: Path::new(),
            credential: 0,
            anchors: 0,
            csr: 0,
            public: PublicKey::EMPTY,
            signature: Signature::EMPTY,
            digest: [0; 32],
            device: backoff::device(config),
            floor: config.built,
            nonce: Nonce::NONE,
            trouble: None,
            answer: None,
        };
        let (state, tokens) = (State::Boot(Boot::new()), Tokens::new());
        let mut agent = Self { config, state, tokens, turn: Turn::State, shared, idle: false };
        if let Some(want) = agent.session_want() {
            // there is room for the first want
            let _ = agent.tokens.want(want, true, agent.shared.memory.tokens, Now { mono: Instant(0), wall: None });
        }
        agent
    }

    /// The next step. Asking again gives the same step until `done` is called or time passes.
    pub fn poll(&mut self, now: Now) -> Step<'_> {
        if matches!(self.shared.answer, Some(Ok(Answer::Keys(_)))) {
            // they lie where the next reply would
            self.idle = true;
            return Step::Idle { until: Instant(u64::MAX) };
        }
        let shared = &mut self.shared;
        let judge = shared.judge(now);
        // the only changes that time alone makes: renewal is due, the identity that vouches for it has expired, or the clock
        // that said so was wrong
        match &self.state {
            State::Ready(ready) if ready.is_due(now, judge) || shared.trusts_nobody(self.config) => {
                self.state = State::Enrolment(Enrolment::renewal(ready.slot, ready.not_after, judge));
            }
            State::Enrolment(enrolment) => {
                if let Some(live) = enrolment.revived(judge) {
                    shared.trouble = None;
                    self.state = State::Boot(Boot::again(live));
                } else if let Some((live, not_after)) = enrolment.outlived(shared, judge) {
                    self.state = State::Enrolment(Enrolment::renewal(live, not_after, judge));
                }
            }
            _ => {}
        }
        self.turn = Turn::State;
        if let Some((slot, until)) = self.state.idles(shared, now) {
            match self.tokens.due(shared.memory.tokens, now) {
                Err(at) => {
                    self.idle = true;
                    return Step::Idle { until: until.min(at) };
                }
                Ok(()) => self.turn = Turn::Tokens,
            }
            self.idle = false;
            let requests = self.tokens.requests();
            let step = requests.and_then(|of| (of.step)(&mut self.tokens, self.config, shared, slot, now));
            return step.unwrap_or(Step::Idle { until });
        }
        if matches!(self.state, State::Enrolment(_)) {
            self.tokens.interrupt();
        }
        let step = match &mut self.state {
            State::Boot(boot) => boot.step(shared, now),
            State::Enrolment(enrolment) => enrolment.step(self.config, shared, now),
            State::Ready(ready) => ready.step(shared, now),
            State::Left | State::Stuck(_) => Step::Idle { until: Instant(u64::MAX) },
        };
        self.idle = matches!(step, Step::Idle { .. });
        step
    }

    /// The driver was dropped in the middle of an exchange, which the server may have seen: what is good once only (RFC 7523
    /// §3, RFC 9449 §11.1: `jti`) is made anew before it is asked again.
    pub const fn torn(&mut self) {
        self.tokens.interrupt();
    }

    /// Says how the step went.
    ///
    /// # Errors
    /// What went wrong, for the log: the agent has dealt with it, and waits or is stuck as [`status`](Self::status) says.
    pub fn done(&mut self, now: Now, outcome: Outcome) -> Result<(), Error> {
        if self.idle {
            // whenever it comes: it must not pass for the answer to the step that was waited for
            return Ok(());
        }
        if self.turn == Turn::Tokens {
            let requests = self.tokens.requests().ok_or(WRONG_OUTCOME)?;
            return (requests.done)(&mut self.tokens, self.config, &mut self.shared, now, outcome);
        }
        let next = match &mut self.state {
            State::Boot(boot) => boot.done(self.config, &mut self.shared, outcome),
            State::Enrolment(enrolment) => enrolment.done(self.config, &mut self.shared, now, outcome),
            State::Ready(ready) => ready.done(&mut self.shared, outcome),
            State::Left | State::Stuck(_) => Ok(None),
        };
        match next {
            Ok(None) => Ok(()),
            Ok(Some(state)) => {
                if matches!((&self.state, &state), (State::Enrolment(_), State::Ready(_))) {
                    self.tokens.rekeyed(self.shared.memory.tokens);
                }
                self.state = state;
                Ok(())
            }
            Err(error) => {
                self.shared.trouble = Some(error);
                let newer = matches!(error, Error::Newer { .. });
                let transient = match outcome {
                    Outcome::Failed(failure) => failure.cause == Cause::Transient,
                    // the server stumbled (RFC 9110 §15.5.9, §15.6), and may stand again in a moment
                    _ => matches!(error, Error::Refused { code: 408 | 429 | 500 | 502..=504, .. }),
                };
                if let (State::Enrolment(_), Outcome::Reply(reply)) = (&self.state, outcome) {
                    self.config.profile.enrol.words(&reply, self.shared.memory.reply, &mut self.tokens.words);
                }
                match &mut self.state {
                    // nothing may be overwritten
                    _ if newer => self.state = State::Stuck(error),
                    State::Enrolment(enrolment) => match enrolment.gave_up() {
                        Some(state) => {
                            self.shared.answer = Some(Err(error));
                            self.state = state;
                        }
                        None => enrolment.failed(&self.shared, now, !transient),
                    },
                    State::Boot(boot) if transient => boot.failed(&self.shared, now),
                    State::Boot(_) => self.state = State::Stuck(error),
                    State::Ready(_) | State::Left | State::Stuck(_) => {}
                }
                Err(error)
            }
        }
    }

    /// What the application may know.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        match &self.state {
            State::Boot(boot) => self.working(boot.waits_until(now)),
            State::Enrolment(enrolment) => self.working(enrolment.waits_until(now)),
            State::Ready(r) => Status::Ready { slot: r.slot, not_before: r.not_before, not_after: r.not_after },
            State::Left => Status::Waiting { until: Instant(u64::MAX), trouble: None },
            State::Stuck(error) => Status::Stuck(*error),
        }
    }

    fn working(&self, waits_until: Option<Instant>) -> Status {
        waits_until.map_or(Status::Working, |until| Status::Waiting { until, trouble: self.shared.trouble })
    }

    /// The last failure, until something succeeds.
    #[must_use]
    pub const fn trouble(&self) -> Option<Error> {
        self.shared.trouble
    }

    /// The slot of the live key, while it can serve.
    #[must_use]
    pub fn slot(&self, now: Now) -> Option<Slot> {
        match &self.state {
            State::Ready(ready) => Some(ready.slot),
            State::Enrolment(enrolment) => enrolment.serves(now),
            State::Boot(_) | State::Left | State::Stuck(_) => None,
        }
    }

    /// The live certificate, while it can serve; none for a client registration.
    #[must_use]
    pub fn identity(&self, now: Now) -> Option<ClientIdentity<'_>> {
        self.shared.client(self.slot(now)?)
    }

    /// Whom the device trusts to name servers: configured and fetched.
    #[must_use]
    pub fn anchors(&self) -> Anchors<'_> {
        self.shared.anchors(self.config)
    }

    /// Everything a connection to the broker needs, when there is a usable identity, and a token if the
    /// session needs one.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the session's configuration is wrong.
    pub fn session(&self, now: Now) -> Option<Result<Login<'_>, Error>> {
        let client = self.shared.client(self.slot(now)?);
        let token = match self.session_want() {
            Some(want) => Some(self.token(&want, now)?.secret),
            None => None,
        };
        Some(self.config.profile.session.login(&SessionContext {
            config: self.config,
            client,
            token,
            anchors: self.shared.anchors(self.config),
            judge: self.shared.judge(now),
        }))
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &'m Config {
        self.config
    }

    /// Time is never before this.
    #[must_use]
    pub const fn floor(&self) -> UnixTime {
        self.shared.floor
    }
}

impl Shared<'_> {
    fn judge(&self, now: Now) -> Judge {
        Judge::new(now.wall, self.floor)
    }

    fn anchors<'a>(&'a self, config: &'a Config) -> Anchors<'a> {
        Anchors { configured: config.anchors, fetched: self.memory.anchors.get(..self.anchors).unwrap_or_default() }
    }

    /// The fetched anchors were lost, and firmware has none: no server can be checked before they are fetched anew.
    const fn trusts_nobody(&self, config: &Config) -> bool {
        self.anchors == 0 && config.anchors.is_empty()
    }

    fn live_credential(&self) -> Option<Credential<'_>> {
        record::read_credential(self.memory.credential.get(..self.credential)?).ok()
    }

    /// The credential record in memory; empty if there is none.
    fn credential(&self) -> &[u8] {
        self.memory.credential.get(..self.credential).unwrap_or_default()
    }

    fn client(&self, slot: Slot) -> Option<ClientIdentity<'_>> {
        client_of(self.memory.credential.get(..self.credential), slot)
    }
}

/// The identity in a credential record.
fn client_of(record: Option<&[u8]>, slot: Slot) -> Option<ClientIdentity<'_>> {
    let credential = record::read_credential(record?).ok()?;
    Some(ClientIdentity { slot, certificate: credential.leaf }).filter(|_| credential.client.is_none())
}

impl State {
    /// The live slot and until when there is nothing else to do, while there is a usable identity.
    fn idles(&self, shared: &Shared<'_>, now: Now) -> Option<(Slot, Instant)> {
        match self {
            Self::Ready(ready) => Some((ready.slot, ready.idles(shared, now)?)),
            Self::Enrolment(enrolment) => Some((enrolment.shares(now)?, enrolment.waits_until(now)?)),
            Self::Boot(_) | Self::Left | Self::Stuck(_) => None,
        }
    }
}

/// The error of an outcome that the step cannot have.
const WRONG_OUTCOME: Error = Error::Misuse("agent: the outcome does not answer the step");

/// The error of a failed step.
const fn failure(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Failed(failure) => failure.error,
        _ => WRONG_OUTCOME,
    }
}
