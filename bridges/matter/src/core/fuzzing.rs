//! What the fuzzer calls: a node that tells whatever it wants.

use accord_model::{Data, DeviceId, Inputs, Target, Timestamp, Verb};

use super::node::{Node, Order, Path};
use super::value::Value;

/// Bytes as attributes and events: a byte of the endpoint and whether an event, two of the cluster, two of the attribute, one of
/// the length, and as many of TLV.
pub fn node(mut bytes: &[u8]) {
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    let Ok(id) = DeviceId::new("matter-fuzz") else { return };
    let mut node = Node::new(id);
    while let [first, cluster, cluster2, attribute, attribute2, length, rest @ ..] = bytes {
        let (tlv, after) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = after;
        let endpoint = u16::from(first & 0x0F);
        let cluster = u32::from(u16::from_le_bytes([*cluster, *cluster2]));
        let number = u32::from(u16::from_le_bytes([*attribute, *attribute2]));
        let value = Value::decode(tlv);
        match first >> 4 {
            0x0F => node.begin(),
            0x0E => drop(node.complete(NOW)),
            0x0D => drop(value.map(|value| node.event(endpoint, cluster, number, &value))),
            _ => drop(node.report([(Path::new(endpoint, cluster, number), value.ok())], NOW)),
        }
    }
    let ids: Vec<DeviceId> = node.ids().cloned().collect();
    for id in ids {
        let device = node.describe(&id).expect("it is one of the node's");
        for service in device.services {
            let target = Target { service: service.id, instance: service.instance };
            for property in service.properties {
                let known = service.values.get(&property.id).map(|value| value.data.clone());
                let range = property.range.map_or([0.0, 1.0], |range| [range.min, range.max]);
                let numbers = range.into_iter().flat_map(|number| [Data::Float(number), Data::Int(number as i64)]);
                let named = property.values.iter().map(|(number, _)| Data::Int(*number));
                for data in numbers.chain(named).chain(known).chain([Data::Bool(true), Data::Text(String::new())]) {
                    let verb = Verb::Write { property: property.id.clone(), data };
                    if let Ok(Order::Send(command)) = node.order(&id, &target, verb, NOW) {
                        assert!(property.write && command.data().is_ok());
                    }
                }
            }
            for action in service.actions {
                let inputs = action.inputs.iter().map(|input| (input.id.clone(), Data::from("1234")));
                let verb = Verb::Act { action: action.id.clone(), inputs: Inputs::from_iter(inputs) };
                let _ = node.order(&id, &target, verb, NOW);
            }
        }
    }
    let coverage = node.coverage();
    assert!(coverage.all() >= coverage.standard + coverage.more);
}
