//! Signing in with a device's own web page, in a real hub with a bridge that the test plays: where the browser is sent, who may
//! come back, and what is agreed to by that.

use accord_model::{CallError, Data, Device, DeviceKind, FromBridge, Inputs, Outputs, Reach, ToBridge};
use accord_registry::BridgeSide;

use super::faces::{id, mouth};
use super::*;

const CODE: &str = "c0dec0dec0dec0de";

/// The next thing that is to be added: in which way, with what, and how to answer.
async fn asked(side: &mut BridgeSide) -> (accord_model::CallId, String, Inputs) {
    loop {
        if let Some((ToBridge::Add { call, way, inputs }, _)) =
            tokio::time::timeout(WITHIN, side.inbox.recv()).await.unwrap()
        {
            return (call, way, inputs);
        }
    }
}

async fn answer(side: &BridgeSide, call: accord_model::CallId, outcome: Result<Outputs, CallError>) {
    side.tell(FromBridge::Reply { call, outcome }).await.unwrap();
}

fn server(passing: bool) -> FromBridge {
    let mut device = Device::new(id("server"), DeviceKind::Hub, "House");
    (device.reach, device.passing) = (Reach::Local, passing);
    FromBridge::Seen { device }
}

fn devices() -> (String, Data) {
    ("devices".to_owned(), Data::Texts(vec!["server".to_owned()]))
}

/// What the browser is to come back with, and by which id it is asked how it stands.
struct Begun {
    state: String,
    path: String,
}

/// The bridge is told that nobody comes with this.
async fn given_up(side: &mut BridgeSide, state: &str) {
    let (call, way, inputs) = asked(side).await;
    assert_eq!((way.as_str(), inputs["state"].as_text()), ("not-signed-in", Some(state)));
    answer(side, call, Ok(Outputs::new())).await;
}

async fn stands(home: &Home, begun: &Begun) -> Value {
    home.own(Method::GET, &begun.path, Value::Null).await.json()
}

async fn begin(home: &Home, side: &mut BridgeSide) -> Begun {
    let body =
        json!({ "bridge": "homeassistant", "way": "token", "sign_in": true, "inputs": { "address": "10.0.0.2" } });
    let wanted = home.own(Method::POST, "/add", body);
    let bridge = async {
        let (call, way, inputs) = asked(side).await;
        let back = format!("http://{}/signed-in", home.web);
        assert_eq!((way.as_str(), inputs["return"].as_text(), inputs.len()), ("sign-in", Some(back.as_str()), 3));
        side.tell(server(true)).await.unwrap();
        let open = ("open".to_owned(), Data::Text("http://10.0.0.2/its-page".to_owned()));
        answer(side, call, Ok(Outputs::from([devices(), open]))).await;
        inputs["state"].as_text().unwrap().to_owned()
    };
    let (told, state) = tokio::join!(wanted, bridge);
    assert_eq!(told.status, StatusCode::OK, "{}", told.text);
    let told = told.json();
    assert_eq!(
        (told["open"].as_str(), told["devices"][0]["id"].as_str()),
        (Some("http://10.0.0.2/its-page"), Some("server"))
    );
    let begun = Begun { path: format!("/add/sign-in/{}", told["signing_in"].as_str().unwrap()), state };
    assert!(!told.to_string().contains(&begun.state), "whoever may look may not come back");
    assert_eq!(stands(home, &begun).await["state"], "waits");
    begun
}

async fn comes_back(home: &Home, query: &str) -> Answered {
    let host = home.web.to_string();
    read(home.web_raw(Method::GET, &format!("/signed-in?{query}"), &[("host", &host)], &Value::Null).await).await
}

fn is_agreed(home: &Home) -> bool {
    given(home, "homeassistant/connection").is_some()
}

