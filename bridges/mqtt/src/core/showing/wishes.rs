//! What clients wish of the devices that are shown: one after the other for each device, not too often, and not too late.

use std::time::{Duration, Instant};

use accord_model::{Device, DeviceId, Reach, Target};
use accord_ports::showcase::{Frame, Wish};

use super::wish::{self, Tail};
use super::{AGAIN, BURST, Memory, Showing, find};
use crate::core::packet::Publish;
use crate::core::topic::below;

/// A wish is one for so long: a door is not opened because somebody wanted that a while ago.
const TERM: Duration = Duration::from_secs(10);
/// Wishes of one device that wait for the one before, and how many more a second than [`BURST`].
const MOST_WAITING: usize = 8;
const A_SECOND: f64 = 5.0;
/// How long a device may take to show what was wished before it is said again what it is.
const SHOWS_WITHIN: Duration = Duration::from_secs(5);
/// Home Assistant starts no more often.
const BORN_EVERY: Duration = Duration::from_secs(10);

impl Showing {
    /// Takes a message of a client.
    pub fn message(&mut self, message: &Publish, now: Instant) {
        if message.topic == format!("{}/status", self.discovery) {
            let is_early = self.born.is_some_and(|born| now.saturating_duration_since(born) < BORN_EVERY);
            // What the broker kept is no start.
            if message.payload == b"online" && !message.retain && !is_early {
                self.born = Some(now);
                self.offer_again();
            }
            return;
        }
        // A wish that the broker kept was for somebody who was there then.
        if message.retain {
            return;
        }
        let Some((id, target, tail)) = self.addressed(&message.topic) else { return };
        let Some(thing) = self.things.get_mut(&id) else { return };
        let wished = find(&thing.device, &target).and_then(|service| wish::read(service, tail, &message.payload));
        let (left, since) = thing.tokens;
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * A_SECOND).min(BURST);
        let may = left >= 1.0 && thing.waiting.len() < MOST_WAITING && thing.device.reach != Reach::Offline;
        thing.tokens = (if may { left - 1.0 } else { left }, now);
        match wished.filter(|_| may) {
            Some(verbs) => {
                thing.waiting.push_back((now + TERM, target, verbs));
                self.next_wish(&id, now);
            }
            None => {
                self.refused += 1;
                self.say_again(&id, &target, now);
            }
        }
    }

    fn addressed<'a>(&self, topic: &'a str) -> Option<(DeviceId, Target, Tail<'a>)> {
        let rest = below(topic, &self.root)?;
        let (digits, rest) = rest.split_once('/')?;
        let (service, tail) = rest.split_once('/')?;
        let (service, instance) = service.rsplit_once('-')?;
        let target = Target { service: service.to_owned(), instance: instance.parse().ok()? };
        let tail = match tail {
            "set" => Tail::Whole,
            "do" => Tail::Act,
            _ => Tail::Set(tail.strip_prefix("set/")?),
        };
        Some((self.digits.get(digits)?.clone(), target, tail))
    }

    fn next_wish(&mut self, id: &DeviceId, now: Instant) {
        let Some(thing) = self.things.get_mut(id).filter(|thing| thing.running.is_none()) else { return };
        while let Some((until, target, verbs)) = thing.waiting.pop_front() {
            if until <= now {
                self.refused += 1;
                continue;
            }
            self.next += 1;
            (thing.running, thing.wished) = (Some(self.next), Some(target.clone()));
            return self.wishes.push_back((until, self.next, Wish { device: id.clone(), target, verbs }));
        }
    }

    /// The next wish, under the number by which [`Self::answered`] tells what became of it. One that is too old, or of a device
    /// that is not shown any more, is none.
    pub fn poll_wish(&mut self, now: Instant) -> Option<(u64, Wish)> {
        while let Some((until, number, wish)) = self.wishes.pop_front() {
            if until <= now {
                self.answered(number, false, now);
            } else if self.things.get(&wish.device).is_some_and(|thing| thing.running == Some(number)) {
                return Some((number, wish));
            }
        }
        None
    }

    /// What nobody asked about yet is nobody's wish any more. What is being asked about is still waited for, so that no two run
    /// beside each other.
    pub(super) fn forget_wishes(&mut self) {
        let numbers: Vec<u64> = std::mem::take(&mut self.wishes).into_iter().map(|(_, number, _)| number).collect();
        for thing in self.things.values_mut() {
            self.refused += thing.waiting.len() as u64;
            thing.waiting.clear();
            if thing.running.is_some_and(|running| numbers.contains(&running)) {
                self.refused += 1;
                (thing.running, thing.wished) = (None, None);
            }
        }
    }

    /// What became of a wish. Whoever wished it in vain is told what the device is.
    pub fn answered(&mut self, number: u64, done: bool, now: Instant) {
        let found = self.things.iter_mut().find(|(_, thing)| thing.running == Some(number));
        let Some((id, thing)) = found else { return };
        thing.running = None;
        let (id, target) = (id.clone(), thing.wished.take());
        if let Some(target) = target {
            match done {
                true => {
                    if let Some(topic) = self.state_topic(&id, &target).filter(|_| self.says()) {
                        self.again.insert(topic, now + SHOWS_WITHIN);
                    }
                }
                false => {
                    self.refused += 1;
                    self.say_again(&id, &target, now);
                }
            }
        }
        self.next_wish(&id, now);
    }

    fn state_topic(&self, id: &DeviceId, target: &Target) -> Option<String> {
        let thing = self.things.get(id)?;
        let topic = thing.place.state(find(&thing.device, target)?);
        thing.topics.contains(&topic).then_some(topic)
    }

    fn say_again(&mut self, id: &DeviceId, target: &Target, now: Instant) {
        let Some(topic) = self.state_topic(id, target).filter(|_| self.says()) else { return };
        let last = self.said_again.get(&topic).map(|last| *last + AGAIN);
        self.again.insert(topic, last.map_or(now, |earliest| earliest.max(now)));
    }

    fn says(&self) -> bool {
        self.up && !self.hushed
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.again.values().min().copied().filter(|_| self.up)
    }

    /// Says again what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<String> =
            self.again.iter().filter(|(_, at)| **at <= now).map(|(topic, _)| topic.clone()).collect();
        for topic in due {
            self.again.remove(&topic);
            self.said_again.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
            self.said_again.insert(topic.clone(), now);
            self.there.remove(&topic);
            self.enqueue(topic);
        }
    }
}

