//! The owner's rules: what goes where, and what is shown here. They only ever take away from what was agreed to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use accord_model::{DeviceId, Timestamp};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const MAX_APPS: usize = 500;
const MAX_DEVICES: usize = 200;
const MAX_NAME: usize = 200;

/// How much of a notification. The least of all that applies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing.
    Off,
    /// That the app notifies, not what it says.
    Hidden,
    /// All of it.
    #[default]
    Full,
}

/// Everything the owner set. The default lets through whatever was agreed to, but for one-time codes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Nothing is sent and nothing pops up until then.
    pub paused_until: Option<Timestamp>,
    /// The same every day at these hours.
    pub quiet: Option<Quiet>,
    /// No content is sent to any device, nor shown in any popup here.
    pub hide_content: bool,
    /// By the app's name, whatever its case.
    pub apps: BTreeMap<String, AppRule>,
    /// By device.
    pub devices: BTreeMap<DeviceId, DeviceRule>,
}

/// For one app, on every device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppRule {
    /// Of this computer's app to devices.
    pub send: Level,
    /// Of a device's app here.
    pub show: Level,
}

/// For one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceRule {
    /// This computer's notifications to it.
    pub send: Level,
    /// Its notifications here.
    pub show: Level,
    /// Whether it may dismiss, answer and act on what was sent to it.
    pub answers: bool,
    /// Whether one-time codes may be sent to it.
    pub codes: bool,
    /// Hours at which nothing is sent to it.
    pub quiet: Option<Quiet>,
    /// Of these apps to it, whatever their case.
    pub apps: BTreeMap<String, Level>,
}

impl Default for DeviceRule {
    fn default() -> Self {
        Self { send: Level::Full, show: Level::Full, answers: true, codes: false, quiet: None, apps: BTreeMap::new() }
    }
}

/// Hours of every day, by this computer's clock; over midnight when `from` is later than `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// From this time on.
    pub from: Clock,
    /// Until before this time. The same as `from`: all day.
    pub to: Clock,
    /// What an app calls urgent comes through.
    #[serde(default)]
    pub except_urgent: bool,
}

/// A time of day, as `22:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Clock(Time);

/// When something is judged.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The instant.
    pub now: Timestamp,
    /// What the clock on the wall says.
    pub clock: Time,
}

impl Moment {
    /// Now, by this computer's clock.
    pub fn now() -> Self {
        let now = Timestamp::now();
        Self { now, clock: TimeZone::system().to_datetime(now).time() }
    }
}

/// How a device's notification is shown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Showing {
    /// How much of it.
    pub level: Level,
    /// Whether it pops up; it is listed in any case, unless the level is off.
    pub popup: bool,
}

impl Rules {
    /// How much of a notification of `app` goes to `device`.
    pub fn sends(&self, device: &DeviceId, app: &str, urgent: bool, at: Moment) -> Level {
        let rule = self.device(device);
        let quiet = self.quiet.into_iter().chain(rule.quiet).any(|quiet| quiet.holds(at.clock, urgent));
        if self.is_paused(at) || quiet {
            return Level::Off;
        }
        let of_app = self.app(app).send;
        let there = find(&rule.apps, app).copied().unwrap_or_default();
        self.everywhere().min(of_app).min(rule.send).min(there)
    }

    /// How a notification of `app` of `device` is shown here.
    pub fn shows(&self, device: &DeviceId, app: &str, urgent: bool, at: Moment) -> Showing {
        let level = self.everywhere().min(self.app(app).show).min(self.device(device).show);
        let quiet = self.quiet.is_some_and(|quiet| quiet.holds(at.clock, urgent));
        Showing { level, popup: level != Level::Off && !quiet && !self.is_paused(at) }
    }

    /// What is set for a device.
    pub fn device(&self, device: &DeviceId) -> DeviceRule {
        self.devices.get(device).cloned().unwrap_or_default()
    }

    /// Whether these rules can be kept.
    ///
    /// # Errors
    /// What is wrong, for the owner.
    pub fn check(&self) -> Result<(), String> {
        let apps = self.apps.keys().chain(self.devices.values().flat_map(|rule| rule.apps.keys()));
        let of_devices = self.devices.values().map(|rule| rule.apps.len());
        if self.devices.len() > MAX_DEVICES || of_devices.chain([self.apps.len()]).any(|count| count > MAX_APPS) {
            return Err(format!("rules are for at most {MAX_DEVICES} devices and {MAX_APPS} apps"));
        }
        let is_bad = |name: &&String| {
            name.trim().is_empty() || name.len() > MAX_NAME || name.chars().any(accord_model::text::is_unsafe)
        };
        match apps.into_iter().find(is_bad) {
            Some(_) => Err(format!("an app's name has 1 to {MAX_NAME} bytes and no control characters")),
            None => Ok(()),
        }
    }

    fn everywhere(&self) -> Level {
        if self.hide_content { Level::Hidden } else { Level::Full }
    }

    fn is_paused(&self, at: Moment) -> bool {
        self.paused_until.is_some_and(|until| at.now < until)
    }

