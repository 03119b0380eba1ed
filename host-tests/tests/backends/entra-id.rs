use super::prelude::*;

pub(crate) static TOKENS: ClientCredentials = ClientCredentials {
    issuer: "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    client_id: ClientId::Fixed("66666666-7777-8888-9999-000000000000"),
    client_auth: ClientAuth::SecretPost(Secret::new("from provisioning, not from a repository")),
    scope: "https://eventgrid.azure.net/.default",
    ..ClientCredentials::DEFAULT
};

pub(crate) static LOGIN: DeviceLogin = DeviceLogin {
    issuer: "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    client_id: ClientId::Fixed("66666666-7777-8888-9999-000000000000"),
    client_auth: ClientAuth::None,
    scope: "offline_access api://plant-api/flow.read",
    ..DeviceLogin::DEFAULT
};

pub(crate) static SESSION: TokenSession = TokenSession {
    host: "plant.westeurope-1.ts.eventgrid.azure.net",
    port: 8883,
    version: MqttVersion::V5,
    client_id: None,
    present: Present::Enhanced { method: "OAUTH2-JWT" },
    certificate: false,
    alpn: &[],
    keep_alive: 60,
};
