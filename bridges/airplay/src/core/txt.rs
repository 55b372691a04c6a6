//! What receivers say of themselves in DNS-SD (`_raop._tcp`, `_airplay._tcp`), and what follows for us.

use std::fmt;

use accord_model::DeviceKind;

/// The type of receivers of sound.
pub const RAOP: &str = "_raop._tcp";
/// The type of everything that speaks AirPlay.
pub const AIRPLAY: &str = "_airplay._tcp";

/// Longest value that is taken.
const MAX_TEXT: usize = 128;

/// The hardware address by which a device calls itself under both types, as 12 hexadecimal digits. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareId(String);

impl HardwareId {
    /// Reads `0A1B2C3D4E5F` or `0A:1B:2C:3D:4E:5F`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_uppercase()).collect();
        let fits = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then_some(Self(digits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands in the way of playing sound on a device in the open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It says nothing of sound by RAOP.
    NoRaop,
    /// It takes only sound that is encrypted for hardware or keys of the maker.
    Secured,
    /// Its owner set a password.
    Password,
    /// Not ALAC, not two channels of 16 bits at 44.1 kHz, or not by datagrams.
    Format,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRaop => "it announces AirPlay and no sound by RAOP; AirPlay video and AirPlay 2 are not open to others",
            Self::Secured => {
                "it takes sound only encrypted, for keys or hardware of the maker (AirPlay 2, FairPlay); that is not open to others"
            }
            Self::Password => "it wants a password, which Accord does not know to give; switch it off on the device",
            Self::Format => "it takes no lossless sound of 16 bits at 44.1 kHz by datagrams",
        })
    }
}

/// The `_raop._tcp` side of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raop {
    /// Which device.
    pub id: HardwareId,
    /// Its name, as it says.
    pub name: String,
    /// Its model, as it says.
    pub model: Option<String>,
    /// What stands in the way.
    pub obstacle: Option<Obstacle>,
    /// It shows titles.
    pub shows_title: bool,
}

impl Raop {
    /// From an instance's name, `HEX@Name`, and its attributes.
    pub fn read<'a>(name: &str, attribute: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let (id, name) = name.split_once('@')?;
        let id = HardwareId::parse(id)?;
        let text = |key: &str| text(attribute(key)?);
        let is_listed = |key: &str, wanted: &str| {
            text(key).is_none_or(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted)))
        };
        let is_said = |key: &str, wanted: &str| text(key).is_none_or(|said| said == wanted);
        let fits = is_listed("cn", "1") && is_listed("tp", "UDP") && is_said("ch", "2") && is_said("ss", "16");
        let obstacle = if text("pw").is_some_and(|said| is_yes(&said)) {
            Some(Obstacle::Password)
        } else if !is_listed("et", "0") {
            Some(Obstacle::Secured)
        } else if !(fits && is_said("sr", "44100")) {
            Some(Obstacle::Format)
        } else {
            None
        };
        let shows_title = text("md").is_some_and(|list| list.split(',').any(|one| one.trim() == "0"));
        Some(Self { id, name: name.to_owned(), model: text("am"), obstacle, shows_title })
    }
}

/// The `_airplay._tcp` side of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Airplay {
    /// Which device.
    pub id: HardwareId,
    /// Its name, as it says.
    pub name: String,
    /// Who made it, as it says.
    pub maker: Option<String>,
    /// Its model, as it says.
    pub model: Option<String>,
    /// What it says that it can do.
    pub features: Features,
    /// It asks for a password.
    pub password: bool,
}

impl Airplay {
    /// From an instance's name and its attributes.
    pub fn read<'a>(name: &str, attribute: impl Fn(&str) -> Option<&'a [u8]>) -> Option<Self> {
        let text = |key: &str| text(attribute(key)?);
        Some(Self {
            id: HardwareId::parse(&text("deviceid")?)?,
            name: name.to_owned(),
            maker: text("manufacturer"),
            model: text("model"),
            features: text("features").or_else(|| text("ft")).map(|said| Features::parse(&said)).unwrap_or_default(),
            password: text("pw").is_some_and(|said| is_yes(&said)),
        })
    }
}

/// Bits of what a device can do: two halves of 32, the lower one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(pub u64);

impl Features {
    /// Reads `0xLOW,0xHIGH` or one number; nothing at all when it is neither.
    pub fn parse(text: &str) -> Self {
        let number = |text: &str| {
            let digits = text.trim();
            let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        };
        let bits = match text.split_once(',') {
            None => number(text),
            Some((low, high)) => number(low).zip(number(high)).map(|(low, high)| low & 0xffff_ffff | high << 32),
        };
        Self(bits.unwrap_or_default())
    }

    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Shows films, in either version.
    pub fn video(self) -> bool {
        self.has(0) || self.has(49)
    }
    /// Shows pictures.
    pub fn photo(self) -> bool {
        self.has(1)
    }
    /// Shows a screen.
    pub fn screen(self) -> bool {
        self.has(7)
    }
    /// Plays sound.
    pub fn audio(self) -> bool {
        self.has(9)
    }
    /// Speaks AirPlay 2: sound in a buffer, a common clock, pairing as for homes.
    pub fn second(self) -> bool {
        [38, 40, 41, 46, 48, 51].into_iter().any(|bit| self.has(bit))
    }
}

