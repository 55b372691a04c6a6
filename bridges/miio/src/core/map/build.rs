//! How a [`Map`] is made.

use std::collections::{BTreeMap, BTreeSet};

use accord_model::catalogue::is_way_in;
use accord_model::{Action, Data, DeviceKind, Format, Property, Range, Service, Unit};

use super::super::spec::{self, At, Spec};
use super::more::{foreign, foreign_action, unlike};
use super::rules::{
    ACTIONS, CLIMATE_MODES, CLIMATES, COVER_STATES, COVERS, How, LIGHTS, LOCK_STATES, LOCKS, RULES, SETTINGS,
    VACUUM_STATES, VACUUMS, is_personal, kind, template,
};
use super::scale::{Scale, kebab, units};
use super::{Count, Deed, Left, Link, Map};

/// Most that `more` is shown with.
const MOST_PROPERTIES: usize = 300;
const MOST_ACTIONS: usize = 100;
/// Levels that are a list without being written as one.
const MOST_LEVELS: f64 = 16.0;
/// Services of which a device has one, though natively it is spread.
const ONE: &[&str] = &["climate", "vacuum", "humidifier", "air-quality", "information", "battery"];
/// Numbers of modes that no standard service names begin here.
const OWN_MODES: i64 = 1000;

/// One service in the making.
struct Shape {
    id: &'static str,
    origin: u16,
    label: String,
    properties: Vec<(Property, Link)>,
    actions: Vec<(Action, Deed)>,
}

impl Shape {
    fn has(&self, property: &str) -> bool {
        self.properties.iter().any(|(one, _)| one.id == property)
    }
}

pub(super) struct Builder<'a> {
    spec: &'a Spec,
    kind: DeviceKind,
    shapes: Vec<Shape>,
    /// What is taken: properties, actions.
    properties: BTreeSet<At>,
    actions: BTreeSet<At>,
    count: Count,
}

impl<'a> Builder<'a> {
    pub(super) fn new(spec: &'a Spec) -> Self {
        let (properties, actions) = (BTreeSet::new(), BTreeSet::new());
        let kind = kind(&spec.kind);
        Self { spec, kind, shapes: Vec::new(), properties, actions, count: Count::default() }
    }

    pub(super) fn finish(mut self) -> Map {
        for service in self.spec.services.iter().filter(|service| service.is_standard) {
            let is = |kinds: &[&str]| kinds.contains(&service.kind.as_str());
            if is(CLIMATES) {
                self.climate(service);
            }
            if is(COVERS) {
                self.cover(service);
            }
            if is(VACUUMS) {
                self.vacuum(service);
            }
            if is(LOCKS) && self.kind == DeviceKind::Lock {
                self.lock(service);
            }
            if is(LIGHTS) {
                self.colour(service);
            }
        }
        for service in self.spec.services.iter().filter(|service| service.is_standard) {
            for property in service.properties.iter().filter(|property| property.is_standard) {
                self.by_rule(service, property);
            }
            self.switch(service);
        }
        for service in self.spec.services.iter().filter(|service| service.is_standard) {
            self.standard_actions(service);
        }
        self.toggles();
        self.more();
        self.map()
    }

    // -- putting together ---------------------------------------------------------------------------

    /// The service of that name that came from there, made if need be.
    fn shape(&mut self, id: &'static str, service: &spec::Service, property: &str) -> &mut Shape {
        let found = self.shapes.iter().position(|shape| {
            shape.id == id && (shape.origin == service.iid || ONE.contains(&id)) && !shape.has(property)
        });
        let at = found.unwrap_or_else(|| {
            let label = service.description.clone();
            let (properties, actions) = (Vec::new(), Vec::new());
            self.shapes.push(Shape { id, origin: service.iid, label, properties, actions });
            self.shapes.len() - 1
        });
        &mut self.shapes[at]
    }

    /// Puts a property of ours where it belongs. What it takes is taken.
    fn put(
        &mut self,
        id: &'static str,
        service: &spec::Service,
        name: &str,
        link: Link,
        change: impl FnOnce(&mut Property),
    ) {
        let Some(property) = template(id).and_then(|one| one.properties.into_iter().find(|one| one.id == name)) else {
            return;
        };
        let mut property = property;
        property.notify = true;
        change(&mut property);
        self.properties.extend(link.ats());
        if let Link::Pair { shall, .. } = &link {
            self.properties.insert(*shall);
        }
        self.shape(id, service, name).properties.push((property, link));
    }

