//! What goes into the core and what comes out of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The port of multicast DNS.
pub const PORT: u16 = 5353;
/// The IPv4 group.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The IPv6 link-local group.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// Longest datagram read or sent, in bytes (RFC 6762, section 17).
pub const MAX_DATAGRAM: usize = 9000;

/// Limits and the source of chance.
#[derive(Debug, Clone)]
pub struct Config {
    /// For jitter and probe delays. Need not be secret; should differ between devices.
    pub seed: u64,
    /// Most instances known over all browsed types; further ones are not taken up.
    pub max_instances: usize,
    /// Most instances whose first word came from one source address.
    pub max_per_source: usize,
    /// Most datagrams from one source looked at per second.
    pub max_datagrams_per_second: u32,
    /// Longest time to live believed, so that what vanished without a word is forgotten.
    pub max_ttl: Duration,
    /// Time to live of host records sent (SRV, A, AAAA).
    pub host_ttl: Duration,
    /// Time to live of other records sent (PTR, TXT).
    pub other_ttl: Duration,
}

impl Config {
    /// The usual limits.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            seed,
            max_instances: 1024,
            max_per_source: 64,
            max_datagrams_per_second: 100,
            max_ttl: Duration::from_secs(4500),
            host_ttl: Duration::from_secs(120),
            other_ttl: Duration::from_secs(4500),
        }
    }
}

/// One network interface that is up and multicasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The operating system's index: also the scope of link-local addresses.
    pub index: u32,
    /// Its own addresses. The core sends over IPv4 if one is IPv4, over IPv6 if one is IPv6.
    pub addresses: Vec<IpAddr>,
}

/// Something to announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub(crate) service: String,
    pub(crate) instance: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) txt: Vec<(String, Vec<u8>)>,
}

/// Why a wish cannot be fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// The type is not `_name._tcp` or `_name._udp`.
    #[error("`{0}` is no service type; it looks like `_name._udp`")]
    ServiceType(String),
    /// The instance or host name does not fit a label.
    #[error("`{0}` is no instance or host name: 1 to 63 bytes, and for a host a-z, 0-9 and `-`")]
    Name(String),
    /// The attributes do not fit.
    #[error("the attribute `{0}` is malformed, or all of them together are longer than 1200 bytes")]
    Txt(String),
    /// Too many at once.
    #[error("at most {0} at once")]
    TooMany(usize),
}

/// One service of one device, complete: where it is and what it says of itself. From outside: escape
/// texts before showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInstance {
    /// `_accord._udp`.
    pub service: String,
    /// The instance's own name, without type and domain.
    pub name: String,
    /// The host, without `.local`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its addresses, at most 32.
    pub addresses: Vec<FoundAddress>,
    /// Its attributes in order; a key without `=` has an empty value. Keys are lower case.
    pub txt: Vec<(String, Vec<u8>)>,
}

impl ServiceInstance {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&[u8]> {
        self.txt.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_slice())
    }
    /// Addresses with port and, for link-local IPv6, the scope.
    pub fn socket_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|found| found.socket_address(self.port))
    }
}

/// One address and the interface on which it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundAddress {
    /// The address.
    pub ip: IpAddr,
    /// Index of the interface.
    pub interface: u32,
}

impl FoundAddress {
    /// With a port; link-local IPv6 gets its scope.
    pub fn socket_address(&self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                std::net::SocketAddrV6::new(ip, port, 0, self.interface).into()
            }
            ip => SocketAddr::new(ip, port),
        }
    }
}

/// Names a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicationId(pub(crate) u64);

/// What the core wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Something changed.
    Event(Event),
}

/// A datagram to send from port 5353 on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Index of the interface.
    pub interface: u32,
    /// A group or one host.
    pub to: SocketAddr,
    /// At most [`MAX_DATAGRAM`] bytes; usually below 1440.
    pub bytes: Vec<u8>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instance of a browsed type is complete: it has host, port and an address.
    Found(ServiceInstance),
    /// What is known of it changed.
    Updated(ServiceInstance),
    /// It said goodbye, or nothing was heard of it for its time to live.
    Lost {
        /// The type.
        service: String,
        /// The instance's name.
        name: String,
    },
    /// A publication had to take another name because someone else has it.
    Renamed {
        /// Which.
        publication: PublicationId,
        /// Its new instance name.
        instance: String,
        /// Its new host name.
        host: String,
    },
}

impl Publication {
    /// An instance `instance` of `service` (`_name._udp`) on host `host` (without `.local`) at `port`.
    ///
    /// # Errors
    /// [`WishError`] when a name does not fit.
    pub fn new(service: &str, instance: &str, host: &str, port: u16) -> Result<Self, WishError> {
        check_service(service)?;
        let shown = |text: &str| WishError::Name(accord_model::text::for_screen(text, 63));
        if instance.is_empty() || instance.len() > 63 || instance.chars().any(char::is_control) {
            return Err(shown(instance));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if host.is_empty() || host.len() > 63 || !host.chars().all(plain) {
            return Err(shown(host));
        }
        let (service, instance, host) = (service.to_owned(), instance.to_owned(), host.to_owned());
        Ok(Self { service, instance, host, port, txt: Vec::new() })
    }
    /// With one more attribute (RFC 6763, section 6): key of 1 to 32 printable ASCII characters without `=`.
    ///
    /// # Errors
    /// [`WishError::Txt`] when it does not fit.
    pub fn attribute(mut self, key: &str, value: &[u8]) -> Result<Self, WishError> {
        let plain = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'=';
        let total: usize = self.txt.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let length = key.len() + 1 + value.len();
        if !(1..=32).contains(&key.len()) || !key.bytes().all(plain) || length > 255 || total + length + 1 > 1200 {
            return Err(WishError::Txt(accord_model::text::for_screen(key, 32)));
        }
        self.txt.push((key.to_owned(), value.to_vec()));
        Ok(self)
    }
}

pub(crate) fn check_service(service: &str) -> Result<(), WishError> {
    let (name, protocol) = service.split_once('.').unwrap_or((service, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits =
        name.len() <= 16 && name.strip_prefix('_').is_some_and(|name| !name.is_empty() && name.chars().all(plain));
    if fits && matches!(protocol, "_tcp" | "_udp") {
        return Ok(());
    }
    Err(WishError::ServiceType(accord_model::text::for_screen(service, 40)))
}

/// The type of what is browsed: `_name._udp`, or a subtype of it, `_sub-name._sub._name._udp` (RFC 6763, section 7.1).
pub(crate) fn check_browse(wished: &str) -> Result<&str, WishError> {
    let Some((sub, service)) = wished.split_once("._sub.") else { return check_service(wished).map(|()| wished) };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (2..=63).contains(&sub.len()) && sub.starts_with('_') && sub.chars().all(plain);
    if !fits {
        return Err(WishError::ServiceType(accord_model::text::for_screen(wished, 80)));
    }
    check_service(service).map(|()| service)
}
