//! Which entities are one device. Home Assistant's convention lets any client of a broker say that an entity belongs to any
//! device; what contradicts what is known of it, or what was described first, is kept apart, and a unique id that is taken is
//! refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::discovery::{About, Described, Entity, Origin};
use super::entity;
use super::house::kind_of;
use super::known::{Known, contradicts};
use super::thing::{Sign, Thing};

/// Most entities of one device.
const MOST: usize = 256;
/// Most ids of one device.
const MOST_IDS: usize = 64;

/// A device of several entities.
pub struct Group {
    /// By which it is known.
    pub key: String,
    /// The device.
    pub thing: Thing,
    /// The ids that are its own; none when it is kept apart.
    pub ids: Vec<String>,
    /// The topics that describe it and say no less of it than is known.
    pub origins: Vec<Origin>,
}

/// All of them.
#[derive(Default)]
pub struct Grouped {
    /// The devices.
    pub groups: Vec<Group>,
    /// What was refused, and why.
    pub refused: BTreeMap<String, usize>,
    /// Messages about what somebody describes better.
    pub led: usize,
}

#[derive(Default)]
struct Draft<'a> {
    about: About,
    /// As what it was known before.
    key: Option<&'a str>,
    /// Set when it is kept apart: by its own topic.
    apart: Option<String>,
    origins: Vec<&'a Origin>,
    entities: Vec<(&'a str, &'a Entity)>,
}

/// Groups messages, those that came first before the others. `led`: a device that is described better elsewhere. `known`: what
/// was found before, which nobody changes by coming first this time.
pub fn group<'a>(
    messages: impl Iterator<Item = (&'a Origin, &'a Described)>,
    led: impl Fn(&str) -> bool,
    known: &'a Known,
) -> Grouped {
    let mut grouped = Grouped::default();
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    let mut by_id: HashMap<&'a str, usize> = HashMap::new();
    let mut by_key: HashMap<&'a str, usize> = HashMap::new();
    let mut unique: BTreeSet<(&'a str, &'a str)> = BTreeSet::new();
    let mut refuse = |why: &str, count: usize| {
        if count > 0 {
            *grouped.refused.entry(why.to_owned()).or_default() += count;
        }
    };
    for (origin, described) in messages {
        refuse("a component that cannot be read", described.refused);
        let about = &described.about;
        if about.ids.iter().any(|id| led(id)) {
            grouped.led += 1;
            continue;
        }
        let mut found: BTreeSet<usize> = BTreeSet::new();
        for id in &about.ids {
            match known.key_of(id) {
                Some(key) => found.extend([*by_key.entry(key).or_insert_with(|| {
                    drafts.push(Draft::known(key, known));
                    drafts.len() - 1
                })]),
                None => found.extend(by_id.get(id.as_str())),
            }
        }
        let fits = |draft: &Draft<'_>| {
            draft.key.is_some_and(|key| known.is_own(origin, key))
                || !contradicts(&draft.about.maker, &draft.about.model, about)
        };
        let index = match found.iter().copied().collect::<Vec<_>>().as_slice() {
            [one] if fits(&drafts[*one]) => *one,
            [] => {
                drafts.push(Draft::default());
                drafts.len() - 1
            }
            _ => {
                refuse("it claims the id of another device, and is kept apart", 1);
                let apart = Some(format!("{}/{}", origin.component, origin.object));
                drafts.push(Draft { apart, ..Draft::default() });
                drafts.len() - 1
            }
        };
        let draft = &mut drafts[index];
        if draft.apart.is_none() {
            if draft.entities.is_empty() && draft.key.is_some() {
                // Who described it before may say that it is another model now.
                draft.about.maker = about.maker.clone().or_else(|| draft.about.maker.take());
                draft.about.model = about.model.clone().or_else(|| draft.about.model.take());
            }
            // Who says less of it than is known gives it no more ids: they may be another one's.
            if says_enough(&draft.about, about) {
                draft.origins.push(origin);
                for id in &about.ids {
                    if draft.about.ids.len() < MOST_IDS && !draft.about.ids.contains(id) {
                        by_id.entry(id).or_insert(index);
                        draft.about.ids.push(id.clone());
                    }
                }
            }
            if about.ids.is_empty() {
                draft.apart = Some(format!("{}/{}", origin.component, origin.object));
            }
        }
        join(&mut draft.about, about);
        for (name, entity) in &described.entities {
            let is_new = entity.unique.as_deref().is_none_or(|id| unique.insert((&entity.component, id)));
            if !is_new {
                refuse("a unique id that another has", 1);
            } else if draft.entities.len() >= MOST {
                refuse("more entities than a device may have", 1);
            } else {
                let name = if name.is_empty() { origin.object.as_str() } else { name };
                draft.entities.push((name, entity));
            }
        }
    }
    grouped.groups = drafts.into_iter().filter(|draft| !draft.entities.is_empty()).map(Draft::finish).collect();
    grouped
}

/// It says who made it and what it is, as far as that is known.
fn says_enough(known: &About, said: &About) -> bool {
    (known.maker.is_none() || said.maker.is_some()) && (known.model.is_none() || said.model.is_some())
}

fn join(known: &mut About, more: &About) {
    let fill = |known: &mut Option<String>, more: &Option<String>| {
        if known.is_none() {
            known.clone_from(more);
        }
    };
    fill(&mut known.name, &more.name);
    fill(&mut known.maker, &more.maker);
    fill(&mut known.model, &more.model);
    fill(&mut known.software, &more.software);
    fill(&mut known.room, &more.room);
}

impl<'a> Draft<'a> {
    fn known(key: &'a str, known: &'a Known) -> Self {
        let kept = known.group(key).cloned().unwrap_or_default();
        let about = About { maker: kept.maker, model: kept.model, ..About::default() };
        Self { about, key: Some(key), ..Self::default() }
    }

    fn finish(mut self) -> Group {
        // The order in which they came plays no part in what is the first of several alike.
        self.entities.sort_unstable_by_key(|(name, entity)| (entity.component.clone(), *name));
        let parts = entity::map(self.entities.iter().copied());
        let signs = self.entities.iter().flat_map(|(_, entity)| Sign::of(entity));
        let mut seen = Vec::new();
        for sign in signs {
            if !seen.contains(&sign) && seen.len() < 8 {
                seen.push(sign);
            }
        }
        let any = self.entities.iter().any(|(_, one)| one.text("availability_mode") == Some("any"));
        let first = |about: &About| about.ids.iter().min().cloned();
        let key = match (&self.apart, self.key) {
            (Some(topic), _) => format!("topic {topic}"),
            (None, Some(known)) => known.to_owned(),
            (None, None) => format!("device {}", first(&self.about).unwrap_or_default()),
        };
        let ids = if self.apart.is_some() { Vec::new() } else { self.about.ids.clone() };
        let origins = self.origins.into_iter().cloned().collect();
        let entity_name = self.entities.iter().find_map(|(_, entity)| entity.name.clone());
        let name = self.about.name.clone().or(entity_name);
        let name = name.unwrap_or_else(|| self.entities[0].0.to_owned());
        let hardware = self.about.ids.iter().find_map(|id| id.strip_prefix("mac:")).map(str::to_owned);
        let About { maker, model, software, room, .. } = self.about;
        let mut thing = Thing {
            name,
            kind: accord_model::DeviceKind::Other,
            maker,
            model,
            software,
            room,
            hardware,
            parts,
            signs: seen,
            any,
            disabled: false,
            zigbee: false,
            ask: None,
            values: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        thing.kind = kind_of(&thing);
        Group { key, thing, ids, origins }
    }
}
