//! What a device is made of beside its bridge's word: services that features give this machine, and services that a device
//! shows of itself through our `mirror`.

use std::collections::{BTreeMap, HashMap};

use accord_model::{Device, DeviceId, Service};

/// Services that one device may show of itself.
const SHOWN_PER_DEVICE: usize = 64;

#[derive(Default)]
pub(crate) struct Parts {
    own: Option<Device>,
    offered: BTreeMap<String, Vec<Service>>,
    shown: HashMap<DeviceId, Vec<Service>>,
}

impl Parts {
    pub fn own_id(&self) -> Option<&DeviceId> {
        self.own.as_ref().map(|own| &own.id)
    }

    /// This machine with everything that features offer.
    pub fn set_own(&mut self, device: Device) -> Device {
        self.own = Some(device);
        self.own().expect("it was set in the line above")
    }

    /// All instances of one service of this machine; the whole machine then.
    pub fn offer(&mut self, service: &str, instances: Vec<Service>) -> Option<Device> {
        self.offered.insert(service.to_owned(), instances);
        self.own()
    }

    fn own(&self) -> Option<Device> {
        let mut own = self.own.clone()?;
        own.services.retain(|service| !self.offered.contains_key(&service.id));
        own.services.extend(self.offered.values().flatten().cloned());
        Some(own)
    }

    /// A device as its bridge describes it, with what it shows of itself. The bridge's word goes first.
    pub fn whole(&mut self, mut device: Device) -> Device {
        if let Some(shown) = self.shown.get_mut(&device.id) {
            shown.retain(|one| find(&device.services, one).is_none());
            device.services.extend(shown.iter().cloned());
        }
        device
    }

    /// The device shows this; false when its bridge speaks of it already, or when it shows too much.
    pub fn show(&mut self, device: &mut Device, service: Service) -> bool {
        let shown = self.shown.entry(device.id.clone()).or_default();
        match (find(shown, &service), find(&device.services, &service)) {
            (Some(at), there) => {
                match there {
                    Some(there) => device.services[there] = service.clone(),
                    None => device.services.push(service.clone()),
                }
                shown[at] = service;
                true
            }
            (None, None) if shown.len() < SHOWN_PER_DEVICE => {
                shown.push(service.clone());
                device.services.push(service);
                true
            }
            (None, _) => false,
        }
    }

    /// Takes back what it showed.
    pub fn unshow(&mut self, device: &mut Device, gone: impl Fn(&Service) -> bool) {
        let Some(shown) = self.shown.get_mut(&device.id) else { return };
        let (taken, kept): (Vec<_>, Vec<_>) = std::mem::take(shown).into_iter().partition(gone);
        *shown = kept;
        device.services.retain(|service| find(&taken, service).is_none());
    }

    pub fn forget(&mut self, device: &DeviceId) {
        self.shown.remove(device);
    }
}

fn find(services: &[Service], wanted: &Service) -> Option<usize> {
    services.iter().position(|service| service.id == wanted.id && service.instance == wanted.instance)
}
