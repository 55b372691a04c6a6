//! The services of one device, out of the parts of its entities: which instance of a service a part is, and what a property
//! without a standard name is called.

use std::collections::BTreeSet;

use accord_model::Service;
use accord_model::text::for_screen;

use crate::core::map::Part;
use crate::core::map::part::{VALUE, kebab};

/// Longest label.
const MAX_LABEL: usize = 64;

/// What an entity is called among those of its device.
#[derive(Debug, Clone, Default)]
pub struct Called {
    /// Its own name; nothing for the entity that is the device.
    pub label: Option<String>,
    /// The same as an id.
    pub base: String,
}

impl Called {
    /// `name`: from the registry. `friendly`: with the device's name before it, mostly.
    pub fn new(name: Option<&str>, friendly: Option<&str>, object: &str, device: Option<&str>) -> Self {
        let own = name.or(friendly).map(str::trim).filter(|name| !name.is_empty());
        let Some(device) = device else {
            return Self { label: None, base: kebab(object) };
        };
        let label = own.and_then(|own| without(own, device)).map(|own| for_screen(own, MAX_LABEL));
        // Ids are plain letters: what is written otherwise has them in Home Assistant's own id.
        let plain = label.as_deref().filter(|label| label.is_ascii()).map(kebab).filter(|base| !base.is_empty());
        let object = kebab(object);
        let base = match (plain, &label) {
            (Some(plain), _) => plain,
            (None, Some(_)) => {
                let prefix = format!("{}-", kebab(device));
                object.strip_prefix(&prefix).map_or(object.clone(), str::to_owned)
            }
            (None, None) => String::new(),
        };
        Self { label, base }
    }

    fn id(&self, local: &str, alone: bool) -> String {
        match (alone || self.base.is_empty(), local) {
            (true, local) => local.to_owned(),
            (false, VALUE) => self.base.clone(),
            (false, local) => match local.strip_prefix("value-") {
                // A number with a unit that has no other place.
                Some(unit) => format!("{}-{unit}", self.base),
                None => format!("{}-{local}", self.base),
            },
        }
    }
}

/// A name without the device's before it; nothing when that is all.
fn without<'a>(own: &'a str, device: &str) -> Option<&'a str> {
    let rest = own.get(..device.len()).filter(|start| start.eq_ignore_ascii_case(device)).map(|_| &own[device.len()..]);
    let rest = match rest {
        Some(rest) if rest.starts_with([' ', '-', '_', ':']) || rest.is_empty() => {
            rest.trim_start_matches([' ', '-', '_', ':'])
        }
        _ => own,
    };
    Some(rest).filter(|rest| !rest.is_empty())
}

/// Where a part went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which instance of its service.
    pub instance: u16,
    /// What its properties and actions are called there, where that is not what they are called in the part.
    pub ids: Vec<(String, String)>,
}

impl Place {
    /// What something of the part is called.
    pub fn id<'a>(&'a self, local: &'a str) -> &'a str {
        self.ids.iter().find(|(known, _)| known == local).map_or(local, |(_, id)| id)
    }
    /// What something of the device is called in the part.
    pub fn local<'a>(&'a self, id: &'a str) -> &'a str {
        self.ids.iter().find(|(_, known)| known == id).map_or(id, |(local, _)| local)
    }
}

/// The services, and for each part of each entity where it went.
#[derive(Debug, Default)]
pub struct Arranged {
    /// In the order in which they came.
    pub services: Vec<Service>,
    /// By entity and part.
    pub places: Vec<Vec<Place>>,
    used: BTreeSet<String>,
}

