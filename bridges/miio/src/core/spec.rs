//! What a model can do: an instance document of MIoT-Spec v2, read with everything in it bounded. What makes no sense is
//! left out and named in [`Spec::faults`]; unknown keys are passed over, as the format wants.

use std::collections::BTreeSet;

use accord_model::text::for_screen;
use serde::Deserialize;
use serde_json::Value;

/// Longest document, and the most of each thing in it.
pub const MAX_DOCUMENT: usize = 1 << 20;
const MOST_SERVICES: usize = 128;
const MOST_PROPERTIES: usize = 2000;
const MOST_ACTIONS: usize = 500;
const MOST_EVENTS: usize = 500;
const MOST_VALUES: usize = 256;
const MOST_INPUTS: usize = 32;
const MOST_FAULTS: usize = 64;
const MAX_WORDS: usize = 80;

/// A property, action or event within a device: service and number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The service (siid).
    pub service: u16,
    /// The property, action or event (piid, aiid, eiid).
    pub thing: u16,
}

impl At {
    /// Of a service.
    pub const fn new(service: u16, thing: u16) -> Self {
        Self { service, thing }
    }

    /// From `2.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (service, thing) = text.split_once('.')?;
        Some(Self { service: service.parse().ok()?, thing: thing.parse().ok()? })
    }
}

/// A model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// What sort of device, in the standard's word: `light`, `vacuum`.
    pub kind: String,
    /// In the maker's words.
    pub description: String,
    /// What it has.
    pub services: Vec<Service>,
    /// What was left out, and why.
    pub faults: Vec<String>,
}

/// A service of a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// Its number (siid).
    pub iid: u16,
    /// The standard's or the maker's word.
    pub kind: String,
    /// The word is the standard's; a maker's may mean anything.
    pub is_standard: bool,
    /// In the maker's words.
    pub description: String,
    /// State.
    pub properties: Vec<Property>,
    /// Deeds.
    pub actions: Vec<Action>,
    /// What it tells of by itself, to its maker's servers.
    pub events: Vec<Event>,
}

impl Service {
    /// A property of the standard's name.
    pub fn property(&self, kind: &str) -> Option<&Property> {
        self.properties.iter().find(|one| one.is_standard && one.kind == kind)
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// true and false, by some devices 1 and 0.
    #[default]
    Bool,
    /// A whole number between these.
    Int(i64, i64),
    /// Any number.
    Float,
    /// Text; also `hex` and what is not known.
    Text,
}

/// A property.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Property {
    /// Its number (piid).
    pub iid: u16,
    /// Its word.
    pub kind: String,
    /// See [`Service::is_standard`].
    pub is_standard: bool,
    /// In the maker's words.
    pub description: String,
    /// How it is written.
    pub format: Format,
    /// Can be asked for.
    pub read: bool,
    /// Can be set.
    pub write: bool,
    /// Is told, to the maker's servers.
    pub notify: bool,
    /// In which unit.
    pub unit: String,
    /// Smallest, largest, step.
    pub range: Option<(f64, f64, f64)>,
    /// Numbers and what they mean.
    pub values: Vec<(i64, String)>,
}

/// A deed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Action {
    /// Its number (aiid).
    pub iid: u16,
    /// Its word.
    pub kind: String,
    /// See [`Service::is_standard`].
    pub is_standard: bool,
    /// In the maker's words.
    pub description: String,
    /// Which properties of its service it takes, in this order.
    pub inputs: Vec<u16>,
}

/// What a device tells of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// Its number (eiid).
    pub iid: u16,
    /// Its word.
    pub kind: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    services: Vec<RawService>,
}

#[derive(Deserialize)]
struct RawService {
    iid: u64,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    properties: Vec<RawProperty>,
    #[serde(default)]
    actions: Vec<RawAction>,
    #[serde(default)]
    events: Vec<RawEvent>,
}

