//! Lamps (home-assistant.io, "MQTT light"): by a topic for each of what they have, or by one JSON object.

use accord_model::Property;
use serde_json::json;

use super::{Keys, Mapper, TEMPLATE, keys};
use crate::core::discovery::Entity;
use crate::core::native::{Colour, Half, Linear, Scale};
use crate::core::parts::{Doing, Form, Place, Telling, Wire};
use crate::core::template::Path;
use crate::core::units::measure;
use crate::core::zigbee::choice;

/// Whether the temperature or the colour holds; white of its own is neither, and is left out.
fn colour_mode() -> Scale {
    let modes = [(0, "color_temp"), (1, "hs"), (1, "xy"), (1, "rgb"), (1, "rgbw"), (1, "rgbww")];
    Scale::Choice(modes.map(|(number, mode)| (number, json!(mode))).to_vec())
}

impl Mapper {
    pub(super) fn light(&mut self, label: &str, entity: &Entity) {
        match entity.text("schema") {
            None | Some("default" | "basic") => self.light_of_topics(label, entity),
            Some("json") => self.light_of_json(label, entity),
            _ => self.lost(TEMPLATE),
        }
    }

    fn mireds(entity: &Entity) -> Scale {
        let kelvin = entity.truth("color_temp_kelvin").unwrap_or(false);
        if kelvin {
            let (low, high) =
                (entity.number("min_kelvin").unwrap_or(2000.0), entity.number("max_kelvin").unwrap_or(6535.0));
            return Scale::Number(Linear::of(measure("K"), [Some(low), Some(high), Some(1.0)]));
        }
        let low = entity.number("min_mireds").or_else(|| Some(1e6 / entity.number("max_kelvin")?));
        let high = entity.number("max_mireds").or_else(|| Some(1e6 / entity.number("min_kelvin")?));
        Scale::Number(Linear::mired(low.unwrap_or(153.0).round(), high.unwrap_or(500.0).round()))
    }

    fn light_of_topics(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("light", label) else { return };
        let at = |id: &'static str| ("light", instance, id);
        if !self.on_off("light", instance, entity, "state_value_template") {
            self.forget("light", instance);
            return;
        }
        let scale = entity.number("brightness_scale").filter(|scale| *scale >= 1.0).unwrap_or(255.0);
        let level = keys(
            "brightness_state_topic",
            "brightness_value_template",
            "brightness_command_topic",
            "brightness_command_template",
        );
        self.put(entity, at("level"), &level, Scale::Number(Linear::percent(0.0, scale)));
        let warmth = keys(
            "color_temp_state_topic",
            "color_temp_value_template",
            "color_temp_command_topic",
            "color_temp_command_template",
        );
        self.put(entity, at("color-temperature"), &warmth, Self::mireds(entity));
        let spaces = [
            (Colour::HsText, keys("hs_state_topic", "hs_value_template", "hs_command_topic", "hs_command_template")),
            (
                Colour::RgbText,
                keys("rgb_state_topic", "rgb_value_template", "rgb_command_topic", "rgb_command_template"),
            ),
            (Colour::XyText, keys("xy_state_topic", "xy_value_template", "xy_command_topic", "xy_command_template")),
        ];
        let mut coloured = false;
        for (colour, keys) in &spaces {
            // The others are the same colour said otherwise.
            if !coloured {
                coloured = self.put(entity, at("hue"), keys, Scale::Colour(*colour, Half::Hue));
                if coloured
                    && let Ok(Some(wire)) = Self::wire(entity, keys, Scale::Colour(*colour, Half::Saturation), None)
                {
                    self.parts.put("light", instance, "saturation", wire);
                }
            }
        }
        self.effect(
            instance,
            entity,
            keys("effect_state_topic", "effect_value_template", "effect_command_topic", "effect_command_template"),
        );
    }

    fn effect(&mut self, instance: u16, entity: &Entity, keys: Keys<'_>) {
        let words = entity.words("effect_list");
        if !words.is_empty() {
            self.put(entity, ("light", instance, "effect"), &keys, choice(&words));
        }
    }

    /// home-assistant.io, "MQTT light", JSON schema.
    fn light_of_json(&mut self, label: &str, entity: &Entity) {
        let Some(state) = entity.topic("state_topic").or_else(|| entity.topic("command_topic")) else {
            return self.lost("no topic");
        };
        let Some(instance) = self.begin("light", label) else { return };
        let (state, command) = (state.to_owned(), Self::telling(entity, "command_topic"));
        let has_state = entity.topic("state_topic").is_some();
        let wire = |key: &str, scale: Scale, beside: bool| {
            let more = if beside { vec![("state".to_owned(), json!("ON"))] } else { Vec::new() };
            let form = Form::Json(key.to_owned(), more);
            Wire {
                read: has_state.then(|| (state.clone(), Path::key(key))),
                write: command.clone().map(|telling| Telling { form, ..telling }),
                scale,
                step: None,
            }
        };
        let modes = entity.words("supported_color_modes");
        let has = |mode: &str| modes.iter().any(|one| one.as_str() == Some(mode));
        let old = |key: &str| entity.truth(key).unwrap_or(false);
        let mut add = vec![("on", wire("state", Scale::Bool { on: json!("ON"), off: json!("OFF") }, false))];
        let colours = [("hs", Colour::HsObject), ("xy", Colour::XyObject), ("rgb", Colour::RgbObject)];
        let dims = modes.iter().any(|mode| !matches!(mode.as_str(), Some("onoff")));
        if dims || old("brightness") {
            let scale = entity.number("brightness_scale").filter(|scale| *scale >= 1.0).unwrap_or(255.0);
            add.push(("level", wire("brightness", Scale::Number(Linear::percent(0.0, scale)), true)));
        }
        if has("color_temp") || old("color_temp") {
            add.push(("color-temperature", wire("color_temp", Self::mireds(entity), true)));
        }
        let space = colours.into_iter().find(|(mode, _)| has(mode) || old(mode));
        if let Some((_, colour)) = space {
            add.push(("hue", wire("color", Scale::Colour(colour, Half::Hue), true)));
            add.push(("saturation", wire("color", Scale::Colour(colour, Half::Saturation), true)));
        }
        if (has("rgbw") || has("rgbww")) && space.is_none() {
            self.lost("a colour with white of its own");
        }
        let effects = entity.words("effect_list");
        if !effects.is_empty() {
            add.push(("effect", wire("effect", choice(&effects), true)));
        }
        if space.is_some() && has_state {
            let read = Some((state.clone(), Path::key("color_mode")));
            let wire = Wire { read, write: None, scale: colour_mode(), step: None };
            add.push(("color-mode", wire));
        }
        for (id, wire) in add {
            let once = |property: &mut Property| property.values.dedup_by_key(|(number, _)| *number);
            let taken = self.parts.put_as("light", instance, id, wire, once);
            if id != "saturation" {
                self.parts.counted(taken.then_some("light"), "more than a device may have");
            }
        }
        if command.is_some() {
            let place = Place { service: "light".to_owned(), instance, id: "on".to_owned() };
            self.parts.act("light", instance, "toggle", Vec::new(), Doing::Toggle(place));
        }
    }
}
