//! Signing in over loopback, with a server that speaks Home Assistant's messages: what leaves when, what is kept, what is taken
//! back, and what another key or a proxy in the way makes of it.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "servers for tests, on loopback")]

mod lab;

use std::time::Duration;

use accord_consent::{RecipientId, To};
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, Reach};
use lab::{House, Lab, TOKEN, act};

fn to(id: &accord_model::DeviceId) -> To {
    To::One(RecipientId::device(id))
}

const STATE: &str = "0123456789abcdef0123456789abcdef";
const CODE: &str = "c0dec0dec0dec0dec0dec0dec0dec0de";
const BACK: &str = "http://127.0.0.1:8420/signed-in";

#[tokio::test]
async fn who_signs_in_is_sent_to_the_server_and_its_code_becomes_a_connection() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let url = house.url();
    let begin = [("address", url.as_str()), ("return", BACK), ("state", STATE)];
    let begun = lab.add_by("sign-in", &begin).await.unwrap();
    let open = begun["open"].as_text().unwrap();
    assert!(open.starts_with(&format!("{url}/auth/authorize?")) && open.contains(STATE), "{open}");
    let server: accord_model::DeviceId = begun["devices"].as_texts().unwrap()[0].parse().unwrap();
    assert_eq!(house.connections(), 0, "nothing is said before the browser is back");
    // Whoever comes with another word, or with none of its codes.
    let come = |state, code| [("state", state), ("code", code)];
    assert!(matches!(lab.add_by("signed-in", &come(BACK, CODE)).await, Err(CallError::Refused(_))));
    assert!(matches!(lab.add_by("signed-in", &come(STATE, "")).await, Err(CallError::BadInput(_))));
    // Not without consent; and a code is tried once.
    assert!(matches!(lab.add_by("signed-in", &come(STATE, CODE)).await, Err(CallError::NotConsented(_))));
    assert!(matches!(lab.add_by("signed-in", &come(STATE, CODE)).await, Err(CallError::Refused(_))));
    assert_eq!(house.connections(), 0);
    lab.grant("homeassistant/connection", to(&server));
    lab.add_by("sign-in", &begin).await.unwrap();
    let wrong = lab.add_by("signed-in", &come(STATE, CODE)).await;
    assert!(matches!(&wrong, Err(CallError::Refused(why)) if why.contains("invalid_grant")), "{wrong:?}");
    lab.add_by("sign-in", &begin).await.unwrap();
    house.signs_in(CODE);
    lab.add_by("signed-in", &come(STATE, CODE)).await.unwrap();
    let lamp = lab.seen(|device| device.name == "Bed Light" && device.reach == Reach::Local).await;
    let asked: Vec<String> = house.signed_in().1.into_iter().map(|(how, _)| how).collect();
    assert_eq!(asked, ["authorization_code", "authorization_code", "refresh_token"]);
    assert!(house.signed_in().1.iter().all(|(_, client)| client == "http://127.0.0.1:8420/"));
    // What lasts is in one file, which is sealed, and the token of half an hour nowhere.
    let kept = lab.kept();
    assert!(kept.contains("a-refresh-token") && !kept.contains(TOKEN) && !kept.contains(CODE));
    for (path, bytes) in lab.files() {
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has(TOKEN) && !has(CODE) && !has("a-refresh-token"), "{path:?}");
    }
    // It is taken back there: that is said, and a new sign-in helps. Its things stay what they are.
    house.sign_out();
    lab.withdraw("homeassistant/connection", to(&server));
    lab.reach(&lamp.id, Reach::Offline).await;
    lab.grant("homeassistant/connection", to(&server));
    lab.until_why(&server, |fact| matches!(fact, Fact::TurnedAway { why, .. } if why.contains("sign in again"))).await;
    house.signs_in(CODE);
    lab.add_by("sign-in", &begin).await.unwrap();
    lab.add_by("signed-in", &come(STATE, CODE)).await.unwrap();
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    // Signed in again, the one before is worth nothing.
    let before = house.sign_ins();
    house.signs_in(CODE);
    lab.add_by("sign-in", &begin).await.unwrap();
    lab.add_by("signed-in", &come(STATE, CODE)).await.unwrap();
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    assert_eq!(house.sign_ins().len(), 1);
    assert_ne!(house.sign_ins(), before);
    // Removed, it is told that this is over.
    assert!(lab.call(&server, "pairing", act("unpair")).await.is_ok());
    lab.gone(&lamp.id).await;
    assert!(!house.signed_in().0, "{:?}", house.signed_in());
}

