//! A phone's text messages and its address book, asked for when the owner looks at them. What comes is bounded, made safe to
//! show, and kept nowhere: not on disk, and in memory only until it is shown.
//!
//! - [`People`]: the feature
//! - [`message`]: what a phone says of a message
//! - [`vcard`]: what is read of a vCard
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod message;
mod people;
pub mod vcard;

pub use people::{Contacts, Messages, People};

/// What this feature shares, for the statement.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry under which messages are asked for.
pub const MESSAGES: &str = "people/messages";
/// The entry under which messages are sent.
pub const REPLY: &str = "people/reply";
/// The entry under which contacts are asked for.
pub const CONTACTS: &str = "people/contacts";

/// A text from outside, of at most so many characters, without what could mislead who reads it; new lines stay.
fn shown(text: &str, most: usize) -> String {
    let safe = |char: char| if char != '\n' && accord_model::text::is_unsafe(char) { '\u{FFFD}' } else { char };
    let mut cut: String = text.chars().filter(|char| *char != '\r').take(most).map(safe).collect();
    if text.chars().nth(most).is_some() {
        cut.push('…');
    }
    cut
}
