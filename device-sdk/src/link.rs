//! A live connection to the broker.

use core::future::pending;

use embassy_futures::select::{Either, select};
use identity_core::agent::Agent;
use identity_core::agent::step::Step;
use identity_core::time::Instant;

use crate::Error;
use crate::converse::{CLOSE_MS, EXCHANGE_MS, Means, converse, tell};
use crate::device::{Side, random};
use crate::effects::perform;
use crate::net::mqtt::{Client, Message, Qos};
use crate::net::tls::Secure;
use crate::net::transport::Transport;
use crate::ports::{Clock, KeyStore, Net, Store};
use crate::reconnect::Reconnect;
use crate::wall::Wall;

/// A session with the broker, from [`Device::online`](crate::Device::online). After an error call `online()` again.
///
/// While it lives it keeps the agent's records, and ends with [`Error::Due`] when a credential has to be renewed or the time
/// servers have to be asked: daily while none answered, else monthly. Dropped without [`disconnect`](Self::disconnect) it
/// is cut, and the broker publishes the last will.
///
/// Its futures may be dropped, in a `select` or for a timeout of your own. Nothing is lost then, unless one was just sending,
/// or receiving a message of more than some 450 octets: that ends the link, and the next operation says so.
pub struct Link<'d, 'm, K: KeyStore, S: Store, N: Net + 'd, C: Clock> {
    pub(crate) client: Option<MqttOverTls<'d, N, C>>,
    pub(crate) agent: &'d mut Agent<'m>,
    pub(crate) keys: &'d mut K,
    pub(crate) store: &'d mut S,
    pub(crate) clock: &'d C,
    pub(crate) wall: &'d Wall,
    pub(crate) reconnect: &'d mut Reconnect,
    pub(crate) side: Option<&'d mut Side<'m, N>>,
    /// When the token that this link was opened with, or was shown last, is over; none if it needs none.
    pub(crate) token_until: Option<Instant>,
}

pub(crate) type MqttOverTls<'d, N, C> = Client<'d, Secure<'d, <N as Net>::Stream<'d>, C>, C>;

/// The link was ended before.
const ENDED: Error = Error::Closed { during: "use of a link that has ended; call `online()` again" };

