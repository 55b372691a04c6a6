//! One device of several faces in a real hub, with bridges that the test plays.

use accord_consent::{Choice, RecipientId, To};
use accord_model::{
    CallError, Claims, Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Origin, Outputs, Reach, Source,
    Timestamp, ToBridge, Told, Value as Held, What, catalogue,
};
use accord_registry::{Bridge, BridgeSide};
use async_trait::async_trait;
use tokio::sync::oneshot;

use super::*;

struct Mouth(&'static str, oneshot::Sender<BridgeSide>);

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

pub async fn mouth(home: &Home, name: &'static str) -> BridgeSide {
    let (to, side) = oneshot::channel();
    home.running.hub.registry.add_bridge(Box::new(Mouth(name, to)));
    side.await.unwrap()
}

pub fn id(text: &str) -> DeviceId {
    DeviceId::new(text).unwrap()
}

fn tv(name: &str, added: bool) -> Device {
    let mut media = catalogue::media();
    media.actions.push(catalogue::open_media());
    let mut pairing = catalogue::pairing();
    let value = |data| Held {
        data: Data::Bool(data),
        seen: Timestamp::UNIX_EPOCH,
        source: Source::Assumed,
        fresh_for_s: 1_000_000,
    };
    pairing.values = [("paired".to_owned(), value(added)), ("verified".to_owned(), value(false))].into();
    let mut device = Device::new(id(name), DeviceKind::Tv, "Lounge").with(media).with(pairing);
    device.claims = Claims::broadcast(["10.0.0.2".parse().unwrap()]).unique("4d454930-0100-1000-8001-a81374aabbcc");
    (device.passing, device.reach) = (!added, Reach::Local);
    device
}

pub async fn device(home: &Home, of: &str, fits: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..400 {
        let answer = home.own(Method::GET, &format!("/devices/{of}"), Value::Null).await;
        if answer.status == StatusCode::OK && fits(&answer.json()) {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {}", home.own(Method::GET, &format!("/devices/{of}"), Value::Null).await.text);
}

fn faces(device: &Value) -> Vec<String> {
    device["faces"].as_array().unwrap().iter().map(|face| face["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_are_one_device_that_the_owner_splits_and_joins() {
    let home = home().await;
    let (one, two) = (mouth(&home, "played-dlna").await, mouth(&home, "played-cast").await);
    one.tell(FromBridge::Seen { device: tv("dlna-1", false) }).await.unwrap();
    device(&home, "dlna-1", |_| true).await;
    two.tell(FromBridge::Seen { device: tv("cast-1", false) }).await.unwrap();
    let joined = device(&home, "cast-1", |device| faces(device).len() == 2).await;
    assert_eq!((joined["id"].as_str(), faces(&joined)), (Some("dlna-1"), vec!["dlna-1".into(), "cast-1".into()]));
    assert_eq!(joined["faces"][1]["addresses"], json!(["10.0.0.2"]));
    assert!(joined["faces"][1]["heard"].is_string());
    let listed = home.own(Method::GET, "/devices", Value::Null).await.json();
    let named = |name: &str| {
        let all = listed["devices"].as_array().unwrap().iter();
        all.filter(|device| device["name"] == name).count()
    };
    assert_eq!(named("Lounge"), 1);
    let apart = home.own(Method::POST, "/devices/cast-1/split", json!({})).await.json();
    assert_eq!((apart["id"].as_str(), faces(&apart)), (Some("cast-1"), vec!["cast-1".to_owned()]));
    let again = home.own(Method::POST, "/devices/cast-1/split", json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    let itself = home.own(Method::POST, "/devices/join", json!({ "device": "cast-1", "with": "this" })).await;
    assert_eq!(itself.status, StatusCode::BAD_REQUEST, "{}", itself.text);
    let joined = home.own(Method::POST, "/devices/join", json!({ "device": "cast-1", "with": "dlna-1" })).await.json();
    assert_eq!((joined["id"].as_str(), faces(&joined).len()), (Some("cast-1"), 2));
    let kept = std::fs::read_to_string(home.options.state.data().join("faces.json")).unwrap();
    assert!(kept.contains("cast-1") && !kept.contains("a81374aabbcc"), "ids that devices claim are not kept: {kept}");
    let other = device(&home, "dlna-1", |_| true).await;
    assert_eq!(other["id"], "cast-1", "the old id means it");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_agreed_to_for_one_face_is_not_for_another_and_the_next_one_is_tried_when_one_is_away() {
    let home = home().await;
    let hub = home.running.hub.clone();
    let (mut one, mut two) = (mouth(&home, "upnp-played").await, mouth(&home, "cast-played").await);
    hub.registry.prefer(accord_registry::Job::Show, &["cast-played", "upnp-played"]);
    one.tell(FromBridge::Seen { device: tv("dlna-1", true) }).await.unwrap();
    two.tell(FromBridge::Seen { device: tv("cast-1", true) }).await.unwrap();
    device(&home, "cast-1", |_| true).await;
    device(&home, "dlna-1", |device| device["maybe"] == json!(["cast-1"])).await;
    let call = json!({ "service": "media", "verb": { "verb": "act", "action": "pause", "inputs": {} } });
    let agree = |device: &str| {
        let (entry, to) = (EntryKey::new("control/command").unwrap(), To::One(RecipientId::device(&id(device))));
        hub.decide_as(entry, to, Choice::Always, None, "cli").unwrap();
    };
    agree("dlna-1");
    home.own(Method::POST, "/devices/join", json!({ "device": "dlna-1", "with": "cast-1" })).await;
    // The better face is the other one, and nothing was agreed to for it: it is asked for, and nothing goes to either.
    let answer = home.own(Method::POST, "/devices/dlna-1/call", call.clone()).await;
    assert_eq!(answer.json()["error"], "consent-needed", "{}", answer.text);
    assert_eq!(answer.json()["prompt"]["to"], "device:cast-1");
    assert!(one.inbox.try_recv().is_err() && two.inbox.try_recv().is_err());
    agree("cast-1");
    let answering = tokio::spawn(async move {
        let mut asked = Vec::new();
        while asked.len() < 2 {
            let (side, message) = tokio::select! {
                message = one.inbox.recv() => (&one, message),
                message = two.inbox.recv() => (&two, message),
            };
            let Some((ToBridge::Call { call, device, .. }, _)) = message else { continue };
            let outcome = match device.as_str() {
                "cast-1" => Err(CallError::Unreachable("switched off".into())),
                _ => Ok(Outputs::new()),
            };
            asked.push(device.to_string());
            side.tell(FromBridge::Reply { call, outcome }).await.unwrap();
        }
        asked
    });
    let answer = home.own(Method::POST, "/devices/dlna-1/call", call).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answering.await.unwrap(), ["cast-1", "dlna-1"]);
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_television_is_recognised_once_the_owner_agrees() {
    let home = home().await;
    let one = mouth(&home, "played").await;
    let mut samsung = tv("dlna-1", false);
    samsung.told = vec![
        Told::new(Origin::UpnpDescription, What::Maker, "Samsung Electronics"),
        Told::new(Origin::UpnpDescription, What::Model, "UE55AU7100"),
    ];
    one.tell(FromBridge::Seen { device: samsung }).await.unwrap();
    let before = device(&home, "dlna-1", |_| true).await;
    assert!(before["recognised"].is_null() && before["maker"].is_null(), "{before}");
    let agreed = home.own(Method::POST, "/consents", json!({ "entry": "recognition/tv", "choice": "always" })).await;
    assert!(agreed.status.is_success(), "{}", agreed.text);
    let known = device(&home, "dlna-1", |device| device["recognised"].is_object()).await;
    assert_eq!(known["recognised"]["maker"], json!({ "value": "Samsung", "source": "UPnP description" }));
    assert_eq!(known["recognised"]["screen"]["value"], "55 inches");
    assert_eq!((known["model"].as_str(), known["kind"].as_str()), (Some("UE55AU7100"), Some("tv")));
    home.running.end().await;
}
