//! The PIN that somebody near must know, and how often it may be wrong.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::{Secret, secret};

/// Wrong PINs allowed per address.
pub const MAX_WRONG: u8 = 3;
/// Most addresses remembered; while all are in use, no new address may guess. So nobody gets more than 48 guesses an hour,
/// however many addresses they have.
const MAX_ADDRESSES: usize = 16;
/// How long an address is remembered after its last wrong PIN.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The PIN, if there is one, and who guessed.
pub struct PinGuard {
    pin: Option<Secret>,
    wrong: HashMap<IpAddr, (u8, Instant)>,
}

/// What a PIN is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinVerdict {
    /// Come in.
    Right,
    /// One is needed.
    Missing,
    /// Not this one.
    Wrong,
    /// No more guesses from there.
    Blocked,
}

impl PinVerdict {
    /// The HTTP answer of a refusal.
    pub fn refusal(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Right => None,
            Self::Missing => Some((401, "PIN required")),
            Self::Wrong => Some((401, "Invalid PIN")),
            Self::Blocked => Some((429, "Too many attempts")),
        }
    }
}

impl PinGuard {
    /// With this PIN, or none.
    pub fn new(pin: Option<Secret>) -> Self {
        Self { pin, wrong: HashMap::new() }
    }

    /// Looks at the PIN that came from `address`.
    pub fn check(&mut self, address: IpAddr, typed: Option<&str>, now: Instant) -> PinVerdict {
        let Some(pin) = &self.pin else { return PinVerdict::Right };
        let network = network(address);
        self.wrong.retain(|_, (_, last)| now.saturating_duration_since(*last) < REMEMBERED);
        let guesses = self.wrong.get(&network).map(|(guesses, _)| *guesses);
        if guesses.is_some_and(|guesses| guesses >= MAX_WRONG)
            || (guesses.is_none() && self.wrong.len() >= MAX_ADDRESSES)
        {
            return PinVerdict::Blocked;
        }
        let Some(typed) = typed.filter(|typed| !typed.is_empty()) else { return PinVerdict::Missing };
        if secret::same(typed, pin) {
            self.wrong.remove(&network);
            return PinVerdict::Right;
        }
        self.wrong.insert(network, (guesses.unwrap_or(0) + 1, now));
        PinVerdict::Wrong
    }
}

/// All addresses that one host may have: itself, or the whole /64 of IPv6, where others may live too.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((u128::from(address) & !u128::from(u64::MAX)).to_be_bytes()),
        v4 => v4,
    }
}

impl fmt::Debug for PinGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinGuard").field("needed", &self.pin.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_wrong_pins_block_the_address_for_an_hour_and_no_other() {
        let (now, mut guard) = (Instant::now(), PinGuard::new(Some("123456".into())));
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!(guard.check(one, None, now), PinVerdict::Missing);
        for _ in 0..MAX_WRONG {
            assert_eq!(guard.check(one, Some("000000"), now), PinVerdict::Wrong);
        }
        assert_eq!(guard.check(one, Some("123456"), now), PinVerdict::Blocked);
        assert_eq!(guard.check(other, Some("123456"), now), PinVerdict::Right);
        assert_eq!(guard.check(one, Some("123456"), now + REMEMBERED), PinVerdict::Right);
    }

    #[test]
    fn a_host_with_many_addresses_has_no_more_guesses_and_many_hosts_find_the_door_closed() {
        let (now, mut guard) = (Instant::now(), PinGuard::new(Some("1".into())));
        for last in 0..3 {
            let address = format!("2001:db8::{last}").parse().unwrap();
            assert_eq!(guard.check(address, Some("2"), now), PinVerdict::Wrong);
        }
        assert_eq!(guard.check("2001:db8::9".parse().unwrap(), Some("1"), now), PinVerdict::Blocked);
        for host in 0..1000u32 {
            guard.check(IpAddr::from(host.to_be_bytes()), Some("2"), now);
        }
        assert!(guard.wrong.len() <= MAX_ADDRESSES);
        assert_eq!(guard.check("10.9.9.9".parse().unwrap(), Some("1"), now), PinVerdict::Blocked);
    }
}
