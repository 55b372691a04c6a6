//! One thing as a person knows it: all its faces, what they offer together, and which face is best for what.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use accord_model::{CallError, Data, Device, DeviceId, MOST_TOLD, Reach, Service, Timestamp, Told};

use crate::faces::{Facts, Groups, Words, group};
use crate::registry::{Devices, Inner, Known, Registry, RegistryEvent, read, write};

/// Most that is kept of what a face said when it fetched something.
const MOST_LEARNT: usize = 4;

/// What a face is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Job<'a> {
    /// To play a film or show a picture that is at an address.
    Show,
    /// To play sound, from an address or as a stream.
    Sound,
    /// A service, by its name.
    Service(&'a str),
}

/// One face of a thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Face {
    /// As its bridge describes it.
    pub known: Arc<Known>,
    /// When its bridge told of it last.
    pub heard: Timestamp,
}

/// One thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// Everything together, with the id of the first face.
    pub device: Device,
    /// The first face first.
    pub faces: Vec<Face>,
    /// Faces that may be the same thing, for the owner to decide.
    pub maybe: Vec<DeviceId>,
}

impl Thing {
    /// The bridge of the first face.
    pub fn bridge(&self) -> &str {
        self.faces.first().map_or("", |face| face.known.bridge.as_str())
    }
}

/// What is known of how faces belong together.
#[derive(Default)]
pub(crate) struct Things {
    words: Words,
    groups: Groups,
    /// In which order the faces came, and what was looked at of each.
    came: BTreeMap<DeviceId, (u64, Arc<Facts>)>,
    next: u64,
    /// Counts what was changed of the facts and words: groups are made of a copy, and hold for that.
    version: u64,
    /// Faces that nobody was told of yet.
    new: BTreeSet<DeviceId>,
    heard: BTreeMap<DeviceId, Timestamp>,
    learnt: BTreeMap<DeviceId, Vec<Told>>,
    /// Bridges by what they are best for, best first.
    best: BTreeMap<&'static str, Vec<String>>,
}

impl Registry {
    /// All things that are known now, this machine included, ordered by id.
    pub fn things(&self) -> Vec<Thing> {
        let things = read(&self.0.things);
        let devices = read(&self.0.devices);
        let mut all: Vec<Thing> = Vec::new();
        for id in devices.keys().filter(|id| things.lead(id) == **id) {
            all.extend(things.thing(&devices, id));
        }
        all
    }

    /// The thing that a face belongs to, by the id of any of its faces, also of one that is away.
    pub fn thing(&self, id: &DeviceId) -> Option<Thing> {
        let things = read(&self.0.things);
        let devices = read(&self.0.devices);
        things.thing(&devices, &things.here(&devices, id)?)
    }

    /// The id of the thing that this is a face of. `None`: nothing is known of it.
    pub fn thing_id(&self, id: &DeviceId) -> Option<DeviceId> {
        let things = read(&self.0.things);
        let devices = read(&self.0.devices);
        things.here(&devices, id).map(|face| things.lead(&face))
    }

    /// The faces of a thing that can do a job, best first: those that are here before those that are away, added before
    /// merely seen, proved before claimed, and then by what their bridges are good for ([`Registry::prefer`]). The id of
    /// a face that is not the thing's own means that face alone.
    pub fn ways(&self, id: &DeviceId, job: Job<'_>) -> Vec<DeviceId> {
        let things = read(&self.0.things);
        let devices = read(&self.0.devices);
        let Some(face) = things.here(&devices, id) else { return Vec::new() };
        let faces = if things.lead(&face) == *id || face != *id { things.faces(&devices, &face) } else { vec![face] };
        let known: Vec<&Arc<Known>> = faces.iter().filter_map(|face| devices.get(face)).collect();
        let fitting: Vec<&Arc<Known>> =
            things.ranked(&known, job).into_iter().filter(|known| offers(known, job)).collect();
        fitting.into_iter().map(|known| known.device.id.clone()).collect()
    }

