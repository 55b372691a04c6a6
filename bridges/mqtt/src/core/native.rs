//! Between what a device says and takes, and the units of the house. Native scales (0..254, mired, `ON`, tenths of a degree)
//! end here; every value that can be written survives the way there and back to within half of a step of its range.

use accord_model::text::for_screen;
use accord_model::{Data, Format, Property, Range};
use serde_json::{Number, Value, json};

use super::units::Measure;

/// Longest text that a device says or is told, in characters.
pub const MAX_TEXT: usize = 1024;

/// How one property is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// Two words, in whatever order.
    Bool {
        /// Yes.
        on: Value,
        /// No.
        off: Value,
    },
    /// A number.
    Number(Linear),
    /// One of several words, by the number that it has in the house.
    Choice(Vec<(i64, Value)>),
    /// Text.
    Text,
    /// Anything composite, as JSON text. Never written.
    Json,
    /// One half of a colour, which is said as a whole.
    Colour(Colour, Half),
}

/// A number's scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear {
    /// Native zero of ours.
    pub zero: f64,
    /// Ours for one native; for an inverse one the number that is divided.
    pub factor: f64,
    /// Mired and kelvin.
    pub inverse: bool,
    /// Whole in the house, and whole at the device.
    pub whole: bool,
    /// See `whole`.
    pub native_whole: bool,
    /// What the device takes.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// What it says beyond that is taken for the nearest.
    pub clamped: bool,
}

/// How a colour is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// `{"hue": 0..360, "saturation": 0..100}`, or x and y, or both.
    HueObject,
    /// `{"x": 0..1, "y": 0..1}`.
    XyObject,
    /// `{"h": 0..360, "s": 0..100}`.
    HsObject,
    /// `{"r": 0..255, "g": …, "b": …}`.
    RgbObject,
    /// `h,s`.
    HsText,
    /// `x,y`.
    XyText,
    /// `r,g,b`.
    RgbText,
}

/// Which half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Half {
    Hue,
    Saturation,
}

impl Linear {
    /// In a unit. `range` is native: smallest, largest, step; each may be unknown.
    pub fn of(measure: Measure, range: [Option<f64>; 3]) -> Self {
        let [low, high, step] = range.map(|number| number.filter(|number| number.is_finite()));
        if measure.inverse {
            return Self::mired(low.unwrap_or(50.0), high.unwrap_or(1000.0));
        }
        let is_whole = |number: f64| number.fract() == 0.0 && number.abs() < 1e12;
        let native_whole = step.is_some_and(|step| is_whole(step) && step > 0.0) && low.is_none_or(is_whole);
        let whole = native_whole && measure.zero == 0.0 && is_whole(measure.factor);
        let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
        let Measure { zero, factor, .. } = measure;
        Self { zero, factor, inverse: false, whole, native_whole, low, high, clamped: false }
    }

    /// 0 to 100 for a native range of whole numbers.
    pub fn percent(low: f64, high: f64) -> Self {
        let factor = if high > low { 100.0 / (high - low) } else { 1.0 };
        Self { zero: low, factor, inverse: false, whole: true, native_whole: true, low, high, clamped: true }
    }

    /// Kelvin, for mired. Makers claim up to 65279 mired; no lamp is beyond 1000 to 20000 K.
    pub fn mired(low: f64, high: f64) -> Self {
        let low = low.clamp(50.0, 1000.0);
        let high = high.clamp(low, 1000.0);
        Self { zero: 0.0, factor: 1e6, inverse: true, whole: true, native_whole: true, low, high, clamped: false }
    }

    /// Ours for a native number.
    pub fn house(&self, native: f64) -> Option<f64> {
        let native = if self.clamped { native.clamp(self.low, self.high) } else { native };
        let ours = if self.inverse { self.factor / native } else { (native - self.zero) * self.factor };
        let ours = if self.whole { ours.round() } else { (ours * 1e6).round() / 1e6 };
        (ours.is_finite() && ours.abs() < 1e15).then_some(ours)
    }