#[derive(Deserialize)]
struct RawProperty {
    iid: u64,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    access: Value,
    #[serde(default)]
    unit: Value,
    #[serde(rename = "value-range", default)]
    range: Value,
    #[serde(rename = "value-list", default)]
    values: Value,
}

#[derive(Deserialize)]
struct RawAction {
    iid: u64,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(rename = "in", default)]
    inputs: Vec<u64>,
}

#[derive(Deserialize)]
struct RawEvent {
    iid: u64,
    #[serde(rename = "type", default)]
    kind: String,
}

impl Spec {
    /// Reads a document.
    ///
    /// # Errors
    /// In words, for the owner who gave the file.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(format!("a spec of more than {} KiB is refused", MAX_DOCUMENT / 1024));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("it is no MIoT spec: {error}"))?;
        let (kind, _) = word(&raw.kind, "device").ok_or("it is no MIoT spec: its type is no URN of a device")?;
        if raw.services.len() > MOST_SERVICES {
            return Err(format!("a spec of more than {MOST_SERVICES} services is refused"));
        }
        let count = |of: fn(&RawService) -> usize| raw.services.iter().map(of).sum::<usize>();
        let sizes = [
            (count(|one| one.properties.len()), MOST_PROPERTIES, "properties"),
            (count(|one| one.actions.len()), MOST_ACTIONS, "actions"),
            (count(|one| one.events.len()), MOST_EVENTS, "events"),
        ];
        if let Some((_, most, what)) = sizes.into_iter().find(|(count, most, _)| count > most) {
            return Err(format!("a spec of more than {most} {what} is refused"));
        }
        let mut spec = Self { kind, description: words(&raw.description), ..Self::default() };
        let mut known = BTreeSet::new();
        for service in raw.services {
            let Some(iid) = number(service.iid).filter(|iid| known.insert(*iid)) else {
                spec.fault(format!("service {} is there twice or has no number", service.iid));
                continue;
            };
            let service = spec.service(iid, service);
            spec.services.push(service);
        }
        Ok(spec)
    }

    /// A service by its number.
    pub fn of(&self, iid: u16) -> Option<&Service> {
        self.services.iter().find(|service| service.iid == iid)
    }

    /// A property by its numbers.
    pub fn property(&self, at: At) -> Option<&Property> {
        self.of(at.service)?.properties.iter().find(|one| one.iid == at.thing)
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(what);
        }
    }

    fn service(&mut self, iid: u16, raw: RawService) -> Service {
        let (kind, is_standard) = word(&raw.kind, "service").unwrap_or_else(|| (format!("service-{iid}"), false));
        let description = words(&raw.description);
        let mut service = Service { iid, kind, is_standard, description, ..Service::default() };
        let mut known = BTreeSet::new();
        for raw in raw.properties {
            match number(raw.iid).filter(|iid| known.insert(*iid)) {
                Some(piid) => service.properties.push(self.one_property(At::new(iid, piid), raw)),
                None => self.fault(format!("property {iid}.{} is there twice or has no number", raw.iid)),
            }
        }
        let properties = known;
        let mut known = BTreeSet::new();
        for raw in raw.actions {
            let inputs: Vec<u16> = raw.inputs.iter().filter_map(|input| number(*input)).collect();
            let is_sound = inputs.len() == raw.inputs.len()
                && inputs.len() <= MOST_INPUTS
                && inputs.iter().all(|input| properties.contains(input));
            match number(raw.iid).filter(|aiid| is_sound && known.insert(*aiid)) {
                None => self.fault(format!("action {iid}.{} is there twice or takes what there is not", raw.iid)),
                Some(aiid) => {
                    let (kind, is_standard) =
                        word(&raw.kind, "action").unwrap_or_else(|| (format!("action-{aiid}"), false));
                    let description = words(&raw.description);
                    service.actions.push(Action { iid: aiid, kind, is_standard, description, inputs });
                }
            }
        }
        for raw in raw.events {
            let Some(eiid) = number(raw.iid) else { continue };
            let kind = word(&raw.kind, "event").map_or_else(|| format!("event-{eiid}"), |(kind, _)| kind);
            service.events.push(Event { iid: eiid, kind });
        }
        service
    }

    fn one_property(&mut self, at: At, raw: RawProperty) -> Property {
        let (kind, is_standard) =
            word(&raw.kind, "property").unwrap_or_else(|| (format!("property-{}", at.thing), false));
        let format = format(&raw.format);
        let access = |what: &str| raw.access.as_array().is_some_and(|all| all.iter().any(|one| one == what));
        let mut property = Property {
            iid: at.thing,
            kind,
            is_standard,
            description: words(&raw.description),
            format,
            read: access("read"),
            write: access("write"),
            notify: access("notify"),
            unit: words(raw.unit.as_str().filter(|unit| *unit != "none").unwrap_or_default()),
            range: None,
            values: Vec::new(),
        };
        if !raw.range.is_null() {
            property.range = range(&raw.range, format);
            if property.range.is_none() {
                self.fault(format!("the range of property {}.{} makes no sense", at.service, at.thing));
            }
        }
        if let Some(values) = raw.values.as_array().filter(|values| !values.is_empty()) {
            let mut known = BTreeSet::new();
            for value in values.iter().take(MOST_VALUES) {
                let Some(number) = value["value"].as_i64().filter(|number| known.insert(*number)) else { continue };
                let text = words(value["description"].as_str().unwrap_or_default());
                property.values.push((number, if text.is_empty() { format!("value {number}") } else { text }));
            }
            if property.values.len() != values.len() {
                self.fault(format!("some values of property {}.{} make no sense", at.service, at.thing));
            }
        }
        property
    }
}

