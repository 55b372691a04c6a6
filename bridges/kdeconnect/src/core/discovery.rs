//! Whom to connect to, whom to answer, when to announce: decisions about datagrams and mDNS finds. Sources can
//! be spoofed, so everything is bounded, and nothing here leads to an address outside of private networks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use accord_model::FieldSet;

use super::id::KdeId;
use super::identity::{DeviceType, Identity, IdentityError, LINK_PORTS, OwnIdentity, Shown, Version, sanitise};
use super::rates::Rates;

/// Where datagrams go.
pub const DISCOVERY_PORT: u16 = 1716;
/// The DNS-SD service type, without domain.
pub const SERVICE_TYPE: &str = "_kdeconnect._udp";
/// One connection per device, and two per address, within this time.
const CONNECT_EVERY: Duration = Duration::from_millis(500);
/// Datagrams of one address that are looked at, per second.
const READ_PER_SECOND: usize = 8;
/// One answer per address within this time.
const ANSWER_EVERY: Duration = Duration::from_secs(1);
/// Announcements are this far apart, however often the network changes.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);
/// Most user-entered addresses.
const MAX_NAMED: usize = 32;

/// Who gets an answer on this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Everyone: the owner wants to pair, or trusts the network.
    Everyone,
    /// Paired devices alone.
    Paired,
    /// Nobody.
    Nobody,
}

/// What the owner allows on this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Who gets an answer.
    pub answer: Answer,
    /// Whether we announce ourselves.
    pub announce: bool,
    /// The oldest version that may connect. With [`Version::V8`] announcements are neutral.
    pub oldest: Version,
}

impl Policy {
    /// How much announcements show.
    pub fn shown(self) -> Shown {
        if self.oldest >= Version::V8 { Shown::Neutral } else { Shown::Full }
    }
    fn answers(self, paired: bool) -> bool {
        match self.answer {
            Answer::Everyone => true,
            Answer::Paired => paired,
            Answer::Nobody => false,
        }
    }
}

/// How we stand with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// It is paired.
    pub paired: bool,
    /// A connection to it is being made.
    pub connecting: bool,
    /// It is linked, and a transfer over that link moves.
    pub busy: bool,
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Passed {
    /// Loopback, or outside of private networks.
    #[error("it comes from {0}, which is no private network")]
    NotPrivate(IpAddr),
    /// Too many.
    #[error("it says so too often")]
    TooOften,
    /// No use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Our own.
    #[error("it is this computer")]
    Oneself,
    /// It says no port.
    #[error("it does not say where it listens")]
    NoPort,
    /// Too old.
    #[error("it speaks version {0} of KDE Connect, which is too old here; update the app on it")]
    TooOld(i64),
    /// The owner does not want it.
    #[error("devices that are not paired are not answered on this network")]
    NotWanted,
    /// Nothing to do.
    #[error("it is connected, or being connected")]
    Connected,
}

/// Connect, and bring this along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Where.
    pub to: SocketAddr,
    /// What the datagram said: the link's outer identity.
    pub identity: Identity,
}

/// One datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// From this address of ours; any when absent.
    pub from: Option<Ipv4Addr>,
    /// To here.
    pub to: SocketAddr,
}

/// A device found by mDNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: KdeId,
    /// What it calls itself; sanitised.
    pub name: Option<String>,
    /// What it says it is.
    pub kind: DeviceType,
    /// The version it offers.
    pub protocol: i64,
}

impl Found {
    /// From the TXT record's pairs.
    pub fn from_txt<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut id, mut name, mut kind, mut protocol) = (None, None, DeviceType::Desktop, None);
        for (key, value) in pairs {
            match key {
                "id" => id = KdeId::new(value),
                "name" => name = sanitise(value),
                "type" => kind = DeviceType::read(value),
                "protocol" => protocol = value.trim().parse().ok(),
                _ => {}
            }
        }
        Some(Self { id: id?, name, kind, protocol: protocol? })
    }
}

/// What we publish by mDNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The instance name: our id.
    pub instance: String,
    /// Where we listen.
    pub port: u16,
    /// TXT pairs.
    pub txt: Vec<(String, String)>,
    /// What it reveals.
    pub fields: FieldSet,
}