fn given(home: &Home, entry: &str) -> Option<accord_consent::ConsentId> {
    let all = home.running.hub.gate.consents();
    let mut of_server = all.iter().filter(|one| one.entry.as_str() == entry);
    of_server.find(|one| one.state == accord_consent::ConsentState::Given).map(|one| one.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_that_was_sent_away_comes_back_once_and_that_is_consent() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    let begun = begin(&home, &mut side).await;
    let state = begun.state.clone();
    assert!(!is_agreed(&home), "before the browser is back nothing is agreed to");
    // Whoever comes with nothing, or with another word, changes nothing.
    for query in ["", "state=&code=", &format!("state={}&code={CODE}", "0".repeat(state.len())), "state=%ff&code=%00"] {
        let page = comes_back(&home, query).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{query}: {}", page.text);
    }
    assert!(!is_agreed(&home));
    let query = format!("state={state}&code={CODE}");
    let bridge = async {
        let (call, way, inputs) = asked(&mut side).await;
        let text = |id: &str| inputs[id].as_text().unwrap().to_owned();
        assert_eq!((way.as_str(), text("state"), text("code")), ("signed-in", state.clone(), CODE.to_owned()));
        assert!(is_agreed(&home), "the bridge may trade it in");
        side.tell(server(false)).await.unwrap();
        answer(&side, call, Ok(Outputs::from([devices()]))).await;
    };
    let (page, ()) = tokio::join!(comes_back(&home, &query), bridge);
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("You are signed in") && !page.text.contains(CODE) && !page.text.contains(&state));
    let stands = stands(&home, &begun).await;
    assert_eq!((stands["state"].as_str(), stands["devices"][0]["id"].as_str()), (Some("done"), Some("server")));
    assert!(is_agreed(&home));
    assert_eq!(comes_back(&home, &query).await.status, StatusCode::BAD_REQUEST, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_agree_there_or_is_not_let_in_leaves_no_consent() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    let begun = begin(&home, &mut side).await;
    let denied = format!("state={}&error=access_denied", begun.state);
    let (page, ()) = tokio::join!(comes_back(&home, &denied), given_up(&mut side, &begun.state));
    assert!(page.status == StatusCode::BAD_REQUEST && page.text.contains("you did not agree"), "{}", page.text);
    assert_eq!(stands(&home, &begun).await["state"], "failed");
    // One begins, and another one: the first does not count any more.
    let first = begin(&home, &mut side).await;
    let second = begin(&home, &mut side).await;
    let late = comes_back(&home, &format!("state={}&code={CODE}", first.state)).await;
    assert_eq!((late.status, &stands(&home, &first).await["state"]), (StatusCode::BAD_REQUEST, &"none".into()));
    // Whoever gives up the first does not end the second.
    assert_eq!(home.own(Method::DELETE, &first.path, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(stands(&home, &second).await["state"], "waits");
    let query = format!("state={}&code={CODE}", second.state);
    let bridge = async {
        let (call, ..) = asked(&mut side).await;
        answer(&side, call, Err(CallError::Refused("<b>no</b>".to_owned()))).await;
        given_up(&mut side, &second.state).await;
    };
    let (page, ()) = tokio::join!(comes_back(&home, &query), bridge);
    assert!(page.text.contains("&lt;b&gt;no") && !page.text.contains("<b>"), "{}", page.text);
    let stands = stands(&home, &second).await;
    assert!(stands["message"].as_str().unwrap().contains("no"), "{stands}");
    assert!(!is_agreed(&home));
    // A secret has no place in it, and what has no such page has no signing in.
    let body = |bridge: &str, way: &str, inputs: Value| json!({ "bridge": bridge, "way": way, "sign_in": true, "inputs": inputs });
    let with_token = body("homeassistant", "token", json!({ "address": "10.0.0.2", "token": "geheim" }));
    for wrong in [with_token, body("mqtt", "broker", json!({ "address": "10.0.0.2" }))] {
        let refused = home.own(Method::POST, "/add", wrong).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && !refused.text.contains("geheim"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_closed_stops_nothing_and_one_that_is_given_up_is_over() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    let begun = begin(&home, &mut side).await;
    let query = format!("state={}&code={CODE}", begun.state);
    let call = tokio::select! {
        _ = comes_back(&home, &query) => panic!("it is not answered yet"),
        (call, way, _) = asked(&mut side) => {
            assert_eq!(way, "signed-in");
            call
        }
    };
    // The browser hung up; what it came with is traded in all the same.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(stands(&home, &begun).await["state"], "waits");
    side.tell(server(false)).await.unwrap();
    answer(&side, call, Ok(Outputs::from([devices()]))).await;
    until(async || stands(&home, &begun).await["state"] == "done").await;
    assert!(is_agreed(&home));
    // Another one, that its owner gives up.
    let begun = begin(&home, &mut side).await;
    let gone = home.own(Method::DELETE, &begun.path, Value::Null);
    let (gone, ()) = tokio::join!(gone, given_up(&mut side, &begun.state));
    assert_eq!((gone.status, &stands(&home, &begun).await["state"]), (StatusCode::NO_CONTENT, &"none".into()));
    let late = comes_back(&home, &format!("state={}&code={CODE}", begun.state)).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    assert_eq!(home.own(Method::DELETE, &begun.path, Value::Null).await.status, StatusCode::NO_CONTENT, "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_again_takes_back_what_was_agreed_only_once_it_worked() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    side.tell(server(false)).await.unwrap();
    until(async || home.running.hub.registry.device(&id("server")).is_some()).await;
    for entry in ["homeassistant/connection", "control/command"] {
        let key = accord_model::EntryKey::new(entry).unwrap();
        let to = accord_consent::To::One(accord_consent::RecipientId::device(&id("server")));
        home.running.hub.decide_as(key, to, accord_consent::Choice::Always, None, "cli").unwrap();
    }
    let before = ["homeassistant/connection", "control/command"].map(|entry| given(&home, entry));
    assert!(before.iter().all(Option::is_some));
    for works in [false, true] {
        let begun = begin(&home, &mut side).await;
        side.tell(server(false)).await.unwrap();
        let query = format!("state={}&code={CODE}", begun.state);
        let bridge = async {
            let (call, ..) = asked(&mut side).await;
            assert_eq!(["homeassistant/connection", "control/command"].map(|entry| given(&home, entry)), before);
            match works {
                true => answer(&side, call, Ok(Outputs::from([devices()]))).await,
                false => {
                    answer(&side, call, Err(CallError::Refused("no".to_owned()))).await;
                    given_up(&mut side, &begun.state).await;
                }
            }
        };
        let (page, ()) = tokio::join!(comes_back(&home, &query), bridge);
        assert_eq!(page.status.is_success(), works, "{}", page.text);
        assert_eq!(given(&home, "homeassistant/connection"), before[0], "what is connected goes on");
        assert_eq!(given(&home, "control/command"), if works { None } else { before[1] });
    }
}

async fn until(mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never is so");
}
