//! Whoever asks why a peer is not reached while it is connected: that a connection is open says nothing about a peer that hangs,
//! whose system keeps it open for minutes. It is asked, and answers if it is heard from then on.

use std::time::{Duration, Instant};

use accord_model::CallId;

/// How long a peer may take to be heard. Whoever asks waits some seconds longer.
const HEARD_WITHIN: Duration = Duration::from_secs(4);
/// Most who wait at once; the first are answered for by what comes for the last.
const MOST: usize = 64;

/// Those who wait.
#[derive(Debug, Default)]
pub struct Tries(Vec<(CallId, Instant)>);

impl Tries {
    /// One more, now that the peer is asked. One is given back that cannot wait any more.
    pub fn begin(&mut self, call: CallId, now: Instant) -> Option<CallId> {
        self.0.push((call, now + HEARD_WITHIN));
        (self.0.len() > MOST).then(|| self.0.remove(0).0)
    }

    /// When the first of them has waited too long.
    pub fn until(&self) -> Option<Instant> {
        self.0.iter().map(|(_, until)| *until).min()
    }

    /// The peer was heard, or the connection ended: all of them.
    pub fn take(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.0).into_iter().map(|(call, _)| call).collect()
    }

    /// Those who have waited too long.
    pub fn take_late(&mut self, now: Instant) -> Vec<CallId> {
        let (late, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(_, until)| *until <= now);
        self.0 = waiting;
        late.into_iter().map(|(call, _)| call).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_answered_by_what_is_heard_or_by_the_silence() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        assert_eq!((tries.begin(CallId(1), now), tries.until()), (None, Some(now + HEARD_WITHIN)));
        tries.begin(CallId(2), now + Duration::from_secs(1));
        assert_eq!(tries.take_late(now + HEARD_WITHIN / 2), []);
        assert_eq!(tries.take_late(now + HEARD_WITHIN), [CallId(1)]);
        assert_eq!((tries.take(), tries.until()), (vec![CallId(2)], None));
        let over = (0..100).filter_map(|call| tries.begin(CallId(call), now)).count();
        assert_eq!((over, tries.take().len()), (100 - MOST, MOST));
    }
}
