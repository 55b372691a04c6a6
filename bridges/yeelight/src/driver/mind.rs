//! One task that holds every decision. What it hears comes from the core of the house, from the network, from the hands
//! and from the clock; what it decides goes to them.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Network;
use accord_model::why::{Fact, Outcome};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Source, Target, Timestamp, ToBridge, Verb};
use accord_ports::added;
use accord_ports::hand::{Failures, Hands, Place, State, Term, Tries};
use accord_ports::law::Searching;
use accord_ports::{Inbox, Outbox};

use super::adding::{Adding, late};
use super::devices::{Devices, Known, kept};
use super::hand::{Hand, Order};
use super::law::Law;
use super::near::{Nearby, Woken};
use super::words::{act, write};
use crate::core::advert::LampId;
use crate::core::discovery::{self, Discovery, Limits};
use crate::core::quota::Quota;
use crate::core::session::{Event, Trouble, Wanted};

/// Orders that a hand has not followed yet.
const ORDERS: usize = 64;
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the tasks tell the mind.
pub(crate) enum Heard {
    Datagram {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Said {
        device: DeviceId,
        hand: u64,
        saying: Saying,
    },
    Tried {
        call: CallId,
        fact: Fact,
    },
    /// A hand answered a call itself.
    Refused {
        call: CallId,
    },
}

/// What a hand says of its lamp.
pub(crate) enum Saying {
    Event(Event),
    /// It was heard last then.
    Heard(Timestamp),
    /// There is no connection.
    State(State),
    /// The hand ends; this many commands the lamp took of late.
    Spent(Quota),
}

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub devices: Devices,
    pub outbox: Outbox,
    pub near: Option<(Nearby, Discovery)>,
    wake: Instant,
    pub searching: Searching,
    pub hands: Hands<Order>,
    /// Of added lamps, beyond one hand: whoever announces cannot make it be tried more often, and the lamp counts on.
    failures: HashMap<DeviceId, Failures>,
    quotas: HashMap<DeviceId, Quota>,
    /// Calls to read, and what of.
    reads: HashMap<CallId, (DeviceId, Target, Vec<String>)>,
    /// Orders that have no answer yet.
    calls: HashMap<CallId, Term>,
    /// Lamps that are asked just now why they are not reached.
    pub asked: HashMap<CallId, DeviceId>,
    /// Lamps that the owner adds by their addresses.
    pub adding: Vec<Adding>,
}

