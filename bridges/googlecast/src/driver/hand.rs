//! One added device that is here: its connection, made as soon as the owner agrees, and again when it breaks, later each
//! time.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use accord_consent::DatagramLease;
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs};
use accord_registry::ByteStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::devices::Pin;
use super::law::{self, Law};
use super::line::{Line, NoLine};
use super::mind::{Heard, Saying};
use crate::core::session::{Event, Input, Ours, Output, Session, Sort, Wanted};

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// After an announcement, and elsewhere, it is tried again so many times sooner, but not sooner than that. Anybody can
/// announce.
const SOONER: u32 = 4;
const ANNOUNCED: Duration = Duration::from_secs(2);
/// How long it may take to end what was begun from here.
const FAREWELL: Duration = Duration::from_secs(1);
/// Why nothing is opened on a device, and what to do.
pub(crate) const OTHER: &str = "it is at another address than before and proves to hold another key, so it may be another device \
                                that takes its name: look at it, and if it is yours, remove it and add it again";

/// To a hand.
pub(crate) enum Order {
    Wanted(CallId, Wanted),
    /// The device announced itself anew.
    Announced,
    /// The owner asks why it is not reached.
    Try(CallId),
}

/// How often in a row there was no connection with a device, and when that was last.
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
    /// Which of the hands of this device, one after the other.
    pub number: u64,
    pub at: SocketAddrV4,
    pub orders: mpsc::Receiver<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub outbox: mpsc::Sender<(FromBridge, Option<ByteStream>)>,
    pub stop: CancellationToken,
    /// What came while there was no connection.
    pub waiting: Vec<Order>,
    /// Calls that the device was told of and has not come to yet.
    pub wanted: BTreeSet<u64>,
    /// What was opened from here, beyond one connection.
    pub ours: Option<Ours>,
    /// The permit for what Google learns, as long as its page runs because of us.
    pub page: Option<DatagramLease>,
    /// As what the device is known, and whether it shows something else.
    pub pin: Option<Pin>,
    pub is_other: bool,
    /// Of this hand and those before.
    pub failures: Option<Failures>,
}

