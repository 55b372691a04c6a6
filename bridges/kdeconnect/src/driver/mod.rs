//! The driver: one task that owns all state; links and transfers are tasks of their own that tell it what happens.

mod again;
mod art;
mod browse;
mod calls;
mod heard;
mod incoming;
mod law;
mod link;
mod mdns;
mod meet;
mod mirror;
mod near;
mod outgoing;
mod pairing;
mod payload;
mod peer;
mod people;
mod picture;
mod presence;
mod runs;
mod ssh;
mod store;
#[cfg(test)]
mod tests;
mod why;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::Met;
use accord_consent::outlet::interfaces::{Interface, Network};
use accord_consent::{BoundGate, ConsentWatch};
use accord_model::why::{Outcome, Way};
use accord_model::{CallError, CallId, DeviceId, FromBridge, Outputs, StreamId, Target, ToBridge};
use accord_registry::why::Air;
use accord_registry::{BridgeSide, ByteStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::again::Awaited;
use self::law::Law;
use self::link::{Handle, Order};
use self::peer::{Peer, Up};
use self::presence::Presence;
use self::store::Store;
use crate::Options;
use crate::core::KdeId;
use crate::core::discovery::{Answer, Discovery, Policy};
use crate::core::identity::{OwnIdentity, Version};
use crate::core::link::{self as protocol, End, LinkNo, Links, Own, Trust};
use crate::core::packet::Packet;
use crate::core::pairing::AskLimiter;

/// What may wait for the driver.
const QUEUE: usize = 256;
/// While files move nothing is announced: old desktops replace their links then, and break the transfer.
const UNDISTURBED: Duration = Duration::from_secs(5);
/// How long links may take to close at the end.
const CLOSE_WITHIN: Duration = Duration::from_millis(800);

const POLICY: Policy = Policy { answer: Answer::Everyone, announce: true, oldest: Version::V7 };

/// What tasks tell the driver.
pub(crate) enum Happening {
    PresenceAllowed(bool),
    ConnectionAllowed(KdeId, bool),
    Interfaces(Vec<Interface>),
    Datagram {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Mdns {
        interface: u32,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Accepted(Box<Met>),
    NotReached(LinkNo, SocketAddr, Outcome),
    Link(LinkNo, protocol::Event),
    Secured(LinkNo),
    Ended(LinkNo, End),
    /// Say this to a paired device; the answer tells where it is.
    Say(KdeId, Packet, oneshot::Sender<Result<IpAddr, CallError>>),
    /// Where a device is linked from.
    Where(KdeId, oneshot::Sender<Option<IpAddr>>),
    /// Ask a device how its files can be had.
    AskWay(KdeId, browse::WayAnswer),
    /// A notification's picture is here, or will not come.
    Pictured(KdeId, Box<picture::Picture>, Option<Vec<u8>>),
    #[cfg(test)]
    Reach(SocketAddr, Box<crate::core::identity::Identity>),
    #[cfg(test)]
    Port(oneshot::Sender<Option<u16>>),
}

type Outbox = mpsc::Sender<(FromBridge, Option<ByteStream>)>;

/// The bridge before it runs.
pub(crate) struct Driver {
    law: Law,
    network: Network,
    store: Store,
    own: Arc<Own>,
    happened: (mpsc::Sender<Happening>, mpsc::Receiver<Happening>),
}

impl Driver {
    pub fn new(gate: BoundGate, options: Options) -> Result<Self, String> {
        let store = Store::open(&options.folder)?;
        let set = |kinds: &[&str]| kinds.iter().map(|kind| format!("kdeconnect.{kind}")).collect();
        let identity = OwnIdentity {
            id: store.certificate.id().clone(),
            name: options.name,
            kind: peer::device_type(options.kind),
            incoming: set(heard::TAKEN),
            outgoing: set(calls::SENT),
            version: Version::V8,
        };
        let own = Own::new(identity, store.certificate.clone()).map_err(|error| error.to_string())?;
        Ok(Self {
            law: Law::new(gate),
            network: options.network,
            store,
            own: Arc::new(own),
            happened: mpsc::channel(QUEUE),
        })
    }

    /// Runs until the house stops it.
    pub async fn run(self, side: BridgeSide) {
        let BridgeSide { mut inbox, outbox } = side;
        let (happened, mut happens) = self.happened;
        let discovery = Discovery::new(self.own.identity().id.clone());
        let trust = Arc::new(self.store.trust());
        let mut running = Running {
            law: self.law,
            network: self.network,
            store: self.store,
            own: self.own,
            trust,
            outbox,
            happened,
            discovery,
            presence: None,
            presence_again: None,
            trouble: None,
            air: Air::default(),
            too_old: None,
            checks: Vec::new(),
            links: Links::default(),
            handles: HashMap::new(),
            connecting: HashMap::new(),
            peers: BTreeMap::new(),
            ids: HashMap::new(),
            asks: AskLimiter::default(),
            look: None,
            replaced: Vec::new(),
            readings: Vec::new(),
            awaited: HashMap::new(),
            runs: Vec::new(),
            jobs: HashMap::new(),
            next: 0,
            tasks: JoinSet::new(),
        };
        running.begin().await;
        let watch = running.law.watch_presence();
        let _watch = follow(watch, running.happened.clone(), Happening::PresenceAllowed);
        loop {
            let wake = running.wake();
            tokio::select! {
                message = inbox.recv() => match message {
                    None | Some((ToBridge::Stop, _)) => break,
                    Some((message, _)) => running.told(message).await,
                },
                Some(happening) = happens.recv() => running.on(happening).await,
                () = link::at(wake) => running.on_time().await,
                Some(_) = running.tasks.join_next(), if !running.tasks.is_empty() => {}
            }
        }
        running.end(&mut happens).await;
    }
}

/// Tells how a consent stands, now and whenever that changes.
fn follow(
    mut watch: ConsentWatch,
    to: mpsc::Sender<Happening>,
    say: impl Fn(bool) -> Happening + Send + 'static,
) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            watch.allowed().await;
            if to.send(say(true)).await.is_err() {
                return;
            }
            watch.ended().await;
            if to.send(say(false)).await.is_err() {
                return;
            }
        }
    }))
}

