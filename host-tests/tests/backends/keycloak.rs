use super::prelude::*;

pub(crate) static TOKENS: ClientCredentials = ClientCredentials {
    issuer: "https://id.plant.example/realms/plant",
    client_id: ClientId::CommonName,
    client_auth: ClientAuth::PrivateKeyJwt(KeyId::None),
    scope: "mqtt",
    ..ClientCredentials::DEFAULT
};

pub(crate) static LOGIN: DeviceLogin = DeviceLogin {
    issuer: "https://id.plant.example/realms/plant",
    client_id: ClientId::Fixed("pump-panel"),
    client_auth: ClientAuth::None,
    scope: "openid offline_access",
    ..DeviceLogin::DEFAULT
};
