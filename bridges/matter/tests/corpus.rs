//! Real and imaginary nodes through the mapping: those of every device type of matter.js, which `tests/peers/run --install`
//! makes, or a folder that `ACCORD_MATTER_NODES` names, of dumps as Home Assistant and matter-server keep them
//! (`{"attributes": {"1/6/0": true, …}}`, structures by the numbers of their fields, and `"tlv:…"` with the bytes in hexadecimal
//! where somebody wrote those), with each one's parts. They are no part of this repository; without them this says so and passes,
//! unless `ACCORD_CORPORA` is set.
//! `ACCORD_MATTER_COMMANDS` names a file that gets every command that was made, a line each: node, endpoint, cluster, `invoke` or
//! `write` and of what, the bytes. So another implementation can say what it reads in them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use accord_matter::core::command::{Command, What};
use accord_matter::core::node::{Coverage, Left, Node, Order, Path};
use accord_matter::core::value::Value;
use accord_model::{Data, DeviceId, Format, Property, Target, Timestamp, Verb};
use serde_json::Value as Json;

fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("ACCORD_MATTER_NODES") {
        return Some(PathBuf::from(named));
    }
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let peers = std::env::var_os("ACCORD_PEERS").map(PathBuf::from);
    let peers = peers.or_else(|| Some(cache().or_else(home)?.join("accord/peers")))?;
    Some(peers.join("matter/nodes")).filter(|nodes| nodes.is_dir())
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::Uint(number),
            (_, Some(number)) => Value::Int(number),
            _ => Value::Float(number.as_f64()?),
        },
        Json::String(text) => match text.strip_prefix("tlv:") {
            Some(hex) => {
                Value::decode(&data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?).expect("matter.js wrote it")
            }
            None => Value::Text(text.clone()),
        },
        Json::Array(items) => Value::List(items.iter().filter_map(value).collect()),
        Json::Object(fields) => {
            Value::Struct(fields.iter().filter_map(|(tag, field)| Some((tag.parse().ok()?, value(field)?))).collect())
        }
    })
}

fn node(json: &Json) -> Option<Vec<(Path, Option<Value>)>> {
    let attributes = json.get("attributes")?.as_object()?;
    let one = |(path, json): (&String, &Json)| {
        let mut numbers = path.split('/');
        let endpoint = numbers.next()?.parse().ok()?;
        let mut number = || numbers.next()?.parse::<u32>().ok();
        Some((Path::new(endpoint, number()?, number()?), value(json)))
    };
    Some(attributes.iter().filter_map(one).collect())
}

/// Values of a property that its range, its names or its format allow.
fn samples(property: &Property) -> Vec<Data> {
    let range = property.range.map_or((0.0, 100.0), |range| (range.min, range.max));
    let steps = |count: u32| (0..=count).map(move |n| range.0 + (range.1 - range.0) * f64::from(n) / f64::from(count));
    match property.format {
        Format::Bool => vec![Data::Bool(true), Data::Bool(false)],
        Format::Int => steps(10).map(|number| Data::Int(number.round() as i64)).collect(),
        Format::Float => steps(10).map(Data::Float).collect(),
        Format::Enum => property.values.iter().map(|(number, _)| Data::Int(*number)).collect(),
        _ => Vec::new(),
    }
}

/// All that it says fits what it describes, all that can be set and done becomes commands, and no description is too long.
fn check(name: &str, node: &mut Node, lines: &mut Vec<String>) -> (usize, usize) {
    let (mut written, mut refused) = (0, 0);
    let mut note = |command: &Command| {
        let bytes = data_encoding::HEXLOWER.encode(&command.data().unwrap());
        let (kind, number) = match &command.what {
            What::Invoke { command, .. } => ("invoke", command),
            What::Write { attribute, .. } => ("write", attribute),
        };
        lines.push(format!("{name} {} {} {kind} {number} {bytes}", command.endpoint, command.cluster));
    };
    let now = Timestamp::UNIX_EPOCH;
    let ids: Vec<DeviceId> = node.ids().cloned().collect();
    for id in ids {
        let device = node.describe(&id).unwrap();
        let long = serde_json::to_string(&device).unwrap().len();
        assert!(long < accord_model::message::MAX_MESSAGE, "{name}: {long}");
        let mut places = std::collections::BTreeSet::new();
        for service in &device.services {
            assert!(places.insert((service.id.clone(), service.instance)), "{name}: {} twice", service.id);
            let mut ids = std::collections::BTreeSet::new();
            let target = Target { service: service.id.clone(), instance: service.instance };
            for property in &service.properties {
                assert!(ids.insert(&property.id), "{name}: {} {} twice", service.id, property.id);
                if let Some(value) = service.values.get(&property.id) {
                    let mut free = property.clone();
                    free.range = None;
                    let what = format!("{name}: {} {} {value:?}", service.id, property.id);
                    assert_eq!(free.fit(value.data.clone()), Ok(value.data.clone()), "{what}");
                }
                for data in property.write.then(|| samples(property)).into_iter().flatten() {
                    let verb = Verb::Write { property: property.id.clone(), data: data.clone() };
                    match node.order(&id, &target, verb, now) {
                        Ok(Order::Send(command)) => {
                            note(&command);
                            written += 1;
                        }
                        Ok(Order::Read(_)) => panic!("{name}"),
                        Err(_) => refused += 1,
                    }
                }
            }
            for action in &service.actions {
                let inputs = action.inputs.iter().map(|input| (input.id.clone(), Data::from("1234"))).collect();
                let verb = Verb::Act { action: action.id.clone(), inputs };
                match node.order(&id, &target, verb, now) {
                    Ok(Order::Send(command)) => {
                        note(&command);
                        written += 1;
                    }
                    Ok(Order::Read(_)) => panic!("{name}"),
                    Err(_) => refused += 1,
                }
            }
        }
    }
    (written, refused)
}

