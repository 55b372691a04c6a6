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

/// Begins; what the browser is to come back with.
async fn begin(home: &Home, side: &mut BridgeSide) -> String {
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
    assert_eq!(home.own(Method::GET, "/add/sign-in", Value::Null).await.json()["state"], "waits");
    state
}

async fn comes_back(home: &Home, query: &str) -> Answered {
    let host = home.web.to_string();
    read(home.web_raw(Method::GET, &format!("/signed-in?{query}"), &[("host", &host)], &Value::Null).await).await
}

fn is_agreed(home: &Home) -> bool {
    let all = home.running.hub.gate.consents();
    let mut of_server = all.iter().filter(|one| one.entry.as_str() == "homeassistant/connection");
    of_server.any(|one| one.state == accord_consent::ConsentState::Given)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_that_was_sent_away_comes_back_once_and_that_is_consent() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    let state = begin(&home, &mut side).await;
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
    let stands = home.own(Method::GET, "/add/sign-in", Value::Null).await.json();
    assert_eq!((stands["state"].as_str(), stands["devices"][0]["id"].as_str()), (Some("done"), Some("server")));
    assert!(is_agreed(&home));
    assert_eq!(comes_back(&home, &query).await.status, StatusCode::BAD_REQUEST, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_agree_there_or_is_not_let_in_leaves_no_consent() {
    let home = home().await;
    let mut side = mouth(&home, "homeassistant").await;
    let state = begin(&home, &mut side).await;
    let page = comes_back(&home, &format!("state={state}&error=access_denied")).await;
    assert!(page.status == StatusCode::BAD_REQUEST && page.text.contains("you did not agree"), "{}", page.text);
    assert_eq!(home.own(Method::GET, "/add/sign-in", Value::Null).await.json()["state"], "failed");
    // One begins, and another one: the first does not count any more.
    let first = begin(&home, &mut side).await;
    let second = begin(&home, &mut side).await;
    assert_eq!(comes_back(&home, &format!("state={first}&code={CODE}")).await.status, StatusCode::BAD_REQUEST);
    let query = format!("state={second}&code={CODE}");
    let bridge = async {
        let (call, ..) = asked(&mut side).await;
        answer(&side, call, Err(CallError::Refused("<b>no</b>".to_owned()))).await;
    };
    let (page, ()) = tokio::join!(comes_back(&home, &query), bridge);
    assert!(page.text.contains("&lt;b&gt;no") && !page.text.contains("<b>"), "{}", page.text);
    let stands = home.own(Method::GET, "/add/sign-in", Value::Null).await.json();
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
