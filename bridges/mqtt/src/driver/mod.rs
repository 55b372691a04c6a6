//! The driver: moves bytes between sockets and [`crate::core`], and speaks for the brokers that were added and their devices.
//!
//! | part | what it is |
//! |---|---|
//! | `mind` | one task that knows which brokers were added, and which device is whose |
//! | `form` | what the owner gives to add a broker |
//! | `broker` | one task for each broker: its connection, made again when it breaks |
//! | `talk` | that connection while it lasts: messages, orders, answers |
//! | `keeper` | another connection, on which devices of this house are shown, while there are any |
//! | `line` | its bytes, through TLS if wanted |
//! | `describe` | devices as the house knows them |
//! | `law` | under whose permit bytes leave |

mod broker;
mod describe;
mod form;
mod keeper;
mod law;
mod line;
mod mind;
mod talk;

use accord_consent::BoundGate;
use accord_ports::added::Register;
use accord_registry::{Bridge, BridgeSide};
use async_trait::async_trait;

use accord_model::{Device, DeviceId};
use accord_store::Vault;
use form::Added;
use law::Law;

/// How the bridge is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder of the bridge's own, for the brokers that the owner added.
    pub folder: Vault,
}

/// Speaks MQTT as a client.
pub struct MqttBridge {
    law: Law,
    folder: Vault,
    added: Register<Added>,
    /// What was known of brokers' devices.
    before: Vec<Device>,
}

impl MqttBridge {
    /// Opens the folder. Nothing is sent yet, and no socket made.
    ///
    /// # Errors
    /// In words: what is wrong with the folder or what is in it.
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let added = Register::open(&options.folder)?;
        Ok(Self { law: law::of(gate), folder: options.folder, added, before: Vec::new() })
    }
}

#[async_trait]
impl Bridge for MqttBridge {
    fn name(&self) -> &str {
        "mqtt"
    }

    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        let of_ours = |device: &Device| self.added.get(device.via.as_ref().unwrap_or(&device.id)).is_some();
        let still: Vec<Device> = before.into_iter().filter(of_ours).collect();
        let ids = still.iter().map(|device| device.id.clone()).collect();
        self.before = still.into_iter().filter(|device| device.via.is_some()).collect();
        Some(ids)
    }

    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        let Self { law, folder, added, before } = *self;
        mind::Mind::new(law, folder, added, side.outbox.into()).run(before, side.inbox).await;
        Ok(())
    }
}
