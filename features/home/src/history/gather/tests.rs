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
    gather.describe(&device.id, kept(&device), T0);
    (gather, device.id)
}

impl Gather {
    fn say(&mut self, device: &DeviceId, property: &str, value: f64, at: i64) {
        let service = if property == "on" { "on-off" } else { "electricity" };
        self.take(device, (service, 0, property), value, at, LONG, at);
    }
}

/// When which value was written down, or that none is known.
fn rows(batch: &Batch) -> Vec<(i64, Option<f64>)> {
    batch.raw.iter().map(|((_, at), value)| (*at, *value)).collect()
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
    assert_eq!(rows(&batch), [(T0, Some(5.0)), (T0 + 60_000, None)], "from then on nothing is known");
    gather.say(&plug, "power", 5.0, T0 + 2 * FIVE);
    gather.carry(T0 + 3 * FIVE);
    gather.carry(T0 + 100 * FIVE);
    assert_eq!(whole(&gather.batch().five, 1).weight, FIVE, "the machine slept for the rest");
    gather.say(&plug, "power", 6.0, T0 + 100 * FIVE);
    gather.away(&plug, T0 + 100 * FIVE + 1000);
    gather.carry(T0 + 101 * FIVE);
    assert_eq!(whole(&gather.batch().five, 1).weight, 1000);
    // Also when what it says next comes before anything else after it.
    gather.say(&plug, "power", 7.0, T0 + 101 * FIVE);
    gather.say(&plug, "power", 8.0, T0 + 200 * FIVE);
    let batch = gather.batch();
    assert_eq!((whole(&batch.five, 1).weight, batch.raw.len()), (0, 3));
    assert_eq!(batch.raw.get(&(1, T0 + 101 * FIVE + 1)), Some(&None));
}

#[test]
fn what_was_so_before_an_outage_is_not_so_meanwhile() {
    let (mut gather, plug) = gather();
    let back = T0 + 2 * HOUR + 60_000;
    gather.say(&plug, "power", 5.0, T0);
    gather.away(&plug, T0 + 60_000);
    // It is back, and described with what it said before it went.
    gather.take(&plug, ("electricity", 0, "power"), 5.0, T0, LONG, back);
    gather.carry(T0 + 2 * HOUR + FIVE);
    let batch = gather.batch();
    assert_eq!(rows(&batch), [(T0, Some(5.0)), (T0 + 60_000, None), (back, Some(5.0))]);
    assert_eq!(whole(&batch.five, 1).weight, 60_000 + FIVE - 60_000);
    assert!(batch.five.iter().all(|(_, bucket)| bucket.start == T0 || bucket.start == T0 + 2 * HOUR));
    // It counts as long as it would have without that.
    gather.carry(T0 + LONG + FIVE);
    assert_eq!(rows(&gather.batch()).last(), Some(&(T0 + 2 * HOUR + FIVE, None)), "the machine slept");
}

#[test]
fn a_day_away_is_a_gap_and_not_a_line_after_a_hub_that_broke_off_too() {
    let (mut gather, plug) = gather();
    gather.say(&plug, "power", 5.0, T0);
    gather.away(&plug, T0 + 60_000);
    gather.carry(T0 + 24 * HOUR);
    gather.say(&plug, "power", 7.0, T0 + 24 * HOUR);
    let day = [(T0, Some(5.0)), (T0 + 60_000, None), (T0 + 24 * HOUR, Some(7.0))];
    assert_eq!(rows(&gather.batch()), day);
    // The hub is killed, and the plug is away when it begins again a day later: shown as it was, which counts for nothing.
    let place = Place { service: "electricity".into(), instance: 0, property: "power".into() };
    let last = Some((T0 + 24 * HOUR, Some(7.0)));
    let left = Kept { id: 1, device: plug.clone(), place, kind: Kind::Level, last, stood: None };
    let mut gather = Gather::new(vec![left]);
    gather.broke_off(T0 + 24 * HOUR + FIVE);
    gather.describe(&plug, kept(&device()), T0 + 48 * HOUR);
    gather.away(&plug, T0 + 48 * HOUR);
    gather.say(&plug, "power", 9.0, T0 + 49 * HOUR);
    let after = [(T0 + 24 * HOUR + FIVE, None), (T0 + 49 * HOUR, Some(9.0))];
    assert_eq!(rows(&gather.batch()), after);
}

