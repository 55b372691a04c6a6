//! What the owner wants to be kept, in `home.json`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use accord_model::DeviceId;
use serde::{Deserialize, Serialize};

use super::gather::HOUR;
use super::store::Ages;

const DAY: i64 = 24 * HOUR;
/// Devices that can be left out.
const MOST_OFF: usize = 4096;

/// What is kept, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Off keeps what is there and nothing new.
    pub on: bool,
    /// Days of everything that was said.
    pub all_days: u32,
    /// Days of five minutes, and of changes of what is yes or no.
    pub five_minutes_days: u32,
    /// Days of hours.
    pub hours_days: u32,
    /// Never more than this on the disk.
    pub megabytes: u32,
    /// Of these nothing is kept.
    pub off: BTreeSet<DeviceId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on: true,
            all_days: 7,
            five_minutes_days: 31,
            hours_days: 5 * 365,
            megabytes: 1024,
            off: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> Result<(), String> {
        let within = |what: &str, days: u32, range: RangeInclusive<u32>| match range.contains(&days) {
            true => Ok(()),
            false => Err(format!("{what} is between {} and {}", range.start(), range.end())),
        };
        within("The number of days of everything that was said", self.all_days, 1..=90)?;
        within("The number of days of five minutes", self.five_minutes_days, 1..=730)?;
        within("The number of days of hours", self.hours_days, 1..=7300)?;
        within("The number of megabytes", self.megabytes, 16..=16_384)?;
        if self.off.len() > MOST_OFF {
            return Err(format!("At most {MOST_OFF} devices can be left out one by one"));
        }
        Ok(())
    }

    /// Whether something of this device is kept.
    pub fn keeps(&self, device: &DeviceId) -> bool {
        self.on && !self.off.contains(device)
    }

    /// Since when what is kept, at `now`; only this part of the time of `shares`.
    pub(crate) fn since(&self, now: i64, shares: Shares) -> Ages {
        let part = |days: u32, share: f64, least: i64| {
            let whole = i64::from(days) * DAY;
            now - ((whole as f64 * share) as i64).clamp(least.min(whole), whole)
        };
        Ages {
            raw: part(self.all_days, shares.raw, HOUR),
            five: part(self.five_minutes_days, shares.five, DAY),
            hour: part(self.hours_days, shares.hour, DAY),
        }
    }
}

/// Which part of the time is kept, when all of it would be too much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    pub raw: f64,
    pub five: f64,
    pub hour: f64,
}

impl Shares {
    pub const WHOLE: Self = Self { raw: 1.0, five: 1.0, hour: 1.0 };
    /// Less: what is fine first. `None`: there is nothing left to throw away.
    pub fn less(self) -> Option<Self> {
        const LESS: f64 = 0.8;
        match self {
            Self { raw, .. } if raw > 0.01 => Some(Self { raw: raw * LESS, ..self }),
            Self { five, .. } if five > 0.02 => Some(Self { five: five * LESS, ..self }),
            Self { hour, .. } if hour > 0.01 => Some(Self { hour: hour * LESS, ..self }),
            _ => None,
        }
    }
}