/// What we publish by mDNS.
pub fn service(own: &OwnIdentity, shown: Shown, port: u16) -> Service {
    let line = own.datagram(shown, port, accord_model::Timestamp::UNIX_EPOCH);
    let full = shown == Shown::Full;
    let name = Some(&own.name).filter(|_| full).and_then(|name| sanitise(name)).unwrap_or_else(|| "Accord".to_owned());
    let kind = if full { own.kind } else { DeviceType::Desktop };
    let txt = [
        ("id", own.id.as_str().to_owned()),
        ("name", name),
        ("type", kind.as_str().to_owned()),
        ("protocol", own.version.number().to_string()),
    ];
    let abilities = FieldSet::one(accord_model::FieldCode::DeviceAbilities);
    Service {
        instance: own.id.as_str().to_owned(),
        port,
        txt: txt.map(|(key, value)| (key.to_owned(), value)).into(),
        fields: line.fields.minus(abilities),
    }
}

/// Private, link-local, carrier-grade NAT or unique local: where devices of one home are.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// What was heard and said lately.
#[derive(Debug)]
pub struct Discovery {
    own: KdeId,
    read: Rates<IpAddr>,
    connect_id: Rates<KdeId>,
    connect_address: Rates<IpAddr>,
    answered: Rates<IpAddr>,
    announced: Option<Instant>,
    due: Option<Instant>,
}

impl Discovery {
    /// Nothing heard yet.
    pub fn new(own: KdeId) -> Self {
        Self {
            own,
            read: Rates::new(READ_PER_SECOND, Duration::from_secs(1)),
            connect_id: Rates::new(1, CONNECT_EVERY),
            connect_address: Rates::new(2, CONNECT_EVERY),
            answered: Rates::new(1, ANSWER_EVERY),
            announced: None,
            due: None,
        }
    }

    /// A datagram came: connect to its sender, or pass it over.
    ///
    /// # Errors
    /// [`Passed`]. `TooOld` and `Identity` are worth telling an owner who looks for a device.
    pub fn datagram(
        &mut self,
        source: SocketAddr,
        bytes: &[u8],
        policy: Policy,
        standing: impl FnOnce(&KdeId) -> Standing,
        now: Instant,
    ) -> Result<Connect, Passed> {
        self.admit_source(source.ip())?;
        if !self.read.admit(&source.ip(), now) {
            return Err(Passed::TooOften);
        }
        let identity = Identity::parse(bytes.trim_ascii())?;
        self.admit(&identity.id, identity.protocol, policy, &standing(&identity.id))?;
        let port = identity.tcp_port.ok_or(Passed::NoPort)?;
        if !self.connect_id.admit(&identity.id, now) || !self.connect_address.admit(&source.ip(), now) {
            return Err(Passed::TooOften);
        }
        let mut to = source;
        to.set_port(port);
        Ok(Connect { to, identity })
    }

    /// mDNS found a device: where to send our identity, so that it connects.
    ///
    /// # Errors
    /// [`Passed`].
    pub fn found(
        &mut self,
        found: &Found,
        mut address: SocketAddr,
        policy: Policy,
        standing: Standing,
        now: Instant,
    ) -> Result<Announce, Passed> {
        self.admit_source(address.ip())?;
        self.admit(&found.id, found.protocol, policy, &standing)?;
        address.set_port(DISCOVERY_PORT);
        self.answer(address, now)
    }

    /// A connection could not be made: where to send our identity instead, so that the peer connects.
    ///
    /// # Errors
    /// [`Passed`].
    pub fn connect_failed(&mut self, mut to: SocketAddr, now: Instant) -> Result<Announce, Passed> {
        self.admit_source(to.ip())?;
        to.set_port(DISCOVERY_PORT);
        self.answer(to, now)
    }

    /// Whether a TCP connection from here may be read at all.
    ///
    /// # Errors
    /// [`Passed::NotPrivate`].
    pub fn admit_source(&self, address: IpAddr) -> Result<(), Passed> {
        if is_private(address) { Ok(()) } else { Err(Passed::NotPrivate(address)) }
    }

