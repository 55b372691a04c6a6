//! A session that is held: what the device tells goes to the house, and what the house wants to the device.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_model::why::Outcome;
use accord_model::{CallError, CallId, Data, FromBridge, Outputs, Timestamp};
use accord_ports::hand::{BEGUN_WITHIN, Term};
use matter_commissioning::driver::AsyncDatagram;
use matter_interaction::{AttributePath, CommandPath, EventReport};

use super::hand::{Hand, Order, busy};
use super::line::Line;
use super::mind::Saying;
use super::share;
use super::way::End;
use crate::core::command::{Command, What};
use crate::core::dialog::{Dialog, Event, Trouble, Word};
use crate::core::node::{Node, Order as Wanted, Path, Told};
use crate::core::value::Value;

/// A device that shall forget us has so long to do it.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
/// One that the owner removed while it was away has longer: nobody waits for it, and it may sleep.
const FREED_WITHIN: Duration = Duration::from_secs(150);
/// Whoever asks why it is not reached is answered in so long, also when it sleeps and may still answer.
const TRY_WITHIN: Duration = Duration::from_secs(5);
/// The cluster in which it keeps fabrics (11.18), its attribute with the number of ours there, and the command that forgets one.
const CREDENTIALS: u32 = 0x3e;
const CURRENT_FABRIC: u32 = 5;
const REMOVE_FABRIC: u32 = 0x0a;

/// What is known of a session.
struct Held {
    /// All that it has is known.
    ready: bool,
    /// Our number among its fabrics.
    fabric: Option<u64>,
    /// It is to forget us: who waits for that, if anybody does, and how long.
    leaving: Option<(Option<CallId>, Instant)>,
    /// It did, or will not do it.
    freed: bool,
    /// Who asked why it is not reached, and until when that is to be answered.
    tries: Vec<(CallId, Instant)>,
}

/// What was said and is not answered, by the tag of the dialog.
#[derive(Default)]
struct Said {
    next: u64,
    all: BTreeMap<u64, Pending>,
}

enum Pending {
    Call(CallId, Term),
    /// With the code that others will use.
    Share(CallId, Term, String),
    Leave,
}

impl Said {
    fn say(&mut self, dialog: &mut Dialog, word: Word, pending: Pending) {
        let now = Instant::now();
        let begun_by = pending.term().map_or(now + LEAVE_WITHIN, Term::until);
        self.next += 1;
        self.all.insert(self.next, pending);
        dialog.say(self.next, word, begun_by, now);
    }

    /// What nobody wants any more is not said, nor repeated: looked at before anything makes the dialog go on.
    fn give_up(&self, dialog: &mut Dialog, now: Instant) {
        let given_up = |pending: &Pending| pending.term().is_some_and(Term::is_given_up);
        for (tag, _) in self.all.iter().filter(|(_, pending)| given_up(pending)) {
            dialog.give_up(*tag, now);
        }
    }
}

impl Pending {
    fn term(&self) -> Option<&Term> {
        match self {
            Self::Call(_, term) | Self::Share(_, term, _) => Some(term),
            Self::Leave => None,
        }
    }
}

impl Hand {
    pub(super) async fn hold(&mut self, line: &Line, mut dialog: Dialog, house: &mut Node) -> End {
        let mut said = Said::default();
        dialog.subscribe(Instant::now());
        house.begin();
        let leave = self
            .orders
            .waiting()
            .iter()
            .find_map(|order| if let Order::Leave(call) = order { Some(*call) } else { None });
        let freed_by = self.leaving.then(|| (None, Instant::now() + FREED_WITHIN));
        let leaving = leave.map(|call| (Some(call), Instant::now() + LEAVE_WITHIN)).or(freed_by);
        let mut held = Held { ready: false, fabric: None, leaving, freed: false, tries: Vec::new() };
        let end = loop {
            if let Some(end) = self.turn(line, &mut dialog, house, &mut said, &mut held).await {
                break end;
            }
        };
        let error = match &end {
            End::Denied(why) => CallError::NotConsented(why.clone()),
            End::Lost(why, _) => CallError::Unreachable(why.clone()),
            _ => CallError::Unreachable("the device is not asked any more".to_owned()),
        };
        for pending in std::mem::take(&mut said.all).into_values() {
            match pending {
                Pending::Call(call, ..) | Pending::Share(call, ..) => self.reply(call, Err(error.clone())).await,
                Pending::Leave => {}
            }
        }
        self.drop_tries(&mut held, |_| true).await;
        if let Some((call, _)) = held.leaving {
            self.say(Saying::Left(call, held.freed)).await;
        }
        dialog.close();
        while let Some(bytes) = dialog.transmit() {
            let _ = line.send_to(&bytes, line.at()).await;
        }
        end
    }

