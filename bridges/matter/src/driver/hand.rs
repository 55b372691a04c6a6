//! One device that the owner added: added by its code when it is here, spoken to as soon as the owner agrees and again when
//! that breaks, later each time; and what the device has, which outlives a session.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Target, Verb};
use accord_ports::hand::{self, Asks, Failures, Orders, Pace, Term};
use matter_transport::MrpConfig;
use tokio::sync::mpsc;

use super::add::NotIts;
use super::mind::{Heard, Saying};
use super::nodes::Refused;
use super::sky::in_order;
use super::trust::Trust;
use super::way::{End, Way};
use crate::core::advert::node_name;
use crate::core::code::Code;
use crate::core::node::Node;

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// After an announcement, or for whoever wants something, it is tried sooner, but not at once: anybody can announce. It may be
/// away for days.
const PACE: Pace = Pace::USUAL;
/// The same for what it refused: a word that anybody near can say in its place.
const REFUSED: Duration = Duration::from_secs(60);
const REFUSED_AT_MOST: Duration = Duration::from_secs(900);
const REFUSED_AT_LEAST: Duration = Duration::from_secs(5);
/// How often it is looked whether the owner put another root into the folder.
const TRUST_EVERY: Duration = Duration::from_secs(5);
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

impl hand::Order for Order {
    fn asks(&self) -> Asks {
        match self {
            Self::Call(call, ..) | Self::Share(call, _) => Asks::Call(*call),
            Self::Try(call) => Asks::Why(*call),
            // Without a session it is answered at once.
            Self::Leave(_) => Asks::Nothing,
        }
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
    /// Where it was tried last.
    pub at: Option<SocketAddr>,
    /// Where it was when it proved last who it is: what is announced does not change that.
    pub known: Option<SocketAddr>,
    pub orders: Orders<Order>,
    pub heard: mpsc::Sender<Heard>,
    pub failures: Option<Failures>,
    /// How often it was refused, one after the other.
    pub refusals: u32,
    /// Since when it tells of changes, or did in the last session.
    pub since: Option<Instant>,
    /// Whose code it is not.
    pub not_its: NotIts,
    /// The owner removed it while it was away: it is spoken to for giving up its place, and nothing is told of it.
    pub leaving: bool,
    /// Whether it was announced where it was spoken to when that was last looked at, and how often it had come.
    pub looked_at: Option<(bool, Option<u64>)>,
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self) {
        let mut house = Node::new(self.way.device.clone());
        self.live(&mut house).await;
        self.way.leases.close();
        let (left, away) = (self.orders.close(), "the device is not asked any more".to_owned());
        self.refuse(left, &CallError::Unreachable(away), &Outcome::Silent).await;
        let gone = house.ids().filter(|id| **id != self.way.device);
        let gone: Vec<FromBridge> = gone.map(|id| FromBridge::Gone { device: id.clone() }).collect();
        self.tell(gone).await;
    }

    async fn live(&mut self, house: &mut Node) {
        let stop = self.orders.stop();
        loop {
            if !stop.run_until_cancelled(self.allowed()).await.unwrap_or_default() {
                return;
            }
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
                // It gave up its place already, as far as it says.
                End::Refused(Refused::Forgotten) if self.leaving => {
                    self.say(Saying::Left(None, true)).await;
                    return;
                }
                End::Refused(refused) => {
                    self.say(Saying::Refused(refused.clone())).await;
                    stop.run_until_cancelled(self.refused(&refused)).await.unwrap_or_default()
                }
                End::Busy => {
                    let why = "it is still busy with an attempt before, for up to a minute".to_owned();
                    self.lost(why, Outcome::Failed("busy".to_owned()), true).await
                }
                End::Lost(why, outcome) => self.lost(why, outcome, false).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn lost(&mut self, why: String, outcome: Outcome, busy: bool) -> bool {
        // How long an attempt took that came to nothing says nothing.
        let lasted = self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let failures = Failures::again(Failures::after(self.failures, lasted));
        self.failures = Some(failures);
        tracing::debug!(device = %self.way.device, "no session: {why}");
        self.refuse_waiting(&CallError::Unreachable(why.clone()), &outcome).await;
        self.say(Saying::Down(why, outcome, busy)).await;
        let stop = self.orders.stop();
        stop.run_until_cancelled(self.rest(PACE.pause(failures))).await.unwrap_or_default()
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.way.law.controls(&self.way.device);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    let refusal = self.way.law.may_control(&self.way.device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.orders.push(order);
                    let outcome = Outcome::Failed("you have not agreed that it is spoken to".to_owned());
                    self.refuse_waiting(&CallError::NotConsented(why), &outcome).await;
                }
            }
        }
    }

