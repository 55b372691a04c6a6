//! In which format a thing is served to a receiver: the file as it is when the receiver plays that, else something made
//! of it. What the receiver says, what it is, and what failed on it before decide.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use accord_model::{Data, Device};
use accord_recognition::{Captions, Quirks};

use crate::captions::Cues;
use crate::convert::{self, Burn, CaptionsFile};
use crate::item::Item;
use crate::live::{Live, Pcm};
use crate::memory::Memory;
use crate::plan::{self, Ask, Step};
use crate::probe::{Probed, Text};
use crate::sniff::Format;
use crate::tool::{Encoders, INSTALL};

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
    /// What it does not play whatever it says: MIME types, or `video/*`.
    pub veto: Vec<String>,
    /// It takes no captions beside a film: they have to become part of the picture.
    pub burn_in: bool,
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
        Self { formats, maker, model, sound, ..Self::default() }
    }

    /// With what its make wants done differently, as far as it was recognised.
    pub(crate) fn with(mut self, quirks: &Quirks) -> Self {
        self.veto = quirks.veto.iter().map(|mime| mime.to_ascii_lowercase()).collect();
        self.burn_in = quirks.captions == Captions::BurnIn;
        self
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
    /// By seconds, when it asks so itself; from here, as with [`Seek::None`].
    Time,
    /// Not at all: prepare it again with another [`Options::start`], and have it opened anew.
    None,
}

impl Seek {
    /// As the contract's `seek` wants it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Time => "time",
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
    /// What was made of it already.
    Made(Arc<Vec<u8>>),
    /// What is made of it while it is served.
    Live(Arc<Live>),
}

/// Prepares things. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Formats(Arc<Inner>);

#[derive(Default)]
struct Inner {
    encoders: Mutex<Option<Arc<Encoders>>>,
    memory: Memory,
}

impl Formats {
    /// Remembers in a file of this folder what failed on which model.
    pub(crate) fn open(dir: &Path) -> Self {
        Self(Arc::new(Inner { encoders: Mutex::default(), memory: Memory::open(dir) }))
    }

    /// How this is served to that receiver.
    ///
    /// # Errors
    /// In words: there is no way (left).
    pub(crate) async fn prepare(
        &self,
        item: &Item,
        receiver: &Receiver,
        options: &Options,
    ) -> Result<Prepared, String> {
        let mut advice = None;
        let mut advise = |why: String| {
            advice.get_or_insert(why);
        };
        let encoders = self.encoders().await.map_err(&mut advise).ok();
        let probed = match &encoders {
            Some(_) => item.probed().await.map_err(&mut advise).ok(),
            None => None,
        };
        let captions = captions(item, probed.as_deref(), &options.captions).await;
        let captions = captions.map_err(|why| format!("the captions cannot be shown: {why}"))?;
        let burn = match &captions {
            Said::Nothing => false,
            Said::Cues(_) => receiver.burn_in,
            Said::Pictures(_) => true,
        };
        let sound = options.audio_track.unwrap_or_default();
        let sounds = probed.as_ref().map(|probed| probed.audio.len());
        if let (Some(_), Some(count)) = (options.audio_track, sounds)
            && sound >= count
        {
            return Err(format!("it has {count} sounds, and another was wanted"));
        }
        if encoders.is_none() && (burn || sound > 0) {
            return Err(advice.unwrap_or_else(|| INSTALL.to_owned()));
        }
        let ask = Ask { other_sound: sound > 0, burn, as_it_is: options.as_it_is };
        let ways = plan::ways(item.container(), probed.as_deref(), receiver, encoders.as_deref(), ask)?;
        let ways = self.0.memory.ordered(item, receiver, ways, options.step == 0);
        let way = ways.get(options.step).ok_or("there is no other way to serve it")?.clone();
        let start = if options.start.is_finite() { options.start.max(0.0) } else { 0.0 };
        let is_live = way.step != Step::Direct && !way.format.is_picture();
        let begins = if is_live { start } else { 0.0 };
        let cues = match &captions {
            Said::Cues(cues) if begins > 0.0 => Some(Arc::new(cues.begun_at(begins))),
            Said::Cues(cues) => Some(cues.clone()),
            _ => None,
        };
        let mut by_time = false;
        let body = match way.step {
            Step::Direct => Body::File(item.clone()),
            _ if way.format.is_picture() => Body::Made(Arc::new(convert::picture(item).await?)),
            _ => {
                let burn = match (&captions, &cues) {
                    (Said::Pictures(number), _) => Some(Burn::Pictures(*number)),
                    (_, Some(cues)) if burn => {
                        let cues = cues.clone();
                        let written = tokio::task::spawn_blocking(move || CaptionsFile::new(&cues)).await;
                        Some(Burn::Text(Arc::new(written.map_err(|error| error.to_string())??)))
                    }
                    _ => None,
                };
                // Captions that are burnt in were written for this beginning.
                by_time = probed.as_ref().is_some_and(|probed| probed.length.is_some())
                    && !matches!(burn, Some(Burn::Text(_)));
                let (container, way, burnt) = (item.container(), way.clone(), burn.clone());
                let words = move |later: f64| convert::words(container, &way, start + later, sound, burnt.as_ref());
                Body::Live(Live::new(item.clone(), words, burn))
            }
        };
        let end = if receiver.formats.iter().any(|format| format == "text/vtt") { "vtt" } else { "srt" };
        let is_shown = |text: &Text| Track { label: text.label.clone(), is_picture: text.is_picture() };
        let probed = probed.unwrap_or_default();
        Ok(Prepared {
            format: way.format,
            seek: match is_live {
                true if by_time => Seek::Time,
                true => Seek::None,
                false => Seek::Bytes,
            },
            length: probed.length.filter(|_| !item.is_picture()),
            begins,
            start: start - begins,
            how: way.words,
            advice,
            next: ways.get(options.step + 1).map(|way| way.words.clone()),
            sounds: probed.audio.iter().map(|one| Track { label: one.label.clone(), is_picture: false }).collect(),
            texts: probed.texts.iter().map(is_shown).collect(),
            captions: cues.filter(|_| !burn).map(|cues| Beside { cues, end }),
            body,
        })
    }

