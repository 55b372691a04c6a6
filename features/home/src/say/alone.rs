//! What is meant by a value alone: `30%`, `21.5`, `warm`, `heat`, `locked`.

use accord_model::text::for_screen;
use accord_model::{Action, Data, Format, Property, Role, Service, Unit};

use super::address::{Addressed, Misaddressed, actions, alike, place, settable};
use super::parse;
use super::words::yes_no;
use crate::history::is_house_service;

/// What a value alone comes to.
#[derive(Debug, Clone)]
pub enum Meant<'a> {
    /// This property is to be that.
    Set(Addressed<'a, Property>, Data),
    /// This is to be done.
    Do(Addressed<'a, Action>),
}

/// What of a service a value alone is for, what is meant most first.
const FIRST: [(&str, &[&str]); 10] = [
    ("light", &["on", "level", "color-temperature", "effect", "hue", "saturation"]),
    ("climate", &["on", "target", "mode", "preset", "fan-mode", "target-humidity", "target-low", "target-high"]),
    ("fan", &["on", "percent", "mode", "direction"]),
    ("humidifier", &["on", "target", "mode"]),
    ("cover", &["position", "tilt"]),
    ("valve", &["position"]),
    ("vacuum", &["fan-speed"]),
    ("on-off", &["on"]),
    ("siren", &["on"]),
    ("media", &["on"]),
];

/// The action that brings a state about.
const DONE_BY: [(&str, &str); 9] = [
    ("locked", "lock"),
    ("unlocked", "unlock"),
    ("opened", "open"),
    ("closed", "close"),
    ("shut", "close"),
    ("started", "start"),
    ("stopped", "stop"),
    ("paused", "pause"),
    ("docked", "dock"),
];

/// What `text` alone is meant for: the first of each service that it fits, and where nothing can be set to it, what is done to
/// that end.
///
/// # Errors
/// [`Misaddressed`], which names what there is.
pub fn alone<'a>(services: &'a [Service], text: &str) -> Result<Meant<'a>, Misaddressed> {
    let said = for_screen(text, 60);
    let mut found: Vec<(Addressed<'a, Property>, Data)> = Vec::new();
    let mut unfit = None;
    for service in services.iter().filter(|service| is_house_service(&service.id)) {
        match of_service(service, text) {
            Some(Ok(one)) => found.push(one),
            Some(Err(why)) => unfit = unfit.or(Some(why)),
            None => {}
        }
    }
    if found.iter().any(|(one, _)| one.service.id != "more") {
        found.retain(|(one, _)| one.service.id != "more");
    }
    match found.len() {
        0 => {}
        1 => return Ok(found.swap_remove(0)).map(|(one, data)| Meant::Set(one, data)),
        _ => {
            let known = found.iter().map(|(one, _)| place(one.service, &one.found.id)).collect();
            return Err(Misaddressed::Many { said, known });
        }
    }
    let word = alike(text);
    let action = DONE_BY.iter().find(|(state, _)| *state == word).map_or(word.as_str(), |(_, action)| action);
    let mut done: Vec<Addressed<'a, Action>> = actions(services);
    let all: Vec<String> = done.iter().map(|one| place(one.service, &one.found.id)).collect();
    done.retain(|one| alike(&one.found.id) == action);
    match (done.len(), unfit) {
        (1, _) => return Ok(Meant::Do(done.swap_remove(0))),
        (2.., _) => {
            let known = done.iter().map(|one| place(one.service, &one.found.id)).collect();
            return Err(Misaddressed::Many { said, known });
        }
        (_, Some(why)) => return Err(Misaddressed::Unfit(why)),
        _ => {}
    }
    // Of a device that has nothing else to be set, every value is for that.
    match settable(services).as_slice() {
        [one] if one.found.role == Role::Primary => match parse::data(one.found, text) {
            Ok(data) => Ok(Meant::Set(Addressed { ..*one }, data)),
            Err(why) => Err(Misaddressed::Unfit(why)),
        },
        all_settable => {
            let known = all_settable.iter().map(|one| place(one.service, &one.found.id)).collect();
            Err(Misaddressed::Value { said, known, actions: all })
        }
    }
}

