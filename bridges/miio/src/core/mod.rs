//! miIO and MIoT without any I/O.

pub mod json;
pub mod line;
pub mod packet;
pub mod spec;
