//! One token request, step by step: metadata → identifiers → form → assertions → proof → exchange → reply.
//!
//! The form, the assertions in it and the DPoP proof are written behind the kept tokens in the lent area. Each is made in
//! `done` and only lent in `step`, so that asking twice gives the same.

use super::tokens::{Tokens, Want};
use super::{Shared, WRONG_OUTCOME};
use crate::Error;
use crate::agent::step::{Authorization, ClientIdentity, Method, Outcome, RANDOM, Reply, Request, Step};
use crate::config::{Config, Secret};
use crate::crypto::{SEAL_OVERHEAD, sha256};
use crate::enrol::Path;
use crate::keys::{Digest, Slot};
use crate::oauth::client::{Client, Jws};
use crate::oauth::endpoint::{Document, Endpoint, document_path, endpoint_url, read_metadata};
use crate::oauth::form::{FORM, Form};
use crate::oauth::grant::Context;
use crate::oauth::reply::{covers, lacks, read_authorization, read_refusal, read_token};
use crate::oauth::shelf::Item;
use crate::oauth::url::Url;
use crate::oauth::{ClientAuth, ClientId, OauthCode, TokenType};
use crate::record::{self, Record};
use crate::time::{Now, UnixTime};
use crate::trust::Trust;

/// For errors.
const METADATA: &str = "authorization server metadata";
const AUTHORIZE: &str = "device authorization request";
const TOKEN: &str = "token request";

/// A request under way.
pub(super) struct Call {
    /// The index of the want that it is for.
    pub(super) at: usize,
    want: Want,
    stage: Stage,
    phase: Phase,
    /// The server's nonce was demanded and is used; a second demand is an error.
    renonced: bool,
    random: [u8; RANDOM],
    /// Octets of the form.
    form: usize,
    /// Octets of client identifier and secret, form-encoded, behind it: for HTTP basic authentication.
    basic: (usize, usize),
    /// Octets of the proof behind that.
    proof: usize,
}

/// The functions that make token requests. A [`TokenSource`](crate::oauth::TokenSource) gives them to the agent, so that firmware
/// that names no source has no code for it.
#[derive(Clone, Copy)]
pub struct Requests {
    pub(super) step: for<'a> fn(&'a mut Tokens, &'a Config, &'a mut Shared<'_>, Slot, Now) -> Option<Step<'a>>,
    pub(super) done: fn(&mut Tokens, &Config, &mut Shared<'_>, Now, Outcome) -> Result<(), Error>,
}

impl Requests {
    /// Those of OAuth 2.0.
    pub(crate) const OAUTH: Self = Self { step: Tokens::step, done: Tokens::done };
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Metadata(Document),
    Authorize,
    Token,
}

/// What is being done for it.
#[derive(Clone, Copy)]
enum Phase {
    /// The device key's public point: identifiers and jitter depend on it.
    Public,
    /// Read the refresh token.
    Load,
    Random,
    /// Sign the JWS whose signing input of `input` octets begins at `start` of the free area.
    Sign {
        what: Jws,
        start: usize,
        input: usize,
    },
    Ask,
    /// Store the refresh token.
    Store,
    /// Erase the refresh token that was refused.
    Forget,
}

impl Stage {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Metadata(_) => METADATA,
            Self::Authorize => AUTHORIZE,
            Self::Token => TOKEN,
        }
    }

    const fn endpoint(self) -> Endpoint {
        match self {
            Self::Authorize => Endpoint::DeviceAuthorization,
            Self::Metadata(_) | Self::Token => Endpoint::Token,
        }
    }
}

impl Call {
    pub(super) const fn new(at: usize, want: Want) -> Self {
        Self {
            at,
            want,
            stage: Stage::Token,
            phase: Phase::Public,
            renonced: false,
            random: [0; RANDOM],
            form: 0,
            basic: (0, 0),
            proof: 0,
        }
    }

    /// What makes it.
    fn requests(&self) -> Requests {
        self.want.source.requests()
    }

