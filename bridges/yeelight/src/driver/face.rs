//! A lamp as the house shows it.

use accord_model::{Action, Effect, FieldCode, Format, Property, Role, Service, Unit, catalogue};

use crate::core::state::{Abilities, Light, Part};

/// Longest time after which a lamp goes out by itself, in minutes (specification, 4.1, `cron_add`).
pub(crate) const LONGEST_TIMER: u16 = 60;

/// What a lamp offers.
pub(crate) fn services(abilities: &Abilities) -> Vec<Service> {
    let lights = Part::BOTH.into_iter().filter_map(|part| Some(light(part, abilities.of_part(part)?, abilities)));
    lights.chain(more(abilities)).collect()
}

fn light(part: Part, light: &Light, abilities: &Abilities) -> Service {
    let has = [
        ("on", true),
        ("level", light.bright),
        ("color-temperature", light.temperature.is_some()),
        ("hue", light.color),
        ("saturation", light.color),
        ("color-mode", light.color && light.temperature.is_some()),
    ];
    let properties: Vec<&str> = has.into_iter().filter(|(_, has)| *has).map(|(id, _)| id).collect();
    let actions: &[&str] = if light.toggle { &["toggle"] } else { &[] };
    let label = match part {
        _ if abilities.ambient.is_none() => "",
        Part::Main => "Main",
        Part::Ambient => "Ambient",
    };
    let mut service = catalogue::light().only(&properties, actions).of(part.instance(), label);
    for property in &mut service.properties {
        let range = match (property.id.as_str(), light.temperature) {
            // The darkest that a lamp is lit.
            ("level", _) => Some((1.0, 100.0)),
            ("color-temperature", Some((low, high))) => Some((f64::from(low), f64::from(high))),
            _ => None,
        };
        if let Some((low, high)) = range {
            *property = property.clone().range(low, high, 1.0);
        }
    }
    service
}

/// What no standard service names.
fn more(abilities: &Abilities) -> Option<Service> {
    let state = |id, format| Property::state(id, format).sensitive(FieldCode::HomeDeviceState);
    let flag = |id| state(id, Format::Bool);
    let flow = |part: Part| abilities.of_part(part).is_some_and(|light| light.flow);
    let timer = || {
        let timer = state("sleep-timer", Format::Int).unit(Unit::Second);
        let longest = f64::from(LONGEST_TIMER) * 60.0;
        Property { role: Role::Config, ..timer.range(0.0, longest, 60.0).writable() }
    };
    let properties: Vec<Property> = [
        abilities.moonlight.then(|| flag("moonlight").writable()),
        abilities.sleep_timer.then(timer),
        flow(Part::Main).then(|| flag("flowing")),
        flow(Part::Ambient).then(|| flag("ambient-flowing")),
        abilities.music.then(|| Property { role: Role::Diagnostic, ..flag("music") }),
    ]
    .into_iter()
    .flatten()
    .collect();
    let act = |id: &str| Action { id: id.to_owned(), inputs: vec![], outputs: vec![], effect: Effect::Physical };
    let actions = [
        flow(Part::Main).then(|| act("stop-flow")),
        flow(Part::Ambient).then(|| act("stop-ambient-flow")),
        abilities.set_default.then(|| act("set-default")),
    ];
    let actions: Vec<Action> = actions.into_iter().flatten().collect();
    let has_some = !properties.is_empty() || !actions.is_empty();
    has_some.then(|| Service { properties, actions, ..catalogue::more() })
}
