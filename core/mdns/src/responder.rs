//! The answering half: probing for names, announcing, answering, saying goodbye (RFC 6762, sections 6 to 10).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use crate::api::{Event, PORT, Publication, PublicationId, WishError};
use crate::core::{PAYLOAD, Shared};
use crate::message::{A, AAAA, ANY, Data, Message, PTR, Question, Record, SRV, Section, TXT, Writer, txt};
use crate::name::Name;

/// Most publications at once.
const MAX_PUBLICATIONS: usize = 32;
/// Most queriers whose further known answers are waited for.
const MAX_HELD: usize = 32;
/// Most answers by unicast per second.
const MAX_UNICAST: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);
const PROBE_GAP: Duration = Duration::from_millis(250);
/// Time to live towards those who do not speak multicast DNS (section 6.7).
const LEGACY_TTL: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    Types,
    Ptr,
    Srv,
    Txt,
    Address4,
    Address6,
}

const OWN_KINDS: [Kind; 5] = [Kind::Ptr, Kind::Srv, Kind::Txt, Kind::Address4, Kind::Address6];

/// One own record set.
type Own = (u64, Kind);

#[derive(Debug, Clone, Copy)]
enum Phase {
    Probing { sent: u8, next: Duration },
    Announcing { sent: u8, next: Duration },
    Up,
}

struct Published {
    publication: Publication,
    service: Name,
    instance: Name,
    host: Name,
    renamed: u32,
    phases: BTreeMap<u32, Phase>,
}

impl Published {
    fn speaks_on(&self, interface: u32) -> bool {
        matches!(self.phases.get(&interface), Some(Phase::Announcing { .. } | Phase::Up))
    }
}

/// Answers for a querier that has more known answers to tell.
struct Held {
    from: SocketAddr,
    interface: u32,
    due: Duration,
    answers: BTreeSet<Own>,
}

#[derive(Default)]
pub(crate) struct Responder {
    published: BTreeMap<u64, Published>,
    last_id: u64,
    /// Answers to multicast, and when.
    waiting: BTreeMap<(u32, Own), Duration>,
    held: Vec<Held>,
    /// When a record was last multicast on an interface.
    said: HashMap<(u32, Own), Duration>,
    unicast: (Duration, u32),
}

impl Responder {
    pub(crate) fn publish(
        &mut self,
        shared: &mut Shared,
        publication: Publication,
        now: Duration,
    ) -> Result<PublicationId, WishError> {
        if self.published.len() >= MAX_PUBLICATIONS {
            return Err(WishError::TooMany(MAX_PUBLICATIONS));
        }
        let (service, instance, host) = names(&publication, &publication.instance, &publication.host)?;
        let phases = shared.interfaces.iter().map(|interface| interface.index).collect::<Vec<_>>();
        let phases = phases.into_iter().map(|index| (index, probing(shared, now))).collect();
        self.last_id += 1;
        let published = Published { publication, service, instance, host, renamed: 0, phases };
        self.published.insert(self.last_id, published);
        Ok(PublicationId(self.last_id))
    }

    pub(crate) fn set_attributes(&mut self, id: PublicationId, like: &Publication, now: Duration) {
        if let Some(published) = self.published.get_mut(&id.0) {
            published.publication.txt.clone_from(&like.txt);
            for phase in published.phases.values_mut() {
                if !matches!(phase, Phase::Probing { .. }) {
                    *phase = Phase::Announcing { sent: 0, next: now };
                }
            }
        }
    }

    pub(crate) fn unpublish(&mut self, shared: &mut Shared, id: PublicationId, now: Duration) {
        if let Some(published) = self.published.remove(&id.0) {
            self.goodbye(shared, &published, now);
        }
        self.forget(id.0);
    }

    pub(crate) fn is_own(&self, instance: &Name) -> bool {
        self.published.values().any(|published| published.instance == *instance)
    }

    pub(crate) fn interface_up(&mut self, shared: &mut Shared, index: u32, now: Duration) {
        for published in self.published.values_mut() {
            published.phases.insert(index, probing(shared, now));
        }
    }
    pub(crate) fn addresses_changed(&mut self, index: u32, now: Duration) {
        for published in self.published.values_mut() {
            if let Some(phase @ (Phase::Announcing { .. } | Phase::Up)) = published.phases.get_mut(&index) {
                *phase = Phase::Announcing { sent: 0, next: now };
            }
        }
    }
    pub(crate) fn keep_interfaces(&mut self, keep: impl Fn(u32) -> bool) {
        for published in self.published.values_mut() {
            published.phases.retain(|index, _| keep(*index));
        }
        self.waiting.retain(|(index, _), _| keep(*index));
        self.said.retain(|(index, _), _| keep(*index));
        self.held.retain(|held| keep(held.interface));
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        let phases = self.published.values().flat_map(|published| published.phases.values());
        let phases = phases.filter_map(|phase| match phase {
            Phase::Probing { next, .. } | Phase::Announcing { next, .. } => Some(*next),
            Phase::Up => None,
        });
        phases.chain(self.waiting.values().copied()).chain(self.held.iter().map(|held| held.due)).min()
    }

