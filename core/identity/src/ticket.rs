//! The text of a pairing ticket, as in a QR code:
//! `accord:pair/1?k=<ephemeral id>&a=<address>&a=…&s=<secret>&p=<purpose>&x=<expiry>`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use accord_model::{Timestamp, text::for_screen};
use zeroize::Zeroizing;

use crate::crypto::{base32, from_base32};
use crate::pairing::{Purpose, TicketSecret};

/// How long a ticket is good for, in seconds.
pub const LIFETIME_SECONDS: i64 = 120;
/// Most addresses in a ticket.
pub const MAX_ADDRESSES: usize = 8;
/// Longest ticket, in bytes.
pub const MAX_LENGTH: usize = 1024;
/// By how much the clocks of two devices may differ, in seconds.
const CLOCKS_DIFFER: i64 = 600;
const PREFIX: &str = "accord:pair/1?";

/// An invitation to pair. Good for one run and two minutes; whoever shows it enforces both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The ephemeral endpoint id to reach.
    pub endpoint: [u8; 32],
    /// Where, best first; 1 to [`MAX_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// The one-time secret.
    pub secret: TicketSecret,
    /// What the pairing is for.
    pub purpose: Purpose,
    /// From this moment on it is worth nothing.
    pub expires: Timestamp,
}

/// Why a text is not a ticket that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// Not of this form at all.
    #[error("`{0}` does not begin with `accord:pair/1?`; copy the whole ticket")]
    NotATicket(String),
    /// Too long.
    #[error("a ticket has at most {MAX_LENGTH} characters")]
    TooLong,
    /// A part is wrong.
    #[error("the ticket's part `{0}` is missing, repeated or malformed; copy the whole ticket, or show a new one")]
    Part(&'static str),
    /// It has a part that this version does not know.
    #[error("the ticket has a part that this version does not know; update Accord here")]
    Unknown,
    /// Too late.
    #[error("the ticket has expired; show a new one on the other device")]
    Expired,
    /// Good for longer than a ticket may be: a wrong clock, or not from Accord.
    #[error("the ticket's expiry is too far away; check the clocks of both devices")]
    TooFar,
}

impl Ticket {
    /// A new ticket for an endpoint. Addresses that mean nothing elsewhere (link-local IPv6, unspecified)
    /// are left out, then at most [`MAX_ADDRESSES`] kept.
    pub fn new(endpoint: [u8; 32], addresses: &[SocketAddr], purpose: Purpose, now: Timestamp) -> Self {
        let usable = addresses.iter().copied().filter(|address| is_portable(*address)).take(MAX_ADDRESSES);
        let expires = now.as_second().saturating_add(LIFETIME_SECONDS);
        Self {
            endpoint,
            addresses: usable.collect(),
            secret: TicketSecret::random(),
            purpose,
            expires: Timestamp::from_second(expires).unwrap_or(Timestamp::MAX),
        }
    }

    /// Reads a ticket. Strict: every part once (addresses up to [`MAX_ADDRESSES`]), in any order, nothing else.
    ///
    /// # Errors
    /// [`TicketError`], never [`TicketError::Expired`]: see [`Self::check`].
    pub fn parse(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(TicketError::TooLong);
        }
        let parts = text.strip_prefix(PREFIX).ok_or_else(|| TicketError::NotATicket(for_screen(text, 24)))?;
        let (mut endpoint, mut secret, mut purpose, mut expires) = (None, None, None, None);
        let mut addresses = Vec::new();
        for part in parts.split('&') {
            match part.split_once('=') {
                Some(("k", value)) => once(&mut endpoint, from_base32(value), "k")?,
                Some(("s", value)) => once(&mut secret, from_base32(value).map(TicketSecret::from_bytes), "s")?,
                Some(("p", value)) => once(&mut purpose, Purpose::parse(value), "p")?,
                Some(("x", value)) => once(&mut expires, second(value), "x")?,
                Some(("a", value)) => {
                    let address = value.parse().ok().filter(|address| is_portable(*address));
                    addresses.push(address.ok_or(TicketError::Part("a"))?);
                }
                _ => return Err(TicketError::Unknown),
            }
        }
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return Err(TicketError::Part("a"));
        }
        Ok(Self {
            endpoint: endpoint.ok_or(TicketError::Part("k"))?,
            addresses,
            secret: secret.ok_or(TicketError::Part("s"))?,
            purpose: purpose.ok_or(TicketError::Part("p"))?,
            expires: expires.ok_or(TicketError::Part("x"))?,
        })
    }

    /// Whether it is still good at `now`, by the clock of the side that shows it: the one that decides.
    ///
    /// # Errors
    /// [`TicketError::Expired`].
    pub fn check(&self, now: Timestamp) -> Result<(), TicketError> {
        if now < self.expires { Ok(()) } else { Err(TicketError::Expired) }
    }

    /// Whether it is worth trying on the side that scanned it, whose clock may differ by some minutes.
    ///
    /// # Errors
    /// [`TicketError::Expired`] or [`TicketError::TooFar`].
    pub fn check_scanned(&self, now: Timestamp) -> Result<(), TicketError> {
        let left = self.expires.as_second().saturating_sub(now.as_second());
        if left <= -CLOCKS_DIFFER {
            return Err(TicketError::Expired);
        }
        if left > LIFETIME_SECONDS + CLOCKS_DIFFER {
            return Err(TicketError::TooFar);
        }
        Ok(())
    }

    /// The ticket as text. It holds the secret: show it, do not log it.
    pub fn text(&self) -> Zeroizing<String> {
        use fmt::Write;
        let mut out = Zeroizing::new(String::with_capacity(MAX_LENGTH));
        let _ = write!(out, "{PREFIX}k={}", base32(&self.endpoint));
        for address in &self.addresses {
            let _ = write!(out, "&a={address}");
        }
        let secret = Zeroizing::new(base32(self.secret.bytes()));
        let _ = write!(out, "&s={}&p={}&x={}", *secret, self.purpose.as_str(), self.expires.as_second());
        out
    }
}