struct Running {
    law: Law,
    network: Network,
    store: Store,
    own: Arc<Own>,
    trust: Arc<Trust>,
    outbox: Outbox,
    happened: mpsc::Sender<Happening>,
    discovery: Discovery,
    presence: Option<Presence>,
    /// When to try again to open what could not be opened.
    presence_again: Option<Instant>,
    /// Why it could not be opened.
    trouble: Option<String>,
    /// What is said to everyone near, and heard.
    air: Air,
    /// Who was passed over because of its version.
    too_old: Option<(IpAddr, String)>,
    /// Devices that are asked just now why they cannot be reached.
    checks: Vec<why::Check>,
    links: Links,
    handles: HashMap<LinkNo, Line>,
    connecting: HashMap<KdeId, LinkNo>,
    peers: BTreeMap<KdeId, Peer>,
    ids: HashMap<DeviceId, KdeId>,
    asks: AskLimiter,
    /// When to look for lost devices, and how long to wait after that.
    look: Option<(Instant, Duration)>,
    /// Links that were replaced and are still open.
    replaced: Vec<(Instant, KdeId, Up)>,
    /// Calls whose answer comes in packets.
    readings: Vec<people::Reading>,
    /// What devices asked of features, until these have answered.
    awaited: HashMap<CallId, (KdeId, Awaited)>,
    /// Commands of devices that run.
    runs: Vec<runs::Run>,
    /// What looks into devices, by the call that it answers.
    jobs: HashMap<CallId, CancellationToken>,
    next: u64,
    tasks: JoinSet<()>,
}

/// One connection: its end of the orders, whose it is once that is known, and where it goes.
struct Line {
    handle: Handle,
    id: Option<KdeId>,
    address: SocketAddr,
    dialed: bool,
}

impl Running {
    async fn begin(&mut self) {
        for (id, paired) in self.store.paired.clone() {
            let mut peer = Peer::new(id.clone(), paired.name, paired.kind);
            peer.incoming = paired.incoming;
            peer.outgoing = paired.outgoing;
            peer.paired = Some(paired.since);
            peer.verification = Some(paired.verification);
            peer.last_address = paired.last.as_ref().map(|last| last.address);
            peer.last_seen = paired.last.map(|last| last.at);
            self.enter(peer);
            self.watch(&id);
            self.see(&id).await;
        }
    }

    /// Says goodbye to every device.
    async fn end(&mut self, happens: &mut mpsc::Receiver<Happening>) {
        self.handles.values().for_each(|line| {
            line.handle.order(Order::Close);
        });
        if let Some(presence) = self.presence.take() {
            presence.close();
        }
        let closed = async { while self.tasks.join_next().await.is_some() {} };
        let drained = async { while happens.recv().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_WITHIN, async {
            tokio::select! { () = closed => {}, () = drained => {} }
        })
        .await;
        self.tasks.shutdown().await;
    }