/// What sort of thing it is, by what it shows and its model.
pub fn kind(features: Features, model: Option<&str>) -> DeviceKind {
    let begins = |starts: &[&str]| model.is_some_and(|model| starts.iter().any(|start| model.starts_with(start)));
    if begins(&["AudioAccessory", "AirPort"]) {
        DeviceKind::Speaker
    } else if begins(&["AppleTV"]) || features.video() || features.photo() || features.screen() {
        if begins(&["Mac", "iMac"]) { DeviceKind::Computer } else { DeviceKind::Tv }
    } else {
        DeviceKind::Speaker
    }
}

fn text(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim();
    (!text.is_empty() && text.len() <= MAX_TEXT && !text.contains(char::is_control)).then(|| text.to_owned())
}

fn is_yes(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text == "1"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raop(name: &str, txt: &[(&str, &str)]) -> Option<Raop> {
        Raop::read(name, |key| txt.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_bytes()))
    }

    #[test]
    fn receivers_are_told_apart_by_what_is_in_the_way() {
        // As shairport-sync 3.3.8 says it.
        let open = [
            ("cn", "0,1"),
            ("et", "0,1"),
            ("md", "0,1,2"),
            ("ss", "16"),
            ("sr", "44100"),
            ("ch", "2"),
            ("tp", "UDP"),
            ("pw", "false"),
            ("am", "ShairportSync"),
        ];
        let read = raop("0A1B2C3D4E5F@Kitchen @ home", &open).unwrap();
        assert_eq!((read.id.as_str(), read.name.as_str(), read.obstacle), ("0A1B2C3D4E5F", "Kitchen @ home", None));
        assert!(read.shows_title && read.model.as_deref() == Some("ShairportSync"));
        let but = |key: &str, value: &'static str| {
            let changed: Vec<_> =
                open.iter().map(|(known, was)| (*known, if *known == key { value } else { was })).collect();
            raop("0A1B2C3D4E5F@x", &changed).unwrap().obstacle
        };
        assert_eq!(but("et", "0,3,5"), None);
        assert_eq!(but("et", "3,4,5"), Some(Obstacle::Secured));
        assert_eq!(but("et", "10"), Some(Obstacle::Secured), "10 is not 0");
        assert_eq!(but("pw", "true"), Some(Obstacle::Password));
        assert_eq!(but("cn", "0,2,3"), Some(Obstacle::Format));
        assert_eq!(but("tp", "TCP"), Some(Obstacle::Format));
        assert_eq!(but("tp", "TCP,UDP"), None);
        assert_eq!(but("sr", "48000"), Some(Obstacle::Format));
        assert_eq!(raop("0A1B2C3D4E5F@old", &[]).unwrap().obstacle, None, "what says nothing is tried");
        for name in ["Kitchen", "0A1B2C3D4E@x", "0A1B2C3D4EZZ@x", "@x"] {
            assert_eq!(raop(name, &open), None, "{name}");
        }
    }

    #[test]
    fn features_are_two_halves() {
        assert_eq!(Features::parse("0x5A7FFFF7,0x1E").0, 0x1E_5A7F_FFF7);
        assert_eq!(Features::parse("0x445F8A00").0, 0x445F_8A00);
        for bad in ["", "x", "0xzz,0x1", "0x1,", "0x11111111111111111"] {
            assert_eq!(Features::parse(bad).0, 0, "{bad}");
        }
        let apple_tv = Features::parse("0x5A7FFFF7,0x1E");
        assert!(apple_tv.video() && apple_tv.photo() && apple_tv.screen() && apple_tv.audio());
        assert!(!apple_tv.second() && Features(1 << 48).second());
    }

    #[test]
    fn kinds_follow_from_what_is_shown() {
        let video = Features(1);
        assert_eq!(kind(video, Some("AppleTV6,2")), DeviceKind::Tv);
        assert_eq!(kind(video, Some("OLED55C3")), DeviceKind::Tv);
        assert_eq!(kind(video, Some("MacBookPro18,1")), DeviceKind::Computer);
        assert_eq!(kind(Features(1 << 9), Some("AudioAccessory5,1")), DeviceKind::Speaker);
        assert_eq!(kind(Features(0), None), DeviceKind::Speaker);
    }

    #[test]
    fn attributes_that_are_no_text_are_as_if_they_were_not_there() {
        let long = "x".repeat(MAX_TEXT + 1);
        for bad in [&b"\xff\xfe"[..], b"a\nb", b"", long.as_bytes()] {
            assert_eq!(text(bad), None);
        }
        let read = Airplay::read("TV", |key| (key == "deviceid").then_some(&b"0a:1b:2c:3d:4e:5f"[..])).unwrap();
        assert_eq!((read.id.as_str(), read.maker, read.features.0), ("0A1B2C3D4E5F", None, 0));
        assert_eq!(Airplay::read("TV", |_| None), None);
    }
}