    pub(crate) fn advance(&mut self, shared: &mut Shared, now: Duration) {
        self.probe_and_announce(shared, now);
        let due: Vec<Held>;
        (due, self.held) = std::mem::take(&mut self.held).into_iter().partition(|held| held.due <= now);
        for held in due {
            for own in held.answers {
                self.schedule(held.interface, own, now, false, now);
            }
        }
        let mut ready: BTreeMap<u32, Vec<Own>> = BTreeMap::new();
        if self.waiting.values().any(|due| *due <= now) {
            // What is due in a moment goes along.
            let soon = now + Duration::from_millis(20);
            self.waiting.retain(|(interface, own), due| {
                let wait = *due > soon;
                if !wait {
                    ready.entry(*interface).or_default().push(*own);
                }
                wait
            });
        }
        for (interface, answers) in ready {
            self.say(shared, interface, &answers, now);
        }
    }

    // Queries.

    pub(crate) fn query(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        interface: u32,
        message: &Message,
        now: Duration,
    ) {
        self.lose_to_other_probes(shared, from, interface, message, now);
        if message.questions.is_empty() {
            self.hear_more_known_answers(shared, from, interface, message);
            return;
        }
        let (mut multicast, mut unicast) = (BTreeSet::new(), BTreeSet::new());
        let legacy = from.port() != PORT;
        for question in message.questions.iter().take(64) {
            for own in self.matching(question, interface) {
                // Who asks for unicast gets it, unless the network has not heard the record for long.
                let fresh =
                    self.said.get(&(interface, own)).is_some_and(|at| now.saturating_sub(*at) < ttl(shared, own.1) / 4);
                if legacy || (question.unicast && fresh) {
                    unicast.insert(own);
                } else {
                    multicast.insert(own);
                }
            }
        }
        for answers in [&mut multicast, &mut unicast] {
            answers.retain(|own| !self.is_known(shared, *own, interface, &message.answers));
        }
        if !unicast.is_empty() {
            self.answer_one(shared, from, interface, message, &unicast, now);
        }
        if multicast.is_empty() {
            return;
        }
        if message.truncated && self.held.len() < MAX_HELD {
            let due = now + shared.chance.millis(400, 500);
            self.held.push(Held { from, interface, due, answers: multicast });
            return;
        }
        let probe = !message.authorities.is_empty();
        let jitter = shared.chance.millis(20, 120);
        for own in multicast {
            // Records that only this device has need no jitter.
            let due = if own.1 == Kind::Ptr || own.1 == Kind::Types { now + jitter } else { now };
            self.schedule(interface, own, due, probe, now);
        }
    }

    fn hear_more_known_answers(&mut self, shared: &Shared, from: SocketAddr, interface: u32, message: &Message) {
        let mut held = std::mem::take(&mut self.held);
        for held in held.iter_mut().filter(|held| held.from == from && held.interface == interface) {
            held.answers.retain(|own| !self.is_known(shared, *own, interface, &message.answers));
        }
        held.retain(|held| !held.answers.is_empty());
        self.held = held;
    }

    fn matching(&self, question: &Question, interface: u32) -> Vec<Own> {
        let mut found = Vec::new();
        for (id, published) in self.published.iter().filter(|(_, published)| published.speaks_on(interface)) {
            for kind in [Kind::Types].into_iter().chain(OWN_KINDS) {
                let (name, number) = match kind {
                    Kind::Types => (&*TYPES, PTR),
                    Kind::Ptr => (&published.service, PTR),
                    Kind::Srv => (&published.instance, SRV),
                    Kind::Txt => (&published.instance, TXT),
                    Kind::Address4 => (&published.host, A),
                    Kind::Address6 => (&published.host, AAAA),
                };
                if (question.kind == number || question.kind == ANY) && question.name == *name {
                    found.push((*id, kind));
                }
            }
        }
        found
    }

