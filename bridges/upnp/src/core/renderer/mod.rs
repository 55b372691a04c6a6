//! One renderer: what is wanted of it goes in, calls to its services come out one after the other, and what it says of
//! itself becomes values.
//!
//! A renderer's word that it plays proves nothing: some say so for an address that does not exist. So a command is done
//! when the renderer shows what was wanted, and [`Value::Moving`] says whether its position really advances.

mod asking;
mod events;
mod machine;
mod step;
mod telling;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::didl::{Item, Track, Ways};
use super::gena::{Sid, Teller};
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
    /// Play what is at an address.
    Open {
        /// What that is.
        item: Box<Item>,
        /// From which second on.
        start: Option<f64>,
        /// How this renderer is told.
        manner: Manner,
    },
    /// Play this once what plays now is over, without a gap.
    Enqueue {
        /// What that is.
        item: Box<Item>,
        /// How this renderer is told.
        manner: Manner,
    },
    /// Say how it stands.
    Look,
}

/// How a renderer is told to play something. The default is what nearly all want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// In which ways it is told of captions.
    pub captions: Ways,
    /// It is stopped before.
    pub stop_first: bool,
    /// What it was to play next is taken away before.
    pub clear_next: bool,
    /// It is told what it is beside the address.
    pub metadata: bool,
    /// How long it is left alone with the address before it is to play.
    pub rest: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        let captions = Ways::default();
        Self { captions, stop_first: true, clear_next: true, metadata: true, rest: Duration::ZERO }
    }
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
    /// How often it went on by itself with what it was given for that.
    Turn(u32),
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
    pub enqueue: bool,
}

/// What it says that it plays (ConnectionManager:1, 2.5.2): a claim, and often too long a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Formats {
    pub video: bool,
    pub audio: bool,
    pub image: bool,
    /// MIME types, each once; `*/*` for "any".
    pub types: Vec<String>,
}

/// Most types that are kept of a renderer's, and the longest: real ones have up to 300.
const MAX_TYPES: usize = 400;
const MAX_TYPE: usize = 100;

impl Formats {
    /// Reads a list of `http-get:*:type/subtype:features`; a comma inside of one is written `\,`.
    pub(super) fn parse(sink: &str) -> Self {
        let mut types = std::collections::BTreeSet::new();
        let mut before = "";
        for one in sink.split(',') {
            let continued = before.ends_with('\\');
            before = one;
            let mut parts = one.trim().split(':');
            let fetched = parts.next().is_some_and(|how| how.eq_ignore_ascii_case("http-get") || how == "*");
            let Some(mime) = parts.nth(1).filter(|_| fetched && !continued && types.len() < MAX_TYPES) else {
                continue;
            };
            let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            let fits = mime.len() <= MAX_TYPE && mime.contains('/') && mime.bytes().all(|byte| byte.is_ascii_graphic());
            if mime == "*" {
                types.insert("*/*".to_owned());
            } else if fits {
                types.insert(mime);
            }
        }
        let plays = |sort: &str| types.iter().any(|mime| mime.starts_with(sort));
        let [video, audio, image] = ["video/", "audio/", "image/"].map(plays);
        Self { video, audio, image, types: types.into_iter().collect() }
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
    /// Nothing that it tells ([`Renderer::notified`]) arrives any more.
    Deaf,
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
    /// To tell of changes, at the callback of this teller.
    Subscribe {
        /// Where it is asked.
        place: Place,
        /// Of what.
        teller: Teller,
    },
    /// To go on with that.
    Renew {
        /// Where it is asked.
        place: Place,
        /// Which subscription.
        sid: Sid,
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
