//! Hands: tasks that each keep a connection with one peer, for a bridge whose decisions are made elsewhere.
//!
//! A bridge that stays connected to what its owner added has this shape:
//!
//! | part | what it is | what of it is here |
//! |---|---|---|
//! | mind | one task that holds every decision: it hears the house, the network, the hands and the clock | |
//! | its hands | at most one task for each device that was added, begun and let go of by the mind | [`Hands`] |
//! | a hand | one of those tasks: connects once the owner agrees, says how it stands, follows orders | [`stay`] |
//! | its orders | what the mind wants of it, in a bounded queue, and what waits for a connection | [`Orders`], [`Term`] |
//! | a line | the connection: bytes under a permit | [`NoLine`] |
//! | who asks why | answered by what is heard from then on, or by the silence | [`Tries`] |
//! | devices | what was found and who was added, told as devices | [`crate::added`] |
//!
//! A bridge says what is its own: a [`Peer`] connects and talks, and everything that has nothing to do with a protocol is the
//! same for all. It waits for consent, and whoever wants something meanwhile is told that it is missing. A connection that
//! does not come about, or ends, is tried again after a while, doubled each time, sooner when the peer announces itself or
//! somebody wants something, but never at once: anybody can announce, and a crowd of wishes is one attempt. All that was
//! ordered before an attempt failed has the same answer. The end of the consent ends a connection (the line says so), and
//! being let go of ends a hand wherever it is, with an answer to all who wait.
//!
//! What a hand says travels to the mind in the bridge's own words, through a queue of the bridge's own. It says which of the
//! hands of its device it is ([`Place::number`]), because what an earlier one said is of no interest any more
//! ([`Hands::is_current`]).

mod hands;
mod orders;
mod stay;
mod tries;

pub use hands::{Hands, Place};
pub use orders::{Asks, BEGUN_WITHIN, Order, Orders, Term};
pub use stay::{End, Failures, NoLine, Pace, Peer, State, stay};
pub use tries::Tries;
