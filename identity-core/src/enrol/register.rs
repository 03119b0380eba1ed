//! Enrolment without a CA: the device registers itself as a client of an authorization server (RFC 7591), and keeps that
//! registration (RFC 7592).
//!
//! ```text
//! first:   recall ─none─▶ metadata ──▶ key ──▶ POST ──▶ store registration ──▶ store client id and key ──▶ commit
//!            └───found──▶ key ──▶ PUT ──────────▶┘  401, 404: as if none were found
//! renewal: recall ──▶ new key ──▶ PUT with both keys ──▶ store registration ──▶ … ──▶ commit ──▶ destroy the old key
//! ```
//!
//! A power cut between the server's reply to POST and the store of it leaves one registration at the server that nobody
//! manages: the next boot registers again. A cut anywhere else leaves none. PUT names the live key as well, so a cut in the
//! middle of a renewal leaves a client that works with the old key; if the server replaced the registration access token by a
//! reply that was lost, the next renewal registers anew.

use super::{Applicant, Context, Enrol, Manage, Next, Path, Stage};
use crate::Error;
use crate::agent::step::{Authorization, Method, Reply, Request};
use crate::config::Secret;
use crate::crypto::sha256;
use crate::jose::jwk;
use crate::keys::{Digest, PublicKey};
use crate::oauth::endpoint::{Document, Endpoint, URL, document_path, keep, read_endpoint};
use crate::oauth::reply::{json_of, read_refusal};
use crate::oauth::url::Url;
use crate::oauth::{ClientAuth, ClientCredentials, ClientId, KeyId, Provider, TokenSource, Words};
use crate::record::{self, Credential};
use crate::trust::Trust;
use crate::wire::json::{self, Text, Writer};

/// An authorization server that registers clients. The device proves itself there by private_key_jwt with its key, named by
/// thumbprint (RFC 7638): the profile's token source takes [`ClientId::Registered`] and [`KeyId::Thumbprint`].
#[derive(Clone, Copy)]
pub struct Register {
    /// Issuer identifier: an https URL; the metadata must carry the same octets (RFC 8414 §3.3).
    pub issuer: &'static str,
    /// Hosts, beside the issuer's, on which its endpoints may be.
    pub hosts: &'static [&'static str],
    /// What lets the device register (RFC 7591 §1.2), where not everybody may.
    pub initial_access_token: Option<Secret<'static>>,
    /// `scope`: what the client may ask tokens for; space-separated, may be empty.
    pub scope: &'static str,
    /// `grant_types`
    pub grant_types: &'static [&'static str],
    /// `dpop_bound_access_tokens`: the client always sends proofs (RFC 9449 §5.2).
    pub dpop: bool,
    /// What the device runs, if the server wants to know.
    pub software: Option<Software>,
    /// What else the server demands of a client (RFC 7591 §2): members of JSON with commas between, such as
    /// `"subject_type":"public"`, sent as they stand; may be empty. None may be one that is sent anyway.
    pub further: &'static str,
    /// Days after which a new key takes the place of the registered one; none: never.
    pub rotate_after_days: Option<u16>,
}

/// What the device runs (RFC 7591 §2, §2.3).
#[derive(Clone, Copy)]
pub struct Software {
    /// `software_id`: the same for all devices with this firmware and its later versions.
    pub id: &'static str,
    /// `software_version`
    pub version: &'static str,
    /// `software_statement`: a JWT of the maker, if the server wants one.
    pub statement: Option<&'static str>,
}

impl Register {
    /// Defaults, for `..`: anybody may register, for client credentials, and the key stays.
    pub const DEFAULT: Self = Self {
        issuer: "",
        hosts: &[],
        initial_access_token: None,
        scope: "",
        grant_types: &["client_credentials"],
        dpop: false,
        software: None,
        further: "",
        rotate_after_days: None,
    };

    fn provider(&self) -> Provider {
        Provider {
            issuer: self.issuer,
            hosts: self.hosts,
            client_id: ClientId::Registered,
            client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
            ..ClientCredentials::DEFAULT.provider()
        }
    }

    fn owner(&self) -> Digest {
        sha256(self.issuer.as_bytes())
    }
}

