//! What the owner is asked when something of the house is added and told what to do for the first time: what that takes, and no
//! more.

use accord_consent::{Choice, Consent, ConsentState, To};
use accord_model::why::{Body, Explained, Fact, Outcome};
use accord_model::{
    Data, Device, DeviceKind, FieldCode, FieldSet, Format, FromBridge, Outputs, Property, Reach, Target, ToBridge,
    catalogue,
};
use accord_registry::BridgeSide;

use super::faces::{device, id, mouth};
use super::*;

const COMMAND: &str = "control/command";
const NAME: FieldSet = FieldSet::one(FieldCode::CommandName);

fn lamp(added: bool) -> Device {
    let mut light = catalogue::light().only(&["on"], &[]);
    light.properties.push(Property { write: true, ..Property::state("note", Format::Text) });
    let since = added.then(accord_model::Timestamp::now);
    let mut lamp =
        Device::new(id("lamp-1"), DeviceKind::Light, "Desk lamp").with(light).with(accord_ports::added::pairing(since));
    (lamp.reach, lamp.passing) = (Reach::Local, !added);
    lamp
}

/// All that it is told is taken; who is to be paired, is.
fn obeys(mut side: BridgeSide) {
    tokio::spawn(async move {
        while let Some((message, _)) = side.inbox.recv().await {
            let ToBridge::Call { call, device, target, .. } = message else { continue };
            side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await.unwrap();
            if target.service == "pairing" {
                side.tell(FromBridge::Seen { device: lamp(true) }).await.unwrap();
                let (event, target) = ("paired".to_owned(), Target::new("pairing"));
                side.tell(FromBridge::Event { device, target, event, arguments: Outputs::new() }).await.unwrap();
            }
        }
    });
}

fn given(home: &Home, entry: &str) -> Option<Consent> {
    let all = home.running.hub.gate.consents();
    all.into_iter().rfind(|one| one.entry.as_str() == entry && one.state == ConsentState::Given)
}

