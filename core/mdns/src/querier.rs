//! The asking half: questions that become rarer, what was answered and for how long, and what that means
//! (RFC 6762, sections 5 and 10; RFC 6763, sections 4 to 6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::api::{Event, FoundAddress, ServiceInstance, WishError, check_browse, check_service};
use crate::core::{PAYLOAD, Shared};
use crate::instance::{Host, Instance, Service};
use crate::life::{BYE, Life};
use crate::message::{A, AAAA, Data, Message, PTR, Question, Record, SRV, Section, TXT, Writer, attributes};
use crate::name::Name;

/// Most types browsed at once, and most instances wanted by name.
const MAX_BROWSES: usize = 32;
const MAX_WANTED: usize = 256;
/// Most addresses kept of one host.
const MAX_ADDRESSES: usize = 32;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Within this time after a doubt something must be heard.
const DOUBT: Duration = Duration::from_secs(10);
/// Most instances asked for per second.
const MAX_RESOLVES: u32 = 100;

struct Browse {
    name: Name,
    /// The type itself, and its name: under it are the instances of a subtype, too (RFC 6763, section 7.1).
    service: String,
    base: Name,
    last: Option<Duration>,
    next: Duration,
    gap: Duration,
}

#[derive(Default)]
pub(crate) struct Querier {
    browses: BTreeMap<String, Browse>,
    instances: BTreeMap<Vec<u8>, Instance>,
    hosts: BTreeMap<Vec<u8>, Host>,
    /// How many instances came from which source.
    sources: BTreeMap<IpAddr, usize>,
    /// Not later than the next thing to do; kept, because it is asked for after every datagram.
    next: Option<Duration>,
    /// Instances asked for within the second that began then.
    resolved: (Duration, u32),
}

impl Querier {
    pub(crate) fn browse(&mut self, shared: &mut Shared, wished: &str, now: Duration) -> Result<(), WishError> {
        let service = check_browse(wished)?;
        if self.browses.contains_key(wished) {
            return Ok(());
        }
        if self.browses.len() >= MAX_BROWSES {
            return Err(WishError::TooMany(MAX_BROWSES));
        }
        let named = |text: &str| Name::local(text).ok_or_else(|| WishError::ServiceType(text.to_owned()));
        let (name, base, service) = (named(wished)?, named(service)?, service.to_owned());
        let next = now + shared.chance.millis(20, 120);
        self.browses.insert(wished.to_owned(), Browse { name, service, base, last: None, next, gap: SECOND });
        self.next = self.find_next();
        Ok(())
    }
    pub(crate) fn stop_browse(&mut self, wished: &str) -> Vec<(String, String)> {
        self.browses.remove(wished);
        let gone = self.instances.extract_if(.., |_, instance| {
            instance.by.retain(|by| by != wished);
            instance.ptr = instance.ptr.filter(|_| !instance.by.is_empty());
            instance.ptr.is_none() && !instance.wanted
        });
        let gone: Vec<Instance> = gone.map(|(_, instance)| instance).collect();
        gone.iter().for_each(|instance| forget_source(&mut self.sources, instance.source));
        self.drop_unused_hosts();
        self.next = self.find_next();
        gone.into_iter().map(|instance| (instance.service, instance.label)).collect()
    }
    pub(crate) fn resolve(
        &mut self,
        shared: &mut Shared,
        service: &str,
        label: &str,
        now: Duration,
    ) -> Result<(), WishError> {
        check_service(service)?;
        let name = Name::local(service).and_then(|base| base.child(label.as_bytes()));
        let name = name.ok_or_else(|| WishError::Name(accord_model::text::for_screen(label, 63)))?;
        let key = name.key();
        if self.instances.get(&key).is_none_or(|known| !known.wanted)
            && self.instances.values().filter(|it| it.wanted).count() >= MAX_WANTED
        {
            return Err(WishError::TooMany(MAX_WANTED));
        }
        let soon = now + shared.chance.millis(20, 120);
        let made = || Instance::new(service.to_owned(), name, label.to_owned(), soon);
        let instance = self.instances.entry(key).or_insert_with(made);
        instance.wanted = true;
        instance.ask_anew(shared, now);
        self.next = self.find_next();
        Ok(())
    }
    pub(crate) fn stop_resolve(&mut self, service: &str, label: &str) -> bool {
        let key = Name::local(service).and_then(|base| base.child(label.as_bytes())).map(|name| name.key());
        let Some((key, instance)) = key.and_then(|key| self.instances.get_mut(&key).map(|it| (key, it))) else {
            return false;
        };
        instance.wanted = false;
        let gone = instance.ptr.is_none();
        if gone {
            let source = instance.source;
            self.instances.remove(&key);
            forget_source(&mut self.sources, source);
            self.drop_unused_hosts();
        }
        self.next = self.find_next();
        gone
    }
    pub(crate) fn ask_anew(&mut self, shared: &mut Shared, now: Duration) {
        for browse in self.browses.values_mut() {
            // Never more often than once a second (section 5.2), however often this is wished for.
            let earliest = browse.last.map_or(now, |last| last + SECOND);
            browse.next = browse.next.min(earliest.max(now + shared.chance.millis(20, 120)));
            browse.gap = SECOND;
        }
        self.instances.values_mut().for_each(|instance| instance.ask_anew(shared, now));
        self.next = self.find_next();
    }
    pub(crate) fn doubt(&mut self, service: &str, name: &str, now: Duration) {
        let doubted = self.instances.values_mut().find(|it| it.service == service && it.label == name);
        if let Some(instance) = doubted {
            let lives = [instance.ptr.as_mut(), instance.srv.as_mut().map(|srv| &mut srv.life)];
            lives.into_iter().flatten().for_each(|life| life.cut(now, DOUBT));
            instance.doubted = true;
            instance.resolve_at = now;
        }
        self.next = self.find_next();
    }

