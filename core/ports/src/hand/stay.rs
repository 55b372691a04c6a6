//! A hand that stays connected to its peer: its connection is made as soon as the owner agrees, and again when it breaks, later
//! each time.

use std::future::Future;
use std::time::Duration;

use accord_consent::SendError;
use accord_model::why::Outcome;
use accord_model::{CallError, CallId, DeviceId};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Asks, Order, Orders};
use crate::law::Law;

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// So many failures one after the other, which is more than an hour, and how long after them.
const MANY: u32 = 60;
const SELDOM: Duration = Duration::from_secs(300);
/// It is not tried sooner than this after a failure, whatever is announced: anybody can announce.
const AT_LEAST: Duration = Duration::from_secs(2);
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);

/// What a bridge knows of the peer of a hand, and does with it.
pub trait Peer: Send {
    /// What it is told.
    type Order: Order;
    /// A connection with it.
    type Line: Send;
    /// What whoever waits is told when the mind lets go of it.
    const AWAY: &'static str;
    /// What whoever wants something is told when too many wait already.
    const BUSY: &'static str;

    /// Under which law it is spoken to, and as which device.
    fn law(&self) -> (&Law, &DeviceId);
    /// Makes a connection, in bounded time. Dropped when the mind lets go.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Line, End>> + Send;
    /// Keeps a connection until it ends, and ends it itself when the consent or the hand does. Takes up what waited for it.
    fn talk(&mut self, line: Self::Line, orders: &mut Orders<Self::Order>) -> impl Future<Output = End> + Send;
    /// Whether what was kept last was a connection. One on which the peer never said yes says as little as an attempt.
    fn was_up(&self) -> bool {
        true
    }
    /// Answers a call that is not begun.
    fn refuse(&self, call: CallId, error: CallError) -> impl Future<Output = ()> + Send;
    /// Answers why it is not reached.
    fn tried(&self, call: CallId, outcome: Outcome) -> impl Future<Output = ()> + Send;
    /// Tells the mind how it stands with the peer.
    fn say(&mut self, state: State) -> impl Future<Output = ()> + Send;
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLine {
    /// The consent ended, or does not cover it.
    Denied(String),
    /// The peer does not take one, or does not speak as it should.
    Failed(String, Outcome),
}

impl From<SendError> for NoLine {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Io(_) | SendError::Outlet(_) => {
                let outcome = error.outcome();
                Self::Failed(error.to_string(), outcome)
            }
            error => Self::Denied(error.to_string()),
        }
    }
}

/// How a connection ended, or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The mind let go of it.
    Gone,
    /// The consent ended, or does not cover it.
    Denied(String),
    /// It broke: why, and what came of it.
    Lost(String, Outcome),
    /// The peer turned us away and may take us again one day: from now on it is tried seldom.
    Barred(String),
    /// The peer does not take us, and will not before the owner does something: nothing is tried any more.
    Refused(String),
}

impl End {
    /// You withdrew.
    pub fn withdrawn() -> Self {
        Self::Denied("you withdrew your consent".to_owned())
    }

    /// A connection that was made broke.
    pub fn lost(why: impl Into<String>) -> Self {
        Self::Lost(why.into(), Outcome::Mute)
    }

    /// What a connection was to carry did not leave.
    pub fn unsent(error: SendError) -> Self {
        match error {
            SendError::Io(error) => Self::lost(error.to_string()),
            SendError::Outlet(error) => Self::lost(error.to_string()),
            denied => Self::Denied(denied.to_string()),
        }
    }
}

impl From<NoLine> for End {
    fn from(no: NoLine) -> Self {
        match no {
            NoLine::Denied(why) => Self::Denied(why),
            NoLine::Failed(why, outcome) => Self::Lost(why, outcome),
        }
    }
}

/// How it stands with a peer that is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It may not be spoken to now.
    Quiet,
    /// There is no connection: why, what came of it, and how often before.
    Down(String, Outcome, Failures),
    /// It does not take us.
    Refused(String),
}

/// How often in a row there was no connection with a peer, and when that was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    /// There is none once more, now.
    pub fn again(before: Option<Self>) -> Self {
        Self { count: before.map_or(0, |before| before.count).saturating_add(1), last: Instant::now() }
    }

    /// What is left of them once a connection has lasted so long: a good one begins anew.
    pub fn after(before: Option<Self>, lasted: Duration) -> Option<Self> {
        before.filter(|_| lasted <= STEADY)
    }

    /// It is the first time.
    pub fn is_first(self) -> bool {
        self.count == 1
    }
}

/// How soon it is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// What is left of a pause once the peer announced itself: one part of so many, but two seconds at least.
    pub announced: u32,
    /// So long after a failure it is tried for whoever wants something.
    pub wanted: Duration,
    /// After more than an hour it is tried every five minutes: the peer may be away for days.
    pub patient: bool,
    /// What is wanted during a pause waits for the next attempt. Otherwise it is refused at once, and only the next one done.
    pub waits: bool,
    /// For so many failures in a row counts that it turned us away.
    pub barred: u32,
}

impl Pace {
    /// Of a peer that may be away for days.
    pub const USUAL: Self =
        Self { announced: u32::MAX, wanted: Duration::from_secs(2), patient: true, waits: true, barred: MANY };

    /// How long nothing is tried.
    pub fn pause(self, failures: Failures) -> Duration {
        match failures.count {
            MANY.. if self.patient => SELDOM,
            count => AGAIN.saturating_mul(1 << count.saturating_sub(1).min(6)).min(AGAIN_AT_MOST),
        }
    }

