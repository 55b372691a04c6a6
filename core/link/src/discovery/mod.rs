//! Who is near: DNS-SD announcements on every interface, and a probe of one address where multicast does
//! not pass. Nothing is sent without consent to `link/discovery` (announcing, asking) or `link/pairing`
//! (answering a probe).

pub(crate) mod beacon;
pub(crate) mod driver;
pub mod probe;
pub mod record;
pub(crate) mod sockets;
