//! One broker that was added: its connection, made as soon as the owner agrees, and again when it breaks, later each time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use accord_model::why::{Body, Explained, Fact, Outcome, Pairing};
use accord_model::{CallError, CallId, Device, DeviceId, FromBridge, Outputs, Reach, Target, Timestamp, Verb};
use accord_ports::hand::Tries;
use accord_store::{JsonFile, Vault};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::describe::{self, Values};
use super::form::Added;
use super::law::{self, Law};
use super::line::{Line, NoLine};
use super::mind::Heard;
use crate::core::house::House;
use crate::core::known::Memory;

/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again, doubled each time, up to the longest; and after so many failures, which is more
/// than an hour, seldom: it may be away for days.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
pub(super) const MANY: u32 = 60;
pub(super) const SELDOM: Duration = Duration::from_secs(300);
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);
/// Most orders that wait for its first answer.
const EARLY: usize = 64;
/// Largest file of who a broker's devices are; twice what its bounds allow.
const LARGEST_MEMORY: u64 = 48 << 20;
/// Largest file of what of this house may lie there.
const LARGEST_SHOWN: u64 = 8 << 20;
const LARGEST_HUB: u64 = 256;

/// Longest that an order may have waited when it is carried out: nobody waits longer for what became of it.
const WAITS_AT_MOST: Duration = Duration::from_secs(15);

/// Whether an order is still wanted. Clones are of the same order.
#[derive(Debug, Clone)]
pub(crate) struct Still {
    since: Instant,
    cancelled: Arc<AtomicBool>,
}

impl Still {
    pub(crate) fn wanted() -> Self {
        Self { since: Instant::now(), cancelled: Arc::default() }
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn holds(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed) && self.since.elapsed() < WAITS_AT_MOST
    }
}

/// To a broker.
pub(crate) enum Order {
    Call {
        call: CallId,
        device: DeviceId,
        target: Target,
        verb: Verb,
        still: Still,
    },
    /// The owner asks why it, or a device of it, is not reached.
    Explain(CallId, DeviceId),
}

/// Why there is no connection.
pub(super) struct Trouble {
    at: Timestamp,
    why: String,
    kind: Kind,
}

enum Kind {
    Tried(Outcome),
    /// It refuses the user or the password.
    TurnedAway,
    KeyChanged,
}

/// How a connection ended.
pub(super) enum End {
    /// The owner removed the broker, or the house stops.
    Gone,
    Denied(String),
    Lost(String, Outcome),
    Refused(String),
    Untrusted(String),
}

pub(crate) struct Broker {
    pub(super) law: Law,
    pub(super) id: DeviceId,
    pub(super) added: Added,
    orders: mpsc::Receiver<Order>,
    /// Orders that came before the broker answered, which may still be taken back.
    early: VecDeque<Order>,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) stop: CancellationToken,
    pub(super) house: House,
    pub(super) values: Values,
    /// By which key a device is known.
    pub(super) keys: HashMap<DeviceId, String>,
    /// Devices as they were told last.
    pub(super) shown: BTreeMap<DeviceId, Device>,
    memory: JsonFile,
    pub(super) up: bool,
    trouble: Option<Trouble>,
    failures: u32,
    /// Who asked why it is not reached, while it is tried.
    pub(super) asked: Vec<(CallId, DeviceId)>,
    /// Until when the broker may take to be heard, while there is a connection.
    pub(super) tries: Tries,
}

/// The files of a broker: who its devices are, what of this house is shown there, and who this hub is there.
pub(super) fn files_of(folder: &Vault, broker: &DeviceId) -> [JsonFile; 3] {
    let file = |end: &str, largest| folder.json(&format!("{broker}.{end}"), largest);
    [file("ids.json", LARGEST_MEMORY), file("shown.json", LARGEST_SHOWN), file("hub.json", LARGEST_HUB)]
}