async fn set(home: &Home, property: &str, data: Value) -> Answered {
    let verb = json!({ "verb": "write", "property": property, "data": data });
    let call = json!({ "service": "light", "instance": 0, "verb": verb });
    home.own(Method::POST, "/devices/lamp-1/call", call).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lamp_is_asked_about_with_names_of_commands_and_what_else_it_gets_only_once_it_does() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    side.tell(FromBridge::Seen { device: lamp(true) }).await.unwrap();
    device(&home, "lamp-1", |_| true).await;
    obeys(side);
    let asked = set(&home, "on", json!(true)).await.json();
    let prompt = &asked["prompt"];
    assert_eq!((&prompt["fields"], &prompt["adds"]), (&json!(["command.name"]), &json!(false)), "{prompt}");
    assert_eq!(prompt["because"], "Switch Desk lamp on");
    // Whoever answers without fields grants what was asked for.
    let path = format!("/prompts/{}", prompt["id"].as_str().unwrap());
    assert_eq!(home.own(Method::POST, &path, json!({ "choice": "always" })).await.status, StatusCode::OK);
    assert_eq!(given(&home, COMMAND).unwrap().fields, NAME);
    assert_eq!(set(&home, "on", json!(true)).await.status, StatusCode::OK);
    // A text is more, and is asked for in addition.
    let asked = set(&home, "note", json!("tea")).await;
    assert_eq!(asked.status, StatusCode::CONFLICT, "{}", asked.text);
    let asked = asked.json();
    let prompt = &asked["prompt"];
    assert_eq!((&prompt["adds"], prompt["fields"].as_array().unwrap().len()), (&json!(true), 2), "{prompt}");
    assert!(prompt["difference"].as_str().unwrap().starts_with("also shares"), "{prompt}");
    let path = format!("/prompts/{}", prompt["id"].as_str().unwrap());
    assert_eq!(home.own(Method::POST, &path, json!({ "choice": "always" })).await.status, StatusCode::OK);
    assert_eq!(given(&home, COMMAND).unwrap().fields, NAME.union(FieldSet::one(FieldCode::TextContent)));
    assert_eq!(set(&home, "note", json!("tea")).await.status, StatusCode::OK);
    // A no stays a no.
    let command = COMMAND.parse().unwrap();
    let to = To::One("device:lamp-1".parse().unwrap());
    home.running.hub.decide_as(command, to, Choice::Never, None, "cli").unwrap();
    assert_eq!(set(&home, "on", json!(true)).await.json()["error"], "refused");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_agreed_to_everything_before_is_not_asked_about_a_lamp() {
    let home = home().await;
    let side = mouth(&home, "played").await;
    side.tell(FromBridge::Seen { device: lamp(true) }).await.unwrap();
    device(&home, "lamp-1", |_| true).await;
    obeys(side);
    home.running.hub.decide_as(COMMAND.parse().unwrap(), To::Any, Choice::Always, None, "cli").unwrap();
    assert_eq!(set(&home, "on", json!(true)).await.status, StatusCode::OK);
    assert_eq!(set(&home, "note", json!("tea")).await.status, StatusCode::OK);
    // Nor is it offered when another one is added.
    assert!(home.running.hub.forms().forms.iter().all(|form| form.offers.iter().all(|offer| offer.entry != COMMAND)));
    home.running.end().await;
}

async fn pair(home: &Home, agrees: Value) -> Answered {
    let begun = home.own(Method::POST, "/pairings", json!({ "device": "lamp-1" })).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let path = format!("/pairings/{}", begun.json()["id"].as_str().unwrap());
    for _ in 0..400 {
        let now = home.own(Method::GET, &path, Value::Null).await.json();
        if now["state"] == "compare" {
            assert_eq!(now["offers"][0]["entry"], COMMAND, "{now}");
            assert_eq!(now["offers"][0]["fields"].as_array().unwrap().len(), 1, "{now}");
            return home.own(Method::POST, &format!("{path}/confirm"), json!({ "agrees": agrees })).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to be paired");
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_a_lamp_is_agreeing_to_control_it_only_if_that_is_said_there() {
    for (agrees, wanted) in [(json!([]), None), (json!([COMMAND]), Some(NAME))] {
        let home = home().await;
        // As the bridge to Yeelight lamps: its entry says that they learn commands.
        let side = mouth(&home, "yeelight").await;
        side.tell(FromBridge::Seen { device: lamp(false) }).await.unwrap();
        device(&home, "lamp-1", |_| true).await;
        obeys(side);
        let confirmed = pair(&home, agrees).await;
        assert_eq!(confirmed.json()["state"], "done", "{}", confirmed.text);
        assert!(given(&home, "yeelight/control").is_some());
        assert_eq!(given(&home, COMMAND).map(|one| one.fields), wanted);
        let told = set(&home, "on", json!(true)).await;
        assert_eq!(told.status == StatusCode::OK, wanted.is_some(), "{}", told.text);
        home.running.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_looked_for_is_added_once_that_is_agreed_to_with_it() {
    let home = home().await;
    let mut side = mouth(&home, "matter").await;
    let offers = |home: &Home| {
        let forms = home.running.hub.forms().forms;
        let form = forms.into_iter().find(|form| form.bridge == "matter").unwrap();
        form.offers.into_iter().map(|offer| (offer.entry, offer.needed)).collect::<Vec<_>>()
    };
    assert_eq!(offers(&home), [("matter/search".to_owned(), true), (COMMAND.to_owned(), false)]);
    let form =
        |agrees: Value| json!({ "bridge": "matter", "way": "code", "inputs": { "code": "MT:1" }, "agrees": agrees });
    let asked = home.own(Method::POST, "/add", form(json!([]))).await;
    assert_eq!(asked.status, StatusCode::CONFLICT, "{}", asked.text);
    assert_eq!(asked.json()["prompt"]["entry"]["key"], "matter/search");
    let other = home.own(Method::POST, "/add", form(json!(["files/send"]))).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST, "{}", other.text);
    assert!(given(&home, "files/send").is_none());
    let added = home.own(Method::POST, "/add", form(json!(["matter/search", COMMAND])));
    let bridge = async {
        let call = loop {
            match tokio::time::timeout(WITHIN, side.inbox.recv()).await.unwrap() {
                Some((ToBridge::Add { call, .. }, _)) => break call,
                _ => continue,
            }
        };
        side.tell(FromBridge::Seen { device: lamp(true) }).await.unwrap();
        let devices = ("devices".to_owned(), Data::Texts(vec!["lamp-1".to_owned()]));
        side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::from([devices])) }).await.unwrap();
    };
    let (added, ()) = tokio::join!(added, bridge);
    assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    for (entry, to) in [("matter/search", "any"), ("matter/control", "device:lamp-1"), (COMMAND, "device:lamp-1")] {
        assert_eq!(given(&home, entry).map(|one| one.to.to_string()).as_deref(), Some(to));
    }
    assert_eq!(given(&home, COMMAND).unwrap().fields, NAME);
    assert_eq!(offers(&home), [(COMMAND.to_owned(), false)]);
    home.running.end().await;
}

/// A broker that is here.
fn broker() -> Device {
    let since = accord_ports::added::pairing(Some(accord_model::Timestamp::now()));
    let mut broker = Device::new(id("broker-1"), DeviceKind::Hub, "Broker").with(since);
    broker.reach = Reach::Local;
    broker
}

/// A broker is added by the form; what the bridge was told.
async fn adds(home: &Home, side: &mut BridgeSide, more: Value) -> (Answered, accord_model::Inputs) {
    let mut body = json!({ "bridge": "mqtt", "way": "broker", "inputs": { "address": "10.0.0.2" } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let added = home.own(Method::POST, "/add", body);
    let bridge = async {
        loop {
            let message = tokio::time::timeout(WITHIN, side.inbox.recv()).await.unwrap();
            let Some((ToBridge::Add { call, inputs, .. }, _)) = message else { continue };
            side.tell(FromBridge::Seen { device: broker() }).await.unwrap();
            let devices = ("devices".to_owned(), Data::Texts(vec!["broker-1".to_owned()]));
            side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::from([devices])) }).await.unwrap();
            return inputs;
        }
    };
    tokio::join!(added, bridge)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_again_at_another_address_keeps_what_was_agreed_to_for_it() {
    let home = home().await;
    let mut side = mouth(&home, "mqtt").await;
    let (added, inputs) = adds(&home, &mut side, json!({ "agrees": [COMMAND] })).await;
    assert_eq!((added.status, inputs.contains_key("again")), (StatusCode::OK, false), "{}", added.text);
    let agreed = || {
        let all = home.running.hub.gate.consents().into_iter().filter(|one| one.state == ConsentState::Given);
        all.filter(|one| one.to.to_string() == "device:broker-1")
            .map(|one| (one.id, one.entry.to_string()))
            .collect::<Vec<_>>()
    };
    let before = agreed();
    assert_eq!(before.len(), 2, "{before:?}");
    let form = home.running.hub.forms().forms.into_iter().find(|form| form.bridge == "mqtt").unwrap();
    assert_eq!(form.again.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Broker"]);

    let (again, inputs) = adds(&home, &mut side, json!({ "again": "broker-1" })).await;
    assert_eq!((again.status, &inputs["again"]), (StatusCode::OK, &Data::Text("broker-1".into())), "{}", again.text);
    assert_eq!(agreed(), before);
    // What is merely added once more may be another one by now.
    adds(&home, &mut side, json!({})).await;
    assert_eq!(agreed().iter().map(|(_, entry)| entry.as_str()).collect::<Vec<_>>(), ["mqtt/connection"]);
    // Nobody else is meant by it, nor can the bridge be told so by a field.
    let body =
        |again: &str, inputs: Value| json!({ "bridge": "mqtt", "way": "broker", "inputs": inputs, "again": again });
    for device in ["lamp-1", "", "../x"] {
        let no = home.own(Method::POST, "/add", body(device, json!({ "address": "10.0.0.2" }))).await;
        assert_eq!(no.status, StatusCode::NOT_FOUND, "{}", no.text);
    }
    let no = json!({ "bridge": "mqtt", "way": "broker", "inputs": { "address": "10.0.0.2", "again": "broker-1" } });
    assert_eq!(home.own(Method::POST, "/add", no).await.status, StatusCode::BAD_REQUEST);
    home.running.end().await;
}

/// A bridge to which something was told of that is not there: it keeps it, says that nothing listens, and forgets it when it is told to.
fn keeps_what_is_away(mut side: BridgeSide) {
    let broker = |added: bool| {
        let since = added.then(accord_model::Timestamp::now);
        let pairing = accord_ports::added::pairing(since);
        let mut broker = Device::new(id("broker-1"), DeviceKind::Hub, "Broker").with(pairing);
        (broker.reach, broker.passing) = (Reach::Offline, !added);
        broker
    };
    tokio::spawn(async move {
        while let Some((message, _)) = side.inbox.recv().await {
            match message {
                ToBridge::Add { call, .. } => {
                    side.tell(FromBridge::Seen { device: broker(true) }).await.unwrap();
                    let devices = ("devices".to_owned(), Data::Texts(vec!["broker-1".to_owned()]));
                    side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::from([devices])) }).await.unwrap();
                }
                ToBridge::Explain { call, .. } => {
                    let address = "10.66.0.9:1883".parse().unwrap();
                    let facts = vec![
                        Fact::LastSeen { at: None, addresses: vec![address] },
                        Fact::Tried { address, outcome: Outcome::Refused },
                    ];
                    let explained = Explained::new("MQTT", Body::Server, facts);
                    side.tell(FromBridge::Explained { call, explained }).await.unwrap();
                }
                ToBridge::Call { call, device, .. } => {
                    side.tell(FromBridge::Gone { device }).await.unwrap();
                    side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await.unwrap();
                }
                _ => {}
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_by_its_address_and_does_not_answer_is_not_kept_unless_its_owner_says_so() {
    let home = home().await;
    keeps_what_is_away(mouth(&home, "mqtt").await);
    let form =
        |away: bool| json!({ "bridge": "mqtt", "way": "broker", "inputs": { "address": "10.66.0.9" }, "away": away });
    let there = |home: &Home| home.running.hub.registry.device(&id("broker-1")).is_some();
    let refused = home.own(Method::POST, "/add", form(false)).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (StatusCode::CONFLICT, Some("not-reached")),
        "{}",
        refused.text
    );
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Nothing was added. 10.66.0.9:1883 answers that nothing listens there"), "{message}");
    assert!(!there(&home) && given(&home, "mqtt/connection").is_none());
    let added = home.own(Method::POST, "/add", form(true)).await;
    assert_eq!(added.status, StatusCode::OK, "{}", added.text);
    assert!(there(&home) && given(&home, "mqtt/connection").is_some());
    // What was added before is changed, and stays.
    let again = home.own(Method::POST, "/add", form(false)).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.text);
    assert!(there(&home));
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_asked_about_before_it_is_looked_up_and_others_are_never_asked_for() {
    let home = home().await;
    keeps_what_is_away(mouth(&home, "mqtt").await);
    let form = |address: &str| json!({ "bridge": "mqtt", "way": "broker", "inputs": { "address": address } });
    let asked = home.own(Method::POST, "/add", form("broker.local:1883")).await;
    assert_eq!(asked.status, StatusCode::CONFLICT, "{}", asked.text);
    assert_eq!(asked.json()["prompt"]["entry"]["key"], "names/lookup");
    assert!(asked.json()["prompt"]["because"].as_str().unwrap().contains("broker.local"), "{}", asked.text);
    for address in ["nas.lan", "broker", "mqtts://example.org:1"] {
        let refused = home.own(Method::POST, "/add", form(address)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
        assert!(refused.text.contains("ype its number"), "{}", refused.text);
    }
    home.running.end().await;
}
