//! The driver: moves datagrams between sockets and [`crate::core`], and speaks for the devices that it finds or is given.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: who is here, who was added, what is wanted of whom |
//! | `adding` | tokens and addresses that the owner gives, checked and kept |
//! | `near` | what lives as long as the owner agrees to search: greetings by broadcast |
//! | `hand` | one task for each added device whose address is known: its datagrams, under a permit for it |
//! | `telling` | the part of a hand that lets its device tell of changes by itself, under a permit of its own |
//! | `number` | by which number a device knows this hub for that |
//! | `devices` | what is told of devices, and which ones the owner added, on disk |
//! | `library` | what models can do: ours, the owner's files, what was fetched |
//! | `fetch` | one description from miot-spec.org, where the owner agreed to that |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a device that is not reached |

mod adding;
mod devices;
mod fetch;
mod hand;
mod law;
mod library;
mod mind;
mod near;
mod number;
mod telling;
mod why;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::{Device, DeviceId};
use accord_ports::secret::Secret;
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use devices::Devices;
use law::Law;
use library::Library;

/// Where devices hear.
pub const PORT: u16 = 54_321;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own: the devices that the owner added with their tokens, sealed, and in `specs` what models can do.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
    /// Where devices hear; [`PORT`] but in tests.
    pub port: u16,
    /// What the numbers are derived from by which devices may know this hub; never sent.
    pub secret: Secret,
}

/// Speaks miIO and MIoT.
pub struct MiioBridge {
    law: Law,
    options: Options,
    devices: Devices,
    library: Library,
}

impl MiioBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let devices = Devices::open(&options.folder)?;
        let library = Library::open(options.folder.path())?;
        Ok(Self { law: Law::new(gate), options, devices, library })
    }
}

#[async_trait]
impl Bridge for MiioBridge {
    fn name(&self) -> &str {
        "miio"
    }

    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        Some(before.into_iter().map(|device| device.id).filter(|id| self.devices.added(id).is_some()).collect())
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, devices, library } = *self;
        mind::Mind::new(law, options, devices, library, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
