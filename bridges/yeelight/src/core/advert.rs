//! The datagrams of discovery (specification, section 3): SSDP in form, on a port of its own.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use accord_model::text::for_screen;

use super::state::{Abilities, State};

/// The group.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// Its port: not SSDP's.
pub const PORT: u16 = 1982;
/// Largest datagram that is read.
pub const MAX_DATAGRAM: usize = 4096;
/// Most lines of one, longest name and longest model.
const MAX_LINES: usize = 64;
const MAX_NAME: usize = 64;
const MAX_MODEL: usize = 32;
/// What lamps may claim about how long they stay.
const STAYS: std::ops::RangeInclusive<u64> = 30..=3600;

/// What a lamp calls itself for good.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LampId(u64);

impl LampId {
    /// Reads one as lamps write it: `0x000000000015243f`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().strip_prefix("0x")?;
        let fits = (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = fits.then(|| u64::from_str_radix(digits, 16).ok()).flatten()?;
        (number != 0).then_some(Self(number))
    }
}

impl fmt::Display for LampId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

impl fmt::Debug for LampId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LampId(…{:04x})", self.0 & 0xffff)
    }
}

/// What a lamp says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Who.
    pub id: LampId,
    /// Where it takes connections.
    pub at: SocketAddrV4,
    /// What its maker calls it: `color`, `ceiling4`.
    pub model: String,
    /// The version of its firmware.
    pub firmware: Option<String>,
    /// What the owner called it.
    pub name: Option<String>,
    /// What it can do.
    pub abilities: Abilities,
    /// How it is lit.
    pub state: State,
    /// How long that holds.
    pub stays: Duration,
}

impl Advert {
    /// Whether it is the same, however it is lit and however long that holds.
    pub fn is_as(&self, other: &Self) -> bool {
        let unlit = |advert: &Self| Self { state: State::default(), stays: Duration::ZERO, ..advert.clone() };
        unlit(self) == unlit(other)
    }

    /// For a screen: its name, or what it is with the end of its id, so that two of one model differ.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("Yeelight {} {:04x}", self.model, self.id.0 & 0xffff))
    }
}

/// A search. It names no program and no person.
pub fn search() -> Vec<u8> {
    format!("M-SEARCH * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nMAN: \"ssdp:discover\"\r\nST: wifi_bulb\r\n\r\n")
        .into_bytes()
}

/// Reads a datagram that came from `from`. `None` for what no lamp says: searches, noise, and lamps that would be at another
/// address than the one that speaks.
pub fn parse(bytes: &[u8], from: Ipv4Addr) -> Option<Advert> {
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
    let answers = first.starts_with("HTTP/1.") && first.split_whitespace().nth(1) == Some("200");
    let announces =
        || first.starts_with("NOTIFY ") && header("NTS").is_some_and(|nts| nts.eq_ignore_ascii_case("ssdp:alive"));
    if !answers && !announces() {
        return None;
    }
    let at = place(header("Location")?).filter(|at| *at.ip() == from)?;
    let model = header("model").filter(|model| !model.is_empty())?;
    let model = model
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .take(MAX_MODEL)
        .collect::<String>();
    let mut state = State::default();
    for (name, value) in &headers {
        state.take(name, value);
    }
    let shown = |text: &str, limit| Some(for_screen(text, limit)).filter(|text| !text.is_empty());
    Some(Advert {
        id: LampId::parse(header("id")?)?,
        at,
        abilities: Abilities::of(&model, header("support").unwrap_or_default(), &state),
        model,
        firmware: header("fw_ver").and_then(|version| shown(version, 16)),
        name: header("name").and_then(|name| shown(name, MAX_NAME)),
        state,
        stays: stays(header("Cache-Control")),
    })
}

/// `yeelight://192.168.1.239:55443`.
fn place(location: &str) -> Option<SocketAddrV4> {
    let scheme = location.get(..11).filter(|scheme| scheme.eq_ignore_ascii_case("yeelight://"))?;
    let rest = location.get(scheme.len()..)?;
    rest.trim_end_matches('/').parse().ok().filter(|at: &SocketAddrV4| at.port() != 0)
}

