//! What is switched, dimmed and coloured: OnOff (0x06), LevelControl (0x08), ColorControl (0x300).

use accord_model::{CallError, Data, catalogue};

use super::{Kind, Part, bad, number, whole_percent, yes};
use crate::core::command::Command;
use crate::core::look::Look;
use crate::core::value::Value;

const ON_OFF: u32 = 0x06;
const LEVEL: u32 = 0x08;
const COLOR: u32 = 0x300;

const LIGHTS: &[u32] = &[0x0100, 0x0101, 0x010C, 0x010D];
/// What is dimmed is most often a lamp behind it.
const DIMMERS: &[u32] = &[0x010B, 0x0110];
const SPEAKER: u32 = 0x22;
/// What has a level of its own that is no light.
const NO_LIGHTS: &[u32] = &[0x0303, 0x002B, 0x002D, SPEAKER, 0x0202, 0x0042, 0x0078, 0x007A, 0x0071, 0x007C];

/// One mired is about 42 K at the cold end, and hues of devices have 254 steps: so far one may be off what was asked for.
const KELVIN_STEP: f64 = 100.0;
const HUE_STEP: f64 = 2.0;
/// By way of x and y, more.
const XY_STEP: f64 = 5.0;

// Features of ColorControl.
const HUE_SATURATION: u32 = 0;
const ENHANCED_HUE: u32 = 1;
const XY: u32 = 3;
const TEMPERATURE: u32 = 4;
/// Of OnOff: it can only be switched off from afar.
const OFF_ONLY: u32 = 2;

/// What a lamp can.
struct Can {
    level: bool,
    hue: bool,
    xy: bool,
    temperature: bool,
}

impl Can {
    fn of(look: &Look<'_>) -> Self {
        Self {
            level: look.offers(LEVEL, 0),
            hue: look.can(COLOR, HUE_SATURATION),
            xy: look.can(COLOR, XY),
            temperature: look.can(COLOR, TEMPERATURE),
        }
    }
    fn color(&self) -> bool {
        self.hue || self.xy
    }
}

/// A lamp, a loudspeaker or a switch.
pub(super) fn on_off(look: &Look<'_>) -> Option<Part> {
    if !look.has(ON_OFF) {
        return None;
    }
    let dimmed = look.has(LEVEL) && !look.is(NO_LIGHTS);
    Some(if look.is(LIGHTS) || look.is(DIMMERS) || look.has(COLOR) || dimmed {
        light(look)
    } else if look.is(&[SPEAKER]) && look.has(LEVEL) {
        volume(look)
    } else {
        switch(look)
    })
}

