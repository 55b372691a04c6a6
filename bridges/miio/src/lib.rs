//! miIO.
#![deny(missing_docs)]
pub mod core;
