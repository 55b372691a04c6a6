//! What a lamp can do and says of itself (specification, section 4.3), and that in the words of the house.

use std::collections::BTreeMap;

use accord_model::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! props {
    ($($name:ident = $word:literal, $range:expr;)*) => {
        /// What lamps tell that is understood here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Prop { $($name),* }
        impl Prop {
            /// All of them, in the order in which they are asked for.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The lamp's word.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
            fn range(self) -> std::ops::RangeInclusive<i64> {
                match self { $(Self::$name => $range),* }
            }
        }
    };
}
props! {
    Power = "power", 0..=1;
    MainPower = "main_power", 0..=1;
    Bright = "bright", 1..=100;
    Ct = "ct", 1000..=10_000;
    Rgb = "rgb", 0..=0xff_ffff;
    Hue = "hue", 0..=359;
    Sat = "sat", 0..=100;
    ColorMode = "color_mode", 1..=3;
    Flowing = "flowing", 0..=1;
    DelayOff = "delayoff", 0..=1440;
    MusicOn = "music_on", 0..=1;
    ActiveMode = "active_mode", 0..=1;
    NightBright = "nl_br", 1..=100;
    BgPower = "bg_power", 0..=1;
    BgBright = "bg_bright", 1..=100;
    BgCt = "bg_ct", 1000..=10_000;
    BgRgb = "bg_rgb", 0..=0xff_ffff;
    BgHue = "bg_hue", 0..=359;
    BgSat = "bg_sat", 0..=100;
    BgMode = "bg_lmode", 1..=3;
    BgFlowing = "bg_flowing", 0..=1;
}

/// Which of a lamp's lights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The only one of most lamps.
    Main,
    /// The second one of some ceiling lamps, which lights the ceiling.
    Ambient,
}

impl Part {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Main, Self::Ambient];
    /// As instance of the service `light`.
    pub fn instance(self) -> u16 {
        match self {
            Self::Main => 0,
            Self::Ambient => 1,
        }
    }
    /// A method for it.
    pub fn method(self, main: &str) -> String {
        match self {
            Self::Main => main.to_owned(),
            Self::Ambient => format!("bg_{main}"),
        }
    }
    fn of(self, main: Prop) -> Prop {
        match (self, main) {
            (Self::Main, prop) => prop,
            (Self::Ambient, Prop::Power) => Prop::BgPower,
            (Self::Ambient, Prop::Bright) => Prop::BgBright,
            (Self::Ambient, Prop::Ct) => Prop::BgCt,
            (Self::Ambient, Prop::Rgb) => Prop::BgRgb,
            (Self::Ambient, Prop::Hue) => Prop::BgHue,
            (Self::Ambient, Prop::Sat) => Prop::BgSat,
            (Self::Ambient, Prop::ColorMode) => Prop::BgMode,
            (Self::Ambient, Prop::Flowing) => Prop::BgFlowing,
            (Self::Ambient, prop) => prop,
        }
    }
}

/// How it is lit, as far as it said. What it says beyond its ranges is not taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<Prop, i64>);

impl State {
    /// Takes a word and its value as text; which one that is, if it is one.
    pub fn take(&mut self, word: &str, value: &str) -> Option<Prop> {
        let prop = Prop::ALL.iter().copied().find(|prop| prop.word() == word)?;
        let number = match (prop, value) {
            (Prop::Power | Prop::MainPower | Prop::BgPower, "on") => 1,
            (Prop::Power | Prop::MainPower | Prop::BgPower, "off") => 0,
            _ => value.parse().ok()?,
        };
        if !prop.range().contains(&number) {
            return None;
        }
        self.0.insert(prop, number);
        Some(prop)
    }

    /// The same from JSON: values are texts, and numbers in some firmwares.
    pub fn take_json(&mut self, word: &str, value: &Value) -> Option<Prop> {
        match value {
            Value::String(text) => self.take(word, text),
            Value::Number(number) => self.take(word, &number.to_string()),
            _ => None,
        }
    }

    /// What it said of one thing.
    pub fn get(&self, prop: Prop) -> Option<i64> {
        self.0.get(&prop).copied()
    }

