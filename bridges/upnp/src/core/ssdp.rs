//! The datagrams of discovery (SSDP; UPnP Device Architecture 1.1, chapter 1).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::place::Place;

/// The group.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// Its port.
pub const PORT: u16 = 1900;
/// Largest datagram that is read.
pub const MAX_DATAGRAM: usize = 4096;
/// Most lines of one.
const MAX_LINES: usize = 64;
/// Longest name of a device.
const MAX_UDN: usize = 128;
/// What devices may claim about how long they stay. Shorter ones would have us search all the time.
const STAYS: std::ops::RangeInclusive<u64> = 30..=86_400;
/// What 1.1.2 recommends, for those that do not say.
const STAYS_UNSAID: u64 = 1800;

/// Which devices are looked for: any version answers the first (1.3.2).
pub const RENDERER: &str = "urn:schemas-upnp-org:device:MediaRenderer:1";
/// The same.
pub const SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";
const OF_ANY_VERSION: [&str; 2] =
    ["urn:schemas-upnp-org:device:MediaRenderer:", "urn:schemas-upnp-org:device:MediaServer:"];

/// The name of a device (`uuid:` and what the maker chose), the same wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Udn(String);

impl Udn {
    /// Reads one, alone or at the beginning of a USN.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().split("::").next().unwrap_or_default();
        let rest = text.get(..5).filter(|start| start.eq_ignore_ascii_case("uuid:")).and_then(|_| text.get(5..))?;
        let fits = !rest.is_empty() && rest.len() <= MAX_UDN && rest.bytes().all(|byte| byte.is_ascii_graphic());
        // Devices differ with themselves about the case of letters.
        fits.then(|| Self(format!("uuid:{}", rest.to_ascii_lowercase())))
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a renderer or media server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// It is here, or it answers a search.
    Here {
        /// Who.
        udn: Udn,
        /// Where its description is.
        location: Place,
        /// How long that holds.
        stays: Duration,
    },
    /// It leaves.
    Leaves {
        /// Who.
        udn: Udn,
    },
}

/// A search for [`RENDERER`] or [`SERVER`], to be answered within `seconds` (1.3.2). It names no program and no person.
pub fn search(wanted: &str, seconds: u8) -> Vec<u8> {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: \"ssdp:discover\"\r\nMX: {}\r\nST: {wanted}\r\n\r\n",
        seconds.clamp(1, 5)
    )
    .into_bytes()
}

/// Reads a datagram that came from `from`. `None` for what is no word of either: other devices, searches, noise, and
/// descriptions that would lie on another host than the one that speaks.
pub fn parse(bytes: &[u8], from: Ipv4Addr) -> Option<Message> {
    if bytes.len() > MAX_DATAGRAM {
        return None;
    }
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n').map(str::trim_end).take(MAX_LINES);
    let first = lines.next()?.to_ascii_uppercase();
    let headers: Vec<(&str, &str)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
    let udn = || Udn::parse(header("USN")?);
    let here = || {
        let location = Place::parse(header("LOCATION")?).ok().filter(|place| *place.at.ip() == from)?;
        Some(Message::Here { udn: udn()?, location, stays: stays(header("CACHE-CONTROL")) })
    };
    let is_wanted =
        |what: Option<&str>| what.is_some_and(|what| OF_ANY_VERSION.iter().any(|one| what.starts_with(one)));
    if first.starts_with("HTTP/1.") && first.split_whitespace().nth(1) == Some("200") {
        return is_wanted(header("ST")).then(here)?;
    }
    if !first.starts_with("NOTIFY ") {
        return None;
    }
    match header("NTS")?.to_ascii_lowercase().as_str() {
        "ssdp:alive" if is_wanted(header("NT")) => here(),
        // Whatever part of it leaves, it is looked at anew when it comes back.
        "ssdp:byebye" if is_wanted(header("NT")) || header("NT").is_some_and(|what| what.starts_with("upnp:root")) => {
            Some(Message::Leaves { udn: udn()? })
        }
        _ => None,
    }
}