    /// Does what the machine wants, and waits for the next thing.
    async fn turn(
        &mut self,
        line: &Line,
        dialog: &mut Dialog,
        house: &mut Node,
        said: &mut Said,
        held: &mut Held,
    ) -> Option<End> {
        if held.ready {
            for order in self.orders.take_waiting() {
                self.order(order, dialog, house, said, held).await;
            }
        }
        loop {
            while let Some(bytes) = dialog.transmit() {
                if let Err(error) = line.send_to(&bytes, line.at()).await {
                    return Some(End::Denied(error.to_string()));
                }
            }
            let Some(event) = dialog.event() else { break };
            if let Some(end) = self.event(event, line, dialog, house, said, held).await {
                return Some(end);
            }
        }
        let late = self.orders.waiting().iter().filter_map(Order::until).min();
        let leaving = held.leaving.as_ref().map(|(_, until)| *until);
        let tries = held.tries.iter().map(|(_, until)| *until).min();
        let wake = [dialog.wake(), late, leaving, tries].into_iter().flatten().min();
        let stop = self.orders.stop();
        tokio::select! {
            biased;
            () = stop.cancelled() => Some(End::Gone),
            order = self.orders.next() => match order {
                None => Some(End::Gone),
                Some(order) => {
                    self.order(order, dialog, house, said, held).await;
                    None
                }
            },
            received = line.recv_from() => match received {
                Ok((bytes, _)) => {
                    let now = Instant::now();
                    said.give_up(dialog, now);
                    dialog.datagram(&bytes, now);
                    None
                }
                Err(error) => Some(End::Denied(error.to_string())),
            },
            Ok(()) = self.way.sky.changed() => {
                self.looked(line.at(), dialog);
                None
            }
            () = until(wake) => {
                let now = Instant::now();
                said.give_up(dialog, now);
                dialog.timeout(now);
                self.drop_late(now).await;
                self.drop_tries(held, |until| until <= now).await;
                let is_late = leaving.is_some_and(|until| until <= now);
                is_late.then(|| match held.leaving {
                    Some((None, _)) => End::Lost("it did not give up its place in time".to_owned(), Outcome::Mute),
                    _ => End::Gone,
                })
            }
        }
    }

    /// What is announced changed: is it elsewhere, or did it begin anew?
    fn looked(&mut self, at: SocketAddr, dialog: &mut Dialog) {
        let open = self.way.sky.borrow().open;
        let now = self.look(at);
        if open && now != self.looked_at {
            self.looked_at = now;
            dialog.doubt(Instant::now());
        }
    }

    async fn drop_tries(&self, held: &mut Held, is_over: impl Fn(Instant) -> bool) {
        let (over, tries): (Vec<_>, Vec<_>) =
            std::mem::take(&mut held.tries).into_iter().partition(|(_, until)| is_over(*until));
        held.tries = tries;
        for (call, _) in over {
            self.tried(call, Outcome::Silent).await;
        }
    }

