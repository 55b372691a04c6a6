//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the devices that the owner added, and for what
//! is behind them.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: who is here, who was added, what is wanted of whom |
//! | `nodes` | what is told of devices, and which ones the owner added, on disk |
//! | `sky` | what is announced near |
//! | `fabric` | who this machine is to the devices that it added; its keys, on disk |
//! | `trust` | by whom a device's maker has to be vouched for |
//! | `roots` | the roots that Accord comes with |
//! | `hand` | one task for each added device: its place in the fabric, its session, made again when it breaks |
//! | `pair` | being added by a word, and leaving, also while away |
//! | `way` | that place and that session |
//! | `hold` | what is told and done while there is a session |
//! | `add` | who waits and may be the one, one after the other |
//! | `commission` | giving a device its place |
//! | `share` | letting others add it, too |
//! | `line` | datagrams with one device |
//! | `law` | under whose permit bytes leave |
//! | `why` | what is known about a device that is not reached |

mod add;
mod commission;
#[cfg(test)]
mod dialog_tests;
mod fabric;
mod hand;
mod hold;
mod law;
mod line;
mod mind;
mod nodes;
mod pair;
mod roots;
mod share;
mod sky;
#[cfg(test)]
mod tests;
mod trust;
mod way;
mod why;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_model::{Device, DeviceId};
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;

use fabric::Fabric;
use law::Law;
use nodes::Nodes;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for its keys and for the devices that the owner added. Further roots of the owner's are in its
    /// folders `makers` and `certifiers`.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
}

/// Adds and controls Matter devices.
pub struct MatterBridge {
    law: Law,
    options: Options,
    fabric: Fabric,
    nodes: Nodes,
    /// What was known to be behind devices, and behind which.
    before: Vec<(DeviceId, DeviceId)>,
}

impl MatterBridge {
    /// Opens the folder; the first time, makes the keys. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let fabric = Fabric::open(&options.folder)?;
        let nodes = Nodes::open(&options.folder)?;
        fabric.is_past(nodes.latest());
        Ok(Self { law: law::of(gate), options, fabric, nodes, before: Vec::new() })
    }
}

#[async_trait]
impl Bridge for MatterBridge {
    fn name(&self) -> &str {
        "matter"
    }

    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        let added = |id: &DeviceId| self.nodes.added(id).is_some();
        let behind = before.iter().filter_map(|device| Some((device.id.clone(), device.via.clone()?)));
        self.before = behind.filter(|(_, node)| added(node)).collect();
        let nodes = before.iter().map(|device| device.id.clone()).filter(added);
        Some(self.before.iter().map(|(thing, _)| thing.clone()).chain(nodes).collect())
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, fabric, nodes, before } = *self;
        let mind =
            mind::Mind::new(law, options.network, options.folder.path().to_owned(), fabric, nodes, side.outbox.into());
        mind.remembering(before).run(side.inbox).await;
        Ok(())
    }
}
