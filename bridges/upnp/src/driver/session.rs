//! What lives as long as the owner agrees to search: the permit, sockets, and the tasks that read them.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::Personal;
use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_model::why::{Fact, Outcome, Way};
use accord_model::{CallId, DeviceId};
use accord_registry::why::Air;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{NoAnswer, exchange};
use super::law;
use crate::core::description::{self, Described};
use crate::core::discovery;
use crate::core::http;
use crate::core::place::Place;
use crate::core::renderer::Event;
use crate::core::ssdp::{GROUP, MAX_DATAGRAM, PORT};

/// What waits for the mind.
const QUEUE: usize = 256;
/// How long a description may take.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(4);
const AFTER_ERROR: Duration = Duration::from_millis(300);
const END_WITHIN: Duration = Duration::from_secs(2);

/// What the tasks tell the mind.
pub(crate) enum Heard {
    Datagram {
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Described {
        location: Place,
        found: Vec<Described>,
    },
    Said {
        device: DeviceId,
        hand: u64,
        event: Event,
    },
    Tried {
        call: CallId,
        fact: Fact,
    },
    /// What was wanted of a device is not done; that was answered.
    Refused {
        call: CallId,
    },
}

/// What woke the session.
pub(crate) enum Woken {
    Heard(Heard),
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

pub(crate) struct Session {
    near: Near,
    pub heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    network: Network,
    stop: CancellationToken,
    tasks: TaskTracker,
    changes: Changes,
    /// By interface, from where searches are sent and where answers come.
    outlets: Vec<(u32, Arc<DatagramOutlet>)>,
    hearing: CancellationToken,
    /// Why the group is not heard somewhere.
    pub trouble: Option<String>,
    ours: Vec<IpAddr>,
    /// The interfaces that are used.
    used: Vec<Interface>,
    air: Arc<Mutex<Air>>,
}

impl Session {
    pub(crate) fn open(near: Near, network: Network) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        Self {
            near,
            heard,
            inbox,
            network,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            changes: Changes::watch(network),
            outlets: Vec::new(),
            hearing: CancellationToken::new(),
            trouble: None,
            ours: Vec::new(),
            used: Vec::new(),
            air: Arc::default(),
        }
    }

    pub(crate) async fn interfaces_now(&self) -> Vec<Interface> {
        list(self.network).await
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self, wake: Instant) -> Woken {
        let cancelled = self.near.cancelled();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Woken::Over,
            Some(heard) = self.inbox.recv() => Woken::Heard(heard),
            interfaces = self.changes.next() => Woken::Interfaces(interfaces),
            () = tokio::time::sleep_until(wake.into()) => Woken::Time,
        }
    }

