//! Which faces are one thing. A face is a device as one bridge describes it; a television may have three. The answer is a
//! function of the faces that are here and of the owner's words, so that the order in which they came plays no part.
//!
//! - The **owner's word** goes before everything: what the owner joined is one thing, what was split is not.
//! - **By themselves** only faces are joined that announce themselves to everyone and prove nothing
//!   ([`Claims::broadcast`](accord_model::Claims::broadcast)), that nobody added yet, and that fit each other alone: the same
//!   id at no different address, or the same address with the same name, or maker and model; what offers nothing itself
//!   ([`Claims::part`](accord_model::Claims::part)) belongs to the one thing at its address. Two faces of one bridge are
//!   two things, and a face that fits two of them fits none.
//! - A face that the owner added or paired, or joined, is never joined by what another claims: that is at most suggested.
//!
//! Joining is for the eye and for the choice of a way. What the owner agreed to is agreed to for one face, and goes on being so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use accord_model::{Data, Device, DeviceId};
use serde::{Deserialize, Serialize};

/// Most things that the owner joined, and faces of one.
const MOST_JOINED: usize = 256;
const MOST_FACES: usize = 16;
/// Pairs that the owner split.
const MOST_SPLIT: usize = 4096;
/// Faces at one address or with one id beyond which nothing is concluded from that.
const CROWD: usize = 16;

/// What the owner said of faces. Kept by the hub.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// Faces that are one thing; the first is the thing's id.
    together: Vec<Vec<DeviceId>>,
    /// Faces that are not, whatever they claim; each pair in order.
    apart: BTreeSet<(DeviceId, DeviceId)>,
}

/// Why faces are not joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotJoin {
    /// Less than two.
    #[error("name two different devices to join")]
    One,
    /// Too many.
    #[error("at most {MOST_JOINED} devices of {MOST_FACES} faces each can be joined; split some first")]
    Many,
}

impl Words {
    /// These are one thing, with all that they were joined with before; its id is that of the first.
    ///
    /// # Errors
    /// [`CannotJoin`]; then nothing is changed.
    pub fn join(&mut self, faces: &[DeviceId]) -> Result<(), CannotJoin> {
        let mut joined: Vec<DeviceId> = Vec::new();
        for face in faces {
            let before = self.together.iter().find(|group| group.contains(face));
            for one in before.map_or(std::slice::from_ref(face), Vec::as_slice) {
                if !joined.contains(one) {
                    joined.push(one.clone());
                }
            }
        }
        if joined.len() < 2 {
            return Err(CannotJoin::One);
        }
        let others = self.together.iter().filter(|group| !group.iter().any(|one| joined.contains(one)));
        let mut together: Vec<Vec<DeviceId>> = others.cloned().collect();
        if joined.len() > MOST_FACES || together.len() >= MOST_JOINED {
            return Err(CannotJoin::Many);
        }
        self.apart.retain(|(one, two)| !(joined.contains(one) && joined.contains(two)));
        together.push(joined);
        self.together = together;
        Ok(())
    }

    /// This face is none of these others, whatever they claim.
    ///
    /// # Errors
    /// [`CannotJoin::Many`] when more was split than is kept.
    pub fn split(&mut self, face: &DeviceId, others: &[DeviceId]) -> Result<(), CannotJoin> {
        let mut apart = self.apart.clone();
        apart.extend(others.iter().filter(|other| *other != face).map(|other| pair(face, other)));
        if apart.len() > MOST_SPLIT {
            return Err(CannotJoin::Many);
        }
        self.apart = apart;
        self.forget(face);
        Ok(())
    }

    /// A face is joined with nothing by the owner's word any more.
    pub fn forget(&mut self, face: &DeviceId) {
        self.together.iter_mut().for_each(|group| group.retain(|one| one != face));
        self.together.retain(|group| group.len() > 1);
    }

    /// What a face was joined with, itself included, the thing's id first; also of faces that are away.
    pub fn of(&self, face: &DeviceId) -> Option<&[DeviceId]> {
        self.together.iter().find(|group| group.contains(face)).map(Vec::as_slice)
    }

    fn are_apart(&self, one: &DeviceId, two: &DeviceId) -> bool {
        self.apart.contains(&pair(one, two))
    }
}

fn pair(one: &DeviceId, two: &DeviceId) -> (DeviceId, DeviceId) {
    if one < two { (one.clone(), two.clone()) } else { (two.clone(), one.clone()) }
}

/// What is looked at of a face.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub bridge: String,
    /// The name, and maker with model, in small letters.
    name: Option<String>,
    model: Option<(String, String)>,
    claims: accord_model::Claims,
    /// Merely seen, and of a kind that proves nothing.
    open: bool,
}

