//! KDE Connect without I/O.
pub mod certificate;
pub mod id;
pub mod identity;
mod json;
pub mod lines;
pub mod link;
pub mod packet;
pub mod pairing;
mod rates;
mod time;
pub mod tls;
mod verification;
pub use id::KdeId;
pub use json::{NumberText, Private};
pub use time::Now;
pub use verification::verification_key;
