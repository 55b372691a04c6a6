//! The screens that are shown: one on each device at most.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::{Network, list};
use accord_consent::outlet::local::LocalDatagrams;
use accord_consent::outlet::{DatagramOutlet, udp};
use accord_consent::{BoundGate, Envelope, Personal, RecipientId, Refusal, SendError};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Reach, Target, Timestamp};
use accord_registry::{Ask, Port, Registry};
use tokio_util::sync::CancellationToken;

use crate::relay::{Asked, Leg, Output, Relay};

/// How long it may last, and a device may take to be told.
const LASTS: Duration = Duration::from_secs(12 * 3600);
const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// Over ones that are still listed.
const REMEMBERED: usize = 16;
/// Longest datagram of WebRTC, and more.
const DATAGRAM: usize = 2048;
/// Then the device is not told that it is over: it was told of the next one.
const REPLACED: &str = "something else is shown there";

/// One screen that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Tells it from others of this run.
    pub id: String,
    /// Where.
    pub device: DeviceId,
    /// When it began.
    pub since: Timestamp,
    /// Packets that were passed on: that it is more and more is the evidence that something is shown.
    pub packets: u64,
    /// Why it is over.
    pub over: Option<String>,
}

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// Not a device that shows a screen.
    #[error("{0}")]
    NoScreen(String),
    /// This machine is in no network with the device.
    #[error("this machine and the device share no network")]
    NoWay,
    /// What a browser or device described makes no sense.
    #[error("{0}")]
    Described(String),
    /// The owner has not agreed.
    #[error(transparent)]
    NotConsented(#[from] Refusal),
    /// There is no socket for it.
    #[error("the screen cannot be sent: {0}")]
    Socket(String),
    /// The device did not take it.
    #[error(transparent)]
    Told(#[from] CallError),
    /// There is no such one.
    #[error("no such screen is shown")]
    NoShare,
}

/// Shows screens. Cheap to clone.
#[derive(Clone)]
pub struct Screens(Arc<Inner>);

struct Inner {
    gate: BoundGate,
    registry: Registry,
    entry: EntryKey,
    port: Port,
    network: Network,
    shares: Mutex<Shares>,
    next: AtomicU64,
    /// Who holds one tells that device to show or to hide something.
    telling: Mutex<BTreeMap<DeviceId, Arc<Telling>>>,
}

type Telling = tokio::sync::Mutex<()>;

/// By number.
#[derive(Default)]
struct Shares(BTreeMap<u64, One>);

struct One {
    share: Share,
    packets: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Screens {
    /// Under the entry `screen/show`, which `gate` is bound to.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: BoundGate, registry: Registry, network: Network) -> Result<Self, IdError> {
        let entry = EntryKey::new("screen/show")?;
        let port = registry.port(&gate, entry.clone(), "on.send");
        let (shares, next, telling) = (Mutex::default(), AtomicU64::new(1), Mutex::default());
        Ok(Self(Arc::new(Inner { gate, registry, entry, port, network, shares, next, telling })))
    }

    /// The entry, and what leaves under it.
    pub fn needs(&self) -> (&EntryKey, FieldSet) {
        (&self.0.entry, shown())
    }

    /// Shows what the owner's browser offers (SDP) on a device. What was shown there ends. Gives the answer for the browser.
    ///
    /// # Errors
    /// [`ShareError`]; then nothing is shown.
    pub async fn show(&self, device: &DeviceId, offer: &str) -> Result<(Share, String), ShareError> {
        let inner = &self.0;
        let (target, address) = inner.screen(device)?;
        let near = list(inner.network).await;
        let here = near.iter().filter(|interface| interface.is_on_link(address)).find_map(|one| one.v4.first());
        let (here, _) = here.ok_or(ShareError::NoWay)?;
        let bind = SocketAddr::new((*here).into(), 0);
        let permit = inner.gate.permit(&inner.entry, &RecipientId::device(device), shown(), "on.send")?;
        let socket = |error: String| ShareError::Socket(error);
        let there =
            udp(permit, bind, Some(SocketAddr::new(address, 0))).await.map_err(|error| socket(error.to_string()))?;
        let local = LocalDatagrams::open(bind, inner.network).await.map_err(|error| socket(error.to_string()))?;
        let at = |bound: std::io::Result<SocketAddr>| bound.map_err(|error| socket(error.to_string()));
        let (at_here, at_there) = (at(local.local_addr())?, at(there.local_addr())?);
        // Of two at once, the second waits until it is known what came of the first.
        let telling = inner.telling(device);
        let _told_alone = telling.lock().await;
        let (asked, for_device) =
            Asked::new(offer, at_here, at_there, Instant::now()).map_err(ShareError::Described)?;

        let offered = Personal::new(FieldCode::NetIp, Data::Text(for_device));
        let message = Envelope::new().beside(FieldCode::CommandName).data("offer", &offered);
        let told = inner.port.call(device, target, Ask::act("show"), message, TOLD_WITHIN).await?;
        let answer = told.get("answer").and_then(Data::as_text).unwrap_or_default();
        let (relay, for_browser) = asked.answered(answer, Instant::now()).map_err(ShareError::Described)?;

        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let (packets, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let share =
            Share { id: number.to_string(), device: device.clone(), since: Timestamp::now(), packets: 0, over: None };
        let running = One { share: share.clone(), packets: packets.clone(), stop: stop.clone() };
        inner.lock().replace(number, running);
        let way = Way { relay, there, local, at_here, at_there, packets };
        tokio::spawn(carry(inner.clone(), number, way, stop));
        Ok((share, for_browser))
    }

    /// All that are shown, and those that ended lately, newest first.
    pub fn list(&self) -> Vec<Share> {
        let mut shares: Vec<Share> = self.0.lock().0.values().map(One::view).collect();
        shares.reverse();
        shares
    }

    /// Ends one: nothing more is sent once this returns, and the device is told.
    ///
    /// # Errors
    /// [`ShareError::NoShare`].
    pub async fn stop(&self, id: &str) -> Result<(), ShareError> {
        let number: u64 = id.parse().map_err(|_| ShareError::NoShare)?;
        self.0.end(number, "you stopped it").ok_or(ShareError::NoShare)
    }

    /// Ends all.
    pub fn close(&self) {
        let numbers: Vec<u64> = self.0.lock().0.keys().copied().collect();
        for number in numbers {
            let _ = self.0.end(number, "this hub ended");
        }
    }
}

impl One {
    fn view(&self) -> Share {
        Share { packets: self.packets.load(Ordering::Relaxed), ..self.share.clone() }
    }

    /// `None`: it was over already.
    fn end(&mut self, why: &str) -> Option<()> {
        if self.share.over.is_some() {
            return None;
        }
        self.stop.cancel();
        self.share.over = Some(why.to_owned());
        Some(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service that shows a screen, and where the device is.
    fn screen(&self, device: &DeviceId) -> Result<(Target, IpAddr), ShareError> {
        let no = |why: &str| ShareError::NoScreen(why.to_owned());
        let known = self.registry.device(device).ok_or_else(|| no("no such device is known here"))?;
        if known.device.reach == Reach::Offline {
            return Err(no("the device is away; is its page open?"));
        }
        let services = &known.device.services;
        let shows = services
            .iter()
            .find(|service| service.actions.iter().any(|one| one.id == "show" && service.id == "screen"));
        let service = shows.ok_or_else(|| no("this device does not show a screen"))?;
        let addresses = services.iter().filter_map(|service| service.values.get("address")?.data.as_text());
        let address = addresses.filter_map(|text| text.parse().ok()).next();
        let address = address.ok_or_else(|| no("it is not known where this device is"))?;
        Ok((Target { service: service.id.clone(), instance: service.instance }, address))
    }

    /// `None`: it was over already, or never was.
    fn end(&self, number: u64, why: &str) -> Option<()> {
        self.lock().0.get_mut(&number)?.end(why)
    }

    fn telling(&self, device: &DeviceId) -> Arc<Telling> {
        let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        telling.retain(|_, one| Arc::strong_count(one) > 1);
        telling.entry(device.clone()).or_default().clone()
    }
}

impl Shares {
    /// From now on this one is on its device, and no other.
    fn replace(&mut self, number: u64, new: One) {
        for other in self.0.values_mut().filter(|one| one.share.device == new.share.device) {
            let _ = other.end(REPLACED);
        }
        self.0.insert(number, new);
        self.forget_old();
    }

    fn is_shown_on(&self, device: &DeviceId) -> bool {
        self.0.values().any(|one| one.share.device == *device && one.share.over.is_none())
    }

    fn forget_old(&mut self) {
        let over: Vec<u64> =
            self.0.iter().filter(|(_, one)| one.share.over.is_some()).map(|(number, _)| *number).collect();
        for number in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            self.0.remove(number);
        }
    }
}

/// Everything that a device is sent.
fn shown() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::CommandName, FieldCode::ScreenContent])
}

