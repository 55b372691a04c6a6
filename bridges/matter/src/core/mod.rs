//! What a Matter node says, in the words of the house, and back; no I/O, no clock.
//!
//! For the driver, in the order in which it meets them:
//!
//! - [`advert`]: what nodes announce by DNS-SD
//! - [`code`]: what a person reads off a device, as discriminator and passcode: [`code::Code::parse`]
//! - [`dialog`]: what is said with a node over a session: a subscription to all that it has, and what it is told
//! - [`value`]: decoded TLV, bounded: [`value::Value::of`] takes what matter-codec decoded
//! - [`node`]: a node as it was read and is told by its subscription. [`node::Node::report`] takes attributes and says which
//!   devices are to be described ([`node::Node::describe`]), which values changed and which devices are gone;
//!   [`node::Node::event`] does the same with events; [`node::Node::order`] makes what the house wants into commands
//! - [`command`]: those, to be encoded and sent
//! - [`map`]: each cluster in the words of the catalogue, and back
//! - [`names`]: what attributes are called, and which are not shown

pub mod advert;
mod answer;
pub mod code;
pub mod command;
pub mod dialog;
#[doc(hidden)]
pub mod fuzzing;
mod look;
pub mod map;
pub mod names;
pub mod node;
pub mod value;
mod word;
