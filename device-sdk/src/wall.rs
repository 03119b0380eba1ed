//! Wall time: what the board's clock says, else what a time server said.

use embassy_futures::select::{Either, select};
use identity_core::error::{CertProblem, Error as CoreError};
use identity_core::time::{Instant, Now, UnixTime};

use crate::Error;
use crate::config::TimeServer;
use crate::net::sntp;
use crate::ports::{Clock, KeyStore, Net};

/// Longest wait for a time server, in milliseconds.
const ANSWER_MS: u32 = 3_000;
/// Seconds before silent time servers are asked again.
const SILENT_S: u64 = 60;
/// Seconds after which learnt time is asked for again between two links; and after which a link ends to ask silent servers.
const DAY_S: u64 = 86_400;
/// Seconds after which a link ends to ask again for learnt time: by then a crystal is wrong by minutes.
const MONTH_S: u64 = 30 * DAY_S;

/// Wall time learnt from the network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wall {
    /// When, and what.
    learnt: Option<(Instant, UnixTime)>,
    /// When a server was asked last; none also if its answer is in doubt.
    asked: Option<Instant>,
}

impl Wall {
    /// The later of the board's clock and what was learnt: a real-time clock without battery starts in the past.
    pub(crate) fn now<C: Clock>(&self, clock: &C) -> Now {
        let mono = clock.now();
        let learnt = self.learnt.map(|(at, time)| UnixTime(time.0.saturating_add(mono.0.saturating_sub(at.0) / 1000)));
        Now { mono, wall: clock.wall().max(learnt) }
    }

    /// Asks the time servers, if the board's clock does not know better than `floor`. Without an answer the floor has to do.
    pub(crate) async fn learn<K: KeyStore, N: Net, C: Clock>(
        &mut self,
        servers: &[TimeServer],
        floor: UnixTime,
        keys: &mut K,
        net: &mut N,
        clock: &C,
    ) -> Result<(), Error> {
        if clock.wall().is_some_and(|wall| wall >= floor) {
            self.asked = None;
            return Ok(());
        }
        let patience = if self.learnt.is_some() { DAY_S } else { SILENT_S };
        if self.asked.is_some_and(|asked| clock.now() < asked.after_seconds(patience)) {
            return Ok(());
        }
        for server in servers {
            let mut nonce = [0; 8];
            keys.random(&mut nonce).map_err(|error| Error::port("keys", &error))?;
            self.asked = Some(clock.now());
            let ask = sntp::ask(net, server.host, server.port, u64::from_ne_bytes(nonce), floor);
            let until = clock.now().after_ms(ANSWER_MS.into());
            match select(ask, clock.sleep_until(until)).await {
                Either::First(Ok(time)) => {
                    info!("time from {}: {}", server.host, time.0);
                    self.learnt = Some((clock.now(), time));
                    return Ok(());
                }
                Either::First(Err(error)) => warn!("time from {}: {}", server.host, error),
                Either::Second(()) => warn!("time from {}: no answer within {} ms", server.host, ANSWER_MS),
            }
        }
        Ok(())
    }

    /// A certificate out of date may be our clock's fault: before the next attempt the servers are asked again.
    pub(crate) fn doubt(&mut self, error: Error) {
        if let Error::Core(CoreError::Certificate { problem, .. }) = error
            && matches!(problem, CertProblem::Expired { .. } | CertProblem::NotYetValid { .. })
        {
            self.asked = None;
        }
    }

    /// Whether a link has to end so that the servers can be asked: the network carries one connection at a time.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let patience = if self.learnt.is_some() { MONTH_S } else { DAY_S };
        self.asked.is_some_and(|asked| now >= asked.after_seconds(patience))
    }
}
