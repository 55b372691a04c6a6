//! What a receiver announces in TXT (no public description; as seen by several projects). Of `_leboremote._tcp`: `hmd` the
//! receiving program, `packagename`, `w` and `h` the picture, `dlna_udn_uuid` the UDN of its DLNA face. Of `_airkan._tcp`:
//! `scrnw`, `scrnh`. The numbers by which its maker knows the device (`u`, `devicemac`, `mac`) are not read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use accord_model::text::for_screen;
use accord_model::{Claims, Device, DeviceId, DeviceKind, Origin, Reach, Told, What};
use sha2::{Digest, Sha256};

/// The types that are asked for.
pub const TYPES: [&str; 2] = ["_leboremote._tcp", "_airkan._tcp"];
/// Most receivers that are kept in mind, and of one host.
const MOST: usize = 128;
const MOST_OF_HOST: usize = 8;
const MAX_NAME: usize = 64;
/// Longest value that is looked at.
const MAX_VALUE: usize = 160;

/// One announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced<'a> {
    /// `_leboremote._tcp` or `_airkan._tcp`.
    pub service: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
    /// What it says, by key in small letters.
    pub txt: &'a [(String, Vec<u8>)],
}

impl Announced<'_> {
    fn origin(&self) -> Option<Origin> {
        match self.service {
            "_leboremote._tcp" => Some(Origin::LeboTxt),
            "_airkan._tcp" => Some(Origin::AirkanTxt),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        let value = self.txt.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_slice())?;
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= MAX_VALUE)?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.text(key)?.parse().ok()
    }

    fn device(&self) -> Option<Device> {
        let origin = self.origin()?;
        let mut hash = Sha256::new();
        for part in ["accord lebo device", self.service, self.name] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let id = DeviceId::new(format!("lebo-{digits}")).ok()?;
        let mut device = Device::new(id, DeviceKind::Tv, for_screen(self.name, MAX_NAME));
        device.claims = Claims::part(self.addresses.iter().copied());
        if let Some(udn) = self.text("dlna_udn_uuid") {
            device.claims = device.claims.unique(udn);
        }
        let (width, height) = if origin == Origin::LeboTxt { ("w", "h") } else { ("scrnw", "scrnh") };
        let points = self.number(width).zip(self.number(height)).map(|(width, height)| format!("{width}x{height}"));
        let said = [
            (What::Package, self.text("packagename").map(str::to_owned)),
            (What::Product, self.text("hmd").map(str::to_owned)),
            (What::Points, points),
        ];
        device.told = said.into_iter().filter_map(|(what, text)| Some(Told::new(origin, what, &text?))).collect();
        (device.passing, device.reach) = (true, Reach::Local);
        Some(device)
    }
}

/// The receivers that are here.
#[derive(Debug, Default)]
pub struct Receivers {
    known: BTreeMap<(String, String), Device>,
}

impl Receivers {
    /// One is here, or changed: as it is told of. `None`: nothing new, or one too many.
    pub fn found(&mut self, announced: &Announced<'_>) -> Option<Device> {
        let device = announced.device()?;
        let key = (announced.service.to_owned(), announced.name.to_owned());
        if self.known.get(&key) == Some(&device) {
            return None;
        }
        if !self.known.contains_key(&key) {
            let of_host = self.known.values().filter(|known| known.claims.share_address(&device.claims)).count();
            if self.known.len() >= MOST || of_host >= MOST_OF_HOST {
                return None;
            }
        }
        self.known.insert(key, device.clone());
        Some(device)
    }

    /// One is gone.
    pub fn lost(&mut self, service: &str, name: &str) -> Option<DeviceId> {
        self.known.remove(&(service.to_owned(), name.to_owned())).map(|device| device.id)
    }

    /// All are gone, as far as is known.
    pub fn all_lost(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.known).into_values().map(|device| device.id).collect()
    }
}

