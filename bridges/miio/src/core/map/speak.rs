//! Values and orders through a [`Map`]: what a device said as ours, and what is wanted as its own.

use std::collections::BTreeMap;

use accord_model::{CallError, Data, Format, Inputs, Property, Target};
use serde_json::Value;

use super::super::spec::At;
use super::scale::{fit, read};
use super::{Deed, Link, Map, Natives, Place};

/// What is known of a device.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What it said.
    pub natives: Natives,
    /// Which hue and saturation became the colour that it was told: many become the same one.
    pub(super) colours: BTreeMap<At, (i64, i64)>,
}

/// What a device is to be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// These values.
    Set(Vec<(At, Data)>),
    /// An action with its inputs in order.
    Act(At, Vec<(At, Data)>),
}

fn place(target: &Target) -> Place {
    (target.service.clone(), target.instance)
}

impl Map {
    /// What a device answered for a property; `None` for what is no value of it.
    pub fn hear(&self, at: At, value: &Value) -> Option<Data> {
        read(self.spec.property(at)?, value)
    }

    /// What follows from these native values, in our words.
    pub fn say(&self, state: &State, about: impl Fn(At) -> bool) -> Vec<(Target, BTreeMap<String, Data>)> {
        let mut said: BTreeMap<&Place, BTreeMap<String, Data>> = BTreeMap::new();
        for ((place, name), link) in &self.links {
            if !link.ats().into_iter().any(&about) {
                continue;
            }
            let ours = self.property(place, name);
            if let Some(data) = ours.and_then(|ours| as_ours(ours, ours_of(link, state)?)) {
                said.entry(place).or_default().insert(name.clone(), data);
            }
        }
        let target = |(service, instance): &Place| Target { service: service.clone(), instance: *instance };
        said.into_iter().map(|(place, values)| (target(place), values)).collect()
    }

    pub(super) fn property(&self, (service, instance): &Place, name: &str) -> Option<&Property> {
        let found = self.services.iter().find(|one| one.id == *service && one.instance == *instance)?;
        found.properties.iter().find(|one| one.id == name)
    }

    /// What is to be told for a property of ours.
    ///
    /// # Errors
    /// [`CallError::Unsupported`], [`CallError::BadInput`].
    pub fn write(&self, target: &Target, name: &str, data: &Data, state: &mut State) -> Result<Step, CallError> {
        let place = place(target);
        let unsupported =
            || CallError::Unsupported(format!("{} cannot be set", accord_model::text::for_screen(name, 60)));
        let ours = self.property(&place, name).filter(|ours| ours.write).ok_or_else(unsupported)?;
        let data = ours.fit(data.clone()).map_err(|unfit| CallError::BadInput(unfit.to_string()))?;
        let link = self.links.get(&(place, name.to_owned())).ok_or_else(unsupported)?;
        let bad =
            || CallError::BadInput(format!("the device takes no such {}", accord_model::text::for_screen(name, 60)));
        let native = |at: At, data: Option<Data>| {
            let property = self.spec.property(at)?;
            Some((at, fit(property, data?)?))
        };
        let values = match link {
            Link::One { at, scale } => native(*at, scale.native(&data)).map(|one| vec![one]),
            Link::Pair { shall, scale, .. } => native(*shall, scale.native(&data)).map(|one| vec![one]),
            Link::Mode { on, mode, names, off, .. } => {
                let wanted = data.as_int();
                let is_off = wanted == Some(*off);
                let said = |at: &At| state.natives.get(at).and_then(Data::as_bool);
                let switch = on.filter(|on| said(on) != Some(!is_off)).map(|on| (on, Data::Bool(!is_off)));
                let number = names.iter().find(|(_, ours)| Some(*ours) == wanted).map(|(native, _)| *native);
                let chosen = mode.and_then(|mode| native(mode, number.map(Data::Int)));
                let sound = chosen.is_some() || is_off && on.is_some() || mode.is_none();
                let values: Vec<_> = switch.into_iter().chain(chosen).collect();
                // It is so already, and is told all the same.
                let again = || on.iter().map(|on| (*on, Data::Bool(!is_off))).collect();
                sound.then(|| if values.is_empty() { again() } else { values })
            }
            Link::Hue(at) | Link::Saturation(at) => {
                let (hue, saturation) = colour(state, *at).unwrap_or((0, 100));
                let number = data.as_int().unwrap_or_default();
                let (hue, saturation) = match link {
                    Link::Hue(_) => (number, if saturation == 0 { 100 } else { saturation }),
                    _ => (hue, number),
                };
                state.colours.insert(*at, (hue, saturation));
                native(*at, Some(Data::Int(rgb(hue, saturation)))).map(|one| vec![one])
            }
            Link::Stand { .. } => None,
        };
        values.map(Step::Set).ok_or_else(bad)
    }

