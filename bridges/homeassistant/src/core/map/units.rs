//! Home Assistant's units in ours: what a number is multiplied with, and what is added. One unit for each quantity.

use accord_model::Unit;

/// `ours = theirs * factor + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Ours; none for a quantity that we have no unit for.
    pub unit: Option<Unit>,
    factor: f64,
    offset: f64,
}

impl Scale {
    /// A number without a unit.
    pub const PLAIN: Self = Self { unit: None, factor: 1.0, offset: 0.0 };

    /// In our unit.
    pub fn ours(self, theirs: f64) -> f64 {
        tidy(theirs * self.factor + self.offset)
    }
    /// In theirs.
    pub fn theirs(self, ours: f64) -> f64 {
        tidy((ours - self.offset) / self.factor)
    }
    /// A difference in our unit.
    pub fn step(self, theirs: f64) -> f64 {
        tidy(theirs * self.factor.abs())
    }
}

/// Celsius, from what a server shows temperatures in.
pub fn temperature(fahrenheit: bool) -> Scale {
    of(if fahrenheit { "°F" } else { "°C" }).unwrap_or(Scale::PLAIN)
}

/// A unit by its sign; nothing when we have none for it.
pub fn of(sign: &str) -> Option<Scale> {
    use Unit::*;
    let scaled = |unit, factor| Some(Scale { unit: Some(unit), factor, offset: 0.0 });
    match sign {
        "%" => scaled(Percent, 1.0),
        "°C" => scaled(Celsius, 1.0),
        "°F" => Some(Scale { unit: Some(Celsius), factor: 5.0 / 9.0, offset: -160.0 / 9.0 }),
        "K" => Some(Scale { unit: Some(Celsius), factor: 1.0, offset: -273.15 }),
        "lx" => scaled(Lux, 1.0),
        "mW" => scaled(Watt, 1e-3),
        "W" => scaled(Watt, 1.0),
        "kW" => scaled(Watt, 1e3),
        "MW" => scaled(Watt, 1e6),
        "Wh" => scaled(KilowattHour, 1e-3),
        "kWh" => scaled(KilowattHour, 1.0),
        "MWh" => scaled(KilowattHour, 1e3),
        "GWh" => scaled(KilowattHour, 1e6),
        "kJ" => scaled(KilowattHour, 1.0 / 3600.0),
        "MJ" => scaled(KilowattHour, 1.0 / 3.6),
        "GJ" => scaled(KilowattHour, 1000.0 / 3.6),
        "mV" => scaled(Volt, 1e-3),
        "V" => scaled(Volt, 1.0),
        "kV" => scaled(Volt, 1e3),
        "mA" => scaled(Ampere, 1e-3),
        "A" => scaled(Ampere, 1.0),
        "VA" => scaled(VoltAmpere, 1.0),
        "Hz" => scaled(Hertz, 1.0),
        "kHz" => scaled(Hertz, 1e3),
        "MHz" => scaled(Hertz, 1e6),
        "GHz" => scaled(Hertz, 1e9),
        "Pa" => scaled(Pascal, 1.0),
        "hPa" | "mbar" => scaled(Pascal, 100.0),
        "kPa" => scaled(Pascal, 1e3),
        "cbar" => scaled(Pascal, 1e3),
        "bar" => scaled(Pascal, 1e5),
        "mmHg" => scaled(Pascal, 133.322_387_415),
        "inHg" => scaled(Pascal, 3386.389),
        "psi" => scaled(Pascal, 6_894.757_293_168),
        "mm" => scaled(Metre, 1e-3),
        "cm" => scaled(Metre, 1e-2),
        "m" => scaled(Metre, 1.0),
        "km" => scaled(Metre, 1e3),
        "in" => scaled(Metre, 0.0254),
        "ft" => scaled(Metre, 0.3048),
        "yd" => scaled(Metre, 0.9144),
        "mi" => scaled(Metre, 1609.344),
        "ms" => scaled(Second, 1e-3),
        "s" => scaled(Second, 1.0),
        "min" => scaled(Second, 60.0),
        "h" => scaled(Second, 3600.0),
        "d" => scaled(Second, 86_400.0),
        "m/s" => scaled(MetrePerSecond, 1.0),
        "km/h" => scaled(MetrePerSecond, 1.0 / 3.6),
        "mph" => scaled(MetrePerSecond, 0.447_04),
        "kn" => scaled(MetrePerSecond, 1852.0 / 3600.0),
        "ft/s" => scaled(MetrePerSecond, 0.3048),
        "B" => scaled(Byte, 1.0),
        "kB" => scaled(Byte, 1e3),
        "MB" => scaled(Byte, 1e6),
        "GB" => scaled(Byte, 1e9),
        "TB" => scaled(Byte, 1e12),
        "KiB" => scaled(Byte, 1024.0),
        "MiB" => scaled(Byte, 1_048_576.0),
        "GiB" => scaled(Byte, 1_073_741_824.0),
        "dB" | "dBA" => scaled(Decibel, 1.0),
        "ppm" => scaled(PartsPerMillion, 1.0),
        "ppb" => scaled(PartsPerMillion, 1e-3),
        // Two signs for micro are about.
        "µg/m³" | "μg/m³" => scaled(MicrogramPerCubicMetre, 1.0),
        "mg/m³" => scaled(MicrogramPerCubicMetre, 1e3),
        "m³" => scaled(CubicMetre, 1.0),
        "L" => scaled(CubicMetre, 1e-3),
        "mL" => scaled(CubicMetre, 1e-6),
        "ft³" => scaled(CubicMetre, 0.028_316_846_592),
        "gal" => scaled(CubicMetre, 0.003_785_411_784),
        "m³/h" => scaled(CubicMetrePerHour, 1.0),
        "L/min" => scaled(CubicMetrePerHour, 0.06),
        "L/h" => scaled(CubicMetrePerHour, 1e-3),
        "ft³/min" => scaled(CubicMetrePerHour, 1.699_010_795_52),
        "gal/min" => scaled(CubicMetrePerHour, 0.227_124_707_04),
        "mg" => scaled(Gram, 1e-3),
        "g" => scaled(Gram, 1.0),
        "kg" => scaled(Gram, 1e3),
        "oz" => scaled(Gram, 28.349_523_125),
        "lb" => scaled(Gram, 453.592_37),
        "°" => scaled(Degree, 1.0),
        _ => None,
    }
}