impl Arranged {
    /// Of these entities. The order decides about numbers, so that it has to stay.
    pub fn new<'a>(entities: impl ExactSizeIterator<Item = (&'a Called, &'a [Part])>) -> Self {
        let (mut this, alone) = (Self::default(), entities.len() == 1);
        for (called, parts) in entities {
            let places = parts.iter().map(|part| this.place(called, part, alone)).collect();
            this.places.push(places);
        }
        this
    }

    fn place(&mut self, called: &Called, part: &Part, alone: bool) -> Place {
        if part.service.id == "more" {
            return self.more(called, part, alone);
        }
        let alike = self.services.iter().filter(|one| one.id == part.service.id);
        let next = alike.clone().map(|one| one.instance + 1).max().unwrap_or_default();
        let free = |one: &&Service| {
            part.service.properties.iter().all(|new| one.properties.iter().all(|known| known.id != new.id))
        };
        if let Some(instance) = alike.clone().find(|one| part.joins && free(one)).map(|one| one.instance) {
            let found = self.services.iter_mut().find(|one| one.id == part.service.id && one.instance == instance);
            if let Some(found) = found {
                found.properties.extend(part.service.properties.iter().cloned());
            }
            return Place { instance, ids: Vec::new() };
        }
        // The first of several that share says nothing with the name of one.
        let label = called.label.as_deref().filter(|label| kebab(label) != part.service.id);
        let label = label.filter(|_| !part.joins || next > 0).unwrap_or_default();
        self.services.push(part.service.clone().of(next, label));
        Place { instance: next, ids: Vec::new() }
    }

    /// All that has no standard name stands in one service, under names of its own.
    fn more(&mut self, called: &Called, part: &Part, alone: bool) -> Place {
        let mut ids = Vec::new();
        let mut service = part.service.clone();
        let all = service
            .properties
            .iter_mut()
            .map(|one| &mut one.id)
            .chain(service.actions.iter_mut().map(|one| &mut one.id));
        for id in all {
            let wanted = called.id(id, alone);
            let free = std::iter::once(wanted.clone()).chain((2..).map(|n| format!("{wanted}-{n}")));
            let free = free.into_iter().find(|one| !self.used.contains(one)).unwrap_or(wanted);
            self.used.insert(free.clone());
            ids.push((std::mem::replace(id, free.clone()), free));
        }
        match self.services.iter_mut().find(|one| one.id == "more") {
            Some(found) => {
                found.properties.extend(service.properties);
                found.actions.extend(service.actions);
            }
            None => self.services.push(service),
        }
        Place { instance: 0, ids }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::map::part::more;
    use accord_model::{Format, catalogue};

    fn called(name: &str) -> Called {
        Called::new(Some(name), None, "plug_x", Some("Plug"))
    }

    #[test]
    fn names_are_said_without_the_device() {
        let say = |name: Option<&str>, friendly: Option<&str>, object: &str| {
            let called = Called::new(name, friendly, object, Some("Küche Lampe"));
            (called.label, called.base)
        };
        assert_eq!(say(Some("Power"), None, "x"), (Some("Power".into()), "power".into()));
        assert_eq!(say(Some("Küche Lampe Power"), None, "x"), (Some("Power".into()), "power".into()));
        assert_eq!(say(None, Some("Küche Lampe"), "kuche_lampe"), (None, String::new()));
        assert_eq!(
            say(Some("Küche Lampenfuß"), None, "kuche_lampe_fuss"),
            (Some("Küche Lampenfuß".into()), "kuche-lampe-fuss".into())
        );
        let called = Called::new(None, Some("Box 1"), "box1", None);
        assert_eq!((called.label, called.base.as_str()), (None, "box1"));
    }

    #[test]
    fn what_shares_stands_together_and_what_does_not_is_numbered() {
        let power = Part::shared(catalogue::electricity().only(&["power"], &[]));
        let energy = Part::shared(catalogue::electricity().only(&["energy"], &[]));
        let (one, two) = (called("Power"), called("Power 2"));
        let parts = [[power.clone()], [energy], [power]];
        let entities = [(&one, &parts[0][..]), (&one, &parts[1][..]), (&two, &parts[2][..])];
        let arranged = Arranged::new(entities.into_iter());
        assert_eq!(arranged.services.len(), 2);
        assert_eq!(arranged.services[0].properties.len(), 2);
        assert_eq!((arranged.services[1].instance, arranged.services[1].label.as_deref()), (1, Some("Power 2")));
        assert_eq!(arranged.places[1][0].instance, 0);
    }

    #[test]
    fn no_id_is_there_twice() {
        let part = [Part::more(more(VALUE, Format::Bool))];
        let (one, two) = (called("Night mode"), called("Night-Mode"));
        let arranged = Arranged::new([(&one, &part[..]), (&two, &part[..])].into_iter());
        let ids: Vec<&str> = arranged.services[0].properties.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["night-mode", "night-mode-2"]);
        assert_eq!(
            (arranged.places[1][0].id(VALUE), arranged.places[1][0].local("night-mode-2")),
            ("night-mode-2", VALUE)
        );
        let alone = Arranged::new([(&one, &part[..])].into_iter());
        assert_eq!(alone.services[0].properties[0].id, VALUE);
    }
}
