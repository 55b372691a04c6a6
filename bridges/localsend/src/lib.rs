//! LocalSend, so that phones and computers which run it exchange files and texts with this machine. It is
//! version 2.2 of the protocol: HTTP over TLS whose self-signed certificates are pinned, found by multicast.
//!
//! [`core`] is the protocol without any I/O; the driver moves its bytes.
#![deny(missing_docs)]

pub mod core;
