//! Requests over HTTPS: what the agent asks of servers.

use embassy_futures::select::{Either, select};
use identity_core::agent::Agent;
use identity_core::agent::step::{Outcome, Request, Step};
use identity_core::crypto::Sha256;
use identity_core::keys::Digest;
use identity_core::trust::Trust;

use crate::Error;
use crate::config::Areas;
use crate::effects::{failure, key, perform};
use crate::net::http;
use crate::net::tls::{Buffers, Peer, Secure};
use crate::ports::{Clock, KeyStore, Net, Store};
use crate::wall::Wall;

/// Longest wait for a TCP connection, name look-up included, in milliseconds.
const CONNECT_MS: u32 = 20_000;
/// Longest TLS handshake, in milliseconds.
pub(crate) const HANDSHAKE_MS: u32 = 30_000;
/// Longest exchange of a request and its reply, in milliseconds.
pub(crate) const EXCHANGE_MS: u32 = 30_000;
/// Longest orderly end of a connection, in milliseconds.
pub(crate) const CLOSE_MS: u64 = 2_000;

/// What a conversation uses of a board.
pub(crate) struct Means<'b, 'm, K, S, N, C> {
    pub(crate) keys: &'b mut K,
    pub(crate) store: &'b mut S,
    pub(crate) net: &'b mut N,
    pub(crate) clock: &'b C,
    pub(crate) areas: &'b mut Areas<'m>,
}

/// [`exchanges`], and then wipes what they leave in the buffers of TLS: secrets and tokens in the clear. Where that was dropped
/// half way, it is made up for first.
pub(crate) async fn converse<K: KeyStore, S: Store, N: Net, C: Clock>(
    agent: &mut Agent<'_>,
    wall: &Wall,
    means: Means<'_, '_, K, S, N, C>,
) -> Result<(), Error> {
    let Means { keys, store, net, clock, areas } = means;
    if core::mem::replace(&mut areas.torn, true) {
        areas.wipe();
        agent.torn();
    }
    let outcome = exchanges(agent, wall, Means { keys, store, net, clock, areas }).await;
    areas.wipe();
    areas.torn = false;
    outcome
}

/// Opens a connection for the pending exchange, and keeps it for those after it as long as they go to the same peer.
async fn exchanges<K: KeyStore, S: Store, N: Net, C: Clock>(
    agent: &mut Agent<'_>,
    wall: &Wall,
    means: Means<'_, '_, K, S, N, C>,
) -> Result<(), Error> {
    let Means { keys, store, net, clock, areas } = means;
    let Areas { receive, send, inbox, .. } = areas;

    let Step::Exchange { request, .. } = agent.poll(wall.now(clock)) else { return Ok(()) };
    let (peer, by) = (peer_of(&request), request.purpose);
    let opened = async {
        if let Some(client) = request.client {
            key(keys, store, client.slot).await?;
        }
        let stream = connect(net, clock, request.host, request.port).await?;
        let peer =
            Peer { host: request.host, trust: request.trust, client: request.client, alpn: &[], judge: request.judge };
        Secure::open(stream, clock, Buffers { receive, send }, peer, keys, HANDSHAKE_MS).await
    };
    let mut secure = match opened.await {
        Ok(secure) => {
            info!("TLS with {} port {}, for {}", request.host, request.port, by);
            tell(by, "TLS", secure.traffic());
            secure
        }
        Err(error) => {
            warn!("{}: {}", by, error);
            agent.done(wall.now(clock), Outcome::Failed(failure(by, error)))?;
            return Err(error);
        }
    };
    let mut used = false;
    loop {
        let step = agent.poll(wall.now(clock));
        let (outcome, again) = match step {
            Step::Exchange { request, into, nonce } if peer_of(&request) == peer => {
                let until = clock.now().after_ms(EXCHANGE_MS.into());
                let purpose = request.purpose;
                let asked = request.body.len();
                match http::exchange(&mut secure, &request, into, nonce, inbox, until).await {
                    Ok((reply, again)) => {
                        info!("{}: {} octets, status {}, {} octets", purpose, asked, reply.status, reply.length);
                        tell(purpose, "request and reply", secure.traffic());
                        used = true;
                        (Outcome::Reply(reply), again)
                    }
                    // A server may close a connection that idles (RFC 9112 §9.3.1): asked again on a fresh one.
                    Err(Error::Closed { .. }) if used => {
                        agent.torn();
                        return Ok(());
                    }
                    Err(error) => {
                        warn!("{}: {}", purpose, error);
                        agent.done(wall.now(clock), Outcome::Failed(failure(purpose, error)))?;
                        return Err(error);
                    }
                }
            }
            Step::Exchange { .. } | Step::Idle { .. } => break,
            local => (perform(local, keys, store).await, true),
        };
        agent.done(wall.now(clock), outcome)?;
        if !again {
            break;
        }
    }
    // the peer may be gone already, and nothing depends on this
    let _ = secure.close(clock.now().after_ms(CLOSE_MS)).await;
    Ok(())
}

/// Tells what a connection has carried so far, TLS included: the counters of [`Secure::traffic`].
pub(crate) fn tell(by: &str, after: &str, (received, sent): (u32, u32)) {
    debug!("{}: {} octets sent and {} received on this connection after {}", by, sent, received, after);
}

/// A connected stream, within [`CONNECT_MS`].
pub(crate) async fn connect<'a, N: Net, C: Clock>(
    net: &'a mut N,
    clock: &C,
    host: &str,
    port: u16,
) -> Result<N::Stream<'a>, Error> {
    let until = clock.now().after_ms(CONNECT_MS.into());
    match select(net.connect(host, port), clock.sleep_until(until)).await {
        Either::First(Ok(stream)) => Ok(stream),
        Either::First(Err(error)) => Err(Error::port("net", &error)),
        Either::Second(()) => Err(Error::Timeout { what: "TCP connection", after_ms: CONNECT_MS }),
    }
}

/// Names the TLS connection that a request needs: server, how it is authenticated, and as whom.
fn peer_of(request: &Request<'_>) -> Digest {
    let mut hash = Sha256::new();
    hash.update(request.host.as_bytes());
    hash.update(&[0]);
    hash.update(&request.port.to_be_bytes());
    match request.trust {
        Trust::Provisional => hash.update(&[0]),
        Trust::Anchors(anchors) => {
            hash.update(&[1]);
            for anchor in anchors.iter() {
                hash.update(anchor);
            }
        }
    }
    if let Some(client) = request.client {
        hash.update(&[2, client.slot.number()]);
        hash.update(client.certificate);
    }
    hash.finish()
}
