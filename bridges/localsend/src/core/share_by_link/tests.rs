use super::*;
use crate::core::message::{DeviceType, RelativePath};
use crate::core::{Fingerprint, PORT};

struct Bench {
    share: Share,
    now: Instant,
}

fn peer(last: u8) -> Peer {
    Peer::at(std::net::SocketAddr::from(([10, 0, 0, last], PORT)))
}

impl Bench {
    fn new(pin: Option<&str>) -> Self {
        let now = Instant::now();
        let me = DeviceInfo::new("<b>Desk</b>", DeviceType::Desktop, Fingerprint::random());
        let file = |id: &str, path: &str| FileOffer::new(id, RelativePath::parse(path).unwrap(), 2048);
        let files = vec![file("1&2", "dir/<script>alert('x')</script>.txt"), file("b", "ü \"q\".txt")];
        Self { share: Share::new(me, files, pin.map(Secret::from), now), now }
    }
    fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.share.handle(input, self.now);
        std::iter::from_fn(|| match self.share.poll_output() {
            Output::Wait(_) => None,
            output => Some(output),
        })
        .collect()
    }
}

fn body(outputs: &[Output]) -> (u16, String) {
    match outputs {
        [Output::Respond(_, Response { status, body: Body::Bytes(body), headers, .. })] => {
            assert!(*status == 200 || !headers.contains("Location"));
            (*status, String::from_utf8(body.clone()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browser_asks_sees_plain_links_and_fetches() {
    let mut bench = Bench::new(None);
    let (status, page) = body(&bench.give(Input::Page(ConnectionId(1), &peer(2))));
    assert!(status == 200 && page.contains("&lt;b&gt;Desk&lt;/b&gt; shares 2 files") && !page.contains("<script"));
    assert!(!page.contains("alert"), "no name before the owner let the browser in");
    let asked = bench.give(Input::Form(ConnectionId(1), &peer(2), None));
    let [Output::Asked(visit, _)] = asked[..] else { panic!("{asked:?}") };
    let (_, list) = body(&bench.give(Input::Decide(visit, true)));
    assert!(list.contains("dir/&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;.txt <small>2.0 KiB</small>"), "{list}");
    let link = list.split("href=\"").find(|part| part.contains("download?")).unwrap().split('"').next().unwrap();
    let (session, file) = link.split_once("sessionId=").unwrap().1.split_once("&amp;fileId=").unwrap();
    assert_eq!(file, "1%262");
    let served = bench.give(Input::Download { connection: ConnectionId(2), peer: &peer(2), session, file: "b" });
    let [Output::Serve(_, response, 1)] = &served[..] else { panic!("{served:?}") };
    assert!(response.headers.contains("attachment; filename*=UTF-8''%C3%BC%20%22q%22.txt\r\n"));
    assert!(response.headers.contains("default-src 'none'") && response.fields.contains(FieldCode::FileContent));
    for (from, session, file, status) in [(3, session, "b", 403), (2, "x", "b", 403), (2, session, "c", 404)] {
        let outputs = bench.give(Input::Download { connection: ConnectionId(2), peer: &peer(from), session, file });
        assert_eq!(body(&outputs).0, status);
    }
    bench.now += SESSION;
    let late = bench.give(Input::Download { connection: ConnectionId(2), peer: &peer(2), session, file: "b" });
    assert_eq!(body(&late).0, 403);
}

#[test]
fn an_app_asks_with_a_pin_and_comes_again_with_its_session() {
    let mut bench = Bench::new(Some("7"));
    let prepare = |session, pin| Input::Prepare { connection: ConnectionId(1), peer: &PEER, session, pin };
    static PEER: std::sync::LazyLock<Peer> = std::sync::LazyLock::new(|| peer(2));
    assert_eq!(body(&bench.give(prepare(None, None))).0, 401);
    let asked = bench.give(prepare(None, Some("7")));
    let [Output::Asked(visit, _)] = asked[..] else { panic!("{asked:?}") };
    let (_, json) = body(&bench.give(Input::Decide(visit, true)));
    let offer = DownloadOffer::parse(json.as_bytes()).unwrap();
    assert_eq!(offer.files.len(), 2);
    assert_eq!(body(&bench.give(prepare(Some(&offer.session), None))).0, 200);
    for status in [401, 401, 401, 429] {
        assert_eq!(body(&bench.give(prepare(Some("made up"), Some("8")))).0, status);
    }
    assert_eq!(body(&bench.give(Input::Form(ConnectionId(1), &peer(3), None))).0, 401);
}

#[test]
fn who_hangs_up_or_is_not_decided_about_is_forgotten_and_only_so_many_wait() {
    let mut bench = Bench::new(None);
    for n in 0..MAX_WAITING {
        bench.give(Input::Form(ConnectionId(n as u64), &peer(2), None));
    }
    assert_eq!(body(&bench.give(Input::Form(ConnectionId(99), &peer(3), None))).0, 429);
    assert!(matches!(bench.give(Input::Closed(ConnectionId(0)))[..], [Output::Withdrawn(VisitId(1))]));
    bench.now += Duration::from_secs(600);
    let outputs = bench.give(Input::Timeout);
    assert_eq!(outputs.len(), 2 * (MAX_WAITING - 1));
    assert!(bench.share.waiting.is_empty());
}
