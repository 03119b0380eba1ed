//! What the replies of an authorization server mean for the request under way.

use super::compose::owner;
use super::{AUTHORIZE, Call, Phase, Stage, TOKEN};
use crate::Error;
use crate::agent::step::Reply;
use crate::agent::tokens::{Home, Tokens};
use crate::agent::{Answer, Shared};
use crate::config::Config;
use crate::crypto::SEAL_OVERHEAD;
use crate::jose::jwk::KeySet;
use crate::oauth::endpoint::{Document, read_metadata};
use crate::oauth::reply::{covers, lacks, read_authorization, read_introspection, read_refusal, read_token};
use crate::oauth::shelf::Item;
use crate::oauth::{OauthCode, TokenType};
use crate::record;
use crate::time::Now;

impl Tokens {
    pub(super) fn reply(
        &mut self,
        call: &mut Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        reply: &Reply,
    ) -> Result<Option<Phase>, Error> {
        match (call.stage, reply.status) {
            (Stage::Metadata(_), 200) => {
                let provider = call.want.source.provider();
                let memory = &mut shared.memory;
                let body = memory.reply.get(..reply.length).unwrap_or_default();
                self.home = None;
                self.shelf.put(memory.tokens, Item::Endpoints, |room| read_metadata(&provider, body, room))?;
                self.home = Some(Home::of(&provider));
                self.plan(call, shared, now)
            }
            (Stage::Metadata(Document::OpenId), 400..=499) if reply.status != 429 => {
                call.stage = Stage::Metadata(Document::OAuth);
                Ok(Some(Phase::Ask))
            }
            (Stage::Authorize, 200) => self.authorized(call, shared, now, reply),
            (Stage::Token, 200) => self.granted(call, config, shared, now, reply),
            (Stage::Revoke(item), 200) => {
                match item {
                    Item::Access(at) => self.lose(at, shared.memory.tokens),
                    _ => {
                        self.shelf.remove(shared.memory.tokens, item);
                        return Ok(Some(Phase::Forget));
                    }
                }
                self.plan(call, shared, now)
            }
            (Stage::Introspect(_), 200) => {
                let read = read_introspection(call.stage.purpose(), reply, shared.memory.reply, call.want.scope)?;
                shared.answer = Some(Ok(Answer::Introspected(read)));
                Ok(None)
            }
            (Stage::Keys, 200) => {
                KeySet::parse(shared.memory.reply.get(..reply.length).unwrap_or_default())?;
                shared.answer = Some(Ok(Answer::Keys(reply.length)));
                Ok(None)
            }
            _ => self.denied(call, shared, now, reply),
        }
    }