    /// The same, whatever is announced.
    fn at_least(self, failures: Failures) -> Duration {
        (self.pause(failures) / self.announced.max(1)).max(AT_LEAST)
    }
}

/// Stays connected to a peer until the mind lets go of it; then everybody who waits is answered. `failures`: of the hands before.
pub async fn stay<P: Peer>(peer: &mut P, orders: Orders<P::Order>, pace: Pace, failures: Option<Failures>) {
    let stop = orders.stop();
    let mut staying = Staying { peer, orders, stop, pace, failures };
    staying.live().await;
    let left = staying.orders.close();
    staying.answer(left, &CallError::Unreachable(P::AWAY.to_owned()), &Outcome::Silent).await;
}

struct Staying<'a, P: Peer> {
    peer: &'a mut P,
    orders: Orders<P::Order>,
    stop: CancellationToken,
    pace: Pace,
    failures: Option<Failures>,
}

impl<P: Peer> Staying<'_, P> {
    async fn live(&mut self) {
        let stop = self.stop.clone();
        if let Some(failures) = self.failures {
            let pause = self.pace.at_least(failures).saturating_sub(failures.last.elapsed());
            if !self.rest(P::AWAY, pause, pause).await {
                return;
            }
        }
        while self.allowed().await {
            let (since, end) = match stop.run_until_cancelled(self.peer.connect()).await {
                None => return,
                Some(Ok(line)) => (Some(Instant::now()), self.peer.talk(line, &mut self.orders).await),
                Some(Err(end)) => (None, end),
            };
            // How long an attempt took that came to nothing says nothing.
            let lasted = since.filter(|_| self.peer.was_up()).map_or(Duration::ZERO, |since| since.elapsed());
            self.failures = Failures::after(self.failures, lasted);
            let goes_on = match end {
                End::Gone => false,
                End::Denied(why) => {
                    self.answer_all(&CallError::NotConsented(why), &Outcome::Silent).await;
                    self.peer.say(State::Quiet).await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    stop.run_until_cancelled(sleep(DENIED)).await.is_some()
                }
                End::Lost(why, outcome) => self.lost(why, outcome, 1).await,
                End::Barred(why) => self.lost(why.clone(), Outcome::Failed(why), self.pace.barred).await,
                End::Refused(why) => self.refused(why).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let (law, device) = self.peer.law();
        let mut watch = law.controls(device);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                () = watch.allowed() => return true,
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    self.orders.push(order);
                    let (law, device) = self.peer.law();
                    let refusal = law.may_control(device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    let outcome = Outcome::Failed("you have not agreed that it is spoken to".to_owned());
                    self.answer_all(&CallError::NotConsented(why), &outcome).await;
                }
            }
        }
    }

    /// There is no connection, and was none as many times as `at_least`. `false`: it is over.
    async fn lost(&mut self, why: String, outcome: Outcome, at_least: u32) -> bool {
        let mut failures = Failures::again(self.failures);
        failures.count = failures.count.max(at_least);
        self.failures = Some(failures);
        tracing::debug!(device = %self.peer.law().1, "no connection: {why}");
        self.answer_all(&CallError::Unreachable(why.clone()), &outcome).await;
        self.peer.say(State::Down(why.clone(), outcome, failures)).await;
        self.rest(&why, self.pace.pause(failures), self.pace.at_least(failures)).await
    }

    /// Rests before it is tried again; only for `at_least` once it is announced, and not for long when somebody wants something.
    /// `false`: it is over.
    async fn rest(&mut self, why: &str, pause: Duration, at_least: Duration) -> bool {
        let began = Instant::now();
        let mut until = began + pause;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    match order.asks() {
                        Asks::Nothing => {}
                        Asks::Announced => until = until.min(began + at_least),
                        Asks::Call(_) | Asks::Why(_) => until = until.min(began + self.pace.wanted),
                    }
                    if let (Asks::Call(call), false) = (order.asks(), self.pace.waits) {
                        self.peer.refuse(call, CallError::Unreachable(why.to_owned())).await;
                    } else if let Some(call) = self.orders.keep(order) {
                        self.peer.refuse(call, CallError::Unreachable(P::BUSY.to_owned())).await;
                    }
                }
                () = sleep_until(until) => return true,
            }
        }
    }

    /// The peer does not take us. `false`, once the mind lets go.
    async fn refused(&mut self, why: String) -> bool {
        self.peer.say(State::Refused(why.clone())).await;
        let (error, outcome) = (CallError::Refused(why.clone()), Outcome::Failed(why));
        loop {
            self.answer_all(&error, &outcome).await;
            match self.stop.run_until_cancelled(self.orders.next()).await.flatten() {
                Some(order) => self.orders.push(order),
                None => return false,
            }
        }
    }

    /// Everything that was ordered until now has the same answer: it is not tried anew for each.
    async fn answer_all(&mut self, error: &CallError, outcome: &Outcome) {
        let all = self.orders.everything();
        self.answer(all, error, outcome).await;
    }

    async fn answer(&self, orders: Vec<P::Order>, error: &CallError, outcome: &Outcome) {
        for order in orders {
            match order.asks() {
                Asks::Call(call) => self.peer.refuse(call, error.clone()).await,
                Asks::Why(call) => self.peer.tried(call, outcome.clone()).await,
                Asks::Announced | Asks::Nothing => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "stay_tests.rs"]
mod tests;
