//! What went to everyone near, and what came from others, by each way: whether a network carries announcements.

use std::collections::BTreeMap;
use std::time::Instant;

use accord_model::why::{Fact, Way};

/// Counts since the present network was joined.
#[derive(Debug, Default)]
pub struct Air {
    interface: Option<String>,
    ways: BTreeMap<Way, Tally>,
}

#[derive(Debug)]
struct Tally {
    since: Instant,
    sent: u64,
    heard: u64,
    own: u64,
}

impl Air {
    /// Of one interface alone. What comes back of this machine's own is counted there, too: see [`Air::came_back`].
    pub fn on(interface: String) -> Self {
        Self { interface: Some(interface), ways: BTreeMap::new() }
    }

    /// A datagram left.
    pub fn sent(&mut self, way: Way, now: Instant) {
        self.of(way, now).sent += 1;
    }

    /// A datagram came, and not from this machine.
    pub fn heard(&mut self, way: Way, now: Instant) {
        self.of(way, now).heard += 1;
    }

    /// A datagram of this machine itself came back to it.
    pub fn came_back(&mut self, way: Way, now: Instant) {
        self.of(way, now).own += 1;
    }

    /// Another network: what was heard in the one before says nothing about it.
    pub fn begin_anew(&mut self) {
        self.ways.clear();
    }

    /// What was counted.
    pub fn facts(&self, now: Instant) -> impl Iterator<Item = Fact> {
        self.ways.iter().map(move |(way, tally)| Fact::Air {
            way: *way,
            interface: self.interface.clone(),
            sent: tally.sent,
            heard: tally.heard,
            own: self.interface.as_ref().map(|_| tally.own),
            seconds: now.saturating_duration_since(tally.since).as_secs(),
        })
    }

    fn of(&mut self, way: Way, now: Instant) -> &mut Tally {
        self.ways.entry(way).or_insert(Tally { since: now, sent: 0, heard: 0, own: 0 })
    }
}
