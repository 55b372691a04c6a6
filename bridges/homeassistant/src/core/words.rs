//! The messages of Home Assistant's WebSocket API (developers.home-assistant.io/docs/api/websocket), as far as they are
//! read: which one it is, and what is in it. The server may send arrays of messages.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::attr::{Attr, Attrs};

/// Most entities, devices or areas that are taken from one answer; what is beyond is counted.
pub const MOST: usize = 20_000;
/// Longest text of the server that is shown.
const MAX_SHOWN: usize = 200;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The server wants a token.
    AuthRequired,
    /// The token is good; the server's version.
    AuthOk(String),
    /// The token is not, in the server's words.
    AuthInvalid(String),
    /// The answer to a command.
    Result(u64, Result<Box<Answer>, Failure>),
    /// Something happened that a command subscribed to.
    Event(u64, Box<Event>),
    /// The answer to `ping`.
    Pong(u64),
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `not_found`, `unauthorized`, `invalid_format`, `home_assistant_error`, …
    pub code: String,
    /// In the server's words, safe to show.
    pub message: String,
}

/// What a command answers, as far as it is looked at: a list of items, or the one thing that was asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The items of a list.
    pub items: Vec<Item>,
    /// Items that were left out, because there are more than [`MOST`].
    pub beyond: usize,
    /// The one thing.
    pub one: One,
}

/// An item of a registry: an area, a device, an entity.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Item {
    pub id: Attr,
    pub name: Attr,
    pub area_id: Attr,
    pub name_by_user: Attr,
    pub manufacturer: Attr,
    pub model: Attr,
    pub sw_version: Attr,
    pub connections: Attr,
    pub disabled_by: Attr,
    pub hidden_by: Attr,
    pub entity_id: Attr,
    pub device_id: Attr,
    pub entity_category: Attr,
    pub original_name: Attr,
    /// The short form (`config/entity_registry/list_for_display`): entity id, device, area, category, name, hidden.
    pub ei: Attr,
    pub di: Attr,
    pub ai: Attr,
    pub ec: Attr,
    pub en: Attr,
    pub hb: Attr,
}

/// What `get_config` and `auth/current_user` answer, and lists that lie inside of an object.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct One {
    pub location_name: Attr,
    pub version: Attr,
    pub unit_system: Units,
    pub is_admin: Attr,
    pub name: Attr,
    entities: Option<List<Item>>,
}

/// The units that Home Assistant shows things in.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Units {
    /// `°C` or `°F`.
    pub temperature: Attr,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Of `subscribe_entities`: entities that are there now, with their whole state.
    #[serde(rename = "a")]
    pub added: Many<State>,
    /// What changed.
    #[serde(rename = "c")]
    pub changed: Many<Diff>,
    /// What is no more.
    #[serde(rename = "r")]
    pub removed: Attr,
    /// Of `subscribe_events`: what kind it is.
    pub event_type: Attr,
}

/// The state of an entity, compressed: `s` state, `a` attributes, `lc` and `lu` when it changed and was written last, in
/// seconds; `lu` is there when it is not the same.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct State {
    pub s: Attr,
    pub a: Attrs,
    pub lc: Attr,
    pub lu: Attr,
}

/// What changed of a state: `+` is new, `-` is no more.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Diff {
    /// What is new.
    #[serde(rename = "+")]
    pub plus: Option<State>,
    /// What is no more.
    #[serde(rename = "-")]
    pub minus: Minus,
}

/// Attributes that are no more.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Minus {
    /// Their names.
    pub a: Attr,
}

/// By id of an entity, in the order of the message, at most [`MOST`].
#[derive(Debug, Clone, PartialEq)]
pub struct Many<T> {
    /// Those.
    pub all: Vec<(String, T)>,
    /// How many were left out.
    pub beyond: usize,
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self { all: Vec::new(), beyond: 0 }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("entities by id")
            }
            fn visit_unit<E>(self) -> Result<Many<T>, E> {
                Ok(Many::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Many<T>, A::Error> {
                let mut many = Many::default();
                while let Some(id) = items.next_key::<std::borrow::Cow<'de, str>>()? {
                    if many.all.len() < MOST && is_entity_id(&id) {
                        many.all.push((id.into_owned(), items.next_value()?));
                    } else {
                        items.next_value::<IgnoredAny>()?;
                        many.beyond += 1;
                    }
                }
                Ok(many)
            }
        }
        deserializer.deserialize_any(Of(std::marker::PhantomData))
    }
}