const FURTHER: Error =
    Error::Misuse("registration: `further` of `Register` is not JSON members, or has one that is sent anyway");

/// Never asked: what to do with the registration that was recalled.
const ENROL: Stage = Stage(0);
const OPENID: Stage = Stage(1);
const OAUTH: Stage = Stage(2);
const REGISTER: Stage = Stage(3);
const UPDATE: Stage = Stage(4);
const READ: Stage = Stage(5);
const DELETE: Stage = Stage(6);

const fn purpose(stage: Stage) -> &'static str {
    match stage {
        OPENID | OAUTH => "authorization server metadata",
        UPDATE => "client registration update",
        READ => "client registration read",
        DELETE => "client registration delete",
        _ => "client registration",
    }
}

impl Enrol for Register {
    fn start(&self, context: &Context<'_>) -> Result<Next, Error> {
        let url = Url::parse("`issuer` of `Register`", self.issuer)?;
        for document in [Document::OpenId, Document::OAuth] {
            document_path(&url, document, &mut Path::new())?;
        }
        if context.anchors.is_empty() {
            return Err(Error::Misuse("registration: no trust anchor; set `Config::anchors`"));
        }
        Ok(Next::Recall(ENROL))
    }

    fn manage(&self, what: Manage) -> Result<Next, Error> {
        Ok(Next::Recall(match what {
            Manage::Read => READ,
            Manage::Delete => DELETE,
        }))
    }

    fn recall(&self, stage: Stage, octets: &[u8]) -> Result<Next, Error> {
        let found = match octets {
            [] => None,
            _ => match record::read_registration(octets) {
                Err(newer @ Error::Newer { .. }) => return Err(newer),
                // damaged: as if it were not there
                found => found
                    .ok()
                    .filter(|found| *found.issuer == self.owner() && !found.uri.is_empty() && !found.token.is_empty()),
            },
        };
        let length = octets.len();
        match (stage, found) {
            (ENROL, Some(_)) => Ok(Next::Compose { length, key: true, then: UPDATE }),
            (ENROL, None) => Ok(Next::Ask(OPENID)),
            (_, Some(_)) => Ok(Next::Compose { length, key: false, then: stage }),
            (DELETE, None) => Ok(Next::Gone),
            (_, None) => Err(Error::Stored {
                what: "client registration",
                problem: "there is none that can be managed; the server gave no registration_client_uri, or it was lost",
            }),
        }
    }

    fn compose(&self, stage: Stage, device: &Applicant<'_>, body: &[u8], into: &mut [u8]) -> Result<usize, Error> {
        let mut room = [0; URL + 1];
        let (uri, token, id) = match stage {
            REGISTER => {
                let length = read_endpoint(&self.provider(), body, Endpoint::Registration, &mut room)?;
                let url = room.get(1..length).and_then(|url| core::str::from_utf8(url).ok());
                (url.unwrap_or_default(), "", "")
            }
            _ => {
                let kept = record::read_registration(body)?;
                (kept.uri, kept.token, kept.id)
            }
        };
        let head = write_head([uri, token, id], into)?;
        if !matches!(stage, REGISTER | UPDATE) {
            return Ok(head);
        }
        let mut out = Writer::new(into.get_mut(head..).unwrap_or_default());
        self.metadata(&mut out, device, id);
        let no_space = |wanted: usize| {
            let wanted = wanted.saturating_add(head);
            Error::NoSpace { what: "the client registration (memory::REQUEST)", wanted }
        };
        let used = out.used();
        let body = out.finish("").map_err(|_| no_space(used))?;
        json::object("", body).and_then(|body| body.unique("")).map_err(|_| FURTHER)?;
        Ok(head.saturating_add(used))
    }

