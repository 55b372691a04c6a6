//! What a device is asked, what of its answers is believed, and what ends a question.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use accord_browse::{Browse, LOOK};
use accord_consent::{Choice, Decision, Gate, RecipientId, RecordKind, To, example};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, FromBridge, Outputs, Reach, ToBridge,
    Verb, catalogue,
};
use accord_ports::storage::{Entry, Kind, MAX_ENTRIES, Page, join};
use accord_registry::{Bridge, BridgeSide, Registry};
use async_trait::async_trait;
use tokio::sync::mpsc;

/// What the bridge hears, and what it answers: nothing to a `fetch`.
struct Phone {
    heard: mpsc::UnboundedSender<ToBridge>,
    answer: fn(&str, usize) -> Outputs,
}

#[async_trait]
impl Bridge for Phone {
    fn name(&self) -> &str {
        "memory"
    }
    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut device = Device::new(phone(), DeviceKind::Phone, "Phone").with(catalogue::storage());
        device.reach = Reach::Local;
        let mut bare = Device::new(DeviceId::new("bare").unwrap(), DeviceKind::Phone, "Bare");
        bare.reach = Reach::Local;
        for device in [device, bare] {
            side.tell(FromBridge::Seen { device }).await.map_err(|_| "gone")?;
        }
        while let Some((message, _)) = side.inbox.recv().await {
            let _ = self.heard.send(message.clone());
            if let ToBridge::Call { call, verb: Verb::Act { action, inputs }, .. } = message
                && action != "fetch"
            {
                let from = inputs.get("from").and_then(Data::as_int).unwrap_or(0);
                let path = inputs.get("path").and_then(Data::as_text).unwrap_or_default();
                let outcome = Ok((self.answer)(path, from as usize));
                side.tell(FromBridge::Reply { call, outcome }).await.map_err(|_| "gone")?;
            }
        }
        Ok(())
    }
}

fn phone() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

fn file(at: usize) -> Entry {
    let name = format!("{at:06}");
    Entry { path: join("/sd", &name), name, kind: Kind::File, size: Some(1), modified: None }
}

fn folder(_: &str, from: usize) -> Outputs {
    let all: Vec<_> = (0..6000).map(file).collect();
    Page::of("/sd", &all, from, false, 2).into_outputs()
}

struct Home {
    gate: Gate,
    browse: Browse,
    heard: mpsc::UnboundedReceiver<ToBridge>,
    _dir: tempfile::TempDir,
}

async fn home(answer: fn(&str, usize) -> Outputs) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_browse::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    let (to, heard) = mpsc::unbounded_channel();
    registry.add_bridge(Box::new(Phone { heard: to, answer }));
    while registry.devices().len() < 2 {
        tokio::task::yield_now().await;
    }
    let browse = Browse::new(&gate.bind("browse"), &registry).unwrap();
    Home { gate, browse, heard, _dir: dir }
}

