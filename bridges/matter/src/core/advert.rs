//! What nodes announce by DNS-SD: that they can be added (Matter Core Specification 1.4, 4.3.1), or where they are (4.3.2).

use std::time::Duration;

use matter_transport::MrpConfig;

/// Devices that wait for being added.
pub const COMMISSIONABLE: &str = "_matterc._udp";
/// Devices that somebody added.
pub const OPERATIONAL: &str = "_matter._tcp";

/// Longest name of a device that is taken up (4.3.1.9).
const LONGEST_NAME: usize = 32;

/// A device that waits for being added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// 12 bits, to tell it from others that wait.
    pub discriminator: u16,
    /// Its window is open.
    pub open: bool,
    /// Who made it, and which product it is.
    pub product: Option<(u16, Option<u16>)>,
    /// What it calls itself. From outside.
    pub name: Option<String>,
}

impl Advert {
    /// Reads its attributes; `None` for what does not say which one it is.
    pub fn parse<'a>(txt: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let (mut discriminator, mut open, mut product, mut name) = (None, true, None, None);
        for (key, value) in txt {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            match key.to_ascii_uppercase().as_str() {
                "D" => discriminator = value.parse().ok().filter(|value: &u16| *value < 4096),
                // Without it nothing is known (4.3.1.7).
                "CM" => open = value != "0",
                "VP" => {
                    let (vendor, of_vendor) =
                        value.split_once('+').map_or((value, None), |(one, two)| (one, Some(two)));
                    product = vendor.parse().ok().map(|vendor| (vendor, of_vendor.and_then(|two| two.parse().ok())));
                }
                "DN" => {
                    let said = accord_model::text::for_screen(value.trim(), LONGEST_NAME);
                    name = Some(said).filter(|said| !said.is_empty());
                }
                _ => {}
            }
        }
        Some(Self { discriminator: discriminator?, open, product, name })
    }
}

/// The name under which a node of a fabric announces itself (4.3.2.1).
pub fn node_name(fabric: [u8; 8], node: u64) -> String {
    format!("{:016X}-{node:016X}", u64::from_be_bytes(fabric))
}

/// How patient one has to be with a node, as it says itself (4.3.4): a sleepy one answers late.
pub fn patience<'a>(txt: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> MrpConfig {
    let (mut idle, mut active, mut threshold) = (None, None, None);
    for (key, value) in txt {
        let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
        let time = number.map(Duration::from_millis);
        match key.to_ascii_uppercase().as_str() {
            "SII" => idle = time,
            "SAI" => active = time,
            "SAT" => threshold = time,
            _ => {}
        }
    }
    MrpConfig::for_peer(idle, active, threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(txt: &[(&str, &str)]) -> Option<Advert> {
        Advert::parse(txt.iter().map(|(key, value)| (*key, value.as_bytes())))
    }

    #[test]
    fn what_is_announced_is_read_and_what_makes_no_sense_is_left_out() {
        let advert = parse(&[("d", "3840"), ("cm", "1"), ("vp", "65521+32768"), ("dt", "257"), ("dn", " Lab\u{1b} ")]);
        let advert = advert.unwrap();
        assert_eq!((advert.discriminator, advert.open), (3840, true));
        assert_eq!(advert.product, Some((65521, Some(32768))));
        assert!(!advert.name.unwrap().contains('\u{1b}'));
        assert!(!parse(&[("D", "1"), ("CM", "0")]).unwrap().open);
        assert_eq!(parse(&[("D", "1"), ("VP", "7")]).unwrap().product, Some((7, None)));
        for wrong in [&[("CM", "1")][..], &[("D", "4096")], &[("D", "-1")], &[("D", "")]] {
            assert_eq!(parse(wrong), None);
        }
        assert_eq!(Advert::parse([("D", &b"\xff"[..])]), None);
    }

    #[test]
    fn a_node_is_named_by_its_fabric_and_number() {
        let name = node_name([0xf5, 0x2a, 0xc1, 7, 0xc9, 0x54, 0xe3, 0x8e], 2);
        assert_eq!(name, "F52AC107C954E38E-0000000000000002");
    }

    #[test]
    fn a_sleepy_node_is_waited_for_and_no_longer_than_the_standard_allows() {
        let patience = |txt: &[(&str, &str)]| patience(txt.iter().map(|(key, value)| (*key, value.as_bytes())));
        assert_eq!(patience(&[("sii", "5000")]).initial_idle, Duration::from_secs(5));
        assert!(patience(&[("SII", "99999999999")]).initial_idle <= Duration::from_secs(3600));
        assert_eq!(patience(&[("SII", "x")]).initial_idle, patience(&[]).initial_idle);
    }
}
