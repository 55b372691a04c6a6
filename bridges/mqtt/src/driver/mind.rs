//! One task that knows which brokers were added, and which device is whose. Everything else is the brokers' own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use accord_model::why::Body;
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, FromBridge, Inputs, Outputs, StreamId, ToBridge, Value, Verb,
};
use accord_ports::added::{Register, again};
use accord_ports::hand::{Hands, Place, Term};
use accord_ports::showcase::{self, MOST_DEVICES};
use accord_ports::{Inbox, Outbox};
use accord_registry::{ByteStream, PathInfo};
use accord_store::Vault;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};

use super::broker::{Broker, Order, files_of};
use super::describe;
use super::form::Added;
use super::keeper::{self, Keeper, Word};
use super::law::Law;

/// What waits for the mind, and orders that a broker has not followed yet.
const QUEUE: usize = 256;
const ORDERS: usize = 64;
/// What the one who shows devices has not heard yet: a wish of each device that is not answered, and a few words more.
const WORDS: usize = MOST_DEVICES + 16;
/// How long a broker that is removed may take to forget what was shown there.
const FORGETS_WITHIN: Duration = Duration::from_secs(4);
/// Most brokers: each is a connection for good.
const MOST: usize = 16;
const END_WITHIN: Duration = Duration::from_secs(3);

/// What the brokers tell the mind.
pub(crate) enum Heard {
    Tell(Box<FromBridge>),
    /// It showed this key, the first one.
    Pinned(DeviceId, String),
    /// It took a connection.
    Seen(DeviceId),
    /// Devices can be told of now.
    Stream(DeviceId, StreamId, DuplexStream),
}

struct Held {
    /// To the one who shows devices of this house there.
    words: mpsc::Sender<Word>,
    path: PathInfo,
    /// What is said of the service `showcase`.
    showcase: BTreeMap<String, Value>,
    /// What is known of its devices, once its hand ended.
    known: oneshot::Receiver<Vec<Device>>,
}

pub(crate) struct Mind {
    law: Law,
    folder: Vault,
    added: Register<Added>,
    outbox: Outbox,
    heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    hands: Hands<Order>,
    brokers: HashMap<DeviceId, Held>,
    owners: HashMap<DeviceId, DeviceId>,
    /// Orders that are not answered.
    open: HashMap<CallId, Term>,
    /// Who asked what is not answered.
    asked: HashMap<CallId, DeviceId>,
    /// Numbers of what is asked from here.
    next: Arc<AtomicU64>,
}

