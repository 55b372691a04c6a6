//! Who this device is, and whom it knows. No sockets; the only files are this crate's own, 0600.
//!
//! - [`Identity`]: two keys (transport and statement) and the ids derived for each entry and recipient
//! - [`announce`]: announcement ids that rotate, and hints by which paired devices recognise each other
//! - [`pairing`]: commit-then-reveal comparison of six digits, or a one-time ticket; frames in, frames out
//! - [`ticket`]: the text in a QR code
//! - [`limiter`]: how often pairing may be tried
//! - [`PeerRecord`], [`Peers`]: the paired devices
//! - [`account`]: where the owner's membership log goes
//!
//! A paired device may do nothing by being paired: consents and the grants in [`PeerRecord`] say what.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! use accord_identity::{Identity, Peers};
//! let identity = Identity::load_or_create(dir.path()).unwrap();
//! let again = Identity::load_or_create(dir.path()).unwrap();
//! assert_eq!(identity.transport_public(), again.transport_public());
//! assert!(Peers::open(&identity.vault(dir.path(), None)).unwrap().list().is_empty());
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod account;
pub mod announce;
mod crypto;
mod identity;
mod key;
pub mod limiter;
pub mod pairing;
mod peers;
pub mod ticket;

pub use accord_store::FileError;
pub use identity::{Handover, Identity, Resets};
pub use key::{PairKey, Signature, StatementKey};
pub use peers::{AutoAccept, PeerRecord, Peers, PeersError};
