//! Units as makers write them, and what makes ours of them. `units unclean` is what a count over all devices of zigbee2mqtt
//! showed: seven ways to write a second.

use accord_model::Unit;

/// From a native number to ours: `(native - zero) * factor`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Ours, if there is one for it.
    pub unit: Option<Unit>,
    /// Native zero of ours.
    pub zero: f64,
    /// Ours for one native.
    pub factor: f64,
    /// One divided by the other: mired.
    pub inverse: bool,
    /// How it was written, when we have no unit for it.
    pub foreign: bool,
}

const fn times(unit: Unit, factor: f64) -> Measure {
    Measure { unit: Some(unit), zero: 0.0, factor, inverse: false, foreign: false }
}

/// A number without a unit.
pub const NONE: Measure = Measure { unit: None, zero: 0.0, factor: 1.0, inverse: false, foreign: false };

/// What makes ours of it. One that we have nothing for stays as it is and is marked foreign.
pub fn measure(text: &str) -> Measure {
    let text = text.trim();
    match text {
        "" => NONE,
        "°C" | "℃" | "ºC" | "C" => times(Unit::Celsius, 1.0),
        "°F" | "℉" | "ºF" | "F" => Measure { zero: 32.0, ..times(Unit::Celsius, 5.0 / 9.0) },
        "K" => times(Unit::Kelvin, 1.0),
        "mired" => Measure { inverse: true, ..times(Unit::Kelvin, 1e6) },
        "%" => times(Unit::Percent, 1.0),
        "‰" => times(Unit::Percent, 0.1),
        "ms" => times(Unit::Second, 1e-3),
        "10 ms" => times(Unit::Second, 1e-2),
        "10s" => times(Unit::Second, 10.0),
        "W" | "w" | "watt" => times(Unit::Watt, 1.0),
        "kW" => times(Unit::Watt, 1e3),
        "mW" => times(Unit::Watt, 1e-3),
        "MW" => times(Unit::Watt, 1e6),
        "kWh" => times(Unit::KilowattHour, 1.0),
        "Wh" => times(Unit::KilowattHour, 1e-3),
        "MWh" => times(Unit::KilowattHour, 1e3),
        "V" => times(Unit::Volt, 1.0),
        "mV" => times(Unit::Volt, 1e-3),
        "A" => times(Unit::Ampere, 1.0),
        "mA" => times(Unit::Ampere, 1e-3),
        "ppm" => times(Unit::PartsPerMillion, 1.0),
        "ppb" => times(Unit::PartsPerMillion, 1e-3),
        "Pa" => times(Unit::Pascal, 1.0),
        "hPa" | "mbar" => times(Unit::Pascal, 1e2),
        "kPa" => times(Unit::Pascal, 1e3),
        "bar" => times(Unit::Pascal, 1e5),
        "psi" => times(Unit::Pascal, 6_894.757),
        "inHg" => times(Unit::Pascal, 3_386.389),
        "mmHg" => times(Unit::Pascal, 133.322_4),
        "m" | "meter" | "meters" | "metre" | "metres" => times(Unit::Metre, 1.0),
        "km" => times(Unit::Metre, 1e3),
        "cm" => times(Unit::Metre, 1e-2),
        "mm" => times(Unit::Metre, 1e-3),
        "µm" | "μm" => times(Unit::Metre, 1e-6),
        "in" => times(Unit::Metre, 0.0254),
        "ft" => times(Unit::Metre, 0.3048),
        "m/s" => times(Unit::MetrePerSecond, 1.0),
        "mm/s" => times(Unit::MetrePerSecond, 1e-3),
        "km/h" => times(Unit::MetrePerSecond, 1.0 / 3.6),
        "dB" | "dBA" => times(Unit::Decibel, 1.0),
        "°" => times(Unit::Degree, 1.0),
        "Hz" => times(Unit::Hertz, 1.0),
        "kHz" => times(Unit::Hertz, 1e3),
        "µg/m³" | "μg/m³" | "ug/m3" | "µg/m3" => times(Unit::MicrogramPerCubicMetre, 1.0),
        "mg/m³" => times(Unit::MicrogramPerCubicMetre, 1e3),
        "m³" | "m3" => times(Unit::CubicMetre, 1.0),
        "L" | "l" | "liter" | "litre" => times(Unit::CubicMetre, 1e-3),
        "mL" | "ml" => times(Unit::CubicMetre, 1e-6),
        "gal" => times(Unit::CubicMetre, 0.003_785_412),
        "m³/h" | "m3/h" => times(Unit::CubicMetrePerHour, 1.0),
        "L/h" => times(Unit::CubicMetrePerHour, 1e-3),
        "L/min" => times(Unit::CubicMetrePerHour, 0.06),
        "gal/min" => times(Unit::CubicMetrePerHour, 0.227_124_7),
        "VA" => times(Unit::VoltAmpere, 1.0),
        "kVA" => times(Unit::VoltAmpere, 1e3),
        "g" => times(Unit::Gram, 1.0),
        "kg" => times(Unit::Gram, 1e3),
        "B" => times(Unit::Byte, 1.0),
        "kB" => times(Unit::Byte, 1e3),
        "MB" => times(Unit::Byte, 1e6),
        "GB" => times(Unit::Byte, 1e9),
        _ => word(text),
    }
}

fn word(text: &str) -> Measure {
    match text.trim_end_matches('.').to_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => times(Unit::Second, 1.0),
        "min" | "mins" | "minute" | "minutes" => times(Unit::Second, 60.0),
        "h" | "hr" | "hrs" | "hour" | "hours" => times(Unit::Second, 3_600.0),
        "d" | "day" | "days" => times(Unit::Second, 86_400.0),
        "lx" | "lux" => times(Unit::Lux, 1.0),
        "wh" => times(Unit::KilowattHour, 1e-3),
        "volt" | "volts" => times(Unit::Volt, 1.0),
        _ => Measure { foreign: true, ..NONE },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_one_however_it_is_written() {
        for text in ["s", "sec", "seconds", "Sec", "S", "sec.", "Seconds"] {
            assert_eq!(measure(text), times(Unit::Second, 1.0), "{text}");
        }
        for text in ["h", "Hours", "Hr", "hours", "hour", "H"] {
            assert_eq!(measure(text).factor, 3_600.0, "{text}");
        }
        assert_eq!(measure("  C").unit, Some(Unit::Celsius));
        assert!(measure("VAr").foreign && !measure("").foreign && measure("mired").inverse);
        assert_eq!(measure("kW").factor, 1_000.0);
    }
}
