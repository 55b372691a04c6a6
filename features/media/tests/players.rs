//! A real player (mpv with its MPRIS plugin) on a real bus: shown to whom the owner chose, controlled by whom the owner
//! allowed. Needs Debian's `dbus-daemon`, `mpv` and `mpv-mpris`; says so and passes where they are missing.
#![allow(clippy::disallowed_methods, reason = "the test starts the bus and the player")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_media::{Bus, Media, SHARE};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, Inputs, Reach, Service, Target, Verb, catalogue,
};
use accord_ports::remote::{Grants, Remote};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

const PLUGINS: [&str; 2] = ["/etc/mpv/scripts/mpris.so", "/usr/lib/mpv-mpris/mpris.so"];

/// Ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bus() -> Option<(Process, String)> {
    let mut daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address=1"])
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut address = String::new();
    BufReader::new(daemon.stdout.take()?).read_line(&mut address).ok()?;
    Some((Process(daemon), address.trim().to_owned()))
}

fn player(address: &str, title: &str) -> Option<Process> {
    let plugin = PLUGINS.iter().find(|plugin| Path::new(plugin).exists())?;
    let player = Command::new("mpv")
        .args(["--no-config", "--no-video", "--ao=null", "--no-terminal", "--loop-file=no", "--volume=60"])
        .arg(format!("--script={plugin}"))
        .arg(format!("--force-media-title={title}"))
        .arg("av://lavfi:sine=frequency=440:duration=300")
        .env("DBUS_SESSION_BUS_ADDRESS", address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    player.ok().map(Process)
}

#[derive(Default)]
struct Owner(AtomicBool);

impl Grants for Owner {
    fn allows(&self, _: &DeviceId, what: Remote) -> bool {
        what == Remote::Media && self.0.load(SeqCst)
    }
}

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn players(registry: &Registry) -> Vec<Service> {
    let own = registry.device(&id("this")).unwrap().device.clone();
    own.services.into_iter().filter(|service| service.id == "media").collect()
}

async fn until(registry: &Registry, what: &str, met: impl Fn(&[Service]) -> bool) -> Vec<Service> {
    for _ in 0..400 {
        let players = players(registry);
        if met(&players) {
            return players;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not {what}: {:#?}", players(registry));
}

fn data<'a>(players: &'a [Service], property: &str) -> Option<&'a Data> {
    players.first()?.values.get(property).map(|value| &value.data)
}

fn act(action: &str) -> Verb {
    Verb::Act { action: action.into(), inputs: Inputs::new() }
}

fn write(property: &str, data: impl Into<Data>) -> Verb {
    Verb::Write { property: property.into(), data: data.into() }
}

async fn ask(phone: &Memory, instance: u16, verb: Verb) -> Result<accord_model::Outputs, CallError> {
    phone.ask(&id("phone"), Target { service: "media".into(), instance }, verb).await
}

#[tokio::test]
async fn a_real_player_is_shown_and_obeys_only_whom_the_owner_allowed() {
    let Some((_daemon, address)) = bus() else { return println!("skipped: dbus-daemon is not installed") };
    let Some(mpv) = player(&address, "canary-26e1") else {
        return println!("skipped: mpv and mpv-mpris are not installed");
    };
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_media::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    registry.set_own(Device::new(id("this"), DeviceKind::Computer, "Desk"));
    let mut device = Device::new(id("phone"), DeviceKind::Phone, "Phone").with(catalogue::mirror());
    device.reach = Reach::Local;
    let (bridge, mut phone) = bridge(vec![device]);
    registry.add_bridge(bridge);
    let owner = Arc::new(Owner::default());
    let connection = zbus::connection::Builder::address(address.as_str()).build().await.unwrap();
    let _media = Media::new(&gate.bind("media"), &registry, owner.clone(), Bus::Given(connection)).unwrap();

    let now = until(&registry, "playing", |now| data(now, "playing") == Some(&Data::Bool(true))).await;
    assert_eq!(now[0].label.as_deref(), Some("mpv"));
    let now = until(&registry, "named", |now| data(now, "title").is_some()).await;
    assert_eq!(data(&now, "title"), Some(&Data::Text("canary-26e1".into())));
    assert_eq!(data(&now, "volume"), Some(&Data::Int(60)));
    let number = now[0].instance;

    // Nobody is told, and nobody may do anything, until the owner says so.
    assert!(phone.stays_silent().await);
    for verb in [act("pause"), write("volume", 10), Verb::Read { properties: vec![] }] {
        let refused = ask(&phone, number, verb.clone()).await;
        assert!(matches!(refused, Err(CallError::Refused(_))), "{verb:?}: {refused:?}");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(data(&players(&registry), "playing"), Some(&Data::Bool(true)));

    // Shown is not controlled.
    let entry = EntryKey::new(SHARE).unwrap();
    let shown = gate.notice(&entry, "en").unwrap().shown("test");
    let to = To::One(RecipientId::device(&id("phone")));
    gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    let (_, target, verb) = phone.called().await;
    assert_eq!(target, Target::new("mirror"));
    let said = format!("{verb:?}");
    assert!(said.contains("canary-26e1") && said.contains("\"show\""), "{said}");
    assert!(matches!(ask(&phone, number, act("pause")).await, Err(CallError::Refused(_))));
    let read = ask(&phone, number, Verb::Read { properties: vec!["title".into()] }).await.unwrap();
    assert_eq!(read["title"], Data::Text("canary-26e1".into()));

    // Allowed.
    owner.0.store(true, SeqCst);
    ask(&phone, number, act("pause")).await.unwrap();
    until(&registry, "paused", |now| data(now, "playing") == Some(&Data::Bool(false))).await;
    let (_, _, verb) = phone.called().await;
    assert!(format!("{verb:?}").contains("\"playing\": Bool(false)"), "{verb:?}");
    ask(&phone, number, write("volume", 35)).await.unwrap();
    until(&registry, "quieter", |now| data(now, "volume") == Some(&Data::Int(35))).await;
    ask(&phone, number, write("position", Data::Float(120.0))).await.unwrap();
    let far = |now: &[Service]| matches!(data(now, "position"), Some(Data::Float(at)) if (119.0..130.0).contains(at));
    until(&registry, "at two minutes", far).await;
    ask(&phone, number, act("play")).await.unwrap();
    until(&registry, "playing again", |now| data(now, "playing") == Some(&Data::Bool(true))).await;
    assert!(ask(&phone, number, write("volume", 101)).await.is_err());
    assert!(ask(&phone, number + 1, act("pause")).await.is_err(), "there is no such player");

    // Gone.
    drop(mpv);
    until(&registry, "gone", <[Service]>::is_empty).await;
    loop {
        let (_, _, verb) = phone.called().await;
        if matches!(verb, Verb::Act { action, .. } if action == "gone") {
            break;
        }
    }
}
