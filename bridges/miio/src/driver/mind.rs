//! One task that holds every decision. What it hears comes from the core of the house, from the search, from the hands and
//! from the clock; what it decides goes to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Network;
use accord_model::why::Outcome;
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, Source, Target, Timestamp, ToBridge, Verb};
use accord_ports::hand::{Hands, Place};
use accord_ports::law::Searching;
use accord_ports::secret::Secret;
use accord_ports::{Inbox, Outbox};
use accord_store::JsonFile;
use tokio::sync::mpsc;

use super::Options;
use super::devices::Devices;
use super::fetch::fetch;
use super::hand::{Hand, Order};
use super::law::Law;
use super::library::{From, Library};
use super::near::{Nearby, Woken};
use super::why::Asked;
use crate::core::device::{Event, Info, Model, Wanted};
use crate::core::line::Failure;

/// Orders that wait for a hand, and what waits for the mind.
const ORDERS: usize = 64;
const QUEUE: usize = 1024;
/// How often files are looked for that say what a model can do, and what was asked too long ago is answered.
const TICK: Duration = Duration::from_secs(1);
const LOOK_FOR_FILES: u32 = 20;
/// How long somebody waits for what is wanted of a device, when nothing else is said.
const WAITED_FOR: Duration = Duration::from_secs(15);
const END_WITHIN: Duration = Duration::from_secs(3);
/// Largest file of how many properties models take at once.
const LIMITS: u64 = 64 * 1024;

/// What the mind's own tasks tell it.
pub(crate) enum Heard {
    /// A hand's machine; without an event, that nothing is said to the device any more.
    Said { device: DeviceId, hand: u64, did: Option<u64>, event: Option<Event> },
    /// A hand answered a call itself.
    Refused { call: CallId, error: CallError },
    /// Whether a device that answers nothing is there.
    Knocked { call: CallId, outcome: Outcome },
    /// What was fetched of a model.
    Fetched { model: String, got: Result<Vec<u8>, String> },
}

pub(crate) struct Mind {
    pub law: Law,
    network: Network,
    pub port: u16,
    /// What the numbers are derived from by which devices may know this hub.
    secret: Secret,
    pub devices: Devices,
    library: Library,
    pub outbox: Outbox,
    pub near: Option<Nearby>,
    pub searching: Searching,
    pub hands: Hands<Order>,
    pub heard: mpsc::Sender<Heard>,
    from_tasks: mpsc::Receiver<Heard>,
    /// By model, how many properties it takes at once.
    limits: BTreeMap<String, usize>,
    limits_file: JsonFile,
    /// Devices of models that nobody here knows.
    pub unknown: BTreeMap<DeviceId, String>,
    fetching: BTreeSet<String>,
    /// What is wanted of which device, and not answered.
    calls: HashMap<CallId, DeviceId>,
    ticks: u32,
    /// Devices that are asked just now why they are not reached.
    pub asked: HashMap<CallId, Asked>,
}

impl Mind {
    pub(crate) fn new(law: Law, options: Options, devices: Devices, library: Library, outbox: Outbox) -> Self {
        let (heard, from_tasks) = mpsc::channel(QUEUE);
        let limits_file = JsonFile::new(options.folder.path().join("limits.json"), LIMITS);
        let limits = limits_file.load().unwrap_or_else(|error| {
            tracing::warn!(%error, "how much models take at once is learnt again");
            BTreeMap::new()
        });
        Self {
            law,
            network: options.network,
            port: options.port,
            secret: options.secret,
            devices,
            library,
            outbox,
            near: None,
            searching: Searching::new(),
            hands: Hands::new(ORDERS),
            heard,
            from_tasks,
            limits,
            limits_file,
            unknown: BTreeMap::new(),
            fetching: BTreeSet::new(),
            calls: HashMap::new(),
            ticks: 0,
            asked: HashMap::new(),
        }
    }

