//! DNS-SD beside the broadcasts: newer apps look and announce this way too.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::Interface;
use accord_consent::outlet::{DatagramOutlet, Near};
use accord_mdns::{
    Config, Core, Event, GROUP_V4, GROUP_V6, MAX_DATAGRAM, Output, PORT, Publication, PublicationId, ServiceInstance,
};
use accord_model::FieldSet;
use accord_model::why::Way;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Happening;
use super::presence::sealed;
use super::why::multicast;
use crate::core::discovery::{Found, SERVICE_TYPE, Service};

/// Responder and querier on every interface.
pub(crate) struct Mdns {
    core: Core,
    start: Instant,
    open: HashMap<u32, Open>,
    fields: FieldSet,
    published: Option<PublicationId>,
    happened: mpsc::Sender<Happening>,
}

/// What came of sending.
#[derive(Default)]
pub(crate) struct Flushed {
    /// Devices that were found, and where.
    pub found: Vec<(Found, SocketAddr)>,
    /// By which way each datagram left.
    pub sent: Vec<Way>,
}

struct Open {
    interface: Interface,
    sockets: Vec<Arc<DatagramOutlet>>,
    _readers: Vec<AbortOnDropHandle<()>>,
}

impl Mdns {
    pub fn new(happened: mpsc::Sender<Happening>) -> Self {
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed);
        let core = Core::new(Config::with_seed(u64::from_ne_bytes(seed)));
        Self { core, start: Instant::now(), open: HashMap::new(), fields: FieldSet::EMPTY, published: None, happened }
    }

    pub fn publish(&mut self, service: &Service) {
        self.fields = service.fields;
        let now = self.now();
        let host = service.instance.to_ascii_lowercase();
        let made = Publication::new(SERVICE_TYPE, &service.instance, &host, service.port).and_then(|made| {
            service.txt.iter().try_fold(made, |made, (key, value)| made.attribute(key, value.as_bytes()))
        });
        let published = made.and_then(|made| {
            match self.published {
                Some(id) => self.core.set_attributes(id, &made, now),
                None => self.published = Some(self.core.publish(made, now)?),
            }
            self.core.browse(SERVICE_TYPE, now)
        });
        if let Err(error) = published {
            tracing::warn!(%error, "KDE Connect devices are not found by DNS-SD, only by broadcast");
        }
    }

    pub fn take_interfaces(&mut self, near: &Near, found: Vec<Interface>) {
        self.open.retain(|_, open| found.contains(&open.interface));
        for interface in found {
            if self.open.contains_key(&interface.index) {
                continue;
            }
            let mut open = Open { interface, sockets: Vec::new(), _readers: Vec::new() };
            for group in [SocketAddr::from((GROUP_V4, PORT)), SocketAddr::from((GROUP_V6, PORT))] {
                match near.multicast(&open.interface, group) {
                    Ok(Some(socket)) => {
                        let socket = Arc::new(socket);
                        let reader = hear(open.interface.index, socket.clone(), self.happened.clone());
                        open._readers.push(AbortOnDropHandle::new(tokio::spawn(reader)));
                        open.sockets.push(socket);
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "no DNS-SD on this interface"),
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
        let (told, now) = (told.collect(), self.now());
        self.core.set_interfaces(told, now);
    }

    pub fn heard(&mut self, from: SocketAddr, interface: u32, bytes: &[u8]) {
        let now = self.now();
        self.core.handle_datagram(from, interface, bytes, now);
    }
    pub fn timeout(&self) -> Option<Instant> {
        self.core.poll_timeout().map(|at| self.start + at)
    }
    pub fn on_timeout(&mut self) {
        let now = self.now();
        self.core.handle_timeout(now);
    }
    /// Asks again.
    pub fn refresh(&mut self) {
        let now = self.now();
        self.core.refresh(now);
    }

    /// Sends what is due.
    pub async fn flush(&mut self) -> Flushed {
        let Flushed { mut found, mut sent } = Flushed::default();
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => {
                    let Some(open) = self.open.get(&transmit.interface) else { continue };
                    let socket = open.sockets.iter().find(|socket| is_v4(socket) == transmit.to.is_ipv4());
                    let Some(socket) = socket else { continue };
                    let to = match transmit.to {
                        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, transmit.interface).into(),
                        v4 => v4,
                    };
                    match socket.send(&sealed(self.fields, transmit.bytes), to).await {
                        Ok(()) => sent.push(multicast(to)),
                        Err(error) => tracing::debug!(%error, "an announcement by DNS-SD did not leave"),
                    }
                }
                Output::Event(Event::Found(instance) | Event::Updated(instance)) => {
                    let Some(device) = read(&instance) else { continue };
                    // One address is enough: the device connects to where the datagram came from.
                    let mut addresses: Vec<_> = instance.socket_addresses().collect();
                    addresses.sort_by_key(SocketAddr::is_ipv6);
                    found.extend(addresses.into_iter().next().map(|address| (device, address)));
                }
                Output::Event(Event::Lost { .. } | Event::Renamed { .. }) => {}
            }
        }
        Flushed { found, sent }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

fn read(instance: &ServiceInstance) -> Option<Found> {
    let pairs = instance.txt.iter().filter_map(|(key, value)| Some((key.as_str(), std::str::from_utf8(value).ok()?)));
    Found::from_txt(pairs)
}

fn is_v4(socket: &DatagramOutlet) -> bool {
    socket.local_addr().is_ok_and(|local| local.is_ipv4())
}

async fn hear(interface: u32, socket: Arc<DatagramOutlet>, happened: mpsc::Sender<Happening>) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        match socket.receive(&mut buffer).await {
            Ok((length, from)) if length <= MAX_DATAGRAM => {
                let _ = happened.try_send(Happening::Mdns { interface, from, bytes: buffer[..length].to_vec() });
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a multicast socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
