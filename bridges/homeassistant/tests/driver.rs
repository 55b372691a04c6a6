//! The driver against a server of its own making that speaks Home Assistant's messages, over loopback: what leaves under
//! which consent, what is told, and what becomes of wrong tokens, other keys and a server that goes and comes back.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "servers for tests, on loopback")]

mod lab;

use std::time::Duration;

use accord_consent::{RecipientId, To};
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, Data, Device, FromBridge, Reach, Verb};
use lab::{Door, House, Lab, TOKEN, act, write};

fn to(id: &accord_model::DeviceId) -> To {
    To::One(RecipientId::device(id))
}

#[tokio::test]
async fn a_house_is_added_shown_and_controlled() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(house.connections(), 0, "nothing is said before the owner agreed");
    lab.grant("homeassistant/connection", to(&server));
    let up = lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    assert!(!format!("{up:?}").contains(TOKEN));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    assert_eq!((lamp.via.as_ref(), lamp.reach), (Some(&server), Reach::Local));
    let light = lamp.service("light").unwrap();
    assert_eq!(light.values["on"].data, Data::Bool(false));
    assert!(lab.call(&lamp.id, "light", write("level", 30i64)).await.is_ok());
    lab.value(&lamp.id, "level", 30i64.into()).await;
    // From its own side.
    house.change("light.bed_light", "off");
    lab.value(&lamp.id, "on", false.into()).await;
    assert!(lab.call(&lamp.id, "light", act("toggle")).await.is_ok());
    lab.value(&lamp.id, "on", true.into()).await;
    let read = lab.call(&lamp.id, "light", Verb::Read { properties: vec!["on".into()] }).await.unwrap();
    assert_eq!(read["on"], Data::Bool(true));
    // Not through a thing, and no other thing.
    assert!(matches!(lab.call(&lamp.id, "pairing", act("unpair")).await, Err(CallError::Unsupported(_))));
    assert!(matches!(lab.call(&lamp.id, "door-lock", act("unlock")).await, Err(CallError::Unsupported(_))));
    // What the server does not reach itself is away, and that is why.
    house.change("light.bed_light", "unavailable");
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Offline).await;
    lab.until_why(&lamp.id, |fact| matches!(fact, Fact::AwayThere { by } if by == "Lab")).await;
    house.change("light.bed_light", "on");
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    // What the server refuses has its reason.
    house.fail("unauthorized");
    assert!(matches!(lab.call(&lamp.id, "light", act("toggle")).await, Err(CallError::Refused(_))));
    // Withdrawn: it is silent, and its things are away.
    lab.withdraw("homeassistant/connection", to(&server));
    lab.reach(&lamp.id, Reach::Offline).await;
    assert!(matches!(lab.call(&lamp.id, "light", act("toggle")).await, Err(CallError::NotConsented(_))));
    assert!(lab.ledger_has("homeassistant/connection", &server));
    lab.grant("homeassistant/connection", to(&server));
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    // Removed: so are its things.
    assert!(lab.call(&server, "pairing", act("unpair")).await.is_ok());
    lab.gone(&lamp.id).await;
}

#[tokio::test]
async fn a_camera_is_looked_at_over_a_connection_of_its_own_and_only_while_that_is_agreed_to() {
    let mut house = House::new(Some("a")).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let camera = lab.seen(|device| device.name == "Demo camera" && device.reach == Reach::Local).await;
    assert_eq!(camera.kind, accord_model::DeviceKind::Camera);
    assert_eq!(camera.service("picture").unwrap().actions.len(), 2);
    assert!(matches!(lab.look(&camera.id, "picture").await, Err(CallError::Device(why)) if why.contains("no picture")));
    house.new_camera_token(true);
    lab.value(&camera.id, "streaming", false.into()).await;
    let (connections, tokens) = (house.connections(), house.tokens());
    let picture = lab.look(&camera.id, "picture").await.unwrap();
    assert_eq!((picture.format(), picture.into_bytes().len()), ("image/jpeg", 300_004));
    assert_eq!(
        (house.connections(), house.tokens()),
        (connections + 1, tokens),
        "the owner's token is not said for that"
    );
    // Its token was another one a moment ago.
    house.new_camera_token(false);
    assert!(matches!(lab.look(&camera.id, "picture").await, Err(CallError::Refused(_))));
    house.hang(true);
    assert!(matches!(lab.look(&camera.id, "picture").await, Err(CallError::Device(why)) if why.contains("503")));
    house.hang(false);
    // What has nothing to be looked at, and whose server is away, or may not be spoken to.
    assert!(matches!(lab.look(&camera.id, "files").await, Err(CallError::Unsupported(_))));
    assert!(matches!(lab.look(&server, "picture").await, Err(CallError::Unsupported(_))));
    house.stop().await;
    lab.reach(&camera.id, Reach::Offline).await;
    assert!(
        matches!(lab.look(&camera.id, "picture").await, Err(CallError::Unreachable(why)) if why.contains("not reached"))
    );
    house.start().await;
    lab.withdraw("homeassistant/connection", to(&server));
    let connections = house.connections();
    assert!(matches!(lab.look(&camera.id, "picture").await, Err(CallError::NotConsented(_))));
    assert_eq!(house.connections(), connections);
}

