//! What one entity gives to its device: services, or properties of one that several entities share.

use std::collections::BTreeMap;

use accord_model::text::for_screen;
use accord_model::{Action, Data, Effect, FieldCode, Format, Property, Role, Service, catalogue};

use super::units::Scale;

/// Longest name of a mode, an option, an effect.
const MAX_NAME: usize = 64;
/// What the one value of an entity is called, unless its device has several.
pub const VALUE: &str = "value";
/// What is measured is told again now and then; a value that was told before that is old. A day: Home Assistant tells
/// only of changes.
pub const MEASURED_S: u64 = 86_400;

/// One service of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is, without values.
    pub service: Service,
    /// Its properties may stand beside those of another entity in one service.
    pub joins: bool,
    /// What is so now.
    pub values: BTreeMap<String, Data>,
    /// How long that holds, in seconds.
    pub fresh_for_s: u64,
}

impl Part {
    /// A service of its own.
    pub fn new(service: Service) -> Self {
        Self { service, joins: false, values: BTreeMap::new(), fresh_for_s: accord_ports::added::LASTING_S }
    }

    /// One that may be shared.
    pub fn shared(service: Service) -> Self {
        Self { joins: true, ..Self::new(service) }
    }

    /// What no standard service names. Several stand in one service always.
    pub fn more(property: Property) -> Self {
        let mut service = catalogue::more();
        service.properties.push(property);
        Self::shared(service)
    }

    /// What is measured, and ages.
    #[must_use]
    pub fn measured(mut self) -> Self {
        self.fresh_for_s = MEASURED_S;
        self
    }

    /// With a value, when there is one.
    #[must_use]
    pub fn say(mut self, property: &str, data: Option<impl Into<Data>>) -> Self {
        if let Some(data) = data
            && self.service.properties.iter().any(|one| one.id == property)
        {
            self.values.insert(property.to_owned(), data.into());
        }
        self
    }

    /// With one of the names that the property has.
    #[must_use]
    pub fn say_one(self, property: &str, name: Option<&str>) -> Self {
        let known = self.service.properties.iter().find(|one| one.id == property);
        let number = known.zip(name).and_then(|(known, name)| {
            let name = for_screen(name, MAX_NAME);
            known.values.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
        });
        self.say(property, number)
    }
}

/// A property that is more than standard.
pub fn more(id: &str, format: Format) -> Property {
    Property::state(id, format).sensitive(FieldCode::HomeDeviceState)
}

/// The same, one of these names.
pub fn options(id: &str, names: &[String]) -> Property {
    named(more(id, Format::Enum), names)
}

/// The names that the device has for something, numbered as it lists them.
pub fn named(property: Property, names: &[String]) -> Property {
    let names: Vec<String> = names.iter().map(|name| for_screen(name, MAX_NAME)).collect();
    property.one_of(names.iter().map(String::as_str))
}

/// A number in a unit of ours. A unit that we have none for stands in the id.
pub fn quantity(id: &str, scale: Option<Scale>, sign: Option<&str>) -> (Property, Scale) {
    match (scale, sign.map(kebab).filter(|sign| !sign.is_empty())) {
        (Some(scale), _) => {
            let mut property = more(id, Format::Float);
            property.unit = scale.unit;
            (property, scale)
        }
        (None, Some(sign)) if id != VALUE => (more(&format!("{id}-{sign}"), Format::Float), Scale::PLAIN),
        (None, Some(sign)) => (more(&format!("{VALUE}-{sign}"), Format::Float), Scale::PLAIN),
        (None, None) => (more(id, Format::Float), Scale::PLAIN),
    }
}

/// Something to be done that is more than standard.
pub fn action(id: &str, effect: Effect) -> Action {
    Action { id: id.to_owned(), inputs: Vec::new(), outputs: Vec::new(), effect }
}

/// A code that is asked for.
pub fn code() -> Property {
    Property { notify: false, ..Property::state("code", Format::Text).sensitive(FieldCode::TextContent) }
}

/// How prominent all of it is.
pub fn with_role(parts: &mut [Part], role: Role) {
    for part in parts.iter_mut().filter(|part| part.service.id == "more") {
        part.service.properties.iter_mut().for_each(|one| one.role = role);
    }
}

/// Small letters, digits and dashes; cut. Empty when nothing of it is that.
pub fn kebab(text: &str) -> String {
    let mut kebab = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => kebab.push(c.to_ascii_lowercase()),
            _ if kebab.is_empty() || kebab.ends_with('-') => {}
            _ => kebab.push('-'),
        }
        if kebab.len() >= 48 {
            break;
        }
    }
    kebab.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain() {
        assert_eq!(kebab("Do Not Disturb (night)"), "do-not-disturb-night");
        assert_eq!(kebab("pm2_5"), "pm2-5");
        assert_eq!(kebab("温度"), "");
        assert!(kebab(&"ab ".repeat(500)).len() <= 48);
    }

    #[test]
    fn only_names_that_are_known_become_values() {
        let part = Part::more(options(VALUE, &["a b".into(), "c\u{202e}".into()]));
        assert_eq!(part.clone().say_one(VALUE, Some("c\u{202e}")).values[VALUE], Data::Int(1));
        assert!(part.clone().say_one(VALUE, Some("d")).values.is_empty());
        assert!(part.say("else", Some(1i64)).values.is_empty());
    }
}
