//! One renderer: what is wanted of it goes in, calls to its services come out one after the other, and what it says of
//! itself becomes values.
//!
//! A renderer's word that it plays proves nothing: some say so for an address that does not exist. So a command is done
//! when the renderer shows what was wanted, and [`Value::Moving`] says whether its position really advances.

mod machine;
mod step;
#[cfg(test)]
mod tests;

use std::time::Instant;

use super::didl::Track;
use super::http::Answer;
use super::place::Place;
use super::soap::Fault;

pub use machine::Renderer;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// Play on.
    Play,
    /// Hold.
    Pause,
    /// The one or the other.
    PlayPause,
    /// End.
    Stop,
    /// The next title.
    Next,
    /// The title before.
    Previous,
    /// Go to this second.
    Seek(f64),
    /// So loud, in percent.
    Volume(u8),
    /// Silent, or not.
    Muted(bool),
    /// Play what is at this address.
    Open {
        /// The address, from which the renderer fetches it.
        address: String,
        /// What it shows as the title.
        title: String,
    },
    /// Say how it stands.
    Look,
}

/// What is said of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// It says that it plays.
    Playing(bool),
    /// Its position advanced since the last look.
    Moving(bool),
    /// What it plays.
    Track(Track),
    /// How long that is, in seconds.
    Length(f64),
    /// Where it is, in seconds.
    Position(f64),
    /// How loud it is, in percent.
    Volume(u8),
    /// Whether it is silent.
    Muted(bool),
}

/// What it can do beside playing and stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Offers {
    pub pause: bool,
    pub seek: bool,
    pub next: bool,
    pub previous: bool,
    pub volume: bool,
    pub mute: bool,
}

/// Which sorts of media it says that it plays (ConnectionManager:1, 2.5.2): a claim, and often too long a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Formats {
    pub video: bool,
    pub audio: bool,
    pub image: bool,
}

impl Formats {
    /// Reads a list of `http-get:*:type/subtype:features`.
    pub(super) fn parse(sink: &str) -> Self {
        let plays =
            |sort: &str| sink.split(',').filter_map(|one| one.split(':').nth(2)).any(|mime| mime.starts_with(sort));
        Self { video: plays("video/"), audio: plays("audio/"), image: plays("image/") }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// It said yes and did not do it.
    #[error("the device said yes, but {0}")]
    Ignored(&'static str),
    /// Not now.
    #[error("{0}")]
    NotNow(&'static str),
    /// There is no way to it.
    #[error("{0}")]
    Lost(String),
    /// Too much is wanted.
    #[error("the device has not done yet what was wanted before")]
    Busy,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Something is wanted; answered by [`Event::Done`] with the same number.
    Wanted(u64, Wanted),
    /// The answer to [`Output::Ask`], or why there is none.
    Answered(Result<Answer, String>),
    /// It announced itself.
    Heard,
    /// [`Output::Wait`] is over.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Ask it something; answered by [`Input::Answered`].
    Ask(Ask),
    /// Something is new.
    Event(Event),
    /// Nothing until then, or until something is wanted.
    Wait(Option<Instant>),
}

/// A question to the renderer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What a service can do.
    Describe(Place),
    /// A call.
    Call {
        /// Of the service here,
        place: Place,
        /// of this type,
        kind: String,
        /// this action,
        action: &'static str,
        /// with this body.
        body: String,
        /// Whether it says what is to be played.
        names_media: bool,
    },
}

/// What is new.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// What it can do.
    Offers(Offers),
    /// What it plays.
    Formats(Formats),
    /// How it stands.
    Values(Vec<Value>),
    /// What became of a wish.
    Done(u64, Result<(), Trouble>),
    /// It no longer answers.
    Silent,
}
