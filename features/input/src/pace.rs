//! How fast one device may type and point: faster than hands are, and slower than a flood.

use std::time::Instant;

/// Strokes and characters a second, for as long as it likes, and how many at once after a rest.
const A_SECOND: f64 = 500.0;
const AT_ONCE: f64 = 10_000.0;

/// One device's allowance.
#[derive(Debug)]
pub(crate) struct Pace {
    left: f64,
    since: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { left: AT_ONCE, since: now }
    }

    /// Takes so much, or says that it is too much now.
    pub fn take(&mut self, weight: u32, now: Instant) -> bool {
        let rested = now.saturating_duration_since(self.since).as_secs_f64();
        self.left = (self.left + rested * A_SECOND).min(AT_ONCE);
        self.since = now;
        let fits = f64::from(weight) <= self.left;
        if fits {
            self.left -= f64::from(weight);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_cut_to_its_pace_and_a_rest_gives_back() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let taken = (0..20_000).filter(|_| pace.take(1, now)).count();
        assert_eq!(taken, AT_ONCE as usize);
        now += Duration::from_secs(1);
        assert_eq!((0..20_000).filter(|_| pace.take(1, now)).count(), A_SECOND as usize);
        assert!(!pace.take(u32::MAX, now + Duration::from_secs(1 << 20)));
    }
}