impl Broker {
    pub(super) fn new(
        law: Law,
        added: Added,
        folder: &Vault,
        orders: mpsc::Receiver<Order>,
        heard: mpsc::Sender<Heard>,
        stop: CancellationToken,
        hub: &str,
    ) -> Self {
        let id = added.id();
        let [memory, ..] = files_of(folder, &id);
        // Earlier versions kept names of devices there.
        if let Err(error) = std::fs::remove_file(folder.path().join(format!("{id}.json")))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, broker = %id, "what an earlier version kept of a broker's devices is there still");
        }
        let remembered = memory.load().unwrap_or_else(|error| {
            tracing::warn!(%error, "which device of a broker has which id cannot be read");
            Memory::default()
        });
        Self {
            law,
            house: House::remembering(added.bases(), remembered).without_own(hub),
            id,
            added,
            orders,
            early: VecDeque::new(),
            heard,
            stop,
            values: Values::new(),
            keys: HashMap::new(),
            shown: BTreeMap::new(),
            memory,
            up: false,
            trouble: None,
            failures: 0,
            asked: Vec::new(),
            tries: Tries::default(),
        }
    }

    /// These are its devices as they were known before. They are shown already.
    pub(super) fn remembering(mut self, before: Vec<Device>) -> Self {
        self.shown = before.into_iter().map(|device| (device.id.clone(), device)).collect();
        self
    }

    /// Until the owner removes it, or the house stops. What is known of its devices is for the next one.
    pub(super) async fn run(mut self) -> Vec<Device> {
        self.live().await;
        self.save();
        self.orders.close();
        while let Some(order) = self.early.pop_front().or_else(|| self.orders.try_recv().ok()) {
            self.refuse(order, &CallError::Unreachable("the broker was removed".to_owned())).await;
        }
        self.answer_asked().await;
        let said = |device: Device| {
            let key = self.keys.get(&device.id);
            let values = key.and_then(|key| self.values.get(key));
            describe::with_values(device, values)
        };
        std::mem::take(&mut self.shown).into_values().map(said).collect()
    }

    async fn live(&mut self) {
        let stop = self.stop.clone();
        let mut lease = None;
        loop {
            if !stop.run_until_cancelled(self.allowed()).await.unwrap_or_default() {
                return;
            }
            let mut since = None;
            let fields = law::fields(self.has_user());
            let line = Line::open(&self.law, &self.id, &self.added, fields, &mut lease);
            let line = stop.run_until_cancelled(line).await;
            let end = match line {
                None => return,
                Some(Ok(line)) => {
                    since = Some(Instant::now());
                    self.remember_key(line.key.clone()).await;
                    let end = self.drive(line).await;
                    if self.up {
                        // It was a connection; the next one has a record of its own.
                        lease = None;
                    }
                    end
                }
                Some(Err(NoLine::Denied(why))) => End::Denied(why),
                Some(Err(NoLine::Failed(why, outcome))) => End::Lost(why, outcome),
                Some(Err(NoLine::Untrusted(why))) => End::Untrusted(why),
            };
            self.all_away().await;
            self.save();
            let (why, kind) = match end {
                End::Gone => return,
                End::Denied(_) => {
                    self.answer_asked().await;
                    // What denied it may still do so, as a ledger that cannot be written does.
                    if stop.run_until_cancelled(tokio::time::sleep(DENIED)).await.is_none() {
                        return;
                    }
                    continue;
                }
                End::Lost(why, outcome) => (why, Kind::Tried(outcome)),
                End::Refused(why) => (why, Kind::TurnedAway),
                End::Untrusted(why) => (why, Kind::KeyChanged),
            };
            // Said once, and not each time for days.
            match self.failures {
                0 => tracing::info!(broker = %self.id, "no connection with an MQTT broker: {why}"),
                _ => tracing::debug!(broker = %self.id, "no connection with an MQTT broker: {why}"),
            }
            // How long an attempt took that came to nothing says nothing.
            let steady = since.is_some_and(|since| since.elapsed() > STEADY) && matches!(kind, Kind::Tried(_));
            self.failures = if steady { 1 } else { self.failures.saturating_add(1) };
            let pause = match kind {
                _ if self.failures >= MANY => SELDOM,
                Kind::Tried(_) => AGAIN.saturating_mul(1 << self.failures.saturating_sub(1).min(6)).min(AGAIN_AT_MOST),
                // It will not change its mind by being asked again.
                _ => AGAIN_AT_MOST,
            };
            self.trouble = Some(Trouble { at: Timestamp::now(), why, kind });
            self.answer_asked().await;
            if !stop.run_until_cancelled(self.rest(pause)).await.unwrap_or_default() {
                return;
            }
        }
    }

    /// What it is known by from now on, when nothing vouches for it.
    async fn remember_key(&mut self, key: Option<String>) {
        if self.added.authority.is_none() && self.added.pin.is_none() && key.is_some() {
            self.added.pin.clone_from(&key);
            if let Some(key) = key {
                let _ = self.heard.send(Heard::Pinned(self.id.clone(), key)).await;
            }
        }
    }

    pub(super) fn has_user(&self) -> bool {
        self.added.user.is_some()
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.law.watch(&self.id);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.next_order() => {
                    let Some(order) = order else { return false };
                    let refusal = self.law.may(&self.id, self.has_user()).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.refuse(order, &CallError::NotConsented(why)).await;
                    self.answer_asked().await;
                }
            }
        }
    }

    /// The next one; `None`: the mind is gone. May be dropped at any time.
    pub(super) async fn next_order(&mut self) -> Option<Order> {
        match self.early.pop_front() {
            Some(order) => Some(order),
            None => self.orders.recv().await,
        }
    }

    /// The next one while the broker has not answered yet: only whoever asks why is heard.
    pub(super) async fn early_order(&mut self) -> Option<(CallId, DeviceId)> {
        while self.early.len() < EARLY {
            match self.orders.recv().await? {
                Order::Explain(call, device) => return Some((call, device)),
                order => self.early.push_back(order),
            }
        }
        std::future::pending().await
    }

    /// Rests before it is tried again. Who wants something is told why it cannot be now, and has it tried sooner.
    async fn rest(&mut self, pause: Duration) -> bool {
        let (began, mut until) = (Instant::now(), tokio::time::Instant::now() + pause);
        loop {
            tokio::select! {
                biased;
                order = self.next_order() => {
                    let Some(order) = order else { return false };
                    let why = self.trouble.as_ref().map_or("the broker is away", |trouble| trouble.why.as_str());
                    let why = CallError::Unreachable(why.to_owned());
                    self.refuse(order, &why).await;
                    // Not faster than once a second, whatever is wanted.
                    until = until.min((began + AGAIN).into());
                }
                () = tokio::time::sleep_until(until) => return true,
            }
        }
    }

    async fn refuse(&mut self, order: Order, error: &CallError) {
        match order {
            Order::Call { call, .. } => self.reply(call, Err(error.clone())).await,
            Order::Explain(call, device) => self.asked.push((call, device)),
        }
    }

    pub(super) async fn tell(&self, message: FromBridge) {
        let _ = self.heard.send(Heard::Tell(Box::new(message))).await;
    }

    pub(super) async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(FromBridge::Reply { call, outcome }).await;
    }

    /// The broker is not reached, and so none of its devices.
    async fn all_away(&mut self) {
        if !std::mem::take(&mut self.up) {
            return;
        }
        self.tell(FromBridge::Reach { device: self.id.clone(), reach: Reach::Offline }).await;
        let ids: Vec<DeviceId> = self.shown.keys().cloned().collect();
        for id in ids {
            self.tell(FromBridge::Reach { device: id.clone(), reach: Reach::Offline }).await;
            if let Some(device) = self.shown.get_mut(&id) {
                device.reach = Reach::Offline;
            }
        }
    }

    /// Tells the broker itself.
    pub(super) async fn tell_broker(&self) {
        let device = describe::broker(&self.id, &self.added, self.up, Some(&self.house));
        self.tell(FromBridge::Seen { device }).await;
    }

    /// Keeps who the devices are.
    pub(super) fn save(&mut self) {
        if let Some(memory) = self.house.poll_memory()
            && let Err(error) = self.memory.save(memory)
        {
            tracing::warn!(%error, file = %self.memory.path().display(), "which device has which id is not kept");
        }
    }

    // -- why -----------------------------------------------------------------------------------------

    pub(super) async fn answer_asked(&mut self) {
        self.answer_all_asked(None).await;
    }

    /// The broker takes connections, and does not answer.
    pub(super) async fn answer_asked_mute(&mut self) {
        self.answer_all_asked(Some(Outcome::Mute)).await;
    }

    async fn answer_all_asked(&mut self, came: Option<Outcome>) {
        self.tries = Tries::default();
        for (call, device) in std::mem::take(&mut self.asked) {
            let mut facts = self.facts(&device);
            if let Some(outcome) = &came {
                facts.retain(|fact| !matches!(fact, Fact::Tried { .. }));
                facts.push(Fact::Tried { address: self.added.address, outcome: outcome.clone() });
            }
            let explained = Explained::new("MQTT", Body::Server, facts);
            self.tell(FromBridge::Explained { call, explained }).await;
        }
    }

    fn facts(&self, device: &DeviceId) -> Vec<Fact> {
        let address = self.added.address;
        let mut facts = vec![self.law.fact(&self.id, self.has_user()), Fact::Pairing { state: Pairing::Paired }];
        facts.push(Fact::LastSeen { at: self.added.seen, addresses: vec![address] });
        if self.up {
            let here = *device == self.id || self.keys.get(device).is_some_and(|key| self.house.is_here(key));
            if here {
                facts.push(Fact::Connected { address: address.to_string() });
            } else {
                facts.push(Fact::AwayThere { by: describe::broker_name(&self.added) });
            }
            return facts;
        }
        facts.extend(self.trouble.as_ref().map(|trouble| match &trouble.kind {
            Kind::Tried(outcome) => Fact::Tried { address, outcome: outcome.clone() },
            Kind::TurnedAway => Fact::TurnedAway { at: trouble.at, why: trouble.why.clone() },
            Kind::KeyChanged => Fact::KeyChanged { at: trouble.at, why: trouble.why.clone() },
        }));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_or_waited_too_long_is_not_carried_out() {
        let (still, mut old) = (Still::wanted(), Still::wanted());
        let same = still.clone();
        assert!(same.holds());
        still.cancel();
        assert!(!same.holds() && old.holds());
        old.since -= WAITS_AT_MOST;
        assert!(!old.holds());
    }
}
