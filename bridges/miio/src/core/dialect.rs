//! How a device is asked and told: MIoT's `get_properties`, `set_properties` and `action`, or the methods of an older
//! device, which a profile names (`profiles/`): a profile is a spec that we wrote, and for each of its properties and actions
//! the method behind it.

use std::collections::BTreeMap;

use accord_model::Data;
use serde::Deserialize;
use serde_json::{Value, json};

use super::line::{Failure, Question, refusal};
use super::spec::{At, Spec};

/// Most properties that are asked for at once, before a device shows that it takes fewer.
pub const MOST_AT_ONCE: usize = 15;

/// How a model is spoken to.
#[derive(Debug, Clone)]
pub enum Dialect {
    /// MIoT.
    Miot,
    /// Methods of its own.
    Profile(Box<Profile>),
}

/// The methods of an older model.
#[derive(Debug, Clone)]
pub struct Profile {
    /// For which models.
    pub models: Vec<String>,
    get: String,
    by_name: bool,
    properties: BTreeMap<At, Way>,
    actions: BTreeMap<At, Deed>,
    /// What it can do, in MIoT's words.
    pub spec: Spec,
}

/// How one property is asked for and set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    #[serde(default)]
    get: Option<String>,
    #[serde(default)]
    set: Option<String>,
    /// What follows the value.
    #[serde(default)]
    with: Vec<Value>,
    /// What the device says, and what that is in the spec.
    #[serde(default)]
    words: Vec<(Value, Value)>,
    /// The spec's number is the device's times this.
    #[serde(default)]
    factor: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deed {
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    models: Vec<String>,
    get: String,
    #[serde(default)]
    by_name: bool,
    properties: BTreeMap<String, Way>,
    #[serde(default)]
    actions: BTreeMap<String, Deed>,
    spec: Value,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// In words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > super::spec::MAX_DOCUMENT {
            return Err("a profile that large is refused".to_owned());
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("it is no profile: {error}"))?;
        let spec = Spec::parse(raw.spec.to_string().as_bytes())?;
        fn keyed<T>(all: BTreeMap<String, T>) -> Result<BTreeMap<At, T>, String> {
            let key = |(key, one): (String, T)| Some((At::parse(&key)?, one));
            all.into_iter().map(key).collect::<Option<_>>().ok_or_else(|| "its keys are numbers like 2.1".to_owned())
        }
        let (properties, actions) = (keyed(raw.properties)?, keyed(raw.actions)?);
        Ok(Self { models: raw.models, get: raw.get, by_name: raw.by_name, properties, actions, spec })
    }
}

impl Way {
    fn heard(&self, value: &Value) -> Value {
        if let Some((_, means)) = self.words.iter().find(|(word, _)| word == value) {
            return means.clone();
        }
        match (self.factor, value.as_f64()) {
            (Some(factor), Some(number)) => json!((number * factor * 1e6).round() / 1e6),
            _ => value.clone(),
        }
    }

    fn said(&self, value: &Value) -> Value {
        let same = |one: &Value| one == value || one.as_f64().is_some_and(|number| Some(number) == value.as_f64());
        if let Some((word, _)) = self.words.iter().find(|(_, means)| same(means)) {
            return word.clone();
        }
        match (self.factor, value.as_f64()) {
            (Some(factor), Some(number)) => json!((number / factor).round() as i64),
            _ => value.clone(),
        }
    }
}

/// A value as a device takes it.
fn native(data: &Data) -> Value {
    match data {
        Data::Bool(yes) => json!(yes),
        Data::Int(number) => json!(number),
        Data::Float(number) => json!(number),
        Data::Text(text) => json!(text),
        Data::Texts(_) | Data::Bytes(_) => Value::Null,
    }
}

impl Dialect {
    /// Asks for properties.
    pub fn read(&self, did: &str, ats: &[At]) -> Question {
        match self {
            Self::Miot => {
                let params: Vec<Value> =
                    ats.iter().map(|at| json!({"did": did, "siid": at.service, "piid": at.thing})).collect();
                Question::new("get_properties", Value::Array(params))
            }
            Self::Profile(profile) if profile.by_name => Question::new(&profile.get, json!([])),
            Self::Profile(profile) => {
                let names = ats.iter().filter_map(|at| profile.properties.get(at)?.get.clone());
                Question::new(&profile.get, names.map(Value::String).collect())
            }
        }
    }

