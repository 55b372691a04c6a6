//! Faces and things, with bridges that the test speaks through.

#![allow(clippy::unwrap_used, reason = "a test may fail here")]

use std::collections::BTreeMap;
use std::time::Duration;

use accord_model::{
    CallError, Claims, Data, Device, DeviceId, DeviceKind, FromBridge, Origin, Reach, Service, Source, Target,
    Timestamp, Told, Value, What, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Job, Registry, RegistryEvent, Words, goes_on, in_turn};
use async_trait::async_trait;
use proptest::prelude::*;

const SOON: Duration = Duration::from_secs(5);
const TV: &str = "4d454930-0100-1000-8001-a81374aabbcc";

struct Mouth(&'static str, tokio::sync::oneshot::Sender<BridgeSide>);

#[async_trait]
impl Bridge for Mouth {
    fn name(&self) -> &str {
        self.0
    }
    async fn run(self: Box<Self>, side: BridgeSide) -> Result<(), String> {
        self.1.send(side).map_err(|_| "the test is over")?;
        std::future::pending().await
    }
}

async fn mouth(registry: &Registry, name: &'static str) -> BridgeSide {
    let (to, side) = tokio::sync::oneshot::channel();
    registry.add_bridge(Box::new(Mouth(name, to)));
    side.await.unwrap()
}

fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn player(open: bool) -> Service {
    let mut media = catalogue::media();
    if open {
        media.actions.push(catalogue::open_media());
    }
    media
}

fn tv(name: &str) -> Device {
    let mut device = Device::new(id(name), DeviceKind::Tv, "Lounge").with(player(true));
    device.claims = Claims::broadcast(["10.0.0.2".parse().unwrap()]).unique(TV);
    (device.passing, device.reach) = (true, Reach::Local);
    device
}

async fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn faces(registry: &Registry, of: &str) -> Vec<String> {
    let thing = registry.thing(&id(of));
    thing.into_iter().flat_map(|thing| thing.faces).map(|face| face.known.device.id.to_string()).collect()
}

#[tokio::test]
async fn a_television_with_three_faces_is_one_device_whose_best_face_is_used_for_each_job() {
    let registry = Registry::new();
    registry.prefer(Job::Show, &["cast", "upnp", "airplay"]);
    registry.prefer(Job::Sound, &["airplay"]);
    let (upnp, cast, airplay) =
        (mouth(&registry, "upnp").await, mouth(&registry, "cast").await, mouth(&registry, "airplay").await);
    upnp.tell(FromBridge::Seen { device: tv("upnp-1").with(catalogue::volume()) }).await.unwrap();
    until("the first", || registry.thing(&id("upnp-1"))).await;
    let mut events = registry.events();
    cast.tell(FromBridge::Seen { device: tv("cast-1") }).await.unwrap();
    let mut sound = tv("airplay-1");
    sound.services[0] = player(false);
    sound.services[0].properties.push(catalogue::media_sound());
    airplay.tell(FromBridge::Seen { device: sound }).await.unwrap();
    let thing = until("three faces", || registry.thing(&id("cast-1")).filter(|thing| thing.faces.len() == 3)).await;
    assert_eq!((thing.device.id.as_str(), thing.bridge()), ("upnp-1", "upnp"), "the first face gives the id");
    assert_eq!(registry.things().len(), 1);
    assert_eq!(registry.devices().len(), 3, "whoever speaks with a device speaks with a face");
    assert_eq!(registry.thing_id(&id("airplay-1")), Some(id("upnp-1")));
    let named = |job| registry.ways(&id("upnp-1"), job).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named(Job::Show), ["cast-1", "upnp-1"]);
    assert_eq!(named(Job::Sound), ["airplay-1", "upnp-1", "cast-1"]);
    assert_eq!(named(Job::Service("volume")), ["upnp-1"]);
    assert_eq!(registry.ways(&id("cast-1"), Job::Service("volume")), [], "another face's id means that face alone");
    let mut told = Vec::new();
    while told.len() < 2 {
        if let RegistryEvent::Things { gone, changed } =
            tokio::time::timeout(SOON, events.recv()).await.unwrap().unwrap()
        {
            assert_eq!(gone, [], "what was shown under its id stays");
            told.extend(changed);
        }
    }
    assert_eq!(told, [id("upnp-1"), id("upnp-1")]);
    // One that is away is the last way, and what is added the first.
    cast.tell(FromBridge::Reach { device: id("cast-1"), reach: Reach::Offline }).await.unwrap();
    until("away", || (named(Job::Show) == ["upnp-1", "cast-1"]).then_some(())).await;
    // The first face goes: the thing goes on with another, and its old id means it only while the owner joined it.
    upnp.tell(FromBridge::Gone { device: id("upnp-1") }).await.unwrap();
    until("gone", || registry.thing(&id("upnp-1")).is_none().then_some(())).await;
    assert_eq!(faces(&registry, "airplay-1"), ["cast-1", "airplay-1"]);
}

