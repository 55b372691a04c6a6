//! What packets lead to and what calls say, and two bridges on loopback.

use std::collections::BTreeMap;

use accord_model::{CallError, Data, Inputs, Outputs, Target, Verb};

use super::heard::{Effect, effects};
use super::mirror::Again;
use super::peer::Peer;
use super::{calls, mirror};
use crate::core::KdeId;
use crate::core::identity::DeviceType;
use crate::core::packet::{Body, Packet};

fn peer() -> Peer {
    let mut peer = Peer::new(KdeId::from_bytes([3; 16]), "Phone".into(), DeviceType::Phone);
    peer.incoming = Body::KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    peer.outgoing = peer.incoming.clone();
    peer.paired = Some(accord_model::Timestamp::UNIX_EPOCH);
    peer
}

fn hear(peer: &mut Peer, kind: &str, body: &str) -> Vec<Effect> {
    let line = format!(r#"{{"id":1,"type":"kdeconnect.{kind}","body":{body}}}"#);
    effects(peer, Packet::parse(line.as_bytes()).unwrap())
}

fn inputs(pairs: &[(&str, Data)]) -> Inputs {
    pairs.iter().map(|(id, data)| ((*id).to_owned(), data.clone())).collect()
}

fn show(peer: &mut Peer, pairs: &[(&str, Data)]) -> Vec<Packet> {
    let (next, packets) = mirror::show(&peer.shown, "show", &inputs(pairs)).unwrap();
    peer.shown = next;
    packets
}

fn asked(effects: &[Effect]) -> Vec<(&str, u16, String)> {
    let ask = |effect: &Effect| match effect {
        Effect::Ask(target, Verb::Act { action, .. }) => Some((target.instance, action.clone())),
        Effect::Ask(target, Verb::Write { property, data }) => Some((target.instance, format!("{property}={data:?}"))),
        _ => None,
    };
    let service =
        |effect: &Effect| if let Effect::Ask(target, _) = effect { Some(target.service.clone()) } else { None };
    effects
        .iter()
        .filter_map(|effect| {
            let known = ["media", "volume", "command", "ringer", "screen-lock", "input"];
            let service = service(effect)?;
            let (instance, what) = ask(effect)?;
            Some((known.into_iter().find(|known| *known == service)?, instance, what))
        })
        .collect()
}

#[test]
fn what_nobody_showed_is_met_with_silence() {
    let questions = [
        ("battery.request", r#"{"request":true}"#),
        ("mpris.request", r#"{"requestPlayerList":true}"#),
        ("mpris.request", r#"{"player":"vlc","action":"Play","requestNowPlaying":true}"#),
        ("systemvolume.request", r#"{"requestSinks":true}"#),
        ("systemvolume.request", r#"{"name":"0","volume":100}"#),
        ("runcommand.request", r#"{"requestCommandList":true}"#),
        ("runcommand.request", r#"{"key":"0"}"#),
        ("notification.request", r#"{"request":true}"#),
        ("lock.request", r#"{"requestLocked":true}"#),
        ("lock.request", r#"{"setLocked":false}"#),
        ("sftp.request", r#"{"startBrowsing":true}"#),
        ("sms.request_conversations", "{}"),
        ("contacts.request_all_uids_timestamps", "{}"),
    ];
    for (kind, body) in questions {
        assert_eq!(hear(&mut peer(), kind, body), [], "{kind} {body}");
    }
}

#[test]
fn what_was_shown_is_answered_and_only_that_can_be_asked_for() {
    let mut peer = peer();
    let text = |text: &str| Data::from(text);
    show(&mut peer, &[("service", text("command")), ("instance", 4.into()), ("label", text("Lights"))]);
    let asked_again = hear(&mut peer, "runcommand.request", r#"{"requestCommandList":true}"#);
    assert_eq!(asked_again, [Effect::Again(Again::Commands)]);
    let list = peer.shown.again(Again::Commands);
    let Some(Packet { body: Body::RunCommand(list), .. }) = list else { panic!("{list:?}") };
    assert_eq!(list.command_list.0["4"].name, "Lights");
    assert_eq!(asked(&hear(&mut peer, "runcommand.request", r#"{"key":"4"}"#)), [("command", 4, "run".into())]);
    assert_eq!(hear(&mut peer, "runcommand.request", r#"{"key":"5"}"#), []);

    let media =
        [("service", text("media")), ("label", text("mpv")), ("playing", true.into()), ("position", 10.0.into())];
    let said = show(&mut peer, &media);
    assert_eq!(said.len(), 2, "the list and the state");
    assert_eq!(show(&mut peer, &media).len(), 1, "the state alone");
    let effects =
        hear(&mut peer, "mpris.request", r#"{"player":"mpv","action":"Next","Seek":-2000000,"setVolume":250}"#);
    let wanted = [
        ("media", 0, "next".to_owned()),
        ("media", 0, "position=Float(8.0)".to_owned()),
        ("media", 0, "volume=Int(100)".to_owned()),
    ];
    assert_eq!(asked(&effects), wanted);

    show(&mut peer, &[("service", text("volume")), ("instance", 2.into()), ("level", 30.into())]);
    let effects = hear(&mut peer, "systemvolume.request", r#"{"name":"2","muted":true}"#);
    assert_eq!(asked(&effects), [("volume", 2, "muted=Bool(true)".into())]);
    let (next, packets) =
        mirror::show(&peer.shown, "gone", &inputs(&[("service", text("volume")), ("instance", 2.into())])).unwrap();
    assert_eq!(packets.len(), 1, "the list without it");
    peer.shown = next;
    assert_eq!(hear(&mut peer, "systemvolume.request", r#"{"requestSinks":true}"#), []);
}

#[test]
fn only_the_picture_that_was_shown_is_asked_for_and_its_address_says_nothing() {
    let mut peer = peer();
    let text = |text: &str| Data::from(text);
    let media = [("service", text("media")), ("label", text("mpv")), ("artwork", Data::Bytes(vec![1, 2, 3]))];
    let said = show(&mut peer, &media);
    let address = said.iter().find_map(|packet| match &packet.body {
        Body::Mpris(mpris) => mpris.album_art_url.as_ref().map(|address| address.as_str().to_owned()),
        _ => None,
    });
    let address = address.expect("its address is told");
    let request =
        |player: &str, address: &str| format!(r#"{{"player":"{player}","albumArtUrl":"{address}","action":"Stop"}}"#);
    assert_eq!(hear(&mut peer, "mpris.request", &request("mpv", &address)), [Effect::Art(0, address.clone())]);
    for other in ["file:///etc/passwd", "file:///accord/00", ""] {
        assert_eq!(hear(&mut peer, "mpris.request", &request("mpv", other)), [], "{other}");
    }
    assert_eq!(hear(&mut peer, "mpris.request", &request("vlc", &address)), []);
    // A picture that is no more.
    show(&mut peer, &[("service", text("media")), ("label", text("mpv")), ("artwork", Data::Bytes(vec![]))]);
    assert_eq!(hear(&mut peer, "mpris.request", &request("mpv", &address)), []);
}

#[test]
fn what_a_phone_says_becomes_values_and_events() {
    let mut peer = peer();
    let values = |effects: Vec<Effect>| -> BTreeMap<String, Data> {
        let of = |effect| if let Effect::Values(_, values) = effect { values } else { BTreeMap::new() };
        effects.into_iter().flat_map(of).map(|(id, value)| (id, value.data)).collect()
    };
    let battery = values(hear(&mut peer, "battery", r#"{"currentCharge":-1,"isCharging":true,"thresholdEvent":1}"#));
    assert_eq!(battery, inputs(&[("charging", true.into()), ("low", true.into())]));
    let sinks = r#"{"sinkList":[{"name":"s","description":"Speaker","muted":false,"volume":15,"maxVolume":30}]}"#;
    assert_eq!(values(hear(&mut peer, "systemvolume", sinks))["level"], Data::Int(50));
    let state = r#"{"player":"spotify","title":"T","isPlaying":true,"length":60000,"pos":-1}"#;
    let effects = hear(&mut peer, "mpris", state);
    assert_eq!(effects[0], Effect::Described, "a player that was not listed");
    let media = values(effects);
    assert_eq!((&media["length"], media.get("position")), (&Data::Float(60.0), None));
    let posted =
        hear(&mut peer, "notification", r#"{"id":"7","title":"A","text":"B","requestReplyId":"r","actions":["Like"]}"#);
    let [Effect::Event("notifications", "posted", said)] = &posted[..] else { panic!("{posted:?}") };
    assert_eq!((said["reply"].as_bool(), said["body"].as_text()), (Some(true), Some("B")));
    let act = |action: &str, more: &[(&str, Data)]| {
        let inputs = inputs(&[&[("id", Data::from("7"))], more].concat());
        calls::packets(&peer, &Target::new("notifications"), Verb::Act { action: action.into(), inputs })
    };
    let reply = act("reply", &[("text", "hi".into())]).unwrap();
    assert!(matches!(&reply[0].body, Body::NotificationReply(reply) if reply.request_reply_id == "r"));
    let dismissed = act("dismiss", &[]).unwrap();
    assert!(matches!(&dismissed[0].body, Body::NotificationRequest(of) if of.cancel.as_deref() == Some("7")));
    assert!(act("act", &[("action", "Like".into())]).is_ok());
    assert!(matches!(act("reply", &[]), Err(CallError::BadInput(_))));
    let call = hear(&mut peer, "telephony", r#"{"event":"ringing","phoneNumber":"123"}"#);
    assert!(matches!(&call[0], Effect::Event("calls", "ringing", who) if who["number"].as_text() == Some("123")));
}

#[test]
fn one_of_ours_is_taken_back_and_one_of_theirs_dismissed() {
    let mut peer = peer();
    hear(&mut peer, "notification", r#"{"id":"theirs","title":"A"}"#);
    let dismiss = |peer: &Peer, id: &str| {
        let verb = Verb::Act { action: "dismiss".into(), inputs: inputs(&[("id", id.into())]) };
        calls::packets(peer, &Target::new("notifications"), verb).unwrap().remove(0).body
    };
    assert!(matches!(dismiss(&peer, "theirs"), Body::NotificationRequest(_)));
    assert!(matches!(dismiss(&peer, "ours"), Body::Notification(of) if of.is_cancel == Some(true) && of.id == "ours"));
    hear(&mut peer, "notification", r#"{"id":"theirs","isCancel":true}"#);
    assert!(matches!(dismiss(&peer, "theirs"), Body::Notification(_)));
}

#[test]
fn a_notification_waits_for_its_picture_and_a_later_one_goes_before() {
    let mut peer = peer();
    let mut told = || {
        let pictured = hear(&mut peer, "notification", r#"{"id":"7","title":"A","payloadHash":"abc"}"#);
        let [Effect::Picture(picture)] = &pictured[..] else { panic!("{pictured:?}") };
        assert_eq!(picture.arguments["title"].as_text(), Some("A"));
        picture.no
    };
    let (first, second) = (told(), told());
    assert!(!peer.posted.is_as_told("7", first) && peer.posted.is_as_told("7", second));
}

#[test]
fn a_device_that_comes_is_asked_for_what_it_has_and_for_every_new_player() {
    let mut peer = peer();
    let kinds: Vec<_> = calls::first_questions(&peer).iter().map(|packet| packet.body.kind()).collect();
    assert!(kinds.contains(&"kdeconnect.mpris.request") && kinds.contains(&"kdeconnect.runcommand.request"));
    let shares = |packet: &Packet| packet.body.fields() != accord_model::FieldSet::EMPTY;
    assert!(!calls::first_questions(&peer).iter().any(shares), "a question shares nothing");
    let mut asks = |list: &str| {
        let effects = hear(&mut peer, "mpris", &format!(r#"{{"playerList":{list}}}"#));
        effects.into_iter().filter(|effect| matches!(effect, Effect::Say(_))).count()
    };
    assert_eq!((asks(r#"["mpv","vlc"]"#), asks(r#"["vlc"]"#), asks(r#"["vlc","mpv"]"#)), (2, 0, 1));
}

#[test]
fn what_a_command_printed_is_told_when_the_feature_tells_it() {
    let call = accord_model::CallId(7);
    assert!(super::runs::told(call, "Lights", &Outputs::new()).is_empty());
    let answer = inputs(&[("output", "off\nall".into()), ("code", 1.into())]);
    let told = super::runs::told(call, "Lights", &answer);
    let bodies: Vec<_> = told
        .iter()
        .filter_map(|one| if let Body::RunCommandOutput(of) = &one.body { Some(of) } else { None })
        .collect();
    assert_eq!((bodies.len(), bodies[1].stdout.as_ref().map(Vec::len)), (3, Some(2)));
    assert_eq!((bodies[2].success, bodies[2].exit_code), (Some(false), Some(1)));
}

#[test]
fn pictures_are_not_copied_by_kde_connect() {
    let image = Verb::Act { action: "set".into(), inputs: inputs(&[("image", Data::Bytes(vec![1]))]) };
    let refused = calls::packets(&peer(), &Target::new("clipboard"), image);
    assert!(matches!(refused, Err(CallError::Unsupported(why)) if why.contains("no pictures")));
}

#[test]
fn a_pointer_and_keys_are_asked_for_one_by_one() {
    let mut peer = peer();
    let mut says = |body: &str| asked(&hear(&mut peer, "mousepad.request", body)).pop().map(|(_, _, what)| what);
    assert_eq!(says(r#"{"dx":1,"dy":2}"#).as_deref(), Some("move"));
    assert_eq!(says(r#"{"dx":1,"dy":2,"scroll":true}"#).as_deref(), Some("scroll"));
    assert_eq!(says(r#"{"singleclick":true}"#).as_deref(), Some("click"));
    assert_eq!(says(r#"{"key":"a"}"#).as_deref(), Some("type"));
    assert_eq!(says(r#"{"key":"c","ctrl":true}"#).as_deref(), Some("key"));
    assert_eq!(says(r#"{"key":"A","shift":true}"#).as_deref(), Some("type"), "a capital is one already");
    assert_eq!(says(r#"{"specialKey":21}"#).as_deref(), Some("key"));
    assert_eq!(says(r#"{"singlehold":true}"#).as_deref(), Some("hold"));
    assert_eq!(says(r#"{"singlerelease":true,"dx":1}"#).as_deref(), Some("release"));
    assert_eq!(says(r#"{"specialKey":999}"#), None);
}

#[test]
fn a_key_that_wants_an_echo_gets_its_own_words_back_and_nothing_more() {
    let typed =
        hear(&mut peer(), "mousepad.request", r#"{"key":"a","specialKey":-1,"ctrl":false,"sendAck":true,"x":"y"}"#);
    let [Effect::Typed(target, Verb::Act { action, .. }, echo)] = &typed[..] else { panic!("{typed:?}") };
    assert_eq!((target.service.as_str(), action.as_str()), ("input", "type"));
    assert_eq!(echo.key.as_ref().map(|key| key.as_str()), Some("a"));
    assert_eq!((echo.special_key, echo.ctrl, echo.is_ack), (Some(-1), Some(false), true));
    // Moves are not echoed, whatever they ask for.
    assert!(matches!(&hear(&mut peer(), "mousepad.request", r#"{"dx":1,"sendAck":true}"#)[..], [Effect::Ask(..)]));
}

#[test]
fn a_text_is_typed_line_by_line_on_a_desktop_and_whole_on_a_phone() {
    let mut peer = peer();
    let says = |peer: &Peer, text: &str| {
        let verb = Verb::Act { action: "type".into(), inputs: inputs(&[("text", text.into())]) };
        let packets = calls::packets(peer, &Target::new("input"), verb)?;
        let of = |packet: &Packet| match &packet.body {
            Body::Mousepad(of) => {
                of.key.as_ref().map_or_else(|| format!("{:?}", of.special_key), |key| key.as_str().to_owned())
            }
            other => format!("{other:?}"),
        };
        Ok::<_, CallError>(packets.iter().map(of).collect::<Vec<_>>())
    };
    assert_eq!(says(&peer, "a\nb").unwrap(), ["a\nb"]);
    peer.kind = DeviceType::Desktop;
    assert_eq!(says(&peer, "a\r\n\nb").unwrap(), ["a", "Some(12)", "Some(12)", "b"]);
    assert!(matches!(says(&peer, &"\n".repeat(5000)), Err(CallError::BadInput(_))));
    let hold = |button: &str| Verb::Act { action: "hold".into(), inputs: inputs(&[("button", button.into())]) };
    assert!(calls::packets(&peer, &Target::new("input"), hold("left")).is_ok());
    assert!(matches!(calls::packets(&peer, &Target::new("input"), hold("right")), Err(CallError::Unsupported(_))));
}

#[test]
fn what_the_app_there_does_not_take_is_not_sent() {
    let mut peer = peer();
    peer.incoming.clear();
    let ping = Verb::Act { action: "ping".into(), inputs: Inputs::new() };
    assert!(matches!(calls::packets(&peer, &Target::new("ping"), ping), Err(CallError::Unsupported(_))));
}

mod two {
    use std::sync::Arc;
    use std::time::Duration;

    use accord_consent::outlet::interfaces::Network;
    use accord_consent::{Choice, Decision, Envelope, Gate, Personal, RecipientId, Signer, To};
    use accord_model::{Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, Inputs, Outputs, Target};
    use accord_registry::{Ask, PairStep, Registry, RegistryEvent};
    use accord_statement::{Publisher, Statement};
    use accord_store::Vault;
    use tokio::sync::{broadcast, mpsc, oneshot};

    use super::super::Happening;
    use super::super::law::{CONNECTION, PRESENCE};
    use crate::core::identity::{Identity, Shown};
    use crate::{KdeConnectBridge, Options, STATEMENT};

    const SOON: Duration = Duration::from_secs(20);

    struct NoSigner;
    impl Signer for NoSigner {
        fn sign(&self, _: &[u8]) -> [u8; 64] {
            [0; 64]
        }
        fn public(&self) -> [u8; 32] {
            [0; 32]
        }
    }

    struct Side {
        gate: Gate,
        registry: Registry,
        events: broadcast::Receiver<RegistryEvent>,
        happened: mpsc::Sender<Happening>,
        identity: Identity,
        _folder: tempfile::TempDir,
    }

    impl Side {
        fn new(name: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let publisher = Publisher { name: "Accord".into(), contact: None, url: None };
            let statement = Statement::join("accord", "Accord", publisher, "1", &[STATEMENT]).unwrap();
            let gate = Gate::open(&folder.path().join("data"), statement, Arc::new(NoSigner)).unwrap();
            let (name, kind) = (name.to_owned(), DeviceKind::Laptop);
            let options = Options {
                name,
                kind,
                folder: Vault::new(folder.path(), &[7; 32]).folder("kde"),
                network: Network::Loopback,
            };
            let bridge = KdeConnectBridge::new(gate.bind("kdeconnect"), options).unwrap();
            let happened = bridge.driver.happened.0.clone();
            let line = bridge.driver.own.identity().datagram(Shown::Full, 1716, accord_model::Timestamp::now());
            let identity = Identity::parse(line.bytes.trim_ascii()).unwrap();
            let registry = Registry::new();
            let events = registry.events();
            registry.add_bridge(Box::new(bridge));
            Self { gate, registry, events, happened, identity, _folder: folder }
        }
        fn grant(&self, entry: &str, to: RecipientId) {
            let entry = EntryKey::new(entry).unwrap();
            let shown = self.gate.notice(&entry, "en").unwrap().shown("cli");
            self.gate.decide(Decision::new(entry, To::One(to), Choice::Always, shown)).unwrap();
        }
        async fn port(&self) -> u16 {
            loop {
                let (ask, answer) = oneshot::channel();
                self.happened.send(Happening::Port(ask)).await.unwrap();
                if let Some(port) = answer.await.unwrap() {
                    return port;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        async fn sees(&mut self, fits: impl Fn(&Device) -> bool) -> DeviceId {
            let wait = async {
                loop {
                    if let RegistryEvent::Seen(known) = self.events.recv().await.unwrap()
                        && fits(&known.device)
                    {
                        return known.device.id.clone();
                    }
                }
            };
            tokio::time::timeout(SOON, wait).await.expect("the other is seen")
        }
        async fn hears(&mut self, wanted: &str) -> Outputs {
            let wait = async {
                loop {
                    if let RegistryEvent::Event(_, _, event, arguments) = self.events.recv().await.unwrap()
                        && event == wanted
                    {
                        return arguments;
                    }
                }
            };
            tokio::time::timeout(SOON, wait).await.unwrap_or_else(|_| panic!("no `{wanted}`"))
        }
    }

    #[tokio::test]
    async fn two_bridges_pair_ping_and_stop_when_the_consent_ends() {
        let (mut one, mut two) = (Side::new("one"), Side::new("two"));
        let silent = tokio::time::timeout(Duration::from_millis(300), one.events.recv()).await;
        assert!(silent.is_err(), "something happened without consent: {silent:?}");
        for side in [&one, &two] {
            side.grant(PRESENCE, RecipientId::lan());
        }
        let to = ([127, 0, 0, 1], two.port().await).into();
        one.port().await;
        one.happened.send(Happening::Reach(to, Box::new(two.identity.clone()))).await.unwrap();
        let other = one.sees(|device| device.name == "two").await;
        let back = two.sees(|device| device.name == "one").await;

        one.registry.pair(&other, PairStep::Request, Inputs::new(), SOON).await.unwrap();
        let key = two.hears("asked").await["verification"].clone();
        assert_eq!(one.hears("requested").await["verification"], key);
        two.registry.pair(&back, PairStep::Accept, Inputs::new(), SOON).await.unwrap();
        one.hears("paired").await;
        let early = ping(&one, &other).await;
        assert!(early.is_err(), "paired, but the owner has not agreed");
        one.grant(CONNECTION, RecipientId::device(&other));
        two.grant(CONNECTION, RecipientId::device(&back));
        two.sees(|device| device.service("ping").is_some()).await;
        let pinged = async {
            while ping(&one, &other).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(SOON, pinged).await.expect("a ping is written");
        assert_eq!(two.hears("pinged").await["text"].as_text(), Some("hello"));

        let entry = EntryKey::new(CONNECTION).unwrap();
        one.gate.withdraw((entry, RecipientId::device(&other))).unwrap();
        two.sees(|device| device.reach == accord_model::Reach::Offline).await;
        assert!(ping(&one, &other).await.is_err());
    }

    async fn ping(side: &Side, device: &DeviceId) -> Result<(), String> {
        let entry = EntryKey::new(CONNECTION).unwrap();
        let port = side.registry.port(&side.gate.bind("kdeconnect"), entry, "on.use");
        let text = Envelope::new().data("text", &Personal::new(FieldCode::TextContent, Data::from("hello")));
        let outcome = port.call(device, Target::new("ping"), Ask::act("ping"), text, SOON).await;
        outcome.map(drop).map_err(|error| error.to_string())
    }
}
