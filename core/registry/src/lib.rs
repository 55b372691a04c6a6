//! Which devices are here now, who speaks for them, and the way of calls and streams between features
//! and bridges.
//!
//! A feature asks the [`Registry`] (`call`, `open_stream`) and answers for one of this machine's own
//! services with a [`ServiceHandler`]. A bridge implements [`Bridge`]: one task with an inbox and an
//! outbox of plain messages. Neither knows the other.
#![deny(missing_docs)]

mod ask;
mod bridge;
#[doc(hidden)]
pub mod example;
mod parts;
mod pending;
mod registry;
mod turns;
pub mod why;

pub use ask::{Answer, Ask, PairStep, Port};
pub use bridge::{Bridge, BridgeSide, ByteStream, PathInfo};
pub use registry::{Known, Registry, RegistryEvent, ServiceHandler, WeakRegistry};
