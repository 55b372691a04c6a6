//! Recognition: which make, model and kind a television or loudspeaker is, from what it says unasked, and what has to be
//! done differently for it. Nobody is asked anything for this, and nothing leaves the machine.
//!
//! A bridge writes down what a device said ([`accord_model::Told`], in `device.told`); the hub, the bridges and casting ask
//! a [`Recogniser`] what that means:
//!
//! ```
//! use accord_model::{Origin, Told, What};
//! use accord_recognition::{Captions, Catalogue, Kind, Recogniser};
//!
//! let recogniser = Recogniser::new(Catalogue::built_in(), || true);
//! let told = [
//!     Told::new(Origin::UpnpDescription, What::Maker, "Samsung Electronics"),
//!     Told::new(Origin::UpnpDescription, What::Model, "UE55AU7100"),
//! ];
//! let known = recogniser.recognise(&told);
//! assert_eq!(known.maker.unwrap().value, "Samsung");
//! assert_eq!((known.kind.unwrap().value, known.inches.unwrap().value), (Kind::Tv, 55));
//! // Casting: which containers it is not given, and how it takes captions.
//! assert_eq!(known.quirks.captions, Captions::Samsung);
//! assert!(!known.quirks.vetoes("video/mp4"));
//! // A control point: how it is told.
//! assert!(known.quirks.stop_first && known.quirks.metadata);
//! ```
//!
//! For `features/casting`: [`Quirks::captions`], [`Quirks::vetoes`], [`Quirks::seek`]. For bridges: [`Quirks::stop_first`],
//! [`Quirks::clear_next`], [`Quirks::metadata`], [`Quirks::poll`], [`Quirks::seek`]. Both get one [`Recogniser`] from the
//! hub, which knows nothing while the owner has not agreed to the entry `recognition/tv`: then every quirk is the
//! ordinary one ([`Quirks::default`]) and everything goes on.
//!
//! The catalogue is `models.toml` beside this crate; an owner's own `models.toml` beside `config.toml` goes before it.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod catalogue;
mod pattern;
mod recognise;

use std::sync::Arc;

use accord_model::Told;

pub use catalogue::{BadCatalogue, Captions, Catalogue, Kind, MAX_FILE, Quirks, Seek};
pub use pattern::{BadPattern, Pattern};
pub use recognise::{Learnt, Recognised};

/// What this part declares.
pub const STATEMENT: &str = include_str!("../statement.toml");
/// The entry of [`STATEMENT`] under which devices are recognised.
pub const ENTRY: &str = "recognition/tv";

/// Says what a device is, as long as the owner agrees. Cheap to clone.
#[derive(Clone)]
pub struct Recogniser(Arc<Inner>);

struct Inner {
    catalogue: Catalogue,
    may: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Recogniser {
    /// With a catalogue; `may` says each time whether the owner agrees.
    pub fn new(catalogue: Catalogue, may: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { catalogue, may: Box::new(may) }))
    }

    /// Recognises nothing: where nobody gave one.
    pub fn nothing() -> Self {
        Self::new(Catalogue::default(), || false)
    }

    /// What is known of a device that told this. Knows nothing without the owner's agreement.
    pub fn recognise(&self, told: &[Told]) -> Recognised {
        if (self.0.may)() { self.0.catalogue.recognise(told) } else { Recognised::default() }
    }

    /// Whether the owner agrees.
    pub fn is_on(&self) -> bool {
        (self.0.may)()
    }
}

impl Default for Recogniser {
    fn default() -> Self {
        Self::nothing()
    }
}

impl std::fmt::Debug for Recogniser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recogniser({} rows)", self.0.catalogue.len())
    }
}

/// Entry for fuzzing: any text as a catalogue, and any texts as pattern and what it is held against.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Catalogue::parse(&text, "fuzz.toml");
    let (pattern, told) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(pattern) = Pattern::parse(pattern) {
        let found = pattern.find(told);
        assert!(found.is_none_or(|found| found.model.is_none_or(|model| told.contains(&model))));
    }
    let told = [Told::new(accord_model::Origin::UserAgent, accord_model::What::Agent, told)];
    Catalogue::built_in().recognise(&told);
}
