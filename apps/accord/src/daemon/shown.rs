//! The hub's side of devices that are shown elsewhere, such as on an MQTT broker for Home Assistant.

use std::sync::{Arc, Weak};

use accord_consent::RecipientId;
use accord_home::share::{House, SHARE};
use accord_home::{Chosen, ShareError};
use accord_model::text::for_screen;
use accord_model::{CallError, Device, DeviceId, EntryKey, FieldCode, FieldSet, Format, Target, Verb};
use accord_ports::showcase::SERVICE;
use accord_registry::Thing;
use async_trait::async_trait;

use super::house;
use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::home as api;
use crate::api::types::Trust;

/// Under which of its bridge's entries what is shown travels, by bridge.
const CARRIED: [(&str, &str); 1] = [("mqtt", "mqtt/connection")];

/// What the feature asks the hub.
struct Owners(Weak<Hub>);

#[async_trait]
impl House for Owners {
    fn called(&self, thing: &Device) -> (String, Option<String>) {
        let hub = self.0.upgrade();
        let name = hub.as_ref().and_then(|hub| hub.device_name(thing.id.as_str()));
        let room = hub.and_then(|hub| hub.note(&thing.id).room);
        (name.unwrap_or_else(|| thing.name.clone()), room.or_else(|| thing.room.clone()))
    }

    fn is_blocked(&self, device: &DeviceId) -> bool {
        self.0.upgrade().is_none_or(|hub| hub.note(device).blocked)
    }

    async fn tell(
        &self,
        (face, place): (&DeviceId, &DeviceId),
        target: Target,
        verb: Verb,
        opens: bool,
    ) -> Result<(), CallError> {
        match self.0.upgrade() {
            Some(hub) => hub.tell_for_others(face, target, verb, opens, place).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }
}

pub(super) fn begin(hub: &Arc<Hub>) {
    hub.shown.begin(Arc::new(Owners(Arc::downgrade(hub))));
}

impl Hub {
    /// Where devices can be shown, and which are.
    pub fn shown_devices(&self) -> api::Shown {
        api::Shown { places: self.shown.places().iter().filter_map(|place| self.shown_in(place)).collect() }
    }

    fn shown_in(&self, place: &DeviceId) -> Option<api::ShownPlace> {
        let known = self.registry.device(place)?;
        let count = |id: &str| {
            let value = known.device.service(SERVICE).and_then(|service| service.values.get(id));
            value.and_then(|value| value.data.as_int()).and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
        };
        let mut devices: Vec<api::ShownDevice> = Vec::new();
        let mut chosen = self.shown.chosen(place);
        for thing in self.registry.things() {
            let id = &thing.device.id;
            let of_thing = thing.faces.iter().find_map(|face| chosen.remove(&face.known.device.id));
            let can = self.is_of_owner(&thing) && self.shown.can_show(&thing, place).is_ok();
            if can || of_thing.is_some() {
                devices.push(api::ShownDevice {
                    device: id.to_string(),
                    name: self.device_name(id.as_str()).unwrap_or_default(),
                    shown: of_thing.map(|Chosen { control, opens }| api::ShowDevice { control, opens }),
                    secures: self.shown.secures(&thing),
                    more: self.shown.has_more(place, &thing),
                });
            }
        }
        // Those that are not here now.
        for (id, Chosen { control, opens }) in chosen {
            let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
            let shown = Some(api::ShowDevice { control, opens });
            devices.push(api::ShownDevice { device: id.to_string(), name, shown, secures: opens, more: false });
        }
        devices.sort_by_cached_key(|device| (device.name.to_lowercase(), device.device.clone()));
        let entry = EntryKey::new(SHARE).ok()?;
        Some(api::ShownPlace {
            device: place.to_string(),
            name: self.device_name(place.as_str()).unwrap_or_default(),
            agreed: self.gate.check(&entry, &RecipientId::device(place), FieldSet::EMPTY).is_ok(),
            now: count("shown"),
            refused: count("refused"),
            left_out: count("left-out"),
            problem: self.shown.problem(place).map(|why| for_screen(&why, 300)),
            devices,
        })
    }