/// Entry for fuzzing: any bytes as messages of clients, to devices with a service of each kind.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    use accord_model::{DeviceKind, catalogue};
    let services = [
        catalogue::light(),
        catalogue::on_off(),
        catalogue::climate(),
        catalogue::cover(),
        catalogue::door_lock(),
        catalogue::fan(),
        catalogue::vacuum(),
    ];
    let Ok(id) = DeviceId::new("shown-0011") else { return };
    let mut device = services.into_iter().fold(Device::new(id, DeviceKind::Other, "All"), Device::with);
    device.reach = Reach::Local;
    let mut showing = Showing::new("homeassistant", Memory::new("00112233aabb".to_owned()));
    let now = Instant::now();
    showing.begin_anew();
    showing.frame(Frame::Show(Box::new(device)), now);
    showing.up();
    let _ = showing.poll_memory();
    for part in data.split(|byte| *byte == b'\n').take(64) {
        let (topic, payload) = part.split_at(part.iter().position(|byte| *byte == b' ').unwrap_or(part.len()));
        let topic = String::from_utf8_lossy(topic);
        let topic =
            topic.strip_prefix('~').map_or_else(|| topic.to_string(), |end| format!("accord/00112233aabb/0011/{end}"));
        let payload = payload.get(1..).unwrap_or_default().to_vec();
        showing.message(&Publish { topic, payload, retain: false, id: None }, now);
        while let Some((number, wish)) = showing.poll_wish(now) {
            assert!(!wish.verbs.is_empty() && wish.verbs.len() <= accord_ports::showcase::MOST_VERBS);
            showing.answered(number, data.len().is_multiple_of(2), now);
        }
        showing.handle_timeout(now);
        while let Some((number, _)) = showing.poll_publish() {
            showing.published(number, true, now);
        }
    }
}