fn stays(cache_control: Option<&str>) -> Duration {
    let said = cache_control.and_then(|text| {
        let parts = text.split(',').filter_map(|part| part.split_once('='));
        let (_, seconds) = parts.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
        seconds.trim().parse::<u64>().ok()
    });
    Duration::from_secs(said.unwrap_or(*STAYS.end()).clamp(*STAYS.start(), *STAYS.end()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::core::state::Prop;

    const FROM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    /// Everything that a colour lamp can do.
    pub(crate) const COLOR: &str = "get_prop set_default set_power toggle set_bright start_cf stop_cf set_scene cron_add \
                                    cron_get cron_del set_ct_abx set_rgb set_hsv set_adjust set_music set_name";

    pub(crate) fn answer(id: u64, host: u8, more: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nDate: \r\nExt: \r\nLocation: yeelight://10.0.0.{host}:55443\r\n\
             Server: POSIX UPnP/1.0 YGLC/1\r\nid: {id:#018x}\r\nmodel: color\r\nfw_ver: 18\r\nsupport: {COLOR}\r\npower: on\r\n\
             bright: 100\r\ncolor_mode: 2\r\nct: 4000\r\nrgb: 16711680\r\nhue: 100\r\nsat: 35\r\n{more}\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn a_lamp_that_answers_is_understood() {
        let advert = parse(&answer(0x15_243f, 2, "name: my_bulb\r\n"), FROM).unwrap();
        assert_eq!(advert.id.to_string(), "0x000000000015243f");
        assert_eq!((advert.title().as_str(), advert.model.as_str()), ("my_bulb", "color"));
        assert_eq!(advert.at, "10.0.0.2:55443".parse().unwrap());
        assert_eq!((advert.firmware.as_deref(), advert.stays.as_secs()), (Some("18"), 3600));
        assert_eq!(advert.state.get(Prop::Ct), Some(4000));
        assert!(advert.abilities.main.color);
        let told = String::from_utf8(answer(0x15_243f, 2, "name: my_bulb\r\n")).unwrap();
        let told = told.replace("HTTP/1.1 200 OK", "NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive");
        assert_eq!(parse(told.as_bytes(), FROM), Some(advert), "announced in the same words");
        assert_eq!(parse(told.replace("ssdp:alive", "ssdp:byebye").as_bytes(), FROM), None);
        assert_eq!(parse(&answer(0x15_243f, 2, "name: \r\n"), FROM).unwrap().title(), "Yeelight color 243f");
        assert_eq!(parse(&search(), FROM), None, "a search is no lamp");
    }

    #[test]
    fn nobody_speaks_for_another_host_and_what_makes_no_sense_is_dropped() {
        let text = String::from_utf8(answer(7, 2, "name: a\u{1b}b\r\n")).unwrap();
        assert_eq!(parse(text.as_bytes(), FROM).unwrap().title(), "a\u{FFFD}b");
        for (good, bad) in [
            ("10.0.0.2:55443", "10.0.0.3:55443"),
            ("10.0.0.2:55443", "10.0.0.2:0"),
            ("10.0.0.2:55443", "10.0.0.2"),
            ("yeelight://10", "http://10"),
            ("yeelight://10.0.0.2:55443", "y\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}://x"),
            ("id: 0x0000000000000007", "id: 7"),
            ("id: 0x0000000000000007", "id: 0x00000000000000000000007"),
            ("id: 0x0000000000000007", "id: 0x0"),
            ("model: color", "model: "),
            ("200 OK", "404 Not Found"),
        ] {
            assert_eq!(parse(text.replace(good, bad).as_bytes(), FROM), None, "{bad}");
        }
        assert_eq!(parse(&[b'x'; MAX_DATAGRAM + 1], FROM), None);
        let advert = parse(text.replace("bright: 100", "bright: 900").replace("3600", "5").as_bytes(), FROM).unwrap();
        assert_eq!((advert.state.get(Prop::Bright), advert.stays.as_secs()), (None, 30));
    }
}
