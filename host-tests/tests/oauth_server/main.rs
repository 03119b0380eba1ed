//! The authorization server and the resource server before an independent client: each feature, right and wrong.

mod authentication;
mod client;
mod device;
mod dpop;
mod faults;
mod grants;
mod refresh;
mod registration;
mod resource;
mod wire;
