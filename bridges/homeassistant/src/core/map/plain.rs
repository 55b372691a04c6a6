//! Numbers, options, texts, times, buttons, scenes and what else is small: `number`, `select`, `text`, `date`, `time`,
//! `datetime`, their helpers (`input_…`), `button`, `scene`, `script`, `counter`, `timer`, `event`, `update`, `remote`.

use accord_model::text::for_screen;
use accord_model::{Data, Effect, Format, Property, catalogue};

use super::part::{Part, VALUE, action, more, options, quantity};
use super::{Entity, light, units};
use crate::core::words::Call;

pub fn number(entity: &Entity<'_>) -> Part {
    let attrs = entity.attrs;
    let sign = attrs.text("unit_of_measurement");
    let (mut property, scale) = quantity(VALUE, sign.and_then(units::of), sign);
    if let (Some(min), Some(max)) = (attrs.number("min"), attrs.number("max"))
        && min <= max
    {
        let step = attrs.number("step").filter(|step| *step > 0.0).unwrap_or_default();
        property = property.range(scale.ours(min), scale.ours(max), scale.step(step));
    }
    let id = property.id.clone();
    Part::more(property.writable()).say(&id, entity.number().map(|theirs| scale.ours(theirs)))
}

fn write_number(entity: &Entity<'_>, data: &Data) -> Option<Call> {
    let scale = entity.attrs.text("unit_of_measurement").and_then(units::of).unwrap_or(units::Scale::PLAIN);
    Some(entity.call(entity.domain(), "set_value").with("value", scale.theirs(data.as_number()?)))
}

pub fn select(entity: &Entity<'_>) -> Part {
    let names = entity.attrs.get("options").texts();
    Part::more(options(VALUE, &names).writable()).say_one(VALUE, entity.known())
}

pub fn text(entity: &Entity<'_>) -> Part {
    let mut property = more(VALUE, Format::Text).writable();
    // What is hidden there is not shown here.
    let is_secret = entity.attrs.text("mode") == Some("password");
    (property.read, property.notify) = (!is_secret, !is_secret);
    let value = entity.known().filter(|_| !is_secret).map(|text| for_screen(text, 255));
    Part::more(property).say(VALUE, value)
}

/// ISO 8601 as Home Assistant writes it.
pub fn time(entity: &Entity<'_>) -> Part {
    let value = entity.known().map(|text| for_screen(text, 40));
    Part::more(more(VALUE, Format::Text).writable()).say(VALUE, value)
}

fn write_time(entity: &Entity<'_>, text: &str) -> Option<Call> {
    let (service, key) = match entity.domain() {
        "date" => ("set_value", "date"),
        "time" => ("set_value", "time"),
        "datetime" => ("set_value", "datetime"),
        _ => {
            let has = |name: &str| entity.attrs.get(name).bool() == Some(true);
            let key = match (has("has_date"), has("has_time")) {
                (true, true) => "datetime",
                (true, false) => "date",
                _ => "time",
            };
            ("set_datetime", key)
        }
    };
    Some(entity.call(entity.domain(), service).with(key, text))
}

/// Something that is pressed from here. What belongs to the settings of a device is an action in its details.
pub fn press(entity: &Entity<'_>) -> Part {
    if entity.entry.category.is_none() {
        return Part::new(catalogue::press());
    }
    let mut service = catalogue::more();
    // Restarting, identifying, resetting: the name does not tell how bad it is.
    service.actions.push(action(VALUE, Effect::Physical));
    Part::shared(service)
}

pub fn act_press(entity: &Entity<'_>) -> Call {
    let service = if matches!(entity.domain(), "button" | "input_button") { "press" } else { "turn_on" };
    entity.call(entity.domain(), service)
}

pub fn event(_: &Entity<'_>) -> Part {
    Part::new(catalogue::button())
}

const COUNTS: [(&str, &str); 3] = [("increment", "increment"), ("decrement", "decrement"), ("reset", "reset")];
const TIMES: [(&str, &str); 4] = [("start", "start"), ("pause", "pause"), ("cancel", "cancel"), ("finish", "finish")];

pub fn counter(entity: &Entity<'_>) -> Part {
    let mut part = Part::more(more(VALUE, Format::Int)).say(VALUE, entity.number().map(|number| number as i64));
    part.service.actions.extend(COUNTS.map(|(id, _)| action(id, Effect::Safe)));
    part
}

pub fn timer(entity: &Entity<'_>) -> Part {
    let states = ["idle", "active", "paused"].map(str::to_owned);
    let mut part = Part::more(options(VALUE, &states)).say_one(VALUE, entity.known());
    part.service.actions.extend(TIMES.map(|(id, _)| action(id, Effect::Safe)));
    part
}

pub fn act_helper(entity: &Entity<'_>, action: &str) -> Option<Call> {
    let known: &[(&str, &str)] = if entity.domain() == "counter" { &COUNTS } else { &TIMES };
    let (_, service) = known.iter().find(|(id, _)| *id == action)?;
    Some(entity.call(entity.domain(), service))
}

// developers.home-assistant.io/docs/core/entity/update
const INSTALL: u32 = 1;

pub fn update(entity: &Entity<'_>) -> Part {
    let attrs = entity.attrs;
    let detail = |id: &str, format| -> Property { more(id, format).diagnostic() };
    let version = |name: &str| attrs.text(name).map(|version| for_screen(version, 60));
    let mut part = Part::more(detail("update-available", Format::Bool)).say("update-available", entity.on());
    part.service.properties.extend(["installed-version", "latest-version"].map(|id| detail(id, Format::Text)));
    if entity.can(INSTALL) {
        // What runs on a device after that is another program.
        part.service.actions.push(action("install-update", Effect::Security));
    }
    part.say("installed-version", version("installed_version")).say("latest-version", version("latest_version"))
}

pub fn remote(entity: &Entity<'_>) -> Vec<Part> {
    let names = entity.attrs.get("activity_list").texts();
    let activity = (entity.can(4) && !names.is_empty()).then(|| {
        Part::more(options("activity", &names).writable()).say_one("activity", entity.attrs.text("current_activity"))
    });
    std::iter::once(light::switch(entity)).chain(activity).collect()
}

pub fn write(entity: &Entity<'_>, property: &str, data: &Data) -> Option<Call> {
    match entity.domain() {
        "number" | "input_number" => write_number(entity, data),
        "select" | "input_select" => {
            Some(entity.call(entity.domain(), "select_option").with("option", entity.listed("options", data)?))
        }
        "text" | "input_text" => Some(entity.call(entity.domain(), "set_value").with("value", data.as_text()?)),
        "date" | "time" | "datetime" | "input_datetime" => write_time(entity, data.as_text()?),
        "remote" if property == "activity" => {
            Some(entity.call("remote", "turn_on").with("activity", entity.listed("activity_list", data)?))
        }
        _ => None,
    }
}
