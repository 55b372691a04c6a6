//! Everything that every device of zigbee2mqtt exposes, through the mapper. The corpus is made by `tests/peers/run
//! --install` from the npm package `zigbee-herdsman-converters` and is not part of this repository; without it this says so
//! and passes, unless `ACCORD_CORPORA` is set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use accord_model::{Data, Format, Property};
use accord_mqtt::core::native::Scale;
use accord_mqtt::core::parts::{Count, Parts, Place};
use accord_mqtt::core::units;
use accord_mqtt::core::zigbee::{self, Topics};
use serde_json::Value;

fn corpus() -> Option<String> {
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let peers = std::env::var_os("ACCORD_PEERS").map(PathBuf::from);
    let peers = peers.or_else(|| Some(cache().or_else(home)?.join("accord/peers")))?;
    std::fs::read_to_string(peers.join("zigbee/exposes.jsonl")).ok()
}

/// Values of a property that its range, its names or its format allow.
fn samples(property: &Property) -> Vec<Data> {
    let range = property.range.map_or((-5.0, 5.0), |range| (range.min, range.max));
    let steps =
        |count: u32| (0..=count).map(move |part| range.0 + (range.1 - range.0) * f64::from(part) / f64::from(count));
    match property.format {
        Format::Bool => vec![Data::Bool(true), Data::Bool(false)],
        Format::Int => steps(25).map(|number| Data::Int(number.round() as i64)).collect(),
        Format::Float => steps(25).map(Data::Float).collect(),
        Format::Enum => property.values.iter().map(|(number, _)| Data::Int(*number)).collect(),
        _ => vec![Data::from("a text")],
    }
}

fn round_trips(parts: &Parts, model: &str) -> usize {
    let mut done = 0;
    for service in &parts.services {
        for property in service.properties.iter().filter(|property| property.write) {
            let place = Place { service: service.id.clone(), instance: service.instance, id: property.id.clone() };
            let writing = &parts.writings[&place];
            for data in samples(property) {
                let what = format!("{model}: {place:?} {data:?} {property:?}");
                // The other half of a colour is at full.
                let native = match writing.scale.write(&data, Some(100.0)) {
                    Ok(native) => native,
                    // A range with one end alone is not told.
                    Err(_) if property.range.is_none() && data.as_number().is_some() => continue,
                    Err(why) => panic!("{what}: {why}"),
                };
                let back = writing.scale.read(&native).unwrap_or_else(|| panic!("{what}: {native} is not read back"));
                let is_colour = matches!(writing.scale, Scale::Colour(..));
                match (data.as_number(), back.as_number(), property.range) {
                    (Some(wrote), Some(read), Some(range)) if !is_colour => {
                        let near = (range.step / 2.0).max(1e-5).max(wrote.abs() * 1e-9);
                        assert!((wrote - read).abs() <= near, "{what}: {native} → {back:?}");
                    }
                    (Some(wrote), Some(read), None) => assert!((wrote - read).abs() < 1e-5, "{what}: {back:?}"),
                    // Hue and saturation are whole; a colour of little saturation has hardly a hue.
                    (Some(_), Some(_), Some(_)) => {}
                    _ => assert_eq!(data, back, "{what}: {native}"),
                }
                let (topic, payload, _) = parts.write(&place, &data, |_| Some(Data::Int(100))).unwrap();
                assert_eq!(topic, "zigbee2mqtt/name/set");
                assert!(serde_json::from_slice::<Value>(&payload).is_ok_and(|value| value.is_object()), "{what}");
                done += 1;
            }
        }
    }
    done
}

#[test]
fn every_device_of_zigbee2mqtt_is_mapped_and_nothing_is_dropped_silently() {
    let Some(corpus) = corpus() else {
        assert!(std::env::var_os("ACCORD_CORPORA").is_none(), "the corpus is not here");
        println!("the corpus is not here: tests/peers/run --install makes it");
        return;
    };
    let topics = Topics::of("zigbee2mqtt", "name");
    let (mut all, mut devices, mut exposed, mut trips) = (Count::default(), 0, 0, 0);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut own: BTreeMap<String, usize> = BTreeMap::new();
    let mut foreign: BTreeMap<String, usize> = BTreeMap::new();
    for line in corpus.lines() {
        let device: Value = serde_json::from_str(line).unwrap();
        let model = device["model"].as_str().unwrap_or_default();
        let exposes = device["exposes"].as_array().unwrap();
        let parts = zigbee::map(exposes, &topics);
        assert!(zigbee::is_safe(&parts), "{model}");
        // A specific one is as many properties as it has features, any other one is one.
        let leaves = |one: &Value| match one["type"].as_str() {
            Some("light" | "switch" | "cover" | "lock" | "fan" | "climate") => {
                one["features"].as_array().unwrap().len()
            }
            _ => 1,
        };
        let here: usize = exposes.iter().map(leaves).sum();
        let Count { standard, more, .. } = parts.count;
        assert_eq!(standard + more + parts.count.lost(), here, "{model}: every property is counted once");
        exposed += here;
        for unit in exposes.iter().filter_map(|one| one["unit"].as_str()).filter(|unit| units::measure(unit).foreign) {
            *foreign.entry(unit.to_owned()).or_default() += 1;
        }
        trips += round_trips(&parts, model);
        devices += 1;
        *kinds.entry(zigbee::kind(&parts, device["description"].as_str().unwrap_or_default()).as_str()).or_default() +=
            1;
        for service in parts.services.iter().filter(|service| service.id == "more") {
            service.properties.iter().for_each(|property| *own.entry(property.id.clone()).or_default() += 1);
        }
        for service in &parts.services {
            for property in &service.properties {
                assert!(property.read || property.write, "{model}: {}", property.id);
                assert!(property.format != Format::Enum || !property.values.is_empty(), "{model}: {}", property.id);
            }
        }
        all.add(&parts.count);
    }
    let share = |count: usize| 100.0 * count as f64 / exposed as f64;
    let mut own: Vec<(usize, String)> = own.into_iter().map(|(id, count)| (count, id)).collect();
    own.sort_unstable_by(|one, other| other.cmp(one));
    println!(
        "{devices} devices, {exposed} properties: {} of a standard service ({:.1} %), {} of their own, with type and unit ({:.1} %), {} not mapped ({:.2} %)",
        all.standard,
        share(all.standard),
        all.more,
        share(all.more),
        all.lost(),
        share(all.lost())
    );
    println!("not mapped: {:?}", all.unmapped);
    println!("{} with a unit that the house has none for: {foreign:?}", foreign.values().sum::<usize>());
    println!("kinds: {kinds:?}");
    println!("most of their own: {:?}", &own[..own.len().min(40)]);
    println!("{trips} values there and back");
    assert!(devices > 4_000 && share(all.standard + all.more) >= 95.0);
}
