//! A connection with a broker while it lasts: what it says becomes devices and values, what the house wants becomes messages,
//! and a call is answered once the broker has the message, and for a device of zigbee2mqtt once that showed or refused it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Reach, Target, Timestamp, Verb};
use accord_ports::hand::{BEGUN_WITHIN, End, Orders, Peer};

use super::broker::{Broker, Order};
use super::describe::{self, thing_id, value_after};
use super::line::Line;
use super::mind::Heard;
use crate::core::house::Said;
use crate::core::packet::{Connect, Publish};
use crate::core::parts::Place;
use crate::core::session::{Event, Input, Output, Session};

/// A sign of life at least every half of this, in seconds.
const KEEP_ALIVE: u16 = 30;
/// How long a device of zigbee2mqtt may take to show what was wanted, or zigbee2mqtt to complain.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);
/// Devices are asked for their state this far apart: each question goes through the air.
const ASKS_EVERY: Duration = Duration::from_millis(200);
/// What is known is written this long after it changed.
const SAVES_AFTER: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);

/// A call on its way.
struct Pending {
    call: CallId,
    key: String,
    shows: Option<Place>,
    /// Once the broker has it: until when the device is waited for.
    until: Option<Instant>,
}

/// What lasts as long as the connection.
struct Talk {
    session: Session,
    pending: BTreeMap<u64, Pending>,
    next: u64,
    next_ask: Instant,
    /// When what changed is written.
    next_save: Option<Instant>,
    over: Option<End>,
}

impl Broker {
    pub(super) async fn drive(&mut self, mut line: Line, orders: &mut Orders<Order>) -> End {
        let now = Instant::now();
        let mut seed = [0; 6];
        let _ = getrandom::fill(&mut seed);
        let connect = Connect {
            // Another one each time, so that a broker's log does not tell that it was the same.
            client: format!("accord-{}", data_encoding::HEXLOWER.encode(&seed)),
            keep_alive: KEEP_ALIVE,
            user: self.added.user.clone(),
            password: self.added.password.clone(),
            will: None,
        };
        self.house.begin_anew(now);
        let session = Session::new(&connect, now);
        let mut talk = Talk { session, pending: BTreeMap::new(), next: 1, next_ask: now, next_save: None, over: None };
        for order in orders.take_waiting() {
            self.hear(order, orders, &mut talk).await;
        }
        let end = self.converse(&mut talk, &mut line, orders).await;
        let error = match &end {
            End::Denied(why) => CallError::NotConsented(why.clone()),
            _ => CallError::Unreachable("the connection with the broker ended".to_owned()),
        };
        for (_, pending) in talk.pending {
            self.reply(pending.call, Err(error.clone())).await;
        }
        if matches!(end, End::Gone) {
            talk.session.handle(Input::Close, Instant::now());
            while let Output::Send(bytes, _) = talk.session.poll_output() {
                line.write(&bytes);
            }
        }
        if !matches!(end, End::Denied(_)) {
            let _ = tokio::time::timeout(FAREWELL, line.close()).await;
        }
        end
    }