    fn is_known(&self, shared: &Shared, own: Own, interface: u32, answers: &[Record]) -> bool {
        let records = self.records(shared, own, interface);
        !records.is_empty()
            && records.iter().all(|record| {
                answers
                    .iter()
                    .any(|known| known.name == record.name && known.data == record.data && known.ttl >= record.ttl / 2)
            })
    }

    fn schedule(&mut self, interface: u32, own: Own, due: Duration, probe: bool, now: Duration) {
        let gap = if probe { PROBE_GAP } else { SECOND };
        let earliest = self.said.get(&(interface, own)).map_or(now, |at| *at + gap);
        let due = due.max(earliest);
        let waiting = self.waiting.entry((interface, own)).or_insert(due);
        *waiting = (*waiting).min(due);
    }

    fn answer_one(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        interface: u32,
        message: &Message,
        answers: &BTreeSet<Own>,
        now: Duration,
    ) {
        if now.saturating_sub(self.unicast.0) >= SECOND {
            self.unicast = (now, 0);
        }
        self.unicast.1 += 1;
        if self.unicast.1 > MAX_UNICAST {
            return;
        }
        let legacy = from.port() != PORT;
        let mut writer = Writer::new(if legacy { message.id } else { 0 }, true, PAYLOAD);
        if legacy {
            for question in message.questions.iter().take(8) {
                writer.question(&Question { unicast: false, ..question.clone() });
            }
        }
        let (answers, additionals) = self.with_additionals(shared, interface, answers.iter().copied());
        let plain = |mut record: Record| {
            if legacy {
                record.flush = false;
                record.ttl = record.ttl.min(LEGACY_TTL);
            }
            record
        };
        for (section, records) in [(Section::Answer, answers), (Section::Additional, additionals)] {
            for record in records {
                if !writer.record(section, &plain(record)) && legacy {
                    writer.truncated();
                }
            }
        }
        shared.unicast(interface, from, writer.finish());
    }

    // Records.

    fn records(&self, shared: &Shared, own: Own, interface: u32) -> Vec<Record> {
        let Some(published) = self.published.get(&own.0) else { return Vec::new() };
        let seconds = ttl(shared, own.1).as_secs() as u32;
        let one = |name: &Name, flush, data| vec![Record { name: name.clone(), flush, ttl: seconds, data }];
        match own.1 {
            Kind::Types => one(&TYPES, false, Data::Ptr(published.service.clone())),
            Kind::Ptr => one(&published.service, false, Data::Ptr(published.instance.clone())),
            Kind::Srv => {
                let (port, target) = (published.publication.port, published.host.clone());
                one(&published.instance, true, Data::Srv { priority: 0, weight: 0, port, target })
            }
            Kind::Txt => one(&published.instance, true, Data::Txt(txt(&published.publication.txt))),
            Kind::Address4 | Kind::Address6 => {
                let addresses = shared.interface(interface).map_or(&[][..], |interface| &interface.addresses);
                let wanted = addresses.iter().filter(|ip| ip.is_ipv4() == (own.1 == Kind::Address4));
                wanted.flat_map(|ip| one(&published.host, true, Data::Address(*ip))).collect()
            }
        }
    }

    /// The records of some answers, and what whoever asked will ask for next.
    fn with_additionals(
        &self,
        shared: &Shared,
        interface: u32,
        answers: impl Iterator<Item = Own> + Clone,
    ) -> (Vec<Record>, Vec<Record>) {
        let mut first: Vec<Record> = Vec::new();
        let mut further: Vec<Record> = Vec::new();
        for record in answers.clone().flat_map(|own| self.records(shared, own, interface)) {
            if !first.contains(&record) {
                first.push(record);
            }
        }
        for (id, kind) in answers {
            let more: &[Kind] = match kind {
                Kind::Ptr => &OWN_KINDS[1..],
                Kind::Srv => &OWN_KINDS[3..],
                Kind::Address4 => &[Kind::Address6],
                Kind::Address6 => &[Kind::Address4],
                Kind::Types | Kind::Txt => &[],
            };
            for record in more.iter().flat_map(|kind| self.records(shared, (id, *kind), interface)) {
                if !first.contains(&record) && !further.contains(&record) {
                    further.push(record);
                }
            }
        }
        (first, further)
    }

    fn say(&mut self, shared: &mut Shared, interface: u32, answers: &[Own], now: Duration) {
        let speaking = |own: &&Own| self.published.get(&own.0).is_some_and(|it| it.speaks_on(interface));
        let answers: Vec<Own> = answers.iter().filter(speaking).copied().collect();
        for own in &answers {
            self.said.insert((interface, *own), now);
        }
        let (answers, additionals) = self.with_additionals(shared, interface, answers.iter().copied());
        send(shared, interface, answers, additionals, now);
    }

