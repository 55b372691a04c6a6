//! A queue on devices in memory that fetch over loopback and do what the test says: control, ends, hand-over, what goes wrong.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "devices for tests, on loopback")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use accord_casting::{
    Act, Cast, CastError, CastEvent, Casting, Kind, Network, Other, QueuedState, Request, Source, Step, There,
};
use accord_consent::{Choice, Decision, Gate, RecipientId, Signer, To};
use accord_model::{
    Action, CallError, Data, Device, DeviceId, DeviceKind, EntryKey, Format, FromBridge, Outputs, Property, Reach,
    Source as Seen, Target, Timestamp, ToBridge, Value, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide, Registry};
use accord_statement::{Publisher, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
    fn public(&self) -> [u8; 32] {
        [0; 32]
    }
}

/// A renderer that fetches what it is told to open, and says of itself what the test wants.
struct Renderer {
    id: DeviceId,
    told: mpsc::Sender<(String, Outputs)>,
    says: mpsc::Receiver<Says>,
}

enum Says {
    Values(Vec<(&'static str, Data)>),
    Reach(Reach),
}

fn value(data: Data) -> Value {
    Value { data, seen: Timestamp::now(), source: Seen::Pushed, fresh_for_s: 60 }
}

fn described(id: &DeviceId, reach: Reach) -> Device {
    let mut media = catalogue::media();
    media.properties.extend([catalogue::media_address(), Property::state("moving", Format::Bool)]);
    media.properties.extend([Property::state("ended", Format::Text), Property::state("turn", Format::Int)]);
    media.actions.push(Action { id: "enqueue".into(), ..catalogue::open_media() });
    media.actions.push(catalogue::open_media());
    media.values.insert("address".into(), value("127.0.0.1".into()));
    let mut device = Device::new(id.clone(), DeviceKind::Tv, id.as_str()).with(media);
    device.reach = reach;
    device
}

#[async_trait::async_trait]
impl Bridge for Renderer {
    fn name(&self) -> &str {
        self.id.as_str()
    }
    async fn run(mut self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let _ = side.tell(FromBridge::Seen { device: described(&self.id, Reach::Local) }).await;
        loop {
            tokio::select! {
                message = side.inbox.recv() => match message {
                    Some((ToBridge::Call { call, verb, .. }, _)) => {
                        let (word, inputs) = match verb {
                            Verb::Act { action, inputs } => (action, inputs),
                            Verb::Write { property, data } => (property, Outputs::from([("value".to_owned(), data)])),
                            Verb::Read { .. } => continue,
                        };
                        if let Some(Data::Text(address)) = inputs.get("address").filter(|_| word == "open" || word == "enqueue")
                        {
                            tokio::spawn(fetch(address.clone()));
                        }
                        let _ = self.told.send((word, inputs)).await;
                        let _ = side.tell(FromBridge::Reply { call, outcome: Ok(Outputs::new()) }).await;
                    }
                    Some((ToBridge::Stop, _)) | None => return Ok(()),
                    Some(_) => {}
                },
                Some(says) = self.says.recv() => match says {
                    Says::Values(all) => {
                        let values = all.into_iter().map(|(id, data)| (id.to_owned(), value(data)));
                        let values: BTreeMap<String, Value> = values.collect();
                        let told = FromBridge::Values { device: self.id.clone(), target: Target::new("media"), values };
                        let _ = side.tell(told).await;
                    }
                    Says::Reach(reach) => {
                        let _ = side.tell(FromBridge::Seen { device: described(&self.id, reach) }).await;
                    }
                },
            }
        }
    }
}

async fn fetch(url: String) -> Option<String> {
    let (at, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(at).await.ok()?;
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned()).filter(|answer| !answer.is_empty())
}

struct Hand {
    id: DeviceId,
    told: mpsc::Receiver<(String, Outputs)>,
    says: mpsc::Sender<Says>,
}

impl Hand {
    fn new(registry: &Registry, id: &str) -> Self {
        let id = DeviceId::new(id).unwrap();
        let (told, hears) = mpsc::channel(16);
        let (says, said) = mpsc::channel(16);
        registry.add_bridge(Box::new(Renderer { id: id.clone(), told, says: said }));
        Self { id, told: hears, says }
    }

    async fn told(&mut self, word: &str) -> Outputs {
        let wanted = async {
            loop {
                let (told, inputs) = self.told.recv().await.unwrap();
                if told == word {
                    return inputs;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wanted).await.unwrap_or_else(|_| panic!("not told to {word}"))
    }

    async fn plays(&self, position: f64, length: f64) {
        let title = Data::Text("Accord".into());
        let values = vec![
            ("playing", true.into()),
            ("moving", true.into()),
            ("position", Data::Float(position)),
            ("length", Data::Float(length)),
            ("title", title),
        ];
        self.says.send(Says::Values(values)).await.unwrap();
    }

    async fn stands(&self) {
        let values = vec![("playing", false.into()), ("moving", false.into()), ("position", Data::Float(0.0))];
        self.says.send(Says::Values(values)).await.unwrap();
    }
}

struct Lab {
    dir: tempfile::TempDir,
    gate: Gate,
    casting: Casting,
    tv: Hand,
    other: Hand,
}

const ALL: [&str; 4] = ["casting/serve", "casting/command", "casting/title", "casting/address"];

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parts = &[accord_casting::STATEMENT];
        let statement = Statement::join("test", "Test", Publisher::named("Test"), "1", parts).unwrap();
        let gate = Gate::open(&dir.path().join("gate"), statement, Arc::new(NoKey)).unwrap();
        let registry = Registry::new();
        let (tv, other) = (Hand::new(&registry, "tv"), Hand::new(&registry, "other"));
        for _ in 0..200 {
            if registry.device(&tv.id).is_some() && registry.device(&other.id).is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let casting = Casting::new(
            gate.bind("casting"),
            registry,
            Network::Loopback,
            accord_recognition::Recogniser::nothing(),
            dir.path(),
        )
        .unwrap();
        std::fs::create_dir(dir.path().join("all")).unwrap();
        let lab = Self { dir, gate, casting, tv, other };
        for (name, content) in [
            ("1.mp3", b"ID3\x04\0\0\0\0\0\0first".as_slice()),
            ("2.mp3", b"#EXTM3U\nno sound at all"),
            ("10.mp3", b"ID3\x04\0\0\0\0\0\0third"),
        ] {
            std::fs::write(lab.path(name), content).unwrap();
        }
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("all").join(name)
    }

    fn grant(&self, entries: &[&str]) {
        for (entry, id) in entries.iter().flat_map(|entry| [(entry, &self.tv.id), (entry, &self.other.id)]) {
            let entry = EntryKey::new(*entry).unwrap();
            let shown = self.gate.notice(&entry, "en").unwrap().shown("test");
            let to = To::One(RecipientId::device(id));
            self.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
        }
    }

    fn request(&self, names: &[&str]) -> Request {
        let what = names.iter().map(|name| Source::Path(self.path(name))).collect();
        Request::new(self.tv.id.clone(), what)
    }

    async fn until(&self, id: &str, what: &str, fits: impl Fn(&Cast) -> bool) -> Cast {
        for _ in 0..300 {
            if let Some(cast) = self.casting.get(id).filter(|cast| fits(cast)) {
                return cast;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not within 15 s: {what}: {:#?}", self.casting.get(id));
    }
}

#[tokio::test]
async fn a_folder_plays_in_order_and_what_is_no_media_costs_itself() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let mut events = lab.casting.events();
    let cast = lab.casting.start(lab.request(&[""])).await.unwrap();
    let names: Vec<_> = cast.queue.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["1.mp3", "2.mp3", "10.mp3"]);
    let first = lab.tv.told("open").await;
    assert_eq!(first["title"], Data::Text("Accord".into()));
    assert_eq!(first["format"], Data::Text("audio/mpeg".into()));
    lab.tv.plays(58.5, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    lab.tv.stands().await;
    // The second is no sound, whatever it is called.
    lab.tv.told("open").await;
    let cast = lab.until(&cast.id, "the third", |cast| cast.at == 2).await;
    assert_eq!(cast.queue[0].state, QueuedState::Done);
    assert!(matches!(&cast.queue[1].state, QueuedState::Failed(why) if why.contains("no film")), "{:?}", cast.queue[1]);
    assert_eq!((cast.queue[2].state.clone(), cast.queue[2].kind), (QueuedState::Now, Kind::Sound));
    lab.tv.plays(30.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    assert!(matches!(lab.casting.act(&cast.id, Act::Next).await, Err(CastError::NotNow(_))), "it is the last");
    lab.tv.plays(59.5, 60.0).await;
    lab.until(&cast.id, "near the end", |cast| cast.place().is_some_and(|place| place > 59.0)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    lab.tv.stands().await;
    let cast = lab.until(&cast.id, "the end", Cast::is_over).await;
    assert!(cast.is_done() && !cast.resumes, "{cast:#?}");
    assert!(matches!(&cast.step, Step::Over(why) if why.contains("1 of 3")), "{:?}", cast.step);
    let mut told = Vec::new();
    while let Ok(CastEvent::Changed(cast)) = events.try_recv() {
        told.push(cast.step);
    }
    assert!(told.contains(&Step::Moving) && matches!(told.last(), Some(Step::Over(_))), "{told:?}");
}

#[tokio::test]
async fn a_device_that_takes_it_is_given_the_next_sound_beforehand_and_goes_on_by_itself() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let cast = lab.casting.start(lab.request(&["1.mp3", "10.mp3"])).await.unwrap();
    let first = lab.tv.told("open").await;
    lab.tv.plays(20.0, 60.0).await;
    let next = lab.tv.told("enqueue").await;
    assert_eq!((&next["title"], &next["format"]), (&first["title"], &first["format"]));
    assert_ne!(next["address"], first["address"]);
    assert_eq!(lab.casting.get(&cast.id).unwrap().at, 0);
    lab.tv.says.send(Says::Values(vec![("turn", Data::Int(1))])).await.unwrap();
    lab.tv.plays(1.0, 30.0).await;
    let went = lab.until(&cast.id, "it went on", |cast| cast.at == 1 && cast.step == Step::Moving).await;
    assert_eq!((went.queue[0].state.clone(), went.queue[1].state.clone()), (QueuedState::Done, QueuedState::Now));
    assert!(went.tries[0].how.contains("without a gap"), "{:?}", went.tries);
    assert!(lab.tv.told.try_recv().is_err(), "it is told nothing for that");
    lab.tv.plays(29.5, 30.0).await;
    lab.until(&cast.id, "near the end", |cast| cast.place().is_some_and(|place| place > 29.0)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    lab.tv.stands().await;
    assert!(lab.until(&cast.id, "the end", Cast::is_over).await.is_done());
    // One that is wanted before its turn is opened as ever.
    let cast = lab.casting.start(lab.request(&["1.mp3", "10.mp3"])).await.unwrap();
    lab.tv.told("open").await;
    lab.tv.plays(20.0, 60.0).await;
    lab.tv.told("enqueue").await;
    lab.casting.act(&cast.id, Act::Next).await.unwrap();
    lab.tv.told("open").await;
}

#[tokio::test]
async fn it_is_held_wound_and_made_louder_as_a_person_wants() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let cast = lab.casting.start(lab.request(&["1.mp3", "10.mp3"])).await.unwrap();
    lab.tv.plays(20.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    lab.casting.act(&cast.id, Act::Pause).await.unwrap();
    lab.tv.told("pause").await;
    lab.tv.says.send(Says::Values(vec![("playing", false.into()), ("moving", false.into())])).await.unwrap();
    lab.until(&cast.id, "it is held", |cast| cast.held).await;
    lab.casting.act(&cast.id, Act::Play).await.unwrap();
    lab.tv.told("play").await;
    lab.casting.act(&cast.id, Act::Seek(45.0)).await.unwrap();
    assert_eq!(lab.tv.told("position").await["value"], Data::Float(45.0));
    lab.casting.act(&cast.id, Act::Seek(1e9)).await.unwrap();
    assert_eq!(lab.tv.told("position").await["value"], Data::Float(59.0), "not beyond the end");
    for bad in [f64::NAN, -1.0] {
        assert!(lab.casting.act(&cast.id, Act::Seek(bad)).await.is_err());
    }
    lab.casting.act(&cast.id, Act::Volume(30)).await.unwrap();
    assert_eq!(lab.tv.told("volume").await["value"], Data::Int(30));
    assert_eq!(lab.casting.act(&cast.id, Act::Next).await.unwrap().at, 1);
    lab.tv.told("open").await;
    assert_eq!(lab.casting.act(&cast.id, Act::Show(0)).await.unwrap().at, 0);
    assert!(lab.casting.act(&cast.id, Act::Show(7)).await.is_err());
    lab.casting.stop(&cast.id).await.unwrap();
    lab.tv.told("stop").await;
    assert!(matches!(lab.casting.act(&cast.id, Act::Pause).await, Err(CastError::NoCast)));
}

#[tokio::test]
async fn it_goes_on_elsewhere_and_stops_here_only_then() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let cast = lab.casting.start(lab.request(&["1.mp3", "10.mp3"])).await.unwrap();
    lab.tv.plays(20.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    let taken = lab.casting.hand_over(&cast.id, &lab.other.id, Vec::new()).await.unwrap();
    let inputs = lab.other.told("open").await;
    assert!(inputs["start"].as_number().is_some_and(|start| (19.0..25.0).contains(&start)), "{inputs:?}");
    lab.tv.plays(21.0, 60.0).await;
    assert_eq!(lab.casting.get(&cast.id).unwrap().to, Some(lab.other.id.clone()));
    assert!(!lab.casting.get(&cast.id).unwrap().is_over(), "not yet seen there");
    lab.other.plays(21.0, 60.0).await;
    lab.tv.told("stop").await;
    let here = lab.until(&cast.id, "it is over here", Cast::is_over).await;
    assert!(matches!(here.step, Step::Over(why) if why.contains("another device")));
    assert_eq!(lab.casting.get(&taken.id).unwrap().queue.len(), 2);
    assert!(matches!(lab.casting.hand_over(&taken.id, &lab.other.id, Vec::new()).await, Err(CastError::NotNow(_))));
}

#[tokio::test]
async fn what_plays_in_no_way_on_one_face_goes_on_on_another_that_the_owner_agreed_to() {
    let others = |lab: &Lab| vec![Other { device: lab.other.id.clone(), label: "Second".into() }];
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let request = Request { others: others(&lab), start: 5.0, ..lab.request(&["1.mp3", "10.mp3"]) };
    let cast = lab.casting.start(request).await.unwrap();
    assert!(lab.until(&cast.id, "what is next", |cast| cast.next.is_some()).await.next.is_some());
    // It says that it cannot play that, in whatever format.
    let mut words = Vec::new();
    let tv = async {
        while let Some((word, _)) = lab.tv.told.recv().await {
            if word == "open" {
                lab.tv.says.send(Says::Values(vec![("ended", Data::Text("failed".into()))])).await.unwrap();
            }
            words.push(word);
        }
    };
    let inputs = tokio::select! {
        inputs = lab.other.told("open") => inputs,
        () = tv => unreachable!(),
    };
    assert_eq!(inputs["start"], Data::Float(5.0));
    let cast = lab.until(&cast.id, "it is there", |cast| cast.device == lab.other.id).await;
    assert_eq!(words.last().map(String::as_str), Some("stop"), "what it may have open is ended there");
    assert_eq!((cast.at, cast.queue[0].state.clone()), (0, QueuedState::Now));
    let cast =
        lab.until(&cast.id, "it is said", |cast| cast.tries.last().is_some_and(|one| one.failed.is_none())).await;
    assert!(
        cast.tries.iter().any(|one| one.failed.as_deref().is_some_and(|why| why.contains("cannot play"))),
        "{cast:#?}"
    );
    assert!(cast.tries.last().unwrap().how.starts_with("by Second: "), "{:?}", cast.tries);
    lab.other.plays(8.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    // It stays there, and what is told now is told there.
    lab.casting.act(&cast.id, Act::Next).await.unwrap();
    lab.other.told("open").await;
    let entry = EntryKey::new("casting/serve").unwrap();
    let shown = lab.gate.notice(&entry, "en").unwrap().shown("test");
    let to = To::One(RecipientId::device(&lab.other.id));
    lab.gate.decide(Decision::new(entry, to, Choice::Never, shown)).unwrap();
    let over = lab.until(&cast.id, "it is over", Cast::is_over).await;
    assert!(matches!(&over.step, Step::Over(why) if why.contains("consent")), "{:?}", over.step);
}

#[tokio::test]
async fn another_face_without_an_agreement_is_told_nothing() {
    let mut lab = Lab::new().await;
    for entry in ALL {
        let entry = EntryKey::new(entry).unwrap();
        let shown = lab.gate.notice(&entry, "en").unwrap().shown("test");
        let to = To::One(RecipientId::device(&lab.tv.id));
        lab.gate.decide(Decision::new(entry, to, Choice::Always, shown)).unwrap();
    }
    let others = vec![Other { device: lab.other.id.clone(), label: "Second".into() }];
    let cast = lab.casting.start(Request { others, ..lab.request(&["1.mp3"]) }).await.unwrap();
    let id = cast.id.clone();
    let tv = async {
        loop {
            lab.tv.told("open").await;
            lab.tv.says.send(Says::Values(vec![("ended", Data::Text("failed".into()))])).await.unwrap();
        }
    };
    let over = tokio::select! {
        over = async {
            loop {
                match lab.casting.get(&id).filter(Cast::is_over) {
                    Some(cast) => return cast,
                    None => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        } => over,
        () = tv => unreachable!(),
    };
    assert!(over.device == lab.tv.id && !over.is_done(), "{over:#?}");
    assert!(lab.other.told.try_recv().is_err(), "nothing was said to it");
}

#[tokio::test]
async fn somebody_else_takes_the_device_and_it_can_be_gone_on_with() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let cast = lab.casting.start(lab.request(&["1.mp3"])).await.unwrap();
    lab.tv.told("open").await;
    lab.tv.plays(20.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    let foreign = vec![
        ("playing", true.into()),
        ("moving", true.into()),
        ("position", Data::Float(1.0)),
        ("length", Data::Float(500.0)),
        ("title", Data::Text("Theirs".into())),
    ];
    lab.tv.says.send(Says::Values(foreign)).await.unwrap();
    let over = lab.until(&cast.id, "it is taken", Cast::is_over).await;
    assert!(matches!(&over.step, Step::Over(why) if why.contains("another sender")) && over.resumes, "{over:#?}");
    assert!(lab.tv.told.try_recv().is_err(), "what is not ours is not stopped");
    let again = lab.casting.act(&cast.id, Act::Play).await.unwrap();
    assert_ne!(again.id, cast.id);
    assert!(!lab.casting.get(&cast.id).unwrap().resumes, "what it needs is the other one's now");
    assert!(matches!(lab.casting.act(&cast.id, Act::Play).await, Err(CastError::NoCast)));
    let inputs = lab.tv.told("open").await;
    assert!(inputs["start"].as_number().is_some_and(|start| start >= 19.0), "{inputs:?}");
}

#[tokio::test]
async fn a_device_that_was_away_is_offered_to_go_on() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    let cast = lab.casting.start(lab.request(&["1.mp3"])).await.unwrap();
    lab.tv.told("open").await;
    lab.tv.plays(20.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    lab.tv.says.send(Says::Reach(Reach::Offline)).await.unwrap();
    lab.until(&cast.id, "it is away", |cast| cast.step == Step::Away).await;
    lab.tv.says.send(Says::Reach(Reach::Local)).await.unwrap();
    let over = lab.until(&cast.id, "it is back", Cast::is_over).await;
    assert!(over.resumes && over.position.is_some_and(|(place, _)| place >= 19.0), "{over:#?}");
    assert!(lab.tv.told.try_recv().is_err(), "it is not begun by itself");
}

#[tokio::test]
async fn titles_and_addresses_take_an_agreement_of_their_own() {
    let mut lab = Lab::new().await;
    lab.grant(&["casting/serve", "casting/command"]);
    let titled = Request { real_title: true, ..lab.request(&["1.mp3"]) };
    assert!(matches!(lab.casting.start(titled.clone()).await, Err(CastError::Told(CallError::NotConsented(_)))));
    let address = "https://example.org/a.mp3?token=x".to_owned();
    let elsewhere = Request::new(lab.tv.id.clone(), vec![Source::Address(address.clone())]);
    assert!(matches!(lab.casting.start(elsewhere.clone()).await, Err(CastError::Told(CallError::NotConsented(_)))));
    assert!(lab.tv.told.try_recv().is_err() && lab.casting.list().is_empty(), "nothing was said");
    lab.grant(&["casting/title", "casting/address"]);
    lab.casting.start(titled).await.unwrap();
    assert_eq!(lab.tv.told("open").await["title"], Data::Text("1".into()));
    let cast = lab.casting.start(elsewhere).await.unwrap();
    let inputs = lab.tv.told("open").await;
    assert_eq!((&inputs["address"], &inputs["title"]), (&Data::Text(address), &Data::Text("Accord".into())));
    lab.tv.plays(3.0, 60.0).await;
    lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    for bad in ["http://127.0.0.1:8420/", "http://localhost/x", "ftp://example.org/x"] {
        let request = Request::new(lab.tv.id.clone(), vec![Source::Address(bad.into())]);
        assert!(matches!(lab.casting.start(request).await, Err(CastError::File(_))), "{bad}");
    }
}

#[tokio::test]
async fn a_file_of_a_media_server_is_told_with_what_is_known_of_it() {
    let mut lab = Lab::new().await;
    let song = There {
        address: "http://10.0.0.9:8200/MediaItems/22".into(),
        name: "A song".into(),
        format: Some("audio/flac".into()),
        parts: Some(true),
        length: Some(Duration::from_millis(61_500)),
    };
    let request =
        |real_title| Request { real_title, ..Request::new(lab.tv.id.clone(), vec![Source::There(song.clone())]) };
    let (plain, titled) = (request(false), request(true));
    lab.grant(&["casting/serve", "casting/command"]);
    assert!(matches!(lab.casting.start(plain.clone()).await, Err(CastError::Told(CallError::NotConsented(_)))));
    lab.grant(&["casting/address"]);
    let cast = lab.casting.start(plain).await.unwrap();
    assert_eq!((cast.queue[0].name.as_str(), cast.queue[0].kind), ("A song", Kind::Sound));
    let inputs = lab.tv.told("open").await;
    for (name, wanted) in [
        ("address", Data::Text(song.address.clone())),
        ("title", Data::Text("Accord".into())),
        ("format", Data::Text("audio/flac".into())),
        ("seek", Data::Text("bytes".into())),
        ("length", Data::Float(61.5)),
    ] {
        assert_eq!(inputs[name], wanted);
    }
    lab.tv.plays(3.0, 61.5).await;
    let moving = lab.until(&cast.id, "it moves", |cast| cast.step == Step::Moving).await;
    assert_eq!((moving.length, moving.fetched), (Some(61.5), 0));
    assert!(lab.casting.start(titled.clone()).await.is_err(), "its name is another agreement");
    lab.grant(&["casting/title"]);
    lab.casting.start(titled).await.unwrap();
    assert_eq!(lab.tv.told("open").await["title"], Data::Text("A song".into()));
    let own = Source::There(There { address: "http://127.0.0.1:1/x".into(), ..song });
    let refused = lab.casting.start(Request::new(lab.tv.id.clone(), vec![own])).await;
    assert!(matches!(refused, Err(CastError::File(_))), "nor by what a server says is it led back here");
}

#[tokio::test]
async fn pictures_follow_each_other_and_the_last_one_stays() {
    let mut lab = Lab::new().await;
    lab.grant(&ALL);
    for name in ["a.png", "b.png"] {
        let content =
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &[0; 40]].concat();
        std::fs::write(lab.path(name), content).unwrap();
    }
    let request = Request { interval: Duration::from_secs(2), ..lab.request(&["a.png", "b.png"]) };
    let cast = lab.casting.start(request).await.unwrap();
    lab.tv.told("open").await;
    let shown = lab.until(&cast.id, "it is shown", Cast::is_seen).await;
    assert!(shown.is_picture() && shown.step == Step::Fetched);
    assert!(lab.casting.picture(&cast.id, 1).is_some_and(|(mime, _)| mime == "image/png"));
    assert!(lab.casting.picture(&cast.id, 2).is_none());
    lab.tv.told("open").await;
    lab.until(&cast.id, "the second", |cast| cast.at == 1 && cast.is_seen()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!lab.casting.get(&cast.id).unwrap().is_over());
}
