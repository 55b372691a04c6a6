//! The battery of this computer: whose screen it reaches, and whose not.

use accord_battery::{Battery, SHARE, Supply};
use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Reach, Source, Target, Timestamp, Value, Verb,
    catalogue,
};
use accord_registry::Registry;
use accord_registry::example::bridge;

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

#[tokio::test]
async fn a_battery_is_offered_here_and_shown_where_the_owner_agreed() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_battery::STATEMENT), example::key(1)).unwrap();
    let cell = dir.path().join("power/BAT0");
    std::fs::create_dir_all(&cell).unwrap();
    for (file, content) in [("type", "Battery\n"), ("capacity", "12\n"), ("status", "Discharging\n")] {
        std::fs::write(cell.join(file), content).unwrap();
    }
    let registry = Registry::new();
    registry.set_own(Device::new(id("this"), DeviceKind::Laptop, "Desk"));
    let device = |name: &str| {
        let mut device = Device::new(id(name), DeviceKind::Phone, name).with(catalogue::mirror());
        device.reach = Reach::Local;
        device
    };
    let (phones, mut memory) = bridge(vec![device("chosen"), device("other")]);
    registry.add_bridge(phones);
    let supply = Supply::Folder(dir.path().join("power"));
    let battery = Battery::new(&gate.bind("battery"), &registry, supply).unwrap();
    let mut alerts = battery.alerts();

    assert!(memory.stays_silent().await);
    let own = registry.device(&id("this")).unwrap().device.clone();
    let service = own.service("battery").unwrap();
    assert_eq!(service.values["percent"].data, Data::Int(12));
    assert_eq!(service.values["low"].data, Data::Bool(true));

    let read = || Verb::Read { properties: vec![] };
    let asked = memory.ask(&id("chosen"), Target::new("battery"), read()).await;
    assert!(matches!(asked, Err(CallError::Refused(_))), "{asked:?}");

    let entry = EntryKey::new(SHARE).unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    let to = To::One(RecipientId::device(&id("chosen")));
    let consent = gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    let (to, target, verb) = memory.called().await;
    assert_eq!((to, target), (id("chosen"), Target::new("mirror")));
    let Verb::Act { inputs, .. } = verb else { panic!("{verb:?}") };
    assert_eq!(inputs["service"], Data::Text("battery".into()));
    assert_eq!(inputs["percent"], Data::Int(12));
    let answer = memory.ask(&id("chosen"), Target::new("battery"), read()).await.unwrap();
    assert_eq!(answer["percent"], Data::Int(12));
    assert!(memory.ask(&id("other"), Target::new("battery"), read()).await.is_err());
    assert!(memory.stays_silent().await, "the other one is told nothing");

    gate.withdraw(consent.id).unwrap();
    assert!(memory.ask(&id("chosen"), Target::new("battery"), read()).await.is_err());

    let value = |data| Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 60 };
    let mut phone = device("other").with(catalogue::battery());
    phone.services[1].values = [("percent".to_owned(), value(Data::Int(9)))].into();
    memory.tell(FromBridge::Seen { device: phone }).await;
    let alert = alerts.recv().await.unwrap();
    assert_eq!((alert.device, alert.percent, alert.charged), (id("other"), 9, false));
}
