//! What an application sees of the link: options, devices, pairings, events. Plain data.

use std::net::SocketAddr;
use std::path::PathBuf;

pub use accord_consent::{ledger::Hash, outlet::interfaces::Network};
use accord_identity::StatementKey;
use accord_model::{DeviceId, DeviceKind, EntryKey, Reach, Service, Timestamp};

/// What this device says of itself and how it is reached.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// What paired devices show for this one.
    pub name: String,
    /// What sort of thing this is.
    pub kind: DeviceKind,
    /// What it offers to paired devices.
    pub services: Vec<Service>,
    /// Relay of the owner's own (`https://host[:port]`); none by default. Used only with consent to `link/relay`.
    pub relay: Option<String>,
    /// Folder for what the link remembers: ports, last addresses of paired devices.
    pub state: PathBuf,
    /// Which interfaces are used.
    pub network: Network,
}

/// A signed checkpoint, and the proof that it continues the one that was kept before (RFC 9162, 2.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenHead {
    /// The checkpoint, as text.
    pub head: String,
    /// Empty when nothing was kept, and when there is no proof to give.
    pub proof: Vec<Hash>,
}

/// Keeps each other's ledger heads. The application implements it over its ledger. May block for a disk flush.
pub trait Witness: Send + Sync + 'static {
    /// The head of a paired device's ledger that we keep, to be handed back to it.
    fn kept(&self, peer: &DeviceId) -> Option<String>;
    /// A paired device handed back the head of ours that it keeps, or (`kept` absent) keeps none.
    ///
    /// # Errors
    /// What is wrong with our own ledger, for the owner: it no longer leads on from that head.
    fn handed_back(&self, peer: &DeviceId, kept: Option<&str>) -> Result<(), String>;
    /// Our newest head, proven to continue `kept`. `None`: nothing to show yet.
    fn own_head(&self, kept: Option<&str>) -> Option<ProvenHead>;
    /// A paired device showed its head.
    ///
    /// # Errors
    /// What is wrong with its ledger, for the owner: it went back, it forked, it does not prove that it goes on.
    fn witness(&self, peer: &DeviceId, statement_key: &StatementKey, shown: &ProvenHead) -> Result<(), String>;
    /// A paired device confirms that it keeps our head.
    fn witnessed(&self, peer: &DeviceId, head: &str);
}

/// One device as the link knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkDevice {
    /// Stable for paired devices; rotates with the announcement for others.
    pub id: DeviceId,
    /// What it calls itself; empty when it has not said.
    pub name: String,
    /// What it says it is.
    pub kind: DeviceKind,
    /// Whether it is paired.
    pub paired: bool,
    /// Whether and how it can be reached now.
    pub reach: Reach,
    /// Where it was seen, best first.
    pub addresses: Vec<SocketAddr>,
    /// The live path, when connected.
    pub path: Option<PathNow>,
    /// First seen in this run, or when it was paired.
    pub first_seen: Option<Timestamp>,
    /// Last heard of.
    pub last_seen: Option<Timestamp>,
    /// Short form of the statement key, to compare by eye; paired devices only.
    pub fingerprint: Option<String>,
}

/// A live path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathNow {
    /// `quic` or `tls`: what the last bulk stream used, `quic` before the first.
    pub carrier: String,
    /// The other end, or the relay's host.
    pub address: String,
    /// Through a relay.
    pub relayed: bool,
    /// Round trip in milliseconds.
    pub rtt_ms: Option<f64>,
}

/// Whether and where the link is open now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkStatus {
    /// Announcing and looking for others.
    pub discovery: bool,
    /// Open for pairing.
    pub pairing: bool,
    /// Open for paired devices.
    pub connection: bool,
    /// Addresses that another owner can type in, best first (only while open for pairing).
    pub addresses: Vec<SocketAddr>,
}

/// Names one pairing, unique within a hub's run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairingId(pub String);

/// Who began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingDirection {
    /// The other device did.
    In,
    /// This device did.
    Out,
}

