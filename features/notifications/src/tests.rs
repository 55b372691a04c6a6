//! The feature between devices that live in memory and a desktop that the test plays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, To};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, FromBridge, Inputs, Outputs, Reach,
    Target, ToBridge, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use accord_statement::{Publisher, Statement};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::desktop::{Desktop, DesktopCommand, DesktopEvent, LocalNote, Why};
use crate::feature::{ANSWER, MIRROR};
use crate::note::Note;
use crate::*;

const SOON: Duration = Duration::from_secs(10);
const QUIET: Duration = Duration::from_millis(150);

fn id(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

/// A device that shows and has notifications: its end of a bridge in memory.
struct Phone {
    id: DeviceId,
    say: mpsc::Sender<FromBridge>,
    told: mpsc::Receiver<(String, Inputs)>,
    answer: Arc<Mutex<Result<Outputs, CallError>>>,
}

struct Memory {
    device: Device,
    say: mpsc::Receiver<FromBridge>,
    told: mpsc::Sender<(String, Inputs)>,
    answer: Arc<Mutex<Result<Outputs, CallError>>>,
}

#[async_trait]
impl Bridge for Memory {
    fn name(&self) -> &str {
        self.device.id.as_str()
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        side.tell(FromBridge::Seen { device: self.device.clone() }).await.map_err(|_| "gone")?;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, verb: Verb::Act { action, inputs }, .. }, _)) => {
                        let outcome = self.answer.lock().unwrap().clone();
                        let _ = self.told.send((action, inputs)).await;
                        side.tell(FromBridge::Reply { call, outcome }).await.map_err(|_| "gone")?;
                    }
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => {}
                },
                Some(said) = self.say.recv() => side.tell(said).await.map_err(|_| "gone")?,
            }
        }
    }
}

impl Phone {
    fn join(registry: &Registry, name: &str, reach: Reach) -> Self {
        let mut device = Device::new(id(name), DeviceKind::Phone, name).with(catalogue::notifications());
        device.reach = reach;
        let ((say, heard), (tell, told)) = (mpsc::channel(64), mpsc::channel(4096));
        let answer = Arc::new(Mutex::new(Ok(Outputs::new())));
        registry.add_bridge(Box::new(Memory { device, say: heard, told: tell, answer: answer.clone() }));
        Self { id: id(name), say, told, answer }
    }

    async fn next(&mut self) -> (String, Inputs) {
        timeout(SOON, self.told.recv()).await.expect("the device is told something").unwrap()
    }
    async fn nothing(&mut self) {
        let told = timeout(QUIET, self.told.recv()).await;
        assert!(told.is_err(), "{} was told {told:?}", self.id);
    }
    async fn event(&self, event: &str, arguments: Outputs) {
        let (device, target) = (self.id.clone(), Target::new("notifications"));
        self.say.send(FromBridge::Event { device, target, event: event.into(), arguments }).await.unwrap();
    }
    async fn reach(&self, reach: Reach) {
        self.say.send(FromBridge::Reach { device: self.id.clone(), reach }).await.unwrap();
    }
}

fn texts(pairs: &[(&str, &str)]) -> Outputs {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Data::from(*text))).collect()
}
fn text<'a>(inputs: &'a Inputs, name: &str) -> &'a str {
    inputs.get(name).and_then(Data::as_text).unwrap_or("")
}

struct Home {
    registry: Registry,
    gate: Gate,
    feature: Notifications,
    commands: mpsc::Receiver<DesktopCommand>,
    desktop: mpsc::Sender<DesktopEvent>,
    dir: tempfile::TempDir,
}

fn gate(dir: &tempfile::TempDir) -> Gate {
    let publisher = Publisher::named("Test");
    let statement = Statement::join("test", "Test", publisher, "1", &[STATEMENT]).unwrap();
    Gate::open(&dir.path().join("gate"), statement, accord_consent::example::key(7)).unwrap()
}

fn home() -> Home {
    home_in(tempfile::tempdir().unwrap())
}

fn home_in(dir: tempfile::TempDir) -> Home {
    let (registry, gate) = (Registry::new(), gate(&dir));
    let (desktop, commands, events) = Desktop::pair();
    let config = NotificationsConfig::new(dir.path());
    let feature = Notifications::with_desktop(gate.bind("notifications"), registry.clone(), config, desktop).unwrap();
    Home { registry, gate, feature, commands, desktop: events, dir }
}

