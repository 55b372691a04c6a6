//! What is measured: `sensor`, `binary_sensor`, `air_quality`, `weather`.
//! developers.home-assistant.io/docs/core/entity/sensor and binary-sensor

use accord_model::text::for_screen;
use accord_model::{Format, Service, catalogue};

use super::part::{Part, VALUE, more, options, quantity};
use super::units::{self, Scale};
use super::{Entity, percent_of};

/// A service with one number in it.
fn number(entity: &Entity<'_>, service: Service, property: &str, scale: Scale) -> Part {
    let value = entity.number().map(|theirs| scale.ours(theirs));
    Part::new(service.only(&[property], &[])).say(property, value).measured()
}

/// The same, which may stand beside others.
fn shared(entity: &Entity<'_>, service: Service, property: &str, scale: Scale) -> Part {
    Part { joins: true, ..number(entity, service, property, scale) }
}

pub fn sensor(entity: &Entity<'_>) -> Part {
    use accord_model::Unit;
    let sign = entity.attrs.text("unit_of_measurement");
    let scale = sign.and_then(units::of);
    let in_unit = |unit: Unit| scale.filter(|scale| scale.unit == Some(unit));
    let measures = entity.attrs.has("state_class") || sign.is_some();
    let standard = match (entity.class(), entity.entry.category.is_some()) {
        // What a device's maker needs to know is in the details, but for the battery.
        ("battery", _) => in_unit(Unit::Percent).map(|_| battery(entity)),
        (_, true) => None,
        ("temperature", _) => {
            in_unit(Unit::Celsius).map(|scale| number(entity, catalogue::temperature(), "temperature", scale))
        }
        ("humidity", _) => in_unit(Unit::Percent).map(|scale| number(entity, catalogue::humidity(), "humidity", scale)),
        ("atmospheric_pressure", _) => {
            in_unit(Unit::Pascal).map(|scale| number(entity, catalogue::pressure(), "pressure", scale))
        }
        // Of water and tyres, or of the air: the unit tells.
        ("pressure", _) if sign.is_some_and(|sign| matches!(sign, "hPa" | "mbar" | "inHg" | "mmHg")) => {
            in_unit(Unit::Pascal).map(|scale| number(entity, catalogue::pressure(), "pressure", scale))
        }
        ("illuminance", _) => {
            in_unit(Unit::Lux).map(|scale| number(entity, catalogue::illuminance(), "illuminance", scale))
        }
        ("power", _) => in_unit(Unit::Watt).map(|scale| shared(entity, catalogue::electricity(), "power", scale)),
        ("energy", _) => {
            in_unit(Unit::KilowattHour).map(|scale| shared(entity, catalogue::electricity(), "energy", scale))
        }
        ("voltage", _) => in_unit(Unit::Volt).map(|scale| shared(entity, catalogue::electricity(), "voltage", scale)),
        ("current", _) => in_unit(Unit::Ampere).map(|scale| shared(entity, catalogue::electricity(), "current", scale)),
        ("frequency", _) => {
            in_unit(Unit::Hertz).map(|scale| shared(entity, catalogue::electricity(), "frequency", scale))
        }
        ("power_factor", _) => Some(power_factor(entity, sign)),
        ("carbon_dioxide", _) => in_unit(Unit::PartsPerMillion)
            .map(|scale| shared(entity, catalogue::air_quality(), "carbon-dioxide", scale)),
        ("pm25", _) => dust(scale).map(|scale| shared(entity, catalogue::air_quality(), "pm2-5", scale)),
        ("pm10", _) => dust(scale).map(|scale| shared(entity, catalogue::air_quality(), "pm10", scale)),
        ("volatile_organic_compounds", _) => {
            dust(scale).map(|scale| shared(entity, catalogue::air_quality(), "voc", scale))
        }
        ("aqi", _) => Some(shared(entity, catalogue::air_quality(), "index", Scale::PLAIN)),
        ("carbon_monoxide", _) => in_unit(Unit::PartsPerMillion)
            .map(|scale| shared(entity, catalogue::carbon_monoxide(), "concentration", scale)),
        _ => None,
    };
    if let Some(standard) = standard {
        return standard;
    }
    let names = entity.attrs.get("options").texts();
    if entity.class() == "enum" && !names.is_empty() {
        return Part::more(options(VALUE, &names)).say_one(VALUE, entity.known());
    }
    if measures {
        let (property, scale) = quantity(VALUE, scale, sign);
        let id = property.id.clone();
        return Part::more(property).say(&id, entity.number().map(|theirs| scale.ours(theirs))).measured();
    }
    text(entity)
}

fn dust(scale: Option<Scale>) -> Option<Scale> {
    scale.filter(|scale| scale.unit == Some(accord_model::Unit::MicrogramPerCubicMetre))
}

/// As a share of one, or in percent.
fn power_factor(entity: &Entity<'_>, sign: Option<&str>) -> Part {
    let value = entity.number().map(|theirs| if sign == Some("%") { theirs } else { theirs * 100.0 });
    let service = catalogue::electricity().only(&["power-factor"], &[]);
    Part { joins: true, ..Part::new(service).say("power-factor", value).measured() }
}

