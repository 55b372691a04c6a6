//! The driver against renderers that mean harm, over loopback.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "renderers for tests, on loopback")]

mod lab;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use accord_consent::{RecipientId, To};
use accord_model::{CallError, Data, FromBridge, Outputs, Reach, Verb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use lab::{Device80, Lab, act, description, entry, ok, player, with};

#[tokio::test]
async fn without_consent_nothing_is_asked_and_what_was_begun_ends_with_it() {
    let mut lab = Lab::new().await;
    let tv = Device80::new(player("TV", "tv1")).await;
    tv.announce("tv1").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tv.asked(), 0);
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    tv.announce("tv1").await;
    let seen = lab.seen("TV").await;
    assert!(seen.passing && seen.reach == Reach::Local);
    let refused = lab.call(&seen.id, "media", act("play")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "not added: {refused:?}");
    assert_eq!(tv.asked(), 1, "its description alone");
    // Added, and no consent to control it yet.
    lab.call(&seen.id, "pairing", act("request")).await.unwrap();
    let refused = lab.call(&seen.id, "media", act("play")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    assert_eq!(tv.asked(), 1);
    lab.grant("upnp/control", To::One(RecipientId::device(&seen.id)));
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    lab.gate.withdraw((entry("upnp/control"), To::One(RecipientId::device(&seen.id)))).unwrap();
    let refused = lab.call(&seen.id, "media", act("stop")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
    let asked = tv.asked();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(tv.asked(), asked, "it played, and is not looked at any more");
    lab.gate.withdraw((entry("upnp/search"), To::Any)).unwrap();
    let away = lab.seen("TV").await;
    assert!(away.reach == Reach::Offline && !away.passing, "added, and away");
    assert!(lab.dir.path().join("upnp/added.json").exists());
}

#[tokio::test]
async fn descriptions_that_mean_harm_are_not_devices_and_others_are_found_meanwhile() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let victim = Device80::new(|_, _| ok("")).await;
    let elsewhere = victim.at;
    let harm: Vec<(&str, Device80)> = vec![
        ("bomb", Device80::new(|_, _| ok("<!DOCTYPE r [<!ENTITY a \"aaaa\">]><root>&a;</root>")).await),
        (
            "redirect",
            Device80::new(move |_, _| {
                format!("HTTP/1.1 302 Found\r\nLocation: http://{elsewhere}/d.xml\r\nContent-Length: 0\r\n\r\n")
                    .into_bytes()
            })
            .await,
        ),
        ("other-host", Device80::new(|_, _| ok(&description("Bad", "other-host", "http://127.0.0.9:80/x"))).await),
        ("endless", Device80::new(|_, _| [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'<'; 4 << 20]].concat()).await),
        ("long", Device80::new(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n<root>".to_vec()).await),
        ("silent", Device80::new(|_, _| Vec::new()).await),
        ("megabyte", Device80::new(|_, _| ok(&description(&"n".repeat(1 << 20), "megabyte", "/c"))).await),
    ];
    for (uuid, device) in &harm {
        device.announce(uuid).await;
    }
    let good = Device80::new(player("Good", "good")).await;
    for _ in 0..30 {
        good.announce("good").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if good.asked() > 0 {
            break;
        }
    }
    lab.hear(|message| match message {
        FromBridge::Seen { device } => {
            assert_eq!(device.name, "Good", "nobody else is a device");
            Some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(victim.asked(), 0, "nobody is sent to another host");
    assert!(harm.iter().filter(|(_, device)| device.asked() == 1).count() >= 4);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_before_anybody_is_asked() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let tv = Device80::new(player("TV", "tv3")).await;
    tv.announce("tv3").await;
    let seen = lab.seen("TV").await;
    lab.add(&seen.id).await;
    let open = |address: &str| with("open", &[("address", Data::Text(address.to_owned()))]);
    for bad in [
        "",
        "file:///etc/passwd",
        "http://a b",
        "http://a\r\nX: y",
        "javascript:x",
        &format!("http://{}", "a".repeat(4000)),
    ] {
        let refused = lab.call(&seen.id, "media", open(bad)).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{bad}: {refused:?}");
    }
    let good = || Data::from("http://10.0.0.1/x");
    for (id, data) in [
        ("captions", Data::from("file:///x.srt")),
        ("format", Data::from("video/mp4:*\"")),
        ("seek", Data::from("maybe")),
        ("length", Data::Float(-1.0)),
        ("start", Data::Float(f64::NAN)),
        ("start", Data::Float(1e300)),
    ] {
        let refused = lab.call(&seen.id, "media", with("open", &[("address", good()), (id, data)])).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{id}: {refused:?}");
    }
    let seek = Verb::Write { property: "position".into(), data: Data::Text("soon".into()) };
    assert!(matches!(lab.call(&seen.id, "media", seek).await, Err(CallError::BadInput(_))));
    assert!(matches!(lab.call(&seen.id, "media", act("explode")).await, Err(CallError::Unsupported(_))));
}

#[tokio::test]
async fn who_waits_for_a_device_that_goes_away_is_answered() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let well = player("TV", "tv4");
    let tv =
        Device80::new(move |request, at| if request.contains("#Stop") { Vec::new() } else { well(request, at) }).await;
    tv.announce("tv4").await;
    let seen = lab.seen("TV").await;
    lab.add(&seen.id).await;
    let call = lab.ask(&seen.id, "media", act("stop")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    lab.gate.withdraw((entry("upnp/search"), To::Any)).unwrap();
    let begun = std::time::Instant::now();
    let answer = lab.answer(call).await;
    assert!(matches!(answer, Err(CallError::Unreachable(_))), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(4), "at once, not when its time is over");
}

type Callback = Arc<std::sync::Mutex<Option<String>>>;

/// One that tells: it plays, and takes subscriptions.
fn teller(uuid: &'static str, callback: Callback) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
    move |request, at| {
        if request.starts_with("SUBSCRIBE") {
            let given = request.split("CALLBACK: <").nth(1).and_then(|rest| rest.split('>').next());
            *callback.lock().unwrap() = given.map(str::to_owned);
            return b"HTTP/1.1 200 OK\r\nSID: uuid:sid\r\nTIMEOUT: Second-1800\r\nContent-Length: 0\r\n\r\n".to_vec();
        }
        if request.starts_with("UNSUBSCRIBE") {
            *callback.lock().unwrap() = Some("over".to_owned());
            return ok("");
        }
        if request.starts_with("GET") {
            let text = description("Teller", uuid, "/control");
            return ok(&text.replace("</controlURL>", "</controlURL><eventSubURL>/event</eventSubURL>"));
        }
        player("", uuid)(request, at)
    }
}

async fn notify(callback: &str, headers: &str, body: &str) -> u16 {
    let (at, path) = callback.trim_start_matches("http://").split_once('/').unwrap();
    let Ok(mut stream) = tokio::net::TcpStream::connect(at).await else { return 0 };
    let request =
        format!("NOTIFY /{path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn event(number: u32, sid: &str) -> String {
    format!("NT: upnp:event\r\nNTS: upnp:propchange\r\nSID: {sid}\r\nSEQ: {number}\r\n")
}

const LENGTH: &str = "<p:propertyset xmlns:p='p'><p:property><LastChange>&lt;Event&gt;&lt;InstanceID val=\"0\"&gt;\
    &lt;CurrentTrackDuration val=\"0:01:23\"/&gt;&lt;/InstanceID&gt;&lt;/Event&gt;</LastChange></p:property></p:propertyset>";

#[tokio::test]
async fn what_a_renderer_tells_is_heard_and_what_others_say_in_its_place_is_not() {
    let mut lab = Lab::new().await;
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let callback = Callback::default();
    let tv = Device80::new(teller("tv5", callback.clone())).await;
    tv.announce("tv5").await;
    let seen = lab.seen("Teller").await;
    lab.add(&seen.id).await;
    let given = || callback.lock().unwrap().clone();
    let mut waited = 0;
    while given().is_none() {
        waited += 1;
        assert!(waited < 200, "it is asked to tell");
        // What the bridge says meanwhile is of no interest, and must not be left to fill its queue.
        let _ = tokio::time::timeout(Duration::from_millis(50), lab.from.recv()).await;
    }
    let at = given().unwrap();
    let secret = at.rsplit('/').nth(1).unwrap();
    assert!(secret.len() >= 40 && at.ends_with("/1"));

    let elsewhere = at.replace(secret, "guess");
    assert_eq!(notify(&elsewhere, &event(0, "uuid:sid"), LENGTH).await, 404);
    for (headers, body, status) in [
        (event(0, "uuid:other"), LENGTH.to_owned(), 412),
        (event(0, "uuid:sid").replace("propchange", "x"), LENGTH.to_owned(), 412),
        (event(0, "uuid:sid").replace("SEQ: 0", "SEQ: x"), LENGTH.to_owned(), 400),
        (event(0, "uuid:sid"), "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(), 400),
        (event(0, "uuid:sid"), "x".repeat(1 << 20), 413),
    ] {
        assert_eq!(notify(&at, &headers, &body).await, status, "{headers}");
    }
    assert_eq!(notify(&at, &event(0, "uuid:sid"), LENGTH).await, 200);
    let length = lab
        .hear(|message| match message {
            FromBridge::Values { values, .. } => values.get("length").map(|value| value.data.clone()),
            _ => None,
        })
        .await;
    assert_eq!(length, Data::Float(83.0));

    // A flood: connections that say nothing, and events without end. It still does what it is told.
    let host = at.trim_start_matches("http://").split('/').next().unwrap();
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(tokio::net::TcpStream::connect(host).await.unwrap());
    }
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    drop(idle);
    let flood = tokio::spawn({
        let at = at.clone();
        async move {
            let mut refused = 0;
            for number in 1..200 {
                refused += usize::from(notify(&at, &event(number, "uuid:sid"), LENGTH).await != 200);
            }
            refused
        }
    });
    assert_eq!(lab.call(&seen.id, "media", act("play")).await, Ok(Outputs::new()));
    while !flood.is_finished() {
        let _ = tokio::time::timeout(Duration::from_millis(50), lab.from.recv()).await;
    }
    assert!(flood.await.unwrap() > 50);

    lab.call(&seen.id, "pairing", act("unpair")).await.unwrap();
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(given().as_deref(), Some("over"), "it is told to tell no more");
    assert_eq!(notify(&at, &event(500, "uuid:sid"), LENGTH).await, 0, "and nobody listens there");
}