impl Facts {
    pub fn of(device: &Device, bridge: &str) -> Self {
        let word = |text: &str| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let verified = device.service("pairing").and_then(|pairing| pairing.values.get("verified"));
        let proves = verified.is_some_and(|value| value.data == Data::Bool(true));
        let both = |(maker, model): (&String, &String)| word(maker).zip(word(model));
        Self {
            bridge: bridge.to_owned(),
            name: word(&device.name),
            model: device.maker.as_ref().zip(device.model.as_ref()).and_then(both),
            claims: device.claims.clone(),
            open: device.passing && device.claims.is_broadcast() && !proves,
        }
    }

    pub fn claims_anything(&self) -> bool {
        !self.claims.is_empty()
    }

    /// How much speaks for the two being one thing.
    fn fit(&self, other: &Self) -> Option<Fit> {
        if self.bridge == other.bridge {
            return None;
        }
        let same_id = self.claims.share_id(&other.claims);
        if same_id && !self.claims.are_apart(&other.claims) {
            return Some(Fit::Id);
        }
        let part = self.claims.is_part() != other.claims.is_part();
        let alike = part
            || (self.name.is_some() && self.name == other.name)
            || (self.model.is_some() && self.model == other.model);
        match (same_id, self.claims.share_address(&other.claims) && alike) {
            (_, true) => Some(Fit::Place),
            (true, false) => Some(Fit::Doubtful),
            (false, false) => None,
        }
    }
}

/// Least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The same id at another address: one with two networks, or one that pretends.
    Doubtful,
    /// The same address, and the same name or model.
    Place,
    /// The same id.
    Id,
}

/// How the faces are grouped.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Groups {
    /// Faces of things with more than one.
    pub of: BTreeMap<DeviceId, BTreeSet<DeviceId>>,
    /// What may be the same thing, and is not joined.
    pub maybe: BTreeMap<DeviceId, BTreeSet<DeviceId>>,
}

/// Groups faces.
pub(crate) fn group(faces: &BTreeMap<DeviceId, Arc<Facts>>, words: &Words) -> Groups {
    let mut groups = Groups::default();
    for group in &words.together {
        let here: BTreeSet<DeviceId> = group.iter().filter(|face| faces.contains_key(*face)).cloned().collect();
        groups.add(&here);
    }
    let fits = fits(faces, words);
    let is_open = |face: &DeviceId| faces.get(face).is_some_and(|facts| facts.open) && words.of(face).is_none();
    let open = fits.iter().map(|((one, two), fit)| (*one, *two, *fit));
    let is_part = |face: &DeviceId| faces.get(face).is_some_and(|facts| facts.claims.is_part());
    let open = open.filter(|(one, two, fit)| *fit > Fit::Doubtful && is_open(one) && is_open(two));
    let alone = alone(open.filter(|(one, two, _)| !is_part(one) && !is_part(two)), faces);
    for component in components(&alone, Fit::Place) {
        if is_sound(&component, faces, words) {
            groups.add(&component);
            continue;
        }
        // What is only likely made it a contradiction: then what is certain stands alone.
        let within = alone.iter().filter(|(one, two, _)| component.contains(*one) && component.contains(*two));
        let within: Vec<_> = within.copied().collect();
        for certain in components(&within, Fit::Id).into_iter().filter(|one| is_sound(one, faces, words)) {
            groups.add(&certain);
        }
    }
    for part in faces.keys().filter(|face| is_part(face) && is_open(face)) {
        if let Some(whole) = whole(part, &fits, &groups, &is_part)
            && whole.iter().all(is_open)
            && !whole.iter().any(|other| words.are_apart(part, other))
            && whole.len() < MOST_FACES
        {
            let with: BTreeSet<DeviceId> = whole.into_iter().chain([part.clone()]).collect();
            groups.add(&with);
        }
    }
    for (one, two) in fits.into_keys() {
        if !groups.of.get(one).is_some_and(|group| group.contains(two)) {
            groups.maybe.entry(one.clone()).or_default().insert(two.clone());
            groups.maybe.entry(two.clone()).or_default().insert(one.clone());
        }
    }
    groups
}

impl Groups {
    fn add(&mut self, group: &BTreeSet<DeviceId>) {
        if group.len() > 1 {
            self.of.extend(group.iter().map(|face| (face.clone(), group.clone())));
        }
    }
}

