//! Who is let in. A visit is one browser, bound to the address that it came from; its token is its pass.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use accord_model::text::for_screen;
use accord_ports::pin::{PinGuard, PinVerdict, network};
use accord_ports::{Secret, secret};

use crate::Admission;

/// Most visits that are let in.
pub const MAX_IN: usize = 64;
/// Most that wait for the owner.
pub const MAX_WAITING: usize = 8;
/// Most that are remembered after they were declined or left.
const MAX_PAST: usize = 32;
/// How long the owner may think.
const DECIDE_WITHIN: Duration = Duration::from_secs(600);
/// A page that waits asks every few seconds; without, nobody waits any more.
const SILENT: Duration = Duration::from_secs(30);
/// A pass that nobody used for so long makes room.
const UNUSED: Duration = Duration::from_secs(3600);
/// So many times an address may be declined before it is not asked about any more.
const MAX_DECLINED: usize = 3;
/// Of one IPv6 network a host may take any address, and others live there too: so many for all of it together.
const MAX_DECLINED_NETWORK: usize = 12;
const MAX_WAITING_NETWORK: usize = 4;
/// How often the owner is told anew of the same address.
const TELL_AGAIN: Duration = Duration::from_secs(20);
/// Addresses of which it is remembered when the owner was told.
const MAX_TOLD: usize = 64;
const MAX_AGENT: usize = 160;

/// How a visit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for the owner.
    Waiting,
    /// May fetch.
    In,
    /// The owner said no, or did not answer.
    Declined,
    /// Gone before it was let in.
    Left,
}

/// One visit.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Names it to the owner.
    pub id: u64,
    /// Where it is.
    pub address: IpAddr,
    /// What its browser says that it is, safe to show.
    pub agent: Option<String>,
    /// How it stands.
    pub state: State,
    since: Instant,
    heard: Instant,
}

/// What comes of knocking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knock {
    /// Come in, with this pass.
    In(Secret),
    /// The owner is asked; the pass tells later.
    Wait(Secret, u64),
    /// The PIN is missing or wrong, or no more guesses are taken.
    Pin(PinVerdict),
    /// The owner declined this address often enough.
    Declined,
    /// Too many others.
    Full,
}

/// The door of one share.
#[derive(Debug)]
pub struct Door {
    admission: Admission,
    pins: PinGuard,
    visits: HashMap<Secret, Visit>,
    declined: HashMap<IpAddr, usize>,
    told: HashMap<IpAddr, Instant>,
    next: u64,
}

impl Door {
    /// The door of a share with this rule.
    pub fn new(admission: Admission) -> Self {
        let pin = match &admission {
            Admission::Pin(pin) => Some(pin.clone()),
            Admission::Ask | Admission::Everyone => None,
        };
        Self {
            admission,
            pins: PinGuard::new(pin),
            visits: HashMap::new(),
            declined: HashMap::new(),
            told: HashMap::new(),
            next: 1,
        }
    }

    /// Somebody wants to come in. `by_link`: it knows the page's address; who came another way is asked about even when
    /// everyone with the address is let in.
    pub fn knock(
        &mut self,
        address: IpAddr,
        agent: Option<&str>,
        pin: Option<&str>,
        by_link: bool,
        now: Instant,
    ) -> Knock {
        self.tidy(now);
        let address = address.to_canonical();
        let let_in = match &self.admission {
            Admission::Ask => false,
            Admission::Everyone => by_link,
            Admission::Pin(_) => match self.pins.check(address, pin, now) {
                PinVerdict::Right => true,
                verdict => return Knock::Pin(verdict),
            },
        };
        if !let_in && self.is_refused(address) {
            return Knock::Declined;
        }
        // Whoever asks again takes the place of its first question.
        self.visits.retain(|_, visit| visit.state != State::Waiting || visit.address != address);
        let state = if let_in { State::In } else { State::Waiting };
        let (same, most) = (self.count(state), if let_in { MAX_IN } else { MAX_WAITING });
        if same >= most || (!let_in && self.waiting_from(network(address)) >= MAX_WAITING_NETWORK) {
            return Knock::Full;
        }
        let (id, token) = (self.next, Secret::from(secret::token()));
        self.next += 1;
        let agent = agent.map(|agent| for_screen(agent, MAX_AGENT)).filter(|agent| !agent.is_empty());
        self.visits.insert(token.clone(), Visit { id, address, agent, state, since: now, heard: now });
        if let_in { Knock::In(token) } else { Knock::Wait(token, id) }
    }

    /// The visit with this pass, if it comes from where it was given.
    pub fn visit(&mut self, token: &str, address: IpAddr, now: Instant) -> Option<&Visit> {
        self.tidy(now);
        let visit = self.visits.get_mut(&Secret::from(token))?;
        if visit.address != address.to_canonical() {
            return None;
        }
        visit.heard = now;
        Some(visit)
    }