/// The way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingMethod {
    /// Six digits compared on both screens.
    Code,
    /// A one-time secret shown by one and scanned by the other.
    Ticket,
}

/// How far a pairing is.
#[derive(Debug, Clone, PartialEq)]
pub enum PairingStep {
    /// Looking for a way to the other device, or waiting for someone to use the ticket.
    Connecting,
    /// The owner is asked: does the code match (`Some`), or is this device let in (ticket, `None`).
    Compare(Option<String>),
    /// The owner agreed; the other has not yet.
    Waiting,
    /// Paired with this device.
    Done(DeviceId),
    /// Over without result; what happened and what to do.
    Failed(String),
}

/// One pairing, running or lately ended.
#[derive(Debug, Clone, PartialEq)]
pub struct PairingInfo {
    /// Its name.
    pub id: PairingId,
    /// Who began.
    pub direction: PairingDirection,
    /// The way in.
    pub method: PairingMethod,
    /// How far it is.
    pub step: PairingStep,
    /// The discovered device it began with, if any.
    pub device: Option<DeviceId>,
    /// What the other calls itself, once it said so. From outside: escape before showing.
    pub name: Option<String>,
    /// What the other says it is.
    pub kind: Option<DeviceKind>,
    /// When it fails by itself; both screens show the same.
    pub deadline: Timestamp,
}

/// A ticket that waits for someone to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownTicket {
    /// The pairing that waits.
    pub pairing: PairingId,
    /// `accord:pair/1?…`, also the content of the QR code.
    pub ticket: String,
    /// Until when it works.
    pub expires: Timestamp,
}

/// What became of the paired devices when this device's ids were reset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResetDone {
    /// They were connected, keep the new key and come back by themselves.
    pub told: Vec<DeviceId>,
    /// They were away or did not answer: they must be paired again.
    pub away: Vec<DeviceId>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// A device appeared or changed.
    Device(LinkDevice),
    /// A device that is not paired is no longer near, or a paired one was forgotten.
    Gone(DeviceId),
    /// A pairing began or moved on. `Done`: decide `link/connection` for the device, then it connects.
    Pairing(PairingInfo),
    /// The link opened or closed sockets.
    Status(LinkStatus),
    /// A ledger was changed: a paired device's does not go on from the head that we keep of it, or ours does not go on
    /// from the head that it keeps of ours.
    WitnessAlarm {
        /// Which device.
        device: DeviceId,
        /// True when it is our own ledger.
        ours: bool,
        /// What is wrong.
        message: String,
    },
}

/// Why the link cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The owner has not agreed.
    #[error("not shared: the entry `{entry}` is off. {notice}")]
    NotConsented {
        /// Which entry.
        entry: EntryKey,
        /// What to do.
        notice: String,
    },
    /// No such device.
    #[error("no device `{0}` is near or paired")]
    UnknownDevice(DeviceId),
    /// No such pairing, or it is over.
    #[error("that pairing is over; start a new one")]
    NoPairing,
    /// The device is paired already.
    #[error("`{0}` is paired already")]
    AlreadyPaired(DeviceId),
    /// Too many tries.
    #[error("too many pairings failed lately; try again in {0} s")]
    TooMany(u64),
    /// The code typed is not the one on the other screen.
    #[error("the code does not match; nothing was paired")]
    WrongCode,
    /// Not a ticket.
    #[error("this is no ticket: {0}")]
    BadTicket(String),
    /// The device does not answer.
    #[error("{0} does not answer; check that it is on and on the same network")]
    NoAnswer(String),
    /// An address of another network than those this device is in.
    #[error("{0} is not in a network of this device; show a ticket there and use it here")]
    NotNear(std::net::IpAddr),
    /// The other side refused or broke off.
    #[error("{0}")]
    Peer(String),
    /// The operating system said no.
    #[error("{what}: {why}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        why: String,
    },
    /// The link is not running.
    #[error("the link is not running")]
    Stopped,
}
