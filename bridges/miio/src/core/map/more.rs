//! What no standard service has, in the words of the service `more`.

use std::collections::BTreeSet;

use accord_model::{Action, DeviceKind, Effect, FieldCode, Format, Property, Range, Unit};

use super::super::spec::{self, At};
use super::Deed;
use super::build::{modes, scaled};
use super::scale::{Scale, foreign_unit};

/// A name within `more` that nothing else has.
pub(super) fn unlike(names: &mut BTreeSet<String>, service: &str, thing: &str, at: At) -> String {
    let short = if thing.starts_with(service) { thing.to_owned() } else { format!("{service}-{thing}") };
    let id = if names.contains(&short) { format!("{short}-{}-{}", at.service, at.thing) } else { short };
    names.insert(id.clone());
    id
}

/// A property that no standard service has.
pub(super) fn foreign(id: &str, native: &spec::Property) -> (Property, Scale) {
    let format = match native.format {
        spec::Format::Bool => Format::Bool,
        spec::Format::Int(..) if !native.values.is_empty() => Format::Enum,
        spec::Format::Int(..) => Format::Int,
        spec::Format::Float => Format::Float,
        spec::Format::Text => Format::Text,
    };
    let mut ours = Property::state(id, format).sensitive(FieldCode::HomeDeviceState);
    if format == Format::Enum {
        ours.values = modes(native);
    }
    let mut scale = Scale::Same;
    if matches!(format, Format::Int | Format::Float) {
        let unit = foreign_unit(native);
        if let Some((unit, factor)) = unit {
            ours.unit = Some(unit);
            if factor != 1.0 {
                scale = Scale::Linear { factor, offset: 0.0 };
            }
        }
        ours.range = native.range.and_then(|range| scaled(range, &scale_of(unit), format));
    }
    (ours, scale)
}

fn scale_of(unit: Option<(Unit, f64)>) -> Scale {
    Scale::Linear { factor: unit.map_or(1.0, |(_, factor)| factor), offset: 0.0 }
}

pub(super) fn foreign_action(
    id: &str,
    service: &spec::Service,
    action: &spec::Action,
    kind: DeviceKind,
) -> (Action, Deed) {
    let mut names = BTreeSet::new();
    let (mut inputs, mut order) = (Vec::new(), Vec::new());
    for piid in &action.inputs {
        let Some(native) = service.properties.iter().find(|one| one.iid == *piid) else { continue };
        let at = At::new(service.iid, *piid);
        let name = match names.insert(native.kind.clone()) {
            true => native.kind.clone(),
            false => format!("{}-{}", native.kind, inputs.len() + 1),
        };
        let mut input = foreign(&name, native).0;
        // Inputs are taken as they are.
        input.unit = None;
        input.range = native.range.map(|(min, max, step)| Range { min, max, step });
        inputs.push(input);
        order.push((name, at));
    }
    let says = |words: &[&str]| words.iter().any(|word| action.kind.contains(word));
    let effect = match () {
        () if says(&["delete", "reset", "clear", "remove", "format", "factory", "restore"]) => Effect::Destructive,
        () if says(&["unlock", "open-door", "password", "unbind"]) || kind == DeviceKind::Camera => Effect::Security,
        () => Effect::Physical,
    };
    let at = At::new(service.iid, action.iid);
    (Action { id: id.to_owned(), inputs, outputs: Vec::new(), effect }, Deed::Act { at, inputs: order })
}
