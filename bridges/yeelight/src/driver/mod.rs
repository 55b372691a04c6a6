//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the lamps that it finds.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: who is here, who was added, what is wanted of whom |
//! | `adding` | lamps that are added by their addresses |
//! | `words` | the house's calls as wishes |
//! | `near` | what lives as long as the owner agrees to search: the permit and its sockets |
//! | `hand` | one task for each added lamp that is here: its connection, made again when it breaks |
//! | `line` | that connection |
//! | `devices` | what is told of lamps, and which ones the owner added, on disk |
//! | `face` | a lamp as the house shows it |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a lamp that is not reached |

mod adding;
mod devices;
mod face;
mod hand;
mod law;
mod line;
mod mind;
mod near;
mod why;
mod words;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::{Device, DeviceId};
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use devices::Devices;
use law::Law;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for the lamps that the owner added.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
}

/// Controls Yeelight lamps.
pub struct YeelightBridge {
    law: Law,
    options: Options,
    devices: Devices,
}

impl YeelightBridge {
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
impl Bridge for YeelightBridge {
    fn name(&self) -> &str {
        "yeelight"
    }

    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        Some(before.into_iter().map(|device| device.id).filter(|id| self.devices.is_added(id)).collect())
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, devices } = *self;
        mind::Mind::new(law, options.network, devices, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
