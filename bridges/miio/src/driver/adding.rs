//! What the owner gives so that a device can be used: its token, for one that was found, with an address for one that was
//! not, or in a file with many. Whatever is refused is refused without repeating it.

use std::net::Ipv4Addr;
use std::time::Instant;

use accord_model::text::for_screen;
use accord_model::{CallError, Data, DeviceId, Inputs, Outputs, Verb};
use accord_ports::added::device_id;

use super::devices::Added;
use super::mind::Mind;
use crate::core::import::{self, Found};
use crate::core::packet::Token;

impl Mind {
    /// Adding a device that was found, and removing one.
    pub(super) async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let Verb::Act { action, inputs } = verb else {
            return Err(CallError::Unsupported("that cannot be set".to_owned()));
        };
        match action.as_str() {
            "request" => {
                let known = self.devices.get(device);
                let known = known.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
                let found = Found {
                    did: known.did,
                    token: token(&inputs)?,
                    name: None,
                    model: None,
                    mac: None,
                    address: known.at,
                };
                let told = self.devices.add(device, Added::of(found)).map_err(CallError::Device)?;
                self.outbox.tell(told).await;
                self.take(device);
                self.outbox.pairing(device, "paired").await;
                Ok(())
            }
            "unpair" | "reject" => {
                self.let_go(device);
                let told = self.devices.remove(device).map_err(CallError::Device)?;
                self.outbox.tell(told).await;
                // It is found again, and is a stranger then.
                self.search();
                Ok(())
            }
            _ => Err(CallError::Unsupported("miIO devices do not ask to be paired".to_owned())),
        }
    }

    /// Adding what is not found by itself, or many at once.
    pub(super) async fn add(&mut self, way: &str, inputs: Inputs) -> Result<Outputs, CallError> {
        let found = match way {
            "token" => vec![by_hand(&inputs)?],
            "import" => {
                let text = inputs.get("file").and_then(Data::as_text).unwrap_or_default().to_owned();
                let read = tokio::task::spawn_blocking(move || import::read(&text)).await;
                let failed = |_| CallError::Device("the file could not be read".to_owned());
                read.map_err(failed)?.map_err(CallError::BadInput)?
            }
            _ => return Err(CallError::Unsupported("devices are added by `token` or `import`".to_owned())),
        };
        let mut ids = Vec::new();
        for found in found {
            let Some(id) = self.id_of(&found) else { continue };
            let told = self.devices.add(&id, Added::of(found)).map_err(CallError::Device)?;
            self.outbox.tell(told).await;
            self.take(&id);
            ids.push(id.to_string());
        }
        self.search();
        if ids.is_empty() {
            return Err(CallError::BadInput("no device in the file has a number or an address".to_owned()));
        }
        Ok(Outputs::from([("devices".to_owned(), Data::Texts(ids))]))
    }

    fn id_of(&self, found: &Found) -> Option<DeviceId> {
        let known = self.devices.find(found.did, found.address, Instant::now());
        let by_did = || found.did.map(|did| device_id("miio", &did.to_string()));
        known.or_else(by_did).or_else(|| found.address.map(|at| self.devices.new_id(at)))
    }
}

/// The token among inputs.
fn token(inputs: &Inputs) -> Result<String, CallError> {
    let wrong = || CallError::BadInput("a token is 32 hexadecimal digits; those with 24 are for Bluetooth".to_owned());
    let text = inputs.get("token").and_then(Data::as_text).ok_or_else(wrong)?.trim();
    Token::parse(text).map(|_| text.to_ascii_lowercase()).ok_or_else(wrong)
}

fn by_hand(inputs: &Inputs) -> Result<Found, CallError> {
    let text = |id: &str| inputs.get(id).and_then(Data::as_text).map(str::trim).filter(|text| !text.is_empty());
    let address: Option<Ipv4Addr> = text("address").and_then(|address| address.parse().ok());
    let is_near = |at: &Ipv4Addr| at.is_private() || at.is_link_local() || at.is_loopback();
    let wrong = || CallError::BadInput("the address is one of your own network, like 192.168.1.20".to_owned());
    let address = address.filter(is_near).ok_or_else(wrong)?;
    let name = text("name").map(|name| for_screen(name, 64));
    Ok(Found { did: None, token: token(inputs)?, name, model: None, mac: None, address: Some(address) })
}
