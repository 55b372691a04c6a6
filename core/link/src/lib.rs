//! Accord's own protocol, a bridge among bridges: devices on the same network find each other, pair,
//! and carry calls and byte streams, over keys that both owners agreed on.
//!
//! Nothing here opens a socket before the owner consented to the entry it belongs to (`statement.toml`):
//! announcing under `link/discovery`, pairing under `link/pairing`, connections to paired devices under
//! `link/connection`, a relay under `link/relay`. Withdrawing closes the sockets at once.
//!
//! - [`api`]: what an application sees: options, devices, pairings, events
//! - [`frame`]: bounded messages on a byte stream
//! - [`carrier`]: what carries bulk bytes: TLS over TCP or QUIC, chosen by measurement
//! - [`discovery`]: who is near
#![deny(missing_docs)]
// The link is, beside the outlets of `accord-consent`, the one place with sockets.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod api;
pub mod carrier;
pub mod discovery;
pub(crate) mod endpoint;
pub mod frame;
mod inner;
mod law;
mod link;
mod memory;
mod pairing;
mod peer;
mod serve;
#[doc(hidden)]
pub mod wire;

pub use api::{
    LinkDevice, LinkError, LinkEvent, LinkOptions, LinkStatus, Network, PairingDirection, PairingId, PairingInfo,
    PairingMethod, PairingStep, PathNow, ShownTicket, Witness,
};
pub use link::{Link, LinkBridge};

/// This crate's part of Accord's statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// ALPN of the connection between paired devices.
pub const LINK_ALPN: &[u8] = b"accord/link/1";
/// ALPN of a pairing between devices that do not know each other.
pub const PAIR_ALPN: &[u8] = b"accord/pair/1";