impl Mind {
    pub(crate) fn new(law: Law, network: Network, devices: Devices, outbox: Outbox) -> Self {
        Self {
            law,
            network,
            devices,
            outbox,
            near: None,
            wake: Instant::now(),
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            failures: HashMap::new(),
            quotas: HashMap::new(),
            reads: HashMap::new(),
            calls: HashMap::new(),
            asked: HashMap::new(),
            adding: Vec::new(),
        }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        loop {
            let wake = self.wake;
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                woken = next(&mut self.near, wake) => self.woken(woken).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
                () = late(&self.adding) => self.in_vain().await,
            }
            self.pump().await;
        }
        self.end_nearby().await;
        if !self.hands.end(END_WITHIN).await {
            tracing::warn!("a lamp's task did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "Yeelight lamps").await else { return };
        let mut near = Nearby::open(near, self.network);
        let interfaces = near.interfaces_now().await;
        let now = Instant::now();
        let mut discovery = Discovery::new(Limits::default(), now);
        discovery.handle(discovery::Input::Kept(kept(&self.devices)), now);
        discovery.handle(discovery::Input::Interfaces(near.interfaces(interfaces)), now);
        self.near = Some((near, discovery));
        self.ask_all();
    }

    async fn end_nearby(&mut self) {
        let Some((near, _)) = self.near.take() else { return };
        // What they were told and have not done is answered by the hands.
        self.hands.let_go_of_all();
        for heard in near.close() {
            if let Heard::Said { device, saying: Saying::Event(event @ Event::Done(..)), .. } = heard {
                self.event(&device, event).await;
            }
        }
        self.reads.clear();
        self.searching.ended();
        let gone = self.devices.all_lost();
        self.outbox.tell(gone).await;
        self.asked_in_vain().await;
    }

    async fn woken(&mut self, woken: Woken) {
        let now = Instant::now();
        let Some((near, discovery)) = &mut self.near else { return };
        match woken {
            Woken::Over => self.end_nearby().await,
            Woken::Interfaces(interfaces) => {
                let interfaces = near.interfaces(interfaces);
                discovery.handle(discovery::Input::Interfaces(interfaces), now);
            }
            Woken::Time => discovery.handle(discovery::Input::Timeout, now),
            Woken::Heard(Heard::Datagram { from, bytes }) => {
                if near.admits(from) {
                    discovery.handle(discovery::Input::Datagram { from, bytes: &bytes }, now);
                }
            }
            Woken::Heard(Heard::Tried { call, fact }) => self.tried(call, fact).await,
            Woken::Heard(Heard::Refused { call }) => {
                self.reads.remove(&call);
                self.calls.remove(&call);
            }
            Woken::Heard(Heard::Said { device, saying: Saying::Spent(quota), .. }) => {
                if self.devices.is_added(&device) {
                    self.quotas.insert(device, quota);
                }
            }
            Woken::Heard(Heard::Said { device, hand, saying }) => {
                // What an earlier hand said is of no interest, but for what was asked of it.
                let is_current = self.hands.is_current(&device, hand);
                if is_current || matches!(saying, Saying::Event(Event::Done(..))) {
                    self.said(&device, saying).await;
                }
            }
        }
    }

    /// Sends what is due, and takes up who came and went.
    async fn pump(&mut self) {
        loop {
            let Some((near, discovery)) = &mut self.near else { return };
            match discovery.poll_output() {
                discovery::Output::Wait(until) => {
                    self.wake = until;
                    return;
                }
                discovery::Output::Datagram { interface, to, bytes } => near.send(interface, to, bytes).await,
                discovery::Output::Direct { to, bytes } => near.send_to(to, bytes).await,
                discovery::Output::Event(event) => self.discovered(event).await,
            }
        }
    }

    async fn discovered(&mut self, event: discovery::Event) {
        match event {
            discovery::Event::Found(advert) => {
                let known = Known::of(&advert);
                let moved = self.devices.get(&known.id).is_none_or(|before| before.at != known.at);
                let (id, told) = self.devices.found(known);
                self.outbox.tell([told]).await;
                match self.hands.get(&id).filter(|_| !moved) {
                    Some(hand) => drop(hand.try_send(Order::Announced)),
                    None => self.take(&id),
                }
                self.is_there(&id, *advert.at.ip()).await;
            }
            discovery::Event::Again(advert) => {
                let Some(id) = self.devices.id(&advert.id) else { return };
                let told = self.devices.get_mut(&id).map(|known| known.again(&advert));
                self.devices.note_announced(&id);
                self.outbox.tell(told.into_iter().flatten()).await;
                if let Some(hand) = self.hands.get(&id) {
                    let _ = hand.try_send(Order::Announced);
                }
                self.is_there(&id, *advert.at.ip()).await;
            }
            discovery::Event::Doubted(lamp) => {
                if let Some(hand) = self.devices.id(&lamp).and_then(|id| self.hands.get(&id)) {
                    let _ = hand.try_send(Order::Doubt);
                }
            }
            discovery::Event::Lost(lamp) => {
                let Some(id) = self.devices.id(&lamp) else { return };
                self.let_go(&id);
                let told = self.devices.lost(&id);
                self.outbox.tell(told).await;
            }
        }
    }

    /// Looks once more who is here.
    pub(super) fn search(&mut self) {
        if let Some((_, discovery)) = &mut self.near {
            discovery.handle(discovery::Input::Search, Instant::now());
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added lamp that is here gets a hand; one that moved a new hand.
    fn take(&mut self, id: &DeviceId) {
        self.let_go(id);
        let (Some((near, _)), Some(known)) = (&self.near, self.devices.get(id)) else { return };
        let Some(at) = known.at.filter(|_| self.devices.is_added(id)) else { return };
        let failures = self.failures.get(id).copied();
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                law: self.law.clone(),
                device: id.clone(),
                number,
                at,
                abilities: known.abilities.clone(),
                state: known.state.clone(),
                heard: near.heard.clone(),
                outbox: self.outbox.clone(),
                wanted: BTreeMap::new(),
                quota: self.quotas.get(id).cloned().unwrap_or_default(),
                tries: Tries::default(),
                heard_at: None,
            };
            hand.run(orders, failures)
        });
    }

    fn let_go(&mut self, id: &DeviceId) {
        if self.hands.let_go(id).is_some() {
            self.line(id, discovery::Input::Quiet);
        }
    }

    /// Tells discovery how the connection with a lamp stands.
    fn line(&mut self, id: &DeviceId, what: fn(LampId) -> discovery::Input<'static>) {
        if let (Some((_, discovery)), Some(known)) = (&mut self.near, self.devices.get(id)) {
            discovery.handle(what(known.lamp), Instant::now());
        }
    }

    async fn said(&mut self, device: &DeviceId, saying: Saying) {
        match saying {
            Saying::State(State::Quiet) => {
                if let Some(known) = self.devices.get_mut(device) {
                    known.up = false;
                }
                self.line(device, discovery::Input::Quiet);
            }
            Saying::State(State::Down(why, outcome, failures)) => {
                if outcome == Outcome::Refused {
                    tracing::debug!(%device, "the lamp is on and takes no connection: is its LAN control off? {why}");
                }
                self.failures.insert(device.clone(), failures);
                self.line(device, discovery::Input::Down);
                let told = self.devices.update(device, Known::fall);
                self.outbox.tell(told).await;
                // It may be elsewhere by now.
                self.search();
            }
            Saying::Event(event) => self.event(device, event).await,
            Saying::Heard(at) => {
                if let Some(known) = self.devices.get_mut(device) {
                    known.answers(at);
                }
            }
            Saying::State(State::Refused(_)) | Saying::Spent(_) => {}
        }
    }

