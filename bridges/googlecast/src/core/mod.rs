//! The protocol without I/O: bytes, time and wishes in; bytes, events and the next timeout out.
//!
//! | part | what it is |
//! |---|---|
//! | [`advert`] | what a device says of itself by DNS-SD |
//! | [`discovery`] | who is here, within limits |
//! | [`tls`] | the encrypted connection, and the key that the device shows |
//! | [`frame`] | messages on that connection: a length and six protobuf fields |
//! | [`words`] | what is inside of them: JSON |
//! | [`session`] | one device: what is wanted of it goes in, what it says of itself comes out |
//!
//! Google publishes the protocol's messages in Chromium (`components/media_router/common/providers/cast`), and the media
//! messages at developers.google.com/cast/docs/media/messages.

pub mod advert;
pub mod discovery;
pub mod frame;
pub mod session;
pub mod words;
