//! The protocol, without any I/O.
//!
//! | part | what it is |
//! |---|---|
//! | [`packet`], [`topic`], [`session`] | MQTT 3.1.1 |
//! | [`template`], [`units`], [`native`] | where a value is in a message, and what it means |
//! | [`parts`] | services of the house, and which topics they are read from and written to |
//! | [`exposes`], [`zigbee`] | what zigbee2mqtt says of its devices |
//! | [`discovery`], `short`, [`entity`] | what others say of theirs, by Home Assistant's convention |
//! | [`showing`] | devices of this house in that convention, for others |
//! | [`thing`], [`groups`], [`known`], [`house`] | one device; which entities are one, now and before; all of a broker |

pub mod discovery;
pub mod entity;
pub mod exposes;
pub mod groups;
pub mod house;
pub mod known;
pub mod native;
pub mod packet;
pub mod parts;
pub mod session;
mod short;
pub mod showing;
pub mod template;
pub mod thing;
pub mod topic;
pub mod units;
pub mod zigbee;