    /// What is exchanged; `free` is behind the kept items.
    fn request<'a>(&'a self, endpoints: &'a [u8], free: &'a [u8], path: &'a mut Path, with: With<'a>) -> Request<'a> {
        let provider = self.want.source.provider();
        let mut request = Request {
            purpose: self.stage.purpose(),
            method: Method::Get,
            host: "",
            port: 443,
            path: "/",
            accept: "application/json",
            content_type: "",
            base64: false,
            authorization: Authorization::None,
            proof: None,
            body: &[],
            trust: with.trust,
            judge: with.judge,
            client: None,
        };
        if let Stage::Metadata(document) = self.stage {
            // both were checked when the stage began
            if let Ok(url) = Url::parse(METADATA, provider.issuer)
                && document_path(&url, document, path).is_ok()
            {
                (request.host, request.port, request.path) = (url.host, url.port, path.as_str());
            }
            return request;
        }
        let url = endpoint_url(endpoints, self.stage.endpoint());
        if let Some(Ok(url)) = url.map(|url| Url::parse(TOKEN, url)) {
            (request.host, request.port, request.path) = (url.host, url.port, url.target());
        }
        let text = |from: usize, length: usize| {
            let octets = free.get(from..from.saturating_add(length)).unwrap_or_default();
            core::str::from_utf8(octets).unwrap_or_default()
        };
        let (user, password) = self.basic;
        let (user_at, password_at) = (self.form, self.form.saturating_add(user));
        let proof_at = password_at.saturating_add(password);
        request.method = Method::Post;
        request.content_type = FORM;
        request.body = free.get(..self.form).unwrap_or_default();
        if user > 0 {
            let password = Secret::new(text(password_at, password));
            request.authorization = Authorization::Basic { user: text(user_at, user), password };
        }
        if self.proof > 0 {
            request.proof = Some(text(proof_at, self.proof));
        }
        if matches!(provider.client_auth, ClientAuth::Certificate) {
            request.client = with.client;
        }
        request
    }
}

/// What a request needs beside the call.
struct With<'a> {
    trust: Trust<'a>,
    judge: crate::time::Judge,
    client: Option<ClientIdentity<'a>>,
}

impl Tokens {
    /// What makes the request under way; none if there is none.
    pub(super) fn requests(&self) -> Option<Requests> {
        self.call.as_ref().map(Call::requests)
    }

