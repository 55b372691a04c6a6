//! Which devices are here now, who speaks for them, and the way of calls and streams between features
//! and bridges.
//!
//! A feature asks the [`Registry`] (`call`, `open_stream`) and answers for one of this machine's own
//! services with a [`ServiceHandler`]. A bridge implements [`Bridge`]: one task with an inbox and an
//! outbox of plain messages. Neither knows the other.
//!
//! What a bridge describes is a **face**: [`Registry::device`], [`Registry::devices`], calls, streams, events and consents
//! are about faces, each by its own id. What a person sees is a **thing** of one or more of them ([`Registry::thing`],
//! [`Registry::things`]); [`Registry::ways`] says which of its faces to ask for what.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod ask;
mod bridge;
mod calls;
#[doc(hidden)]
pub mod example;
mod faces;
mod hear;
mod memory;
mod parts;
mod pending;
mod registry;
mod thing;
mod turns;
pub mod why;

pub use ask::{Answer, Ask, PairStep, Port};
pub use bridge::{Bridge, BridgeSide, ByteStream, PathInfo};
pub use calls::Added;
pub use faces::{CannotJoin, Words};
pub use registry::{Known, Registry, RegistryEvent, ServiceHandler, WeakRegistry};
pub use thing::{Face, Job, Thing, goes_on, in_turn};
