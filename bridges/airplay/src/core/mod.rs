//! RAOP as a sender speaks it, without sockets and without a clock: bytes and `now` in, bytes and events out.
//!
//! | part | what it is |
//! |---|---|
//! | [`txt`], [`finder`] | what receivers announce; who is here, and what can be done with each |
//! | [`rtsp`], [`words`] | requests and answers of the control connection, each within limits; what is asked |
//! | [`alac`], [`rtp`] | sound in frames, and the datagrams that carry it, its clock and its repeats |
//! | [`line`](mod@line) | the line of packets: what is sent when, sent again, heard by now |
//! | [`cast`] | one receiver that is played to: commands and sound in, bytes and values out |
//!
//! There is no public specification by the maker. Names and numbers are those of the unofficial "AirTunes v2" description
//! (RAOP over RTSP, RFC 2326, and RTP, RFC 3550) and of what receivers were seen to do.

pub mod alac;
pub mod cast;
pub mod finder;
pub mod line;
pub mod rtp;
pub mod rtsp;
pub mod txt;
pub mod words;