    /// Whether it can be asked for that at all.
    pub fn knows(&self, at: At) -> bool {
        match self {
            Self::Miot => true,
            Self::Profile(profile) => profile.properties.get(&at).is_some_and(|way| way.get.is_some()),
        }
    }

    /// What a device answered to [`Dialect::read`]: the value of each, or the number of its refusal.
    pub fn heard(&self, ats: &[At], result: &Value) -> Vec<(At, Result<Value, i64>)> {
        match self {
            Self::Miot => {
                let items = result.as_array().map(Vec::as_slice).unwrap_or_default();
                let of = |item: &Value| {
                    let number = |key: &str| item[key].as_u64().and_then(|number| u16::try_from(number).ok());
                    let at = At::new(number("siid")?, number("piid")?);
                    let code = item["code"].as_i64().unwrap_or_default();
                    let value = item.get("value").filter(|_| matches!(code, 0 | 1)).cloned();
                    // One without a value says nothing of whether there is one at another time.
                    ats.contains(&at).then(|| (at, value.ok_or(code)))
                };
                items.iter().take(ats.len()).filter_map(of).collect()
            }
            Self::Profile(profile) if profile.by_name => {
                let all = result.as_array().and_then(|all| all.first()).unwrap_or(result);
                // One that says nothing at all may say it at another time.
                let missing = if all.is_object() { -4003 } else { 0 };
                let of = |at: &At| {
                    let way = profile.properties.get(at)?;
                    Some((*at, all.get(way.get.as_ref()?).map(|value| way.heard(value)).ok_or(missing)))
                };
                ats.iter().filter_map(of).collect()
            }
            Self::Profile(profile) => {
                let values = result.as_array().map(Vec::as_slice).unwrap_or_default();
                let ways = ats.iter().filter_map(|at| Some((*at, profile.properties.get(at)?)));
                // What a model does not have comes as nothing. One that says nothing at all may say it at another time.
                let is_there = |value: &Value| !value.is_null() && value.as_str() != Some("");
                let missing = if values.iter().any(is_there) { -4003 } else { 0 };
                let of = |((at, way), value): ((At, &Way), &Value)| {
                    (at, if is_there(value) { Ok(way.heard(value)) } else { Err(missing) })
                };
                ways.filter(|(_, way)| way.get.is_some()).zip(values).map(of).collect()
            }
        }
    }

    /// Tells it values: the questions, one after the other. `None`: it cannot be told one of them.
    pub fn write(&self, did: &str, values: &[(At, Data)]) -> Option<Vec<Question>> {
        match self {
            Self::Miot => {
                let one = |(at, data): &(At, Data)| json!({"did": did, "siid": at.service, "piid": at.thing, "value": native(data)});
                Some(vec![Question::new("set_properties", values.iter().map(one).collect())])
            }
            Self::Profile(profile) => {
                let one = |(at, data): &(At, Data)| {
                    let way = profile.properties.get(at)?;
                    let mut params = vec![way.said(&native(data))];
                    params.extend(way.with.iter().cloned());
                    Some(Question::new(way.set.as_ref()?, Value::Array(params)))
                };
                values.iter().map(one).collect()
            }
        }
    }

    /// What came of [`Dialect::write`].
    ///
    /// # Errors
    /// The device's refusal.
    pub fn written(&self, result: &Value) -> Result<(), Failure> {
        if let Some(code) = result.as_i64().filter(|code| *code < 0) {
            return Err(refusal(code));
        }
        let refused = |item: &Value| item["code"].as_i64().filter(|code| !matches!(code, 0 | 1));
        match result.as_array().into_iter().flatten().find_map(refused) {
            Some(code) => Err(refusal(code)),
            None => Ok(()),
        }
    }

    /// Has it do something. `None`: it cannot be told so.
    pub fn act(&self, did: &str, at: At, inputs: &[(At, Data)]) -> Option<Question> {
        let values: Vec<Value> = inputs.iter().map(|(_, data)| native(data)).collect();
        match self {
            Self::Miot => {
                let params = json!({"did": did, "siid": at.service, "aiid": at.thing, "in": values});
                Some(Question::new("action", params).once())
            }
            Self::Profile(profile) => {
                let deed = profile.actions.get(&at)?;
                let params = deed.params.iter().cloned().chain(values).collect();
                Some(Question::new(&deed.method, Value::Array(params)).once())
            }
        }
    }

