//! One task that holds every decision. What it hears comes from the core of the house, from the network, from the hands
//! and from the clock; what it decides goes to them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use accord_consent::outlet::interfaces::Network;
use accord_model::why::Fact;
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, ToBridge, Verb};
use accord_ports::added;
use accord_ports::dns_sd::{Seen, v4};
use accord_ports::hand::{Failures, Hands, Place, State};
use accord_ports::law::Searching;
use accord_ports::tls::Key;
use accord_ports::{Inbox, Outbox};

use super::devices::{Devices, Known};
use super::hand::{Hand, Order};
use super::law::Law;
use super::near::{Nearby, Woken};
use super::words::{act, unsupported, write};
use crate::core::advert::{Advert, CastId};
use crate::core::discovery::{self, Discovery};
use crate::core::session::{Event, Trouble, Wanted};

/// Orders that a hand has not followed yet.
const ORDERS: usize = 16;
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the tasks tell the mind.
pub(crate) enum Heard {
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

/// What a hand says of its device.
pub(crate) enum Saying {
    /// It showed this key.
    Key(Key),
    Event(Event),
    /// There is no connection.
    State(State),
}

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub devices: Devices,
    pub outbox: Outbox,
    pub near: Option<Nearby>,
    pub searching: Searching,
    pub hands: Hands<Order>,
    /// Of added devices, beyond one hand: whoever announces cannot make it be tried more often.
    failures: HashMap<DeviceId, Failures>,
    /// Calls to read, and what of.
    reads: HashMap<CallId, (DeviceId, String, Vec<String>)>,
    /// Devices that are asked just now why they are not reached.
    pub asked: HashMap<CallId, DeviceId>,
}

