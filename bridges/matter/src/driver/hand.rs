//! One device that the owner added: added by its code when it is here, spoken to as soon as the owner agrees and again when
//! that breaks, later each time; and what the device has, which outlives a session.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Target, Timestamp, Verb};
use matter_commissioning::SetupPayload;
use matter_commissioning::driver::{AsyncDatagram, CaseEstablishOptions, DriverError, run_case_establish_with};
use matter_interaction::EventReport;
use matter_transport::MrpConfig;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::commission::{self, NotAdded};
use super::fabric::{self, Fabric};
use super::law::Law;
use super::line::{Line, NoLine};
use super::mind::{Heard, Saying};
use super::nodes::Refused;
use super::share;
use super::sky::{Sky, in_order};
use super::trust::Trust;
use crate::core::advert::node_name;
use crate::core::code::Code;
use crate::core::command::{Command, What};
use crate::core::dialog::{Dialog, Event, Trouble, Word};
use crate::core::node::{Node, Order as Wanted, Path, Told};
use crate::core::value::Value;
use matter_interaction::{AttributePath, CommandPath};

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// After an announcement, or for whoever wants something, it is tried sooner, but not sooner than that: anybody can announce.
const AT_LEAST: Duration = Duration::from_secs(2);
/// A session that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// A handshake: a node that sleeps answers late.
const SESSION_WITHIN: Duration = Duration::from_secs(45);
/// A node that does not sleep answers within its repeats.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// An order is begun within this time or not at all: whoever gave it is told soon after that it failed.
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// Orders that wait for a session.
const MOST_WAITING: usize = 64;
/// A device that shall forget us has so long to do it.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
/// The cluster in which it keeps fabrics (11.18), its attribute with the number of ours there, and the command that forgets one.
const CREDENTIALS: u32 = 0x3e;
const CURRENT_FABRIC: u32 = 5;
const REMOVE_FABRIC: u32 = 0x0a;

const WITHDRAWN: &str = "you withdrew your consent";

/// To a hand.
pub(crate) enum Order {
    /// Of the device, or of one behind it.
    Call(CallId, DeviceId, Target, Verb, Term),
    /// The owner asks why it is not reached.
    Try(CallId),
    /// Let others add it, too.
    Share(CallId, Term),
    /// The owner removes it.
    Leave(CallId),
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

/// What the owner gave so that it can be added.
pub(crate) struct Adding {
    pub code: Code,
    /// Its maker need not be vouched for by anybody real.
    pub tests: bool,
}

/// What a hand is made of.
pub(crate) struct Hand {
    pub way: Way,
    /// Which of the hands of this device, one after the other.
    pub number: u64,
    /// Until it has its place in the fabric.
    pub adding: Option<Adding>,
    /// Where it was last.
    pub at: Option<SocketAddr>,
    pub orders: mpsc::Receiver<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub stop: CancellationToken,
    /// What came while there was no session.
    pub waiting: Vec<Order>,
    pub failures: u32,
    /// How often it had announced itself when it was last looked at.
    pub sky_times: Option<u64>,
}

/// What it takes to speak to the device: cheap to clone, so that the hand hears orders meanwhile.
#[derive(Clone)]
pub(crate) struct Way {
    pub law: Law,
    pub fabric: Arc<Fabric>,
    /// Where the owner's roots are.
    pub roots: PathBuf,
    pub device: DeviceId,
    /// Its number in the fabric.
    pub node: u64,
    pub sky: watch::Receiver<Sky>,
}

/// How it ended.
enum End {
    /// The mind let go of the device.
    Gone,
    /// It goes on at once.
    Again,
    Denied(String),
    /// Nothing is to be tried before the owner does something.
    Refused(Refused),
    /// It is held up by an attempt before.
    Busy,
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

/// What was said and is not answered, by the tag of the dialog.
#[derive(Default)]
struct Said {
    next: u64,
    all: BTreeMap<u64, Pending>,
}

enum Pending {
    /// And what is to be said after it.
    Call(CallId, VecDeque<Word>),
    /// With the code that others will use.
    Share(CallId, String),
    Leave,
}

impl Said {
    fn say(&mut self, dialog: &mut Dialog, word: Word, pending: Pending) {
        self.next += 1;
        self.all.insert(self.next, pending);
        dialog.say(self.next, word, Instant::now());
    }
}

impl Way {
    /// Whether its maker is vouched for by somebody real.
    async fn add(self, at: SocketAddr, payload: SetupPayload, tests: bool) -> Result<bool, End> {
        let own = Trust::of_folder(&self.roots).map_err(|why| End::Refused(Refused::NotCertified(why)))?;
        let real = (!own.makers.is_empty() || !tests).then_some((own, true));
        let made_up = tests.then(|| (Trust::of_tests(), false));
        let mut why = String::new();
        for (trust, certified) in real.into_iter().chain(made_up) {
            let line = Line::open(&self.law, &self.device, at).await?;
            let cancelled = line.cancelled();
            let added = commission::add(&line, &self.fabric, &trust, self.sky.clone(), &payload, self.node).await;
            if matches!(added, Err(NotAdded::Code)) {
                line.give_up_handshake().await;
            }
            line.close();
            match added {
                Ok(()) => return Ok(certified),
                Err(_) if cancelled.is_cancelled() => return Err(End::Denied(WITHDRAWN.to_owned())),
                Err(NotAdded::NotCertified(said)) => why = said,
                Err(NotAdded::Code) => return Err(End::Refused(Refused::Code)),
                Err(NotAdded::Busy) => return Err(End::Busy),
                Err(NotAdded::Silent) => return Err(End::Lost("it did not answer".to_owned(), Outcome::Silent)),
                Err(NotAdded::Failed(why)) => return Err(End::Lost(why.clone(), Outcome::Failed(why))),
            }
        }
        Err(End::Refused(Refused::NotCertified(why)))
    }

