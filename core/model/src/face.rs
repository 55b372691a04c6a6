//! What tells that two faces are one thing, and what a face told of make and model. A television may speak DLNA, Google
//! Cast and AirPlay at once: each is a **face**, described by its own bridge; which ones are one [`Device`](crate::Device)
//! for a person, the registry finds out from [`Claims`].
//!
//! A bridge gives them in two lines:
//!
//! ```
//! use accord_model::{Claims, Device, DeviceId, DeviceKind, Origin, Told, What};
//! let mut device = Device::new(DeviceId::new("cast-1").unwrap(), DeviceKind::Tv, "Lounge");
//! device.claims = Claims::broadcast(["192.168.1.20".parse().unwrap()]).unique("a1b2c3d4-0000-4000-8000-00aabbccddee");
//! device.told = vec![Told::new(Origin::CastTxt, What::Model, "BRAVIA 4K VH2")];
//! assert!(!format!("{device:?}").contains("aabbccddee"), "ids are not for logs");
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::text::for_screen;

/// Most addresses and ids of one face that are looked at.
const MOST: usize = 8;
/// Longest text that is kept of what a face told, in characters, and how many of them.
const MAX_TOLD: usize = 160;
/// Most that is kept of what one face told.
pub const MOST_TOLD: usize = 32;

/// By what a face can be known as the same thing as another. All of it is claimed and nothing of it proved: see
/// `core/registry` for what follows from it. Ids are never shown, kept on disk or written into a log.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claims {
    /// It announces itself to everyone and proves nothing, as televisions do. Only such ones are joined by themselves.
    broadcast: bool,
    /// It is no thing of its own where there is another one.
    #[serde(default)]
    part: bool,
    addresses: BTreeSet<IpAddr>,
    ids: BTreeSet<Mark>,
}

/// What is equal when two faces are one thing: a UUID of 32 hexadecimal digits or a hardware address of 12.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Mark(String);

impl TryFrom<String> for Mark {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        let known = [32, 12].into_iter().find_map(|count| digits(&text, count, &[]));
        known.map(Self).ok_or("an id has 12 or 32 hexadecimal digits")
    }
}

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        mark.0
    }
}

impl Claims {
    /// Of a thing that announces itself to everyone, at these addresses.
    pub fn broadcast(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { broadcast: true, ..Self::peer(addresses) }
    }

    /// Of a phone, a computer, a hub: joined with others by its owner's word alone, so that its addresses serve to
    /// suggest that.
    pub fn peer(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter().map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified());
        let addresses = addresses.take(MOST).collect();
        Self { addresses, ..Self::default() }
    }

    /// Of what offers nothing itself and belongs to the one thing that is at its address, whatever that is called.
    pub fn part(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { part: true, ..Self::broadcast(addresses) }
    }

    /// With a name for good that its maker or itself drew: a UPnP UDN, a Cast `id`, an AirPlay `pi`, Lebo's
    /// `dlna_udn_uuid`. With or without `uuid:` and dashes; what is no UUID, or one that many share, is left out.
    #[must_use]
    pub fn unique(mut self, id: &str) -> Self {
        let id = id.trim();
        let id = id.get(..5).filter(|start| start.eq_ignore_ascii_case("uuid:")).map_or(id, |_| &id[5..]);
        self.mark(digits(id, 32, &['-']));
        self
    }

    /// With a hardware address that it names: an AirPlay `deviceid`, the first part of a RAOP name. Placeholders and
    /// addresses of groups are left out.
    #[must_use]
    pub fn hardware(mut self, address: &str) -> Self {
        let digits = digits(address.trim(), 12, &[':', '-']);
        let is_group = |text: &String| u8::from_str_radix(&text[..2], 16).is_ok_and(|first| first & 1 == 1);
        self.mark(digits.filter(|text| !is_group(text) && text != "020000000000"));
        self
    }

    fn mark(&mut self, digits: Option<String>) {
        // All zeroes, counted up, one digit over and over: what makers forget to change.
        let kinds = |text: &String| text.bytes().collect::<BTreeSet<u8>>().len();
        if let Some(text) = digits.filter(|text| kinds(text) >= 3)
            && self.ids.len() < MOST
        {
            self.ids.insert(Mark(text));
        }
    }

    /// Whether it announces itself to everyone and proves nothing.
    pub fn is_broadcast(&self) -> bool {
        self.broadcast
    }

    /// Whether it offers nothing itself.
    pub fn is_part(&self) -> bool {
        self.part
    }

    /// Nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.ids.is_empty()
    }

    /// Where it is.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses.iter().copied().take(MOST)
    }

    /// Both name one id: the same UUID, the same hardware address, or one whose UUID ends with the other's hardware
    /// address, as a UUID of version 1 does and many makers' UDNs do.
    pub fn share_id(&self, other: &Self) -> bool {
        let ends = |long: &Mark, short: &Mark| long.0.len() == 32 && short.0.len() == 12 && long.0.ends_with(&short.0);
        let same = |one: &Mark, two: &Mark| one == two || ends(one, two) || ends(two, one);
        self.ids.iter().take(MOST).any(|one| other.ids.iter().take(MOST).any(|two| same(one, two)))
    }

    /// Both are at one address.
    pub fn share_address(&self, other: &Self) -> bool {
        self.addresses().any(|one| other.addresses().any(|two| one == two))
    }

    /// Both say where they are, and it is not the same place.
    pub fn are_apart(&self, other: &Self) -> bool {
        !self.addresses.is_empty() && !other.addresses.is_empty() && !self.share_address(other)
    }

    /// Texts by which faces that may be one thing are found; equal for any two of which [`Claims::share_id`] or
    /// [`Claims::share_address`] says yes.
    pub fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let ids = self.ids.iter().take(MOST).map(|mark| mark.0[mark.0.len() - 12..].to_owned());
        ids.chain(self.addresses().map(|ip| ip.to_string()))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broadcast, addresses, ids, .. } = self;
        write!(f, "Claims(broadcast: {broadcast}, {} addresses, {} ids)", addresses.len(), ids.len())
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark")
    }
}

