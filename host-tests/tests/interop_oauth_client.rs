//! The test bed's authorization and resource servers before an outside judge: npm's openid-client, OpenID-certified.

use host_tests::der;
use host_tests::key::{Key, KeyKind};
use host_tests::oauth::jwk::Jwk;
use host_tests::oauth::resource::ResourceOptions;
use host_tests::oauth::{AuthOptions, Client, Credential, DeviceOptions, InitialToken, Registration};
use host_tests::oidc_provider::{OidcProvider, SECRET, node_with};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::scratch::Scratch;
use serde_json::json;

#[test]
fn every_feature_satisfies_openid_client() {
    if !OidcProvider::available() {
        assert!(std::env::var_os("CI").is_none(), "install openid-client: cargo xtask setup");
        eprintln!("skipped: cargo xtask setup installs openid-client");
        return;
    }
    let key = Key::generate(KeyKind::P256);
    for nonce in [None, Some(300)] {
        let clients = vec![
            Client::new("client_secret_basic", Credential::Basic(SECRET.into())),
            Client::new("client_secret_post", Credential::Post(SECRET.into())),
            Client::new("client_secret_jwt", Credential::SecretJwt(SECRET.into())),
            Client::new("keys", Credential::Keys(vec![Jwk::of_key(&key)])),
            Client::new("public", Credential::Public),
        ];
        let auth = AuthOptions {
            issuer: "https://localhost/pumps".into(),
            clients,
            dpop_nonce: nonce,
            device: DeviceOptions { interval: Some(1), ..DeviceOptions::default() },
            registration: Registration::Token(vec![InitialToken { token: "initial".into(), uses: 1 }]),
            ..AuthOptions::default()
        };
        let resource =
            ResourceOptions { url: "https://localhost".into(), dpop_nonce: nonce, ..ResourceOptions::default() };
        let plant = PlantOptions { auth: Some(auth), resource: Some(resource), ..PlantOptions::default() };
        let plant = Plant::start(plant).unwrap();
        let settings = json!({
            "issuer": format!("https://localhost:{}/pumps", plant.auth_port()),
            "api": format!("https://localhost:{}/flow?unit=l", plant.resource_port()),
            "key": key.pem(), "secret": SECRET, "initial": "initial",
        });
        let scratch = Scratch::new();
        let settings = scratch.file("settings.json", settings.to_string());
        let root = scratch.file("root.pem", der::pem("CERTIFICATE", plant.root()));
        let out = node_with("client.mjs", &settings).env("NODE_EXTRA_CA_CERTS", root).output().expect("node");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(said.ends_with("done\n"), "{said}{}", String::from_utf8_lossy(&out.stderr));
    }
}
