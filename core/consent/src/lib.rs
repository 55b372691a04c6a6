//! The law of the house: nothing personal leaves this device unless a statement declares it, its owner
//! agreed, and it is written down.
//!
//! - [`Personal`]: a value that nobody can look into, with the kinds of data it holds
//! - [`Gate`], [`BoundGate`]: statement → consent → limits; what a feature holds is bound to its own entries
//! - [`Permit`]: proof that the gate let one disclosure through; single use
//! - [`Envelope`] → [`Outgoing`], [`Outflow`], [`DatagramLease`]: the three ways in which a seal opens
//! - [`outlet`]: the only sockets and child processes outside the link
//! - [`Ledger`]: what was decided, sent and refused, under a Merkle tree that other devices witness
//!
//! ```
//! # use std::sync::Arc;
//! use accord_consent::{Choice, Decision, Destination, Envelope, Gate, Personal, RecipientId, To};
//! use accord_model::{EntryKey, FieldCode, FieldSet};
//! # let dir = tempfile::tempdir().unwrap();
//! # let (statement, signer) = accord_consent::example::parts();
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let gate = Gate::open(dir.path(), statement, signer).unwrap();
//! let entry = EntryKey::new("example/hello").unwrap();
//! let phone: RecipientId = "device:phone".parse().unwrap();
//!
//! // A feature holds a gate that is bound to its own entries.
//! let bound = gate.bind("example");
//! let fields = FieldSet::one(FieldCode::DeviceName);
//! assert!(bound.permit(&entry, &phone, fields, "on.request").is_err(), "no decision is a no");
//!
//! // The owner saw the notice and agrees.
//! let notice = gate.notice(&entry, "en").unwrap();
//! gate.decide(Decision::new(entry.clone(), To::One(phone.clone()), Choice::Always, notice.shown("cli"))).unwrap();
//!
//! let name = Personal::new(FieldCode::DeviceName, "Kitchen".to_owned());
//! let permit = bound.permit(&entry, &phone, fields, "on.request").unwrap();
//! let mut outgoing = permit.seal(Envelope::new().text("name", &name), Destination::new(phone, "192.0.2.7:1")).await.unwrap();
//! let mut wire = Vec::new();
//! outgoing.send(&mut wire, b"", std::time::Duration::from_secs(10)).await.unwrap();
//! outgoing.confirm(wire.len() as u64).await.unwrap();
//! assert!(gate.ledger().list(&Default::default()).unwrap().iter().any(|record| record.public.bytes.is_some()));
//! # });
//! ```
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod chores;
mod consents;
mod decision;
mod envelope;
mod error;
#[doc(hidden)]
pub mod example;
mod gate;
mod lease;
pub mod ledger;
mod notice;
mod outflow;
pub mod outlet;
mod permit;
pub mod receipts;
mod recipient;
mod rules;
mod sealed;
mod watch;

pub use decision::{Choice, Consent, ConsentId, ConsentState, Decision, Shown, Which};
pub use envelope::{Envelope, Outgoing};
pub use error::{GateError, Refusal, SendError, outcome};
pub use gate::{BoundGate, Gate, GateEvent, Received};
pub use lease::DatagramLease;
pub use ledger::{Checkpoint, Head, Ledger, LedgerError, Query, Record, RecordKind, VerifyReport};
pub use notice::Notice;
pub use outflow::Outflow;
pub use permit::{Permit, Sent};
pub use recipient::{BadRecipient, Destination, RecipientId, To};
pub use sealed::{Personal, Plain};
pub use watch::ConsentWatch;

/// Entry for fuzzing: any bytes as a stored decision.
#[doc(hidden)]
pub fn fuzz_consent(bytes: &[u8]) {
    consents::fuzz(bytes);
}

/// Signs the ledger's checkpoints with the device's statement key (Ed25519).
pub trait Signer: Send + Sync {
    /// The signature over `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
    /// The public key that verifies it.
    fn public(&self) -> [u8; 32];
}