struct Way {
    relay: Relay,
    there: DatagramOutlet,
    local: LocalDatagrams,
    at_here: SocketAddr,
    at_there: SocketAddr,
    packets: Arc<AtomicU64>,
}

/// Carries packets until it is over, and tells the device then.
async fn carry(inner: Arc<Inner>, number: u64, mut way: Way, stop: CancellationToken) {
    let why = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        () = tokio::time::sleep(LASTS) => Some("its time is over".to_owned()),
        why = way.run() => Some(why),
    };
    // The permit ends here: what is told still goes the way of a command.
    drop(way);
    if let Some(why) = why {
        let _ = inner.end(number, &why);
    }
    let share = inner.lock().0.get(&number).map(|one| one.share.clone());
    let Some(Share { device, .. }) = share.filter(|share| share.over.as_deref() != Some(REPLACED)) else { return };
    let telling = inner.telling(&device);
    let _told_alone = telling.lock().await;
    // The device ends one by itself when it begins another; that is not to be hidden.
    if inner.lock().is_shown_on(&device) {
        return;
    }
    if let Ok((target, _)) = inner.screen(&device) {
        let message = Envelope::new().beside(FieldCode::CommandName);
        if let Err(error) = inner.port.call(&device, target, Ask::act("hide"), message, TOLD_WITHIN).await {
            tracing::debug!(%device, %error, "the device was not told that the screen is over");
        }
    }
}