    fn request<'a>(&'a self, stage: Stage, context: &Context<'a>, path: &'a mut Path) -> Request<'a> {
        let ([uri, token, _], body) = read_head(context.csr).unwrap_or_default();
        // both were checked when they were written
        let url = match stage {
            OPENID | OAUTH => Url::parse("", self.issuer),
            _ => Url::parse("", uri),
        };
        let url = url.unwrap_or(Url { host: "", port: 443, path: "" });
        let target = match stage {
            OPENID | OAUTH => {
                let document = if stage == OPENID { Document::OpenId } else { Document::OAuth };
                if document_path(&url, document, path).is_err() {
                    path.clear(); // not reached: start() tried it
                }
                path.as_str()
            }
            _ => url.target(),
        };
        let method = match stage {
            REGISTER => Method::Post,
            UPDATE => Method::Put,
            DELETE => Method::Delete,
            _ => Method::Get,
        };
        let writes = matches!(method, Method::Post | Method::Put);
        Request {
            purpose: purpose(stage),
            method,
            host: url.host,
            port: url.port,
            path: target,
            accept: "application/json",
            content_type: if writes { "application/json" } else { "" },
            base64: false,
            authorization: match (stage, self.initial_access_token) {
                (REGISTER, Some(token)) => Authorization::Bearer(token),
                (UPDATE | READ | DELETE, _) => Authorization::Bearer(Secret::new(token)),
                _ => Authorization::None,
            },
            proof: None,
            body: if writes { body } else { &[] },
            trust: Trust::Anchors(context.anchors),
            judge: context.judge,
            client: None,
        }
    }

    fn reply(&self, stage: Stage, context: &Context<'_>, reply: &Reply, body: &mut [u8]) -> Result<Next, Error> {
        let by = purpose(stage);
        match (stage, reply.status) {
            (OPENID | OAUTH, 200) => {
                let metadata = body.get(..reply.length).unwrap_or_default();
                let mut room = [0; URL + 1];
                if read_endpoint(&self.provider(), metadata, Endpoint::Registration, &mut room)? <= 1 {
                    let problem = "it has no registration_endpoint; enable dynamic client registration at the server";
                    return Err(Error::Malformed { what: by, problem });
                }
                Ok(Next::Compose { length: reply.length, key: true, then: REGISTER })
            }
            (OPENID, 400..=499) if reply.status != 429 => Ok(Next::Ask(OAUTH)),
            (REGISTER, 200 | 201) | (UPDATE | READ, 200) => self.registered(by, context, reply, body),
            // the server knows it no more, or has replaced the token by a reply that was lost
            (UPDATE, 401 | 404) => Ok(Next::Ask(OPENID)),
            (DELETE, 200 | 204 | 401 | 404) => Ok(Next::Gone),
            (REGISTER, code @ (401 | 403)) => Err(Error::Refused {
                by,
                code,
                hint: "it does not let the device register; check `initial_access_token`: wrong, expired or used up",
            }),
            (_, code @ (429 | 503)) if reply.retry_after.is_some() => Ok(Next::Later {
                retry_after: reply.retry_after,
                stage,
                why: Error::Refused { by, code, hint: "it is busy; the device asks again when the server said" },
            }),
            // the agent keeps its words
            _ => Err(read_refusal(by, reply, body, &mut Words::NONE.clone())),
        }
    }

    fn words(&self, reply: &Reply, body: &[u8], words: &mut Words) {
        let _ = read_refusal("", reply, body, words);
    }

    fn wrap_csr(&self, _buffer: &mut [u8], _length: usize) -> Result<usize, Error> {
        Err(Error::Misuse("registration: there is no CSR"))
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.client.is_some_and(|client| *client.issuer == self.owner())
    }

    fn rotate_after_days(&self) -> Option<u16> {
        self.rotate_after_days
    }
}

