//! Each thing that is asked of a phone has a consent of its own.

use accord_consent::{Choice, Decision, Gate, RecipientId, To, example};
use accord_model::{CallError, Device, DeviceId, DeviceKind, EntryKey, Reach, Target, Verb, catalogue};
use accord_people::{CONTACTS, MESSAGES, People, REPLY};
use accord_registry::Registry;
use accord_registry::example::{Memory, bridge};

struct Home {
    gate: Gate,
    people: People,
    phone: Memory,
    id: DeviceId,
    _registry: Registry,
    _dir: tempfile::TempDir,
}

async fn home() -> Home {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::open(dir.path(), example::statement("1", accord_people::STATEMENT), example::key(1)).unwrap();
    let registry = Registry::new();
    let people = People::new(&gate.bind("people"), &registry).unwrap();
    let id = DeviceId::new("phone").unwrap();
    let mut device = Device::new(id.clone(), DeviceKind::Phone, "Phone");
    device = device.with(catalogue::messages()).with(catalogue::contacts());
    device.reach = Reach::Local;
    let mut events = registry.events();
    let (phone, memory) = bridge(vec![device]);
    registry.add_bridge(phone);
    events.recv().await.unwrap();
    Home { gate, people, phone: memory, id, _registry: registry, _dir: dir }
}

impl Home {
    fn agree(&self, entry: &str) {
        let entry = EntryKey::new(entry).unwrap();
        let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&self.id));
        self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    async fn asked(&mut self) -> (String, String) {
        let (_, Target { service, .. }, verb) = self.phone.called().await;
        let Verb::Act { action, .. } = verb else { panic!("{verb:?}") };
        (service, action)
    }
    async fn outcomes(&self) -> [bool; 3] {
        let to = ["+49 1".to_owned()];
        let refused = |error: &CallError| assert!(matches!(error, CallError::NotConsented(_)), "{error:?}");
        [
            self.people.conversations(&self.id).await.inspect_err(refused).is_ok(),
            self.people.contacts(&self.id).await.inspect_err(refused).is_ok(),
            self.people.send(&self.id, &to, "hello").await.inspect_err(refused).is_ok(),
        ]
    }
}

#[tokio::test]
async fn nothing_is_asked_of_a_phone_without_its_own_consent() {
    let mut home = home().await;
    assert_eq!(home.outcomes().await, [false; 3]);
    assert!(home.phone.stays_silent().await);
    home.agree(MESSAGES);
    assert_eq!(home.outcomes().await, [true, false, false], "reading is not writing");
    assert_eq!(home.asked().await, ("messages".into(), "conversations".into()));
    home.agree(CONTACTS);
    assert_eq!(home.outcomes().await, [true, true, false]);
    home.agree(REPLY);
    assert_eq!(home.outcomes().await, [true; 3]);
}

#[tokio::test]
async fn what_is_no_message_is_not_sent() {
    let mut home = home().await;
    home.agree(REPLY);
    let one = ["+49 1".to_owned()];
    let many = vec!["1".to_owned(); 100];
    let evil = ["1\u{202e}2".to_owned()];
    let long = "x".repeat(5000);
    for (to, text) in
        [(&one[..], ""), (&one[..], " \n"), (&one[..], &long), (&[][..], "hi"), (&many, "hi"), (&evil, "hi")]
    {
        let refused = home.people.send(&home.id, to, text).await;
        assert!(matches!(refused, Err(CallError::BadInput(_))), "{refused:?}");
    }
    assert!(home.phone.stays_silent().await);
}
