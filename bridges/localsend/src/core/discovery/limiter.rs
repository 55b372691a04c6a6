//! How often one source is listened to.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// So many per key in a window; a bounded number of keys. When there are too many keys, new ones wait until
/// the window is over.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    most: u32,
    window: Duration,
    keys: usize,
    counts: HashMap<K, (u32, Instant)>,
}

impl<K: Eq + Hash> Limiter<K> {
    pub(super) fn new(most: u32, window: Duration, keys: usize) -> Self {
        Self { most, window, keys, counts: HashMap::new() }
    }

    /// Whether one more is allowed.
    pub(super) fn allow(&mut self, key: K, now: Instant) -> bool {
        if self.counts.len() >= self.keys {
            self.counts.retain(|_, (_, since)| now.saturating_duration_since(*since) < self.window);
        }
        if self.counts.len() >= self.keys && !self.counts.contains_key(&key) {
            return false;
        }
        let (count, since) = self.counts.entry(key).or_insert((0, now));
        if now.saturating_duration_since(*since) >= self.window {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count <= self.most
    }
}
