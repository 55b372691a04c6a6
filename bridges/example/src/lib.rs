//! The smallest whole bridge: a lamp that answers a line protocol on TCP. It follows "How to add a bridge"
//! in ARCHITECTURE.md literally: [`STATEMENT`] declares what it reveals, [`core`] is the protocol without
//! I/O, and [`ExampleBridge`] is the driver, whose only socket comes from a permit.

pub mod core;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use accord_consent::outlet::{self, Dialed};
use accord_consent::{BoundGate, Personal, RecipientId};
use accord_model::{
    CallError, CallId, Data, Device, DeviceId, DeviceKind, EntryKey, FieldCode, FieldSet, FromBridge, Outputs, Reach,
    Source, Target, Timestamp, ToBridge, Value, Verb, catalogue,
};
use accord_registry::{Bridge, BridgeSide};
use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

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

#[async_trait]
impl Bridge for ExampleBridge {
    fn name(&self) -> &str {
        "example"
    }

    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut lamps = HashMap::new();
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
                            match lamp.try_send((call, on)) {
                                Ok(()) => continue,
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
                ToBridge::Answer { .. } | ToBridge::Cancel { .. } => {}
                ToBridge::Stop => break,
            }
        }
        tasks.shutdown().await;
        Ok(())
    }
}

/// Stays connected to one lamp while the owner's consent lasts.
async fn keep(gate: BoundGate, lamp: Lamp, mut commands: mpsc::Receiver<(CallId, bool)>, outbox: Outbox) {
    let (id, address) = lamp;
    let Ok(entry) = EntryKey::new("example/control") else { return };
    let to = RecipientId::device(&id);
    let fields = FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName]);
    loop {
        gate.watch(&entry, &to).allowed().await;
        let dialed = match gate.permit(&entry, &to, fields, "on.control") {
            Ok(permit) => outlet::dial_tcp(permit, address).await.ok(),
            Err(_) => None,
        };
        if let Some(dialed) = dialed {
            talk(&id, dialed, &mut commands, &outbox).await;
            let _ = outbox.send((FromBridge::Reach { device: id.clone(), reach: Reach::Offline }, None)).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// One connection, from `hello` to its end.
async fn talk(id: &DeviceId, mut lamp: Dialed, commands: &mut mpsc::Receiver<(CallId, bool)>, outbox: &Outbox) {
    let mut core = Core::new(Instant::now());
    let mut buffer = [0; 1024];
    let stopped = lamp.outflow.cancelled();
    loop {
        let wake = match core.poll_output() {
            Output::Transmit(bytes) => {
                let line = Personal::new(FieldCode::CommandName, bytes);
                if lamp.outflow.put(&line).await.is_err() || lamp.outflow.flush().await.is_err() {
                    break;
                }
                continue;
            }
            Output::Event(Event::Lost(why)) => return lamp.outflow.fail(why).await,
            Output::Event(event) => {
                let _ = outbox.send((describe(id, event), None)).await;
                continue;
            }
            Output::Wait(wake) => wake,
        };
        tokio::select! {
            read = lamp.reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(length) => core.handle(Input::Bytes(&buffer[..length]), Instant::now()),
            },
            command = commands.recv() => {
                let Some((call, on)) = command else { break };
                core.handle(Input::Set(on), Instant::now());
                let _ = outbox.send((FromBridge::Reply { call, outcome: Ok(Outputs::new()) }, None)).await;
            }
            () = tokio::time::sleep_until(wake.into()) => core.handle(Input::Timeout, Instant::now()),
            () = stopped.cancelled() => break,
        }
    }
    let _ = lamp.outflow.finish().await;
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