    /// The native number for one of ours, when the device takes it.
    pub fn native(&self, ours: f64) -> Option<f64> {
        let native = if self.inverse { self.factor / ours } else { ours / self.factor + self.zero };
        let native = if self.native_whole { native.round() } else { (native * 1e6).round() / 1e6 };
        // A range that was rounded to whole ones of ours reaches a little beyond the native one.
        let slack = match self.whole {
            true if self.inverse => 1.0,
            true => (0.5 / self.factor.abs()).max(1e-6),
            false => 1e-6,
        };
        let taken = native.is_finite() && native >= self.low - slack && native <= self.high + slack;
        taken.then(|| native.clamp(self.low, self.high))
    }

    /// The range in the house's units, with a step that no rounding exceeds by half. `None`: the device has none.
    pub fn range(&self, native_step: Option<f64>) -> Option<Range> {
        if !self.low.is_finite() || !self.high.is_finite() {
            return None;
        }
        let (one, other) = (self.house(self.low)?, self.house(self.high)?);
        let (min, max) = (one.min(other), one.max(other));
        let step = if self.inverse {
            (max * max / self.factor).ceil()
        } else {
            let step = native_step.filter(|step| *step > 0.0).unwrap_or(if self.native_whole { 1.0 } else { 0.0 });
            let step = (step * self.factor).abs();
            if self.whole { step.max(1.0) } else { step }
        };
        Some(Range { min, max, step })
    }
}

impl Scale {
    /// What is said, in the house's words. `None`: it makes no sense.
    pub fn read(&self, native: &Value) -> Option<Data> {
        if native.is_null() {
            return None;
        }
        match self {
            Self::Bool { on, off } if same(native, on) => Some(Data::Bool(true)).filter(|_| on != off),
            Self::Bool { off, .. } => same(native, off).then_some(Data::Bool(false)),
            Self::Number(linear) => {
                let ours = linear.house(number(native)?)?;
                Some(if linear.whole { Data::Int(ours as i64) } else { Data::Float(ours) })
            }
            Self::Choice(words) => {
                words.iter().find(|(_, word)| same(native, word)).map(|(number, _)| Data::Int(*number))
            }
            Self::Text => Some(Data::Text(for_screen(&spoken(native)?, MAX_TEXT))),
            Self::Json => Some(Data::Text(for_screen(&native.to_string(), MAX_TEXT * 4))),
            Self::Colour(colour, half) => {
                let (hue, saturation) = colour.read(native)?;
                Some(Data::Int(match half {
                    Half::Hue => (hue.round() as i64).rem_euclid(360),
                    Half::Saturation => saturation.round().clamp(0.0, 100.0) as i64,
                }))
            }
        }
    }

    /// What the device is told. `other`: the other half of a colour, as it was said last.
    ///
    /// # Errors
    /// In words: what is wanted instead.
    pub fn write(&self, data: &Data, other: Option<f64>) -> Result<Value, String> {
        match self {
            Self::Bool { on, off } => match data.as_bool() {
                Some(yes) => Ok(if yes { on } else { off }.clone()),
                None => Err("yes or no is wanted".to_owned()),
            },
            Self::Number(linear) => {
                let ours = data.as_number().filter(|ours| ours.is_finite()).ok_or("a number is wanted")?;
                let native = linear.native(ours).ok_or("the device does not take that number")?;
                Ok(if linear.native_whole { json!(native as i64) } else { json!(native) })
            }
            Self::Choice(words) => {
                let found = words.iter().find(|(number, _)| data.as_int() == Some(*number));
                found.map(|(_, word)| word.clone()).ok_or_else(|| "one of its own words is wanted".to_owned())
            }
            Self::Text => match data.as_text() {
                Some(text) if text.chars().count() <= MAX_TEXT => Ok(json!(text)),
                Some(_) => Err(format!("a text of at most {MAX_TEXT} characters is wanted")),
                None => Err("a text is wanted".to_owned()),
            },
            Self::Json => Err("it can only be read".to_owned()),
            Self::Colour(colour, half) => {
                let ours = data.as_number().filter(|ours| ours.is_finite()).ok_or("a number is wanted")?;
                let (hue, saturation) = match half {
                    Half::Hue => (ours.rem_euclid(360.0), other.unwrap_or(100.0)),
                    Half::Saturation => (other.unwrap_or(0.0), ours.clamp(0.0, 100.0)),
                };
                Ok(colour.write(hue, saturation))
            }
        }
    }

