//! What a Home Assistant says of itself by DNS-SD, as `_home-assistant._tcp`, and addresses as its owner gives them. Of its
//! attributes only these are read: `uuid`, `location_name`, `version`, and of `internal_url` and `base_url` whether it is
//! reached by https. Where it is, the announcement's own addresses say, never a URL in it.

use std::net::{IpAddr, SocketAddr};

use accord_model::text::for_screen;

/// The type of the service.
pub const SERVICE: &str = "_home-assistant._tcp";
/// The port that it has unless its owner gave it another.
pub const PORT: u16 = 8123;
const MAX_NAME: usize = 64;

/// What it says of itself. A claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Its id, 32 hexadecimal digits. It is the same at every start and on every network.
    pub uuid: String,
    /// Safe to show.
    pub name: String,
    /// Safe to show.
    pub version: Option<String>,
    /// It is reached by https.
    pub tls: bool,
}

impl Advert {
    /// From the instance's name and its attributes; `None` without an id.
    pub fn parse<'a>(instance: &str, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let (mut uuid, mut name, mut version, mut internal, mut base) = (None, None, None, None, None);
        for (key, value) in pairs {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            let place = match key {
                "uuid" => &mut uuid,
                "location_name" => &mut name,
                "version" => &mut version,
                "internal_url" => &mut internal,
                "base_url" => &mut base,
                _ => continue,
            };
            // The first of several counts (RFC 6763, 6.4).
            place.get_or_insert(value);
        }
        let uuid: String = uuid?.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        if uuid.len() != 32 || !uuid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let shown = |text: &str| Some(for_screen(text.trim(), MAX_NAME)).filter(|text| !text.is_empty());
        let url = internal.filter(|url| !url.is_empty()).or(base).unwrap_or_default();
        Some(Self {
            uuid,
            name: name.and_then(shown).or_else(|| shown(instance)).unwrap_or_else(|| "Home Assistant".to_owned()),
            version: version.and_then(shown),
            tls: url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")),
        })
    }
}

/// Where a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// There.
    pub address: SocketAddr,
    /// By https.
    pub tls: bool,
}

impl Place {
    /// `192.168.1.5`, `192.168.1.5:8123`, `[fd00::5]`, with `http://` or `https://` before it and a path after it, as it
    /// stands in a browser's line.
    ///
    /// # Errors
    /// In words: what an address looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wants = || {
            "give it as http://192.168.1.5:8123, with the number that Home Assistant's machine has in your network; a name \
             is not looked up"
                .to_owned()
        };
        let text = text.trim();
        if text.len() > 200 {
            return Err(wants());
        }
        let lower = text.to_ascii_lowercase();
        let (tls, rest) = match (lower.strip_prefix("https://"), lower.strip_prefix("http://")) {
            (Some(rest), _) => (Some(true), rest),
            (_, Some(rest)) => (Some(false), rest),
            _ => (None, lower.as_str()),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let bare = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(rest);
        let address =
            rest.parse::<SocketAddr>().or_else(|_| bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT)));
        let address = address.map_err(|_| wants())?;
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(wants());
        }
        // 443 speaks https alone.
        Ok(Self { address, tls: tls.unwrap_or(address.port() == 443) })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

/// Entry for fuzzing: attributes, one to a line; each also as an address.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n');
    let pairs: Vec<(String, &[u8])> = lines
        .map(|line| {
            let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
            (String::from_utf8_lossy(&line[..at]).into_owned(), line.get(at + 1..).unwrap_or_default())
        })
        .collect();
    if let Some(advert) = Advert::parse("x", pairs.iter().map(|(key, value)| (key.as_str(), *value))) {
        assert!(advert.uuid.len() == 32 && advert.name.chars().count() <= MAX_NAME + 1);
    }
    for (key, _) in &pairs {
        if let Ok(place) = Place::parse(key) {
            assert_eq!(Place::parse(&place.to_string()), Ok(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_id() {
        let read =
            |pairs: &[(&str, &str)]| Advert::parse("Home", pairs.iter().map(|(key, value)| (*key, value.as_bytes())));
        let uuid = ("uuid", "2F5C1A8E9b3d4c6f8a7b1c2d3e4f5a6b");
        let found = read(&[
            uuid,
            ("location_name", "Haus\u{1b}"),
            ("internal_url", "https://evil.example:1"),
            ("version", "2024.3.3"),
        ])
        .unwrap();
        assert_eq!((found.name.as_str(), found.tls), ("Haus\u{fffd}", true));
        assert!(!read(&[uuid, ("internal_url", ""), ("base_url", "http://10.0.0.1:8123")]).unwrap().tls);
        assert_eq!(read(&[("uuid", "../../etc/passwd")]), None);
        assert_eq!(read(&[("location_name", "x")]), None);
    }

    #[test]
    fn an_address_is_read_as_a_browser_shows_it() {
        let read = |text: &str| Place::parse(text).map(|place| place.to_string());
        for (text, wanted) in [
            ("192.168.1.5", "http://192.168.1.5:8123"),
            (" HTTP://192.168.1.5:8124/lovelace/0?x ", "http://192.168.1.5:8124"),
            ("https://192.168.1.5", "https://192.168.1.5:8123"),
            ("10.0.0.1:443", "https://10.0.0.1:443"),
            ("[fd00::5]", "http://[fd00::5]:8123"),
            ("http://[fd00::5]:99", "http://[fd00::5]:99"),
            ("fd00::5", "http://[fd00::5]:8123"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
        }
        for bad in
            ["", "homeassistant.local", "http://", "0.0.0.0", "1.2.3.4:0", "file:///etc", "224.0.0.1", &"1".repeat(999)]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
