//! The house's calls as wishes.

use accord_model::{CallError, Data, Target};

use super::face::LONGEST_TIMER;
use crate::core::session::Wanted;
use crate::core::state::{Abilities, Light, Part};

pub(crate) fn unsupported() -> CallError {
    CallError::Unsupported("this lamp cannot do that".to_owned())
}

fn part(target: &Target, abilities: &Abilities) -> Result<(Part, Light), CallError> {
    let part = Part::BOTH.into_iter().find(|part| part.instance() == target.instance).ok_or_else(unsupported)?;
    Ok((part, abilities.of_part(part).cloned().ok_or_else(unsupported)?))
}

pub(crate) fn act(abilities: &Abilities, target: &Target, action: &str) -> Result<Wanted, CallError> {
    if target.service == "light" {
        let (part, light) = part(target, abilities)?;
        return if action == "toggle" && light.toggle { Ok(Wanted::Toggle(part)) } else { Err(unsupported()) };
    }
    let flows = |part: Part| abilities.of_part(part).is_some_and(|light| light.flow);
    match (target.service.as_str(), action) {
        ("more", "stop-flow") if flows(Part::Main) => Ok(Wanted::StopFlow(Part::Main)),
        ("more", "stop-ambient-flow") if flows(Part::Ambient) => Ok(Wanted::StopFlow(Part::Ambient)),
        ("more", "set-default") if abilities.set_default => Ok(Wanted::SetDefault),
        _ => Err(unsupported()),
    }
}

pub(crate) fn write(abilities: &Abilities, target: &Target, property: &str, data: &Data) -> Result<Wanted, CallError> {
    let truth = || data.as_bool().ok_or_else(|| CallError::BadInput("yes or no is wanted".to_owned()));
    let number = |least: u16, most: u16| match data.as_number().map(f64::round) {
        Some(number) if (f64::from(least)..=f64::from(most)).contains(&number) => Ok(number as u16),
        _ => Err(CallError::BadInput(format!("a number from {least} to {most} is wanted"))),
    };
    if target.service == "light" {
        let (part, light) = part(target, abilities)?;
        return match (property, light.temperature) {
            ("on", _) => Ok(Wanted::On(part, truth()?)),
            ("level", _) if light.bright => Ok(Wanted::Level(part, number(1, 100)? as u8)),
            ("color-temperature", Some((low, high))) => Ok(Wanted::Temperature(part, number(low, high)?)),
            ("hue", _) if light.color => Ok(Wanted::Hue(part, number(0, 360)? % 360)),
            ("saturation", _) if light.color => Ok(Wanted::Saturation(part, number(0, 100)? as u8)),
            _ => Err(unsupported()),
        };
    }
    match (target.service.as_str(), property) {
        ("more", "moonlight") if abilities.moonlight => Ok(Wanted::Moonlight(truth()?)),
        ("more", "sleep-timer") if abilities.sleep_timer => {
            Ok(Wanted::SleepTimer((f64::from(number(0, LONGEST_TIMER * 60)?) / 60.0).round() as u16))
        }
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::state::State;

    #[test]
    fn what_a_lamp_cannot_do_is_refused_before_it_is_told() {
        let support = "set_power toggle set_bright set_ct_abx cron_add bg_set_power bg_set_hsv";
        let abilities = Abilities::of("ceiling4", support, &State::default());
        let main = Target::new("light");
        let ambient = Target { instance: 1, ..main.clone() };
        let more = Target::new("more");
        let wanted = |target: &Target, property: &str, data: Data| write(&abilities, target, property, &data);
        assert_eq!(wanted(&main, "level", Data::Float(29.6)), Ok(Wanted::Level(Part::Main, 30)));
        assert_eq!(wanted(&main, "color-temperature", Data::Int(2700)), Ok(Wanted::Temperature(Part::Main, 2700)));
        assert_eq!(wanted(&ambient, "hue", Data::Int(360)), Ok(Wanted::Hue(Part::Ambient, 0)));
        assert_eq!(wanted(&more, "sleep-timer", Data::Int(890)), Ok(Wanted::SleepTimer(15)));
        assert_eq!(act(&abilities, &main, "toggle"), Ok(Wanted::Toggle(Part::Main)));
        for (target, property, data) in [
            (&main, "level", Data::Int(0)),
            (&main, "level", Data::Float(f64::NAN)),
            (&main, "level", Data::from("30")),
            (&main, "color-temperature", Data::Int(1700)),
            (&main, "on", Data::Int(1)),
            (&more, "sleep-timer", Data::Int(-60)),
        ] {
            assert!(
                matches!(wanted(target, property, data.clone()), Err(CallError::BadInput(_))),
                "{property} {data:?}"
            );
        }
        for (target, property) in
            [(&main, "hue"), (&ambient, "level"), (&more, "moonlight"), (&Target::new("media"), "volume")]
        {
            assert!(matches!(wanted(target, property, Data::Int(5)), Err(CallError::Unsupported(_))), "{property}");
        }
        assert!(act(&abilities, &ambient, "toggle").is_err());
        assert!(act(&abilities, &more, "set-default").is_err());
        assert!(act(&abilities, &Target { instance: 9, ..main }, "toggle").is_err());
    }
}
