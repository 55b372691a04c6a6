//! Devices that the owner adds by a word, because nothing in their protocol proves who they are: renderers, Cast devices,
//! loudspeakers, screens, lamps. What bridges to them have in common: the file of who was added, the service `pairing` that tells
//! it, those that are here beside those that were added ([`Devices`]), and what a device says of itself in the words of the
//! catalogue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use accord_model::{
    Data, DeviceId, Format, FromBridge, Inputs, Property, Service, Source, Target, Timestamp, Value, Verb, catalogue,
};
use accord_store::{JsonFile, Vault, create_private_dir};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

mod devices;

pub use devices::{Devices, Known};

/// Most devices that can be added to one bridge, and the largest file of them.
const MOST: usize = 256;
const LARGEST: u64 = 1 << 20;
/// When a device was seen is written no more often than this: it is told at a stranger's pace.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// How long what was decided or is so by its kind holds, in seconds: it does not age.
pub const LASTING_S: u64 = 10 * 365 * 86_400;
/// How long what plays and where it is holds, and the rest of what a device says, in seconds.
pub const PLAYING_S: u64 = 10;
/// See [`PLAYING_S`].
pub const STATE_S: u64 = 3600;

/// The id of a device by what it announces, in the name of a bridge. It says so itself, and nothing proves it.
///
/// # Panics
/// When `bridge` is no word that an id may begin with.
pub fn device_id(bridge: &str, announced: &str) -> DeviceId {
    let hash = Sha256::digest(format!("accord {bridge} device {announced}"));
    let digits = data_encoding::HEXLOWER.encode(&hash[..16]);
    DeviceId::new(format!("{bridge}-{digits}")).expect("a bridge's name and hexadecimal digits make an id")
}

/// By which name the inputs of `ToBridge::Add` say which added device is meant, by its id: it has another address, or other
/// credentials, and stays the same. What is not given stays as it was.
pub const AGAIN: &str = "again";

/// Which added device is meant, when it is one that is added again.
///
/// # Errors
/// In words, when that is no device's id.
pub fn again(inputs: &Inputs) -> Result<Option<DeviceId>, String> {
    let no = |_| "that is no device that can be added again".to_owned();
    inputs.get(AGAIN).and_then(Data::as_text).map(|id| DeviceId::new(id).map_err(no)).transpose()
}

/// What the id of a new device is made of, which was added where it is: that place, or more when one that was added there
/// before and moved is known by it.
pub fn first_free(place: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let more = (2..).map(|number: u64| format!("{place} {number}"));
    std::iter::once(place.to_owned()).chain(more).find(|name| !is_taken(name)).unwrap_or_default()
}

/// What is kept of a device that was added.
pub trait Record: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Since when.
    fn since(&self) -> Timestamp;
    /// When it was seen last.
    fn seen(&mut self) -> &mut Option<Timestamp>;
}

/// Who was added, kept in `added.json` of the bridge's folder; sealed, as tokens and passwords are in it.
pub struct Register<R> {
    all: BTreeMap<DeviceId, R>,
    file: JsonFile,
    saved: Option<Instant>,
}

impl<R: Record> Register<R> {
    /// Reads it; the folder is made if need be.
    ///
    /// # Errors
    /// In words, with the file.
    pub fn open(folder: &Vault) -> Result<Self, String> {
        create_private_dir(folder.path()).map_err(|error| error.to_string())?;
        let file = folder.json("added.json", LARGEST);
        let all = file.load().map_err(|error| format!("{}: {error}", file.path().display()))?;
        Ok(Self { all, file, saved: None })
    }

    /// All of them.
    pub fn all(&self) -> &BTreeMap<DeviceId, R> {
        &self.all
    }

    /// What is kept of this one.
    pub fn get(&self, id: &DeviceId) -> Option<&R> {
        self.all.get(id)
    }

    /// Adds a device, or removes it. It is on disk once this returns.
    ///
    /// # Errors
    /// In words; then nothing is changed.
    pub fn set(&mut self, id: &DeviceId, record: Option<R>) -> Result<(), String> {
        let mut all = self.all.clone();
        match record {
            None => drop(all.remove(id)),
            Some(_) if all.len() >= MOST && !all.contains_key(id) => {
                return Err(format!("more than {MOST} devices were added; remove some first"));
            }
            Some(record) => drop(all.insert(id.clone(), record)),
        }
        self.file.save(&all).map_err(|error| error.to_string())?;
        self.all = all;
        Ok(())
    }

