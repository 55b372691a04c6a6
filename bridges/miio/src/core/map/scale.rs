//! How a device's own numbers and words are ours, and back.

use accord_model::{Data, Unit};

use super::super::spec::{Format, Property};

/// From native to ours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// The same.
    Same,
    /// The opposite.
    Not,
    /// Times `factor`, and `offset` more.
    Linear { factor: f64, offset: f64 },
    /// Levels in their order, as hundredths of the highest.
    Ranks(Vec<i64>),
    /// Numbers of values, native and ours; several native ones may mean the same, and the first of them is written.
    Names(Vec<(i64, i64)>),
    /// True for these.
    Is(Vec<i64>),
    /// What these say; nothing for others.
    Texts(Vec<(i64, String)>),
}

impl Scale {
    pub(crate) fn ours(&self, native: &Data) -> Option<Data> {
        match self {
            Self::Same => Some(native.clone()),
            Self::Not => native.as_bool().map(|yes| Data::Bool(!yes)),
            Self::Linear { factor, offset } => {
                let ours = native.as_number()? * factor + offset;
                // What a scale adds behind the comma is none of the device's.
                ours.is_finite().then(|| Data::Float((ours * 1e6).round() / 1e6))
            }
            Self::Ranks(levels) => {
                let native = native.as_int()?;
                let at = levels.iter().position(|level| *level == native)?;
                Some(Data::Int(share(at, levels.len())))
            }
            Self::Names(names) => {
                let native = number(native)?;
                names.iter().find(|(one, _)| *one == native).map(|(_, ours)| Data::Int(*ours))
            }
            Self::Is(those) => number(native).map(|native| Data::Bool(those.contains(&native))),
            Self::Texts(texts) => {
                let native = number(native)?;
                let text = texts.iter().find(|(one, _)| *one == native).map_or("", |(_, text)| text);
                Some(Data::Text(text.to_owned()))
            }
        }
    }

    /// The native value for one of ours; `None` when there is none.
    pub(crate) fn native(&self, ours: &Data) -> Option<Data> {
        match self {
            Self::Same => Some(ours.clone()),
            Self::Not => ours.as_bool().map(|yes| Data::Bool(!yes)),
            Self::Linear { factor, offset } => {
                let native = (ours.as_number()? - offset) / factor;
                native.is_finite().then_some(Data::Float(native))
            }
            Self::Ranks(levels) => {
                let ours = ours.as_number()?;
                let far = |at: &usize| (share(*at, levels.len()) as f64 - ours).abs();
                let at = (0..levels.len()).min_by(|one, other| far(one).total_cmp(&far(other)))?;
                levels.get(at).map(|level| Data::Int(*level))
            }
            Self::Names(names) => {
                let ours = ours.as_int()?;
                names.iter().find(|(_, one)| *one == ours).map(|(native, _)| Data::Int(*native))
            }
            Self::Is(_) | Self::Texts(_) => None,
        }
    }
}

/// The level at this place of so many, in hundredths.
fn share(at: usize, of: usize) -> i64 {
    (100.0 * (at + 1) as f64 / of.max(1) as f64).round() as i64
}

fn number(data: &Data) -> Option<i64> {
    data.as_int().or_else(|| data.as_bool().map(i64::from))
}

/// Writes a value as a property wants it: in its format, within its range, on its steps.
pub(crate) fn fit(property: &Property, data: Data) -> Option<Data> {
    match property.format {
        Format::Bool => data.as_bool().map(Data::Bool),
        Format::Text => data.as_text().map(|text| Data::Text(text.to_owned())),
        Format::Int(low, high) => {
            let number = data.as_number().or_else(|| data.as_bool().map(|yes| f64::from(u8::from(yes))))?;
            let number = stepped(property, number).round();
            let whole = (number.abs() < 9e15).then_some(number as i64)?.clamp(low, high);
            let known = property.values.is_empty() || property.values.iter().any(|(value, _)| *value == whole);
            known.then_some(Data::Int(whole))
        }
        Format::Float => Some(Data::Float(stepped(property, data.as_number()?))),
    }
}

fn stepped(property: &Property, number: f64) -> f64 {
    let Some((min, max, step)) = property.range else { return number };
    let number = number.clamp(min, max);
    if step <= 0.0 {
        return number;
    }
    let on_step = min + ((number - min) / step).round() * step;
    (on_step.clamp(min, max) * 1e6).round() / 1e6
}

