//! Services that are one entity: lamps, climate, covers, locks, vacuums and the like.

use accord_model::Service;
use serde_json::{Value, json};

use super::class::title;
use super::{Keys, Maker, action, choices, keys, property, template, writable};
use crate::core::showing::state;

impl Maker<'_> {
    pub(super) fn light(&mut self, service: &Service) -> &'static [&'static str] {
        let has = |id: &str| writable(service, id).is_some();
        let mut modes = Vec::new();
        let warm = writable(service, "color-temperature").and_then(|one| one.range).filter(|range| range.min > 0.0);
        if warm.is_some() {
            modes.push("color_temp");
        }
        if has("hue") && has("saturation") {
            modes.push("hs");
        }
        if modes.is_empty() {
            modes.push(if has("level") { "brightness" } else { "onoff" });
        }
        let mut config = keys(&[
            ("schema", json!("json")),
            ("state_topic", json!(self.place.state(service))),
            ("command_topic", json!(self.place.of(service, "set"))),
            ("color_mode", json!(true)),
            ("supported_color_modes", json!(modes)),
        ]);
        if has("level") {
            config.extend(keys(&[("brightness", json!(true)), ("brightness_scale", json!(100))]));
        }
        if let Some(range) = warm {
            let (coldest, warmest) = (1e6 / range.max.max(1.0), 1e6 / range.min);
            config.extend(keys(&[
                ("min_mireds", json!(coldest.ceil() as i64)),
                ("max_mireds", json!((warmest.floor()).max(coldest.ceil()) as i64)),
            ]));
        }
        if let Some(effect) = writable(service, "effect").filter(|effect| !effect.values.is_empty()) {
            config.extend(keys(&[("effect", json!(true)), ("effect_list", json!(choices(service, effect)))]));
        }
        self.main(service, "light", config);
        &["on", "level", "color-temperature", "hue", "saturation", "color-mode", "effect"]
    }

    /// `siren` and `switch` alike.
    pub(super) fn switch(&mut self, service: &Service, component: &'static str) -> &'static [&'static str] {
        let mut config = keys(&[
            ("command_topic", json!(self.place.set(service, "on"))),
            ("payload_on", json!("ON")),
            ("payload_off", json!("OFF")),
        ]);
        if property(service, "on").is_some_and(|on| on.read) {
            let key = if component == "siren" { "state_value_template" } else { "value_template" };
            config.extend(keys(&[("state_topic", json!(self.place.state(service))), (key, template("on"))]));
        }
        if component == "siren" {
            config.extend(keys(&[
                ("support_duration", json!(false)),
                ("support_volume_set", json!(false)),
                ("command_template", json!("{{ value }}")),
            ]));
        }
        self.main(service, component, config);
        &["on"]
    }

    pub(super) fn fan(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("state_value_template", template("on")),
            ("command_topic", json!(self.place.set(service, "on"))),
        ]);
        self.both(
            &mut config,
            service,
            "percent",
            ("percentage_state_topic", "percentage_value_template", "percentage_command_topic"),
        );
        self.both(
            &mut config,
            service,
            "oscillating",
            ("oscillation_state_topic", "oscillation_value_template", "oscillation_command_topic"),
        );
        if writable(service, "oscillating").is_some() {
            config.extend(keys(&[("payload_oscillation_on", json!("ON")), ("payload_oscillation_off", json!("OFF"))]));
        }
        self.both(
            &mut config,
            service,
            "direction",
            ("direction_state_topic", "direction_value_template", "direction_command_topic"),
        );
        if let Some(mode) = writable(service, "mode").filter(|mode| !mode.values.is_empty()) {
            self.both(
                &mut config,
                service,
                "mode",
                ("preset_mode_state_topic", "preset_mode_value_template", "preset_mode_command_topic"),
            );
            config.insert("preset_modes".to_owned(), json!(choices(service, mode)));
        }
        self.main(service, "fan", config);
        &["on", "percent", "oscillating", "direction", "mode"]
    }

    pub(super) fn climate(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[("temperature_unit", json!("C")), ("modes", json!([]))]);
        let said = |config: &mut Keys, id: &str, topic: &str, key: &str| {
            if property(service, id).is_some_and(|one| one.read) {
                config.extend(keys(&[(topic, json!(self.place.state(service))), (key, template(id))]));
            }
        };
        said(&mut config, "temperature", "current_temperature_topic", "current_temperature_template");
        said(&mut config, "humidity", "current_humidity_topic", "current_humidity_template");
        said(&mut config, "running", "action_topic", "action_template");
        self.both(
            &mut config,
            service,
            "target",
            ("temperature_state_topic", "temperature_state_template", "temperature_command_topic"),
        );
        self.both(
            &mut config,
            service,
            "target-low",
            ("temperature_low_state_topic", "temperature_low_state_template", "temperature_low_command_topic"),
        );
        self.both(
            &mut config,
            service,
            "target-high",
            ("temperature_high_state_topic", "temperature_high_state_template", "temperature_high_command_topic"),
        );
        self.both(
            &mut config,
            service,
            "target-humidity",
            ("target_humidity_state_topic", "target_humidity_state_template", "target_humidity_command_topic"),
        );
        if let Some(range) = writable(service, "target").and_then(|target| target.range) {
            config.extend(keys(&[("min_temp", json!(range.min)), ("max_temp", json!(range.max))]));
            if range.step > 0.0 {
                config.insert("temp_step".to_owned(), json!(range.step));
            }
        }
        let list = [
            ("mode", "mode", "modes"),
            ("fan-mode", "fan_mode", "fan_modes"),
            ("preset", "preset_mode", "preset_modes"),
        ];
        for (id, name, list) in list {
            // "None" is what Home Assistant says itself for no preset.
            let names = writable(service, id).map(|one| choices(service, one)).unwrap_or_default();
            let names: Vec<String> = names.into_iter().filter(|word| id != "preset" || word != "none").collect();
            if names.is_empty() {
                continue;
            }
            let read = if id == "preset" { format!("{name}_value_template") } else { format!("{name}_state_template") };
            let [state, command] = ["state", "command"].map(|end| format!("{name}_{end}_topic"));
            self.both(&mut config, service, id, (&state, &read, &command));
            config.insert(list.to_owned(), json!(names));
        }
        self.main(service, "climate", config);
        &[
            "temperature",
            "target",
            "target-low",
            "target-high",
            "mode",
            "running",
            "target-humidity",
            "fan-mode",
            "preset",
        ]
    }

    pub(super) fn humidifier(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("state_value_template", template("on")),
            ("command_topic", json!(self.place.set(service, "on"))),
        ]);
        self.both(
            &mut config,
            service,
            "target",
            ("target_humidity_state_topic", "target_humidity_state_template", "target_humidity_command_topic"),
        );
        if let Some(range) = writable(service, "target").and_then(|target| target.range) {
            config.extend(keys(&[("min_humidity", json!(range.min)), ("max_humidity", json!(range.max))]));
        }
        if property(service, "humidity").is_some_and(|one| one.read) {
            config.extend(keys(&[
                ("current_humidity_topic", json!(self.place.state(service))),
                ("current_humidity_template", template("humidity")),
            ]));
        }
        if let Some(mode) = writable(service, "mode").filter(|mode| !mode.values.is_empty()) {
            self.both(&mut config, service, "mode", ("mode_state_topic", "mode_state_template", "mode_command_topic"));
            config.insert("modes".to_owned(), json!(choices(service, mode)));
        }
        self.main(service, "humidifier", config);
        &["on", "target", "mode", "humidity"]
    }

    pub(super) fn cover(&mut self, service: &Service) -> &'static [&'static str] {
        let word = |id: &str| action(service, id).map_or(Value::Null, |action| json!(action.id));
        let mut config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("payload_open", word("open")),
            ("payload_close", word("close")),
            ("payload_stop", word("stop")),
        ]);
        if property(service, "state").is_some_and(|one| one.read) {
            config.extend(keys(&[
                ("state_topic", json!(self.place.state(service))),
                ("value_template", template("state")),
            ]));
        }
        if property(service, "position").is_some_and(|one| one.read) {
            config.extend(keys(&[
                ("position_topic", json!(self.place.state(service))),
                ("position_template", template("position")),
            ]));
        }
        if writable(service, "position").is_some_and(|one| one.read) {
            config.insert("set_position_topic".to_owned(), json!(self.place.set(service, "position")));
        }
        self.both(&mut config, service, "tilt", ("tilt_status_topic", "tilt_status_template", "tilt_command_topic"));
        self.main(service, "cover", config);
        &["position", "tilt", "state"]
    }

    pub(super) fn lock(&mut self, service: &Service) -> &'static [&'static str] {
        let mut config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("lock")),
            ("payload_lock", json!("lock")),
            // Home Assistant wants a word for it, also where it is not obeyed.
            ("payload_unlock", json!("unlock")),
        ]);
        for word in ["locked", "unlocked", "locking", "unlocking", "jammed"] {
            config.insert(format!("state_{word}"), json!(word));
        }
        if action(service, "open").is_some() {
            config.insert("payload_open".to_owned(), json!("open"));
        }
        self.main(service, "lock", config);
        &["locked", "state"]
    }

    pub(super) fn vacuum(&mut self, service: &Service) -> &'static [&'static str] {
        let known =
            [("start", "start"), ("pause", "pause"), ("stop", "stop"), ("dock", "return_home"), ("locate", "locate")];
        let can = known.iter().filter(|(id, _)| action(service, id).is_some()).map(|(_, name)| *name);
        let mut features: Vec<&str> = can.collect();
        features.push("status");
        let mut config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("command_topic", json!(self.place.act(service))),
            ("payload_return_to_base", json!("dock")),
        ]);
        if let Some(speed) = writable(service, "fan-speed").filter(|speed| !speed.values.is_empty()) {
            features.push("fan_speed");
            config.extend(keys(&[
                ("fan_speed_list", json!(choices(service, speed))),
                ("set_fan_speed_topic", json!(self.place.set(service, "fan-speed"))),
            ]));
        }
        config.insert("supported_features".to_owned(), json!(features));
        self.main(service, "vacuum", config);
        &["state", "fan-speed"]
    }

    pub(super) fn valve(&mut self, service: &Service) -> &'static [&'static str] {
        let word = |id: &str| action(service, id).map_or(Value::Null, |action| json!(action.id));
        let config = keys(&[
            ("command_topic", json!(self.place.act(service))),
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("valve")),
            ("payload_open", word("open")),
            ("payload_close", word("close")),
        ]);
        self.main(service, "valve", config);
        &["open"]
    }

    pub(super) fn alarm(&mut self, service: &Service) -> &'static [&'static str] {
        let known = [("arm-home", "arm_home"), ("arm-away", "arm_away"), ("arm-night", "arm_night")];
        let can: Vec<&str> =
            known.iter().filter(|(id, _)| action(service, id).is_some()).map(|(_, name)| *name).collect();
        let config = keys(&[
            ("state_topic", json!(self.place.state(service))),
            ("value_template", template("state")),
            ("command_topic", json!(self.place.act(service))),
            ("payload_arm_home", json!("arm-home")),
            ("payload_arm_away", json!("arm-away")),
            ("payload_arm_night", json!("arm-night")),
            ("payload_disarm", json!("disarm")),
            ("code_arm_required", json!(false)),
            ("code_disarm_required", json!(false)),
            ("supported_features", json!(can)),
        ]);
        self.main(service, "alarm_control_panel", config);
        &["state"]
    }

    pub(super) fn button(&mut self, service: &Service) -> &'static [&'static str] {
        let config = keys(&[
            ("state_topic", json!(self.place.event(service))),
            ("event_types", json!(state::PRESSES)),
            ("device_class", json!("button")),
        ]);
        let title = title(service, None);
        self.add(service, "event", "pressed", Some(title), config);
        &[]
    }
}
