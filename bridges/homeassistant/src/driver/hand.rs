//! One server that the owner added: what is said over its connection, which is made again when it breaks; and what the server
//! has, which outlives a connection.

use std::time::Instant;

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Target, Timestamp, Verb};
use accord_ports::Secret;
use accord_ports::hand::{self, Asks, BEGUN_WITHIN, End, Orders, Pace, Peer, State, Term, Tries, stay};
use tokio::sync::{mpsc, oneshot};

use super::law::Law;
use super::line::Line;
use super::mind::{Heard, Saying};
use super::wire::{NoLine, Way};
use crate::core::home::{Home, Order as Wanted};
use crate::core::session::{CALL_WITHIN, Event, Input, Output, Session, Trouble};
use crate::core::sign::Ask;
use crate::core::ws;

/// After an announcement, or for whoever wants something, it is tried sooner, but not at once: anybody can announce. It may be
/// away for days.
const PACE: Pace = Pace::USUAL;
/// A message from this size on is read beside everything else.
const LARGE: usize = 256 * 1024;

/// To a hand.
pub(crate) enum Order {
    /// Of one of the server's things.
    Call(CallId, DeviceId, Target, Verb, Term),
    /// Where one of the server's things is looked at: who asks does so, over a connection of its own. Not answered: it is not
    /// reached.
    Look(DeviceId, Target, oneshot::Sender<Result<(Way, String), CallError>>),
    /// The server announced itself anew.
    Announced,
    /// The owner asks why it is not reached.
    Try(CallId),
}

impl hand::Order for Order {
    fn asks(&self) -> Asks {
        match self {
            Self::Call(call, ..) => Asks::Call(*call),
            Self::Look(..) => Asks::Nothing,
            Self::Announced => Asks::Announced,
            Self::Try(call) => Asks::Why(*call),
        }
    }
}

/// What a hand is made of.
pub(crate) struct Hand {
    /// Which of the hands of this server, one after the other.
    pub number: u64,
    pub way: Way,
    /// The owner's token; or, when it was signed in, what tokens are given for, and to whom.
    pub token: Secret,
    pub client: Option<String>,
    pub heard: mpsc::Sender<Heard>,
    pub home: Home,
    /// Who asked why it is not reached, while it is connected.
    pub tries: Tries,
}

/// What reads messages, together.
struct Core {
    session: Session,
    home: Home,
}