#[test]
fn a_dead_sensor_is_not_revived_by_being_described() {
    let (mut gather, plug) = gather();
    let again = |gather: &mut Gather, now: i64| {
        gather.take(&plug, ("electricity", 0, "power"), 5.0, T0, 60_000, now);
        gather.carry(now);
        gather.batch()
    };
    let first = again(&mut gather, T0);
    assert_eq!(rows(&first), [(T0, Some(5.0))]);
    let stale = again(&mut gather, T0 + FIVE);
    assert_eq!(rows(&stale), [(T0 + 60_000, None)]);
    for n in 2..20 {
        let batch = again(&mut gather, T0 + n * FIVE);
        assert_eq!(batch.len(), 0, "{batch:?}");
    }
    // Nor is one that was never heard here, and a gap between two values is one also when nobody looked meanwhile.
    let (mut gather, plug) = self::gather();
    gather.take(&plug, ("electricity", 0, "power"), 5.0, T0 - 2 * LONG, 60_000, T0);
    assert_eq!(gather.waiting(), 0);
    gather.take(&plug, ("electricity", 0, "power"), 5.0, T0, 60_000, T0);
    gather.take(&plug, ("electricity", 0, "power"), 5.0, T0 + 90_000, 60_000, T0 + 90_000);
    assert_eq!(rows(&gather.batch()), [(T0, Some(5.0)), (T0 + 60_000, None), (T0 + 90_000, Some(5.0))]);
}

#[test]
fn what_is_no_longer_kept_ends() {
    let (mut gather, plug) = gather();
    gather.say(&plug, "power", 5.0, T0);
    gather.say(&plug, "on", 1.0, T0);
    let mut less = kept(&device());
    less.retain(|(place, ..)| place.property != "power");
    gather.describe(&plug, less, T0 + 1000);
    gather.say(&plug, "power", 6.0, T0 + 2000);
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    assert_eq!(whole(&batch.five, 1).weight, 1000);
    assert_eq!(whole(&batch.five, 2).weight, FIVE);
    assert_eq!(batch.raw.get(&(1, T0 + 1000)), Some(&None));
    assert_eq!(batch.raw.len(), 3);
    gather.away_unless(|device| *device != plug, T0 + FIVE);
    gather.carry(T0 + 2 * FIVE);
    assert_eq!(rows(&gather.batch()), [(T0 + FIVE, None)]);
    // And goes on once it is again.
    gather.describe(&plug, kept(&device()), T0 + 2 * FIVE);
    gather.say(&plug, "power", 6.0, T0 + 2 * FIVE);
    assert_eq!(gather.batch().raw.get(&(1, T0 + 2 * FIVE)), Some(&Some(6.0)));
}

