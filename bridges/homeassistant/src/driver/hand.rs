//! One server that the owner added: its connection, made as soon as the owner agrees and again when it breaks, later each
//! time; and what the server has, which outlives a connection.

use std::time::{Duration, Instant};

use accord_consent::SendError;
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Target, Timestamp, Verb};
use accord_ports::Secret;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::line::Line;
use super::mind::{Heard, Saying};
use super::wire::{NoLine, Way};
use crate::core::home::{Home, Order as Wanted};
use crate::core::session::{CALL_WITHIN, Event, Input, Output, Session, Trouble};
use crate::core::sign::Ask;
use crate::core::ws;

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest; and after so many failures, which is more
/// than an hour, seldom: it may be away for days.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
const MANY: u32 = 60;
const SELDOM: Duration = Duration::from_secs(300);
/// After an announcement, or for whoever wants something, it is tried sooner, but not sooner than that: anybody can announce.
const AT_LEAST: Duration = Duration::from_secs(2);
/// An order is begun within this time or not at all: whoever gave it is told soon after that it failed.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// Orders that wait for the server to let us in.
const MOST_WAITING: usize = 64;
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// A message from this size on is read beside everything else.
const LARGE: usize = 256 * 1024;

/// To a hand.
pub(crate) enum Order {
    /// Of one of the server's things.
    Call(CallId, DeviceId, Target, Verb, Term),
    /// The server announced itself anew.
    Announced,
    /// The owner asks why it is not reached.
    Try(CallId),
}

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

/// What a hand is made of.
pub(crate) struct Hand {
    /// Which of the hands of this server, one after the other.
    pub number: u64,
    pub way: Way,
    /// The owner's token; or, when it was signed in, what tokens are given for, and to whom.
    pub token: Secret,
    pub client: Option<String>,
    pub orders: mpsc::Receiver<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub stop: CancellationToken,
    /// What came while there was no connection.
    pub waiting: Vec<Order>,
    pub failures: u32,
}

/// How a connection ended.
enum End {
    /// The mind let go of the server.
    Gone,
    Denied(String),
    /// The server does not take the token.
    Refused(String),
    Lost(String, Outcome),
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
    pub(crate) async fn run(mut self, home: Home) {
        let mut home = self.live(home).await;
        let lost = home.lost();
        self.tell(lost).await;
        self.orders.close();
        self.refuse_waiting(&CallError::Unreachable("the server is not asked any more".to_owned()), &Outcome::Silent)
            .await;
    }

    async fn live(&mut self, mut home: Home) -> Home {
        let stop = self.stop.clone();
        loop {
            if !stop.run_until_cancelled(self.allowed()).await.unwrap_or_default() {
                return home;
            }
            let mut since = None;
            let end = match stop.run_until_cancelled(self.connect()).await {
                None => return home,
                Some(Ok((line, token))) => {
                    since = Some(Instant::now());
                    let end;
                    (end, home) = self.drive(line, token, home).await;
                    if !home.is_anew() {
                        // It was one; the next one has a record of its own.
                        self.way.lease = None;
                    }
                    end
                }
                Some(Err(NoLine::Refused(why))) => End::Refused(why),
                Some(Err(NoLine::Denied(why))) => End::Denied(why),
                Some(Err(NoLine::Failed(why, outcome))) => End::Lost(why, outcome),
                Some(Err(NoLine::Barred(why))) => {
                    // It may be let in again one day; who asks often is banned for longer.
                    self.failures = self.failures.max(MANY);
                    End::Lost(why.clone(), Outcome::Failed(why))
                }
                Some(Err(NoLine::Other(key))) => {
                    self.say(Saying::Other(key)).await;
                    let why = "it holds another key than when you added it, so that nothing is said to it";
                    End::Lost(why.to_owned(), Outcome::Failed(why.to_owned()))
                }
            };
            let lost = home.lost();
            self.tell(lost).await;
            let goes_on = match end {
                End::Gone => return home,
                End::Denied(why) => {
                    self.refuse_waiting(&CallError::NotConsented(why), &Outcome::Silent).await;
                    self.say(Saying::Quiet).await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    stop.run_until_cancelled(tokio::time::sleep(DENIED)).await.is_some()
                }
                End::Refused(why) => {
                    // Whoever tries a wrong token again and again is banned there. The owner gives another one.
                    let why = match self.client {
                        None => format!("it does not take the token: {why}"),
                        Some(_) => format!("it does not know Accord's sign-in any more ({why}): sign in again"),
                    };
                    self.say(Saying::Refused(why.clone())).await;
                    stop.run_until_cancelled(self.refused(why)).await.is_some()
                }
                End::Lost(why, outcome) => {
                    // How long an attempt took that came to nothing says nothing.
                    let steady = since.is_some_and(|since| since.elapsed() > STEADY);
                    self.failures = if steady { 1 } else { self.failures.saturating_add(1) };
                    tracing::debug!(server = %self.way.server, "no connection: {why}");
                    self.refuse_waiting(&CallError::Unreachable(why.clone()), &outcome).await;
                    self.say(Saying::Down(why, outcome)).await;
                    stop.run_until_cancelled(self.rest(pause(self.failures))).await.unwrap_or_default()
                }
            };
            if !goes_on {
                return home;
            }
        }
    }