fn battery(entity: &Entity<'_>) -> Part {
    let percent = entity.number().map(|percent| percent_of(percent / 100.0));
    Part::shared(catalogue::battery().only(&["percent"], &[])).say("percent", percent).measured()
}

/// The state as it is, to be read.
pub fn text(entity: &Entity<'_>) -> Part {
    Part::more(more(VALUE, Format::Text)).say(VALUE, entity.known().map(|state| for_screen(state, 255)))
}

pub fn binary(entity: &Entity<'_>) -> Part {
    let on = entity.on();
    let of = |service: Service, property: &str| Part::new(service.only(&[property], &[])).say(property, on);
    let category = entity.entry.category.is_some();
    let shares = |service: Service, property: &str| Part { joins: true, ..of(service, property) };
    match entity.class() {
        "battery" => shares(catalogue::battery(), "low"),
        "battery_charging" => shares(catalogue::battery(), "charging"),
        _ if category => Part::more(more(VALUE, Format::Bool)).say(VALUE, on),
        "motion" | "occupancy" | "presence" => of(catalogue::occupancy(), "occupied"),
        "door" | "window" | "opening" | "garage_door" => of(catalogue::contact(), "open"),
        "moisture" => of(catalogue::water_leak(), "detected"),
        "smoke" => of(catalogue::smoke(), "detected"),
        "gas" => of(catalogue::gas(), "detected"),
        "vibration" => of(catalogue::vibration(), "detected"),
        "tamper" => of(catalogue::tamper(), "detected"),
        "carbon_monoxide" => shares(catalogue::carbon_monoxide(), "detected"),
        // On means unlocked.
        "lock" => Part::new(catalogue::door_lock().only(&["locked"], &[])).say("locked", on.map(|on| !on)),
        _ => Part::more(more(VALUE, Format::Bool)).say(VALUE, on),
    }
}

/// A domain of its own until sensors took its place.
pub fn air_quality(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let known = [
        ("particulate_matter_2_5", "pm2-5"),
        ("particulate_matter_10", "pm10"),
        ("carbon_dioxide", "carbon-dioxide"),
        ("air_quality_index", "index"),
    ];
    let known: Vec<(&str, &str)> = known.into_iter().filter(|(theirs, _)| attrs.has(theirs)).collect();
    let ids: Vec<&str> = known.iter().map(|(_, ours)| *ours).collect();
    let mut part = Part::shared(catalogue::air_quality().only(&ids, &[])).measured();
    for (theirs, ours) in known {
        part = part.say(ours, attrs.number(theirs));
    }
    let gases = [
        "nitrogen_oxide",
        "nitrogen_monoxide",
        "nitrogen_dioxide",
        "sulphur_dioxide",
        "ozone",
        "carbon_monoxide",
        "particulate_matter_0_1",
    ];
    let sign = attrs.text("unit_of_measurement");
    let others = gases.into_iter().filter_map(|name| {
        let (property, scale) = quantity(&super::part::kebab(name), sign.and_then(units::of), sign);
        let id = property.id.clone();
        attrs.number(name).map(|theirs| Part::more(property).say(&id, Some(scale.ours(theirs))).measured())
    });
    let others: Vec<Part> = others.collect();
    std::iter::once(part).filter(|part| !part.service.properties.is_empty()).chain(others).collect()
}

/// Read-only: nothing of it is a device's own.
pub fn weather(entity: &Entity<'_>) -> Vec<Part> {
    let attrs = entity.attrs;
    let sign = |unit: &str| attrs.text(unit).map(str::to_owned);
    let mut parts = vec![
        Part::more(more("condition", Format::Text)).say("condition", entity.known().map(|state| for_screen(state, 60))),
    ];
    for (name, sign) in [
        ("temperature", sign("temperature_unit")),
        ("apparent_temperature", sign("temperature_unit")),
        ("dew_point", sign("temperature_unit")),
        ("humidity", Some("%".to_owned())),
        ("cloud_coverage", Some("%".to_owned())),
        ("pressure", sign("pressure_unit")),
        ("wind_speed", sign("wind_speed_unit")),
        ("wind_gust_speed", sign("wind_speed_unit")),
        ("visibility", sign("visibility_unit")),
        ("uv_index", None),
    ] {
        if let Some(theirs) = attrs.number(name) {
            let (property, scale) =
                quantity(&super::part::kebab(name), sign.as_deref().and_then(units::of), sign.as_deref());
            let id = property.id.clone();
            parts.push(Part::more(property).say(&id, Some(scale.ours(theirs))).measured());
        }
    }
    // In degrees, or as a point of the compass.
    if let Some(degrees) = attrs.number("wind_bearing") {
        let (property, scale) = quantity("wind-bearing", units::of("°"), None);
        parts.push(Part::more(property).say("wind-bearing", Some(scale.ours(degrees))).measured());
    } else if let Some(point) = attrs.text("wind_bearing") {
        parts.push(Part::more(more("wind-bearing", Format::Text)).say("wind-bearing", Some(for_screen(point, 10))));
    }
    parts
}
