//! What the application asks of the agent beside the identity: tokens, and requests about them and about the registration.

use super::boot::Boot;
use super::call::Errand;
use super::enrolment::Enrolment;
use super::{Agent, State, Token, UserCode, Want};
use crate::Error;
use crate::enrol::Manage;
use crate::oauth::{Introspection, TokenSource};
use crate::time::{Instant, Now, UnixTime};

/// The answer to a request of the application, from [`Agent::answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Answer {
    /// The token is revoked, and its refresh token: the server knows them no more, nor does the device.
    Revoked,
    /// What the server says of the token.
    Introspected(Introspection),
    /// The server's public keys are there; their octets. [`Agent::key_set`] has them until the next step. The device does
    /// nothing until the answer was taken.
    Keys(usize),
    /// The server still knows the registration; a new registration access token, if it gave one, is stored.
    Registered,
    /// The registration has ended, and what belonged to it is forgotten.
    Unregistered,
}

impl Agent<'_> {
    /// Asks for a token: poll then, and [`token`](Self::token) gives it once it is there. It is renewed as long as it is
    /// asked for again.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if too many are wanted at once.
    pub fn want(&mut self, want: Want, now: Now) -> Result<(), Error> {
        self.tokens.want(want, false, self.shared.memory.tokens, now)
    }

    /// A token that is valid now; none until one came.
    #[must_use]
    pub fn token(&self, want: &Want, now: Now) -> Option<Token<'_>> {
        self.tokens.token(want, self.shared.memory.tokens, now)
    }

    /// Until when nothing is fetched for a want, and why; none if there is nothing to wait for.
    #[must_use]
    pub fn token_waits(&self, want: &Want, now: Now) -> Option<(Instant, Option<Error>)> {
        self.tokens.waiting(want, now)
    }

    /// A server refused the token of a want: it is dropped, and fetched anew at once; if the next is refused
    /// as well, after a wait that grows.
    pub fn token_refused(&mut self, want: &Want, now: Now) {
        self.tokens.refused(want, &mut self.shared, now);
    }

    /// A server took the token of a want.
    pub fn token_accepted(&mut self, want: &Want) {
        self.tokens.accepted(want);
    }

    /// What a person enters where to let the device in, while one is awaited.
    #[must_use]
    pub fn user_code(&self, now: Now) -> Option<UserCode<'_>> {
        self.tokens.user_code(self.shared.memory.tokens, now)
    }

    /// The words of the authorization server that refused last: its error code and description; empty if there are none.
    #[must_use]
    pub fn words(&self) -> &str {
        self.tokens.words.as_str()
    }

    /// Wall time for what an OAuth server judges: its own clock, if it told; else the device's.
    #[must_use]
    pub fn time(&self, now: Now) -> UnixTime {
        self.tokens.time(&self.shared, now)
    }

    /// What the session's token is, if it needs one.
    #[must_use]
    pub fn session_want(&self) -> Option<Want> {
        let source = self.config.profile.token?;
        self.config.profile.session.needs_token().then_some(Want { source, scope: source.scope() })
    }

    /// Asks the server to revoke the token of a want, and the refresh token of its source (RFC 7009): poll then, until there is
    /// an [`answer`](Self::answer). The token is fetched anew when it is asked for again, that of the session at once.
    ///
    /// # Errors
    /// [`Error::Misuse`] while another request has no answer yet.
    pub fn revoke(&mut self, want: Want) -> Result<(), Error> {
        self.send(Errand::Revoke, want)
    }

    /// Asks the server what it thinks of the token of a want (RFC 7662): poll then, until there is an
    /// [`answer`](Self::answer).
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub fn introspect(&mut self, want: Want) -> Result<(), Error> {
        self.send(Errand::Introspect, want)
    }

    /// Asks the server for its public keys (RFC 7517 §5): poll then, until there is an [`answer`](Self::answer).
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub fn fetch_keys(&mut self, source: &'static dyn TokenSource) -> Result<(), Error> {
        self.send(Errand::Keys, Want { source, scope: source.scope() })
    }

    fn send(&mut self, errand: Errand, want: Want) -> Result<(), Error> {
        self.free()?;
        self.tokens.errand = Some((errand, want));
        Ok(())
    }

    /// Drops an answer that nobody took.
    fn free(&mut self) -> Result<(), Error> {
        let managing = matches!(&self.state, State::Enrolment(enrolment) if enrolment.is_managing());
        if managing || self.tokens.is_busy() {
            return Err(Error::Misuse("another request has no answer yet; poll until there is one"));
        }
        let _ = self.answer();
        Ok(())
    }

    /// The document that [`Answer::Keys`] told of, before the next step.
    #[must_use]
    pub fn key_set(&self, octets: usize) -> &[u8] {
        self.shared.memory.reply.get(..octets).unwrap_or_default()
    }

    /// Reads the client registration at the server, or ends it (RFC 7592): poll then, until there is an
    /// [`answer`](Self::answer). One attempt. A registration that the server does not know any more has ended as well.
    ///
    /// # Errors
    /// [`Error::Misuse`] while there is no identity, or another request has no answer yet.
    pub fn manage(&mut self, what: Manage, now: Now) -> Result<(), Error> {
        self.free()?;
        let slot =
            self.slot(now).ok_or(Error::Misuse("registration: the device has no identity yet; see its status"))?;
        self.state = State::Enrolment(Enrolment::managing(slot, what));
        Ok(())
    }

    /// The client identifier that the authorization server gave at registration.
    #[must_use]
    pub fn client_id(&self, now: Now) -> Option<&str> {
        self.slot(now)?;
        Some(self.shared.live_credential()?.client?.id)
    }

    /// Renews the identity now: a new certificate, or a new key in the registration (RFC 7592 §2.2).
    ///
    /// # Errors
    /// [`Error::Misuse`] if the device is not ready.
    pub fn renew(&mut self, now: Now) -> Result<(), Error> {
        let State::Ready(ready) = &self.state else {
            return Err(Error::Misuse("renewal: the device is not ready; see its status"));
        };
        self.state = State::Enrolment(Enrolment::renewal(ready.slot, ready.not_after, self.shared.judge(now)));
        Ok(())
    }

    /// The answer to the application's last request, once. After [`Answer::Unregistered`] the device does nothing until it was
    /// taken; then it is like new.
    pub fn answer(&mut self) -> Option<Result<Answer, Error>> {
        if matches!(self.state, State::Left) {
            self.tokens.forget(self.shared.memory.tokens);
            self.state = State::Boot(Boot::new());
        }
        self.shared.answer.take()
    }
}
