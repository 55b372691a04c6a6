//! What went to everyone near, and what came from others, by each way: whether a network carries announcements.

use std::collections::BTreeMap;
use std::time::Instant;

use accord_model::why::{Fact, Way};

/// Counts since the present network was joined.
#[derive(Debug, Default)]
pub struct Air {
    ways: BTreeMap<Way, Tally>,
}

#[derive(Debug)]
struct Tally {
    since: Instant,
    sent: u64,
    heard: u64,
}

impl Air {
    /// A datagram left.
    pub fn sent(&mut self, way: Way, now: Instant) {
        self.of(way, now).sent += 1;
    }

    /// A datagram came, and not from this machine.
    pub fn heard(&mut self, way: Way, now: Instant) {
        self.of(way, now).heard += 1;
    }

    /// Another network: what was heard in the one before says nothing about it.
    pub fn begin_anew(&mut self) {
        self.ways.clear();
    }

    /// What was counted.
    pub fn facts(&self, now: Instant) -> impl Iterator<Item = Fact> {
        self.ways.iter().map(move |(way, tally)| Fact::Air {
            way: *way,
            sent: tally.sent,
            heard: tally.heard,
            seconds: now.saturating_duration_since(tally.since).as_secs(),
        })
    }

    fn of(&mut self, way: Way, now: Instant) -> &mut Tally {
        self.ways.entry(way).or_insert(Tally { since: now, sent: 0, heard: 0 })
    }
}
