//! A device as others may see it: under another id, with what may be shown of it and what they may do.

use std::collections::BTreeSet;

use accord_model::text::for_screen;
use accord_model::{Data, Device, DeviceId, Effect, FieldCode, FieldSet, Format, Property, Reach, Service};
use accord_ports::showcase::MAX_FRAME;

use super::Chosen;

/// Services that are shown elsewhere: those of a house, and of people's own devices what `home/share` names. Whatever is not here
/// is not, such as what runs commands, messages, networks that a phone is in, and whether its screen is locked.
const SHOWN_SERVICES: [&str; 32] = [
    "air-quality",
    "alarm",
    "battery",
    "button",
    "carbon-monoxide",
    "climate",
    "contact",
    "cover",
    "door-lock",
    "electricity",
    "fan",
    "gas",
    "humidifier",
    "humidity",
    "illuminance",
    "light",
    "media",
    "more",
    "occupancy",
    "on-off",
    "press",
    "pressure",
    "ringer",
    "siren",
    "smoke",
    "tamper",
    "temperature",
    "vacuum",
    "valve",
    "vibration",
    "volume",
    "water-leak",
];
/// Most services of one device, and most properties and actions of one of them.
const MOST_SERVICES: usize = 48;
const MOST_PARTS: usize = 64;
/// Longest text that is shown, and longest name.
const MAX_TEXT: usize = 250;
const MAX_NAME: usize = 64;
/// Kinds of data that are shown. What a property holds beside them is left out.
const SHOWN: [FieldCode; 4] =
    [FieldCode::HomeDeviceState, FieldCode::BatteryLevel, FieldCode::Presence, FieldCode::MediaNowPlaying];

/// What may be shown of a device, and what whoever sees it may do.
pub(super) fn services(device: &Device, chosen: Chosen) -> Vec<Service> {
    let shown = device.services.iter().filter(|service| SHOWN_SERVICES.contains(&service.id.as_str()));
    let services = shown.filter_map(|service| bare(service, chosen));
    services.take(MOST_SERVICES).collect()
}

fn bare(service: &Service, chosen: Chosen) -> Option<Service> {
    let may = |effect: Effect| match effect {
        Effect::Safe | Effect::Physical => chosen.control,
        Effect::Security => chosen.control && chosen.opens,
        // What is lost is lost: nobody does that from elsewhere.
        Effect::Destructive => false,
    };
    let is_shown = |property: &&Property| {
        SHOWN.contains(&field(property)) && !matches!(property.format, Format::Texts | Format::Bytes)
    };
    let mut bare =
        Service { label: service.label.as_deref().map(|label| for_screen(label, MAX_NAME)), ..service.clone() };
    bare.properties = service.properties.iter().filter(is_shown).take(MOST_PARTS).cloned().collect();
    for property in &mut bare.properties {
        property.write &= may(property.effect);
    }
    bare.properties.retain(|property| property.read || property.write);
    // What has to be said with an action cannot be said from there.
    bare.actions.retain(|action| may(action.effect) && (action.inputs.is_empty() || action.id == "disarm"));
    bare.actions.truncate(MOST_PARTS);
    bare.actions.iter_mut().for_each(|action| (action.inputs, action.outputs) = (Vec::new(), Vec::new()));
    bare.events.retain(|event| service.id == "button" && event.id == "pressed");
    let readable = |id: &str| bare.properties.iter().any(|property| property.id == id && property.read);
    bare.values.retain(|id, value| readable(id) && fits(&value.data));
    for value in bare.values.values_mut() {
        if let Data::Text(text) = &value.data {
            value.data = Data::Text(for_screen(text, MAX_TEXT));
        }
    }
    let empty = bare.properties.is_empty() && bare.actions.is_empty() && bare.events.is_empty();
    (!empty).then_some(bare)
}

/// Which services have something that opens, unlocks or disarms.
pub(super) fn secured(device: &Device) -> BTreeSet<String> {
    let all = services(device, Chosen { control: true, opens: true });
    let secures = |service: &Service| {
        let acts = service.actions.iter().any(|one| one.effect == Effect::Security);
        acts || service.properties.iter().any(|one| one.write && one.effect == Effect::Security)
    };
    all.into_iter().filter(secures).map(|service| service.id).collect()
}

/// Nothing opens but by these services.
pub(super) fn secure(device: &mut Device, by: &BTreeSet<String>) {
    for service in device.services.iter_mut().filter(|service| !by.contains(&service.id)) {
        service.actions.retain(|action| action.effect != Effect::Security);
        for property in service.properties.iter_mut().filter(|property| property.effect == Effect::Security) {
            property.write = false;
        }
    }
}

/// Whether it can be told: with room for its name, and for longer values.
pub(super) fn fits_in_a_message(services: &[Service]) -> bool {
    serde_json::to_vec(services).is_ok_and(|bytes| bytes.len() <= MAX_FRAME / 2)
}

fn fits(data: &Data) -> bool {
    match data {
        Data::Float(number) => number.is_finite(),
        Data::Bool(_) | Data::Int(_) | Data::Text(_) => true,
        Data::Texts(_) | Data::Bytes(_) => false,
    }
}

fn field(property: &Property) -> FieldCode {
    property.sensitive.unwrap_or(FieldCode::HomeDeviceState)
}

