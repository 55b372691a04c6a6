//! The KDE Connect bridge, protocol versions 7 and 8. [`core`] is the protocol without I/O.
#![deny(missing_docs)]

pub mod core;
