//! The driver without a device: consent, codes, what is kept, what is told.

use std::sync::Arc;
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_matter::{MatterBridge, Network, Options, STATEMENT};
use accord_model::why::{Fact, Pairing, Standing};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, ToBridge, Verb,
};
use accord_registry::{Bridge, BridgeSide, ByteStream};
use accord_statement::{Publisher, Statement};
use accord_store::Vault;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

const CODE: &str = "34970112332";

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

struct Lab {
    dir: tempfile::TempDir,
    gate: Gate,
    to: mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    from: mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    task: JoinHandle<Result<(), String>>,
    next: u64,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", &[STATEMENT]).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let (to, from, task) = start(&dir, &gate);
        Self { dir, gate, to, from, task, next: 0 }
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.start();
    }

    async fn stop(&mut self) {
        self.to.send((ToBridge::Stop, None)).await.unwrap();
        tokio::time::timeout(Duration::from_secs(5), &mut self.task).await.unwrap().unwrap().unwrap();
    }

    fn start(&mut self) {
        (self.to, self.from, self.task) = start(&self.dir, &self.gate);
    }

    async fn heard(&mut self) -> FromBridge {
        tokio::time::timeout(Duration::from_secs(5), self.from.recv()).await.expect("in time").expect("it runs").0
    }

    async fn until<T>(&mut self, wanted: impl Fn(&FromBridge) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.heard().await) {
                return found;
            }
        }
    }

    async fn seen(&mut self) -> Device {
        self.until(|told| if let FromBridge::Seen { device } = told { Some(device.clone()) } else { None }).await
    }

    fn call(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    async fn answer(&mut self, call: CallId) -> Result<Outputs, CallError> {
        self.until(|told| match told {
            FromBridge::Reply { call: of, outcome } if *of == call => Some(outcome.clone()),
            _ => None,
        })
        .await
    }

    async fn add(&mut self, pairs: &[(&str, &str)]) -> Result<Outputs, CallError> {
        let inputs: Inputs = pairs.iter().map(|(id, text)| ((*id).to_owned(), Data::from(*text))).collect();
        let call = self.call();
        self.to.send((ToBridge::Add { call, way: "code".into(), inputs }, None)).await.unwrap();
        self.answer(call).await
    }

    async fn ask(&mut self, device: &DeviceId, service: &str, verb: Verb) -> Result<Outputs, CallError> {
        let (call, device) = (self.call(), device.clone());
        self.to.send((ToBridge::Call { call, device, target: Target::new(service), verb }, None)).await.unwrap();
        self.answer(call).await
    }

    async fn why(&mut self, device: &DeviceId) -> Vec<Fact> {
        let (call, device) = (self.call(), Some(device.clone()));
        self.to.send((ToBridge::Explain { call, device, within: 5 }, None)).await.unwrap();
        self.until(|told| match told {
            FromBridge::Explained { call: of, explained } if *of == call => Some(explained.facts.clone()),
            _ => None,
        })
        .await
    }
}

type Ends = (
    mpsc::Sender<(ToBridge, Option<ByteStream>)>,
    mpsc::Receiver<(FromBridge, Option<ByteStream>)>,
    JoinHandle<Result<(), String>>,
);

fn start(dir: &tempfile::TempDir, gate: &Gate) -> Ends {
    let (to, inbox) = mpsc::channel(16);
    let (outbox, from) = mpsc::channel(64);
    let options = Options { folder: Vault::new(dir.path(), &[7; 32]).folder("matter"), network: Network::Loopback };
    let bridge = MatterBridge::new(gate.bind("matter"), options).unwrap();
    (to, from, tokio::spawn(Box::new(bridge).run(BridgeSide { inbox, outbox })))
}

fn act(action: &str) -> Verb {
    Verb::Act { action: action.into(), inputs: Inputs::new() }
}

#[tokio::test]
async fn what_is_no_code_is_refused_in_words_and_without_repeating_it() {
    let mut lab = Lab::new();
    for wrong in ["", "34970112333", "MT:Y.K90AFN00KA0648G0", "00000000000", "geheim-geheim"] {
        let error = lab.add(&[("code", wrong)]).await.unwrap_err();
        assert!(matches!(error, CallError::BadInput(_)), "{error}");
        assert!(wrong.is_empty() || !error.to_string().contains(wrong), "{error}");
    }
}

