//! Who may move this desktop's pointer and type on it, in which order it happens, and what is let go; what goes to others.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_input::desk::{Desk, DeskError};
use accord_input::{Button, Input, Place, SEND, Stroke, Used};
use accord_model::{
    CallError, Data, Device, DeviceId, DeviceKind, EntryKey, FromBridge, Inputs, Outputs, Reach, Target, Verb,
    catalogue,
};
use accord_ports::remote::{Grants, Remote};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

#[derive(Default)]
struct Owner(AtomicBool);

impl Grants for Owner {
    fn allows(&self, _: &DeviceId, what: Remote) -> bool {
        what == Remote::Input && self.0.load(SeqCst)
    }
}

/// A desktop that writes down what is done to it, slowly.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<Stroke>>>);

#[async_trait::async_trait]
impl Desk for Paper {
    async fn play(&mut self, stroke: &Stroke) -> Result<(), DeskError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.0.lock().unwrap().push(stroke.clone());
        Ok(())
    }
    async fn tidy(&mut self) {}
}

struct Home {
    gate: Gate,
    input: Input,
    owner: Arc<Owner>,
    paper: Paper,
    phone: Memory,
    id: DeviceId,
    _registry: Registry,
    _dir: tempfile::TempDir,
}

async fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_input::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    registry.set_own(Device::new(DeviceId::new("this").unwrap(), DeviceKind::Computer, "Desk"));
    let (owner, paper) = (Arc::new(Owner::default()), Paper::default());
    let place = Place::Given(Box::new(paper.clone()));
    let input = Input::new(&gate.bind("input"), &registry, owner.clone(), place).unwrap();
    let id = DeviceId::new("phone").unwrap();
    let (phone, memory) = bridge(vec![device(&id, Reach::Local)]);
    registry.add_bridge(phone);
    Home { gate, input, owner, paper, phone: memory, id, _registry: registry, _dir: dir }
}

fn device(id: &DeviceId, reach: Reach) -> Device {
    let mut device = Device::new(id.clone(), DeviceKind::Phone, "Phone").with(catalogue::input());
    device.reach = reach;
    device
}

impl Home {
    async fn ask(&self, action: &str, inputs: &[(&str, Data)]) -> Result<Outputs, CallError> {
        let inputs: Inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
        self.phone.ask(&self.id, Target::new("input"), Verb::Act { action: action.into(), inputs }).await
    }
    fn done(&self) -> Vec<Stroke> {
        self.paper.0.lock().unwrap().clone()
    }
    async fn until(&self, what: &str, fits: impl Fn(&[Stroke]) -> bool) {
        for _ in 0..200 {
            if fits(&self.done()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not in time: {what}; {:?}", self.done());
    }
}

#[tokio::test]
async fn nobody_moves_or_types_until_the_owner_allows_it_and_a_use_is_told() {
    let home = home().await;
    let mut events = home.input.events();
    let refused = home.ask("type", &[("text", "rm -rf".into())]).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    let read = Verb::Read { properties: vec![] };
    assert!(
        home.phone.ask(&home.id, Target::new("input"), read.clone()).await.is_err(),
        "nor is it told that it could"
    );
    assert!(home.done().is_empty() && home.input.used(&home.id).is_none());
    home.owner.0.store(true, SeqCst);
    assert!(home.phone.ask(&home.id, Target::new("input"), read).await.is_ok());
    home.ask("type", &[("text", "hello".into())]).await.unwrap();
    assert_eq!(home.done(), [Stroke::Type("hello".into())]);
    assert_eq!(events.recv().await.unwrap(), Used { device: home.id.clone(), began: true });
    assert!(home.input.used(&home.id).is_some());
    // Taken back: it ends at once.
    home.owner.0.store(false, SeqCst);
    assert!(home.ask("key", &[("key", "enter".into())]).await.is_err());
    let over = tokio::time::timeout(Duration::from_secs(5), events.recv()).await.expect("told soon");
    assert_eq!(over.unwrap(), Used { device: home.id.clone(), began: false });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn letters_arrive_in_the_order_in_which_they_were_typed() {
    let home = home().await;
    home.owner.0.store(true, SeqCst);
    let text = "the quick brown fox jumps over the lazy dog";
    for part in text.as_bytes().chunks(12) {
        let asks = part.iter().map(|letter| {
            let letter = char::from(*letter).to_string();
            let home = &home;
            async move { home.ask("type", &[("text", letter.into())]).await.unwrap() }
        });
        // All at once; the bridge passes them on as they come.
        futures_join(asks).await;
    }
    let typed: String =
        home.done().iter().map(|one| if let Stroke::Type(text) = one { text.as_str() } else { "?" }).collect();
    assert_eq!(typed, text);
}

/// Polls all, beginning in order.
async fn futures_join<F: Future>(all: impl Iterator<Item = F>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_held_button_is_let_go_when_its_device_is_away() {
    let home = home().await;
    home.owner.0.store(true, SeqCst);
    home.ask("hold", &[("button", "left".into())]).await.unwrap();
    home.ask("move", &[("dx", 5.into())]).await.unwrap();
    home.phone.tell(FromBridge::Seen { device: device(&home.id, Reach::Offline) }).await;
    home.until("it is let go", |done| done.last() == Some(&Stroke::Release(Button::Left))).await;
    home.phone.tell(FromBridge::Seen { device: device(&home.id, Reach::Local) }).await;
    home.ask("hold", &[("button", "right".into())]).await.unwrap();
    home.owner.0.store(false, SeqCst);
    home.until("so is it when it may no more", |done| done.last() == Some(&Stroke::Release(Button::Right))).await;
}

#[tokio::test]
async fn a_flood_is_refused() {
    let home = home().await;
    home.owner.0.store(true, SeqCst);
    let text = "x".repeat(accord_input::MAX_TEXT);
    assert!(home.ask("type", &[("text", text.as_str().into())]).await.is_ok());
    let refused = home.ask("type", &[("text", text.as_str().into())]).await;
    assert!(matches!(refused, Err(CallError::Refused(why)) if why.contains("slow down")));
    let long = home.ask("type", &[("text", format!("{text}x").into())]).await;
    assert!(matches!(long, Err(CallError::BadInput(_))));
    assert_eq!(home.done().len(), 1);
}

#[tokio::test]
async fn what_is_typed_for_another_device_goes_out_by_consent_alone() {
    let mut home = home().await;
    let stroke = Stroke::Type("hello".into());
    assert!(matches!(home.input.send(&home.id, &stroke).await, Err(CallError::NotConsented(_))));
    assert!(home.phone.stays_silent().await);
    let entry = EntryKey::new(SEND).unwrap();
    let shown = home.gate.notice(&entry, "en").unwrap().shown("test");
    let to = To::One(RecipientId::device(&home.id));
    home.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    home.input.send(&home.id, &stroke).await.unwrap();
    let (_, target, verb) = home.phone.called().await;
    let Verb::Act { action, inputs } = verb else { panic!("{verb:?}") };
    assert_eq!((target, Stroke::read(&action, &inputs)), (Target::new("input"), Ok(stroke)));
}