    /// Which bridges are best for a job, best first. Those that are not named come after them. Of services, `media` and
    /// `volume` go with [`Job::Show`].
    pub fn prefer(&self, job: Job<'_>, bridges: &[&str]) {
        let bridges = bridges.iter().map(|bridge| (*bridge).to_owned()).collect();
        write(&self.0.things).best.insert(key(job), bridges);
    }

    /// What the owner said of faces.
    pub fn words(&self) -> Words {
        read(&self.0.things).words.clone()
    }

    /// The owner says something of faces. Whoever keeps it, keeps it before.
    pub fn set_words(&self, words: Words) {
        {
            let mut things = write(&self.0.things);
            (things.words, things.version) = (words, things.version + 1);
        }
        self.0.regroup();
    }

    /// A device said something of its make and model where no bridge heard it: when it fetched what is cast.
    pub fn learnt(&self, device: &DeviceId, told: Told) {
        let mut things = write(&self.0.things);
        let Some(known) = self.device(device) else { return };
        let learnt = things.learnt.entry(device.clone()).or_default();
        if learnt.contains(&told) || learnt.len() >= MOST_LEARNT {
            return;
        }
        learnt.push(told);
        drop(things);
        let _ = self.0.events.send(RegistryEvent::Seen(known));
    }

    /// What all faces of a thing said of its make and model.
    pub fn told(&self, device: &DeviceId) -> Vec<Told> {
        self.thing(device).map(|thing| thing.device.told).unwrap_or_default()
    }
}

/// Whether another face may be tried after this: the first was not there, or said nothing.
pub fn goes_on(error: &CallError) -> bool {
    matches!(error, CallError::Unreachable(_) | CallError::Deadline(_))
}

/// Tries one face after the other, as long as they fail in a way that another one may not. `None`: there is none to try.
pub async fn in_turn<T, E, F: Future<Output = Result<T, E>>>(
    ways: impl IntoIterator<Item = DeviceId>,
    goes_on: impl Fn(&E) -> bool,
    mut act: impl FnMut(DeviceId) -> F,
) -> Option<Result<T, E>> {
    let mut failed = None;
    for way in ways {
        match act(way).await {
            Ok(done) => return Some(Ok(done)),
            // What the best face said tells most.
            Err(error) if goes_on(&error) => failed = failed.or(Some(Err(error))),
            Err(error) => return Some(failed.unwrap_or(Err(error))),
        }
    }
    failed
}

impl Things {
    pub(crate) fn heard(&mut self, face: &DeviceId) {
        self.heard.insert(face.clone(), Timestamp::now());
    }

    /// What was said of a face that is not here is not kept.
    pub(crate) fn dropped(&mut self, face: &DeviceId) {
        self.heard.remove(face);
    }

    /// The face itself when it is here; else another one that the owner joined it with.
    fn here(&self, devices: &Devices, id: &DeviceId) -> Option<DeviceId> {
        let joined = self.words.of(id).unwrap_or_default();
        std::iter::once(id).chain(joined).find(|face| devices.contains_key(*face)).cloned()
    }

    /// The id of the thing that a face belongs to: what the owner named first, else what came first.
    fn lead(&self, face: &DeviceId) -> DeviceId {
        let Some(group) = self.groups.of.get(face) else { return face.clone() };
        let named = self.words.of(face).and_then(|words| words.iter().find(|one| group.contains(*one)));
        let came = |face: &&DeviceId| self.came.get(*face).map_or(u64::MAX, |(order, _)| *order);
        named.or_else(|| group.iter().min_by_key(came)).unwrap_or(face).clone()
    }