    fn goodbye(&self, shared: &mut Shared, published: &Published, now: Duration) {
        for interface in published.phases.keys().filter(|index| published.speaks_on(**index)) {
            let data = Data::Ptr(published.instance.clone());
            let mut records = vec![Record { name: published.service.clone(), flush: false, ttl: 0, data }];
            let (port, target) = (published.publication.port, published.host.clone());
            let data = Data::Srv { priority: 0, weight: 0, port, target };
            records.push(Record { name: published.instance.clone(), flush: true, ttl: 0, data });
            let addresses = shared.interface(*interface).map_or_else(Vec::new, |it| it.addresses.clone());
            let shared_host = self.published.values().any(|other| other.host == published.host);
            for ip in addresses.into_iter().filter(|_| !shared_host) {
                let data = Data::Address(ip);
                records.push(Record { name: published.host.clone(), flush: true, ttl: 0, data });
            }
            send(shared, *interface, records, Vec::new(), now);
        }
    }

    fn forget(&mut self, id: u64) {
        self.waiting.retain(|(_, own), _| own.0 != id);
        self.said.retain(|(_, own), _| own.0 != id);
        for held in &mut self.held {
            held.answers.retain(|own| own.0 != id);
        }
    }

    // Probing and conflicts.

    fn probe_and_announce(&mut self, shared: &mut Shared, now: Duration) {
        let mut probes: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let mut announce: BTreeMap<u32, Vec<Own>> = BTreeMap::new();
        for (id, published) in &mut self.published {
            for (interface, phase) in &mut published.phases {
                match phase {
                    Phase::Probing { sent, next } if *next <= now => {
                        if *sent < 3 {
                            *sent += 1;
                            *next = now + PROBE_GAP;
                            probes.entry(*interface).or_default().push(*id);
                            continue;
                        }
                        *phase = Phase::Announcing { sent: 1, next: now + SECOND };
                    }
                    Phase::Announcing { sent, next } if *next <= now => {
                        *sent += 1;
                        *next = now + SECOND;
                        if *sent >= 2 {
                            *phase = Phase::Up;
                        }
                    }
                    _ => continue,
                }
                announce.entry(*interface).or_default().extend(OWN_KINDS.map(|kind| (*id, kind)));
            }
        }
        for (interface, ids) in probes {
            for id in ids {
                self.probe(shared, interface, id, now);
            }
        }
        for (interface, answers) in announce {
            self.say(shared, interface, &answers, now);
        }
    }

    fn probe(&self, shared: &mut Shared, interface: u32, id: u64, now: Duration) {
        let Some(published) = self.published.get(&id) else { return };
        let mut writer = Writer::new(0, false, PAYLOAD);
        for name in [&published.instance, &published.host] {
            writer.question(&Question { name: name.clone(), kind: ANY, unicast: true });
        }
        for record in self.unique(shared, interface, id) {
            writer.record(Section::Authority, &Record { flush: false, ..record });
        }
        shared.multicast(interface, &writer.finish(), now);
    }

    fn unique(&self, shared: &Shared, interface: u32, id: u64) -> Vec<Record> {
        OWN_KINDS[1..].iter().flat_map(|kind| self.records(shared, (id, *kind), interface)).collect()
    }

    /// Two devices probe for the same name at once: the one whose records sort later keeps it
    /// (RFC 6762, section 8.2), the other tries again in a second and then sees it taken.
    fn lose_to_other_probes(
        &mut self,
        shared: &Shared,
        from: SocketAddr,
        interface: u32,
        message: &Message,
        now: Duration,
    ) {
        if message.authorities.is_empty() || shared.is_own(from.ip()) {
            return;
        }
        let sorted = |records: &[Record], name: &Name| {
            let of_name = records.iter().filter(|record| record.name == *name);
            let mut rows: Vec<_> = of_name.map(|record| (record.data.kind(), record.data.bytes())).collect();
            rows.sort();
            rows
        };
        let mut lost = Vec::new();
        for (id, published) in &self.published {
            if !matches!(published.phases.get(&interface), Some(Phase::Probing { .. })) {
                continue;
            }
            let own = self.unique(shared, interface, *id);
            for name in [&published.instance, &published.host] {
                let theirs = sorted(&message.authorities, name);
                if !theirs.is_empty() && theirs > sorted(&own, name) {
                    lost.push(*id);
                }
            }
        }
        for id in lost {
            if let Some(published) = self.published.get_mut(&id) {
                published.phases.insert(interface, Phase::Probing { sent: 0, next: now + SECOND });
            }
        }
    }

