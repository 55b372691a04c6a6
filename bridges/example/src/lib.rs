//! The smallest whole bridge: a lamp that answers a line protocol on TCP. It follows "How to add a bridge"
//! in ARCHITECTURE.md literally: [`STATEMENT`] declares what it reveals, [`core`] is the protocol without
//! I/O, and [`ExampleBridge`] is the driver, whose only socket comes from a permit.
#![cfg_attr(not(test), deny(clippy::unwrap_used))]

pub mod core;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::{self, Dialed};
use accord_consent::{BoundGate, Personal, RecipientId};
use accord_model::why::{Body, Explained};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, FromBridge, Outputs, Reach,
    Source, Target, Timestamp, ToBridge, Value, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide};
use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};

use crate::core::{Core, Event, Input, Output};

/// What this bridge can share.
pub const STATEMENT: &str = include_str!("../statement.toml");

/// How long before a lamp that was lost is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// A lamp: what we call it, and where it is.
pub type Lamp = (DeviceId, SocketAddr);

/// The driver: one connection to each lamp.
pub struct ExampleBridge {
    gate: BoundGate,
    lamps: Vec<Lamp>,
}

impl ExampleBridge {
    /// Speaks to these lamps, as far as the owner's consents allow.
    pub fn new(gate: BoundGate, lamps: Vec<Lamp>) -> Self {
        Self { gate, lamps }
    }
}

type Outbox = mpsc::Sender<(FromBridge, Option<accord_registry::ByteStream>)>;

/// Switch the lamp. Carried out at once or answered with the reason why not: nothing waits for a lamp that is away, to be
/// done when nobody expects it any more.
struct Order {
    call: CallId,
    on: bool,
    /// Closed when the caller no longer waits.
    wanted: oneshot::Receiver<()>,
}

#[async_trait]
impl Bridge for ExampleBridge {
    fn name(&self) -> &str {
        "example"
    }

    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut lamps = HashMap::new();
        let mut waiting: HashMap<CallId, oneshot::Sender<()>> = HashMap::new();
        let mut tasks = tokio::task::JoinSet::new();
        for lamp in self.lamps {
            let (commands, inbox) = mpsc::channel(16);
            lamps.insert(lamp.0.clone(), commands);
            tasks.spawn(keep(self.gate.clone(), lamp, inbox, side.outbox.clone()));
        }
        while let Some((message, _)) = side.inbox.recv().await {
            match message {
                ToBridge::Call { call, device, target: _, verb } => {
                    let outcome = match (verb, lamps.get(&device)) {
                        (Verb::Write { property, data: Data::Bool(on) }, Some(lamp)) if property == "on" => {
                            let (waits, wanted) = oneshot::channel();
                            match lamp.try_send(Order { call, on, wanted }) {
                                Ok(()) => {
                                    waiting.retain(|_, waits| !waits.is_closed());
                                    waiting.insert(call, waits);
                                    continue;
                                }
                                Err(_) => Err(CallError::Unreachable("the lamp has too much to do".into())),
                            }
                        }
                        (_, None) => Err(CallError::Unreachable("no such lamp".into())),
                        _ => Err(CallError::Unsupported("a lamp only has `on`".into())),
                    };
                    let _ = side.tell(FromBridge::Reply { call, outcome }).await;
                }
                ToBridge::OpenStream { stream, .. } => {
                    let error = CallError::Unsupported("a lamp takes no stream".into());
                    let _ = side.tell(FromBridge::StreamFailed { stream, error }).await;
                }
                ToBridge::Explain { call, .. } => {
                    let explained = Explained::new("Lamps", Body::Appliance, Vec::new());
                    let _ = side.tell(FromBridge::Explained { call, explained }).await;
                }
                ToBridge::Cancel { call } => drop(waiting.remove(&call)),
                ToBridge::Add { .. } | ToBridge::Answer { .. } | ToBridge::Own { .. } => {}
                ToBridge::Stop => break,
            }
        }
        tasks.shutdown().await;
        Ok(())
    }
}

