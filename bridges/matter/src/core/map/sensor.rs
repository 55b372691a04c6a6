//! What is measured, and what a device says of itself: the measurement clusters (0x400 to 0x42F), OccupancySensing, BooleanState,
//! SmokeCoAlarm, AirQuality, BasicInformation.

use accord_model::{FieldCode, Format, Property, Service, Unit, catalogue};

use super::{Kind, Part, degrees_of, hundredths};
use crate::core::look::Look;

const ILLUMINANCE: u32 = 0x400;
const TEMPERATURE: u32 = 0x402;
const PRESSURE: u32 = 0x403;
const FLOW: u32 = 0x404;
const HUMIDITY: u32 = 0x405;
const OCCUPANCY: u32 = 0x406;
const BOOLEAN: u32 = 0x45;
const SMOKE: u32 = 0x5C;
const AIR_QUALITY: u32 = 0x5B;
const CARBON_MONOXIDE: u32 = 0x40C;

// Device types that say what BooleanState is about.
const FREEZE: u32 = 0x41;
const LEAK: u32 = 0x43;
const RAIN: u32 = 0x44;

/// Concentrations that the catalogue has a word for.
const AIR: &[(u32, &str, Unit)] = &[
    (0x40D, "carbon-dioxide", Unit::PartsPerMillion),
    (0x42A, "pm2-5", Unit::MicrogramPerCubicMetre),
    (0x42D, "pm10", Unit::MicrogramPerCubicMetre),
    (0x42E, "voc", Unit::MicrogramPerCubicMetre),
];
/// And others. What the catalogue has in the other unit is here when it is told so.
const OTHER_AIR: &[(u32, &str)] = &[
    (0x40C, "carbon-monoxide"),
    (0x40D, "carbon-dioxide"),
    (0x413, "nitrogen-dioxide"),
    (0x415, "ozone"),
    (0x42A, "pm2-5"),
    (0x42B, "formaldehyde"),
    (0x42C, "pm1"),
    (0x42D, "pm10"),
    (0x42E, "voc"),
    (0x42F, "radon"),
];

/// Which software it runs.
pub(super) fn about(look: &Look<'_>) -> Option<Part> {
    // BasicInformation of the node, BridgedDeviceBasicInformation of what is behind a bridge.
    let cluster = [0x28, 0x39].into_iter().find(|cluster| look.offers(*cluster, 0x0A))?;
    let service = catalogue::information().only(&["software"], &[]).of(0, "");
    let software = look.get(cluster, 0x0A)?.text().map(|text| accord_model::text::for_screen(text.trim(), 64));
    Some(Part::new(Kind::Told, service).say(look, "software", software.filter(|text| !text.is_empty())))
}

pub(super) fn sensors(look: &Look<'_>) -> Vec<Part> {
    let _ = look.lately();
    let mut parts = Vec::new();
    let mut measured = |cluster: u32, service: fn() -> Service, value: &dyn Fn() -> Option<f64>| {
        if look.offers(cluster, 0) {
            let mut part = Part::new(Kind::Told, service());
            let id = part.service.id.clone();
            let value = value();
            part.put(look, &id, value);
            parts.push(part);
        }
    };
    measured(TEMPERATURE, catalogue::temperature, &|| look.number(TEMPERATURE, 0).and_then(degrees_of));
    measured(HUMIDITY, catalogue::humidity, &|| {
        look.number(HUMIDITY, 0).map(hundredths).filter(|percent| (0.0..=100.0).contains(percent))
    });
    measured(PRESSURE, catalogue::pressure, &|| pressure(look));
    measured(ILLUMINANCE, catalogue::illuminance, &|| look.number(ILLUMINANCE, 0).and_then(lux));
    parts.extend(look.offers(OCCUPANCY, 0).then(|| {
        let occupied = look.uint(OCCUPANCY, 0).map(|bits| bits & 1 == 1);
        Part::new(Kind::Told, catalogue::occupancy()).say(look, "occupied", occupied)
    }));
    parts.extend(boolean(look));
    parts.extend(smoke(look));
    parts.extend(air(look));
    parts
}

/// Of a contact sensor, true is closed; of a leak detector, that there is water.
fn boolean(look: &Look<'_>) -> Option<Part> {
    if !look.offers(BOOLEAN, 0) || look.is(&[FREEZE, RAIN]) {
        return None;
    }
    let state = look.bool(BOOLEAN, 0);
    Some(match look.is(&[LEAK]) {
        true => Part::new(Kind::Told, catalogue::water_leak()).say(look, "detected", state),
        false => Part::new(Kind::Told, catalogue::contact()).say(look, "open", state.map(|closed| !closed)),
    })
}

/// Tenths of a kilopascal, or finer where it says so (`ScaledValue`, of which 10 to the power of `Scale` are one pascal).
fn pressure(look: &Look<'_>) -> Option<f64> {
    let scaled = || {
        let scale = look.number(PRESSURE, 0x14).filter(|scale| scale.abs() <= 127.0)?;
        Some(look.number(PRESSURE, 0x10)? / 10f64.powf(scale))
    };
    scaled().or_else(|| look.number(PRESSURE, 0).map(|native| native * 100.0)).filter(|pascal| pascal.is_finite())
}

