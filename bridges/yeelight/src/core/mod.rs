//! The protocol (Yeelight WiFi Light Inter-Operation Specification), without I/O: bytes, time and wishes in; bytes, events
//! and the next timeout out.
//!
//! | part | what it is |
//! |---|---|
//! | [`advert`] | searches, and what lamps answer and announce |
//! | [`discovery`] | who is here |
//! | [`line`] | the lines of a connection |
//! | [`state`] | what a lamp can do and says of itself, in the words of the house |
//! | [`quota`] | how many commands a lamp takes |
//! | [`session`] | one connection with a lamp |

pub mod advert;
pub mod discovery;
pub mod line;
pub mod quota;
pub mod session;
pub mod state;
