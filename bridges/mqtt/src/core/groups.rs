//! Which entities are one device. Home Assistant's convention lets any client of a broker say that an entity belongs to any
//! device; what contradicts what was described first is kept apart, and a unique id that is taken is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::discovery::{About, Described, Entity, Origin};
use super::entity;
use super::house::kind_of;
use super::thing::{Sign, Thing};

/// Most entities of one device.
const MOST: usize = 256;

/// A device of several entities.
pub struct Group {
    /// By which it is known.
    pub key: String,
    /// The device.
    pub thing: Thing,
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
    /// Set when it is kept apart: by its own topic.
    apart: Option<String>,
    entities: Vec<(&'a str, &'a Entity)>,
}

/// Groups messages, those that came first before the others. `led`: a device that is described better elsewhere.
pub fn group<'a>(messages: impl Iterator<Item = (&'a Origin, &'a Described)>, led: impl Fn(&str) -> bool) -> Grouped {
    let mut grouped = Grouped::default();
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    let mut by_id: HashMap<&'a str, usize> = HashMap::new();
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
        let found: BTreeSet<usize> = about.ids.iter().filter_map(|id| by_id.get(id.as_str()).copied()).collect();
        let index = match found.iter().copied().collect::<Vec<_>>().as_slice() {
            [one] if !contradicts(&drafts[*one].about, about) => *one,
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
            for id in &about.ids {
                by_id.entry(id).or_insert(index);
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

/// Both say who made it and what it is, and it is not the same.
fn contradicts(one: &About, other: &About) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
    differ(&one.maker, &other.maker) || differ(&one.model, &other.model)
}

fn join(known: &mut About, more: &About) {
    for id in &more.ids {
        if !known.ids.contains(id) && known.ids.len() < 64 {
            known.ids.push(id.clone());
        }
    }
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

impl Draft<'_> {
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
        let key = match self.apart {
            Some(topic) => format!("topic {topic}"),
            None => format!("device {}", first(&self.about).unwrap_or_default()),
        };
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
        };
        thing.kind = kind_of(&thing);
        Group { key, thing }
    }
}
