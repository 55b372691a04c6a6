//! The driver: asks by multicast while the owner agrees, and tells of the receivers that answer.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_consent::{BoundGate, Personal, RecipientId};
use accord_mdns::{Config, Core, Event, GROUP_V4, GROUP_V6, MAX_DATAGRAM, Output, PORT, ServiceInstance};
use accord_model::why::Explained;
use accord_model::{CallError, EntryKey, FieldCode, FieldSet, FromBridge, ToBridge};
use accord_registry::{Bridge, BridgeSide, why};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::core::{Announced, Receivers, TYPES};

/// How long before sockets that could not be opened are tried again.
const AGAIN: Duration = Duration::from_secs(10);
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Datagrams that wait.
const QUEUE: usize = 256;
/// What a question says.
const SAID: FieldSet = FieldSet::one(FieldCode::NetIp);

/// Asks for receivers and says what they are.
pub struct LeboBridge {
    gate: BoundGate,
    entry: EntryKey,
    network: Network,
}

impl LeboBridge {
    /// Under the entry of `lebo`, which `gate` is bound to. Nothing is sent yet, and no socket made.
    pub fn new(gate: BoundGate, network: Network) -> Self {
        let entry = EntryKey::new("lebo/search").expect("the bridge's own entry has a well-formed key");
        Self { gate, entry, network }
    }

    async fn near(&self) -> Result<Near, String> {
        let permit = self.gate.permit(&self.entry, &RecipientId::lan(), SAID, "on.network");
        let permit = permit.map_err(|refusal| refusal.to_string())?;
        Near::open(permit, "lebo").await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Bridge for LeboBridge {
    fn name(&self) -> &str {
        "lebo"
    }

    async fn run(self: Box<Self>, mut side: BridgeSide) -> Result<(), String> {
        let mut receivers = Receivers::default();
        let (mut asking, mut again): (Option<Asking>, Instant) = (None, Instant::now());
        loop {
            let mut allowed = self.gate.watch(&self.entry, &RecipientId::lan());
            tokio::select! {
                biased;
                message = side.inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => return Ok(()),
                    Some((message, _)) => self.message(&side, message).await,
                },
                found = next(&mut asking) => match found {
                    Some(found) => tell(&side, &mut receivers, found).await,
                    None => {
                        (asking, again) = (None, Instant::now());
                        for device in receivers.all_lost() {
                            let _ = side.tell(FromBridge::Gone { device }).await;
                        }
                    }
                },
                () = async {
                    tokio::time::sleep_until(again.into()).await;
                    allowed.allowed().await;
                }, if asking.is_none() => {
                    again = Instant::now() + AGAIN;
                    match self.near().await {
                        Ok(near) => asking = Some(Asking::begin(near, self.network).await),
                        Err(why) => tracing::warn!("receivers are not asked for now: {why}"),
                    }
                }
            }
        }
    }
}

impl LeboBridge {
    async fn message(&self, side: &BridgeSide, message: ToBridge) {
        let unsupported = || CallError::Unsupported("such a receiver is recognised, and not driven".to_owned());
        let answer = match message {
            ToBridge::Call { call, .. } => FromBridge::Reply { call, outcome: Err(unsupported()) },
            ToBridge::OpenStream { stream, .. } => FromBridge::StreamFailed { stream, error: unsupported() },
            ToBridge::Explain { call, .. } => {
                let decided = self.gate.check(&self.entry, &RecipientId::lan(), SAID);
                let facts = vec![why::consent(&self.entry, None, true, decided)];
                FromBridge::Explained { call, explained: Explained { app: "Lebo".to_owned(), facts } }
            }
            _ => return,
        };
        let _ = side.tell(answer).await;
    }
}

async fn tell(side: &BridgeSide, receivers: &mut Receivers, found: Vec<Event>) {
    for event in found {
        let message = match event {
            Event::Found(instance) | Event::Updated(instance) => {
                receivers.found(&announced(&instance)).map(|device| FromBridge::Seen { device })
            }
            Event::Lost { service, name } => receivers.lost(&service, &name).map(|device| FromBridge::Gone { device }),
            Event::Renamed { .. } => None,
        };
        if let Some(message) = message {
            let _ = side.tell(message).await;
        }
    }
}

fn announced(instance: &ServiceInstance) -> Announced<'_> {
    let addresses = instance.addresses.iter().map(|found| found.ip).collect();
    Announced { service: &instance.service, name: &instance.name, addresses, txt: &instance.txt }
}

/// While the owner agrees.
struct Asking {
    near: Near,
    core: Core,
    start: Instant,
    changes: Changes,
    network: Network,
    open: HashMap<u32, Open>,
    heard: mpsc::Sender<Datagram>,
    inbox: mpsc::Receiver<Datagram>,
    found: Vec<Event>,
}

