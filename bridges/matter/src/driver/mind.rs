//! One task that holds every decision. What it hears comes from the core of the house, from the network, from the hands
//! and from the clock; what it decides goes to them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Network;
use accord_model::why::{Fact, Outcome};
use accord_model::{
    CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs, Reach, Target, Timestamp, ToBridge, Verb,
};
use accord_ports::dns_sd::{Browsing, Seen};
use accord_ports::hand::{Hands, Place, Term};
use accord_ports::law::Searching;
use accord_ports::{Inbox, Outbox};
use tokio::sync::{mpsc, watch};

use super::add::NotIts;
use super::fabric::Fabric;
use super::hand::{Adding, Hand, Order};
use super::law::{self, Law};
use super::line::Leases;
use super::nodes::{Nodes, Refused};
use super::sky::Sky;
use super::way::Way;
use crate::core::advert::{COMMISSIONABLE, OPERATIONAL, node_name};
use crate::core::code::Code;

/// Orders that a hand has not followed yet.
const ORDERS: usize = 64;
/// What waits for the mind.
const QUEUE: usize = 256;
const END_WITHIN: Duration = Duration::from_secs(2);
/// What was begun in time is answered or given up within this time.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// What the tasks tell the mind.
pub(crate) enum Heard {
    Said {
        node: DeviceId,
        hand: u64,
        saying: Saying,
    },
    /// For the house.
    Told {
        node: DeviceId,
        messages: Vec<FromBridge>,
    },
    /// Without a fact: no address of it is known.
    Tried {
        call: CallId,
        fact: Option<Fact>,
    },
}

/// What a hand says of its device.
pub(crate) enum Saying {
    /// It has its place in the fabric, there; whether its maker is vouched for.
    Joined(SocketAddr, bool),
    /// That is all that it is, itself among it.
    Has(Vec<DeviceId>),
    /// It tells of changes.
    Up(SocketAddr),
    /// It is not to be spoken to before the owner does something.
    Refused(Refused),
    /// It may not be spoken to now.
    Quiet,
    /// There is no session, why, and whether an attempt before holds it up.
    Down(String, Outcome, bool),
    /// It forgot us, or was not reached for that; who waits for it, and whether there is nothing more to be done.
    Left(Option<CallId>, bool),
}

pub(crate) struct Mind {
    pub law: Law,
    pub network: Network,
    folder: PathBuf,
    pub fabric: Arc<Fabric>,
    pub nodes: Nodes,
    pub outbox: Outbox,
    heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    pub near: Option<Browsing>,
    pub sky: watch::Sender<Sky>,
    pub searching: Searching,
    pub hands: Hands<Order>,
    /// Which node what is behind one is of, and whether that reaches it.
    pub things: HashMap<DeviceId, (DeviceId, Reach)>,
    /// Orders that have no answer yet.
    calls: HashMap<CallId, Term>,
    /// Devices that are asked just now why they, or what is behind them, are not reached.
    pub asked: HashMap<CallId, (DeviceId, DeviceId)>,
}