    /// A visit still fetches.
    pub fn touch(&mut self, id: u64, now: Instant) {
        if let Some(visit) = self.visits.values_mut().find(|visit| visit.id == id) {
            visit.heard = now;
        }
    }

    /// The pass of somebody from there who is in already.
    pub fn pass_of(&self, address: IpAddr) -> Option<Secret> {
        let address = address.to_canonical();
        let mut passes = self.visits.iter().filter(|(_, visit)| visit.state == State::In && visit.address == address);
        passes.next().map(|(token, _)| token.clone())
    }

    /// The owner decides. `false` when that visit does not wait any more.
    pub fn decide(&mut self, id: u64, yes: bool, now: Instant) -> bool {
        self.tidy(now);
        let full = self.count(State::In) >= MAX_IN;
        let Some(visit) = self.visits.values_mut().find(|visit| visit.id == id && visit.state == State::Waiting) else {
            return false;
        };
        if yes && full {
            return false;
        }
        visit.state = if yes { State::In } else { State::Declined };
        visit.heard = now;
        let address = visit.address;
        // What it asks after this answer is another question.
        self.told.remove(&address);
        if !yes {
            for whose in
                [Some(address), Some(network(address)).filter(|network| *network != address)].into_iter().flatten()
            {
                if self.declined.len() < 256 || self.declined.contains_key(&whose) {
                    *self.declined.entry(whose).or_default() += 1;
                }
            }
        }
        true
    }

    /// The owner's consent for a visit is gone: it has to knock again.
    pub fn put_out(&mut self, token: &str) {
        if let Some(visit) = self.visits.get_mut(&Secret::from(token)) {
            visit.state = State::Declined;
        }
    }

    /// Somebody who waited hung up.
    pub fn leave(&mut self, token: &str) {
        if let Some(visit) = self.visits.get_mut(&Secret::from(token)).filter(|visit| visit.state == State::Waiting) {
            visit.state = State::Left;
        }
    }

    /// All visits, newest first.
    pub fn visits(&self) -> Vec<Visit> {
        let mut visits: Vec<Visit> = self.visits.values().cloned().collect();
        visits.sort_by_key(|visit| std::cmp::Reverse(visit.id));
        visits
    }

    /// Lets go of whoever is gone. True when anything changed.
    pub fn tidy(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for visit in self.visits.values_mut().filter(|visit| visit.state == State::Waiting) {
            if now.saturating_duration_since(visit.since) >= DECIDE_WITHIN {
                (visit.state, changed) = (State::Declined, true);
            } else if now.saturating_duration_since(visit.heard) >= SILENT {
                (visit.state, changed) = (State::Left, true);
            }
        }
        let before = self.visits.len();
        self.visits.retain(|_, visit| now.saturating_duration_since(visit.heard) < UNUSED);
        let mut past: Vec<u64> =
            self.visits.values().filter(|visit| is_past(visit.state)).map(|visit| visit.id).collect();
        if past.len() > MAX_PAST {
            past.sort_unstable();
            let oldest_kept = past[past.len() - MAX_PAST];
            self.visits.retain(|_, visit| !is_past(visit.state) || visit.id >= oldest_kept);
        }
        changed || self.visits.len() != before
    }

    /// When to [`Door::tidy`] next, if somebody waits.
    pub fn next_look(&self) -> Option<Instant> {
        let waiting = self.visits.values().filter(|visit| visit.state == State::Waiting);
        waiting.map(|visit| (visit.heard + SILENT).min(visit.since + DECIDE_WITHIN)).min()
    }

    /// Whether the owner is told that somebody there waits: not for each of its knocks.
    pub fn is_news(&mut self, address: IpAddr, now: Instant) -> bool {
        let address = address.to_canonical();
        self.told.retain(|_, told| now.saturating_duration_since(*told) < TELL_AGAIN);
        if self.told.contains_key(&address) || self.told.len() >= MAX_TOLD {
            return false;
        }
        self.told.insert(address, now);
        true
    }

    fn is_refused(&self, address: IpAddr) -> bool {
        let times = |whose: IpAddr| self.declined.get(&whose).copied().unwrap_or_default();
        let network = network(address);
        times(address) >= MAX_DECLINED || (network != address && times(network) >= MAX_DECLINED_NETWORK)
    }

    fn waiting_from(&self, of: IpAddr) -> usize {
        let waiting = self.visits.values().filter(|visit| visit.state == State::Waiting);
        waiting.filter(|visit| network(visit.address) == of).count()
    }

    fn count(&self, state: State) -> usize {
        self.visits.values().filter(|visit| visit.state == state).count()
    }
}

