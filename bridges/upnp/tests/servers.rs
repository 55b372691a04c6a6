//! The driver against media servers that mean harm, over loopback.

mod lab;

use std::net::SocketAddr;
use std::time::Duration;

use accord_consent::{RecipientId, To};
use accord_model::{CallError, Data, DeviceId, FromBridge, Outputs};
use accord_upnp::core::ssdp::SERVER;

use lab::{Device80, Lab, act, entry, ok, with};

/// A media server whose folder holds itself, and whose files are what `content` says.
fn server(
    uuid: &'static str,
    content: fn(&str, SocketAddr) -> Vec<u8>,
) -> impl Fn(&str, SocketAddr) -> Vec<u8> + Send + Sync {
    move |request, at| {
        if request.starts_with("GET /d.xml") {
            return ok(&format!(
                "<root><device><deviceType>{SERVER}</deviceType><friendlyName>NAS</friendlyName><UDN>uuid:{uuid}</UDN><serviceList>\
                 <service><serviceType>urn:schemas-upnp-org:service:ContentDirectory:1</serviceType><controlURL>/cd</controlURL></service>\
                 </serviceList></device></root>"
            ));
        }
        if request.starts_with("GET") {
            return content(request, at);
        }
        let res = |address: &str| {
            format!(
                "<res protocolInfo='http-get:*:audio/mpeg:DLNA.ORG_OP=01' size='100000' duration='0:01:00'>{address}</res>"
            )
        };
        let item = |title: &str, address: &str| {
            format!("<item id='{title}'><dc:title>{title}</dc:title>{}</item>", res(address))
        };
        let didl = format!(
            "<DIDL-Lite xmlns:dc='d'><container id='0'><dc:title>Loop</dc:title></container>{}{}</DIDL-Lite>",
            item("Song", &format!("http://{at}/song.mp3")),
            item("Router", "http://127.0.0.9/admin.mp3"),
        );
        let didl = didl.replace('&', "&amp;").replace('<', "&lt;");
        ok(&format!(
            "<E><B><BrowseResponse><Result>{didl}</Result><NumberReturned>3</NumberReturned><TotalMatches>3</TotalMatches></BrowseResponse></B></E>"
        ))
    }
}

fn song() -> Vec<u8> {
    (0..100_000u32).map(|number| (number % 251) as u8).collect()
}

async fn nas(lab: &mut Lab, uuid: &'static str, content: fn(&str, SocketAddr) -> Vec<u8>) -> (Device80, DeviceId) {
    lab.grant("upnp/search", To::Any);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let nas = Device80::new(server(uuid, content)).await;
    nas.announce_as(uuid, SERVER).await;
    let seen = lab.seen("NAS").await;
    assert!(seen.service("storage").is_some() && seen.service("media").is_none());
    lab.add(&seen.id).await;
    (nas, seen.id)
}