    /// Keeps what is new of one that was added. That it was merely seen again is written now and then.
    pub fn note(&mut self, id: &DeviceId, mut now: R) {
        let Some(before) = self.all.get_mut(id).filter(|before| **before != now) else { return };
        let seen = std::mem::replace(now.seen(), *before.seen());
        let only_seen = *before == now;
        *now.seen() = seen;
        *before = now;
        if only_seen && self.saved.is_some_and(|saved| saved.elapsed() < SEEN_EVERY) {
            return;
        }
        self.saved = Some(Instant::now());
        if let Err(error) = self.file.save(&self.all) {
            tracing::warn!(%error, file = %self.file.path().display(), "what is new of a device is not kept");
        }
    }

    /// The service that tells whether a device was added.
    pub fn pairing(&self, id: &DeviceId) -> Service {
        pairing(self.get(id).map(R::since))
    }

    /// The same as a message.
    pub fn paired(&self, id: &DeviceId) -> FromBridge {
        let values = pairing_values(self.get(id).map(R::since));
        FromBridge::Values { device: id.clone(), target: Target::new("pairing"), values }
    }
}

/// The service `pairing` of a device that was added then, or was not. It is verified in neither case.
pub fn pairing(since: Option<Timestamp>) -> Service {
    let mut pairing = catalogue::pairing();
    pairing.properties.push(Property::state("verified", Format::Bool));
    pairing.values = pairing_values(since);
    pairing
}

/// Whether the owner wants a device to be added, or nothing of it any more. `None`: something else of the service `pairing`.
pub fn wanted(verb: &Verb) -> Option<bool> {
    let Verb::Act { action, .. } = verb else { return None };
    match action.as_str() {
        "request" => Some(true),
        "unpair" | "reject" => Some(false),
        _ => None,
    }
}

fn pairing_values(since: Option<Timestamp>) -> BTreeMap<String, Value> {
    let seen = since.unwrap_or(Timestamp::UNIX_EPOCH);
    let value = |data| Value { data: Data::Bool(data), seen, source: Source::Assumed, fresh_for_s: LASTING_S };
    BTreeMap::from([("paired".to_owned(), value(since.is_some())), ("verified".to_owned(), value(false))])
}

/// A value: service, property, what it is.
pub type Said = (&'static str, &'static str, Data);

/// What a device said of itself, by service and property.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<(&'static str, &'static str), Value>);

impl Values {
    /// Takes what it says now. Told is only what is new, and what ages.
    pub fn take(&mut self, device: &DeviceId, source: Source, said: impl IntoIterator<Item = Said>) -> Vec<FromBridge> {
        let mut told: BTreeMap<&'static str, BTreeMap<String, Value>> = BTreeMap::new();
        for (service, property, data) in said {
            let ages = matches!(property, "playing" | "position" | "moving");
            if !ages && self.0.get(&(service, property)).is_some_and(|before| before.data == data) {
                continue;
            }
            let fresh_for_s = if ages { PLAYING_S } else { STATE_S };
            let value = Value { data, seen: Timestamp::now(), source, fresh_for_s };
            self.0.insert((service, property), value.clone());
            told.entry(service).or_default().insert(property.to_owned(), value);
        }
        let message =
            |(service, values)| FromBridge::Values { device: device.clone(), target: Target::new(service), values };
        told.into_iter().map(message).collect()
    }

    /// What was said of a service; all of it when nothing is named.
    pub fn read(&self, service: &str, wanted: &[String]) -> BTreeMap<String, Data> {
        let fits = |property: &str| wanted.is_empty() || wanted.iter().any(|one| one == property);
        let fitting = self.0.iter().filter(|((of, property), _)| *of == service && fits(property));
        fitting.map(|((_, property), value)| ((*property).to_owned(), value.data.clone())).collect()
    }