#[test]
fn every_node_that_is_at_hand_is_in_the_words_of_the_house() {
    let Some(folder) = folder() else {
        assert!(std::env::var_os("ACCORD_CORPORA").is_none(), "no nodes are at hand");
        return println!("no nodes are at hand: nothing to do");
    };
    let in_detail = std::env::var_os("ACCORD_MATTER_NODES").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|file| file.path()).collect();
    files.sort();
    let (mut all, mut nodes, mut devices, mut written, mut refused) = (Coverage::default(), 0, 0, 0, 0);
    let mut lines = Vec::new();
    let mut services: BTreeMap<String, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ext| ext == "json")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let json: Json = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let Some(report) = node(&json).filter(|report| !report.is_empty()) else { continue };
        let count = report.len();
        let mut node = Node::new(DeviceId::new("matter-test").unwrap());
        let told = node.report(report.clone(), Timestamp::UNIX_EPOCH);
        assert!(told.gone.is_empty() && !told.seen.is_empty(), "{name}");
        // In another order, and one by one, it becomes the same.
        let mut other = Node::new(DeviceId::new("matter-test").unwrap());
        for one in report.into_iter().rev() {
            other.report([one], Timestamp::UNIX_EPOCH);
        }
        for id in node.ids() {
            assert_eq!(node.describe(id), other.describe(id), "{name}");
        }
        let coverage = node.coverage();
        assert_eq!(coverage.all(), count, "{name}: nothing is dropped silently");
        let detail = |text: String| {
            if in_detail {
                println!("{text}")
            }
        };
        detail(format!("{name}: {coverage}"));
        for id in node.ids() {
            let device = node.describe(id).unwrap();
            let all = device.services.iter().map(|service| {
                let values: Vec<String> = service
                    .properties
                    .iter()
                    .filter(|_| service.id != "more")
                    .map(|one| format!("{}={:?}", one.id, service.values.get(&one.id).map(|value| &value.data)))
                    .collect();
                format!(
                    "{}/{}{}",
                    service.id,
                    service.instance,
                    if values.is_empty() { String::new() } else { format!("({})", values.join(" ")) }
                )
            });
            let all = all.collect::<Vec<_>>().join(" ");
            detail(format!("    {} {:?} {:?}: {all}", device.kind, device.name, device.reach));
            devices += 1;
            device.services.iter().for_each(|service| *services.entry(service.id.clone()).or_default() += 1);
        }
        let (one, two) = check(&name, &mut node, &mut lines);
        (written, refused, nodes) = (written + one, refused + two, nodes + 1);
        all.add(&coverage);
    }
    println!(
        "{nodes} nodes, {devices} devices; {all}; {written} orders became commands, {refused} were refused; {services:?}"
    );
    if let Some(file) = std::env::var_os("ACCORD_MATTER_COMMANDS") {
        std::fs::write(file, lines.join("\n")).unwrap();
    }
    assert!(nodes > 0, "no node in {folder:?}");
    // All but those: what a cluster is made of, how the node is administered, what nobody should see, what has no value.
    let mapped = all.standard + all.more;
    let lost: usize = [Left::Opaque, Left::TooMany].iter().filter_map(|why| all.left_out.get(why)).sum();
    println!("{:.2} % of what says something is shown", 100.0 * mapped as f64 / (mapped + lost) as f64);
    assert!(lost * 20 <= mapped + lost, "{lost} of {} are not shown", mapped + lost);
}
