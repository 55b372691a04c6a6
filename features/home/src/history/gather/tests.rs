use accord_model::{Device, DeviceKind, Format, Property, Service};
use proptest::prelude::*;

use super::super::kinds::kept;
use super::*;

const T0: i64 = 1_700_000_400_000 - 1_700_000_400_000 % HOUR;
const LONG: i64 = LONGEST_HOLD;

fn service(id: &str, properties: Vec<Property>) -> Service {
    Service {
        id: id.into(),
        instance: 0,
        label: None,
        properties,
        actions: vec![],
        events: vec![],
        values: Default::default(),
    }
}

fn device() -> Device {
    let power = Property::state("power", Format::Float).unit(Unit::Watt);
    let energy = Property::state("energy", Format::Float).unit(Unit::KilowattHour);
    Device::new(DeviceId::new("plug").unwrap(), DeviceKind::Other, "Plug")
        .with(service("electricity", vec![power, energy]))
        .with(service("on-off", vec![Property::state("on", Format::Bool).writable()]))
}

fn gather() -> (Gather, DeviceId) {
    let device = device();
    let mut gather = Gather::new(vec![]);
    gather.describe(&device.id, kept(&device));
    (gather, device.id)
}

impl Gather {
    fn say(&mut self, device: &DeviceId, property: &str, value: f64, at: i64) {
        let service = if property == "on" { "on-off" } else { "electricity" };
        self.take(device, (service, 0, property), value, at, LONG, at);
    }
}

fn whole(rows: &[(i64, Bucket)], id: i64) -> Bucket {
    let mut all = Bucket::new(0);
    rows.iter().filter(|(of, _)| *of == id).for_each(|(_, bucket)| all.join(bucket));
    all
}

#[test]
fn a_mean_is_over_time_however_often_a_device_speaks() {
    let (mut gather, plug) = gather();
    gather.say(&plug, "power", 0.0, T0);
    // Half of the five minutes nothing, then much said of much.
    (0..150).for_each(|second| gather.say(&plug, "power", 2000.0 + second as f64, T0 + FIVE / 2 + second * 1000));
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    let bucket = whole(&batch.five, 1);
    assert_eq!((bucket.start, bucket.weight, bucket.min, bucket.max), (0, FIVE, 0.0, 2149.0));
    assert!((bucket.mean(Kind::Level) - 1037.0).abs() < 2.0, "{}", bucket.mean(Kind::Level));
    assert_eq!(batch.five.len(), 1);
    assert_eq!(batch.five[0].1.start, T0);
    assert_eq!(batch.raw.len(), 151);
}

#[test]
fn what_is_not_fresh_is_not_known_and_a_sleep_is_no_constant() {
    let (mut gather, plug) = gather();
    gather.take(&plug, ("electricity", 0, "power"), 5.0, T0, 60_000, T0);
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    assert_eq!(whole(&batch.five, 1).weight, 60_000);
    assert_eq!(batch.raw, [(1, T0, Some(5.0)), (1, T0 + 60_000, None)], "from then on nothing is known");
    gather.say(&plug, "power", 5.0, T0 + 2 * FIVE);
    gather.carry(T0 + 3 * FIVE);
    gather.carry(T0 + 100 * FIVE);
    assert_eq!(whole(&gather.batch().five, 1).weight, FIVE, "the machine slept for the rest");
    gather.say(&plug, "power", 6.0, T0 + 100 * FIVE);
    gather.away(&plug, T0 + 100 * FIVE + 1000);
    gather.carry(T0 + 101 * FIVE);
    assert_eq!(whole(&gather.batch().five, 1).weight, 1000);
}

#[test]
fn a_switch_keeps_its_changes_and_the_part_of_the_time() {
    let (mut gather, plug) = gather();
    for (at, on) in [(0, 1.0), (10, 1.0), (60_000, 0.0), (60_400, 1.0), (60_700, 0.0)] {
        gather.say(&plug, "on", on, T0 + at);
    }
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    let rows: Vec<i64> = batch.raw.iter().map(|(_, at, _)| at - T0).collect();
    assert_eq!(rows, [0, 60_000, 60_400, 60_700], "every change, to the millisecond");
    assert_eq!(whole(&batch.five, 1).sum, 60_300.0);
}

