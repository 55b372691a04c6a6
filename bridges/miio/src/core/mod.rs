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
//! | `push` | what a device tells by itself, where it can be subscribed to |
//! | `device` | one device: looked at, told, given up and found again |
//! | `refused` | what a device does not say, and until when it is not asked for it |
//! | `said` | what is wanted of a device, and what it says |
//! | `import` | tokens from files that people have: lists, an extractor's text, an app's database |

pub mod device;
pub mod dialect;
pub mod import;
pub mod json;
pub mod line;
pub mod map;
pub mod models;
pub mod packet;
pub mod push;
pub mod refused;
pub mod said;
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
    let head = packet::Head { did: 0, stamp: 0 };
    for piece in bytes.chunks(64) {
        let _ = (packet::read_hello(piece), packet::open(&token, piece));
        machine.datagram(piece, now);
        if let Ok(sealed) = packet::seal(&token, head, piece) {
            machine.datagram(&sealed, now);
        }
        while !matches!(machine.poll_output(), device::Output::Wait(_)) {}
    }
    fuzz_told(bytes, &token, head, now);
}

/// The same bytes to one that is subscribed to: as they are, sealed, and as what it tells; and time passes.
fn fuzz_told(bytes: &[u8], token: &packet::Token, head: packet::Head, now: std::time::Instant) {
    use std::time::Duration;
    let hub = push::Hub { number: 1, time: 1 };
    let mut push = push::Push::new(token.clone(), head.did, hub, 1, (head.stamp, now), now);
    let mut offer = packet::hello();
    offer[4..16].fill(0);
    offer[16..].copy_from_slice(b"MSUB\0\0\0\x01PUB\x01\xfe\0\0\0");
    let sealed = |text: &[u8], passed: u32| {
        packet::seal(token, packet::Head { stamp: head.stamp + passed, ..head }, text).unwrap_or_default()
    };
    push.timeout(now);
    push.datagram(&offer, now);
    push.timeout(now);
    push.datagram(&sealed(br#"{"id":1,"result":{"code":0}}"#, 0), now);
    assert!(push.is_on(), "it is subscribed to");
    for (passed, piece) in (0u32..).zip(bytes.chunks(64)) {
        let now = now + Duration::from_secs(passed.into());
        push.datagram(piece, now);
        push.datagram(&sealed(piece, passed), now);
        let params = String::from_utf8_lossy(piece);
        for method in ["properties_changed", "event_occured"] {
            let told = format!("{{\"id\":{passed},\"method\":\"{method}\",\"params\":{params}}}");
            push.datagram(&sealed(told.as_bytes(), passed), now);
        }
        push.timeout(now);
        while push.poll_output().is_some() {}
    }
    push.leave(now);
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

#[cfg(test)]
#[path = "../../tests/lab/mod.rs"]
mod gadget;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const SPECS: [&str; 3] = [
        include_str!("../../specs/curtain.json"),
        include_str!("../../specs/air-conditioner.json"),
        include_str!("../../profiles/light.json"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_spec_makes_it_panic(which in 0usize..3, at: prop::sample::Index, with in "[0-9\\-\"\\[\\]{},a-z]{0,4}", cut in 0usize..4) {
            let text = SPECS[which];
            let at = at.index(text.len());
            let rest = text.get(at + cut..).unwrap_or_default();
            super::fuzz_spec(format!("{}{with}{rest}", &text[..at]).as_bytes());
        }

        #[test]
        fn no_datagrams_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            super::fuzz_datagrams(&bytes);
        }
    }

    #[test]
    fn whole_specs_are_written_and_done() {
        SPECS.into_iter().for_each(|text| super::fuzz_spec(text.as_bytes()));
    }
}
