//! KDE Connect without I/O: bytes, words of the owner and time in; bytes with what they reveal, events and the
//! next timeout out. Facts of the protocol are in the modules that need them.
//!
//! - [`discovery`]: whom to connect to, whom to answer, when to announce
//! - [`link`]: one connection, from the first byte to the last; [`link::Links`]: all of them
//! - [`pairing`]: who is paired
//! - [`packet`]: what is said
//! - [`payload`]: bytes on connections of their own; [`batch`]: several files as one share
//! - [`sftp`]: looking into a device's folders, inside of SSH
//! - [`identity`], [`certificate`], [`tls`], [`lines`]: what the above are made of
//! - [`fuzz`]: entry points for fuzzers

pub mod batch;
pub mod certificate;
pub mod discovery;
pub mod fuzz;
mod id;
pub mod identity;
mod json;
pub mod lines;
pub mod link;
pub mod packet;
pub mod pairing;
pub mod payload;
mod rates;
pub mod sftp;
mod time;
pub mod tls;
mod verification;

pub use id::KdeId;
pub use json::{NumberText, Private};
pub use time::Now;
pub use verification::verification_key;
