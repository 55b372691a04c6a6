//! miIO and MIoT without any I/O.

pub mod device;
pub mod dialect;
pub mod import;
pub mod json;
pub mod line;
pub mod map;
pub mod models;
pub mod packet;
pub mod spec;