    async fn converse(&mut self, talk: &mut Talk, line: &mut Line, orders: &mut Orders<Order>) -> End {
        let (cancelled, stop) = (line.cancelled(), orders.stop());
        loop {
            let wake = self.pump(talk, line).await;
            if let Some(end) = talk.over.take() {
                return end;
            }
            if let Err(error) = line.flush().await {
                return End::unsent(error);
            }
            if self.up && !orders.waiting().is_empty() {
                for order in orders.take_waiting() {
                    self.order(order, talk).await;
                }
                continue;
            }
            let wake = self.tries.until().map_or(wake, |until| until.min(wake));
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::withdrawn(),
                () = stop.cancelled() => return End::Gone,
                order = orders.next() => match order {
                    None => return End::Gone,
                    Some(order) => self.hear(order, orders, talk).await,
                },
                read = line.read() => match read {
                    Ok(Some(plain)) => {
                        talk.session.handle(Input::Bytes(&plain), Instant::now());
                        if self.up {
                            self.answer_asked(None).await;
                        }
                    }
                    Ok(None) => return End::lost("it hung up"),
                    Err(why) => return End::lost(why),
                },
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if self.tries.until().is_some_and(|until| until <= now) {
                        // It takes connections, and does not answer.
                        self.answer_asked(Some(Outcome::Mute)).await;
                    }
                    talk.session.handle(Input::Timeout, now);
                    self.house.handle_timeout(now);
                }
            }
        }
    }

    /// Does all that is to be done now; when there is something to do again.
    async fn pump(&mut self, talk: &mut Talk, line: &mut Line) -> Instant {
        loop {
            let wake = loop {
                match talk.session.poll_output() {
                    Output::Send(bytes, _) => line.write(&bytes),
                    Output::Event(event) => self.event(event, talk).await,
                    Output::Wait(wake) => break wake,
                }
            };
            let mut busy = false;
            while let Some(said) = self.house.poll_said() {
                busy = true;
                self.said(said, talk).await;
            }
            let now = Instant::now();
            if self.up
                && let Some(filters) = self.house.poll_filters()
            {
                self.tell_broker().await;
                self.forget_old().await;
                talk.session.handle(Input::Filters(filters), now);
                busy = true;
            }
            if self.up
                && talk.next_ask <= now
                && self.house.is_settled()
                && let Some((topic, payload)) = self.house.poll_ask()
            {
                talk.next_ask = now + ASKS_EVERY;
                let number = talk.number();
                talk.session.handle(Input::Publish(number, Publish { topic, payload, ..Publish::default() }), now);
                busy = true;
            }
            let late: Vec<u64> = talk
                .pending
                .iter()
                .filter(|(_, one)| one.until.is_some_and(|until| until <= now))
                .map(|(number, _)| *number)
                .collect();
            for number in late {
                // zigbee2mqtt took it, and the device says nothing: the house knows that it is not confirmed.
                if let Some(pending) = talk.pending.remove(&number) {
                    self.reply(pending.call, Ok(Outputs::new())).await;
                }
            }
            if talk.next_save.is_some_and(|at| at <= now) {
                talk.next_save = None;
                self.save();
            } else if talk.next_save.is_none() && self.house.has_news() {
                talk.next_save = Some(now + SAVES_AFTER);
            }
            if !busy {
                let shows = talk.pending.values().filter_map(|one| one.until);
                let ask = Some(talk.next_ask).filter(|at| *at > now);
                let times = shows.chain(self.house.poll_timeout()).chain(ask).chain(talk.next_save);
                return times.fold(wake, Instant::min);
            }
        }
    }

    async fn event(&mut self, event: Event, talk: &mut Talk) {
        match event {
            Event::Up => {
                self.up = true;
                self.added.seen = Some(Timestamp::now());
                let _ = self.heard.send(Heard::Seen(self.id.clone())).await;
                self.tell_broker().await;
                let known: Vec<(String, DeviceId)> =
                    self.house.things().map(|(key, _)| (key.clone(), thing_id(&self.id, key))).collect();
                for (key, id) in known {
                    let reach = if self.house.is_here(&key) { Reach::Local } else { Reach::Offline };
                    self.tell(FromBridge::Reach { device: id, reach }).await;
                }
            }
            Event::Message(message) => {
                self.house.message(&message.topic, &message.payload, message.retain, Instant::now());
            }
            Event::Published(number, outcome) => self.published(number, outcome, talk).await,
            Event::Denied(filter) => {
                let filter = accord_model::text::for_screen(&filter, 100);
                tracing::warn!(broker = %self.id, "the broker does not let this user listen to {filter}");
            }
            Event::Skipped(length) => {
                tracing::warn!(broker = %self.id, length, "a message was too long and is left out")
            }
            Event::Refused(refusal) => {
                talk.over = Some(self.turned_away(|at, why| Fact::TurnedAway { at, why }, refusal.to_string()));
            }
            Event::Over(why) => {
                if talk.over.is_none() {
                    talk.over = Some(End::lost(why));
                }
            }
        }
    }

    async fn published(&mut self, number: u64, outcome: Result<(), String>, talk: &mut Talk) {
        let Some(pending) = talk.pending.get_mut(&number) else { return };
        match outcome {
            Ok(()) if pending.shows.is_some() => {
                pending.until.get_or_insert(Instant::now() + SHOWS_WITHIN);
                return;
            }
            _ => {}
        }
        if let Some(pending) = talk.pending.remove(&number) {
            self.reply(pending.call, outcome.map(|()| Outputs::new()).map_err(CallError::Unreachable)).await;
        }
    }

    async fn said(&mut self, said: Said, talk: &mut Talk) {
        match said {
            Said::Thing(key) => self.show(&key).await,
            Said::Gone(key) => {
                let id = thing_id(&self.id, &key);
                self.values.remove(&key);
                self.keys.remove(&id);
                if self.shown.remove(&id).is_some() {
                    self.tell(FromBridge::Gone { device: id }).await;
                }
            }
            Said::Values(key, target, said, kept) => self.take(key, target, said, kept, talk).await,
            Said::Pressed(key, target, kind) => {
                let arguments = Outputs::from([("kind".to_owned(), Data::Text(kind))]);
                let (device, event) = (thing_id(&self.id, &key), "pressed".to_owned());
                self.tell(FromBridge::Event { device, target, event, arguments }).await;
            }
            Said::Trouble(key, message) => {
                let failed: Vec<u64> =
                    talk.pending.iter().filter(|(_, one)| one.key == key).map(|(number, _)| *number).collect();
                for pending in failed.into_iter().filter_map(|number| talk.pending.remove(&number)) {
                    self.reply(pending.call, Err(CallError::Device(message.clone()))).await;
                }
            }
        }
    }

    async fn show(&mut self, key: &str) {
        let Some(thing) = self.house.thing(key) else { return };
        let here = self.up && self.house.is_here(key);
        // What it said before this start holds until it says something.
        if !self.values.contains_key(key)
            && let Some(before) = self.shown.get(&thing_id(&self.id, key))
        {
            self.values.insert(key.to_owned(), describe::values_of(before));
        }
        let device = describe::device(&self.id, &self.added, key, thing, here, self.values.get(key));
        self.keys.insert(device.id.clone(), key.to_owned());
        self.shown.insert(device.id.clone(), device.clone());
        self.tell(FromBridge::Seen { device }).await;
    }

    async fn take(&mut self, key: String, target: Target, said: BTreeMap<String, Data>, kept: bool, talk: &mut Talk) {
        let mut values = BTreeMap::new();
        let known = self.values.entry(key.clone()).or_default();
        for (id, data) in said {
            let place = Place { service: target.service.clone(), instance: target.instance, id: id.clone() };
            let value = value_after(known.get(&place), data, kept);
            known.insert(place.clone(), value.clone());
            values.insert(id, value);
            if !kept {
                for pending in
                    talk.pending.values_mut().filter(|one| one.key == key && one.shows.as_ref() == Some(&place))
                {
                    // Answered with the next look at what is due, once the values are told.
                    pending.until = Some(Instant::now());
                }
            }
        }
        let device = thing_id(&self.id, &key);
        self.tell(FromBridge::Values { device, target, values }).await;
    }

    /// What was known from before and is described no more.
    async fn forget_old(&mut self) {
        if !self.house.is_settled() {
            return;
        }
        let old: Vec<DeviceId> = self.shown.keys().filter(|id| !self.keys.contains_key(*id)).cloned().collect();
        for device in old {
            self.shown.remove(&device);
            self.tell(FromBridge::Gone { device }).await;
        }
    }

    /// What is wanted before the broker has answered waits, and may be taken back; who asks why is not kept waiting.
    async fn hear(&mut self, order: Order, orders: &mut Orders<Order>, talk: &mut Talk) {
        if self.up || matches!(order, Order::Explain(..)) {
            return self.order(order, talk).await;
        }
        if let Some(call) = orders.keep(order) {
            self.reply(call, Err(CallError::Unreachable(Self::BUSY.to_owned()))).await;
        }
    }

    async fn order(&mut self, order: Order, talk: &mut Talk) {
        let (call, device, target, verb) = match order {
            Order::Explain(call, device) => {
                self.asked.push((call, device));
                if let Some(first) = self.tries.begin(call, Instant::now())
                    && let Some(place) = self.asked.iter().position(|(call, _)| *call == first)
                {
                    let (call, device) = self.asked.remove(place);
                    self.explain(call, Some(&device), None).await;
                }
                return talk.session.handle(Input::Ask, Instant::now());
            }
            // Who wanted it was told that it is not done; that stays so.
            Order::Call { call, term, .. } if term.is_over(Instant::now()) => {
                return self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            Order::Call { call, device, target, verb, .. } => (call, device, target, verb),
        };
        let key = self.keys.get(&device).cloned();
        let thing = key.as_deref().and_then(|key| self.house.thing(key));
        let (Some(key), Some(thing)) = (key.clone(), thing) else {
            let why = "the device has not been described since the broker was connected".to_owned();
            return self.reply(call, Err(CallError::Unreachable(why))).await;
        };
        if let Verb::Read { properties } = &verb {
            let wanted = |id: &str| properties.is_empty() || properties.iter().any(|one| one == id);
            let said = thing.values.iter().filter(|(place, _)| place.target() == target && wanted(&place.id));
            let outputs = said.map(|(place, data)| (place.id.clone(), data.clone())).collect();
            return self.reply(call, Ok(outputs)).await;
        }
        if !self.house.is_here(&key) {
            let name = accord_model::text::for_screen(&thing.name, 64);
            let why = format!("{name} is away, as zigbee2mqtt or its own last will says");
            return self.reply(call, Err(CallError::Unreachable(why))).await;
        }
        let zigbee = thing.zigbee;
        match self.house.order(&key, &target, &verb, Instant::now()) {
            Err(why) => self.reply(call, Err(CallError::BadInput(why))).await,
            Ok(order) => {
                let shows = order.shows.filter(|_| zigbee);
                let number = talk.number();
                talk.pending.insert(number, Pending { call, key, shows, until: None });
                let message = Publish { topic: order.topic, payload: order.payload, retain: order.retain, id: None };
                talk.session.handle(Input::Publish(number, message), Instant::now());
            }
        }
    }
}

impl Talk {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
