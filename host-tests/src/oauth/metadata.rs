//! Metadata (RFC 8414 §2, OpenID Connect Discovery 1.0 §3, RFC 8705 §3.3 and §5, RFC 9449 §5.1) and the key set.

use crate::http::HttpResponse;
use crate::oauth::client::{GRANTS, METHODS};
use crate::oauth::jwk::Jwk;
use crate::oauth::options::Registration;
use crate::oauth::server::AuthServer;
use serde_json::{Value, json};

impl AuthServer {
    /// A document of either kind: "oauth" or "openid".
    pub(crate) fn metadata(&self, kind: &str) -> HttpResponse {
        let issuer = self.options.issuer.trim_end_matches('/');
        let mut scopes: Vec<&String> = self.options.resources.iter().flat_map(|resource| &resource.scopes).collect();
        scopes.sort();
        scopes.dedup();
        let confidential: Vec<&str> = METHODS.iter().copied().filter(|method| *method != "none").collect();
        let mut document = json!({
            "issuer": self.options.issuer,
            "jwks_uri": format!("{issuer}/jwks"),
            "scopes_supported": scopes,
            "response_types_supported": [],
            "grant_types_supported": GRANTS,
            "token_endpoint_auth_methods_supported": METHODS,
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "HS256"],
            "introspection_endpoint_auth_methods_supported": confidential,
            "introspection_endpoint_auth_signing_alg_values_supported": ["ES256", "HS256"],
            "revocation_endpoint_auth_methods_supported": METHODS,
            "revocation_endpoint_auth_signing_alg_values_supported": ["ES256", "HS256"],
            "tls_client_certificate_bound_access_tokens": true,
            "dpop_signing_alg_values_supported": ["ES256"],
        });
        for (member, value) in endpoints(issuer) {
            document[member] = value;
        }
        if self.options.registration != Registration::Closed {
            document["registration_endpoint"] = format!("{issuer}/register").into();
        }
        if let Some(base) = &self.options.mtls_base {
            document["mtls_endpoint_aliases"] = Value::Object(
                endpoints(base.trim_end_matches('/'))
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            );
        }
        if kind == "openid" {
            document["subject_types_supported"] = json!(["public"]);
            document["id_token_signing_alg_values_supported"] = json!(["ES256"]);
        }
        public(&document)
    }

    /// The key set (RFC 7517 §5).
    pub(crate) fn key_set(&self) -> HttpResponse {
        let keys: Vec<Value> = self.public_keys().iter().map(Jwk::json).collect();
        public(&json!({ "keys": keys }))
    }
}

fn endpoints(base: &str) -> [(&'static str, Value); 4] {
    [
        ("token_endpoint", "/token"),
        ("device_authorization_endpoint", "/device_authorization"),
        ("introspection_endpoint", "/introspect"),
        ("revocation_endpoint", "/revoke"),
    ]
    .map(|(member, path)| (member, format!("{base}{path}").into()))
}

fn public(document: &Value) -> HttpResponse {
    HttpResponse { status: 200, body: document.to_string().into_bytes(), ..HttpResponse::default() }
        .with("Content-Type", "application/json")
        .with("Cache-Control", "max-age=300")
}
