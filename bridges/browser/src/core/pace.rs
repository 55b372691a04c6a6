//! How often pages may be opened from one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// One in so long, and so many at once.
const EACH: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 4;
/// Addresses that were heard of within the last moments; more get nothing meanwhile.
const MOST: usize = 256;

/// Counts by the generic cell rate algorithm (ITU-T I.371, annex A): for each address one time, until which its share is
/// used up.
#[derive(Debug, Default)]
pub struct Pace(BTreeMap<IpAddr, Instant>);

impl Pace {
    /// Whether one more may be opened there now. What is refused does not count.
    pub fn admits(&mut self, address: IpAddr, now: Instant) -> bool {
        self.0.retain(|_, used| *used > now);
        let used = self.0.get(&address).copied().unwrap_or(now);
        if used > now + EACH * (AT_ONCE - 1) || (self.0.len() >= MOST && !self.0.contains_key(&address)) {
            return false;
        }
        self.0.insert(address, used + EACH);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_admitted_at_once_then_one_a_second_and_others_have_their_own_share() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut admitted = |address, millis: u64, tries: usize| {
            let now = start + Duration::from_millis(millis);
            (0..tries).filter(|_| pace.admits(address, now)).count()
        };
        assert_eq!(admitted(one, 0, 50), 4);
        assert_eq!(admitted(one, 500, 50), 0);
        assert_eq!(admitted(other, 500, 50), 4);
        assert_eq!(admitted(one, 1000, 50), 1);
        assert_eq!(admitted(one, 60_000, 50), 4);
    }

    #[test]
    fn addresses_are_bounded_and_forgotten() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let admitted = (0..5000_u32).filter(|n| pace.admits(IpAddr::from(n.to_be_bytes()), now)).count();
        assert_eq!((admitted, pace.0.len()), (MOST, MOST));
        assert!(pace.admits(IpAddr::from([192, 168, 1, 9]), now + EACH));
        assert_eq!(pace.0.len(), 1);
    }
}
