//! One broker that was added: its connection, made as soon as the owner agrees, and again when it breaks, later each time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use accord_consent::outlet::OneNear;
use accord_model::why::{Body, Explained, Fact, Outcome, Pairing};
use accord_model::{CallError, CallId, Device, DeviceId, FromBridge, Outputs, Reach, Target, Timestamp, Verb};
use accord_ports::hand::{self, Asks, End, Orders, Pace, Peer, State, Term, Tries, stay};
use accord_store::{JsonFile, Vault};
use tokio::sync::mpsc;

use super::describe::{self, Values};
use super::form::Added;
use super::law::{self, Law};
use super::line::{Line, NoLine};
use super::mind::Heard;
use crate::core::house::House;
use crate::core::known::Memory;

/// Not faster than once a second, whatever is wanted; and a broker that turns us away will not change its mind within a minute.
pub(super) const PACE: Pace = Pace { wanted: Duration::from_secs(1), waits: false, barred: 7, ..Pace::USUAL };
/// Largest file of who a broker's devices are; twice what its bounds allow.
const LARGEST_MEMORY: u64 = 48 << 20;
/// Largest file of what of this house may lie there.
const LARGEST_SHOWN: u64 = 8 << 20;
const LARGEST_HUB: u64 = 256;

/// To a broker.
pub(crate) enum Order {
    Call {
        call: CallId,
        device: DeviceId,
        target: Target,
        verb: Verb,
        term: Term,
    },
    /// The owner asks why it, or a device of it, is not reached.
    Explain(CallId, DeviceId),
}

impl hand::Order for Order {
    fn asks(&self) -> Asks {
        match self {
            Self::Call { call, .. } => Asks::Call(*call),
            Self::Explain(call, _) => Asks::Why(*call),
        }
    }
}

pub(crate) struct Broker {
    pub(super) law: Law,
    pub(super) id: DeviceId,
    pub(super) added: Added,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) house: House,
    pub(super) values: Values,
    /// By which key a device is known.
    pub(super) keys: HashMap<DeviceId, String>,
    /// Devices as they were told last.
    pub(super) shown: BTreeMap<DeviceId, Device>,
    memory: JsonFile,
    pub(super) up: bool,
    /// The last connection was one: the broker took it.
    was_up: bool,
    /// Why there was no connection last.
    trouble: Option<Fact>,
    /// Of the attempt before, which the next one goes on with.
    lease: Option<OneNear>,
    /// Who asked why it, or a device of it, is not reached, while it is tried.
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
    pub(super) fn new(law: Law, added: Added, folder: &Vault, heard: mpsc::Sender<Heard>, hub: &str) -> Self {
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
            heard,
            values: Values::new(),
            keys: HashMap::new(),
            shown: BTreeMap::new(),
            memory,
            up: false,
            was_up: false,
            trouble: None,
            lease: None,
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
    pub(super) async fn run(mut self, orders: Orders<Order>) -> Vec<Device> {
        stay(&mut self, orders, PACE, None).await;
        self.save();
        let said = |device: Device| {
            let key = self.keys.get(&device.id);
            let values = key.and_then(|key| self.values.get(key));
            describe::with_values(device, values)
        };
        std::mem::take(&mut self.shown).into_values().map(said).collect()
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

    pub(super) async fn tell(&self, message: FromBridge) {
        let _ = self.heard.send(Heard::Tell(Box::new(message))).await;
    }

    pub(super) async fn reply(&self, call: CallId, outcome: Result<Outputs, CallError>) {
        self.tell(FromBridge::Reply { call, outcome }).await;
    }

    /// What came of an attempt is what stands in the way, unless something else is known to.
    fn lost(&mut self, end: End) -> End {
        if let End::Lost(_, outcome) = &end {
            self.trouble = Some(Fact::Tried { address: self.added.address, outcome: outcome.clone() });
        }
        end
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

    /// It does not take us, or is not the one that it was.
    pub(super) fn turned_away(&mut self, fact: fn(Timestamp, String) -> Fact, why: String) -> End {
        self.trouble = Some(fact(Timestamp::now(), why.clone()));
        End::Barred(why)
    }

    /// Those who asked, by what is known now. `came`: of the connection, when that says more.
    pub(super) async fn answer_asked(&mut self, came: Option<Outcome>) {
        self.tries = Tries::default();
        for (call, device) in std::mem::take(&mut self.asked) {
            self.explain(call, Some(&device), came.clone()).await;
        }
    }

    /// `of`: of which of its devices, or itself; `came`: what came of asking the broker just now.
    pub(super) async fn explain(&self, call: CallId, of: Option<&DeviceId>, came: Option<Outcome>) {
        let address = self.added.address;
        let mut facts = vec![self.law.fact(&self.id), Fact::Pairing { state: Pairing::Paired }];
        facts.push(Fact::LastSeen { at: self.added.seen, addresses: vec![address] });
        let is_here = |of: &DeviceId| *of == self.id || self.keys.get(of).is_some_and(|key| self.house.is_here(key));
        match of {
            Some(of) if self.up && is_here(of) => facts.push(Fact::Connected { address: address.to_string() }),
            Some(_) if self.up => {
                facts.push(Fact::AwayThere { by: describe::broker_name(&self.added) });
            }
            _ => facts.extend(self.trouble.clone()),
        }
        if let Some(outcome) = came {
            facts.retain(|fact| !matches!(fact, Fact::Tried { .. }));
            facts.push(Fact::Tried { address, outcome });
        }
        let explained = Explained::new("MQTT", Body::Server, facts);
        self.tell(FromBridge::Explained { call, explained }).await;
    }
}

impl Peer for Broker {
    type Order = Order;
    type Line = Line;
    const AWAY: &'static str = "the broker was removed";
    const BUSY: &'static str = "the broker has not done yet what was wanted before";

    fn law(&self) -> (&Law, &DeviceId) {
        (&self.law, &self.id)
    }

    async fn connect(&mut self) -> Result<Line, End> {
        let fields = law::fields(self.has_user());
        let line = Line::open(&self.law, &self.id, &self.added, fields, &mut self.lease).await;
        line.map_err(|no| match no {
            NoLine::No(no) => self.lost(no.into()),
            NoLine::Untrusted(why) => self.turned_away(|at, why| Fact::KeyChanged { at, why }, why),
        })
    }

    async fn talk(&mut self, line: Line, orders: &mut Orders<Order>) -> End {
        self.remember_key(line.key.clone()).await;
        let end = self.drive(line, orders).await;
        self.was_up = self.up;
        if self.up {
            // It was a connection; the next one has a record of its own.
            self.lease = None;
        }
        self.all_away().await;
        self.save();
        let end = self.lost(end);
        self.answer_asked(None).await;
        end
    }

    fn was_up(&self) -> bool {
        self.was_up
    }

    async fn refuse(&self, call: CallId, error: CallError) {
        self.reply(call, Err(error)).await;
    }

    async fn tried(&self, call: CallId, _: Outcome) {
        self.explain(call, None, None).await;
    }

    async fn say(&mut self, state: State) {
        // Said once, and not each time for days.
        if let State::Down(why, _, failures) = state
            && failures.is_first()
        {
            tracing::info!(broker = %self.id, "no connection with an MQTT broker: {why}");
        }
    }
}