    /// A device authorization reply: what the person is shown is kept, and the token is asked for after the interval.
    fn authorized(
        &mut self,
        call: &Call,
        shared: &mut Shared<'_>,
        now: Now,
        reply: &Reply,
    ) -> Result<Option<Phase>, Error> {
        let memory = &mut shared.memory;
        let read = read_authorization(AUTHORIZE, reply, memory.reply)?;
        let no_room = |room: &mut [u8], text: crate::wire::json::Text<'_>| {
            text.copy("the device code; `Memory`'s TOKENS", room).map(str::len)
        };
        self.shelf.put(memory.tokens, Item::DeviceCode, |room| no_room(room, read.device_code))?;
        self.shelf.put(memory.tokens, Item::UserCode, |room| read.write_for_person(room))?;
        self.code_until = now.mono.after_seconds(read.expires_in.into());
        self.interval = read.interval;
        self.wait_for_person(call, now);
        Ok(None)
    }

    /// The call is over and another one will ask again, so that a person who takes their time holds no other token up.
    pub(super) fn wait_for_person(&mut self, call: &Call, now: Now) {
        let until = now.mono.after_seconds(self.interval.into());
        if let Some(entry) = self.entry_mut(call.at) {
            entry.until = Some(until);
        }
    }

    /// A token reply.
    fn granted(
        &mut self,
        call: &Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        reply: &Reply,
    ) -> Result<Option<Phase>, Error> {
        let provider = call.want.source.provider();
        let memory = &mut shared.memory;
        let read = read_token(TOKEN, reply, memory.reply)?;
        let by = "the granted scope, smaller than what was asked for,";
        let smaller = Error::Denied { by, code: OauthCode::InvalidScope };
        if read.scope.is_some_and(|granted| !covers(granted, call.want.scope)) {
            return Err(smaller);
        }
        if provider.dpop && read.kind == TokenType::Bearer {
            let problem = "the server ignored DPoP and gave a bearer token; enable DPoP there, or set `dpop: false`";
            return Err(Error::Malformed { what: TOKEN, problem });
        }
        let what = "an access token; `Memory`'s TOKENS";
        if call.want.source.grant().needs_person() {
            self.shelf.remove(memory.tokens, Item::DeviceCode);
            self.shelf.remove(memory.tokens, Item::UserCode);
        }
        self.shelf.put(memory.tokens, Item::Access(call.at), |room| read.access.copy(what, room).map(str::len))?;
        let (items, free) = self.shelf.split(memory.tokens);
        let token = self.shelf.text(items, Item::Access(call.at)).unwrap_or_default();
        if read.scope.is_none() && lacks(token, call.want.scope, free) {
            self.shelf.remove(memory.tokens, Item::Access(call.at));
            return Err(smaller);
        }
        self.hold(call.at, read.kind, read.expires_in, now, &shared.device);
        let Some(refresh) = read.refresh.filter(|_| call.want.source.grant().keeps_refresh()) else { return Ok(None) };
        let what = "a refresh token; `Memory`'s TOKENS";
        self.shelf.put(memory.tokens, Item::Refresh, |room| refresh.copy(what, room).map(str::len))?;
        let (items, free) = self.shelf.split(memory.tokens);
        let token = self.shelf.text(items, Item::Refresh).unwrap_or_default();
        let credential = memory.credential.get(..shared.credential).unwrap_or_default();
        let written = record::write_refresh(&owner(config, credential, call), token, free);
        let wanted = written.map_err(|error| error.behind(items.len()))?.saturating_add(SEAL_OVERHEAD);
        if free.len() < wanted {
            return Err(Error::NoSpace { what, wanted }.behind(items.len()));
        }
        Ok(Some(Phase::Store))
    }

    /// A refusal: some are part of the protocol, the others end the request.
    fn denied(
        &mut self,
        call: &mut Call,
        shared: &mut Shared<'_>,
        now: Now,
        reply: &Reply,
    ) -> Result<Option<Phase>, Error> {
        let error = read_refusal(call.stage.purpose(), reply, shared.memory.reply, &mut self.words);
        let code = match error {
            Error::Denied { code, .. } => code,
            _ => return Err(error),
        };
        let tokens = &mut *shared.memory.tokens;
        // what others keep is not touched
        let grant = call.want.source.grant();
        let (person, refreshes) = (grant.needs_person(), grant.keeps_refresh());
        match code {
            OauthCode::UseDpopNonce if !call.renonced && self.nonce.get().is_some() => {
                call.renonced = true;
                Ok(Some(Phase::Random))
            }
            _ if call.errand.is_some() => Err(error),
            OauthCode::AuthorizationPending | OauthCode::SlowDown if person && now.mono < self.code_until => {
                if code == OauthCode::SlowDown {
                    // RFC 8628 §3.5: for this and all later requests
                    self.interval = self.interval.saturating_add(5);
                }
                self.wait_for_person(call, now);
                Ok(None)
            }
            OauthCode::InvalidGrant if refreshes && self.shelf.text(tokens, Item::Refresh).is_some() => {
                self.shelf.remove(tokens, Item::Refresh);
                Ok(Some(Phase::Forget))
            }
            OauthCode::InvalidGrant | OauthCode::ExpiredToken | OauthCode::AccessDenied if person => {
                self.shelf.remove(tokens, Item::DeviceCode);
                self.shelf.remove(tokens, Item::UserCode);
                Err(error)
            }
            _ => Err(error),
        }
    }
}
