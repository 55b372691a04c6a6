//! One thing of several faces, as the owner sees it and decides of it: which faces it has, which is used for what, and what it
//! is recognised as.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use accord_casting::CastError;
use accord_consent::{BoundGate, Gate, RecipientId};
use accord_model::text::for_screen;
use accord_model::{DeviceId, EntryKey, FieldCode, FieldSet, Told};
use accord_recognition::{BadCatalogue, Catalogue, Learnt, MAX_FILE, Recogniser};
use accord_registry::{CannotJoin, Face, Job, Known, Registry, Thing, Words};
use accord_store::JsonFile;
use anyhow::{Context, Result, bail};

use super::hub::Hub;
use super::{foreign, house};
use crate::api::error::{Answer, Failure};
use crate::api::faces as api;
use crate::api::types::{Device, Event, Trust};

/// Largest file of the owner's words.
const LARGEST: u64 = 4 << 20;
const MAX_ADDRESSES: usize = 8;

impl From<CannotJoin> for Failure {
    fn from(error: CannotJoin) -> Self {
        match error {
            CannotJoin::One => Self::bad_request(error.to_string()),
            CannotJoin::Many => Self::conflict(error.to_string()),
        }
    }
}

/// The owner's words, kept in `faces.json`; one change at a time.
pub struct Said(Mutex<JsonFile>);

impl Said {
    /// What was said before is said to the registry.
    pub fn open(data: &Path, registry: &Registry) -> Result<Self> {
        let file = JsonFile::new(data.join("faces.json"), LARGEST);
        let words: Words = file.load().with_context(|| format!("{} cannot be used", file.path().display()))?;
        registry.set_words(words);
        Ok(Self(Mutex::new(file)))
    }

    fn change(&self, registry: &Registry, change: impl FnOnce(&mut Words) -> Result<(), CannotJoin>) -> Answer<()> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = registry.words();
        change(&mut words)?;
        if words != registry.words() {
            file.save(&words).map_err(|error| Failure::internal("The change was not kept", error))?;
            registry.set_words(words);
        }
        Ok(())
    }
}