/// The one thing that a part belongs to, of all that fit it best: it holds no two things together.
fn whole(
    part: &DeviceId,
    fits: &BTreeMap<(&DeviceId, &DeviceId), Fit>,
    groups: &Groups,
    is_part: &impl Fn(&DeviceId) -> bool,
) -> Option<BTreeSet<DeviceId>> {
    let others = fits.iter().filter_map(|((one, two), fit)| match (*one == part, *two == part) {
        (true, _) => Some((*two, *fit)),
        (_, true) => Some((*one, *fit)),
        _ => None,
    });
    let others: Vec<(&DeviceId, Fit)> = others.filter(|(other, fit)| !is_part(other) && *fit > Fit::Doubtful).collect();
    let best = others.iter().map(|(_, fit)| *fit).max()?;
    let of = |face: &DeviceId| groups.of.get(face).cloned().unwrap_or_else(|| BTreeSet::from([face.clone()]));
    // Other parts may have been put to it before: that makes it no other thing.
    let mut wholes: Vec<BTreeSet<DeviceId>> = Vec::new();
    for (other, _) in others.iter().filter(|(_, fit)| *fit == best) {
        if !wholes.iter().any(|whole| whole.contains(*other)) {
            wholes.push(of(other));
        }
    }
    let only = wholes.pop()?;
    wholes.is_empty().then_some(only)
}

/// All pairs that fit, but those that the owner split.
fn fits<'a>(faces: &'a BTreeMap<DeviceId, Arc<Facts>>, words: &Words) -> BTreeMap<(&'a DeviceId, &'a DeviceId), Fit> {
    let mut buckets: BTreeMap<String, Vec<&DeviceId>> = BTreeMap::new();
    for (face, facts) in faces {
        for key in facts.claims.keys().collect::<BTreeSet<_>>() {
            buckets.entry(key).or_default().push(face);
        }
    }
    let mut fits = BTreeMap::new();
    for bucket in buckets.values().filter(|bucket| (2..=CROWD).contains(&bucket.len())) {
        // In order, as the faces are: a pair is met in one way.
        for (index, one) in bucket.iter().enumerate() {
            for two in &bucket[index + 1..] {
                if let Some(fit) = faces[*one].fit(&faces[*two]).filter(|_| !words.are_apart(one, two)) {
                    fits.insert((*one, *two), fit);
                }
            }
        }
    }
    fits
}

type Edge<'a> = (&'a DeviceId, &'a DeviceId, Fit);

/// The pairs of which each fits best the other, among all faces of the other's bridge.
fn alone<'a>(pairs: impl Iterator<Item = Edge<'a>>, faces: &BTreeMap<DeviceId, Arc<Facts>>) -> Vec<Edge<'a>> {
    let pairs: Vec<Edge<'a>> = pairs.collect();
    // By face and the other's bridge: the best fit, and which ones fit so well.
    let mut best: BTreeMap<(&DeviceId, &str), (Fit, BTreeSet<&DeviceId>)> = BTreeMap::new();
    for (one, two, fit) in &pairs {
        for (from, to) in [(*one, *two), (*two, *one)] {
            let (known, which) = best.entry((from, &faces[to].bridge)).or_insert((*fit, BTreeSet::new()));
            if *fit > *known {
                (*known, *which) = (*fit, BTreeSet::new());
            }
            if *fit == *known {
                which.insert(to);
            }
        }
    }
    let only = |from: &DeviceId, to: &DeviceId| {
        let which = best.get(&(from, faces[to].bridge.as_str()));
        which.is_some_and(|(_, which)| which.len() == 1 && which.contains(to))
    };
    pairs.into_iter().filter(|(one, two, _)| only(one, two) && only(two, one)).collect()
}

/// What hangs together by pairs that fit at least so well.
fn components(edges: &[Edge<'_>], least: Fit) -> Vec<BTreeSet<DeviceId>> {
    let mut components: Vec<BTreeSet<DeviceId>> = Vec::new();
    for (one, two, _) in edges.iter().filter(|(.., fit)| *fit >= least) {
        let touches = |component: &BTreeSet<DeviceId>| component.contains(*one) || component.contains(*two);
        let (touched, others): (Vec<_>, Vec<_>) = components.into_iter().partition(touches);
        let mut joined: BTreeSet<DeviceId> = touched.into_iter().flatten().collect();
        joined.extend([(*one).clone(), (*two).clone()]);
        components = others;
        components.push(joined);
    }
    components
}

/// One face of each bridge, and none that the owner split.
fn is_sound(component: &BTreeSet<DeviceId>, faces: &BTreeMap<DeviceId, Arc<Facts>>, words: &Words) -> bool {
    let bridges: BTreeSet<&str> = component.iter().map(|face| faces[face].bridge.as_str()).collect();
    let apart = component.iter().any(|one| component.iter().any(|two| words.are_apart(one, two)));
    bridges.len() == component.len() && !apart && component.len() <= MOST_FACES
}

#[cfg(test)]
mod tests;