    fn app(&self, app: &str) -> AppRule {
        find(&self.apps, app).copied().unwrap_or_default()
    }
}

fn find<'a, T>(apps: &'a BTreeMap<String, T>, app: &str) -> Option<&'a T> {
    let wanted = app.trim().to_lowercase();
    apps.iter().find(|(name, _)| name.trim().to_lowercase() == wanted).map(|(_, rule)| rule)
}

impl Quiet {
    fn holds(self, clock: Time, urgent: bool) -> bool {
        let (from, to) = (self.from.0, self.to.0);
        let within = if from < to { from <= clock && clock < to } else { from <= clock || clock < to };
        within && !(urgent && self.except_urgent)
    }
}

impl FromStr for Clock {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').filter(|(hour, minute)| hour.len() <= 2 && minute.len() == 2);
        let numbers = parts.and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)));
        let time = numbers.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
        time.map(Self).ok_or_else(|| "a time of day looks like 22:30".to_owned())
    }
}

impl TryFrom<String> for Clock {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Clock> for String {
    fn from(clock: Clock) -> Self {
        clock.to_string()
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> Moment {
        Moment { now: Timestamp::UNIX_EPOCH, clock: clock.parse::<Clock>().unwrap().0 }
    }
    fn phone() -> DeviceId {
        DeviceId::new("phone").unwrap()
    }
    fn quiet(from: &str, to: &str) -> Option<Quiet> {
        Some(Quiet { from: from.parse().unwrap(), to: to.parse().unwrap(), except_urgent: true })
    }

    #[test]
    fn the_least_of_all_rules_counts() {
        let mut rules = Rules::default();
        assert_eq!(rules.sends(&phone(), "Mail", false, at("12:00")), Level::Full);
        rules.apps.insert("Mail".into(), AppRule { send: Level::Hidden, show: Level::Full });
        assert_eq!(rules.sends(&phone(), "mail ", false, at("12:00")), Level::Hidden);
        let apps = BTreeMap::from([("Chat".to_owned(), Level::Off)]);
        rules.devices.insert(phone(), DeviceRule { apps, ..DeviceRule::default() });
        assert_eq!(rules.sends(&phone(), "Chat", false, at("12:00")), Level::Off);
        assert_eq!(rules.sends(&DeviceId::new("tablet").unwrap(), "Chat", false, at("12:00")), Level::Full);
        rules.hide_content = true;
        assert_eq!(rules.sends(&phone(), "Other", false, at("12:00")), Level::Hidden);
        assert_eq!(rules.shows(&phone(), "Other", false, at("12:00")), Showing { level: Level::Hidden, popup: true });
    }

    #[test]
    fn quiet_hours_go_over_midnight_and_let_the_urgent_through() {
        let rules = Rules { quiet: quiet("22:00", "07:00"), ..Rules::default() };
        for (clock, sent) in
            [("21:59", Level::Full), ("22:00", Level::Off), ("03:00", Level::Off), ("07:00", Level::Full)]
        {
            assert_eq!(rules.sends(&phone(), "x", false, at(clock)), sent, "{clock}");
        }
        assert_eq!(rules.sends(&phone(), "x", true, at("03:00")), Level::Full);
        let showing = rules.shows(&phone(), "x", false, at("03:00"));
        assert_eq!(showing, Showing { level: Level::Full, popup: false }, "listed, but silently");
        let noon = Rules { quiet: quiet("12:00", "13:00"), ..Rules::default() };
        assert_eq!(noon.sends(&phone(), "x", false, at("12:30")), Level::Off);
        assert_eq!(noon.sends(&phone(), "x", false, at("13:00")), Level::Full);
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let rules = Rules { paused_until: Some(Timestamp::UNIX_EPOCH), ..Rules::default() };
        assert_eq!(rules.sends(&phone(), "x", false, at("12:00")), Level::Full);
        let later = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(60);
        let rules = Rules { paused_until: Some(later), ..Rules::default() };
        assert_eq!(rules.sends(&phone(), "x", true, at("12:00")), Level::Off);
    }

    #[test]
    fn rules_survive_json_and_bad_ones_are_refused() {
        let json = r#"{"quiet":{"from":"22:00","to":"7:30"},"devices":{"phone":{"codes":true}}}"#;
        let rules: Rules = serde_json::from_str(json).unwrap();
        assert!(rules.device(&phone()).codes && rules.device(&phone()).answers);
        assert_eq!(serde_json::from_str::<Rules>(&serde_json::to_string(&rules).unwrap()).unwrap(), rules);
        for bad in [r#"{"quiet":{"from":"24:00","to":"7:30"}}"#, r#"{"quiet":{"from":"7","to":"7:30"}}"#, r#"{"x":1}"#]
        {
            assert!(serde_json::from_str::<Rules>(bad).is_err(), "{bad}");
        }
        let rules = Rules { apps: BTreeMap::from([("a\u{202e}".into(), AppRule::default())]), ..Rules::default() };
        assert!(rules.check().is_err());
    }
}