/// What of one service the value is for; an error when it is plain what it is for, and it does not fit.
fn of_service<'a>(service: &'a Service, text: &str) -> Option<Result<(Addressed<'a, Property>, Data), String>> {
    let first = FIRST.iter().find(|(id, _)| *id == service.id).map_or(&[][..], |(_, first)| first);
    let rank = |property: &Property| first.iter().position(|id| *id == property.id).unwrap_or(first.len());
    let mut all: Vec<&'a Property> =
        service.properties.iter().filter(|property| property.write && property.role == Role::Primary).collect();
    all.sort_by_key(|property| rank(property));
    let fits = all.iter().filter(|property| is_for(property, text));
    let data = |property: &&'a Property| Some((*property, parse::data(property, text).ok()?));
    let mut fitting: Vec<(&'a Property, Data)> = fits.filter_map(data).collect();
    if fitting.is_empty() && is_bare(text) {
        // A number without a unit is for what the service is about, or the only one.
        let mut numbers = all.iter().filter(|one| matches!(one.format, Format::Int | Format::Float));
        let main = numbers.next().filter(|main| rank(main) < first.len() || numbers.next().is_none())?;
        return Some(parse::data(main, text).map(|data| (Addressed { service, found: *main }, data)));
    }
    let least = fitting.iter().map(|(property, _)| rank(property)).min()?;
    fitting.retain(|(property, _)| rank(property) == least);
    // Of a maker's own properties, several may take it: then nobody knows which is meant.
    if fitting.len() > 1 {
        let ids: Vec<String> = fitting.iter().map(|(property, _)| place(service, &property.id)).collect();
        let said = for_screen(text, 60);
        return Some(Err(format!("`{said}` may be several; say which: {}", ids.join(", "))));
    }
    let (found, data) = fitting.swap_remove(0);
    Some(Ok((Addressed { service, found }, data)))
}

fn is_bare(text: &str) -> bool {
    text.trim().replace(',', ".").parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether the value itself says that it is for this property.
fn is_for(property: &Property, text: &str) -> bool {
    let word = text.trim().to_lowercase();
    match property.format {
        Format::Bool => {
            let (yes, no) = yes_no(&property.id);
            yes != "yes" && (word == yes || word == no)
        }
        Format::Enum => property.values.iter().any(|(_, name)| alike(name) == alike(text)),
        Format::Int | Format::Float => {
            let says_unit = word.chars().last().is_some_and(|last| !last.is_ascii_digit());
            says_unit && property.unit.is_some_and(|unit| unit != Unit::Second)
        }
        Format::Text | Format::Texts | Format::Bytes => false,
    }
}

#[cfg(test)]
mod tests {
    use accord_model::catalogue;

    use super::*;

    fn meant(services: &[Service], text: &str) -> Result<String, String> {
        match alone(services, text).map_err(|error| error.to_string())? {
            Meant::Set(one, data) => Ok(format!("{}={data:?}", place(one.service, &one.found.id))),
            Meant::Do(one) => Ok(place(one.service, &one.found.id)),
        }
    }

    fn more(properties: &[Property]) -> Vec<Service> {
        vec![Service { id: "more".into(), properties: properties.to_vec(), ..catalogue::press() }]
    }

    #[test]
    fn a_value_alone_goes_to_what_the_device_is_about() {
        let lamp = [catalogue::light()];
        let heating = [catalogue::climate()];
        let fan = [catalogue::fan()];
        let blind = [catalogue::cover()];
        let lock = [catalogue::door_lock()];
        for (of, text, is) in [
            (&lamp[..], "on", "light/on=Bool(true)"),
            (&lamp, "30%", "light/level=Int(30)"),
            (&lamp, "30", "light/level=Int(30)"),
            (&lamp, "2700K", "light/color-temperature=Int(2700)"),
            (&lamp, "warm", "light/color-temperature=Int(2700)"),
            (&lamp, "120°", "light/hue=Int(120)"),
            (&lamp, "Toggle", "light/toggle"),
            (&heating, "21.5", "climate/target=Float(21.5)"),
            (&heating, "70F", "climate/target=Float(21.1)"),
            (&heating, "heat", "climate/mode=Int(1)"),
            (&heating, "off", "climate/mode=Int(0)"),
            (&heating, "45%", "climate/target-humidity=Int(45)"),
            (&fan, "60%", "fan/percent=Int(60)"),
            (&fan, "reverse", "fan/direction=Int(1)"),
            (&blind, "40", "cover/position=Int(40)"),
            (&blind, "open", "cover/open"),
            (&blind, "closed", "cover/close"),
            (&lock, "locked", "door-lock/lock"),
            (&lock, "unlock", "door-lock/unlock"),
            (&lock, "open", "door-lock/open"),
        ] {
            assert_eq!(meant(of, text).as_deref(), Ok(is), "{text}");
        }
    }

    #[test]
    fn what_fits_nothing_is_refused_with_what_there_is() {
        let lamp = [catalogue::light().only(&["on", "level"], &["toggle"])];
        assert_eq!(meant(&lamp, "300").unwrap_err(), "`level` is between 0 and 100 %");
        assert!(meant(&lamp, "101%").is_err());
        let error = meant(&lamp, "bright").unwrap_err();
        assert!(error.contains("light/on, light/level") && error.contains("light/toggle"), "{error}");
        let mut right = catalogue::light();
        right.instance = 1;
        let several = meant(&[catalogue::light(), right], "30%").unwrap_err();
        assert_eq!(several, "`30%` may be several; say which: light/level, light.1/level");
        assert!(meant(&[], "on").is_err());
    }

    #[test]
    fn the_only_thing_that_can_be_set_takes_every_value() {
        let mut speed = Property::state("speed", Format::Enum).writable();
        speed.values = vec![(0, "light_speed".into()), (1, "ridiculous_speed".into())];
        assert_eq!(meant(&more(&[speed.clone()]), "light_speed").unwrap(), "more/speed=Int(0)");
        let error = meant(&more(&[speed.clone()]), "slow").unwrap_err();
        assert!(error.contains("one of light_speed, ridiculous_speed"), "{error}");
        let text = Property::state("text", Format::Text).writable();
        assert_eq!(meant(&more(&[text]), "hello").unwrap(), "more/text=Text(\"hello\")");
        let number = |id: &str| Property::state(id, Format::Float).range(0.0, 10.0, 1.0).writable();
        assert_eq!(meant(&more(&[number("volume")]), "4").unwrap(), "more/volume=Float(4.0)");
        assert!(meant(&more(&[number("volume"), number("pitch")]), "4").is_err(), "it may be either");
        let mut slow = speed.clone();
        slow.id = "pace".into();
        let error = meant(&more(&[speed, slow]), "light_speed").unwrap_err();
        assert!(error.contains("more/speed, more/pace"), "{error}");
    }
}
