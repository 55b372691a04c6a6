//! What became of a node's attributes: nothing is dropped silently.

use std::collections::BTreeMap;
use std::fmt;

use super::Node;
use crate::core::names;

/// How many attributes went where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Those that standard services and the device's own description are made of.
    pub standard: usize,
    /// Those that `more` has.
    pub more: usize,
    /// Those that are nowhere, and why.
    pub left_out: BTreeMap<Left, usize>,
}

/// Why an attribute is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// Of every cluster: which attributes, commands and features it has. What is offered is made of it.
    Global,
    /// Which endpoints there are and what they are. Devices and services are made of it.
    Structure,
    /// Who may do what with it, and how it is set up: fabrics, access, groups, keys, clocks, updates.
    Administration,
    /// It names networks, addresses, places or persons, or is a certificate, a key, a name for good.
    Sensitive,
    /// It is bytes that only its maker can read.
    Opaque,
    /// It has no value now.
    Empty,
    /// There are more than a device is shown with.
    TooMany,
}

impl Left {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "what a cluster is made of",
            Self::Structure => "what endpoints there are",
            Self::Administration => "administration",
            Self::Sensitive => "networks, addresses, places, keys and names for good",
            Self::Opaque => "bytes of its maker",
            Self::Empty => "no value now",
            Self::TooMany => "more than is shown of one device",
        }
    }
}

impl Coverage {
    /// All that were told.
    pub fn all(&self) -> usize {
        self.standard + self.more + self.left_out.values().sum::<usize>()
    }

    /// Those of another node beside.
    pub fn add(&mut self, other: &Self) {
        self.standard += other.standard;
        self.more += other.more;
        for (left, count) in &other.left_out {
            *self.left_out.entry(*left).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attributes: {} standard, {} in `more`", self.all(), self.standard, self.more)?;
        self.left_out.iter().try_for_each(|(left, count)| write!(f, ", {count} left out ({})", left.as_str()))
    }
}

impl Node {
    /// What became of its attributes.
    pub fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::default();
        let mut leave = |left, count| *coverage.left_out.entry(left).or_default() += count;
        let (mut standard, mut more) = (0, 0);
        if self.beyond > 0 {
            leave(Left::TooMany, self.beyond);
        }
        for (number, attributes) in &self.endpoints {
            let Some(mapped) = self.mapped.get(number) else { continue };
            let is_beyond = |at: usize| self.devices.values().any(|placed| placed.beyond.contains(&(*number, at)));
            let has_room =
                mapped.parts.iter().position(|part| part.service.id == "more").is_none_or(|at| !is_beyond(at));
            for key in attributes.keys() {
                match names::left(key.0, key.1) {
                    Some(left) => leave(left, 1),
                    None if names::describes(key.0, key.1) || mapped.used.contains(key) => standard += 1,
                    None if mapped.more.contains(key) && has_room => more += 1,
                    None if mapped.opaque.contains(key) => leave(Left::Opaque, 1),
                    None if mapped.empty.contains(key) => leave(Left::Empty, 1),
                    None => leave(Left::TooMany, 1),
                }
            }
        }
        (coverage.standard, coverage.more) = (standard, more);
        coverage
    }
}