    /// A service with what was said of it.
    pub fn fill(&self, mut service: Service) -> Service {
        let of_service = self.0.iter().filter(|((id, _), _)| *id == service.id);
        service.values = of_service.map(|((_, property), value)| ((*property).to_owned(), value.clone())).collect();
        service
    }

    /// Whether that was ever said.
    pub fn has(&self, service: &'static str, property: &'static str) -> bool {
        self.0.contains_key(&(service, property))
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(super) struct Kept {
        pub name: String,
        pub since: Timestamp,
        pub seen: Option<Timestamp>,
    }

    impl Record for Kept {
        fn since(&self) -> Timestamp {
            self.since
        }
        fn seen(&mut self) -> &mut Option<Timestamp> {
            &mut self.seen
        }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Some(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn who_was_added_is_on_disk_and_who_was_seen_again_only_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let id = device_id("lab", "one");
        assert_eq!(id, device_id("lab", "one"));
        assert_ne!(id, device_id("lab", "two"));
        let folder = Vault::new(dir.path(), &[7; 32]);
        let mut register = Register::open(&folder).unwrap();
        let kept = |name: &str, second| Kept { name: name.into(), since: at(1).unwrap(), seen: at(second) };
        register.note(&id, kept("TV", 1));
        assert!(register.get(&id).is_none(), "who was not added is not kept");
        register.set(&id, Some(kept("TV", 1))).unwrap();
        let on_disk = || Register::<Kept>::open(&folder).unwrap().get(&id).cloned();
        register.note(&id, kept("TV", 2));
        assert_eq!(on_disk(), Some(kept("TV", 2)), "the first time at once");
        let bytes = std::fs::read(dir.path().join("added.json")).unwrap();
        assert!(!bytes.windows(2).any(|part| part == b"TV"), "and sealed");
        (3..100).for_each(|second| register.note(&id, kept("TV", second)));
        assert_eq!((register.get(&id), on_disk()), (Some(&kept("TV", 99)), Some(kept("TV", 2))));
        register.note(&id, kept("Television", 100));
        assert_eq!(on_disk(), Some(kept("Television", 100)), "what it is called is kept at once");
        for number in 1..MOST {
            register.set(&device_id("lab", &number.to_string()), Some(kept("x", 1))).unwrap();
        }
        assert!(register.set(&device_id("lab", "more"), Some(kept("x", 1))).unwrap_err().contains("remove some"));
        register.set(&id, Some(kept("Anew", 1))).unwrap();
        assert_eq!(register.pairing(&id).values["paired"].data, Data::Bool(true));
        register.set(&id, None).unwrap();
        assert_eq!((register.pairing(&id).values["paired"].data.clone(), on_disk()), (Data::Bool(false), None));
    }

    #[test]
    fn a_device_is_added_or_not_any_more_by_a_word() {
        let act = |action: &str| wanted(&Verb::Act { action: action.to_owned(), inputs: Default::default() });
        assert_eq!(["request", "unpair", "reject", "accept"].map(act), [Some(true), Some(false), Some(false), None]);
        assert_eq!(wanted(&Verb::Read { properties: Vec::new() }), None);
    }

    #[test]
    fn what_is_new_is_told_and_what_ages_again() {
        let (id, mut values) = (device_id("lab", "one"), Values::default());
        let say = |values: &mut Values, said: Vec<Said>| values.take(&id, Source::Polled, said).len();
        let state = || vec![("media", "title", "a".into()), ("volume", "level", Data::Int(3))];
        assert_eq!(say(&mut values, state()), 2, "a message for each service");
        assert_eq!(say(&mut values, state()), 0);
        assert_eq!(say(&mut values, vec![("media", "playing", true.into())]), 1);
        assert_eq!(say(&mut values, vec![("media", "playing", true.into())]), 1, "it ages");
        assert_eq!(values.read("media", &[]).len(), 2);
        assert_eq!(values.read("media", &["title".into()]), BTreeMap::from([("title".into(), "a".into())]));
        assert_eq!(values.fill(catalogue::media()).values["playing"].fresh_for_s, PLAYING_S);
        assert!(values.has("volume", "level"));
        values.clear();
        assert!(!values.has("volume", "level"));
    }
}
