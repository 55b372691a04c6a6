//! What is known of devices from one start to the next, with bridges that the test speaks through.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_model::{
    Data, Device, DeviceId, DeviceKind, FieldCode, Format, FromBridge, Property, Reach, Source, Target, Timestamp,
    Value, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use async_trait::async_trait;

/// A bridge that speaks for what it is told to, or whose devices are not to be kept.
struct Mouth {
    name: &'static str,
    to: tokio::sync::oneshot::Sender<BridgeSide>,
    still: Option<fn(&Device) -> bool>,
    heard: Arc<Mutex<Vec<Device>>>,
}

#[async_trait]
impl Bridge for Mouth {
    fn name(&self) -> &str {
        self.name
    }
    fn recall(&mut self, before: Vec<Device>) -> Option<Vec<DeviceId>> {
        self.heard.lock().unwrap().clone_from(&before);
        self.still.map(|still| before.iter().filter(|device| still(device)).map(|device| device.id.clone()).collect())
    }
    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        self.to.send(side).map_err(|_| "the test is over")?;
        std::future::pending().await
    }
}

struct Lab {
    registry: Registry,
    side: BridgeSide,
    heard: Vec<Device>,
    /// What the bridge tells of last.
    mark: &'static str,
}

/// A hub that begins, with one bridge.
async fn begin(folder: &Path, name: &'static str, still: Option<fn(&Device) -> bool>) -> Lab {
    let registry = Registry::new();
    registry.remember(folder).unwrap();
    let (to, side) = tokio::sync::oneshot::channel();
    let heard = Arc::new(Mutex::default());
    registry.add_bridge(Box::new(Mouth { name, to, still, heard: heard.clone() }));
    let side = side.await.unwrap();
    let heard = heard.lock().unwrap().clone();
    Lab { registry, side, heard, mark: name }
}

impl Lab {
    async fn tell(&self, message: FromBridge) {
        self.side.tell(message).await.unwrap();
        // Handled in order: once this one is known, so is what came before it.
        let mark = Device::new(id(self.mark), DeviceKind::Hub, format!("{:?}", std::time::Instant::now()));
        self.side.tell(FromBridge::Seen { device: mark.clone() }).await.unwrap();
        for _ in 0..1000 {
            if self.device(self.mark).is_some_and(|known| known.name == mark.name) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("what was told is not known");
    }
    fn device(&self, name: &str) -> Option<Device> {
        self.registry.device(&id(name)).map(|known| known.device.clone())
    }
    fn value(&self, name: &str, service: &str, property: &str) -> Option<Value> {
        self.device(name)?.service(service)?.values.get(property).cloned()
    }
}

const ALL: Option<fn(&Device) -> bool> = Some(|_| true);

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn value(data: impl Into<Data>) -> Value {
    let seen = Timestamp::from_second(1_700_000_000).unwrap();
    Value { data: data.into(), seen, source: Source::Pushed, fresh_for_s: 60 }
}

/// A lamp of a server, as that tells of it.
fn lamp() -> Device {
    let mut device = Device::new(id("lamp"), DeviceKind::Light, "Desk").with(catalogue::light());
    (device.reach, device.via, device.room) = (Reach::Local, Some(id("server")), Some("Study".into()));
    device
}

fn said(service: &str, values: &[(&str, Data)]) -> FromBridge {
    let values = values.iter().map(|(name, data)| ((*name).to_owned(), value(data.clone()))).collect();
    FromBridge::Values { device: id("lamp"), target: Target::new(service), values }
}

#[tokio::test]
async fn a_lamp_is_there_after_a_start_without_its_server_and_as_old_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    lab.tell(said("light", &[("level", Data::Int(40))])).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);

    let lab = begin(dir.path(), "house", ALL).await;
    let mut before = lamp();
    before.services[0].values.insert("level".into(), value(40));
    before.reach = Reach::Offline;
    assert_eq!(lab.device("lamp"), Some(before.clone()), "with name, room, services, its last value and its age");
    assert!(lab.heard.contains(&before), "its bridge knows of it");
    // It comes alive, and what the server says of it now is what it is.
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    assert_eq!(lab.device("lamp"), Some(lamp()), "no value is not the last value");
    // What is not reached is as it was.
    lab.tell(said("light", &[("level", Data::Int(7))])).await;
    lab.tell(FromBridge::Seen { device: Device { reach: Reach::Offline, ..lamp() } }).await;
    assert_eq!(lab.value("lamp", "light", "level"), Some(value(7)));
    // It went.
    lab.tell(FromBridge::Gone { device: id("lamp") }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    assert_eq!(begin(dir.path(), "house", ALL).await.device("lamp"), None);
}

