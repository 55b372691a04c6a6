//! Who receives: everyone near, one device, one host, a visitor, or nobody but this hub.

use std::{fmt, net::IpAddr, str::FromStr};

use accord_model::{DeviceId, text::for_screen};
use serde::{Deserialize, Serialize};

/// One recipient: `network:lan`, `device:<id>`, `host:<name[:port]>`, `visitor:<address>` or `hub:this`.
///
/// ```
/// use accord_consent::RecipientId;
/// assert_eq!("network:lan".parse::<RecipientId>().unwrap(), RecipientId::lan());
/// assert!("host:a b".parse::<RecipientId>().is_err());
/// assert_eq!(RecipientId::visitor("::ffff:10.0.0.7".parse().unwrap()).as_str(), "visitor:10.0.0.7");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecipientId(String);

/// A text that names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no recipient; use `network:lan`, `device:<id>`, `host:<name:port>`, `visitor:<address>` or `hub:this`"
)]
pub struct BadRecipient(String);

impl RecipientId {
    /// Everyone on the networks this machine is in.
    pub fn lan() -> Self {
        Self("network:lan".to_owned())
    }
    /// One device.
    pub fn device(id: &DeviceId) -> Self {
        Self(format!("device:{id}"))
    }
    /// One host, `name` or `name:port`.
    ///
    /// # Errors
    /// [`BadRecipient`] when the text cannot be a host.
    pub fn host(host: &str) -> Result<Self, BadRecipient> {
        format!("host:{host}").parse()
    }
    /// Whoever is at this address of a network near, with nothing else known of it: a browser.
    pub fn visitor(address: IpAddr) -> Self {
        Self(format!("visitor:{}", address.to_canonical()))
    }
    /// This hub itself: for what is taken note of here and goes nowhere. No permit is to be had for it.
    pub fn here() -> Self {
        Self("hub:this".to_owned())
    }
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// True for [`RecipientId::lan`].
    pub fn is_lan(&self) -> bool {
        self.0 == "network:lan"
    }
    /// True for [`RecipientId::here`].
    pub fn is_here(&self) -> bool {
        self.0 == "hub:this"
    }
    /// The device, if it is one.
    pub fn as_device(&self) -> Option<DeviceId> {
        self.0.strip_prefix("device:").and_then(|id| DeviceId::new(id).ok())
    }
    /// The host with its port, if it is one.
    pub fn as_host(&self) -> Option<&str> {
        self.0.strip_prefix("host:")
    }
    /// The visitor's address, if it is one.
    pub fn as_visitor(&self) -> Option<IpAddr> {
        self.0.strip_prefix("visitor:").and_then(|address| address.parse().ok())
    }
}

impl FromStr for RecipientId {
    type Err = BadRecipient;
    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        let valid = match text.split_once(':') {
            Some(("network", name)) => name == "lan",
            Some(("hub", name)) => name == "this",
            Some(("device", id)) => DeviceId::new(id).is_ok(),
            Some(("host", host)) => {
                let fits =
                    |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | ':' | '[' | ']');
                !host.is_empty() && host.len() <= 261 && host.chars().all(fits)
            }
            // One way to write each address, so that a no is never missed.
            Some(("visitor", address)) => {
                let parsed = address.parse::<IpAddr>().ok();
                parsed.is_some_and(|parsed| Self::visitor(parsed).0 == text)
            }
            _ => false,
        };
        if valid { Ok(Self(text.to_owned())) } else { Err(BadRecipient(for_screen(text, 60))) }
    }
}

impl TryFrom<String> for RecipientId {
    type Error = BadRecipient;
    fn try_from(text: String) -> Result<Self, BadRecipient> {
        text.parse()
    }
}
impl From<RecipientId> for String {
    fn from(id: RecipientId) -> Self {
        id.0
    }
}
impl fmt::Display for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for RecipientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientId({})", self.0)
    }
}

/// Whom a decision is about. A decision on one recipient goes before a decision on any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum To {
    /// Every recipient of the entry's class.
    Any,
    /// This one.
    One(RecipientId),
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::One(id) => id.fmt(f),
        }
    }
}
impl FromStr for To {
    type Err = BadRecipient;
    fn from_str(text: &str) -> Result<Self, BadRecipient> {
        if text == "any" { Ok(Self::Any) } else { text.parse().map(Self::One) }
    }
}
impl TryFrom<String> for To {
    type Error = BadRecipient;
    fn try_from(text: String) -> Result<Self, BadRecipient> {
        text.parse()
    }
}
impl From<To> for String {
    fn from(to: To) -> Self {
        to.to_string()
    }
}
impl From<RecipientId> for To {
    fn from(id: RecipientId) -> Self {
        Self::One(id)
    }
}

/// Where one disclosure goes: the recipient and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Who receives. Must be the one the permit was given for.
    pub recipient: RecipientId,
    /// The host name with its port when the recipient is a host or a relay carries it; else empty.
    pub host: String,
    /// `ip:port`, `link:<carrier>` or another address, as the ledger shows it.
    pub address: String,
}

impl Destination {
    /// To a recipient at an address, with no host between.
    pub fn new(recipient: RecipientId, address: impl Into<String>) -> Self {
        let host = recipient.as_host().unwrap_or_default().to_owned();
        Self { recipient, host, address: address.into() }
    }
    /// To a device.
    pub fn device(id: &DeviceId, address: impl Into<String>) -> Self {
        Self::new(RecipientId::device(id), address)
    }
    /// To everyone near.
    pub fn lan(address: impl Into<String>) -> Self {
        Self::new(RecipientId::lan(), address)
    }
    /// Through this host (`name:port`), which the entry must declare.
    #[must_use]
    pub fn via(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }
}