/// Says what devices are, as long as the owner agrees to `recognition/tv`. The owner's own `models.toml` goes before the
/// catalogue of this build; one that is not sound is an error of the start, with its place.
pub fn recogniser(gate: &Gate, own: &Path) -> Result<Recogniser> {
    let mut catalogue = Catalogue::built_in();
    match std::fs::metadata(own) {
        Ok(found) if found.len() > MAX_FILE => {
            bail!("{} is larger than {MAX_FILE} bytes", own.display())
        }
        Ok(_) => {
            let text = std::fs::read_to_string(own).with_context(|| format!("cannot read {}", own.display()))?;
            let read: Result<_, BadCatalogue> = Catalogue::parse(&text, &own.display().to_string());
            catalogue = catalogue.under(read?);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", own.display())),
    }
    let gate: BoundGate = gate.bind("recognition");
    let entry = EntryKey::new(accord_recognition::ENTRY).context("the entry of recognition has no name")?;
    let fields = FieldSet::from_iter([FieldCode::TvName, FieldCode::TvType]);
    let here = RecipientId::here();
    Ok(Recogniser::new(catalogue, move || gate.check(&entry, &here, fields).is_ok()))
}

/// Which bridges are best for what.
pub fn prefer(registry: &Registry) {
    for (job, bridges) in house::BEST {
        registry.prefer(*job, bridges);
    }
}

impl Hub {
    /// The thing that a face belongs to, or is.
    pub(super) fn thing(&self, id: &DeviceId) -> Answer<Thing> {
        self.registry.thing(id).ok_or_else(|| super::devices::no_device(id.as_str()))
    }

    /// How far one face is trusted.
    pub(super) fn trust_of(&self, known: &Known) -> Trust {
        let id = &known.device.id;
        if id.as_str() == house::OWN {
            return Trust::Own;
        }
        let paired = self.peers.get(id).is_some()
            || self.link.device(id).is_some_and(|seen| seen.paired)
            || foreign::is_paired(&known.device);
        match () {
            () if self.note(id).blocked => Trust::Blocked,
            () if paired => Trust::Paired,
            () => Trust::Seen,
        }
    }

    /// The faces that may be used for a job, best first: those that the owner added, if there are any.
    pub(super) fn ways(&self, id: &DeviceId, job: Job<'_>) -> Vec<DeviceId> {
        let mut ways = self.registry.ways(id, job);
        let added = |face: &DeviceId| {
            self.registry.device(face).is_some_and(|known| matches!(self.trust_of(&known), Trust::Paired | Trust::Own))
        };
        if ways.iter().any(added) {
            ways.retain(added);
        } else {
            ways.truncate(1);
        }
        if ways.is_empty() { vec![id.clone()] } else { ways }
    }

    /// The face to be asked for a service.
    pub(super) fn face_for(&self, id: &DeviceId, service: &str) -> DeviceId {
        self.ways(id, Job::Service(service)).swap_remove(0)
    }

    /// What a thing is recognised as. Nothing without the owner's agreement.
    pub(super) fn recognised(&self, told: &[Told]) -> Option<api::Recognised> {
        let known = self.recogniser.recognise(told);
        if known.is_empty() {
            return None;
        }
        fn said<T>(learnt: Option<Learnt<T>>, text: impl Fn(T) -> String) -> Option<api::Learnt> {
            let of = |Learnt { value, origin }| api::Learnt { value: text(value), source: origin.label().to_owned() };
            learnt.map(of)
        }
        Some(api::Recognised {
            maker: said(known.maker, |maker| maker),
            model: said(known.model, |model| model),
            kind: said(known.kind, |kind| kind.as_str().to_owned()),
            screen: said(known.inches, |inches| format!("{inches} inches")),
            picture: said(known.points, |(width, height)| format!("{width} × {height}")),
        })
    }

    /// The faces of a thing, for people.
    pub(super) fn faces_view(&self, thing: &Thing) -> Vec<api::Face> {
        thing.faces.iter().map(|face| self.face_view(face)).collect()
    }

    fn face_view(&self, face: &Face) -> api::Face {
        let Face { known, heard } = face;
        let speaks = house::BRIDGES.iter().find(|(bridge, _)| *bridge == known.bridge);
        let link = self.link.device(&known.device.id);
        let near = link.iter().flat_map(|link| link.addresses.iter().map(ToString::to_string));
        let claimed = known.device.claims.addresses().filter(|_| link.is_none()).map(|ip| ip.to_string());
        api::Face {
            id: known.device.id.to_string(),
            name: for_screen(&known.device.name, 64),
            speaks: speaks.map_or(known.bridge.as_str(), |(_, speaks)| speaks).to_owned(),
            bridge: known.bridge.clone(),
            trust: self.trust_of(known),
            reach: known.device.reach,
            addresses: near.chain(claimed).take(MAX_ADDRESSES).collect(),
            heard: Some(*heard).filter(|heard| heard.as_second() > 0),
        }
    }

    /// The owner says that these are one thing. What was agreed to for one of them is not agreed to for the others.
    pub fn join_devices(&self, wanted: &api::JoinDevices) -> Answer<Device> {
        let [one, two] = [&wanted.device, &wanted.with].map(|text| self.resolve(text));
        let (one, two) = (self.thing(&one?)?, self.thing(&two?)?);
        if [&one, &two].into_iter().any(|thing| thing.device.id.as_str() == house::OWN) {
            return Err(Failure::bad_request(
                "This is the machine itself, which is one device whatever else runs on it.",
            ));
        }
        let mut faces: Vec<DeviceId> = Vec::new();
        for face in one.faces.iter().chain(&two.faces) {
            if !faces.contains(&face.known.device.id) {
                faces.push(face.known.device.id.clone());
            }
        }
        self.faces.change(&self.registry, |words| words.join(&faces))?;
        self.device(&faces[0])
    }

    /// The owner says that a face is a thing of its own; without one named, that all of a thing are.
    pub fn split_device(&self, id: &DeviceId) -> Answer<Device> {
        let thing = self.thing(id)?;
        let faces: Vec<DeviceId> = thing.faces.iter().map(|face| face.known.device.id.clone()).collect();
        if faces.len() < 2 {
            let name = self.device_name(id.as_str()).unwrap_or_else(|| id.to_string());
            return Err(Failure::conflict(format!("{name} has one face; there is nothing to split.")));
        }
        self.faces.change(&self.registry, |words| match *id == thing.device.id {
            true => faces.iter().try_for_each(|face| words.split(face, &faces)),
            false => words.split(id, &faces),
        })?;
        self.device(id)
    }

    /// The owner adds a face whose thing had these: that is the word for their being one. What others claim from now on joins
    /// none of them.
    pub(super) fn added_with(&self, faces: &[DeviceId]) {
        if faces.len() > 1
            && let Err(failure) = self.faces.change(&self.registry, |words| words.join(faces))
        {
            tracing::warn!(%failure, "an added device is shown apart from its other faces");
        }
    }

    /// Nothing of a thing is paired any more: the word for its being one goes with that.
    pub(super) fn forget_joined(&self, id: &DeviceId) -> Answer<()> {
        let faces: Vec<DeviceId> = self.registry.words().of(id).unwrap_or_default().to_vec();
        let is_paired = |face: &DeviceId| {
            let here = self.registry.device(face).is_some_and(|known| self.trust_of(&known) == Trust::Paired);
            here || self.peers.get(face).is_some()
        };
        if faces.iter().any(is_paired) {
            return Ok(());
        }
        self.faces.change(&self.registry, |words| {
            faces.iter().for_each(|face| words.forget(face));
            Ok(())
        })
    }

    /// Faces were joined or split.
    pub(super) fn tell_things(&self, gone: &[DeviceId], changed: &[DeviceId]) {
        for id in gone {
            self.events.tell(Event::DeviceGone { id: id.to_string() });
        }
        for id in changed {
            self.events.tell_as_it_is(|| match self.thing(id) {
                Ok(thing) if is_shown(&thing) => Some(Event::Device(Box::new(self.thing_view(&thing)))),
                _ => Some(Event::DeviceGone { id: id.to_string() }),
            });
        }
    }
}

/// What offers nothing itself and belongs to nothing that is here is not shown.
pub fn is_shown(thing: &Thing) -> bool {
    !thing.faces.iter().all(|face| face.known.device.claims.is_part() && face.known.device.services.is_empty())
}

/// Whether a cast may be tried on another face of the device.
pub fn cast_goes_on(error: &CastError) -> bool {
    matches!(error, CastError::Told(error) if accord_registry::goes_on(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_word_is_kept_before_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let said = Said::open(dir.path(), &registry).unwrap();
        let ids = [DeviceId::new("one").unwrap(), DeviceId::new("two").unwrap()];
        said.change(&registry, |words| words.join(&ids)).unwrap();
        assert!(said.change(&registry, |words| words.join(&[DeviceId::new("alone").unwrap()])).is_err());
        let again = Registry::new();
        Said::open(dir.path(), &again).unwrap();
        assert_eq!(again.words(), registry.words());
        assert_eq!(again.words().of(&ids[1]).unwrap(), ids);
        std::fs::write(dir.path().join("faces.json"), "[").unwrap();
        assert!(Said::open(dir.path(), &again).is_err(), "what is damaged is not taken for nothing");
    }

    #[test]
    fn an_owners_catalogue_with_a_mistake_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let (statement, signer) = accord_consent::example::parts();
        let gate = Gate::open(dir.path(), statement, signer).unwrap();
        let own = dir.path().join("models.toml");
        assert!(recogniser(&gate, &own).is_ok(), "none is needed");
        std::fs::write(&own, "[[row]]\nid = \"a\"\nwhat = 1\n").unwrap();
        let error = recogniser(&gate, &own).unwrap_err().to_string();
        assert!(error.contains("models.toml") && error.contains("line 3"), "{error}");
        std::fs::write(&own, "#".repeat(300_000)).unwrap();
        assert!(recogniser(&gate, &own).unwrap_err().to_string().contains("larger"));
    }
}