    /// Until the house says stop.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.outbox.tell(self.devices.all()).await;
        for id in self.devices.all_added() {
            self.take(&id);
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                Some(heard) = self.from_tasks.recv() => self.heard(heard).await,
                woken = next(&mut self.near) => self.woken(woken).await,
                () = self.searching.due(&self.law), if self.near.is_none() => self.begin().await,
                _ = tick.tick(), if !self.unknown.is_empty() || !self.asked.is_empty() => self.tick().await,
            }
        }
        if !self.hands.end(END_WITHIN).await {
            tracing::warn!("a miIO device's task did not end in time");
        }
        if let Some(near) = self.near.take() {
            near.close();
        }
    }

    async fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        self.answer_late().await;
        if self.unknown.is_empty() {
            return;
        }
        if self.ticks.is_multiple_of(LOOK_FOR_FILES) {
            let found: Vec<(DeviceId, String)> = self.unknown.clone().into_iter().collect();
            for (device, model) in found {
                if self.library.find(&model).is_some() {
                    self.describe(&device, &model).await;
                }
            }
        }
        self.fetch_unknown();
    }

    /// Has one description fetched, where the owner agreed to that.
    fn fetch_unknown(&mut self) {
        let now = Timestamp::now();
        let due = |model: &&String| self.library.may_ask(model, now);
        let Some(model) = self.unknown.values().find(due).filter(|_| self.fetching.is_empty()).cloned() else { return };
        let Ok(permit) = self.law.describe() else { return };
        // Noted before it is asked, or a start after the other would ask again.
        if let Err(error) = self.library.asks(&model, now) {
            tracing::warn!(%error, "a model's description is not fetched, as that could not be noted");
            return;
        }
        self.fetching.insert(model.clone());
        let heard = self.heard.clone();
        self.hands.spawn(async move {
            let got = fetch(permit, &model).await;
            let _ = heard.send(Heard::Fetched { model, got }).await;
        });
    }

    // -- being near ---------------------------------------------------------------------------------

    async fn begin(&mut self) {
        let Some(near) = self.searching.begin(&self.law, "miIO devices").await else { return };
        self.near = Some(Nearby::open(near, self.network, self.port).await);
    }

    async fn woken(&mut self, woken: Woken) {
        let Some(near) = &mut self.near else { return };
        match woken {
            Woken::Over => {
                if let Some(near) = self.near.take() {
                    near.close();
                }
                self.searching.ended();
                let gone = self.devices.strangers_gone();
                self.outbox.tell(gone).await;
            }
            Woken::Interfaces(interfaces) => near.interfaces(interfaces),
            Woken::Time => {
                near.greet().await;
                let gone = self.devices.unheard_gone(Instant::now());
                self.outbox.tell(gone).await;
            }
            Woken::Hello(hello, from) => {
                near.answered();
                let (id, moved, told) = self.devices.greeted(&hello, from, Instant::now());
                self.outbox.tell(told).await;
                let Some(id) = id.filter(|id| self.devices.added(id).is_some()) else { return };
                let is_down = self.devices.get(&id).is_some_and(|known| known.down.is_some());
                match self.hands.get(&id).filter(|_| !moved) {
                    Some(hand) if is_down => drop(hand.try_send(Order::Look)),
                    Some(_) => {}
                    None => self.take(&id),
                }
            }
        }
    }

    /// Looks once more who is here.
    pub(super) fn search(&mut self) {
        if let Some(near) = &mut self.near {
            near.search();
        }
    }

    // -- hands --------------------------------------------------------------------------------------

    /// An added device whose address is known gets a hand; one that moved a new hand.
    pub(super) fn take(&mut self, id: &DeviceId) {
        self.let_go(id);
        let (Some(known), Some(added)) = (self.devices.get(id), self.devices.added(id)) else { return };
        let (Some(at), Some(token)) = (known.at, added.token()) else { return };
        let most = added.model.as_ref().and_then(|model| self.limits.get(model)).copied();
        self.hands.begin(id, |Place { number, orders }| {
            let hand = Hand {
                law: self.law.clone(),
                device: id.clone(),
                number,
                at,
                port: self.port,
                secret: self.secret.clone(),
                token,
                did: added.did,
                most,
                orders,
                heard: self.heard.clone(),
                wanted: BTreeSet::new(),
            };
            hand.run()
        });
    }

    pub(super) fn let_go(&mut self, id: &DeviceId) {
        self.unknown.remove(id);
        self.hands.let_go(id);
    }

    async fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Knocked { call, outcome } => self.knocked(call, outcome).await,
            Heard::Refused { call, .. } if self.asked.contains_key(&call) => self.tried(call, None).await,
            Heard::Refused { call, error } => {
                self.calls.remove(&call);
                self.outbox.reply(call, Err(error)).await;
            }
            Heard::Said { device, hand, did, event } => {
                // What an earlier hand said is of no interest, but for what was asked of it.
                let is_current = self.hands.is_current(&device, hand);
                match event {
                    Some(Event::Done(call, outcome)) if self.asked.contains_key(&CallId(call)) => {
                        self.tried(CallId(call), Some(outcome)).await;
                    }
                    Some(Event::Done(call, outcome)) => {
                        self.calls.remove(&CallId(call));
                        self.outbox.reply(CallId(call), outcome.map_err(CallError::from)).await;
                    }
                    Some(event) if is_current => self.event(&device, did, event).await,
                    None if is_current => {
                        let told = self.devices.quiet(&device);
                        self.outbox.tell(told).await;
                    }
                    _ => {}
                }
            }
            Heard::Fetched { model, got } => {
                self.fetching.remove(&model);
                match got.and_then(|bytes| self.library.keep(&model, &bytes)) {
                    Ok(_) => {
                        let of_it = self.unknown.iter().filter(|(_, one)| **one == model).map(|(id, _)| id.clone());
                        for device in of_it.collect::<Vec<_>>() {
                            self.describe(&device, &model).await;
                        }
                    }
                    Err(why) => tracing::info!(%model, "what a model can do was not fetched: {why}"),
                }
            }
        }
    }

    async fn event(&mut self, device: &DeviceId, did: Option<u64>, event: Event) {
        match event {
            Event::Is(info) => self.is(device, did, info).await,
            Event::Values(said) => {
                let told = self.devices.values(device, said, Source::Polled);
                self.outbox.tell(told).await;
            }
            Event::Pushed(said) => {
                let told = self.devices.values(device, said, Source::Pushed);
                self.outbox.tell(told).await;
            }
            Event::Down(why) => {
                tracing::debug!(%device, "a miIO device does not answer: {why}");
                let is_away = matches!(why, Failure::Silent | Failure::Deaf | Failure::New | Failure::Other(_));
                let told = self.devices.down(device, why);
                self.outbox.tell(told).await;
                if is_away {
                    // It may be elsewhere by now, and who answered here may not be the device.
                    if self.devices.back(device, Instant::now()) {
                        self.take(device);
                    }
                    self.search();
                }
            }
            Event::Most(most) => {
                let model = self.devices.get(device).and_then(|known| Some(known.info.as_ref()?.model.clone()));
                if let Some(model) = model {
                    self.limits.insert(model, most);
                    if let Err(error) = self.limits_file.save(&self.limits) {
                        tracing::warn!(%error, "how much a model takes at once is not kept");
                    }
                }
            }
            Event::Refuses(refuses) => self.devices.refuses(device, refuses),
            Event::Done(..) => {}
        }
    }

    /// It said what it is.
    async fn is(&mut self, device: &DeviceId, did: Option<u64>, info: Info) {
        let found = self.find_model(&info.model);
        if found.is_none() {
            self.unknown.insert(device.clone(), info.model.clone());
        }
        let told = self.devices.is(device, did, info, found.as_ref());
        self.outbox.tell(told).await;
        self.hand_over(device, found).await;
        self.fetch_unknown();
    }

    /// What a model can do became known.
    async fn describe(&mut self, device: &DeviceId, model: &str) {
        let (Some(info), Some(found)) =
            (self.devices.get(device).and_then(|known| known.info.clone()), self.find_model(model))
        else {
            return;
        };
        self.unknown.remove(device);
        let told = self.devices.is(device, None, info, Some(&found));
        self.outbox.tell(told).await;
        self.hand_over(device, Some(found)).await;
    }

    fn find_model(&self, model: &str) -> Option<Model> {
        let (found, whence) = self.library.find(model)?;
        let count = &found.map.count;
        let whence = match whence {
            From::Owner => "the owner's file",
            From::Ours => "Accord",
            From::Fetched => "miot-spec.org",
        };
        tracing::debug!(model, whence, standard = count.standard, more = count.more, left = ?count.left, "a model's spec");
        Some(found)
    }

    async fn hand_over(&self, device: &DeviceId, model: Option<Model>) {
        if let Some(hand) = self.hands.get(device)
            && hand.try_send(Order::Model(model.map(Box::new))).is_err()
        {
            tracing::warn!(%device, "a miIO device has too much to do");
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
                    self.outbox.reply(call, Err(error)).await;
                }
            }
            ToBridge::Add { call, way, inputs } => {
                let outcome = self.add(&way, inputs).await;
                self.outbox.reply(call, outcome).await;
            }
            ToBridge::OpenStream { stream, .. } => {
                let error = CallError::Unsupported("a miIO device takes no stream".to_owned());
                self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
            }
            ToBridge::Explain { call, device, within } => self.explain(call, device, within).await,
            ToBridge::Cancel { call } => {
                // What cannot be told now ends by itself when its time is over.
                if let Some(hand) = self.calls.remove(&call).and_then(|device| self.hands.get(&device)) {
                    drop(hand.try_send(Order::Cancel(call)));
                }
            }
            ToBridge::Answer { .. } | ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    fn order(&mut self, call: CallId, device: &DeviceId, target: Target, verb: Verb) -> Result<(), CallError> {
        if self.devices.get(device).is_none() {
            return Err(CallError::Unreachable("no such device is known".to_owned()));
        }
        if self.devices.added(device).is_none() {
            return Err(CallError::NotConsented("add the device first, with its token".to_owned()));
        }
        self.law.may_control(device).map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let wanted = match verb {
            Verb::Read { properties } => Wanted::Read(target, properties),
            Verb::Write { property, data } => Wanted::Write(target, property, data),
            Verb::Act { action, inputs } => Wanted::Act(target, action, inputs),
        };
        self.put(call, device, wanted, Instant::now() + WAITED_FOR)?;
        self.calls.insert(call, device.clone());
        Ok(())
    }

    /// Gives a device's hand something to do, for somebody who waits until then.
    pub(super) fn put(
        &mut self,
        call: CallId,
        device: &DeviceId,
        wanted: Wanted,
        until: Instant,
    ) -> Result<(), CallError> {
        let Some(hand) = self.hands.get(device) else {
            self.search();
            let why = "it is not known where the device is; is it switched on, and is looking for devices agreed to?";
            return Err(CallError::Unreachable(why.to_owned()));
        };
        let busy = || CallError::Unreachable("the device has not done yet what was wanted before".to_owned());
        hand.try_send(Order::Wanted(call, wanted, until)).map_err(|_| busy())
    }
}

/// Waits for ever while nothing is open.
async fn next(near: &mut Option<Nearby>) -> Woken {
    match near {
        Some(near) => near.next().await,
        None => std::future::pending().await,
    }
}
