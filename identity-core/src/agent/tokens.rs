//! Access tokens: which are wanted, which are kept, when they are renewed. The requests are made by [`super::call`].

use super::Shared;
use super::backoff::{Backoff, jitter};
use super::call::{Call, Errand};
use crate::Error;
use crate::agent::step::Nonce;
use crate::config::Secret;
use crate::keys::{Digest, PublicKey, Signature};
use crate::oauth::shelf::{Item, Shelf, TOKENS_MAX};
use crate::oauth::{ClientAuth, Provider, Renew, TokenSource, TokenType, Words};
use crate::time::{Instant, Now, UnixTime};

/// A token is not used in the last seconds of its life: clocks differ, and a request takes time.
const MARGIN_S: u64 = 5;
/// Least time from one token to the next, in seconds: a server that gives tokens of a second must not be flooded.
const LEAST_S: u64 = 4;
/// Lifetime that is assumed where the server tells none, in seconds.
const UNTOLD_S: u32 = 300;

/// An access token that is valid now.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    /// The token, to be sent to whom it is for and to nobody else.
    pub secret: Secret<'a>,
    /// How it is presented.
    pub kind: TokenType,
    /// It is not used after this.
    pub expires: Instant,
    /// Its place among the kept ones.
    pub(super) place: usize,
}

/// What a person needs to approve the device (RFC 8628 §3.3).
#[derive(Clone, Copy, Debug)]
pub struct UserCode<'a> {
    /// The code to enter.
    pub code: &'a str,
    /// The URL to open.
    pub uri: &'a str,
    /// The URL with the code in it, if the server gives one.
    pub complete: Option<&'a str>,
    /// When the code expires.
    pub expires: Instant,
}

/// What an application wants a token for.
#[derive(Clone, Copy)]
pub struct Want {
    /// Where it comes from.
    pub source: &'static dyn TokenSource,
    /// The scope; empty for what the server gives.
    pub scope: &'static str,
}

impl Want {
    /// The same source and scope.
    fn is(&self, other: &Self) -> bool {
        core::ptr::addr_eq(self.source, other.source) && self.scope == other.scope
    }
}

/// One want, and how far it is.
pub(super) struct Entry {
    pub(super) want: Want,
    /// It serves the session with the broker: never forgotten, always renewed.
    kept: bool,
    /// Somebody asked since the last token came.
    asked: bool,
    held: Option<Held>,
    /// Nothing is fetched before this instant.
    pub(super) until: Option<Instant>,
    pub(super) backoff: Backoff,
    /// Tokens in a row that a server refused without having accepted one, but for the first.
    refusals: Option<Backoff>,
    pub(super) trouble: Option<Error>,
}

#[derive(Clone, Copy)]
struct Held {
    kind: TokenType,
    renew: Instant,
    expires: Instant,
}

/// All wants, the lent area in which tokens are kept, and the request under way.
pub(super) struct Tokens {
    entries: [Option<Entry>; TOKENS_MAX],
    pub(super) call: Option<Call>,
    /// What the application asked for beside tokens; it comes first.
    pub(super) errand: Option<(Errand, Want)>,
    pub(super) shelf: Shelf,
    /// The key of the slot that is live, what it signs, and its signature: an enrolment that waits has others.
    pub(super) public: PublicKey,
    pub(super) digest: Digest,
    pub(super) signature: Signature,
    /// Whose endpoints are on the shelf.
    pub(super) home: Option<Home>,
    /// The authorization server's DPoP nonce.
    pub(super) nonce: Nonce,
    pub(super) words: Words,
    /// Wall time that the authorization server told, and when.
    pub(super) told: Option<(Instant, UnixTime)>,
    /// Whose refresh token and device code are on the shelf: server and client.
    pub(super) owner: Digest,
    /// The scope of the device code.
    pub(super) code_scope: &'static str,
    /// Whether the owner's refresh token was looked for in flash.
    pub(super) refresh_loaded: bool,
    /// When the device code expires.
    pub(super) code_until: Instant,
    /// Seconds between two questions whether the person has approved.
    pub(super) interval: u32,
}

/// Whose endpoints they are, and by which rules they were taken: another source of the same issuer may have stricter ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Home {
    issuer: &'static str,
    hosts: &'static [&'static str],
    aliases: bool,
}

impl Home {
    pub(super) const fn of(provider: &Provider) -> Self {
        let aliases = matches!(provider.client_auth, ClientAuth::Certificate);
        Self { issuer: provider.issuer, hosts: provider.hosts, aliases }
    }

    pub(super) const fn issuer(&self) -> &'static str {
        self.issuer
    }
}

impl Tokens {
    pub(super) const fn new() -> Self {
        Self {
            entries: [const { None }; TOKENS_MAX],
            call: None,
            errand: None,
            shelf: Shelf::new(),
            public: PublicKey::EMPTY,
            digest: [0; 32],
            signature: Signature::EMPTY,
            home: None,
            nonce: Nonce::NONE,
            words: Words::NONE,
            told: None,
            owner: [0; 32],
            code_scope: "",
            refresh_loaded: false,
            code_until: Instant(0),
            interval: 0,
        }
    }

