//! Everything else, to be read: under the names of the specification or their numbers, lists and structures as JSON texts.

use std::collections::BTreeSet;

use accord_model::text::for_screen;
use accord_model::{Data, FieldCode, Format, Property, Role};
use serde_json::Value as Json;

use super::Part;
use crate::core::look::Look;
use crate::core::names;
use crate::core::node::Key;
use crate::core::value::Value;

/// Most of one endpoint.
const MOST: usize = 160;
/// Longest text, in characters.
const MAX_TEXT: usize = 200;
/// Most that is looked at of one list or structure.
const MAX_ITEMS: usize = 32;
const MAX_DEPTH: usize = 4;

/// What `more` shows, and what not.
pub(super) struct More {
    /// With what is nowhere else.
    pub part: Option<Part>,
    /// Which attributes those are.
    pub shown: BTreeSet<Key>,
    /// Which have nothing to be shown.
    pub empty: BTreeSet<Key>,
    /// Which are bytes of a maker's own cluster: nobody else can read them, and what is in them may be more than a state.
    pub opaque: BTreeSet<Key>,
}

/// `part` and what is nowhere else.
pub(super) fn more(look: &Look<'_>, mut part: Part, used: &BTreeSet<Key>) -> More {
    let (mut shown, mut empty, mut opaque) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (key, value) in look.all() {
        let (cluster, attribute) = *key;
        let is_elsewhere = used.contains(key) || names::describes(cluster, attribute);
        if is_elsewhere || names::left(cluster, attribute).is_some() {
            continue;
        }
        if cluster > 0xFFFF && matches!(value, Value::Bytes(_)) {
            opaque.insert(*key);
            continue;
        }
        let Some((format, data)) = data(value) else {
            empty.insert(*key);
            continue;
        };
        let id = names::attribute(cluster, attribute);
        if shown.len() >= MOST || part.service.properties.iter().any(|one| one.id == id) {
            continue;
        }
        // A name for good of this one thing.
        let is_serial = matches!((cluster, attribute), (0x28 | 0x39, 0x0F));
        let kind = if is_serial { FieldCode::HomeDeviceId } else { FieldCode::HomeDeviceState };
        let property = Property { role: Role::Diagnostic, ..Property::state(&id, format).sensitive(kind) };
        part.service.properties.push(property);
        part.sources.insert(id.clone(), BTreeSet::from([*key]));
        part.values.insert(id, data);
        shown.insert(*key);
    }
    let part = Some(part).filter(|part| !part.service.properties.is_empty() || !part.service.actions.is_empty());
    More { part, shown, empty, opaque }
}

/// In our formats; nothing of what is null, no number, or empty.
fn data(value: &Value) -> Option<(Format, Data)> {
    Some(match value {
        Value::Bool(yes) => (Format::Bool, Data::Bool(*yes)),
        Value::Uint(number) => match i64::try_from(*number) {
            Ok(number) => (Format::Int, Data::Int(number)),
            Err(_) => return None,
        },
        Value::Int(number) => (Format::Int, Data::Int(*number)),
        Value::Float(number) => (Format::Float, Data::Float(Some(*number).filter(|number| number.is_finite())?)),
        Value::Text(text) => {
            (Format::Text, Data::Text(Some(for_screen(text, MAX_TEXT)).filter(|text| !text.is_empty())?))
        }
        Value::Bytes(bytes) => (Format::Text, Data::Text(Some(hex(bytes)).filter(|text| !text.is_empty())?)),
        Value::List(items) if items.is_empty() => return None,
        Value::Struct(fields) if fields.is_empty() => return None,
        Value::List(_) | Value::Struct(_) => {
            (Format::Text, Data::Text(for_screen(&json(value, 0).to_string(), MAX_TEXT)))
        }
        Value::Null => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(MAX_TEXT / 2).map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: &Value, depth: usize) -> Json {
    match value {
        Value::Bool(yes) => Json::from(*yes),
        Value::Uint(number) => Json::from(*number),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) => Json::from(for_screen(text, MAX_TEXT)),
        Value::Bytes(bytes) => Json::from(hex(bytes)),
        Value::List(_) | Value::Struct(_) if depth >= MAX_DEPTH => Json::from("…"),
        Value::List(items) => items.iter().take(MAX_ITEMS).map(|item| json(item, depth + 1)).collect(),
        Value::Struct(fields) => {
            let fields = fields.iter().take(MAX_ITEMS).map(|(tag, value)| (tag.to_string(), json(value, depth + 1)));
            Json::Object(fields.collect())
        }
        Value::Null => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_told_is_a_short_text_at_most() {
        let deep = (0..40).fold(Value::Uint(1), |inner, _| Value::List(vec![inner]));
        let wide = Value::List(vec![Value::Text("x\u{202e}".repeat(5000)); 1000]);
        for value in [deep, wide, Value::Bytes(vec![7; 60_000]), Value::Text("a".repeat(60_000))] {
            let (format, Data::Text(text)) = data(&value).unwrap() else { panic!("no text") };
            assert!(format == Format::Text && text.chars().count() <= MAX_TEXT + 1);
            assert!(!text.contains('\u{202e}'));
        }
        for nothing in [Value::Null, Value::List(vec![]), Value::Text(String::new()), Value::Float(f64::NAN)] {
            assert_eq!(data(&nothing), None, "{nothing:?}");
        }
        let fields = Value::Struct(vec![(0, Value::Uint(3)), (2, Value::Bytes(vec![0xab]))]);
        assert_eq!(data(&fields).unwrap().1, Data::Text(r#"{"0":3,"2":"ab"}"#.into()));
    }
}
