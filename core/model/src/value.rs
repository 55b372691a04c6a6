//! Values with age and source, and writes that are only believed once the device says so.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The content of a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    /// True or false.
    Bool(bool),
    /// A whole number, also the number of an enum value.
    Int(i64),
    /// A real number.
    Float(f64),
    /// Text.
    Text(String),
    /// Several texts in order.
    Texts(Vec<String>),
    /// Bytes; shown as an array of numbers in JSON.
    Bytes(Vec<u8>),
}

impl Data {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
    /// The texts, if it is a list of them.
    pub fn as_texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }
    /// Yes or no, if it is that.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            _ => None,
        }
    }
    /// The number, whole or not, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }
    /// The whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }
    /// The bytes, if it is bytes. An empty list counts as none.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Texts(texts) if texts.is_empty() => Some(&[]),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($kind:ty => $name:ident),*) => {
        $(impl From<$kind> for Data {
            fn from(value: $kind) -> Self {
                Self::$name(value)
            }
        })*
    };
}
from!(bool => Bool, i64 => Int, f64 => Float, String => Text, Vec<String> => Texts, Vec<u8> => Bytes);

impl From<&str> for Data {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The device told us by itself.
    Pushed,
    /// We asked.
    Polled,
    /// Nobody told us; we believe it because we wrote it.
    Assumed,
}

/// A value with its age. No value is not the same as `false` or `0`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The content, in the property's unit.
    pub data: Data,
    /// When it was true.
    pub seen: Timestamp,
    /// Who said so.
    pub source: Source,
    /// Seconds after which it is stale.
    pub fresh_for_s: u64,
}

impl Value {
    /// True while the value is younger than its `fresh_for_s`. A value from the future (the clock
    /// jumped back) is not fresh.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        match Duration::try_from(now.duration_since(self.seen)) {
            Ok(age) => age.as_secs() <= self.fresh_for_s,
            Err(_) => false,
        }
    }
}

/// How long a write may wait for the device's confirmation.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteState {
    /// Sent; the device has not confirmed it.
    Pending,
    /// The device reports the written value.
    Confirmed,
    /// [`CONFIRM_WITHIN`] passed without a report.
    Unconfirmed,
}

/// One write on its way.
///
/// ```
/// use accord_model::{Data, Timestamp, Write, WriteState};
/// let start = Timestamp::UNIX_EPOCH;
/// let mut write = Write::new(Data::Bool(true), start);
/// write.report(&Data::Bool(false));
/// assert_eq!(write.state(start), WriteState::Pending);
/// write.report(&Data::Bool(true));
/// assert_eq!(write.state(start), WriteState::Confirmed);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// What was written.
    pub data: Data,
    /// When.
    pub at: Timestamp,
    confirmed: bool,
    /// How far a number that is reported may be from the written one.
    #[serde(default)]
    tolerance: f64,
}

impl Write {
    /// A write that was just sent.
    pub fn new(data: Data, at: Timestamp) -> Self {
        Self { data, at, confirmed: false, tolerance: 0.0 }
    }
    /// Of a number that devices round in their own scales: what they report may be half a step away.
    #[must_use]
    pub fn in_steps(mut self, step: f64) -> Self {
        self.tolerance = if step.is_finite() { step.abs() / 2.0 } else { 0.0 };
        self
    }
    /// The device reports `data`.
    pub fn report(&mut self, data: &Data) {
        let near = match (data.as_number(), self.data.as_number()) {
            (Some(said), Some(written)) => (said - written).abs() <= self.tolerance,
            _ => false,
        };
        self.confirmed |= near || *data == self.data;
    }
    /// The state at `now`.
    pub fn state(&self, now: Timestamp) -> WriteState {
        if self.confirmed {
            return WriteState::Confirmed;
        }
        match Duration::try_from(now.duration_since(self.at)) {
            Ok(age) if age > CONFIRM_WITHIN => WriteState::Unconfirmed,
            _ => WriteState::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ages_and_a_write_that_nobody_confirms_says_so() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + Duration::from_secs(6);
        let value = Value { data: Data::Int(80), seen: now, source: Source::Pushed, fresh_for_s: 5 };
        assert!(value.is_fresh(now));
        assert!(!value.is_fresh(later));
        assert!(!value.is_fresh(now - Duration::from_secs(1)), "the future is not fresh");
        assert_eq!(Write::new(Data::Int(1), now).state(later), WriteState::Unconfirmed);
    }

    #[test]
    fn a_number_that_the_device_rounds_is_confirmed_and_another_is_not() {
        let now = Timestamp::UNIX_EPOCH;
        let said = |step: f64, data: Data| {
            let mut write = Write::new(Data::Float(21.0), now).in_steps(step);
            write.report(&data);
            write.state(now)
        };
        assert_eq!(said(0.5, Data::Float(21.2)), WriteState::Confirmed);
        assert_eq!(said(0.5, Data::Float(21.5)), WriteState::Pending);
        assert_eq!(said(0.0, Data::Int(21)), WriteState::Confirmed);
        assert_eq!(said(f64::NAN, Data::Float(22.0)), WriteState::Pending);
        assert_eq!(said(0.5, Data::Text("21".into())), WriteState::Pending);
    }
}