    /// Notes that a token is wanted. `kept`: until the end of the device's life.
    pub(super) fn want(&mut self, want: Want, kept: bool, area: &mut [u8], now: Now) -> Result<(), Error> {
        let busy = self.call.as_ref().map(|call| call.at);
        self.admit(want, kept, busy, area, now)
    }

    /// The same, and the want at `busy` keeps its place.
    fn admit(&mut self, want: Want, kept: bool, busy: Option<usize>, area: &mut [u8], now: Now) -> Result<(), Error> {
        if let Some(entry) = self.entries.iter_mut().flatten().find(|entry| entry.want.is(&want)) {
            entry.asked = true;
            entry.kept |= kept;
            return Ok(());
        }
        let free = self.entries.iter().position(Option::is_none);
        // else the place of a want that nobody asked for any more
        let stale = |(at, entry): (usize, &Option<Entry>)| {
            let unused = entry.as_ref().is_some_and(|entry| !entry.kept && !entry.asked);
            (unused && busy != Some(at)).then_some(at)
        };
        let stale = || self.entries.iter().enumerate().find_map(stale);
        let expired = || {
            let over = |(at, entry): (usize, &Option<Entry>)| {
                let held = entry.as_ref().filter(|entry| !entry.kept)?.held?;
                (now.mono >= held.expires && busy != Some(at)).then_some(at)
            };
            self.entries.iter().enumerate().find_map(over)
        };
        let at = free
            .or_else(stale)
            .or_else(expired)
            .ok_or(Error::NoSpace { what: "tokens wanted at once", wanted: TOKENS_MAX.saturating_add(1) })?;
        self.drop_token(at, area);
        let entry = Entry {
            want,
            kept,
            asked: true,
            held: None,
            until: None,
            backoff: Backoff::new(),
            refusals: None,
            trouble: None,
        };
        if let Some(place) = self.entries.get_mut(at) {
            *place = Some(entry);
        }
        Ok(())
    }

    /// Forgets a token. The request under way lies behind it, and is written anew.
    fn drop_token(&mut self, at: usize, area: &mut [u8]) {
        self.shelf.remove(area, Item::Access(at));
        if let Some(call) = &mut self.call {
            call.restart();
        }
    }

