//! Pairing two devices, without I/O: frames, user actions and time go in; frames, questions and the
//! result come out.
//!
//! ```text
//! I -> R : hello    versions, purpose, method, T_I, name, kind, c = H(T_I, n_I)
//! R -> I : reply    version, purpose, method, T_R, n_R
//! I -> R : reveal   n_I                                  R checks c
//! both   : code     six digits over nonces, keys, purpose, all frames so far and the channel's exporter
//! both   : confirm  MAC(role, transcript), only after the own user agreed
//! both   : record   statement key, transport key, name, kind; signed by both keys over the transcript
//! ```
//!
//! With [`Method::Ticket`] the initiator scanned a one-time secret. It is part of every key, so that the
//! initiator's confirm proves it; there is no code, and the showing side asks its user by name and kind.
//!
//! Run it over an encrypted channel between *ephemeral* endpoint keys, with 32 bytes exported from that
//! channel under [`EXPORTER_LABEL`]. Frames are bounded by [`MAX_FRAME`]; whoever reads them from the
//! network refuses longer ones. After [`Output::Done`] or [`Output::Failed`] nothing more comes.
//!
//! ```
//! use accord_identity::{Identity, pairing::{Input, Method, Output, Pairing, Purpose, Setup}};
//! use accord_model::{DeviceKind, Timestamp};
//! use std::{sync::Arc, time::Duration};
//!
//! let setup = |name: &str, own, peer| Setup {
//!     identity: Arc::new(Identity::generate()), name: name.into(), kind: DeviceKind::Laptop,
//!     purpose: Purpose::Peer, method: Method::Code, own_transport: own, peer_transport: peer,
//!     exporter: [7; 32], paired_at: Timestamp::UNIX_EPOCH, until: None,
//! };
//! let now = Duration::ZERO;
//! let mut sides = [Pairing::initiate(setup("a", [1; 32], [2; 32]), now), Pairing::respond(setup("b", [2; 32], [1; 32]), now)];
//! let (mut codes, mut done) = (Vec::new(), 0);
//! while done < 2 {
//!     for side in 0..2 {
//!         while let Some(output) = sides[side].poll() {
//!             match output {
//!                 Output::Send(frame) => sides[1 - side].handle(Input::Frame(&frame), now),
//!                 Output::ShowCode { code, .. } => { codes.push(code); sides[side].handle(Input::UserConfirmed, now) }
//!                 Output::AskUser(_) => unreachable!("only with a ticket"),
//!                 Output::Done(_) => done += 1,
//!                 Output::Failed(error) => panic!("{error}"),
//!             }
//!         }
//!     }
//! }
//! assert_eq!(codes[0], codes[1]);
//! ```

mod error;
mod keys;
mod machine;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use accord_model::{DeviceKind, Timestamp, text};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Identity;
pub use error::{PairingError, Refusal};
pub use machine::{Pairing, fuzz as fuzz_machine};
pub use wire::{fuzz, is_hello, refusal_frame};

/// Longest frame, in bytes.
pub const MAX_FRAME: usize = 8 * 1024;
/// Longest name, in characters.
pub const MAX_NAME: usize = 64;
/// How long a user has to compare or agree.
pub const CONFIRM_TIME: std::time::Duration = std::time::Duration::from_secs(60);
/// How long a step may take that waits for no user.
pub const STEP_TIME: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a run takes at most.
pub const TOTAL_TIME: std::time::Duration = std::time::Duration::from_secs(120);
/// Label under which the channel's keying material is exported (no context).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-accord-pair-1";

/// What a pairing is for. Part of every key: a run for one purpose is worth nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Two devices that may reach each other; what they may do is asked and granted later.
    Peer,
    /// A device that joins the owner's account. Reserved for the membership log; another, stronger ceremony.
    Join,
}

impl Purpose {
    /// The word on the wire and in tickets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Join => "join",
        }
    }
    /// Reads [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Peer, Self::Join].into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// The one-time secret in a ticket: 128 bits.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TicketSecret([u8; 16]);

impl TicketSecret {
    /// A fresh one.
    pub fn random() -> Self {
        Self(crate::crypto::random())
    }
    /// From a ticket.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
impl PartialEq for TicketSecret {
    fn eq(&self, other: &Self) -> bool {
        crate::crypto::same(&self.0, &other.0)
    }
}
impl Eq for TicketSecret {}
impl std::fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TicketSecret(secret)")
    }
}

/// The way in. Both sides must have chosen the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Six digits compared on both screens.
    Code,
    /// The secret of a ticket: shown by the responder, scanned by the initiator. One use: whoever showed it
    /// forgets it when a run with it ends, however it ends.
    Ticket(TicketSecret),
}

/// What one side brings to a pairing.
pub struct Setup {
    /// This device's keys.
    pub identity: Arc<Identity>,
    /// What this device calls itself. The initiator's goes out first; the responder's only after both agreed.
    pub name: String,
    /// What this device is.
    pub kind: DeviceKind,
    /// What the pairing is for.
    pub purpose: Purpose,
    /// The way in.
    pub method: Method,
    /// This side's ephemeral endpoint id, as the channel proved it.
    pub own_transport: [u8; 32],
    /// The other side's ephemeral endpoint id, as the channel proved it.
    pub peer_transport: [u8; 32],
    /// 32 bytes exported from the channel under [`EXPORTER_LABEL`].
    pub exporter: [u8; 32],
    /// The time to note in the record.
    pub paired_at: Timestamp,
    /// Until when the pairing counts on this side.
    pub until: Option<Timestamp>,
}

/// What the other side says it is, before that is proven. The name is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// At most [`MAX_NAME`] characters; may be empty.
    pub name: String,
    /// What it says it is.
    pub kind: DeviceKind,
}

/// What happens to a run.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The other side sent this.
    Frame(&'a [u8]),
    /// This side's user agreed: the codes are equal, or the device that was named may come in.
    /// Without effect before something was asked.
    UserConfirmed,
    /// This side's user refused.
    UserRejected,
    /// This side's user typed the code of the other screen. The right one counts as agreeing, a wrong one
    /// fails both sides. May come before the own code is known; it is then judged as soon as that is.
    Code(&'a str),
    /// The time named by [`Pairing::poll_timeout`] has come.
    Timeout,
    /// The channel closed.
    Closed,
}

/// What a run wants.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // few at a time, and consumed at once
pub enum Output {
    /// Send this to the other side.
    Send(Vec<u8>),
    /// Show these six digits and ask whether the other screen shows the same.
    ShowCode {
        /// Six digits, leading zeros kept.
        code: String,
        /// What the other side claims; the initiator does not know yet.
        peer: Option<Claim>,
    },
    /// Ask whether this device, which holds the ticket's secret, may come in.
    AskUser(Claim),
    /// Paired. The record is not stored yet.
    Done(crate::PeerRecord),
    /// Over without result.
    Failed(PairingError),
}

/// A name from outside, trimmed, safe to show and at most [`MAX_NAME`] characters long.
pub fn safe_name(name: &str) -> String {
    let name = name.trim();
    if name.chars().nth(MAX_NAME).is_none() {
        return text::for_screen(name, MAX_NAME);
    }
    text::for_screen(name, MAX_NAME - 1)
}