fn path(path: &str) -> [(&'static str, Data); 1] {
    [("path", Data::Text(path.to_owned()))]
}

#[tokio::test]
async fn a_media_server_is_looked_into_and_leads_nowhere_else() {
    let mut lab = Lab::new().await;
    let (nas, id) = nas(&mut lab, "nas1", |_, _| ok("")).await;
    let before = nas.asked();
    let said = lab.call(&id, "storage", act("list")).await.unwrap();
    let page = accord_ports::storage::Page::from_outputs(&said).unwrap();
    let names: Vec<&str> = page.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((page.path.as_str(), names), ("/", vec!["Loop", "Router", "Song.mp3"]));
    assert_eq!(page.entries[2].size, Some(100_000));
    let deep = "/Loop".repeat(30) + "/Song.mp3";
    let said = lab.call(&id, "storage", with("address", &path(&deep))).await.unwrap();
    assert_eq!(said["address"], Data::Text(format!("http://{}/song.mp3", nas.at)));
    assert_eq!(
        (&said["title"], &said["format"], &said["length"]),
        (&"Song".into(), &"audio/mpeg".into(), &Data::Float(60.0))
    );
    assert!(nas.asked() - before <= 2, "what was read a moment ago is not asked for again");
    for (path_there, fits) in
        [("/Router", "no address"), ("/Song.mp3/x", "no folder"), ("/None", "no `None`"), ("/Loop", "is a folder")]
    {
        let refused = lab.call(&id, "storage", with("address", &path(path_there))).await;
        assert!(matches!(&refused, Err(CallError::Device(why)) if why.contains(fits)), "{path_there}: {refused:?}");
    }
    for bad in ["/../x", "x", &"/Loop".repeat(40)] {
        let refused = lab.call(&id, "storage", with("address", &path(bad))).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{bad}: {refused:?}");
    }
    lab.gate.withdraw((entry("upnp/control"), To::One(RecipientId::device(&id)))).unwrap();
    let refused = lab.call(&id, "storage", act("list")).await;
    assert!(matches!(refused, Err(CallError::NotConsented(_))), "{refused:?}");
}

/// Fetches `/Song.mp3`; what came, and the answer.
async fn fetched(lab: &mut Lab, id: &DeviceId) -> (Vec<u8>, Result<Outputs, CallError>) {
    use accord_ports::files::{Given, Taker};
    let inputs = [("path", Data::from("/Song.mp3")), ("transfer", Data::from("ab".repeat(16)))];
    let call = lab.ask(id, "storage", with("fetch", &inputs)).await;
    let stream = loop {
        match tokio::time::timeout(Duration::from_secs(10), lab.from.recv()).await.unwrap().unwrap() {
            (FromBridge::StreamOpened { .. }, stream) => break stream.unwrap(),
            (FromBridge::Reply { call: of, outcome }, _) if of == call => return (Vec::new(), outcome),
            _ => {}
        }
    };
    assert!(!stream.path.encrypted);
    let taking = tokio::spawn(async move {
        let (offer, mut taker) = Taker::open(stream).await.unwrap();
        assert_eq!((offer.transfer, offer.preview[0].name.as_str()), ([0xab; 16], "Song.mp3"));
        taker.accept().await.unwrap();
        let mut all = Vec::new();
        loop {
            match taker.next().await {
                Ok(Given::Content(bytes)) => all.extend_from_slice(bytes),
                Ok(Given::Finish) => {
                    taker.done(1, all.len() as u64).await.unwrap();
                    return all;
                }
                Ok(_) => {}
                Err(_) => return all,
            }
        }
    });
    let outcome = lab.answer(call).await;
    (taking.await.unwrap(), outcome)
}

#[tokio::test]
async fn a_file_that_breaks_off_is_gone_on_with() {
    let mut lab = Lab::new().await;
    let breaks = |request: &str, _: SocketAddr| {
        let (song, from) = (song(), request.split("bytes=").nth(1).and_then(|rest| rest.split('-').next()));
        match from.and_then(|from| from.parse::<usize>().ok()) {
            None => [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec(), song[..30_000].to_vec()].concat(),
            Some(from) => {
                let head = format!(
                    "HTTP/1.1 206 P\r\nContent-Range: bytes {from}-99999/100000\r\nContent-Length: {}\r\n\r\n",
                    song.len() - from
                );
                [head.into_bytes(), song[from..].to_vec()].concat()
            }
        }
    };
    let (_nas, id) = nas(&mut lab, "nas2", breaks).await;
    let (came, outcome) = fetched(&mut lab, &id).await;
    assert!(came == song() && outcome.is_ok(), "{} {outcome:?}", came.len());
}

#[tokio::test]
async fn files_that_never_end_or_change_or_lie_are_not_kept() {
    let mut lab = Lab::new().await;
    fn chunk(count: usize) -> Vec<u8> {
        let chunks = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(count);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
    }
    let endless = |_: &str, _: SocketAddr| chunk(64);
    let changed = |request: &str, _: SocketAddr| {
        if request.contains("bytes=") {
            return b"HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789".to_vec();
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegin".to_vec()
    };
    let redirect =
        |_: &str, _: SocketAddr| b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.9/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let (first, id) = nas(&mut lab, "nas3", endless).await;
    let (_, outcome) = fetched(&mut lab, &id).await;
    assert!(matches!(&outcome, Err(CallError::Device(why)) if why.contains("more than")), "{outcome:?}");
    drop(first);
    for (uuid, content, fits) in
        [("nas4", changed as fn(&str, SocketAddr) -> Vec<u8>, "another"), ("nas5", redirect, "302")]
    {
        let nas = Device80::new(server(uuid, content)).await;
        nas.announce_as(uuid, SERVER).await;
        let id = lab
            .hear(|message| match message {
                FromBridge::Seen { device } if device.passing => Some(device.id),
                _ => None,
            })
            .await;
        lab.add(&id).await;
        let (_, outcome) = fetched(&mut lab, &id).await;
        assert!(matches!(&outcome, Err(CallError::Device(why)) if why.contains(fits)), "{uuid}: {outcome:?}");
    }
}
