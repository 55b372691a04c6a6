//! One task that holds every decision. What it hears comes from the core of the house, from the session's tasks and from
//! the clock; what it decides goes to them.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Network;
use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Outputs, Timestamp, ToBridge, Verb};
use accord_ports::added::{self, Said};
use accord_ports::hand::{Hands, Place};
use accord_ports::law::Searching;
use accord_ports::{Inbox, Outbox};
use accord_recognition::Recogniser;

use super::Options;
use super::devices::{Devices, Known, words};
use super::hand::{Hand, Order};
use super::law::Law;
use super::session::{Heard, Session, Woken};
use super::shelf::Shelves;
use crate::core::discovery::{self, Discovery, Limits};
use crate::core::renderer::{Event, Trouble};

/// Orders that a hand has not followed yet.
const ORDERS: usize = 16;
const END_WITHIN: Duration = Duration::from_secs(2);

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub recogniser: Recogniser,
    pub devices: Devices,
    pub outbox: Outbox,
    pub near: Option<Nearby>,
    pub searching: Searching,
    pub hands: Hands<Order>,
    pub shelves: Shelves,
    /// Calls to read, and what of.
    pub reads: HashMap<CallId, (DeviceId, String, Vec<String>)>,
    /// Devices that are asked just now why they are not reached.
    pub asked: HashMap<CallId, DeviceId>,
}

/// While the owner agrees to search.
pub(crate) struct Nearby {
    pub session: Session,
    discovery: Discovery,
    wake: Instant,
}

