//! What reaches a device that is controlled, and what does not.

use accord_consent::{Choice, Decision, Gate, RecipientId, RecordKind, To, example};
use accord_control::{COMMAND, Control, ControlError, Word};
use accord_model::{
    Action, CallError, Data, Device, DeviceId, DeviceKind, Effect, EntryKey, FieldCode, FieldSet, Format, Inputs,
    Property, Reach, Service, Target, Verb, catalogue,
};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

struct Home {
    gate: Gate,
    control: Control,
    phone: Memory,
    id: DeviceId,
    _dir: tempfile::TempDir,
}

async fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_control::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    let id = DeviceId::new("phone").unwrap();
    let mut device = Device::new(id.clone(), DeviceKind::Phone, "Phone")
        .with(catalogue::media())
        .with(catalogue::ping())
        .with(catalogue::command())
        .with(catalogue::pairing())
        .with(catalogue::storage())
        .with(files_with_pin())
        .with(vault());
    device.reach = Reach::Local;
    let (phone, memory) = bridge(vec![device]);
    registry.add_bridge(phone);
    while registry.device(&id).is_none() {
        tokio::task::yield_now().await;
    }
    let control = Control::new(&gate.bind("control"), &registry).unwrap();
    Home { gate, control, phone: memory, id, _dir: dir }
}

fn files_with_pin() -> Service {
    let mut files = catalogue::files();
    let pin = Property::state("pin", Format::Text).writable();
    files.properties.push(Property { read: false, ..pin });
    files
}

fn vault() -> Service {
    let erase = Action { id: "erase".into(), inputs: vec![], outputs: vec![], effect: Effect::Destructive };
    Service { id: "vault".into(), actions: vec![erase], properties: vec![], events: vec![], ..catalogue::ping() }
}

impl Home {
    fn agree(&self, only: Option<FieldSet>) {
        let entry = EntryKey::new(COMMAND).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&self.id));
        self.gate.decide(Decision { entry, to, choice: Choice::Always, fields: only, shown }).unwrap();
    }
    async fn call(&self, service: &str, verb: Verb) -> Result<(), ControlError> {
        self.control.call(&self.id, Target::new(service), verb, Word::None).await.map(drop)
    }
}

fn act(action: &str, inputs: &[(&str, Data)]) -> Verb {
    let inputs: Inputs = inputs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect();
    Verb::Act { action: action.into(), inputs }
}

#[tokio::test]
async fn nothing_is_said_without_consent_and_what_is_said_is_in_the_ledger() {
    let mut home = home().await;
    let volume = || Verb::Write { property: "volume".into(), data: Data::Float(30.0) };
    let refused = home.call("media", volume()).await;
    assert!(matches!(refused, Err(ControlError::Call(CallError::NotConsented(_)))), "{refused:?}");
    assert!(home.phone.stays_silent().await);
    home.agree(None);
    home.call("media", volume()).await.unwrap();
    let (_, target, verb) = home.phone.called().await;
    assert_eq!(target, Target::new("media"));
    assert_eq!(verb, Verb::Write { property: "volume".into(), data: Data::Int(30) }, "in the property's own format");
    home.call("ping", act("ping", &[("text", "tea is ready".into())])).await.unwrap();
    let records = home.gate.ledger().list(&Default::default()).unwrap();
    let sent: Vec<FieldSet> = records
        .iter()
        .filter(|record| record.public.kind == RecordKind::Sent)
        .map(|record| record.public.fields)
        .collect();
    let with_text = FieldSet::from_iter([FieldCode::CommandName, FieldCode::TextContent]);
    assert_eq!(sent, [with_text, FieldSet::one(FieldCode::CommandName)]);
}

#[tokio::test]
async fn a_text_needs_the_owners_word_for_texts() {
    let mut home = home().await;
    home.agree(Some(FieldSet::one(FieldCode::CommandName)));
    home.call("media", act("pause", &[])).await.unwrap();
    home.phone.called().await;
    let refused = home.call("ping", act("ping", &[("text", "canary-7f3a".into())])).await;
    assert!(matches!(refused, Err(ControlError::Call(CallError::NotConsented(_)))), "{refused:?}");
    assert!(home.phone.stays_silent().await);
}

#[tokio::test]
async fn what_opens_something_is_confirmed_each_time() {
    let mut home = home().await;
    home.agree(None);
    let run = || act("run", &[]);
    let refused = home.call("command", run()).await;
    assert!(matches!(refused, Err(ControlError::NotConfirmed { .. })), "{refused:?}");
    assert!(home.phone.stays_silent().await);
    home.control.call(&home.id, Target::new("command"), run(), Word::Confirmed).await.unwrap();
    assert_eq!(home.phone.called().await.1, Target::new("command"));
}

#[tokio::test]
async fn what_the_owner_trusts_a_device_to_open_is_not_asked_and_is_told_apart_in_the_ledger() {
    let mut home = home().await;
    home.agree(None);
    let call = |home: &Home, service: &str, action: &str| {
        let (control, id, target) = (home.control.clone(), home.id.clone(), Target::new(service));
        let verb = act(action, &[]);
        async move { control.call(&id, target, verb, Word::Trusted).await }
    };
    call(&home, "command", "run").await.unwrap();
    home.phone.called().await;
    call(&home, "media", "pause").await.unwrap();
    home.phone.called().await;
    let lost = call(&home, "vault", "erase").await;
    assert!(matches!(lost, Err(ControlError::NotConfirmed { effect: Effect::Destructive, .. })), "{lost:?}");
    assert!(home.phone.stays_silent().await);
    let records = home.gate.ledger().list(&Default::default()).unwrap();
    let scenarios: Vec<String> = records
        .into_iter()
        .filter(|record| record.public.kind == RecordKind::Intent)
        .filter_map(|record| record.details.and_then(|details| details.scenario))
        .collect();
    assert_eq!(scenarios, ["on.control", "on.control.trusted"], "newest first; what opens nothing was not trusted");
}

#[tokio::test]
async fn the_pin_of_a_device_that_takes_files_is_set() {
    let mut home = home().await;
    home.agree(None);
    let pin = || Verb::Write { property: "pin".into(), data: "2468".into() };
    home.call("files", pin()).await.unwrap();
    let (_, target, verb) = home.phone.called().await;
    assert_eq!((target, verb), (Target::new("files"), pin()));
}

#[tokio::test]
async fn only_what_the_device_offers_in_its_form_reaches_it() {
    let mut home = home().await;
    home.agree(None);
    let write = |property: &str, data| Verb::Write { property: property.into(), data };
    for (service, verb) in [
        ("light", act("toggle", &[])),
        ("media", act("self-destruct", &[])),
        ("media", act("play", &[("loud", Data::Bool(true))])),
        ("media", write("title", "x".into())),
        ("media", write("volume", Data::Int(101))),
        ("media", write("volume", "loud".into())),
        ("ping", act("ping", &[("text", Data::Int(1))])),
        ("ping", act("ping", &[("text", "x".repeat(70_000).as_str().into())])),
        ("media", Verb::Read { properties: vec!["password".into()] }),
        ("pairing", act("accept", &[])),
        ("files", act("send", &[])),
        ("storage", act("list", &[("path", "/sdcard".into())])),
    ] {
        let refused = home.call(service, verb.clone()).await;
        assert!(
            matches!(refused, Err(ControlError::Call(CallError::Unsupported(_) | CallError::BadInput(_)))),
            "{service} {verb:?}: {refused:?}"
        );
    }
    assert!(home.phone.stays_silent().await);
}