    // Answers.

    pub(crate) fn response(
        &mut self,
        shared: &mut Shared,
        from: SocketAddr,
        interface: u32,
        message: &Message,
        now: Duration,
        is_own: impl Fn(&Name) -> bool,
    ) {
        if self.browses.is_empty() && self.instances.is_empty() {
            return;
        }
        let mut touched = BTreeSet::new();
        let records = || message.answers.iter().chain(&message.additionals);
        // Pointers first, then what they point at, then where that is: the order in the message is free.
        for record in records() {
            if let Data::Ptr(target) = &record.data
                && !is_own(target)
            {
                self.pointer(shared, from.ip(), interface, record, target, now);
                touched.insert(target.key());
            }
        }
        for record in records() {
            let Some(instance) = self.instances.get_mut(&record.name.key()) else { continue };
            match &record.data {
                Data::Srv { port, target, .. } => {
                    let life = Life::new(shared, record.ttl, now);
                    if record.ttl > 0 || instance.srv.as_ref().is_some_and(|srv| srv.host == *target) {
                        let key = target.key();
                        self.hosts.entry(key.clone()).or_insert(Host { addresses: Vec::new() });
                        instance.srv = Some(Service { host: target.clone(), key, port: *port, life });
                        if instance.ptr.is_none() {
                            instance.interface = Some(interface);
                        }
                        if record.ttl == 0 {
                            instance.said_goodbye(shared, now);
                        }
                    }
                }
                Data::Txt(text) if record.ttl > 0 => {
                    instance.txt = Some((text.clone(), Life::new(shared, record.ttl, now)));
                }
                _ => continue,
            }
            touched.insert(record.name.key());
        }
        let hosts = self.take_addresses(shared, interface, message, now);
        for record in records().filter(|record| record.ttl == 0 && matches!(record.data, Data::Address(_))) {
            let key = record.name.key();
            let on_host = |it: &&mut Instance| it.srv.as_ref().is_some_and(|srv| srv.key == key);
            for instance in self.instances.values_mut().filter(on_host) {
                instance.said_goodbye(shared, now);
            }
        }
        if !hosts.is_empty() {
            let on_host = |instance: &Instance| instance.srv.as_ref().is_some_and(|srv| hosts.contains(&srv.key));
            touched.extend(self.instances.iter().filter(|(_, it)| on_host(it)).map(|(key, _)| key.clone()));
        }
        if touched.is_empty() {
            return;
        }
        for key in touched {
            self.report(shared, &key, now);
            let soonest = self.instances.get(&key).and_then(|instance| self.next_of(instance));
            self.next = self.next.into_iter().chain(soonest).min();
        }
        self.drop_unused_hosts();
    }