#[tokio::test]
async fn a_device_is_kept_until_it_is_here_and_forgotten_with_its_code() {
    let mut lab = Lab::new();
    let added = lab.add(&[("code", CODE), ("name", "Hall\u{1b}")]).await.unwrap();
    let id = DeviceId::new(added["devices"].as_texts().unwrap()[0].clone()).unwrap();
    lab.restart().await;
    let device = lab.seen().await;
    assert_eq!((&device.id, device.reach), (&id, Reach::Offline));
    assert!(device.name.starts_with("Hall") && !device.name.contains('\u{1b}'));
    assert_eq!(device.service("pairing").unwrap().values["paired"].data, Data::Bool(true));
    assert!(!serde_json::to_string(&device).unwrap().contains(CODE));
    // Nobody agreed to anything, so that nothing is said, and that is told.
    let on = Verb::Write { property: "on".into(), data: Data::Bool(true) };
    assert!(matches!(lab.ask(&id, "light", on).await, Err(CallError::NotConsented(_))));
    let facts = lab.why(&id).await;
    let undecided = |fact: &&Fact| matches!(fact, Fact::Consent { standing: Standing::Undecided, needed: true, .. });
    assert_eq!(facts.iter().filter(undecided).count(), 2, "{facts:?}");
    assert!(facts.contains(&Fact::Pairing { state: Pairing::Paired }));
    let folder = Vault::new(lab.dir.path(), &[7; 32]).folder("matter");
    let kept = || String::from_utf8(folder.read("added.json", 1 << 20).unwrap().unwrap().bytes.to_vec()).unwrap();
    let sealed = std::fs::read(lab.dir.path().join("matter/added.json")).unwrap();
    assert!(kept().contains(CODE) && !String::from_utf8_lossy(&sealed).contains(CODE), "sealed, and until it is used");
    lab.ask(&id, "pairing", act("unpair")).await.unwrap();
    assert!(!kept().contains(CODE));
    assert!(lab.ask(&id, "pairing", act("unpair")).await.is_err());
    let sent = lab.gate.ledger().list(&accord_consent::Query::default()).unwrap();
    assert!(sent.iter().all(|record| !format!("{record:?}").contains("matter/")), "nothing left");
}

#[tokio::test]
async fn one_that_has_its_place_and_is_away_is_waited_for_until_the_owner_drops_that() {
    let mut lab = Lab::new();
    let added = lab.add(&[("code", CODE), ("name", "Hall")]).await.unwrap();
    let id = DeviceId::new(added["devices"].as_texts().unwrap()[0].clone()).unwrap();
    // Added to the end, by a version that knew nothing of leaving.
    let folder = Vault::new(lab.dir.path(), &[7; 32]).folder("matter");
    let kept = || -> serde_json::Value {
        serde_json::from_slice(&folder.read("added.json", 1 << 20).unwrap().unwrap().bytes).unwrap()
    };
    let place = || {
        let mut kept = kept();
        let added = kept.as_object_mut().unwrap().values_mut().next().unwrap().as_object_mut().unwrap();
        added.insert("code".into(), serde_json::Value::Null);
        added.remove("left");
        folder.replace("added.json", kept.to_string().as_bytes()).unwrap();
    };
    let (entry, to) = (EntryKey::new("matter/control").unwrap(), To::One(RecipientId::device(&id)));
    let shown = lab.gate.notice(&entry, "en").unwrap().shown("test");
    lab.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    lab.stop().await;
    place();
    lab.start();
    lab.seen().await;
    let error = lab.ask(&id, "pairing", act("unpair")).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Unsupported(why) if why.contains("Hall is away, and keeps a place")),
        "{error}"
    );
    lab.stop().await;
    lab.start();
    let device = lab.seen().await;
    assert_eq!(device.service("more").unwrap().values["removed"].data, Data::Bool(true));
    assert_eq!(device.reach, Reach::Offline);
    assert!(lab.why(&id).await.iter().any(|fact| matches!(fact, Fact::Leaving { .. })));
    let on = Verb::Write { property: "on".into(), data: Data::Bool(true) };
    assert!(lab.ask(&id, "light", on).await.unwrap_err().to_string().contains("you removed Hall"));
    lab.ask(&id, "pairing", act("unpair")).await.unwrap();
    assert!(kept().as_object().unwrap().is_empty());
    // Another one, to which nobody agreed, could not be told.
    lab.add(&[("code", CODE), ("name", "Hall")]).await.unwrap();
    lab.stop().await;
    place();
    lab.start();
    let id = lab.seen().await.id;
    lab.ask(&id, "pairing", act("unpair")).await.unwrap();
}

#[tokio::test]
async fn who_is_not_added_is_not_spoken_to() {
    let mut lab = Lab::new();
    let id = DeviceId::new("matter-0123").unwrap();
    for (service, verb) in
        [("light", act("toggle")), ("more", act("share")), ("pairing", act("request")), ("pairing", act("accept"))]
    {
        assert!(lab.ask(&id, service, verb).await.is_err(), "{service}");
    }
    let facts = lab.why(&id).await;
    assert!(facts.contains(&Fact::Pairing { state: Pairing::NotPaired }), "{facts:?}");
}