#[tokio::test]
async fn what_was_known_before_a_start_is_spoken_for_and_goes_once_the_server_does_not_know_it() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    let known = |id: &str| Device { id: id.parse().unwrap(), reach: Reach::Offline, ..lamp.clone() };
    let foreign = Device { via: Some("nobody".parse().unwrap()), ..known("homeassistant-foreign") };
    let before = vec![known(lamp.id.as_str()), known("homeassistant-lost"), foreign];
    let still = lab.again(before).await;
    assert_eq!(still, [lamp.id.clone(), "homeassistant-lost".parse().unwrap()]);
    // It is spoken for while the server is away.
    let away = lab.call(&lamp.id, "light", act("toggle")).await;
    assert!(matches!(away, Err(CallError::Unreachable(_))), "{away:?}");
    lab.until_why(&lamp.id, |fact| matches!(fact, Fact::Tried { .. })).await;
    // Another token: its things stay what they are.
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), server);
    house.start().await;
    lab.gone(&"homeassistant-lost".parse().unwrap()).await;
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
}

#[tokio::test]
async fn a_server_that_moved_is_the_same_with_its_things_and_the_token_that_it_had() {
    for tls in [None, Some("one")] {
        let mut house = House::new(tls).await;
        let mut lab = Lab::new().await;
        let server = lab.add(&house.url(), TOKEN).await.unwrap();
        lab.grant("homeassistant/connection", to(&server));
        let lamp = lab.seen(|device| device.name == "Bed Light" && device.reach == Reach::Local).await;
        let before = house.url();
        house.moves().await;
        lab.reach(&lamp.id, Reach::Offline).await;
        let (url, id) = (house.url(), server.to_string());
        let again = lab.add_by("token", &[("address", &url), ("again", &id)]).await.unwrap();
        assert_eq!(again["devices"], Data::Texts(vec![id.clone()]));
        // What was agreed to for it holds.
        lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
        assert!(lab.call(&lamp.id, "light", act("toggle")).await.is_ok());
        // Who is where it was is somebody else.
        let other = lab.add(&before, TOKEN).await.unwrap();
        assert_ne!(other, server);
        let no = lab.add_by("token", &[("address", &before), ("again", &id)]).await.unwrap_err();
        assert!(matches!(&no, CallError::BadInput(why) if why.contains("another Home Assistant")), "{no}");
        let no = lab.add_by("token", &[("address", "10.0.0.1"), ("again", lamp.id.as_str())]).await.unwrap_err();
        assert!(matches!(&no, CallError::BadInput(why) if why.contains("no Home Assistant")), "{no}");
        // The token that was given for https is not said in clear by an oversight.
        let clear = url.replace("https", "http");
        let clear = lab.add_by("token", &[("address", &clear), ("again", &id)]).await;
        assert_eq!(clear.is_err(), tls.is_some(), "{clear:?}");
    }
}

