//! One added renderer that is here: carries its machine's questions to it, one after the other, under a permit for it, and
//! what it tells to the machine.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use accord_consent::outlet::OneNear;
use accord_consent::outlet::interfaces::Network;
use accord_model::{CallError, CallId, DeviceId, FieldSet};
use accord_ports::Outbox;
use accord_ports::hand::Orders;
use tokio::sync::mpsc;

use super::ear::{self, Ear};
use super::exchange::{NoAnswer, exchange, failed};
use super::law::{self, Law};
use super::session::Heard;
use crate::core::description::Renderer as Described;
use crate::core::gena::{self, Teller};
use crate::core::http::{self, Answer};
use crate::core::renderer::{Ask, Event, Input, Output, Renderer, Wanted};

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long an answer may take; loading an address takes some amplifiers seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const LOADS_WITHIN: Duration = Duration::from_secs(10);
/// How long after the last word a permit is given back.
const REST: Duration = Duration::from_secs(30);
/// How long it may take to say that it is to tell no more.
const FAREWELL: Duration = Duration::from_secs(1);

/// To a hand.
pub(crate) enum Order {
    Wanted(CallId, Wanted),
    /// The renderer announced itself.
    Heard,
}

/// What a hand is made of.
pub(crate) struct Hand {
    pub law: Law,
    pub network: Network,
    pub device: DeviceId,
    /// Which of the hands of this device, one after the other.
    pub number: u64,
    pub described: Described,
    pub orders: Orders<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub outbox: Outbox,
    /// What is wanted and not done.
    pub wanted: BTreeSet<u64>,
}

/// The permit that is open, and for what.
struct Line {
    one: OneNear,
    fields: FieldSet,
    used: Instant,
}

