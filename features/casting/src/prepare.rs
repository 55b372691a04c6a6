//! In which format a thing is served to a receiver: the file as it is when the receiver plays that, else something made
//! of it. What the receiver says, what it is, and what failed on it before decide.

use std::path::PathBuf;
use std::sync::Arc;

use accord_model::{Data, Device};

use crate::captions::Cues;
use crate::item::Item;
use crate::sniff::Format;

/// Who is to play it, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// What it says that it plays, as MIME types; empty when it does not say.
    pub formats: Vec<String>,
    /// Who made it.
    pub maker: String,
    /// Which model.
    pub model: String,
    /// The raw sound that it takes (`s16le 44100 2`), when it takes that and fetches nothing.
    pub sound: Option<String>,
}

impl Receiver {
    /// What is known of a device that plays.
    pub(crate) fn of(device: &Device) -> Self {
        let values = |id: &str| {
            let found = device.services.iter().find_map(|service| service.values.get(id));
            found.map(|value| value.data.clone())
        };
        let formats = match values("formats") {
            Some(Data::Texts(formats)) => formats.into_iter().map(|format| format.to_ascii_lowercase()).collect(),
            _ => Vec::new(),
        };
        let sound = values("sound").and_then(|data| data.as_text().map(str::to_owned));
        let (maker, model) = (device.maker.clone().unwrap_or_default(), device.model.clone().unwrap_or_default());
        Self { formats, maker, model, sound }
    }
}

/// Which captions are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None.
    #[default]
    None,
    /// Those in this file.
    File(PathBuf),
    /// The so-many-th that are in the film itself, from 0.
    Track(usize),
}

/// What the owner wants of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    /// The so-many-th sound of the film, from 0; else the receiver chooses.
    pub audio_track: Option<usize>,
    /// Captions.
    pub captions: Wanted,
    /// From where on, in seconds.
    pub start: f64,
    /// Served as it is, whatever the receiver says.
    pub as_it_is: bool,
    /// How many ways were tried in vain already: 0 is the best.
    pub step: usize,
}

/// How a receiver finds a place in what it fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seek {
    /// By parts of the file.
    Bytes,
    /// Not at all: prepare it again with another [`Options::start`], and have it opened anew.
    None,
}

impl Seek {
    /// As the contract's `seek` wants it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::None => "none",
        }
    }
}

/// A sound or captions of a film, to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// As a person reads it: language, title, codec.
    pub label: String,
    /// Of captions: they are pictures, and can only be burnt in.
    pub is_picture: bool,
}

/// Something that can be served: to be put on a [`crate::serve::Stand`].
#[derive(Clone)]
pub(crate) struct Prepared {
    /// What the receiver is told it is.
    pub format: Format,
    /// How it seeks in it.
    pub seek: Seek,
    /// How long the whole of it is, in seconds, where known.
    pub length: Option<f64>,
    /// Where in the whole the receiver's zero is: to be added to the position that it says. Not 0 in conversions that begin
    /// later.
    pub begins: f64,
    /// Where the receiver is to begin, counted from its own zero: the contract's `start`.
    pub start: f64,
    /// How it is served, in words for the owner.
    pub how: String,
    /// What the owner could do so that it goes better.
    pub advice: Option<String>,
    /// What would be tried next ([`Options::step`] one higher), in words; nothing when this is the last way.
    pub next: Option<String>,
    /// Its sounds and its captions, to choose from.
    pub sounds: Vec<Track>,
    pub texts: Vec<Track>,
    /// Captions that are served beside it.
    pub captions: Option<Beside>,
    pub(crate) body: Body,
}

/// Captions as they are served.
#[derive(Clone)]
pub(crate) struct Beside {
    pub cues: Arc<Cues>,
    /// How the address ends that the receiver is told: `vtt` or `srt`. Both are answered.
    pub end: &'static str,
}

/// What is served.
#[derive(Clone)]
pub(crate) enum Body {
    /// The file as it is.
    File(Item),
}

/// Prepares things. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Formats {}

impl Formats {
    /// How this is served to that receiver.
    ///
    /// # Errors
    /// In words: there is no way (left).
    pub(crate) async fn prepare(
        &self,
        item: &Item,
        _receiver: &Receiver,
        options: &Options,
    ) -> Result<Prepared, String> {
        if options.step > 0 {
            return Err("there is no other way to serve it".to_owned());
        }
        Ok(Prepared {
            format: item.container().format(),
            seek: Seek::Bytes,
            length: None,
            begins: 0.0,
            start: options.start,
            how: "as it is".to_owned(),
            advice: None,
            next: None,
            sounds: Vec::new(),
            texts: Vec::new(),
            captions: None,
            body: Body::File(item.clone()),
        })
    }

    /// Remembers that a receiver took this in vain: it never fetched it, or fetched it and never moved. From then on the next
    /// way comes first for its model.
    pub(crate) fn failed(&self, _item: &Item, _receiver: &Receiver, _step: usize) {}
}
