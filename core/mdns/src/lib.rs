//! Multicast DNS and DNS service discovery (RFC 6762, RFC 6763) without sockets.
//!
//! [`Core`] takes datagrams, time and wishes (publish, browse, which interfaces there are) and gives
//! datagrams to send and events. A driver with real sockets joins the groups on every interface, notes on
//! which interface a datagram came in, and sends what it is told:
//!
//! ```
//! use accord_mdns::{Config, Core, Event, Interface, Output, Publication};
//! use std::time::Duration;
//!
//! let mut now = Duration::ZERO;
//! let mut one = Core::new(Config::with_seed(1));
//! let mut two = Core::new(Config::with_seed(2));
//! one.set_interfaces(vec![Interface { index: 2, addresses: vec!["192.0.2.1".parse().unwrap()] }], now);
//! two.set_interfaces(vec![Interface { index: 2, addresses: vec!["192.0.2.2".parse().unwrap()] }], now);
//! one.publish(Publication::new("_accord._udp", "k3v9", "k3v9", 4711).unwrap(), now).unwrap();
//! two.browse("_accord._udp", now).unwrap();
//! let found = loop {
//!     while let Some(output) = one.poll() {
//!         if let Output::Transmit(sent) = output { two.handle_datagram("192.0.2.1:5353".parse().unwrap(), 2, &sent.bytes, now) }
//!     }
//!     match two.poll() {
//!         Some(Output::Transmit(sent)) => one.handle_datagram("192.0.2.2:5353".parse().unwrap(), 2, &sent.bytes, now),
//!         Some(Output::Event(Event::Found(instance))) => break instance,
//!         Some(_) => {}
//!         None => {
//!             now = one.poll_timeout().into_iter().chain(two.poll_timeout()).min().unwrap();
//!             one.handle_timeout(now);
//!             two.handle_timeout(now);
//!         }
//!     }
//! };
//! assert_eq!((found.name.as_str(), found.port), ("k3v9", 4711));
//! ```
//!
//! Instance and host names are the caller's: ids that rotate, never the name of the machine. What arrives
//! is bounded in every direction ([`Config`]): the number of instances, records per source, answers per
//! second. Nothing is sent before the caller publishes or browses.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod api;
mod chance;
mod core;
mod host;
mod instance;
mod life;
mod message;
mod name;
mod querier;
mod responder;

pub use api::{
    Config, Event, FoundAddress, GROUP_V4, GROUP_V6, Interface, MAX_DATAGRAM, Output, PORT, Publication, PublicationId,
    ServiceInstance, Transmit, WishError,
};
pub use core::{Core, fuzz_core};
pub use host::HostQuestion;
pub use message::fuzz;
