//! What a Cast device says of itself by DNS-SD, as `_googlecast._tcp`. Of its attributes only these are read: `id`, `fn`
//! (what its owner calls it), `md` (model), `ca` (what it can). `rs`, which says what is on the screen just now, is a
//! neighbour's affair and is never looked at.

use accord_model::text::for_screen;

/// The type of the service.
pub const SERVICE: &str = "_googlecast._tcp";
/// Longest name and model that are kept.
const MAX_NAME: usize = 64;

/// A device's own id, in lower case without dashes. It is the same at every start and on every network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CastId(String);

impl CastId {
    /// 8 to 64 hexadecimal digits, with dashes or without.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 80 {
            return None;
        }
        let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let fits = (8..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then_some(Self(digits))
    }
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What it can, from the bits of `ca`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It shows pictures (bit 0).
    pub video: bool,
    /// It is heard (bit 2).
    pub audio: bool,
    /// It is several loudspeakers that play together (bit 5).
    pub group: bool,
}

impl Abilities {
    /// A device that says nothing of itself is taken for a television.
    pub fn parse(bits: Option<&str>) -> Self {
        match bits.and_then(|text| text.trim().parse::<u32>().ok()) {
            Some(bits) => Self { video: bits & 1 != 0, audio: bits & 4 != 0, group: bits & 32 != 0 },
            None => Self { video: true, audio: true, group: false },
        }
    }
}

/// What it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Which device it is.
    pub id: CastId,
    /// Safe to show.
    pub name: String,
    /// Safe to show; a claim.
    pub model: Option<String>,
    /// What it can.
    pub abilities: Abilities,
}

impl Advert {
    /// From the instance's name and its attributes; `None` without an id.
    pub fn parse<'a>(instance: &str, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let (mut id, mut name, mut model, mut bits) = (None, None, None, None);
        for (key, value) in pairs {
            let Ok(value) = std::str::from_utf8(value) else { continue };
            let place = match key {
                "id" => &mut id,
                "fn" => &mut name,
                "md" => &mut model,
                "ca" => &mut bits,
                _ => continue,
            };
            // The first of several counts (RFC 6763, 6.4).
            place.get_or_insert(value);
        }
        let shown = |text: &str| Some(for_screen(text.trim(), MAX_NAME)).filter(|text| !text.is_empty());
        Some(Self {
            id: CastId::parse(id?)?,
            name: name.and_then(shown).or_else(|| shown(instance)).unwrap_or_else(|| "Google Cast".to_owned()),
            model: model.and_then(shown),
            abilities: Abilities::parse(bits),
        })
    }
}

/// Entry for fuzzing: attributes, one to a line.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let pairs: Vec<(String, &[u8])> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| {
            let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
            (String::from_utf8_lossy(&line[..at]).to_ascii_lowercase(), line.get(at + 1..).unwrap_or_default())
        })
        .collect();
    if let Some(advert) = Advert::parse("x", pairs.iter().map(|(key, value)| (key.as_str(), *value))) {
        assert!((8..=64).contains(&advert.id.as_str().len()) && advert.name.chars().count() <= MAX_NAME + 1);
        assert!(!advert.name.chars().any(char::is_control));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert(pairs: &[(&str, &str)]) -> Option<Advert> {
        Advert::parse("Chromecast-1", pairs.iter().map(|(key, value)| (*key, value.as_bytes())))
    }

    #[test]
    fn televisions_loudspeakers_and_groups_are_told_apart() {
        let id = ("id", "4a8d-0c11AB00ff00aa00bb00cc00dd00ee00");
        let tv =
            advert(&[id, ("fn", "Salon TV"), ("md", "Chromecast Ultra"), ("ca", "463365"), ("rs", "a film")]).unwrap();
        assert_eq!((tv.name.as_str(), tv.model.as_deref()), ("Salon TV", Some("Chromecast Ultra")));
        assert_eq!(tv.id.as_str(), "4a8d0c11ab00ff00aa00bb00cc00dd00ee00");
        assert_eq!(tv.abilities, Abilities { video: true, audio: true, group: false });
        assert!(!format!("{tv:?}").contains("film"), "what runs there is not kept");
        let can = |bits: &str| advert(&[id, ("ca", bits)]).unwrap().abilities;
        assert_eq!(can("199172"), Abilities { video: false, audio: true, group: false });
        assert_eq!(can("199204"), Abilities { video: false, audio: true, group: true });
        assert_eq!(can("many"), Abilities::parse(None));
    }

    #[test]
    fn names_are_made_safe_and_a_device_without_an_id_is_none() {
        assert_eq!(advert(&[("fn", "TV")]), None);
        assert_eq!(advert(&[("id", "../../etc"), ("fn", "TV")]), None);
        assert_eq!(advert(&[("id", &"a".repeat(5000))]), None);
        let wild = advert(&[("id", "0011223344"), ("fn", &format!("\u{1b}[31m{}", "n".repeat(5000)))]).unwrap();
        assert!(wild.name.chars().count() <= 65 && !wild.name.contains('\u{1b}'));
        assert_eq!(advert(&[("id", "0011223344"), ("fn", " ")]).unwrap().name, "Chromecast-1");
    }
}