impl Mind {
    pub(crate) fn new(law: Law, options: Options, devices: Devices, outbox: Outbox) -> Self {
        Self {
            law,
            network: options.network,
            recogniser: options.recogniser,
            devices,
            outbox,
            near: None,
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            shelves: Shelves::default(),
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
            tracing::warn!("a renderer's task did not end in time");
        }
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "UPnP devices").await else { return };
        let mut session = Session::open(near, self.network);
        let interfaces = session.interfaces_now().await;
        let now = Instant::now();
        let mut discovery = Discovery::new(Limits::default(), now);
        discovery.handle(discovery::Input::Kept(self.devices.kept()), now);
        discovery.handle(discovery::Input::Interfaces(session.interfaces(&interfaces)), now);
        self.near = Some(Nearby { session, discovery, wake: now });
    }

    async fn end_nearby(&mut self) {
        let Some(Nearby { session, .. }) = self.near.take() else { return };
        self.hands.let_go_of_all();
        self.shelves.end();
        session.close().await;
        self.searching.ended();
        let gone = self.devices.all_lost();
        self.outbox.tell(gone).await;
        for call in std::mem::take(&mut self.reads).into_keys() {
            self.outbox.reply(call, Err(CallError::Unreachable("UPnP was turned off".to_owned()))).await;
        }
        self.asked_in_vain().await;
    }

    async fn woken(&mut self, woken: Woken) {
        let now = Instant::now();
        let Some(near) = &mut self.near else { return };
        match woken {
            Woken::Over => self.end_nearby().await,
            Woken::Interfaces(interfaces) => {
                let interfaces = near.session.interfaces(&interfaces);
                near.discovery.handle(discovery::Input::Interfaces(interfaces), now);
            }
            Woken::Time => near.discovery.handle(discovery::Input::Timeout, now),
            Woken::Heard(Heard::Datagram { from, bytes }) => {
                if !near.session.is_on_link(from.ip()) {
                    return;
                }
                near.session.note_heard(from);
                near.discovery.handle(discovery::Input::Datagram { from, bytes: &bytes }, now);
            }
            Woken::Heard(Heard::Described { location, found }) => {
                near.discovery.handle(discovery::Input::Described { location: &location, found }, now);
            }
            Woken::Heard(Heard::Tried { call, fact }) => self.tried(call, fact).await,
            Woken::Heard(Heard::Refused { call }) => drop(self.reads.remove(&call)),
            Woken::Heard(Heard::Said { device, hand, event }) => {
                // What an earlier hand said is of no interest, but for what was asked of it.
                let is_current = self.hands.is_current(&device, hand);
                if is_current || matches!(event, Event::Done(..)) {
                    self.said(&device, event).await;
                }
            }
        }
    }

    async fn pump(&mut self) {
        loop {
            let Some(near) = &mut self.near else { return };
            match near.discovery.poll_output() {
                discovery::Output::Wait(until) => {
                    near.wake = until;
                    return;
                }
                discovery::Output::Datagram { interface, to, bytes } => near.session.send(interface, to, bytes),
                discovery::Output::Fetch(location) => near.session.fetch(location),
                discovery::Output::Event(discovery::Event::Found(found)) => {
                    let known = Known::of(&found);
                    let before = self.devices.get(&known.id).and_then(Known::renderer);
                    let is_same = before.is_some() && before == known.renderer();
                    let (id, told) = self.devices.found(known);
                    self.outbox.tell([told]).await;
                    self.shelves.let_go(&id);
                    // What it can be told, and where, may be as before.
                    if !is_same || self.hands.get(&id).is_none() {
                        self.take(&id);
                    }
                }
                discovery::Output::Event(discovery::Event::Again(udn)) => {
                    let Some(id) = self.devices.id(&udn) else { continue };
                    if let Some(known) = self.devices.get_mut(&id) {
                        known.seen = Some(Timestamp::now());
                    }
                    if let Some(hand) = self.hands.get(&id) {
                        let _ = hand.try_send(Order::Heard);
                    }
                }
                discovery::Output::Event(discovery::Event::Lost(udn)) => {
                    let Some(id) = self.devices.id(&udn) else { continue };
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
            near.discovery.handle(discovery::Input::Search, Instant::now());
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added renderer that is here gets a hand; a changed one a new hand.
    fn take(&mut self, id: &DeviceId) {
        self.let_go(id);
        let (Some(near), Some(known)) = (&self.near, self.devices.get(id)) else { return };
        let Some(described) = known.renderer().filter(|_| self.devices.is_added(id)).cloned() else { return };
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                law: self.law.clone(),
                network: self.network,
                device: id.clone(),
                number,
                described,
                orders,
                heard: near.session.heard.clone(),
                outbox: self.outbox.clone(),
                wanted: BTreeSet::new(),
            };
            hand.run()
        });
    }

    fn let_go(&mut self, id: &DeviceId) {
        self.hands.let_go(id);
        self.reads.retain(|_, (of, ..)| of != id);
        self.shelves.let_go(id);
    }

    async fn said(&mut self, device: &DeviceId, event: Event) {
        match event {
            Event::Offers(offers) => {
                let told = self.devices.update(device, |known| known.offer(offers));
                self.outbox.tell(told).await;
            }
            Event::Formats(formats) => {
                let turned = self.devices.update(device, |known| known.plays(&formats));
                if turned.is_some() {
                    self.devices.note(device);
                }
                self.outbox.tell(turned).await;
                self.keep(device, [("media", "formats", Data::Texts(formats.types))]).await;
            }
            Event::Values(values) => {
                self.keep(device, values.into_iter().flat_map(words)).await;
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
            Event::Silent => {
                let udn = self.devices.get(device).map(|known| known.udn.clone());
                if let (Some(near), Some(udn)) = (&mut self.near, udn) {
                    near.discovery.handle(discovery::Input::Silent(&udn), Instant::now());
                }
                // It may be elsewhere by now.
                self.search();
            }
        }
    }

    async fn keep(&mut self, device: &DeviceId, said: impl IntoIterator<Item = Said>) {
        let told = self.devices.get_mut(device).map(|known| known.take(said));
        self.outbox.tell(told.into_iter().flatten()).await;
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
                let error = CallError::Unsupported("renderers and media servers take no files".to_owned());
                self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
            }
            ToBridge::Explain { call, device, within } => self.explain(call, device, within).await,
            ToBridge::Cancel { call } => {
                self.reads.remove(&call);
                self.shelves.cancel(call);
            }
            ToBridge::Add { .. } | ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// UPnP has no pairing: that the owner adds a device is all there is.
    async fn pairing(&mut self, device: &DeviceId, verb: Verb) -> Result<(), CallError> {
        let strange = || CallError::Unsupported("such devices do not ask to be paired".to_owned());
        let yes = added::wanted(&verb).ok_or_else(strange)?;
        let told = self.devices.add(device, yes).map_err(CallError::Device)?;
        self.outbox.tell(told).await;
        if let Some(near) = &mut self.near {
            near.discovery.handle(discovery::Input::Kept(self.devices.kept()), Instant::now());
        }
        if yes {
            self.take(device);
            self.outbox.pairing(device, "paired").await;
        } else {
            self.let_go(device);
        }
        Ok(())
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Nearby>) -> Woken {
    match near {
        Some(near) => near.session.next(near.wake).await,
        None => std::future::pending().await,
    }
}