    /// Gives a property the format, the range and the names of this.
    pub fn shape(&self, property: &mut Property, step: Option<f64>) {
        match self {
            Self::Bool { .. } => property.format = Format::Bool,
            Self::Number(linear) => {
                property.format = if linear.whole { Format::Int } else { Format::Float };
                property.range = linear.range(step);
            }
            Self::Choice(words) => {
                property.format = Format::Enum;
                let name = |word: &Value| spoken(word).map(|text| for_screen(&text, 64));
                property.values = words.iter().filter_map(|(number, word)| Some((*number, name(word)?))).collect();
            }
            Self::Text | Self::Json => property.format = Format::Text,
            Self::Colour(..) => property.format = Format::Int,
        }
    }
}

impl Colour {
    /// Hue in degrees and saturation in percent.
    fn read(self, native: &Value) -> Option<(f64, f64)> {
        let parts = |count: usize| {
            let numbers: Vec<f64> = spoken(native)?.split(',').filter_map(|part| part.trim().parse().ok()).collect();
            (numbers.len() == count && numbers.iter().all(|number| f64::is_finite(*number))).then_some(numbers)
        };
        let member = |key: &str| native.get(key).and_then(number);
        match self {
            Self::HsText => parts(2).map(|both| (both[0], both[1])),
            Self::XyText => parts(2).map(|both| hs_of_xy(both[0], both[1])),
            Self::RgbText => parts(3).map(|all| hs_of_rgb([all[0] / 255.0, all[1] / 255.0, all[2] / 255.0])),
            Self::HueObject | Self::XyObject | Self::HsObject | Self::RgbObject => {
                let hue = || Some((member("hue")?, member("saturation")?));
                let hs = || Some((member("h")?, member("s")?));
                let xy = || Some(hs_of_xy(member("x")?, member("y")?));
                let rgb = || Some(hs_of_rgb([member("r")? / 255.0, member("g")? / 255.0, member("b")? / 255.0]));
                // A lamp that has x and y alone may say a hue that somebody computed from them.
                let found = if self == Self::XyObject { xy().or_else(hue) } else { hue().or_else(hs) };
                found.or_else(xy).or_else(rgb)
            }
        }
    }

    fn write(self, hue: f64, saturation: f64) -> Value {
        let rounded = |number: f64| (number * 100.0).round() / 100.0;
        let (hue, saturation) = (rounded(hue), rounded(saturation));
        let xy = || {
            let (x, y) = xy_of_hs(hue, saturation);
            ((x * 1e4).round() / 1e4, (y * 1e4).round() / 1e4)
        };
        let rgb = || rgb_of_hs(hue, saturation).map(|part| (part * 255.0).round() as i64);
        match self {
            Self::HueObject => json!({"hue": hue, "saturation": saturation}),
            Self::XyObject => json!({"x": xy().0, "y": xy().1}),
            Self::HsObject => json!({"h": hue, "s": saturation}),
            Self::RgbObject => json!({"r": rgb()[0], "g": rgb()[1], "b": rgb()[2]}),
            Self::HsText => json!(format!("{hue},{saturation}")),
            Self::XyText => json!(format!("{},{}", xy().0, xy().1)),
            Self::RgbText => json!(rgb().map(|part| part.to_string()).join(",")),
        }
    }
}

