//! What lives as long as the owner agrees to search: the permit, a socket for searches and their answers and one of the group
//! for announcements on every interface, and the tasks that read them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Personal;
use accord_consent::outlet::interfaces::{Changes, Interface, Network, list};
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_model::why::{Fact, Way};
use accord_registry::why::Air;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::law;
use super::mind::Heard;
use crate::core::advert::{GROUP, MAX_DATAGRAM, PORT};

/// What waits for the mind.
const QUEUE: usize = 256;
const AFTER_ERROR: Duration = Duration::from_millis(300);

/// What woke it.
pub(crate) enum Woken {
    Heard(Heard),
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

pub(crate) struct Nearby {
    near: Near,
    network: Network,
    changes: Changes,
    pub heard: mpsc::Sender<Heard>,
    inbox: mpsc::Receiver<Heard>,
    /// The interfaces that are used, and from where searches are sent there.
    used: Vec<Interface>,
    outlets: Vec<(u32, Arc<DatagramOutlet>)>,
    readers: Vec<AbortOnDropHandle<()>>,
    air: Air,
    /// Why nothing is heard somewhere.
    pub trouble: Option<String>,
}

impl Nearby {
    pub(crate) fn open(near: Near, network: Network) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        Self {
            near,
            network,
            changes: Changes::watch(network),
            heard,
            inbox,
            used: Vec::new(),
            outlets: Vec::new(),
            readers: Vec::new(),
            air: Air::default(),
            trouble: None,
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

    /// Opens sockets on these interfaces, and closes all others. The numbers of those that searches are sent on.
    pub(crate) fn interfaces(&mut self, found: Vec<Interface>) -> Vec<u32> {
        let used = |one: &Interface| !one.loopback || self.network == Network::Loopback;
        let found: Vec<Interface> = found.into_iter().filter(used).collect();
        if found != self.used {
            self.used = found;
            self.air.begin_anew();
            self.outlets.clear();
            self.readers.clear();
            self.trouble = None;
            for interface in self.used.clone() {
                self.listen_on(&interface);
            }
        }
        let mut indexes: Vec<u32> = self.outlets.iter().map(|(index, _)| *index).collect();
        indexes.dedup();
        indexes
    }

    fn listen_on(&mut self, interface: &Interface) {
        if interface.v4.is_empty() {
            return;
        }
        // Bound to an address of the interface, searches leave by it, and answers come back to it: from each of its networks.
        for (address, _) in interface.places() {
            match self.near.datagrams((address, 0).into()) {
                Ok(outlet) => {
                    let outlet = Arc::new(outlet);
                    self.outlets.push((interface.index, outlet.clone()));
                    self.read(outlet);
                }
                Err(error) => self.noted(error.to_string()),
            }
        }
        match self.near.multicast(interface, (GROUP, PORT).into()) {
            Ok(Some(outlet)) => self.read(Arc::new(outlet)),
            Ok(None) => {}
            Err(error) => self.noted(error.to_string()),
        }
    }

    fn noted(&mut self, why: String) {
        tracing::warn!("no Yeelight lamp is heard there: {why}");
        self.trouble = Some(why);
    }

    fn read(&mut self, outlet: Arc<DatagramOutlet>) {
        self.readers.push(AbortOnDropHandle::new(tokio::spawn(hear(outlet, self.heard.clone()))));
    }

    /// Sends a search.
    pub(crate) async fn send(&mut self, interface: u32, to: SocketAddr, bytes: Vec<u8>) {
        let search = Personal::of(law::SEARCH, bytes);
        for (_, outlet) in self.outlets.iter().filter(|(index, _)| *index == interface) {
            match outlet.send(&search, to).await {
                Ok(()) => self.air.sent(Way::Ipv4Multicast, Instant::now()),
                Err(error) => tracing::debug!(%error, "a search for lamps did not leave"),
            }
        }
    }

    /// Sends a search to one host of a network of ours.
    pub(crate) async fn send_to(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        let at = self.used.iter().find(|interface| interface.is_on_link(to.ip())).map(|interface| interface.index);
        let Some((_, outlet)) = self.outlets.iter().find(|(index, _)| Some(*index) == at) else { return };
        if let Err(error) = outlet.send(&Personal::of(law::SEARCH, bytes), to).await {
            tracing::debug!(%error, "a search for a lamp did not leave");
        }
    }

    /// A datagram came: whether it is to be read. Only lamps in a network of ours count: nobody is sent elsewhere on the word
    /// of a datagram, whose sender may have made it up.
    pub(crate) fn admits(&mut self, from: SocketAddr) -> bool {
        if !self.used.iter().any(|open| open.addresses().any(|own| own == from.ip())) {
            self.air.heard(Way::Ipv4Multicast, Instant::now());
        }
        self.is_on_link(from.ip())
    }

    /// Whether an address is reached without a router.
    pub(crate) fn is_on_link(&self, address: IpAddr) -> bool {
        self.used.iter().any(|interface| interface.is_on_link(address))
    }

    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.air.facts(Instant::now()).collect()
    }

    /// What waited for the mind.
    pub(crate) fn close(mut self) -> Vec<Heard> {
        self.near.close();
        self.inbox.close();
        std::iter::from_fn(|| self.inbox.try_recv().ok()).collect()
    }
}

async fn hear(outlet: Arc<DatagramOutlet>, heard: mpsc::Sender<Heard>) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        match outlet.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                // A flood is dropped here, and what hands say waits for its place.
                if heard.capacity() > QUEUE / 2 {
                    let _ = heard.try_send(Heard::Datagram { from, bytes: buffer[..length].to_vec() });
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a datagram was not read");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}