    async fn event(&mut self, device: &DeviceId, event: Event) {
        match event {
            Event::Ready => {
                self.line(device, discovery::Input::Up);
                let told = self.devices.update(device, Known::rise);
                self.devices.note(device);
                self.outbox.tell(told).await;
            }
            Event::Abilities(abilities) => {
                let told = self.devices.update(device, |known| {
                    known.abilities = abilities;
                    true
                });
                self.devices.note(device);
                self.outbox.tell(told).await;
            }
            Event::Said { pushed, said } => {
                let source = if pushed { Source::Pushed } else { Source::Polled };
                let told = self.devices.get_mut(device).map(|known| known.take(said, source));
                self.outbox.tell(told.into_iter().flatten()).await;
            }
            Event::Done(call, outcome) => {
                let call = CallId(call);
                self.calls.remove(&call);
                let read = self.reads.remove(&call);
                let said =
                    read.and_then(|(device, target, wanted)| Some(self.devices.get(&device)?.read(&target, &wanted)));
                let outcome = outcome.map(|()| said.unwrap_or_default()).map_err(|trouble| match trouble {
                    Trouble::Busy => CallError::Unreachable(trouble.to_string()),
                    trouble => CallError::Device(trouble.to_string()),
                });
                self.outbox.reply(call, outcome).await;
            }
            // The hand says that it is down.
            Event::Over(_) => {}
        }
    }

    // -- what the house wants -----------------------------------------------------------------------

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, verb).await;
                self.outbox.reply(call, outcome.map(|()| Outputs::new())).await;
            }
            ToBridge::Call { call, device, target, verb } => {
                if let Err(error) = self.order(call, &device, target, verb) {
                    self.reads.remove(&call);
                    self.outbox.reply(call, Err(error)).await;
                }
            }
            ToBridge::OpenStream { stream, .. } => {
                let error = CallError::Unsupported("a lamp takes no files".to_owned());
                self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
            }
            ToBridge::Explain { call, device, .. } => self.explain(call, device).await,
            ToBridge::Cancel { call } => {
                self.reads.remove(&call);
                self.adding.retain(|one| one.call != call);
                if let Some(term) = self.calls.remove(&call) {
                    term.give_up();
                }
            }
            ToBridge::Add { call, way, inputs } => {
                if let Err(error) = self.begin_adding(call, &way, &inputs) {
                    self.outbox.reply(call, Err(error)).await;
                }
            }
            ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// Yeelight has no pairing: that the owner adds a lamp is all there is.
    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let strange = || CallError::Unsupported("lamps do not ask to be paired".to_owned());
        let yes = added::wanted(&verb).ok_or_else(strange)?;
        self.add(device, yes).await?;
        if yes {
            self.outbox.pairing(device, "paired").await;
        }
        Ok(())
    }

    pub(super) async fn add(&mut self, device: &DeviceId, yes: bool) -> Result<(), CallError> {
        let told = self.devices.add(device, yes).map_err(CallError::Device)?;
        self.outbox.tell(told).await;
        if let Some((_, discovery)) = &mut self.near {
            discovery.handle(discovery::Input::Kept(kept(&self.devices)), Instant::now());
        }
        self.failures.remove(device);
        if yes {
            self.take(device);
        } else {
            self.let_go(device);
            self.quotas.remove(device);
        }
        Ok(())
    }

    fn order(&mut self, call: CallId, device: &DeviceId, target: Target, verb: Verb) -> Result<(), CallError> {
        let known = self.devices.get(device);
        let known = known.ok_or_else(|| CallError::Unreachable("no such lamp is known".to_owned()))?;
        let name = accord_model::text::for_screen(&known.name, 64);
        if !self.devices.is_added(device) {
            return Err(CallError::NotConsented(format!("add {name} first: accord pair")));
        }
        if self.near.is_none() {
            let why = "looking for Yeelight lamps is off: agree to yeelight/search first";
            return Err(CallError::NotConsented(why.to_owned()));
        }
        let Some(hand) = self.hands.get(device) else {
            return Err(CallError::Unreachable(format!(
                "{name} is away; does it have power, and is its LAN control on?"
            )));
        };
        let wanted = match verb {
            Verb::Read { properties } => {
                self.reads.insert(call, (device.clone(), target, properties));
                Wanted::Look
            }
            Verb::Act { action, .. } => act(&known.abilities, &target, &action)?,
            Verb::Write { property, data } => write(&known.abilities, &target, &property, &data)?,
        };
        let busy = || CallError::Unreachable(format!("{name} has not done yet what was wanted before"));
        let now = Instant::now();
        let term = Term::new(now);
        hand.try_send(Order::Wanted(call, wanted, term.clone())).map_err(|_| busy())?;
        self.calls.retain(|_, term| !term.is_over(now));
        self.calls.insert(call, term);
        Ok(())
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<(Nearby, Discovery)>, wake: Instant) -> Woken {
    match near {
        Some((near, _)) => near.next(wake).await,
        None => std::future::pending().await,
    }
}