    /// At start, when the network changed, when the owner looks for devices: announce soon.
    pub fn announce_soon(&mut self, now: Instant) {
        let due = self.announced.map_or(now, |last| now.max(last + ANNOUNCE_EVERY));
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }
    /// When to call [`Self::announce`].
    pub fn timeout(&self) -> Option<Instant> {
        self.due
    }
    /// The datagrams that are due: broadcast from each of our addresses, and to those that the owner entered.
    pub fn announce(&mut self, ours: &[IpAddr], named: &[IpAddr], policy: Policy, now: Instant) -> Vec<Announce> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.due = None;
        self.announced = Some(now);
        if !policy.announce {
            return Vec::new();
        }
        let everywhere = SocketAddr::from((Ipv4Addr::BROADCAST, DISCOVERY_PORT));
        let broadcasts = ours.iter().filter_map(|address| match address {
            IpAddr::V4(v4) if is_private((*v4).into()) => Some(Announce { from: Some(*v4), to: everywhere }),
            _ => None,
        });
        let named = named.iter().filter(|address| !address.is_loopback()).take(MAX_NAMED);
        let named = named.map(|address| Announce { from: None, to: (*address, DISCOVERY_PORT).into() });
        broadcasts.chain(named).collect()
    }

    fn admit(&self, id: &KdeId, protocol: i64, policy: Policy, standing: &Standing) -> Result<(), Passed> {
        if *id == self.own {
            return Err(Passed::Oneself);
        }
        if Version::with(protocol).is_none_or(|version| version < policy.oldest) {
            return Err(Passed::TooOld(protocol));
        }
        if !policy.answers(standing.paired) {
            return Err(Passed::NotWanted);
        }
        // A linked device that announces itself may have lost us: its new link replaces the old one, except
        // in the middle of a transfer, which that would break in old peers.
        if standing.connecting || standing.busy {
            return Err(Passed::Connected);
        }
        Ok(())
    }

    fn answer(&mut self, to: SocketAddr, now: Instant) -> Result<Announce, Passed> {
        if !self.answered.admit(&to.ip(), now) {
            return Err(Passed::TooOften);
        }
        Ok(Announce { from: None, to })
    }
}