#[tokio::test]
async fn the_owners_word_joins_what_claims_nothing_and_outlives_faces_that_are_away() {
    let registry = Registry::new();
    let (kde, local) = (mouth(&registry, "kdeconnect").await, mouth(&registry, "localsend").await);
    let value =
        |data| Value { data: Data::Bool(data), seen: Timestamp::now(), source: Source::Assumed, fresh_for_s: 60 };
    let phone = |name: &str, verified: bool| {
        let mut device = Device::new(id(name), DeviceKind::Phone, "Pixel").with(catalogue::files());
        let mut pairing = catalogue::pairing();
        pairing.values = BTreeMap::from([("paired".into(), value(true)), ("verified".into(), value(verified))]);
        device.services.push(pairing);
        device.claims = Claims::peer(["10.0.0.5".parse().unwrap()]);
        device.reach = Reach::Local;
        device
    };
    local.tell(FromBridge::Seen { device: phone("localsend-1", false) }).await.unwrap();
    kde.tell(FromBridge::Seen { device: phone("kdeconnect-1", true).with(catalogue::battery()) }).await.unwrap();
    until("both", || (registry.devices().len() == 2).then_some(())).await;
    let thing = registry.thing(&id("localsend-1")).unwrap();
    assert_eq!((thing.faces.len(), thing.maybe), (1, vec![id("kdeconnect-1")]), "suggested, not joined");
    let mut words = Words::default();
    words.join(&[id("localsend-1"), id("kdeconnect-1")]).unwrap();
    let mut events = registry.events();
    registry.set_words(words);
    let RegistryEvent::Things { gone, changed } = events.recv().await.unwrap() else { panic!("things changed") };
    assert_eq!((gone, changed), (vec![id("kdeconnect-1")], vec![id("localsend-1")]));
    let thing = registry.thing(&id("kdeconnect-1")).unwrap();
    assert_eq!(thing.device.id, id("localsend-1"));
    assert!(thing.device.service("battery").is_some() && thing.maybe.is_empty());
    assert_eq!(thing.device.services.iter().filter(|service| service.id == "files").count(), 1);
    let files = registry.ways(&id("localsend-1"), Job::Service("files"));
    assert_eq!(files, [id("kdeconnect-1"), id("localsend-1")], "the one that proves who it is goes first");
    local.tell(FromBridge::Gone { device: id("localsend-1") }).await.unwrap();
    let left =
        until("the other stays", || registry.thing(&id("localsend-1")).filter(|thing| thing.faces.len() == 1)).await;
    assert_eq!(left.device.id, id("kdeconnect-1"), "an old id resolves");
    assert_eq!(registry.ways(&id("localsend-1"), Job::Service("files")), [id("kdeconnect-1")]);
    assert!(registry.device(&id("localsend-1")).is_none(), "and is no face that could be spoken with");
}

#[tokio::test]
async fn a_face_that_claims_to_be_an_added_one_is_neither_it_nor_asked_for_it() {
    let registry = Registry::new();
    let (upnp, cast) = (mouth(&registry, "upnp").await, mouth(&registry, "cast").await);
    let mut added = tv("upnp-1");
    added.passing = false;
    upnp.tell(FromBridge::Seen { device: added }).await.unwrap();
    cast.tell(FromBridge::Seen { device: tv("cast-thief") }).await.unwrap();
    until("both", || (registry.devices().len() == 2).then_some(())).await;
    assert_eq!(faces(&registry, "upnp-1"), ["upnp-1"]);
    assert_eq!(registry.ways(&id("upnp-1"), Job::Show), [id("upnp-1")]);
    // Another bridge cannot even name it.
    cast.tell(FromBridge::Seen { device: tv("upnp-1") }).await.unwrap();
    cast.tell(FromBridge::Gone { device: id("upnp-1") }).await.unwrap();
    cast.tell(FromBridge::Gone { device: id("cast-thief") }).await.unwrap();
    until("it left", || registry.device(&id("cast-thief")).is_none().then_some(())).await;
    assert_eq!(registry.device(&id("upnp-1")).unwrap().bridge, "upnp");
}

