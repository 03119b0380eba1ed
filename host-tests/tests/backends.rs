//! The profiles in `docs/backends`: each compiles, can be used as it is, and is in its page word for word.

use identity_core::agent::step::ClientIdentity;
use identity_core::config::{Config, Profile, Secret};
use identity_core::enrol::{Bootstrap, Est, Path};
use identity_core::keys::Slot;
use identity_core::oauth::endpoint::{Document, document_path};
use identity_core::oauth::url::Url;
use identity_core::oauth::{ClientAuth, KeyId, TokenSource};
use identity_core::session::{Session, SessionContext};
use identity_core::time::{Judge, UnixTime};
use identity_core::trust::Anchors;
use identity_core::x509::csr::Subject;

/// What a firmware imports for a profile.
mod prelude {
    pub(crate) use identity_core::config::Secret;
    pub(crate) use identity_core::oauth::{Audience, ClientAuth, ClientCredentials, ClientId, DeviceLogin, KeyId};
    pub(crate) use identity_core::session::{MqttVersion, Mtls, Present, TokenSession};
}

#[path = "backends/auth0.rs"]
mod auth0;
#[path = "backends/emqx.rs"]
mod emqx;
#[path = "backends/entra-id.rs"]
mod entra_id;
#[path = "backends/hivemq.rs"]
mod hivemq;
#[path = "backends/keycloak.rs"]
mod keycloak;
#[path = "backends/mosquitto.rs"]
mod mosquitto;
#[path = "backends/okta.rs"]
mod okta;

/// Page and profile of a backend.
macro_rules! texts {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../docs/backends/", $name, ".md")),
            include_str!(concat!("backends/", $name, ".rs")),
        )
    };
}

const TEXTS: [(&str, &str, &str); 7] = [
    texts!("auth0"),
    texts!("emqx"),
    texts!("entra-id"),
    texts!("hivemq"),
    texts!("keycloak"),
    texts!("mosquitto"),
    texts!("okta"),
];

/// Each source, and the path of its OpenID Connect metadata.
static SOURCES: [(&dyn TokenSource, &str); 8] = [
    (&auth0::TOKENS, "/.well-known/openid-configuration"),
    (&auth0::LOGIN, "/.well-known/openid-configuration"),
    (&entra_id::TOKENS, "/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration"),
    (&entra_id::LOGIN, "/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration"),
    (&keycloak::TOKENS, "/realms/plant/.well-known/openid-configuration"),
    (&keycloak::LOGIN, "/realms/plant/.well-known/openid-configuration"),
    (&okta::TOKENS, "/oauth2/default/.well-known/openid-configuration"),
    (&okta::LOGIN, "/oauth2/default/.well-known/openid-configuration"),
];

#[test]
fn each_page_quotes_its_profile() {
    for (name, page, profile) in TEXTS {
        for item in profile.split("\n\n").skip(1) {
            let shown = item.trim_end().replace("pub(crate) static", "static");
            assert!(page.contains(&shown), "{name}.md does not have\n{shown}");
        }
    }
}

/// The profile that the README quotes.
#[rustfmt::skip]
mod readme {
    use identity_core::config::Profile;
    use identity_core::enrol::{Bootstrap, Est};

    use super::prelude::*;

    include!("backends/readme.rs");
}

#[test]
fn the_readme_quotes_its_profile() {
    let readme = include_str!("../../README.md");
    let profile = include_str!("backends/readme.rs").trim_end().replace("pub(crate) static", "static");
    assert!(readme.contains(&profile), "README.md does not have\n{profile}");
    let token = readme::PLANT.token.expect("a token source");
    assert_eq!(token.provider().issuer, "https://id.plant.example");
}

#[test]
fn each_source_names_a_provider_that_can_be_asked() {
    for (source, wanted) in SOURCES {
        let provider = source.provider();
        let issuer = Url::parse("issuer", provider.issuer).expect(provider.issuer);
        let mut path = Path::new();
        document_path(&issuer, Document::OpenId, &mut path).expect(provider.issuer);
        assert_eq!(path, wanted);
        // a person's device has nothing to prove with, all others do
        let public = matches!(provider.client_auth, ClientAuth::None);
        assert_eq!(public, source.grant().needs_person(), "{}", provider.issuer);
        assert!(!matches!(provider.client_auth, ClientAuth::PrivateKeyJwt(KeyId::CertificateDigest)));
    }
}

#[test]
fn each_session_logs_in_with_a_token_or_a_certificate() {
    static ENROL: Est =
        Est { host: "est.plant.example", port: 443, label: None, bootstrap: Bootstrap::Open, pinned: None };
    let sessions: [&'static dyn Session; 4] =
        [&emqx::SESSION, &entra_id::SESSION, &hivemq::SESSION, &mosquitto::SESSION];
    for session in sessions {
        let config = Config {
            profile: Profile { enrol: &ENROL, token: None, session },
            subject: Subject { common_name: "pump-7", ..Subject::default() },
            names: &[],
            anchors: &[],
            built: UnixTime(0),
        };
        let login = session
            .login(&SessionContext {
                config: &config,
                client: Some(ClientIdentity { slot: Slot::A, certificate: &[] }),
                token: session.needs_token().then(|| Secret::new("token")),
                anchors: Anchors { configured: &[], fetched: &[] },
                judge: Judge::Floor(UnixTime(0)),
            })
            .expect("a log-in");
        assert_eq!(login.client_id, "pump-7");
        assert_eq!(login.client.is_none(), session.needs_token());
        let token = login.password.or(login.authentication.map(|(_, token)| token));
        assert_eq!(token.is_some(), session.needs_token());
    }
}