fn is_past(state: State) -> bool {
    matches!(state, State::Declined | State::Left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn wait(door: &mut Door, last: u8, now: Instant) -> (Secret, u64) {
        match door.knock(at(last), Some("Browser"), None, true, now) {
            Knock::Wait(token, id) => (token, id),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_owner_lets_in_one_and_no_other_gets_in_with_its_pass() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Ask));
        let (token, id) = wait(&mut door, 1, now);
        assert_eq!(door.visit(&token, at(1), now).unwrap().state, State::Waiting);
        assert!(door.decide(id, true, now));
        assert_eq!(door.visit(&token, at(1), now).unwrap().state, State::In);
        assert!(door.visit(&token, at(2), now).is_none(), "the pass is the address's");
        assert!(door.visit("guess", at(1), now).is_none());
        assert!(!door.decide(id, false, now), "decided is decided");
        let (other, _) = wait(&mut door, 1, now);
        assert_eq!(
            door.visit(&other, at(1), now).unwrap().state,
            State::Waiting,
            "another browser there is asked about"
        );
        door.put_out(&token);
        assert_eq!(door.visit(&token, at(1), now).unwrap().state, State::Declined);
    }

    #[test]
    fn who_was_declined_three_times_is_not_asked_about_again() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Ask));
        for _ in 0..MAX_DECLINED {
            let (_, id) = wait(&mut door, 1, now);
            assert!(door.decide(id, false, now));
        }
        assert_eq!(door.knock(at(1), None, None, true, now), Knock::Declined);
        wait(&mut door, 2, now);
    }

    #[test]
    fn a_host_with_many_addresses_takes_neither_all_places_nor_all_attention() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Ask));
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        let mut times = 0;
        for last in 0..100 {
            let Knock::Wait(_, id) = door.knock(v6(last), None, None, true, now) else { break };
            assert!(door.decide(id, false, now));
            times += 1;
        }
        assert_eq!(times, MAX_DECLINED_NETWORK);
        let mut door = Door::new(Admission::Ask);
        let waiting = (0..100).filter(|last| matches!(door.knock(v6(*last), None, None, true, now), Knock::Wait(..)));
        assert_eq!(waiting.count(), MAX_WAITING_NETWORK);
        wait(&mut door, 1, now);
        assert!(door.is_news(at(1), now));
        assert!((0..1000).all(|_| !door.is_news(at(1), now)), "its next knocks are no news");
        assert!(door.is_news(at(1), now + TELL_AGAIN));
        assert!((0..1000).filter(|last| door.is_news(v6(*last), now)).count() <= MAX_TOLD);
    }

    #[test]
    fn silence_and_time_end_a_question_and_room_is_bounded() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Ask));
        let (silent, id) = wait(&mut door, 1, now);
        let later = now + SILENT;
        assert!(!door.decide(id, true, later), "it left");
        assert_eq!(door.visit(&silent, at(1), later).unwrap().state, State::Left);
        let (patient, _) = wait(&mut door, 2, now);
        let mut time = now;
        while time < now + DECIDE_WITHIN {
            assert_eq!(door.visit(&patient, at(2), time).unwrap().state, State::Waiting);
            time += SILENT / 2;
        }
        assert_eq!(door.visit(&patient, at(2), time).unwrap().state, State::Declined);
        for last in 10..10 + MAX_WAITING as u8 {
            wait(&mut door, last, time);
        }
        assert_eq!(door.knock(at(99), None, None, true, time), Knock::Full);
        wait(&mut door, 10, time);
        for last in 0..200 {
            door.knock(at(last), None, None, true, time);
            door.tidy(time + SILENT);
        }
        assert!(door.visits.len() <= MAX_PAST + MAX_WAITING + MAX_IN, "{}", door.visits.len());
    }

    #[test]
    fn a_pin_lets_in_and_three_wrong_ones_close_the_door_for_that_address() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Pin("4711".into())));
        assert_eq!(door.knock(at(1), None, None, true, now), Knock::Pin(PinVerdict::Missing));
        for _ in 0..3 {
            assert_eq!(door.knock(at(1), None, Some("1"), true, now), Knock::Pin(PinVerdict::Wrong));
        }
        assert_eq!(door.knock(at(1), None, Some("4711"), true, now), Knock::Pin(PinVerdict::Blocked));
        assert!(matches!(door.knock(at(2), None, Some("4711"), true, now), Knock::In(_)));
    }

    #[test]
    fn everyone_with_the_link_comes_in_and_who_has_it_not_is_asked_about() {
        let (now, mut door) = (Instant::now(), Door::new(Admission::Everyone));
        let Knock::In(token) = door.knock(at(1), None, None, true, now) else { panic!() };
        assert_eq!(door.pass_of(at(1)), Some(token.clone()));
        assert_eq!(door.pass_of(at(2)), None);
        assert!(matches!(door.knock(at(2), None, None, false, now), Knock::Wait(..)));
        for last in 0..MAX_IN as u8 {
            door.knock(at(last), None, None, true, now);
        }
        assert_eq!(door.knock(at(200), None, None, true, now), Knock::Full);
        assert!(matches!(door.knock(at(200), None, None, true, now + UNUSED), Knock::In(_)), "unused passes make room");
        assert!(door.visit(&token, at(1), now + UNUSED).is_none());
    }
}
