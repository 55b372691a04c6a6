//! What Home Assistant says of an entity beside its state. Only what the mapper reads is kept, and never more than a bound of
//! it: an entity may have megabytes of attributes.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest text that is kept of an attribute, in characters.
pub const MAX_TEXT: usize = 255;
/// Most items of a list.
const MAX_LIST: usize = 256;
/// How deep lists lie in lists.
const MAX_DEPTH: usize = 3;

/// One attribute, or one item of a registry.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Attr {
    /// `null`, and what is of no use here.
    #[default]
    None,
    /// Yes or no.
    Bool(bool),
    /// A number, always finite.
    Number(f64),
    /// A text, cut.
    Text(String),
    /// Several, cut.
    List(Vec<Attr>),
}

impl Attr {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
    /// The number, also one that is written as a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }
    /// Yes or no.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            Self::Text(text) if text == "on" => Some(true),
            Self::Text(text) if text == "off" => Some(false),
            _ => None,
        }
    }
    /// The items of a list; none of what is no list.
    pub fn items(&self) -> &[Attr] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
    /// The texts in a list, or numbers as texts.
    pub fn texts(&self) -> Vec<String> {
        let text = |item: &Self| match item {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        };
        self.items().iter().filter_map(text).collect()
    }
}

impl<'de> Deserialize<'de> for Attr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AttrVisitor { depth: 0 })
    }
}

