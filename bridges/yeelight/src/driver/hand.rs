//! One added lamp that is here: its connection, made as soon as the owner agrees, and again when it breaks, later each time.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs};
use accord_registry::ByteStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::law::Law;
use super::line::{Line, NoLine};
use super::mind::{Heard, Saying};
use crate::core::quota::Quota;
use crate::core::session::{Event, Input, Output, Session, Wanted};
use crate::core::state::{Abilities, State};

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// After an announcement it is tried again so many times sooner, but not sooner than that. Anybody can announce.
const SOONER: u32 = 4;
const ANNOUNCED: Duration = Duration::from_secs(2);

/// Whoever wants something waits so long for its being tried again, and no less: a crowd of wishes is one attempt.
const WANTED: Duration = Duration::from_secs(2);
/// An order is begun within this time or not at all: whoever gave it is told soon after that it failed.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// Orders that wait for a connection.
const MOST_WAITING: usize = 64;

/// How long an order may still be begun.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    until: Instant,
    given_up: CancellationToken,
}

impl Term {
    pub(crate) fn new(now: Instant) -> Self {
        Self { until: now + BEGUN_WITHIN, given_up: CancellationToken::new() }
    }

    /// Whoever gave the order does not want it any more.
    pub(crate) fn give_up(&self) {
        self.given_up.cancel();
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until || self.given_up.is_cancelled()
    }
}

/// To a hand.
pub(crate) enum Order {
    Wanted(CallId, Wanted, Term),
    /// The lamp announced itself anew.
    Announced,
    /// It is said to be elsewhere.
    Doubt,
    /// The owner asks why it is not reached.
    Try(CallId),
}

/// How often in a row there was no connection with a lamp, and when that was last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failures {
    pub count: u32,
    pub last: Instant,
}

impl Failures {
    fn pause(self) -> Duration {
        AGAIN.saturating_mul(1 << self.count.saturating_sub(1).min(6)).min(AGAIN_AT_MOST)
    }

    /// How long it is not tried after this, whatever is announced.
    fn at_least(self) -> Duration {
        (self.pause() / SOONER).max(ANNOUNCED)
    }
}

/// What a hand is made of.
pub(crate) struct Hand {
    pub law: Law,
    pub device: DeviceId,
    /// Which of the hands of this lamp, one after the other.
    pub number: u64,
    pub at: SocketAddrV4,
    pub abilities: Abilities,
    pub state: State,
    pub orders: mpsc::Receiver<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub outbox: mpsc::Sender<(FromBridge, Option<ByteStream>)>,
    pub stop: CancellationToken,
    /// What came while there was no connection.
    pub waiting: Vec<Order>,
    /// Calls that the session was told of and has not answered.
    pub wanted: BTreeMap<u64, Term>,
    /// Of this hand and those before.
    pub failures: Option<Failures>,
    pub quota: Quota,
}

/// How a connection ended.
enum End {
    /// The mind let go of the lamp.
    Gone,
    Denied(String),
    Lost(String, Outcome),
}

impl From<NoLine> for End {
    fn from(no: NoLine) -> Self {
        match no {
            NoLine::Denied(why) => Self::Denied(why),
            NoLine::Failed(why, outcome) => Self::Lost(why, outcome),
        }
    }
}

impl Hand {
    /// Until the mind lets go of it. The quota is for the next hand.
    pub(crate) async fn run(mut self) {
        self.live().await;
        self.orders.close();
        let away = CallError::Unreachable("the lamp is away".to_owned());
        self.refuse_wanted(&away).await;
        self.refuse_waiting(&away, Outcome::Silent).await;
        self.say(Saying::Spent(self.quota.clone())).await;
    }