/// IEC 61966-2-1 and its matrix to CIE 1931, at full brightness.
fn xy_of_hs(hue: f64, saturation: f64) -> (f64, f64) {
    let [r, g, b] = rgb_of_hs(hue, saturation)
        .map(|part| if part > 0.04045 { ((part + 0.055) / 1.055).powf(2.4) } else { part / 12.92 });
    let (x, y, z) = (
        r * 0.4124 + g * 0.3576 + b * 0.1805,
        r * 0.2126 + g * 0.7152 + b * 0.0722,
        r * 0.0193 + g * 0.1192 + b * 0.9505,
    );
    let sum = x + y + z;
    if sum > 0.0 { (x / sum, y / sum) } else { (0.3127, 0.329) }
}

fn hs_of_xy(x: f64, y: f64) -> (f64, f64) {
    let y = y.max(1e-4);
    let (cx, cz) = (x / y, (1.0 - x - y) / y);
    let linear =
        [cx * 3.2406 - 1.5372 - cz * 0.4986, -cx * 0.9689 + 1.8758 + cz * 0.0415, cx * 0.0557 - 0.2040 + cz * 1.0570];
    let most = linear.into_iter().fold(1e-6, f64::max);
    let part = |part: f64| {
        let part = (part / most).max(0.0);
        if part > 0.003_130_8 { 1.055 * part.powf(1.0 / 2.4) - 0.055 } else { part * 12.92 }
    };
    hs_of_rgb(linear.map(part))
}

