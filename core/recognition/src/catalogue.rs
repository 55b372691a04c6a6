//! The catalogue: rows of what devices of one make say of themselves, and what has to be done differently for them. Read
//! strictly: a word that is not known is an error with its place, never skipped.

use accord_model::{DeviceKind, Origin, What};
use serde::Deserialize;

use crate::pattern::{BadPattern, Pattern};

/// Largest file of an owner's own, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;
/// Most rows of one file, and most ways to know one row.
const MAX_ROWS: usize = 1024;
const MAX_WAYS: usize = 32;
/// Most formats that a row refuses, and the longest words.
const MAX_VETOES: usize = 32;
const MAX_WORD: usize = 64;

const BUILT_IN: &str = include_str!("../models.toml");

/// What a recognised device is; finer than [`DeviceKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A television.
    Tv,
    /// A loudspeaker, an amplifier, a sound bar.
    Speaker,
    /// A projector.
    Projector,
    /// A box or stick at a television, or a disc player.
    Box,
    /// A program on a computer or a phone.
    App,
    /// Several devices that play together.
    Group,
}

impl Kind {
    /// The word in JSON and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tv => "tv",
            Self::Speaker => "speaker",
            Self::Projector => "projector",
            Self::Box => "box",
            Self::App => "app",
            Self::Group => "group",
        }
    }

    /// As the house knows it. `None`: of a program, its bridge's word stays.
    pub const fn device_kind(self) -> Option<DeviceKind> {
        match self {
            Self::Tv | Self::Projector | Self::Box => Some(DeviceKind::Tv),
            Self::Speaker | Self::Group => Some(DeviceKind::Speaker),
            Self::App => None,
        }
    }
}

/// How a device takes captions beside a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Captions {
    /// Not known: what the protocol has.
    #[default]
    Unknown,
    /// A `CaptionInfo.sec` header on the film's own answer, and `sec:CaptionInfo` in DIDL-Lite; SRT alone.
    Samsung,
    /// SRT as a second `res` in DIDL-Lite.
    SecondRes,
    /// `pv:subtitleFileUri` on the film's `res`.
    Panasonic,
    /// Not at all: they have to be in the picture.
    BurnIn,
}

/// How a device goes to another place in what it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seek {
    /// By ranges of bytes, and what has none is opened again.
    #[default]
    Bytes,
    /// By `TimeSeekRange.dlna.org` too, so that converted films can be sought.
    Time,
    /// Only when opened again at that place.
    Reopen,
}

/// What has to be done differently for a device. The default is what nearly all want.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Quirks {
    /// How it takes captions.
    pub captions: Captions,
    /// MIME types that it refuses whatever it says; `video/*` for all of a kind.
    pub veto: Vec<String>,
    /// How it seeks.
    pub seek: Seek,
    /// It has to be stopped, and to have stopped, before it is told of something else.
    pub stop_first: bool,
    /// What was queued stays queued unless it is taken away first.
    pub clear_next: bool,
    /// It may be told a title and the format beside the address.
    pub metadata: bool,
    /// Its events cannot be relied on: it has to be asked.
    pub poll: bool,
    /// Seconds that it may take to look at an address before it can be told to play.
    pub settle_s: u8,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            captions: Captions::Unknown,
            veto: Vec::new(),
            seek: Seek::Bytes,
            stop_first: true,
            clear_next: true,
            metadata: true,
            poll: true,
            settle_s: 0,
        }
    }
}

impl Quirks {
    /// Whether it refuses this MIME type.
    pub fn vetoes(&self, mime: &str) -> bool {
        self.veto.iter().any(|veto| match veto.strip_suffix('*') {
            Some(kind) => mime.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind)),
            None => veto.eq_ignore_ascii_case(mime),
        })
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub id: String,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub kind: Option<Kind>,
    /// Any of these is enough.
    pub ways: Vec<Way>,
    pub quirks: Quirks,
}

/// One way to know it: all of these, said at one place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    pub from: Option<Origin>,
    pub all: Vec<(What, Pattern)>,
}

