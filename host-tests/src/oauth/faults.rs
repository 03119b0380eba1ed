//! Misbehaviour: a reply in place of the right one, or the right one spoilt.

use crate::est_options::RetryAfter;
use crate::http::HttpResponse;
use crate::oauth::json;
use crate::oauth::options::AuthFault;
use crate::oauth::problem::Problem;
use crate::oauth::server::{Ask, AuthServer};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

const PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Gateway</title></head><body><h1>Something went wrong</h1></body></html>\n";

impl AuthServer {
    /// The response a fault puts in place of the real one.
    pub(crate) fn instead(&mut self, fault: &AuthFault, ask: &Ask<'_>) -> Option<HttpResponse> {
        Some(match fault {
            AuthFault::Html(status) => HttpResponse { status: *status, body: PAGE.into(), ..HttpResponse::default() }
                .with("Content-Type", "text/html; charset=utf-8"),
            AuthFault::Empty(status) => HttpResponse::status(*status),
            AuthFault::Error(status, error) => {
                let mut problem = Problem::new(error, "injected");
                if *status == 401 {
                    problem = problem.with("WWW-Authenticate", "Basic realm=\"token\"");
                }
                problem.status = *status;
                problem.response()
            }
            AuthFault::Busy(status, when) => {
                let response = HttpResponse::text(*status, "Busy.\n");
                match when {
                    RetryAfter::Seconds(seconds) => response.with("Retry-After", &seconds.to_string()),
                    RetryAfter::Date(seconds) => {
                        let date = UNIX_EPOCH + Duration::from_secs(ask.now + seconds);
                        response.with("Retry-After", &httpdate::fmt_http_date(date))
                    }
                    RetryAfter::Missing => response,
                }
            }
            AuthFault::Redirect => {
                HttpResponse::status(302).with("Location", "https://elsewhere.example/.well-known/openid-configuration")
            }
            AuthFault::DemandNonce => {
                let nonce = self.judge.nonces.renew(ask.now);
                Problem::new("use_dpop_nonce", "injected").with("DPoP-Nonce", &nonce).response()
            }
            _ => return None,
        })
    }

    /// The right response, spoilt.
    pub(crate) fn spoil(&self, fault: &AuthFault, mut response: HttpResponse) -> HttpResponse {
        match fault {
            AuthFault::NoContentType => response.headers.retain(|(name, _)| name != "Content-Type"),
            AuthFault::WrongContentType => {
                response.headers.retain(|(name, _)| name != "Content-Type");
                return response.with("Content-Type", "text/html");
            }
            AuthFault::Member(name, text) => {
                rewrite(&mut response, |members| drop(members.remove(*name)));
                if let Some(text) = text {
                    append(&mut response, name, text);
                }
            }
            AuthFault::Twice(name, text) => append(&mut response, name, text),
            AuthFault::Unknown => rewrite(&mut response, |members| {
                let known = core::mem::take(members);
                // serde_json keeps members in alphabetical order: these come before, between and after
                for name in ["aa_unknown", "mm_unknown", "zz_unknown"] {
                    members.insert(name.into(), nested());
                }
                members.extend(known);
            }),
            AuthFault::OtherIssuer => append_instead(&mut response, "issuer", "\"https://elsewhere.example\""),
            AuthFault::EndpointsAt(origin) => rewrite(&mut response, |members| {
                for (name, value) in
                    members.iter_mut().filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
                {
                    let path = value.as_str().map_or("", |url| crate::oauth::server::split(url).1);
                    debug_assert!(!path.is_empty(), "{name}");
                    *value = format!("{origin}{path}").into();
                }
            }),
            AuthFault::Truncated => response.body.truncate(response.body.len() * 2 / 3),
            AuthFault::Delivery(delivery) => response.delivery = *delivery,
            _ => {}
        }
        response
    }
}

fn rewrite(response: &mut HttpResponse, change: impl FnOnce(&mut json::Object)) {
    if let Ok(mut members) = json::object(&response.body) {
        change(&mut members);
        response.body = Value::Object(members).to_string().into_bytes();
    }
}

/// One more member, last, as the JSON text given, even if it is no JSON.
fn append(response: &mut HttpResponse, name: &str, text: &str) {
    if response.body.pop() == Some(b'}') {
        let comma = if response.body.len() > 1 { "," } else { "" };
        response.body.extend(format!("{comma}\"{name}\":{text}}}").bytes());
    }
}

fn append_instead(response: &mut HttpResponse, name: &str, text: &str) {
    rewrite(response, |members| drop(members.remove(name)));
    append(response, name, text);
}

/// Some 10 KB of nested lists, objects, escapes and numbers, among them members with names a reader looks for.
fn nested() -> Value {
    let leaf = json!({
        "access_token": "not this one",
        "token_type": ["mac", { "expires_in": 1e300, "scope": null }],
        "text": "\u{1F511} \"quoted\" \\ back\u{0007}",
        "number": -12.5e-7,
        "flags": [true, false, null, [], {}],
    });
    let deep = (0..12).fold(leaf.clone(), |inner, depth| json!({ "depth": depth, "inner": [inner] }));
    Value::Array(core::iter::repeat_n(leaf, 56).chain([deep]).collect())
}