/// Exactly `count` hexadecimal digits in small letters, when there is nothing but those and separators.
fn digits(text: &str, count: usize, separators: &[char]) -> Option<String> {
    if text.len() > 2 * count {
        return None;
    }
    let digits: String = text.chars().filter(|c| !separators.contains(c)).collect();
    let fits = digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| digits.to_ascii_lowercase())
}

/// One thing that a face said of itself, unasked or in its description. A claim, never more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Told {
    /// Where it said so.
    pub origin: Origin,
    /// What it is about.
    pub what: What,
    /// In its words.
    pub text: String,
}

impl Told {
    /// A text from outside, made safe to show and cut to 160 characters.
    pub fn new(origin: Origin, what: What, text: &str) -> Self {
        Self { origin, what, text: for_screen(text.trim(), MAX_TOLD) }
    }
}

/// Where a face told something of itself; the order is that of how much is to be thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The XML description of a UPnP device.
    UpnpDescription,
    /// `X-AV-Client-Info` of its own request for what is cast.
    ClientInfo,
    /// `User-Agent` of its own request for what is cast.
    UserAgent,
    /// TXT of `_googlecast._tcp`.
    CastTxt,
    /// TXT of `_leboremote._tcp`.
    LeboTxt,
    /// TXT of `_airkan._tcp`.
    AirkanTxt,
    /// TXT of `_airplay._tcp` or `_raop._tcp`.
    AirplayTxt,
    /// `SERVER` of an SSDP message.
    SsdpServer,
}

impl Origin {
    /// All, most trusted first.
    pub const ALL: [Self; 8] = [
        Self::UpnpDescription,
        Self::ClientInfo,
        Self::UserAgent,
        Self::CastTxt,
        Self::LeboTxt,
        Self::AirkanTxt,
        Self::AirplayTxt,
        Self::SsdpServer,
    ];

    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UpnpDescription => "UPnP description",
            Self::ClientInfo => "its own request's X-AV-Client-Info",
            Self::UserAgent => "its own request's User-Agent",
            Self::CastTxt => "Cast TXT",
            Self::LeboTxt => "_leboremote TXT",
            Self::AirkanTxt => "_airkan TXT",
            Self::AirplayTxt => "AirPlay TXT",
            Self::SsdpServer => "SSDP SERVER",
        }
    }
}

/// What a face told of itself is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Who made it: UPnP `manufacturer`, AirPlay `manufacturer`.
    Maker,
    /// Which model: UPnP `modelName`, Cast `md`, AirPlay `model`.
    Model,
    /// The model's number: UPnP `modelNumber`.
    Number,
    /// In more words: UPnP `modelDescription`.
    Description,
    /// A program's name for itself: `User-Agent`, `SERVER`, `X-AV-Client-Info`.
    Agent,
    /// The name of an Android package: `_leboremote` `packagename`.
    Package,
    /// What the receiving program is: `_leboremote` `hmd`.
    Product,
    /// What it does: `video`, `audio` or `group`, as bits and lists of formats say.
    Does,
    /// How large its picture is, in points: `1920x1080`.
    Points,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: &str) -> Claims {
        Claims::broadcast([ip.parse().unwrap()])
    }

    #[test]
    fn the_same_id_in_any_spelling_is_the_same() {
        let udn = at("10.0.0.2").unique("uuid:4D454930-0100-1000-8001-A81374AABBCC");
        for same in [
            at("10.0.0.3").unique("4d45493001001000 8001a81374aabbcc".replace(' ', "").as_str()),
            at("10.0.0.3").hardware("A8:13:74:AA:BB:CC"),
            at("10.0.0.3").hardware("A81374AABBCC"),
        ] {
            assert!(udn.share_id(&same) && same.share_id(&udn), "{same:?}");
            assert!(udn.keys().any(|key| same.keys().any(|other| other == key)));
        }
        assert!(!udn.share_id(&at("10.0.0.2").hardware("A8:13:74:AA:BB:CD")));
        let other = at("10.0.0.2").unique("uuid:00000000-0100-1000-8001-A81374AABBCC");
        assert!(!udn.share_id(&other), "two zones of one amplifier are two things");
    }

    #[test]
    fn what_many_share_is_no_id() {
        let none = at("10.0.0.2")
            .unique("00000000-0000-0000-0000-000000000000")
            .unique("uuid:11111111-1111-1111-1111-111111111111")
            .unique("uuid:")
            .unique("uuid:é")
            .unique(&"a".repeat(100_000))
            .hardware("02:00:00:00:00:00")
            .hardware("ff:ff:ff:ff:ff:ff")
            .hardware("01:00:5e:00:00:fb");
        assert_eq!(none, at("10.0.0.2"));
        assert!(!none.share_id(&none.clone()));
        let mut many = at("10.0.0.2");
        for n in 0..1000 {
            many = many.hardware(&format!("a4{n:010x}"));
        }
        assert_eq!(many.keys().count(), MOST + 1);
    }

    #[test]
    fn what_was_told_can_be_shown() {
        let told = Told::new(Origin::UserAgent, What::Agent, &format!(" a\u{202e}\u{1b}{}", "x".repeat(5000)));
        assert!(told.text.starts_with("a\u{fffd}\u{fffd}x") && told.text.chars().count() == MAX_TOLD + 1);
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<Told>(&json).unwrap(), told);
    }
}
