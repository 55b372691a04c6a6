//! Home Assistant's discovery convention (home-assistant.io, "MQTT discovery"): retained messages that describe one entity
//! each, or a whole device with its components, with short names for keys and `~` for the beginning of topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::native::spoken;
use super::short::{long, long_device};
use super::topic::{below, is_sound};

/// Most components of one message, and most identifiers of a device.
const MOST_COMPONENTS: usize = 256;
const MOST_IDS: usize = 16;
/// Longest id and name, in bytes.
const MAX_TEXT: usize = 256;
/// Longest text of any key, in bytes: a remote's code, longer than any topic or template that is understood. Most entries of a
/// list, and most topics that tell whether a device is here.
const MAX_VALUE: usize = 4_096;
const MOST_WORDS: usize = 256;
const MOST_SIGNS: usize = 8;
/// What an entity, a key and a value count for beside their texts, when it is counted how much is kept.
const ENTITY_WEIGHS: usize = 1_024;
const KEY_WEIGHS: usize = 64;

/// What a message is about, by its topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The component: `switch`, `light`; `device` for a whole device.
    pub component: String,
    /// The rest of the topic, without `config`.
    pub object: String,
}

impl Origin {
    /// Of a topic below the prefix.
    pub fn parse(topic: &str, prefix: &str) -> Option<Self> {
        let rest = below(topic, prefix)?.strip_suffix("/config")?;
        let (component, object) = rest.split_once('/')?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let parts = object.split('/').count();
        let fits = is_word(component) && parts <= 2 && object.split('/').all(is_word) && topic.len() <= 400;
        fits.then(|| Self { component: component.to_owned(), object: object.to_owned() })
    }
}

/// What describes the device of an entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Identifiers and connections, each with its kind before it.
    pub ids: Vec<String>,
    /// What it is called.
    pub name: Option<String>,
    /// Its maker.
    pub maker: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// Its firmware.
    pub software: Option<String>,
    /// The room that it suggests.
    pub room: Option<String>,
}

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// `switch`, `light`, …
    pub component: String,
    /// Unique among all, if it says one.
    pub unique: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// Its own keys, long, topics whole.
    pub keys: Map<String, Value>,
    /// Those of its device that hold where it has none of its own; one map for all of them.
    pub shared: Arc<Map<String, Value>>,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// Whose entities these are.
    pub about: About,
    /// By the name of the component within a device; one without a name otherwise.
    pub entities: BTreeMap<String, Entity>,
    /// Keys that were not understood, or more than there may be.
    pub refused: usize,
}

/// Reads a message.
///
/// # Errors
/// In words.
pub fn parse(origin: &Origin, payload: &[u8]) -> Result<Described, String> {
    let Ok(Value::Object(whole)) = serde_json::from_slice(payload) else {
        return Err("it is no JSON object".to_owned());
    };
    let mut whole = long(whole);
    let base = whole.remove("~").and_then(|base| base.as_str().map(str::to_owned));
    let about = about(whole.get("device"));
    let mut refused = 0;
    let mut entities = BTreeMap::new();
    let mut add = |name: &str, component: &str, keys: Map<String, Value>, shared: &Arc<Map<String, Value>>| {
        let text = |key: &str| keys.get(key).and_then(short_text);
        let (unique, name_of) = (text("unique_id"), text("name"));
        let entity =
            Entity { component: component.to_owned(), unique, name: name_of, keys, shared: Arc::clone(shared) };
        entities.insert(name.to_owned(), entity);
    };
    if origin.component == "device" {
        let Some(Value::Object(components)) = whole.remove("components") else {
            return Err("a device without components".to_owned());
        };
        whole.retain(|key, _| SHARED.contains(&key.as_str()));
        let shared = Arc::new(bounded(whole, base.as_deref()).ok_or(TOO_LONG)?);
        refused += components.len().saturating_sub(MOST_COMPONENTS);
        for (name, component) in components.into_iter().take(MOST_COMPONENTS) {
            let Value::Object(component) = component else {
                refused += 1;
                continue;
            };
            let mut keys = long(component);
            let platform = keys.remove("platform").and_then(|platform| short_text(&platform));
            let Some(platform) = platform.filter(|_| name.len() <= MAX_TEXT) else {
                refused += 1;
                continue;
            };
            // A component of a platform alone is one that was removed.
            if keys.is_empty() {
                continue;
            }
            let own = keys.remove("~").and_then(|base| base.as_str().map(str::to_owned)).or_else(|| base.clone());
            match bounded(keys, own.as_deref()) {
                Some(keys) => add(&name, &platform, keys, &shared),
                None => refused += 1,
            }
        }
    } else {
        add("", &origin.component, bounded(whole, base.as_deref()).ok_or(TOO_LONG)?, &Arc::default());
    }
    Ok(Described { about, entities, refused })
}

