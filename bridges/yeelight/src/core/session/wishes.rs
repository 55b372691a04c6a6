//! Wishes as commands.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{Command, Wanted};
use crate::core::quota::Sort;
use crate::core::state::{Part, Prop, State};

/// How long a lamp takes to get there, in milliseconds; at least 30.
const SMOOTHLY: u64 = 300;
/// Modes of `set_power`: as it was, moonlight, daylight.
const NIGHT: u64 = 5;
const DAY: u64 = 1;

impl Wanted {
    pub(super) fn sort(self) -> Sort {
        match self {
            Self::Level(..) | Self::Temperature(..) | Self::Hue(..) | Self::Saturation(..) => Sort::Drawn,
            _ => Sort::Pressing,
        }
    }

    /// Whether this one makes an earlier one needless that was not begun.
    pub(super) fn replaces(self, earlier: Self) -> bool {
        let part = |wanted| match wanted {
            Self::On(part, _)
            | Self::Level(part, _)
            | Self::Temperature(part, _)
            | Self::Hue(part, _)
            | Self::Saturation(part, _) => Some(part),
            _ => None,
        };
        if part(self).is_none() || part(self) != part(earlier) {
            return self == Self::Look && earlier == Self::Look;
        }
        let same = std::mem::discriminant(&self) == std::mem::discriminant(&earlier);
        // What is drawn to and fro does not light it again.
        same || (matches!(self, Self::On(_, false)) && earlier.sort() == Sort::Drawn)
    }
}

/// Hue and saturation that were wanted last, as long as the lamp has not said others.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Aim {
    pub color: [Option<(i64, i64)>; 2],
}

/// What is sent for a wish, and what will be said once it is so.
pub(super) fn commands(wanted: Wanted, state: &State, aim: &mut Aim) -> (VecDeque<Command>, Vec<Prop>) {
    let of = |part: Part, main: &str, params: Vec<Value>| Command { method: part.method(main), params };
    let smooth = |first: Vec<Value>| [first, vec!["smooth".into(), SMOOTHLY.into()]].concat();
    // Most of it is refused by a lamp that is off (specification, 4.1).
    let lit = |part: Part, command: Command| {
        let on = of(part, "set_power", smooth(vec!["on".into()]));
        let off = state.is_on(part) == Some(false);
        off.then_some(on).into_iter().chain([command]).collect::<VecDeque<_>>()
    };
    let mut color = |part: Part, hue: Option<i64>, saturation: Option<i64>| {
        let known = aim.color[usize::from(part.instance())].or(state.color(part)).unwrap_or((0, 100));
        let to = (hue.unwrap_or(known.0), saturation.unwrap_or(known.1));
        aim.color[usize::from(part.instance())] = Some(to);
        lit(part, of(part, "set_hsv", smooth(vec![to.0.into(), to.1.into()])))
    };
    let color_said = |part: Part, prop: Prop| match part {
        Part::Main => vec![prop],
        Part::Ambient => vec![if prop == Prop::Hue { Prop::BgHue } else { Prop::BgSat }],
    };
    match wanted {
        Wanted::Look => {
            let words = Prop::ALL.iter().map(|prop| Value::from(prop.word())).collect();
            ([Command { method: "get_prop".to_owned(), params: words }].into(), Vec::new())
        }
        Wanted::On(part, on) => {
            let word = if on { "on" } else { "off" };
            ([of(part, "set_power", smooth(vec![word.into()]))].into(), vec![state.power_of(part)])
        }
        Wanted::Toggle(part) => ([of(part, "toggle", vec![])].into(), vec![state.power_of(part)]),
        Wanted::Level(part, percent) => {
            (lit(part, of(part, "set_bright", smooth(vec![percent.into()]))), vec![state.level_of(part)])
        }
        Wanted::Temperature(part, kelvin) => {
            let prop = if part == Part::Main { Prop::Ct } else { Prop::BgCt };
            (lit(part, of(part, "set_ct_abx", smooth(vec![kelvin.into()]))), vec![prop])
        }
        Wanted::Hue(part, hue) => (color(part, Some(hue.into()), None), color_said(part, Prop::Hue)),
        Wanted::Saturation(part, percent) => (color(part, None, Some(percent.into())), color_said(part, Prop::Sat)),
        Wanted::SleepTimer(0) => ([of(Part::Main, "cron_del", vec![0.into()])].into(), vec![Prop::DelayOff]),
        Wanted::SleepTimer(minutes) => {
            let timer = of(Part::Main, "cron_add", vec![0.into(), minutes.into()]);
            (lit(Part::Main, timer), vec![Prop::DelayOff])
        }
        Wanted::Moonlight(night) => {
            let mode = if night { NIGHT } else { DAY };
            let params = vec!["on".into(), "smooth".into(), SMOOTHLY.into(), json!(mode)];
            ([of(Part::Main, "set_power", params)].into(), vec![Prop::ActiveMode])
        }
        Wanted::StopFlow(part) => {
            let prop = if part == Part::Main { Prop::Flowing } else { Prop::BgFlowing };
            ([of(part, "stop_cf", vec![])].into(), vec![prop])
        }
        Wanted::SetDefault => ([of(Part::Main, "set_default", vec![])].into(), Vec::new()),
    }
}