    /// A session with it, and the way that it goes.
    async fn session(self, at: SocketAddr, patience: MrpConfig) -> Result<(Line, Dialog), End> {
        let line = Line::open(&self.law, &self.device, at).await?;
        let cancelled = line.cancelled();
        match self.handshake(&line, patience).await {
            Ok(dialog) => Ok((line, dialog)),
            Err(end) => {
                line.close();
                Err(if cancelled.is_cancelled() { End::Denied(WITHDRAWN.to_owned()) } else { end })
            }
        }
    }

    async fn handshake(&self, line: &Line, patience: MrpConfig) -> Result<Dialog, End> {
        let failed = |why: String| End::Lost(why.clone(), Outcome::Failed(why));
        let (credentials, roots) = self.fabric.credentials().map_err(failed)?;
        let mut id = [0; 2];
        let _ = getrandom::fill(&mut id);
        let id = u16::from_ne_bytes(id).max(1);
        let options = CaseEstablishOptions::new(id, credentials, roots, self.node, self.fabric.id(), fabric::now())
            .with_peer_mrp(patience);
        let made = Box::pin(run_case_establish_with(line, line.at(), options));
        let made = tokio::select! {
            made = tokio::time::timeout(SESSION_WITHIN, made) => made,
            () = line.is_mute(ANSWER_WITHIN.max(patience.initial_idle * 3)) => {
                return Err(End::Lost("it did not answer".to_owned(), Outcome::Silent));
            }
        };
        match made {
            Ok(Ok(made)) => {
                let patience = made.peer_session_params.map_or(patience, |said| patience.merge_session_params(&said));
                Ok(Dialog::new(&made.output, patience, Instant::now()))
            }
            // It knows no fabric of ours (4.11.1.3: NO_SHARED_TRUST_ROOTS).
            Ok(Err(DriverError::SessionEstablishmentFailed { protocol_code: 1, .. })) => {
                Err(End::Refused(Refused::Forgotten))
            }
            Ok(Err(DriverError::Timeout { .. })) | Err(_) => {
                Err(End::Lost("it did not answer".to_owned(), Outcome::Silent))
            }
            Ok(Err(error)) => Err(failed(accord_model::text::for_screen(&error.to_string(), 300))),
        }
    }
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self) {
        let mut house = Node::new(self.way.device.clone());
        self.live(&mut house).await;
        self.orders.close();
        let away = CallError::Unreachable("the device is not asked any more".to_owned());
        self.refuse_waiting(&away, &Outcome::Silent).await;
        let gone = house.ids().filter(|id| **id != self.way.device);
        let gone: Vec<FromBridge> = gone.map(|id| FromBridge::Gone { device: id.clone() }).collect();
        self.tell(gone).await;
    }