struct AttrVisitor {
    depth: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for AttrVisitor {
    type Value = Attr;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Attr, D::Error> {
        match self.depth > MAX_DEPTH {
            true => IgnoredAny::deserialize(deserializer).map(|_| Attr::None),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for AttrVisitor {
    type Value = Attr;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }
    fn visit_bool<E>(self, bool: bool) -> Result<Attr, E> {
        Ok(Attr::Bool(bool))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Attr, E> {
        Ok(Attr::Number(number as f64))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Attr, E> {
        Ok(Attr::Number(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Attr, E> {
        Ok(if number.is_finite() { Attr::Number(number) } else { Attr::None })
    }
    fn visit_str<E>(self, text: &str) -> Result<Attr, E> {
        Ok(Attr::Text(text.chars().take(MAX_TEXT).collect()))
    }
    fn visit_unit<E>(self) -> Result<Attr, E> {
        Ok(Attr::None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Attr, A::Error> {
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(AttrVisitor { depth: self.depth + 1 })? {
            if kept.len() < MAX_LIST {
                kept.push(item);
            }
        }
        Ok(Attr::List(kept))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Attr, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Attr::None)
    }
}

/// The attributes that the mapper reads, in order.
const KNOWN: &[&str] = &[
    "action",
    "activity_list",
    "air_quality_index",
    "app_name",
    "apparent_temperature",
    "attribution",
    "auto_update",
    "aux_heat",
    "available_modes",
    "available_tones",
    "away_mode",
    "azimuth",
    "battery_level",
    "brightness",
    "carbon_dioxide",
    "carbon_monoxide",
    "cleaned_area",
    "cloud_coverage",
    "code_arm_required",
    "code_format",
    "color_mode",
    "color_temp",
    "color_temp_kelvin",
    "current_activity",
    "current_humidity",
    "current_position",
    "current_temperature",
    "current_tilt_position",
    "device_class",
    "dew_point",
    "direction",
    "duration",
    "effect",
    "effect_list",
    "elevation",
    "entity_picture",
    "event_type",
    "event_types",
    "fan_mode",
    "fan_modes",
    "fan_speed",
    "fan_speed_list",
    "friendly_name",
    "group_members",
    "has_date",
    "has_time",
    "hs_color",
    "humidity",
    "hvac_action",
    "hvac_modes",
    "in_progress",
    "installed_version",
    "is_volume_muted",
    "latest_version",
    "max",
    "max_color_temp_kelvin",
    "max_humidity",
    "max_mireds",
    "max_temp",
    "media_album_name",
    "media_artist",
    "media_content_type",
    "media_duration",
    "media_episode",
    "media_position",
    "media_position_updated_at",
    "media_season",
    "media_series_title",
    "media_title",
    "media_track",
    "min",
    "min_color_temp_kelvin",
    "min_humidity",
    "min_mireds",
    "min_temp",
    "mode",
    "next_dawn",
    "next_dusk",
    "next_midnight",
    "next_noon",
    "next_rising",
    "next_setting",
    "nitrogen_dioxide",
    "nitrogen_monoxide",
    "nitrogen_oxide",
    "operation_list",
    "operation_mode",
    "options",
    "oscillating",
    "ozone",
    "particulate_matter_0_1",
    "particulate_matter_10",
    "particulate_matter_2_5",
    "percentage",
    "percentage_step",
    "precipitation_unit",
    "preset_mode",
    "preset_modes",
    "pressure",
    "pressure_unit",
    "release_summary",
    "release_url",
    "remaining",
    "repeat",
    "rising",
    "shuffle",
    "skipped_version",
    "sound_mode",
    "sound_mode_list",
    "source",
    "source_list",
    "state_class",
    "step",
    "sulphur_dioxide",
    "supported_color_modes",
    "supported_features",
    "swing_mode",
    "swing_modes",
    "target_temp_high",
    "target_temp_low",
    "target_temp_step",
    "temperature",
    "temperature_unit",
    "title",
    "unit_of_measurement",
    "uv_index",
    "visibility",
    "visibility_unit",
    "volume_level",
    "wind_bearing",
    "wind_gust_speed",
    "wind_speed",
    "wind_speed_unit",
];

/// The attributes of one entity that the mapper reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attrs(BTreeMap<&'static str, Attr>);

impl Attrs {
    /// One of them; nothing when it is not there.
    pub fn get(&self, name: &str) -> &Attr {
        const NONE: &Attr = &Attr::None;
        debug_assert!(KNOWN.contains(&name), "{name} is not kept");
        self.0.get(name).unwrap_or(NONE)
    }
    /// A text that says something.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).text().filter(|text| !text.is_empty())
    }
    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).number()
    }
    /// Whether it is there and not `null`.
    pub fn has(&self, name: &str) -> bool {
        *self.get(name) != Attr::None
    }
    /// Takes what changed.
    pub fn extend(&mut self, changed: Self) {
        self.0.extend(changed.0);
    }
    /// Forgets one.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<'de> Deserialize<'de> for Attrs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Known;
        impl<'de> Visitor<'de> for Known {
            type Value = Attrs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("attributes by name")
            }
            fn visit_unit<E>(self) -> Result<Attrs, E> {
                Ok(Attrs::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Attrs, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some(name) = items.next_key::<std::borrow::Cow<'de, str>>()? {
                    match KNOWN.binary_search(&&*name).ok().map(|at| &KNOWN[at]) {
                        Some(known) => drop(kept.insert(*known, items.next_value()?)),
                        None => drop(items.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Attrs(kept))
            }
        }
        deserializer.deserialize_any(Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_is_kept_and_no_more_than_a_bound() {
        assert!(KNOWN.is_sorted(), "it is searched by halves");
        let long = "x".repeat(5000);
        let list = format!("[{}]", vec!["1"; 5000].join(","));
        let json = format!(
            r#"{{"brightness":128,"entity_picture":"/api/{long}","forecast":[{{"a":1}}],"friendly_name":"{long}",
                "effect_list":{list},"effect":null,"options":[[[[[1]]]]],"mode":{{"a":"b"}},"hs_color":[1.5,"2"]}}"#
        );
        let attrs: Attrs = serde_json::from_str(&json).unwrap();
        assert_eq!(attrs.number("brightness"), Some(128.0));
        assert_eq!(attrs.text("friendly_name").map(str::len), Some(MAX_TEXT));
        assert_eq!(attrs.get("effect_list").items().len(), MAX_LIST);
        assert!(!attrs.has("effect") && !attrs.has("mode") && !attrs.has("uv_index"));
        assert_eq!(attrs.count(), 8, "a forecast is not kept");
        assert_eq!(attrs.get("hs_color").items()[1].number(), Some(2.0));
    }
}
