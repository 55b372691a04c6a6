//! KDE Connect without I/O.
pub mod id;
pub mod identity;
mod json;
pub mod lines;
pub mod packet;
mod verification;
pub use id::KdeId;
pub use json::{NumberText, Private};
pub use verification::verification_key;