fn number(iid: u64) -> Option<u16> {
    u16::try_from(iid).ok().filter(|iid| *iid > 0)
}

fn words(text: &str) -> String {
    for_screen(text.trim(), MAX_WORDS)
}

/// The name in a URN (`urn:NAMESPACE:TYPE:NAME:HEX…`), and whether the standard gives it.
fn word(urn: &str, of: &str) -> Option<(String, bool)> {
    let mut parts = urn.split(':');
    let (urn, namespace, kind, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if urn != "urn" || kind != of || name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return None;
    }
    Some((name.to_ascii_lowercase().replace(['_', '.'], "-"), matches!(namespace, "miot-spec-v2" | "bluetooth-spec")))
}

fn format(text: &str) -> Format {
    let signed = |bits: u32| Format::Int(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let unsigned = |bits: u32| Format::Int(0, (1 << bits) - 1);
    match text {
        "bool" => Format::Bool,
        "int8" => signed(8),
        "int16" => signed(16),
        "int32" => signed(32),
        "uint8" => unsigned(8),
        "uint16" => unsigned(16),
        "uint32" => unsigned(32),
        "int64" => Format::Int(i64::MIN, i64::MAX),
        "uint64" => Format::Int(0, i64::MAX),
        "float" => Format::Float,
        _ => Format::Text,
    }
}

/// Within what the format holds; `None` when nothing is left.
fn range(raw: &Value, format: Format) -> Option<(f64, f64, f64)> {
    let numbers: Vec<f64> = raw.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
    let [min, max, step] = numbers[..] else { return None };
    let (low, high) = match format {
        Format::Int(low, high) => (low as f64, high as f64),
        Format::Float => (-1e15, 1e15),
        Format::Bool | Format::Text => return None,
    };
    let (min, max) = (min.max(low), max.min(high));
    let is_whole = matches!(format, Format::Int(..));
    let step = if step.is_finite() && step > 0.0 && step <= max - min { step } else { f64::from(is_whole) };
    (min < max).then_some((min, max, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn urn(of: &str, name: &str) -> String {
        format!("urn:miot-spec-v2:{of}:{name}:00000001:lab-x:1")
    }

    fn document(properties: Value, actions: Value) -> Vec<u8> {
        json!({"type": urn("device", "light"), "description": "Light", "services": [
            {"iid": 2, "type": urn("service", "light"), "description": "L", "properties": properties, "actions": actions}]})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_document_is_read() {
        let property = json!({"iid": 3, "type": urn("property", "brightness"), "description": "B", "format": "uint8",
            "access": ["read", "write", "notify"], "unit": "percentage", "value-range": [1, 100, 1], "new-key": {}});
        let action = json!({"iid": 1, "type": urn("action", "toggle"), "description": "T", "in": [], "out": []});
        let spec = Spec::parse(&document(json!([property]), json!([action]))).unwrap();
        assert_eq!((spec.kind.as_str(), spec.faults.len()), ("light", 0));
        let brightness = spec.property(At::new(2, 3)).unwrap();
        assert!(brightness.is_standard && brightness.read && brightness.write && brightness.unit == "percentage");
        assert_eq!((brightness.format, brightness.range), (Format::Int(0, 255), Some((1.0, 100.0, 1.0))));
        assert_eq!(spec.services[0].actions[0].kind, "toggle");
    }

    #[test]
    fn what_makes_no_sense_is_left_out_and_named() {
        let property = |iid: i64, range: Value| json!({"iid": iid, "type": urn("property", "x"), "format": "uint8", "access": ["read"], "value-range": range});
        let properties = json!([
            property(1, json!([0, 1e300, 0])),
            property(2, json!([9, 1, 1])),
            property(3, json!(["a", "b", "c"])),
            property(4, json!([300, 400, 1])),
            property(1, json!(null)),
            {"iid": 5, "type": "nonsense", "format": "bool", "access": "read"},
            {"iid": 6, "type": urn("property", "m"), "format": "uint8", "access": [], "value-list":
                [{"value": 1, "description": "A"}, {"value": 1, "description": "B"}, {"description": "C"}]},
        ]);
        // An action that takes what is not there, or itself over and over.
        let action = |iid: i64, inputs: Vec<i64>| json!({"iid": iid, "type": urn("action", "a"), "in": inputs});
        let actions = json!([action(1, vec![9]), action(2, vec![1; 33]), action(3, vec![1, 1])]);
        let spec = Spec::parse(&document(properties, actions)).unwrap();
        let range = |piid| spec.property(At::new(2, piid)).unwrap().range;
        assert_eq!(range(1), Some((0.0, 255.0, 1.0)), "what the format holds");
        assert_eq!((range(2), range(3), range(4)), (None, None, None));
        assert_eq!(spec.property(At::new(2, 5)).unwrap().kind, "property-5");
        assert_eq!(spec.property(At::new(2, 6)).unwrap().values, [(1, "A".into())]);
        assert_eq!(spec.services[0].actions.iter().map(|one| one.iid).collect::<Vec<_>>(), [3]);
        assert_eq!(spec.faults.len(), 7, "{:?}", spec.faults);
    }

    #[test]
    fn what_is_no_spec_and_what_is_too_large_is_refused() {
        let many = json!({"type": urn("device", "x"), "services": (1..=129).map(|iid| json!({"iid": iid})).collect::<Vec<_>>()});
        let large = json!((0..2001).map(|iid| json!({"iid": iid})).collect::<Vec<_>>());
        for bad in [
            b"".to_vec(),
            b"[]".to_vec(),
            b"{\"type\":\"urn:x:service:y:1\"}".to_vec(),
            "[".repeat(1000).into_bytes(),
            vec![b' '; MAX_DOCUMENT + 1],
            many.to_string().into_bytes(),
            document(large, json!([])),
            document(json!([{"iid": -1}]), json!([])),
        ] {
            assert!(Spec::parse(&bad).is_err(), "{:.40}", String::from_utf8_lossy(&bad));
        }
    }

    proptest! {
        #[test]
        fn no_range_makes_it_panic(a: f64, b: f64, c: f64, format in "(u?int(8|16|32|64)|float|bool)") {
            if let Some((min, max, step)) = range(&json!([a, b, c]), super::format(&format)) {
                prop_assert!(min < max && step >= 0.0 && step.is_finite());
            }
        }
    }
}