impl Home {
    fn agree(&self, entry: &str, device: &DeviceId) {
        let entry = EntryKey::new(entry).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(device));
        self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    async fn phone(&self, name: &str, reach: Reach) -> Phone {
        let phone = Phone::join(&self.registry, name, reach);
        while self.registry.device(&phone.id).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        phone
    }
    async fn mirrored(&self, name: &str) -> Phone {
        let phone = self.phone(name, Reach::Local).await;
        self.agree(MIRROR, &phone.id);
        self.agree(ANSWER, &phone.id);
        phone
    }
    async fn post(&self, local: u32, note: LocalNote) {
        self.desktop.send(DesktopEvent::Posted { local, note }).await.unwrap();
    }
    async fn command(&mut self) -> DesktopCommand {
        timeout(SOON, self.commands.recv()).await.expect("the desktop is told something").unwrap()
    }
    /// Takes a popup and gives it a number.
    async fn popup(&mut self, number: u32) -> crate::desktop::Popup {
        match self.command().await {
            DesktopCommand::Show { popup, shown } => {
                shown.send(number).unwrap();
                popup
            }
            other => panic!("{other:?}"),
        }
    }
    async fn until<T>(&self, mut found: impl FnMut(&Notifications) -> Option<T>) -> T {
        timeout(SOON, async {
            loop {
                if let Some(found) = found(&self.feature) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .expect("it comes to that")
    }
}

fn chat(body: &str) -> LocalNote {
    let note = Note {
        app: "Chat".into(),
        title: "Mira".into(),
        body: body.into(),
        actions: vec!["Yes".into(), "No".into()],
        reply: true,
        ..Note::default()
    };
    LocalNote { note, keys: vec!["yes".into(), "no".into()], origin: None }
}

#[tokio::test]
async fn only_a_device_that_was_agreed_to_gets_it_and_only_what_was_agreed_to() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    let mut stranger = home.phone("stranger", Reach::Local).await;
    let mut shy = home.phone("shy", Reach::Local).await;
    let entry = EntryKey::new(MIRROR).unwrap();
    let shown = home.gate.notice(&entry, "en").unwrap().shown("test");
    let decision = Decision {
        fields: Some(FieldSet::one(FieldCode::NotificationApp)),
        ..Decision::new(entry, To::One(RecipientId::device(&shy.id)), Choice::Always, shown)
    };
    home.gate.decide(decision).unwrap();

    home.post(1, chat("Lunch?")).await;
    let (action, inputs) = phone.next().await;
    assert_eq!((action.as_str(), text(&inputs, "title"), text(&inputs, "body")), ("show", "Mira", "Lunch?"));
    assert_eq!(inputs["actions"], Data::Texts(vec!["Yes".into(), "No".into()]));
    assert!(text(&inputs, "id").starts_with(OWN_ID));
    let (_, inputs) = shy.next().await;
    assert_eq!((text(&inputs, "app"), text(&inputs, "title"), text(&inputs, "body")), ("Chat", "Chat", ""));
    stranger.nothing().await;

    // The same again is not told again; a change is, under the same id.
    home.post(1, chat("Lunch?")).await;
    phone.nothing().await;
    home.post(1, chat("Dinner?")).await;
    let (_, changed) = phone.next().await;
    assert_eq!((text(&changed, "id"), text(&changed, "body")), (&*home.feature.list()[0].id, "Dinner?"));
}

#[tokio::test]
async fn rules_take_away_and_codes_are_held_back_until_they_are_allowed() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    home.post(1, chat("Your code is 123456")).await;
    let (_, inputs) = phone.next().await;
    assert_eq!((text(&inputs, "title"), text(&inputs, "body")), ("Chat", ""), "held back");
    assert_eq!(home.feature.list()[0].code.as_deref(), Some("123456"), "here it can be copied");

    let rule = DeviceRule { codes: true, ..DeviceRule::default() };
    let mut rules = Rules { devices: BTreeMap::from([(phone.id.clone(), rule)]), ..Rules::default() };
    home.feature.set_rules(rules.clone()).await.unwrap();
    home.post(2, chat("Your code is 654321")).await;
    assert_eq!(text(&phone.next().await.1, "body"), "Your code is 654321");

    rules.apps.insert("chat".into(), AppRule { send: Level::Off, show: Level::Full });
    home.feature.set_rules(rules.clone()).await.unwrap();
    home.post(3, chat("Lunch?")).await;
    phone.nothing().await;
    rules.apps.clear();
    rules.hide_content = true;
    home.feature.set_rules(rules).await.unwrap();
    home.post(4, chat("Lunch?")).await;
    assert_eq!(text(&phone.next().await.1, "body"), "");
}

#[tokio::test]
async fn dismissed_on_one_it_is_dismissed_on_the_others() {
    let mut home = home();
    let (mut phone, mut tablet) = (home.mirrored("phone").await, home.mirrored("tablet").await);
    home.post(5, chat("Lunch?")).await;
    let own = text(&phone.next().await.1, "id").to_owned();
    tablet.next().await;
    phone.event("removed", texts(&[("id", &own)])).await;
    let (action, inputs) = tablet.next().await;
    assert_eq!((action.as_str(), text(&inputs, "id")), ("dismiss", &*own));
    assert!(matches!(home.command().await, DesktopCommand::Close { local: 5 }));
    phone.nothing().await;
    assert!(home.feature.list().is_empty());

    // Here: both are told. What merely expired here stays there.
    home.post(6, chat("One")).await;
    home.post(7, chat("Two")).await;
    for _ in 0..2 {
        phone.next().await;
        tablet.next().await;
    }
    home.desktop.send(DesktopEvent::Closed { local: 6, why: Why::Expired }).await.unwrap();
    phone.nothing().await;
    home.desktop.send(DesktopEvent::Closed { local: 7, why: Why::Dismissed }).await.unwrap();
    assert_eq!(phone.next().await.0, "dismiss");
    assert_eq!(tablet.next().await.0, "dismiss");
    assert_eq!(home.feature.list().len(), 1);
}

#[tokio::test]
async fn a_phones_notification_is_shown_here_and_its_dismissal_told_there() {
    let mut home = home();
    let (mut phone, mut tablet) = (home.mirrored("phone").await, home.mirrored("tablet").await);
    let posted = texts(&[("id", "0|com.chat|7"), ("app", "Chat"), ("title", "Mira"), ("body", "<b>Code</b> 123456")]);
    phone.event("posted", posted.clone()).await;
    let popup = home.popup(40).await;
    assert_eq!(
        (popup.app.as_str(), popup.title.as_str(), popup.body.as_str()),
        ("Chat (phone)", "Mira", "<b>Code</b> 123456")
    );
    assert_eq!(popup.actions, [("copy-code".to_owned(), "Copy 123456".to_owned())]);
    home.until(|feature| feature.0.lock().book.foreign_by_popup(40).map(|_| ())).await;
    phone.event("posted", posted).await;

    let mut events = home.feature.events();
    home.desktop.send(DesktopEvent::Acted { local: 40, key: "copy-code".into() }).await.unwrap();
    loop {
        if let NotificationsEvent::Copy(code) = timeout(SOON, events.recv()).await.unwrap().unwrap() {
            assert_eq!(code, "123456");
            break;
        }
    }
    // Servers close a popup once it was acted on: that is no dismissal.
    home.desktop.send(DesktopEvent::Closed { local: 40, why: Why::Dismissed }).await.unwrap();
    phone.nothing().await;
    let listed = home.feature.list();
    assert_eq!((listed.len(), listed[0].device.as_ref()), (1, Some(&phone.id)), "shown once");
    home.feature.dismiss(&listed[0].id).unwrap();
    let (action, inputs) = phone.next().await;
    assert_eq!((action.as_str(), text(&inputs, "id")), ("dismiss", "0|com.chat|7"));
    phone.nothing().await;
    tablet.nothing().await;
}

#[tokio::test]
async fn a_popup_that_the_owner_closes_is_dismissed_on_the_phone_if_that_was_agreed_to() {
    let mut home = home();
    let mut phone = home.phone("phone", Reach::Local).await;
    let mut asked = home.gate.events();
    for (n, popup) in [(1, 50), (2, 51)] {
        phone.event("posted", texts(&[("id", &n.to_string()), ("app", "Chat"), ("title", "Mira")])).await;
        home.popup(popup).await;
        home.until(|feature| feature.0.lock().book.foreign_by_popup(popup).map(|_| ())).await;
    }
    home.desktop.send(DesktopEvent::Closed { local: 50, why: Why::Dismissed }).await.unwrap();
    home.until(|feature| (feature.list().len() == 1).then_some(())).await;
    phone.nothing().await;
    let is_asked = |event| matches!(event, accord_consent::GateEvent::Asked { .. });
    while !is_asked(timeout(SOON, asked.recv()).await.expect("the owner is asked").unwrap()) {}
    home.agree(ANSWER, &phone.id);
    home.desktop.send(DesktopEvent::Closed { local: 51, why: Why::Dismissed }).await.unwrap();
    assert_eq!(phone.next().await.0, "dismiss");
}

#[tokio::test]
async fn replies_and_actions_go_back_both_ways() {
    let mut home = home();
    let mut phone = home.mirrored("phone").await;
    let mut posted = texts(&[("id", "k"), ("app", "Chat"), ("title", "Mira"), ("body", "Lunch?")]);
    posted.insert("reply".into(), Data::Bool(true));
    posted.insert("actions".into(), Data::Texts(vec!["Mark read".into()]));
    phone.event("posted", posted).await;
    home.popup(60).await;
    let theirs = home.feature.list()[0].id.clone();
    home.feature.reply(&theirs, " At noon ").await.unwrap();
    let (action, inputs) = phone.next().await;
    assert_eq!((action.as_str(), text(&inputs, "id"), text(&inputs, "text")), ("reply", "k", "At noon"));
    home.feature.act(&theirs, "Mark read").await.unwrap();
    assert_eq!(text(&phone.next().await.1, "action"), "Mark read");
    assert!(home.feature.act(&theirs, "Delete all").await.is_err());
    home.desktop.send(DesktopEvent::Acted { local: 60, key: "action-0".into() }).await.unwrap();
    assert_eq!(text(&phone.next().await.1, "action"), "Mark read");

    home.post(8, chat("Dinner?")).await;
    let ours = text(&phone.next().await.1, "id").to_owned();
    phone.event("acted", texts(&[("id", &ours), ("action", "No")])).await;
    match home.command().await {
        DesktopCommand::Act { local: 8, key, done } if key == "no" => done.send(Ok(())).unwrap(),
        other => panic!("{other:?}"),
    }
    phone.event("replied", texts(&[("id", &ours), ("text", "Later\u{1b}[2J")])).await;
    match home.command().await {
        DesktopCommand::Reply { local: 8, text, .. } => assert_eq!(text, "Later\u{FFFD}[2J"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_answers_only_what_it_was_sent_and_only_while_it_may() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    let stranger = home.phone("stranger", Reach::Local).await;
    home.post(1, chat("Lunch?")).await;
    let ours = text(&phone.next().await.1, "id").to_owned();
    stranger.event("removed", texts(&[("id", &ours)])).await;
    stranger.event("acted", texts(&[("id", &ours), ("action", "Yes")])).await;
    let rule = DeviceRule { answers: false, ..DeviceRule::default() };
    let rules = Rules { devices: BTreeMap::from([(phone.id.clone(), rule)]), ..Rules::default() };
    home.feature.set_rules(rules).await.unwrap();
    phone.event("removed", texts(&[("id", &ours)])).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(home.feature.list().len(), 1);
}

#[tokio::test]
async fn nothing_goes_back_to_the_device_it_came_from() {
    let mut home = home();
    let (mut phone, mut tablet) = (home.mirrored("phone").await, home.mirrored("tablet").await);
    let mirrored_by_another = LocalNote { origin: Some("phone".into()), ..chat("Lunch?") };
    home.post(1, mirrored_by_another).await;
    assert_eq!(text(&tablet.next().await.1, "body"), "Lunch?");
    phone.event("posted", texts(&[("id", "1"), ("app", "Chat"), ("title", "Mira")])).await;
    home.popup(2).await;
    phone.nothing().await;
    tablet.nothing().await;
}

#[tokio::test]
async fn a_device_that_is_away_gets_it_once_when_it_is_back_even_after_a_restart() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    home.post(1, chat("first")).await;
    phone.next().await;
    phone.reach(Reach::Offline).await;
    home.until(|_| home.registry.device(&phone.id).filter(|known| known.device.reach == Reach::Offline).map(drop))
        .await;
    home.post(2, chat("old")).await;
    home.post(2, chat("second")).await;
    home.post(3, chat("third")).await;
    home.post(4, chat("taken back")).await;
    home.desktop.send(DesktopEvent::Closed { local: 4, why: Why::TakenBack }).await.unwrap();
    home.until(|feature| (feature.list().len() == 3).then_some(())).await;
    assert_eq!(home.feature.list()[0].waits_for, std::slice::from_ref(&phone.id));
    phone.nothing().await;
    home.feature.stop().await;
    let mode = std::fs::metadata(home.dir.path().join("notifications.json")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);

    let Home { registry, gate, feature, dir, .. } = home;
    registry.stop().await;
    drop((registry, gate, feature));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let home = home_in(dir);
    let mut phone = home.phone("phone", Reach::Local).await;
    for body in ["second", "third"] {
        assert_eq!(text(&phone.next().await.1, "body"), body);
    }
    phone.nothing().await;
    phone.reach(Reach::Offline).await;
    phone.reach(Reach::Local).await;
    phone.nothing().await;
}

#[tokio::test]
async fn a_device_that_has_not_said_yet_what_it_offers_gets_it_once_it_has() {
    let home = home();
    let ((say, heard), (tell, mut told)) = (mpsc::channel(64), mpsc::channel(64));
    let mut device = Device::new(id("phone"), DeviceKind::Phone, "phone");
    device.reach = Reach::Local;
    let answer = Arc::new(Mutex::new(Ok(Outputs::new())));
    home.registry.add_bridge(Box::new(Memory { device: device.clone(), say: heard, told: tell, answer }));
    home.agree(MIRROR, &device.id);
    while home.registry.device(&device.id).is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    home.post(1, chat("Lunch?")).await;
    assert!(timeout(QUIET, told.recv()).await.is_err());
    say.send(FromBridge::Seen { device: device.with(catalogue::notifications()) }).await.unwrap();
    assert_eq!(text(&timeout(SOON, told.recv()).await.unwrap().unwrap().1, "body"), "Lunch?");
}

#[tokio::test]
async fn what_a_device_did_not_get_is_tried_again_and_what_it_may_have_got_is_not() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    *phone.answer.lock().unwrap() = Err(CallError::Unreachable("just left".into()));
    home.post(1, chat("first")).await;
    phone.next().await;
    phone.nothing().await;
    *phone.answer.lock().unwrap() = Err(CallError::Deadline(15));
    phone.reach(Reach::Offline).await;
    phone.reach(Reach::Local).await;
    assert_eq!(text(&phone.next().await.1, "body"), "first");
    phone.reach(Reach::Offline).await;
    phone.reach(Reach::Local).await;
    phone.nothing().await;
}

#[tokio::test]
async fn a_flood_pops_up_a_few_times_and_is_listed_to_a_bound() {
    let mut home = home();
    let phone = home.phone("phone", Reach::Local).await;
    for n in 0..400 {
        phone.event("posted", texts(&[("id", &n.to_string()), ("app", "Spam"), ("title", "Buy")])).await;
    }
    home.until(|feature| feature.list().iter().any(|one| one.title == "Buy").then_some(())).await;
    tokio::time::sleep(QUIET).await;
    assert!(home.feature.list().len() <= 200);
    let mut popups = 0;
    while let Ok(Some(command)) = timeout(QUIET, home.commands.recv()).await {
        popups += usize::from(matches!(command, DesktopCommand::Show { .. }));
    }
    assert!((1..=13).contains(&popups), "{popups}");
}

#[tokio::test]
async fn one_is_sent_on_request_whatever_the_rules_say() {
    let home = home();
    let mut phone = home.phone("phone", Reach::Local).await;
    let refused = home.feature.send(&phone.id, "Tea", "is ready").await;
    assert!(matches!(refused, Err(NotificationsError::NotConsented(_))));
    home.agree(MIRROR, &phone.id);
    home.feature.set_rules(Rules { hide_content: true, ..Rules::default() }).await.unwrap();
    let (own, sending) = home.feature.send(&phone.id, "Tea", "is ready").await.unwrap();
    assert_eq!((text(&phone.next().await.1, "body"), sending), ("is ready", Sending::Sent));
    home.feature.dismiss(&own).unwrap();
    assert_eq!(phone.next().await.0, "dismiss");
    *phone.answer.lock().unwrap() = Err(CallError::Unreachable("away".into()));
    assert_eq!(home.feature.send(&phone.id, "Tea", "").await.unwrap().1, Sending::Waits);
}

/// One half of a way between two hubs: what one calls, the other is asked.
struct Pipe {
    peer: Device,
    to: mpsc::Sender<FromBridge>,
    from: mpsc::Receiver<FromBridge>,
    own: DeviceId,
}

#[async_trait]
impl Bridge for Pipe {
    fn name(&self) -> &str {
        self.peer.id.as_str()
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        side.tell(FromBridge::Seen { device: self.peer.clone() }).await.map_err(|_| "gone")?;
        loop {
            let message = tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, target, verb, .. }, _)) => {
                        FromBridge::Asked { call, device: self.own.clone(), target, verb }
                    }
                    Some((ToBridge::Answer { call, outcome }, _)) => FromBridge::Reply { call, outcome },
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => continue,
                },
                Some(said) = self.from.recv() => {
                    side.tell(said).await.map_err(|_| "gone")?;
                    continue;
                }
            };
            self.to.send(message).await.map_err(|_| "gone")?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hubs_show_each_others_once_and_lose_none() {
    const EACH: u32 = 50;
    let homes = [home(), home(), home()];
    for (a, b) in [(0usize, 1usize), (0, 2), (1, 2)] {
        let (there, back) = (mpsc::channel(1024), mpsc::channel(1024));
        let hub = |n: usize| {
            let mut hub =
                Device::new(id(&format!("hub-{n}")), DeviceKind::Computer, "Hub").with(catalogue::notifications());
            hub.reach = Reach::Local;
            hub
        };
        homes[a].registry.add_bridge(Box::new(Pipe { peer: hub(b), to: there.0, from: back.1, own: hub(a).id }));
        homes[b].registry.add_bridge(Box::new(Pipe { peer: hub(a), to: back.0, from: there.1, own: hub(b).id }));
        for (here, peer) in [(a, b), (b, a)] {
            homes[here].agree(MIRROR, &hub(peer).id);
            homes[here].agree(ANSWER, &hub(peer).id);
        }
    }
    while homes.iter().any(|home| home.registry.devices().len() < 2) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for n in 0..EACH {
        for home in &homes {
            home.post(n, chat(&format!("number {n}"))).await;
        }
    }
    for home in &homes {
        let all = home.until(|feature| (feature.list().len() == 3 * EACH as usize).then(|| feature.list())).await;
        for device in all.iter().filter_map(|one| one.device.as_ref()).collect::<std::collections::BTreeSet<_>>() {
            let mut bodies: Vec<_> =
                all.iter().filter(|one| one.device.as_ref() == Some(device)).map(|one| &one.body).collect();
            bodies.sort();
            bodies.dedup();
            assert_eq!(bodies.len(), EACH as usize, "each once");
        }
    }
    // Nothing echoes: the count stays.
    tokio::time::sleep(QUIET).await;
    assert!(homes.iter().all(|home| home.feature.list().len() == 3 * EACH as usize));

    // Dismissed on the third, one of the first's is gone on all.
    let of_first = homes[2].feature.list().into_iter().find(|one| one.device == Some(id("hub-0"))).unwrap();
    homes[2].feature.dismiss(&of_first.id).unwrap();
    for home in &homes {
        home.until(|feature| (feature.list().len() == 3 * EACH as usize - 1).then_some(())).await;
    }
}