impl Core {
    /// Nothing may be said before the server let us in, and what is wanted is about what there is now.
    fn is_ready(&self) -> bool {
        self.session.is_open() && !self.home.is_anew()
    }
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self, orders: Orders<Order>) {
        stay(&mut self, orders, PACE, None).await;
        self.lost().await;
    }

    /// Its things are not reached.
    async fn lost(&mut self) {
        let lost = self.home.lost();
        self.tell(lost).await;
    }

    /// Nothing is known to be there.
    fn no_home(&self) -> Home {
        Home::new(self.way.server.clone(), Timestamp::now())
    }

    /// The owner gives another token, or signs in again.
    fn refused(&self, why: &str) -> End {
        End::Refused(match self.client {
            None => format!("it does not take the token: {why}"),
            Some(_) => format!("it does not know Accord's sign-in any more ({why}): sign in again"),
        })
    }

    /// Connects, with a token that can be used: where the owner signed in, it is a new one each time.
    async fn open(&mut self) -> Result<(Line, Secret), NoLine> {
        let token = match &self.client {
            None => self.token.clone(),
            Some(client) => self.way.ask(&Ask::Refresh(&self.token), client).await?.access,
        };
        Ok((Line::open(&mut self.way).await?, token))
    }

    async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(vec![FromBridge::Reply { call, outcome }]).await;
    }

    async fn tell(&self, messages: Vec<FromBridge>) {
        if !messages.is_empty() {
            let _ = self.heard.send(Heard::Told { server: self.way.server.clone(), messages }).await;
        }
    }

    async fn said(&self, saying: Saying) {
        let (server, hand) = (self.way.server.clone(), self.number);
        let _ = self.heard.send(Heard::Said { server, hand, saying }).await;
    }

    /// Does what the machine wants, and waits for the next thing.
    async fn turn(
        &mut self,
        line: &mut Line,
        mut core: Box<Core>,
        orders: &mut Orders<Order>,
        wanted: &mut Vec<u64>,
    ) -> (Option<End>, Box<Core>) {
        for order in orders.take_waiting() {
            self.order(order, &mut core, orders, wanted).await;
        }
        let wake = match self.pump(line, &mut core, wanted).await {
            Ok(wake) => {
                let waiting = orders.waiting().iter().filter_map(Order::until);
                waiting.chain(self.tries.until()).fold(wake, Instant::min)
            }
            Err(end) => return (Some(end), core),
        };
        if !orders.waiting().is_empty() && core.is_ready() {
            return (None, core);
        }
        let (cancelled, stop) = (line.cancelled(), orders.stop());
        tokio::select! {
            biased;
            () = cancelled.cancelled() => (Some(End::withdrawn()), core),
            () = stop.cancelled() => (Some(End::Gone), core),
            order = orders.next() => match order {
                None => (Some(End::Gone), core),
                Some(order) => {
                    self.order(order, &mut core, orders, wanted).await;
                    (None, core)
                }
            },
            came = line.next() => match came {
                Ok(Some(events)) => {
                    let (end, core) = self.came(events, core).await;
                    if end.is_none() && core.session.is_open() {
                        self.answer_tries(&Outcome::Answered).await;
                    }
                    (end, core)
                }
                Ok(None) => (Some(End::lost("it hung up")), core),
                Err(why) => (Some(End::lost(why)), core),
            },
            () = tokio::time::sleep_until(wake.into()) => {
                for call in self.tries.take_late(Instant::now()) {
                    self.tried(call, Outcome::Mute).await;
                }
                core.session.handle(Input::Timeout, Instant::now());
                (None, core)
            }
        }
    }

    async fn answer_tries(&mut self, outcome: &Outcome) {
        for call in self.tries.take() {
            self.tried(call, outcome.clone()).await;
        }
    }

    async fn came(&self, events: Vec<ws::Event>, mut core: Box<Core>) -> (Option<End>, Box<Core>) {
        for event in events {
            match event {
                ws::Event::Text(bytes) if bytes.len() >= LARGE => {
                    let read = tokio::task::spawn_blocking(move || {
                        core.session.handle(Input::Text(&bytes), Instant::now());
                        core
                    });
                    match read.await {
                        Ok(same) => core = same,
                        Err(error) => {
                            tracing::error!(%error, "what the server sent could not be read");
                            let core = Core { session: Session::new("".into(), Instant::now()), home: self.no_home() };
                            return (Some(End::lost("it sent what could not be read")), Box::new(core));
                        }
                    }
                }
                ws::Event::Text(bytes) => core.session.handle(Input::Text(&bytes), Instant::now()),
                ws::Event::Closed(why) => {
                    let why = if why.is_empty() {
                        "it ended the connection".to_owned()
                    } else {
                        format!("it ended the connection: {why}")
                    };
                    return (Some(End::lost(why)), core);
                }
                ws::Event::Open => {}
            }
        }
        (None, core)
    }

    async fn order(&mut self, order: Order, core: &mut Core, orders: &mut Orders<Order>, wanted: &mut Vec<u64>) {
        match order {
            Order::Announced => {}
            Order::Look(device, target, told) => {
                if core.is_ready() {
                    let way = self.way.clone();
                    let _ = told.send(core.home.picture(&device, &target).map(|path| (way, path)));
                }
            }
            Order::Try(call) => {
                core.session.handle(Input::Ask, Instant::now());
                if let Some(call) = self.tries.begin(call, Instant::now()) {
                    self.tried(call, Outcome::Silent).await;
                }
            }
            Order::Call(call, .., term) if term.is_over(Instant::now()) => {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            order @ Order::Call(..) if !core.is_ready() => {
                if let Some(call) = orders.keep(order) {
                    self.reply(call, Err(busy())).await;
                }
            }
            Order::Call(call, device, target, verb, _) => match core.home.order(&device, &target, verb, Instant::now())
            {
                Ok(Wanted::Read(values)) => self.reply(call, Ok(values)).await,
                Ok(Wanted::Call(what)) => {
                    wanted.push(call.0);
                    core.session.handle(Input::Call(call.0, what), Instant::now());
                }
                Err(error) => self.reply(call, Err(error)).await,
            },
        }
    }

    async fn pump(&mut self, line: &mut Line, core: &mut Core, wanted: &mut Vec<u64>) -> Result<Instant, End> {
        loop {
            match core.session.poll_output() {
                Output::Send(said) => line.say(&said.text),
                Output::Event(Event::Welcome(version)) => self.said(Saying::Up(version)).await,
                Output::Event(Event::Refused(why)) => return Err(End::Refused(why)),
                Output::Event(Event::About(about)) => {
                    let told = core.home.temperatures(&about.units.temperature, Timestamp::now());
                    self.tell(told).await;
                    self.said(Saying::About(about)).await;
                }
                Output::Event(Event::Registries(all)) => {
                    let told = core.home.registries(all, Timestamp::now());
                    self.tell(told).await;
                    self.said(Saying::Has(core.home.summary())).await;
                }
                Output::Event(Event::States(event)) => {
                    let first = core.home.is_anew();
                    let told = core.home.states(*event, Timestamp::now());
                    self.tell(told).await;
                    if first {
                        self.said(Saying::Has(core.home.summary())).await;
                    }
                }
                Output::Event(Event::Done(call, outcome)) => {
                    wanted.retain(|one| *one != call);
                    self.reply(CallId(call), outcome.map(|()| Outputs::new()).map_err(failed)).await;
                }
                Output::Event(Event::Over(why)) => return Err(End::lost(why)),
                Output::Wait(wake) => {
                    return line.flush().await.map(|()| wake).map_err(End::unsent);
                }
            }
        }
    }
}