    async fn on(&mut self, happening: Happening) {
        match happening {
            Happening::PresenceAllowed(true) => self.appear().await,
            Happening::PresenceAllowed(false) => self.vanish(),
            Happening::ConnectionAllowed(id, allowed) => self.agreed(&id, allowed).await,
            Happening::Interfaces(interfaces) => {
                if let Some(presence) = &mut self.presence {
                    let before = presence.addresses().to_vec();
                    presence.take_interfaces(interfaces);
                    if why::is_another_network(&before, presence.addresses()) {
                        self.air.begin_anew();
                    }
                    presence.mdns().refresh();
                    self.discovery.announce_soon(Instant::now());
                    self.look = self.look.map(|_| (Instant::now() + *near::LOOK.start(), *near::LOOK.start()));
                    self.flush_mdns().await;
                }
            }
            Happening::Datagram { from, bytes } => {
                self.note_heard(from, Way::Ipv4Broadcast);
                self.datagram(from, &bytes).await;
            }
            Happening::Mdns { interface, from, bytes } => {
                self.note_heard(from, why::multicast(from));
                if let Some(presence) = &mut self.presence {
                    presence.mdns().heard(from, interface, &bytes);
                    self.flush_mdns().await;
                }
            }
            Happening::Accepted(met) => self.accepted(*met),
            Happening::NotReached(no, to, outcome) => {
                self.forget_line(no);
                self.check_failed(no, to, outcome);
                if let Ok(announce) = self.discovery.connect_failed(to, Instant::now()) {
                    self.announce(announce).await;
                }
            }
            Happening::Link(no, event) => self.linked(no, event).await,
            Happening::Secured(no) => self.secured(no).await,
            Happening::Ended(no, end) => self.ended(no, end).await,
            Happening::Say(id, packet, answer) => self.pass(&id, packet, answer),
            Happening::Where(id, answer) => {
                let up = self.peers.get(&id).and_then(|peer| peer.link.as_ref());
                let _ = answer.send(up.map(|up| up.address));
            }
            Happening::AskWay(id, answer) => self.ask_way(&id, answer),
            Happening::Pictured(id, picture, png) => self.pictured(&id, *picture, png).await,
            #[cfg(test)]
            Happening::Reach(to, identity) => {
                self.connect(crate::core::discovery::Connect { to, identity: *identity });
            }
            #[cfg(test)]
            Happening::Port(answer) => drop(answer.send(self.presence.as_ref().map(Presence::port))),
        }
    }

    fn wake(&self) -> Option<Instant> {
        let busy = self.peers.values().any(Peer::is_busy);
        let announce = self.discovery.timeout().filter(|_| self.presence.is_some());
        let announce = announce.map(|at| if busy { at.max(Instant::now() + UNDISTURBED) } else { at });
        let mdns = self.presence.as_ref().and_then(Presence::next_mdns);
        let replaced = self.replaced.iter().map(|(at, ..)| *at).min();
        let reading = self.readings.iter().map(people::Reading::until).min();
        let run = self.runs.iter().map(runs::Run::until).min();
        let look = self.look.map(|(at, _)| at);
        let check = self.checks.iter().map(why::Check::until).min();
        [announce, mdns, replaced, reading, run, look, check, self.presence_again].into_iter().flatten().min()
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        if self.presence_again.is_some_and(|at| at <= now) {
            self.appear().await;
        }
        if let Some(presence) = &mut self.presence {
            if presence.next_mdns().is_some_and(|at| at <= now) {
                presence.mdns().on_timeout();
                self.flush_mdns().await;
            }
            if !self.peers.values().any(Peer::is_busy) {
                self.announce_all().await;
            }
        }
        if let Some((at, wait)) = self.look.filter(|(at, _)| *at <= now) {
            self.look(at, wait).await;
        }
        let (over, kept) = std::mem::take(&mut self.replaced).into_iter().partition(|(at, ..)| *at <= now);
        self.replaced = kept;
        let over: Vec<(Instant, KdeId, Up)> = over;
        for (_, _, up) in over {
            self.order(up.no, Order::Close);
        }
        self.end_readings(now).await;
        self.end_checks(now).await;
        self.end_runs(now).await;
    }

    // -- what is said -------------------------------------------------------------------------------

