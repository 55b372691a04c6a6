//! Brokers and their devices as the house knows them.

use std::collections::BTreeMap;

use accord_model::text::for_screen;
use accord_model::{
    Claims, Data, Device, DeviceId, DeviceKind, Format, Property, Reach, Service, Source, Timestamp, Value, catalogue,
};
use accord_ports::added::{LASTING_S, device_id, pairing};

use super::form::Added;
use crate::core::house::House;
use crate::core::parts::Place;
use crate::core::thing::Thing;

/// Sensors on batteries say something once an hour or less; zigbee2mqtt calls them away after 25 hours.
const FRESH_S: u64 = 25 * 3_600;

/// What the devices of a broker said last, by device.
pub(crate) type Values = BTreeMap<String, BTreeMap<Place, Value>>;

/// What the broker kept was said at some time before, and nobody says when: it is shown, and as stale soon.
const KEPT_FRESH_S: u64 = 30;

pub(crate) fn value(data: Data, kept: bool) -> Value {
    let (source, fresh_for_s) = if kept { (Source::Assumed, KEPT_FRESH_S) } else { (Source::Pushed, FRESH_S) };
    Value { data, seen: Timestamp::now(), source, fresh_for_s }
}

/// The same when something is known already: one that the device said itself, and that the broker repeats, stays what it is.
pub(crate) fn value_after(before: Option<&Value>, data: Data, kept: bool) -> Value {
    let said = before.filter(|before| kept && before.source == Source::Pushed && before.data == data);
    said.cloned().unwrap_or_else(|| value(data, kept))
}

pub(crate) fn thing_id(broker: &DeviceId, key: &str) -> DeviceId {
    device_id("mqtt", &format!("{broker} {key}"))
}

pub(crate) fn device(
    broker: &DeviceId,
    added: &Added,
    key: &str,
    thing: &Thing,
    here: bool,
    values: Option<&BTreeMap<Place, Value>>,
) -> Device {
    let bounded = |text: &Option<String>| text.as_deref().map(|text| for_screen(text, 64));
    let mut device = Device::new(thing_id(broker, key), thing.kind, for_screen(&thing.name, 64));
    (device.maker, device.model, device.room) = (bounded(&thing.maker), bounded(&thing.model), bounded(&thing.room));
    device.reach = if here { Reach::Local } else { Reach::Offline };
    device.via = Some(broker.clone());
    if let Some(address) = &thing.hardware {
        device.claims = Claims::peer([]).hardware(address);
    }
    device.services.clone_from(&thing.parts.services);
    device = with_values(device, values);
    if let Some(software) = bounded(&thing.software) {
        let mut information = catalogue::information();
        information.properties.retain(|property| property.id == "software");
        let value = Value { fresh_for_s: LASTING_S, source: Source::Polled, ..value(Data::Text(software), true) };
        information.values.insert("software".to_owned(), value);
        device.services.push(information);
    }
    device.with(pairing(Some(added.since)))
}

/// A device with what it said last.
pub(crate) fn with_values(mut device: Device, values: Option<&BTreeMap<Place, Value>>) -> Device {
    for (place, value) in values.into_iter().flatten() {
        let of = |one: &&mut Service| one.id == place.service && one.instance == place.instance;
        let has = |service: &Service| service.properties.iter().any(|one| one.id == place.id);
        if let Some(service) = device.services.iter_mut().find(of).filter(|service| has(service)) {
            service.values.insert(place.id.clone(), value.clone());
        }
    }
    device
}

/// What a device said last, as it was described.
pub(crate) fn values_of(device: &Device) -> BTreeMap<Place, Value> {
    let own = device.services.iter().filter(|service| !matches!(service.id.as_str(), "pairing" | "information"));
    let said = own.flat_map(|service| {
        let place = |id: &String| Place { service: service.id.clone(), instance: service.instance, id: id.clone() };
        service.values.iter().map(move |(id, value)| (place(id), value.clone()))
    });
    said.collect()
}

/// The broker itself, and how much of what is described on it was understood.
pub(crate) fn broker(id: &DeviceId, added: &Added, up: bool, house: Option<&House>) -> Device {
    let mut device = Device::new(id.clone(), DeviceKind::Hub, broker_name(added));
    device.reach = if up { Reach::Local } else { Reach::Offline };
    device.with(catalogue::showcase()).with(more(house)).with(pairing(Some(added.since)))
}

/// What it is called until the owner calls it otherwise.
pub(crate) fn broker_name(added: &Added) -> String {
    format!("MQTT broker {}", added.address.ip())
}

fn more(house: Option<&House>) -> Service {
    let mut more = catalogue::more();
    let tally = house.map(House::tally);
    let count = |number: usize| Data::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let said = [
        ("devices", house.map(|house| count(house.things().count()))),
        ("properties-standard", tally.as_ref().map(|tally| count(tally.count.standard))),
        ("properties-own", tally.as_ref().map(|tally| count(tally.count.more))),
        ("properties-not-understood", tally.as_ref().map(|tally| count(tally.count.lost()))),
        ("descriptions-refused", tally.as_ref().map(|tally| count(tally.refused.values().sum()))),
        ("descriptions-of-zigbee2mqtt", tally.as_ref().map(|tally| count(tally.led))),
    ];
    for (id, data) in said {
        more.properties.push(Property::state(id, Format::Int).diagnostic());
        if let Some(data) = data {
            more.values.insert(id.to_owned(), value(data, false));
        }
    }
    let mut lists = vec![("why-not-understood", tally.as_ref().map(|tally| &tally.count.unmapped))];
    lists.push(("why-refused", tally.as_ref().map(|tally| &tally.refused)));
    for (id, why) in lists {
        more.properties.push(Property::state(id, Format::Texts).diagnostic());
        let texts = why.map(|why| why.iter().map(|(why, count)| format!("{count} × {why}")).collect::<Vec<_>>());
        if let Some(texts) = texts.filter(|texts| !texts.is_empty()) {
            more.values.insert(id.to_owned(), value(Data::Texts(texts), false));
        }
    }
    more.properties.push(Property::state("zigbee2mqtt-runs", Format::Bool).diagnostic());
    if let Some(runs) = house.and_then(House::zigbee_runs) {
        more.values.insert("zigbee2mqtt-runs".to_owned(), value(Data::Bool(runs), false));
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_kept_is_not_shown_as_if_it_were_said_now() {
        let kept = value(Data::Bool(true), true);
        assert_eq!((kept.source, kept.fresh_for_s < 60), (Source::Assumed, true));
        let said = value(Data::Bool(true), false);
        assert_eq!((said.source, said.fresh_for_s), (Source::Pushed, FRESH_S));
        assert_eq!(value_after(Some(&said), Data::Bool(true), true), said, "it was said, and is as old as it was");
        assert_eq!(value_after(Some(&said), Data::Bool(false), true).source, Source::Assumed);
        assert_eq!(value_after(Some(&kept), Data::Bool(true), false).source, Source::Pushed);
    }
}
