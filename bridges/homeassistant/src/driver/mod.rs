//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the servers that it finds or was told of,
//! and for their things.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: which servers there are, which were added, what is wanted of whom |
//! | `servers` | what is told of servers, and which ones the owner added, with their tokens, on disk |
//! | `hand` | one task for each added server: its connection, made again when it breaks, and what it has |
//! | `line`, `wire` | that connection: bytes through TLS and WebSocket to the machine and back |
//! | `looking` | what cameras see, each picture over a connection of its own |
//! | `signing` | signing in with the owner's browser: one at a time, from the address to the tokens |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a server that is not reached |

mod hand;
mod law;
mod line;
mod looking;
mod mind;
mod servers;
mod signing;
mod why;
mod wire;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::{Device, DeviceId};
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use law::Law;
use servers::Servers;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for the servers that the owner added.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
}

/// Speaks to Home Assistant.
pub struct HomeAssistantBridge {
    law: Law,
    options: Options,
    servers: Servers,
    /// What was known of their things, and whose they are.
    before: Vec<(DeviceId, DeviceId)>,
}

impl HomeAssistantBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let servers = Servers::open(&options.folder)?;
        Ok(Self { law: law::of(gate), options, servers, before: Vec::new() })
    }
}

#[async_trait]
impl Bridge for HomeAssistantBridge {
    fn name(&self) -> &str {
        "homeassistant"
    }

    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        let added = |id: &DeviceId| self.servers.added(id).is_some();
        let things = before.iter().filter_map(|device| Some((device.id.clone(), device.via.clone()?)));
        self.before = things.filter(|(_, server)| added(server)).collect();
        let servers = before.iter().map(|device| device.id.clone()).filter(added);
        Some(self.before.iter().map(|(thing, _)| thing.clone()).chain(servers).collect())
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, servers, before } = *self;
        mind::Mind::new(law, options.network, servers, side.outbox.into()).remembering(before).run(side.inbox).await;
        Ok(())
    }
}