    fn pointer(
        &mut self,
        shared: &mut Shared,
        source: IpAddr,
        interface: u32,
        record: &Record,
        target: &Name,
        now: Duration,
    ) {
        let Some((wished, browse)) = self.browses.iter().find(|(_, browse)| browse.name == record.name) else {
            return;
        };
        let Some(label) = target.label_under(&browse.base) else { return };
        let (key, wished) = (target.key(), wished.clone());
        if !self.instances.contains_key(&key) {
            let Ok(label) = String::from_utf8(label.to_vec()) else { return };
            if record.ttl == 0 {
                return;
            }
            // What the announcement left out may come with the next datagram.
            let soon = now + shared.chance.millis(20, 120);
            let mut made = Instance::new(browse.service.clone(), target.clone(), label, soon);
            made.source = Some(source);
            if !self.make_room(shared, source) {
                return;
            }
            self.instances.insert(key.clone(), made);
            *self.sources.entry(source).or_default() += 1;
        }
        let Some(instance) = self.instances.get_mut(&key) else { return };
        instance.interface = Some(interface);
        if record.ttl > 0 || instance.ptr.is_some() {
            instance.ptr = Some(Life::new(shared, record.ttl, now));
        }
        if record.ttl == 0 {
            instance.said_goodbye(shared, now);
            // Whoever is wanted by name is there as long as its own record is.
            if let Some(srv) = instance.srv.as_mut().filter(|_| instance.wanted) {
                srv.life.cut(now, BYE);
            }
        } else if !instance.by.contains(&wished) {
            instance.by.push(wished);
        }
    }

