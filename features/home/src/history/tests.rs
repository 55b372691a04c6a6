//! Rows of many days, as they age.

use accord_model::{DeviceId, Timestamp, Unit};

use super::gather::{Batch, Bucket, FIVE, HOUR};
use super::store::Ages;
use super::*;

/// 27 minutes after an hour.
const NOW: i64 = 1_764_120_420_000;

fn meter() -> (DeviceId, Place) {
    (DeviceId::new("meter").unwrap(), Place { service: "electricity".into(), instance: 0, property: "energy".into() })
}

fn batch(kind: Kind) -> Batch {
    let (device, place) = meter();
    Batch { series: vec![(1, device, place, kind, Some(Unit::KilowattHour))], ..Batch::default() }
}

/// A meter that counted 0.1 in every five minutes of so many hours, until `now`.
fn counted(now: i64, hours: i64) -> Batch {
    let from = now - now.rem_euclid(FIVE) - hours * HOUR;
    let buckets = (0..hours * HOUR / FIVE).map(|n| {
        let stands = 0.1 * (n + 1) as f64;
        (1, Bucket { start: from + n * FIVE, weight: 0, sum: 0.1, min: stands - 0.1, max: stands })
    });
    Batch { five: buckets.collect(), ..batch(Kind::Meter) }
}

fn ask(store: &Store, now: i64, hours: i64, step: Option<u64>) -> Found {
    let (device, place) = meter();
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    let from = at(now - now.rem_euclid(HOUR) - hours * HOUR);
    read::find(store, &Query { device, place, from, to: at(now), step }, &[], None, now).unwrap()
}

#[tokio::test]
async fn what_a_meter_counted_is_the_same_however_it_is_asked_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now = NOW;
    store.write(counted(now, 100), Some(now)).await.unwrap();
    let total = 0.1 * (100 * HOUR / FIVE) as f64;
    let same = |step: Option<u64>| {
        let found = ask(&store, now, 110, step);
        let (counted, points) = (found.total.unwrap(), found.points.len());
        assert!((counted - total).abs() < 1e-6, "{step:?}: {counted} in {points} points, not {total}");
        assert!(found.points.windows(2).all(|pair| pair[0].at < pair[1].at));
        points
    };
    let exported = || {
        let mut out = Vec::new();
        let all = (Timestamp::UNIX_EPOCH, Timestamp::from_millisecond(now).unwrap());
        export::write(&store, None, all, ExportFormat::Json, |_| String::new(), &mut out).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        let counted: f64 = rows.iter().filter_map(|row| row["grown"].as_f64()).sum();
        assert!((counted - total).abs() < 1e-6, "{counted} in {} rows", rows.len());
    };
    exported();
    let steps = [None, Some(300), Some(900), Some(3600), Some(7 * 3600), Some(86_400)];
    assert!(steps.map(same)[0] > 0);
    store.make_hours().await.unwrap();
    store.make_hours().await.unwrap();
    let fine = steps.map(same)[1];
    exported();
    // Five minutes go; the hours that were made of them stay.
    let since = Ages { raw: now, five: now - 20 * HOUR - 17 * 60_000, hour: 0 };
    assert!(store.prune(since).await.unwrap());
    assert!(!store.prune(since).await.unwrap(), "nothing is left to go");
    let pruned = steps.map(same);
    exported();
    assert!(pruned[1] < fine && pruned[3] > 90, "{pruned:?}");
    store.prune(Ages { hour: now - 48 * HOUR, ..since }).await.unwrap();
    assert!(ask(&store, now, 110, Some(3600)).total.unwrap() < total / 1.9);
    assert_eq!(store.kept().unwrap()[0].stood, Some(0.1 * (100 * HOUR / FIVE) as f64), "where it stood is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_more_room_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    let now = super::now();
    // A day of what was said every half a second.
    let raw = |from: i64| (0..25_000).map(move |n| (1, now - (from + n) * 500, Some(n as f64 * 1.37))).collect();
    for part in 0..10 {
        let mut batch = batch(Kind::Level);
        batch.raw = raw(part * 25_000);
        inner.store.write(batch, None).await.unwrap();
    }
    inner.make_room().await.unwrap();
    let before = inner.store.size().unwrap();
    assert!(before > 4 << 20, "{before}");
    history.inner.settings.lock().unwrap().megabytes = 3;
    inner.make_room().await.unwrap();
    let state = history.state().unwrap();
    assert!(state.bytes <= 3 << 20 && state.shortened, "{state:?}");
    assert!(state.bytes > 3 << 19, "no more goes than has to: {state:?}");
    let newest = inner.store.kept().unwrap()[0].last.unwrap().0;
    assert_eq!(newest, now, "the oldest goes first");
    history.stop().await;
}

/// Run by hand: `cargo test -p accord-home --release -- --ignored --nocapture a_house_of`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn a_house_of_twenty_thousand_properties_costs_little() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    let begun = super::now();
    let places: Vec<(DeviceId, Place)> = (0..20_000)
        .map(|n| {
            let place = Place { service: "temperature".into(), instance: n % 10, property: "temperature".into() };
            (DeviceId::new(format!("device-{}", n / 10)).unwrap(), place)
        })
        .collect();
    for (device, place) in &places {
        inner.gather().describe(device, vec![(place.clone(), Kind::Level, None)]);
    }
    let cpu = || {
        std::fs::read_to_string("/proc/self/stat")
            .map(|stat| {
                let ticks: Vec<u64> = stat
                    .rsplit(')')
                    .next()
                    .unwrap()
                    .split_whitespace()
                    .skip(11)
                    .take(2)
                    .map(|n| n.parse().unwrap())
                    .collect();
                ticks.iter().sum::<u64>() as f64 / 100.0
            })
            .unwrap()
    };
    let before = cpu();
    // An hour of 500 changes a second, written every two seconds.
    let mut next = 0usize;
    for second in 0..3600i64 {
        for _ in 0..500 {
            let (device, place) = &places[(next * 7919) % places.len()];
            next += 1;
            let at = begun + second * 1000;
            inner.gather().take(
                device,
                ("temperature", place.instance, "temperature"),
                next as f64,
                at,
                86_400_000,
                at,
            );
        }
        if second % 300 == 299 {
            inner.gather().carry(begun + second * 1000);
        }
        if second % 2 == 0 {
            inner.write(None).await.unwrap();
        }
    }
    #[allow(clippy::print_stderr, reason = "a measurement, run by hand")]
    {
        eprintln!("{} s of CPU for an hour; {} bytes", cpu() - before, inner.store.size().unwrap());
    }
}
