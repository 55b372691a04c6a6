//! What is wanted of a device, and what it says: the words between one device's machine and those who use it.

use std::collections::BTreeMap;

use accord_model::{CallError, Data, Inputs, Outputs, Target};
use serde_json::Value;

use super::line::Failure;

/// What is wanted of a device.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Set a property.
    Write(Target, String, Data),
    /// Do something.
    Act(Target, String, Inputs),
    /// Ask for a service's properties; all when none is named.
    Read(Target, Vec<String>),
    /// Whether it answers.
    Try,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It says what it is. [`super::device::Device::model`] is to be told.
    Is(Info),
    /// What it says, by service.
    Values(Vec<(Target, BTreeMap<String, Data>)>),
    /// The same, said by itself.
    Pushed(Vec<(Target, BTreeMap<String, Data>)>),
    /// What was wanted is done, or is not.
    Done(u64, Result<Outputs, Trouble>),
    /// It does not answer, and why.
    Down(Failure),
    /// Its model takes so many properties at once.
    Most(usize),
    /// What it refuses to say now. Told when that changes.
    Refuses(Refuses),
}

/// What a device answers that it does not say, of what it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refuses {
    /// How many properties.
    pub count: usize,
    /// Of the first few their names, as `light.level`, and why, in words.
    pub some: Vec<(String, String)>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// What was wanted makes no sense for it.
    Call(CallError),
    /// The device failed.
    Device(Failure),
}

impl From<Trouble> for CallError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Call(error) => error,
            Trouble::Device(failure @ (Failure::Silent | Failure::Deaf | Failure::Other(_) | Failure::New)) => {
                Self::Unreachable(failure.to_string())
            }
            Trouble::Device(failure) => Self::Device(failure.to_string()),
        }
    }
}

/// What a device says it is. It says more (networks, the token), which is dropped here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `yeelink.light.lamp4`.
    pub model: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Of its firmware.
    pub version: Option<String>,
}

impl Info {
    /// From the answer to `miIO.info`.
    pub fn read(result: &Value) -> Option<Self> {
        let text = |key: &str, fits: fn(char) -> bool| {
            let text = result[key].as_str().filter(|text| (1..=64).contains(&text.len()))?;
            text.chars().all(fits).then(|| text.to_owned())
        };
        let model = text("model", |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))?;
        let mac = text("mac", |c| c.is_ascii_hexdigit() || c == ':');
        Some(Self { model, mac, version: text("fw_ver", |c| c.is_ascii_graphic()) })
    }
}