    /// Someone else answers for an own name with other data: this device takes another name.
    pub(crate) fn response(&mut self, shared: &mut Shared, from: SocketAddr, message: &Message, now: Duration) {
        // Own words that come back through another interface say nothing against.
        if shared.is_own(from.ip()) {
            return;
        }
        let mut taken = BTreeSet::new();
        for record in message.answers.iter().chain(&message.additionals).filter(|record| record.ttl > 0) {
            for (id, published) in &self.published {
                let differs = match &record.data {
                    Data::Srv { port, target, .. } if record.name == published.instance => {
                        *port != published.publication.port || *target != published.host
                    }
                    Data::Txt(text) if record.name == published.instance => *text != txt(&published.publication.txt),
                    Data::Address(ip) if record.name == published.host => !shared.is_own(*ip),
                    _ => false,
                };
                if differs {
                    taken.insert(*id);
                }
            }
        }
        for id in taken {
            self.rename(shared, id, now);
        }
    }

    fn rename(&mut self, shared: &mut Shared, id: u64, now: Duration) {
        let Some(published) = self.published.remove(&id) else { return };
        self.goodbye_instance(shared, &published, now);
        self.forget(id);
        let mut published = published;
        published.renamed += 1;
        let suffix = format!("-{}", published.renamed + 1);
        let renamed = |name: &str| {
            let mut end = name.len().min(63 - suffix.len());
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            format!("{}{suffix}", &name[..end])
        };
        let (instance, host) = (renamed(&published.publication.instance), renamed(&published.publication.host));
        if let Ok((_, instance_name, host_name)) = names(&published.publication, &instance, &host) {
            (published.instance, published.host) = (instance_name, host_name);
        }
        // Whoever takes every name is met with patience (section 8.1).
        let pause = if published.renamed > 10 { Duration::from_secs(5) } else { Duration::ZERO };
        for phase in published.phases.values_mut() {
            *phase = probing(shared, now + pause);
        }
        self.published.insert(id, published);
        shared.event(Event::Renamed { publication: PublicationId(id), instance, host });
    }

    /// The instance only: the other owner of the name keeps its host and service records.
    fn goodbye_instance(&self, shared: &mut Shared, published: &Published, now: Duration) {
        for interface in published.phases.keys().filter(|index| published.speaks_on(**index)) {
            let data = Data::Ptr(published.instance.clone());
            let record = Record { name: published.service.clone(), flush: false, ttl: 0, data };
            send(shared, *interface, vec![record], Vec::new(), now);
        }
    }
}

fn probing(shared: &mut Shared, now: Duration) -> Phase {
    Phase::Probing { sent: 0, next: now + shared.chance.millis(0, 250) }
}

fn names(publication: &Publication, instance: &str, host: &str) -> Result<(Name, Name, Name), WishError> {
    let bad = |text: &str| WishError::Name(accord_model::text::for_screen(text, 63));
    let service = Name::local(&publication.service).ok_or_else(|| bad(&publication.service))?;
    let instance = service.child(instance.as_bytes()).ok_or_else(|| bad(instance))?;
    let host = Name::local(host).ok_or_else(|| bad(host))?;
    Ok((service, instance, host))
}

static TYPES: LazyLock<Name> = LazyLock::new(|| Name::local("_services._dns-sd._udp").expect("a fixed name that fits"));

fn ttl(shared: &Shared, kind: Kind) -> Duration {
    match kind {
        Kind::Srv | Kind::Address4 | Kind::Address6 => shared.config.host_ttl,
        Kind::Types | Kind::Ptr | Kind::Txt => shared.config.other_ttl,
    }
}

fn send(shared: &mut Shared, interface: u32, answers: Vec<Record>, additionals: Vec<Record>, now: Duration) {
    let mut writer = Writer::new(0, true, PAYLOAD);
    for record in &answers {
        if !writer.record(Section::Answer, record) {
            let full = std::mem::replace(&mut writer, Writer::new(0, true, PAYLOAD));
            shared.multicast(interface, &full.finish(), now);
            writer.record(Section::Answer, record);
        }
    }
    for record in &additionals {
        writer.record(Section::Additional, record);
    }
    if !writer.is_empty() {
        shared.multicast(interface, &writer.finish(), now);
    }
}