    /// What stood in the way may not do so any more, and who said that it does may have been anybody near. It is tried again
    /// after a long while, when it announces itself anew, and when the owner did something. `false`: it is over.
    async fn refused(&mut self, refused: &Refused) -> bool {
        let why = in_words(refused);
        let (error, outcome) = (CallError::Refused(why.clone()), Outcome::Failed(why));
        self.refuse_waiting(&error, &outcome).await;
        self.refusals = self.refusals.saturating_add(1);
        let pause = REFUSED.saturating_mul(1 << self.refusals.saturating_sub(1).min(6)).min(REFUSED_AT_MOST);
        let began = tokio::time::Instant::now();
        let mut until = began + pause;
        let before = self.omens();
        // Each attempt to add it holds it up for a minute, after which it may announce itself anew by itself.
        let sooner = match refused {
            Refused::Forgotten | Refused::Code => Some(REFUSED_AT_LEAST),
            Refused::NoPlace(_) => Some(REFUSED),
            Refused::NotCertified(_) => None,
        };
        let mut consent = self.way.law.controls(&self.way.device);
        let mut look = tokio::time::interval(TRUST_EVERY);
        let mut mark = None;
        loop {
            tokio::select! {
                biased;
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    let is_asked = matches!(order, Order::Try(_)) && *refused == Refused::Forgotten;
                    self.orders.push(order);
                    if is_asked {
                        until = until.min(began + REFUSED_AT_LEAST);
                    } else {
                        self.refuse_waiting(&error, &outcome).await;
                    }
                }
                Ok(()) = self.way.sky.changed(), if sooner.is_some() => {
                    if self.omens() != before {
                        until = until.min(began + sooner.unwrap_or(pause));
                    }
                }
                () = consent.ended() => return true,
                _ = look.tick(), if matches!(refused, Refused::NotCertified(_)) => {
                    let now = Trust::mark(self.way.roots.clone()).await;
                    if *mark.get_or_insert(now) != now {
                        return true;
                    }
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    /// What of all that is announced says that it is worth another try.
    fn omens(&mut self) -> (Option<u64>, Vec<String>) {
        let times = self.announced().map(|(_, _, times)| times);
        (times, self.candidates().into_iter().map(|(name, _)| name).collect())
    }

    /// Rests before it is tried again; only for a moment once it is announced anew or somebody wants something. `false`: it
    /// is over.
    async fn rest(&mut self, pause: Duration) -> bool {
        let began = tokio::time::Instant::now();
        let mut until = began + pause;
        let before = self.announced().map(|(_, _, times)| times);
        loop {
            tokio::select! {
                biased;
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    until = until.min(began + PACE.wanted);
                    self.wait(order).await;
                }
                Ok(()) = self.way.sky.changed() => {
                    if self.announced().map(|(_, _, times)| times) != before {
                        until = until.min(began + PACE.wanted);
                    }
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    /// Keeps an order for when there is a session.
    pub(super) async fn wait(&mut self, order: Order) {
        if let Order::Leave(call) = order {
            self.say(Saying::Left(Some(call), false)).await;
        } else if let Some(call) = self.orders.keep(order) {
            self.reply(call, Err(busy())).await;
        }
    }

    /// Everything that was ordered until now has the same answer: it is not tried anew for each.
    pub(super) async fn refuse_waiting(&mut self, error: &CallError, outcome: &Outcome) {
        let all = self.orders.everything();
        self.refuse(all, error, outcome).await;
    }

    async fn refuse(&self, orders: Vec<Order>, error: &CallError, outcome: &Outcome) {
        for order in orders {
            match order {
                Order::Call(call, ..) | Order::Share(call, _) => self.reply(call, Err(error.clone())).await,
                Order::Try(call) => self.tried(call, outcome.clone()).await,
                Order::Leave(call) => self.say(Saying::Left(Some(call), false)).await,
            }
        }
    }

    pub(super) async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(vec![FromBridge::Reply { call, outcome }]).await;
    }

    pub(super) async fn tried(&self, call: CallId, outcome: Outcome) {
        let fact = self.at.map(|address| Fact::Tried { address, outcome });
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    /// Whoever asks why is told what is being done.
    pub(super) async fn under_way(&self, call: CallId, what: &str) {
        let fact = Some(Fact::UnderWay { what: what.to_owned() });
        let _ = self.heard.send(Heard::Tried { call, fact }).await;
    }

    pub(super) async fn tell(&self, messages: Vec<FromBridge>) {
        if !messages.is_empty() {
            let _ = self.heard.send(Heard::Told { node: self.way.device.clone(), messages }).await;
        }
    }

    pub(super) async fn say(&self, saying: Saying) {
        let (node, hand) = (self.way.device.clone(), self.number);
        let _ = self.heard.send(Heard::Said { node, hand, saying }).await;
    }

    /// Where it is announced, how patient one has to be, and how often it came.
    pub(super) fn announced(&mut self) -> Option<(Vec<SocketAddr>, MrpConfig, u64)> {
        let name = node_name(self.way.fabric.compressed(), self.way.node);
        let sky = self.way.sky.borrow_and_update();
        let node = sky.nodes.get(&name)?;
        Some((in_order(node.at.clone()), node.patience, node.times))
    }

    /// How it is announced now, for [`Hand::looked_at`].
    pub(super) fn look(&mut self, at: SocketAddr) -> Option<(bool, Option<u64>)> {
        let announced = self.announced();
        let is_here = announced.as_ref().is_some_and(|(places, ..)| places.contains(&at));
        Some((is_here, announced.map(|(.., times)| times)))
    }

    // -- while there is a session -------------------------------------------------------------------

    /// Makes a session with it, where it is announced or was last, and holds it.
    async fn meet(&mut self, house: &mut Node) -> End {
        let announced = self.announced();
        let patience = announced.as_ref().map_or_else(|| MrpConfig::for_peer(None, None, None), |(_, mrp, _)| *mrp);
        let said = announced.map(|(at, ..)| at).unwrap_or_default();
        let last = self.known.filter(|at| !said.contains(at));
        let mut end = End::Lost("it is not announced in this network".to_owned(), Outcome::Silent);
        for at in said.iter().copied().chain(last) {
            self.at = Some(at);
            let session = self.way.clone().session(at, patience);
            let other = match self.meanwhile(session, "a session with it is being made just now").await {
                Some(Ok((line, dialog))) => {
                    (self.known, self.refusals) = (Some(at), 0);
                    let end = self.hold(&line, dialog, house).await;
                    line.close();
                    return end;
                }
                // Who is there now may be another one, which tells the truth.
                Some(Err(End::Refused(_))) if Some(at) == last => {
                    let why = "it is not announced in this network, and what is where it was last does not know this machine: it \
                               was reset or has removed this machine, or another device has its address now"
                        .to_owned();
                    End::Lost(why.clone(), Outcome::Failed(why))
                }
                Some(Err(other @ (End::Lost(..) | End::Refused(_)))) => other,
                Some(Err(other)) => return other,
                None => return End::Gone,
            };
            end = end.or(other);
        }
        end
    }

    /// Does that, and hears orders in the meantime: they wait, and who asks why is told.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>, why: &str) -> Option<T> {
        let stop = self.orders.stop();
        let mut what = pin!(what);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut what => return Some(done),
                order = self.orders.next() => match order {
                    None => return None,
                    Some(Order::Try(call)) => self.tried(call, Outcome::Failed(why.to_owned())).await,
                    Some(order) => self.wait(order).await,
                },
            }
        }
    }
}

impl Order {
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Call(.., term) | Self::Share(_, term) => Some(term.until()),
            Self::Try(_) | Self::Leave(_) => None,
        }
    }
}

pub(super) fn busy() -> CallError {
    CallError::Unreachable("the device has not done yet what was wanted before".to_owned())
}

pub(super) fn in_words(refused: &Refused) -> String {
    match refused {
        Refused::Code => "that is not its code".to_owned(),
        Refused::NoPlace(why) | Refused::NotCertified(why) => format!("it was not added: {why}"),
        Refused::Forgotten => "it does not know this machine any more".to_owned(),
    }
}
