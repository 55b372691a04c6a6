//! From what a device told to what it is. Of several places that say something, the one of which most is to be thought
//! counts (the order of [`Origin`]), and its name stays beside the value.

use accord_model::{MOST_TOLD, Origin, Told, What};

use crate::catalogue::{Catalogue, Kind, Quirks, Row, Way};
use crate::pattern::{Found, Pattern};

/// A value and where it was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt<T> {
    /// The value.
    pub value: T,
    /// Where it was said.
    pub origin: Origin,
}

/// What a device is, as far as it says. All of it is its own claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recognised {
    /// The row of the catalogue that it fits, when it fits one.
    pub row: Option<String>,
    /// Who made it; as the catalogue writes it when it knows it.
    pub maker: Option<Learnt<String>>,
    /// Which model.
    pub model: Option<Learnt<String>>,
    /// What it is.
    pub kind: Option<Learnt<Kind>>,
    /// How large its screen is, across, in inches.
    pub inches: Option<Learnt<u8>>,
    /// How many points its picture has.
    pub points: Option<Learnt<(u32, u32)>>,
    /// What has to be done differently.
    pub quirks: Quirks,
}

impl Recognised {
    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A row that fits.
struct Fit<'a> {
    row: &'a Row,
    origin: Origin,
    found: Found,
}

impl Catalogue {
    /// What is known of a device that told this.
    pub fn recognise(&self, told: &[Told]) -> Recognised {
        let told = &told[..told.len().min(MOST_TOLD)];
        let fit = self.fit(told);
        let (kind, points) = (kind(fit.as_ref(), told), points(told));
        let mut recognised = Recognised { kind, points, maker: maker(fit.as_ref(), told), ..Recognised::default() };
        recognised.model = self.model(fit.as_ref(), told);
        if let Some(Fit { row, origin, found }) = fit {
            recognised.inches = found.inches.map(|value| Learnt { value, origin });
            recognised.row = Some(row.id.clone());
            recognised.quirks = row.quirks.clone();
        }
        recognised
    }

    /// The first row in the catalogue that fits what is said at the most trusted place.
    fn fit(&self, told: &[Told]) -> Option<Fit<'_>> {
        Origin::ALL.into_iter().find_map(|origin| {
            let said: Vec<&Told> = told.iter().filter(|one| one.origin == origin).collect();
            let rows = self.rows.iter().filter(|_| !said.is_empty());
            rows.flat_map(|row| row.ways.iter().map(move |way| (row, way))).find_map(|(row, way)| {
                let mut found = way.fits(origin, &said)?;
                // Another way to know it may hold what this one does not.
                for more in row.ways.iter().filter_map(|other| other.fits(origin, &said)) {
                    found.inches = found.inches.or(more.inches);
                    found.model = found.model.or(more.model);
                }
                Some(Fit { row, origin, found })
            })
        })
    }

    /// What names a model: the row, what the pattern found, or the words of the most trusted place that has some of its own.
    fn model(&self, fit: Option<&Fit<'_>>, told: &[Told]) -> Option<Learnt<String>> {
        if let Some(Fit { row: Row { model: Some(model), .. }, origin, .. }) = fit {
            return Some(Learnt { value: model.clone(), origin: *origin });
        }
        let says_nothing = |text: &str| text.is_empty() || fits_any(&self.generic, text);
        // A borrowed name counts where nothing else is said.
        let borrowed = |text: &str| fits_any(&self.borrowed, text);
        let own = Origin::ALL.into_iter().filter_map(|origin| {
            let by_pattern = fit.filter(|fit| fit.origin == origin).and_then(|fit| fit.found.model.clone());
            let value = by_pattern.or_else(|| words(told, origin, &says_nothing))?;
            Some(Learnt { value, origin })
        });
        let mut names: Vec<Learnt<String>> = own.collect();
        names.sort_by_key(|name| borrowed(&name.value));
        names.into_iter().next()
    }
}

impl Way {
    fn fits(&self, origin: Origin, said: &[&Told]) -> Option<Found> {
        if self.from.is_some_and(|from| from != origin) {
            return None;
        }
        self.all.iter().try_fold(Found::default(), |mut found, (what, pattern)| {
            let one = said.iter().filter(|told| told.what == *what).find_map(|told| pattern.find(&told.text))?;
            found.inches = found.inches.or(one.inches);
            found.model = found.model.or(one.model);
            Some(found)
        })
    }
}

/// Model and number of one place, unless they say nothing.
fn words(told: &[Told], origin: Origin, says_nothing: &dyn Fn(&str) -> bool) -> Option<String> {
    let of = |what| {
        let texts =
            told.iter().filter(move |one| one.origin == origin && one.what == what).map(|one| one.text.as_str());
        let mut texts = texts;
        texts.find(|text| !says_nothing(text))
    };
    match (of(What::Model), of(What::Number)) {
        (Some(model), Some(number)) if !model.contains(number) && number.len() > 1 => Some(format!("{model} {number}")),
        (model, number) => model.or(number.filter(|number| number.len() > 3)).map(str::to_owned),
    }
}

fn maker(fit: Option<&Fit<'_>>, told: &[Told]) -> Option<Learnt<String>> {
    if let Some(Fit { row: Row { maker: Some(maker), .. }, origin, .. }) = fit {
        return Some(Learnt { value: maker.clone(), origin: *origin });
    }
    let mut said: Vec<&Told> = told.iter().filter(|one| one.what == What::Maker && !one.text.is_empty()).collect();
    said.sort_by_key(|one| one.origin);
    said.first().map(|one| Learnt { value: one.text.clone(), origin: one.origin })
}

/// The row's word, else what it can do: a set that shows pictures is taken for a television.
fn kind(fit: Option<&Fit<'_>>, told: &[Told]) -> Option<Learnt<Kind>> {
    let does = |wanted: &str| {
        let said = told.iter().filter(|one| one.what == What::Does && one.text == wanted).map(|one| one.origin);
        said.min()
    };
    // Several that play together are no single model, whatever their first one says.
    if let Some(origin) = does("group") {
        return Some(Learnt { value: Kind::Group, origin });
    }
    if let Some(Fit { row: Row { kind: Some(kind), .. }, origin, .. }) = fit {
        return Some(Learnt { value: *kind, origin: *origin });
    }
    let as_kind = |word: &str, value| does(word).map(|origin| Learnt { value, origin });
    as_kind("video", Kind::Tv).or_else(|| as_kind("audio", Kind::Speaker))
}

fn points(told: &[Told]) -> Option<Learnt<(u32, u32)>> {
    let mut said: Vec<&Told> = told.iter().filter(|one| one.what == What::Points).collect();
    said.sort_by_key(|one| one.origin);
    said.into_iter().find_map(|one| {
        let (width, height) = one.text.split_once('x')?;
        let side = |text: &str| text.parse::<u32>().ok().filter(|side| (120..=16_384).contains(side));
        Some(Learnt { value: (side(width)?, side(height)?), origin: one.origin })
    })
}

fn fits_any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.find(text).is_some())
}