    /// The next step of the request under way; none if there is none.
    fn step<'a>(
        &'a mut self,
        config: &'a Config,
        shared: &'a mut Shared<'_>,
        slot: Slot,
        now: Now,
    ) -> Option<Step<'a>> {
        let judge = shared.judge(now);
        let call = self.call.as_mut()?;
        let Shared { memory, path, credential, anchors, public, signature, digest, .. } = shared;
        let used = self.shelf.used();
        Some(match call.phase {
            Phase::Public => Step::Public { slot, into: public },
            Phase::Load => Step::Load { record: Record::Refresh, into: memory.reply },
            Phase::Random => Step::Random { into: &mut call.random },
            Phase::Sign { .. } => Step::Sign { slot, digest, into: signature },
            Phase::Store => {
                // written anew each time: sealing happens in place
                let (items, free) = self.shelf.split(memory.tokens);
                let token = self.shelf.text(items, Item::Refresh).unwrap_or_default();
                let length = record::write_refresh(&owner(config, call), token, free).unwrap_or(0);
                Step::StoreSealed { record: Record::Refresh, octets: free, length }
            }
            Phase::Forget => Step::Erase { record: Record::Refresh },
            Phase::Ask => {
                let fetched = memory.anchors.get(..*anchors).unwrap_or_default();
                let with = With {
                    trust: Trust::Anchors(crate::trust::Anchors { configured: config.anchors, fetched }),
                    judge,
                    client: super::client_of(memory.credential.get(..*credential), slot),
                };
                let (items, free) = memory.tokens.split_at_checked(used).unwrap_or_default();
                let endpoints = self.shelf.get(items, Item::Endpoints);
                let request = call.request(endpoints, free, path, with);
                Step::Exchange { request, into: memory.reply, nonce: &mut self.nonce }
            }
        })
    }

    /// Takes the outcome of a step. An error has ended the request; the want waits before the next.
    fn done(&mut self, config: &Config, shared: &mut Shared<'_>, now: Now, outcome: Outcome) -> Result<(), Error> {
        let Some(mut call) = self.call.take() else { return Err(WRONG_OUTCOME) };
        let at = call.at;
        let next = match (call.phase, outcome) {
            (Phase::Store, Outcome::Failed(failure)) => {
                // the access token came all the same; without the refresh token in flash a reboot asks a person again
                return Err(failure.error);
            }
            (_, Outcome::Failed(failure)) => Err(failure.error),
            (phase, outcome) => self.advance(&mut call, config, shared, now, phase, outcome),
        };
        match next {
            Ok(Some(phase)) => {
                call.phase = phase;
                self.call = Some(call);
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                let transient = match outcome {
                    Outcome::Failed(failure) => matches!(failure.cause, super::step::Cause::Transient),
                    Outcome::Reply(reply) => reply.status >= 500,
                    _ => false,
                };
                let (device, wall) = (shared.device, self.time(shared, now));
                let asked = match outcome {
                    Outcome::Reply(reply) if matches!(reply.status, 429 | 503) => Some(reply.retry_after),
                    _ => None,
                };
                self.failed(
                    at,
                    error,
                    |backoff| match asked {
                        Some(asked) => backoff.as_asked(asked, Some(wall), &device),
                        None => backoff.after_failure(!transient, &device),
                    },
                    now,
                );
                Err(error)
            }
        }
    }

    /// The next phase; none if the request is done.
    fn advance(
        &mut self,
        call: &mut Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
        phase: Phase,
        outcome: Outcome,
    ) -> Result<Option<Phase>, Error> {
        let source = call.want.source;
        Ok(Some(match (phase, outcome) {
            (Phase::Public, Outcome::Done) if source.grant().keeps_refresh() && !self.refresh_loaded => Phase::Load,
            (Phase::Public, Outcome::Done) => self.plan(call, shared, now)?,
            (Phase::Load, Outcome::Loaded(_) | Outcome::Absent) => {
                self.refresh_loaded = true;
                if let Outcome::Loaded(length) = outcome {
                    let octets = shared.memory.reply.get(..length).unwrap_or_default();
                    match record::read_refresh(&owner(config, call), octets) {
                        Ok(Some(token)) => {
                            self.shelf.put(shared.memory.tokens, Item::Refresh, |room| copy(token, room))?;
                        }
                        Err(newer @ Error::Newer { .. }) => return Err(newer),
                        // of another server, or damaged: the grant starts over
                        Ok(None) | Err(_) => {}
                    }
                }
                self.plan(call, shared, now)?
            }
            (Phase::Random, Outcome::Done) => self.compose(call, config, shared, now)?,
            (Phase::Sign { what, start, input }, Outcome::Done) => {
                let used = self.shelf.used();
                let free = shared.memory.tokens.get_mut(used..).unwrap_or_default();
                let room = free.get_mut(start..).unwrap_or_default();
                let length = crate::jose::jws::finish(room, input, &shared.signature)?;
                match what {
                    Jws::Proof => call.proof = length,
                    Jws::Grant | Jws::Client => call.form = start.saturating_add(length),
                }
                self.sign_after(Some(what), call, config, shared, now)?
            }
            (Phase::Ask, Outcome::Reply(reply)) => {
                if let Some(date) = reply.date {
                    self.told = Some((now.mono, date));
                }
                return self.reply(call, config, shared, now, &reply);
            }
            (Phase::Store, Outcome::Done) => return Ok(None),
            (Phase::Forget, Outcome::Done) => self.plan(call, shared, now)?,
            _ => return Err(WRONG_OUTCOME),
        }))
    }

    /// What to ask next, and what that takes first.
    fn plan(&mut self, call: &mut Call, shared: &mut Shared<'_>, now: Now) -> Result<Phase, Error> {
        let source = call.want.source;
        let provider = source.provider();
        if self.issuer != provider.issuer || self.shelf.get(shared.memory.tokens, Item::Endpoints).is_empty() {
            let url = Url::parse("`issuer` of the token source", provider.issuer)?;
            document_path(&url, Document::OAuth, &mut shared.path)?;
            call.stage = Stage::Metadata(Document::OpenId);
            return Ok(Phase::Ask);
        }
        let waiting = self.shelf.text(shared.memory.tokens, Item::DeviceCode).is_some() && now.mono < self.code_until;
        let refresh = self.shelf.text(shared.memory.tokens, Item::Refresh).is_some();
        let authorize = source.grant().needs_person() && !refresh && !waiting;
        call.stage = if authorize { Stage::Authorize } else { Stage::Token };
        let endpoints = self.shelf.get(shared.memory.tokens, Item::Endpoints);
        if endpoint_url(endpoints, call.stage.endpoint()).is_none() {
            return Err(Error::Malformed { what: METADATA, problem: "it lacks the endpoint that this grant needs" });
        }
        Ok(Phase::Random)
    }

    /// Writes the form up to the first signature.
    fn compose(&mut self, call: &mut Call, config: &Config, shared: &mut Shared<'_>, now: Now) -> Result<Phase, Error> {
        (call.form, call.basic, call.proof) = (0, (0, 0), 0);
        let source = call.want.source;
        let grant = source.grant();
        let subject = match grant.subject() {
            Some(source) => {
                let token = self.token(&Want { source, scope: source.scope() }, shared.memory.tokens, now);
                Some(token.ok_or(Error::Misuse("token exchange: its subject token is missing"))?.place)
            }
            None => None,
        };
        let provider = source.provider();
        let client_id = client_id(config, provider.client_id)?;
        let time = self.time(shared, now);
        let (items, free) = self.shelf.split(shared.memory.tokens);
        let asking = call.stage == Stage::Token;
        let refresh = self.shelf.text(items, Item::Refresh).filter(|_| asking && grant.keeps_refresh());
        let context = Context {
            scope: call.want.scope,
            resource: source.resource(),
            refresh,
            device_code: self.shelf.text(items, Item::DeviceCode).filter(|_| asking),
            subject: subject.and_then(|at| self.shelf.text(items, Item::Access(at))),
        };
        let client = Client {
            id: client_id,
            provider: &provider,
            token_endpoint: "",
            public: &shared.public,
            certificate: &[],
            random: &call.random,
            now: time,
        };
        let mut form = Form::new(free);
        grant.form(&context, &mut form);
        client.fields(&mut form);
        let length = form.finish()?;
        let basic = match &provider.client_auth {
            ClientAuth::SecretBasic(secret) => client.basic(secret, free.get_mut(length..).unwrap_or_default())?,
            _ => (0, 0),
        };
        (call.form, call.basic) = (length, basic);
        self.sign_after(None, call, config, shared, now)
    }

    /// Writes the signing input of the JWS that comes after `last`, and gives the phase that signs it; else the one that asks.
    fn sign_after(
        &mut self,
        mut last: Option<Jws>,
        call: &mut Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
    ) -> Result<Phase, Error> {
        let source = call.want.source;
        let provider = source.provider();
        let time = self.time(shared, now);
        let Shared { memory, credential, public, digest, .. } = shared;
        let (items, free) = self.shelf.split(memory.tokens);
        let certificate = memory.credential.get(..*credential);
        let client = Client {
            id: client_id(config, provider.client_id)?,
            provider: &provider,
            token_endpoint: endpoint_url(self.shelf.get(items, Item::Endpoints), Endpoint::Token).unwrap_or_default(),
            public,
            certificate: super::client_of(certificate, Slot::A).map_or(&[], |client| client.certificate),
            random: &call.random,
            now: time,
        };
        let grant = source.grant();
        let asking = call.stage == Stage::Token;
        while let Some(what) = Jws::after(last) {
            last = Some(what);
            let at = match what {
                Jws::Proof => call.form.saturating_add(call.basic.0).saturating_add(call.basic.1),
                Jws::Grant | Jws::Client => call.form,
            };
            let room = free.get_mut(at..).unwrap_or_default();
            let (skip, input) = match (what, &provider.client_auth) {
                (Jws::Grant, _) if asking && grant.asserts() => {
                    client.grant_assertion(grant.asserted_subject().unwrap_or(client.id), call.want.scope, room)?
                }
                (Jws::Client, ClientAuth::PrivateKeyJwt(key)) => client.assertion(*key, room)?,
                (Jws::Client, ClientAuth::SecretJwt(secret)) => {
                    call.form = call.form.saturating_add(client.secret_assertion(secret, room)?);
                    continue;
                }
                (Jws::Proof, _) if asking && provider.dpop => (0, client.proof(self.nonce.get(), room)?),
                _ => continue,
            };
            let start = at.saturating_add(skip);
            *digest = sha256(free.get(start..start.saturating_add(input)).unwrap_or_default());
            return Ok(Phase::Sign { what, start, input });
        }
        Ok(Phase::Ask)
    }

    /// Wall time for what the server judges: its own clock, if it told; else the device's.
    pub(super) fn time(&self, shared: &Shared<'_>, now: Now) -> UnixTime {
        match self.told {
            Some((at, told)) => UnixTime(told.0.saturating_add(now.mono.0.saturating_sub(at.0) / 1000)),
            None => shared.judge(now).at_least(),
        }
    }

    fn reply(
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
                self.issuer = "";
                self.shelf.put(memory.tokens, Item::Endpoints, |room| read_metadata(&provider, body, room))?;
                self.issuer = provider.issuer;
                self.plan(call, shared, now).map(Some)
            }
            (Stage::Metadata(Document::OpenId), 400..=499) if reply.status != 429 => {
                call.stage = Stage::Metadata(Document::OAuth);
                Ok(Some(Phase::Ask))
            }
            (Stage::Authorize, 200) => self.authorized(call, shared, now, reply),
            (Stage::Token, 200) => self.granted(call, config, shared, now, reply),
            _ => self.denied(call, shared, now, reply),
        }
    }

    /// A device authorization reply: what the person is shown is kept, and the token is asked for after the interval.
    fn authorized(
        &mut self,
        call: &mut Call,
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
        call.stage = Stage::Token;
        call.renonced = false;
        self.wait_for_person(call, now);
        Ok(Some(Phase::Public))
    }

    fn wait_for_person(&mut self, call: &Call, now: Now) {
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
        self.shelf.remove(memory.tokens, Item::DeviceCode);
        self.shelf.remove(memory.tokens, Item::UserCode);
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
        let wanted = record::write_refresh(&owner(config, call), token, free)?.saturating_add(SEAL_OVERHEAD);
        if free.len() < wanted {
            return Err(Error::NoSpace { what, wanted });
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
        match code {
            OauthCode::UseDpopNonce if !call.renonced && self.nonce.get().is_some() => {
                call.renonced = true;
                Ok(Some(Phase::Random))
            }
            OauthCode::AuthorizationPending | OauthCode::SlowDown if now.mono < self.code_until => {
                if code == OauthCode::SlowDown {
                    // RFC 8628 §3.5: for this and all later requests
                    self.interval = self.interval.saturating_add(5);
                }
                call.renonced = false;
                self.wait_for_person(call, now);
                Ok(Some(Phase::Public))
            }
            OauthCode::InvalidGrant if self.shelf.text(tokens, Item::Refresh).is_some() => {
                self.shelf.remove(tokens, Item::Refresh);
                Ok(Some(Phase::Forget))
            }
            OauthCode::InvalidGrant | OauthCode::ExpiredToken | OauthCode::AccessDenied => {
                self.shelf.remove(tokens, Item::DeviceCode);
                self.shelf.remove(tokens, Item::UserCode);
                Err(error)
            }
            _ => Err(error),
        }
    }
}

/// The client identifier.
fn client_id(config: &Config, id: ClientId) -> Result<&str, Error> {
    let id = match id {
        ClientId::CommonName => config.subject.common_name,
        ClientId::Fixed(id) => id,
    };
    if id.is_empty() {
        return Err(Error::Misuse("token source: no client identifier; set `client_id` or the subject's common name"));
    }
    Ok(id)
}

/// Names whose refresh token it is: a firmware with another issuer or client must not send it there.
fn owner(config: &Config, call: &Call) -> Digest {
    let provider = call.want.source.provider();
    let mut hash = crate::crypto::Sha256::new();
    hash.update(provider.issuer.as_bytes());
    hash.update(&[0]);
    hash.update(client_id(config, provider.client_id).unwrap_or_default().as_bytes());
    hash.finish()
}

fn copy(text: &str, room: &mut [u8]) -> Result<usize, Error> {
    let no_space = Error::NoSpace { what: "a refresh token; `Memory`'s TOKENS", wanted: text.len() };
    let room = room.get_mut(..text.len()).ok_or(no_space)?;
    room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    Ok(text.len())
}