#[test]
fn a_switch_keeps_its_changes_and_the_part_of_the_time() {
    let (mut gather, plug) = gather();
    for (at, on) in [(0, 1.0), (10, 1.0), (60_000, 0.0), (60_400, 1.0), (60_700, 0.0)] {
        gather.say(&plug, "on", on, T0 + at);
    }
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    let rows: Vec<i64> = batch.raw.keys().map(|(_, at)| at - T0).collect();
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
    again.describe(&plug, super::super::kinds::kept(&device()), T0 + HOUR);
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
fn how_a_flood_ended_is_known() {
    let (mut gather, plug) = gather();
    for n in 0..2000 {
        gather.say(&plug, "on", f64::from(n % 2), T0 + i64::from(n));
        gather.say(&plug, "power", f64::from(n), T0 + i64::from(n));
    }
    let batch = gather.batch();
    let written = |batch: &Batch, id: i64| batch.raw.range((id, 0)..(id + 1, 0)).last().map(|((_, at), v)| (*at, *v));
    assert_eq!(written(&batch, 2), Some((T0 + 1000, Some(1999.0))), "a number's seconds are few");
    assert_eq!(written(&batch, 1), Some((T0 + 599, Some(1.0))));
    gather.say(&plug, "on", 0.0, T0 + 2000);
    gather.carry(T0 + FIVE);
    assert_eq!(written(&gather.batch(), 1), Some((T0 + 2000, Some(0.0))), "it was off from then on");
    gather.carry(T0 + 2 * FIVE);
    assert!(gather.batch().raw.is_empty());
}

#[test]
fn what_could_not_be_written_waits_and_does_not_pile_up() {
    let (mut gather, plug) = gather();
    let mut now = T0;
    gather.say(&plug, "power", 0.0, now);
    for round in 0..40 {
        let failed = gather.batch();
        for n in 0..3000 {
            now += 1000;
            gather.say(&plug, "power", f64::from(n + round), now);
        }
        gather.put_back(failed);
        assert!(gather.waiting() <= MOST_BACK + 1, "{}", gather.waiting());
        gather.carry(now);
    }
    let batch = gather.batch();
    assert_eq!(batch.series.len(), 1, "what it is of is never lost");
    assert_eq!(batch.raw.first_key_value(), Some((&(1, T0), &None)), "what is lost is a gap");
    assert_eq!(batch.raw.last_key_value(), Some((&(1, now), &Some(3038.0))));
}

#[test]
fn a_clock_that_was_ahead_does_not_keep_what_comes_after() {
    let (mut gather, plug) = gather();
    gather.say(&plug, "power", 5.0, T0 + 365 * LONG);
    gather.batch();
    gather.say(&plug, "power", 5.0, T0);
    gather.say(&plug, "power", 6.0, T0 + 60_000);
    gather.carry(T0 + FIVE);
    let batch = gather.batch();
    assert_eq!(rows(&batch), [(T0, Some(5.0)), (T0 + 60_000, Some(6.0))]);
    assert_eq!(batch.five.iter().find(|(_, bucket)| bucket.start == T0).map(|(_, bucket)| bucket.weight), Some(FIVE));
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
    /// However times and values come: no five minutes count more than five minutes, and means lie within. What a course says
    /// from its rows is what was counted, and while a device is away nothing is.
    #[test]
    fn time_is_counted_once(said in prop::collection::vec((0i64..4_000_000, -50.0f64..50.0, 0i64..2_000_000, 0u8..10), 1..60)) {
        let (mut gather, plug) = gather();
        let mut now = T0;
        let mut five: HashMap<(i64, i64), Bucket> = HashMap::new();
        let mut raw: BTreeMap<(i64, i64), Option<f64>> = BTreeMap::new();
        let mut word: Option<(f64, i64, i64)> = None;
        let mut outages: Vec<(i64, i64)> = Vec::new();
        let mut away: Option<i64> = None;
        let mut write = |batch: Batch| {
            raw.extend(batch.raw);
            for (id, bucket) in batch.five {
                five.entry((id, bucket.start)).or_insert_with(|| Bucket::new(bucket.start)).join(&bucket);
            }
        };
        for (step, value, fresh, what) in said {
            now += step / 16;
            match (what, word) {
                (0 | 1, _) => {
                    gather.away(&plug, now);
                    away = away.or(Some(now));
                }
                (2, _) => gather.carry(now),
                // Described anew, with the last that it said.
                (3 | 4, Some((value, seen, fresh))) => {
                    gather.take(&plug, ("electricity", 0, "power"), value, seen, fresh, now);
                    outages.extend(away.take().map(|from| (from, now)));
                }
                _ => {
                    // Of an outage, a device may know better; not here.
                    let known = outages.last().map_or(i64::MIN, |(_, to)| *to);
                    let seen = if away.is_some() { now } else { (now - step % 90_000).max(known) };
                    gather.take(&plug, ("electricity", 0, "power"), value, seen, fresh, now);
                    word = Some((value, seen, fresh));
                    outages.extend(away.take().map(|from| (from, now)));
                }
            }
            write(gather.batch());
        }
        gather.close(now);
        write(gather.batch());
        for bucket in five.values() {
            prop_assert!((0..=FIVE).contains(&bucket.weight), "{bucket:?}");
            let mean = bucket.mean(Kind::Level);
            prop_assert!(bucket.min <= mean && mean <= bucket.max, "{bucket:?}");
        }
        for (from, to) in outages {
            // A number's row stands at the begin of its second.
            let until = to - to.rem_euclid(1000);
            for ((_, at), value) in raw.range((1, from + 2)..(1, until.max(from + 2))) {
                prop_assert!(value.is_none(), "{value:?} at {at}, and it was away from {from} to {to}");
            }
            let held = raw.range(..(1, until.max(from + 2))).next_back().and_then(|(_, value)| *value);
            prop_assert!(held.is_none() || until <= from + 2, "{held:?} through an outage from {from} to {to}");
            for bucket in five.values().filter(|bucket| bucket.start >= from && bucket.start + FIVE <= to) {
                prop_assert_eq!(bucket.weight, 0, "{:?} from {} to {}", bucket, from, to);
            }
        }
    }
}