impl Mind {
    pub(crate) fn new(
        law: Law,
        network: Network,
        folder: PathBuf,
        fabric: Fabric,
        nodes: Nodes,
        outbox: Outbox,
    ) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        Self {
            law,
            network,
            folder,
            fabric: Arc::new(fabric),
            nodes,
            outbox,
            heard,
            inbox,
            near: None,
            sky: watch::channel(Sky::default()).0,
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            things: HashMap::new(),
            calls: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// What was known before the start: which thing is behind which device.
    pub(crate) fn remembering(mut self, before: Vec<(DeviceId, DeviceId)>) -> Self {
        self.things.extend(before.into_iter().map(|(thing, node)| (thing, (node, Reach::Offline))));
        self
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut orders: Inbox) {
        for id in self.nodes.given_up(Timestamp::now()) {
            self.give_up(&id).await;
        }
        self.outbox.tell(self.nodes.all()).await;
        for id in self.nodes.all_added() {
            self.take(&id).await;
        }
        loop {
            tokio::select! {
                biased;
                message = orders.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                Some(heard) = self.inbox.recv() => self.hear(heard).await,
                seen = next(&mut self.near) => self.seen(seen).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
            }
        }
        if let Some(near) = self.near.take() {
            near.close();
        }
        // What the hands still say is heard, so that none of them waits; that a device has its place is not lost.
        let ended = {
            let heard = async {
                while let Some(heard) = self.inbox.recv().await {
                    if let Heard::Said { node, saying: Saying::Joined(at, certified), .. } = heard {
                        self.nodes.joined(&node, at, certified);
                    }
                }
            };
            tokio::select! {
                ended = self.hands.end(END_WITHIN) => ended,
                () = heard => true,
            }
        };
        if !ended {
            tracing::warn!("a session with a Matter device did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "Matter devices").await else { return };
        let services = [COMMISSIONABLE, OPERATIONAL];
        // Devices of Thread are behind their border router, which announces them here.
        let near = Browsing::open(near, self.network, law::SEARCH, &services).await.behind_routers();
        self.near = Some(near);
        self.sky.send_modify(|sky| sky.open = true);
    }

    async fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Over => {
                if let Some(near) = self.near.take() {
                    near.close();
                }
                self.searching.ended();
                self.sky.send_modify(Sky::close);
            }
            Seen::Here { instance, at } => self.sky.send_modify(|sky| sky.here(&instance, at)),
            Seen::Gone { service, name } => self.sky.send_modify(|sky| sky.gone(&service, &name)),
        }
        let told = self.nodes.waits(&self.sky.borrow());
        self.outbox.tell(told).await;
    }

    /// Looks once more who is here.
    pub(super) fn search(&mut self) {
        if let Some(near) = &mut self.near {
            near.refresh();
        }
    }

    /// Somebody there has been added, and may not say that nobody waits there any more.
    fn joined_at(&mut self, ip: IpAddr) {
        let sky = self.sky.borrow();
        let there = sky.waiting.iter().filter(|(_, waiting)| waiting.at.iter().any(|at| at.ip() == ip));
        for (name, _) in there {
            if let Some(near) = &mut self.near {
                near.doubt(COMMISSIONABLE, name);
            }
        }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Tried { call, fact } => self.tried(call, fact).await,
            Heard::Told { node, messages } => {
                let mut told = Vec::new();
                for mut message in messages {
                    if let FromBridge::Seen { device } = &mut message {
                        self.nodes.behind(&node, device);
                    }
                    match &message {
                        FromBridge::Seen { device } if device.id == node => {
                            told.extend(self.nodes.described(&node, device.clone()));
                            continue;
                        }
                        FromBridge::Seen { device } => {
                            self.things.insert(device.id.clone(), (node.clone(), device.reach));
                        }
                        FromBridge::Gone { device } => drop(self.things.remove(device)),
                        FromBridge::Values { device, target, values } if *device == node => {
                            self.nodes.values(&node, target, values);
                        }
                        FromBridge::Reply { call, .. } => drop(self.calls.remove(call)),
                        _ => {}
                    }
                    told.push(message);
                }
                self.outbox.tell(told).await;
            }
            Heard::Said { node, hand, saying } => {
                // What an earlier hand said is of no interest.
                if self.hands.is_current(&node, hand) {
                    self.said(&node, saying).await;
                }
            }
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added device gets a hand, and a new one when anything about it is new.
    pub(super) async fn take(&mut self, id: &DeviceId) {
        self.let_go(id).await;
        let Some(added) = self.nodes.added(id) else { return };
        let leaving = added.left.is_some();
        let code = added.code.as_ref().map(|code| Code::parse(code));
        let adding = match code.transpose() {
            Ok(code) => code.map(|code| Adding { code, tests: added.tests }),
            Err(error) => {
                tracing::warn!(device = %id, %error, "the code of a Matter device cannot be read; add it again");
                return;
            }
        };
        let name = node_name(self.fabric.compressed(), added.node);
        self.sky.send_if_modified(|sky| {
            sky.expect(name, true);
            false
        });
        let way = Way {
            law: self.law.clone(),
            fabric: self.fabric.clone(),
            roots: self.folder.clone(),
            device: id.clone(),
            node: added.node,
            sky: self.sky.subscribe(),
            leases: Leases::default(),
        };
        let (address, heard) = (added.address, self.heard.clone());
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                way,
                number,
                adding,
                at: address,
                known: address,
                orders,
                heard,
                failures: None,
                refusals: 0,
                since: None,
                not_its: NotIts::default(),
                leaving,
                looked_at: None,
            };
            hand.run()
        });
        self.search();
    }

    /// A hand ends before the next one begins: that its things are gone is said before they are there again.
    pub(super) async fn let_go(&mut self, id: &DeviceId) {
        let Some(mut task) = self.hands.let_go(id) else { return };
        let until = tokio::time::Instant::now() + END_WITHIN;
        loop {
            tokio::select! {
                biased;
                _ = &mut task => break,
                // What it says while it ends is of no interest, but for what it tells of its things, and its answers.
                heard = self.inbox.recv() => if let Some(heard) = heard { Box::pin(self.hear(heard)).await },
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!(device = %id, "a session with a Matter device did not end in time");
                    task.abort();
                    let _ = task.await;
                    break;
                }
            }
        }
        for _ in 0..QUEUE {
            let Ok(heard) = self.inbox.try_recv() else { break };
            Box::pin(self.hear(heard)).await;
        }
        let left = |(thing, (node, _)): (&DeviceId, &(DeviceId, Reach))| (node == id).then(|| thing.clone());
        let left: Vec<DeviceId> = self.things.iter().filter_map(left).collect();
        self.things.retain(|_, (node, _)| node != id);
        self.outbox.tell(left.into_iter().map(|device| FromBridge::Gone { device })).await;
    }

    async fn said(&mut self, node: &DeviceId, saying: Saying) {
        let away = matches!(saying, Saying::Refused(_) | Saying::Quiet | Saying::Down(..));
        let told = match saying {
            Saying::Joined(at, certified) => {
                if !certified {
                    tracing::warn!(device = %node, "a Matter device was added whose maker nobody real vouches for");
                }
                self.joined_at(at.ip());
                self.nodes.joined(node, at, certified)
            }
            Saying::Has(ids) => {
                let is_left = |(thing, (of, _)): (&DeviceId, &(DeviceId, Reach))| of == node && !ids.contains(thing);
                let left: Vec<DeviceId> = self
                    .things
                    .iter()
                    .filter(|(thing, of)| is_left((thing, of)))
                    .map(|(thing, _)| thing.clone())
                    .collect();
                self.things.retain(|thing, _| !left.contains(thing));
                left.into_iter().map(|device| FromBridge::Gone { device }).collect()
            }
            Saying::Up(at) => self.nodes.up(node, at),
            Saying::Refused(refused) => self.nodes.refused(node, refused),
            Saying::Quiet => self.nodes.quiet(node),
            Saying::Down(why, outcome, busy) => {
                // It may be elsewhere by now.
                self.search();
                self.nodes.down(node, why, outcome, busy)
            }
            Saying::Left(call, freed) => return Box::pin(self.left(node, call, freed)).await,
        };
        self.outbox.tell(told).await;
        if self.nodes.given_up(Timestamp::now()).contains(node) {
            return Box::pin(self.give_up(node)).await;
        }
        if away {
            let behind = self.things.iter_mut().filter(|(_, (of, reach))| of == node && *reach != Reach::Offline);
            let gone = behind.map(|(thing, (_, reach))| {
                *reach = Reach::Offline;
                FromBridge::Reach { device: thing.clone(), reach: Reach::Offline }
            });
            let gone: Vec<FromBridge> = gone.collect();
            self.outbox.tell(gone).await;
        }
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                if let Some(outcome) = self.pairing(call, &device, verb).await {
                    self.outbox.reply(call, outcome.map(|()| Outputs::new())).await;
                }
            }
            ToBridge::Call { call, device, target, verb } => {
                if let Some(outcome) = self.order(call, device, target, verb) {
                    self.outbox.reply(call, outcome).await;
                }
            }
            ToBridge::Add { call, way, inputs } => {
                let outcome = self.add(&way, &inputs).await;
                self.outbox.reply(call, outcome).await;
            }
            ToBridge::OpenStream { stream, .. } => {
                let why = "a Matter device takes no files".to_owned();
                self.outbox.tell([FromBridge::StreamFailed { stream, error: CallError::Unsupported(why) }]).await;
            }
            ToBridge::Explain { call, device, .. } => self.explain(call, device).await,
            ToBridge::Cancel { call } => {
                if let Some(term) = self.calls.remove(&call) {
                    term.give_up();
                }
            }
            ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    async fn add(&mut self, way: &str, inputs: &Inputs) -> Result<Outputs, CallError> {
        if way != "code" {
            return Err(CallError::BadInput("a Matter device is added by its code".to_owned()));
        }
        let fabric = self.fabric.clone();
        let (id, told) = self.nodes.add(None, inputs, || fabric.next(), fabric.compressed())?;
        self.outbox.tell(told).await;
        self.take(&id).await;
        Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![id.to_string()]))]))
    }

    /// `None`: it is on its way, and answered by a hand.
    fn order(
        &mut self,
        call: CallId,
        device: DeviceId,
        target: Target,
        verb: Verb,
    ) -> Option<Result<Outputs, CallError>> {
        let node = self.things.get(&device).map_or(&device, |(node, _)| node).clone();
        if self.nodes.added(&node).is_none() {
            return Some(Err(CallError::NotConsented("add it first, by its code".to_owned())));
        }
        if self.nodes.added(&node).is_some_and(|added| added.left.is_some()) {
            let why = format!("you removed {}, and it leaves once it is here", self.nodes.name(&node));
            return Some(Err(CallError::Unsupported(why)));
        }
        // All that it tells is known; what is behind it is read there.
        if let (Verb::Read { properties }, true) = (&verb, node == device) {
            let read = self.nodes.read(&device, &target.service, properties);
            let unknown = || CallError::Unsupported(accord_model::text::for_screen(&target.service, 60));
            return Some(read.ok_or_else(unknown));
        }
        if let (Err(refusal), false) = (self.law.may_control(&node), matches!(verb, Verb::Read { .. })) {
            return Some(Err(CallError::NotConsented(refusal.to_string())));
        }
        let name = self.nodes.name(&node);
        let Some(hand) = self.hands.get(&node) else {
            return Some(Err(CallError::Unreachable(format!("{name} is away"))));
        };
        let now = Instant::now();
        let term = Term::new(now);
        let is_share = matches!(&verb, Verb::Act { action, .. } if action == "share") && target.service == "more";
        let order = match is_share && node == device {
            true => Order::Share(call, term.clone()),
            false => Order::Call(call, device, target, verb, term.clone()),
        };
        if hand.try_send(order).is_err() {
            let why = format!("{name} has not done yet what was wanted before");
            return Some(Err(CallError::Unreachable(why)));
        }
        self.calls.retain(|_, term| now < term.until() + ENDED_WITHIN);
        self.calls.insert(call, term);
        None
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Browsing>) -> Seen {
    match near {
        Some(near) => near.next().await,
        None => std::future::pending().await,
    }
}