impl Mind {
    pub(crate) fn new(law: Law, network: Network, devices: Devices, outbox: Outbox) -> Self {
        Self {
            law,
            network,
            devices,
            outbox,
            near: None,
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            failures: HashMap::new(),
            reads: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        loop {
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                woken = next(&mut self.near) => self.woken(woken).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
            }
            self.pump().await;
        }
        self.end_nearby().await;
        if !self.hands.end(END_WITHIN).await {
            tracing::warn!("a Cast device's task did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "Cast devices").await else { return };
        let mut near = Nearby::open(near, self.network).await;
        near.discovery.keep(self.devices.kept());
        self.near = Some(near);
    }

    async fn end_nearby(&mut self) {
        let Some(near) = self.near.take() else { return };
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
        let Some(near) = &mut self.near else { return };
        match woken {
            Woken::Seen(Seen::Over) => self.end_nearby().await,
            Woken::Seen(Seen::Here { instance, at }) => {
                let pairs = instance.txt.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
                near.discovery.instance(&instance.name, Advert::parse(&instance.name, pairs), v4(at));
            }
            Woken::Seen(Seen::Gone { name, .. }) => near.discovery.lost(&name),
            Woken::Heard(Heard::Tried { call, fact }) => self.tried(call, fact).await,
            Woken::Heard(Heard::Refused { call }) => drop(self.reads.remove(&call)),
            Woken::Heard(Heard::Said { device, hand, saying }) => {
                // What an earlier hand said is of no interest, but for what was asked of it.
                let is_current = self.hands.is_current(&device, hand);
                if is_current || matches!(saying, Saying::Event(Event::Done(..))) {
                    self.said(&device, saying).await;
                }
            }
        }
    }

    /// Takes up who came and went.
    async fn pump(&mut self) {
        while let Some(event) = self.near.as_mut().and_then(|near| near.discovery.poll_event()) {
            match event {
                discovery::Event::Found(found) => {
                    let known = Known::of(&found);
                    let moved = self.devices.get(&known.id).is_none_or(|before| before.at != known.at);
                    let (id, told) = self.devices.found(known);
                    self.outbox.tell([told]).await;
                    match self.hands.get(&id).filter(|_| !moved) {
                        Some(hand) => drop(hand.try_send(Order::Announced)),
                        None => self.take(&id),
                    }
                }
                discovery::Event::Lost(cast) => {
                    let Some(id) = self.devices.id(&cast) else { continue };
                    self.let_go(&id);
                    let told = self.devices.lost(&id);
                    self.outbox.tell(told).await;
                }
            }
        }
    }

    /// Looks once more who is here.
    pub(super) fn search(&mut self) {
        if let Some(near) = &mut self.near {
            near.browsing.refresh();
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added device that is here gets a hand; one that moved a new hand.
    fn take(&mut self, id: &DeviceId) {
        self.let_go(id);
        let (Some(near), Some(known)) = (&self.near, self.devices.get(id)) else { return };
        let Some(at) = known.at.filter(|_| self.devices.added(id).is_some()) else { return };
        let failures = self.failures.get(id).copied();
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                law: self.law.clone(),
                device: id.clone(),
                number,
                at,
                heard: near.heard.clone(),
                outbox: self.outbox.clone(),
                wanted: BTreeSet::new(),
                ours: None,
                page: None,
                pin: self.devices.added(id).and_then(|added| added.pin.clone()),
                is_other: false,
            };
            hand.run(orders, failures)
        });
    }

    fn let_go(&mut self, id: &DeviceId) {
        if self.hands.let_go(id).is_some() {
            self.line(id, Discovery::quiet);
        }
    }

    /// Tells discovery how the connection with a device stands.
    fn line(&mut self, id: &DeviceId, tell: impl FnOnce(&mut Discovery, &CastId)) {
        if let (Some(near), Some(known)) = (&mut self.near, self.devices.get(id)) {
            tell(&mut near.discovery, &known.cast);
        }
    }

    async fn said(&mut self, device: &DeviceId, saying: Saying) {
        match saying {
            Saying::Key(key) => {
                let host = self.devices.get(device).and_then(|known| known.at).map(|at| *at.ip());
                if self.devices.change(device, |added| added.shows(key, host)) {
                    tracing::warn!(%device, %key, "a Cast device shows another key than before; they renew them now and then");
                }
            }
            Saying::State(State::Quiet) => {
                if let Some(known) = self.devices.get_mut(device) {
                    known.up = false;
                }
                self.line(device, Discovery::quiet);
            }
            Saying::State(State::Down(why, _, failures)) => {
                self.failures.insert(device.clone(), failures);
                self.line(device, Discovery::down);
                let told = self.devices.update(device, |known| known.fall(why));
                self.outbox.tell(told).await;
                // It may be elsewhere by now.
                self.search();
            }
            Saying::Event(event) => self.event(device, event).await,
            Saying::State(State::Refused(_)) => {}
        }
    }

    async fn event(&mut self, device: &DeviceId, event: Event) {
        match event {
            Event::Ready => {
                self.line(device, Discovery::up);
                let told = self.devices.update(device, Known::rise);
                self.devices.note(device);
                self.outbox.tell(told).await;
            }
            Event::Offers(offers) => {
                let told = self.devices.update(device, |known| known.offer(offers));
                self.outbox.tell(told).await;
            }
            Event::Values(values) => {
                let told = self.devices.get_mut(device).map(|known| known.take(values));
                self.outbox.tell(told.into_iter().flatten()).await;
            }
            Event::Done(call, outcome) => {
                let call = CallId(call);
                let read = self.reads.remove(&call);
                let said =
                    read.and_then(|(device, service, wanted)| Some(self.devices.get(&device)?.read(&service, &wanted)));
                let outcome = outcome.map(|()| said.unwrap_or_default()).map_err(|trouble| match trouble {
                    Trouble::Lost(_) | Trouble::Busy => CallError::Unreachable(trouble.to_string()),
                    trouble => CallError::Device(trouble.to_string()),
                });
                self.outbox.reply(call, outcome).await;
            }
            // Those stay with the hand.
            Event::Ours(_) | Event::Over(_) => {}
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
                if let Err(error) = self.order(call, &device, &target.service, verb) {
                    self.reads.remove(&call);
                    self.outbox.reply(call, Err(error)).await;
                }
            }
            ToBridge::OpenStream { stream, .. } => {
                let why = "a Cast device takes no files; it plays what is at an address".to_owned();
                self.outbox.tell([FromBridge::StreamFailed { stream, error: CallError::Unsupported(why) }]).await;
            }
            ToBridge::Explain { call, device, .. } => self.explain(call, device).await,
            ToBridge::Cancel { call } => drop(self.reads.remove(&call)),
            ToBridge::Add { .. } | ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// Google Cast has no pairing: that the owner adds a device is all there is.
    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let strange = || CallError::Unsupported("Cast devices do not ask to be paired".to_owned());
        let yes = added::wanted(&verb).ok_or_else(strange)?;
        let told = self.devices.add(device, yes).map_err(CallError::Device)?;
        self.outbox.tell(told).await;
        if let Some(near) = &mut self.near {
            near.discovery.keep(self.devices.kept());
        }
        self.failures.remove(device);
        if yes {
            self.take(device);
            self.outbox.pairing(device, "paired").await;
        } else {
            self.let_go(device);
        }
        Ok(())
    }

    fn order(&mut self, call: CallId, device: &DeviceId, service: &str, verb: Verb) -> Result<(), CallError> {
        let known = self.devices.get(device);
        let known = known.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let name = accord_model::text::for_screen(&known.name, 64);
        if self.devices.added(device).is_none() {
            return Err(CallError::NotConsented(format!("add {name} first: accord pair")));
        }
        if self.near.is_none() {
            let why = "looking for Cast devices is off: agree to googlecast/search first";
            return Err(CallError::NotConsented(why.to_owned()));
        }
        let Some(hand) = self.hands.get(device) else {
            return Err(CallError::Unreachable(format!("{name} is away; is it switched on?")));
        };
        let wanted = match verb {
            Verb::Read { properties } => {
                self.reads.insert(call, (device.clone(), service.to_owned(), properties));
                Wanted::Look
            }
            Verb::Act { action, inputs } if service == "media" => act(&action, inputs)?,
            Verb::Write { property, data } => write(service, &property, &data)?,
            Verb::Act { .. } => return Err(unsupported()),
        };
        let busy = || CallError::Unreachable(format!("{name} has not done yet what was wanted before"));
        hand.try_send(Order::Wanted(call, wanted)).map_err(|_| busy())
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Nearby>) -> Woken {
    match near {
        Some(near) => near.next().await,
        None => std::future::pending().await,
    }
}
