//! Rows of many days, as they age.

use accord_model::{
    Data, Device, DeviceId, DeviceKind, Format, Property, Reach, Service, Target, Timestamp, Unit, Value,
};

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
    store.write(Arc::new(counted(now, 100)), Some(now)).await.unwrap();
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
    store.make_hours(now).await.unwrap();
    store.make_hours(now).await.unwrap();
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

/// What was said every half a second, until now.
async fn fill(store: &Store, now: i64, rows: i64) {
    store.write(Arc::new(batch(Kind::Level)), None).await.unwrap();
    for from in (0..rows).step_by(50_000) {
        let work = move |db: &accord_store::rusqlite::Connection| {
            let mut row = db.prepare("INSERT INTO raw VALUES (1, ?1, ?2)")?;
            (from..rows.min(from + 50_000))
                .rev()
                .try_for_each(|n| row.execute((now - n * 500, n as f64 * 1.37)).map(drop))
        };
        store.db.write(work).await.unwrap();
    }
}

/// What lies on the disk of it.
fn length(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with("history.db"));
    files.map(|entry| entry.metadata().unwrap().len()).sum()
}

const LIMIT: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_more_room_on_the_disk_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    let now = super::now();
    fill(&inner.store, now, 1_000_000).await;
    inner.make_room().await.unwrap();
    let before = length(dir.path());
    assert!(before > 3 * LIMIT / 2, "{before}");
    history.inner.settings.lock().unwrap().megabytes = 16;
    inner.make_room().await.unwrap();
    let (state, after) = (history.state().unwrap(), length(dir.path()));
    assert!(after <= LIMIT && state.shortened, "{after} of {before}: {state:?}");
    assert_eq!(state.bytes, after, "what is said is what lies there");
    assert!(after > LIMIT / 2, "no more goes than has to: {after}");
    let newest = inner.store.kept().unwrap()[0].last.unwrap().0;
    assert_eq!(newest, now, "the oldest goes first");
    // What comes next has a little room, and the file grows by no more than that.
    inner.make_room().await.unwrap();
    assert!(length(dir.path()) <= after);
    history.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_earlier_version_becomes_shorter_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    {
        let db = accord_store::Db::open(&path, store::MIGRATIONS, accord_store::Options::default()).unwrap();
        assert!(!db.can_shrink().unwrap());
        fill(&Store { db }, super::now(), 1_000_000).await;
    }
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    inner.settings.lock().unwrap().megabytes = 16;
    inner.make_room().await.unwrap();
    let after = length(dir.path());
    assert!(after <= LIMIT && after > LIMIT / 2, "{after}");
    assert!(inner.store.db.can_shrink().unwrap());
    assert!(inner.store.kept().unwrap()[0].last.is_some());
    history.stop().await;
}

/// A meter that says where it stands, to a hub whose five minutes are made up to `done`.
async fn metered(folder: &Path, done: i64) -> (History, impl Fn(&History, f64, i64)) {
    let history = History::open(folder, &Registry::new()).unwrap();
    let begin = format!("INSERT OR REPLACE INTO done VALUES ('five', {done})");
    history.inner.store.db.write(move |db| db.execute_batch(&begin)).await.unwrap();
    let (device, place) = meter();
    history.inner.gather().describe(&device, vec![(place.clone(), Kind::Meter, None)], done);
    let say = move |history: &History, stands: f64, at: i64| {
        history.inner.gather().take(&device, (&place.service, 0, &place.property), stands, at, HOUR, at);
    };
    (history, say)
}