    /// A crowd is fine, a flood from one source is not: at the limit the source that fills most gives way.
    fn make_room(&mut self, shared: &mut Shared, source: IpAddr) -> bool {
        let from_source = self.sources.get(&source).copied().unwrap_or(0);
        // Hubs of this very machine share its addresses and are no crowd from outside.
        if from_source >= shared.config.max_per_source && !shared.is_own(source) {
            return false;
        }
        if self.instances.len() < shared.config.max_instances {
            return true;
        }
        // What was only named and never described goes first.
        let named = self.instances.iter().filter(|(_, instance)| instance.reported.is_none() && !instance.wanted);
        let oldest = named.min_by_key(|(_, instance)| instance.ptr.map(|ptr| ptr.heard)).map(|(key, _)| key.clone());
        let victim = oldest.or_else(|| {
            let (loudest, _) =
                self.sources.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > from_source + 1)?;
            let of_loudest = self.instances.iter().filter(|(_, it)| it.source == Some(*loudest) && !it.wanted);
            of_loudest.min_by_key(|(_, instance)| instance.ptr.map(|ptr| ptr.heard)).map(|(key, _)| key.clone())
        });
        victim.inspect(|key| self.lose(shared, key)).is_some()
    }

    fn take_addresses(
        &mut self,
        shared: &mut Shared,
        interface: u32,
        message: &Message,
        now: Duration,
    ) -> BTreeSet<Vec<u8>> {
        let mut changed = BTreeSet::new();
        for record in message.answers.iter().chain(&message.additionals) {
            let Data::Address(ip) = &record.data else { continue };
            let key = record.name.key();
            let Some(host) = self.hosts.get_mut(&key) else { continue };
            if ip.is_unspecified() || ip.is_multicast() {
                continue;
            }
            let found = FoundAddress { ip: *ip, interface };
            let life = Life::new(shared, record.ttl, now);
            let room = host.addresses.len() < MAX_ADDRESSES;
            match host.addresses.iter_mut().find(|(known, _)| *known == found) {
                Some((_, old)) => *old = life,
                None if record.ttl > 0 && room => host.addresses.push((found, life)),
                None => {}
            }
            if record.flush && record.ttl > 0 {
                // Others of this family, heard here more than a second ago, are void (section 10.2).
                for (known, life) in &mut host.addresses {
                    let old = now.saturating_sub(life.heard) > SECOND;
                    if old && known.interface == interface && known.ip.is_ipv4() == ip.is_ipv4() {
                        life.cut(now, SECOND);
                    }
                }
            }
            changed.insert(key);
        }
        changed
    }

    // Events.

    fn report(&mut self, shared: &mut Shared, key: &[u8], now: Duration) {
        let Some(instance) = self.instances.get(key) else { return };
        let seen = self.snapshot(instance, now);
        let Some(instance) = self.instances.get_mut(key) else { return };
        match (&instance.reported, seen) {
            (None, Some(seen)) => {
                instance.reported = Some(seen.clone());
                instance.tries = 0;
                shared.event(Event::Found(seen));
            }
            (Some(before), Some(seen)) if *before != seen => {
                instance.reported = Some(seen.clone());
                shared.event(Event::Updated(seen));
            }
            (Some(_), None) => {
                let (service, name) = (instance.service.clone(), instance.label.clone());
                instance.reported = None;
                if instance.wanted {
                    (instance.tries, instance.resolve_at) = (0, now);
                }
                shared.event(Event::Lost { service, name });
            }
            _ => {}
        }
    }

    fn snapshot(&self, instance: &Instance, now: Duration) -> Option<ServiceInstance> {
        let srv = instance.srv.as_ref()?;
        if srv.life.ends() <= now || !instance.is_named(now) {
            return None;
        }
        let addresses = &self.hosts.get(&srv.key)?.addresses;
        let mut addresses: Vec<FoundAddress> =
            addresses.iter().filter(|(_, life)| life.ends() > now).map(|(found, _)| *found).collect();
        addresses.sort_unstable();
        // Every service has a TXT record; one that does not answer for it is taken as it is.
        if addresses.is_empty() || (instance.txt.is_none() && instance.tries < 2) {
            return None;
        }
        Some(ServiceInstance {
            service: instance.service.clone(),
            name: instance.label.clone(),
            host: srv.host.host()?,
            port: srv.port,
            addresses,
            txt: instance.txt.as_ref().map_or_else(Vec::new, |(text, _)| attributes(text)),
        })
    }

    fn lose(&mut self, shared: &mut Shared, key: &[u8]) {
        let Some(instance) = self.instances.remove(key) else { return };
        forget_source(&mut self.sources, instance.source);
        if instance.reported.is_some() {
            shared.event(Event::Lost { service: instance.service, name: instance.label });
        }
    }
    fn drop_unused_hosts(&mut self) {
        if self.hosts.is_empty() {
            return;
        }
        let used: BTreeSet<&[u8]> =
            self.instances.values().filter_map(|it| it.srv.as_ref()).map(|srv| srv.key.as_slice()).collect();
        self.hosts.retain(|key, _| used.contains(key.as_slice()));
    }

    // Time.

    pub(crate) fn next(&self) -> Option<Duration> {
        self.next
    }
    fn find_next(&self) -> Option<Duration> {
        let browses = self.browses.values().map(|browse| browse.next);
        browses.chain(self.instances.values().filter_map(|instance| self.next_of(instance))).min()
    }
    fn next_of(&self, instance: &Instance) -> Option<Duration> {
        let resolve = instance.wants_asking().then_some(instance.resolve_at);
        let srv = instance.srv.as_ref().map(|srv| srv.life.next());
        let txt = instance.txt.as_ref().map(|(_, life)| life.next());
        let host = instance.srv.as_ref().and_then(|srv| self.hosts.get(&srv.key));
        let addresses = host.into_iter().flat_map(|host| host.addresses.iter().map(|(_, life)| life.next()));
        [instance.ptr.map(|ptr| ptr.next()), resolve, srv, txt].into_iter().flatten().chain(addresses).min()
    }

    pub(crate) fn advance(&mut self, shared: &mut Shared, now: Duration) {
        if self.next().is_none_or(|next| next > now) {
            return;
        }
        self.expire(shared, now);
        let mut questions: BTreeMap<u32, Vec<Question>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let everywhere: Vec<u32> = shared.interfaces.iter().map(|interface| interface.index).collect();
        let mut ask = |at: Option<u32>, name: &Name, kind: u16| {
            for interface in at.as_ref().map_or(&everywhere[..], std::slice::from_ref) {
                if seen.insert((*interface, name.key(), kind)) {
                    questions.entry(*interface).or_default().push(Question {
                        name: name.clone(),
                        kind,
                        unicast: false,
                    });
                }
            }
        };
        for browse in self.browses.values_mut().filter(|browse| browse.next <= now) {
            ask(None, &browse.name, PTR);
            let jitter = browse.gap.mul_f64(0.1 * shared.chance.millis(0, 1000).as_secs_f64());
            browse.last = Some(now);
            browse.next = now + browse.gap + jitter;
            browse.gap = (browse.gap * 2).min(HOUR);
        }
        for instance in self.instances.values_mut() {
            let at = instance.where_to_ask();
            let pointing = || instance.by.iter().filter_map(|by| self.browses.get(by));
            if instance.ptr.as_mut().is_some_and(|ptr| ptr.is_due(now)) {
                pointing().for_each(|browse| ask(at, &browse.name, PTR));
            }
            if instance.srv.as_mut().is_some_and(|srv| srv.life.is_due(now)) {
                ask(at, &instance.name, SRV);
            }
            if instance.txt.as_mut().is_some_and(|(_, life)| life.is_due(now)) {
                ask(at, &instance.name, TXT);
            }
            if instance.wants_asking() && instance.resolve_at <= now {
                if now.saturating_sub(self.resolved.0) >= SECOND {
                    self.resolved = (now, 0);
                }
                self.resolved.1 += 1;
                // A flood of names must not make this device flood the network with questions.
                if self.resolved.1 > MAX_RESOLVES {
                    instance.resolve_at = now + SECOND;
                    continue;
                }
                if std::mem::take(&mut instance.doubted) {
                    ask(at, &instance.name, SRV);
                    pointing().for_each(|browse| ask(at, &browse.name, PTR));
                    if let Some(srv) = &instance.srv {
                        ask(at, &srv.host, A);
                        ask(at, &srv.host, AAAA);
                    }
                }
                if instance.srv.is_none() {
                    ask(at, &instance.name, SRV);
                }
                if instance.txt.is_none() {
                    ask(at, &instance.name, TXT);
                }
                if let Some(srv) = &instance.srv
                    && self.hosts.get(&srv.key).is_none_or(|known| known.addresses.is_empty())
                {
                    ask(at, &srv.host, A);
                    ask(at, &srv.host, AAAA);
                }
                instance.resolve_at = now + SECOND * 2u32.pow(instance.tries.min(8));
                instance.tries += 1;
                instance.asked = Some(now);
            }
            if let Some(srv) = &instance.srv
                && let Some(host) = self.hosts.get_mut(&srv.key)
            {
                for (found, life) in &mut host.addresses {
                    if life.is_due(now) {
                        ask(Some(found.interface), &srv.host, if found.ip.is_ipv4() { A } else { AAAA });
                    }
                }
            }
        }
        for (interface, questions) in questions {
            self.send(shared, interface, &questions, now);
        }
        // Some became complete by having been asked for in vain.
        let waiting = self.instances.iter().filter(|(_, it)| it.reported.is_none() && it.tries >= 2);
        let waiting: Vec<_> = waiting.map(|(key, _)| key.clone()).collect();
        for key in waiting {
            self.report(shared, &key, now);
        }
        self.next = self.find_next();
    }

    fn expire(&mut self, shared: &mut Shared, now: Duration) {
        let mut gone = Vec::new();
        for (key, instance) in &mut self.instances {
            if instance.ptr.is_some_and(|ptr| ptr.ends() <= now) {
                (instance.ptr, instance.by) = (None, Vec::new());
                if !instance.wanted {
                    gone.push(key.clone());
                }
            }
        }
        for key in gone {
            self.lose(shared, &key);
        }
        let mut changed = BTreeSet::new();
        for (key, host) in &mut self.hosts {
            let before = host.addresses.len();
            host.addresses.retain(|(_, life)| life.ends() > now);
            if host.addresses.len() != before {
                changed.insert(key.clone());
            }
        }
        let mut touched = Vec::new();
        for (key, instance) in &mut self.instances {
            let moved = instance.srv.as_ref().is_some_and(|srv| changed.contains(&srv.key));
            let srv_over = instance.srv.as_ref().is_some_and(|srv| srv.life.ends() <= now);
            let txt_over = instance.txt.as_ref().is_some_and(|(_, life)| life.ends() <= now);
            if srv_over {
                instance.srv = None;
            }
            if txt_over {
                instance.txt = None;
            }
            if moved || srv_over || txt_over {
                touched.push(key.clone());
            }
        }
        for key in touched {
            self.report(shared, &key, now);
        }
        self.drop_unused_hosts();
    }

    /// Questions with the pointers that are known already, so that those are not answered (section 7.1).
    fn send(&self, shared: &mut Shared, interface: u32, questions: &[Question], now: Duration) {
        let mut writer = Writer::new(0, false, PAYLOAD);
        for question in questions {
            if !writer.question(question) {
                let full = std::mem::replace(&mut writer, Writer::new(0, false, PAYLOAD));
                shared.multicast(interface, &full.finish(), now);
                writer.question(question);
            }
        }
        for question in questions.iter().filter(|question| question.kind == PTR) {
            let Some((wished, browse)) = self.browses.iter().find(|(_, browse)| browse.name == question.name) else {
                continue;
            };
            let is_fresh = |it: &&Instance| it.ptr.is_some_and(|ptr| ptr.is_fresh(now));
            let mut known: Vec<&Instance> = self.instances.values().filter(is_fresh).collect();
            known.retain(|it| it.by.contains(wished) && it.interface == Some(interface) && it.srv.is_some());
            known.sort_by(|a, b| a.label.cmp(&b.label));
            for instance in known {
                let left = instance.ptr.map_or(Duration::ZERO, |ptr| ptr.ends().saturating_sub(now)).as_secs() as u32;
                let data = Data::Ptr(instance.name.clone());
                let record = Record { name: browse.name.clone(), flush: false, ttl: left, data };
                if !writer.record(Section::Answer, &record) {
                    let mut full = std::mem::replace(&mut writer, Writer::new(0, false, PAYLOAD));
                    full.truncated();
                    shared.multicast(interface, &full.finish(), now);
                    writer.record(Section::Answer, &record);
                }
            }
        }
        if !writer.is_empty() {
            shared.multicast(interface, &writer.finish(), now);
        }
    }
}

fn forget_source(sources: &mut BTreeMap<IpAddr, usize>, source: Option<IpAddr>) {
    if let Some(source) = source
        && let Some(count) = sources.get_mut(&source)
    {
        *count -= 1;
        if *count == 0 {
            sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests;
