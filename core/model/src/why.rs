//! Why a device cannot be reached: the facts that whoever speaks for it knows, and the obstacles that follow from
//! them. A fact says what was seen, never what it means; `accord_registry::why` draws the conclusions.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{DeviceId, EntryKey, Timestamp};

/// Most facts that one bridge tells about one device.
pub const MAX_FACTS: usize = 64;
/// Longest text in a fact, in characters. It may be another device's: escape it before a screen shows it.
pub const MAX_TEXT: usize = 300;

/// Everything that a bridge knows about why a device is or is not reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// What the owner knows the protocol as: `KDE Connect`, `LocalSend`, `Accord`.
    pub app: String,
    /// What speaks it there.
    #[serde(default)]
    pub body: Body,
    /// In the order in which they were found.
    pub facts: Vec<Fact>,
}

impl Explained {
    /// What a bridge knows: by which protocol, and what speaks that there.
    pub fn new(app: impl Into<String>, body: Body, facts: Vec<Fact>) -> Self {
        Self { app: app.into(), body, facts }
    }
}

/// What speaks a protocol on the other side, and so what its owner can do when it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// A program that a person opens: a phone's or computer's.
    #[default]
    App,
    /// The device itself, which a person can do no more with than to give it power: a lamp, a plug, a television.
    Appliance,
    /// A program that runs for good on a machine: a broker, a server of the house.
    Server,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// How the owner decided about something that this way takes.
    Consent {
        /// Which entry.
        entry: EntryKey,
        /// For which device alone; absent for everyone near.
        to: Option<DeviceId>,
        /// How it stands.
        standing: Standing,
        /// Without it the device is not reached at all.
        needed: bool,
    },
    /// The owner wants nothing to do with the device.
    Blocked,
    /// The networks that this machine is in, loopback left out.
    Networks {
        /// One for each address.
        networks: Vec<Net>,
    },
    /// Another program has a port of the protocol.
    PortTaken {
        /// Which.
        port: u16,
        /// Of which kind.
        transport: Transport,
        /// Who has it.
        holder: Option<Holder>,
        /// The port that is used instead; absent when nothing could be opened.
        instead: Option<u16>,
    },
    /// The sockets of the protocol could not be opened.
    NotOpen {
        /// In words.
        why: String,
    },
    /// What was sent to everyone near by one way, and what was heard of others by it, in the present network.
    Air {
        /// Which way.
        way: Way,
        /// On which interface, where that is counted for each.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// Datagrams that left.
        sent: u64,
        /// Datagrams of others that came.
        heard: u64,
        /// Those of this machine that came back to it, as the system gives a copy of each to whoever listens here; absent where
        /// that is not counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own: Option<u64>,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// Interfaces of this machine have no IPv6 address, and devices of this kind are reached by IPv6 only.
    NoIpv6 {
        /// Which.
        interfaces: Vec<String>,
        /// No other interface has one either.
        all: bool,
    },
    /// It is announced here, at addresses that no way leads to.
    Stray {
        /// On which interface that is heard.
        interface: String,
        /// Where it says that it is.
        addresses: Vec<IpAddr>,
        /// What is missing.
        lacks: Lack,
    },
    /// How we stand with the device.
    Pairing {
        /// As known here.
        state: Pairing,
    },
    /// It is connected, or was when asked.
    Connected {
        /// Where to: `ip:port`, or a relay's name.
        address: String,
    },
    /// Where and when it was last.
    LastSeen {
        /// Absent when nobody noted it.
        at: Option<Timestamp>,
        /// Its addresses then, the best first.
        addresses: Vec<SocketAddr>,
    },
    /// When it answered last what it was asked. It may have been seen since: what announces a device may run while the rest of
    /// it hangs.
    LastAnswered {
        /// Then.
        at: Timestamp,
    },
    /// It was asked just now.
    Tried {
        /// Where.
        address: SocketAddr,
        /// What came of it.
        outcome: Outcome,
    },
    /// Whoever answers there proves another identity than the device that was paired.
    KeyChanged {
        /// When that was noticed.
        at: Timestamp,
        /// What it shows.
        why: String,
    },
    /// It answers what takes no secret, and nothing that is sealed with the secret that the owner gave for it.
    SecretWrong {
        /// What that is called: `token`.
        what: String,
        /// What to do, in sentences of the bridge's own.
        remedy: String,
    },
    /// Somebody that is not paired announces itself from the device's last address.
    Stranger {
        /// There.
        address: IpAddr,
    },
    /// A device speaks a version that is too old.
    TooOld {
        /// Who, when it is not the device in question.
        address: Option<IpAddr>,
        /// What is wrong.
        why: String,
    },
    /// Its clock and this machine's differ.
    ClockDiffers {
        /// By so much, in seconds.
        seconds: u64,
    },
    /// It answered, and does not want to speak with this machine.
    TurnedAway {
        /// When.
        at: Timestamp,
        /// Its reason, or what that means.
        why: String,
    },
    /// It is on, and lets itself not be reached in this way until somebody allows that on it.
    SwitchedOff {
        /// What is off there: `LAN control`.
        what: String,
        /// What to do there, in sentences of the bridge's own.
        remedy: String,
    },
    /// It answers, and says some of what it is asked for not.
    Withholds {
        /// What, and its reasons, in words.
        what: String,
        /// What to do, in sentences of the bridge's own.
        remedy: String,
    },
    /// It answers, and was not added: something about it has to be otherwise first.
    NotAdded {
        /// What, in words.
        why: String,
        /// What to do, in sentences of the bridge's own.
        remedy: String,
    },
    /// The owner removed it while it was away: it keeps a place for this machine, and is told to give that up once it is here.
    Leaving {
        /// Until then; after that it is forgotten here all the same.
        until: Timestamp,
    },
    /// Whoever speaks for it is reached, and says that it does not reach it itself.
    AwayThere {
        /// What that one is called.
        by: String,
    },
    /// Pairing is held up after wrong attempts.
    TooManyAttempts {
        /// For so long, in seconds.
        seconds: u64,
    },
    /// What makes it reachable is being done just now.
    UnderWay {
        /// What, as the end of a sentence: `added`.
        what: String,
    },
}