#[tokio::test]
async fn what_a_bridge_speaks_for_no_more_is_gone_and_what_is_merely_seen_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    let passing = Device { id: id("passing"), passing: true, ..lamp() };
    lab.tell(FromBridge::Seen { device: passing }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let lab = begin(dir.path(), "house", Some(|device| device.id.as_str() == "house")).await;
    assert!(lab.device("lamp").is_none() && lab.device("passing").is_none() && lab.device("house").is_some());
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let lab = begin(dir.path(), "house", ALL).await;
    assert!(lab.device("lamp").is_none(), "that is kept as well");
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    // The owner removes it: it is a stranger's again.
    lab.tell(FromBridge::Seen { device: Device { passing: true, ..lamp() } }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    assert!(begin(dir.path(), "house", ALL).await.device("lamp").is_none());
}

#[tokio::test]
async fn what_is_of_a_bridge_that_does_not_begin_is_kept_for_it_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    // The bridge could not begin; another one, whose devices are not kept, did.
    let lab = begin(dir.path(), "phones", None).await;
    assert!(lab.heard.is_empty());
    assert!(lab.device("lamp").is_none(), "nobody speaks for it, so that nobody could remove it either");
    lab.tell(FromBridge::Seen { device: Device { name: "Mine".into(), ..lamp() } }).await;
    assert!(lab.device("lamp").is_none(), "and it is nobody else's");
    lab.tell(FromBridge::Seen { device: Device { id: id("phone"), ..lamp() } }).await;
    assert!(lab.registry.is_spoken_for(&id("phone")) && !lab.registry.is_spoken_for(&id("lamp")));
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let lab = begin(dir.path(), "phones", None).await;
    assert!(lab.device("phone").is_none() && lab.device("lamp").is_none());
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    // It begins once more.
    let lab = begin(dir.path(), "house", ALL).await;
    assert_eq!(lab.device("lamp").unwrap().reach, Reach::Offline);
    assert!(lab.heard.iter().any(|device| device.id.as_str() == "lamp"));
}

#[tokio::test]
async fn services_that_a_bridge_learns_from_the_device_are_there_until_it_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    lab.tell(FromBridge::Seen { device: lamp().with(catalogue::battery()) }).await;
    lab.tell(said("light", &[("level", Data::Int(40))])).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let lab = begin(dir.path(), "house", ALL).await;
    let bare = || Device { services: Vec::new(), reach: Reach::Offline, ..lamp() };
    lab.tell(FromBridge::Seen { device: bare().with(catalogue::battery()) }).await;
    let order = |device: &Device| device.services.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(order(&lab.device("lamp").unwrap()), ["light", "battery"]);
    assert_eq!(lab.value("lamp", "light", "level"), Some(value(40)));
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    assert!(lab.device("lamp").unwrap().service("battery").is_none(), "it has none any more");
    lab.tell(FromBridge::Seen { device: bare() }).await;
    assert!(lab.device("lamp").unwrap().services.is_empty(), "and it was met: its bridge knows what it is");
}

#[tokio::test]
async fn what_is_personal_by_name_or_too_large_is_not_on_the_disk_and_a_damaged_file_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    let mut device = lamp();
    device.services[0].properties.push(Property::state("address", Format::Text).sensitive(FieldCode::NetIp));
    device.services[0].values.insert("address".into(), value("10.9.8.7"));
    lab.tell(FromBridge::Seen { device: device.clone() }).await;
    let large = value("x".repeat(300 << 10).as_str());
    let mut other = Device { id: id("large"), ..lamp() };
    other.services[0].values.insert("level".into(), large);
    lab.tell(FromBridge::Seen { device: other }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let bytes: Vec<u8> = ["known.db", "known.db-wal"]
        .iter()
        .flat_map(|file| std::fs::read(dir.path().join(file)).unwrap_or_default())
        .collect();
    let has = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    assert!(has("Desk") && !has("10.9.8.7"));
    let lab = begin(dir.path(), "house", ALL).await;
    assert!(lab.device("lamp").is_some() && lab.device("large").is_none());
    drop(lab);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("known.db{end}")));
    }
    std::fs::write(dir.path().join("known.db"), [b'x'; 4096]).unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    assert!(lab.device("lamp").is_none());
    assert_eq!(std::fs::read(dir.path().join("known.db.damaged")).unwrap(), [b'x'; 4096]);
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    assert!(begin(dir.path(), "house", ALL).await.device("lamp").is_some(), "it is remembered again");
}

#[tokio::test]
async fn what_cannot_be_read_is_not_on_the_disk_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let lab = begin(dir.path(), "house", ALL).await;
    lab.tell(FromBridge::Seen { device: lamp() }).await;
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    let rows = |sql: &str| {
        let connection = accord_store::rusqlite::Connection::open(dir.path().join("known.db")).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        if !sql.is_empty() {
            connection.execute_batch(sql).unwrap();
        }
        connection.query_row("SELECT count(*) FROM known", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let large = 300 << 10;
    let before = rows("");
    let with = rows(&format!(
        "INSERT INTO known VALUES ('odd', 'house', '{{', '[]'), ('blob', 'house', x'ff', '[]'), ('large', 'house', zeroblob({large}), '[]')"
    ));
    assert_eq!((before, with), (2, 5));
    let lab = begin(dir.path(), "house", ALL).await;
    assert!(lab.device("lamp").is_some());
    lab.registry.keep_known().await.unwrap();
    drop(lab);
    assert_eq!(rows(""), before);
}
