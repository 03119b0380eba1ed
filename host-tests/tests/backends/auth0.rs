use super::prelude::*;

pub(crate) static TOKENS: ClientCredentials = ClientCredentials {
    issuer: "https://plant.eu.auth0.com/",
    client_id: ClientId::Fixed("pump7clientid"),
    client_auth: ClientAuth::SecretPost(Secret::new("from provisioning, not from a repository")),
    scope: "flow:write",
    target: "https://api.plant.example/",
    ..ClientCredentials::DEFAULT
};

pub(crate) static LOGIN: DeviceLogin = DeviceLogin {
    issuer: "https://plant.eu.auth0.com/",
    client_id: ClientId::Fixed("pumppanelclientid"),
    client_auth: ClientAuth::None,
    scope: "offline_access flow:read",
    target: "https://api.plant.example/",
    ..DeviceLogin::DEFAULT
};
