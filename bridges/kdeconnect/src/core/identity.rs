//! The identity packet: what a device says it is, before it can be believed.

use std::collections::BTreeSet;

use accord_model::{FieldCode, FieldSet, Timestamp, text};
use serde_json::{Map, Value, json};

use super::id::KdeId;
use super::json::{Field, parse};

/// Longest identity line in bytes, without the newline.
pub const MAX_IDENTITY: usize = 8192;
/// Longest name in characters.
pub const MAX_NAME: usize = 32;
/// Where a device may listen for links.
pub const LINK_PORTS: std::ops::RangeInclusive<u16> = 1716..=1764;
/// What a name may not hold; sanitised away rather than refused.
const NOT_IN_NAMES: &str = "\"',;:.!?()[]<>";
const KIND: &str = "kdeconnect.identity";
/// Most capabilities of one side, and the longest.
const MAX_CAPABILITIES: usize = 256;
const MAX_CAPABILITY: usize = 100;

/// A version of the protocol that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Identity in clear only; desktops up to 2024, Android up to 1.32.
    V7 = 7,
    /// Identity again inside TLS, timestamps in pairing.
    V8 = 8,
}

impl Version {
    /// The number on the wire.
    pub fn number(self) -> i64 {
        self as i64
    }
    /// What is spoken with a peer that offers `number`; `None` when it is too old.
    pub fn with(number: i64) -> Option<Self> {
        match number {
            8.. => Some(Self::V8),
            7 => Some(Self::V7),
            _ => None,
        }
    }
}

/// What sort of device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum DeviceType {
    Desktop,
    Laptop,
    Phone,
    Tablet,
    Tv,
}

impl DeviceType {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Laptop => "laptop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
        }
    }
    /// Reads a word; one that is not known counts as a desktop, as everywhere in this protocol.
    pub fn read(word: &str) -> Self {
        match word {
            "laptop" => Self::Laptop,
            "phone" | "smartphone" => Self::Phone,
            "tablet" => Self::Tablet,
            "tv" => Self::Tv,
            _ => Self::Desktop,
        }
    }
}

/// What a peer says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Must be the common name of its certificate.
    pub id: KdeId,
    /// Sanitised: 1 to [`MAX_NAME`] characters, safe on a screen.
    pub name: String,
    /// What it says it is.
    pub kind: DeviceType,
    /// The number it offers; may be newer than [`Version::V8`].
    pub protocol: i64,
    /// Packet types it takes. May be empty in an identity sent in clear: the inner one counts then.
    pub incoming: BTreeSet<String>,
    /// Packet types it sends.
    pub outgoing: BTreeSet<String>,
    /// Where it listens; only in datagrams.
    pub tcp_port: Option<u16>,
    /// Whom the sender means; only in clear over TCP.
    pub target_id: Option<String>,
    /// Which version it believes the receiver to speak; only in clear over TCP.
    pub target_protocol: Option<i64>,
}

/// Why an identity is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Longer than [`MAX_IDENTITY`].
    #[error("its identity is longer than {MAX_IDENTITY} bytes; is it a KDE Connect device?")]
    TooLong,
    /// No JSON, or not an identity packet.
    #[error("it sent no identity; is it a KDE Connect device?")]
    NotAnIdentity,
    /// The id breaks the rule.
    #[error("its device id `{0}` is not 32 to 38 letters, digits, `_` or `-`; update the app on it")]
    Id(String),
    /// Nothing is left of its name.
    #[error("its name has no usable character; give it another name in its KDE Connect settings")]
    Name,
    /// No version.
    #[error("it does not say which version of KDE Connect it speaks; update the app on it")]
    NoVersion,
    /// A port that no device uses.
    #[error("it says it listens on port {0}, which is not between 1716 and 1764")]
    Port(i64),
}

