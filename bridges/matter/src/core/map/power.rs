//! What a device runs on, and what flows through it: PowerSource (0x2F), ElectricalPowerMeasurement (0x90),
//! ElectricalEnergyMeasurement (0x91), and the cluster in which Eve's plugs said the same before Matter had words for it.

use accord_model::catalogue;

use super::{Kind, Part};
use crate::core::look::Look;
use crate::core::value::Value;

const SOURCE: u32 = 0x2F;
const POWER: u32 = 0x90;
const ENERGY: u32 = 0x91;
/// Of Eve Systems; its attributes are real numbers in our units.
const EVE: u32 = 0x130A_FC01;
const EVE_SAYS: [(u32, &str); 4] =
    [(0x130A_000A, "power"), (0x130A_0008, "voltage"), (0x130A_0009, "current"), (0x130A_000B, "energy")];

// Features of PowerSource.
const BATTERY: u32 = 1;
const RECHARGES: u32 = 2;

pub(super) fn battery(look: &Look<'_>) -> Option<Part> {
    let has = look.can(SOURCE, BATTERY) || look.offers(SOURCE, 0x0C) || look.offers(SOURCE, 0x0E);
    if !look.has(SOURCE) || !has {
        return None;
    }
    let mut kept = Vec::new();
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(look.offers(SOURCE, 0x0C), "percent");
    keep(look.can(SOURCE, RECHARGES) && look.offers(SOURCE, 0x1A), "charging");
    keep(look.offers(SOURCE, 0x0E), "low");
    // BatPercentRemaining is in halves; BatChargeLevel 1 warns, 2 is critical; BatChargeState 1 is charging.
    let percent = look.uint(SOURCE, 0x0C).filter(|halves| *halves <= 200).map(|halves| halves.div_ceil(2) as i64);
    let part = Part::new(Kind::Told, catalogue::battery().only(&kept, &[])).say(look, "percent", percent);
    let charging = look.uint(SOURCE, 0x1A).filter(|state| *state != 0).map(|state| state == 1);
    let part = part.say(look, "charging", charging);
    Some(part.say(look, "low", look.uint(SOURCE, 0x0E).map(|level| level > 0)))
}

pub(super) fn electricity(look: &Look<'_>) -> Option<Part> {
    if !look.has(POWER) && !look.has(ENERGY) {
        return eve(look);
    }
    let thousandths = |ids: &[u32]| {
        let first = ids.iter().find_map(|id| look.number(POWER, *id));
        first.map(|native| (native / 1000.0 * 1e6).round() / 1e6)
    };
    let energy = |id| {
        // EnergyMeasurementStruct: milliwatt-hours.
        let native = look.get(ENERGY, id)?.field(0).and_then(Value::number)?;
        Some((native).round() / 1e6)
    };
    let offers = |ids: &[u32]| ids.iter().any(|id| look.offers(POWER, *id));
    let mut kept = Vec::new();
    let mut keep = |yes: bool, id: &'static str| yes.then(|| kept.push(id));
    keep(offers(&[0x08, 0x0D]), "power");
    keep(look.offers(ENERGY, 1), "energy");
    keep(look.offers(ENERGY, 2), "produced");
    keep(offers(&[0x04, 0x0B]), "voltage");
    keep(offers(&[0x05, 0x0C]), "current");
    keep(offers(&[0x0E]), "frequency");
    keep(offers(&[0x11]), "power-factor");
    let mut part = Part::new(Kind::Told, catalogue::electricity().only(&kept, &[]));
    let _ = look.lately();
    // What flows, or its effective value.
    for (id, native) in
        [("power", &[0x08, 0x0D][..]), ("voltage", &[0x0B, 0x04]), ("current", &[0x0C, 0x05]), ("frequency", &[0x0E])]
    {
        let value = thousandths(native);
        part.put(look, id, value);
    }
    // PowerFactor is in hundredths of a hundredth.
    let factor = look.number(POWER, 0x11).map(|native| native / 100.0);
    part.put(look, "power-factor", factor);
    for (id, native) in [("energy", 1), ("produced", 2)] {
        let value = energy(native);
        part.put(look, id, value);
    }
    // How exact that is, and what it can measure, belongs to it.
    Some(part).filter(|part| !part.service.properties.is_empty())
}

fn eve(look: &Look<'_>) -> Option<Part> {
    let kept: Vec<&str> = EVE_SAYS.iter().filter(|(id, _)| look.offers(EVE, *id)).map(|(_, name)| *name).collect();
    if !kept.contains(&"power") {
        return None;
    }
    let mut part = Part::new(Kind::Told, catalogue::electricity().only(&kept, &[]));
    let _ = look.lately();
    for (id, name) in EVE_SAYS {
        // Single precision there.
        let value = look.number(EVE, id).map(|native| (native * 1e3).round() / 1e3);
        part.put(look, name, value);
    }
    Some(part)
}
