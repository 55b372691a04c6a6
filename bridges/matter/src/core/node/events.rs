//! Events of a node. Buttons are what the house hears of; what other clusters tell as events they have as attributes too.

use accord_model::{Data, DeviceId, FromBridge, Outputs, Target};

use super::Node;
use crate::core::look::Look;
use crate::core::map::button;
use crate::core::value::Value;

impl Node {
    /// What an event means for the house: a [`FromBridge::Event`], or nothing.
    pub fn event(&self, endpoint: u16, cluster: u32, event: u32, data: &Value) -> Option<FromBridge> {
        let look = Look::new(endpoint, self.endpoints.get(&endpoint)?);
        let kind = button::pressed(&look, cluster, event, data)?;
        let (device, instance) = self.button(endpoint)?;
        let target = Target { service: "button".to_owned(), instance };
        let arguments = Outputs::from([("kind".to_owned(), Data::Text(kind))]);
        Some(FromBridge::Event { device, target, event: "pressed".to_owned(), arguments })
    }

    fn button(&self, endpoint: u16) -> Option<(DeviceId, u16)> {
        self.devices.iter().find_map(|(id, placed)| {
            let mut services = placed.device.services.iter().zip(&placed.places);
            let (service, _) = services.find(|(service, (number, _))| service.id == "button" && *number == endpoint)?;
            Some((id.clone(), service.instance))
        })
    }
}