    fn act(&mut self, id: &'static str, service: &spec::Service, name: &str, deed: Deed) {
        let Some(action) = template(id).and_then(|one| one.actions.into_iter().find(|one| one.id == name)) else {
            return;
        };
        if let Deed::Act { at, .. } = &deed {
            self.actions.insert(*at);
        }
        let shape = self.shape(id, service, "");
        if !shape.actions.iter().any(|(one, _)| one.id == name) {
            shape.actions.push((action, deed));
        }
    }

    fn has(&self, id: &str) -> bool {
        self.shapes.iter().any(|shape| shape.id == id)
    }

    /// The number of a word among a template's values.
    fn number(id: &str, property: &str, word: &str) -> Option<i64> {
        let template = template(id)?;
        let values = &template.properties.iter().find(|one| one.id == property)?.values;
        values.iter().find(|(_, name)| name == word).map(|(number, _)| *number)
    }

    // -- what is more than a number -----------------------------------------------------------------

    fn climate(&mut self, service: &spec::Service) {
        let at = |property: &spec::Property| At::new(service.iid, property.iid);
        let on = service.property("on").filter(|one| one.read && one.format == spec::Format::Bool);
        let mode = service.property("mode").filter(|one| one.read && !one.values.is_empty());
        let (Some(off), true) = (Self::number("climate", "mode", "off"), on.is_some() || mode.is_some()) else {
            return;
        };
        let mut names = Vec::new();
        let mut values = vec![(off, "off".to_owned())];
        for (native, text) in mode.iter().flat_map(|mode| &mode.values) {
            let word = kebab(text);
            let known = CLIMATE_MODES.iter().find(|(one, _)| *one == word).map_or(word.as_str(), |(_, ours)| ours);
            let number = Self::number("climate", "mode", known).unwrap_or_else(|| OWN_MODES.saturating_add(*native));
            names.push((*native, number));
            if !values.iter().any(|(one, _)| *one == number) {
                values.push((number, known.to_owned()));
            }
        }
        let alone = if service.kind.contains("heater") { "heat" } else { "auto" };
        let alone = Self::number("climate", "mode", alone).filter(|_| mode.is_none());
        values
            .extend(alone.map(|number| (number, if service.kind.contains("heater") { "heat" } else { "auto" }.into())));
        let write = [on, mode].into_iter().flatten().all(|one| one.write);
        let link = Link::Mode { on: on.map(at), mode: mode.map(at), names, off, alone };
        self.put("climate", service, "mode", link, |property| (property.values, property.write) = (values, write));
    }

    fn cover(&mut self, service: &spec::Service) {
        let at = |property: &spec::Property| At::new(service.iid, property.iid);
        let position = service.property("current-position").filter(|one| one.read);
        let target = service.property("target-position").filter(|one| one.write);
        let place = position.or(target.filter(|one| one.read));
        if let Some(place) = place {
            let scale = units(place, Unit::Percent).unwrap_or(Scale::Same);
            let link = match target {
                Some(target) if target.iid != place.iid => Link::Pair { is: at(place), shall: at(target), scale },
                _ => Link::One { at: at(place), scale },
            };
            self.put("cover", service, "position", link, |property| property.write = target.is_some());
        }
        let status = service.property("status").filter(|one| one.read && !one.values.is_empty());
        let names = status.map(|one| words("cover", "state", COVER_STATES, &one.values)).unwrap_or_default();
        let rests = ["closed", "open", "stopped"].map(|word| Self::number("cover", "state", word));
        if let ([Some(closed), Some(open), Some(stopped)], true) = (rests, !names.is_empty() || place.is_some()) {
            let status = status.filter(|_| !names.is_empty()).map(at);
            let link = Link::Stand { status, names, position: place.map(at), rests: [closed, open, stopped] };
            self.put("cover", service, "state", link, |_| {});
        }
        let Some(motor) = service.property("motor-control").filter(|one| one.write) else { return };
        self.properties.insert(at(motor));
        for (ours, those) in
            [("open", &["open", "up", "rise"][..]), ("close", &["close", "down", "drop"]), ("stop", &["stop", "pause"])]
        {
            let value = motor.values.iter().find(|(_, text)| those.iter().any(|word| kebab(text).starts_with(word)));
            if let Some((value, _)) = value {
                self.act("cover", service, ours, Deed::Set(at(motor), Data::Int(*value)));
            }
        }
    }