impl Identity {
    /// Reads one line (or one datagram).
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn parse(line: &[u8]) -> Result<Self, IdentityError> {
        if line.len() > MAX_IDENTITY + 1 {
            return Err(IdentityError::TooLong);
        }
        let packet = parse(line).map_err(|_| IdentityError::NotAnIdentity)?;
        let body = match (packet.get("type").and_then(Value::as_str), packet.get("body")) {
            (Some(KIND), Some(Value::Object(body))) => body,
            _ => return Err(IdentityError::NotAnIdentity),
        };
        let id = body.get("deviceId").and_then(Value::as_str).unwrap_or_default();
        let id = KdeId::new(id).ok_or_else(|| IdentityError::Id(text::for_screen(id, 40)))?;
        let name = body.get("deviceName").and_then(Value::as_str).and_then(sanitise).ok_or(IdentityError::Name)?;
        let tcp_port = match i64::read(body.get("tcpPort")) {
            None => None,
            Some(port) => match u16::try_from(port) {
                Ok(port) if LINK_PORTS.contains(&port) => Some(port),
                _ => return Err(IdentityError::Port(port)),
            },
        };
        Ok(Self {
            id,
            name,
            kind: DeviceType::read(body.get("deviceType").and_then(Value::as_str).unwrap_or_default()),
            protocol: i64::read(body.get("protocolVersion")).ok_or(IdentityError::NoVersion)?,
            incoming: capabilities(body, "incomingCapabilities"),
            outgoing: capabilities(body, "outgoingCapabilities"),
            tcp_port,
            target_id: String::read(body.get("targetDeviceId")),
            target_protocol: i64::read(body.get("targetProtocolVersion")),
        })
    }
    /// What is spoken with it; `None` when it is too old.
    pub fn version(&self) -> Option<Version> {
        Version::with(self.protocol)
    }
}

fn capabilities(body: &Map<String, Value>, key: &str) -> BTreeSet<String> {
    let Some(Value::Array(list)) = body.get(key) else { return BTreeSet::new() };
    let words = list.iter().filter_map(Value::as_str).filter(|word| word.len() <= MAX_CAPABILITY);
    words.take(MAX_CAPABILITIES).map(str::to_owned).collect()
}

/// A name without the characters that strict peers refuse, cut to [`MAX_NAME`]; `None` when nothing is left.
pub fn sanitise(name: &str) -> Option<String> {
    let kept: String = name.chars().filter(|c| !NOT_IN_NAMES.contains(*c) && !text::is_unsafe(*c)).collect();
    let cut: String = kept.trim().chars().take(MAX_NAME).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// How much of ourselves an identity in clear shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Name, type and capabilities. Version 7 peers know us by nothing else.
    Full,
    /// A neutral name, no type and no capabilities. Version 8 peers read the inner identity.
    Neutral,
}

/// What we say we are.
#[derive(Debug, Clone)]
pub struct OwnIdentity {
    /// Our id, also the common name of our certificate.
    pub id: KdeId,
    /// Our name; sanitised when it is sent.
    pub name: String,
    /// What we are.
    pub kind: DeviceType,
    /// Packet types we take.
    pub incoming: BTreeSet<String>,
    /// Packet types we send.
    pub outgoing: BTreeSet<String>,
    /// The version we speak; 7 only in tests.
    pub version: Version,
}

/// A line that says who we are, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLine {
    /// With the newline.
    pub bytes: Vec<u8>,
    /// What it reveals.
    pub fields: FieldSet,
}

impl OwnIdentity {
    /// The datagram that announces us and where we listen.
    pub fn datagram(&self, shown: Shown, tcp_port: u16, wall: Timestamp) -> OwnLine {
        let mut body = self.body(shown);
        body.insert("tcpPort".to_owned(), json!(tcp_port));
        self.line(body, shown, wall)
    }
    /// The first line over TCP, in clear, meant for `to`.
    pub fn clear(&self, shown: Shown, to: &Identity, wall: Timestamp) -> OwnLine {
        let mut body = self.body(shown);
        if self.version >= Version::V8 {
            body.insert("targetDeviceId".to_owned(), json!(to.id.as_str()));
            body.insert("targetProtocolVersion".to_owned(), json!(to.protocol));
        }
        self.line(body, shown, wall)
    }
    /// The line inside TLS (version 8).
    pub fn inner(&self, wall: Timestamp) -> OwnLine {
        self.line(self.body(Shown::Full), Shown::Full, wall)
    }

