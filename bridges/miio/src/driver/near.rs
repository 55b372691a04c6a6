//! What lives as long as the owner agrees to search: greetings by broadcast on every interface, and who answers.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
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
use crate::core::packet::{self, Hello};

/// When a network was joined, and from then on.
const FIRST: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(6)];
const EVERY: Duration = Duration::from_secs(300);
/// A search that is asked for again sooner is the same one.
const AT_MOST_EVERY: Duration = Duration::from_secs(3);
/// What waits for the mind.
const QUEUE: usize = 256;
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What woke it.
pub(crate) enum Woken {
    /// Somebody answered a greeting.
    Hello(Hello, Ipv4Addr),
    Interfaces(Vec<Interface>),
    Time,
    /// The consent ended.
    Over,
}

pub(crate) struct Nearby {
    near: Near,
    network: Network,
    port: u16,
    changes: Changes,
    open: Vec<Open>,
    heard: mpsc::Sender<(Hello, Ipv4Addr)>,
    inbox: mpsc::Receiver<(Hello, Ipv4Addr)>,
    /// How many greetings of [`FIRST`] were sent, and when the next is due.
    sent: usize,
    due: Instant,
    last: Option<Instant>,
    began: Instant,
    air: Air,
    /// Why nothing is heard somewhere.
    pub trouble: Option<String>,
}

struct Open {
    interface: Interface,
    socket: Arc<DatagramOutlet>,
    to: SocketAddr,
    _reader: AbortOnDropHandle<()>,
}

impl Nearby {
    pub(crate) async fn open(near: Near, network: Network, port: u16) -> Self {
        let (heard, inbox) = mpsc::channel(QUEUE);
        let now = Instant::now();
        let mut this = Self {
            near,
            network,
            port,
            changes: Changes::watch(network),
            open: Vec::new(),
            heard,
            inbox,
            sent: 0,
            due: now,
            last: None,
            began: now,
            air: Air::default(),
            trouble: None,
        };
        let interfaces = list(network).await;
        this.interfaces(interfaces);
        this
    }

    /// May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Woken {
        let cancelled = self.near.cancelled();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Woken::Over,
            Some((hello, from)) = self.inbox.recv() => Woken::Hello(hello, from),
            interfaces = self.changes.next() => Woken::Interfaces(interfaces),
            () = tokio::time::sleep_until(self.due.into()) => Woken::Time,
        }
    }

    /// The networks are these now. New ones are searched.
    pub(crate) fn interfaces(&mut self, found: Vec<Interface>) {
        let used = |one: &Interface| !one.loopback || self.network == Network::Loopback;
        let found: Vec<Interface> = found.into_iter().filter(used).collect();
        let before = self.open.len();
        self.open.retain(|open| found.contains(&open.interface));
        let mut is_new = before != self.open.len();
        self.trouble = None;
        for interface in found {
            for (own, to) in searched(&interface, self.port) {
                if self.open.iter().any(|open| open.interface == interface && open.to == to) {
                    continue;
                }
                match self.near.datagrams(SocketAddr::from((own, 0))) {
                    Ok(socket) => {
                        let socket = Arc::new(socket);
                        let reader = hear(socket.clone(), interface.clone(), self.port, self.heard.clone());
                        let _reader = AbortOnDropHandle::new(tokio::spawn(reader));
                        self.open.push(Open { interface: interface.clone(), socket, to, _reader });
                        is_new = true;
                    }
                    Err(error) => self.trouble = Some(error.to_string()),
                }
            }
        }
        if is_new {
            self.air.begin_anew();
            (self.sent, self.began, self.due) = (0, Instant::now(), Instant::now());
        }
    }

    /// Somebody is missed: look now, unless that was done just now.
    pub(crate) fn search(&mut self) {
        if self.last.is_none_or(|last| last.elapsed() >= AT_MOST_EVERY) {
            self.due = Instant::now();
        }
    }

    /// Somebody answered.
    pub(crate) fn answered(&mut self) {
        self.air.heard(Way::Ipv4Broadcast, Instant::now());
    }

    /// Greets everyone.
    pub(crate) async fn greet(&mut self) {
        let now = Instant::now();
        self.last = Some(now);
        self.sent = self.sent.saturating_add(1);
        self.due = FIRST.get(self.sent).map_or(now + EVERY, |after| (self.began + *after).max(now));
        let greeting = Personal::of(law::SEARCH, packet::hello());
        for open in &self.open {
            match open.socket.send(&greeting, open.to).await {
                Ok(()) => self.air.sent(Way::Ipv4Broadcast, now),
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
    }

    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> {
        self.air.facts(Instant::now())
    }

    pub(crate) fn close(self) {
        self.near.close();
    }
}

/// From where everyone on an interface is greeted, and where to: in each network that has a broadcast address, since devices
/// hear only who is in their own.
fn searched(interface: &Interface, port: u16) -> Vec<(Ipv4Addr, SocketAddr)> {
    interface.places().filter_map(|(own, broadcast)| Some((own, SocketAddr::from((broadcast?, port))))).collect()
}

/// Whether a datagram may be a device's answer: one in a network of ours, from where devices hear. Nobody is sent elsewhere
/// on the word of a datagram, whose sender may have made it up.
fn admits(interface: &Interface, port: u16, from: SocketAddrV4) -> bool {
    from.port() == port && interface.is_on_link((*from.ip()).into())
}

async fn hear(socket: Arc<DatagramOutlet>, interface: Interface, port: u16, heard: mpsc::Sender<(Hello, Ipv4Addr)>) {
    let mut buffer = [0; 64];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, SocketAddr::V4(from))) if admits(&interface, port, from) => {
                let Ok(hello) = packet::read_hello(&buffer[..length]) else { continue };
                // Whoever floods is dropped.
                if heard.try_send((hello, *from.ip())).is_err() && heard.is_closed() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "an answer to a greeting was not received");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn only_who_is_in_our_network_and_answers_from_the_port_of_miio_is_heard() {
        let own = Ipv4Addr::new(10, 0, 0, 1);
        let interface = Interface {
            name: "lab".into(),
            index: 1,
            v4: vec![(own, Some(Ipv4Addr::new(10, 0, 0, 255)))],
            v6: Vec::new(),
            nets: vec![(own.into(), 24)],
            loopback: false,
        };
        let heard = |from: &str| admits(&interface, 54_321, from.parse().unwrap());
        assert!(heard("10.0.0.7:54321"));
        let both = Interface {
            v4: [(Ipv4Addr::new(100, 64, 0, 9), None)].into_iter().chain(interface.v4.clone()).collect(),
            nets: [(IpAddr::from([100, 64, 0, 9]), 32)].into_iter().chain(interface.nets.clone()).collect(),
            ..interface.clone()
        };
        assert_eq!(
            searched(&both, 54_321),
            [(own, "10.0.0.255:54321".parse().unwrap())],
            "the second has a broadcast address"
        );
        assert!(!heard("10.0.0.7:54322") && !heard("10.0.1.7:54321") && !heard("203.0.113.7:54321"));
    }
}