    /// All faces, the thing's own first.
    fn faces(&self, devices: &Devices, face: &DeviceId) -> Vec<DeviceId> {
        let lead = self.lead(face);
        let mut faces: Vec<DeviceId> = match self.groups.of.get(face) {
            Some(group) => group.iter().filter(|one| devices.contains_key(*one)).cloned().collect(),
            None => vec![face.clone()],
        };
        faces.sort_by_key(|one| (*one != lead, self.came.get(one).map_or(u64::MAX, |(order, _)| *order)));
        faces
    }

    fn thing(&self, devices: &Devices, face: &DeviceId) -> Option<Thing> {
        let ids = self.faces(devices, face);
        let known: Vec<&Arc<Known>> = ids.iter().filter_map(|id| devices.get(id)).collect();
        let first = known.first()?;
        let mut device = first.device.clone();
        if known.len() > 1 {
            device = self.merged(&known, device);
        }
        let of = |known: &Known| {
            let learnt = self.learnt.get(&known.device.id).into_iter().flatten();
            known.device.told.iter().chain(learnt).cloned().collect::<Vec<_>>()
        };
        device.told = known.iter().flat_map(|known| of(known)).take(MOST_TOLD).collect();
        let heard = |known: &Known| self.heard.get(&known.device.id).copied().unwrap_or_default();
        let faces = known.iter().map(|known| Face { known: Arc::clone(known), heard: heard(known) }).collect();
        let maybe: BTreeSet<DeviceId> =
            ids.iter().filter_map(|id| self.groups.maybe.get(id)).flatten().map(|id| self.lead(id)).collect();
        let maybe = maybe.into_iter().filter(|id| !ids.contains(id)).collect();
        Some(Thing { device, faces, maybe })
    }

    fn merged(&self, known: &[&Arc<Known>], mut device: Device) -> Device {
        let reach = |known: &&&Arc<Known>| distance(known.device.reach);
        device.reach = known.iter().min_by_key(reach).map_or(device.reach, |known| known.device.reach);
        device.passing = known.iter().all(|known| known.device.passing);
        let first = |part: fn(&Device) -> Option<&String>| known.iter().find_map(|known| part(&known.device)).cloned();
        (device.maker, device.model) = (first(|device| device.maker.as_ref()), first(|device| device.model.as_ref()));
        let asks: BTreeSet<&String> = known.iter().flat_map(|known| &known.device.asks).collect();
        device.asks = asks.into_iter().cloned().collect();
        let mut services: Vec<Service> = Vec::new();
        let names = known.iter().flat_map(|known| &known.device.services).map(|service| service.id.as_str());
        let mut seen = BTreeSet::new();
        for name in names.filter(|name| seen.insert(*name)) {
            // Each face pairs for itself.
            let ranked = if name == "pairing" { known[..1].to_vec() } else { self.ranked(known, Job::Service(name)) };
            let best = ranked.into_iter().find(|known| known.device.service(name).is_some());
            let all = best.into_iter().flat_map(|known| &known.device.services);
            services.extend(all.filter(|service| service.id == name).cloned());
        }
        device.services = services;
        device
    }

    fn ranked<'a>(&self, known: &[&'a Arc<Known>], job: Job<'_>) -> Vec<&'a Arc<Known>> {
        let table = self.best.get(key(job)).map(Vec::as_slice).unwrap_or_default();
        let rank = |known: &&Arc<Known>| {
            let place = table.iter().position(|bridge| *bridge == known.bridge).unwrap_or(table.len());
            let away = known.device.reach == Reach::Offline;
            (away, known.device.passing, !is_proved(&known.device), place)
        };
        let mut ranked = known.to_vec();
        // Stable: the thing's own face goes first among equals.
        ranked.sort_by_key(rank);
        ranked
    }
}

/// Bridges whose devices always prove who they are say nothing of it.
fn is_proved(device: &Device) -> bool {
    let said = device.service("pairing").and_then(|pairing| pairing.values.get("verified"));
    !device.claims.is_broadcast() && said.is_none_or(|value| value.data == Data::Bool(true))
}

