//! Lamps, switches, and what is switched like one. developers.home-assistant.io/docs/core/entity/light

use accord_model::{Data, catalogue};

use super::part::{Part, named};
use super::{Entity, bad, percent_of};
use crate::core::words::Call;

/// Has effects.
const EFFECT: u32 = 4;
/// Bits of servers that name no modes.
const OLD_BRIGHTNESS: u32 = 1;
const OLD_TEMPERATURE: u32 = 2;
const OLD_COLOR: u32 = 16;
/// A colour temperature passes through mireds, where 1 is about 42 K at the cold end, and colours through 8 bits: so far a
/// device may be off what was asked for.
const KELVIN_STEP: f64 = 100.0;
const HUE_STEP: f64 = 5.0;

/// What a lamp can, whatever mode it is in.
#[derive(Default)]
struct Can {
    level: bool,
    temperature: bool,
    color: bool,
}

impl Can {
    fn of(entity: &Entity<'_>) -> Self {
        let modes = entity.attrs.get("supported_color_modes").texts();
        if modes.is_empty() {
            let color = entity.can(OLD_COLOR);
            let temperature = entity.can(OLD_TEMPERATURE);
            return Self { level: color || temperature || entity.can(OLD_BRIGHTNESS), temperature, color };
        }
        let is = |names: &[&str]| modes.iter().any(|mode| names.contains(&mode.as_str()));
        Self {
            level: !modes.iter().all(|mode| matches!(mode.as_str(), "onoff" | "unknown")),
            temperature: is(&["color_temp", "rgbww"]),
            color: is(&["hs", "rgb", "rgbw", "rgbww", "xy"]),
        }
    }
}

pub fn light(entity: &Entity<'_>) -> Part {
    let (attrs, can) = (entity.attrs, Can::of(entity));
    let effects = attrs.get("effect_list").texts();
    let mut kept = vec!["on"];
    if can.level {
        kept.push("level");
    }
    if can.temperature {
        kept.push("color-temperature");
    }
    if can.color {
        kept.extend(["hue", "saturation"]);
    }
    if can.color && can.temperature {
        kept.push("color-mode");
    }
    if entity.can(EFFECT) && !effects.is_empty() {
        kept.push("effect");
    }
    let (coldest, warmest) = kelvins(entity);
    let service = catalogue::light()
        .only(&kept, &["toggle"])
        .change("level", |one| *one = one.clone().range(1.0, 100.0, 1.0))
        .change("color-temperature", |one| *one = one.clone().range(warmest, coldest, KELVIN_STEP))
        .change("hue", |one| *one = one.clone().range(0.0, 359.0, HUE_STEP))
        .change("effect", |one| *one = named(one.clone(), &effects));
    let mode = attrs.text("color_mode");
    let is_color = mode.is_some_and(|mode| matches!(mode, "hs" | "rgb" | "rgbw" | "rgbww" | "xy"));
    let hs = attrs.get("hs_color").items();
    let hs = |at: usize| hs.get(at).and_then(|one| one.number()).filter(|_| is_color);
    let kelvin =
        attrs.number("color_temp_kelvin").or_else(|| attrs.number("color_temp").filter(|m| *m >= 1.0).map(|m| 1e6 / m));
    Part::new(service)
        .say("on", entity.on())
        .say("level", attrs.number("brightness").map(level))
        .say("color-temperature", kelvin.filter(|_| !is_color).map(|kelvin| kelvin.round() as i64))
        .say("hue", hs(0).map(|hue| (hue.round() as i64).rem_euclid(360)))
        .say("saturation", hs(1).map(|saturation| saturation.round().clamp(0.0, 100.0) as i64))
        .say_one("color-mode", mode.map(|_| if is_color { "color" } else { "temperature" }))
        .say_one("effect", attrs.text("effect"))
}

fn kelvins(entity: &Entity<'_>) -> (f64, f64) {
    let attrs = entity.attrs;
    let mired = |name: &str| attrs.number(name).filter(|mired| *mired >= 1.0).map(|mired| 1e6 / mired);
    let coldest = attrs.number("max_color_temp_kelvin").or_else(|| mired("min_mireds")).unwrap_or(6500.0);
    let warmest = attrs.number("min_color_temp_kelvin").or_else(|| mired("max_mireds")).unwrap_or(2000.0);
    (coldest.max(warmest).round(), warmest.min(coldest).round())
}

/// 255 is all; what shines shines at least a little.
fn level(brightness: f64) -> i64 {
    let percent = percent_of(brightness / 255.0);
    if brightness > 0.0 { percent.max(1) } else { percent }
}

/// Hue and saturation come one by one, and go together: `before` is what the other one is or was wanted to be.
pub fn write(entity: &Entity<'_>, property: &str, data: &Data, before: (f64, f64)) -> Option<Call> {
    let on = |key: &str, value: serde_json::Value| Some(entity.call("light", "turn_on").with(key, value));
    match property {
        "on" => Some(entity.call("light", if data.as_bool()? { "turn_on" } else { "turn_off" })),
        "level" => on("brightness_pct", (data.as_int()?).into()),
        "color-temperature" => on("color_temp_kelvin", data.as_int()?.into()),
        "hue" => on("hs_color", serde_json::json!([data.as_int()?, before.1])),
        "saturation" => on("hs_color", serde_json::json!([before.0, data.as_int()?])),
        "effect" => on("effect", entity.listed("effect_list", data)?.into()),
        _ => None,
    }
}

/// Hue and saturation as they are now; the whole colour when there is none.
pub fn color(entity: &Entity<'_>) -> (f64, f64) {
    let hs = entity.attrs.get("hs_color").items();
    let at = |n: usize| hs.get(n).and_then(|one| one.number());
    (at(0).unwrap_or(0.0), at(1).filter(|saturation| *saturation > 0.0).unwrap_or(100.0))
}

/// What has a state of on and off, and services of that name.
pub fn switch(entity: &Entity<'_>) -> Part {
    Part::new(catalogue::on_off()).say("on", entity.on())
}

/// Switches it.
pub fn write_on(entity: &Entity<'_>, data: &Data) -> Result<Call, accord_model::CallError> {
    let on = data.as_bool().ok_or_else(|| bad("yes or no is wanted"))?;
    Ok(entity.call(entity.domain(), if on { "turn_on" } else { "turn_off" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_survives_the_way_through_255_steps() {
        for percent in 1..=100 {
            // What Home Assistant makes of brightness_pct.
            let brightness = (255.0 * f64::from(percent) / 100.0).round();
            assert_eq!(level(brightness), i64::from(percent));
        }
        assert_eq!((level(0.0), level(1.0), level(255.0)), (0, 1, 100));
    }
}