#[tokio::test]
async fn of_a_burst_none_is_lost() {
    let home = home();
    let mut phone = home.mirrored("phone").await;
    for n in 0..500 {
        home.post(n, chat(&n.to_string())).await;
    }
    for n in 0..500 {
        assert_eq!(text(&phone.next().await.1, "body"), n.to_string());
    }
}

/// Not run by itself: `cargo test -p accord-notifications --release a_thousand -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_thousand_to_three_devices() {
    const ALL: usize = 1000;
    let home = home();
    let mut devices = Vec::new();
    for name in ["one", "two", "three"] {
        devices.push(home.mirrored(name).await);
    }
    let start = std::time::Instant::now();
    let readers = devices.into_iter().map(|mut device| {
        tokio::spawn(async move {
            let mut came = Vec::new();
            while came.len() < ALL {
                let (_, inputs) = device.next().await;
                came.push((text(&inputs, "title").parse::<usize>().unwrap(), start.elapsed()));
            }
            came
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut posted = Vec::new();
    for n in 0..ALL {
        posted.push(start.elapsed());
        let note = Note { app: "Chat".into(), title: n.to_string(), ..Note::default() };
        home.post(u32::try_from(n).unwrap(), LocalNote { note, ..LocalNote::default() }).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut latencies = Vec::new();
    for reader in readers {
        let came = reader.await.unwrap();
        let which: std::collections::BTreeSet<_> = came.iter().map(|(n, _)| *n).collect();
        assert_eq!(which.len(), ALL, "none lost, none twice");
        latencies.extend(came.iter().map(|(n, at)| *at - posted[*n]));
    }
    latencies.sort();
    let at = |part: usize| latencies[latencies.len() * part / 100];
    println!("1000 notifications to 3 devices: p50 {:?}, p99 {:?}", at(50), at(99));
}