/// Which kinds of data it reveals.
pub(super) fn fields(device: &Device) -> FieldSet {
    let services = services(device, Chosen { control: true, opens: true });
    let said = services.iter().flat_map(|service| &service.properties).map(field);
    said.fold(super::always(), |all, field| all.union(FieldSet::one(field)))
}

/// The whole of it.
pub(super) fn device(
    thing: &Device,
    there: DeviceId,
    chosen: Chosen,
    (name, room): (String, Option<String>),
) -> Device {
    let mut device = Device::new(there, thing.kind, for_screen(&name, MAX_NAME));
    device.room = room.map(|room| for_screen(&room, MAX_NAME)).filter(|room| !room.is_empty());
    device.reach = if thing.reach == Reach::Offline { Reach::Offline } else { Reach::Local };
    device.services = services(thing, chosen);
    device
}

#[cfg(test)]
mod tests {
    use accord_model::{DeviceKind, Source, Timestamp, Value, catalogue};

    use super::*;

    fn thing(services: impl IntoIterator<Item = Service>) -> Device {
        let device = Device::new(DeviceId::new("miio-1").unwrap(), DeviceKind::Lock, "Front");
        let mut device = services.into_iter().fold(device, Device::with);
        device.guard();
        device
    }

    fn actions(device: &Device, chosen: Chosen) -> Vec<String> {
        services(device, chosen).iter().flat_map(|service| &service.actions).map(|action| action.id.clone()).collect()
    }

    #[test]
    fn nobody_unlocks_from_elsewhere_until_the_owner_says_so() {
        let mut more = catalogue::more();
        more.properties.push(Property::state("passage-mode", Format::Bool).writable());
        let lock = thing([catalogue::door_lock(), more]);
        let writes = |chosen| services(&lock, chosen).iter().flat_map(|one| &one.properties).any(|one| one.write);
        let (see, control, all) =
            (Chosen::default(), Chosen { control: true, opens: false }, Chosen { control: true, opens: true });
        assert_eq!((actions(&lock, see), writes(see)), (vec![], false));
        assert_eq!((actions(&lock, control), writes(control)), (vec!["lock".to_owned()], false));
        assert_eq!((actions(&lock, all), writes(all)), (vec!["lock".into(), "unlock".into(), "open".into()], true));
    }

    #[test]
    fn what_people_have_on_their_devices_is_not_shown() {
        let phone = thing([
            catalogue::files(),
            catalogue::messages(),
            catalogue::notifications(),
            catalogue::command(),
            catalogue::battery(),
            catalogue::media(),
            catalogue::signal(),
            catalogue::screen_lock(),
            Service { id: "of-tomorrow".into(), ..catalogue::on_off() },
        ]);
        let shown = services(&phone, Chosen { control: true, opens: true });
        let ids: Vec<&str> = shown.iter().map(|service| service.id.as_str()).collect();
        assert_eq!(ids, ["battery", "media"]);
        assert!(!shown[1].properties.iter().any(|property| property.id == "artwork"));
        assert!(
            fields(&phone).contains(FieldCode::BatteryLevel) && fields(&phone).contains(FieldCode::MediaNowPlaying)
        );
        assert!(!fields(&thing([catalogue::light()])).contains(FieldCode::BatteryLevel));
        assert!(services(&thing([catalogue::pairing()]), Chosen::default()).is_empty());
    }

    #[test]
    fn nothing_opens_but_what_it_was_allowed_for() {
        let mut lock = thing([catalogue::door_lock(), catalogue::valve()]);
        assert_eq!(secured(&lock), BTreeSet::from(["door-lock".to_owned()]));
        assert!(secured(&thing([catalogue::contact(), catalogue::light()])).is_empty());
        secure(&mut lock, &BTreeSet::new());
        let all = Chosen { control: true, opens: true };
        assert!(!actions(&lock, all).iter().any(|action| action == "unlock"), "{:?}", actions(&lock, all));
        assert!(secured(&lock).is_empty() && actions(&lock, all).contains(&"lock".to_owned()));
    }

    #[test]
    fn what_does_not_fit_in_a_message_is_not_shown() {
        let large = |count: u16| -> Vec<Service> {
            let mut more = catalogue::more();
            let states = (0..count).map(|at| (i64::from(at), format!("{at:0200}"))).collect();
            more.properties.push(Property { values: states, ..Property::state("mode", Format::Int) });
            services(&thing([more]), Chosen::default())
        };
        assert!(fits_in_a_message(&large(100)) && !fits_in_a_message(&large(2000)));
    }

    #[test]
    fn what_cannot_be_said_as_it_is_is_left_out() {
        let mut sensor = catalogue::temperature();
        let value = |data| Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 9 };
        sensor.values.insert("temperature".into(), value(Data::Float(f64::NAN)));
        sensor.values.insert("other".into(), value(Data::Int(1)));
        let mut thing = thing([sensor]);
        (thing.maker, thing.model) = (Some("Lab".into()), Some("T1".into()));
        let there = DeviceId::new("shown-1").unwrap();
        let shown = device(&thing, there.clone(), Chosen::default(), ("Bad\u{202e}name".into(), Some("Hall".into())));
        assert_eq!((&shown.id, shown.maker, shown.model, shown.told.len()), (&there, None, None, 0));
        assert!(!shown.name.contains('\u{202e}'));
        assert!(shown.services[0].values.is_empty());
    }
}