    fn vacuum(&mut self, service: &spec::Service) {
        let at = |property: &spec::Property| At::new(service.iid, property.iid);
        if let Some(status) = service.property("status").filter(|one| one.read) {
            let names = words("vacuum", "state", VACUUM_STATES, &status.values);
            if !names.is_empty() {
                let link = Link::One { at: at(status), scale: Scale::Names(names) };
                self.put("vacuum", service, "state", link, |_| {});
            }
        }
        if let Some(fault) = service.property("fault").filter(|one| one.read && !one.values.is_empty()) {
            let is_none = |text: &str| ["no", "none", "normal"].iter().any(|word| kebab(text).starts_with(word));
            let texts = fault.values.iter().filter(|(number, text)| *number != 0 && !is_none(text)).cloned().collect();
            self.put("vacuum", service, "error", Link::One { at: at(fault), scale: Scale::Texts(texts) }, |_| {});
        }
    }

    fn lock(&mut self, service: &spec::Service) {
        let names = ["lock-state", "lock-status", "status", "door-state", "door-status"];
        let state = names.iter().find_map(|name| service.property(name)).filter(|one| one.read);
        let Some(state) = state.filter(|_| !self.has("door-lock")) else { return };
        let at = At::new(service.iid, state.iid);
        let names = words("door-lock", "state", LOCK_STATES, &state.values);
        let locked = Self::number("door-lock", "state", "locked");
        let those: Vec<i64> =
            names.iter().filter(|(_, ours)| Some(*ours) == locked).map(|(native, _)| *native).collect();
        if !those.is_empty() {
            self.put("door-lock", service, "locked", Link::One { at, scale: Scale::Is(those) }, |_| {});
            self.put("door-lock", service, "state", Link::One { at, scale: Scale::Names(names) }, |_| {});
        }
    }

    fn colour(&mut self, service: &spec::Service) {
        let Some(color) = service.property("color").filter(|one| one.read) else { return };
        let spec::Format::Int(..) = color.format else { return };
        if color.range.is_some_and(|(_, max, _)| max < 1_048_576.0) {
            return;
        }
        let (at, write) = (At::new(service.iid, color.iid), color.write);
        self.put("light", service, "hue", Link::Hue(at), |property| property.write = write);
        self.put("light", service, "saturation", Link::Saturation(at), |property| property.write = write);
    }

    // -- by the table -------------------------------------------------------------------------------

    fn by_rule(&mut self, service: &spec::Service, native: &spec::Property) {
        let at = At::new(service.iid, native.iid);
        if self.properties.contains(&at) || !native.read {
            return;
        }
        let fits = |of: &[&str]| of.is_empty() || of.contains(&service.kind.as_str());
        let rule = RULES.iter().find(|rule| rule.native == native.kind && fits(rule.of));
        let Some(rule) = rule else { return };
        // What the room is like belongs to what changes it.
        let (id, name) = match (rule.service, rule.property) {
            ("temperature", name) if self.has("climate") => ("climate", name),
            ("humidity", name) if self.has("climate") => ("climate", name),
            ("humidity", name) if self.spec.services.iter().any(|one| one.kind.ends_with("humidifier")) => {
                ("humidifier", name)
            }
            ("climate", _) if !self.has("climate") => return,
            other => other,
        };
        let is_taken = ONE.contains(&id) && self.shapes.iter().any(|shape| shape.id == id && shape.has(name));
        if is_taken || self.shapes.iter().any(|one| one.id == id && one.origin == service.iid && one.has(name)) {
            return;
        }
        let Some(ours) = template(id).and_then(|one| one.properties.into_iter().find(|one| one.id == name)) else {
            return;
        };
        let Some((scale, range, values)) = convert(rule.how, native, &ours) else { return };
        let write = ours.write && native.write;
        self.put(id, service, name, Link::One { at, scale }, |property| {
            property.write = write;
            if range.is_some() {
                property.range = range;
            }
            if !values.is_empty() {
                property.values = values;
            }
        });
    }

