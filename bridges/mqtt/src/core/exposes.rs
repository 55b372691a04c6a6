//! One thing that a device of zigbee2mqtt exposes (zigbee2mqtt.io, "Exposes"). Generic ones are a property each, specific
//! ones (`light`, `switch`, …) have features. With `access` bit 1 it is published, with 2 it can be set, with 4 it can be
//! asked for.

use accord_model::Role;
use serde_json::{Value, json};

use super::native::{Linear, Scale, number};
use super::units::{self, Measure, measure};
use super::zigbee::choice;

/// Most exposes of one device, features of one, and words of an enum.
pub(super) const MOST: usize = 512;
/// Deepest nesting.
const DEEPEST: usize = 4;
/// Longest name, in bytes.
const MAX_NAME: usize = 128;

/// One thing that a device exposes.
#[derive(Debug, Clone)]
pub struct Expose {
    /// `numeric`, `light`, …
    pub(super) kind: String,
    pub(super) name: String,
    /// The key in the state, with the endpoint in it.
    pub(super) property: String,
    pub(super) endpoint: Option<String>,
    pub(super) access: u8,
    pub(super) unit: Option<String>,
    pub(super) range: [Option<f64>; 3],
    pub(super) words: Vec<Value>,
    pub(super) on: Option<Value>,
    pub(super) off: Option<Value>,
    pub(super) toggles: bool,
    pub(super) role: Role,
    pub(super) features: Vec<Expose>,
}

impl Expose {
    /// Reads one; `None` when it makes no sense.
    pub fn parse(value: &Value) -> Option<Self> {
        Self::at_depth(value, 0)
    }

    fn at_depth(value: &Value, depth: usize) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str().filter(|text| text.len() <= MAX_NAME).map(str::to_owned);
        let kind = text("type")?;
        let name = text("name").unwrap_or_default();
        let list = |key: &str| value.get(key).and_then(Value::as_array).into_iter().flatten().take(MOST);
        let features = match depth < DEEPEST {
            true => list("features").filter_map(|one| Self::at_depth(one, depth + 1)).collect(),
            false => Vec::new(),
        };
        Some(Self {
            property: text("property").unwrap_or_else(|| name.clone()),
            endpoint: text("endpoint"),
            access: value.get("access").and_then(Value::as_u64).map_or(0, |bits| (bits & 7) as u8),
            unit: text("unit"),
            range: ["value_min", "value_max", "value_step"].map(|key| value.get(key).and_then(number)),
            words: list("values")
                .filter(|word| word.is_string() || word.is_number() || word.is_boolean())
                .cloned()
                .collect(),
            on: value.get("value_on").cloned(),
            off: value.get("value_off").cloned(),
            toggles: value.get("value_toggle").is_some(),
            role: match value.get("category").and_then(Value::as_str) {
                Some("config") => Role::Config,
                Some("diagnostic") => Role::Diagnostic,
                _ => Role::Primary,
            },
            features,
            kind,
            name,
        })
    }

    pub(super) fn has(&self, bit: u8) -> bool {
        self.access & bit != 0
    }

    pub(super) fn feature(&self, name: &str) -> Option<&Expose> {
        self.features.iter().find(|feature| feature.name == name)
    }

    pub(super) fn label(&self) -> &str {
        self.endpoint.as_deref().unwrap_or_default()
    }

    pub(super) fn measure(&self) -> Measure {
        self.unit.as_deref().map_or(units::NONE, measure)
    }

    /// How it is said in general; `None` for what has no plain value.
    pub(super) fn scale(&self) -> Option<Scale> {
        Some(match self.kind.as_str() {
            "binary" => {
                let on = self.on.clone().unwrap_or(json!(true));
                let off = self.off.clone().unwrap_or(json!(false));
                Scale::Bool { on, off }
            }
            "numeric" => Scale::Number(Linear::of(self.measure(), self.range)),
            "enum" if !self.words.is_empty() => choice(&self.words),
            // Some name no words.
            "enum" | "text" => Scale::Text,
            "list" | "composite" => Scale::Json,
            _ => return None,
        })
    }
}
