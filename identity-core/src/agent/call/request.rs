//! What is exchanged: which endpoint, and the parts of the request where [`super::compose`] has written them.

use super::{AUTHORIZE, Call, INTROSPECT, KEYS, METADATA, REVOKE, TOKEN};
use crate::agent::step::{Authorization, ClientIdentity, Method, Request};
use crate::config::Secret;
use crate::enrol::Path;
use crate::oauth::ClientAuth;
use crate::oauth::endpoint::{Document, Endpoint, document_path, endpoint_url};
use crate::oauth::form::FORM;
use crate::oauth::shelf::Item;
use crate::oauth::url::Url;
use crate::trust::Trust;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Metadata(Document),
    Authorize,
    Token,
    /// Of the refresh token or an access token.
    Revoke(Item),
    Introspect(Item),
    Keys,
}

impl Stage {
    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Metadata(_) => METADATA,
            Self::Authorize => AUTHORIZE,
            Self::Token => TOKEN,
            Self::Revoke(_) => REVOKE,
            Self::Introspect(_) => INTROSPECT,
            Self::Keys => KEYS,
        }
    }

    pub(super) const fn endpoint(self) -> Endpoint {
        match self {
            Self::Authorize => Endpoint::DeviceAuthorization,
            Self::Metadata(_) | Self::Token => Endpoint::Token,
            Self::Revoke(_) => Endpoint::Revocation,
            Self::Introspect(_) => Endpoint::Introspection,
            Self::Keys => Endpoint::Jwks,
        }
    }
}

impl Call {
    /// What is exchanged; `free` is behind the kept items.
    pub(super) fn request<'a>(
        &'a self,
        endpoints: &'a [u8],
        free: &'a [u8],
        path: &'a mut Path,
        with: With<'a>,
    ) -> Request<'a> {
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
        if self.stage == Stage::Keys {
            return request;
        }
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
pub(super) struct With<'a> {
    pub(super) trust: Trust<'a>,
    pub(super) judge: crate::time::Judge,
    pub(super) client: Option<ClientIdentity<'a>>,
}