/// What it would take to reach an announced address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// An address of IPv6 on the interface on which it is heard.
    Ipv6,
    /// A way there from a router near: it is an address of the house, behind one.
    Router,
    /// An address of its network on that interface.
    Network,
    /// Nothing, as far as is known; and yet it says that it is in another network, too, as devices do whose announcements somebody
    /// carries over from there.
    Relayed,
}

/// How the owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Agreed.
    Given,
    /// Never asked, or not answered.
    Undecided,
    /// Refused.
    Refused,
    /// Agreed once, and taken back.
    Withdrawn,
    /// Agreed until a time that has passed.
    Expired,
    /// Agreed to less than the entry says now.
    Lapsed,
}

/// How we stand with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// It is paired, or trusted.
    Paired,
    /// It is not.
    NotPaired,
    /// Somebody is being asked just now.
    Pending,
    /// It was paired until it ended that.
    EndedThere,
}

/// An address of this machine and the length of its network's prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Net {
    /// `eth0`, `wlan0`, …
    pub interface: String,
    /// The own address.
    pub address: IpAddr,
    /// In bits.
    pub prefix: u8,
}

impl Net {
    /// True for an address of the same network.
    pub fn has(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
            (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        let length = u32::from(self.prefix.min(128));
        length > 0 && differ >> (128 - length) == 0
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Kind of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Transport {
    Tcp,
    Udp,
}

/// The program that has a port; nothing is known of another user's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its name.
    pub program: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
}

/// A way to everyone near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Way {
    Ipv4Broadcast,
    Ipv4Multicast,
    Ipv6Multicast,
}

impl Way {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4Broadcast => "IPv4 broadcast",
            Self::Ipv4Multicast => "IPv4 multicast",
            Self::Ipv6Multicast => "IPv6 multicast",
        }
    }
}

/// What came of asking a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "why", rename_all = "kebab-case")]
pub enum Outcome {
    /// It answered as it should.
    Answered,
    /// Its system said that nothing listens there.
    Refused,
    /// A connection was made, or there is somebody as its system shows, and nobody spoke.
    Mute,
    /// Nothing came back.
    Silent,
    /// Nobody in this network has the address.
    NoHost,
    /// This machine knows no way to that network.
    NoRoute,
    /// Anything else, in words.
    Failed(String),
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The same for ever, for scripts.
    pub code: Code,
    /// Whether it is the reason, or only makes things harder.
    pub weight: Weight,
    /// What is so, in a sentence for the owner.
    pub says: String,
    /// What to do, in a sentence for the owner.
    pub remedy: String,
    /// What it would take the owner to agree to, where that is what is missing.
    pub agree: Option<Agree>,
}

/// An entry that the owner has not agreed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agree {
    /// Which.
    pub entry: EntryKey,
    /// For which device alone; absent for everyone near.
    pub to: Option<DeviceId>,
}

/// How much an obstacle matters. The first that blocks is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The device is not reached because of it.
    Blocks,
    /// It may be, or something works less well.
    Hinders,
}

/// The kinds of obstacles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Code {
    ConsentMissing,
    ConsentRefused,
    ConsentEnded,
    Blocked,
    BridgeOff,
    NoNetwork,
    NoIpv6,
    PortTaken,
    NotOpen,
    KeyChanged,
    SecretWrong,
    VersionTooOld,
    ClockDiffers,
    UnpairedThere,
    TurnedAway,
    SwitchedOff,
    NotAdded,
    Withholds,
    Leaving,
    AwayThere,
    NotPaired,
    PairingPending,
    TooManyAttempts,
    UnderWay,
    StrangerThere,
    OtherNetwork,
    NoAddress,
    AppClosed,
    Mute,
    Asleep,
    NoRoute,
    Failed,
    NothingHeard,
    PartlyHeard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_share_its_prefix() {
        let net = |text: &str, prefix| Net { interface: "eth0".into(), address: text.parse().unwrap(), prefix };
        let has = |net: &Net, text: &str| net.has(text.parse().unwrap());
        let (four, six) = (net("10.66.0.1", 24), net("2001:db8::1", 64));
        assert!(has(&four, "10.66.0.254") && has(&four, "::ffff:10.66.0.9") && has(&six, "2001:db8::77"));
        assert!(!has(&four, "10.66.1.1") && !has(&six, "2001:db8:1::1") && !has(&net("10.0.0.1", 0), "8.8.8.8"));
    }

    #[test]
    fn facts_cross_as_plain_words() {
        let fact = Fact::Tried { address: "10.0.0.2:1716".parse().unwrap(), outcome: Outcome::Failed("no".into()) };
        let json = serde_json::to_string(&fact).unwrap();
        assert_eq!(json, r#"{"fact":"tried","address":"10.0.0.2:1716","outcome":{"outcome":"failed","why":"no"}}"#);
        assert_eq!(serde_json::from_str::<Fact>(&json).unwrap(), fact);
        assert_eq!(serde_json::to_string(&Code::AppClosed).unwrap(), r#""app-closed""#);
    }
}