    /// Raw sound of a thing for a receiver that takes that ([`Receiver::sound`]): only 16 bits, 44100 Hz, two channels.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn pcm(&self, item: &Item, receiver: &Receiver, options: &Options) -> Result<Pcm, String> {
        if receiver.sound.as_deref() != Some(SOUND) {
            return Err(format!("the device takes another sound than {SOUND}"));
        }
        self.encoders().await?;
        if item.probed().await?.audio.is_empty() {
            return Err("there is no sound in it".to_owned());
        }
        Pcm::start(item, options.start.max(0.0), options.audio_track.unwrap_or_default()).await
    }

    /// Remembers that a receiver took this in vain: it never fetched it, or fetched it and never moved. From then on the next
    /// way comes first for its model.
    pub(crate) fn failed(&self, item: &Item, receiver: &Receiver, step: usize) {
        self.0.memory.failed(item, receiver, step);
    }

    /// Remembers that it played this, whatever failed before.
    pub(crate) fn worked(&self, item: &Item, receiver: &Receiver, step: usize) {
        self.0.memory.worked(item, receiver, step);
    }

    /// What ffmpeg can do here; asked once, and again as long as it is not there.
    async fn encoders(&self) -> Result<Arc<Encoders>, String> {
        let known = || self.0.encoders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoders) = &*known() {
            return Ok(encoders.clone());
        }
        let encoders = Arc::new(Encoders::ask().await?);
        *known() = Some(encoders.clone());
        Ok(encoders)
    }
}

/// The raw sound that is made.
pub(crate) const SOUND: &str = "s16le 44100 2";

/// The captions that are wanted.
enum Said {
    Nothing,
    Cues(Arc<Cues>),
    /// The so-many-th of the film, which are pictures.
    Pictures(usize),
}

async fn captions(item: &Item, probed: Option<&Probed>, wanted: &Wanted) -> Result<Said, String> {
    Ok(match wanted {
        Wanted::None => Said::Nothing,
        Wanted::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || Cues::open(&path)).await;
            Said::Cues(Arc::new(read.map_err(|error| error.to_string())??))
        }
        Wanted::Track(number) => {
            let probed = probed.ok_or(INSTALL)?;
            let count = probed.texts.len();
            let text =
                probed.texts.get(*number).ok_or_else(|| format!("the film has {count}, and another was wanted"))?;
            match text.is_picture() {
                true => Said::Pictures(*number),
                false => Said::Cues(item.cues(*number).await?),
            }
        }
    })
}
