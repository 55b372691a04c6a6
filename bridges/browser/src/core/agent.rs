//! What a browser says that it is. It is a claim and a hint, nothing more: every browser can say anything.

use std::net::IpAddr;

use accord_model::DeviceKind;
use accord_model::text::for_screen;

/// Longest name, in characters.
pub const MAX_NAME: usize = 64;
/// Longest model and longest text of a browser that are kept.
const MAX_MODEL: usize = 40;
const MAX_AGENT: usize = 200;

/// What is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// What to call it, until the owner does.
    pub name: String,
    /// What it seems to be.
    pub kind: DeviceKind,
    /// Who seems to have made it.
    pub maker: Option<String>,
    /// And which model it seems to be.
    pub model: Option<String>,
    /// What it said, safe to show.
    pub agent: Option<String>,
}

/// Words of televisions, and who makes them.
const TELEVISIONS: &[(&str, &str)] = &[
    ("Tizen", "Samsung"),
    ("SamsungBrowser/TV", "Samsung"),
    ("Maple", "Samsung"),
    ("Web0S", "LG"),
    ("NetCast", "LG"),
    ("BRAVIA", "Sony"),
    ("VIDAA", "Hisense"),
    ("Hisense", "Hisense"),
    ("MiTV", "Xiaomi"),
    ("MiBOX", "Xiaomi"),
    ("AFT", "Amazon"),
    ("Viera", "Panasonic"),
    ("NETTV", "Philips"),
    ("AQUOS", "Sharp"),
    ("PlayStation", "Sony"),
    ("Xbox", "Microsoft"),
];
const ANY_TELEVISION: &[&str] = &[
    "SMART-TV",
    "SmartTV",
    "Smart TV",
    "HbbTV",
    "GoogleTV",
    "Google TV",
    "Android TV",
    "AppleTV",
    "CrKey",
    "Large Screen",
];

/// What a `User-Agent` line tells, and from where it comes.
pub fn about(agent: Option<&str>, address: IpAddr) -> About {
    let said = agent.unwrap_or_default();
    let has = |word: &str| said.contains(word);
    let made = TELEVISIONS.iter().find(|(word, _)| has(word)).map(|(_, maker)| *maker);
    let (kind, what, maker) = if made.is_some() || ANY_TELEVISION.iter().any(|word| has(word)) {
        (DeviceKind::Tv, "TV", made)
    } else if has("iPad") {
        (DeviceKind::Tablet, "iPad", Some("Apple"))
    } else if has("Android") && !has("Mobile") {
        (DeviceKind::Tablet, "Android tablet", None)
    } else if has("iPhone") {
        (DeviceKind::Phone, "iPhone", Some("Apple"))
    } else if has("Android") {
        (DeviceKind::Phone, "Android phone", None)
    } else {
        (DeviceKind::Computer, "Browser", None)
    };
    let name = match (kind, maker) {
        (DeviceKind::Tv, Some(maker)) => format!("{maker} TV ({address})"),
        _ => format!("{what} ({address})"),
    };
    About {
        name: for_screen(&name, MAX_NAME),
        kind,
        maker: maker.map(str::to_owned),
        model: model(said),
        agent: agent.map(|agent| for_screen(agent, MAX_AGENT)),
    }
}

/// `HbbTV/1.2.1 (+DRM;Samsung;SmartTV2017;…)` and `LG Browser/8.00.00(LGE; 43UK6300PLB; …)` name a maker and then a model.
fn model(said: &str) -> Option<String> {
    let (_, after) = ["HbbTV/", "LG Browser/"].iter().find_map(|word| said.split_once(word))?;
    let (_, inside) = after.split_once('(')?;
    let (inside, _) = inside.split_once(')')?;
    let skip = usize::from(inside.trim_start().starts_with(['+', ';']) || inside.trim_start().is_empty());
    let named = inside.split(';').nth(1 + skip)?.trim();
    Some(for_screen(named, MAX_MODEL)).filter(|named| !named.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_what_it_says_as_far_as_that_goes() {
        let cases = [
            (
                "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.5) AppleWebKit/537.36 (KHTML, like Gecko) Version/6.5 TV Safari/537.36",
                (DeviceKind::Tv, Some("Samsung"), None),
            ),
            (
                "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/79.0 Safari/537.36 LG Browser/8.00.00(LGE; 43UK6300PLB; 05.40; 1)",
                (DeviceKind::Tv, Some("LG"), Some("43UK6300PLB")),
            ),
            ("Mozilla/5.0 HbbTV/1.4.1 (+DRM;Vestel;MB211;1.0;;) Chrome/79.0", (DeviceKind::Tv, None, Some("MB211"))),
            ("Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X)", (DeviceKind::Tablet, Some("Apple"), None)),
            ("Mozilla/5.0 (Linux; Android 9; SM-T510) Chrome/100 Safari/537.36", (DeviceKind::Tablet, None, None)),
            ("Mozilla/5.0 (Linux; Android 13) Chrome/100 Mobile Safari/537.36", (DeviceKind::Phone, None, None)),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/120", (DeviceKind::Computer, None, None)),
        ];
        for (said, (kind, maker, model)) in cases {
            let about = about(Some(said), "192.168.1.9".parse().unwrap());
            assert_eq!((about.kind, about.maker.as_deref(), about.model.as_deref()), (kind, maker, model), "{said}");
            assert!(about.name.ends_with("(192.168.1.9)"));
        }
        assert_eq!(about(None, "192.168.1.9".parse().unwrap()).name, "Browser (192.168.1.9)");
    }
}