/// How a connection ended.
enum End {
    /// The mind let go of the device.
    Gone,
    Denied(String),
    Lost(String, Outcome),
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self) {
        self.live().await;
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            self.waiting.push(order);
        }
        let away = CallError::Unreachable("the device is away".to_owned());
        self.refuse_wanted(&away).await;
        self.refuse_waiting(&away, Outcome::Silent).await;
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
            let began = Instant::now();
            let line = stop.run_until_cancelled(Line::open(&self.law, &self.device, self.at)).await;
            let end = match line {
                None => return,
                Some(Ok(line)) => self.drive(line).await,
                Some(Err(NoLine::Denied(why))) => End::Denied(why),
                Some(Err(NoLine::Failed(why, outcome))) => End::Lost(why, outcome),
            };
            match end {
                End::Gone => return,
                End::Denied(why) => {
                    self.refuse_waiting(&CallError::NotConsented(why), Outcome::Silent).await;
                    self.page = None;
                    self.say(Saying::Quiet).await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    if stop.run_until_cancelled(tokio::time::sleep(DENIED)).await.is_none() {
                        return;
                    }
                }
                End::Lost(why, outcome) => {
                    let before =
                        self.failures.filter(|_| began.elapsed() <= STEADY).map_or(0, |failures| failures.count);
                    let failures = Failures { count: before.saturating_add(1), last: Instant::now() };
                    self.failures = Some(failures);
                    tracing::debug!(device = %self.device, "no connection: {why}");
                    self.refuse_waiting(&CallError::Unreachable(why.clone()), outcome).await;
                    self.say(Saying::Down(why, failures)).await;
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

    /// Rests before it is tried again: until then, or it is announced after `at_least`, or somebody wants something.
    /// `false`: it is over.
    async fn rest(&mut self, pause: Duration, at_least: Duration) -> bool {
        let (began, until) = (Instant::now(), tokio::time::Instant::now() + pause);
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    None => return false,
                    Some(Order::Announced) if began.elapsed() < at_least => {}
                    Some(Order::Announced) => return true,
                    Some(order) => {
                        self.waiting.push(order);
                        return true;
                    }
                },
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    async fn refuse_waiting(&mut self, error: &CallError, outcome: Outcome) {
        for order in std::mem::take(&mut self.waiting) {
            match order {
                Order::Wanted(call, _) => self.reply(call, Err(error.clone())).await,
                Order::Try(call) => self.tried(call, outcome.clone()).await,
                Order::Announced => {}
            }
        }
    }

    async fn refuse_wanted(&mut self, error: &CallError) {
        for call in std::mem::take(&mut self.wanted) {
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
        let mut seed = [0; 4];
        let _ = getrandom::fill(&mut seed);
        let me = format!("sender-{}", u32::from_ne_bytes(seed));
        let mut session = Session::new(&me, self.ours.clone(), Instant::now());
        self.is_other = !Pin::admits(&mut self.pin, line.key, *self.at.ip());
        self.say(Saying::Key(line.key)).await;
        for order in std::mem::take(&mut self.waiting) {
            self.order(order, &mut session, &line).await;
        }
        let end = self.talk(&mut session, &mut line).await;
        match &end {
            End::Gone => {}
            End::Denied(why) => self.refuse_wanted(&CallError::NotConsented(why.clone())).await,
            End::Lost(why, _) => self.refuse_wanted(&CallError::Unreachable(why.clone())).await,
        }
        if self.stop.is_cancelled() {
            // What was begun from here does not outlive the hand.
            let _ = tokio::time::timeout(FAREWELL, self.farewell(&mut session, &mut line)).await;
        }
        if !matches!(end, End::Denied(_)) {
            line.close().await;
        }
        end
    }

    /// Ends what was begun from here, and waits until it is.
    async fn farewell(&mut self, session: &mut Session, line: &mut Line) {
        session.handle(Input::Leave, Instant::now());
        while self.pump(session, line).await.is_ok() && session.holds_page() {
            let Ok(Some(plain)) = line.read().await else { return };
            session.handle(Input::Bytes(&plain), Instant::now());
        }
    }

    async fn talk(&mut self, session: &mut Session, line: &mut Line) -> End {
        let (cancelled, stop) = (line.cancelled(), self.stop.clone());
        loop {
            let wake = match self.pump(session, line).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let page = self.page.as_ref().map(DatagramLease::cancelled);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::Denied("you withdrew your consent".to_owned()),
                () = stop.cancelled() => return End::Gone,
                () = over(page) => {
                    self.page = None;
                    session.handle(Input::Leave, Instant::now());
                }
                order = self.orders.recv() => match order {
                    None => return End::Gone,
                    Some(order) => self.order(order, session, line).await,
                },
                read = line.read() => match read {
                    Ok(Some(plain)) => session.handle(Input::Bytes(&plain), Instant::now()),
                    Ok(None) => return lost("it hung up".to_owned()),
                    Err(why) => return lost(why),
                },
                () = tokio::time::sleep_until(wake.into()) => session.handle(Input::Timeout, Instant::now()),
            }
        }
    }

    async fn order(&mut self, order: Order, session: &mut Session, line: &Line) {
        match order {
            Order::Announced => {}
            Order::Try(call) => self.tried(call, Outcome::Answered).await,
            Order::Wanted(call, what) => {
                if matches!(what, Wanted::Open(_)) {
                    let may = match self.is_other {
                        true => Err(CallError::Refused(format!("nothing is opened on the device: {OTHER}"))),
                        false => self.may_open(line).await.map_err(CallError::NotConsented),
                    };
                    if let Err(error) = may {
                        return self.reply(call, Err(error)).await;
                    }
                }
                self.wanted.insert(call.0);
                session.handle(Input::Wanted(call.0, what), Instant::now());
            }
        }
    }

    /// Two entries agree to what is played: the device is told it, and Google learns of it.
    async fn may_open(&mut self, line: &Line) -> Result<(), String> {
        if !law::media().is_subset(line.fields) {
            return Err("you agreed to control the device, but not to tell it what to play".to_owned());
        }
        self.page = Some(self.law.page(&self.device).await?);
        Ok(())
    }

    /// Does what the machine wants, until it waits.
    async fn pump(&mut self, session: &mut Session, line: &mut Line) -> Result<Instant, End> {
        loop {
            match session.poll_output() {
                Output::Send(bytes, Sort::Standing) => line.write(law::standing(), &bytes),
                Output::Send(bytes, Sort::Page) => {
                    let let_out = self.page.as_ref().is_some_and(|page| line.write_page(page, bytes).is_ok());
                    if !let_out {
                        self.page = None;
                        session.handle(Input::Leave, Instant::now());
                    }
                }
                Output::Event(Event::Over(why)) => return Err(lost(why)),
                Output::Event(Event::Ours(ours)) => self.ours = ours,
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    // What nobody hears stays among what is wanted, and is answered from here.
                    if self.say(Saying::Event(event)).await {
                        done.map(|call| self.wanted.remove(&call));
                    }
                }
                Output::Wait(wake) => {
                    if !session.holds_page() {
                        self.page = None;
                    }
                    return match line.flush().await {
                        Ok(()) => Ok(wake),
                        Err(accord_consent::SendError::Io(error)) => Err(lost(error.to_string())),
                        Err(accord_consent::SendError::Outlet(error)) => Err(lost(error.to_string())),
                        Err(denied) => Err(End::Denied(denied.to_string())),
                    };
                }
            }
        }
    }
}

fn lost(why: String) -> End {
    End::Lost(why, Outcome::Mute)
}

/// When the owner took back what `page` is under; never while there is none.
async fn over(page: Option<CancellationToken>) {
    match page {
        Some(page) => page.cancelled().await,
        None => std::future::pending().await,
    }
}
