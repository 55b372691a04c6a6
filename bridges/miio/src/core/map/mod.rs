//! A model's spec in our words: the standard services first, everything else into `more`. What is in neither is counted with
//! the reason ([`Count`]): nothing is dropped silently.

mod build;
mod more;
mod rules;
mod scale;
mod speak;

use std::collections::BTreeMap;

use accord_model::{Data, DeviceKind, Service};

use super::spec::{At, Spec};
use scale::Scale;
pub use speak::{State, Step};

/// What is said natively, by property.
pub type Natives = BTreeMap<At, Data>;

/// A service of ours: its name, and which of several alike.
pub type Place = (String, u16);

/// A model in our words.
#[derive(Debug, Clone)]
pub struct Map {
    /// What sort of thing it is.
    pub kind: DeviceKind,
    /// What it offers.
    pub services: Vec<Service>,
    /// What became of everything in the spec.
    pub count: Count,
    spec: Spec,
    links: BTreeMap<(Place, String), Link>,
    deeds: BTreeMap<(Place, String), Deed>,
    /// What is asked for, and whether it is asked for often.
    asked: BTreeMap<At, bool>,
}

/// What became of a spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Properties and actions that a standard service has.
    pub standard: usize,
    /// Those that `more` has.
    pub more: usize,
    /// Those that are nowhere, and why.
    pub left: BTreeMap<Left, usize>,
}

impl Count {
    /// Everything in the spec.
    pub fn all(&self) -> usize {
        self.standard + self.more + self.left.values().sum::<usize>()
    }
}

/// Why something of a spec is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// It is told by the device alone, to its maker's servers.
    OnlyTold,
    /// It is an input of an action, and shown there.
    OnlyInput,
    /// It names persons, networks or places, or is a secret: nobody is asked for it.
    Personal,
    /// It is told by miIO itself.
    KnownAnyway,
    /// A lock is not written to from here.
    Locked,
    /// There are more than a device is shown with.
    TooMany,
}

/// Where one of our properties comes from.
#[derive(Debug, Clone, PartialEq)]
enum Link {
    One {
        at: At,
        scale: Scale,
    },
    /// Where it is, and where it is to go.
    Pair {
        is: At,
        shall: At,
        scale: Scale,
    },
    /// Off by one property, otherwise what another one says, or always the same.
    Mode {
        on: Option<At>,
        mode: Option<At>,
        names: Vec<(i64, i64)>,
        off: i64,
        alone: Option<i64>,
    },
    /// A colour in 24 bits.
    Hue(At),
    Saturation(At),
    /// What a cover does, and by where it is whether it is open; `rests` is closed, open, stopped.
    Stand {
        status: Option<At>,
        names: Vec<(i64, i64)>,
        position: Option<At>,
        rests: [i64; 3],
    },
}

impl Link {
    fn ats(&self) -> Vec<At> {
        match self {
            Self::One { at, .. } | Self::Hue(at) | Self::Saturation(at) => vec![*at],
            Self::Pair { is, .. } => vec![*is],
            Self::Mode { on, mode, .. } => on.iter().chain(mode).copied().collect(),
            Self::Stand { status, position, .. } => status.iter().chain(position).copied().collect(),
        }
    }
}

/// What one of our actions is.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    /// A native action, with its inputs by our names in the spec's order.
    Act { at: At, inputs: Vec<(String, At)> },
    /// A native value.
    Set(At, Data),
    /// The opposite of what it is.
    Invert(At),
}

impl Map {
    /// Reads a spec.
    pub fn of(spec: &Spec) -> Self {
        build::Builder::new(spec).finish()
    }

    /// What is asked for; the second is true for what is asked for often.
    pub fn asked(&self) -> impl Iterator<Item = (At, bool)> + '_ {
        self.asked.iter().map(|(at, often)| (*at, *often))
    }

    /// The spec.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

#[cfg(test)]
mod tests;