impl Peer for Hand {
    type Order = Order;
    type Line = (Line, Secret);
    const AWAY: &'static str = "the server is not asked any more";
    const BUSY: &'static str = "Home Assistant has not done yet what was wanted before";

    fn law(&self) -> (&Law, &DeviceId) {
        (&self.way.law, &self.way.server)
    }

    async fn connect(&mut self) -> Result<(Line, Secret), End> {
        let end = match self.open().await {
            Ok(line) => return Ok(line),
            Err(NoLine::Refused(why)) => self.refused(&why),
            Err(NoLine::Denied(why)) => End::Denied(why),
            Err(NoLine::Failed(why, outcome)) => End::Lost(why, outcome),
            Err(NoLine::Barred(why)) => End::Barred(why),
            Err(NoLine::Other(key)) => {
                self.said(Saying::Other(key)).await;
                let why = "it holds another key than when you added it, so that nothing is said to it";
                End::Lost(why.to_owned(), Outcome::Failed(why.to_owned()))
            }
        };
        self.lost().await;
        Err(end)
    }

    async fn talk(&mut self, (mut line, token): (Line, Secret), orders: &mut Orders<Order>) -> End {
        // Found out before anything was said to it; from now on it is the one.
        let key = line.key();
        self.way.pin = key.or(self.way.pin);
        self.said(Saying::Key(key)).await;
        let nothing = self.no_home();
        let mut home = std::mem::replace(&mut self.home, nothing);
        home.begin();
        let mut core = Box::new(Core { session: Session::new(token, Instant::now()), home });
        let mut wanted = Vec::new();
        let end = loop {
            match self.turn(&mut line, core, orders, &mut wanted).await {
                (None, same) => core = same,
                (Some(end), same) => {
                    self.home = same.home;
                    break end;
                }
            }
        };
        let came = match &end {
            End::Lost(_, outcome) => outcome.clone(),
            End::Refused(why) | End::Barred(why) => Outcome::Failed(why.clone()),
            End::Denied(_) | End::Gone => Outcome::Silent,
        };
        self.answer_tries(&came).await;
        let error = match &end {
            End::Denied(why) => CallError::NotConsented(why.clone()),
            End::Refused(why) => CallError::Refused(why.clone()),
            End::Lost(why, _) | End::Barred(why) => CallError::Unreachable(why.clone()),
            End::Gone => CallError::Unreachable(Self::AWAY.to_owned()),
        };
        for call in wanted {
            self.refuse(CallId(call), error.clone()).await;
        }
        if !matches!(end, End::Denied(_)) {
            line.close().await;
        }
        if !self.home.is_anew() {
            // It was one; the next one has a record of its own.
            self.way.lease = None;
        }
        self.lost().await;
        if let End::Refused(why) = &end { self.refused(why) } else { end }
    }

    async fn refuse(&self, call: CallId, error: CallError) {
        self.reply(call, Err(error)).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = Fact::Tried { address: self.way.place.address, outcome };
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    async fn say(&mut self, state: State) {
        self.said(Saying::State(state)).await;
    }
}

impl Order {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Call(.., term) => Some(term.until()),
            Self::Look(..) | Self::Announced | Self::Try(_) => None,
        }
    }
}

fn busy() -> CallError {
    CallError::Unreachable(Hand::BUSY.to_owned())
}

/// What the server's reason means for whoever asked.
fn failed(trouble: Trouble) -> CallError {
    match trouble {
        Trouble::Late => CallError::Deadline(CALL_WITHIN.as_secs()),
        Trouble::Busy => busy(),
        Trouble::Early => CallError::Unreachable("Home Assistant has not let us in yet".to_owned()),
        Trouble::Server(failure) => match failure.code.as_str() {
            "unauthorized" => CallError::Refused("the user of the token may not do that in Home Assistant".to_owned()),
            "not_found" | "unknown_command" => CallError::Unsupported(failure.message),
            "invalid_format" | "service_validation_error" => CallError::BadInput(failure.message),
            _ => CallError::Device(failure.message),
        },
    }
}