    fn body(&self, shown: Shown) -> Map<String, Value> {
        let full = shown == Shown::Full;
        let list = |set: &BTreeSet<String>| Value::from_iter(set.iter().filter(|_| full).map(String::as_str));
        let name = Some(&self.name).filter(|_| full).and_then(|name| sanitise(name));
        let kind = if full { self.kind } else { DeviceType::Desktop };
        let body = [
            ("deviceId", json!(self.id.as_str())),
            ("deviceName", json!(name.as_deref().unwrap_or("Accord"))),
            ("deviceType", json!(kind.as_str())),
            ("protocolVersion", json!(self.version.number())),
            ("incomingCapabilities", list(&self.incoming)),
            ("outgoingCapabilities", list(&self.outgoing)),
        ];
        body.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn line(&self, body: Map<String, Value>, shown: Shown, wall: Timestamp) -> OwnLine {
        let packet = json!({ "id": wall.as_millisecond(), "type": KIND, "body": body });
        let mut fields = FieldSet::one(FieldCode::DeviceIdResettable);
        if shown == Shown::Full {
            let more = [FieldCode::DeviceName, FieldCode::DeviceType, FieldCode::DeviceAbilities];
            fields = fields.union(FieldSet::from_iter(more));
        }
        OwnLine { bytes: format!("{packet}\n").into_bytes(), fields }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn line(body: &str) -> Vec<u8> {
        format!("{{\"id\":\"1\",\"type\":\"kdeconnect.identity\",\"body\":{body}}}").into_bytes()
    }
    fn own() -> OwnIdentity {
        OwnIdentity {
            id: KdeId::new(ID).unwrap(),
            name: "Mira's \"desk\" (big)".into(),
            kind: DeviceType::Laptop,
            incoming: ["kdeconnect.ping".to_owned()].into(),
            outgoing: ["kdeconnect.battery".to_owned()].into(),
            version: Version::V8,
        }
    }

    #[test]
    fn android_and_old_desktops_are_read_alike() {
        let android = Identity::parse(&line(&format!(
            r#"{{"deviceId":"{ID}","deviceName":"Pixel 8 (work)","deviceType":"smartphone","protocolVersion":"8",
                "targetProtocolVersion":"8","targetDeviceId":"x","incomingCapabilities":["kdeconnect.ping",3]}}"#
        )))
        .unwrap();
        assert_eq!((android.name.as_str(), android.kind, android.protocol), ("Pixel 8 work", DeviceType::Phone, 8));
        assert_eq!((android.target_protocol, android.incoming.len()), (Some(8), 1));
        let old = Identity::parse(&line(&format!(
            r#"{{"deviceId":"{ID}","deviceName":"lab-a","deviceType":"desktop","protocolVersion":7,"tcpPort":1716}}"#
        )))
        .unwrap();
        assert_eq!((old.version(), old.tcp_port), (Some(Version::V7), Some(1716)));
    }

    #[test]
    fn each_fault_says_what_it_is() {
        let body = |id: &str, name: &str, rest: &str| {
            Identity::parse(&line(&format!(r#"{{"deviceId":"{id}","deviceName":"{name}"{rest}}}"#))).unwrap_err()
        };
        assert_eq!(body("short", "a", r#","protocolVersion":8"#), IdentityError::Id("short".into()));
        assert_eq!(body(ID, "?!()", r#","protocolVersion":8"#), IdentityError::Name);
        assert_eq!(body(ID, "a", ""), IdentityError::NoVersion);
        assert_eq!(body(ID, "a", r#","protocolVersion":8,"tcpPort":22"#), IdentityError::Port(22));
        assert_eq!(Identity::parse(&[b' '; MAX_IDENTITY + 2]), Err(IdentityError::TooLong));
        for no in [&b"GET / HTTP/1.1"[..], b"{}", br#"{"type":"kdeconnect.ping","body":{}}"#] {
            assert_eq!(Identity::parse(no), Err(IdentityError::NotAnIdentity));
        }
    }

    #[test]
    fn the_neutral_form_shows_the_id_alone() {
        let now = Timestamp::UNIX_EPOCH;
        let neutral = own().datagram(Shown::Neutral, 1717, now);
        assert_eq!(neutral.fields, FieldSet::one(FieldCode::DeviceIdResettable));
        let read = Identity::parse(&neutral.bytes).unwrap();
        assert_eq!((read.name.as_str(), read.kind, read.tcp_port), ("Accord", DeviceType::Desktop, Some(1717)));
        assert!(read.incoming.is_empty() && read.outgoing.is_empty());
        let full = Identity::parse(&own().inner(now).bytes).unwrap();
        assert_eq!((full.name.as_str(), full.kind, full.incoming.len()), ("Miras desk big", DeviceType::Laptop, 1));
    }

    #[test]
    fn over_tcp_we_say_whom_we_mean() {
        let mut to = Identity::parse(&own().inner(Timestamp::UNIX_EPOCH).bytes).unwrap();
        to.protocol = 9;
        let read = Identity::parse(&own().clear(Shown::Full, &to, Timestamp::UNIX_EPOCH).bytes).unwrap();
        assert_eq!((read.target_id.as_deref(), read.target_protocol), (Some(ID), Some(9)));
    }
}
