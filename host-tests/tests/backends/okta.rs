use super::prelude::*;

pub(crate) static TOKENS: ClientCredentials = ClientCredentials {
    issuer: "https://plant.okta.com/oauth2/default",
    client_id: ClientId::Fixed("0oa1pump7"),
    client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
    audience: Audience::TokenEndpoint,
    scope: "mqtt.publish",
    ..ClientCredentials::DEFAULT
};

pub(crate) static LOGIN: DeviceLogin = DeviceLogin {
    issuer: "https://plant.okta.com/oauth2/default",
    client_id: ClientId::Fixed("0oa1panel"),
    client_auth: ClientAuth::None,
    scope: "openid offline_access",
    ..DeviceLogin::DEFAULT
};