#[tokio::test]
async fn what_a_device_said_when_it_fetched_is_kept_with_what_it_announced() {
    let registry = Registry::new();
    let upnp = mouth(&registry, "upnp").await;
    let mut device = tv("upnp-1");
    device.told = vec![Told::new(Origin::UpnpDescription, What::Maker, "Maker")];
    upnp.tell(FromBridge::Seen { device }).await.unwrap();
    until("it", || registry.thing(&id("upnp-1"))).await;
    for n in 0..100 {
        registry.learnt(&id("upnp-1"), Told::new(Origin::UserAgent, What::Agent, &format!("Agent {n}")));
    }
    registry.learnt(&id("nobody"), Told::new(Origin::UserAgent, What::Agent, "Agent"));
    let told = registry.told(&id("upnp-1"));
    assert_eq!((told.len(), told[0].text.as_str(), told[1].text.as_str()), (5, "Maker", "Agent 0"));
    upnp.tell(FromBridge::Gone { device: id("upnp-1") }).await.unwrap();
    until("gone", || registry.told(&id("upnp-1")).is_empty().then_some(())).await;
}

#[tokio::test]
async fn another_face_is_tried_when_the_first_is_not_there_and_only_then() {
    let ways = || [id("a"), id("b")];
    let unreachable = || CallError::Unreachable("off".into());
    let second =
        in_turn(ways(), goes_on, |way| async move { if way == id("a") { Err(unreachable()) } else { Ok(way) } });
    assert_eq!(second.await, Some(Ok(id("b"))));
    let none = in_turn(ways(), goes_on, |way| async move {
        Err::<(), _>(if way == id("a") { CallError::Deadline(3) } else { unreachable() })
    });
    assert_eq!(none.await, Some(Err(CallError::Deadline(3))), "what the best one said");
    let mut asked = Vec::new();
    let refused = in_turn(ways(), goes_on, |way| {
        asked.push(way);
        async { Err::<(), _>(CallError::NotConsented("no".into())) }
    });
    assert_eq!(refused.await, Some(Err(CallError::NotConsented("no".into()))));
    assert_eq!(asked, [id("a")], "a no is not got around by another face");
    assert_eq!(in_turn([], goes_on, |_| async { Ok::<(), CallError>(()) }).await, None);
}

const BRIDGES: [&str; 3] = ["upnp", "cast", "airplay"];

/// What happens: a face comes or changes, or goes.
fn steps() -> impl Strategy<Value = Vec<(usize, u8, bool, u8)>> {
    proptest::collection::vec((0..3_usize, 0..2_u8, any::<bool>(), 0..3_u8), 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However the faces came and went: what is there in the end is grouped as if it had come at once.
    #[test]
    fn the_way_there_plays_no_part(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let groups = |registry: &Registry| {
                let mut all: Vec<Vec<String>> = registry.things().iter().map(|thing| {
                    let mut faces: Vec<String> = thing.faces.iter().map(|face| face.known.device.id.to_string()).collect();
                    faces.sort();
                    faces
                }).collect();
                all.sort();
                all
            };
            let device = |(bridge, which, added, kind): &(usize, u8, bool, u8)| {
                let mut device = tv(&format!("{}-{which}", BRIDGES[*bridge]));
                device.claims = match kind {
                    0 => Claims::broadcast(["10.0.0.2".parse().unwrap()]),
                    1 => Claims::broadcast(["10.0.0.3".parse().unwrap()]).unique(TV),
                    _ => Claims::broadcast(["10.0.0.2".parse().unwrap()]).unique(TV),
                };
                device.passing = !added;
                device
            };
            let registry = Registry::new();
            let mut sides = Vec::new();
            for bridge in BRIDGES {
                sides.push(mouth(&registry, bridge).await);
            }
            let mut last = BTreeMap::new();
            for step in &steps {
                let seen = device(step);
                // Every third one goes again.
                let message = if step.3 == 0 && last.contains_key(&seen.id) {
                    last.remove(&seen.id);
                    FromBridge::Gone { device: seen.id }
                } else {
                    last.insert(seen.id.clone(), step);
                    FromBridge::Seen { device: seen }
                };
                sides[step.0].tell(message).await.unwrap();
            }
            let at_once = Registry::new();
            let mut fresh = Vec::new();
            for bridge in BRIDGES {
                fresh.push(mouth(&at_once, bridge).await);
            }
            for step in last.values().rev() {
                fresh[step.0].tell(FromBridge::Seen { device: device(step) }).await.unwrap();
            }
            let same = |registry: &Registry| registry.devices().iter().map(|known| known.device.clone()).collect::<Vec<_>>();
            let wanted: Vec<Device> = last.values().map(|step| device(step)).collect();
            until("all told", || (same(&registry) == wanted && same(&at_once) == wanted).then_some(())).await;
            let now = || (groups(&registry), groups(&at_once));
            // The last word may be on its way through the grouping still.
            until("the same things", || { let (one, two) = now(); (one == two).then_some(()) }).await;
        });
    }
}

