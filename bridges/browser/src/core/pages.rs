//! Who has the page open: those that show a code and those that the owner added, with the orders that they have not taken
//! yet. Calls and time in, [`Event`]s out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use accord_model::DeviceId;
use accord_ports::secret;
use sha2::{Digest, Sha256};

use super::agent::{self, About};
use super::pace::Pace;
use super::words::{Done, Greeting, Hello, Numbered, Order, Say, Standing, State, Told, Wait};

/// How long a page is let wait for orders.
pub const POLL: Duration = Duration::from_secs(10);
/// How long a page that does not ask is still here: it is between two requests, or is loaded again.
const AWAY_AFTER: Duration = Duration::from_secs(6);
/// Pages that show a code, of all and of one address; the next one of the address takes the place of its oldest.
const MOST_WAITING: usize = 8;
const MOST_OF_ONE: usize = 2;
/// Orders that a page has not answered.
const MOST_ORDERS: usize = 32;
/// Events that nobody took yet; beyond them no page is opened.
const MOST_EVENTS: usize = 256;
/// A position that advances so much faster than time was jumped to.
const FASTEST: f64 = 4.0;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A page was opened, or opened anew.
    Came(DeviceId),
    /// It is not open any more.
    Left(DeviceId),
    /// It told how it goes.
    Said(DeviceId),
    /// While it is open, somebody at another address came with its key and was refused. Told once for an open page.
    Doubled(DeviceId, IpAddr),
    /// An order was followed or not; with the answer, if it has one.
    Done(u64, Result<Option<String>, Failed>),
}

/// Why an order was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The page says so.
    Says(String),
    /// It did not answer in time.
    Mute,
    /// It was closed.
    Closed,
}

/// An open page.
#[derive(Debug)]
pub struct Page {
    /// What its browser says that it is.
    pub about: About,
    /// What it says that it plays.
    pub formats: Vec<String>,
    /// Where it is, and from where it fetches.
    pub address: IpAddr,
    /// What it shows while it is not added.
    pub code: String,
    /// How it goes, as it said last.
    pub state: State,
    /// Its position advanced since the last word.
    pub moving: bool,
    /// It has the key of an added one, and is at another address than that was: the owner has not said that it is the same.
    pub moved: bool,
    session: String,
    /// The session that this one took over.
    before: Option<String>,
    told: Standing,
    doubled: bool,
    /// Requests that wait open.
    waits: usize,
    last: Instant,
    said: Option<Instant>,
    /// Not taken yet.
    queue: VecDeque<Numbered>,
    /// Not answered yet.
    open: BTreeMap<u64, Instant>,
}

/// All of them.
#[derive(Debug)]
pub struct Pages {
    /// With the address at which each is known. Its key goes over the network in clear, so alone it proves nothing.
    added: BTreeMap<DeviceId, Option<IpAddr>>,
    pages: BTreeMap<DeviceId, Page>,
    pace: Pace,
    events: VecDeque<Event>,
    next: u64,
}

/// Why a page is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many show a code, or too much happens.
    Full,
    /// Too many were opened at this address lately.
    TooOften,
    /// It is open at another address.
    Elsewhere,
}

/// The id of a page by its key, which it does not tell.
pub fn id_of(key: &str) -> DeviceId {
    let mut hash = Sha256::new();
    hash.update(b"accord browser device ");
    hash.update(key);
    let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    DeviceId::new(format!("browser-{digits}")).expect("hexadecimal digits make an id")
}

impl Pages {
    /// With those that the owner added before.
    pub fn new(added: BTreeMap<DeviceId, Option<IpAddr>>) -> Self {
        Self { added, pages: BTreeMap::new(), pace: Pace::default(), events: VecDeque::new(), next: 1 }
    }

