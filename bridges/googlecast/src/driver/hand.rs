//! One added device that is here: what is said over its connection, which is made again when it breaks.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use accord_consent::DatagramLease;
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, Outputs};
use accord_ports::Outbox;
use accord_ports::hand::{self, Asks, End, Failures, Orders, Pace, Peer, State, stay};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::devices::Pin;
use super::law::{self, Law};
use super::line::Line;
use super::mind::{Heard, Saying};
use crate::core::session::{Event, Input, Ours, Output, Session, Sort, Wanted};

/// Anybody can announce, so that this is a reason to try a device sooner, but not at once. Whoever wants something is not kept
/// waiting.
const PACE: Pace = Pace { announced: 4, wanted: Duration::ZERO, patient: false, ..Pace::USUAL };
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

impl hand::Order for Order {
    fn asks(&self) -> Asks {
        match self {
            Self::Wanted(call, _) => Asks::Call(*call),
            Self::Announced => Asks::Announced,
            Self::Try(call) => Asks::Why(*call),
        }
    }
}

/// What a hand is made of.
pub(crate) struct Hand {
    pub law: Law,
    pub device: DeviceId,
    /// Which of the hands of this device, one after the other.
    pub number: u64,
    pub at: SocketAddrV4,
    pub heard: mpsc::Sender<Heard>,
    pub outbox: Outbox,
    /// Calls that the device was told of and has not come to yet.
    pub wanted: BTreeSet<u64>,
    /// What was opened from here, beyond one connection.
    pub ours: Option<Ours>,
    /// The permit for what Google learns, as long as its page runs because of us.
    pub page: Option<DatagramLease>,
    /// As what the device is known, and whether it shows something else.
    pub pin: Option<Pin>,
    pub is_other: bool,
}

impl Hand {
    /// Until the mind lets go of it. `failures`: of the hands before.
    pub(crate) async fn run(mut self, orders: Orders<Order>, failures: Option<Failures>) {
        stay(&mut self, orders, PACE, failures).await;
        self.refuse_wanted(&CallError::Unreachable(Self::AWAY.to_owned())).await;
    }

    async fn refuse_wanted(&mut self, error: &CallError) {
        for call in std::mem::take(&mut self.wanted) {
            self.refuse(CallId(call), error.clone()).await;
        }
    }

    /// `false`: nobody hears it.
    async fn tell(&self, saying: Saying) -> bool {
        let (device, hand) = (self.device.clone(), self.number);
        self.heard.send(Heard::Said { device, hand, saying }).await.is_ok()
    }

    /// Ends what was begun from here, and waits until it is.
    async fn farewell(&mut self, session: &mut Session, line: &mut Line) {
        session.handle(Input::Leave, Instant::now());
        while self.pump(session, line).await.is_ok() && session.holds_page() {
            let Ok(Some(plain)) = line.read().await else { return };
            session.handle(Input::Bytes(&plain), Instant::now());
        }
    }

    async fn converse(&mut self, session: &mut Session, line: &mut Line, orders: &mut Orders<Order>) -> End {
        let (cancelled, stop) = (line.cancelled(), orders.stop());
        loop {
            let wake = match self.pump(session, line).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let page = self.page.as_ref().map(DatagramLease::cancelled);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::withdrawn(),
                () = stop.cancelled() => return End::Gone,
                () = over(page) => {
                    self.page = None;
                    session.handle(Input::Leave, Instant::now());
                }
                order = orders.next() => match order {
                    None => return End::Gone,
                    Some(order) => self.order(order, session, line).await,
                },
                read = line.read() => match read {
                    Ok(Some(plain)) => session.handle(Input::Bytes(&plain), Instant::now()),
                    Ok(None) => return End::lost("it hung up"),
                    Err(why) => return End::lost(why),
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
                        return self.refuse(call, error).await;
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
                Output::Event(Event::Over(why)) => return Err(End::lost(why)),
                Output::Event(Event::Ours(ours)) => self.ours = ours,
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    // What nobody hears stays among what is wanted, and is answered from here.
                    if self.tell(Saying::Event(event)).await {
                        done.map(|call| self.wanted.remove(&call));
                    }
                }
                Output::Wait(wake) => {
                    if !session.holds_page() {
                        self.page = None;
                    }
                    return line.flush().await.map(|()| wake).map_err(End::unsent);
                }
            }
        }
    }
}

impl Peer for Hand {
    type Order = Order;
    type Line = Line;
    const AWAY: &'static str = "the device is away";
    const BUSY: &'static str = "the device has not done yet what was wanted before";

    fn law(&self) -> (&accord_ports::law::Law, &DeviceId) {
        (&self.law, &self.device)
    }

    async fn connect(&mut self) -> Result<Line, End> {
        Ok(Line::open(&self.law, &self.device, self.at).await?)
    }

    async fn talk(&mut self, mut line: Line, orders: &mut Orders<Order>) -> End {
        let mut seed = [0; 4];
        let _ = getrandom::fill(&mut seed);
        let me = format!("sender-{}", u32::from_ne_bytes(seed));
        let mut session = Session::new(&me, self.ours.clone(), Instant::now());
        self.is_other = !Pin::admits(&mut self.pin, line.key, *self.at.ip());
        self.tell(Saying::Key(line.key)).await;
        for order in orders.take_waiting() {
            self.order(order, &mut session, &line).await;
        }
        let end = self.converse(&mut session, &mut line, orders).await;
        match &end {
            End::Denied(why) => self.refuse_wanted(&CallError::NotConsented(why.clone())).await,
            End::Lost(why, _) => self.refuse_wanted(&CallError::Unreachable(why.clone())).await,
            _ => {}
        }
        if orders.stop().is_cancelled() {
            // What was begun from here does not outlive the hand.
            let _ = tokio::time::timeout(FAREWELL, self.farewell(&mut session, &mut line)).await;
        }
        if !matches!(end, End::Denied(_)) {
            line.close().await;
        }
        end
    }

    async fn refuse(&self, call: CallId, error: CallError) {
        let outcome: Result<Outputs, CallError> = Err(error);
        self.outbox.reply(call, outcome).await;
        let _ = self.heard.send(Heard::Refused { call }).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = Fact::Tried { address: self.at.into(), outcome };
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    async fn say(&mut self, state: State) {
        if state == State::Quiet {
            self.page = None;
        }
        self.tell(Saying::State(state)).await;
    }
}

/// When the owner took back what `page` is under; never while there is none.
async fn over(page: Option<CancellationToken>) {
    match page {
        Some(page) => page.cancelled().await,
        None => std::future::pending().await,
    }
}
