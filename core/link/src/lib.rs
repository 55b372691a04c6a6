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
#![cfg_attr(not(test), deny(clippy::unwrap_used))]
// The link is, beside the outlets of `accord-consent`, the one place with sockets.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod account;
pub mod api;
pub mod carrier;
pub mod discovery;
pub(crate) mod endpoint;
pub mod frame;
mod greet;
mod inner;
mod law;
mod link;
mod memory;
mod near;
mod pairing;
mod peer;
mod reset;
mod runs;
mod serve;
mod standing;
mod why;
#[doc(hidden)]
pub mod wire;

pub use api::{
    LinkDevice, LinkError, LinkEvent, LinkOptions, LinkStatus, Network, PairingDirection, PairingId, PairingInfo,
    PairingMethod, PairingStep, PathNow, ProvenHead, ResetDone, ShownTicket, Witness,
};
pub use link::{Link, LinkBridge};

/// This crate's part of Accord's statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// [`STATEMENT`] with the owner's relay (`https://host[:port]`) as the one host of `link/relay`. Another
/// relay is another recipient: consent to the old one does not carry over. Without a relay, or with one
/// that makes no sense, the entry goes to no host.
pub fn statement_for(relay: Option<&str>) -> String {
    let Some((_, host)) = relay.and_then(link::relay_host) else { return STATEMENT.to_owned() };
    let (before, after) = STATEMENT.split_once("key = \"link/relay\"").expect("the statement has a relay entry");
    let after = after.replacen("hosts = []", &format!("hosts = [\"{host}\"]"), 1);
    format!("{before}key = \"link/relay\"{after}")
}

/// ALPN of a pairing between devices that do not know each other.
pub const PAIR_ALPN: &[u8] = b"accord/pair/1";

#[cfg(test)]
mod tests {
    use accord_model::EntryKey;
    use accord_statement::{Publisher, Statement};

    #[test]
    fn the_statement_reads_and_names_the_owners_relay_and_no_other() {
        let read = |text: &str| Statement::join("accord", "Accord", Publisher::named("x"), "1", &[text]).unwrap();
        let relay = EntryKey::new("link/relay").unwrap();
        assert!(read(super::STATEMENT).entry(&relay).unwrap().hosts.is_empty());
        let named = read(&super::statement_for(Some("https://relay.example")));
        assert_eq!(named.entry(&relay).unwrap().hosts, ["relay.example:443"]);
        assert!(read(&super::statement_for(Some("nonsense"))).entry(&relay).unwrap().hosts.is_empty());
    }
}
