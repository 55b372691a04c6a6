//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the devices that it finds.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: who is here, who was added, who is played to |
//! | `player` | one task for each device that is played to: its connection, its datagrams, the stream of sound |
//! | `devices` | what is told of devices, and which ones the owner added, on disk |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a device that is not reached |

mod devices;
mod law;
mod mind;
mod player;
mod why;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
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
}

/// Speaks AirPlay as a sender of sound.
pub struct AirplayBridge {
    law: Law,
    options: Options,
    devices: Devices,
}

impl AirplayBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let devices = Devices::open(&options.folder)?;
        Ok(Self { law: Law::new(gate), options, devices })
    }
}

#[async_trait]
impl Bridge for AirplayBridge {
    fn name(&self) -> &str {
        "airplay"
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, devices } = *self;
        mind::Mind::new(law, options.network, devices, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
