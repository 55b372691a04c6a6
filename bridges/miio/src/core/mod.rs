//! miIO and MIoT without any I/O: bytes, orders and time in; datagrams, events and the next timeout out.
//!
//! | part | what it is |
//! |---|---|
//! | `packet` | a datagram, sealed with a device's token |
//! | `json` | JSON as devices write it |
//! | `line` | one device's datagrams: greetings, one question at a time, asked again |
//! | `spec`, `models` | what a model can do: MIoT's instance documents, and whose is which |
//! | `dialect` | how a device is asked and told: MIoT, or an older model's own methods |
//! | `map` | a spec in our words, and values and orders through it |
//! | `device` | one device: looked at, told, given up and found again |
//! | `import` | tokens from files that people have |

pub mod device;
pub mod dialect;
pub mod import;
pub mod json;
pub mod line;
pub mod map;
pub mod models;
pub mod packet;
pub mod spec;

/// Datagrams, one after the other, to a line and to a device; and the bytes as what is in them.
#[doc(hidden)]
pub fn fuzz_datagrams(bytes: &[u8]) {
    use std::time::Instant;
    let (token, now) = (packet::Token::new([0; 16]), Instant::now());
    let _ = json::read(bytes);
    let known = device::Known { token: token.clone(), did: None, first: 1, most: None };
    let mut machine = device::Device::new(known, now);
    machine.model(models::shipped("accord.light.lamp1"), now);
    for piece in bytes.chunks(64) {
        let _ = (packet::read_hello(piece), packet::open(&token, piece));
        machine.datagram(piece, now);
        let head = packet::Head { did: 0, stamp: 0 };
        if let Ok(sealed) = packet::seal(&token, head, piece) {
            machine.datagram(&sealed, now);
        }
        while !matches!(machine.poll_output(), device::Output::Wait(_)) {}
    }
}

/// A spec or profile: read, mapped, every property written with what it holds, every action done.
#[doc(hidden)]
pub fn fuzz_spec(bytes: &[u8]) {
    use accord_model::{Data, Inputs, Target};
    let Ok(device::Model { map, .. }) = models::parse(bytes) else { return };
    let mut state = map::State::default();
    for (at, _) in map.asked() {
        for value in [serde_json::json!(true), serde_json::json!(1), serde_json::json!("x")] {
            if let Some(data) = map.hear(at, &value) {
                state.natives.insert(at, data);
            }
        }
    }
    let _ = map.say(&state, |_| true);
    for service in map.services.clone() {
        let target = Target { service: service.id.clone(), instance: service.instance };
        for property in &service.properties {
            let range = property.range.map_or([0.0, 1.0], |range| [range.min, range.max]);
            let numbers = range.into_iter().flat_map(|number| [Data::Float(number), Data::Int(number as i64)]);
            for data in numbers.chain([Data::Bool(true), Data::Text(String::new())]) {
                let _ = map.write(&target, &property.id, &data, &mut state);
            }
        }
        for action in &service.actions {
            let _ = map.act(&target, &action.id, Inputs::new(), &state);
        }
    }
}
