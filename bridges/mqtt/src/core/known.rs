//! What was known of a broker's devices before: which ids are one device, who made it, what it is known by, and who described
//! it first. A connection begins with an empty house and messages in any order; whoever happens to come first is not to be
//! taken for a device that has been there for months.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::discovery::{About, Origin};
use super::groups::Group;
use super::house::MOST_MESSAGES;

/// Most devices, most ids of all of them, and most topics that described them.
const MOST_GROUPS: usize = 4_096;
const MOST_IDS: usize = 16_384;
const MOST_ORIGINS: usize = MOST_MESSAGES;

/// One device, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its identifiers and connections.
    pub ids: BTreeSet<String>,
    /// Who made it.
    pub maker: Option<String>,
    /// What it is.
    pub model: Option<String>,
}

/// A topic that described something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Came {
    /// After which others.
    number: u64,
    /// The device that it described, when it said no less of it than was known.
    key: Option<String>,
}

/// What is written.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    origins: BTreeMap<String, Came>,
    groups: BTreeMap<String, Kept>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Known {
    memory: Memory,
    keys: HashMap<String, String>,
    next: u64,
    changed: bool,
}

impl Known {
    /// Of what was written before.
    pub fn of(mut memory: Memory) -> Self {
        let next = memory.origins.values().map(|came| came.number.saturating_add(1)).max().unwrap_or_default();
        let mut keys: HashMap<String, String> = HashMap::new();
        while memory.origins.len() > MOST_ORIGINS {
            memory.origins.pop_last();
        }
        memory.groups.retain(|key, kept| {
            let fits = keys.len() + kept.ids.len() <= MOST_IDS;
            if fits {
                keys.extend(kept.ids.iter().map(|id| (id.clone(), key.clone())));
            }
            fits
        });
        Self { memory, keys, next, changed: false }
    }

    /// Whether there is something to be written.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// What is to be written, when it changed since it was asked for last.
    pub fn changed(&mut self) -> Option<&Memory> {
        std::mem::take(&mut self.changed).then_some(&self.memory)
    }

    /// Where a message stands among all of them, by when its topic came first.
    pub fn number(&mut self, origin: &Origin) -> u64 {
        let name = name(origin);
        if let Some(came) = self.memory.origins.get(&name) {
            return came.number;
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        if self.memory.origins.len() < MOST_ORIGINS {
            self.memory.origins.insert(name, Came { number, key: None });
            self.changed = true;
        }
        number
    }

    /// The device that an id belongs to.
    pub fn key_of(&self, id: &str) -> Option<&str> {
        self.keys.get(id).map(String::as_str)
    }

    /// What is known of a device.
    pub fn group(&self, key: &str) -> Option<&Kept> {
        self.memory.groups.get(key)
    }

    /// Whether this topic described that device before: it may say that it is of another model now.
    pub fn is_own(&self, origin: &Origin, key: &str) -> bool {
        self.memory.origins.get(&name(origin)).is_some_and(|came| came.key.as_deref() == Some(key))
    }

    /// Keeps what was found.
    pub fn learn(&mut self, groups: &[Group]) {
        for group in groups.iter().filter(|group| !group.ids.is_empty()) {
            let groups = self.memory.groups.len();
            let kept = match self.memory.groups.get_mut(&group.key) {
                Some(kept) => kept,
                None if groups < MOST_GROUPS && self.keys.len() + group.ids.len() <= MOST_IDS => {
                    self.changed = true;
                    self.memory.groups.entry(group.key.clone()).or_default()
                }
                None => continue,
            };
            for id in &group.ids {
                if self.keys.len() < MOST_IDS && !self.keys.contains_key(id) {
                    self.keys.insert(id.clone(), group.key.clone());
                    kept.ids.insert(id.clone());
                    self.changed = true;
                }
            }
            let (maker, model) = (&group.thing.maker, &group.thing.model);
            if (&kept.maker, &kept.model) != (maker, model) {
                (kept.maker, kept.model) = (maker.clone(), model.clone());
                self.changed = true;
            }
            for origin in &group.origins {
                if let Some(came) = self.memory.origins.get_mut(&name(origin))
                    && came.key.as_ref() != Some(&group.key)
                {
                    came.key = Some(group.key.clone());
                    self.changed = true;
                }
            }
        }
    }

    /// Makes room, when it gets scarce, by what is described no more.
    pub fn prune<'a>(&mut self, origins: impl Iterator<Item = &'a Origin>, is_there: impl Fn(&str) -> bool) {
        if self.memory.origins.len() > MOST_ORIGINS / 4 * 3 {
            let live: BTreeSet<String> = origins.map(name).collect();
            self.memory.origins.retain(|origin, _| live.contains(origin));
            self.changed = true;
        }
        if self.memory.groups.len() > MOST_GROUPS / 4 * 3 || self.keys.len() > MOST_IDS / 4 * 3 {
            self.memory.groups.retain(|key, _| is_there(key));
            self.keys.retain(|_, key| is_there(key));
            self.changed = true;
        }
    }
}

/// Both say who made it or what it is, and it is not the same.
pub fn contradicts(maker: &Option<String>, model: &Option<String>, other: &About) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
    differ(maker, &other.maker) || differ(model, &other.model)
}

fn name(origin: &Origin) -> String {
    format!("{}/{}", origin.component, origin.object)
}
