//! What a person types as the value of a property.

use accord_model::text::for_screen;
use accord_model::{Data, Format, Property, Range, Unit};

use super::words::{number, yes_no};

/// Colours of white that have names, in kelvin.
const WHITES: [(&str, f64); 6] = [
    ("candle", 2000.0),
    ("warm", 2700.0),
    ("neutral", 4000.0),
    ("cool", 5000.0),
    ("cold", 6500.0),
    ("daylight", 5500.0),
];

/// The value that is meant: `on`, `30%`, `2700K`, `warm`, `68 °F`, the name of one of its values.
///
/// # Errors
/// What the property takes, in words.
pub fn data(property: &Property, text: &str) -> Result<Data, String> {
    let text = text.trim();
    let data = match property.format {
        Format::Bool => Data::Bool(truth(property, text)?),
        Format::Int | Format::Float => Data::Float(quantity(property, text)?),
        Format::Enum => Data::Int(choice(property, text)?),
        Format::Text => Data::Text(text.to_owned()),
        Format::Texts => Data::Texts(text.split(',').map(|part| part.trim().to_owned()).collect()),
        Format::Bytes => return Err(format!("`{}` cannot be typed", shown(&property.id))),
    };
    let data = match (property.format, data) {
        // A step that is whole is what is meant by something beside it.
        (Format::Int, Data::Float(number)) => Data::Int(number.round() as i64),
        (_, data) => data,
    };
    if let (Some(range), Some(is)) = (property.range, data.as_number())
        && !(range.min..=range.max).contains(&is)
    {
        return Err(within(property, range));
    }
    property.fit(data).map_err(|unfit| unfit.to_string())
}

fn truth(property: &Property, text: &str) -> Result<bool, String> {
    let word = text.to_lowercase();
    let (yes, no) = yes_no(&property.id);
    match word.as_str() {
        word if word == yes => Ok(true),
        word if word == no => Ok(false),
        "on" | "yes" | "true" | "1" => Ok(true),
        "off" | "no" | "false" | "0" => Ok(false),
        _ => Err(format!("`{}` is {yes} or {no}, not `{}`", shown(&property.id), shown(text))),
    }
}

fn choice(property: &Property, text: &str) -> Result<i64, String> {
    let alike = |name: &str| name.trim().to_lowercase().replace(['_', ' '], "-");
    let wanted = alike(text);
    let by_name = property.values.iter().find(|(_, name)| alike(name) == wanted);
    let by_number = || {
        let number = text.parse::<i64>().ok()?;
        property.values.iter().find(|(value, _)| *value == number)
    };
    let known = || property.values.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
    let found = by_name.or_else(by_number);
    found.map(|(number, _)| *number).ok_or_else(|| {
        format!("`{}` is one of {}, not `{}`", shown(&property.id), for_screen(&known(), 400), shown(text))
    })
}

fn quantity(property: &Property, text: &str) -> Result<f64, String> {
    let word = text.to_lowercase();
    if property.unit == Some(Unit::Kelvin)
        && let Some((_, kelvin)) = WHITES.into_iter().find(|(name, _)| *name == word)
    {
        return Ok(property.range.map_or(kelvin, |range| kelvin.clamp(range.min, range.max)));
    }
    match (word.as_str(), property.range) {
        ("min", Some(range)) => return Ok(range.min),
        ("max", Some(range)) => return Ok(range.max),
        _ => {}
    }
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+');
    let end = text.find(|c| !digits(c)).unwrap_or(text.len());
    let (typed, behind) = text.split_at(end);
    let typed = typed.replace(',', ".");
    let is: f64 = typed.parse().map_err(|_| wants(property, text))?;
    in_unit(is, behind.trim(), property.unit).filter(|is| is.is_finite()).ok_or_else(|| wants(property, text))
}