    /// Whether a light is on.
    pub fn is_on(&self, part: Part) -> Option<bool> {
        self.get(self.power_of(part)).map(|on| on == 1)
    }

    /// Where that is said: `power` of a lamp with two lights is on when either is.
    pub fn power_of(&self, part: Part) -> Prop {
        match part {
            Part::Main if self.0.contains_key(&Prop::MainPower) => Prop::MainPower,
            part => part.of(Prop::Power),
        }
    }

    /// Whether the moonlight is on, in lamps that have one.
    pub fn is_night(&self) -> Option<bool> {
        self.get(Prop::ActiveMode).map(|mode| mode == 1)
    }

    /// Where its brightness is said.
    pub fn level_of(&self, part: Part) -> Prop {
        match part {
            Part::Main if self.is_night() == Some(true) && self.0.contains_key(&Prop::NightBright) => Prop::NightBright,
            part => part.of(Prop::Bright),
        }
    }

    /// Hue and saturation, when it is lit in a colour: chosen as such, or computed from red, green and blue.
    pub fn color(&self, part: Part) -> Option<(i64, i64)> {
        match self.get(part.of(Prop::ColorMode))? {
            1 => self.get(part.of(Prop::Rgb)).map(hue_and_saturation),
            3 => Some((self.get(part.of(Prop::Hue))?, self.get(part.of(Prop::Sat))?)),
            _ => None,
        }
    }

    /// What that is in the words of the house, as far as it depends on what was `touched`; all of it when nothing is named.
    pub fn said(&self, abilities: &Abilities, touched: &[Prop]) -> Vec<Said> {
        let mut said = Vec::new();
        let is_touched = |props: &[Prop]| touched.is_empty() || props.iter().any(|prop| touched.contains(prop));
        for part in Part::BOTH {
            let Some(light) = abilities.of_part(part) else { continue };
            let mut say = |props: &[Prop], property, data: Option<Data>| {
                if let Some(data) = data.filter(|_| is_touched(props)) {
                    said.push(Said { service: "light", instance: part.instance(), property, data });
                }
            };
            say(&[self.power_of(part)], "on", self.is_on(part).map(Data::Bool));
            if light.bright {
                let level = self.level_of(part);
                say(&[level, Prop::ActiveMode], "level", self.get(level).map(Data::Int));
            }
            let mode = part.of(Prop::ColorMode);
            let is_white = self.get(mode).is_none_or(|mode| mode == 2);
            if light.temperature.is_some() && is_white {
                say(&[part.of(Prop::Ct), mode], "color-temperature", self.get(part.of(Prop::Ct)).map(Data::Int));
            }
            if light.color {
                let color = self.color(part);
                let from = [Prop::Hue, Prop::Sat, Prop::Rgb, Prop::ColorMode].map(|prop| part.of(prop));
                say(&from, "hue", color.map(|(hue, _)| Data::Int(hue)));
                say(&from, "saturation", color.map(|(_, saturation)| Data::Int(saturation)));
                say(&[mode], "color-mode", self.get(mode).map(|mode| Data::Int(i64::from(mode != 2))));
            }
        }
        let mut say = |prop: Prop, property, data: fn(i64) -> Data| {
            if let Some(number) = self.get(prop).filter(|_| is_touched(&[prop])) {
                said.push(Said { service: "more", instance: 0, property, data: data(number) });
            }
        };
        let truth = |number| Data::Bool(number == 1);
        if abilities.sleep_timer {
            say(Prop::DelayOff, "sleep-timer", |minutes| Data::Int(minutes * 60));
        }
        if abilities.moonlight {
            say(Prop::ActiveMode, "moonlight", truth);
        }
        if abilities.main.flow {
            say(Prop::Flowing, "flowing", truth);
        }
        if abilities.ambient.as_ref().is_some_and(|light| light.flow) {
            say(Prop::BgFlowing, "ambient-flowing", truth);
        }
        if abilities.music {
            say(Prop::MusicOn, "music", truth);
        }
        said
    }
}

/// A value in the words of the house.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Of which service.
    pub service: &'static str,
    /// Which one of several alike.
    pub instance: u16,
    /// Which property.
    pub property: &'static str,
    /// In the property's unit.
    pub data: Data,
}