fn key(job: Job<'_>) -> &'static str {
    match job {
        Job::Show | Job::Service("media" | "volume") => "show",
        Job::Sound => "sound",
        Job::Service(_) => "",
    }
}

fn offers(known: &Known, job: Job<'_>) -> bool {
    let opens = |service: &Service| service.actions.iter().any(|action| action.id == "open");
    let streams = |service: &Service| service.properties.iter().any(|property| property.id == "sound");
    known.device.services.iter().any(|service| match job {
        Job::Show => opens(service),
        Job::Sound => opens(service) || (service.id == "media" && streams(service)),
        Job::Service(name) => service.id == name,
    })
}

fn distance(reach: Reach) -> u8 {
    match reach {
        Reach::Local => 0,
        Reach::Relayed => 1,
        Reach::Cloud => 2,
        Reach::Offline => 3,
    }
}

impl Inner {
    /// What the faces are was changed: groups them anew where that matters, and tells what became of things.
    pub(crate) fn faces_changed(&self, changed: &DeviceId) {
        {
            let mut things = write(&self.things);
            let devices = read(&self.devices);
            match devices.get(changed) {
                Some(known) => {
                    let facts = Arc::new(Facts::of(&known.device, &known.bridge));
                    let order = match things.came.get(changed) {
                        Some((_, before)) if *before == facts => return,
                        Some((order, _)) => *order,
                        None => {
                            things.next += 1;
                            things.next
                        }
                    };
                    let before = things.came.insert(changed.clone(), (order, facts));
                    let is_new = before.is_none();
                    // Most faces claim nothing, and nothing follows from them.
                    let claims = |facts: &Facts| facts.claims_anything();
                    let now = things.came.get(changed).is_some_and(|(_, facts)| claims(facts));
                    if !now && !before.is_some_and(|(_, facts)| claims(&facts)) && things.words.of(changed).is_none() {
                        return;
                    }
                    if is_new {
                        things.new.insert(changed.clone());
                    }
                }
                None => {
                    things.new.remove(changed);
                    things.heard.remove(changed);
                    things.learnt.remove(changed);
                    things.came.remove(changed);
                }
            }
            things.version += 1;
        }
        self.regroup();
    }

    /// Whoever floods the network with faces makes this slow: nobody waits for it but who brought them.
    pub(crate) fn regroup(&self) {
        let (faces, words, version) = {
            let things = read(&self.things);
            let faces = things.came.iter().map(|(face, (_, facts))| (face.clone(), facts.clone()));
            (faces.collect::<BTreeMap<_, _>>(), things.words.clone(), things.version)
        };
        let groups = group(&faces, &words);
        let mut things = write(&self.things);
        if things.version != version {
            // Whoever changed that meanwhile groups anew.
            return;
        }
        let new = std::mem::take(&mut things.new);
        let leads = |things: &Things| -> BTreeMap<DeviceId, DeviceId> {
            things.came.keys().map(|face| (face.clone(), things.lead(face))).collect()
        };
        let before = leads(&things);
        let old = std::mem::replace(&mut things.groups, groups);
        if old == things.groups {
            return;
        }
        let now = leads(&things);
        let touched = |face: &&DeviceId| {
            let faces = |groups: &Groups| (groups.of.get(*face).cloned(), groups.maybe.get(*face).cloned());
            faces(&old) != faces(&things.groups)
        };
        let changed: BTreeSet<DeviceId> = now.keys().filter(touched).map(|face| now[face].clone()).collect();
        let ids: BTreeSet<&DeviceId> = now.values().collect();
        let gone: BTreeSet<&DeviceId> = before.values().filter(|id| !ids.contains(id) && !new.contains(*id)).collect();
        let event =
            RegistryEvent::Things { gone: gone.into_iter().cloned().collect(), changed: changed.into_iter().collect() };
        drop(things);
        let _ = self.events.send(event);
    }
}