    fn find(&self, want: &Want) -> Option<(usize, &Entry)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(at, entry)| Some((at, entry.as_ref()?))).find(|(_, entry)| entry.want.is(want))
    }

    pub(super) fn entry(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)?.as_ref()
    }

    pub(super) fn entry_mut(&mut self, at: usize) -> Option<&mut Entry> {
        self.entries.get_mut(at)?.as_mut()
    }

    /// The token for a want, if there is one that is valid now.
    pub(super) fn token<'a>(&self, want: &Want, area: &'a [u8], now: Now) -> Option<Token<'a>> {
        let (at, entry) = self.find(want)?;
        let held = entry.held.filter(|held| now.mono < held.expires)?;
        let secret = Secret::new(self.shelf.text(area, Item::Access(at))?);
        Some(Token { secret, kind: held.kind, expires: held.expires, place: at })
    }

    pub(super) fn user_code<'a>(&self, area: &'a [u8], now: Now) -> Option<UserCode<'a>> {
        let mut lines = self.shelf.text(area, Item::UserCode).filter(|_| now.mono < self.code_until)?.split('\n');
        let (code, uri) = (lines.next()?, lines.next()?);
        Some(UserCode { code, uri, complete: lines.next().filter(|uri| !uri.is_empty()), expires: self.code_until })
    }

    /// Until when nothing is fetched for a want, and the reason; none if there is nothing to wait for.
    pub(super) fn waiting(&self, want: &Want, now: Now) -> Option<(Instant, Option<Error>)> {
        let (_, entry) = self.find(want)?;
        Some((entry.until.filter(|until| now.mono < *until)?, entry.trouble))
    }

    /// Whether there is something to do now: a request under way, or one that begins here. Else when there will be.
    pub(super) fn due(&mut self, area: &mut [u8], now: Now) -> Result<(), Instant> {
        if self.call.is_some() {
            return Ok(());
        }
        if let Some((errand, want)) = self.errand.take() {
            self.call = Some(Call::of_errand(errand, want));
            return Ok(());
        }
        let mut next = Instant(u64::MAX);
        for at in 0..TOKENS_MAX {
            let Some(entry) = self.entry(at).filter(|entry| entry.kept || entry.asked) else { continue };
            let renew = entry.held.map(|held| held.renew).unwrap_or_default();
            let due = renew.max(entry.until.unwrap_or_default());
            if due > now.mono {
                next = next.min(due);
                continue;
            }
            let want = entry.want;
            let (first, want) = self.subject_of(at, &want, area, now).unwrap_or((at, want));
            if let Some(until) = self.entry(first).and_then(|entry| entry.until).filter(|until| now.mono < *until) {
                // the token that is to be exchanged was refused
                next = next.min(until);
                continue;
            }
            self.call = Some(Call::new(first, want));
            return Ok(());
        }
        Err(next)
    }

    /// The want of the token that `want` exchanges, if it has none that is valid.
    fn subject_of(&mut self, at: usize, want: &Want, area: &mut [u8], now: Now) -> Option<(usize, Want)> {
        let source = want.source.grant().subject()?;
        let subject = Want { source, scope: source.scope() };
        if self.token(&subject, area, now).is_some() {
            return None;
        }
        // if there is no room for it, the exchange fails and says so
        self.admit(subject, false, Some(at), area, now).ok()?;
        self.find(&subject).map(|(at, entry)| (at, entry.want))
    }

    /// A token came: when it is renewed and when it is over.
    pub(super) fn hold(&mut self, at: usize, kind: TokenType, expires_in: Option<u32>, now: Now, device: &Digest) {
        let Some(entry) = self.entry_mut(at) else { return };
        let life_ms = u64::from(expires_in.unwrap_or(UNTOLD_S)).saturating_mul(1000);
        let renew = renewal_ms(life_ms, entry.want.source.provider().renew, device);
        let margin = MARGIN_S.saturating_mul(1000).min(life_ms / 4);
        entry.held = Some(Held {
            kind,
            renew: now.mono.after_ms(renew.min(life_ms.saturating_sub(margin))),
            expires: now.mono.after_ms(life_ms.saturating_sub(margin)),
        });
        entry.asked = false;
        entry.until = Some(now.mono.after_seconds(LEAST_S));
        entry.trouble = None;
        entry.backoff.reset();
    }

    /// A fetch failed: waits before the next.
    pub(super) fn failed(&mut self, at: usize, error: Error, wait: impl FnOnce(&mut Backoff) -> u64, now: Now) {
        if let Some(entry) = self.entry_mut(at) {
            entry.trouble = Some(error);
            entry.until = Some(now.mono.after_ms(wait(&mut entry.backoff)));
        }
    }

    /// A server refused the token: it is dropped and fetched anew at once; if the next one is refused as well, after a
    /// wait that grows.
    pub(super) fn refused(&mut self, want: &Want, shared: &mut Shared<'_>, now: Now) {
        let Some((at, _)) = self.find(want) else { return };
        self.drop_token(at, shared.memory.tokens);
        let Some(entry) = self.entry_mut(at) else { return };
        entry.held = None;
        entry.asked = true;
        match &mut entry.refusals {
            Some(refusals) => entry.until = Some(now.mono.after_ms(refusals.after_failure(true, &shared.device))),
            first => {
                *first = Some(Backoff::new());
                entry.until = None;
            }
        }
    }

    /// Whether a request of the application is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.errand.is_some() || self.call.as_ref().is_some_and(Call::is_errand)
    }

    /// See [`Call::interrupt`].
    pub(super) const fn interrupt(&mut self) {
        if let Some(call) = &mut self.call {
            call.restart();
        }
    }

    /// The token of a place is gone for good; it is fetched anew when it is asked for.
    pub(super) fn lose(&mut self, at: usize, area: &mut [u8]) {
        self.drop_token(at, area);
        if let Some(entry) = self.entry_mut(at) {
            (entry.held, entry.asked, entry.until) = (None, false, None);
        }
    }

    /// The device has another key and certificate: tokens that are bound to the former (RFC 8705 §3, RFC 9449) are of no use.
    pub(super) fn rekeyed(&mut self, area: &mut [u8]) {
        for at in 0..TOKENS_MAX {
            let Some(entry) = self.entry_mut(at) else { continue };
            let provider = entry.want.source.provider();
            if provider.dpop || matches!(provider.client_auth, ClientAuth::Certificate) {
                if entry.held.take().is_some() {
                    (entry.asked, entry.until) = (true, None);
                }
                self.drop_token(at, area);
            }
        }
    }

    /// Forgets every token, and what is under way.
    pub(super) fn forget(&mut self, area: &mut [u8]) {
        (self.call, self.errand) = (None, None);
        for item in [Item::Refresh, Item::DeviceCode, Item::UserCode] {
            self.shelf.remove(area, item);
        }
        for at in 0..TOKENS_MAX {
            self.lose(at, area);
        }
    }

    /// A server accepted the token.
    pub(super) fn accepted(&mut self, want: &Want) {
        let found = self.find(want).map(|(at, _)| at);
        if let Some(entry) = found.and_then(|at| self.entry_mut(at)) {
            entry.refusals = None;
        }
    }
}

/// Milliseconds after which a token of this lifetime is renewed; devices differ, each stays with its own.
fn renewal_ms(life_ms: u64, renew: Renew, device: &Digest) -> u64 {
    let percent = |of: u8| life_ms.saturating_mul(of.min(100).into()) / 100;
    percent(renew.after_percent).saturating_sub(jitter(device, 0, percent(renew.jitter_percent)))
}