#[tokio::test]
async fn calls_and_consents_are_of_a_face_whatever_it_is_joined_with() {
    // A thing's own id is a face's id: a call to it is a call to that face, and to no other.
    let registry = Registry::new();
    let (upnp, mut cast) = (mouth(&registry, "upnp").await, mouth(&registry, "cast").await);
    upnp.tell(FromBridge::Seen { device: tv("upnp-1") }).await.unwrap();
    cast.tell(FromBridge::Seen { device: tv("cast-1") }).await.unwrap();
    until("joined", || (faces(&registry, "upnp-1").len() == 2).then_some(())).await;
    let face = id("upnp-1");
    let stream = registry.open_stream(&face, Target::new("media"), Default::default(), accord_model::StreamClass::Bulk);
    assert!(tokio::time::timeout(Duration::from_millis(50), stream).await.is_err(), "the face says nothing");
    assert!(cast.inbox.try_recv().is_err(), "and the other was not asked in its place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn faces_that_two_bridges_bring_at_the_same_time_are_joined_all_the_same() {
    const MANY: u8 = 80;
    let registry = Registry::new();
    let (one, two) = (mouth(&registry, "upnp").await, mouth(&registry, "cast").await);
    let bring = |bridge: BridgeSide, name: &'static str| async move {
        for number in 0..MANY {
            let mut device = Device::new(id(&format!("{name}-{number}")), DeviceKind::Tv, format!("TV {number}"));
            device.claims = Claims::broadcast([[10, 0, 0, number].into()]);
            (device.passing, device.reach) = (true, Reach::Local);
            bridge.tell(FromBridge::Seen { device }).await.unwrap();
        }
        bridge
    };
    let brought = tokio::join!(tokio::spawn(bring(one, "upnp")), tokio::spawn(bring(two, "cast")));
    let joined = || {
        let things = registry.things();
        (things.len() == usize::from(MANY) && things.iter().all(|thing| thing.faces.len() == 2)).then_some(())
    };
    until("each is joined with its other face", joined).await;
    drop(brought);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_face_that_speaks_is_never_shown_as_one_that_was_not_heard() {
    let registry = Registry::new();
    let side = mouth(&registry, "upnp").await;
    let (looking, last) = (registry.clone(), id("tv-299"));
    let looks = std::thread::spawn(move || {
        while looking.thing(&last).is_none() {
            let things = looking.things();
            let mut faces = things.iter().flat_map(|thing| &thing.faces).filter(|face| face.known.bridge == "upnp");
            if let Some(face) = faces.find(|face| face.heard == Timestamp::UNIX_EPOCH) {
                return Err(face.known.device.id.clone());
            }
        }
        Ok(())
    });
    for number in 0..300 {
        side.tell(FromBridge::Seen { device: Device::new(id(&format!("tv-{number}")), DeviceKind::Tv, "TV") })
            .await
            .unwrap();
    }
    let looked = tokio::task::spawn_blocking(|| looks.join().unwrap());
    assert_eq!(tokio::time::timeout(SOON, looked).await.expect("the last one comes").unwrap(), Ok(()));
}