/// Entry for fuzzing: any bytes as what a receiver says.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut receivers = Receivers::default();
    for (index, part) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let txt: Vec<(String, Vec<u8>)> = part
            .split(|byte| *byte == 0)
            .filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                Some((String::from_utf8_lossy(&pair[..at]).into_owned(), pair[at + 1..].to_vec()))
            })
            .collect();
        let name = String::from_utf8_lossy(&part[..part.len().min(300)]).into_owned();
        let addresses = vec![IpAddr::from([10, 0, 0, index as u8])];
        let announced = Announced { service: TYPES[index % 2], name: &name, addresses, txt: &txt };
        if let Some(device) = receivers.found(&announced) {
            assert!(device.told.len() <= 3 && device.name.chars().count() <= MAX_NAME + 1);
        }
    }
    assert!(receivers.known.len() <= MOST);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn txt(pairs: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn at(last: u8) -> Vec<IpAddr> {
        vec![IpAddr::from([10, 0, 0, last])]
    }

    #[test]
    fn a_receiver_says_what_its_television_is_and_its_numbers_are_not_kept() {
        let said = txt(&[
            ("hmd", "HappyCast3.2"),
            ("packagename", "com.xiaomi.mitv.smartshare"),
            ("u", "1234567890123456"),
            ("devicemac", "A8:13:74:AA:BB:CC"),
            ("w", "1920"),
            ("h", "1080"),
            ("dlna_udn_uuid", "4d454930-0100-1000-8001-a81374ffee01"),
        ]);
        let announced = Announced { service: TYPES[0], name: "Wohnzimmer", addresses: at(2), txt: &said };
        let device = Receivers::default().found(&announced).unwrap();
        let told: Vec<(What, &str)> = device.told.iter().map(|told| (told.what, told.text.as_str())).collect();
        let wanted = [
            (What::Package, "com.xiaomi.mitv.smartshare"),
            (What::Product, "HappyCast3.2"),
            (What::Points, "1920x1080"),
        ];
        assert_eq!(told, wanted);
        let tv = Claims::broadcast(at(2)).unique("uuid:4D454930-0100-1000-8001-A81374FFEE01");
        assert!(device.claims.share_id(&tv) && device.passing && device.services.is_empty());
        let json = serde(&device);
        assert!(!json.contains("1234567890123456") && !json.to_lowercase().contains("a81374aabbcc"), "{json}");
    }

    fn serde(device: &Device) -> String {
        format!("{device:?}{:?}{:?}", device.told, device.claims.keys().collect::<Vec<_>>())
    }

    #[test]
    fn a_milink_receiver_says_how_large_its_picture_is() {
        let said = txt(&[("mac", "a81374aabbcc"), ("scrnw", "3840"), ("scrnh", "2160"), ("w", "1")]);
        let announced = Announced { service: TYPES[1], name: "MiTV", addresses: at(2), txt: &said };
        let device = Receivers::default().found(&announced).unwrap();
        assert_eq!(device.told, [Told::new(Origin::AirkanTxt, What::Points, "3840x2160")]);
        assert!(!serde(&device).contains("a81374aabbcc"));
    }

    #[test]
    fn what_is_told_again_is_nothing_new_and_floods_are_held_in() {
        let mut receivers = Receivers::default();
        let said = txt(&[("w", "-1"), ("h", "x"), ("hmd", &"x".repeat(200))]);
        let announced = |name, last| Announced { service: TYPES[0], name, addresses: at(last), txt: &said };
        let device = receivers.found(&announced("one", 2)).unwrap();
        assert_eq!(device.told, [], "what is no number and what is too long is left out");
        assert_eq!(receivers.found(&announced("one", 2)), None);
        assert!(receivers.found(&announced("one", 3)).is_some(), "it is elsewhere");
        let names: Vec<String> = (0..1000).map(|n| format!("receiver {n}")).collect();
        let one_host = names.iter().filter(|name| receivers.found(&announced(name, 4)).is_some()).count();
        assert_eq!(one_host, MOST_OF_HOST);
        let many = names.iter().enumerate().filter(|(n, name)| receivers.found(&announced(name, *n as u8)).is_some());
        assert!(many.count() < MOST);
        assert_eq!(receivers.lost(TYPES[0], "one"), Some(device.id));
        assert_eq!(receivers.lost(TYPES[0], "one"), None);
        assert!(!receivers.all_lost().is_empty() && receivers.all_lost().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            fuzz(&bytes);
        }
    }
}
