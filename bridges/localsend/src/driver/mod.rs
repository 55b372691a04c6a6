//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the devices that it finds.
//!
//! | part | what it is |
//! |---|---|
//! | `mind`, `offers` | one task that holds every decision: devices, discovery, our server's answers; what is received |
//! | `session` | what lives as long as the owner agrees to be found: sockets, connections |
//! | `inbound`, `asking`, `lane` | a connection that came in; what it offers, put to the feature; what it brings, one file after the other |
//! | `caller`, `sending`, `parcel`, `feed` | a connection that we made; a transfer of a feature, passed on |
//! | `why` | what is known about a device that is not reached |
//! | `law` | under whose permit bytes leave |
//! | `devices`, `keep` | what is told of devices; certificate and trust on disk |

mod asking;
mod caller;
mod devices;
mod feed;
mod inbound;
mod keep;
mod lane;
mod law;
mod mind;
mod offers;
mod parcel;
mod port;
mod sending;
mod session;
mod why;

use std::net::SocketAddr;
use std::sync::Arc;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::DeviceKind;
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use crate::core::{DeviceType, Identity, PORT};
use devices::Devices;
use keep::Keep;
use law::Law;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// How this machine is called to others.
    pub name: String,
    /// What sort of machine it is.
    pub kind: DeviceKind,
    /// A folder of the bridge's own, for its certificate and the devices that are trusted.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
    /// Whether devices that cannot prove who they are may offer files: plain HTTP, and apps before version 1.18.
    /// They are told no otherwise.
    pub unverified: bool,
    /// What every sender must know.
    pub pin: Option<String>,
    /// The port of the protocol; 0 for any.
    pub port: u16,
    /// Whether to announce this machine to everyone near, and to hear others. Without, only those find it who ask it by
    /// address, or are asked: [`Options::addresses`].
    pub multicast: bool,
    /// Devices to ask by address, where multicast does not reach.
    pub addresses: Vec<SocketAddr>,
}

impl Options {
    /// The usual: on every interface, at the protocol's port, only for devices that prove who they are.
    pub fn new(name: impl Into<String>, kind: DeviceKind, folder: Vault) -> Self {
        Self {
            name: name.into(),
            kind,
            folder,
            network: Network::All,
            unverified: false,
            pin: None,
            port: PORT,
            multicast: true,
            addresses: Vec::new(),
        }
    }

    fn device_type(&self) -> DeviceType {
        match self.kind {
            DeviceKind::Phone | DeviceKind::Tablet | DeviceKind::Watch => DeviceType::Mobile,
            DeviceKind::Hub => DeviceType::Server,
            _ => DeviceType::Desktop,
        }
    }
}

/// Speaks LocalSend.
pub struct LocalSendBridge {
    law: Law,
    options: Options,
    identity: Arc<Identity>,
    devices: Devices,
}

impl LocalSendBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let (keep, identity) = Keep::open(&options.folder)?;
        Ok(Self { law: Law::new(gate), options, identity: Arc::new(identity), devices: Devices::new(keep) })
    }
}

#[async_trait]
impl Bridge for LocalSendBridge {
    fn name(&self) -> &str {
        "localsend"
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, identity, devices } = *self;
        mind::Mind::new(law, options, identity, devices, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