/// What one light can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Light {
    /// It can be switched over.
    pub toggle: bool,
    /// It is brighter and darker.
    pub bright: bool,
    /// White between these, in kelvin.
    pub temperature: Option<(u16, u16)>,
    /// In colours.
    pub color: bool,
    /// It runs flows of colours.
    pub flow: bool,
}

/// What a lamp can do, by the methods that it says it supports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// The light.
    pub main: Light,
    /// The second one.
    pub ambient: Option<Light>,
    /// It goes out by itself after a time.
    pub sleep_timer: bool,
    /// It has a moonlight.
    pub moonlight: bool,
    /// It keeps how it is lit for when it gets power again.
    pub set_default: bool,
    /// Programs can play on it.
    pub music: bool,
}

impl Abilities {
    /// By model, list of methods, and what it says of its state.
    pub fn of(model: &str, support: &str, state: &State) -> Self {
        // A list without end costs its own length only: it came in one datagram.
        let can = |method: &str| support.split_ascii_whitespace().any(|one| one == method);
        let light = |part: Part| {
            let can = |method: &str| can(&part.method(method));
            Light {
                toggle: can("toggle"),
                bright: can("set_bright"),
                temperature: can("set_ct_abx").then(|| temperatures(model, part, state)),
                color: can("set_hsv"),
                flow: can("stop_cf"),
            }
        };
        Self {
            main: light(Part::Main),
            ambient: can("bg_set_power").then(|| light(Part::Ambient)),
            sleep_timer: can("cron_add"),
            moonlight: state.is_night().is_some(),
            set_default: can("set_default"),
            music: can("set_music"),
        }
    }

    /// Of one light, if it is there.
    pub fn of_part(&self, part: Part) -> Option<&Light> {
        match part {
            Part::Main => Some(&self.main),
            Part::Ambient => self.ambient.as_ref(),
        }
    }
}

/// The range of white in kelvin. Lamps do not tell it: makers' data sheets do. What a lamp says that it is lit in is in it.
fn temperatures(model: &str, part: Part, state: &State) -> (u16, u16) {
    let begins = |words: &[&str]| words.iter().any(|word| model.starts_with(word));
    let (low, high) = match part {
        Part::Ambient => (1700, 6500),
        Part::Main => match model {
            "ceiling5" => (2700, 5700),
            "ceiling17" => (3000, 5700),
            "ceild" => (3000, 6500),
            "lamp1" => (2700, 5000),
            "lamp4" => (2600, 5000),
            "lamp3" => (4000, 4000),
            "colorc" | "strip2" | "strip4" | "strip6" => (2700, 6500),
            _ if begins(&["ceil", "ct", "lamp"]) => (2700, 6500),
            _ if begins(&["mono"]) => (2700, 2700),
            // The specification's own.
            _ => (1700, 6500),
        },
    };
    let now = state.get(part.of(Prop::Ct)).and_then(|ct| u16::try_from(ct).ok());
    now.map_or((low, high), |now| (low.min(now), high.max(now)))
}

