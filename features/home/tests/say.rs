//! The one thing worth saying of a device.

use accord_home::say::{Tone, of_device};
use accord_model::{Data, Format, Property, Service, Source, Timestamp, Unit, Value};

fn said(id: &str, values: &[(Property, Data)]) -> Service {
    let now = Timestamp::now();
    let value = |data: &Data| Value { data: data.clone(), seen: now, source: Source::Pushed, fresh_for_s: 60 };
    Service {
        id: id.into(),
        instance: 0,
        label: None,
        properties: values.iter().map(|(property, _)| property.clone()).collect(),
        actions: vec![],
        events: vec![],
        values: values.iter().map(|(property, data)| (property.id.clone(), value(data))).collect(),
    }
}

fn truth(id: &str, is: bool) -> (Property, Data) {
    (Property::state(id, Format::Bool), Data::Bool(is))
}
fn float(id: &str, unit: Unit, is: f64) -> (Property, Data) {
    (Property::state(id, Format::Float).unit(unit), Data::Float(is))
}
fn state(id: &str, names: &[&str], is: i64) -> (Property, Data) {
    let mut property = Property::state(id, Format::Enum);
    property.values = names.iter().enumerate().map(|(at, name)| (at as i64, (*name).to_owned())).collect();
    (property, Data::Int(is))
}

fn word(services: Vec<Service>) -> Option<(String, Tone)> {
    of_device(&services, Timestamp::now()).map(|one| (one.text, one.tone))
}

#[test]
fn a_device_says_what_matters_most() {
    let level = || float("level", Unit::Percent, 30.0);
    let battery = || said("battery", &[float("percent", Unit::Percent, 80.0)]);
    let says = |services| word(services).unwrap();
    assert_eq!(says(vec![said("light", &[truth("on", true), level()])]), ("on, 30 %".into(), Tone::Active));
    assert_eq!(says(vec![said("light", &[truth("on", false), level()])]), ("off".into(), Tone::Quiet));
    let climate = said(
        "climate",
        &[
            float("temperature", Unit::Celsius, 20.46),
            float("target", Unit::Celsius, 22.0),
            state("running", &["idle", "heating"], 1),
        ],
    );
    assert_eq!(says(vec![climate]), ("20.5 °C → 22 °C, heating".into(), Tone::Active));
    let room = vec![
        battery(),
        said("temperature", &[float("temperature", Unit::Celsius, 21.0)]),
        said("humidity", &[float("humidity", Unit::Percent, 45.0)]),
    ];
    assert_eq!(says(room), ("21 °C, 45 %".into(), Tone::Quiet));
    let leak = |is| vec![battery(), said("water-leak", &[truth("detected", is)])];
    assert_eq!(says(leak(true)), ("water leak".into(), Tone::Alarm));
    assert_eq!(says(leak(false)).1, Tone::Quiet);
    let cover = said("cover", &[state("state", &["closed", "opening"], 1), float("position", Unit::Percent, 40.0)]);
    assert_eq!(says(vec![cover]), ("opening, 40 %".into(), Tone::Active));
    let pressure = said("pressure", &[float("pressure", Unit::Pascal, 101_320.0)]);
    assert_eq!(says(vec![pressure]).0, "1013.2 hPa");
    assert_eq!(word(vec![]), None, "who said nothing is not said to be off");
    let unknown = said("more", &[float("filter-life", Unit::Percent, 12.0)]);
    assert_eq!(says(vec![unknown]).0, "filter life 12 %");
}

#[test]
fn what_is_old_says_so() {
    let light = said("light", &[truth("on", true)]);
    let light = [light];
    let later = Timestamp::now() + std::time::Duration::from_secs(3600);
    assert!(!of_device(&light, later).unwrap().fresh);
    assert!(of_device(&light, Timestamp::now()).unwrap().fresh);
}
