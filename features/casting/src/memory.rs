//! What failed on which model before: there, the next way comes first.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use accord_model::text::for_screen;
use accord_store::JsonFile;
use serde::{Deserialize, Serialize};

use crate::item::Item;
use crate::plan::Way;
use crate::prepare::Receiver;

/// How much is remembered; the oldest is forgotten.
const MOST: usize = 500;
const MAX_FILE: u64 = 1 << 20;

/// Kept in a file of the hub's own folder, or as long as this runs.
#[derive(Default)]
pub(crate) struct Memory {
    file: Option<JsonFile>,
    failed: Mutex<Vec<Failed>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    /// Maker and model.
    model: String,
    /// The way.
    way: String,
}

impl Memory {
    /// What was remembered before; a file that cannot be read is none, and said.
    pub(crate) fn open(dir: &Path) -> Self {
        let file = JsonFile::new(dir.join("casting-failed.json"), MAX_FILE);
        let failed = file.load::<Vec<Failed>>().unwrap_or_else(|error| {
            tracing::warn!("what failed when casting is not known any more: {}: {error}", file.path().display());
            Vec::new()
        });
        Self { file: Some(file), failed: Mutex::new(failed) }
    }

    /// What failed before comes last. While one cast goes from way to way, the order stays: `anew` begins another.
    pub(crate) fn ordered(&self, item: &Item, receiver: &Receiver, mut ways: Vec<Way>, anew: bool) -> Vec<Way> {
        let model = model(receiver);
        let mut order = item.ways();
        if anew || order.is_empty() {
            let failed = self.lock();
            ways.sort_by_key(|way| failed.iter().any(|one| one.model == model && one.way == way.name));
            *order = ways.iter().map(|way| way.name.clone()).collect();
        } else {
            ways.sort_by_key(|way| order.iter().position(|name| *name == way.name).unwrap_or(usize::MAX));
        }
        ways
    }

    /// It did not play it this way.
    pub(crate) fn failed(&self, item: &Item, receiver: &Receiver, step: usize) {
        self.change(item, receiver, step, true);
    }

    /// It did.
    pub(crate) fn worked(&self, item: &Item, receiver: &Receiver, step: usize) {
        self.change(item, receiver, step, false);
    }

    fn change(&self, item: &Item, receiver: &Receiver, step: usize, failed: bool) {
        let model = model(receiver);
        let Some(way) = item.ways().get(step).cloned() else { return };
        // Of a device that does not say what it is, nothing follows for another.
        if model.is_empty() {
            return;
        }
        let mut known = self.lock();
        let before = known.clone();
        let one = Failed { model, way };
        known.retain(|known| *known != one);
        if failed {
            known.push(one);
        }
        let over = known.len().saturating_sub(MOST);
        known.drain(..over);
        if *known == before {
            return;
        }
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.save(&*known)) {
            tracing::warn!(%error, "what failed when casting could not be saved");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn model(receiver: &Receiver) -> String {
    let said = format!("{} {}", receiver.maker, receiver.model);
    for_screen(said.trim(), 128).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Ask, ways};
    use crate::probe::{Audio, Probed, Video};
    use crate::sniff::Container;
    use crate::tool::Encoders;

    #[test]
    fn what_failed_on_a_model_is_tried_last_there_from_the_next_cast_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, b"\0\0\0\x18ftypisom\0\0\0\0").unwrap();
        let item = Item::open(&path).unwrap();
        let video = Video { codec: "h264".into(), dots: "yuv420p".into(), ..Video::default() };
        let audio = vec![Audio { codec: "aac".into(), channels: 2, ..Audio::default() }];
        let probed = Probed { video: Some(video), audio, ..Probed::default() };
        let formats = ["video/mp4", "video/mp2t"].map(str::to_owned).to_vec();
        let tv = Receiver { formats, model: "Bravia X".into(), ..Receiver::default() };
        let other = Receiver { model: "Bravia Y".into(), ..tv.clone() };
        let all = || ways(Container::Mp4, Some(&probed), &tv, Some(&Encoders::all()), Ask::default()).unwrap();
        let order = |memory: &Memory, who, anew| {
            let names: Vec<_> = memory.ordered(&item, who, all(), anew).into_iter().map(|way| way.name).collect();
            names
        };
        let names: Vec<_> = all().into_iter().map(|way| way.name).collect();
        let memory = Memory::open(dir.path());
        assert_eq!(order(&memory, &tv, true), names);
        memory.failed(&item, &tv, 0);
        assert_eq!(order(&memory, &tv, false), names, "the same cast goes on in its order");
        let later = [&names[1..], &names[..1]].concat();
        let memory = Memory::open(dir.path());
        assert_eq!(order(&memory, &tv, true), later, "also after a restart");
        assert_eq!(order(&memory, &other, true), names, "another model");
        order(&memory, &tv, true);
        memory.worked(&item, &tv, names.len() - 1);
        assert_eq!(order(&memory, &tv, true), names, "it played after all");
        let nobody = Receiver { model: String::new(), ..tv.clone() };
        order(&memory, &nobody, true);
        memory.failed(&item, &nobody, 0);
        assert_eq!(order(&memory, &nobody, true), names);
        std::fs::write(dir.path().join("casting-failed.json"), "{").unwrap();
        assert_eq!(order(&Memory::open(dir.path()), &tv, true), names);
    }
}