/// By how much a meter grew, as it is told after a start.
async fn grown(folder: &Path, now: i64) -> f64 {
    let history = History::open(folder, &Registry::new()).unwrap();
    let (device, place) = meter();
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    let (from, to) = (at(now - now.rem_euclid(FIVE) - 2 * FIVE), at(now + FIVE));
    let found = history.query(Query { device, place, from, to, step: Some(300) }).await.unwrap();
    found.total.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_minutes_whose_first_write_failed_are_counted_once_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let now = super::now();
    let boundary = now - now.rem_euclid(FIVE);
    let (history, say) = metered(dir.path(), boundary - FIVE).await;
    let inner = &history.inner;
    say(&history, 10.0, boundary - FIVE + 1000);
    say(&history, 11.0, boundary - FIVE + 60_000);
    inner.write().await.unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON five BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    inner.store.db.write(move |db| db.execute_batch(full)).await.unwrap();
    inner.gather().carry(boundary + 1000);
    assert!(inner.write().await.is_err());
    inner.store.db.write(|db| db.execute_batch("DROP TRIGGER full")).await.unwrap();
    inner.write().await.unwrap();
    assert_eq!(inner.store.five_done().unwrap(), Some(boundary));
    drop(history);
    assert!((grown(dir.path(), boundary).await - 1.0).abs() < 1e-9, "{}", grown(dir.path(), boundary).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_minutes_that_are_over_before_all_are_carried_are_counted_once_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let now = super::now();
    let boundary = now - now.rem_euclid(FIVE);
    let (history, say) = metered(dir.path(), boundary - FIVE).await;
    for (stands, at) in [(10.0, boundary - FIVE + 1000), (11.0, boundary - FIVE + 60_000), (12.0, boundary + 10)] {
        say(&history, stands, at);
    }
    history.inner.write().await.unwrap();
    drop(history);
    // More than once: what was made up again is written down once.
    for start in 0..3 {
        let total = grown(dir.path(), boundary).await;
        assert!((total - 2.0).abs() < 1e-9, "{start}: {total}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_the_disk_does_not_answer_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let (id, place) = meter();
    let service = Service {
        properties: vec![Property::state("energy", Format::Float).unit(Unit::KilowattHour)],
        ..accord_model::catalogue::electricity()
    };
    let mut device = Device::new(id.clone(), DeviceKind::Other, "Meter").with(service);
    device.reach = Reach::Local;
    let (bridge, memory) = accord_registry::example::bridge(vec![device]);
    let history = History::open(dir.path(), &registry).unwrap();
    registry.add_bridge(bridge);
    let until = std::time::Instant::now() + Duration::from_secs(60);
    let in_time = |what: &str| assert!(std::time::Instant::now() < until, "{what}");
    while registry.device(&id).is_none() {
        in_time("it is there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let start = super::now() - 3_700_000;
    let say = async |n: i64| {
        let seen = Timestamp::from_millisecond(start + n * 1000).unwrap();
        let value =
            Value { data: Data::Float(n as f64), seen, source: accord_model::Source::Pushed, fresh_for_s: 86_400 };
        let values = [("energy".to_owned(), value)].into();
        memory
            .tell(accord_model::FromBridge::Values { device: id.clone(), target: Target::new("electricity"), values })
            .await;
    };
    let gathered = |most: i64| history.inner.gather().stands(&id, &place) >= Some(most as f64);
    // As while the file is made anew: whatever is written waits.
    let disk = history.inner.writing.lock().await;
    say(1).await;
    // By then it was tried to be written.
    tokio::time::sleep(WRITE_EVERY + Duration::from_millis(500)).await;
    for n in 2..=3600 {
        say(n).await;
        while n % 400 == 0 && !gathered(n) {
            in_time("it is heard");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    drop(disk);
    while !gathered(3600) {
        in_time("it is heard");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(history.inner.missed.load(Ordering::Relaxed), 0);
    history.stop().await;
    let rows: i64 = history
        .inner
        .store
        .db
        .read(|db| db.query_row("SELECT count(*) FROM raw WHERE value > 0", [], |row| row.get(0)))
        .unwrap();
    assert_eq!(rows, 3600);
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_goes_on_while_the_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    fill(&inner.store, super::now(), 1000).await;
    // Somebody makes it anew.
    let settling = inner.settling.lock().await;
    let deleting = history.delete(Some(meter().0));
    tokio::pin!(deleting);
    let soon = |work| tokio::time::timeout(Duration::from_secs(10), work);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut deleting).await.is_err(), "it waits for that");
    soon(inner.write()).await.unwrap().unwrap();
    drop(settling);
    tokio::time::timeout(Duration::from_secs(10), deleting).await.unwrap().unwrap();
    assert!(!inner.traces.load(Ordering::Relaxed));
    history.stop().await;
}

#[tokio::test]
async fn days_that_do_not_begin_on_the_hour_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    // Nine and a half hours, counted until 27 minutes after the hour.
    let now = NOW - NOW.rem_euclid(FIVE);
    store.write(Arc::new(counted(now, 100)), Some(now)).await.unwrap();
    store.make_hours(now).await.unwrap();
    let (device, place) = meter();
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    let ask = |from: i64, step| {
        let query = Query { device: device.clone(), place: place.clone(), from: at(from), to: at(now), step };
        read::find(&store, &query, &[], None, now).unwrap()
    };
    let rate = 0.1 * (HOUR / FIVE) as f64;
    for step in [3600, 2 * 3600] {
        let found = ask(now - 24 * HOUR, Some(step));
        let (first, last) = (found.points[0], found.points[found.points.len() - 1]);
        assert_eq!(first.at, at(now - 24 * HOUR), "{step}");
        for point in [first, last] {
            let of = step as f64 / 3600.0;
            assert!((point.grown.unwrap() - rate * of).abs() < 1e-6, "{step}: {point:?}");
        }
        assert!((found.total.unwrap() - 24.0 * rate).abs() < 1e-6, "{:?}", found.total);
    }
    // Without a step the first point may begin earlier; what it counted before is not of the range.
    let found = ask(now - 5 * HOUR - 20 * 60_000, None);
    assert!((found.total.unwrap() - rate * 16.0 / 3.0).abs() < 1e-6, "{found:?}");
    let found = ask(now - 70 * HOUR - 20 * 60_000, None);
    assert!(found.points[0].at < at(now - 70 * HOUR - 20 * 60_000));
    assert!((found.total.unwrap() - rate * (70.0 + 1.0 / 3.0)).abs() < 1e-6, "{:?}", found.total);
    // Where only hours are left, it begins with one.
    let since = Ages { raw: now, five: now - 10 * HOUR, hour: 0 };
    store.prune(since).await.unwrap();
    let found = ask(now - 24 * HOUR, Some(3600));
    assert_eq!(found.points[0].at, at(now - 24 * HOUR - now.rem_euclid(HOUR)));
    assert!(found.points[..24].iter().all(|point| (point.grown.unwrap() - rate).abs() < 1e-6), "{:?}", found.points);
}

#[tokio::test]
async fn a_clock_that_was_ahead_costs_no_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let now = NOW;
    store.write(Arc::new(counted(now, 100)), Some(now)).await.unwrap();
    store.make_hours(now).await.unwrap();
    assert_eq!(store.trusted(now).await.unwrap(), now);
    // Ten years ahead, for an hour.
    let ahead = now + 10 * 365 * 24 * HOUR;
    let settings = Settings::default();
    store.write(Arc::default(), Some(ahead)).await.unwrap();
    for n in 0..6 {
        let ahead = ahead + n * 600_000;
        store.make_hours(ahead).await.unwrap();
        let trusted = store.trusted(ahead).await.unwrap();
        assert_eq!(trusted, now);
        assert!(!store.prune(settings.since(trusted, Shares::WHOLE)).await.unwrap());
    }
    assert!(store.hours_done().unwrap() > Some(now));
    // Right again: hours are made up as before, none twice.
    let later = now + 3 * HOUR;
    store.write(Arc::new(counted(later, 3)), Some(later)).await.unwrap();
    store.make_hours(later).await.unwrap();
    assert_eq!(store.hours_done().unwrap(), Some(later - later.rem_euclid(HOUR)));
    let hours: i64 = store.db.read(|db| db.query_row("SELECT count(*) FROM hour", [], |row| row.get(0))).unwrap();
    assert_eq!(hours, 103);
    assert_eq!(store.trusted(later).await.unwrap(), later);
    // A machine that was off so long is believed after some hours.
    let looks = (0..100).map(|n| ahead + n * 600_000);
    let mut doubted = 0;
    for at in looks {
        doubted += usize::from(store.trusted(at).await.unwrap() != at);
    }
    assert_eq!(doubted, 36);
}

#[tokio::test]
async fn an_hour_made_up_again_is_not_of_less() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(Arc::new(counted(NOW, 30)), Some(NOW)).await.unwrap();
    store.make_hours(NOW).await.unwrap();
    let sum = || store.db.read(|db| db.query_row("SELECT sum(sum) FROM hour", [], |row| row.get::<_, f64>(0))).unwrap();
    let before = sum();
    store.prune(Ages { raw: 0, five: NOW - 10 * HOUR, hour: 0 }).await.unwrap();
    store.db.write(|db| db.execute("UPDATE done SET at = at + 1000000000 WHERE what = 'hour'", [])).await.unwrap();
    store.make_hours(NOW).await.unwrap();
    assert!((sum() - before).abs() < 1e-9, "{} and before it {before}", sum());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_did_not_take_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path(), &Registry::new()).unwrap();
    let inner = &history.inner;
    let (device, place) = meter();
    let now = super::now();
    inner.gather().describe(&device, vec![(place.clone(), Kind::Level, None)], now);
    let full = "CREATE TRIGGER full BEFORE INSERT ON raw BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    inner.store.db.write(move |db| db.execute_batch(full)).await.unwrap();
    inner.gather().take(&device, (&place.service, 0, &place.property), 5.0, now - 2000, HOUR, now);
    assert!(inner.write().await.is_err());
    assert!(inner.store.rows(None).unwrap().is_empty());
    inner.gather().take(&device, (&place.service, 0, &place.property), 6.0, now, HOUR, now);
    inner.store.db.write(|db| db.execute_batch("DROP TRIGGER full")).await.unwrap();
    inner.write().await.unwrap();
    let kept = inner.store.kept().unwrap();
    assert_eq!((kept.len(), kept[0].last.unwrap().1), (1, Some(6.0)));
    let rows: i64 = inner.store.db.read(|db| db.query_row("SELECT count(*) FROM raw", [], |row| row.get(0))).unwrap();
    assert_eq!(rows, 2);
    history.stop().await;
}

#[tokio::test]
async fn rows_without_a_series_go_to_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(Arc::new(counted(NOW, 1)), None).await.unwrap();
    let bucket = Bucket { start: NOW, weight: FIVE, sum: 1.0, min: 1.0, max: 1.0 };
    let lost =
        Batch { raw: [((2, NOW), Some(1.0)), ((7, NOW), None)].into(), five: vec![(3, bucket)], ..Batch::default() };
    store.write(Arc::new(lost), None).await.unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let count = |table: &str| {
        let query = format!("SELECT count(*) FROM {table}");
        store.db.read(|db| db.query_row(&query, [], |row| row.get::<_, i64>(0))).unwrap()
    };
    assert_eq!((count("raw"), count("five"), count("series")), (0, 12, 1));
}

/// Run by hand: `cargo test -p accord-home --release -- --ignored --nocapture a_house_of`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a quiet machine"]
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
        inner.gather().describe(device, vec![(place.clone(), Kind::Level, None)], begun);
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
            inner.write().await.unwrap();
        }
    }
    #[allow(clippy::print_stderr, reason = "a measurement, run by hand")]
    {
        eprintln!("{} s of CPU for an hour; {} bytes", cpu() - before, inner.store.db.sizes().unwrap().files);
    }
}
