//! How long what was heard counts, and when it is asked for again (RFC 6762, sections 5.2 and 10).

use std::time::Duration;

use crate::core::Shared;

/// How long a goodbye is doubted: anybody can say it for another. Who is asked answers a second after it spoke last, at most
/// (RFC 6762, section 6).
pub(crate) const BYE: Duration = Duration::from_secs(2);
/// Parts of the time to live, in percent, at which it is asked for again.
const REFRESH: [u32; 4] = [80, 85, 90, 95];

/// How long something that was heard counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) heard: Duration,
    ttl: Duration,
    /// How often it was asked for again.
    asked: usize,
    /// Up to two percent of the time to live, so that not all ask at once.
    jitter: Duration,
}

impl Life {
    pub(crate) fn new(shared: &mut Shared, ttl: u32, now: Duration) -> Self {
        // Goodbye: not at once, in case it was another's (section 10.1).
        let bye = ttl == 0;
        let ttl = if bye { BYE } else { Duration::from_secs(ttl.into()).min(shared.config.max_ttl) };
        let jitter = ttl.mul_f64(0.02 * shared.chance.millis(0, 1000).as_secs_f64());
        Self { heard: now, ttl, asked: if bye { REFRESH.len() } else { 0 }, jitter }
    }
    pub(crate) fn ends(&self) -> Duration {
        self.heard + self.ttl
    }
    fn refresh_at(&self) -> Option<Duration> {
        REFRESH.get(self.asked).map(|percent| self.heard + self.ttl * *percent / 100 + self.jitter)
    }
    pub(crate) fn next(&self) -> Duration {
        self.refresh_at().map_or(self.ends(), |at| at.min(self.ends()))
    }
    /// True when it is time to ask again; counts it as asked.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        let due = self.refresh_at().is_some_and(|at| at <= now);
        while self.refresh_at().is_some_and(|at| at <= now) {
            self.asked += 1;
        }
        due
    }
    /// Not asked for again, and younger than half of its time: it may be said to be known (section 7.1).
    pub(crate) fn is_fresh(&self, now: Duration) -> bool {
        self.asked == 0 && now.saturating_sub(self.heard) * 2 < self.ttl
    }
    /// It counts so long from now on at most, and is not asked for again.
    pub(crate) fn cut(&mut self, now: Duration, most: Duration) {
        self.ttl = self.ttl.min((now + most).saturating_sub(self.heard));
        self.asked = REFRESH.len();
    }
}
