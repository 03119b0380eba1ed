//! Requests of the application to an HTTPS API, with the device's token.

use identity_core::agent::step::{Authorization, Challenge, Method, Nonce, Reply, Request};
use identity_core::agent::{Token, Want};
use identity_core::crypto::sha256;
use identity_core::error::Error as CoreError;
use identity_core::jose::{dpop, jws};
use identity_core::keys::Slot;
use identity_core::oauth::url::Url;
use identity_core::oauth::{ClientAuth, TokenType};
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Trust;

use crate::config::Areas;
use crate::converse::{CLOSE_MS, EXCHANGE_MS, HANDSHAKE_MS, connect, tell};
use crate::effects::key;
use crate::net::http;
use crate::net::tls::{Buffers, Peer, Secure};
use crate::ports::{Clock, KeyStore, Net, Platform, Store};
use crate::{Device, Error};

/// Requests with a token of the profile's source, from [`Device::http`].
pub struct Http<'d, 'm, K, S, N, C> {
    device: &'d mut Device<'m, K, S, N, C>,
    scope: &'static str,
}

/// What an API answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Octets of the body.
    pub length: usize,
}

/// A request of the application.
#[derive(Clone, Copy)]
struct Ask<'a> {
    method: Method,
    url: &'a str,
    content_type: &'static str,
    body: &'a [u8],
}

impl<'m, K: KeyStore, S: Store, N: Net, C: Clock> Device<'m, K, S, N, C> {
    /// Requests that carry the token: as bearer or with a DPoP proof, as the server gave it.
    pub fn http(&mut self) -> Http<'_, 'm, K, S, N, C> {
        Http { device: self, scope: "" }
    }
}

impl<K: KeyStore, S: Store, N: Net, C: Clock> Http<'_, '_, K, S, N, C> {
    /// The same with a token of this scope in place of the source's own.
    #[must_use]
    pub fn scope(self, scope: &'static str) -> Self {
        Self { scope, ..self }
    }

    /// Gets `url`; the body goes to `into`.
    ///
    /// A refused token is fetched anew and the request repeated, once. No redirect is followed.
    ///
    /// # Errors
    /// As [`Device::token`]; [`Error::Core`] with `Misuse` if the token is not for the host of `url`; the network's errors. A
    /// status that is no success is an [`Answer`] like any other.
    pub async fn get(self, url: &str, into: &mut [u8]) -> Result<Answer, Error> {
        self.ask(Ask { method: Method::Get, url, content_type: "", body: &[] }, into).await
    }

    /// Posts `body` to `url`. Repeated as [`get`](Self::get) is, and only if the server refused the token.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post(
        self,
        url: &str,
        content_type: &'static str,
        body: &[u8],
        into: &mut [u8],
    ) -> Result<Answer, Error> {
        self.ask(Ask { method: Method::Post, url, content_type, body }, into).await
    }

    async fn ask(self, ask: Ask<'_>, into: &mut [u8]) -> Result<Answer, Error> {
        let missing = CoreError::Misuse("there is no token source; set the profile's `token`");
        let source = self.device.config.identity.profile.token.ok_or(missing)?;
        let url = Url::parse("the URL of an API", ask.url)?;
        let mut for_hosts = source.resource().iter().map(|resource| Url::parse("`resource`", resource)).peekable();
        let elsewhere = "the token is not for that host; add its URL to the token source's `resource`";
        if for_hosts.peek().is_some() && !for_hosts.any(|of| of.is_ok_and(|of| of.host == url.host)) {
            return Err(Error::Core(CoreError::Misuse(elsewhere)));
        }
        let want = Want { source, scope: if self.scope.is_empty() { source.scope() } else { self.scope } };
        let (mut nonce, mut renonced, mut renewed) = (Nonce::default(), false, false);
        loop {
            self.device.token(self.scope).await?;
            let reply = self.device.exchange(&want, url, ask, &mut nonce, into).await?;
            let now = self.device.wall.now(&self.device.platform.clock);
            match reply.challenge {
                Challenge::UseDpopNonce if reply.status == 401 && !renonced && nonce.get().is_some() => renonced = true,
                Challenge::InvalidToken if reply.status == 401 => {
                    self.device.agent.token_refused(&want, now);
                    if renewed {
                        return Ok(Answer { status: reply.status, length: reply.length });
                    }
                    renewed = true;
                }
                _ => {
                    if reply.status < 400 {
                        self.device.agent.token_accepted(&want);
                    }
                    return Ok(Answer { status: reply.status, length: reply.length });
                }
            }
        }
    }
}