#[tokio::test]
async fn a_sign_in_goes_with_a_server_that_moved() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let url = house.url();
    let begun = lab.add_by("sign-in", &[("address", url.as_str()), ("return", BACK), ("state", STATE)]).await.unwrap();
    let id = begun["devices"].as_texts().unwrap()[0].clone();
    let server: accord_model::DeviceId = id.parse().unwrap();
    lab.grant("homeassistant/connection", to(&server));
    house.signs_in(CODE);
    lab.add_by("signed-in", &[("state", STATE), ("code", CODE)]).await.unwrap();
    let lamp = lab.seen(|device| device.name == "Bed Light" && device.reach == Reach::Local).await;
    house.moves().await;
    lab.reach(&lamp.id, Reach::Offline).await;
    let url = house.url();
    lab.add_by("token", &[("address", &url), ("again", &id)]).await.unwrap();
    lab.seen(|device| device.id == lamp.id && device.reach == Reach::Local).await;
    let (is_known, asked) = house.signed_in();
    let asked: Vec<String> = asked.into_iter().map(|(how, _)| how).collect();
    assert!(is_known && !asked.contains(&"revoke".to_owned()), "{asked:?}");
    // Signing in anew where it moved to is signing in with the same one.
    house.moves().await;
    let url = house.url();
    let begin = [("address", url.as_str()), ("return", BACK), ("state", STATE), ("again", &id)];
    let begun = lab.add_by("sign-in", &begin).await.unwrap();
    assert_eq!(begun["devices"].as_texts().unwrap(), [id]);
}

#[tokio::test]
async fn who_does_not_sign_in_leaves_nothing() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let other = House::new(None).await;
    let (one, two) = (house.url(), other.url());
    let first = [("address", one.as_str()), ("return", BACK), ("state", STATE)];
    let second = [("address", two.as_str()), ("return", BACK), ("state", STATE)];
    let begun = lab.add_by("sign-in", &first).await.unwrap();
    let server = begun["devices"].as_texts().unwrap()[0].parse().unwrap();
    assert!(lab.seen(|device| device.id == server).await.passing);
    // Another one begins: the first is not waited for any more.
    lab.add_by("sign-in", &second).await.unwrap();
    lab.gone(&server).await;
    assert!(lab.add_by("sign-in", &[("address", "10.0.0.2"), ("return", "x"), ("state", STATE)]).await.is_err());
    assert!(lab.add_by("sign-in", &[("address", "10.0.0.2"), ("return", BACK), ("state", "1")]).await.is_err());
    // The owner does not sign in with the other one after all; whoever says so with another word ends nothing.
    let server = lab.add_by("sign-in", &second).await.unwrap()["devices"].as_texts().unwrap()[0].parse().unwrap();
    assert_eq!(lab.seen(|device| device.id == server).await.reach, Reach::Offline, "nobody knows whether it is there");
    lab.grant("homeassistant/connection", to(&server));
    lab.add_by("not-signed-in", &[("state", BACK)]).await.unwrap();
    lab.add_by("not-signed-in", &[("state", STATE)]).await.unwrap();
    lab.gone(&server).await;
    other.signs_in(CODE);
    let late = lab.add_by("signed-in", &[("state", STATE), ("code", CODE)]).await;
    assert!(matches!(&late, Err(CallError::Refused(_))), "{late:?}");
    assert_eq!(other.connections(), 0);
    assert!(lab.kept().len() < 4, "nothing is kept");
}