    /// What is switched by `on` and is nothing more, is a switch.
    fn switch(&mut self, service: &spec::Service) {
        if SETTINGS.contains(&service.kind.as_str()) || self.kind == DeviceKind::Lock {
            return;
        }
        let Some(on) = service.property("on").filter(|one| one.read && one.format == spec::Format::Bool) else {
            return;
        };
        let at = At::new(service.iid, on.iid);
        if !self.properties.contains(&at) {
            let write = on.write;
            self.put("on-off", service, "on", Link::One { at, scale: Scale::Same }, |property| property.write = write);
        }
    }

    fn standard_actions(&mut self, service: &spec::Service) {
        for action in service.actions.iter().filter(|action| action.is_standard && action.inputs.is_empty()) {
            let rule =
                ACTIONS.iter().find(|(of, native, ..)| *native == action.kind && of.contains(&service.kind.as_str()));
            let Some((_, _, id, name)) = rule else { continue };
            let is_there = self.shapes.iter().any(|one| {
                one.id == *id
                    && (one.origin == service.iid || ONE.contains(id))
                    && !one.actions.iter().any(|(a, _)| a.id == *name)
            });
            if is_there {
                let at = At::new(service.iid, action.iid);
                self.act(id, service, name, Deed::Act { at, inputs: Vec::new() });
            }
        }
    }

    /// What can be switched and has no action for it is told the opposite of what it is.
    fn toggles(&mut self) {
        for shape in &mut self.shapes {
            let toggle = template(shape.id).and_then(|one| one.actions.into_iter().find(|one| one.id == "toggle"));
            let on = shape.properties.iter().find_map(|(property, link)| match link {
                Link::One { at, scale: Scale::Same } if property.id == "on" && property.write => Some(*at),
                _ => None,
            });
            if let (Some(toggle), Some(on), true) = (toggle, on, shape.actions.is_empty()) {
                shape.actions.push((toggle, Deed::Invert(on)));
            }
        }
    }

    // -- the rest -----------------------------------------------------------------------------------

    fn more(&mut self) {
        self.count.standard = self.properties.len() + self.actions.len();
        let mut names = BTreeSet::new();
        let (mut properties, mut actions) = (Vec::new(), Vec::new());
        let mut left = BTreeMap::new();
        let mut leave = |why: Left| *left.entry(why).or_default() += 1;
        for service in &self.spec.services {
            service.events.iter().for_each(|_| leave(Left::OnlyTold));
            for property in &service.properties {
                let at = At::new(service.iid, property.iid);
                if self.properties.contains(&at) {
                    continue;
                }
                let write = property.write && self.kind != DeviceKind::Lock;
                match () {
                    () if service.kind == "device-information" && service.is_standard => {
                        leave(if is_personal(&property.kind) { Left::Personal } else { Left::KnownAnyway });
                    }
                    () if is_personal(&property.kind) => leave(Left::Personal),
                    () if !property.read && property.write && !write => leave(Left::Locked),
                    () if !property.read && !write && property.notify => leave(Left::OnlyTold),
                    () if !property.read && !write => leave(Left::OnlyInput),
                    () if properties.len() >= MOST_PROPERTIES => leave(Left::TooMany),
                    () => {
                        let id = unlike(&mut names, &service.kind, &property.kind, at);
                        let (mut ours, scale) = foreign(&id, property);
                        ours = if write { ours.writable().config() } else { ours.diagnostic() };
                        (ours.read, ours.notify) = (property.read, property.read);
                        properties.push((ours, Link::One { at, scale }));
                        self.count.more += 1;
                    }
                }
            }
            for action in &service.actions {
                let at = At::new(service.iid, action.iid);
                if self.actions.contains(&at) {
                    continue;
                }
                if self.kind == DeviceKind::Lock {
                    leave(Left::Locked);
                } else if actions.len() >= MOST_ACTIONS {
                    leave(Left::TooMany);
                } else {
                    let id = unlike(&mut names, &service.kind, &action.kind, at);
                    actions.push(foreign_action(&id, service, action, self.kind));
                    self.count.more += 1;
                }
            }
        }
        self.count.left = left;
        if !properties.is_empty() || !actions.is_empty() {
            self.shapes.push(Shape { id: "more", origin: 0, label: String::new(), properties, actions });
        }
    }

