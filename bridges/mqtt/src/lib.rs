//! MQTT.
#![deny(missing_docs)]
pub mod core;
