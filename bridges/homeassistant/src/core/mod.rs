//! The protocol without I/O: bytes, texts, commands and time in; bytes, texts, events and messages for the house out.
//!
//! - [`advert`]: what a server says of itself by DNS-SD, and addresses that its owner gives
//! - [`attr`], [`words`]: the messages, as far as they are read, bounded
//! - [`home`]: entities in devices, and what is told of them
//! - [`map`]: an entity in the words of the catalogue, and back
//! - [`session`]: one connection, from the token to the states
//! - [`sign`]: signing in with the owner's browser, and the tokens that come of it
//! - [`ws`]: the frames of WebSocket

pub mod advert;
pub mod attr;
pub mod home;
pub mod map;
pub mod session;
pub mod sign;
pub mod words;
pub mod ws;