    async fn drop_late(&mut self, now: Instant) {
        let (late, waiting): (Vec<Order>, Vec<Order>) =
            self.orders.take_waiting().into_iter().partition(|order| order.until().is_some_and(|until| until <= now));
        waiting.into_iter().for_each(|order| self.orders.push(order));
        for order in late {
            if let Order::Call(call, ..) | Order::Share(call, _) = order {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
        }
    }

    async fn order(&mut self, order: Order, dialog: &mut Dialog, house: &mut Node, said: &mut Said, held: &mut Held) {
        match order {
            Order::Try(call) => {
                let now = Instant::now();
                held.tries.push((call, now + TRY_WITHIN));
                dialog.doubt(now);
            }
            Order::Call(call, .., term) | Order::Share(call, term) if term.is_over(Instant::now()) => {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            // Which of its fabrics is ours is known in a moment.
            Order::Leave(call) if !held.ready => {
                held.leaving = Some((Some(call), Instant::now() + LEAVE_WITHIN));
                self.orders.push(order);
            }
            order if !held.ready => self.wait(order).await,
            Order::Leave(call) => {
                held.leaving = Some((Some(call), Instant::now() + LEAVE_WITHIN));
                leave(dialog, said, held);
            }
            Order::Share(call, term) => match share::open() {
                Ok((word, code)) => said.say(dialog, word, Pending::Share(call, term, code)),
                Err(why) => self.reply(call, Err(CallError::Device(why))).await,
            },
            Order::Call(call, device, target, verb, term) => {
                match house.order(&device, &target, verb, Timestamp::now()) {
                    Ok(Wanted::Read(values)) => self.reply(call, Ok(values)).await,
                    Ok(Wanted::Send(command)) => match word(&command) {
                        Ok(word) => said.say(dialog, word, Pending::Call(call, term)),
                        Err(error) => self.reply(call, Err(error)).await,
                    },
                    Err(error) => self.reply(call, Err(error)).await,
                }
            }
        }
    }

    async fn event(
        &mut self,
        event: Event,
        line: &Line,
        dialog: &mut Dialog,
        house: &mut Node,
        said: &mut Said,
        held: &mut Held,
    ) -> Option<End> {
        match event {
            Event::Report { values, events, all } => {
                let now = Timestamp::now();
                let own = |(path, _): &&(AttributePath, matter_codec::Value)| {
                    (path.endpoint, path.cluster, path.attribute) == (0, CREDENTIALS, CURRENT_FABRIC)
                };
                if let Some((_, matter_codec::Value::Uint(index))) = values.iter().find(own) {
                    held.fabric = Some(*index);
                }
                // What is too large to be kept is not what it was, either.
                let read = values.into_iter().map(|(path, value)| {
                    let path = Path::new(path.endpoint, path.cluster, path.attribute);
                    (path, Value::of(&value).ok())
                });
                let mut told = house.report(read, now);
                if all {
                    let more = house.complete(now);
                    told.gone.extend(more.gone);
                    told.values.extend(more.values);
                    // Their reach is told anew.
                    told.seen = house.ids().cloned().collect();
                }
                if self.leaving {
                    return None;
                }
                self.told(told, house).await;
                if all {
                    self.say(Saying::Has(house.ids().cloned().collect())).await;
                }
                // What happened before we looked is over.
                for event in events.into_iter().filter(|_| !all) {
                    self.happened(event, house).await;
                }
                None
            }
            Event::Subscribed => {
                (held.ready, self.since) = (true, Some(Instant::now()));
                if self.leaving {
                    leave(dialog, said, held);
                    return None;
                }
                self.looked_at = self.look(line.at());
                self.say(Saying::Up(line.at())).await;
                for order in self.orders.take_waiting() {
                    self.order(order, dialog, house, said, held).await;
                }
                None
            }
            Event::Here => {
                for (call, _) in std::mem::take(&mut held.tries) {
                    self.tried(call, Outcome::Answered).await;
                }
                None
            }
            Event::Done(tag, outcome) => self.done(tag, outcome, said, held).await,
            Event::Over(why) => Some(End::Lost(why, Outcome::Mute)),
        }
    }

    async fn done(
        &mut self,
        tag: u64,
        outcome: Result<Vec<u8>, Trouble>,
        said: &mut Said,
        held: &mut Held,
    ) -> Option<End> {
        match (said.all.remove(&tag)?, outcome) {
            (Pending::Leave, outcome) => {
                // NOCResponse (11.18.6.10): its status.
                if matches!(outcome, Err(Trouble::Late | Trouble::Expired | Trouble::Busy)) {
                    return Some(End::Lost("it did not give up its place".to_owned(), Outcome::Mute));
                }
                // A device that will not is not asked for ever.
                held.freed = true;
                let forgot = outcome.as_ref().ok().and_then(|fields| Value::decode(fields).ok()?.field(0)?.uint());
                if forgot != Some(0) {
                    let device = &self.way.device;
                    tracing::warn!(%device, ?outcome, "a Matter device does not say that it forgot this machine: reset it");
                }
                return Some(End::Gone);
            }
            (Pending::Call(call, _), Ok(_)) => self.reply(call, Ok(Outputs::new())).await,
            (Pending::Share(call, _, code), Ok(_)) => {
                self.reply(call, Ok(Outputs::from([("code".to_owned(), Data::Text(code))]))).await;
            }
            (Pending::Call(call, ..) | Pending::Share(call, ..), Err(trouble)) => {
                self.reply(call, Err(failed(trouble))).await;
            }
        }
        None
    }

    async fn told(&self, told: Told, house: &Node) {
        let mut messages: Vec<FromBridge> = Vec::new();
        messages.extend(told.gone.into_iter().map(|device| FromBridge::Gone { device }));
        let seen = told.seen.iter().filter_map(|id| house.describe(id));
        messages.extend(seen.map(|device| FromBridge::Seen { device }));
        messages.extend(told.values);
        self.tell(messages).await;
    }

    async fn happened(&self, event: EventReport, house: &Node) {
        let EventReport::Data(event) = event else { return };
        let (Some(endpoint), Some(cluster), Some(id)) = (event.path.endpoint, event.path.cluster, event.path.event)
        else {
            return;
        };
        let Ok(data) = Value::of(&event.value) else { return };
        self.tell(house.event(endpoint, cluster, id, &data).into_iter().collect()).await;
    }
}

/// Has it forget us, if it is known which of its fabrics is ours.
fn leave(dialog: &mut Dialog, said: &mut Said, held: &mut Held) {
    let path = CommandPath { endpoint: 0, cluster: CREDENTIALS, command: REMOVE_FABRIC };
    match held.fabric.map(|index| Value::Struct(vec![(0, Value::Uint(index))]).encode()) {
        Some(Ok(fields)) => said.say(dialog, Word::Invoke { path, fields, timed: false }, Pending::Leave),
        _ => held.leaving = held.leaving.map(|(call, _)| (call, Instant::now())),
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

fn word(command: &Command) -> Result<Word, CallError> {
    let data = command.data().map_err(|error| CallError::BadInput(error.to_string()))?;
    let (endpoint, cluster, timed) = (command.endpoint, command.cluster, command.timed);
    Ok(match &command.what {
        What::Invoke { command, .. } => {
            Word::Invoke { path: CommandPath { endpoint, cluster, command: *command }, fields: data, timed }
        }
        What::Write { attribute, .. } => {
            Word::Write { path: AttributePath { endpoint, cluster, attribute: *attribute }, value: data, timed }
        }
    })
}

/// What the device's reason means for whoever asked.
fn failed(trouble: Trouble) -> CallError {
    match trouble {
        Trouble::Late => CallError::Unreachable(trouble.to_string()),
        Trouble::Expired => CallError::Deadline(BEGUN_WITHIN.as_secs()),
        Trouble::Busy => busy(),
        Trouble::Status(0x7f | 0x81 | 0x86 | 0x88 | 0x8f | 0xc3 | 0xc7) => CallError::Unsupported(trouble.to_string()),
        Trouble::Status(0x85 | 0x87 | 0x8d | 0xcf) => CallError::BadInput(trouble.to_string()),
        Trouble::Status(0x7e | 0x9d | 0xcd) => CallError::Refused(trouble.to_string()),
        trouble => CallError::Device(trouble.to_string()),
    }
}
