//! What a request consists of: form, client authentication, assertions, DPoP proof.

use super::{Call, Phase, Stage};
use crate::Error;
use crate::agent::tokens::{Tokens, Want};
use crate::agent::{Shared, client_of};
use crate::config::Config;
use crate::crypto::sha256;
use crate::keys::{Digest, Slot};
use crate::oauth::client::{Client, Jws};
use crate::oauth::endpoint::{Endpoint, endpoint_url};
use crate::oauth::form::Form;
use crate::oauth::grant::Context;
use crate::oauth::shelf::Item;
use crate::oauth::{ClientAuth, ClientId, Provider};
use crate::record;
use crate::time::Now;

impl Tokens {
    /// Writes the form up to the first signature.
    pub(super) fn compose(
        &mut self,
        call: &mut Call,
        config: &Config,
        shared: &mut Shared<'_>,
        now: Now,
    ) -> Result<Phase, Error> {
        (call.form, call.basic, call.proof) = (0, (0, 0), 0);
        call.written = now.mono;
        let source = call.want.source;
        let grant = source.grant();
        let subject = match grant.subject() {
            Some(source) if call.errand.is_none() => {
                let token = self.token(&Want { source, scope: source.scope() }, shared.memory.tokens, now);
                Some(token.ok_or(Error::Misuse("token exchange: its subject token is missing"))?.place)
            }
            _ => None,
        };
        let provider = source.provider();
        let time = self.time(shared, now);
        let Shared { memory, credential, .. } = shared;
        let credential = memory.credential.get(..*credential).unwrap_or_default();
        let client_id = client_id(config, credential, &provider)?;
        let (items, free) = self.shelf.split(memory.tokens);
        let asking = call.stage == Stage::Token;
        let refresh = self.shelf.text(items, Item::Refresh).filter(|_| asking && grant.keeps_refresh());
        let context = Context {
            scope: call.want.scope,
            resource: source.resource(),
            target: source.target(),
            refresh,
            device_code: self.shelf.text(items, Item::DeviceCode).filter(|_| asking && grant.needs_person()),
            subject: subject.and_then(|at| self.shelf.text(items, Item::Access(at))),
        };
        let client = Client {
            id: client_id,
            provider: &provider,
            token_endpoint: "",
            public: &self.public,
            certificate: &[],
            random: &call.random,
            now: time,
        };
        let mut form = Form::new(free);
        match call.stage {
            Stage::Revoke(item) | Stage::Introspect(item) => {
                let hint = if item == Item::Refresh { "refresh_token" } else { "access_token" };
                form.field("token", self.shelf.text(items, item).unwrap_or_default()).field("token_type_hint", hint);
            }
            _ => grant.form(&context, &mut form),
        }
        client.fields(&mut form);
        let used = items.len();
        let length = form.finish().map_err(|error| short(error, used))?;
        let basic = match &provider.client_auth {
            ClientAuth::SecretBasic(secret) => {
                let room = free.get_mut(length..).unwrap_or_default();
                client.basic(secret, room).map_err(|error| short(error, used.saturating_add(length)))?
            }
            _ => (0, 0),
        };
        (call.form, call.basic) = (length, basic);
        self.sign_after(None, call, config, shared, now)
    }

    /// Writes the signing input of the JWS that comes after `last`, and gives the phase that signs it; else the one that asks.
    pub(super) fn sign_after(
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
        let Shared { memory, credential, .. } = shared;
        let (public, digest) = (&self.public, &mut self.digest);
        let (items, free) = self.shelf.split(memory.tokens);
        let used = items.len();
        let credential = memory.credential.get(..*credential).unwrap_or_default();
        let certificate = client_of(Some(credential), Slot::A).map_or(&[][..], |client| client.certificate);
        if matches!(provider.client_auth, ClientAuth::Certificate) && certificate.is_empty() {
            return Err(Error::Misuse(
                "token source: `client_auth` is Certificate, but the device has none; enrol with a CA",
            ));
        }
        let client = Client {
            id: client_id(config, credential, &provider)?,
            provider: &provider,
            token_endpoint: endpoint_url(self.shelf.get(items, Item::Endpoints), Endpoint::Token).unwrap_or_default(),
            public,
            certificate,
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
            let short = |error| short(error, used.saturating_add(at));
            let (skip, input) = match (what, &provider.client_auth) {
                (Jws::Grant, _) if asking && grant.asserts() => {
                    let subject = grant.asserted_subject().unwrap_or(client.id);
                    client.grant_assertion(subject, call.want.scope, room).map_err(short)?
                }
                (Jws::Client, ClientAuth::PrivateKeyJwt(key)) => client.assertion(*key, room).map_err(short)?,
                (Jws::Client, ClientAuth::SecretJwt(secret)) => {
                    call.form = call.form.saturating_add(client.secret_assertion(secret, room).map_err(short)?);
                    continue;
                }
                (Jws::Proof, _) if asking && provider.dpop => (0, client.proof(self.nonce.get(), room).map_err(short)?),
                _ => continue,
            };
            let start = at.saturating_add(skip);
            *digest = sha256(free.get(start..start.saturating_add(input)).unwrap_or_default());
            return Ok(Phase::Sign { what, start, input });
        }
        Ok(Phase::Ask)
    }
}

/// Says what does not fit, and how much all must hold: `before` octets lie in front of what was being written.
const fn short(error: Error, before: usize) -> Error {
    match error {
        Error::NoSpace { wanted, .. } => {
            Error::NoSpace { what: "a token request; `Memory`'s TOKENS", wanted: wanted.saturating_add(before) }
        }
        error => error,
    }
}

/// The client identifier.
fn client_id<'a>(config: &Config, credential: &'a [u8], provider: &Provider) -> Result<&'a str, Error> {
    let id = match provider.client_id {
        ClientId::CommonName => config.subject.common_name,
        ClientId::Fixed(id) => id,
        ClientId::Registered => {
            let client = record::read_credential(credential).ok().and_then(|credential| credential.client);
            let client = client.filter(|client| *client.issuer == sha256(provider.issuer.as_bytes()));
            client.map(|client| client.id).ok_or(Error::Misuse(
                "token source: `client_id` is Registered, but the device is not registered at this issuer; use `Register`",
            ))?
        }
    };
    if id.is_empty() {
        return Err(Error::Misuse("token source: no client identifier; set `client_id` or the subject's common name"));
    }
    Ok(id)
}

/// Names whose refresh token it is: a firmware with another issuer or client must not send it there.
pub(super) fn owner(config: &Config, credential: &[u8], call: &Call) -> Digest {
    let provider = call.want.source.provider();
    let mut hash = crate::crypto::Sha256::new();
    hash.update(provider.issuer.as_bytes());
    hash.update(&[0]);
    hash.update(client_id(config, credential, &provider).unwrap_or_default().as_bytes());
    hash.finish()
}