    async fn live(&mut self, house: &mut Node) {
        let stop = self.stop.clone();
        loop {
            if !stop.run_until_cancelled(self.allowed()).await.unwrap_or_default() {
                return;
            }
            let began = Instant::now();
            let end = match &self.adding {
                Some(_) => self.add().await,
                None => self.meet(house).await,
            };
            let goes_on = match end {
                End::Gone => return,
                End::Again => true,
                End::Denied(why) => {
                    self.refuse_waiting(&CallError::NotConsented(why), &Outcome::Silent).await;
                    self.say(Saying::Quiet).await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    stop.run_until_cancelled(tokio::time::sleep(DENIED)).await.is_some()
                }
                End::Refused(refused) => {
                    let why = in_words(&refused);
                    self.say(Saying::Refused(refused)).await;
                    stop.run_until_cancelled(self.refused(why)).await.is_some()
                }
                End::Busy => {
                    let why = "it is still busy with an attempt before, for up to a minute".to_owned();
                    self.lost(why, Outcome::Failed("busy".to_owned()), true, began).await
                }
                End::Lost(why, outcome) => self.lost(why, outcome, false, began).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn lost(&mut self, why: String, outcome: Outcome, busy: bool, began: Instant) -> bool {
        self.failures = if began.elapsed() > STEADY && !busy { 1 } else { self.failures.saturating_add(1) };
        tracing::debug!(device = %self.way.device, "no session: {why}");
        self.refuse_waiting(&CallError::Unreachable(why.clone()), &outcome).await;
        self.say(Saying::Down(why, outcome, busy)).await;
        let pause = AGAIN.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(AGAIN_AT_MOST);
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.rest(pause)).await.unwrap_or_default()
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.way.law.controls(&self.way.device);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.recv() => {
                    let Some(order) = order else { return false };
                    let refusal = self.way.law.may_control(&self.way.device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.waiting.push(order);
                    let outcome = Outcome::Failed("you have not agreed that it is spoken to".to_owned());
                    self.refuse_waiting(&CallError::NotConsented(why), &outcome).await;
                }
            }
        }
    }

    /// Nothing is tried until the owner does something.
    async fn refused(&mut self, why: String) {
        let outcome = Outcome::Failed(why.clone());
        self.refuse_waiting(&CallError::Refused(why.clone()), &outcome).await;
        while let Some(order) = self.orders.recv().await {
            self.waiting.push(order);
            self.refuse_waiting(&CallError::Refused(why.clone()), &outcome).await;
        }
        std::future::pending().await
    }

    /// Rests before it is tried again; only for [`AT_LEAST`] once it is announced anew or somebody wants something. `false`: it
    /// is over.
    async fn rest(&mut self, pause: Duration) -> bool {
        let began = tokio::time::Instant::now();
        let mut until = began + pause;
        let before = self.announced().map(|(_, _, times)| times);
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let Some(order) = order else { return false };
                    until = until.min(began + AT_LEAST);
                    self.wait(order).await;
                }
                Ok(()) = self.way.sky.changed() => {
                    if self.announced().map(|(_, _, times)| times) != before {
                        until = until.min(began + AT_LEAST);
                    }
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    /// Keeps an order for when there is a session.
    async fn wait(&mut self, order: Order) {
        match order {
            Order::Call(call, ..) | Order::Share(call, _) if self.waiting.len() >= MOST_WAITING => {
                self.reply(call, Err(busy())).await;
            }
            // Without a session it is not told.
            Order::Leave(call) => self.say(Saying::Left(call)).await,
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
                Order::Call(call, ..) | Order::Share(call, _) => self.reply(call, Err(error.clone())).await,
                Order::Try(call) => self.tried(call, outcome.clone()).await,
                Order::Leave(call) => self.say(Saying::Left(call)).await,
            }
        }
    }

    async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(vec![FromBridge::Reply { call, outcome }]).await;
    }