/// A list, at most [`MOST`] long.
#[derive(Debug, Clone, PartialEq)]
struct List<T> {
    all: Vec<T>,
    beyond: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Of<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Of<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
                let (mut all, mut beyond) = (Vec::new(), 0);
                loop {
                    if all.len() < MOST {
                        match items.next_element()? {
                            Some(item) => all.push(item),
                            None => return Ok(List { all, beyond }),
                        }
                    } else {
                        match items.next_element::<IgnoredAny>()? {
                            Some(_) => beyond += 1,
                            None => return Ok(List { all, beyond }),
                        }
                    }
                }
            }
        }
        deserializer.deserialize_seq(Of(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Answer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer")
            }
            fn visit_unit<E>(self) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_str<E>(self, _: &str) -> Result<Answer, E> {
                Ok(Answer::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Answer, A::Error> {
                let list: List<Item> = Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(items))?;
                Ok(Answer { items: list.all, beyond: list.beyond, one: One::default() })
            }
            fn visit_map<A: MapAccess<'de>>(self, items: A) -> Result<Answer, A::Error> {
                let mut one = One::deserialize(MapAccessDeserializer::new(items))?;
                let (items, beyond) = one.entities.take().map_or_else(Default::default, |list| (list.all, list.beyond));
                Ok(Answer { items, beyond, one })
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Incoming {
    #[serde(rename = "type")]
    kind: Attr,
    id: Option<u64>,
    success: bool,
    result: Option<Box<Answer>>,
    error: Option<Fault>,
    event: Option<Box<Event>>,
    ha_version: Attr,
    message: Attr,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    code: Attr,
    message: Attr,
}

struct Batch(Vec<Incoming>);

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Batch;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message or several")
            }
            fn visit_map<A: MapAccess<'de>>(self, items: A) -> Result<Batch, A::Error> {
                Ok(Batch(vec![Incoming::deserialize(MapAccessDeserializer::new(items))?]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Batch, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = items.next_element()? {
                    all.push(one);
                }
                Ok(Batch(all))
            }
        }
        deserializer.deserialize_any(One)
    }
}

/// Reads what came as one WebSocket message.
///
/// # Errors
/// In words, when it is no message of Home Assistant.
pub fn read(bytes: &[u8]) -> Result<Vec<Message>, String> {
    let Batch(all) = serde_json::from_slice(bytes)
        .map_err(|error| format!("it sent something that Accord does not understand: {}", shown(&error.to_string())))?;
    Ok(all.into_iter().filter_map(message).collect())
}

fn message(one: Incoming) -> Option<Message> {
    let said = |attr: &Attr| shown(attr.text().unwrap_or_default());
    Some(match one.kind.text()? {
        "auth_required" => Message::AuthRequired,
        "auth_ok" => Message::AuthOk(said(&one.ha_version)),
        "auth_invalid" => Message::AuthInvalid(said(&one.message)),
        "pong" => Message::Pong(one.id?),
        "event" => Message::Event(one.id?, one.event.unwrap_or_default()),
        "result" if one.success => Message::Result(one.id?, Ok(one.result.unwrap_or_default())),
        "result" => {
            let fault = one.error.unwrap_or_default();
            Message::Result(one.id?, Err(Failure { code: said(&fault.code), message: said(&fault.message) }))
        }
        _ => return None,
    })
}

/// A service of Home Assistant, called for one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Of which domain.
    pub domain: String,
    /// Which.
    pub service: String,
    /// For which entity.
    pub entity: String,
    /// With what.
    pub data: Map<String, Value>,
}

impl Call {
    /// With nothing more.
    pub fn new(entity: &str, domain: &str, service: &str) -> Self {
        let (domain, service, entity) = (domain.to_owned(), service.to_owned(), entity.to_owned());
        Self { domain, service, entity, data: Map::new() }
    }
    /// With that.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}

/// The token goes in the clear inside of the connection: keep what this gives away from logs.
pub fn auth(token: &str) -> String {
    json!({"type": "auth", "access_token": token}).to_string()
}

/// A command without more.
pub fn command(id: u64, kind: &str) -> String {
    json!({"id": id, "type": kind}).to_string()
}

/// Several messages may come at once, as an array.
pub fn features(id: u64) -> String {
    json!({"id": id, "type": "supported_features", "features": {"coalesce_messages": 1}}).to_string()
}

/// Hears of events of a kind.
pub fn subscribe(id: u64, event: &str) -> String {
    json!({"id": id, "type": "subscribe_events", "event_type": event}).to_string()
}

/// Calls a service.
pub fn call(id: u64, call: &Call) -> String {
    #[derive(Serialize)]
    struct Say<'a> {
        id: u64,
        #[serde(rename = "type")]
        kind: &'static str,
        domain: &'a str,
        service: &'a str,
        service_data: &'a Map<String, Value>,
        target: Value,
    }
    let target = json!({"entity_id": call.entity});
    let (domain, service, service_data) = (&*call.domain, &*call.service, &call.data);
    serde_json::to_string(&Say { id, kind: "call_service", domain, service, service_data, target }).unwrap_or_default()
}