    /// What came of [`Dialect::act`].
    ///
    /// # Errors
    /// The device's refusal.
    pub fn acted(&self, result: &Value) -> Result<(), Failure> {
        match result["code"].as_i64().or_else(|| result.as_i64()) {
            Some(code) if !matches!(code, 0 | 1) => Err(refusal(code)),
            _ => Ok(()),
        }
    }

    /// Everything is asked for at once.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Profile(profile) if profile.by_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn miot_is_asked_told_and_understood() {
        let (a, b) = (At::new(2, 1), At::new(2, 3));
        let read = Dialect::Miot.read("7", &[a, b]);
        assert_eq!(read.params, json!([{"did": "7", "siid": 2, "piid": 1}, {"did": "7", "siid": 2, "piid": 3}]));
        let answer = json!([{"siid": 2, "piid": 3, "code": 0, "value": 5}, {"siid": 2, "piid": 1, "code": -4001}, {"siid": 9, "piid": 9, "value": 1}]);
        assert_eq!(Dialect::Miot.heard(&[a, b], &answer), [(b, Ok(json!(5))), (a, Err(-4001))]);
        assert_eq!(Dialect::Miot.heard(&[a], &json!("ok")), []);
        let write = Dialect::Miot.write("7", &[(b, Data::Int(9))]).unwrap();
        assert_eq!(write[0].params, json!([{"did": "7", "siid": 2, "piid": 3, "value": 9}]));
        for (result, ok) in [
            (json!(0), true),
            (json!(["ok"]), true),
            (json!([{"code": 0}, {"code": 1}]), true),
            (json!([{"code": 0}, {"code": -4005}]), false),
            (json!(-4002), false),
        ] {
            assert_eq!(Dialect::Miot.written(&result).is_ok(), ok, "{result}");
        }
        let act = Dialect::Miot.act("7", At::new(3, 1), &[(a, true.into())]).unwrap();
        assert_eq!((act.params["in"].clone(), act.is_same_twice), (json!([true]), false));
        assert!(
            Dialect::Miot.acted(&json!(["ok"])).is_ok() && Dialect::Miot.acted(&json!({"code": 0, "out": []})).is_ok()
        );
        assert!(Dialect::Miot.acted(&json!({"code": -4006})).is_err());
    }

    #[test]
    fn an_older_device_is_asked_and_told_in_its_own_words() {
        let text = json!({
            "models": ["lab.fan.x"], "get": "get_prop",
            "properties": {
                "2.1": {"get": "power", "set": "set_power", "words": [["on", true], ["off", false]]},
                "2.2": {"get": "temp_dec", "factor": 0.1},
                "2.3": {"set": "set_move", "with": ["smooth", 500]},
            },
            "actions": {"2.1": {"method": "app_start", "params": [1]}},
            "spec": {"type": "urn:miot-spec-v2:device:fan:1:lab-x:1", "services": []},
        });
        let profile = Profile::parse(text.to_string().as_bytes()).unwrap();
        let ats = [At::new(2, 1), At::new(2, 2), At::new(2, 3)];
        let dialect = Dialect::Profile(Box::new(profile));
        assert_eq!(dialect.read("7", &ats).params, json!(["power", "temp_dec"]));
        let heard = dialect.heard(&ats, &json!(["on", 232]));
        assert_eq!(heard, [(ats[0], Ok(json!(true))), (ats[1], Ok(json!(23.2)))]);
        assert_eq!(dialect.heard(&ats, &json!(["on", null])), [(ats[0], Ok(json!(true))), (ats[1], Err(-4003))]);
        assert_eq!(
            dialect.heard(&ats, &json!(["", null])),
            [(ats[0], Err(0)), (ats[1], Err(0))],
            "all of it is missing"
        );
        let write = dialect.write("7", &[(ats[0], false.into()), (ats[2], Data::Int(3))]).unwrap();
        assert_eq!((write[0].method.as_str(), write[0].params.clone()), ("set_power", json!(["off"])));
        assert_eq!(write[1].params, json!([3, "smooth", 500]));
        assert!(dialect.write("7", &[(ats[1], Data::Int(1))]).is_none(), "nobody sets a temperature");
        assert_eq!(dialect.act("7", ats[0], &[]).unwrap().params, json!([1]));
        for bad in ["{}", "[]", r#"{"models":[],"get":"x","properties":{"a":{}},"spec":{}}"#] {
            assert!(Profile::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