    fn is_of_owner(&self, thing: &Thing) -> bool {
        thing.faces.iter().any(|face| matches!(self.trust_of(&face.known), Trust::Paired | Trust::Own))
    }

    /// Shows a device in a place, as far as the owner agreed to that.
    pub fn show_device(&self, place: &str, device: &str, wanted: api::ShowDevice) -> Answer<api::ShownPlace> {
        let place = self.resolve(place)?;
        let device = self.resolve(device)?;
        let thing = self.thing(&device)?;
        let name = |id: &DeviceId| self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
        let (named, there) = (name(&device), name(&place));
        if !self.shown.places().contains(&place) {
            return Err(Failure::conflict(format!(
                "{there} shows no devices: an MQTT broker does, which you add under *Add a device*."
            )));
        }
        if self.note(&place).blocked {
            return Err(Failure::refused(format!("{there} is blocked.")));
        }
        if !self.is_of_owner(&thing) {
            return Err(Failure::conflict(format!("{named} is not added here; add it first.")));
        }
        self.shown
            .can_show(&thing, &place)
            .map_err(|why| Failure::conflict(format!("{named} cannot be shown on {there}: {why}.")))?;
        if wanted.control && device.as_str() != house::OWN {
            // Otherwise nothing that is wished from there would be done.
            let entry =
                EntryKey::new(accord_control::COMMAND).map_err(|error| Failure::internal("No such entry", error))?;
            let services =
                thing.device.services.iter().filter(|service| service.properties.iter().any(|one| one.write));
            let face =
                services.map(|service| self.face_for(&device, &service.id)).next().unwrap_or_else(|| device.clone());
            let to = self.registry.recipient(&face);
            let because = format!("Let {there} control {named}");
            let told = FieldSet::one(FieldCode::CommandName);
            // Without being asked there is nobody to agree to texts later.
            let properties = thing.device.services.iter().flat_map(|service| &service.properties);
            let texts = properties.into_iter().any(|one| one.write && one.format == Format::Text);
            let all = if texts { told.union(FieldSet::one(FieldCode::TextContent)) } else { told };
            self.gate.check(&entry, &to, told).map_err(|refusal| self.not_let_out_with(refusal, &to, all, because))?;
        }
        // Nor would anything arrive there.
        let bridge = self.registry.device(&place).map(|known| known.bridge.clone());
        if let Some((_, carried)) = CARRIED.iter().find(|(of, _)| bridge.as_deref() == Some(of)) {
            let entry = EntryKey::new(*carried).map_err(|error| Failure::internal("No such entry", error))?;
            let to = RecipientId::device(&place);
            self.gate
                .check(&entry, &to, self.shown.fields(&thing))
                .map_err(|refusal| self.not_let_out(refusal, &to, format!("Show {named} on {there}")))?;
        }
        let chosen = Chosen { control: wanted.control, opens: wanted.opens };
        self.shown.show(&place, &device, chosen).map_err(|error| match error {
            ShareError::NotConsented(refusal) => {
                self.not_let_out(refusal, &RecipientId::device(&place), format!("Show {named} on {there}"))
            }
            ShareError::NotSaved(error) => Failure::internal("The choice was not kept", error),
            error @ (ShareError::NoPlace(_) | ShareError::NotThis(_)) => Failure::conflict(format!("{error}.")),
        })?;
        self.shown_in(&place).ok_or_else(|| Failure::not_found(format!("{there} is gone.")))
    }

    /// Shows it there no more, also one that is gone.
    pub fn take_device_back(&self, place: &str, device: &str) -> Answer<()> {
        let place = self.resolve(place)?;
        let known = self.resolve(device).or_else(|failure| DeviceId::new(device).map_err(|_| failure))?;
        let taken = self.shown.take_back(&place, &known);
        match taken.map_err(|error| Failure::internal("The choice was not kept", error))? {
            true => Ok(()),
            false => Err(Failure::not_found("It is not shown there.")),
        }
    }
}