    fn pass(&mut self, id: &KdeId, packet: Packet, answer: oneshot::Sender<Result<IpAddr, CallError>>) {
        match self.say(id, packet) {
            Ok((address, said)) => {
                self.tasks.spawn(async move {
                    let said = said.await.unwrap_or_else(|_| Err(not_connected()));
                    let _ = answer.send(said.map(|()| address));
                });
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    fn say(&self, id: &KdeId, packet: Packet) -> Result<(IpAddr, oneshot::Receiver<Result<(), CallError>>), CallError> {
        let peer = self.peers.get(id).ok_or_else(not_connected)?;
        self.law.may_carry(&peer.device, packet.body.fields())?;
        let up = peer.link.as_ref().ok_or_else(not_connected)?;
        let line = self.handles.get(&up.no).ok_or_else(not_connected)?;
        Ok((up.address, line.handle.say(packet)))
    }

    async fn told(&mut self, message: ToBridge) {
        match message {
            ToBridge::Call { call, device, target, verb } => self.call(call, &device, &target, verb).await,
            ToBridge::OpenStream { stream, device, target, .. } => self.open_stream(stream, &device, &target).await,
            ToBridge::Explain { call, device, within } => self.explain(call, device.as_ref(), within).await,
            ToBridge::Answer { call, outcome } => self.answered(call, outcome),
            ToBridge::Add { .. } => {}
            ToBridge::Own { name, kind } => self.renamed(name, kind),
            ToBridge::Cancel { call } => self.cancelled(call),
            ToBridge::Stop => {}
        }
    }

    async fn open_stream(&mut self, stream: StreamId, device: &DeviceId, target: &Target) {
        match self.pass_files_on(device, target) {
            Ok(end) => {
                let _ = self.outbox.send((FromBridge::StreamReady { stream }, Some(end))).await;
            }
            Err(error) => self.tell(FromBridge::StreamFailed { stream, error }).await,
        }
    }

    fn pass_files_on(&mut self, device: &DeviceId, target: &Target) -> Result<ByteStream, CallError> {
        if target.service == "clipboard" {
            return Err(CallError::Unsupported(calls::TEXTS_ONLY.into()));
        }
        if target.service != "files" {
            return Err(CallError::Unsupported(format!("no stream to `{}`", target.service)));
        }
        let peer = self.ids.get(device).and_then(|id| self.peers.get(id)).ok_or_else(not_connected)?;
        if peer.paired.is_none() {
            return Err(CallError::Refused("it is not paired".into()));
        }
        let up = peer.link.as_ref().filter(|up| up.secured).ok_or_else(not_connected)?;
        let (ours, theirs) = accord_ports::files::pair("kdeconnect");
        self.tasks.spawn(outgoing::pass_on(self.context(peer, up), (up.version, peer.kind), theirs));
        Ok(ours)
    }

    /// What a transfer needs.
    fn context(&self, peer: &Peer, up: &Up) -> payload::Context {
        payload::Context {
            own: self.own.clone(),
            law: self.law.clone(),
            id: peer.id.clone(),
            device: peer.device.clone(),
            certificate: up.certificate.clone(),
            happened: self.happened.clone(),
            outbox: self.outbox.clone(),
            turn: peer.turn.clone(),
            busy: Some(peer.busy.clone()),
        }
    }

    // -- the house ----------------------------------------------------------------------------------

    fn enter(&mut self, peer: Peer) {
        self.ids.insert(peer.device.clone(), peer.id.clone());
        self.peers.insert(peer.id.clone(), peer);
    }

    async fn leave(&mut self, id: &KdeId) {
        if let Some(peer) = self.peers.remove(id) {
            self.ids.remove(&peer.device);
            self.tell(FromBridge::Gone { device: peer.device }).await;
        }
    }

    async fn see(&self, id: &KdeId) {
        if let Some(peer) = self.peers.get(id) {
            self.tell(FromBridge::Seen { device: peer.describe_device() }).await;
        }
    }

    async fn tell(&self, message: FromBridge) {
        let _ = self.outbox.send((message, None)).await;
    }

    async fn tell_event(&self, device: &DeviceId, service: &str, event: &str, arguments: Outputs) {
        let (device, target, event) = (device.clone(), Target::new(service), event.to_owned());
        self.tell(FromBridge::Event { device, target, event, arguments }).await;
    }

    fn next_call(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    /// Follows the consent for a paired device.
    fn watch(&mut self, id: &KdeId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let (watch, of) = (self.law.watch_connection(&peer.device), id.clone());
        let say = move |allowed| Happening::ConnectionAllowed(of.clone(), allowed);
        peer.watch = Some(follow(watch, self.happened.clone(), say));
    }

    async fn agreed(&mut self, id: &KdeId, allowed: bool) {
        if !allowed || !self.trust.contains_key(id) {
            return;
        }
        if self.peers.get(id).is_some_and(|peer| peer.link.is_some()) {
            self.secure(id);
        } else if self.presence.is_some() {
            self.discovery.announce_soon(Instant::now());
        }
    }
}

pub(crate) fn not_connected() -> CallError {
    CallError::Unreachable("it is not connected; is KDE Connect running there, and is it in the same network?".into())
}