/// The ways to the renderer, and from it.
struct Ways {
    line: Option<Line>,
    ear: Option<Ear>,
    hears: mpsc::Sender<ear::Heard>,
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self) {
        let stop = self.orders.stop();
        let (hears, mut heard) = mpsc::channel(ear::QUEUE);
        let mut ways = Ways { line: None, ear: None, hears };
        let mut machine = Renderer::new(self.described.clone(), Instant::now());
        let ran = stop.run_until_cancelled(async {
            loop {
                if !self.allowed().await || !self.drive(&mut machine, &mut ways, &mut heard).await {
                    return;
                }
                // What denied it may still do so, as a ledger that cannot be written does.
                (ways.line, ways.ear) = (None, None);
                tokio::time::sleep(DENIED).await;
                machine = Renderer::new(self.described.clone(), Instant::now());
            }
        });
        ran.await.unwrap_or_default();
        self.farewell(&machine, &mut ways).await;
        let away = CallError::Unreachable("the device is away".to_owned());
        for call in std::mem::take(&mut self.wanted) {
            self.reply(CallId(call), away.clone()).await;
        }
        for order in self.orders.close() {
            self.refuse(order, &away).await;
        }
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.law.controls(&self.device);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    let refusal = self.law.may_control(&self.device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.refuse(order, &CallError::NotConsented(why)).await;
                }
            }
        }
    }

    async fn refuse(&self, order: Order, error: &CallError) {
        if let Order::Wanted(call, _) = order {
            self.reply(call, error.clone()).await;
        }
    }

    async fn reply(&self, call: CallId, error: CallError) {
        self.outbox.reply(call, Err(error)).await;
        let _ = self.heard.try_send(Heard::Refused { call });
    }

    /// Lets the machine run while the consent lasts. `false`: it is over.
    async fn drive(&mut self, machine: &mut Renderer, ways: &mut Ways, hears: &mut mpsc::Receiver<ear::Heard>) -> bool {
        machine.handle(Input::Timeout, Instant::now());
        loop {
            let wake = match machine.poll_output() {
                Output::Ask(ask) => {
                    match self.ask_and_hear(ask, machine, ways, hears).await {
                        Ok(answer) => machine.handle(Input::Answered(Ok(answer)), Instant::now()),
                        Err(NoAnswer::Denied(why)) => {
                            for call in std::mem::take(&mut self.wanted) {
                                self.reply(CallId(call), CallError::NotConsented(why.clone())).await;
                            }
                            return true;
                        }
                        Err(why) => machine.handle(Input::Answered(Err(why.to_string())), Instant::now()),
                    }
                    continue;
                }
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    let (device, hand) = (self.device.clone(), self.number);
                    if self.heard.send(Heard::Said { device, hand, event }).await.is_err() {
                        return false;
                    }
                    done.map(|call| self.wanted.remove(&call));
                    continue;
                }
                Output::Wait(wake) => wake,
            };
            let rests = ways.line.as_ref().map(|line| line.used + REST);
            if machine.is_idle() && rests.is_some_and(|until| until <= Instant::now()) {
                ways.line = None;
                continue;
            }
            tokio::select! {
                biased;
                order = self.orders.next() => {
                    let input = match order {
                        None => return false,
                        Some(Order::Heard) => Input::Heard,
                        Some(Order::Wanted(call, what)) => {
                            self.wanted.insert(call.0);
                            Input::Wanted(call.0, what)
                        }
                    };
                    machine.handle(input, Instant::now());
                }
                Some(heard) = hears.recv() => {
                    if !hear(machine, heard) {
                        ways.ear = None;
                    }
                }
                () = until([wake, rests].into_iter().flatten().min()) => machine.handle(Input::Timeout, Instant::now()),
            }
        }
    }

    /// Asks, and hears meanwhile: a renderer may tell before it answers.
    async fn ask_and_hear(
        &self,
        ask: Ask,
        machine: &mut Renderer,
        ways: &mut Ways,
        hears: &mut mpsc::Receiver<ear::Heard>,
    ) -> Result<Answer, NoAnswer> {
        let mut deaf = false;
        let answer = {
            let mut asking = std::pin::pin!(self.ask(ask, ways, !self.wanted.is_empty()));
            loop {
                tokio::select! {
                    biased;
                    answer = &mut asking => break answer,
                    Some(heard) = hears.recv() => deaf |= !hear(machine, heard),
                }
            }
        };
        if deaf {
            ways.ear = None;
        }
        answer
    }

    async fn ask(&self, ask: Ask, ways: &mut Ways, commanded: bool) -> Result<Answer, NoAnswer> {
        let (place, request, fields, within) = match ask {
            Ask::Describe(place) => (place.clone(), http::get(&place), law::standing(), ANSWERS_WITHIN),
            Ask::Call { place, kind, action, body, names_media } => {
                let request = http::post(&place, &kind, action, &body);
                let fields = if names_media { law::media() } else { law::standing() };
                (place, request, fields, if names_media { LOADS_WITHIN } else { ANSWERS_WITHIN })
            }
            Ask::Subscribe { place, teller } => match self.callback(ways, *place.at.ip(), teller).await {
                Ok(callback) => (place.clone(), gena::subscribe(&place, &callback), law::standing(), ANSWERS_WITHIN),
                Err(why) => {
                    // It is looked at all the same.
                    tracing::debug!("events of a renderer are not heard: {why}");
                    return Ok(Answer { status: 503, ..Answer::default() });
                }
            },
            Ask::Renew { place, sid } => (place.clone(), gena::renew(&place, &sid), law::standing(), ANSWERS_WITHIN),
        };
        let one = self.open(&mut ways.line, fields, *place.at.ip(), commanded).await?;
        exchange(one.dial(place.at.port()), fields, request, within).await
    }

    /// Where it is to tell; one listens there from then on.
    async fn callback(&self, ways: &mut Ways, address: Ipv4Addr, teller: Teller) -> Result<String, NoAnswer> {
        if ways.ear.is_none() {
            let permit = self.law.control(&self.device);
            let permit = permit.map_err(|refusal| NoAnswer::Denied(refusal.to_string()))?;
            ways.ear = Some(Ear::open(permit, address, self.network, ways.hears.clone()).await?);
        }
        ways.ear.as_ref().map(|ear| ear.callback(teller)).ok_or_else(|| NoAnswer::Mute("nobody listens".to_owned()))
    }

    /// It is to tell no more, if it may still be told so.
    async fn farewell(&self, machine: &Renderer, ways: &mut Ways) {
        ways.ear = None;
        let _ = tokio::time::timeout(FAREWELL, async {
            for (place, sid) in machine.subscriptions() {
                let one = self.open(&mut ways.line, law::standing(), *place.at.ip(), false).await?;
                exchange(one.dial(place.at.port()), law::standing(), gena::unsubscribe(&place, &sid), FAREWELL).await?;
            }
            Ok::<(), NoAnswer>(())
        })
        .await;
    }

    /// The permit, for at least these fields.
    async fn open(
        &self,
        line: &mut Option<Line>,
        fields: FieldSet,
        address: Ipv4Addr,
        commanded: bool,
    ) -> Result<OneNear, NoAnswer> {
        if let Some(open) = line.as_mut().filter(|line| fields.is_subset(line.fields) && !is_over(line)) {
            open.used = Instant::now();
            return Ok(open.one.clone());
        }
        *line = None;
        let scenario = if commanded { "on.control" } else { "while.connected" };
        let permit = self.law.permit(&self.device, fields, scenario);
        let permit = permit.map_err(|refusal| NoAnswer::Denied(refusal.to_string()))?;
        let one = OneNear::open(permit, address.into()).await;
        let one = one.map_err(|error| failed(error, NoAnswer::Unreachable))?;
        *line = Some(Line { one: one.clone(), fields, used: Instant::now() });
        Ok(one)
    }
}

/// `false`: nothing is heard any more.
fn hear(machine: &mut Renderer, heard: ear::Heard) -> bool {
    match heard {
        ear::Heard::Told { teller, notice, answer } => {
            let _ = answer.send(machine.notified(teller, notice, Instant::now()));
            true
        }
        ear::Heard::Over => {
            machine.handle(Input::Deaf, Instant::now());
            false
        }
    }
}

fn is_over(line: &Line) -> bool {
    line.one.cancelled().is_cancelled()
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
