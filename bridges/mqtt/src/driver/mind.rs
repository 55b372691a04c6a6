//! One task that knows which brokers were added, and which device is whose. Everything else is the brokers' own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use accord_model::why::Explained;
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, FromBridge, Inputs, Outputs, StreamId, ToBridge, Value, Verb,
};
use accord_ports::added::Register;
use accord_ports::showcase::{self, MOST_DEVICES};
use accord_registry::{ByteStream, PathInfo};
use accord_store::Vault;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broker::{Broker, Order, Still, files_of};
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

type Outbox = mpsc::Sender<(FromBridge, Option<ByteStream>)>;
type Inbox = mpsc::Receiver<(ToBridge, Option<ByteStream>)>;

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
    orders: mpsc::Sender<Order>,
    /// To the one who shows devices of this house there.
    words: mpsc::Sender<Word>,
    path: PathInfo,
    /// What is said of the service `showcase`.
    showcase: BTreeMap<String, Value>,
    stop: CancellationToken,
    /// Ends with what is known of its devices.
    task: JoinHandle<Vec<Device>>,
}

pub(crate) struct Mind {
    law: Law,
    folder: Vault,
    added: Register<Added>,
    outbox: Outbox,
    heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    brokers: HashMap<DeviceId, Held>,
    owners: HashMap<DeviceId, DeviceId>,
    /// Orders that are not answered.
    open: HashMap<CallId, Still>,
    /// Who asked what is not answered.
    asked: HashMap<CallId, DeviceId>,
    /// Numbers of what is asked from here.
    next: Arc<AtomicU64>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Mind {
    pub(crate) fn new(law: Law, folder: Vault, added: Register<Added>, outbox: Outbox) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        let (brokers, owners, open) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (asked, next, tasks, stop) =
            (HashMap::new(), Arc::new(AtomicU64::new(1)), TaskTracker::new(), CancellationToken::new());
        Self { law, folder, added, outbox, heard, inbox, brokers, owners, open, asked, next, tasks, stop }
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
        self.stop.cancel();
        self.tasks.close();
        let ended = async {
            tokio::select! {
                () = self.tasks.wait() => {}
                () = async { while self.inbox.recv().await.is_some() {} } => {}
            }
        };
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("a broker's task did not end in time");
        }
    }

    async fn begin(&mut self, added: Added, before: Vec<Device>) {
        let id = added.id();
        let device = describe::broker(&id, &added, false, None);
        self.tell(FromBridge::Seen { device }).await;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let stop = self.stop.child_token();
        self.owners.extend(before.iter().map(|device| (device.id.clone(), id.clone())));
        let path = PathInfo { address: added.address.to_string(), carrier: "mqtt".to_owned(), encrypted: added.tls };
        let (words, hears) = mpsc::channel(WORDS);
        let showing = keeper::memory_of(&self.folder, &id);
        let hub = showing.hub.clone();
        let (law, heard, next) = (self.law.clone(), self.heard.clone(), self.next.clone());
        let keeper = Keeper::new(law, added.clone(), &self.folder, showing, hears, heard, next, stop.clone());
        let broker = Broker::new(self.law.clone(), added, &self.folder, inbox, self.heard.clone(), stop.clone(), &hub);
        let broker = broker.remembering(before);
        let task = self.tasks.spawn(async move { tokio::join!(broker.run(), keeper.run()).0 });
        self.brokers.insert(id, Held { orders, words, path, showcase: BTreeMap::new(), stop, task });
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
                let _ = self.outbox.send((FromBridge::StreamReady { stream }, Some(carried))).await;
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
                self.tell(*message).await;
            }
        }
    }

    async fn message(&mut self, message: ToBridge) {
        match message {
            ToBridge::Add { call, way, inputs } => {
                let outcome = self.add(&way, &inputs).await;
                self.tell(FromBridge::Reply { call, outcome }).await;
            }
            ToBridge::Call { call, device, target, verb } if target.service == "pairing" => {
                let outcome = self.pairing(&device, &verb).await.map(|()| Outputs::new());
                self.tell(FromBridge::Reply { call, outcome }).await;
            }
            ToBridge::Call { call, device, target, verb } => {
                let still = Still::wanted();
                let order = Order::Call { call, device: device.clone(), target, verb, still: still.clone() };
                if let Err(error) = self.order(&device, order) {
                    self.tell(FromBridge::Reply { call, outcome: Err(error) }).await;
                } else {
                    self.open.insert(call, still);
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
                    self.tell(FromBridge::StreamFailed { stream, error }).await;
                }
            }
            ToBridge::OpenStream { stream, .. } => {
                let error = CallError::Unsupported("devices of a broker take no files".to_owned());
                self.tell(FromBridge::StreamFailed { stream, error }).await;
            }
            ToBridge::Explain { call, device, .. } => self.explain(call, device).await,
            ToBridge::Cancel { call } => {
                if let Some(still) = self.open.remove(&call) {
                    still.cancel();
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
        let held = broker.and_then(|broker| self.brokers.get(broker));
        let held = held.ok_or_else(|| CallError::Unreachable("no such device is known".to_owned()))?;
        let busy = || CallError::Unreachable("the broker has not done yet what was wanted before".to_owned());
        held.orders.try_send(order).map_err(|_| busy())
    }

    async fn explain(&self, call: CallId, device: Option<DeviceId>) {
        let asked = device.filter(|device| self.order(device, Order::Explain(call, device.clone())).is_ok());
        if asked.is_none() {
            let explained = Explained { app: "MQTT".to_owned(), facts: Vec::new() };
            self.tell(FromBridge::Explained { call, explained }).await;
        }
    }

    async fn add(&mut self, way: &str, inputs: &Inputs) -> Result<Outputs, CallError> {
        if way != "broker" {
            return Err(CallError::Unsupported("a broker is added by its address".to_owned()));
        }
        let added = Added::of(inputs).map_err(CallError::BadInput)?;
        let id = added.id();
        if self.added.all().len() >= MOST && self.added.get(&id).is_none() {
            return Err(CallError::Device(format!("more than {MOST} brokers were added; remove some first")));
        }
        self.added.set(&id, Some(added.clone())).map_err(CallError::Device)?;
        // Added again it is another one: another password, another key.
        let before = self.end(&id).await;
        self.begin(added, before).await;
        Ok(Outputs::from([("devices".to_owned(), Data::Texts(vec![id.to_string()]))]))
    }

    /// Ends a broker's task, so that nothing of it comes after what is said next, and its file is not written any more. What is
    /// known of its devices is for the next one.
    async fn end(&mut self, id: &DeviceId) -> Vec<Device> {
        let Some(Held { stop, mut task, .. }) = self.brokers.remove(id) else { return Vec::new() };
        stop.cancel();
        let until = tokio::time::Instant::now() + END_WITHIN;
        loop {
            tokio::select! {
                biased;
                known = &mut task => return known.unwrap_or_default(),
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
        self.take_back(device).await;
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
            self.tell(FromBridge::Gone { device }).await;
        }
        Ok(())
    }

    async fn tell(&self, message: FromBridge) {
        let _ = self.outbox.send((message, None)).await;
    }
}