fn toggle(look: &Look<'_>) -> &'static [&'static str] {
    if look.takes(ON_OFF, 2) && !look.can(ON_OFF, OFF_ONLY) { &["toggle"] } else { &[] }
}

fn switch(look: &Look<'_>) -> Part {
    let service = catalogue::on_off().only(&["on"], toggle(look)).change("on", |one| one.write = look.takes(ON_OFF, 0));
    Part::new(Kind::Switch, service).say(look, "on", look.bool(ON_OFF, 0))
}

fn volume(look: &Look<'_>) -> Part {
    let (lowest, highest) = volumes(look);
    let lowest = (lowest * 100.0 / highest).ceil();
    let step = (100.0 / highest).ceil();
    let service = catalogue::volume().only(&["level", "muted"], &[]);
    let service = service.change("level", |one| *one = one.clone().range(lowest, 100.0, step));
    let part = Part::new(Kind::Volume, service);
    let level = level(look);
    part.say(look, "level", level).say(look, "muted", look.bool(ON_OFF, 0).map(|on| !on))
}

fn light(look: &Look<'_>) -> Part {
    let can = Can::of(look);
    let mut kept = vec!["on"];
    if can.level {
        kept.push("level");
    }
    if can.temperature {
        kept.push("color-temperature");
    }
    if can.color() {
        kept.extend(["hue", "saturation"]);
    }
    if can.temperature && can.color() {
        kept.push("color-mode");
    }
    let (warmest, coldest) = kelvins(look);
    let (lowest, highest) = limits(look);
    // A device with fewer steps than hundredths is set to the nearest one.
    let step = (100.0 / highest).ceil();
    let lowest = (lowest * 100.0 / highest).ceil().max(1.0);
    let color_step = if can.hue { HUE_STEP } else { XY_STEP };
    let service = catalogue::light()
        .only(&kept, toggle(look))
        .change("on", |one| one.write = look.takes(ON_OFF, 0))
        .change("level", |one| *one = one.clone().range(lowest, 100.0, step))
        .change("color-temperature", |one| *one = one.clone().range(warmest, coldest, KELVIN_STEP))
        .change("hue", |one| *one = one.clone().range(0.0, 359.0, color_step))
        .change("saturation", |one| {
            *one = one.clone().range(0.0, 100.0, if can.hue { 1.0 } else { XY_STEP });
        });
    let part = Part::new(Kind::Light, service)
        .say(look, "on", look.bool(ON_OFF, 0))
        .say(look, "level", level(look))
        .say_one(look, "color-mode", mode(look));
    let is_color = mode(look) == Some("color");
    let kelvin = look.number(COLOR, 7).filter(|mired| *mired >= 1.0).map(|mired| (1e6 / mired).round() as i64);
    let part = part.say(look, "color-temperature", kelvin.filter(|_| !is_color || !can.color()));
    let color = said_color(look).filter(|_| is_color || !can.temperature);
    part.say(look, "hue", color.map(|(hue, _)| (hue.round() as i64).rem_euclid(360))).say(
        look,
        "saturation",
        said_color(look).filter(|_| is_color || !can.temperature).map(|(_, saturation)| saturation.round() as i64),
    )
}

/// `ColorMode`: 0 hue and saturation, 1 x and y, 2 temperature.
fn mode(look: &Look<'_>) -> Option<&'static str> {
    match look.uint(COLOR, 8)? {
        2 => Some("temperature"),
        _ => Some("color"),
    }
}

/// The least and the highest level: `MinLevel` and `MaxLevel`, as far as they make sense.
fn limits(look: &Look<'_>) -> (f64, f64) {
    let highest = look.number(LEVEL, 3).filter(|highest| (1.0..=254.0).contains(highest)).unwrap_or(254.0);
    let lowest = look.number(LEVEL, 2).unwrap_or(1.0).max(1.0);
    (if lowest <= highest { lowest } else { 1.0 }, highest)
}

/// The same of a loudspeaker: nothing at all is a volume, too.
fn volumes(look: &Look<'_>) -> (f64, f64) {
    let (_, highest) = limits(look);
    (look.number(LEVEL, 2).filter(|lowest| (0.0..=highest).contains(lowest)).unwrap_or(0.0), highest)
}

/// 254, or as far as it goes, is all; what shines shines at least a little.
fn level(look: &Look<'_>) -> Option<i64> {
    let (_, highest) = limits(look);
    let level = look.number(LEVEL, 0).filter(|level| *level <= 254.0)?;
    let percent = whole_percent(level / highest);
    Some(if level > 0.0 { percent.max(1) } else { percent })
}

fn native_level(look: &Look<'_>, percent: f64) -> u64 {
    let (lowest, highest) = limits(look);
    (percent * highest / 100.0).round().clamp(lowest, highest) as u64
}

/// The warmest and the coldest white.
fn kelvins(look: &Look<'_>) -> (f64, f64) {
    let kelvin = |attribute, usual: f64| {
        let mired = look.number(COLOR, attribute).filter(|mired| (50.0..=1000.0).contains(mired));
        mired.map_or(usual, |mired| 1e6 / mired)
    };
    let (warmest, coldest) = (kelvin(0x400C, 2000.0).ceil(), kelvin(0x400B, 6500.0).floor());
    if warmest < coldest { (warmest, coldest) } else { (2000.0, 6500.0) }
}

/// Hue in degrees and saturation in hundredths as the device says them, in whichever way.
fn said_color(look: &Look<'_>) -> Option<(f64, f64)> {
    let can = Can::of(look);
    let by_xy = can.xy && (!can.hue || look.uint(COLOR, 8) == Some(1));
    if by_xy {
        let (x, y) = (look.number(COLOR, 3)? / 65536.0, look.number(COLOR, 4)? / 65536.0);
        return Some(hue_of(x, y));
    }
    let saturation = (look.number(COLOR, 1)? * 100.0 / 254.0).min(100.0);
    let enhanced =
        look.number(COLOR, 0x4000).filter(|_| look.can(COLOR, ENHANCED_HUE)).map(|hue| hue * 360.0 / 65536.0);
    let hue = enhanced.or_else(|| look.number(COLOR, 0).map(|hue| hue * 360.0 / 254.0))?;
    Some((hue.rem_euclid(360.0), saturation))
}

/// As it is now; the whole colour when there is none.
pub(super) fn color(look: &Look<'_>) -> (f64, f64) {
    let said = said_color(look).filter(|_| mode(look) != Some("temperature"));
    let (hue, saturation) = said.unwrap_or((0.0, 100.0));
    (hue, if saturation > 0.0 { saturation } else { 100.0 })
}

pub(super) fn write_on_off(look: &Look<'_>, data: &Data) -> Result<Command, CallError> {
    let on = yes(data)?;
    if on && look.can(ON_OFF, OFF_ONLY) {
        return Err(bad("it can only be switched off from afar"));
    }
    Ok(Command::invoke(look.endpoint, ON_OFF, u32::from(on), Vec::new()))
}

/// At once, and also while it is off: what is asked for holds when it is switched on.
fn options() -> [Value; 3] {
    [Value::Uint(0), Value::Uint(1), Value::Uint(1)]
}

fn with_options(first: Vec<Value>) -> Vec<(u8, Value)> {
    (0..).zip(first.into_iter().chain(options())).collect()
}

pub(super) fn write(look: &Look<'_>, property: &str, data: &Data, other: (f64, f64)) -> Result<Command, CallError> {
    let invoke = |cluster, command, first| Command::invoke(look.endpoint, cluster, command, with_options(first));
    Ok(match property {
        "on" => return write_on_off(look, data),
        // MoveToLevelWithOnOff, or without.
        "level" => {
            let command = if look.takes(LEVEL, 4) { 4 } else { 0 };
            invoke(LEVEL, command, vec![Value::Uint(native_level(look, number(data)?))])
        }
        "color-temperature" => {
            let mired = |attribute, usual| look.number(COLOR, attribute).filter(|m| *m >= 1.0).unwrap_or(usual);
            let (least, most) = (mired(0x400B, 1.0), mired(0x400C, 65279.0));
            let wanted = (1e6 / number(data)?.max(1.0)).round();
            let wanted = if least <= most { wanted.clamp(least, most) } else { wanted };
            invoke(COLOR, 0x0A, vec![Value::Uint(wanted as u64)])
        }
        "hue" => paint(look, (number(data)?, other.1)),
        "saturation" => paint(look, (other.0, number(data)?)),
        _ => return Err(bad("it has no way to set this")),
    })
}

fn paint(look: &Look<'_>, (hue, saturation): (f64, f64)) -> Command {
    let can = Can::of(look);
    let (command, first) = if can.hue {
        let saturation = Value::Uint((saturation * 254.0 / 100.0).round().clamp(0.0, 254.0) as u64);
        if look.can(COLOR, ENHANCED_HUE) && look.takes(COLOR, 0x43) {
            (0x43, vec![Value::Uint((hue * 65536.0 / 360.0).round().clamp(0.0, 65535.0) as u64), saturation])
        } else {
            (0x06, vec![Value::Uint((hue * 254.0 / 360.0).round().clamp(0.0, 254.0) as u64), saturation])
        }
    } else {
        let (x, y) = xy_of(hue, saturation);
        let native = |share: f64| Value::Uint((share * 65536.0).round().clamp(0.0, 65279.0) as u64);
        (0x07, vec![native(x), native(y)])
    };
    Command::invoke(look.endpoint, COLOR, command, with_options(first))
}

pub(super) fn write_volume(look: &Look<'_>, property: &str, data: &Data) -> Result<Command, CallError> {
    match property {
        "level" => {
            let (lowest, highest) = volumes(look);
            let level = (number(data)? * highest / 100.0).round().clamp(lowest, highest);
            Ok(Command::invoke(look.endpoint, LEVEL, 0, with_options(vec![Value::Uint(level as u64)])))
        }
        "muted" => Ok(Command::invoke(look.endpoint, ON_OFF, u32::from(!yes(data)?), Vec::new())),
        _ => Err(bad("it has no way to set this")),
    }
}

pub(super) fn act(look: &Look<'_>, action: &str) -> Option<Command> {
    (action == "toggle").then(|| Command::invoke(look.endpoint, ON_OFF, 2, Vec::new()))
}

// Colours of sRGB (IEC 61966-2-1) in the CIE 1931 chromaticity diagram, white at D65.

fn hue_of(x: f64, y: f64) -> (f64, f64) {
    let y = y.max(1e-4);
    let (large_x, large_z) = (x / y, (1.0 - x - y) / y);
    let linear = [
        3.2406 * large_x - 1.5372 - 0.4986 * large_z,
        -0.9689 * large_x + 1.8758 + 0.0415 * large_z,
        0.0557 * large_x - 0.2040 + 1.0570 * large_z,
    ];
    // What is outside of what sRGB can show becomes the nearest.
    let linear = linear.map(|one| one.max(0.0));
    let most = linear.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let [red, green, blue] = linear.map(|one| {
        let one = one / most;
        if one <= 0.003_130_8 { one * 12.92 } else { 1.055 * one.powf(1.0 / 2.4) - 0.055 }
    });
    let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
    let range = high - low;
    if range < 1e-6 {
        return (0.0, 0.0);
    }
    let sixth = if high == red {
        ((green - blue) / range).rem_euclid(6.0)
    } else if high == green {
        (blue - red) / range + 2.0
    } else {
        (red - green) / range + 4.0
    };
    ((sixth * 60.0).rem_euclid(360.0), range / high * 100.0)
}

fn xy_of(hue: f64, saturation: f64) -> (f64, f64) {
    let (sixth, saturation) = (hue.rem_euclid(360.0) / 60.0, (saturation / 100.0).clamp(0.0, 1.0));
    let channel = |n: f64| {
        let k = (n + sixth).rem_euclid(6.0);
        let one = 1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        if one <= 0.040_45 { one / 12.92 } else { ((one + 0.055) / 1.055).powf(2.4) }
    };
    let (red, green, blue) = (channel(5.0), channel(3.0), channel(1.0));
    let large_x = 0.4124 * red + 0.3576 * green + 0.1805 * blue;
    let large_y = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    let large_z = 0.0193 * red + 0.1192 * green + 0.9505 * blue;
    let all = large_x + large_y + large_z;
    (large_x / all, large_y / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_survive_the_way_through_x_and_y() {
        for hue in (0..360).step_by(7) {
            for saturation in (20..=100).step_by(10) {
                let (x, y) = xy_of(f64::from(hue), f64::from(saturation));
                let (back, part) = hue_of(x, y);
                let apart = (back - f64::from(hue)).abs();
                assert!(apart.min(360.0 - apart) < XY_STEP / 2.0, "{hue} {saturation}: {back}");
                assert!((part - f64::from(saturation)).abs() < XY_STEP / 2.0, "{hue} {saturation}: {part}");
            }
        }
        assert_eq!(xy_of(0.0, 0.0).0, xy_of(180.0, 0.0).0, "white is white");
        let (x, y) = xy_of(0.0, 0.0);
        assert!((x - 0.3127).abs() < 1e-3 && (y - 0.3290).abs() < 1e-3);
    }
}