/// Without the noise that multiplying leaves: nine digits that count.
fn tidy(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return 0.0;
    }
    let digits = 8 - number.abs().log10().floor() as i32;
    if !(-30..=30).contains(&digits) {
        return number;
    }
    let power = 10f64.powi(digits.abs());
    if digits >= 0 { (number * power).round() / power } else { (number / power).round() * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_there_and_back() {
        for sign in ["°C", "°F", "K", "kWh", "Wh", "hPa", "psi", "km/h", "µg/m³", "L/min", "lb", "min"] {
            let scale = of(sign).unwrap();
            for number in [-40.0, 0.0, 0.42, 21.5, 1013.25, 99_999.0] {
                let back = scale.theirs(scale.ours(number));
                assert!((back - number).abs() <= number.abs() * 1e-7 + 1e-6, "{sign}: {number} became {back}");
            }
        }
    }

    #[test]
    fn units_are_ours_and_numbers_are_tidy() {
        assert_eq!(of("°F").unwrap().ours(68.0), 20.0);
        assert_eq!(of("hPa").unwrap().ours(1013.25), 101_325.0);
        assert_eq!(of("Wh").unwrap().ours(1234.5), 1.2345);
        assert_eq!(of("MJ").unwrap().ours(3.6), 1.0);
        assert_eq!(of("°F").unwrap().step(1.0), 0.555_555_556);
        assert_eq!(of("€/kWh"), None);
        assert_eq!(Scale::PLAIN.ours(f64::INFINITY), 0.0);
    }
}