impl<'d, K: KeyStore, S: Store, N: Net + 'd, C: Clock> Link<'d, '_, K, S, N, C> {
    /// Publishes at QoS 1, not retained, and waits for the acknowledgement.
    ///
    /// # Errors
    /// [`Error::Broker`] if the broker said no (MQTT 5; in 3.1.1 it cannot say so); otherwise the link is lost, or
    /// [`Error::Due`].
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), Error> {
        self.publish_with(topic, payload, Qos::AtLeastOnce, false).await
    }

    /// Publishes as told. At QoS 0 nobody acknowledges: success means sent.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_with(&mut self, topic: &str, payload: &[u8], qos: Qos, retain: bool) -> Result<(), Error> {
        self.attend().await?;
        let client = self.client.as_mut().ok_or(ENDED)?;
        let until = self.clock.now().after_ms(EXCHANGE_MS.into());
        let result = client.publish(topic, payload, qos, retain, until).await;
        if result.is_ok() {
            info!("published {} octets to {}", payload.len(), topic);
            tell("MQTT", "publish", client.transport().traffic());
        }
        self.judge(result, matches!(qos, Qos::AtLeastOnce))
    }

    /// Subscribes, and waits for the acknowledgement. A reconnection starts without subscriptions.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<(), Error> {
        self.attend().await?;
        let client = self.client.as_mut().ok_or(ENDED)?;
        let until = self.clock.now().after_ms(EXCHANGE_MS.into());
        let result = client.subscribe(filter, qos, until).await;
        self.judge(result, true)
    }

    /// The next message, or none once `until` has come. Keeps the connection alive while it waits.
    ///
    /// # Errors
    /// The link is lost, or [`Error::Due`].
    pub async fn next(&mut self, until: Instant) -> Result<Option<Message<'_>>, Error> {
        loop {
            let wake = self.attend().await?.min(until);
            let client = self.client.as_mut().ok_or(ENDED)?;
            match client.wait(wake).await {
                Ok(true) => break,
                Ok(false) if self.clock.now() >= until => return Ok(None),
                Ok(false) => {}
                Err(error) => {
                    self.client = None;
                    self.judge(Err(error), false)?;
                }
            }
        }
        self.client.as_mut().ok_or(ENDED)?.next(until).await
    }

    /// Ends the session in order: the broker does not publish the last will.
    ///
    /// # Errors
    /// The connection broke before the end was said.
    pub fn disconnect(mut self) -> impl Future<Output = Result<(), Error>> {
        self.reconnect.proved();
        // an `async fn` would have room for itself twice
        async move { self.end().await }
    }

    /// The clock that [`next`](Self::next) waits by.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Octets received and sent on this connection, TLS included.
    pub fn traffic(&mut self) -> (u32, u32) {
        self.client.as_mut().map_or((0, 0), |client| client.transport().traffic())
    }

    async fn end(&mut self) -> Result<(), Error> {
        let until = self.clock.now().after_ms(CLOSE_MS);
        let secure = {
            let mut client = self.client.take().ok_or(ENDED)?;
            client.disconnect(until).await?;
            client.into_transport()
        };
        secure.close(until).await
    }

    /// Ends for what a link cannot do: in order, so that no last will is published. It is over either way.
    async fn due(&mut self) -> Error {
        let _ = self.end().await;
        self.reconnect.proved();
        Error::Due
    }

    /// What is due between two operations: the agent's records, keep-alive, renewal. Returns when it is to be called again.
    async fn attend(&mut self) -> Result<Instant, Error> {
        self.reconnect.alive(self.clock.now());
        if self.wall.is_overdue(self.clock.now()) {
            info!("the time servers are to be asked again");
            return Err(self.due().await);
        }
        let idle = loop {
            let now = self.wall.now(self.clock);
            let step = self.agent.poll(now);
            match step {
                Step::Idle { until } => break until,
                Step::Exchange { .. } => match &mut self.side {
                    Some(Side { net, areas }) => {
                        let means = Means { keys: self.keys, store: self.store, net, clock: self.clock, areas };
                        let client = self.client.as_mut().ok_or(ENDED)?;
                        // a server that takes its time must not cost the link
                        match select(converse(self.agent, self.wall, means), awake(client, self.clock)).await {
                            // the agent has dealt with a failure: what it has still serves
                            Either::First(result) => {
                                if let Err(error) = result {
                                    warn!("{}", error);
                                }
                            }
                            Either::Second(error) => {
                                self.judge(Err(error), false)?;
                            }
                        }
                    }
                    None => {
                        info!("a credential is due for renewal");
                        return Err(self.due().await);
                    }
                },
                local => {
                    let outcome = perform(local, self.keys, self.store).await;
                    if let Err(error) = self.agent.done(self.wall.now(self.clock), outcome) {
                        warn!("{}", error);
                    }
                }
            }
        };
        self.show_token().await?;
        let client = self.client.as_mut().ok_or(ENDED)?;
        let until = self.clock.now().after_ms(EXCHANGE_MS.into());
        let result = client.keep_alive(until).await;
        let due = client.keep_alive_due();
        self.judge(result, false)?;
        Ok(due.into_iter().chain(self.token_until).fold(idle, Instant::min))
    }

    /// A newer token is shown to the broker where its protocol can take one; else the link ends when its token does.
    async fn show_token(&mut self) -> Result<(), Error> {
        let Some(over) = self.token_until else { return Ok(()) };
        let now = self.wall.now(self.clock);
        let newest = self.agent.session_want().and_then(|want| self.agent.token(&want, now)).map(|token| token.expires);
        let newer = newest.filter(|newest| *newest > over);
        let method = match self.agent.session(now) {
            Some(Ok(login)) => login.authentication,
            _ => None,
        };
        match (newer, method, self.client.as_mut()) {
            (Some(expires), Some((method, token)), Some(client)) => {
                let until = self.clock.now().after_ms(EXCHANGE_MS.into());
                let result = client.reauthenticate(method, token, until).await;
                if result.is_ok() {
                    info!("the broker took a new token");
                    self.token_until = Some(expires);
                } else if let (Err(Error::Broker { .. }), Some(want)) = (result, self.agent.session_want()) {
                    // a link that broke says nothing of the token
                    self.agent.token_refused(&want, now);
                }
                self.judge(result, false)
            }
            (Some(_), None, _) => {
                info!("a new token is there: the link is opened anew with it");
                Err(self.due().await)
            }
            _ if now.mono >= over => {
                info!("the token of this link is over");
                Err(self.due().await)
            }
            _ => Ok(()),
        }
    }

    /// Draws the conclusions of an operation's end.
    fn judge(&mut self, result: Result<(), Error>, acknowledged: bool) -> Result<(), Error> {
        match result {
            Ok(()) if acknowledged => {
                self.reconnect.proved();
                if let Some(want) = self.agent.session_want() {
                    self.agent.token_accepted(&want);
                }
            }
            Ok(()) => {}
            Err(_) => {
                let random = random(self.keys);
                self.reconnect.ended(self.clock.now(), random);
            }
        }
        result
    }
}

/// Keeps the connection alive until that fails.
async fn awake<T: Transport, C: Clock>(client: &mut Client<'_, T, C>, clock: &C) -> Error {
    loop {
        let Some(due) = client.keep_alive_due() else { return pending().await };
        clock.sleep_until(due).await;
        if let Err(error) = client.keep_alive(clock.now().after_ms(EXCHANGE_MS.into())).await {
            return error;
        }
    }
}
