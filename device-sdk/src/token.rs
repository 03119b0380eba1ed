//! Tokens for the application, and what it asks of the authorization server about them and about its registration.

use identity_core::agent::step::Step;
use identity_core::agent::{Answer, Status, Token, UserCode, Want};
use identity_core::enrol::Manage;
use identity_core::error::Error as CoreError;
use identity_core::oauth::{Introspection, TokenSource};

use crate::ports::{Clock, KeyStore, Net, Store};
use crate::{Device, Error};

impl<K: KeyStore, S: Store, N: Net, C: Clock> Device<'_, K, S, N, C> {
    /// A token of the profile's source for `scope`: from RAM in nearly every case, else fetched now. The empty scope stands
    /// for the source's own.
    ///
    /// Enrols first if need be. After a failure the next call waits as long as the server asked or the backoff says.
    ///
    /// # Errors
    /// Why there is none: [`Error::Core`] with the server's error code ([`words`](Self::words) has its description), the
    /// network's errors, [`Error::Approval`] if a person has to approve first.
    pub async fn token(&mut self, scope: &'static str) -> Result<Token<'_>, Error> {
        self.token_from(self.source()?, scope).await
    }

    fn source(&self) -> Result<&'static dyn TokenSource, Error> {
        let missing = CoreError::Misuse("there is no token source; set the profile's `token`");
        Ok(self.config.identity.profile.token.ok_or(missing)?)
    }

    /// The same from any source, such as a token exchange for one API.
    ///
    /// # Errors
    /// As [`token`](Self::token).
    pub async fn token_from(
        &mut self,
        source: &'static dyn TokenSource,
        scope: &'static str,
    ) -> Result<Token<'_>, Error> {
        let want = want(source, scope);
        let now = self.wall.now(&self.platform.clock);
        self.agent.want(want, now)?;
        let valid = self.agent.token(&want, now).is_some();
        loop {
            match self.towards_token(want).await {
                Ok(false) => {}
                Ok(true) => break,
                // a renewal ahead of time that failed: the token at hand still serves
                Err(_) if valid && self.agent.token(&want, self.wall.now(&self.platform.clock)).is_some() => break,
                Err(error) => return Err(error),
            }
        }
        let now = self.wall.now(&self.platform.clock);
        self.agent
            .token(&want, now)
            .ok_or(Error::Core(CoreError::Misuse("the token expired at once; check its lifetime")))
    }

    /// What a person needs to let the device in, while one is awaited (RFC 8628).
    pub fn user_code(&self) -> Option<UserCode<'_>> {
        self.agent.user_code(self.wall.now(&self.platform.clock))
    }

    /// The words of the authorization server that refused last: its error code and description.
    pub fn words(&self) -> &str {
        self.agent.words()
    }

    /// Revokes the token for `scope` and the refresh token of the profile's source (RFC 7009); the empty scope stands for the
    /// source's own. The next [`token`](Self::token) is a new one; with a [`DeviceLogin`](identity_core::oauth::DeviceLogin) a
    /// person approves again.
    ///
    /// # Errors
    /// Why it failed; the access token is kept then. One attempt.
    pub async fn revoke(&mut self, scope: &'static str) -> Result<(), Error> {
        let want = want(self.source()?, scope);
        self.identified().await?;
        self.agent.revoke(want)?;
        self.answered().await.map(|_| ())
    }

    /// Asks the authorization server what it thinks of the token for `scope` (RFC 7662). One that is not active is fetched anew
    /// by the next [`token`](Self::token).
    ///
    /// # Errors
    /// As [`token`](Self::token), which comes first; or why the server does not tell. One attempt.
    pub async fn introspect(&mut self, scope: &'static str) -> Result<Introspection, Error> {
        let want = want(self.source()?, scope);
        self.token(scope).await?;
        self.agent.introspect(want)?;
        match self.answered().await? {
            Answer::Introspected(found) => {
                if !found.active {
                    self.agent.token_refused(&want, self.wall.now(&self.platform.clock));
                }
                Ok(found)
            }
            _ => Err(Error::Core(ANOTHER)),
        }
    }

    /// Gets the public keys of the authorization server (RFC 7517 §5), for [`identity_core::jose::verify`]; their octets in
    /// `into`.
    ///
    /// # Errors
    /// [`CoreError::NoSpace`] if `into` is too small; or why there are none. One attempt.
    pub async fn keys(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let source = self.source()?;
        self.identified().await?;
        self.agent.fetch_keys(source)?;
        let Answer::Keys(octets) = self.answered().await? else { return Err(Error::Core(ANOTHER)) };
        let room = into.get_mut(..octets).ok_or(CoreError::NoSpace { what: "the JWKS", wanted: octets })?;
        room.copy_from_slice(self.agent.key_set(octets));
        Ok(octets)
    }

    /// The client identifier that the authorization server gave at registration; none before.
    pub fn client_id(&self) -> Option<&str> {
        self.agent.client_id(self.wall.now(&self.platform.clock))
    }

    /// Has the next [`online`](Self::online) or [`token`](Self::token) renew the identity: a new certificate, or a new key in the
    /// registration.
    ///
    /// # Errors
    /// [`Error::Core`] with `Misuse` if the device is not ready.
    pub fn renew(&mut self) -> Result<(), Error> {
        Ok(self.agent.renew(self.wall.now(&self.platform.clock))?)
    }

    /// Asks the server whether it still knows the device's registration (RFC 7592 §2.1).
    ///
    /// # Errors
    /// [`Error::Core`] with the server's status: 401 if it knows the device no more. One attempt.
    pub async fn registration(&mut self) -> Result<(), Error> {
        self.managed(Manage::Read).await
    }

    /// Ends the device's registration at the server (RFC 7592 §2.3), and forgets it with its tokens and its key. One that the
    /// server knows no more is forgotten as well. The next [`online`](Self::online) or [`token`](Self::token) registers anew.
    ///
    /// After a power cut in the middle of it call it again.
    ///
    /// # Errors
    /// Why it failed; the registration is kept then. One attempt.
    pub async fn unregister(&mut self) -> Result<(), Error> {
        self.managed(Manage::Delete).await
    }

    async fn managed(&mut self, what: Manage) -> Result<(), Error> {
        self.identified().await?;
        self.agent.manage(what, self.wall.now(&self.platform.clock))?;
        self.answered().await.map(|_| ())
    }

    /// Enrols if need be.
    async fn identified(&mut self) -> Result<(), Error> {
        loop {
            // of a request that was dropped
            let _ = self.agent.answer();
            self.local().await?;
            self.learn_time().await?;
            self.local().await?;
            let now = self.wall.now(&self.platform.clock);
            if self.agent.slot(now).is_some() {
                return Ok(());
            }
            match (matches!(self.agent.poll(now), Step::Exchange { .. }), self.agent.status(now)) {
                (true, _) => self.converse().await?,
                (_, Status::Stuck(error)) => return Err(Error::Core(error)),
                (_, Status::Waiting { until, .. }) => self.platform.clock.sleep_until(until).await,
                _ => {}
            }
        }
    }

    /// The answer to what was asked.
    async fn answered(&mut self) -> Result<Answer, Error> {
        loop {
            self.local().await?;
            if let Some(answer) = self.agent.answer() {
                return Ok(answer?);
            }
            let now = self.wall.now(&self.platform.clock);
            match self.agent.poll(now) {
                Step::Exchange { .. } => {
                    // a failure has its answer
                    let _ = self.converse().await;
                    if let Some(answer) = self.agent.answer() {
                        return Ok(answer?);
                    }
                }
                Step::Idle { until } => self.platform.clock.sleep_until(until).await,
                _ => {}
            }
        }
    }

    /// One thing on the way to a token; whether it is there.
    async fn towards_token(&mut self, want: Want) -> Result<bool, Error> {
        // of a request that was dropped
        let _ = self.agent.answer();
        self.local().await?;
        self.learn_time().await?;
        self.local().await?;
        let now = self.wall.now(&self.platform.clock);
        let until = match self.agent.poll(now) {
            Step::Exchange { .. } => None,
            Step::Idle { until } => Some(until),
            _ => return Ok(false),
        };
        let Some(until) = until else {
            self.converse().await?;
            return Ok(false);
        };
        if let Status::Stuck(error) = self.agent.status(now) {
            return Err(Error::Core(error));
        }
        if self.agent.token(&want, now).is_some() {
            return Ok(true);
        }
        if self.must_show(now) {
            return Err(Error::Approval);
        }
        info!("waiting {} s for a token", until.0.saturating_sub(now.mono.0) / 1000);
        self.platform.clock.sleep_until(until).await;
        Ok(false)
    }
}

/// The empty scope stands for the source's own.
fn want(source: &'static dyn TokenSource, scope: &'static str) -> Want {
    Want { source, scope: if scope.is_empty() { source.scope() } else { scope } }
}

const ANOTHER: CoreError = CoreError::Misuse("the answer was to another request");