    /// What happened since.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Pages::tick`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        let away = self.pages.values().filter(|page| page.waits == 0).map(|page| page.last + AWAY_AFTER);
        let mute = self.pages.values().flat_map(|page| page.open.values().copied());
        away.chain(mute).min()
    }

    /// An open page.
    pub fn get(&self, id: &DeviceId) -> Option<&Page> {
        self.pages.get(id)
    }

    /// Whether a page of an added device is open there.
    pub fn is_home(&self, address: IpAddr) -> bool {
        self.pages.iter().any(|(id, page)| page.address == address && self.is_ready(id))
    }

    /// The device that a session belongs to, while the owner has it added.
    pub fn added_by(&self, session: &str, address: IpAddr) -> Option<DeviceId> {
        self.find(session, address).filter(|id| self.is_ready(id))
    }

    // -- what pages do ------------------------------------------------------------------------------

    /// A page was opened.
    ///
    /// # Errors
    /// [`Refused`]; then it is nobody.
    pub fn hello(
        &mut self,
        hello: Hello,
        agent: Option<&str>,
        address: IpAddr,
        now: Instant,
    ) -> Result<Greeting, Refused> {
        if self.events.len() > MOST_EVENTS {
            return Err(Refused::Full);
        }
        let key = hello.key.unwrap_or_else(secret::token);
        let id = id_of(&key);
        let known_at = self.added.get(&id).copied();
        let is_added = known_at.is_some_and(|at| at.is_none_or(|at| at == address));
        let (key, id) = match self.pages.get_mut(&id).filter(|page| page.address != address) {
            // What was opened with its key elsewhere gives way to it.
            None => (key, id),
            Some(_) if is_added => (key, id),
            Some(page) if known_at.is_some() => {
                if !std::mem::replace(&mut page.doubled, true) {
                    self.events.push_back(Event::Doubled(id, address));
                }
                return Err(Refused::Elsewhere);
            }
            // Nobody vouches for either of them yet: this one is another.
            Some(_) => {
                let key = secret::token();
                let id = id_of(&key);
                (key, id)
            }
        };
        // Others at the address of an added one do not keep it out.
        if !is_added && !self.pace.admits(address, now) {
            return Err(Refused::TooOften);
        }
        if !is_added && !self.pages.contains_key(&id) {
            self.make_room(address)?;
        }
        if let (true, Some(at)) = (is_added, self.added.get_mut(&id)) {
            *at = Some(address);
        }
        let before = self.pages.remove(&id);
        let code = match &before {
            Some(page) if page.address == address => page.code.clone(),
            _ => self.fresh_code(),
        };
        // Orders to what was open before are not for this one.
        for n in before.iter().flat_map(|page| page.open.keys()) {
            self.events.push_back(Event::Done(*n, Err(Failed::Closed)));
        }
        let state = if is_added { Standing::Ready } else { Standing::Code };
        let page = Page {
            about: agent::about(agent, address),
            formats: hello.formats,
            address,
            code: code.clone(),
            state: State::default(),
            moving: false,
            moved: known_at.is_some() && !is_added,
            session: secret::token(),
            before: before.map(|page| page.session),
            told: state,
            doubled: false,
            waits: 0,
            last: now,
            said: None,
            queue: VecDeque::new(),
            open: BTreeMap::new(),
        };
        let session = page.session.clone();
        self.pages.insert(id.clone(), page);
        self.events.push_back(Event::Came(id));
        Ok(Greeting { key, session, state, code: (!is_added).then_some(code) })
    }

    fn make_room(&mut self, address: IpAddr) -> Result<(), Refused> {
        let waiting = || self.pages.iter().filter(|(id, _)| !self.is_ready(id));
        let of_one: Vec<_> = waiting().filter(|(_, page)| page.address == address).collect();
        let oldest = of_one.iter().min_by_key(|(_, page)| page.last).map(|(id, _)| (*id).clone());
        match oldest {
            Some(oldest) if of_one.len() >= MOST_OF_ONE => self.leave(&oldest),
            _ if waiting().count() >= MOST_WAITING => return Err(Refused::Full),
            _ => {}
        }
        Ok(())
    }

    /// A page asks for orders, and may wait: until [`Pages::end_wait`], it is here.
    pub fn begin_wait(&mut self, wait: &Wait, address: IpAddr) {
        if let Some(page) = self.find(&wait.session, address).and_then(|id| self.pages.get_mut(&id)) {
            page.waits += 1;
            page.queue.retain(|order| order.n > wait.after);
        }
    }

    /// What a page that waits is to be told, if there is anything.
    pub fn look(&mut self, wait: &Wait, address: IpAddr) -> Option<Told> {
        let Some(id) = self.find(&wait.session, address) else { return Some(self.stranger(&wait.session)) };
        let state = self.standing(&id);
        let page = self.pages.get_mut(&id)?;
        let code = (state == Standing::Code).then(|| page.code.clone());
        let orders: Vec<Numbered> = match state {
            Standing::Ready => page.queue.iter().filter(|order| order.n > wait.after).cloned().collect(),
            _ => Vec::new(),
        };
        if orders.is_empty() && page.told == state {
            return None;
        }
        page.told = state;
        Some(Told { state, code, orders })
    }

    /// What it is told when nothing happened for long.
    pub fn nothing(&self, wait: &Wait, address: IpAddr) -> Told {
        match self.find(&wait.session, address) {
            Some(id) => Told::only(self.standing(&id)),
            None => self.stranger(&wait.session),
        }
    }

    /// The law lets nothing be said to it now, and it was told so.
    pub fn told_off(&mut self, session: &str, address: IpAddr) {
        if let Some(page) = self.find(session, address).and_then(|id| self.pages.get_mut(&id)) {
            page.told = Standing::Off;
        }
    }

    /// It does not wait any more: it was answered, or hung up.
    pub fn end_wait(&mut self, session: &str, address: IpAddr, now: Instant) {
        if let Some(page) = self.find(session, address).and_then(|id| self.pages.get_mut(&id)) {
            (page.waits, page.last) = (page.waits.saturating_sub(1), now);
        }
    }

    /// A page tells something.
    pub fn say(&mut self, say: Say, address: IpAddr, now: Instant) -> Told {
        let Some(id) = self.find(&say.session, address) else { return self.stranger(&say.session) };
        if say.leaving {
            self.leave(&id);
            return Told::only(Standing::Unknown);
        }
        let standing = self.standing(&id);
        let Some(page) = self.pages.get_mut(&id) else { return Told::only(standing) };
        page.last = now;
        if standing != Standing::Ready {
            return Told::only(standing);
        }
        for Done { n, error, answer } in say.done {
            if page.open.remove(&n).is_some() {
                page.queue.retain(|order| order.n != n);
                let outcome = error.map_or(Ok(answer), |why| Err(Failed::Says(why)));
                self.events.push_back(Event::Done(n, outcome));
            }
        }
        if let Some(state) = say.state {
            let advanced = state.position - page.state.position;
            let elapsed = page.said.map_or(0.0, |said| now.saturating_duration_since(said).as_secs_f64());
            page.moving = state.playing && advanced > 0.0 && advanced <= elapsed * FASTEST + 0.5;
            (page.state, page.said) = (state, Some(now));
            if self.events.len() <= MOST_EVENTS && self.events.back() != Some(&Event::Said(id.clone())) {
                self.events.push_back(Event::Said(id));
            }
        }
        Told::only(standing)
    }

    // -- what the house does ------------------------------------------------------------------------

    /// The owner adds a device, where it is now, or not any more; then its page has another code.
    pub fn set_added(&mut self, id: &DeviceId, yes: bool) {
        let page = self.pages.get_mut(id);
        if yes {
            self.added.insert(id.clone(), page.as_ref().map(|page| page.address));
        } else {
            self.added.remove(id);
        }
        if let Some(page) = page {
            page.moved = false;
        }
        if !yes {
            self.renew(id);
        }
    }

    /// The owner does not take a page for what it may be; it has another code then.
    pub fn renew(&mut self, id: &DeviceId) {
        let code = self.fresh_code();
        if let Some(page) = self.pages.get_mut(id) {
            page.code = code;
            // The page learns of the new one, whatever it was told last.
            page.told = Standing::Unknown;
            page.queue.clear();
            let open = std::mem::take(&mut page.open);
            self.events.extend(open.into_keys().map(|n| Event::Done(n, Err(Failed::Closed))));
        }
    }

    /// Has an added page do something. The number comes back with [`Event::Done`]. `None`: it is not open, or has not
    /// done for long what was wanted before.
    pub fn order(&mut self, id: &DeviceId, order: Order, until: Instant) -> Option<u64> {
        if !self.is_ready(id) {
            return None;
        }
        let page = self.pages.get_mut(id).filter(|page| page.open.len() < MOST_ORDERS)?;
        let n = self.next;
        self.next += 1;
        page.queue.push_back(Numbered { n, order });
        page.open.insert(n, until);
        Some(n)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) {
        for page in self.pages.values_mut() {
            let late: Vec<u64> = page.open.iter().filter(|(_, until)| **until <= now).map(|(n, _)| *n).collect();
            for n in late {
                page.open.remove(&n);
                page.queue.retain(|order| order.n != n);
                self.events.push_back(Event::Done(n, Err(Failed::Mute)));
            }
        }
        let away = |page: &Page| page.waits == 0 && page.last + AWAY_AFTER <= now;
        let gone: Vec<DeviceId> = self.pages.iter().filter(|(_, page)| away(page)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.leave(id));
    }

    /// Nothing is open any more.
    pub fn leave_all(&mut self) {
        let all: Vec<DeviceId> = self.pages.keys().cloned().collect();
        all.iter().for_each(|id| self.leave(id));
    }

    fn leave(&mut self, id: &DeviceId) {
        let Some(page) = self.pages.remove(id) else { return };
        self.events.extend(page.open.into_keys().map(|n| Event::Done(n, Err(Failed::Closed))));
        self.events.push_back(Event::Left(id.clone()));
    }

    fn find(&self, session: &str, address: IpAddr) -> Option<DeviceId> {
        let fits = |page: &Page| page.address == address && secret::same(&page.session, session);
        self.pages.iter().find(|(_, page)| fits(page)).map(|(id, _)| id.clone())
    }

    fn standing(&self, id: &DeviceId) -> Standing {
        if self.is_ready(id) { Standing::Ready } else { Standing::Code }
    }

    /// Whether it is open, and the owner added it.
    fn is_ready(&self, id: &DeviceId) -> bool {
        self.added.contains_key(id) && self.pages.get(id).is_some_and(|page| !page.moved)
    }

    /// To a session that is none: was it taken over by another page of the same browser?
    fn stranger(&self, session: &str) -> Told {
        let over = self.pages.values().any(|page| page.before.as_deref().is_some_and(|one| secret::same(one, session)));
        Told::only(if over { Standing::Elsewhere } else { Standing::Unknown })
    }

    /// Six digits that no other page shows.
    fn fresh_code(&self) -> String {
        loop {
            let number = u64::from_str_radix(&secret::token()[..15], 16).unwrap_or_default();
            let code = format!("{:06}", number % 1_000_000);
            if self.pages.values().all(|page| page.code != code) {
                return code;
            }
        }
    }
}

#[cfg(test)]
mod tests;