fn once<T>(slot: &mut Option<T>, value: Option<T>, name: &'static str) -> Result<(), TicketError> {
    let value = value.ok_or(TicketError::Part(name))?;
    if slot.replace(value).is_some() { Err(TicketError::Part(name)) } else { Ok(()) }
}

fn second(text: &str) -> Option<Timestamp> {
    let plain = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().and_then(|second| Timestamp::from_second(second).ok())
}

fn is_portable(address: SocketAddr) -> bool {
    let ip = address.ip();
    let local = matches!(address, SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() || v6.scope_id() != 0);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !local && ip != IpAddr::from([255; 4])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
    fn ticket() -> Ticket {
        let addresses = ["192.0.2.7:4711", "[fe80::1]:1", "[2001:db8::1]:4711", "0.0.0.0:1", "192.0.2.1:0"];
        let addresses = addresses.map(|text| text.parse().unwrap());
        let mut ticket = Ticket::new([3; 32], &addresses, Purpose::Peer, at(1000));
        ticket.secret = TicketSecret::from_bytes([5; 16]);
        ticket
    }

    #[test]
    fn a_ticket_reads_back_and_has_this_form() {
        let ticket = ticket();
        assert_eq!(
            ticket.text().as_str(),
            "accord:pair/1?k=ambqgaydambqgaydambqgaydambqgaydambqgaydambqgaydambq&a=192.0.2.7:4711\
             &a=[2001:db8::1]:4711&s=aucqkbifaucqkbifaucqkbifau&p=peer&x=1120"
        );
        assert_eq!(Ticket::parse(&ticket.text()), Ok(ticket.clone()));
        assert_eq!(Ticket::parse(&format!(" {}\n", *ticket.text())), Ok(ticket));
    }

    #[test]
    fn a_ticket_is_good_for_two_minutes() {
        let ticket = ticket();
        assert_eq!(ticket.check(at(1000)), Ok(()));
        assert_eq!(ticket.check(at(1119)), Ok(()));
        assert_eq!(ticket.check(at(1120)), Err(TicketError::Expired));
        assert_eq!(ticket.check_scanned(at(900)), Ok(()), "a slow clock here");
        assert_eq!(ticket.check_scanned(at(1600)), Ok(()), "a fast clock here");
        assert_eq!(ticket.check_scanned(at(1720)), Err(TicketError::Expired));
        assert_eq!(ticket.check_scanned(at(399)), Err(TicketError::TooFar));
    }

    #[test]
    fn what_is_missing_repeated_or_unknown_is_refused() {
        let good = ticket().text().to_string();
        let parts: Vec<_> = good.strip_prefix(PREFIX).unwrap().split('&').collect();
        for name in ["k=", "s=", "p=", "x="] {
            let with = |keep: &dyn Fn(&&&str) -> bool| {
                format!("{PREFIX}{}", parts.iter().filter(keep).copied().collect::<Vec<_>>().join("&"))
            };
            assert!(Ticket::parse(&with(&|part| !part.starts_with(name))).is_err(), "without {name}");
            let part = parts.iter().find(|part| part.starts_with(name)).unwrap();
            assert!(Ticket::parse(&format!("{good}&{part}")).is_err(), "twice {name}");
        }
        assert_eq!(Ticket::parse(&format!("{good}&z=1")), Err(TicketError::Unknown));
        assert_eq!(Ticket::parse(&format!("{good}&")), Err(TicketError::Unknown));
        assert_eq!(Ticket::parse(&good.replace("p=peer", "p=root")), Err(TicketError::Part("p")));
        assert_eq!(Ticket::parse(&good.replace("x=", "x=+")), Err(TicketError::Part("x")));
        assert_eq!(Ticket::parse(&good.replace("k=a", "k=A")), Err(TicketError::Part("k")));
        assert_eq!(Ticket::parse(&format!("{good}{}", "&a=192.0.2.1:1".repeat(7))), Err(TicketError::Part("a")));
        assert_eq!(Ticket::parse(&format!("{good}{}", "&a=192.0.2.1:1".repeat(99))), Err(TicketError::TooLong));
        assert!(matches!(Ticket::parse("https://example.org"), Err(TicketError::NotATicket(_))));
    }

    #[test]
    fn a_printed_ticket_does_not_hold_its_secret() {
        assert!(format!("{:?}", ticket()).contains("TicketSecret(secret)"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = Ticket::parse(&text);
            let _ = Ticket::parse(&format!("{PREFIX}{text}"));
        }
        #[test]
        fn any_change_of_one_character_is_refused_or_another_ticket(at in 14usize..150, c in "[ -~]") {
            let good = ticket().text().to_string();
            let mut changed = good.clone();
            let at = at.min(good.len() - 1);
            changed.replace_range(at..=at, &c);
            if let Ok(read) = Ticket::parse(&changed) {
                // Letters of an IPv6 address may be of either case.
                prop_assert!(changed.trim_end().eq_ignore_ascii_case(&good) || read != ticket());
            }
        }
    }
}
