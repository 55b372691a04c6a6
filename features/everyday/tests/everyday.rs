//! Ringing, words, and what other devices show of themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use accord_everyday::{Pings, Presence, Ring, serve_shown};
use accord_model::{CallError, Data, Device, DeviceId, DeviceKind, FromBridge, Inputs, Reach, Target, Verb, catalogue};
use accord_ports::remote::{Grants, Remote};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

#[derive(Default)]
struct Owner(AtomicBool);

impl Grants for Owner {
    fn allows(&self, _: &DeviceId, what: Remote) -> bool {
        what == Remote::Ring && self.0.load(SeqCst)
    }
}

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn phone(reach: Reach) -> Device {
    let mut device = Device::new(id("phone"), DeviceKind::Phone, "Phone").with(catalogue::ping());
    device.reach = reach;
    device
}

async fn home() -> (Registry, Memory) {
    let registry = Registry::new();
    let (phones, memory) = bridge(vec![phone(Reach::Local)]);
    registry.add_bridge(phones);
    until(|| registry.device(&id("phone")).is_some()).await;
    (registry, memory)
}

async fn until(mut met: impl FnMut() -> bool) {
    for _ in 0..500 {
        if met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that");
}

fn act(action: &str, inputs: &[(&str, Data)]) -> Verb {
    let inputs: Inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
    Verb::Act { action: action.into(), inputs }
}

#[tokio::test]
async fn a_device_lets_this_one_ring_only_when_the_owner_allowed_it() {
    let (registry, memory) = home().await;
    let dir = tempfile::tempdir().unwrap();
    let owner = Arc::new(Owner::default());
    let ring = Ring::new(&registry, owner.clone(), dir.path());
    let mut rang = ring.events();
    let ask = async || memory.ask(&id("phone"), Target::new("ringer"), act("ring", &[])).await;
    assert!(matches!(ask().await, Err(CallError::Refused(_))));
    assert!(rang.try_recv().is_err());
    owner.0.store(true, SeqCst);
    ask().await.unwrap();
    assert_eq!(rang.recv().await.unwrap().by, id("phone"));
}

#[tokio::test]
async fn a_word_is_shown_whichever_way_it_comes() {
    let (registry, memory) = home().await;
    let pings = Pings::new(&registry);
    let mut pinged = pings.events();
    let text = || ("text", Data::Text("tea\u{1b}".into()));
    memory.ask(&id("phone"), Target::new("ping"), act("ping", &[text()])).await.unwrap();
    assert_eq!(pinged.recv().await.unwrap().text, "tea\u{FFFD}");
    let said = FromBridge::Event {
        device: id("phone"),
        target: Target::new("ping"),
        event: "pinged".into(),
        arguments: Inputs::new(),
    };
    memory.tell(said).await;
    assert_eq!(pinged.recv().await.unwrap().text, "");
}

#[tokio::test]
async fn what_a_device_shows_is_its_own_and_outlasts_its_bridges_word() {
    let (registry, memory) = home().await;
    serve_shown(&registry);
    registry.set_own(Device::new(id("this"), DeviceKind::Computer, "Desk"));
    let show = |service: &str, more: &[(&str, Data)]| {
        act("show", &[&[("service", Data::Text(service.into()))][..], more].concat())
    };
    let ask = async |verb| memory.ask(&id("phone"), Target::new("mirror"), verb).await;
    ask(show("battery", &[("percent", Data::Int(40))])).await.unwrap();
    ask(show("media", &[("label", "mpv".into()), ("playing", Data::Bool(true))])).await.unwrap();
    assert!(ask(show("ping", &[])).await.is_err());
    assert!(
        memory.ask(&id("this"), Target::new("mirror"), show("battery", &[])).await.is_err(),
        "nobody speaks for us"
    );
    let services = || {
        let device = registry.device(&id("phone")).unwrap().device.clone();
        device.services.into_iter().map(|service| service.id).collect::<Vec<_>>()
    };
    memory.tell(FromBridge::Seen { device: phone(Reach::Relayed) }).await;
    until(|| registry.device(&id("phone")).unwrap().device.reach == Reach::Relayed).await;
    assert_eq!(services(), ["ping", "battery", "media"]);
    memory.tell(FromBridge::Seen { device: phone(Reach::Offline) }).await;
    until(|| services() == ["ping", "battery"]).await;
    memory.tell(FromBridge::Gone { device: id("phone") }).await;
    memory.tell(FromBridge::Seen { device: phone(Reach::Local) }).await;
    until(|| registry.device(&id("phone")).is_some() && services() == ["ping"]).await;
}

#[tokio::test]
async fn who_is_here_is_known() {
    let (registry, memory) = home().await;
    let presence = Presence::new(&registry);
    until(|| presence.of(&id("phone")).since.is_some()).await;
    memory.tell(FromBridge::Reach { device: id("phone"), reach: Reach::Offline }).await;
    until(|| presence.of(&id("phone")).since.is_none()).await;
    assert!(presence.of(&id("phone")).last_seen.is_some());
}