const TOO_LONG: &str = "a text in it is too long";

/// Keys as they are kept, with whole topics. What describes the device is read already, and no other object has a meaning. A
/// long template is one that is not understood, and stays one. `None`: another text is longer than it may be.
fn bounded(keys: Map<String, Value>, base: Option<&str>) -> Option<Map<String, Value>> {
    let mut kept = Map::new();
    for (key, mut value) in keys {
        let object = value.is_object() || matches!(key.as_str(), "device" | "origin");
        if object || key.len() > MAX_TEXT {
            continue;
        }
        if let Value::Array(all) = &mut value {
            all.truncate(if key == "availability" { MOST_SIGNS } else { MOST_WORDS });
            all.retain(|one| !one.is_array() && (key == "availability" || !one.is_object()));
        }
        expand(&key, &mut value, base);
        if let Value::Array(all) = &mut value {
            for one in all {
                match one {
                    Value::Object(object) => *object = bounded(std::mem::take(object), None)?,
                    Value::String(text) if text.len() > MAX_TEXT => return None,
                    _ => {}
                }
            }
        }
        if let Value::String(text) = &mut value
            && text.len() > MAX_VALUE
        {
            if !key.ends_with("template") {
                return None;
            }
            "{% too long %}".clone_into(text);
        }
        kept.insert(key, value);
    }
    Some(kept)
}

fn weight(keys: &Map<String, Value>) -> usize {
    let of = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(|one| KEY_WEIGHS + one.as_object().map_or(MAX_TEXT, weight)).sum(),
        _ => 0,
    };
    keys.iter().map(|(key, value)| KEY_WEIGHS + key.len() + of(value)).sum()
}

impl Described {
    /// About how many bytes it takes, with what is made of it: for that, each entity has what it shares.
    pub fn weight(&self) -> usize {
        let of = |entity: &Entity| ENTITY_WEIGHS + weight(&entity.keys) + weight(&entity.shared);
        ENTITY_WEIGHS + self.about.ids.len() * MAX_TEXT + self.entities.values().map(of).sum::<usize>()
    }
}

const SHARED: [&str; 8] = [
    "availability",
    "availability_topic",
    "availability_mode",
    "availability_template",
    "payload_available",
    "payload_not_available",
    "state_topic",
    "command_topic",
];

fn short_text(value: &Value) -> Option<String> {
    spoken(value).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT)
}

fn about(device: Option<&Value>) -> About {
    let Some(Value::Object(device)) = device else { return About::default() };
    let device = long_device(device.clone());
    // Kept on disk as they are.
    let short_text = |value: &Value| short_text(value).filter(|text| !text.chars().any(char::is_control));
    let text = |key: &str| device.get(key).and_then(short_text);
    let mut ids = Vec::new();
    match device.get("identifiers") {
        Some(Value::Array(all)) => {
            ids.extend(all.iter().take(MOST_IDS).filter_map(short_text).map(|id| format!("id:{id}")));
        }
        Some(one) => ids.extend(short_text(one).map(|id| format!("id:{id}"))),
        None => {}
    }
    for pair in device.get("connections").and_then(Value::as_array).into_iter().flatten().take(MOST_IDS) {
        if let Some([kind, id]) = pair.as_array().map(Vec::as_slice)
            && let (Some(kind), Some(id)) = (short_text(kind), short_text(id))
        {
            ids.push(format!("{kind}:{}", id.to_lowercase()));
        }
    }
    About {
        ids,
        name: text("name"),
        maker: text("manufacturer"),
        model: text("model"),
        software: text("sw_version"),
        room: text("suggested_area"),
    }
}

