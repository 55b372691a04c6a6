//! Which spec is whose: those that we wrote, those that the owner put into the folder, and those that were fetched and kept.

use serde::Deserialize;

use super::device::Model;
use super::dialect::{Dialect, Profile};
use super::map::Map;
use super::spec::Spec;

/// Specs that we wrote, by file.
const SPECS: &[(&str, &str)] = &[
    ("air-conditioner", include_str!("../../specs/air-conditioner.json")),
    ("air-purifier", include_str!("../../specs/air-purifier.json")),
    ("curtain", include_str!("../../specs/curtain.json")),
    ("fan", include_str!("../../specs/fan.json")),
    ("humidifier", include_str!("../../specs/humidifier.json")),
    ("lamp", include_str!("../../specs/lamp.json")),
    ("lock", include_str!("../../specs/lock.json")),
    ("plug", include_str!("../../specs/plug.json")),
    ("sensor", include_str!("../../specs/sensor.json")),
    ("vacuum", include_str!("../../specs/vacuum.json")),
];

/// Older models that we wrote profiles for.
const PROFILES: &[&str] = &[
    include_str!("../../profiles/fan.json"),
    include_str!("../../profiles/light.json"),
    include_str!("../../profiles/plug.json"),
    include_str!("../../profiles/purifier.json"),
    include_str!("../../profiles/vacuum.json"),
];

/// Which models have which of [`SPECS`].
const INDEX: &str = include_str!("../../specs/index.json");

#[derive(Deserialize)]
struct Entry {
    spec: String,
    models: Vec<String>,
}

/// Whether a text can be a model: it becomes a file's name.
pub fn is_model(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    (3..=64).contains(&text.len())
        && text.contains('.')
        && text.chars().all(fits)
        && !text.starts_with('.')
        && !text.contains("..")
}

/// What we know of a model ourselves.
pub fn shipped(model: &str) -> Option<Model> {
    for text in PROFILES {
        // Ours are read in the tests.
        let Ok(profile) = Profile::parse(text.as_bytes()) else { continue };
        if profile.models.iter().any(|one| one == model) {
            let map = Map::of(&profile.spec);
            return Some(Model { dialect: Dialect::Profile(Box::new(profile)), map });
        }
    }
    let index: Vec<Entry> = serde_json::from_str(INDEX).ok()?;
    let entry = index.iter().find(|entry| entry.models.iter().any(|one| one == model))?;
    let (_, text) = SPECS.iter().find(|(name, _)| *name == entry.spec)?;
    parse(text.as_bytes()).ok()
}

/// What a file says: a spec, or a profile.
///
/// # Errors
/// In words.
pub fn parse(bytes: &[u8]) -> Result<Model, String> {
    match Spec::parse(bytes) {
        Ok(spec) => Ok(Model { dialect: Dialect::Miot, map: Map::of(&spec) }),
        Err(why) => match Profile::parse(bytes) {
            Ok(profile) => {
                let map = Map::of(&profile.spec);
                Ok(Model { dialect: Dialect::Profile(Box::new(profile)), map })
            }
            Err(_) => Err(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::map::Left;
    use std::collections::BTreeSet;

    #[test]
    fn what_we_wrote_is_read_whole_and_everything_in_it_has_its_place() {
        let index: Vec<Entry> = serde_json::from_str(INDEX).unwrap();
        let mut models = BTreeSet::new();
        let (mut standard, mut more, mut left) = (0, 0, 0);
        let mut count = |map: &Map| {
            standard += map.count.standard;
            more += map.count.more;
            left += map.count.left.values().sum::<usize>();
            assert!(!map.count.left.contains_key(&Left::TooMany));
        };
        for entry in &index {
            let (_, text) = SPECS.iter().find(|(name, _)| *name == entry.spec).unwrap();
            let spec = Spec::parse(text.as_bytes()).unwrap_or_else(|why| panic!("{}: {why}", entry.spec));
            assert!(spec.faults.is_empty(), "{}: {:?}", entry.spec, spec.faults);
            let map = Map::of(&spec);
            assert!(
                map.services.iter().any(|one| !matches!(one.id.as_str(), "more" | "information")),
                "{}",
                entry.spec
            );
            count(&map);
            for model in &entry.models {
                assert!(is_model(model) && models.insert(model.clone()), "{model}");
                assert!(shipped(model).is_some(), "{model}");
            }
        }
        assert_eq!(index.len(), SPECS.len());
        for text in PROFILES {
            let profile = Profile::parse(text.as_bytes()).unwrap();
            assert!(profile.spec.faults.is_empty(), "{:?}", profile.spec.faults);
            let map = Map::of(&profile.spec);
            let dialect = Dialect::Profile(Box::new(profile.clone()));
            assert!(map.asked().all(|(at, _)| dialect.knows(at)), "{:?}", profile.models);
            count(&map);
            for model in &profile.models {
                assert!(is_model(model) && models.insert(model.clone()), "{model}");
            }
        }
        assert!(left * 20 <= standard + more, "at least 95 % of what is in them is shown: {standard} {more} {left}");
        assert!(shipped("lab.light.none").is_none());
    }

    #[test]
    fn a_models_name_is_none_of_a_path() {
        for bad in ["", "a", "../x.y", "a/b.c", "A.b.c", "a..b", ".a.b", "a b.c", &"a.".repeat(40)] {
            assert!(!is_model(bad), "{bad}");
        }
        assert!(is_model("zhimi.airpurifier.mb3") && is_model("roborock.vacuum.s5_e"));
    }
}