/// 10000 times the logarithm, and 1 more; 0 is too dark to be measured.
fn lux(native: f64) -> Option<f64> {
    match native {
        0.0 => Some(0.0),
        1.0..=65534.0 => Some((10f64.powf((native - 1.0) / 10_000.0) * 100.0).round() / 100.0),
        _ => None,
    }
}

fn smoke(look: &Look<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let alarms = |attribute| look.uint(SMOKE, attribute).map(|state| state > 0);
    if look.offers(SMOKE, 1) {
        let detected = alarms(1);
        parts.push(Part::new(Kind::Told, catalogue::smoke()).say(look, "detected", detected));
    }
    let concentration = concentration(look, CARBON_MONOXIDE, Unit::PartsPerMillion);
    let (detects, measures) = (look.offers(SMOKE, 2), concentration.is_some());
    let mut kept = Vec::new();
    kept.extend(detects.then_some("detected"));
    kept.extend(measures.then_some("concentration"));
    if !kept.is_empty() {
        let part = Part::new(Kind::Told, catalogue::carbon_monoxide().only(&kept, &[]));
        let part = part.say(look, "concentration", concentration.flatten());
        parts.push(part.say(look, "detected", alarms(2)));
    }
    if look.offers(SMOKE, 3) && !look.has(0x2F) {
        let low = alarms(3);
        parts.push(Part::new(Kind::Told, catalogue::battery().only(&["low"], &[])).say(look, "low", low));
    }
    parts
}

fn air(look: &Look<'_>) -> Option<Part> {
    let _ = look.lately();
    let known = AIR.iter().filter_map(|(cluster, id, unit)| Some((*id, concentration(look, *cluster, *unit)?)));
    let known: Vec<(&str, Option<f64>)> = known.collect();
    let rates = look.offers(AIR_QUALITY, 0);
    let mut kept: Vec<&str> = known.iter().map(|(id, _)| *id).collect();
    kept.extend(rates.then_some("index"));
    if kept.is_empty() {
        return None;
    }
    let mut part = Part::new(Kind::Told, catalogue::air_quality().only(&kept, &[]));
    for (id, _) in known {
        // Looked at once more, so that it is known of what each is made.
        let again = AIR.iter().find(|(_, known, _)| *known == id);
        let value = again.and_then(|(cluster, _, unit)| concentration(look, *cluster, *unit)?);
        part.put(look, id, value);
    }
    // AirQualityEnum: 1 is good, 6 extremely poor, 0 unknown.
    let index = look.number(AIR_QUALITY, 0).filter(|index| *index > 0.0);
    part.put(look, "index", index);
    Some(part)
}

/// A concentration in that unit; the outer one is none when it is not measured, or in another kind of unit.
fn concentration(look: &Look<'_>, cluster: u32, unit: Unit) -> Option<Option<f64>> {
    if !look.offers(cluster, 0) {
        return None;
    }
    // MeasurementUnitEnum: PPM, PPB, PPT, mg, µg, ng per cubic metre.
    let factor = match (look.uint(cluster, 8)?, unit) {
        (0, Unit::PartsPerMillion) => 1.0,
        (1, Unit::PartsPerMillion) => 1e-3,
        (2, Unit::PartsPerMillion) => 1e-6,
        (3, Unit::MicrogramPerCubicMetre) => 1e3,
        (4, Unit::MicrogramPerCubicMetre) => 1.0,
        (5, Unit::MicrogramPerCubicMetre) => 1e-3,
        _ => return None,
    };
    // Single precision there: what is behind its seven digits is none of the device's.
    let native = look.number(cluster, 0).filter(|native| *native >= 0.0);
    Some(native.map(|native| (native * factor * 1e4).round() / 1e4))
}

/// Adds what has no service of its own to what there is more.
pub(super) fn add(look: &Look<'_>, more: &mut Part) {
    let _ = look.lately();
    let number =
        |id: &str, unit: Unit| Property::state(id, Format::Float).unit(unit).sensitive(FieldCode::HomeDeviceState);
    for (cluster, id) in OTHER_AIR {
        let taken = |unit: Unit| {
            *cluster == CARBON_MONOXIDE && unit == Unit::PartsPerMillion
                || AIR.iter().any(|(known, _, theirs)| known == cluster && *theirs == unit)
        };
        let units = [Unit::PartsPerMillion, Unit::MicrogramPerCubicMetre].into_iter();
        let found =
            units.filter(|unit| !taken(*unit)).find_map(|unit| Some((unit, concentration(look, *cluster, unit)?)));
        if let Some((unit, value)) = found {
            more.service.properties.push(number(id, unit));
            more.put(look, id, value);
        }
    }
    if look.offers(FLOW, 0) {
        // Tenths of a cubic metre an hour.
        let flow = look.number(FLOW, 0).map(|native| native / 10.0);
        more.service.properties.push(number("flow", Unit::CubicMetrePerHour));
        more.put(look, "flow", flow);
    }
    if look.is(&[FREEZE, RAIN]) && look.offers(BOOLEAN, 0) {
        let id = if look.is(&[RAIN]) { "rain" } else { "freeze" };
        let state = look.bool(BOOLEAN, 0);
        more.service.properties.push(Property::state(id, Format::Bool).sensitive(FieldCode::HomeDeviceState));
        more.put(look, id, state);
    }
}