/// The ports on which we may listen for links, in the order to try them.
pub fn link_ports() -> impl Iterator<Item = u16> {
    LINK_PORTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use accord_model::{FieldCode, Timestamp};

    const OPEN: Policy = Policy { answer: Answer::Everyone, announce: true, oldest: Version::V7 };

    fn identity(seed: u8, version: Version) -> OwnIdentity {
        let (incoming, outgoing) = Default::default();
        let id = KdeId::from_bytes([seed; 16]);
        OwnIdentity { id, name: "Phone".into(), kind: DeviceType::Phone, incoming, outgoing, version }
    }
    fn datagram(seed: u8, version: Version) -> Vec<u8> {
        identity(seed, version).datagram(Shown::Full, 1720, Timestamp::UNIX_EPOCH).bytes
    }
    fn from(address: [u8; 4]) -> SocketAddr {
        (address, 50000).into()
    }
    fn discovery() -> Discovery {
        Discovery::new(KdeId::from_bytes([0xaa; 16]))
    }
    fn hear(address: [u8; 4], bytes: &[u8], policy: Policy, standing: Standing) -> Result<Connect, Passed> {
        discovery().datagram(from(address), bytes, policy, |_| standing, Instant::now())
    }

    #[test]
    fn a_datagram_leads_to_its_senders_port() {
        let connect = hear([192, 168, 1, 5], &datagram(0xbb, Version::V8), OPEN, Standing::default()).unwrap();
        assert_eq!((connect.to, connect.identity.protocol), (([192, 168, 1, 5], 1720).into(), 8));
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        let phone = datagram(0xbb, Version::V7);
        let free = Standing::default();
        for public in [[8, 8, 8, 8], [127, 0, 0, 1], [172, 32, 0, 1], [100, 128, 0, 1]] {
            assert_eq!(hear(public, &phone, OPEN, free), Err(Passed::NotPrivate(public.into())));
        }
        for private in [[10, 0, 0, 1], [172, 31, 0, 1], [169, 254, 9, 9], [100, 64, 0, 1]] {
            assert!(hear(private, &phone, OPEN, free).is_ok(), "{private:?}");
        }
        let home = [192, 168, 1, 5];
        assert_eq!(hear(home, &datagram(0xaa, Version::V8), OPEN, free), Err(Passed::Oneself));
        assert_eq!(hear(home, b"M-SEARCH", OPEN, free), Err(IdentityError::NotAnIdentity.into()));
        let private = Policy { oldest: Version::V8, ..OPEN };
        assert_eq!(hear(home, &phone, private, free), Err(Passed::TooOld(7)));
        let careful = Policy { answer: Answer::Paired, ..OPEN };
        assert_eq!(hear(home, &phone, careful, free), Err(Passed::NotWanted));
        assert!(hear(home, &phone, careful, Standing { paired: true, ..free }).is_ok());
        assert_eq!(hear(home, &phone, OPEN, Standing { busy: true, ..free }), Err(Passed::Connected));
        let portless = identity(0xbb, Version::V8).inner(Timestamp::UNIX_EPOCH).bytes;
        assert_eq!(hear(home, &portless, OPEN, free), Err(Passed::NoPort));
    }

    #[test]
    fn one_device_is_tried_twice_a_second_and_an_address_not_much_more() {
        let mut discovery = discovery();
        let start = Instant::now();
        let mut hear = |seed, address, at| {
            let bytes = datagram(seed, Version::V8);
            discovery.datagram(from(address), &bytes, OPEN, |_| Standing::default(), at).is_ok()
        };
        let home = [192, 168, 1, 5];
        assert!(hear(0xbb, home, start) && !hear(0xbb, home, start));
        assert!(!hear(0xbb, [192, 168, 1, 6], start), "nor from elsewhere");
        assert!(hear(0xcc, home, start) && !hear(0xdd, home, start));
        assert!(hear(0xbb, home, start + CONNECT_EVERY));
    }

    #[test]
    fn a_find_and_a_failed_connection_are_answered_by_our_datagram() {
        let mut discovery = discovery();
        let now = Instant::now();
        let published = service(&identity(0xbb, Version::V8), Shown::Full, 1717);
        let found = Found::from_txt(published.txt.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap();
        assert_eq!((found.name.as_deref(), found.kind, found.protocol), (Some("Phone"), DeviceType::Phone, 8));
        let address: SocketAddr = ([192, 168, 1, 5], 1717).into();
        let to = Announce { from: None, to: ([192, 168, 1, 5], DISCOVERY_PORT).into() };
        assert_eq!(discovery.found(&found, address, OPEN, Standing::default(), now), Ok(to));
        assert_eq!(discovery.connect_failed(address, now), Err(Passed::TooOften), "and not twice");
        assert_eq!(discovery.connect_failed(address, now + ANSWER_EVERY), Ok(to));
        assert_eq!(Found::from_txt([("id", "x"), ("protocol", "8")]), None);
        let neutral = service(&identity(0xbb, Version::V8), Shown::Neutral, 1717);
        assert_eq!(neutral.fields, FieldSet::one(FieldCode::DeviceIdResettable));
        assert!(!format!("{:?}", neutral.txt).contains("hone"));
    }

    #[test]
    fn announcements_go_out_once_per_change_and_only_when_allowed() {
        let mut discovery = discovery();
        let start = Instant::now();
        let ours = [IpAddr::from([192, 168, 1, 2]), IpAddr::from([127, 0, 0, 1]), IpAddr::from([8, 8, 8, 8])];
        let named = [IpAddr::from([203, 0, 113, 7])];
        assert_eq!(discovery.announce(&ours, &named, OPEN, start), []);
        discovery.announce_soon(start);
        let sent = discovery.announce(&ours, &named, OPEN, start);
        let everywhere = ([255, 255, 255, 255], DISCOVERY_PORT).into();
        assert_eq!(sent[0], Announce { from: Some([192, 168, 1, 2].into()), to: everywhere });
        assert_eq!((sent.len(), sent[1].to), (2, ([203, 0, 113, 7], DISCOVERY_PORT).into()));
        for _ in 0..100 {
            discovery.announce_soon(start);
        }
        assert_eq!(discovery.timeout(), Some(start + ANNOUNCE_EVERY));
        assert_eq!(discovery.announce(&ours, &named, OPEN, start), []);
        let silent = Policy { announce: false, ..OPEN };
        assert_eq!(discovery.announce(&ours, &named, silent, start + ANNOUNCE_EVERY), []);
        assert_eq!(discovery.timeout(), None);
    }
}