impl Way {
    /// Why it is over.
    async fn run(&mut self) -> String {
        let cancelled = self.there.lease().cancelled();
        let fields = FieldSet::from_iter([FieldCode::NetIp, FieldCode::ScreenContent]);
        let (mut from_here, mut from_there) = ([0; DATAGRAM], [0; DATAGRAM]);
        loop {
            let wait = loop {
                match self.relay.poll(Instant::now()) {
                    Output::Wait(until) => break until,
                    Output::Over(why) => return why,
                    Output::Transmit { leg: Leg::Here, to, bytes } => {
                        if let Err(error) = self.local.send(&bytes, to) {
                            tracing::debug!(%error, "a word to the browser was not sent");
                        }
                    }
                    Output::Transmit { leg: Leg::There, to, bytes } => {
                        match self.there.send(&Personal::of(fields, bytes), to).await {
                            Ok(()) => {}
                            Err(SendError::Withdrawn(_)) => return "you withdrew your consent".to_owned(),
                            Err(error) => tracing::debug!(%error, "a packet of a screen was not sent"),
                        }
                    }
                }
            };
            self.packets.store(self.relay.passed(), Ordering::Relaxed);
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return "you withdrew your consent".to_owned(),
                read = self.there.receive(&mut from_there) => {
                    if let Ok((length, from)) = read {
                        self.relay.datagram(Leg::There, from, self.at_there, &from_there[..length], Instant::now());
                    }
                }
                read = self.local.receive(&mut from_here) => {
                    if let Ok((length, from)) = read {
                        self.relay.datagram(Leg::Here, from, self.at_here, &from_here[..length], Instant::now());
                    }
                }
                () = tokio::time::sleep_until(wait.into()) => {
                    let now = Instant::now();
                    self.relay.timeout(Leg::There, now);
                    self.relay.timeout(Leg::Here, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(device: &str, number: u64) -> One {
        let device = DeviceId::new(device).unwrap();
        let share = Share { id: number.to_string(), device, since: Timestamp::now(), packets: 0, over: None };
        One { share, packets: Arc::default(), stop: CancellationToken::new() }
    }

    #[test]
    fn one_screen_is_left_on_a_device_however_many_begin() {
        let (mut shares, tv) = (Shares::default(), DeviceId::new("tv").unwrap());
        shares.replace(1, one("other", 1));
        for number in 2..60 {
            shares.replace(number, one("tv", number));
        }
        let left: Vec<u64> = shares.0.iter().filter(|(_, one)| one.share.over.is_none()).map(|(n, _)| *n).collect();
        assert_eq!(left, [1, 59]);
        assert!(shares.0.values().all(|one| one.stop.is_cancelled() == one.share.over.is_some()));
        assert_eq!(shares.0.len(), REMEMBERED + 2);
        assert!(shares.is_shown_on(&tv));
        assert_eq!(shares.0.get_mut(&59).unwrap().end("over"), Some(()));
        assert_eq!(shares.0.get_mut(&59).unwrap().end("again"), None);
        assert!(!shares.is_shown_on(&tv));
    }
}
