//! The KDE Connect bridge, protocol versions 7 and 8: phones and desktops that already have the app join without a new
//! one. [`core`] is the protocol without I/O; the driver moves bytes between it, the sockets of the outlet, and the house.
//!
//! After a pairing nothing is said to a device but pings and answers to files that it offers: whatever else it asks for
//! is met with silence, unless a feature showed it before (the service `mirror`).
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;
mod driver;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::DeviceKind;
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");

/// How the bridge is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// What this machine is called.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// A folder of the bridge's own: its keys and the list of paired devices.
    pub folder: Vault,
    /// Where to look. On loopback nothing is announced: KDE Connect devices do not listen there.
    pub network: Network,
}

/// Speaks to KDE Connect devices, as far as the owner's consents allow.
pub struct KdeConnectBridge {
    driver: driver::Driver,
}

impl KdeConnectBridge {
    /// Reads or makes keys; nothing is sent.
    ///
    /// # Errors
    /// What is wrong with the folder, in words for the owner.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        Ok(Self { driver: driver::Driver::new(gate, options)? })
    }
}

#[async_trait]
impl Bridge for KdeConnectBridge {
    fn name(&self) -> &str {
        "kdeconnect"
    }
    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        self.driver.run(side).await;
        Ok(())
    }
}
