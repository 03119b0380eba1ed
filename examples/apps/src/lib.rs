//! Applications that know no board: the same source on a microcontroller and on a desktop.
#![no_std]
#![forbid(unsafe_code)]

pub mod device_login;
pub mod telemetry;
