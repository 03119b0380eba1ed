//! Error replies (RFC 6749 §5.2, RFC 6750 §3, RFC 7591 §3.2.2).

use crate::http::HttpResponse;
use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) error: String,
    pub(crate) description: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Problem {
    /// 400 with an error code.
    pub(crate) fn new(error: &str, description: impl Into<String>) -> Self {
        Self { status: 400, error: error.into(), description: description.into(), headers: Vec::new() }
    }

    /// `invalid_request`.
    pub(crate) fn request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// `invalid_grant`.
    pub(crate) fn grant(description: impl Into<String>) -> Self {
        Self::new("invalid_grant", description)
    }

    /// `invalid_client`: 401, and a challenge, which RFC 9110 §15.5.2 wants with every 401.
    pub(crate) fn client(description: impl Into<String>) -> Self {
        let mut problem = Self::new("invalid_client", description).with("WWW-Authenticate", "Basic realm=\"token\"");
        problem.status = 401;
        problem
    }

    /// 401 to a bearer of a token that is no good (RFC 6750 §3.1), or to someone without any.
    pub(crate) fn bearer(given: bool, description: impl Into<String>) -> Self {
        let description = description.into();
        let challenge = if given {
            format!("Bearer realm=\"register\", error=\"invalid_token\", error_description=\"{}\"", plain(&description))
        } else {
            "Bearer realm=\"register\"".into()
        };
        let mut problem = Self::new("invalid_token", description).with("WWW-Authenticate", &challenge);
        problem.status = 401;
        problem
    }

    /// This refusal with one more header field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn response(&self) -> HttpResponse {
        let body = json!({ "error": self.error, "error_description": plain(&self.description) });
        self.headers.iter().fold(reply(self.status, &body), |response, (name, value)| response.with(name, value))
    }
}

/// RFC 6749 §5.2: no quotation mark, no backslash, printable ASCII only.
pub(crate) fn plain(text: &str) -> String {
    let change = |c| match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(change).collect()
}

/// JSON that nobody may keep (RFC 6749 §5.1).
pub(crate) fn reply(status: u16, body: &Value) -> HttpResponse {
    HttpResponse { status, body: body.to_string().into_bytes(), ..HttpResponse::default() }
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store")
        .with("Pragma", "no-cache")
}