fn stays(cache_control: Option<&str>) -> Duration {
    let said = cache_control.and_then(|text| {
        let (_, seconds) = text
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
        seconds.trim().parse::<u64>().ok()
    });
    Duration::from_secs(said.unwrap_or(STAYS_UNSAID).clamp(*STAYS.start(), *STAYS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn alive(lines: &str) -> Option<Message> {
        parse(format!("NOTIFY * HTTP/1.1\r\nHOST: x\r\n{lines}\r\n\r\n").as_bytes(), FROM)
    }

    #[test]
    fn renderers_and_servers_of_any_version_are_heard_and_nobody_else() {
        let said = |nt: &str| {
            alive(&format!(
                "nt: {nt}\r\nNTS:ssdp:alive\r\nUSN: uuid:AB::{nt}\r\nLocation:  http://10.0.0.2:49494/d.xml\r\nCache-Control: no-cache, max-age = 100"
            ))
        };
        let expected = Message::Here {
            udn: Udn("uuid:ab".into()),
            location: Place::parse("http://10.0.0.2:49494/d.xml").unwrap(),
            stays: Duration::from_secs(100),
        };
        for version in 1..=3 {
            for kind in OF_ANY_VERSION {
                assert_eq!(said(&format!("{kind}{version}")), Some(expected.clone()));
            }
        }
        for other in ["upnp:rootdevice", "uuid:AB", "urn:schemas-upnp-org:device:Printer:1"] {
            assert_eq!(said(other), None, "{other}");
        }
        let answer = format!(
            "HTTP/1.1 200 OK\nST: {RENDERER}\nUSN: uuid:ab::{RENDERER}\nLOCATION: http://10.0.0.2:49494/d.xml\nCACHE-CONTROL: max-age=100\n\n"
        );
        assert_eq!(parse(answer.as_bytes(), FROM), Some(expected), "line feeds alone are enough");
        assert_eq!(parse(&search(RENDERER, 2), FROM), None, "a search is no answer");
    }

    #[test]
    fn nobody_speaks_for_another_host_and_numbers_are_held_in() {
        let at = |location: &str, more: &str| {
            alive(&format!(
                "NT: {RENDERER}\r\nNTS: ssdp:alive\r\nUSN: uuid:ab::{RENDERER}\r\nLOCATION: {location}\r\n{more}"
            ))
        };
        for bad in ["http://10.0.0.3/x", "https://10.0.0.2/x", "http://router.local/x", "file:///etc/passwd", ""] {
            assert_eq!(at(bad, ""), None, "{bad}");
        }
        for (said, held) in [("0", 30), ("-5", 1800), ("99999999999999999999", 1800), ("604800", 86_400), ("60", 60)] {
            let Some(Message::Here { stays, .. }) = at("http://10.0.0.2/x", &format!("CACHE-CONTROL: max-age={said}"))
            else {
                panic!("{said}")
            };
            assert_eq!(stays.as_secs(), held, "{said}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let long = format!("uuid:{}", "a".repeat(MAX_UDN + 1));
        for bad in ["", "uuid:", "ab", "uuid:a b", "uuid:\u{1b}", "uuid:\u{e9}", "uui\u{e9}:x", long.as_str()] {
            assert_eq!(Udn::parse(bad), None, "{bad}");
        }
        assert_eq!(Udn::parse(" UUID:Ab::urn:x").unwrap().as_str(), "uuid:ab");
    }

    #[test]
    fn a_goodbye_is_understood() {
        let bye = |nt: &str| alive(&format!("NT: {nt}\r\nNTS: ssdp:byebye\r\nUSN: uuid:ab::{nt}"));
        assert_eq!(bye(RENDERER), Some(Message::Leaves { udn: Udn("uuid:ab".into()) }));
        assert_eq!(bye("upnp:rootdevice"), Some(Message::Leaves { udn: Udn("uuid:ab".into()) }));
        assert_eq!(bye("urn:schemas-upnp-org:service:AVTransport:1"), None);
    }
}
