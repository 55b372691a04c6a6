//! Which property or action of a device is meant by a few words.

use std::fmt;

use accord_model::text::for_screen;
use accord_model::{Action, Property, Role, Service};

use crate::history::is_house_service;

/// What something is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To be read.
    Read,
    /// To be set.
    Write,
}

/// What is meant.
#[derive(Debug, Clone, Copy)]
pub struct Addressed<'a, T> {
    /// The service that has it.
    pub service: &'a Service,
    /// It.
    pub found: &'a T,
}

/// Why it is not known what is meant; says what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misaddressed {
    /// Nothing is called so.
    None {
        /// What was said.
        said: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Several are.
    Many {
        /// What was said.
        said: String,
        /// How each of them is called.
        known: Vec<String>,
    },
    /// A value alone fits nothing.
    Value {
        /// What was said.
        said: String,
        /// What can be set.
        known: Vec<String>,
        /// What can be done.
        actions: Vec<String>,
    },
    /// It is plain what a value alone is for, and it does not fit: why not.
    Unfit(String),
}

impl fmt::Display for Misaddressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &[String]| match names.len() {
            ..=MOST_NAMED => names.join(", "),
            more => format!("{} and {} more", names[..MOST_NAMED].join(", "), more - MOST_NAMED),
        };
        match self {
            Self::None { said, known } if known.is_empty() => write!(f, "there is nothing like `{said}` on it"),
            Self::None { said, known } => write!(f, "nothing on it is called `{said}`; there is: {}", listed(known)),
            Self::Many { said, known } => write!(f, "`{said}` may be several; say which: {}", listed(known)),
            Self::Unfit(why) => f.write_str(why),
            Self::Value { said, known, actions } => {
                write!(f, "`{said}` alone fits nothing on it; ")?;
                match (known.is_empty(), actions.is_empty()) {
                    (true, true) => write!(f, "nothing can be set of it or done with it"),
                    (false, true) => write!(f, "say PROPERTY VALUE with one of: {}", listed(known)),
                    (true, false) => write!(f, "it can be told to: {}", listed(actions)),
                    (false, false) => write!(
                        f,
                        "say PROPERTY VALUE with one of: {}; it can also be told to: {}",
                        listed(known),
                        listed(actions)
                    ),
                }
            }
        }
    }
}

/// Names that people use for others.
const ALSO: [(&str, &str); 9] = [
    ("brightness", "level"),
    ("dim", "level"),
    ("power", "on"),
    ("switch", "on"),
    ("ct", "color-temperature"),
    ("white", "color-temperature"),
    ("colour-temperature", "color-temperature"),
    ("speed", "percent"),
    ("setpoint", "target"),
];
/// Most names that an error lists.
const MOST_NAMED: usize = 24;

/// The property that `said` names: `level`, `light/level`, `switch.2/on` or `Left/on`.
///
/// # Errors
/// [`Misaddressed`].
pub fn property<'a>(
    services: &'a [Service],
    said: &str,
    wanted: Wanted,
) -> Result<Addressed<'a, Property>, Misaddressed> {
    let fits = |property: &Property| match wanted {
        Wanted::Read => property.read,
        Wanted::Write => property.write,
    };
    let all = || {
        let of = |service: &'a Service| service.properties.iter().map(move |found| Addressed { service, found });
        let all = services.iter().filter(|service| is_house_service(&service.id)).flat_map(of);
        all.filter(|one| fits(one.found)).collect::<Vec<_>>()
    };
    choose(all(), said, |property| &property.id, |property| property.role == Role::Primary)
}

/// The action that `said` names, in the same way.
///
/// # Errors
/// [`Misaddressed`].
pub fn action<'a>(services: &'a [Service], said: &str) -> Result<Addressed<'a, Action>, Misaddressed> {
    choose(actions(services), said, |action| &action.id, |_| true)
}

/// What can be done with a device of the house.
pub(super) fn actions(services: &[Service]) -> Vec<Addressed<'_, Action>> {
    let house = services.iter().filter(|service| is_house_service(&service.id));
    house.flat_map(|service| service.actions.iter().map(move |found| Addressed { service, found })).collect()
}

/// What can be set of a device of the house.
pub(super) fn settable(services: &[Service]) -> Vec<Addressed<'_, Property>> {
    let house = services.iter().filter(|service| is_house_service(&service.id));
    let all = house.flat_map(|service| service.properties.iter().map(move |found| Addressed { service, found }));
    all.filter(|one| one.found.write).collect()
}

/// How a property or action is written so that nothing else is meant.
pub fn place(service: &Service, id: &str) -> String {
    match service.instance {
        0 => format!("{}/{}", for_screen(&service.id, 60), for_screen(id, 60)),
        instance => format!("{}.{instance}/{}", for_screen(&service.id, 60), for_screen(id, 60)),
    }
}

