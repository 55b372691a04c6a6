//! Heating, cooling, fans and humidifiers.

use serde_json::json;

use super::{Mapper, keys, percent};
use crate::core::discovery::Entity;
use crate::core::native::{Linear, Scale};
use crate::core::units::measure;
use crate::core::zigbee::{choice, named};

impl Mapper {
    pub(super) fn climate(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("climate", label) else { return };
        let at = |id: &'static str| ("climate", instance, id);
        let fahrenheit = entity.text("temperature_unit") == Some("F");
        let unit = measure(if fahrenheit { "°F" } else { "°C" });
        // Home Assistant's limits where it says none, in its own unit: 7 to 35 °C, to whole degrees within.
        let (lowest, highest) = if fahrenheit { (45.0, 95.0) } else { (7.0, 35.0) };
        let now = keys("current_temperature_topic", "current_temperature_template", "", "");
        self.put(entity, at("temperature"), &now, Scale::Number(Linear::of(unit, [None; 3])));
        let (low, high) = (entity.number("min_temp").unwrap_or(lowest), entity.number("max_temp").unwrap_or(highest));
        let step = entity.number("temp_step").or(Some(1.0));
        let mut target = Linear::of(unit, [Some(low), Some(high), step]);
        target.whole = false;
        for (id, name) in
            [("target", "temperature"), ("target-low", "temperature_low"), ("target-high", "temperature_high")]
        {
            let [state, template, command, command_template] =
                ["state_topic", "state_template", "command_topic", "command_template"]
                    .map(|end| format!("{name}_{end}"));
            let keys = keys(&state, &template, &command, &command_template);
            self.put_step(entity, at(id), &keys, Scale::Number(target), step);
        }
        let modes = entity.words("modes");
        let modes = if modes.is_empty() {
            ["auto", "off", "cool", "heat", "dry", "fan_only"].map(|mode| json!(mode)).to_vec()
        } else {
            modes
        };
        let known = [("off", 0), ("heat", 1), ("cool", 2), ("heat_cool", 3), ("auto", 4), ("dry", 5), ("fan_only", 6)];
        let mode = keys("mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template");
        self.put(entity, at("mode"), &mode, named(&modes, &known));
        let running =
            [("idle", 0), ("heating", 1), ("cooling", 2), ("drying", 3), ("fan", 4), ("off", 0), ("preheating", 1)];
        let running = Scale::Choice(running.map(|(word, number)| (number, json!(word))).to_vec());
        self.put(entity, at("running"), &keys("action_topic", "action_template", "", ""), running);
        let humidity = keys("current_humidity_topic", "current_humidity_template", "", "");
        self.put(entity, at("humidity"), &humidity, Scale::Number(percent()));
        for (id, list, name) in [("fan-mode", "fan_modes", "fan_mode"), ("preset", "preset_modes", "preset_mode")] {
            let mut words = entity.words(list);
            if words.is_empty() && id == "fan-mode" {
                words = ["auto", "low", "medium", "high"].map(|word| json!(word)).to_vec();
            }
            let [state, template, command, command_template] = [
                "state_topic",
                if id == "preset" { "value_template" } else { "state_template" },
                "command_topic",
                "command_template",
            ]
            .map(|end| format!("{name}_{end}"));
            if !words.is_empty() {
                self.put(entity, at(id), &keys(&state, &template, &command, &command_template), choice(&words));
            }
        }
        self.forget("climate", instance);
    }

    pub(super) fn fan(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("fan", label) else { return };
        let at = |id: &'static str| ("fan", instance, id);
        self.on_off("fan", instance, entity, "state_value_template");
        let low = entity.number("speed_range_min").unwrap_or(1.0);
        let high = entity.number("speed_range_max").unwrap_or(100.0);
        let speed = keys(
            "percentage_state_topic",
            "percentage_value_template",
            "percentage_command_topic",
            "percentage_command_template",
        );
        // Zero is off, one step below the slowest.
        self.put(entity, at("percent"), &speed, Scale::Number(Linear::percent(low - 1.0, high)));
        let words = entity.words("preset_modes");
        if !words.is_empty() {
            let mode = keys(
                "preset_mode_state_topic",
                "preset_mode_value_template",
                "preset_mode_command_topic",
                "preset_mode_command_template",
            );
            self.put(entity, at("mode"), &mode, choice(&words));
        }
        let swing = keys(
            "oscillation_state_topic",
            "oscillation_value_template",
            "oscillation_command_topic",
            "oscillation_command_template",
        );
        let on = entity.value("payload_oscillation_on", "oscillate_on");
        let off = entity.value("payload_oscillation_off", "oscillate_off");
        self.put(entity, at("oscillating"), &swing, Scale::Bool { on, off });
        self.forget("fan", instance);
    }

    pub(super) fn humidifier(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("humidifier", label) else { return };
        let at = |id: &'static str| ("humidifier", instance, id);
        self.on_off("humidifier", instance, entity, "state_value_template");
        let now = keys("current_humidity_topic", "current_humidity_template", "", "");
        self.put(entity, at("humidity"), &now, Scale::Number(percent()));
        let target = keys(
            "target_humidity_state_topic",
            "target_humidity_state_template",
            "target_humidity_command_topic",
            "target_humidity_command_template",
        );
        let (low, high) =
            (entity.number("min_humidity").unwrap_or(0.0), entity.number("max_humidity").unwrap_or(100.0));
        let linear = Linear::of(measure("%"), [Some(low), Some(high), Some(1.0)]);
        self.put(entity, at("target"), &target, Scale::Number(linear));
        let words = entity.words("modes");
        if !words.is_empty() {
            let mode = keys("mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template");
            self.put(entity, at("mode"), &mode, choice(&words));
        }
        self.forget("humidifier", instance);
    }
}
