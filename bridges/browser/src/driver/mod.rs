//! The driver: serves the page, moves words between connections and [`crate::core`], and speaks for the screens.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that holds every decision: whether the page is open, who was added, what is wanted of whom |
//! | `hall` | where connections and mind meet |
//! | `serve` | connections with browsers |
//! | `devices` | what is told of screens, and which ones the owner added, on disk |
//! | `law` | under whose permit bytes leave |

mod devices;
mod hall;
mod law;
mod mind;
mod orders;
mod serve;

use accord_consent::BoundGate;
use accord_consent::outlet::interfaces::Network;
use accord_registry::{Bridge, BridgeSide};
use accord_store::Vault;
use async_trait::async_trait;
use tokio::sync::watch;

use devices::Devices;
use law::Law;

/// Where the page is, unless another program has that port: then one of the next ten.
pub const DEFAULT_PORT: u16 = 4747;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for the screens that the owner added.
    pub folder: Vault,
    /// Which interfaces are used.
    pub network: Network,
    /// The first port that is tried.
    pub port: u16,
}

/// Tells where the page is.
#[derive(Debug, Clone)]
pub struct Place(watch::Receiver<Option<u16>>);

impl Place {
    /// The port, while the page is open.
    pub fn port(&self) -> Option<u16> {
        *self.0.borrow()
    }
}

/// Speaks with browsers that have the page open.
pub struct BrowserBridge {
    law: Law,
    options: Options,
    devices: Devices,
    port: watch::Sender<Option<u16>>,
}

impl BrowserBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<(Self, Place), String> {
        let devices = Devices::open(&options.folder)?;
        let port = watch::Sender::new(None);
        let place = Place(port.subscribe());
        Ok((Self { law: Law::new(gate), options, devices, port }, place))
    }
}

#[async_trait]
impl Bridge for BrowserBridge {
    fn name(&self) -> &str {
        "browser"
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, options, devices, port } = *self;
        mind::Mind::new(law, options, devices, port, side.outbox.into()).run(side.inbox).await;
        Ok(())
    }
}
