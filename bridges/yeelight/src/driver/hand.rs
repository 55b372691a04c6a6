//! One added lamp that is here: what is said over its connection, which is made again when it breaks.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Instant;

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, Outputs, Timestamp};
use accord_ports::Outbox;
use accord_ports::hand::{self, Asks, BEGUN_WITHIN, End, Failures, Orders, Pace, Peer, State, Term, Tries, stay};
use tokio::sync::mpsc;

use super::law::Law;
use super::line::Line;
use super::mind::{Heard, Saying};
use crate::core::quota::Quota;
use crate::core::session::{Event, Input, Output, Session, Wanted};
use crate::core::state::{Abilities, State as Lit};

/// Anybody can announce, so that this is a reason to try a lamp sooner, but not at once; and so is a wish.
const PACE: Pace = Pace { announced: 4, patient: false, ..Pace::USUAL };

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

impl hand::Order for Order {
    fn asks(&self) -> Asks {
        match self {
            Self::Wanted(call, ..) => Asks::Call(*call),
            Self::Announced => Asks::Announced,
            Self::Doubt => Asks::Nothing,
            Self::Try(call) => Asks::Why(*call),
        }
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
    pub state: Lit,
    pub heard: mpsc::Sender<Heard>,
    pub outbox: Outbox,
    /// Calls that the session was told of and has not answered.
    pub wanted: BTreeMap<u64, Term>,
    pub quota: Quota,
    /// Who asked why it is not reached, while it is connected.
    pub tries: Tries,
    /// When it was heard last.
    pub heard_at: Option<Timestamp>,
}

impl Hand {
    /// Until the mind lets go of it. The quota is for the next hand. `failures`: of the hands before.
    pub(crate) async fn run(mut self, orders: Orders<Order>, failures: Option<Failures>) {
        stay(&mut self, orders, PACE, failures).await;
        self.refuse_wanted(&CallError::Unreachable(Self::AWAY.to_owned())).await;
        self.tell(Saying::Spent(self.quota.clone())).await;
    }

    async fn refuse_wanted(&mut self, error: &CallError) {
        for call in std::mem::take(&mut self.wanted).into_keys() {
            self.refuse(CallId(call), error.clone()).await;
        }
    }

    /// `false`: nobody hears it.
    async fn tell(&self, saying: Saying) -> bool {
        let (device, hand) = (self.device.clone(), self.number);
        self.heard.send(Heard::Said { device, hand, saying }).await.is_ok()
    }

    async fn tell_heard(&self) {
        if let Some(at) = self.heard_at {
            self.tell(Saying::Heard(at)).await;
        }
    }

    async fn converse(&mut self, session: &mut Session, line: &mut Line, orders: &mut Orders<Order>) -> End {
        let (cancelled, stop) = (line.cancelled(), orders.stop());
        loop {
            let wake = match self.pump(session, line).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let until = self.wanted.values().map(Term::until).filter(|until| *until > Instant::now());
            let wake = until.chain(self.tries.until()).fold(wake, Instant::min);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::withdrawn(),
                () = stop.cancelled() => return End::Gone,
                order = orders.next() => match order {
                    None => return End::Gone,
                    Some(order) => self.order(order, session).await,
                },
                read = line.read() => match read {
                    Ok([]) => return End::lost("the lamp hung up"),
                    Ok(bytes) => {
                        give_up(&self.wanted, session);
                        session.handle(Input::Bytes(bytes), Instant::now());
                        self.heard_at = Some(Timestamp::now());
                        for call in self.tries.take() {
                            self.tried(call, Outcome::Answered).await;
                        }
                    }
                    Err(error) => return End::lost(error.to_string()),
                },
                () = tokio::time::sleep_until(wake.into()) => {
                    for call in self.tries.take_late(Instant::now()) {
                        self.tried(call, Outcome::Mute).await;
                    }
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
            Order::Try(call) => {
                session.handle(Input::Ask, Instant::now());
                // Its quota may not let it be asked now: then it answered what spent that.
                let over = if session.awaits_answer() { self.tries.begin(call, Instant::now()) } else { Some(call) };
                if let Some(call) = over {
                    self.tried(call, Outcome::Answered).await;
                }
            }
            Order::Wanted(call, _, term) if term.is_over(Instant::now()) => {
                self.refuse(call, CallError::Deadline(BEGUN_WITHIN.as_secs())).await;
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
                Output::Event(Event::Over(why)) => return Err(End::lost(why)),
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    // What nobody hears stays among what is wanted, and is answered from here.
                    if self.tell(Saying::Event(event)).await {
                        done.map(|call| self.wanted.remove(&call));
                    }
                }
                Output::Wait(wake) => return Ok(wake),
            }
        }
    }
}

impl Peer for Hand {
    type Order = Order;
    type Line = Line;
    const AWAY: &'static str = "the lamp is away";
    const BUSY: &'static str = "the lamp has not done yet what was wanted before";

    fn law(&self) -> (&Law, &DeviceId) {
        (&self.law, &self.device)
    }

    async fn connect(&mut self) -> Result<Line, End> {
        Ok(Line::open(&self.law, &self.device, self.at).await?)
    }

    async fn talk(&mut self, mut line: Line, orders: &mut Orders<Order>) -> End {
        let (abilities, state) = (self.abilities.clone(), self.state.clone());
        let mut session = Session::new(abilities, state, self.quota.clone(), Instant::now());
        for order in orders.take_waiting() {
            self.order(order, &mut session).await;
        }
        let end = self.converse(&mut session, &mut line, orders).await;
        self.quota = session.quota().clone();
        for call in self.tries.take() {
            self.tried(call, if matches!(end, End::Lost(..)) { Outcome::Mute } else { Outcome::Silent }).await;
        }
        match &end {
            End::Denied(why) => self.refuse_wanted(&CallError::NotConsented(why.clone())).await,
            End::Lost(why, _) => self.refuse_wanted(&CallError::Unreachable(why.clone())).await,
            _ => {}
        }
        line.close();
        end
    }

    async fn refuse(&self, call: CallId, error: CallError) {
        let outcome: Result<Outputs, CallError> = Err(error);
        self.outbox.reply(call, outcome).await;
        let _ = self.heard.send(Heard::Refused { call }).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        self.tell_heard().await;
        let fact = Fact::Tried { address: self.at.into(), outcome };
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    async fn say(&mut self, state: State) {
        self.tell_heard().await;
        self.tell(Saying::State(state)).await;
    }
}

/// Before anything else is begun: what nobody waits for any more is not.
fn give_up(wanted: &BTreeMap<u64, Term>, session: &mut Session) {
    let now = Instant::now();
    for (call, _) in wanted.iter().filter(|(_, term)| term.is_over(now)) {
        session.handle(Input::GivenUp(*call), now);
    }
}
