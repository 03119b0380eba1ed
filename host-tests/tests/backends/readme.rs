pub(crate) static PLANT: Profile = Profile {
    enrol: &Est { host: "est.plant.example", port: 443, label: None, bootstrap: Bootstrap::BirthCertificate, pinned: None },
    token: Some(&ClientCredentials {
        issuer: "https://id.plant.example",
        client_auth: ClientAuth::PrivateKeyJwt(KeyId::Thumbprint),
        scope: "mqtt:publish",
        resource: &["https://mqtt.plant.example"],
        ..ClientCredentials::DEFAULT
    }),
    session: &TokenSession {
        host: "mqtt.plant.example",
        port: 8883,
        version: MqttVersion::V5,
        client_id: None,
        present: Present::Password { user_name: None },
        certificate: false,
        alpn: &[],
        keep_alive: 60,
    },
};
