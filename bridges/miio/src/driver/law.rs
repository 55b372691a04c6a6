//! The bridge's side of the gate: its entries and the fields that each lets out.

use std::ops::Deref;

use accord_consent::{BoundGate, Permit, RecipientId};
use accord_model::{EntryKey, FieldCode, FieldSet};
use accord_ports::law;
pub(crate) use accord_ports::law::SEARCH;

/// Whence descriptions are fetched.
pub(crate) const SPEC_HOST: &str = "miot-spec.org";

/// Searching and controlling, and beside them fetching descriptions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Law {
    gate: BoundGate,
    devices: law::Law,
    spec: EntryKey,
}

impl Deref for Law {
    type Target = law::Law;
    fn deref(&self) -> &law::Law {
        &self.devices
    }
}

/// What every word to a device says.
pub(crate) fn standing() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName])
}

/// What a question for a description says.
pub(crate) fn naming() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::DeviceModel])
}

impl Law {
    pub(crate) fn new(gate: BoundGate) -> Self {
        let spec = EntryKey::new("miio/spec").expect("the bridge's own entry key is well formed");
        Self { devices: law::Law::new(gate.clone(), "miio", standing()), gate, spec }
    }

    /// A permit for one description, if the owner agreed to that.
    pub(crate) fn describe(&self) -> Result<Permit, String> {
        let host = RecipientId::host(&format!("{SPEC_HOST}:443")).map_err(|error| error.to_string())?;
        self.gate.check(&self.spec, &host, naming()).map_err(|refusal| refusal.to_string())?;
        self.gate.permit(&self.spec, &host, naming(), "on.request").map_err(|refusal| refusal.to_string())
    }
}