/// What a device answered, as the property's format has it: booleans come as 0 and 1, numbers as text, whole numbers with a
/// point. `None` for what is no such value.
pub(crate) fn read(property: &Property, value: &serde_json::Value) -> Option<Data> {
    use serde_json::Value;
    let number = || match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.len() < 32 => text.trim().parse().ok(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        _ => None,
    };
    match property.format {
        Format::Bool => match value {
            Value::Bool(yes) => Some(*yes),
            Value::String(text) if matches!(text.as_str(), "on" | "true") => Some(true),
            Value::String(text) if matches!(text.as_str(), "off" | "false") => Some(false),
            _ => number().filter(|number| matches!(*number, 0.0 | 1.0)).map(|number| number == 1.0),
        }
        .map(Data::Bool),
        Format::Int(low, high) => {
            let number =
                number().filter(|number| number.is_finite() && number.fract() == 0.0 && number.abs() < 9e15)?;
            Some(number as i64).filter(|number| (low..=high).contains(number)).map(Data::Int)
        }
        Format::Float => number().filter(|number| number.is_finite()).map(Data::Float),
        Format::Text => match value {
            Value::String(text) => Some(accord_model::text::for_screen(text, 1000)),
            Value::Null => None,
            other => Some(accord_model::text::for_screen(&other.to_string(), 1000)),
        }
        .map(Data::Text),
    }
}

/// By how much a native number is to be multiplied to be in our unit. `None`: nobody knows.
pub(crate) fn units(property: &Property, ours: Unit) -> Option<Scale> {
    let unit = property.unit.to_ascii_lowercase().replace(['μ', 'µ'], "u").replace('³', "3").replace('^', "");
    let linear = |factor: f64| Some(Scale::Linear { factor, offset: 0.0 });
    let max = property.range.map(|(_, max, _)| max);
    match (ours, unit.as_str()) {
        (Unit::Celsius, "fahrenheit") => Some(Scale::Linear { factor: 5.0 / 9.0, offset: -160.0 / 9.0 }),
        (Unit::Celsius, "kelvin") => Some(Scale::Linear { factor: 1.0, offset: -273.15 }),
        (Unit::Celsius, "celsius" | "" | "c" | "°c") => linear(1.0),
        (Unit::Percent, "percentage" | "%" | "rh" | "") => match max {
            Some(max) if max > 0.0 && max != 100.0 && unit != "percentage" => linear(100.0 / max),
            _ => linear(1.0),
        },
        (Unit::Kelvin, "kelvin" | "k" | "") if max.is_none_or(|max| max >= 1000.0) => linear(1.0),
        (Unit::Pascal, "pascal" | "pa") => linear(1.0),
        (Unit::Pascal, "hectopascal" | "hpa" | "mbar") => linear(100.0),
        (Unit::Pascal, "kilopascal" | "kpa") => linear(1000.0),
        (Unit::Pascal, "mmhg") => linear(133.322),
        (Unit::KilowattHour, "kwh" | "kilowatt-hour" | "kw-h") => linear(1.0),
        (Unit::KilowattHour, "wh" | "watt-hour") => linear(0.001),
        (Unit::Watt, "watt" | "w" | "") => linear(1.0),
        (Unit::Watt, "kilowatt" | "kw") => linear(1000.0),
        (Unit::Volt, "volt" | "v" | "") | (Unit::Ampere, "ampere" | "a" | "") => linear(1.0),
        (Unit::Volt, "mv" | "millivolt") | (Unit::Ampere, "ma" | "milliampere") => linear(0.001),
        (Unit::Lux, "lux" | "lx" | "") | (Unit::PartsPerMillion, "ppm" | "") => linear(1.0),
        (Unit::MicrogramPerCubicMetre, "" | "ug/m3" | "microgram-per-cubic-metre") => linear(1.0),
        (Unit::MicrogramPerCubicMetre, "mg/m3") => linear(1000.0),
        _ => None,
    }
}

/// Our unit for what no standard service has; and how its numbers become that.
pub(crate) fn foreign_unit(property: &Property) -> Option<(Unit, f64)> {
    Some(match property.unit.to_ascii_lowercase().as_str() {
        "percentage" => (Unit::Percent, 1.0),
        "celsius" => (Unit::Celsius, 1.0),
        "kelvin" => (Unit::Kelvin, 1.0),
        "seconds" => (Unit::Second, 1.0),
        "minutes" => (Unit::Second, 60.0),
        "hours" => (Unit::Second, 3600.0),
        "days" => (Unit::Second, 86_400.0),
        "lux" => (Unit::Lux, 1.0),
        "ppm" => (Unit::PartsPerMillion, 1.0),
        "watt" => (Unit::Watt, 1.0),
        "pascal" => (Unit::Pascal, 1.0),
        "kwh" => (Unit::KilowattHour, 1.0),
        "volt" => (Unit::Volt, 1.0),
        "arcdegrees" => (Unit::Degree, 1.0),
        _ => return None,
    })
}

