//! How often something may happen, per source, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most sources remembered.
const MAX_SOURCES: usize = 256;

/// At most `count` per source within `window`.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    count: usize,
    window: Duration,
    seen: HashMap<K, VecDeque<Instant>>,
}

impl<K: Eq + Hash + Clone> Rates<K> {
    pub fn new(count: usize, window: Duration) -> Self {
        Self { count, window, seen: HashMap::new() }
    }
    /// Counts one more, unless there are too many. With too many sources, new ones are refused until old
    /// ones are forgotten: a flood of invented sources then costs those that are new, not those we know.
    pub fn admit(&mut self, source: &K, now: Instant) -> bool {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < self.window;
        if self.seen.len() >= MAX_SOURCES && !self.seen.contains_key(source) {
            self.seen.retain(|_, times| times.back().is_some_and(recent));
            if self.seen.len() >= MAX_SOURCES {
                return false;
            }
        }
        let times = self.seen.entry(source.clone()).or_default();
        times.retain(recent);
        let admitted = times.len() < self.count;
        if admitted {
            times.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_count_and_memory_is_bounded() {
        let mut rates = Rates::new(1, Duration::from_millis(500));
        let start = Instant::now();
        assert!(rates.admit(&0, start) && !rates.admit(&0, start) && rates.admit(&1, start));
        assert!(rates.admit(&0, start + Duration::from_millis(500)));
        for source in 0..10_000 {
            rates.admit(&source, start + Duration::from_millis(600));
        }
        assert!(rates.seen.len() <= MAX_SOURCES);
        assert!(rates.admit(&20_000, start + Duration::from_millis(1100)), "old ones are forgotten");
    }
}