#[test]
fn a_meter_counts_what_came_in_and_sees_that_it_began_anew() {
    let (mut gather, plug) = gather();
    for (minute, energy) in [(0, 100.0), (1, 100.5), (2, 100.4), (3, 101.0), (4, 0.2), (6, 0.7)] {
        gather.say(&plug, "energy", energy, T0 + minute * 60_000);
    }
    gather.close(T0 + 7 * 60_000);
    let batch = gather.batch();
    assert!((whole(&batch.five, 1).sum - (0.5 + 0.5 + 0.2 + 0.5)).abs() < 1e-9);
    // The next start knows where it stood.
    let kept = Kept {
        id: 1,
        device: plug.clone(),
        place: Place { service: "electricity".into(), instance: 0, property: "energy".into() },
        kind: Kind::Meter,
        last: Some((T0 + 6 * 60_000, Some(0.7))),
        stood: Some(0.7),
    };
    let mut again = Gather::new(vec![kept]);
    again.describe(&plug, super::super::kinds::kept(&device()));
    again.say(&plug, "energy", 1.7, T0 + HOUR);
    again.close(T0 + HOUR + 1);
    let batch = again.batch();
    assert!((whole(&batch.five, 1).sum - 1.0).abs() < 1e-9, "what was used meanwhile is not lost");
    assert!(batch.series.is_empty());
}

#[test]
fn a_flood_is_thinned_and_the_same_word_twice_is_one() {
    let (mut gather, plug) = gather();
    for _ in 0..3 {
        gather.say(&plug, "power", 7.0, T0);
    }
    for n in 1..100_000 {
        gather.say(&plug, "power", f64::from(n % 1000), T0 + i64::from(n));
        gather.say(&plug, "on", f64::from(n % 2), T0 + i64::from(n));
    }
    assert!(gather.waiting() < 2 * MOST_IN_FIVE as usize + 8, "{}", gather.waiting());
    for odd in [f64::NAN, f64::INFINITY] {
        gather.say(&plug, "power", odd, T0 + FIVE);
    }
    let before = gather.waiting();
    gather.take(&plug, ("electricity", 1, "power"), 1.0, T0, LONG, T0);
    gather.take(&DeviceId::new("other").unwrap(), ("electricity", 0, "power"), 1.0, T0, LONG, T0);
    assert_eq!(gather.waiting(), before, "what was not described is not kept");
    gather.forget(Some(&plug));
    assert_eq!((gather.waiting(), gather.count), (0, 0));
}

#[test]
fn people_and_what_passes_by_are_not_kept() {
    let mut phone = device();
    phone.kind = DeviceKind::Phone;
    assert!(kept(&phone).is_empty());
    let mut passing = device();
    passing.passing = true;
    assert!(kept(&passing).is_empty());
    let mut mode = Property::state("mode", Format::Int);
    mode.role = accord_model::Role::Config;
    let more =
        device().with(service("more", vec![mode])).with(service("media", vec![Property::state("volume", Format::Int)]));
    assert_eq!(kept(&more).len(), 3);
}

proptest! {
    /// However times and values come: no five minutes count more than five minutes, and means lie within.
    #[test]
    fn time_is_counted_once(said in prop::collection::vec((0i64..4_000_000, -50.0f64..50.0, 0i64..2_000_000, 0u8..8), 1..60)) {
        let (mut gather, plug) = gather();
        let mut now = T0;
        let mut rows: HashMap<(i64, i64), Bucket> = HashMap::new();
        for (step, value, fresh, what) in said {
            now += step / 16;
            match what {
                0 => gather.away(&plug, now),
                1 => gather.carry(now),
                _ => gather.take(&plug, ("electricity", 0, "power"), value, now - step % 90_000, fresh, now),
            }
            for (id, bucket) in gather.batch().five {
                rows.entry((id, bucket.start)).or_insert_with(|| Bucket::new(bucket.start)).join(&bucket);
            }
        }
        gather.close(now);
        for (id, bucket) in gather.batch().five {
            rows.entry((id, bucket.start)).or_insert_with(|| Bucket::new(bucket.start)).join(&bucket);
        }
        for bucket in rows.values() {
            prop_assert!((0..=FIVE).contains(&bucket.weight), "{bucket:?}");
            let mean = bucket.mean(Kind::Level);
            prop_assert!(bucket.min <= mean && mean <= bucket.max, "{bucket:?}");
        }
    }
}
