//! Who has the page open: those that show a code and those that the owner added, with the orders that they have not taken
//! yet. Calls and time in, [`Event`]s out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use accord_model::DeviceId;
use accord_ports::secret;
use sha2::{Digest, Sha256};

use super::agent::{self, About};
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
    session: String,
    /// The session that this one took over.
    before: Option<String>,
    told: Standing,
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
    added: BTreeSet<DeviceId>,
    pages: BTreeMap<DeviceId, Page>,
    events: VecDeque<Event>,
    next: u64,
}

/// Too many pages show a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

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
    pub fn new(added: BTreeSet<DeviceId>) -> Self {
        Self { added, pages: BTreeMap::new(), events: VecDeque::new(), next: 1 }
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
        self.pages.iter().any(|(id, page)| page.address == address && self.added.contains(id))
    }

    /// The device that a session belongs to, while the owner has it added.
    pub fn added_by(&self, session: &str, address: IpAddr) -> Option<DeviceId> {
        self.find(session, address).filter(|id| self.added.contains(id))
    }

    // -- what pages do ------------------------------------------------------------------------------

    /// A page was opened.
    ///
    /// # Errors
    /// [`Full`]; then it is nobody.
    pub fn hello(
        &mut self,
        hello: Hello,
        agent: Option<&str>,
        address: IpAddr,
        now: Instant,
    ) -> Result<Greeting, Full> {
        let key = hello.key.unwrap_or_else(secret::token);
        let id = id_of(&key);
        let before = self.pages.remove(&id);
        let is_added = self.added.contains(&id);
        if !is_added && before.is_none() {
            self.make_room(address)?;
        }
        let code = match &before {
            Some(page) => page.code.clone(),
            None => self.fresh_code(),
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
            session: secret::token(),
            before: before.map(|page| page.session),
            told: state,
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

    fn make_room(&mut self, address: IpAddr) -> Result<(), Full> {
        let waiting = || self.pages.iter().filter(|(id, _)| !self.added.contains(id));
        let of_one: Vec<_> = waiting().filter(|(_, page)| page.address == address).collect();
        let oldest = of_one.iter().min_by_key(|(_, page)| page.last).map(|(id, _)| (*id).clone());
        match oldest {
            Some(oldest) if of_one.len() >= MOST_OF_ONE => self.leave(&oldest),
            _ if waiting().count() >= MOST_WAITING => return Err(Full),
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
            if self.events.back() != Some(&Event::Said(id.clone())) {
                self.events.push_back(Event::Said(id));
            }
        }
        Told::only(standing)
    }

    // -- what the house does ------------------------------------------------------------------------

    /// The owner adds a device, or not any more; then its page has another code.
    pub fn set_added(&mut self, id: &DeviceId, yes: bool) {
        if yes {
            self.added.insert(id.clone());
            return;
        }
        self.added.remove(id);
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
        if !self.added.contains(id) {
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
        if self.added.contains(id) { Standing::Ready } else { Standing::Code }
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
mod tests {
    use super::*;

    const TV: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 9));

    struct Opened {
        pages: Pages,
        key: String,
        session: String,
        now: Instant,
    }

    fn hello(key: Option<&str>) -> Hello {
        Hello { key: key.map(str::to_owned), formats: vec!["video/mp4".into()] }
    }

    fn opened() -> Opened {
        let (mut pages, now) = (Pages::new(BTreeSet::new()), Instant::now());
        let greeting = pages.hello(hello(None), None, TV, now).unwrap();
        assert_eq!(greeting.state, Standing::Code);
        assert_eq!(greeting.code.as_deref().map(str::len), Some(6));
        Opened { pages, key: greeting.key, session: greeting.session, now }
    }

    fn added() -> Opened {
        let mut one = opened();
        one.pages.set_added(&id_of(&one.key), true);
        one
    }

    impl Opened {
        fn wait(&self, after: u64) -> Wait {
            Wait { session: self.session.clone(), after }
        }
        fn say(&mut self, state: Option<State>, done: Vec<Done>) -> Told {
            let say = Say { session: self.session.clone(), done, state, leaving: false };
            self.pages.say(say, TV, self.now)
        }
        fn events(&mut self) -> Vec<Event> {
            std::iter::from_fn(|| self.pages.poll_event()).collect()
        }
        fn device(&self) -> DeviceId {
            id_of(&self.key)
        }
    }

    fn at(position: f64) -> Option<State> {
        Some(State { playing: true, position, ..State::default() })
    }

    #[test]
    fn a_page_that_is_not_added_is_told_its_code_and_no_order() {
        let mut one = opened();
        let device = one.device();
        assert_eq!(one.pages.order(&device, Order::Play, one.now), None);
        let wait = one.wait(0);
        one.pages.begin_wait(&wait, TV);
        assert_eq!(one.pages.look(&wait, TV), None);
        one.say(at(1.0), vec![]);
        assert_eq!(one.events(), [Event::Came(device.clone())]);
        one.pages.set_added(&device, true);
        assert_eq!(one.pages.look(&wait, TV), Some(Told::only(Standing::Ready)));
        assert_eq!(one.pages.look(&wait, TV), None);
    }

    #[test]
    fn orders_come_until_they_are_taken_and_are_answered_once() {
        let mut one = added();
        let (device, until) = (one.device(), one.now + Duration::from_secs(5));
        let first = one.pages.order(&device, Order::Play, until).unwrap();
        let second = one.pages.order(&device, Order::Stop, until).unwrap();
        let orders = |told: Option<Told>| told.unwrap().orders.iter().map(|order| order.n).collect::<Vec<_>>();
        let wait = one.wait(0);
        assert_eq!(orders(one.pages.look(&wait, TV)), [first, second]);
        assert_eq!(orders(one.pages.look(&wait, TV)), [first, second], "an answer may be lost on its way");
        assert_eq!(orders(one.pages.look(&one.wait(first), TV)), [second]);
        one.events();
        let done = |n| Done { n, error: None, answer: None };
        one.say(None, vec![done(first), done(first), done(999)]);
        one.say(None, vec![Done { error: Some("no".into()), ..done(second) }]);
        let says = Err(Failed::Says("no".into()));
        assert_eq!(one.events(), [Event::Done(first, Ok(None)), Event::Done(second, says)]);
    }

    #[test]
    fn a_page_that_says_nothing_is_mute_and_one_that_is_closed_is_gone() {
        let mut one = added();
        let (device, late) = (one.device(), one.now + Duration::from_secs(5));
        let n = one.pages.order(&device, Order::Play, late).unwrap();
        let wait = one.wait(0);
        one.pages.begin_wait(&wait, TV);
        one.events();
        one.pages.tick(late);
        assert_eq!(one.events(), [Event::Done(n, Err(Failed::Mute))]);
        // It waits, so it is here.
        one.pages.tick(late + Duration::from_secs(100));
        assert_eq!(one.events(), []);
        one.pages.end_wait(&one.session, TV, late);
        one.pages.tick(late + AWAY_AFTER / 2);
        assert_eq!(one.events(), []);
        one.pages.tick(late + AWAY_AFTER);
        assert_eq!(one.events(), [Event::Left(device)]);
    }

    #[test]
    fn it_moves_when_its_position_advances_as_time_does() {
        let mut one = added();
        let device = one.device();
        for (seconds, position, moving) in
            [(0, 3.0, false), (1, 4.0, true), (1, 4.0, false), (1, 60.0, false), (1, 61.0, true), (1, 2.0, false)]
        {
            one.now += Duration::from_secs(seconds);
            one.say(at(position), vec![]);
            assert_eq!(one.pages.get(&device).unwrap().moving, moving, "{position}");
        }
    }

    #[test]
    fn a_key_is_known_again_and_a_session_is_worth_nothing_elsewhere() {
        let mut one = added();
        let elsewhere = "192.168.1.10".parse().unwrap();
        assert_eq!(one.pages.added_by(&one.session, TV), Some(one.device()));
        assert_eq!(one.pages.added_by(&one.session, elsewhere), None);
        assert_eq!(one.pages.added_by(&one.key, TV), None);
        let again = one.pages.hello(hello(Some(&one.key)), None, TV, one.now).unwrap();
        assert_eq!((again.state, again.code), (Standing::Ready, None));
        // The page that was open before is told so, and nothing else.
        assert_eq!(one.pages.look(&one.wait(0), TV), Some(Told::only(Standing::Elsewhere)));
        one.pages.set_added(&one.device(), false);
        assert_eq!(one.pages.added_by(&again.session, TV), None);
    }

    #[test]
    fn a_no_ends_what_was_ordered_and_changes_the_code() {
        let mut one = added();
        let device = one.device();
        let code = one.pages.get(&device).unwrap().code.clone();
        let n = one.pages.order(&device, Order::Play, one.now).unwrap();
        one.events();
        one.pages.set_added(&device, false);
        assert_eq!(one.events(), [Event::Done(n, Err(Failed::Closed))]);
        let told = one.pages.look(&one.wait(0), TV).unwrap();
        assert_eq!((told.state, told.orders.len()), (Standing::Code, 0));
        assert_ne!(told.code.unwrap(), code);
    }

    #[test]
    fn a_flood_of_pages_finds_no_room_and_the_others_stay() {
        let mut one = added();
        for last in 0..200u8 {
            let address = IpAddr::from([10, 0, 0, last / 20]);
            let _ = one.pages.hello(hello(None), None, address, one.now);
        }
        assert!(one.pages.pages.len() <= MOST_WAITING + 1);
        assert!(one.pages.get(&one.device()).is_some());
        assert!(one.pages.hello(hello(Some(&one.key.clone())), None, TV, one.now).is_ok());
        let device = one.device();
        let until = one.now;
        assert_eq!((0..100).filter_map(|_| one.pages.order(&device, Order::Play, until)).count(), MOST_ORDERS);
    }
}
