use accord_consent::example;
use accord_consent::outlet::local::web_listener;
use accord_consent::{Choice, Decision, Gate, Query, RecipientId, Record, RecordKind, To};
use accord_model::EntryKey;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;

#[test]
fn the_newest_release_of_a_model_is_chosen_and_no_other_words_are_believed() {
    let list = br#"{"instances":[
        {"model":"a.b.c","version":1,"type":"urn:miot-spec-v2:device:light:0000A001:a-b:1"},
        {"model":"a.b.c","version":3,"type":"urn:miot-spec-v2:device:light:0000A001:a-b:3"},
        {"model":"x.y.z","version":9,"type":"urn:x HTTP/1.1\r\nHost: other"}]}"#;
    assert!(newest(list, "a.b.c").unwrap().ends_with(":3"));
    assert_eq!((newest(list, "x.y.z"), newest(list, "none"), newest(b"[]", "a.b.c")), (None, None, None));
}

fn entry() -> EntryKey {
    EntryKey::new("miio/spec").unwrap()
}

/// A server that has a certificate for a name, and what it answers to one question after the other; each of its answers in
/// pieces. And a permit to ask it.
struct Lab {
    _dir: tempfile::TempDir,
    gate: Gate,
    host: RecipientId,
    roots: RootCertStore,
    asked: JoinHandle<String>,
    /// Told after each answer.
    answered: Arc<Notify>,
}

impl Lab {
    async fn new(name: &str, answers: &[&[u8]]) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(accord_ports::tls::provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let listener = web_listener("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let host = format!("localhost:{}", listener.local_addr().unwrap().port());
        let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
        let answered = Arc::new(Notify::new());
        let answering = answered.clone();
        let asked = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return String::new() };
            let mut asked = String::new();
            for answer in answers {
                let before = asked.len();
                while !asked[before..].ends_with("\r\n\r\n") {
                    let mut buffer = [0; 1024];
                    let length = stream.read(&mut buffer).await.unwrap();
                    assert!(length > 0, "it hung up before it asked");
                    asked.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
                }
                for piece in answer.chunks(100) {
                    stream.write_all(piece).await.unwrap();
                    stream.flush().await.unwrap();
                }
                answering.notify_one();
            }
            let _ = stream.shutdown().await;
            asked
        });
        let dir = tempfile::tempdir().unwrap();
        let statement = crate::STATEMENT.replacen("miot-spec.org:443", &host, 1);
        let gate = Gate::open(dir.path(), example::statement("1", &statement), example::key(1)).unwrap();
        let host = RecipientId::host(&host).unwrap();
        let shown = gate.notice(&entry(), "en").unwrap().shown("test");
        gate.decide(Decision::new(entry(), To::One(host.clone()), Choice::Always, shown)).unwrap();
        Self { _dir: dir, gate, host, roots, asked, answered }
    }

    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, String>> + use<> {
        let permit = self.gate.bind("miio").permit(&entry(), &self.host, law::naming(), "on.request").unwrap();
        both(permit, self.roots.clone(), "lab.light.one")
    }

    fn records(&self, kind: RecordKind) -> Vec<Record> {
        self.gate.ledger().list(&Query { kind: Some(kind), ..Query::default() }).unwrap()
    }

    /// Why it is not fetched.
    async fn refused(name: &str, answers: &[&[u8]]) -> String {
        let lab = Self::new(name, answers).await;
        lab.fetch().await.unwrap_err()
    }
}

fn whole(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn list() -> Vec<u8> {
    let others = (0..50).map(|number| {
        format!(r#"{{"model":"lab.other.v{number}","version":1,"type":"urn:miot-spec-v2:device:fan:0000A005:lab-v{number}:1"}},"#)
    });
    let ours = r#"{"model":"lab.light.one","version":2,"type":"urn:miot-spec-v2:device:light:0000A001:lab-one:2"}"#;
    format!(r#"{{"instances":[{}{ours}]}}"#, others.collect::<String>()).into_bytes()
}

#[tokio::test]
async fn a_description_is_asked_for_by_its_urn_after_the_list_and_that_it_was_is_in_the_ledger() {
    let listed = list();
    let mut pieces = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in listed.chunks(333) {
        pieces.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        pieces.extend(piece);
        pieces.extend(b"\r\n");
    }
    pieces.extend(b"0\r\n\r\n");
    let described = br#"{"type":"urn:miot-spec-v2:device:light:0000A001:lab-one:2","services":[]}"#;
    let mut lab = Lab::new(SPEC_HOST, &[&pieces, &whole(described)]).await;
    assert_eq!(lab.fetch().await.unwrap(), described);
    let asked = (&mut lab.asked).await.unwrap();
    let lines: Vec<&str> = asked.lines().filter(|line| line.starts_with("GET") || line.starts_with("Host")).collect();
    let expected = [
        "GET /miot-spec-v2/instances?status=released HTTP/1.1",
        "Host: miot-spec.org",
        "GET /miot-spec-v2/instance?type=urn%3Amiot-spec-v2%3Adevice%3Alight%3A0000A001%3Alab-one%3A2 HTTP/1.1",
        "Host: miot-spec.org",
    ];
    assert_eq!(lines, expected);
    let sent = lab.records(RecordKind::Sent);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].public.bytes.unwrap() > asked.len() as u64, "with what TLS adds: {:?}", sent[0].public.bytes);
}

#[tokio::test]
async fn what_goes_wrong_there_is_told_in_words() {
    assert_eq!(
        Lab::refused(SPEC_HOST, &[b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]).await,
        "miot-spec.org answered with 503"
    );
    assert_eq!(
        Lab::refused(SPEC_HOST, &[&whole(br#"{"instances":[]}"#)]).await,
        "miot-spec.org does not know the model"
    );
    let cut = &whole(&list())[..900];
    assert_eq!(Lab::refused(SPEC_HOST, &[cut]).await, "miot-spec.org broke off");
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_LIST + 1);
    assert_eq!(Lab::refused(SPEC_HOST, &[long.as_bytes()]).await, "miot-spec.org answered with more than 16384 KiB");
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_DOCUMENT + 1);
    let why = Lab::refused(SPEC_HOST, &[&whole(&list()), huge.as_bytes()]).await;
    assert_eq!(why, format!("miot-spec.org answered with more than {} KiB", MAX_DOCUMENT / 1024));
}

#[tokio::test]
async fn whoever_cannot_prove_to_be_that_server_is_asked_nothing() {
    let lab = Lab::new("other.example", &[&whole(&list())]).await;
    let why = lab.fetch().await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(lab.asked.await.unwrap(), "");
    let mut lab = Lab::new(SPEC_HOST, &[&whole(&list())]).await;
    lab.roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let why = lab.fetch().await.unwrap_err();
    assert!(why.contains("UnknownIssuer") && lab.asked.await.unwrap().is_empty(), "{why}");
}

#[tokio::test]
async fn a_withdrawal_ends_it_at_once() {
    let lab = Lab::new(SPEC_HOST, &[b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all", b""]).await;
    let fetching = tokio::spawn(lab.fetch());
    lab.answered.notified().await;
    lab.gate.withdraw((entry(), To::One(lab.host.clone()))).unwrap();
    let got = tokio::time::timeout(Duration::from_secs(5), fetching).await.expect("it ends").unwrap();
    assert_eq!(got, Err("you withdrew your consent".to_owned()));
    lab.asked.abort();
}
