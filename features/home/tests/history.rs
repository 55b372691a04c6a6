//! What devices said, kept over restarts, asked for, thinned out and deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use accord_home::history::ExportFormat;
use accord_home::{History, HistoryError, Kind, Place, Query, Settings};
use accord_model::{
    Data, Device, DeviceId, DeviceKind, Format, FromBridge, Property, Reach, Service, Source, Target, Timestamp, Unit,
    Value,
};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

struct Home {
    registry: Registry,
    meter: Memory,
    history: History,
}

fn id() -> DeviceId {
    DeviceId::new("meter").unwrap()
}

fn meter() -> Device {
    let properties = vec![
        Property::state("power", Format::Float).unit(Unit::Watt),
        Property::state("energy", Format::Float).unit(Unit::KilowattHour),
        Property::state("on", Format::Bool),
    ];
    let service = Service {
        id: "electricity".into(),
        instance: 0,
        label: None,
        properties,
        actions: vec![],
        events: vec![],
        values: BTreeMap::new(),
    };
    let mut device = Device::new(id(), DeviceKind::Other, "Meter").with(service);
    device.reach = Reach::Local;
    device
}

async fn home(folder: &std::path::Path) -> Home {
    let registry = Registry::new();
    let (meter_bridge, memory) = bridge(vec![meter()]);
    let history = History::open(folder, &registry).unwrap();
    registry.add_bridge(meter_bridge);
    while registry.device(&id()).is_none() {
        tokio::task::yield_now().await;
    }
    Home { registry, meter: memory, history }
}

impl Home {
    async fn say(&self, property: &str, data: Data, seen: Timestamp) {
        let value = Value { data, seen, source: Source::Pushed, fresh_for_s: 86_400 };
        let values = BTreeMap::from([(property.to_owned(), value)]);
        self.meter.tell(FromBridge::Values { device: id(), target: Target::new("electricity"), values }).await;
    }

    async fn asked(&self, property: &str, step: Option<u64>) -> Result<accord_home::Found, HistoryError> {
        let place = Place { service: "electricity".into(), instance: 0, property: property.into() };
        let to = Timestamp::now() + Duration::from_secs(1);
        self.history.query(Query { device: id(), place, from: to - Duration::from_secs(7200), to, step }).await
    }