pub(super) fn alike(text: &str) -> String {
    text.trim().to_lowercase().replace(['_', ' '], "-")
}

fn choose<'a, T>(
    all: Vec<Addressed<'a, T>>,
    said: &str,
    id: impl Fn(&T) -> &String,
    is_prominent: impl Fn(&T) -> bool,
) -> Result<Addressed<'a, T>, Misaddressed> {
    let (of, wanted) = match said.rsplit_once('/') {
        Some((of, wanted)) => (Some(of), alike(wanted)),
        None => (None, alike(said)),
    };
    let is_of = |service: &Service| {
        let Some(of) = of else { return true };
        let label = service.label.as_deref().is_some_and(|label| alike(label) == alike(of));
        let (name, instance) = match of.rsplit_once('.') {
            Some((name, number)) => (name, number.parse::<u16>().ok()),
            None => (of, None),
        };
        label || (alike(name) == service.id && instance.is_none_or(|instance| instance == service.instance))
    };
    let called = |wanted: &str| -> Vec<Addressed<'a, T>> {
        let fits = |one: &&Addressed<'a, T>| alike(id(one.found)) == wanted && is_of(one.service);
        all.iter().filter(fits).map(|one| Addressed { ..*one }).collect()
    };
    let mut found = called(&wanted);
    if found.is_empty()
        && let Some((_, other)) = ALSO.iter().find(|(name, _)| *name == wanted)
    {
        found = called(other);
    }
    // What stands out goes before the rest, and what has a name of its own before what only this maker has.
    let keep = |found: &mut Vec<Addressed<'a, T>>, is: &dyn Fn(&Addressed<'a, T>) -> bool| {
        if found.len() > 1 && found.iter().any(is) {
            found.retain(|one| is(one));
        }
    };
    keep(&mut found, &|one| is_prominent(one.found));
    keep(&mut found, &|one| one.service.id != "more");
    if of.is_some() {
        // Of several alike, the first has no number.
        keep(&mut found, &|one| one.service.instance == 0);
    }
    let said = for_screen(said, 60);
    let named = |all: &[Addressed<'a, T>]| all.iter().map(|one| place(one.service, id(one.found))).collect();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(Misaddressed::None { said, known: named(&all) }),
        _ => Err(Misaddressed::Many { said, known: named(&found) }),
    }
}

#[cfg(test)]
mod tests {
    use accord_model::{Format, Unit};

    use super::*;

    fn service(id: &str, instance: u16, label: Option<&str>, properties: &[&str]) -> Service {
        let of = |id: &&str| match *id {
            "level" => Property::state(id, Format::Int).unit(Unit::Percent).range(0.0, 100.0, 1.0).writable(),
            "color-temperature" => {
                Property::state(id, Format::Int).unit(Unit::Kelvin).range(2000.0, 6500.0, 1.0).writable()
            }
            "on" => Property::state(id, Format::Bool).writable(),
            _ => Property::state(id, Format::Float),
        };
        Service {
            id: id.into(),
            instance,
            label: label.map(str::to_owned),
            properties: properties.iter().map(of).collect(),
            actions: vec![],
            events: vec![],
            values: Default::default(),
        }
    }

    fn named(services: &[Service], said: &str, wanted: Wanted) -> Result<String, String> {
        let found = property(services, said, wanted).map_err(|error| error.to_string())?;
        Ok(place(found.service, &found.found.id))
    }

    #[test]
    fn a_few_words_name_a_property_and_two_that_fit_are_named_both() {
        let lamp = [
            service("light", 0, None, &["on", "level", "color-temperature"]),
            service("more", 0, None, &["on", "night"]),
        ];
        let gangs = [
            service("on-off", 0, Some("Left"), &["on"]),
            service("on-off", 1, Some("Right side"), &["on"]),
            service("electricity", 0, None, &["power"]),
        ];
        for (of, said, is) in [
            (&lamp[..], "Level", "light/level"),
            (&lamp, "brightness", "light/level"),
            (&lamp, "on", "light/on"),
            (&lamp, "more/on", "more/on"),
            (&lamp, "color_temperature", "light/color-temperature"),
            (&gangs, "on-off.1/on", "on-off.1/on"),
            (&gangs, "on-off/on", "on-off/on"),
            (&gangs, "right side/on", "on-off.1/on"),
        ] {
            assert_eq!(named(of, said, Wanted::Write).as_deref(), Ok(is), "{said}");
        }
        let several = named(&gangs, "on", Wanted::Write).unwrap_err();
        assert_eq!(several, "`on` may be several; say which: on-off/on, on-off.1/on");
        assert!(named(&gangs, "power", Wanted::Read).is_ok());
        let none = named(&gangs, "electricity/power", Wanted::Write).unwrap_err();
        assert!(none.contains("there is: on-off/on"), "{none}");
        assert!(named(&lamp, "", Wanted::Write).is_err());
    }
}