    /// Runs `task` as long as the session.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or_default() });
    }

    /// Joins the group on these interfaces, and leaves it on all others.
    pub(crate) fn interfaces(&mut self, interfaces: &[Interface]) -> Vec<discovery::Interface> {
        let used = |interface: &&Interface| !interface.loopback || self.network == Network::Loopback;
        let used: Vec<&Interface> = interfaces.iter().filter(used).collect();
        self.hearing.cancel();
        self.hearing = self.stop.child_token();
        self.outlets.clear();
        self.trouble = None;
        self.used = used.iter().map(|interface| (*interface).clone()).collect();
        let ours: Vec<_> = used.iter().flat_map(|interface| interface.addresses()).collect();
        if ours != self.ours {
            self.ours = ours;
            self.air().begin_anew();
        }
        let mut described = Vec::new();
        for interface in used {
            let Some((address, _)) = interface.v4.first().copied() else { continue };
            // Bound to the address of the interface, datagrams to the group leave by it, and answers come back to it.
            match self.near.datagrams((address, 0).into()) {
                Ok(outlet) => {
                    let outlet = Arc::new(outlet);
                    self.outlets.push((interface.index, outlet.clone()));
                    self.listen_to(outlet);
                    described.push(discovery::Interface { index: interface.index, address });
                }
                Err(error) => self.noted(&error.to_string()),
            }
            match self.near.multicast(interface, (GROUP, PORT).into()) {
                Ok(Some(outlet)) => self.listen_to(Arc::new(outlet)),
                Ok(None) => {}
                Err(error) => self.noted(&error.to_string()),
            }
        }
        described
    }

    fn noted(&mut self, why: &str) {
        tracing::warn!("UPnP hears nothing there: {why}");
        self.trouble = Some(why.to_owned());
    }

    fn listen_to(&self, outlet: Arc<DatagramOutlet>) {
        let (hearing, heard) = (self.hearing.clone(), self.heard.clone());
        self.tasks.spawn(async move { hearing.run_until_cancelled(hear(outlet, heard)).await.unwrap_or_default() });
    }

    /// Sends a search.
    pub(crate) fn send(&self, interface: u32, to: SocketAddr, bytes: Vec<u8>) {
        let Some((_, outlet)) = self.outlets.iter().find(|(index, _)| *index == interface) else { return };
        let (outlet, air) = (outlet.clone(), self.air.clone());
        self.spawn(async move {
            match outlet.send(&Personal::of(law::SEARCH, bytes), to).await {
                Ok(()) => lock(&air).sent(Way::Ipv4Multicast, Instant::now()),
                Err(error) => tracing::debug!(%error, %to, "a search was not sent"),
            }
        });
    }

    /// A datagram came; our own are heard too.
    pub(crate) fn note_heard(&self, from: SocketAddr) {
        if !self.ours.contains(&from.ip()) {
            self.air().heard(Way::Ipv4Multicast, Instant::now());
        }
    }

    /// Whether an address is reached without a router. Others are not asked for anything on the word of a datagram, whose
    /// sender may have made it up.
    pub(crate) fn is_on_link(&self, address: IpAddr) -> bool {
        self.used.iter().any(|interface| interface.is_on_link(address))
    }

    pub(crate) fn air(&self) -> std::sync::MutexGuard<'_, Air> {
        lock(&self.air)
    }

    /// Fetches a description.
    pub(crate) fn fetch(&self, location: Place) {
        let (near, heard) = (self.near.clone(), self.heard.clone());
        self.spawn(async move {
            let found = match get(&near, &location, DESCRIBED_WITHIN).await {
                Ok(answer) if answer.status == 200 => {
                    description::devices(&answer.body, &location).map_err(|error| error.to_string())
                }
                Ok(answer) => Err(format!("status {}", answer.status)),
                Err(why) => Err(why.to_string()),
            };
            let found = found.unwrap_or_else(|why| {
                tracing::debug!(at = %location.at, "a description is not read: {why}");
                Vec::new()
            });
            let _ = heard.send(Heard::Described { location, found }).await;
        });
    }

    /// Asks a device once more for its description, to tell whether it is reached.
    pub(crate) fn try_once(&self, call: CallId, location: Place, within: Duration) {
        let (near, heard) = (self.near.clone(), self.heard.clone());
        self.spawn(async move {
            let outcome = match get(&near, &location, within.min(DESCRIBED_WITHIN)).await {
                Ok(_) => Outcome::Answered,
                Err(NoAnswer::Mute(_) | NoAnswer::Large) => Outcome::Mute,
                Err(NoAnswer::Unreachable(why) | NoAnswer::Denied(why)) => Outcome::Failed(why),
            };
            let fact = Fact::Tried { address: location.at.into(), outcome };
            let _ = heard.send(Heard::Tried { call, fact }).await;
        });
    }

    /// Ends everything at once.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("a task of UPnP did not end in time");
        }
        self.near.close();
    }
}

fn lock(air: &Mutex<Air>) -> std::sync::MutexGuard<'_, Air> {
    air.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn get(near: &Near, location: &Place, within: Duration) -> Result<http::Answer, NoAnswer> {
    exchange(near.dial(location.at.into()), law::SEARCH, http::get(location), within).await
}

async fn hear(outlet: Arc<DatagramOutlet>, heard: mpsc::Sender<Heard>) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        match outlet.receive(&mut buffer).await {
            Ok((length, from)) => {
                let bytes = buffer[..length].to_vec();
                if heard.send(Heard::Datagram { from, bytes }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a datagram was not read");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}