    /// What is to be told for an action of ours.
    ///
    /// # Errors
    /// [`CallError::Unsupported`], [`CallError::BadInput`], and [`CallError::Unreachable`] when it is not known yet what the
    /// opposite would be.
    pub fn act(&self, target: &Target, name: &str, mut given: Inputs, state: &State) -> Result<Step, CallError> {
        let place = place(target);
        let shown = accord_model::text::for_screen(name, 60);
        let unsupported = || CallError::Unsupported(format!("the device has no `{shown}`"));
        let deed = self.deeds.get(&(place.clone(), name.to_owned())).ok_or_else(unsupported)?;
        let step = match deed {
            Deed::Set(at, data) => Step::Set(vec![(*at, data.clone())]),
            Deed::Invert(at) => match state.natives.get(at).and_then(Data::as_bool) {
                Some(is) => Step::Set(vec![(*at, Data::Bool(!is))]),
                None => return Err(CallError::Unreachable("it has not said yet whether it is on".to_owned())),
            },
            Deed::Act { at, inputs } => {
                let mut values = Vec::new();
                for (input, of) in inputs {
                    let missing = || CallError::BadInput(format!("`{shown}` needs `{input}`"));
                    let data = given.remove(input).ok_or_else(missing)?;
                    let fitting = self.spec.property(*of).and_then(|property| fit(property, data));
                    let wrong = || CallError::BadInput(format!("`{shown}` takes no such `{input}`"));
                    values.push((*of, fitting.ok_or_else(wrong)?));
                }
                Step::Act(*at, values)
            }
        };
        match given.keys().next() {
            None => Ok(step),
            Some(more) => {
                let more = accord_model::text::for_screen(more, 40);
                Err(CallError::BadInput(format!("`{shown}` takes no `{more}`")))
            }
        }
    }

    /// Which native properties say whether something was done.
    pub fn told_by(&self, target: &Target, name: &str) -> Vec<At> {
        let link = self.links.get(&(place(target), name.to_owned()));
        link.map(Link::ats).unwrap_or_default()
    }

    /// What the first of ours is called that a native property says, with its service: `light.level`.
    pub fn name_of(&self, at: At) -> Option<String> {
        let ((place, name), _) = self.links.iter().find(|(_, link)| link.ats().contains(&at))?;
        Some(format!("{}.{name}", place.0))
    }

    /// All native properties of a service.
    pub fn behind(&self, target: &Target) -> Vec<At> {
        let place = place(target);
        let of_place = self.links.iter().filter(|((of, _), _)| *of == place);
        let mut all: Vec<At> = of_place.flat_map(|(_, link)| link.ats()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A number as the property holds it.
fn as_ours(ours: &Property, data: Data) -> Option<Data> {
    Some(match (ours.format, data) {
        (Format::Int, Data::Float(number)) => Data::Int(number.round() as i64),
        (Format::Float, Data::Int(number)) => Data::Float(number as f64),
        (Format::Enum, Data::Int(number)) => {
            return ours.values.iter().any(|(one, _)| *one == number).then_some(Data::Int(number));
        }
        (_, data) => data,
    })
}

fn ours_of(link: &Link, state: &State) -> Option<Data> {
    let said = |at: &At| state.natives.get(at);
    match link {
        Link::One { at, scale } | Link::Pair { is: at, scale, .. } => scale.ours(said(at)?),
        Link::Mode { on, mode, names, off, alone } => {
            if let Some(on) = on
                && !said(on)?.as_bool()?
            {
                return Some(Data::Int(*off));
            }
            match mode {
                None => alone.map(Data::Int),
                Some(mode) => {
                    let native = said(mode)?.as_int()?;
                    names.iter().find(|(one, _)| *one == native).map(|(_, ours)| Data::Int(*ours))
                }
            }
        }
        Link::Hue(at) => colour(state, *at).map(|(hue, _)| Data::Int(hue)),
        Link::Saturation(at) => colour(state, *at).map(|(_, saturation)| Data::Int(saturation)),
        Link::Stand { status, names, position, rests: rests @ [closed, open, _] } => {
            let moves = status.as_ref().and_then(said).and_then(Data::as_int);
            let word = moves.and_then(|native| names.iter().find(|(one, _)| *one == native)).map(|(_, ours)| *ours);
            let place = position.as_ref().and_then(said).and_then(Data::as_number);
            // What stands still is open or closed by where it stands.
            match place.filter(|_| word.is_none_or(|word| rests.contains(&word))) {
                Some(place) if place <= 0.0 => Some(*closed),
                Some(place) if place >= 100.0 || word.is_none() => Some(*open),
                _ => word,
            }
            .map(Data::Int)
        }
    }
}

/// Hue and saturation that a colour has: those that it was made of here, or by the numbers.
fn colour(state: &State, at: At) -> Option<(i64, i64)> {
    let native = state.natives.get(&at)?.as_int()?;
    if let Some((hue, saturation)) = state.colours.get(&at)
        && rgb(*hue, *saturation) == native
    {
        return Some((*hue, *saturation));
    }
    let parts = [native >> 16 & 255, native >> 8 & 255, native & 255].map(|part| part as f64);
    let [red, green, blue] = parts;
    let (max, min) = (red.max(green).max(blue), red.min(green).min(blue));
    let span = max - min;
    let sixth = match () {
        () if span == 0.0 => 0.0,
        () if max == red => (green - blue) / span,
        () if max == green => (blue - red) / span + 2.0,
        () => (red - green) / span + 4.0,
    };
    let hue = (sixth * 60.0).round() as i64;
    let saturation = if max == 0.0 { 0.0 } else { 100.0 * span / max };
    Some((hue.rem_euclid(360), saturation.round() as i64))
}

/// The colour of a hue and a saturation, as bright as it can be.
fn rgb(hue: i64, saturation: i64) -> i64 {
    let (hue, saturation) = (hue.rem_euclid(360) as f64 / 60.0, saturation.clamp(0, 100) as f64 / 100.0);
    let part = |n: f64| {
        let k = (n + hue) % 6.0;
        let share = 1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0);
        (share * 255.0).round() as i64
    };
    part(5.0) << 16 | part(3.0) << 8 | part(1.0)
}