fn rgb_of_hs(hue: f64, saturation: f64) -> [f64; 3] {
    let saturation = (saturation / 100.0).clamp(0.0, 1.0);
    [5.0, 3.0, 1.0].map(|n: f64| {
        let k = (n + hue / 60.0).rem_euclid(6.0);
        1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

fn hs_of_rgb([r, g, b]: [f64; 3]) -> (f64, f64) {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let spread = most - least;
    if spread <= 1e-9 || most <= 0.0 {
        return (0.0, 0.0);
    }
    let sector = if most == r {
        ((g - b) / spread).rem_euclid(6.0)
    } else if most == g {
        (b - r) / spread + 2.0
    } else {
        (r - g) / spread + 4.0
    };
    (sector * 60.0, spread / most * 100.0)
}

/// A number, or a text that is one.
pub fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// What is said, as text: what a template in Home Assistant would make of it, but for the case of yes and no.
pub fn spoken(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(plain(number)),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{}", float as i64),
        _ => number.to_string(),
    }
}

/// Whether two say the same: `true` and `"True"`, `1` and `"1"`.
pub fn same(one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (spoken(one), spoken(other)) else { return false };
    let is_truth = |text: &str| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
    one == other || (is_truth(&one) && one.eq_ignore_ascii_case(&other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::measure;

    #[test]
    fn every_percentage_survives_the_way_to_a_lamp_and_back() {
        for high in [100.0, 254.0, 255.0, 65_535.0] {
            let scale = Scale::Number(Linear::percent(0.0, high));
            for percent in 0..=100 {
                let native = scale.write(&Data::Int(percent), None).unwrap();
                assert_eq!(scale.read(&native), Some(Data::Int(percent)), "{percent} of {high}");
            }
        }
        let coarse = Linear::percent(0.0, 10.0);
        assert_eq!(coarse.range(None).unwrap().step, 10.0, "it says how coarse it is");
        assert_eq!(Scale::Number(Linear::percent(0.0, 254.0)).read(&json!(255)), Some(Data::Int(100)));
        assert!(Scale::Number(Linear::percent(0.0, 254.0)).write(&Data::Int(120), None).is_err());
    }

    #[test]
    fn a_colour_temperature_comes_back_within_half_a_step() {
        let linear = Linear::mired(150.0, 500.0);
        let range = linear.range(None).unwrap();
        assert_eq!((range.min, range.max), (2000.0, 6667.0));
        for kelvin in 2000..=6667 {
            let native = linear.native(f64::from(kelvin)).unwrap();
            let back = linear.house(native).unwrap();
            assert!((back - f64::from(kelvin)).abs() <= range.step / 2.0, "{kelvin} → {native} → {back}");
        }
        assert_eq!(Scale::Number(linear).read(&json!(0)), None, "a lamp that says nonsense says nothing");
    }

    #[test]
    fn a_colour_comes_back_however_it_is_said() {
        for colour in [
            Colour::HueObject,
            Colour::XyObject,
            Colour::HsObject,
            Colour::RgbObject,
            Colour::HsText,
            Colour::XyText,
            Colour::RgbText,
        ] {
            for hue in (0..360).step_by(5) {
                let write = Scale::Colour(colour, Half::Hue).write(&Data::Int(hue), Some(90.0)).unwrap();
                let read = |half| Scale::Colour(colour, half).read(&write).unwrap().as_int().unwrap();
                let apart = (read(Half::Hue) - hue).rem_euclid(360);
                assert!(apart <= 1 || apart >= 359, "{colour:?} {hue} → {write} → {}", read(Half::Hue));
                assert!((read(Half::Saturation) - 90).abs() <= 1, "{colour:?} {hue} → {write}");
            }
        }
        let both = json!({"hue": 10, "saturation": 50, "x": 0.3, "y": 0.3});
        assert_eq!(Scale::Colour(Colour::HueObject, Half::Hue).read(&both), Some(Data::Int(10)));
        assert_eq!(Scale::Colour(Colour::HsText, Half::Hue).read(&json!("a,b")), None);
    }

    #[test]
    fn yes_and_no_are_words_of_the_device() {
        let contact = Scale::Bool { on: json!(false), off: json!(true) };
        assert_eq!(contact.read(&json!(false)), Some(Data::Bool(true)), "open, because there is no contact");
        assert_eq!(contact.read(&json!("True")), Some(Data::Bool(false)));
        assert_eq!((contact.read(&json!("ON")), contact.read(&Value::Null)), (None, None));
        let lock = Scale::Bool { on: json!("LOCK"), off: json!("UNLOCK") };
        assert_eq!(lock.write(&Data::Bool(true), None), Ok(json!("LOCK")));
        assert!(lock.write(&Data::Int(1), None).is_err());
    }

    #[test]
    fn units_become_those_of_the_house() {
        let fahrenheit = Linear::of(measure("°F"), [Some(40.0), Some(90.0), Some(1.0)]);
        assert_eq!(fahrenheit.house(68.0), Some(20.0));
        assert_eq!(fahrenheit.native(20.0), Some(68.0));
        assert!(!fahrenheit.whole);
        let minutes = Linear::of(measure("min"), [Some(0.0), Some(10.0), Some(1.0)]);
        assert_eq!((minutes.house(2.0), minutes.native(120.0), minutes.native(700.0)), (Some(120.0), Some(2.0), None));
        assert_eq!(minutes.range(Some(1.0)).unwrap(), Range { min: 0.0, max: 600.0, step: 60.0 });
        assert_eq!(Scale::Number(minutes).read(&json!("3")), Some(Data::Int(180)));
        assert_eq!(Scale::Number(minutes).read(&json!("nan")), None);
    }

    #[test]
    fn texts_are_bounded_and_made_safe() {
        let long = "x".repeat(5_000);
        assert_eq!(Scale::Text.read(&json!(long)).unwrap().as_text().unwrap().chars().count(), MAX_TEXT + 1);
        assert_eq!(Scale::Text.read(&json!("a\u{1b}b")), Some(Data::Text("a\u{FFFD}b".into())));
        assert!(Scale::Text.write(&Data::Text(long), None).is_err());
        assert_eq!(Scale::Json.read(&json!({"a": [1]})), Some(Data::Text("{\"a\":[1]}".into())));
        let words = Scale::Choice(vec![(0, json!("off")), (1, json!(5))]);
        assert_eq!((words.read(&json!("5")), words.write(&Data::Int(0), None)), (Some(Data::Int(1)), Ok(json!("off"))));
        assert!(words.write(&Data::Int(7), None).is_err());
    }
}