fn expand(key: &str, value: &mut Value, base: Option<&str>) {
    match value {
        Value::String(text) if key == "topic" || key.ends_with("_topic") => {
            if let Some(base) = base {
                if let Some(rest) = text.strip_prefix('~') {
                    *text = format!("{base}{rest}");
                } else if let Some(rest) = text.strip_suffix('~') {
                    *text = format!("{rest}{base}");
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| {
            if let Value::Object(object) = one {
                let mut inner = long(std::mem::take(object));
                inner.iter_mut().for_each(|(key, value)| expand(key, value, base));
                *object = inner;
            }
        }),
        _ => {}
    }
}

impl Entity {
    /// What is under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).or_else(|| self.shared.get(key))
    }

    /// A topic that may be subscribed to or published to.
    pub fn topic(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|topic| is_sound(topic))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Anything, or what holds when it says nothing.
    pub fn value(&self, key: &str, or: &str) -> Value {
        self.get(key).filter(|value| !value.is_null()).cloned().unwrap_or_else(|| Value::String(or.to_owned()))
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(super::native::number)
    }

    /// A list of words.
    pub fn words(&self, key: &str) -> Vec<Value> {
        let all = self.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter(|word| word.is_string() || word.is_number()).take(MOST_WORDS).cloned().collect()
    }

    /// Yes or no.
    pub fn truth(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }
}

/// For the fuzzer: a topic, a line break, a message.
pub fn fuzz(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (topic, payload) = bytes.split_at(cut);
    let topic = String::from_utf8_lossy(topic);
    let origin = Origin::parse(&topic, "homeassistant")
        .unwrap_or(Origin { component: topic.into_owned(), object: "x".to_owned() });
    let Ok(described) = parse(&origin, payload.get(1..).unwrap_or_default()) else { return };
    assert!(described.entities.len() <= MOST_COMPONENTS);
    for entity in described.entities.values() {
        let parts = super::entity::map([("", entity)]);
        assert!(super::zigbee::is_safe(&parts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described(topic: &str, payload: &Value) -> Described {
        parse(&Origin::parse(topic, "homeassistant").unwrap(), payload.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn short_and_long_names_and_the_base_of_topics() {
        let short = json!({"~": "home/lamp", "uniq_id": "x1", "name": "Lamp", "stat_t": "~/state", "cmd_t": "~/set",
            "avty": [{"t": "~/alive", "pl_avail": "yes"}],
            "dev": {"ids": "abc", "cns": [["mac", "AA:bb:00:11:22:33"]], "mf": "Maker", "mdl": "M", "name": "Desk"}});
        let long = json!({"unique_id": "x1", "name": "Lamp", "state_topic": "home/lamp/state",
            "command_topic": "home/lamp/set",
            "availability": [{"topic": "home/lamp/alive", "payload_available": "yes"}],
            "device": {"identifiers": ["abc"], "connections": [["mac", "aa:bb:00:11:22:33"]], "manufacturer": "Maker",
                "model": "M", "name": "Desk"}});
        let topic = "homeassistant/switch/node/x1/config";
        let (one, other) = (described(topic, &short), described(topic, &long));
        let keys = |described: &Described| described.entities[""].keys.clone();
        assert_eq!((keys(&one), &one.about), (keys(&other), &other.about));
        assert_eq!(one.about.ids, ["id:abc", "mac:aa:bb:00:11:22:33"]);
        assert_eq!(one.entities[""].topic("state_topic"), Some("home/lamp/state"));
    }

    #[test]
    fn a_whole_device_has_components() {
        let whole = json!({"dev": {"ids": ["d"], "name": "Box"}, "o": {"name": "x"}, "avty_t": "box/alive", "stat_t": "box",
            "cmps": {"t": {"p": "sensor", "dev_cla": "temperature", "val_tpl": "{{ value_json.t }}", "uniq_id": "d_t"},
                "s": {"p": "switch", "cmd_t": "box/set", "stat_t": "box/s", "uniq_id": "d_s"},
                "gone": {"p": "switch"}, "odd": 5}});
        let described = described("homeassistant/device/box/config", &whole);
        assert_eq!(described.entities.keys().collect::<Vec<_>>(), ["s", "t"]);
        assert_eq!(described.refused, 1);
        let topic = |name: &str, key: &str| described.entities[name].topic(key).map(str::to_owned);
        assert_eq!((topic("t", "state_topic"), topic("s", "state_topic")), (Some("box".into()), Some("box/s".into())));
        assert_eq!(topic("t", "availability_topic"), Some("box/alive".into()));
    }

    #[test]
    fn what_components_share_is_there_once_and_bounded() {
        let availability: Vec<Value> = (0..2_000).map(|at| json!({"t": format!("a/{at}"), "x": {"y": "z"}})).collect();
        let components: Map<String, Value> =
            (0..300).map(|at| (format!("c{at}"), json!({"p": "switch", "cmd_t": "~/c"}))).collect();
        let whole =
            json!({"~": "box", "dev": {"ids": ["d"]}, "avty": availability, "stat_t": "~/s", "cmps": components});
        let described = described("homeassistant/device/box/config", &whole);
        assert_eq!((described.entities.len(), described.refused), (256, 44));
        let shared = &described.entities["c0"].shared;
        assert!(described.entities.values().all(|one| Arc::ptr_eq(&one.shared, shared) && one.keys.len() == 1));
        let signs = described.entities["c0"].get("availability").and_then(Value::as_array).unwrap();
        assert_eq!((signs.len(), &signs[7]), (8, &json!({"topic": "a/7"})));
        let one = &described.entities["c0"];
        assert_eq!((one.topic("command_topic"), one.topic("state_topic")), (Some("box/c"), Some("box/s")));
        assert!(described.weight() > 256 * ENTITY_WEIGHS, "what is made of each counts");
    }

    #[test]
    fn a_long_template_is_none_and_another_long_text_refuses_it() {
        let long = "x".repeat(5_000);
        let topic = "homeassistant/sensor/a/config";
        let one = described(topic, &json!({"stat_t": "a", "val_tpl": format!("{{{{ {long} }}}}")}));
        assert!(super::super::template::Path::parse(one.entities[""].text("value_template").unwrap()).is_err());
        let origin = Origin::parse(topic, "homeassistant").unwrap();
        for wrong in [json!({"stat_t": long}), json!({"ops": [long]}), json!({"avty": [{"t": long}]})] {
            assert!(parse(&origin, wrong.to_string().as_bytes()).is_err(), "{wrong}");
        }
        let cmps = json!({"good": {"p": "switch", "cmd_t": "a"}, "bad": {"p": "switch", "cmd_t": long}});
        let whole = described("homeassistant/device/a/config", &json!({"dev": {"ids": "d"}, "cmps": cmps}));
        assert_eq!((whole.entities.len(), whole.refused), (1, 1));
    }

    #[test]
    fn topics_that_are_none_are_not_taken() {
        assert!(Origin::parse("homeassistant/switch/a/b/c/config", "homeassistant").is_none());
        assert!(Origin::parse("homeassistant/switch/config", "homeassistant").is_none());
        assert!(Origin::parse("homeassistant/sw itch/a/config", "homeassistant").is_none());
        assert!(Origin::parse("other/switch/a/config", "homeassistant").is_none());
        let hostile = json!({"cmd_t": "a/#", "stat_t": "$SYS/x", "dev": {"ids": "d"}});
        let described = described("homeassistant/switch/a/config", &hostile);
        assert_eq!(
            (described.entities[""].topic("command_topic"), described.entities[""].topic("state_topic")),
            (None, None)
        );
        assert!(parse(&Origin { component: "switch".into(), object: "a".into() }, b"[1]").is_err());
    }
}