/// By entity id: `domain.object`, as Home Assistant writes them.
pub fn is_entity_id(id: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    id.len() <= 255 && id.split_once('.').is_some_and(|(domain, object)| plain(domain) && plain(object))
}

fn shown(text: &str) -> String {
    accord_model::text::for_screen(text, MAX_SHOWN)
}

/// Entry for fuzzing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    for message in read(bytes).unwrap_or_default() {
        if let Message::Event(_, event) = message {
            assert!(event.added.all.iter().all(|(id, _)| is_entity_id(id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Message {
        let mut all = read(text.as_bytes()).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn messages_are_told_apart_alone_and_in_arrays() {
        assert_eq!(one(r#"{"type":"auth_required","ha_version":"2024.3.3"}"#), Message::AuthRequired);
        assert_eq!(one(r#"{"type":"auth_ok","ha_version":"2024.3.3"}"#), Message::AuthOk("2024.3.3".into()));
        let invalid = one(r#"{"type":"auth_invalid","message":"Invalid access token or password"}"#);
        assert_eq!(invalid, Message::AuthInvalid("Invalid access token or password".into()));
        let both = read(
            br#"[{"id":10,"type":"result","success":true,"result":null},
            {"id":10,"type":"event","event":{"a":{"light.a":{"s":"on","a":{"brightness":3},"c":"x","lc":1.5}}}}]"#,
        );
        let both = both.unwrap();
        assert!(matches!(&both[0], Message::Result(10, Ok(answer)) if answer.items.is_empty()));
        let Message::Event(10, event) = &both[1] else { panic!("{both:?}") };
        assert_eq!(event.added.all[0].1.a.number("brightness"), Some(3.0));
        let not_found = r#"{"id":14,"type":"result","success":false,"error":{"code":"not_found","message":"Service"}}"#;
        let failure = Failure { code: "not_found".into(), message: "Service".into() };
        assert_eq!(one(not_found), Message::Result(14, Err(failure)));
        assert_eq!(one(r#"{"id":3,"type":"pong"}"#), Message::Pong(3));
        assert_eq!(read(br#"{"type":"shopping_list","id":1}"#), Ok(vec![]), "what is not known is passed over");
    }

    #[test]
    fn what_makes_no_sense_is_said_so_and_odd_parts_are_left_out() {
        for bad in [&b"hello"[..], b"3", b"{\"type\":", b"\xff\xfe"] {
            assert!(read(bad).unwrap_err().contains("does not understand"));
        }
        let odd = r#"{"id":1,"type":"event","event":{"a":{"../etc":{"s":"on"},"light.b":{"s":7,"a":null}},"c":null,"r":["light.c",4]}}"#;
        let Message::Event(_, event) = one(odd) else { panic!() };
        assert_eq!((event.added.all.len(), event.added.beyond), (1, 1));
        assert_eq!(event.removed.texts().len(), 2);
        let deep = format!(
            "{{\"id\":1,\"type\":\"result\",\"success\":true,\"result\":{}1{}}}",
            "[".repeat(50_000),
            "]".repeat(50_000)
        );
        let Message::Result(_, Ok(answer)) = one(&deep) else { panic!() };
        assert_eq!(answer.items.len(), 1, "what lies too deep is passed over");
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted() {
        let many: Vec<String> = (0..MOST + 7).map(|n| format!("\"light.l{n}\":{{\"s\":\"on\"}}")).collect();
        let text = format!("{{\"id\":1,\"type\":\"event\",\"event\":{{\"a\":{{{}}}}}}}", many.join(","));
        let Message::Event(_, event) = one(&text) else { panic!() };
        assert_eq!((event.added.all.len(), event.added.beyond), (MOST, 7));
        let many: Vec<String> = (0..MOST + 7).map(|n| format!("{{\"ei\":\"light.l{n}\"}}")).collect();
        let text = format!(r#"{{"id":1,"type":"result","success":true,"result":{{"entities":[{}]}}}}"#, many.join(","));
        let Message::Result(_, Ok(answer)) = one(&text) else { panic!() };
        assert_eq!((answer.items.len(), answer.beyond), (MOST, 7));
    }

    #[test]
    fn a_service_is_called_for_one_entity() {
        let said = call(7, &Call::new("light.bed", "light", "turn_on").with("brightness_pct", 30));
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["target"]["entity_id"], "light.bed");
        assert_eq!((&said["id"], &said["service_data"]["brightness_pct"]), (&json!(7), &json!(30)));
    }
}