    fn map(self) -> Map {
        let Self { spec, kind, shapes, count, .. } = self;
        let (mut links, mut deeds, mut asked, mut services) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut instances: BTreeMap<&str, u16> = BTreeMap::new();
        let many = |id: &str| shapes.iter().filter(|shape| shape.id == id).count() > 1;
        let is_many: Vec<bool> = shapes.iter().map(|shape| many(shape.id)).collect();
        for (shape, is_many) in shapes.into_iter().zip(is_many) {
            let instance = instances.entry(shape.id).or_default();
            let place = (shape.id.to_owned(), *instance);
            let Some(mut service) = template(shape.id) else { continue };
            let order: Vec<String> = service.properties.iter().map(|one| one.id.clone()).collect();
            service.properties.clear();
            service.actions.clear();
            service.events.clear();
            service = service.of(*instance, if is_many { &shape.label } else { "" });
            *instance += 1;
            for (property, link) in shape.properties {
                for at in link.ats().into_iter().filter(|_| property.read) {
                    *asked.entry(at).or_insert(false) |= shape.id != "more" && shape.id != "information";
                }
                links.insert((place.clone(), property.id.clone()), link);
                service.properties.push(property);
            }
            for (action, deed) in shape.actions {
                deeds.insert((place.clone(), action.id.clone()), deed);
                service.actions.push(action);
            }
            let rank = |one: &Property| order.iter().position(|id| *id == one.id);
            service.properties.sort_by_key(rank);
            let origin = spec.services.iter().find(|one| one.iid == shape.origin);
            if shape.id == "cover" && (is_way_in(&spec.kind) || origin.is_some_and(|one| is_way_in(&one.kind))) {
                service = service.guarded();
            }
            services.push(service);
        }
        let kind = if kind == DeviceKind::Other { guess(&services) } else { kind };
        Map { kind, services, count, spec: spec.clone(), links, deeds, asked }
    }
}

/// A device whose word is not known is what its first service is.
fn guess(services: &[Service]) -> DeviceKind {
    let is = |service: &Service| match service.id.as_str() {
        "light" => Some(DeviceKind::Light),
        "climate" => Some(DeviceKind::Climate),
        "cover" => Some(DeviceKind::Cover),
        "vacuum" => Some(DeviceKind::Vacuum),
        "fan" => Some(DeviceKind::Fan),
        "humidifier" => Some(DeviceKind::Air),
        "on-off" => Some(DeviceKind::Switch),
        "temperature" | "humidity" | "contact" | "occupancy" => Some(DeviceKind::Sensor),
        _ => None,
    };
    services.iter().find_map(is).unwrap_or(DeviceKind::Other)
}

/// Numbers of native values with those of ours that mean the same.
fn words(id: &str, property: &str, meanings: &[(&str, &str)], values: &[(i64, String)]) -> Vec<(i64, i64)> {
    let named = |(native, text): &(i64, String)| {
        let word = kebab(text);
        let ours = meanings.iter().find(|(part, _)| word.contains(part))?.1;
        Some((*native, Builder::number(id, property, ours)?))
    };
    values.iter().filter_map(named).collect()
}

type Converted = (Scale, Option<Range>, Vec<(i64, String)>);