/// Signs in; which server.
async fn sign_in(lab: &mut Lab, house: &House) -> Result<accord_model::DeviceId, CallError> {
    let begin = [("address", &*house.url()), ("return", BACK), ("state", STATE)];
    let begun = lab.add_by("sign-in", &begin).await.unwrap();
    let server = begun["devices"].as_texts().unwrap()[0].parse().unwrap();
    lab.grant("homeassistant/connection", to(&server));
    house.signs_in(CODE);
    lab.add_by("signed-in", &[("state", STATE), ("code", CODE)]).await.map(|_| server)
}

#[tokio::test]
async fn a_token_that_is_pasted_ends_the_sign_in() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = sign_in(&mut lab, &house).await.unwrap();
    lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    assert_eq!(house.sign_ins().len(), 1);
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), server);
    assert_eq!(house.sign_ins().len(), 0, "it is not listed there any more");
    lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_kept() {
    let mut house = House::new(None).await;
    let mut lab = Lab::new().await;
    let begin = [("address", &*house.url()), ("return", BACK), ("state", STATE)];
    let begun = lab.add_by("sign-in", &begin).await.unwrap();
    let server = begun["devices"].as_texts().unwrap()[0].parse().unwrap();
    lab.grant("homeassistant/connection", to(&server));
    house.signs_in(CODE);
    house.stop().await;
    let silent = lab::Silent::at(house.port()).await;
    let call = lab.begin_add_by("signed-in", &[("state", STATE), ("code", CODE)]).await;
    silent.heard().await;
    lab.cancel(call).await;
    lab.gone(&server).await;
    let (_, outcome) = lab.reply(&[call]).await;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(lab.kept().len() < 4);
}

#[tokio::test]
async fn signing_in_again_believes_no_other_key_but_the_one_that_was_told_of() {
    let mut house = House::new(Some("one")).await;
    let mut lab = Lab::new().await;
    let server = sign_in(&mut lab, &house).await.unwrap();
    let up = lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    let key = |device: &accord_model::Device| device.service("more").unwrap().values["certificate"].data.clone();
    let first = key(&up);
    // It is signed out there, so that it is not connected to, and somebody else is where it was.
    house.sign_out();
    lab.withdraw("homeassistant/connection", to(&server));
    lab.grant("homeassistant/connection", to(&server));
    lab.until_why(&server, |fact| matches!(fact, Fact::TurnedAway { .. })).await;
    house.stop().await;
    house.renew("two").await;
    let asked = house.signed_in().1.len();
    let error = sign_in(&mut lab, &house).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(why) if why.contains("another key")), "{error:?}");
    assert_eq!(house.signed_in().1.len(), asked, "the code is not said to it");
    // The owner was told which one it holds, and begins again.
    sign_in(&mut lab, &house).await.unwrap();
    let up = lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    assert_ne!(key(&up), first);
    // Another token changes nothing about its key either.
    house.stop().await;
    assert_eq!(lab.add(&house.url(), TOKEN).await.unwrap(), server);
    let tokens = house.tokens();
    house.renew("three").await;
    lab.until_why(&server, |fact| matches!(fact, Fact::KeyChanged { .. })).await;
    assert_eq!(house.tokens(), tokens);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_no_word_on_the_sign_in() {
    let house = House::new(None).await;
    let mut lab = Lab::new().await;
    let server = sign_in(&mut lab, &house).await.unwrap();
    lab.seen(|device| device.id == server && device.reach == Reach::Local).await;
    house.bar(Some("403 Forbidden"));
    lab.withdraw("homeassistant/connection", to(&server));
    lab.grant("homeassistant/connection", to(&server));
    let says =
        |fact: &Fact| matches!(fact, Fact::Tried { outcome: Outcome::Failed(why), .. } if why.contains("banned"));
    let facts = lab.until_why(&server, says).await;
    assert!(!facts.iter().any(|fact| matches!(fact, Fact::TurnedAway { .. })), "{facts:?}");
    let asked = house.signed_in().1.len();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(house.signed_in().1.len() <= asked + 1, "and it is tried seldom");
    // It is let in again, and somebody asks.
    house.bar(None);
    lab.until_why(&server, |fact| matches!(fact, Fact::Connected { .. })).await;
}
