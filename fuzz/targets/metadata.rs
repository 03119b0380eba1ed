//! Metadata: what is kept is of this issuer, and only on hosts that the source allows.
#![no_main]

use fuzz::Input;
use identity_core::config::Secret;
use identity_core::oauth::endpoint::{ENDPOINTS, Endpoint, endpoint_url, read_metadata};
use identity_core::oauth::url::Url;
use identity_core::oauth::{ClientAuth, ClientCredentials, TokenSource};
use libfuzzer_sys::fuzz_target;

const ISSUER: &str = "https://id.example/t";
const HOSTS: &[&str] = &["mtls.id.example"];

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let choice = input.octet();
    let room = if choice & 4 == 0 { ENDPOINTS } else { usize::from(input.octet()) };
    let client_auth =
        if choice & 1 == 0 { ClientAuth::Certificate } else { ClientAuth::SecretPost(Secret::new("secret")) };
    let hosts: &[&str] = if choice & 2 == 0 { HOSTS } else { &[] };
    let source = ClientCredentials { issuer: ISSUER, client_auth, hosts, ..ClientCredentials::DEFAULT };
    let mut kept = vec![0xA5; room];
    let Ok(used) = read_metadata(&source.provider(), input.0, &mut kept) else { return };
    assert!(used <= room);
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(input.0) {
        assert_eq!(document["issuer"], ISSUER);
    }
    for endpoint in Endpoint::ALL {
        let Some(url) = endpoint_url(&kept[..used], endpoint) else { continue };
        let url = Url::parse("endpoint", url).expect("what is kept is a URL");
        assert!(url.host == "id.example" || hosts.contains(&url.host), "{}", url.host);
        assert!(url.target().starts_with('/') && url.port > 0);
    }
});
