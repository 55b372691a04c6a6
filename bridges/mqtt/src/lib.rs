//! MQTT, so that the devices of a broker can be seen and controlled from here: those of zigbee2mqtt, and those that are
//! described by Home Assistant's discovery convention.
//!
//! [`core`] is the protocol without any I/O; [`MqttBridge`] is the driver, which moves its bytes between sockets and core
//! under the gate's permits, and speaks for the devices that it hears of. [`STATEMENT`] declares what it reveals.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

pub use driver::{MqttBridge, Options};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");