struct Open {
    interface: Interface,
    sockets: Vec<Arc<DatagramOutlet>>,
    _readers: Vec<AbortOnDropHandle<()>>,
}

struct Datagram {
    interface: u32,
    from: SocketAddr,
    bytes: Vec<u8>,
}

/// What came of asking; `None` when the consent ended. Waits for ever while nothing is asked.
async fn next(asking: &mut Option<Asking>) -> Option<Vec<Event>> {
    match asking {
        Some(asking) => asking.next().await,
        None => std::future::pending().await,
    }
}

impl Asking {
    async fn begin(near: Near, network: Network) -> Self {
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let mut core = Core::new(Config::with_seed(u64::from_ne_bytes(seed)));
        for kind in TYPES {
            if let Err(error) = core.browse(kind, Duration::ZERO) {
                tracing::warn!(%error, "receivers of a kind are not asked for");
            }
        }
        let (heard, inbox) = mpsc::channel(QUEUE);
        let (start, changes) = (Instant::now(), Changes::watch(network));
        let mut asking =
            Self { near, core, start, changes, network, open: HashMap::new(), heard, inbox, found: Vec::new() };
        asking.take_interfaces(list(network).await);
        asking
    }

    /// May be dropped at any time.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            self.flush().await;
            if !self.found.is_empty() {
                return Some(std::mem::take(&mut self.found));
            }
            let wake = self.core.poll_timeout().map_or_else(|| Instant::now() + AGAIN, |at| self.start + at);
            let cancelled = self.near.cancelled();
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return None,
                Some(Datagram { interface, from, bytes }) = self.inbox.recv() => {
                    let now = self.start.elapsed();
                    self.core.handle_datagram(from, interface, &bytes, now);
                }
                interfaces = self.changes.next() => self.take_interfaces(interfaces),
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = self.start.elapsed();
                    self.core.handle_timeout(now);
                }
            }
        }
    }

    fn take_interfaces(&mut self, found: Vec<Interface>) {
        let used = |interface: &Interface| !interface.loopback || self.network == Network::Loopback;
        let found: Vec<Interface> = found.into_iter().filter(used).collect();
        self.open.retain(|_, open| found.contains(&open.interface));
        for interface in found {
            if self.open.contains_key(&interface.index) {
                continue;
            }
            let mut open = Open { interface, sockets: Vec::new(), _readers: Vec::new() };
            for group in [SocketAddr::from((GROUP_V4, PORT)), SocketAddr::from((GROUP_V6, PORT))] {
                match self.near.multicast(&open.interface, group) {
                    Ok(Some(socket)) => {
                        let socket = Arc::new(socket);
                        let reader = hear(open.interface.index, socket.clone(), self.heard.clone());
                        open._readers.push(AbortOnDropHandle::new(tokio::spawn(reader)));
                        open.sockets.push(socket);
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "receivers are not asked for on this interface"),
                }
            }
            self.open.insert(open.interface.index, open);
        }
        let told = self.open.values().map(|open| accord_mdns::Interface {
            index: open.interface.index,
            addresses: open
                .interface
                .addresses()
                .filter(|ip| open.sockets.iter().any(|socket| is_v4(socket) == ip.is_ipv4()))
                .collect(),
        });
        let (told, now) = (told.collect(), self.start.elapsed());
        self.core.set_interfaces(told, now);
    }

    /// Sends what is due, and keeps what was found.
    async fn flush(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => {
                    let open = self.open.get(&transmit.interface);
                    let fits = |socket: &&Arc<DatagramOutlet>| is_v4(socket) == transmit.to.is_ipv4();
                    let Some(socket) = open.and_then(|open| open.sockets.iter().find(fits)).cloned() else { continue };
                    let to = match transmit.to {
                        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, transmit.interface).into(),
                        v4 => v4,
                    };
                    let sealed = Personal::new(FieldCode::NetIp, transmit.bytes);
                    if let Err(error) = socket.send(&sealed, to).await {
                        tracing::debug!(%error, "a question for receivers did not leave");
                    }
                }
                Output::Event(event) => self.found.push(event),
            }
        }
    }
}

fn is_v4(socket: &DatagramOutlet) -> bool {
    socket.local_addr().is_ok_and(|local| local.is_ipv4())
}

async fn hear(interface: u32, socket: Arc<DatagramOutlet>, heard: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                // What does not fit the queue is announced again.
                let _ = heard.try_send(Datagram { interface, from, bytes: buffer[..length].to_vec() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}