    async fn live(&mut self) {
        let stop = self.stop.clone();
        if let Some(failures) = self.failures {
            let pause = failures.at_least().saturating_sub(failures.last.elapsed());
            if !stop.run_until_cancelled(self.rest(pause, pause)).await.unwrap_or_default() {
                return;
            }
        }
        loop {
            if !stop.run_until_cancelled(self.allowed()).await.unwrap_or_default() {
                return;
            }
            let mut since = None;
            let line = stop.run_until_cancelled(Line::open(&self.law, &self.device, self.at)).await;
            let end = match line {
                None => return,
                Some(Ok(line)) => {
                    since = Some(Instant::now());
                    self.drive(line).await
                }
                Some(Err(no)) => no.into(),
            };
            match end {
                End::Gone => return,
                End::Denied(why) => {
                    self.refuse_waiting(&CallError::NotConsented(why), Outcome::Silent).await;
                    self.say(Saying::Quiet).await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    if stop.run_until_cancelled(tokio::time::sleep(DENIED)).await.is_none() {
                        return;
                    }
                }
                End::Lost(why, outcome) => {
                    // How long an attempt took that came to nothing says nothing.
                    let steady = since.is_some_and(|since: Instant| since.elapsed() > STEADY);
                    let before = self.failures.filter(|_| !steady).map_or(0, |failures| failures.count);
                    let failures = Failures { count: before.saturating_add(1), last: Instant::now() };
                    self.failures = Some(failures);
                    tracing::debug!(device = %self.device, "no connection: {why}");
                    self.refuse_waiting(&CallError::Unreachable(why.clone()), outcome.clone()).await;
                    self.say(Saying::Down(why, outcome, failures)).await;
                    let rest = self.rest(failures.pause(), failures.at_least());
                    if !stop.run_until_cancelled(rest).await.unwrap_or_default() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.law.controls(&self.device);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.recv() => {
                    let Some(order) = order else { return false };
                    let refusal = self.law.may_control(&self.device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.waiting.push(order);
                    let outcome = Outcome::Failed("you have not agreed that it is spoken to".to_owned());
                    self.refuse_waiting(&CallError::NotConsented(why), outcome).await;
                }
            }
        }
    }

    /// Rests before it is tried again; only for `at_least` once it is announced, and for [`WANTED`] when somebody wants something.
    /// `false`: it is over.
    async fn rest(&mut self, pause: Duration, at_least: Duration) -> bool {
        let began = tokio::time::Instant::now();
        let mut until = began + pause;
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    None => return false,
                    Some(Order::Doubt) => {}
                    Some(Order::Announced) => until = until.min(began + at_least),
                    Some(order) => {
                        until = until.min(began + WANTED);
                        self.wait(order).await;
                    }
                },
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    async fn wait(&mut self, order: Order) {
        match order {
            Order::Wanted(call, ..) if self.waiting.len() >= MOST_WAITING => {
                let why = "the lamp has not done yet what was wanted before".to_owned();
                self.reply(call, Err(CallError::Unreachable(why))).await;
            }
            order => self.waiting.push(order),
        }
    }

    /// Everything that was ordered until now has the same answer: it is not tried anew for each.
    async fn refuse_waiting(&mut self, error: &CallError, outcome: Outcome) {
        while let Ok(order) = self.orders.try_recv() {
            self.waiting.push(order);
        }
        for order in std::mem::take(&mut self.waiting) {
            match order {
                Order::Wanted(call, ..) => self.reply(call, Err(error.clone())).await,
                Order::Try(call) => self.tried(call, outcome.clone()).await,
                Order::Announced | Order::Doubt => {}
            }
        }
    }

    async fn refuse_wanted(&mut self, error: &CallError) {
        for call in std::mem::take(&mut self.wanted).into_keys() {
            self.reply(CallId(call), Err(error.clone())).await;
        }
    }

    async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        let _ = self.outbox.send((FromBridge::Reply { call, outcome }, None)).await;
        let _ = self.heard.send(Heard::Refused { call }).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = Fact::Tried { address: self.at.into(), outcome };
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    /// `false`: nobody hears it.
    async fn say(&self, saying: Saying) -> bool {
        let (device, hand) = (self.device.clone(), self.number);
        self.heard.send(Heard::Said { device, hand, saying }).await.is_ok()
    }

    // -- while it is connected ----------------------------------------------------------------------

    async fn drive(&mut self, mut line: Line) -> End {
        let (abilities, state) = (self.abilities.clone(), self.state.clone());
        let mut session = Session::new(abilities, state, self.quota.clone(), Instant::now());
        for order in std::mem::take(&mut self.waiting) {
            self.order(order, &mut session).await;
        }
        let end = self.talk(&mut session, &mut line).await;
        self.quota = session.quota().clone();
        match &end {
            End::Gone => {}
            End::Denied(why) => self.refuse_wanted(&CallError::NotConsented(why.clone())).await,
            End::Lost(why, _) => self.refuse_wanted(&CallError::Unreachable(why.clone())).await,
        }
        line.close();
        end
    }

    async fn talk(&mut self, session: &mut Session, line: &mut Line) -> End {
        let (cancelled, stop) = (line.cancelled(), self.stop.clone());
        loop {
            let wake = match self.pump(session, line).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let until = self.wanted.values().map(|term| term.until).filter(|until| *until > Instant::now());
            let wake = until.fold(wake, Instant::min);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::Denied("you withdrew your consent".to_owned()),
                () = stop.cancelled() => return End::Gone,
                order = self.orders.recv() => match order {
                    None => return End::Gone,
                    Some(order) => self.order(order, session).await,
                },
                read = line.read() => match read {
                    Ok([]) => return lost("the lamp hung up".to_owned()),
                    Ok(bytes) => {
                        give_up(&self.wanted, session);
                        session.handle(Input::Bytes(bytes), Instant::now());
                    }
                    Err(error) => return lost(error.to_string()),
                },
                () = tokio::time::sleep_until(wake.into()) => {
                    give_up(&self.wanted, session);
                    session.handle(Input::Timeout, Instant::now());
                }
            }
        }
    }

    async fn order(&mut self, order: Order, session: &mut Session) {
        match order {
            Order::Announced => {}
            Order::Doubt => session.handle(Input::Doubt, Instant::now()),
            Order::Try(call) => self.tried(call, Outcome::Answered).await,
            Order::Wanted(call, _, term) if term.is_over(Instant::now()) => {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            Order::Wanted(call, what, term) => {
                give_up(&self.wanted, session);
                self.wanted.insert(call.0, term);
                session.handle(Input::Wanted(call.0, what), Instant::now());
            }
        }
    }

    /// Does what the machine wants, until it waits.
    async fn pump(&mut self, session: &mut Session, line: &mut Line) -> Result<Instant, End> {
        loop {
            match session.poll_output() {
                Output::Send(bytes) => line.send(bytes).await?,
                Output::Event(Event::Over(why)) => return Err(lost(why)),
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    // What nobody hears stays among what is wanted, and is answered from here.
                    if self.say(Saying::Event(event)).await {
                        done.map(|call| self.wanted.remove(&call));
                    }
                }
                Output::Wait(wake) => return Ok(wake),
            }
        }
    }
}

/// Before anything else is begun: what nobody waits for any more is not.
fn give_up(wanted: &BTreeMap<u64, Term>, session: &mut Session) {
    let now = Instant::now();
    for (call, _) in wanted.iter().filter(|(_, term)| term.is_over(now)) {
        session.handle(Input::GivenUp(*call), now);
    }
}

fn lost(why: String) -> End {
    End::Lost(why, Outcome::Mute)
}