    /// Once it is there.
    async fn points(
        &self,
        property: &str,
        step: Option<u64>,
        enough: impl Fn(&accord_home::Found) -> bool,
    ) -> accord_home::Found {
        for _ in 0..500 {
            if let Ok(found) = self.asked(property, step).await
                && enough(&found)
            {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.asked(property, step).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_there_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = Timestamp::now();
    let home = self::home(dir.path()).await;
    for n in 0..20 {
        home.say("power", Data::Float(f64::from(n)), start - Duration::from_secs(60 - u64::try_from(n).unwrap())).await;
    }
    for (minute, energy) in [(30, 10.0), (20, 10.5), (10, 11.0)] {
        home.say("energy", Data::Float(energy), start - Duration::from_secs(minute * 60)).await;
    }
    home.say("on", true.into(), start - Duration::from_secs(50)).await;
    home.say("on", false.into(), start - Duration::from_secs(20)).await;
    let power = home.points("power", None, |found| found.points.len() == 20).await;
    assert_eq!((power.kind, power.unit, power.step), (Kind::Level, Some(Unit::Watt), None));
    let said: Vec<f64> = power.points.iter().map(|point| point.mean).collect();
    assert!(said.windows(2).all(|pair| pair[0] < pair[1]), "in order: {said:?}");
    let on = home.points("on", Some(0), |found| found.points.len() == 2).await;
    assert_eq!(on.kind, Kind::Switch);
    let coarse = home.points("power", Some(3600), |found| !found.points.is_empty()).await;
    let least = coarse.points.iter().map(|point| point.min).fold(f64::MAX, f64::min);
    let most = coarse.points.iter().map(|point| point.max).fold(f64::MIN, f64::max);
    assert_eq!((least, most), (0.0, 19.0), "what is not full yet counts");
    let energy = home.points("energy", Some(300), |found| found.total.is_some_and(|total| total > 0.9)).await;
    assert!((energy.total.unwrap() - 1.0).abs() < 1e-9, "{energy:?}");
    home.history.stop().await;
    home.registry.stop().await;
    drop(home);

    let again = self::home(dir.path()).await;
    let power = again.points("power", None, |found| found.points.len() == 20).await;
    assert!(power.points.last().unwrap().until.is_some(), "from the end of the hub on nothing was known");
    again.say("energy", Data::Float(13.0), Timestamp::now()).await;
    let energy = again.points("energy", Some(300), |found| found.total.is_some_and(|total| total > 2.0)).await;
    assert!((energy.total.unwrap() - 3.0).abs() < 1e-9, "what was used meanwhile is counted: {energy:?}");
    assert_eq!(again.history.kept(None).unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_no_five_minutes_that_were_said() {
    let dir = tempfile::tempdir().unwrap();
    let home = self::home(dir.path()).await;
    // A boundary was written once, so that there is something to go on from.
    home.history.stop().await;
    drop(home);
    let home = self::home(dir.path()).await;
    home.say("power", Data::Float(5.0), Timestamp::now()).await;
    home.points("power", None, |found| found.points.len() == 1).await;
    drop(home);
    let again = self::home(dir.path()).await;
    let found = again.points("power", Some(3600), |found| !found.points.is_empty()).await;
    assert_eq!(found.points[0].max, 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_says_what_is_kept_and_what_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let home = self::home(dir.path()).await;
    let bad = Settings { megabytes: 1, ..Settings::default() };
    assert!(matches!(home.history.change(bad), Err(HistoryError::Bad(_))));
    home.say("power", Data::Float(77_123.5), Timestamp::now()).await;
    home.points("power", None, |found| found.points.len() == 1).await;
    let off = Settings { off: [id()].into(), ..Settings::default() };
    home.history.change(off.clone()).unwrap();
    home.say("power", Data::Float(2.0), Timestamp::now()).await;
    home.say("on", true.into(), Timestamp::now()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let power = home.asked("power", Some(0)).await.unwrap();
    assert_eq!(power.points.len(), 1, "nothing new of that device");
    assert!(power.points[0].until.is_some(), "and what it said last does not hold on: {power:?}");
    assert!(matches!(home.asked("on", None).await, Err(HistoryError::None)));
    home.history.change(Settings::default()).unwrap();
    home.history.delete(Some(id())).await.unwrap();
    assert!(matches!(home.asked("power", None).await, Err(HistoryError::None)));
    assert_eq!(home.history.state().unwrap().kept, 0);
    home.say("power", Data::Float(3.0), Timestamp::now()).await;
    home.points("power", None, |found| found.points.len() == 1).await;
    home.history.change(off).unwrap();
    home.history.stop().await;
    drop(home);
    let again = self::home(dir.path()).await;
    assert!(again.history.settings().off.contains(&id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let home = self::home(dir.path()).await;
    home.say("power", Data::Float(1.0), Timestamp::now()).await;
    home.points("power", None, |found| found.points.len() == 1).await;
    let place = Place { service: "electricity".into(), instance: 0, property: "power".into() };
    let now = Timestamp::now();
    let ask = |from, to, step| home.history.query(Query { device: id(), place: place.clone(), from, to, step });
    let day = Duration::from_secs(86_400);
    for (from, to, step) in [(now, now - day, None), (now + day, now + 2 * day, None), (now - 30 * day, now, Some(1))] {
        assert!(matches!(ask(from, to, step).await, Err(HistoryError::Bad(_))));
    }
    for step in [0, 1, 7, u64::MAX] {
        drop(ask(now - Duration::from_secs(60), now, Some(step)).await);
    }
    drop(ask(Timestamp::MIN, Timestamp::MAX, None).await);
    drop(ask(Timestamp::MIN, Timestamp::MAX, Some(u64::MAX)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_written_out_for_others_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let home = self::home(dir.path()).await;
    home.say("power", Data::Float(1.5), Timestamp::now()).await;
    home.say("on", true.into(), Timestamp::now()).await;
    home.points("on", None, |found| found.points.len() == 1).await;
    home.points("power", None, |found| found.points.len() == 1).await;
    let to = Timestamp::now() + Duration::from_secs(1);
    let range = (to - Duration::from_secs(3600), to);
    let write = |format| {
        let mut out = Vec::new();
        home.history.export(Some(&id()), range, format, |_| "Meter, cellar".into(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let csv = write(ExportFormat::Csv);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(
        lines.iter().any(|line| line.contains("meter,\"Meter, cellar\",electricity,0,power,watt,said,1.5,1.5,1.5,"))
    );
    let json: Vec<serde_json::Value> = serde_json::from_str(&write(ExportFormat::Json)).unwrap();
    assert_eq!(json.len(), 2);
    assert_eq!(json[1]["mean"], 1.5);
}