#[tokio::test]
async fn a_day_away_is_few_attempts_and_one_record_and_nothing_is_done_late() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    let (attempts, over) = house.slam().await;
    assert!(matches!(lab.call(&lamp.id, "light", act("toggle")).await, Err(CallError::Unreachable(_))));
    let before = lab.told_and_records().1;
    tokio::time::pause();
    let mut told = 0;
    for _ in 0..1440 {
        minute().await;
        told += lab.told_and_records().0;
    }
    let (attempts, (_, records)) = (attempts.load(std::sync::atomic::Ordering::SeqCst), lab.told_and_records());
    println!("a day away: {attempts} attempts, {told} messages, {} records", records - before);
    assert!((100..=360).contains(&attempts) && told <= 4 && records - before <= 4, "{attempts} {told} {records}");
    // It is back within five minutes, as it is now.
    house.change("light.bed_light", "on");
    house.open_again(&over).await;
    let before = house.connections();
    // Five minutes, as they fall on these.
    for _ in 0..7 {
        minute().await;
        // What is tried then takes its real time.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(40))).await.unwrap();
        if house.connections() > before {
            break;
        }
    }
    assert!(house.connections() > before, "it is tried within five minutes");
    tokio::time::resume();
    let back = lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    assert_eq!((back.service("light").unwrap().values["on"].data.clone(), house.called()), (Data::Bool(true), 0));
}

/// A minute passes, and what it wakes has a moment.
async fn minute() {
    tokio::time::advance(Duration::from_secs(60)).await;
    // Time does not go on by itself meanwhile.
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_micros(1500))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_token_is_tried_once_and_a_new_one_helps() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), "an-expired-token-of-old").await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let facts = lab.until_why(&server, |fact| matches!(fact, Fact::TurnedAway { .. })).await;
    assert!(!format!("{facts:?}").contains("expired-token"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(house.connections(), 1, "whoever tries a wrong token again and again is banned");
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), server);
    lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    let facts = lab.until_why(&server, |fact| matches!(fact, Fact::Connected { .. })).await;
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::TurnedAway { .. })));
}

#[tokio::test]
async fn a_server_that_goes_comes_back_and_so_do_its_things() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    let error = lab.call(&lamp.id, "light", act("toggle")).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error:?}");
    lab.until_why(&server, |fact| matches!(fact, Fact::Tried { outcome: Outcome::Refused, .. })).await;
    house.start().await;
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    assert!(lab.call(&lamp.id, "light", act("toggle")).await.is_ok());
}

#[tokio::test]
async fn a_server_that_hangs_is_said_not_to_answer_and_so_are_its_things() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    let answered = |fact: &Fact| matches!(fact, Fact::Tried { outcome: Outcome::Answered, .. });
    lab.until_why(&lamp.id, answered).await;
    house.hang(true);
    for id in [&server, &lamp.id] {
        let began = std::time::Instant::now();
        let facts = lab.why(id).await;
        assert!(facts.iter().any(|fact| matches!(fact, Fact::Tried { outcome: Outcome::Mute, .. })), "{facts:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
    house.hang(false);
    lab.until_why(&server, answered).await;
}

#[tokio::test]
async fn a_server_that_takes_connections_and_does_not_speak_is_told_in_time() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    lab.seen(|device| device.name == "Bed Light").await;
    house.door(Door::Waits);
    house.hang(true);
    let began = std::time::Instant::now();
    let facts = lab.why(&server).await;
    assert!(facts.iter().any(|fact| matches!(fact, Fact::Tried { outcome: Outcome::Mute, .. })), "{facts:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_wanted_before_the_server_let_us_in_waits_and_what_is_given_up_is_not_done() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    house.door(Door::Waits);
    let before = house.connections();
    house.start().await;
    while house.connections() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It took the connection, and asked for no token yet.
    let given_up = lab.begin(&lamp.id, "light", act("toggle")).await;
    let kept = lab.begin(&lamp.id, "light", act("toggle")).await;
    lab.cancel(given_up).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((house.connections() - before, house.tokens()), (1, 1), "nothing was said");
    house.door(Door::Open);
    let calls = [given_up, kept];
    for _ in calls {
        let (call, outcome) = lab.reply(&calls).await;
        assert_eq!(outcome.is_ok(), call == kept, "{outcome:?}");
    }
    assert_eq!((house.called(), house.connections() - before, house.tokens()), (1, 1, 2));
}

#[tokio::test]
async fn a_crowd_of_orders_is_one_attempt_and_all_of_it_is_refused() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    house.door(Door::Slammed);
    house.start().await;
    let before = house.connections();
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(lab.begin(&lamp.id, "light", act("toggle")).await);
    }
    for _ in 0..20 {
        let (_, outcome) = lab.reply(&calls).await;
        assert!(matches!(outcome, Err(CallError::Unreachable(_))), "{outcome:?}");
    }
    assert!(house.connections() - before <= 2, "{}", house.connections() - before);
    house.door(Door::Open);
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    assert_eq!(house.called(), 0, "what was refused is not done later");
}

