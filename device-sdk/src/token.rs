//! Tokens for the application.

use identity_core::agent::step::Step;
use identity_core::agent::{Status, Token, UserCode, Want};
use identity_core::error::Error as CoreError;
use identity_core::oauth::TokenSource;

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
        let missing = CoreError::Misuse("there is no token source; set the profile's `token`");
        let source = self.config.identity.profile.token.ok_or(missing)?;
        self.token_from(source, scope).await
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
        let want = Want { source, scope: if scope.is_empty() { source.scope() } else { scope } };
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

    /// One thing on the way to a token; whether it is there.
    async fn towards_token(&mut self, want: Want) -> Result<bool, Error> {
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
