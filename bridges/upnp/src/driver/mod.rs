//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the renderers and media servers that it finds.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: who is here, who was added, what is wanted of whom |
//! | `session` | what lives as long as the owner agrees to search: sockets, fetches |
//! | `hand` | one task for each added renderer that is here: its questions, one after the other |
//! | `orders` | what the house wants, checked and passed on |
//! | `ear` | where a renderer tells of changes |
//! | `shelf`, `download` | what lies on a media server, and its files as they come |
//! | `exchange` | a request and its answer on one connection |
//! | `devices` | what is told of devices, and which ones the owner added, on disk |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a device that is not reached |

mod devices;
mod download;
mod ear;
mod exchange;
mod hand;
mod law;
mod mind;
mod orders;
mod session;
mod shelf;
mod why;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_recognition::Recogniser;
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use devices::Devices;
use law::Law;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for the devices that the owner added.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
    /// Knows what the makes of renderers need.
    pub recogniser: Recogniser,
}

/// Speaks UPnP AV as a control point.
pub struct UpnpBridge {
    law: Law,
    options: Options,
    devices: Devices,
}

impl UpnpBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let devices = Devices::open(&options.folder)?;
        Ok(Self { law: law::of(gate), options, devices })
    }
}

#[async_trait]
impl Bridge for UpnpBridge {
    fn name(&self) -> &str {
        "upnp"
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, devices } = *self;
        mind::Mind::new(law, options, devices, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