impl Mind {
    pub(crate) fn new(law: Law, folder: Vault, added: Register<Added>, outbox: Outbox) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        let (hands, brokers, owners) = (Hands::new(ORDERS), HashMap::new(), HashMap::new());
        let (open, asked, next) = (HashMap::new(), HashMap::new(), Arc::new(AtomicU64::new(1)));
        Self { law, folder, added, outbox, heard, inbox, hands, brokers, owners, open, asked, next }
    }

    /// Until the house says stop. `before`: what was known of brokers' devices.
    pub(crate) async fn run(mut self, before: Vec<Device>, mut inbox: Inbox) {
        let mut of: HashMap<DeviceId, Vec<Device>> = HashMap::new();
        for device in before {
            if let Some(broker) = device.via.clone() {
                of.entry(broker).or_default().push(device);
            }
        }
        for added in self.added.all().values().cloned().collect::<Vec<_>>() {
            let before = of.remove(&added.id()).unwrap_or_default();
            self.begin(added, before).await;
        }
        loop {
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => self.message(message).await,
                },
                heard = self.inbox.recv() => match heard {
                    Some(heard) => self.hear(heard).await,
                    None => break,
                },
            }
        }
        let ended = tokio::select! {
            ended = self.hands.end(END_WITHIN) => ended,
            () = async { while self.inbox.recv().await.is_some() {} } => true,
        };
        if !ended {
            tracing::warn!("a broker's task did not end in time");
        }
    }

    async fn begin(&mut self, added: Added, before: Vec<Device>) {
        let id = added.id();
        let device = describe::broker(&id, &added, false, None);
        self.outbox.tell([FromBridge::Seen { device }]).await;
        self.owners.extend(before.iter().map(|device| (device.id.clone(), id.clone())));
        let path = PathInfo { address: added.address.to_string(), carrier: "mqtt".to_owned(), encrypted: added.tls };
        let (words, hears) = mpsc::channel(WORDS);
        let (ended, known) = oneshot::channel();
        let showing = keeper::memory_of(&self.folder, &id);
        let (law, heard, next) = (self.law.clone(), self.heard.clone(), self.next.clone());
        let broker = Broker::new(law.clone(), added.clone(), &self.folder, heard.clone(), &showing.hub);
        let broker = broker.remembering(before);
        self.hands.begin(&id, |Place { orders, .. }| {
            let keeper = Keeper::new(law, added, &self.folder, showing, hears, heard, next, orders.stop());
            async move {
                let _ = ended.send(tokio::join!(broker.run(orders), keeper.run()).0);
            }
        });
        self.brokers.insert(id, Held { words, path, showcase: BTreeMap::new(), known });
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Pinned(id, key) => {
                if let Some(mut added) = self.added.get(&id).cloned() {
                    added.pin = Some(key.clone());
                    self.added.note(&id, added);
                }
                self.say(&id, Word::Pin(key));
            }
            Heard::Seen(id) => {
                if let Some(mut added) = self.added.get(&id).cloned() {
                    added.seen = Some(accord_model::Timestamp::now());
                    self.added.note(&id, added);
                }
            }
            Heard::Stream(broker, stream, theirs) => {
                let Some(path) = self.brokers.get(&broker).map(|held| held.path.clone()) else { return };
                let (reader, writer) = tokio::io::split(theirs);
                let carried = ByteStream { reader: Box::new(reader), writer: Box::new(writer), path };
                self.outbox.carry(FromBridge::StreamReady { stream }, carried).await;
            }
            Heard::Tell(mut message) => {
                match &mut *message {
                    FromBridge::Values { device, target, values } if target.service == showcase::SERVICE => {
                        let Some(held) = self.brokers.get_mut(device) else { return };
                        held.showcase.extend(values.clone());
                    }
                    FromBridge::Seen { device } => {
                        self.fill(device);
                        // A broker that was removed may have said something before it ended.
                        let owner = device.via.clone().unwrap_or_else(|| device.id.clone());
                        if !self.brokers.contains_key(&owner) {
                            return;
                        }
                        self.owners.insert(device.id.clone(), owner);
                    }
                    FromBridge::Asked { call, device, .. } => drop(self.asked.insert(*call, device.clone())),
                    FromBridge::Reply { call, .. } => drop(self.open.remove(call)),
                    FromBridge::Gone { device } => drop(self.owners.remove(device)),
                    FromBridge::Values { device, .. }
                    | FromBridge::Reach { device, .. }
                    | FromBridge::Event { device, .. }
                        if !self.owners.contains_key(device) && !self.brokers.contains_key(device) =>
                    {
                        return;
                    }
                    _ => {}
                }
                self.outbox.tell([*message]).await;
            }
        }
    }

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Add { call, way, inputs } => {
                let outcome = self.add(&way, &inputs).await;
                self.outbox.reply(call, outcome).await;
            }
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, &verb).await.map(|()| Outputs::new());
                self.outbox.reply(call, outcome).await;
            }
            ToBridge::Call { call, device, target, verb } => {
                let term = Term::new(Instant::now());
                let order = Order::Call { call, device: device.clone(), target, verb, term: term.clone() };
                if let Err(error) = self.order(&device, order) {
                    self.outbox.reply(call, Err(error)).await;
                } else {
                    self.open.insert(call, term);
                }
            }
            ToBridge::OpenStream { stream, device, target, inputs, .. } if target.service == showcase::SERVICE => {
                let outcome = match showcase::fields_of(&inputs) {
                    Some(fields) if self.say(&device, Word::Stream(stream, fields)) => Ok(()),
                    Some(_) => {
                        Err(CallError::Unreachable("no such broker was added, or it has too much to do".to_owned()))
                    }
                    None => Err(CallError::BadInput("it is not said what is to be told".to_owned())),
                };
                if let Err(error) = outcome {
                    self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
                }
            }
            ToBridge::OpenStream { stream, .. } => {
                let error = CallError::Unsupported("devices of a broker take no files".to_owned());
                self.outbox.tell([FromBridge::StreamFailed { stream, error }]).await;
            }
            ToBridge::Explain { call, device, .. } => self.explain(call, device).await,
            ToBridge::Cancel { call } => {
                if let Some(term) = self.open.remove(&call) {
                    term.give_up();
                }
            }
            ToBridge::Answer { call, outcome } => {
                if let Some(broker) = self.asked.remove(&call) {
                    self.say(&broker, Word::Answer(call, outcome.is_ok()));
                }
            }
            ToBridge::Own { .. } | ToBridge::Stop => {}
        }
    }

    /// To the one who shows devices there.
    fn say(&self, broker: &DeviceId, word: Word) -> bool {
        self.brokers.get(broker).is_some_and(|held| held.words.try_send(word).is_ok())
    }

    /// A broker with what is shown there.
    fn fill(&self, device: &mut Device) {
        let Some(held) = self.brokers.get(&device.id) else { return };
        if let Some(service) = device.services.iter_mut().find(|one| one.id == showcase::SERVICE) {
            service.values = held.showcase.clone();
        }
    }

    /// Has the broker forget what of this house is shown there, as far as it can be reached.
    async fn take_back(&mut self, broker: &DeviceId) {
        let (done, mut forgotten) = oneshot::channel();
        if !self.say(broker, Word::Forget(done)) {
            return;
        }
        let until = tokio::time::Instant::now() + FORGETS_WITHIN;
        loop {
            tokio::select! {
                biased;
                _ = &mut forgotten => return,
                heard = self.inbox.recv() => if let Some(heard) = heard { self.hear(heard).await },
                () = tokio::time::sleep_until(until) => {
                    let what = "a broker that is removed was not reached: what was shown there may still be kept there";
                    return tracing::warn!(%broker, "{what}");
                }
            }
        }
    }

    fn order(&self, device: &DeviceId, order: Order) -> Result<(), CallError> {
        let broker = if self.brokers.contains_key(device) { Some(device) } else { self.owners.get(device) };
        let hand = broker.and_then(|broker| self.hands.get(broker));
        let hand = hand.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let busy = || CallError::Unreachable("the broker has not done yet what was wanted before".to_owned());
        hand.try_send(order).map_err(|_| busy())
    }

    async fn explain(&self, call: CallId, device: Option<DeviceId>) {
        let asked = device.filter(|device| self.order(device, Order::Explain(call, device.clone())).is_ok());
        if asked.is_none() {
            self.outbox.explain(call, "MQTT", Body::Server, Vec::new()).await;
        }
    }

    async fn add(&mut self, way: &str, inputs: &Inputs) -> Result<Outputs, CallError> {
        if way != "broker" {
            return Err(CallError::Unsupported("a broker is added by its address".to_owned()));
        }
        let again = again(inputs).map_err(CallError::BadInput)?;
        let before = again.as_ref().map(|id| self.added.get(id).ok_or_else(no_such)).transpose()?;
        let mut added = Added::of(inputs, before).map_err(CallError::BadInput)?;
        let there = self.added.all().iter().find(|(_, one)| one.address == added.address);
        match (&again, there) {
            (Some(again), Some((id, _))) if id != again => {
                let why = "another broker was added at that address; remove that one first, or give it another address";
                return Err(CallError::BadInput(why.to_owned()));
            }
            (Some(_), _) => {}
            // One address is one broker.
            (None, Some((_, one))) => added.known_as.clone_from(&one.known_as),
            (None, None) => added = added.anew(|id| self.added.get(id).is_some()),
        }
        let id = added.id();
        if self.added.all().len() >= MOST && self.added.get(&id).is_none() {
            return Err(CallError::Device(format!("more than {MOST} brokers were added; remove some first")));
        }
        self.added.set(&id, Some(added.clone())).map_err(CallError::Device)?;
        // Added again it is as it was: with another address, another password, another key.
        let before = self.end(&id).await;
        self.begin(added, before).await;
        Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![id.to_string()]))]))
    }

    /// Ends a broker's task, so that nothing of it comes after what is said next, and its file is not written any more. What is
    /// known of its devices is for the next one.
    async fn end(&mut self, id: &DeviceId) -> Vec<Device> {
        let (Some(Held { mut known, .. }), Some(task)) = (self.brokers.remove(id), self.hands.let_go(id)) else {
            return Vec::new();
        };
        let until = tokio::time::Instant::now() + END_WITHIN;
        loop {
            tokio::select! {
                biased;
                known = &mut known => return known.unwrap_or_default(),
                // What it says while it ends is of no interest, but for answers.
                heard = self.inbox.recv() => if let Some(heard) = heard { self.hear(heard).await },
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!(broker = %id, "a broker's task did not end in time");
                    task.abort();
                    return Vec::new();
                }
            }
        }
    }

    async fn pairing(&mut self, device: &DeviceId, verb: &Verb) -> Result<(), CallError> {
        let Verb::Act { action, .. } = verb else {
            return Err(CallError::Unsupported("pairing is asked for or ended".to_owned()));
        };
        if self.added.get(device).is_none() {
            let why = "it belongs to its broker: remove it where it is described, or remove the broker";
            return Err(CallError::Unsupported(why.to_owned()));
        }
        match action.as_str() {
            "unpair" | "reject" => {}
            _ => return Err(CallError::Unsupported("a broker is added by its address".to_owned())),
        }
        // Where nobody ever was, nothing is shown.
        if self.added.get(device).is_some_and(|added| added.seen.is_some()) {
            self.take_back(device).await;
        }
        self.added.set(device, None).map_err(CallError::Device)?;
        self.end(device).await;
        for file in files_of(&self.folder, device) {
            if let Err(error) = std::fs::remove_file(file.path())
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "what was known of a broker is still on disk");
            }
        }
        let of_broker = self.owners.iter().filter(|(_, owner)| *owner == device).map(|(id, _)| id.clone());
        let mut gone: Vec<DeviceId> = of_broker.filter(|id| id != device).collect();
        gone.push(device.clone());
        for device in gone {
            self.owners.remove(&device);
            self.outbox.tell([FromBridge::Gone { device }]).await;
        }
        Ok(())
    }
}

fn no_such() -> CallError {
    CallError::BadInput("that is no broker that was added; without it, a new one is".to_owned())
}
