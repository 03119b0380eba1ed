//! The authorization server and the resource server before an independent client: each feature, right and wrong.

#[path = "oauth_server/authentication.rs"]
mod authentication;
#[path = "oauth_server/client.rs"]
mod client;
#[path = "oauth_server/device.rs"]
mod device;
#[path = "oauth_server/dpop.rs"]
mod dpop;
#[path = "oauth_server/faults.rs"]
mod faults;
#[path = "oauth_server/grants.rs"]
mod grants;
#[path = "oauth_server/refresh.rs"]
mod refresh;
#[path = "oauth_server/registration.rs"]
mod registration;
#[path = "oauth_server/resource.rs"]
mod resource;
#[path = "oauth_server/wire.rs"]
mod wire;
