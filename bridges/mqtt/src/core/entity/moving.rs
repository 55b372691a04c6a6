//! What opens, closes, locks, cleans and watches.

use serde_json::{Value, json};

use super::{Mapper, keys, range};
use crate::core::discovery::Entity;
use crate::core::native::Scale;
use crate::core::parts::Wire;
use crate::core::template::Path;
use crate::core::zigbee::choice;

impl Mapper {
    pub(super) fn cover(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("cover", label) else { return };
        let at = |id: &'static str| ("cover", instance, id);
        let (low, high) =
            (entity.number("position_closed").unwrap_or(0.0), entity.number("position_open").unwrap_or(100.0));
        let position = keys("position_topic", "position_template", "set_position_topic", "set_position_template");
        self.put(entity, at("position"), &position, Scale::Number(range(low, high)));
        let (low, high) =
            (entity.number("tilt_closed_value").unwrap_or(0.0), entity.number("tilt_opened_value").unwrap_or(100.0));
        let tilt = keys("tilt_status_topic", "tilt_status_template", "tilt_command_topic", "tilt_command_template");
        self.put(entity, at("tilt"), &tilt, Scale::Number(range(low, high)));
        let states = [
            (0, "state_closed", "closed"),
            (1, "state_opening", "opening"),
            (2, "state_open", "open"),
            (3, "state_closing", "closing"),
            (4, "state_stopped", "stopped"),
        ];
        let words = states.map(|(number, key, or)| (number, entity.value(key, or))).to_vec();
        self.put(entity, at("state"), &keys("state_topic", "value_template", "", ""), Scale::Choice(words));
        for (id, payload) in [
            ("open", ("payload_open", "OPEN")),
            ("close", ("payload_close", "CLOSE")),
            ("stop", ("payload_stop", "STOP")),
        ] {
            self.act(entity, at(id), "command_topic", payload);
        }
        if entity.text("device_class").is_some_and(accord_model::catalogue::is_way_in) {
            self.guard("cover", instance);
        }
        self.forget("cover", instance);
    }

    pub(super) fn lock(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("door-lock", label) else { return };
        let at = |id: &'static str| ("door-lock", instance, id);
        let word = |key: &str, or: &str| entity.value(key, or);
        let (locked, unlocked) = (word("state_locked", "LOCKED"), word("state_unlocked", "UNLOCKED"));
        let scale = Scale::Bool { on: locked.clone(), off: unlocked.clone() };
        self.put(entity, at("locked"), &keys("state_topic", "value_template", "", ""), scale);
        let words = vec![
            (0, locked),
            (1, unlocked),
            (2, word("state_locking", "LOCKING")),
            (3, word("state_unlocking", "UNLOCKING")),
            (5, word("state_jammed", "JAMMED")),
        ];
        let read = Self::read(entity, "state_topic", "value_template").ok().flatten();
        if read.is_some() {
            let wire = Wire { read, write: None, scale: Scale::Choice(words), step: None };
            self.parts.put("door-lock", instance, "state", wire);
        }
        self.act(entity, at("lock"), "command_topic", ("payload_lock", "LOCK"));
        // A code is for its keypad; it is not kept here.
        if entity.get("code_format").is_some() {
            self.lost("a lock that wants a code");
        } else {
            self.act(entity, at("unlock"), "command_topic", ("payload_unlock", "UNLOCK"));
            if entity.get("payload_open").is_some() {
                self.act(entity, at("open"), "command_topic", ("payload_open", ""));
            }
        }
        self.forget("door-lock", instance);
    }

    pub(super) fn valve(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("valve", label) else { return };
        let at = |id: &'static str| ("valve", instance, id);
        if entity.truth("reports_position").unwrap_or(false) {
            let (low, high) =
                (entity.number("position_closed").unwrap_or(0.0), entity.number("position_open").unwrap_or(100.0));
            let position = keys("state_topic", "value_template", "command_topic", "command_template");
            self.put(entity, at("position"), &position, Scale::Number(range(low, high)));
        } else {
            let scale =
                Scale::Bool { on: entity.value("state_open", "open"), off: entity.value("state_closed", "closed") };
            self.put(entity, at("open"), &keys("state_topic", "value_template", "", ""), scale);
            self.act(entity, at("open"), "command_topic", ("payload_open", "OPEN"));
            self.act(entity, at("close"), "command_topic", ("payload_close", "CLOSE"));
        }
        if entity.text("device_class") == Some("gas") {
            self.guard("valve", instance);
        }
        self.forget("valve", instance);
    }

    /// Opening it is asked each time.
    fn guard(&mut self, service: &str, instance: u16) {
        let mut services = self.parts.services.iter_mut();
        if let Some(found) = services.find(|one| one.id == service && one.instance == instance) {
            *found = std::mem::replace(found, accord_model::catalogue::more()).guarded();
        }
    }

    pub(super) fn vacuum(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("vacuum", label) else { return };
        let words = [("docked", 0), ("idle", 1), ("cleaning", 2), ("paused", 3), ("returning", 4), ("error", 5)];
        let words = Scale::Choice(words.map(|(word, number)| (number, json!(word))).to_vec());
        let state = entity.topic("state_topic").map(|topic| (topic.to_owned(), Path::key("state")));
        if state.is_some() {
            let wire = Wire { read: state, write: None, scale: words, step: None };
            let taken = self.parts.put("vacuum", instance, "state", wire);
            self.parts.counted(taken.then_some("vacuum"), "more than a device may have");
        }
        let speeds = entity.words("fan_speed_list");
        if !speeds.is_empty() {
            let read = entity.topic("state_topic").map(|topic| (topic.to_owned(), Path::key("fan_speed")));
            let write = Self::telling(entity, "set_fan_speed_topic");
            if read.is_some() || write.is_some() {
                let taken = self.parts.put(
                    "vacuum",
                    instance,
                    "fan-speed",
                    Wire { read, write, scale: choice(&speeds), step: None },
                );
                self.parts.counted(taken.then_some("vacuum"), "more than a device may have");
            }
        }
        for (id, payload) in [
            ("start", ("payload_start", "start")),
            ("pause", ("payload_pause", "pause")),
            ("stop", ("payload_stop", "stop")),
            ("dock", ("payload_return_to_base", "return_to_base")),
            ("locate", ("payload_locate", "locate")),
        ] {
            self.act(entity, ("vacuum", instance, id), "command_topic", payload);
        }
        self.forget("vacuum", instance);
    }

    pub(super) fn alarm(&mut self, label: &str, entity: &Entity) {
        let Some(instance) = self.begin("alarm", label) else { return };
        let words = [
            ("disarmed", 0),
            ("armed_home", 1),
            ("armed_away", 2),
            ("armed_night", 3),
            ("arming", 4),
            ("pending", 5),
            ("triggered", 6),
        ];
        let words = Scale::Choice(words.map(|(word, number)| (number, json!(word))).to_vec());
        self.put(entity, ("alarm", instance, "state"), &keys("state_topic", "value_template", "", ""), words);
        // Arming may want a code too; what wants one is told to its own keypad.
        let plain = entity.get("code").is_none_or(Value::is_null);
        if plain {
            for (id, payload) in [
                ("arm-home", ("payload_arm_home", "ARM_HOME")),
                ("arm-away", ("payload_arm_away", "ARM_AWAY")),
                ("arm-night", ("payload_arm_night", "ARM_NIGHT")),
                ("disarm", ("payload_disarm", "DISARM")),
            ] {
                self.act(entity, ("alarm", instance, id), "command_topic", payload);
            }
        } else {
            self.lost("an alarm that wants a code");
        }
        self.forget("alarm", instance);
    }
}