/// Stays connected to one lamp while the owner's consent lasts.
async fn keep(gate: BoundGate, lamp: Lamp, mut orders: mpsc::Receiver<Order>, outbox: Outbox) {
    let (id, address) = lamp;
    let Ok(entry) = EntryKey::new("example/control") else { return };
    let to = RecipientId::device(&id);
    let fields = FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName]);
    loop {
        let why = || match gate.check(&entry, &to, fields) {
            Ok(()) => CallError::Unreachable("the lamp is away".into()),
            Err(refusal) => CallError::NotConsented(refusal.to_string()),
        };
        let mut watch = gate.watch(&entry, &to);
        meanwhile(watch.allowed(), &mut orders, &outbox, why).await;
        let dialed = match gate.permit(&entry, &to, fields, "on.control") {
            Ok(permit) => meanwhile(outlet::dial_tcp(permit, address), &mut orders, &outbox, why).await.ok(),
            Err(_) => None,
        };
        if let Some(dialed) = dialed {
            talk(&id, dialed, &mut orders, &outbox).await;
            let _ = outbox.send((FromBridge::Reach { device: id.clone(), reach: Reach::Offline }, None)).await;
        }
        meanwhile(tokio::time::sleep(AGAIN), &mut orders, &outbox, why).await;
    }
}

/// Waits, and answers what cannot be done until then.
async fn meanwhile<T>(
    what: impl Future<Output = T>,
    orders: &mut mpsc::Receiver<Order>,
    outbox: &Outbox,
    why: impl Fn() -> CallError,
) -> T {
    let mut what = std::pin::pin!(what);
    loop {
        tokio::select! {
            // Orders first: what came before it was over is not for afterwards.
            biased;
            Some(order) = orders.recv() => reply(outbox, order.call, Err(why())).await,
            done = &mut what => return done,
        }
    }
}

async fn reply(outbox: &Outbox, call: CallId, outcome: Result<Outputs, CallError>) {
    let _ = outbox.send((FromBridge::Reply { call, outcome }, None)).await;
}

/// One connection, from `hello` to its end.
async fn talk(id: &DeviceId, mut lamp: Dialed, orders: &mut mpsc::Receiver<Order>, outbox: &Outbox) {
    let mut core = Core::new(Instant::now());
    let mut buffer = [0; 1024];
    let mut saying = None;
    let stopped = lamp.outflow.cancelled();
    let lost = loop {
        let wake = match core.poll_output() {
            Output::Transmit(bytes) => {
                let line = Personal::new(FieldCode::CommandName, bytes);
                if lamp.outflow.put(&line).await.is_err() || lamp.outflow.flush().await.is_err() {
                    break None;
                }
                continue;
            }
            Output::Event(Event::Lost(why)) => break Some(why),
            Output::Event(event) => {
                let _ = outbox.send((describe(id, event), None)).await;
                continue;
            }
            Output::Wait(wake) => wake,
        };
        // Everything is said.
        if let Some(call) = saying.take() {
            reply(outbox, call, Ok(Outputs::new())).await;
        }
        tokio::select! {
            biased;
            () = stopped.cancelled() => break None,
            read = lamp.reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break None,
                Ok(length) => core.handle(Input::Bytes(&buffer[..length]), Instant::now()),
            },
            order = orders.recv() => {
                let Some(mut order) = order else { break None };
                if order.wanted.try_recv() != Err(oneshot::error::TryRecvError::Closed) {
                    core.handle(Input::Set(order.on), Instant::now());
                    saying = Some(order.call);
                }
            }
            () = tokio::time::sleep_until(wake.into()) => core.handle(Input::Timeout, Instant::now()),
        }
    };
    if let Some(call) = saying {
        reply(outbox, call, Err(CallError::Unreachable("the connection to the lamp ended".into()))).await;
    }
    match lost {
        Some(why) => lamp.outflow.fail(why).await,
        None => drop(lamp.outflow.finish().await),
    }
}

fn describe(id: &DeviceId, event: Event) -> FromBridge {
    match event {
        Event::Named(name) => {
            let name = accord_model::text::for_screen(&name, 64);
            let mut device = Device::new(id.clone(), DeviceKind::Light, name).with(catalogue::light());
            device.reach = Reach::Local;
            FromBridge::Seen { device }
        }
        Event::On(on) => {
            let value =
                Value { data: Data::Bool(on), seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: 3600 };
            let values = BTreeMap::from([("on".to_owned(), value)]);
            FromBridge::Values { device: id.clone(), target: Target::new("light"), values }
        }
        Event::Lost(why) => FromBridge::Failed { message: why.to_owned() },
    }
}