/// A word in small letters and dashes: `Level 1` is `level-1`.
pub(crate) fn kebab(text: &str) -> String {
    let mut made = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() {
            made.extend(c.to_lowercase());
        } else if !made.ends_with('-') && !made.is_empty() {
            made.push('-');
        }
    }
    made.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn property(format: Format, range: Option<(f64, f64, f64)>, unit: &str) -> Property {
        Property { format, range, unit: unit.into(), ..Property::default() }
    }

    #[test]
    fn what_devices_answer_is_read_by_its_format() {
        let byte = property(Format::Int(0, 255), None, "");
        for (value, data) in [
            (json!(7), Some(7)),
            (json!(7.0), Some(7)),
            (json!("7"), Some(7)),
            (json!(true), Some(1)),
            (json!(7.5), None),
            (json!(300), None),
            (json!("x"), None),
            (json!(null), None),
            (json!([7]), None),
        ] {
            assert_eq!(read(&byte, &value), data.map(Data::Int), "{value}");
        }
        let bool = property(Format::Bool, None, "");
        assert_eq!(read(&bool, &json!(1)), Some(Data::Bool(true)));
        assert_eq!(read(&bool, &json!("off")), Some(Data::Bool(false)));
        assert_eq!(read(&bool, &json!(2)), None);
        assert_eq!(read(&property(Format::Float, None, ""), &json!("inf")), None);
        let text = read(&property(Format::Text, None, ""), &json!("a\u{202e}b"));
        assert_eq!(text, Some(Data::Text("a\u{fffd}b".into())));
    }

    #[test]
    fn units_are_ours_or_nobodys() {
        let of = |unit: &str, max: f64, ours| {
            units(&property(Format::Float, Some((0.0, max, 1.0)), unit), ours)
                .and_then(|scale| scale.ours(&Data::Float(50.0)))
                .and_then(|data| data.as_number())
        };
        assert_eq!(of("fahrenheit", 200.0, Unit::Celsius), Some(10.0));
        assert_eq!(of("percentage", 100.0, Unit::Percent), Some(50.0));
        assert_eq!(of("", 200.0, Unit::Percent), Some(25.0));
        assert_eq!(of("kilopascal", 120.0, Unit::Pascal), Some(50_000.0));
        assert_eq!(of("", 120.0, Unit::Pascal), None);
        assert_eq!(of("", 9e9, Unit::KilowattHour), None, "makers count in anything");
        assert_eq!(of("mg/m³", 9.0, Unit::MicrogramPerCubicMetre), Some(50_000.0));
        assert_eq!(of("percentage", 100.0, Unit::Kelvin), None);
        assert_eq!(kebab("Level 1 (Ａuto)!"), "level-1-ａuto");
    }

    proptest! {
        #[test]
        fn a_written_percentage_comes_back_within_half_a_step(percent in 0i64..=100, max in 1i64..=65_535, from_one: bool) {
            let low = i64::from(from_one);
            prop_assume!(low < max);
            let native = property(Format::Int(0, 65_535), Some((low as f64, max as f64, 1.0)), "");
            let scale = units(&native, Unit::Percent).unwrap();
            let step = (100.0 / max as f64).max(1.0);
            let least = (low as f64 * 100.0 / max as f64).ceil() as i64;
            let percent = percent.max(least);
            let written = fit(&native, scale.native(&Data::Int(percent)).unwrap()).unwrap();
            let back = scale.ours(&written).unwrap().as_number().unwrap();
            prop_assert!((back - percent as f64).abs() <= step / 2.0 + 1e-6, "{percent} {written:?} {back}");
        }

        #[test]
        fn levels_come_back(levels in proptest::collection::btree_set(0i64..1000, 1..20), percent in 0i64..=100) {
            let scale = Scale::Ranks(levels.into_iter().collect());
            let native = scale.native(&Data::Int(percent)).unwrap();
            let ours = scale.ours(&native).unwrap();
            prop_assert_eq!(scale.native(&ours), Some(native));
        }
    }
}