fn convert(how: How, native: &spec::Property, ours: &Property) -> Option<Converted> {
    let is_number = matches!(native.format, spec::Format::Int(..) | spec::Format::Float);
    let plain = |scale| Some((scale, None, Vec::new()));
    match how {
        How::Bool => (native.format == spec::Format::Bool).then(|| plain(Scale::Same))?,
        How::Not => (native.format == spec::Format::Bool).then(|| plain(Scale::Not))?,
        How::Text => (native.format == spec::Format::Text).then(|| plain(Scale::Same))?,
        How::Bare => is_number.then(|| plain(Scale::Same))?,
        How::Number(unit) => {
            let scale =
                if unit == Unit::Degree { Scale::Linear { factor: 1.0, offset: 0.0 } } else { units(native, unit)? };
            let range = native.range.and_then(|range| scaled(range, &scale, ours.format));
            (is_number && native.values.is_empty()).then_some((scale, range, Vec::new()))
        }
        How::Modes => {
            let values = modes(native);
            (!values.is_empty()).then_some((Scale::Same, None, values))
        }
        How::Speed => match (&native.values[..], native.range) {
            ([], Some((min, max, _))) if is_number && min >= 0.0 && max > 1.0 && max <= MOST_LEVELS => {
                Some(ranks((min.max(1.0) as i64..=max as i64).collect()))
            }
            ([], Some(range)) if is_number && range.1 > 0.0 => {
                let scale = Scale::Linear { factor: 100.0 / range.1, offset: 0.0 };
                let range = scaled(range, &scale, ours.format);
                Some((scale, range, Vec::new()))
            }
            (values, _) if !values.is_empty() && values.iter().all(|(_, text)| is_level(text)) => {
                Some(ranks(values.iter().map(|(level, _)| *level).collect()))
            }
            _ => None,
        },
        How::Says(those) => {
            if native.format == spec::Format::Bool {
                return plain(Scale::Same);
            }
            let is_no =
                |word: &str| ["no-", "not-", "non-", "un"].iter().any(|no| word.starts_with(no)) || word == "no";
            let says = |text: &str| {
                let word = kebab(text);
                !is_no(&word) && those.iter().any(|one| word.contains(one))
            };
            let those: Vec<i64> =
                native.values.iter().filter(|(_, text)| says(text)).map(|(number, _)| *number).collect();
            (!those.is_empty()).then(|| plain(Scale::Is(those)))?
        }
    }
}

fn ranks(mut levels: Vec<i64>) -> Converted {
    levels.sort_unstable();
    let step = 100.0 / levels.len().max(1) as f64;
    let range = Range { min: step.round(), max: 100.0, step: step.ceil() };
    (Scale::Ranks(levels), Some(range), Vec::new())
}

/// A range in our unit. Where the native steps are wider than ours, ours say so.
pub(super) fn scaled((min, max, step): (f64, f64, f64), scale: &Scale, format: Format) -> Option<Range> {
    let ours = |native: f64| scale.ours(&Data::Float(native))?.as_number();
    let (min, max, step) = (ours(min)?, ours(max)?, (ours(min + step)? - ours(min)?).abs());
    if format != Format::Int {
        return Some(Range { min, max, step });
    }
    let is_whole = [min, step].iter().all(|number| (number - number.round()).abs() < 1e-9);
    let step = if is_whole || step <= 1.0 { step.round().max(1.0) } else { step.ceil() + 1.0 };
    Some(Range { min: min.ceil(), max: max.floor(), step })
}

/// Names of levels that have an order.
fn is_level(text: &str) -> bool {
    let word = kebab(text);
    let word = word.trim_start_matches("level").trim_start_matches("gear").trim_start_matches('-');
    (!word.is_empty() && word.chars().all(|c| c.is_ascii_digit()))
        || matches!(
            word,
            "low" | "lowest" | "medium" | "middle" | "mid" | "high" | "highest" | "level-low" | "max" | "min"
        )
}

/// A device's own values, each name once.
pub(super) fn modes(native: &spec::Property) -> Vec<(i64, String)> {
    let mut names = BTreeSet::new();
    let mut named = |number: i64, text: &str| {
        let word = kebab(text);
        let word = if word.is_empty() || !names.insert(word.clone()) { format!("{word}-{number}") } else { word };
        (number, word.trim_start_matches('-').to_owned())
    };
    match native.range {
        _ if !native.values.is_empty() => native.values.iter().map(|(number, text)| named(*number, text)).collect(),
        Some((min, max, step))
            if step == 1.0 && max - min < MOST_LEVELS && matches!(native.format, spec::Format::Int(..)) =>
        {
            (min as i64..=max as i64).map(|number| named(number, &format!("level {number}"))).collect()
        }
        _ => Vec::new(),
    }
}