    async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = self.at.map(|address| Fact::Tried { address, outcome });
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    async fn tell(&self, messages: Vec<FromBridge>) {
        if !messages.is_empty() {
            let _ = self.heard.send(Heard::Told { node: self.way.device.clone(), messages }).await;
        }
    }

    async fn say(&self, saying: Saying) {
        let (node, hand) = (self.way.device.clone(), self.number);
        let _ = self.heard.send(Heard::Said { node, hand, saying }).await;
    }

    /// Where it is announced, how patient one has to be, and how often it came.
    fn announced(&mut self) -> Option<(Vec<SocketAddr>, MrpConfig, u64)> {
        let name = node_name(self.way.fabric.compressed(), self.way.node);
        let sky = self.way.sky.borrow_and_update();
        let node = sky.nodes.get(&name)?;
        Some((in_order(node.at.clone()), node.patience, node.times))
    }

    // -- adding it ----------------------------------------------------------------------------------

    /// Waits until somebody is here whom the code may be for, and gives them their place.
    async fn add(&mut self) -> End {
        let Some(adding) = &self.adding else { return End::Gone };
        let (wanted, tests) = (adding.code.discriminator, adding.tests);
        let payload = match commission::payload(&adding.code) {
            Ok(payload) => payload,
            Err(why) => return End::Lost(why.clone(), Outcome::Failed(why)),
        };
        let all = loop {
            let all = self.way.sky.borrow_and_update().waits(|advert| wanted.fits(advert.discriminator));
            if !all.is_empty() {
                break all;
            }
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let Some(order) = order else { return End::Gone };
                    self.waiting.push(order);
                    let why = "no device with this code waits for being added".to_owned();
                    self.refuse_waiting(&CallError::Unreachable(why), &Outcome::Silent).await;
                }
                Ok(()) = self.way.sky.changed() => {}
                () = self.stop.cancelled() => return End::Gone,
            }
        };
        let mut end = End::Lost("it does not answer".to_owned(), Outcome::Silent);
        for at in all.into_iter().flat_map(|places| places.into_iter().enumerate()) {
            let (nth, at) = at;
            // A device that answered is not asked again elsewhere. Another one may have the same few bits of a code.
            if nth > 0 && !matches!(&end, End::Lost(_, Outcome::Silent)) {
                continue;
            }
            self.at = Some(at);
            let adding = self.way.clone().add(at, payload.clone(), tests);
            let Some(added) = self.meanwhile(adding, "it is being added just now").await else { return End::Gone };
            match added {
                Ok(certified) => {
                    (self.adding, self.failures) = (None, 0);
                    self.say(Saying::Joined(at, certified)).await;
                    return End::Again;
                }
                Err(other @ (End::Lost(..) | End::Refused(_))) => end = other,
                Err(other) => return other,
            }
        }
        end
    }

    // -- while there is a session -------------------------------------------------------------------

    /// Makes a session with it, where it is announced or was last, and holds it.
    async fn meet(&mut self, house: &mut Node) -> End {
        let announced = self.announced();
        let patience = announced.as_ref().map_or_else(|| MrpConfig::for_peer(None, None, None), |(_, mrp, _)| *mrp);
        let mut places = announced.map(|(at, ..)| at).unwrap_or_default();
        places.extend(self.at.filter(|at| !places.contains(at)));
        let mut end = End::Lost("it is not announced in this network".to_owned(), Outcome::Silent);
        for at in places {
            self.at = Some(at);
            let session = self.way.clone().session(at, patience);
            match self.meanwhile(session, "a session with it is being made just now").await {
                Some(Ok((line, dialog))) => {
                    let end = self.hold(&line, dialog, house).await;
                    line.close();
                    return end;
                }
                Some(Err(lost @ End::Lost(..))) => end = lost,
                Some(Err(other)) => return other,
                None => return End::Gone,
            }
        }
        end
    }

    /// Does that, and hears orders in the meantime: they wait, and who asks why is told.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>, why: &str) -> Option<T> {
        let stop = self.stop.clone();
        let mut what = pin!(what);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut what => return Some(done),
                order = self.orders.recv() => match order {
                    None => return None,
                    Some(Order::Try(call)) => self.tried(call, Outcome::Failed(why.to_owned())).await,
                    Some(order) => self.wait(order).await,
                },
            }
        }
    }

    async fn hold(&mut self, line: &Line, mut dialog: Dialog, house: &mut Node) -> End {
        let mut said = Said::default();
        dialog.subscribe(Instant::now());
        house.begin();
        let mut held = Held { ready: false, fabric: None, leaving: None };
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
                Pending::Call(call, _) | Pending::Share(call, _) => self.reply(call, Err(error.clone())).await,
                Pending::Leave => {}
            }
        }
        if let Some((call, _)) = held.leaving {
            self.say(Saying::Left(call)).await;
        }
        dialog.close(Instant::now());
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
            for order in std::mem::take(&mut self.waiting) {
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
        let late = self.waiting.iter().filter_map(Order::until).min();
        let leaving = held.leaving.as_ref().map(|(_, until)| *until);
        let wake = [dialog.wake(), late, leaving].into_iter().flatten().min();
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Some(End::Gone),
            order = self.orders.recv() => match order {
                None => Some(End::Gone),
                Some(order) => {
                    self.order(order, dialog, house, said, held).await;
                    None
                }
            },
            received = line.recv_from() => match received {
                Ok((bytes, _)) => {
                    dialog.datagram(&bytes, Instant::now());
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
                dialog.timeout(now);
                self.drop_late(now).await;
                leaving.is_some_and(|until| until <= now).then_some(End::Gone)
            }
        }
    }

    /// What is announced changed: is it elsewhere, or did it begin anew?
    fn looked(&mut self, at: SocketAddr, dialog: &mut Dialog) {
        let open = self.way.sky.borrow().open;
        let times = self.announced();
        let is_here = times.as_ref().is_some_and(|(places, ..)| places.contains(&at));
        let times = times.map(|(.., times)| times);
        if open && (!is_here || times != self.sky_times) {
            self.sky_times = times;
            dialog.doubt(Instant::now());
        }
    }

    async fn drop_late(&mut self, now: Instant) {
        let (late, waiting): (Vec<Order>, Vec<Order>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|order| order.until().is_some_and(|until| until <= now));
        self.waiting = waiting;
        for order in late {
            if let Order::Call(call, ..) | Order::Share(call, _) = order {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
        }
    }

    async fn order(&mut self, order: Order, dialog: &mut Dialog, house: &mut Node, said: &mut Said, held: &mut Held) {
        match order {
            Order::Try(call) => self.tried(call, Outcome::Answered).await,
            Order::Call(call, .., term) | Order::Share(call, term) if term.is_over(Instant::now()) => {
                self.reply(call, Err(CallError::Deadline(BEGUN_WITHIN.as_secs()))).await;
            }
            order if !held.ready && !matches!(order, Order::Leave(_)) => self.wait(order).await,
            Order::Leave(call) => {
                held.leaving = Some((call, Instant::now() + LEAVE_WITHIN));
                let path = CommandPath { endpoint: 0, cluster: CREDENTIALS, command: REMOVE_FABRIC };
                match held.fabric.map(|index| Value::Struct(vec![(0, Value::Uint(index))]).encode()) {
                    Some(Ok(fields)) => {
                        said.say(dialog, Word::Invoke { path, fields, timed: false }, Pending::Leave);
                    }
                    _ => held.leaving = Some((call, Instant::now())),
                }
            }
            Order::Share(call, _) => match share::open() {
                Ok((word, code)) => said.say(dialog, word, Pending::Share(call, code)),
                Err(why) => self.reply(call, Err(CallError::Device(why))).await,
            },
            Order::Call(call, device, target, verb, _) => match house.order(&device, &target, verb, Timestamp::now()) {
                Ok(Wanted::Read(values)) => self.reply(call, Ok(values)).await,
                Ok(Wanted::Send(commands)) => {
                    let words: Result<VecDeque<Word>, CallError> = commands.iter().map(word).collect();
                    match words.map(|mut words| (words.pop_front(), words)) {
                        Ok((Some(first), rest)) => said.say(dialog, first, Pending::Call(call, rest)),
                        Ok((None, _)) => self.reply(call, Ok(Outputs::new())).await,
                        Err(error) => self.reply(call, Err(error)).await,
                    }
                }
                Err(error) => self.reply(call, Err(error)).await,
            },
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
                let read = values.into_iter().filter_map(|(path, value)| {
                    let path = Path::new(path.endpoint, path.cluster, path.attribute);
                    Some((path, Some(Value::of(&value).ok()?)))
                });
                let mut told = house.report(read, now);
                if all {
                    let more = house.complete(now);
                    told.gone.extend(more.gone);
                    told.values.extend(more.values);
                    // Their reach is told anew.
                    told.seen = house.ids().cloned().collect();
                }
                self.told(told, house).await;
                // What happened before we looked is over.
                for event in events.into_iter().filter(|_| !all) {
                    self.happened(event, house).await;
                }
                None
            }
            Event::Subscribed => {
                (held.ready, self.failures) = (true, 0);
                self.sky_times = self.announced().map(|(.., times)| times);
                self.say(Saying::Up(line.at())).await;
                for order in std::mem::take(&mut self.waiting) {
                    self.order(order, dialog, house, said, held).await;
                }
                None
            }
            Event::Done(tag, outcome) => self.done(tag, outcome, dialog, said).await,
            Event::Over(why) => Some(End::Lost(why, Outcome::Mute)),
        }
    }

    async fn done(
        &mut self,
        tag: u64,
        outcome: Result<Vec<u8>, Trouble>,
        dialog: &mut Dialog,
        said: &mut Said,
    ) -> Option<End> {
        match (said.all.remove(&tag)?, outcome) {
            (Pending::Leave, _) => return Some(End::Gone),
            (Pending::Call(call, mut rest), Ok(_)) => match rest.pop_front() {
                Some(next) => said.say(dialog, next, Pending::Call(call, rest)),
                None => self.reply(call, Ok(Outputs::new())).await,
            },
            (Pending::Share(call, code), Ok(_)) => {
                self.reply(call, Ok(Outputs::from([("code".to_owned(), Data::Text(code))]))).await;
            }
            (Pending::Call(call, _) | Pending::Share(call, _), Err(trouble)) => {
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

/// What is known of a session.
struct Held {
    /// All that it has is known.
    ready: bool,
    /// Our number among its fabrics.
    fabric: Option<u64>,
    /// It is to forget us: who waits for that, and how long.
    leaving: Option<(CallId, Instant)>,
}

impl Order {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Call(.., term) | Self::Share(_, term) => Some(term.until),
            Self::Try(_) | Self::Leave(_) => None,
        }
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
    let (endpoint, cluster, timed) = (command.endpoint, command.cluster, command.timed_ms.is_some());
    Ok(match &command.what {
        What::Invoke { command, .. } => {
            Word::Invoke { path: CommandPath { endpoint, cluster, command: *command }, fields: data, timed }
        }
        What::Write { attribute, .. } => {
            Word::Write { path: AttributePath { endpoint, cluster, attribute: *attribute }, value: data, timed }
        }
    })
}

fn busy() -> CallError {
    CallError::Unreachable("the device has not done yet what was wanted before".to_owned())
}

fn in_words(refused: &Refused) -> String {
    match refused {
        Refused::Code => "that is not its code".to_owned(),
        Refused::NotCertified(why) => format!("it was not added: {why}"),
        Refused::Forgotten => "it does not know this machine any more".to_owned(),
    }
}

/// What the device's reason means for whoever asked.
fn failed(trouble: Trouble) -> CallError {
    match trouble {
        Trouble::Late => CallError::Unreachable(trouble.to_string()),
        Trouble::Busy => busy(),
        Trouble::Status(0x81 | 0x86 | 0xc3 | 0x7f) => CallError::Unsupported(trouble.to_string()),
        Trouble::Status(0x85 | 0x87) => CallError::BadInput(trouble.to_string()),
        Trouble::Status(0x7e) => CallError::Refused(trouble.to_string()),
        trouble => CallError::Device(trouble.to_string()),
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