/// Of a colour as red, green and blue.
fn hue_and_saturation(rgb: i64) -> (i64, i64) {
    let part = |shift: u32| ((rgb >> shift) & 0xff) as f64;
    let (red, green, blue) = (part(16), part(8), part(0));
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let span = most - least;
    if span == 0.0 {
        return (0, 0);
    }
    let sextant = if most == red {
        ((green - blue) / span).rem_euclid(6.0)
    } else if most == green {
        (blue - red) / span + 2.0
    } else {
        (red - green) / span + 4.0
    };
    ((sextant * 60.0).round() as i64 % 360, (span / most * 100.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::advert::tests::COLOR;

    fn state(words: &[(&str, &str)]) -> State {
        let mut state = State::default();
        for (word, value) in words {
            state.take(word, value);
        }
        state
    }

    fn shown(state: &State, abilities: &Abilities) -> BTreeMap<String, Data> {
        let key = |said: &Said| format!("{}{}.{}", said.service, said.instance, said.property);
        state.said(abilities, &[]).into_iter().map(|said| (key(&said), said.data)).collect()
    }

    #[test]
    fn what_a_lamp_says_is_shown_as_it_is_lit() {
        let mut lamp = state(&[
            ("power", "on"),
            ("bright", "30"),
            ("ct", "4000"),
            ("hue", "100"),
            ("sat", "35"),
            ("color_mode", "2"),
        ]);
        let abilities = Abilities::of("color", COLOR, &lamp);
        let white = shown(&lamp, &abilities);
        assert_eq!(white["light0.on"], Data::Bool(true));
        assert_eq!((&white["light0.level"], &white["light0.color-temperature"]), (&Data::Int(30), &Data::Int(4000)));
        assert_eq!(white["light0.color-mode"], Data::Int(0));
        assert!(!white.contains_key("light0.hue"), "the colour of before is not what it is lit in");
        lamp.take("color_mode", "3");
        let color = shown(&lamp, &abilities);
        assert_eq!((&color["light0.hue"], &color["light0.saturation"]), (&Data::Int(100), &Data::Int(35)));
        assert!(!color.contains_key("light0.color-temperature"));
        lamp.take("color_mode", "1");
        for (rgb, hue, saturation) in [
            (0xff0000, 0, 100),
            (0x00ff00, 120, 100),
            (0x0000ff, 240, 100),
            (0xff00ff, 300, 100),
            (0x808080, 0, 0),
            (0xff8080, 0, 50),
        ] {
            lamp.take("rgb", &rgb.to_string());
            assert_eq!(lamp.color(Part::Main), Some((hue, saturation)), "{rgb:06x}");
        }
        let told = lamp.said(&abilities, &[Prop::Power]);
        assert_eq!(told.len(), 1, "only what is new: {told:?}");
        assert_eq!(shown(&State::default(), &abilities), BTreeMap::new(), "nothing said is not off");
    }

    #[test]
    fn a_ceiling_lamp_has_two_lights_and_a_moonlight() {
        let words = [
            ("power", "on"),
            ("main_power", "off"),
            ("bg_power", "on"),
            ("bg_bright", "7"),
            ("bg_lmode", "3"),
            ("bg_hue", "9"),
            ("bg_sat", "8"),
            ("active_mode", "1"),
            ("nl_br", "4"),
            ("bright", "90"),
            ("delayoff", "15"),
        ];
        let lamp = state(&words);
        let support = format!("{COLOR} bg_set_power bg_set_hsv bg_set_bright bg_set_ct_abx bg_toggle");
        let abilities = Abilities::of("ceiling4", &support.replace("set_hsv set_adjust", "set_adjust"), &lamp);
        assert_eq!((abilities.main.temperature, abilities.main.color), (Some((2700, 6500)), false));
        let shown = shown(&lamp, &abilities);
        assert_eq!((&shown["light0.on"], &shown["light1.on"]), (&Data::Bool(false), &Data::Bool(true)));
        assert_eq!((&shown["light0.level"], &shown["light1.level"]), (&Data::Int(4), &Data::Int(7)));
        assert_eq!((&shown["light1.hue"], &shown["more0.moonlight"]), (&Data::Int(9), &Data::Bool(true)));
        assert_eq!(shown["more0.sleep-timer"], Data::Int(900));
    }

    #[test]
    fn what_is_beyond_every_range_is_not_taken() {
        let mut lamp = State::default();
        for (word, value) in [
            ("bright", "0"),
            ("bright", "101"),
            ("hue", "-1"),
            ("rgb", "99999999999999999999"),
            ("power", "maybe"),
            ("ct", ""),
            ("explode", "1"),
            ("color_mode", "0"),
        ] {
            assert_eq!(lamp.take(word, value), None, "{word} {value}");
        }
        assert_eq!(lamp, State::default());
        assert_eq!(lamp.take_json("bright", &serde_json::json!(55)), Some(Prop::Bright), "numbers are numbers too");
        assert_eq!(lamp.take_json("bright", &serde_json::json!([1])), None);
        let odd = state(&[("ct", "7000")]);
        assert_eq!(Abilities::of("mono", "set_power set_ct_abx", &odd).main.temperature, Some((2700, 7000)));
        assert_eq!(Abilities::of("lamp1", "set_ct_abx", &lamp).main.temperature, Some((2700, 5000)));
        assert_eq!(Abilities::of("new-thing", "set_power", &lamp).main, Light::default());
    }
}