impl Home {
    fn agree(&self, choice: Choice) -> accord_consent::Consent {
        let entry = EntryKey::new(LOOK).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        self.gate.decide(Decision::new(entry, To::One(RecipientId::device(&phone())), choice, shown)).unwrap()
    }
    fn sent(&self) -> Vec<FieldSet> {
        let records = self.gate.ledger().list(&Default::default()).unwrap();
        let sent = records.iter().filter(|record| record.public.kind == RecordKind::Sent);
        sent.map(|record| record.public.fields).collect()
    }
    async fn hears(&mut self) -> ToBridge {
        tokio::time::timeout(Duration::from_secs(10), self.heard.recv()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn nothing_is_asked_without_consent_and_what_is_asked_is_in_the_ledger() {
    let mut home = home(folder).await;
    let id = "00".repeat(16);
    assert!(matches!(home.browse.list(&phone(), "/sd").await, Err(CallError::NotConsented(_))));
    assert!(matches!(home.browse.fetch(&phone(), "/sd/a", &id).await, Err(CallError::NotConsented(_))));
    assert!(home.heard.try_recv().is_err());
    home.agree(Choice::Always);
    let found = home.browse.list(&phone(), "/sd").await.unwrap();
    assert_eq!((found.path.as_str(), found.entries.len(), found.more, found.nameless), ("/sd", 6000, false, 2));
    assert!(found.entries.iter().enumerate().all(|(at, entry)| *entry == file(at)), "every page, in order");
    let sent = home.sent();
    assert!(sent.len() > 1 && sent.iter().all(|fields| *fields == FieldSet::one(FieldCode::FileName)));
}

#[tokio::test]
async fn paths_that_lead_elsewhere_and_devices_that_show_nothing_are_not_asked() {
    let mut home = home(folder).await;
    home.agree(Choice::Always);
    for path in ["sd", "/sd/../etc", "/\0"] {
        assert!(matches!(home.browse.list(&phone(), path).await, Err(CallError::BadInput(_))), "{path:?}");
    }
    let bare = DeviceId::new("bare").unwrap();
    assert!(matches!(home.browse.list(&bare, "/sd").await, Err(CallError::Unsupported(_))));
    assert!(home.heard.try_recv().is_err());
    assert!(home.sent().is_empty());
}

#[tokio::test]
async fn a_yes_for_this_time_is_good_for_the_first_page() {
    let home = home(folder).await;
    home.agree(Choice::Once);
    let found = home.browse.list(&phone(), "/sd").await.unwrap();
    assert!(found.more && !found.entries.is_empty() && found.entries.len() < 6000);
    assert!(matches!(home.browse.list(&phone(), "/sd").await, Err(CallError::NotConsented(_))));
}

#[tokio::test]
async fn answers_that_never_end_do() {
    let endless = |_: &str, from: usize| {
        let all: Vec<_> = (0..from + 500).map(file).collect();
        Page { next: Some(from as u64 + 1), ..Page::of("/sd", &all[from..], 0, false, 0) }.into_outputs()
    };
    let home = home(endless).await;
    home.agree(Choice::Always);
    let found = home.browse.list(&phone(), "/sd").await.unwrap();
    assert!(found.entries.len() <= MAX_ENTRIES && found.more);
    let senseless = self::home(|_, _| Outputs::from([("entries".to_owned(), "nonsense".into())])).await;
    senseless.agree(Choice::Always);
    assert!(matches!(senseless.browse.list(&phone(), "/sd").await, Err(CallError::Device(_))));
}

#[tokio::test]
async fn a_withdrawal_ends_a_fetch_and_the_bridge_is_told() {
    let mut home = home(folder).await;
    let consent = home.agree(Choice::Always);
    let browse = home.browse.clone();
    let fetching = tokio::spawn(async move { browse.fetch(&phone(), "/sd/a", &"ab".repeat(16)).await });
    let ToBridge::Call { call, verb: Verb::Act { inputs, .. }, .. } = home.hears().await else { panic!("no call") };
    assert_eq!(inputs["transfer"].as_text(), Some("ab".repeat(16).as_str()));
    home.gate.withdraw(consent.id).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), fetching).await.unwrap().unwrap();
    assert!(matches!(ended, Err(CallError::NotConsented(_))), "{ended:?}");
    assert_eq!(home.hears().await, ToBridge::Cancel { call });
    assert_eq!(home.sent().len(), 1, "what was asked had left");
}

#[tokio::test]
async fn an_address_for_players_is_one_or_none() {
    fn said(address: &str) -> Outputs {
        Outputs::from([
            ("address".to_owned(), address.into()),
            ("title".to_owned(), "a\u{1b}b".into()),
            ("seek".to_owned(), "sometimes".into()),
            ("length".to_owned(), Data::Float(-5.0)),
        ])
    }
    let home = home(|path, _| said(if path == "/good" { "http://10.0.0.2:80/1" } else { "file:///etc/passwd" })).await;
    home.agree(Choice::Always);
    let found = home.browse.address(&phone(), "/good").await.unwrap();
    assert_eq!((found.address.as_str(), found.title.as_str()), ("http://10.0.0.2:80/1", "a\u{fffd}b"));
    assert_eq!((found.format, found.seek, found.length), (None, None, None), "nonsense is left out");
    assert!(matches!(home.browse.address(&phone(), "/bad").await, Err(CallError::Device(_))));
}