impl Register {
    /// Writes the client metadata (RFC 7591 §2); `id` is that of the client, empty if it is to be registered.
    fn metadata(&self, out: &mut Writer<'_>, device: &Applicant<'_>, id: &str) {
        let optional = |out: &mut Writer<'_>, name: &str, value: &str| {
            if !value.is_empty() {
                out.text(name, value);
            }
        };
        out.open_object();
        // RFC 7592 §2.2: an update names the client, and replaces everything else
        optional(out, "client_id", id);
        optional(out, "client_name", device.subject.common_name);
        out.text("token_endpoint_auth_method", "private_key_jwt");
        out.text("token_endpoint_auth_signing_alg", "ES256");
        out.array("grant_types");
        self.grant_types.iter().for_each(|grant| out.item(grant));
        out.close_array();
        // by default a client has the response type `code`, which needs redirect URIs
        for none in ["response_types", "redirect_uris"] {
            out.array(none);
            out.close_array();
        }
        optional(out, "scope", self.scope);
        if self.dpop {
            out.boolean("dpop_bound_access_tokens", true);
        }
        if let Some(software) = self.software {
            optional(out, "software_id", software.id);
            optional(out, "software_version", software.version);
            optional(out, "software_statement", software.statement.unwrap_or_default());
        }
        if !self.further.is_empty() {
            out.raw(self.further);
        }
        out.object("jwks");
        out.array("keys");
        key(out, device.key);
        if let Some(live) = &device.live {
            key(out, live);
        }
        out.close_array();
        out.close_object();
        out.close_object();
    }

    /// Makes the record of a registration of the server's reply (RFC 7591 §3.2.1, RFC 7592 §3), in place.
    fn registered(
        &self,
        by: &'static str,
        context: &Context<'_>,
        reply: &Reply,
        body: &mut [u8],
    ) -> Result<Next, Error> {
        let malformed = |problem| Error::Malformed { what: by, problem };
        let ([old_uri, old_token, old_id], _) = read_head(context.csr).unwrap_or_default();
        let (answer, free) = body.split_at_mut_checked(reply.length).unwrap_or_default();
        let answer: &[u8] = answer;
        let object = json_of(by, reply, answer)?;
        let id = object.text("client_id")?.filter(|id| !id.is("")).ok_or(malformed("it has no client_id"))?;
        if !old_id.is_empty() && !id.is(old_id) {
            return Err(malformed("its client_id is another than the device's"));
        }
        // servers without management give neither; some tell them at the registration alone
        let old = |text| Text::of(text).filter(|_| !old_id.is_empty());
        let uri = object.text("registration_client_uri")?.or(old(old_uri));
        let token = object.text("registration_access_token")?.or(old(old_token));
        if let Some(uri) = uri {
            keep(&self.provider(), "registration_client_uri", Some(uri), &mut [0; URL + 1], 0)?;
        }
        if token.is_some_and(|token| !token.octets().all(|octet| octet.is_ascii_graphic())) {
            return Err(malformed("its registration_access_token holds what no header may (RFC 6750 section 2.1)"));
        }
        let method = object.text("token_endpoint_auth_method")?;
        let flaw = method.is_some_and(|method| !method.is("private_key_jwt")).then_some(malformed(
            "the server registered another token_endpoint_auth_method than private_key_jwt; allow that one there",
        ));
        let none = Text::of("").ok_or(malformed("empty"))?;
        let parts = [id, uri.unwrap_or(none), token.unwrap_or(none)];
        let length = record::write_registration(&self.owner(), parts, free)?;
        crate::x509::der::slide(body, reply.length, 0, length);
        Ok(Next::Registered { length, flaw })
    }
}

/// Writes a public key as a member of a key set (RFC 7517 §4), named by its thumbprint.
fn key(out: &mut Writer<'_>, public: &PublicKey) {
    out.open_object();
    out.base64url("kid", &jwk::thumbprint(public));
    out.text("use", "sig");
    out.text("alg", "ES256");
    jwk::members(out, public);
    out.close_object();
}

/// What the request area holds before the body: URL, registration access token, client identifier; two octets of length
/// each.
type Head<'a> = [&'a str; 3];

fn write_head(parts: Head<'_>, into: &mut [u8]) -> Result<usize, Error> {
    let wanted = parts.iter().fold(6_usize, |sum, part| sum.saturating_add(part.len()));
    let no_space = Error::NoSpace { what: "the client registration (memory::REQUEST)", wanted };
    let mut places = into.get_mut(..wanted).ok_or(no_space)?.iter_mut();
    for part in parts {
        let length = u16::try_from(part.len()).map_err(|_| no_space)?;
        for octet in length.to_be_bytes().into_iter().chain(part.bytes()) {
            if let Some(place) = places.next() {
                *place = octet;
            }
        }
    }
    Ok(wanted)
}

/// Those three, and the body behind them.
fn read_head(mut octets: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let mut parts = [""; 3];
    for part in &mut parts {
        let (length, rest) = octets.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        (*part, octets) = (core::str::from_utf8(text).ok()?, rest);
    }
    Some((parts, octets))
}

#[cfg(test)]
mod tests;