    /// Connects, with a token that can be used: where the owner signed in, it is a new one each time.
    async fn connect(&mut self) -> Result<(Line, Secret), NoLine> {
        let token = match &self.client {
            None => self.token.clone(),
            Some(client) => self.way.ask(&Ask::Refresh(&self.token), client).await?.access,
        };
        Ok((Line::open(&mut self.way).await?, token))
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.way.law.controls(&self.way.server);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.recv() => {
                    let Some(order) = order else { return false };
                    let refusal = self.way.law.may_control(&self.way.server).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.waiting.push(order);
                    let outcome = Outcome::Failed("you have not agreed that it is spoken to".to_owned());
                    self.refuse_waiting(&CallError::NotConsented(why), &outcome).await;
                }
            }
        }
    }

    /// The token is of no use: nothing is tried until there is another.
    async fn refused(&mut self, why: String) {
        let outcome = Outcome::Failed(why.clone());
        while let Some(order) = self.orders.recv().await {
            self.waiting.push(order);
            self.refuse_waiting(&CallError::Refused(why.clone()), &outcome).await;
        }
        std::future::pending().await
    }

    /// Rests before it is tried again; only for [`AT_LEAST`] once it is announced or somebody wants something. `false`: it is
    /// over.
    async fn rest(&mut self, pause: Duration) -> bool {
        let began = tokio::time::Instant::now();
        let mut until = began + pause;
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let Some(order) = order else { return false };
                    until = until.min(began + AT_LEAST);
                    self.wait(order).await;
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    /// Keeps an order for when there is a connection.
    async fn wait(&mut self, order: Order) {
        match order {
            Order::Announced => {}
            Order::Call(call, ..) if self.waiting.len() >= MOST_WAITING => self.reply(call, Err(busy())).await,
            order => self.waiting.push(order),
        }
    }

    /// Everything that was ordered until now has the same answer: it is not tried anew for each.
    async fn refuse_waiting(&mut self, error: &CallError, outcome: &Outcome) {
        while let Ok(order) = self.orders.try_recv() {
            self.waiting.push(order);
        }
        for order in std::mem::take(&mut self.waiting) {
            match order {
                Order::Call(call, ..) => self.reply(call, Err(error.clone())).await,
                Order::Try(call) => self.tried(call, outcome.clone()).await,
                Order::Announced => {}
            }
        }
    }

    async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(vec![FromBridge::Reply { call, outcome }]).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = Fact::Tried { address: self.way.place.address, outcome };
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    async fn tell(&self, messages: Vec<FromBridge>) {
        if !messages.is_empty() {
            let _ = self.heard.send(Heard::Told { server: self.way.server.clone(), messages }).await;
        }
    }

    async fn say(&self, saying: Saying) {
        let (server, hand) = (self.way.server.clone(), self.number);
        let _ = self.heard.send(Heard::Said { server, hand, saying }).await;
    }

    // -- while it is connected ----------------------------------------------------------------------

    async fn drive(&mut self, mut line: Line, token: Secret, mut home: Home) -> (End, Home) {
        // Found out before anything was said to it; from now on it is the one.
        let key = line.key();
        self.way.pin = key.or(self.way.pin);
        self.say(Saying::Key(key)).await;
        home.begin();
        let mut core = Box::new(Core { session: Session::new(token, Instant::now()), home });
        let mut wanted = Vec::new();
        let end = loop {
            match self.turn(&mut line, core, &mut wanted).await {
                (None, same) => core = same,
                (Some(end), same) => break (end, same.home),
            }
        };
        let error = match &end.0 {
            End::Denied(why) => CallError::NotConsented(why.clone()),
            End::Refused(why) => CallError::Refused(why.clone()),
            End::Lost(why, _) => CallError::Unreachable(why.clone()),
            End::Gone => CallError::Unreachable("the server is not asked any more".to_owned()),
        };
        for call in wanted {
            self.reply(CallId(call), Err(error.clone())).await;
        }
        if !matches!(end.0, End::Denied(_)) {
            line.close().await;
        }
        end
    }

    /// Does what the machine wants, and waits for the next thing.
    async fn turn(&mut self, line: &mut Line, mut core: Box<Core>, wanted: &mut Vec<u64>) -> (Option<End>, Box<Core>) {
        for order in std::mem::take(&mut self.waiting) {
            self.order(order, &mut core, wanted).await;
        }
        let wake = match self.pump(line, &mut core, wanted).await {
            Ok(wake) => self.waiting.iter().filter_map(Order::until).fold(wake, Instant::min),
            Err(end) => return (Some(end), core),
        };
        if !self.waiting.is_empty() && core.is_ready() {
            return (None, core);
        }
        let (cancelled, stop) = (line.cancelled(), self.stop.clone());
        tokio::select! {
            biased;
            () = cancelled.cancelled() => (Some(End::Denied("you withdrew your consent".to_owned())), core),
            () = stop.cancelled() => (Some(End::Gone), core),
            order = self.orders.recv() => match order {
                None => (Some(End::Gone), core),
                Some(order) => {
                    self.order(order, &mut core, wanted).await;
                    (None, core)
                }
            },
            came = line.next() => match came {
                Ok(Some(events)) => self.came(events, core).await,
                Ok(None) => (Some(lost("it hung up".to_owned())), core),
                Err(why) => (Some(lost(why)), core),
            },
            () = tokio::time::sleep_until(wake.into()) => {
                core.session.handle(Input::Timeout, Instant::now());
                (None, core)
            }
        }
    }

    async fn came(&self, events: Vec<ws::Event>, mut core: Box<Core>) -> (Option<End>, Box<Core>) {
        for event in events {
            match event {
                ws::Event::Text(bytes) if bytes.len() >= LARGE => {
                    let server = self.way.server.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        core.session.handle(Input::Text(&bytes), Instant::now());
                        core
                    });
                    match read.await {
                        Ok(same) => core = same,
                        Err(error) => {
                            tracing::error!(%error, "what the server sent could not be read");
                            let now = Instant::now();
                            let (session, home) = (Session::new("".into(), now), Home::new(server, Timestamp::now()));
                            return (
                                Some(lost("it sent what could not be read".to_owned())),
                                Box::new(Core { session, home }),
                            );
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
                    return (Some(lost(why)), core);
                }
                ws::Event::Open => {}
            }
        }
        (None, core)
    }

    async fn order(&mut self, order: Order, core: &mut Core, wanted: &mut Vec<u64>) {
        match order {
            Order::Announced => {}
            Order::Try(call) => self.tried(call, Outcome::Answered).await,
            Order::Call(call, .., term) if term.is_over(Instant::now()) => {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            order @ Order::Call(..) if !core.is_ready() => self.wait(order).await,
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
                Output::Event(Event::Welcome(version)) => self.say(Saying::Up(version)).await,
                Output::Event(Event::Refused(why)) => return Err(End::Refused(why)),
                Output::Event(Event::About(about)) => {
                    let told = core.home.temperatures(&about.units.temperature, Timestamp::now());
                    self.tell(told).await;
                    self.say(Saying::About(about)).await;
                }
                Output::Event(Event::Registries(all)) => {
                    let told = core.home.registries(all, Timestamp::now());
                    self.tell(told).await;
                    self.say(Saying::Has(core.home.summary())).await;
                }
                Output::Event(Event::States(event)) => {
                    let first = core.home.is_anew();
                    let told = core.home.states(*event, Timestamp::now());
                    self.tell(told).await;
                    if first {
                        self.say(Saying::Has(core.home.summary())).await;
                    }
                }
                Output::Event(Event::Done(call, outcome)) => {
                    wanted.retain(|one| *one != call);
                    self.reply(CallId(call), outcome.map(|()| Outputs::new()).map_err(failed)).await;
                }
                Output::Event(Event::Over(why)) => return Err(lost(why)),
                Output::Wait(wake) => {
                    return match line.flush().await {
                        Ok(()) => Ok(wake),
                        Err(SendError::Io(error)) => Err(lost(error.to_string())),
                        Err(SendError::Outlet(error)) => Err(lost(error.to_string())),
                        Err(denied) => Err(End::Denied(denied.to_string())),
                    };
                }
            }
        }
    }
}

impl Order {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Call(.., term) => Some(term.until),
            Self::Announced | Self::Try(_) => None,
        }
    }
}

/// How long nothing is tried after so many failures.
fn pause(failures: u32) -> Duration {
    match failures {
        MANY.. => SELDOM,
        few => AGAIN.saturating_mul(1 << few.saturating_sub(1).min(6)).min(AGAIN_AT_MOST),
    }
}

fn busy() -> CallError {
    CallError::Unreachable("Home Assistant has not done yet what was wanted before".to_owned())
}

fn lost(why: String) -> End {
    End::Lost(why, Outcome::Mute)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_begun_in_time_or_not_at_all() {
        let now = Instant::now();
        let term = Term::new(now);
        assert!(!term.is_over(now) && term.is_over(now + BEGUN_WITHIN));
        term.clone().give_up();
        assert!(term.is_over(now), "whoever holds it");
    }
}