impl<K: KeyStore, S: Store, N: Net, C: Clock> Device<'_, K, S, N, C> {
    /// One request on a connection of its own.
    async fn exchange(
        &mut self,
        want: &Want,
        url: Url<'_>,
        ask: Ask<'_>,
        nonce: &mut Nonce,
        into: &mut [u8],
    ) -> Result<Reply, Error> {
        let Self { agent, platform, areas, wall, .. } = self;
        let Platform { keys, store, net, clock } = platform;
        let clock: &C = clock;
        let now = wall.now(clock);
        let gone = Error::Core(CoreError::Misuse("the token is gone; call again"));
        let token = agent.token(want, now).ok_or(gone)?;
        let slot = agent.slot(now).ok_or(gone)?;
        let anchors = agent.anchors();
        key(keys, store, slot).await?;
        let Areas { receive, send, inbox, outbox, .. } = &mut *areas;
        let proof = match token.kind {
            TokenType::Bearer => None,
            TokenType::Dpop => {
                let time = agent.time(now);
                let length = prove(keys, slot, &token, ask, time, nonce, outbox)?;
                outbox.get(..length).and_then(|proof| core::str::from_utf8(proof).ok())
            }
        };
        let judge = Judge::new(now.wall, agent.floor());
        // a token may be bound to the certificate that it was obtained with (RFC 8705 §3)
        let by_certificate = matches!(want.source.provider().client_auth, ClientAuth::Certificate);
        let client = agent.identity(now).filter(|_| by_certificate);
        let request = Request {
            purpose: "API",
            method: ask.method,
            host: url.host,
            port: url.port,
            path: url.target(),
            accept: "*/*",
            content_type: ask.content_type,
            base64: false,
            authorization: match token.kind {
                TokenType::Bearer => Authorization::Bearer(token.secret),
                TokenType::Dpop => Authorization::Dpop(token.secret),
            },
            proof,
            body: ask.body,
            trust: Trust::Anchors(anchors),
            judge,
            client,
        };
        let asked = async {
            let stream = connect(net, clock, url.host, url.port).await?;
            let peer = Peer { host: url.host, trust: request.trust, client, alpn: &[], judge };
            let mut secure = Secure::open(stream, clock, Buffers { receive, send }, peer, keys, HANDSHAKE_MS).await?;
            let until = clock.now().after_ms(EXCHANGE_MS.into());
            let (reply, _) = http::exchange(&mut secure, &request, into, nonce, inbox, until).await?;
            info!("API: {} octets, status {}, {} octets", ask.body.len(), reply.status, reply.length);
            tell("API", "request and reply", secure.traffic());
            // the peer may be gone already, and nothing depends on this
            let _ = secure.close(clock.now().after_ms(CLOSE_MS)).await;
            Ok(reply)
        };
        let outcome = asked.await;
        // they hold the token in the clear
        areas.wipe();
        outcome
    }
}

/// Writes a DPoP proof (RFC 9449 §7) to the start of `into`; its octets.
fn prove<K: KeyStore>(
    keys: &mut K,
    slot: Slot,
    token: &Token<'_>,
    ask: Ask<'_>,
    issued: UnixTime,
    nonce: &Nonce,
    into: &mut [u8],
) -> Result<usize, Error> {
    let mut random = [0; 16];
    keys.random(&mut random).map_err(|error| Error::port("keys", &error))?;
    let public = keys.public(slot).map_err(|error| Error::port("keys", &error))?;
    let public = public.ok_or(Error::Core(CoreError::Misuse("there is no key in that slot")))?;
    let proof = dpop::Proof {
        key: &public,
        method: match ask.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        },
        url: ask.url,
        random: &random,
        issued,
        token: Some(token.secret.reveal()),
        nonce: nonce.get(),
    };
    let length = dpop::write(&proof, into)?;
    let digest = sha256(into.get(..length).unwrap_or_default());
    let signature = keys.sign(slot, &digest).map_err(|error| Error::port("keys", &error))?;
    Ok(jws::finish(into, length, &signature)?)
}
