//! The API of real hubs on real listeners: who gets in, what strangers see, what needs consent.

mod adding;
mod faces;
mod house;
mod shown;
mod signing;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::daemon::{self, Running};
use crate::state::{StateDir, UpOptions};

const WITHIN: Duration = Duration::from_secs(20);

struct Home {
    running: Running,
    options: UpOptions,
    web: SocketAddr,
    _dir: tempfile::TempDir,
}

struct Answered {
    status: StatusCode,
    headers: hyper::HeaderMap,
    cookie: Option<String>,
    text: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

async fn home() -> Home {
    home_at("127.0.0.1:0", "").await
}

async fn home_at(http: &str, config: &str) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let options = UpOptions {
        state: StateDir::resolve(Some(&dir.path().join("hub"))).unwrap(),
        http: Some(http.parse().unwrap()),
        name: Some("Mira's study".into()),
        kind: None,
        open: false,
        loopback: true,
    };
    options.state.prepare().unwrap();
    std::fs::write(options.state.config_file(), config).unwrap();
    let running = daemon::start(&options).await.unwrap();
    let web = running.hub.web_url().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    Home { running, options, web, _dir: dir }
}

async fn exchange(
    io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> hyper::Response<hyper::body::Incoming> {
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    tokio::time::timeout(WITHIN, sender.send_request(request)).await.unwrap().unwrap()
}

async fn read(response: hyper::Response<hyper::body::Incoming>) -> Answered {
    let status = response.status();
    let headers = response.headers().clone();
    let cookie = headers.get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
    let body = tokio::time::timeout(WITHIN, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    Answered { status, headers, cookie, text: String::from_utf8_lossy(&body).into_owned() }
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    builder.body(Full::new(body)).unwrap()
}

impl Home {
    /// As the owner, through the Unix socket.
    async fn own(&self, method: Method, path: &str, body: Value) -> Answered {
        let address = self.options.state.socket_address().unwrap();
        let io = accord_consent::outlet::local::unix_connect(address.path()).await.unwrap();
        let path = format!("/api/v1{path}");
        read(exchange(TokioIo::new(io), request(method, &path, &[("host", "hub")], &body)).await).await
    }

    async fn web_raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> hyper::Response<hyper::body::Incoming> {
        #[allow(clippy::disallowed_types, reason = "plays the browser")]
        let io = tokio::net::TcpStream::connect(self.web).await.unwrap();
        exchange(TokioIo::new(io), request(method, path, headers, body)).await
    }

    /// As a browser on this machine.
    async fn web(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Value) -> Answered {
        let host = self.web.to_string();
        let mut all = vec![("host", host.as_str())];
        all.extend_from_slice(headers);
        read(self.web_raw(method, path, &all, &body).await).await
    }

    async fn sign_in(&self) -> String {
        let link = self.own(Method::POST, "/session/token", Value::Null).await.json();
        let (_, token) = link["url"].as_str().unwrap().split_once("#setup=").unwrap();
        let answer = self.web(Method::POST, "/api/v1/session", &[("x-accord", "1")], json!({ "token": token })).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
        let cookie = answer.cookie.unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"));
        let again = self.web(Method::POST, "/api/v1/session", &[("x-accord", "1")], json!({ "token": token })).await;
        assert_eq!(again.status, StatusCode::UNAUTHORIZED, "a setup link works once");
        cookie.split(';').next().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_link_signs_one_browser_in_until_it_signs_out() {
    let home = home().await;
    let cookie = home.sign_in().await;
    let signed = [("cookie", cookie.as_str())];
    let status = home.web(Method::GET, "/api/v1/status", &signed, Value::Null).await;
    assert_eq!(status.json()["name"], "Mira's study");
    let changing = [("cookie", cookie.as_str()), ("x-accord", "1")];
    let forged = home.web(Method::POST, "/api/v1/session/token", &changing, Value::Null).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "a browser makes no setup links");
    let sessions = home.own(Method::GET, "/sessions", Value::Null).await.json();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
    let out = home.web(Method::DELETE, "/api/v1/session", &changing, Value::Null).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let status = home.web(Method::GET, "/api/v1/status", &signed, Value::Null).await;
    assert_eq!(status.status, StatusCode::UNAUTHORIZED);
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_other_devices_get_a_link_and_the_certificate_to_install() {
    let home = home_at("0.0.0.0:0", "http-names = [\"hub.example\"]\n").await;
    let link = home.own(Method::POST, "/session/token", Value::Null).await.json();
    let (_, token) = link["url"].as_str().unwrap().split_once("http://127.0.0.1:").unwrap().1.split_once('#').unwrap();
    let others: Vec<&str> = link["others"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert!(others[0].starts_with("https://hub.example:"), "{others:?}");
    assert!(others.iter().all(|url| url.starts_with("https://") && url.ends_with(token)), "{others:?}");
    assert!(!others.iter().any(|url| url.contains("0.0.0.0")), "{others:?}");
    let install = &link["install"];
    assert!(install["url"].as_str().unwrap().ends_with("/install") && install["fingerprint"].is_string(), "{install}");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing_personal() {
    let home = home().await;
    for path in [
        "/",
        "/api/v1/status",
        "/api/v1/devices",
        "/api/v1/events",
        "/api/v1/ledger",
        "/api/v1/nothing",
        "/api/v1/openapi.json",
        "/install",
    ] {
        let answer = home.web(Method::GET, path, &[], Value::Null).await;
        assert!(!answer.text.contains("Mira"), "{path} tells the hub's name");
        assert!(!answer.text.contains(&*home.options.state.data().to_string_lossy()), "{path} tells a folder");
        let closed = path.starts_with("/api/") && path != "/api/v1/openapi.json";
        assert_eq!(answer.status == StatusCode::UNAUTHORIZED, closed, "{path}: {}", answer.status);
    }
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebinding_and_cross_site_calls_are_refused() {
    let home = home().await;
    let cookie = home.sign_in().await;
    let host = format!("evil.example:{}", home.web.port());
    let rebound = [("host", host.as_str()), ("cookie", cookie.as_str())];
    let answer = home.web_raw(Method::GET, "/api/v1/status", &rebound, &Value::Null).await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
    let decision = json!({ "entry": "link/discovery", "choice": "always" });
    for foreign in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site"), ("accept", "*/*")] {
        // The last has nothing foreign but lacks our header, as a form's post would.
        let mut headers = vec![("cookie", cookie.as_str()), foreign];
        if foreign.0 != "accept" {
            headers.push(("x-accord", "1"));
        }
        let answer = home.web(Method::POST, "/api/v1/consents", &headers, decision.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?}");
    }
    assert!(home.running.hub.consents().is_empty());
    let page = home.web_raw(Method::GET, "/", &[("host", &home.web.to_string())], &Value::Null).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_begin_with_hello_and_end_with_the_session() {
    let home = home().await;
    let cookie = home.sign_in().await;
    let host = home.web.to_string();
    let headers = [("host", host.as_str()), ("cookie", cookie.as_str())];
    let mut stream = home.web_raw(Method::GET, "/api/v1/events", &headers, &Value::Null).await.into_body();
    let mut text = String::new();
    let mut until = async |wanted: &str| {
        while !text.contains(wanted) {
            let frame = tokio::time::timeout(WITHIN, stream.frame()).await.unwrap();
            let Some(frame) = frame else { return false };
            text.push_str(&String::from_utf8_lossy(frame.unwrap().data_ref().unwrap()));
        }
        assert!(text.starts_with("event: hello"), "{text}");
        true
    };
    assert!(until("Mira's study").await);
    home.own(Method::POST, "/consents", json!({ "entry": "files/send", "choice": "never" })).await;
    assert!(until("event: consent").await);
    let id = home.running.hub.auth.sessions()[0].id.clone();
    home.own(Method::DELETE, &format!("/sessions/{id}"), Value::Null).await;
    assert!(!until("there is no such text").await, "the stream ends");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_agreed_at_the_first_start_and_status_says_how_to_turn_things_on() {
    let home = home().await;
    let status = home.own(Method::GET, "/status", Value::Null).await.json();
    assert_eq!((&status["first_run"], &status["discovery"]), (&json!(true), &json!("undecided")));
    let off = status["off"].as_array().unwrap();
    assert!(off.iter().any(|off| off["turn_on"] == "accord consent grant link/discovery"));
    let devices = home.own(Method::GET, "/devices", Value::Null).await.json();
    let own = &devices["devices"][0];
    assert_eq!((&own["trust"], &own["id"]), (&json!("own"), &status["device"]));
    assert!(own["services"].as_array().unwrap().iter().any(|service| service["id"] == "files"));
    let given = home.own(Method::POST, "/consents", json!({ "entry": "files/receive", "choice": "always" })).await;
    assert_eq!(given.status, StatusCode::OK, "{}", given.text);
    let id = given.json()["id"].as_str().unwrap().to_owned();
    let gone = home.own(Method::DELETE, &format!("/consents/{id}"), Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    for format in ["json", "md", "html", "jsonld"] {
        let statement = home.own(Method::GET, &format!("/statement?format={format}"), Value::Null).await;
        assert!(statement.text.contains("link/discovery") || statement.text.contains("Being found"), "{format}");
    }
    let verified = home.own(Method::POST, "/ledger/verify", Value::Null).await.json();
    assert_eq!(verified["ok"], true, "{verified}");
    let page = home.own(Method::GET, "/ledger?kind=decision&limit=1", Value::Null).await.json();
    assert_eq!(page["records"].as_array().unwrap().len(), 1);
    let export = home.own(Method::GET, "/ledger/export", Value::Null).await;
    assert!(export.text.lines().count() >= 3);
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_without_consent_asks_and_pairing_too() {
    use accord_identity::{PairKey, PeerRecord, StatementKey};
    let home = home().await;
    let phone = PeerRecord {
        device_id: PeerRecord::new_device_id(),
        statement_key: StatementKey::Ed25519([7; 32]),
        transport_key: [8; 32],
        name: "Phone".into(),
        kind: accord_model::DeviceKind::Phone,
        paired_at: accord_model::Timestamp::now(),
        until: None,
        addresses: Vec::new(),
        alias: None,
        room: None,
        favourite: false,
        blocked: false,
        auto_accept: Default::default(),
        pair_key: PairKey::random(),
    };
    let phone = home.running.hub.peers.insert(phone).unwrap().device_id;
    let send = json!({ "device": phone.as_str(), "text": "hello" });
    let answer = home.own(Method::POST, "/transfers", send).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
    let said = answer.json();
    assert_eq!(said["error"], "consent-needed");
    assert_eq!(said["prompt"]["entry"]["key"], "files/send");
    assert_eq!(said["prompt"]["to"], format!("device:{phone}"));
    assert_eq!(said["prompt"]["because"], "Send a text to Phone");
    let prompts = home.own(Method::GET, "/prompts", Value::Null).await.json();
    assert_eq!(prompts["prompts"][0]["id"], said["prompt"]["id"]);
    let id = said["prompt"]["id"].as_str().unwrap();
    let refused = home.own(Method::POST, &format!("/prompts/{id}"), json!({ "choice": "never" })).await;
    assert_eq!(refused.json()["state"], "refused", "{}", refused.text);
    let again = home.own(Method::POST, "/transfers", json!({ "device": phone.as_str(), "text": "hello" })).await;
    assert_eq!(again.json()["error"], "refused", "a refusal is not asked again");
    let ticket = home.own(Method::POST, "/pairings/ticket", Value::Null).await;
    assert_eq!(ticket.json()["prompt"]["entry"]["key"], "link/pairing");
    home.running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_file_refuses_cannot_be_agreed_to() {
    let home = home().await;
    let Home { running, options, _dir, .. } = home;
    running
        .hub
        .decide_as("files/send".parse().unwrap(), accord_consent::To::Any, accord_consent::Choice::Always, None, "cli")
        .unwrap();
    running.end().await;
    drop(
        tokio::time::timeout(WITHIN, async {
            while options.state.lock().is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await,
    );
    std::fs::write(options.state.config_file(), "refuse = [\"files/send\"]\n").unwrap();
    let running = daemon::start(&options).await.unwrap();
    let decided = running.hub.decide_as(
        "files/send".parse().unwrap(),
        accord_consent::To::Any,
        accord_consent::Choice::Always,
        None,
        "cli",
    );
    assert_eq!(decided.unwrap_err().code(), "refused");
    let to = accord_consent::RecipientId::lan();
    assert!(running.hub.gate.check(&"files/send".parse().unwrap(), &to, Default::default()).is_err());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_checked_before_anything_else_and_a_browser_writes_no_commands() {
    let home = home().await;
    let call = |service: &str, verb: Value| json!({ "service": service, "verb": verb });
    let act = |action: &str, inputs: Value| json!({ "verb": "act", "action": action, "inputs": inputs });
    let own = async |body: Value| home.own(Method::POST, "/devices/this/call", body).await;
    let pinged = own(call("ping", act("ping", json!({ "text": "hello" })))).await;
    assert_eq!((pinged.status, pinged.text.as_str()), (StatusCode::OK, "{}"));
    assert_eq!(own(call("ringer", act("explode", json!({})))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(own(call("ping", act("ping", json!({ "text": 7 })))).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(own(json!({ "service": "ping", "verb": { "verb": "shout" } })).await.status, StatusCode::BAD_REQUEST);

    let list = json!({ "commands": [{ "name": "Mark", "argv": ["true"] }] });
    let cookie = home.sign_in().await;
    let changing = [("cookie", cookie.as_str()), ("x-accord", "1")];
    let web = home.web(Method::PUT, "/api/v1/commands", &changing, list.clone()).await;
    assert_eq!(web.status, StatusCode::FORBIDDEN, "{}", web.text);
    let typing = json!({ "remote_input": true });
    let web = home.web(Method::PATCH, "/api/v1/devices/any", &changing, typing.clone()).await;
    assert_eq!(web.status, StatusCode::FORBIDDEN, "a browser lets nobody type here: {}", web.text);
    assert_eq!(home.own(Method::PATCH, "/devices/any", typing).await.status, StatusCode::NOT_FOUND);
    let key = call("input", act("key", json!({ "key": "enter" })));
    assert_eq!(own(key).await.status, StatusCode::NOT_FOUND, "nor does it type itself");
    assert_eq!(home.own(Method::PUT, "/commands", list.clone()).await.json(), list);
    let twice = json!({ "commands": [{ "name": "a", "argv": ["true"] }, { "name": "a", "argv": ["false"] }] });
    assert_eq!(home.own(Method::PUT, "/commands", twice).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(home.own(Method::GET, "/commands", Value::Null).await.json(), list);

    let device = home.own(Method::GET, "/devices/this", Value::Null).await.json();
    let command = device["services"].as_array().unwrap().iter().find(|one| one["id"] == "command").unwrap().clone();
    let mut run = call("command", act("run", json!({})));
    run["instance"] = command["instance"].clone();
    assert_eq!(own(run.clone()).await.json()["error"], "confirm-needed");
    run["confirmed"] = true.into();
    assert_eq!(own(run).await.status, StatusCode::OK);
    home.running.end().await;
}

/// The document has one schema for each name: of two types of one name it would tell of one.
#[test]
fn no_two_types_of_the_document_have_one_name() {
    let mut folders = vec![std::path::PathBuf::from("src")];
    let (mut names, mut twice) = (std::collections::BTreeSet::new(), Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let types = text.split("ToSchema)]").skip(1).filter_map(|after| {
                    let line =
                        after.lines().find(|line| line.starts_with("pub struct ") || line.starts_with("pub enum "))?;
                    line.split([' ', '<', '(', '{', ';']).nth(2).map(str::to_owned)
                });
                twice.extend(types.filter(|name| !names.insert(name.clone())).map(|name| (name, path.clone())));
            }
        }
    }
    assert!(names.len() > 100 && twice.is_empty(), "{} types, twice: {twice:?}", names.len());
    let document = serde_json::to_value(super::api().into_openapi()).unwrap();
    let body = &document["paths"]["/api/v1/session"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let name = body["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(document["components"]["schemas"][name]["properties"]["token"].is_object());
}

#[test]
fn the_document_lists_every_call_once() {
    let document = serde_json::to_value(super::api().into_openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/status",
        "/settings",
        "/settings/reset-id",
        "/events",
        "/session",
        "/session/token",
        "/sessions",
        "/sessions/{id}",
        "/devices",
        "/devices/{id}",
        "/devices/{id}/call",
        "/devices/{id}/messages",
        "/devices/{id}/messages/{thread}",
        "/devices/{id}/contacts",
        "/commands",
        "/presence",
        "/pairings",
        "/pairings/{id}",
        "/pairings/{id}/confirm",
        "/pairings/{id}/reject",
        "/pairings/ticket",
        "/pairings/paired/{device}",
        "/transfers",
        "/transfers/{id}",
        "/transfers/{id}/content",
        "/transfers/{id}/cancel",
        "/transfers/{id}/retry",
        "/inbox",
        "/inbox/{id}/accept",
        "/inbox/{id}/refuse",
        "/casts",
        "/casts/{id}",
        "/uploads",
        "/uploads/{id}",
        "/uploads/{id}/files",
        "/statement",
        "/entries",
        "/consents",
        "/consents/{id}",
        "/consents/receipts",
        "/prompts",
        "/prompts/{id}",
        "/ledger",
        "/ledger/{seq}",
        "/ledger/verify",
        "/ledger/export",
    ] {
        assert!(paths.contains_key(&format!("/api/v1{path}")), "{path}");
    }
    let calls = document["components"]["schemas"].as_object().unwrap();
    for schema in
        ["Status", "Device", "Pairing", "Transfer", "Entry", "Consent", "Prompt", "Record", "Event", "ApiError"]
    {
        assert!(calls.contains_key(schema), "{schema}");
    }
}