#[tokio::test]
async fn a_server_that_is_added_again_keeps_its_things() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let lamp = lab.seen(|device| device.name == "Bed Light").await;
    for _ in 0..3 {
        let call = lab.begin_add(&house.url(), TOKEN).await;
        let added = |one: &FromBridge| matches!(one, FromBridge::Reply { call: of, .. } if *of == call);
        assert_eq!(lab.life(&lamp.id, added).await.last(), Some(&"away"), "of the one before, before the next begins");
        assert_eq!(
            lab.life(&lamp.id, |one| matches!(one, FromBridge::Seen { device } if device.id == lamp.id)).await,
            ["here"]
        );
    }
    assert!(lab.call(&lamp.id, "light", act("toggle")).await.is_ok());
}

#[tokio::test]
async fn over_https_the_first_key_is_the_one_and_another_is_told_nothing() {
    let mut house = House::new(Some("one")).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let up = lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    let shown = up.service("more").unwrap().values["certificate"].data.clone();
    assert_eq!(shown.as_text().map(str::len), Some(64));
    lab.seen(|device| device.name == "Bed Light").await;
    house.stop().await;
    let before = house.tokens();
    house.renew("two").await;
    lab.until_why(&server, |fact| matches!(fact, Fact::KeyChanged { .. })).await;
    assert_eq!(house.tokens(), before, "the token is not said to whoever holds another key");
    // The owner says that it is right.
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), server);
    lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    // The owner names a key that it is not.
    let other = lab.add_pinned(&house.url(), TOKEN, &"ab".repeat(32)).await.unwrap();
    assert_eq!(other, server);
    lab.until_why(&server, |fact| matches!(fact, Fact::KeyChanged { .. })).await;
}

#[tokio::test]
async fn who_speaks_no_home_assistant_is_said_to_be_none() {
    let odd = lab::odd(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let mut lab = Lab::new().await;
    let server = lab.add(&odd, TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let says = |fact: &Fact| matches!(fact, Fact::Tried { outcome: Outcome::Failed(why), .. } if why.contains("no Home Assistant"));
    lab.until_why(&server, says).await;
    let https = lab.add(&odd.replace("http://", "https://"), TOKEN).await.unwrap();
    assert_eq!(https, server);
    let says =
        |fact: &Fact| matches!(fact, Fact::Tried { outcome: Outcome::Failed(why), .. } if why.contains("by http"));
    lab.until_why(&server, says).await;
}

#[tokio::test]
async fn fifty_thousand_entities_are_bounded_and_the_rest_goes_on() {
    let house = House::with_lamps(50_000).await;
    let mut lab = Lab::new().await;
    let server = lab.add(&house.url(), TOKEN).await.unwrap();
    lab.grant("homeassistant/connection", to(&server));
    let many = lab
        .seen(|device| device.id == server && device.services.iter().any(|one| one.values.contains_key("left-out")))
        .await;
    let more = &many.service("more").unwrap().values;
    assert_eq!(more["devices"].data, Data::Int(4000));
    assert!(more["left-out"].data.as_int().unwrap() >= 40_000);
    house.change("light.lamp_1", "off");
    lab.value_of("on", false.into()).await;
}

#[tokio::test]
async fn it_is_found_by_what_it_announces_and_added_with_a_token() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let announced = lab::announce(house.port()).await;
    lab.grant("homeassistant/search", To::Any);
    let found = lab.seen(|device| device.passing && device.name == "Lab").await;
    let no = lab.call(&found.id, "pairing", act("request")).await;
    assert!(matches!(no, Err(CallError::BadInput(_))), "{no:?}");
    assert!(lab.call(&found.id, "pairing", lab::act_with("request", "token", TOKEN)).await.is_ok());
    lab.grant("homeassistant/connection", to(&found.id));
    lab.seen(|device| device.id == found.id && !device.passing && device.reach == Reach::Local).await;
    lab.seen(|device| device.name == "Bed Light").await;
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), found.id, "by its address it is the same");
    drop(announced);
}
