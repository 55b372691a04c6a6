//! How many commands a lamp takes: 60 a minute over one connection and 144 over all (specification, section 4.1). What goes
//! beyond would be refused, and some lamps hang up then; so it is not sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window.
const MINUTE: Duration = Duration::from_secs(60);
/// Commands within it over one connection, and over all of ours.
pub const OF_CONNECTION: usize = 60;
/// See [`OF_CONNECTION`].
pub const OF_LAMP: usize = 144;
/// While more than this is left, nothing has to wait.
const PLENTY: usize = 30;
/// What is kept for switching on and off when something is drawn to and fro.
const FOR_SWITCHING: usize = 6;
/// What is kept for the owner when we merely ask.
const FOR_THE_OWNER: usize = 16;

/// How pressing a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// At once: on, off, and what is asked for.
    Pressing,
    /// One of many while something is drawn to and fro: in even steps once there is no longer plenty.
    Drawn,
    /// A question of ours.
    Question,
}

/// What was sent lately. It outlives a connection, since the lamp counts on.
#[derive(Debug, Clone, Default)]
pub struct Quota {
    sent: VecDeque<Instant>,
    /// Since when this connection is.
    connected: Option<Instant>,
}

impl Quota {
    /// A new connection.
    pub fn connect(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// A command is sent.
    pub fn spend(&mut self, now: Instant) {
        self.forget(now);
        self.sent.push_back(now);
    }

    /// How long a command of this sort has to wait.
    pub fn wait(&mut self, sort: Sort, now: Instant) -> Duration {
        self.forget(now);
        let keep = match sort {
            Sort::Pressing => 0,
            Sort::Drawn => FOR_SWITCHING,
            Sort::Question => FOR_THE_OWNER,
        };
        let until = |count: usize, oldest: Option<Instant>| match count {
            0 => oldest.map_or(MINUTE, |at| (at + MINUTE).saturating_duration_since(now)),
            _ => Duration::ZERO,
        };
        let (left, oldest) = self.left();
        let free = until(left.saturating_sub(keep), self.nth_free(keep.saturating_sub(left)).or(oldest));
        if sort != Sort::Drawn || left > PLENTY || left <= keep {
            return free;
        }
        // What is left, spread over the time until the first one is forgotten.
        let (Some(first), Some(last)) = (oldest, self.sent.back()) else { return free };
        let step = (first + MINUTE).saturating_duration_since(now) / u32::try_from(left - keep).unwrap_or(1);
        free.max((*last + step).saturating_duration_since(now))
    }

    /// How many may be sent now, and when the first of those that count was.
    fn left(&self) -> (usize, Option<Instant>) {
        let mine: Vec<Instant> = self.mine().collect();
        let of_connection = OF_CONNECTION.saturating_sub(mine.len());
        let of_lamp = OF_LAMP.saturating_sub(self.sent.len());
        match of_connection <= of_lamp {
            true => (of_connection, mine.first().copied()),
            false => (of_lamp, self.sent.front().copied()),
        }
    }

    /// The one that has to be forgotten for `more` beyond the first to be free.
    fn nth_free(&self, more: usize) -> Option<Instant> {
        self.mine().nth(more)
    }

    fn mine(&self) -> impl Iterator<Item = Instant> + '_ {
        self.sent.iter().copied().filter(|at| self.connected.is_none_or(|since| *at >= since))
    }

    fn forget(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|at| now >= *at + MINUTE) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sixty_a_minute_leave_and_no_more() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        quota.connect(start);
        for number in 0..60 {
            assert_eq!(quota.wait(Sort::Pressing, start + SECOND / 10 * number), Duration::ZERO, "{number}");
            quota.spend(start + SECOND / 10 * number);
        }
        let now = start + 6 * SECOND;
        assert_eq!(quota.wait(Sort::Pressing, now), 54 * SECOND, "until the first is forgotten");
        assert!(quota.wait(Sort::Question, now) > 54 * SECOND, "questions leave some for the owner");
        assert_eq!(quota.wait(Sort::Pressing, start + 60 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_lamp_counts_on_when_it_is_connected_anew() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        let mut sent = 0;
        for connection in 0..4 {
            let now = start + SECOND * connection;
            quota.connect(now);
            while quota.wait(Sort::Pressing, now).is_zero() {
                quota.spend(now);
                sent += 1;
            }
        }
        assert_eq!(sent, OF_LAMP);
    }

    #[test]
    fn what_is_drawn_to_and_fro_comes_in_even_steps_and_leaves_some_for_switching() {
        let (mut quota, start) = (Quota::default(), Instant::now());
        quota.connect(start);
        let (mut sent, mut longest, mut now) = (0, Duration::ZERO, start);
        while now < start + 120 * SECOND {
            let wait = quota.wait(Sort::Drawn, now);
            longest = longest.max(wait);
            if wait.is_zero() {
                quota.spend(now);
                sent += 1;
            }
            assert!(quota.wait(Sort::Pressing, now).is_zero(), "it can always be switched off");
            now += SECOND / 20;
        }
        assert!((90..=120).contains(&sent), "{sent}");
        assert!(longest < 5 * SECOND, "{longest:?}");
    }
}