/// A number with the unit that was typed behind it, in the property's own.
fn in_unit(is: f64, typed: &str, wanted: Option<Unit>) -> Option<f64> {
    let typed = typed.to_lowercase();
    match (typed.as_str(), wanted) {
        ("", _) => Some(is),
        ("%" | "percent", Some(Unit::Percent))
        | ("k" | "kelvin", Some(Unit::Kelvin))
        | ("c" | "°c" | "°", Some(Unit::Celsius))
        | ("w", Some(Unit::Watt))
        | ("kwh", Some(Unit::KilowattHour))
        | ("v", Some(Unit::Volt))
        | ("a", Some(Unit::Ampere))
        | ("lx", Some(Unit::Lux))
        | ("m", Some(Unit::Metre))
        | ("s" | "sec", Some(Unit::Second))
        | ("pa", Some(Unit::Pascal))
        | ("ppm", Some(Unit::PartsPerMillion))
        | ("m/s", Some(Unit::MetrePerSecond))
        | ("db", Some(Unit::Decibel)) => Some(is),
        ("mired" | "mireds", Some(Unit::Kelvin)) => Some((1_000_000.0 / is).round()),
        ("f" | "°f", Some(Unit::Celsius)) => Some(((is - 32.0) / 1.8 * 10.0).round() / 10.0),
        ("kw", Some(Unit::Watt)) => Some(is * 1000.0),
        ("wh", Some(Unit::KilowattHour)) => Some(is / 1000.0),
        ("cm", Some(Unit::Metre)) => Some(is / 100.0),
        ("ms", Some(Unit::Second)) => Some(is / 1000.0),
        ("min", Some(Unit::Second)) => Some(is * 60.0),
        ("h", Some(Unit::Second)) => Some(is * 3600.0),
        ("hpa" | "mbar", Some(Unit::Pascal)) => Some(is * 100.0),
        (typed, Some(of)) if typed == of.symbol().to_lowercase() => Some(is),
        _ => None,
    }
}

fn wants(property: &Property, text: &str) -> String {
    let example = property.range.map_or(1.0, |range| range.min + ((range.max - range.min) / 3.0).round());
    let behind = property.unit.map(|of| format!(" {}", of.symbol())).unwrap_or_default();
    let whole = if property.format == Format::Int { "a whole number" } else { "a number" };
    format!("`{}` is {whole}, such as {}{behind}, not `{}`", shown(&property.id), number(example), shown(text))
}

fn within(property: &Property, range: Range) -> String {
    let behind = property.unit.map(|of| format!(" {}", of.symbol())).unwrap_or_default();
    format!("`{}` is between {} and {}{behind}", shown(&property.id), number(range.min), number(range.max))
}

fn shown(text: &str) -> String {
    for_screen(text, 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(id: &str, format: Format, unit: Unit, min: f64, max: f64) -> Property {
        Property::state(id, format).unit(unit).range(min, max, 1.0).writable()
    }

    #[test]
    fn what_people_type_is_what_they_mean() {
        let level = of("level", Format::Int, Unit::Percent, 1.0, 100.0);
        let white = of("color-temperature", Format::Int, Unit::Kelvin, 1700.0, 6500.0);
        let target = of("target", Format::Float, Unit::Celsius, 5.0, 30.0);
        for (property, text, means) in [
            (&level, "30", Data::Int(30)),
            (&level, " 30 % ", Data::Int(30)),
            (&level, "max", Data::Int(100)),
            (&level, "29.6%", Data::Int(30)),
            (&white, "2700K", Data::Int(2700)),
            (&white, "warm", Data::Int(2700)),
            (&white, "250 mired", Data::Int(4000)),
            (&target, "21,5", Data::Float(21.5)),
            (&target, "70F", Data::Float(21.1)),
        ] {
            assert_eq!(data(property, text), Ok(means), "{text}");
        }
        for (property, text, says) in [
            (&level, "0", "between 1 and 100 %"),
            (&level, "30K", "a whole number, such as"),
            (&level, "bright", "not `bright`"),
            (&target, "-", "a number"),
            (&white, "99999", "between 1700 and 6500 K"),
        ] {
            let error = data(property, text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn yes_and_no_have_the_words_of_their_property() {
        let truth = |id: &str, text: &str| data(&Property::state(id, Format::Bool), text);
        assert_eq!(truth("on", "On"), Ok(Data::Bool(true)));
        assert_eq!(truth("locked", "unlocked"), Ok(Data::Bool(false)));
        assert_eq!(truth("child-lock", "yes"), Ok(Data::Bool(true)));
        assert_eq!(truth("on", "perhaps").unwrap_err(), "`on` is on or off, not `perhaps`");
    }

    #[test]
    fn an_enum_is_meant_by_name_or_number() {
        let mut mode = Property::state("mode", Format::Enum).writable();
        mode.values = vec![(0, "off".into()), (7, "fan-only".into()), (8, "x\u{1b}y".into())];
        assert_eq!(data(&mode, "Fan only"), Ok(Data::Int(7)));
        assert_eq!(data(&mode, "7"), Ok(Data::Int(7)));
        let error = data(&mode, "9").unwrap_err();
        assert!(error.contains("off, fan-only") && !error.contains('\u{1b}'), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_is_typed_fits_or_is_refused(text in ".{0,30}", format in 0usize..6) {
            let formats = [Format::Bool, Format::Int, Format::Float, Format::Text, Format::Texts, Format::Enum];
            let mut property = of("x", formats[format], Unit::Percent, 0.0, 100.0);
            property.values = vec![(1, "one".into())];
            if let Ok(data) = data(&property, &text) {
                prop_assert!(property.fit(data).is_ok());
            }
        }
    }
}
