//! How often pairing may be tried: one run at a time, three failures per peer, five failures a minute in
//! all, then freezes of 1, 3, 5 and 10 minutes. Keep one limiter for runs that others begin and one for
//! the owner's own, so that a stranger cannot keep the owner from pairing.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Failures of one peer before it is frozen.
pub const PER_PEER: u32 = 3;
/// Failures of all within [`WINDOW`] before all are frozen.
pub const IN_ALL: usize = 5;
/// The window for [`IN_ALL`].
pub const WINDOW: Duration = Duration::from_secs(60);
/// The freezes, one after the other; the last repeats.
pub const FREEZES: [Duration; 4] =
    [Duration::from_secs(60), Duration::from_secs(180), Duration::from_secs(300), Duration::from_secs(600)];
/// After this long without a failure, a peer (or all) starts from the first freeze again.
const FORGET: Duration = Duration::from_secs(3600);
/// Most peers remembered.
const MAX_PEERS: usize = 256;

/// Why a run may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// Another run is under way.
    #[error("another pairing is under way; finish or cancel it first")]
    Busy,
    /// Too many failed.
    #[error("too many pairings failed; try again in {} s", .0.as_secs().max(1))]
    Frozen(Duration),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Paired.
    Paired,
    /// In any other way, cancelled and timed out included: whoever could end runs for free could guess for free.
    Failed,
}

#[derive(Debug, Default, Clone)]
struct Ladder {
    step: usize,
    frozen_until: Duration,
    last: Duration,
}

impl Ladder {
    fn freeze(&mut self, now: Duration) {
        self.frozen_until = now.saturating_add(FREEZES[self.step.min(FREEZES.len() - 1)]);
        self.step += 1;
    }
    fn left(&self, now: Duration) -> Option<Duration> {
        self.frozen_until.checked_sub(now).filter(|left| !left.is_zero())
    }
    fn is_stale(&self, now: Duration) -> bool {
        self.left(now).is_none() && now.saturating_sub(self.last) >= FORGET
    }
}

/// Counts failures. Time is monotonic, since any fixed moment.
#[derive(Debug, Default)]
pub struct Limiter {
    running: Option<String>,
    peers: HashMap<String, (u32, Ladder)>,
    failures: VecDeque<Duration>,
    all: Ladder,
}

impl Limiter {
    /// Nothing failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to begin a run with `peer`: whatever tells one source from another best, for example its IP
    /// address (announced ids change too easily).
    ///
    /// # Errors
    /// [`Limited`].
    pub fn begin(&mut self, peer: &str, now: Duration) -> Result<(), Limited> {
        if self.running.is_some() {
            return Err(Limited::Busy);
        }
        let left = self.all.left(now).max(self.peers.get(peer).and_then(|(_, ladder)| ladder.left(now)));
        if let Some(left) = left {
            return Err(Limited::Frozen(left));
        }
        self.running = Some(peer.to_owned());
        Ok(())
    }

    /// How long no run may begin with anyone.
    pub fn held_up(&self, now: Duration) -> Option<Duration> {
        self.all.left(now)
    }

    /// Notes how the run that began last ended. Without one, nothing happens.
    pub fn ended(&mut self, ended: Ended, now: Duration) {
        let Some(peer) = self.running.take() else { return };
        if ended == Ended::Paired {
            self.peers.remove(&peer);
            return;
        }
        if self.all.is_stale(now) {
            self.all = Ladder::default();
        }
        self.all.last = now;
        self.failures.retain(|at| now.saturating_sub(*at) < WINDOW);
        self.failures.push_back(now);
        if self.failures.len() >= IN_ALL {
            self.all.freeze(now);
            self.failures.clear();
        }
        self.make_room(&peer, now);
        let (failed, ladder) = self.peers.entry(peer).or_default();
        if ladder.is_stale(now) && ladder.last > Duration::ZERO {
            (*failed, *ladder) = (0, Ladder::default());
        }
        ladder.last = now;
        *failed += 1;
        // After the first freeze every further failure is one too many.
        if *failed >= PER_PEER {
            ladder.freeze(now);
        }
    }

    /// True while a run is under way.
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    fn make_room(&mut self, peer: &str, now: Duration) {
        if self.peers.len() < MAX_PEERS || self.peers.contains_key(peer) {
            return;
        }
        self.peers.retain(|_, (_, ladder)| !ladder.is_stale(now));
        if self.peers.len() >= MAX_PEERS {
            // The limit for all still holds whoever is forgotten here.
            let oldest = self.peers.iter().min_by_key(|(_, (failed, ladder))| (*failed, ladder.last));
            if let Some(oldest) = oldest.map(|(peer, _)| peer.clone()) {
                self.peers.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
    fn fail(limiter: &mut Limiter, peer: &str, now: Duration) {
        limiter.begin(peer, now).unwrap();
        limiter.ended(Ended::Failed, now);
    }

    #[test]
    fn one_peer_is_frozen_after_three_failures_for_longer_each_time() {
        let mut limiter = Limiter::new();
        for second in [0, 70, 140] {
            fail(&mut limiter, "a", at(second));
        }
        assert_eq!(limiter.begin("a", at(140)), Err(Limited::Frozen(at(60))));
        limiter.begin("b", at(140)).expect("others are free");
        limiter.ended(Ended::Paired, at(140));
        let mut now = 200;
        for freeze in [180, 300, 600, 600] {
            fail(&mut limiter, "a", at(now));
            assert_eq!(limiter.begin("a", at(now)), Err(Limited::Frozen(at(freeze))));
            assert_eq!(limiter.begin("a", at(now + freeze - 1)), Err(Limited::Frozen(at(1))));
            now += freeze;
        }
        limiter.begin("a", at(now)).unwrap();
        limiter.ended(Ended::Paired, at(now));
        fail(&mut limiter, "a", at(now));
        limiter.begin("a", at(now)).expect("a pairing that worked forgives");
    }

    #[test]
    fn five_failures_a_minute_freeze_everyone() {
        let mut limiter = Limiter::new();
        for peer in ["a", "b", "c", "d", "e"] {
            fail(&mut limiter, peer, at(10));
        }
        assert_eq!(limiter.begin("new", at(10)), Err(Limited::Frozen(at(60))));
        limiter.begin("new", at(70)).unwrap();
        limiter.ended(Ended::Paired, at(70));
        for (index, peer) in ["f", "g", "h", "i", "j"].into_iter().enumerate() {
            fail(&mut limiter, peer, at(100 + 30 * index as u64));
        }
        limiter.begin("slow failures are fine", at(300)).unwrap();
    }

    #[test]
    fn one_run_at_a_time() {
        let mut limiter = Limiter::new();
        limiter.begin("a", at(0)).unwrap();
        assert_eq!(limiter.begin("b", at(0)), Err(Limited::Busy));
        limiter.ended(Ended::Paired, at(1));
        limiter.ended(Ended::Failed, at(1));
        assert!(!limiter.is_busy());
        limiter.begin("b", at(1)).unwrap();
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory_and_time_forgives() {
        let mut limiter = Limiter::new();
        for index in 0..2000u64 {
            fail(&mut limiter, &format!("peer{index}"), at(index * 20));
        }
        assert!(limiter.peers.len() <= MAX_PEERS);
        let mut limiter = Limiter::new();
        for second in [0, 70, 140, 140 + 60 + 3600] {
            fail(&mut limiter, "a", at(second));
        }
        limiter.begin("a", at(3800)).expect("an hour without a failure starts anew");
    }
}