/// Everything that is known of makes and models.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalogue {
    pub(crate) rows: Vec<Row>,
    /// Names of models that say nothing.
    pub(crate) generic: Vec<Pattern>,
    /// Names of models that other makers' devices give themselves.
    pub(crate) borrowed: Vec<Pattern>,
}

/// Why a file is no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCatalogue {
    /// Not TOML, or words that are not known; with line and column.
    #[error("{file}: {message}")]
    Toml {
        /// Which file.
        file: String,
        /// Line, column and what is wrong there.
        message: String,
    },
    /// A row that says nothing or too much.
    #[error("{file}: [[row]] `{row}`: {problem}")]
    Row {
        /// Which file.
        file: String,
        /// Its id, or its number.
        row: String,
        /// What is wrong.
        problem: String,
    },
    /// More than a catalogue holds.
    #[error("{file}: more than {MAX_ROWS} rows")]
    Large {
        /// Which file.
        file: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    generic: Vec<String>,
    #[serde(default)]
    borrowed: Vec<String>,
    #[serde(default)]
    row: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    id: String,
    maker: Option<String>,
    model: Option<String>,
    kind: Option<Kind>,
    when: Vec<RawWay>,
    #[serde(default)]
    quirks: Quirks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWay {
    from: Option<Origin>,
    maker: Option<String>,
    model: Option<String>,
    number: Option<String>,
    description: Option<String>,
    agent: Option<String>,
    package: Option<String>,
    product: Option<String>,
}

impl Catalogue {
    /// The one that comes with Accord.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN, "models.toml").expect("the catalogue of this build is sound: a test reads it")
    }

    /// Reads one; `file` is named in errors.
    ///
    /// # Errors
    /// [`BadCatalogue`], with the place.
    pub fn parse(text: &str, file: &str) -> Result<Self, BadCatalogue> {
        let raw: RawFile = toml::from_str(text)
            .map_err(|error| BadCatalogue::Toml { file: file.to_owned(), message: error.to_string() })?;
        if raw.row.len() > MAX_ROWS || raw.generic.len() > MAX_ROWS || raw.borrowed.len() > MAX_ROWS {
            return Err(BadCatalogue::Large { file: file.to_owned() });
        }
        let mut rows: Vec<Row> = Vec::with_capacity(raw.row.len());
        for raw in raw.row {
            let id = accord_model::text::for_screen(&raw.id, MAX_WORD);
            let bad = |problem: String| BadCatalogue::Row { file: file.to_owned(), row: id.clone(), problem };
            if rows.iter().any(|row| row.id == raw.id) {
                return Err(bad("there is another row of that id".to_owned()));
            }
            rows.push(row(raw).map_err(bad)?);
        }
        let patterns = |texts: Vec<String>, list: &str| -> Result<Vec<Pattern>, BadCatalogue> {
            let bad = |(text, error): (&String, BadPattern)| BadCatalogue::Row {
                file: file.to_owned(),
                row: list.to_owned(),
                problem: format!("the pattern `{}`: {error}", accord_model::text::for_screen(text, MAX_WORD)),
            };
            texts.iter().map(|text| Pattern::parse(text).map_err(|error| bad((text, error)))).collect()
        };
        Ok(Self { rows, generic: patterns(raw.generic, "generic")?, borrowed: patterns(raw.borrowed, "borrowed")? })
    }

    /// With an owner's own rows before these; a row of the same id takes its place.
    #[must_use]
    pub fn under(mut self, own: Self) -> Self {
        self.rows.retain(|row| !own.rows.iter().any(|other| other.id == row.id));
        let rows = [own.rows, self.rows].concat();
        Self { rows, generic: [own.generic, self.generic].concat(), borrowed: [own.borrowed, self.borrowed].concat() }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn row(raw: RawRow) -> Result<Row, String> {
    let plain = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if raw.id.is_empty() || raw.id.len() > MAX_WORD || !plain(&raw.id) {
        return Err("an id is written in small letters, digits and `-`".to_owned());
    }
    for word in [&raw.maker, &raw.model].into_iter().flatten() {
        if word.trim().is_empty() || word.chars().count() > MAX_WORD || word.chars().any(accord_model::text::is_unsafe)
        {
            return Err(format!("maker and model have 1 to {MAX_WORD} visible characters"));
        }
    }
    if raw.when.is_empty() || raw.when.len() > MAX_WAYS {
        return Err(format!("`when` has 1 to {MAX_WAYS} ways to know it"));
    }
    let slash = |veto: &String| veto.contains('/') && veto.len() <= MAX_WORD && !veto.starts_with('*');
    if raw.quirks.veto.len() > MAX_VETOES || !raw.quirks.veto.iter().all(slash) {
        return Err(format!("`veto` has at most {MAX_VETOES} MIME types such as `video/x-matroska` or `audio/*`"));
    }
    let ways = raw.when.into_iter().map(way).collect::<Result<_, _>>()?;
    let RawRow { id, maker, model, kind, quirks, .. } = raw;
    Ok(Row { id, maker, model, kind, ways, quirks })
}

fn way(raw: RawWay) -> Result<Way, String> {
    let RawWay { from, maker, model, number, description, agent, package, product } = raw;
    let given = [
        (What::Maker, maker),
        (What::Model, model),
        (What::Number, number),
        (What::Description, description),
        (What::Agent, agent),
        (What::Package, package),
        (What::Product, product),
    ];
    let all = given.into_iter().filter_map(|(what, text)| Some((what, text?)));
    let all: Vec<_> = all
        .map(|(what, text)| match Pattern::parse(&text) {
            Ok(pattern) => Ok((what, pattern)),
            Err(error) => Err(format!("the pattern `{}`: {error}", accord_model::text::for_screen(&text, MAX_WORD))),
        })
        .collect::<Result<_, _>>()?;
    if all.is_empty() { Err("a way in `when` names nothing that is said".to_owned()) } else { Ok(Way { from, all }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_of_this_build_is_sound() {
        let built_in = Catalogue::parse(BUILT_IN, "models.toml").unwrap_or_else(|error| panic!("{error}"));
        assert!(built_in.len() > 20);
    }

    #[test]
    fn errors_say_where_and_what() {
        let said = |text: &str| Catalogue::parse(text, "own.toml").unwrap_err().to_string();
        let bad = said("[[row]]\nid = \"a\"\nwhen = [{ maker = \"x\" }]\nquirks = { stop-frist = true }\n");
        assert!(bad.contains("own.toml") && bad.contains("line 4") && bad.contains("stop-frist"), "{bad}");
        let bad = said("[[row]]\nid = \"a\"\nwhen = [{ maker = \"*\" }]\n");
        assert!(bad.contains("`a`") && bad.contains("fits every text"), "{bad}");
        assert!(said("[[row]]\nid = \"a\"\nwhen = []\n").contains("1 to 32 ways"));
        assert!(said("[[row]]\nid = \"A b\"\nwhen = [{ maker = \"x\" }]\n").contains("small letters"));
        assert!(said("[[row]]\nid = \"a\"\nwhen = [{ from = \"cast-txt\" }]\n").contains("names nothing"));
        let twice = "[[row]]\nid = \"a\"\nwhen = [{ maker = \"x\" }]\n".repeat(2);
        assert!(said(&twice).contains("another row"));
        let veto = "[[row]]\nid = \"a\"\nwhen = [{ maker = \"x\" }]\nquirks = { veto = [\"mkv\"] }\n";
        assert!(said(veto).contains("video/x-matroska"));
        assert!(said("generic = [\"*\"]").contains("generic"));
        let many = (0..=MAX_ROWS).map(|n| format!("[[row]]\nid = \"r{n}\"\nwhen = [{{ maker = \"x\" }}]\n"));
        assert!(said(&many.collect::<String>()).contains("more than 1024"));
    }

    #[test]
    fn a_veto_may_be_for_all_of_a_kind() {
        let quirks = Quirks { veto: vec!["audio/*".into(), "video/x-matroska".into()], ..Quirks::default() };
        assert!(quirks.vetoes("Audio/flac") && quirks.vetoes("video/x-matroska") && !quirks.vetoes("video/mp4"));
        assert!(!quirks.vetoes("é"));
    }
}
