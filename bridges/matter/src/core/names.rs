//! What attributes are called, and which are not shown. `names.txt` has numbers and names as the specifications have them.
//!
//! **Not shown, and why.** Of Matter's own affairs nothing is a state of the house, and much of it tells more than a lamp should
//! say of a home:
//!
//! - [`Left::Administration`]: who may do what, and how it is set up: access control, bindings, groups and scenes (of fabrics),
//!   group keys, commissioning and its windows, operational credentials, logs, clocks, updates' servers, sleepy devices' keys
//! - [`Left::Sensitive`]: the network's interfaces with their hardware and internet addresses, the access point and the whole
//!   Thread network (its name, keys' ids, every neighbour), the country, names for good, other controllers' directories, accounts
//!   and messages on televisions, cars' ids, the keys of locks' readers, whom cameras see, a household's meter
//! - [`Left::Opaque`]: bytes in clusters of a maker's own, which may hold any of that and say nothing to anybody else

use std::collections::HashMap;
use std::sync::LazyLock;

use super::node::Left;

const TABLE: &str = include_str!("names.txt");

type Table = HashMap<u32, (&'static str, HashMap<u32, &'static str>)>;

static NAMES: LazyLock<Table> = LazyLock::new(|| {
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    let attribute = |text: &'static str| {
        let (key, name) = text.split_once(':')?;
        Some((number(key)?, name))
    };
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let cluster = number(words.next()?)?;
        Some((cluster, (words.next()?, words.filter_map(attribute).collect())))
    };
    TABLE.lines().filter_map(line).collect()
});

/// What a cluster is called, in kebab-case; its number where nobody here knows it.
pub fn cluster(cluster: u32) -> String {
    NAMES.get(&cluster).map_or_else(|| format!("cluster-{cluster:04x}"), |(name, _)| (*name).to_owned())
}

/// What an attribute is called beside those of other clusters.
pub fn attribute(cluster: u32, attribute: u32) -> String {
    let before = self::cluster(cluster);
    match NAMES.get(&cluster).and_then(|(_, attributes)| attributes.get(&attribute)) {
        Some(name) if name.starts_with(&before) => (*name).to_owned(),
        Some(name) => format!("{before}-{name}"),
        None => format!("{before}-attribute-{attribute:04x}"),
    }
}

/// It is in a device's description: its names, make, model, software, and whether it is reached.
pub(crate) fn describes(cluster: u32, attribute: u32) -> bool {
    match cluster {
        0x28 | 0x39 => matches!(attribute, 0x01 | 0x03 | 0x05 | 0x0A | 0x0E | 0x11),
        _ => false,
    }
}

/// Why an attribute is not shown, whatever it says.
pub(crate) fn left(cluster: u32, attribute: u32) -> Option<Left> {
    Some(match (cluster, attribute) {
        (_, 0xFFF8..=0xFFFE) => Left::Global,
        // Descriptor, FixedLabel, UserLabel, PowerSourceConfiguration; which endpoints a power source is of.
        (0x1D | 0x40 | 0x41 | 0x2E, _) | (0x2F, 0x1F) => Left::Structure,
        // Binding, AccessControl, Groups, Scenes, ScenesManagement, GroupKeyManagement, Groupcast.
        (0x1E | 0x1F | 0x04 | 0x05 | 0x62 | 0x3F | 0x65, _) => Left::Administration,
        // GeneralCommissioning, NetworkCommissioning, DiagnosticLogs, AdministratorCommissioning.
        (0x30..=0x32 | 0x3C, _) => Left::Administration,
        // OTA providers, TimeSynchronization, ICDManagement, cameras' sessions, CommissionerControl, joint fabrics, TLS.
        (0x29 | 0x38 | 0x46 | 0x0553 | 0x0554 | 0x0751..=0x0753 | 0x0801 | 0x0802, _) | (0x2A, 0) => {
            Left::Administration
        }
        // OperationalCredentials, GeneralDiagnostics' interfaces, ThreadNetworkDiagnostics, the access point.
        (0x3E | 0x35, _) | (0x33, 0) | (0x36, 0) => Left::Sensitive,
        // The country, and names for good.
        (0x28 | 0x39, 0x06 | 0x12) => Left::Sensitive,
        // Networks that it manages, other controllers' directories.
        (0x0450..=0x0453 | 0x0750, _) => Left::Sensitive,
        // Keys of a lock's reader (Aliro), whom a camera sees and what it hears, what names a household to its supplier.
        (0x0101, 0x80..=0x8F) | (0x0431 | 0x0B06, _) => Left::Sensitive,
        // Messages, accounts, who may watch what, wake-on-LAN addresses, uploads of cameras, cars.
        (0x97 | 0x050E | 0x050F | 0x0503 | 0x0555, _) | (0x99, 0x32) => Left::Sensitive,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_called_as_in_the_specification_or_by_their_numbers() {
        assert_eq!(attribute(0x06, 0x4003), "on-off-start-up-on-off");
        assert_eq!(attribute(0x5B, 0), "air-quality");
        assert_eq!(attribute(0x06, 0x7777), "on-off-attribute-7777");
        assert_eq!(attribute(0x130A_FC01, 0x130A_0008), "cluster-130afc01-attribute-130a0008");
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(NAMES.len(), lines);
        let names = NAMES.values().flat_map(|(name, attributes)| attributes.values().chain([name]));
        for name in names {
            assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'), "{name}");
        }
    }

    #[test]
    fn keys_addresses_and_names_for_good_are_not_shown() {
        for (cluster, attribute) in [
            (0x3E, 0),
            (0x3E, 4),
            (0x33, 0),
            (0x35, 2),
            (0x36, 0),
            (0x28, 6),
            (0x28, 0x12),
            (0x39, 0x12),
            (0x503, 0),
            (0x101, 0x84),
        ] {
            assert_eq!(left(cluster, attribute), Some(Left::Sensitive), "{cluster:#x}/{attribute:#x}");
        }
        assert_eq!(left(0x1F, 0), Some(Left::Administration));
        assert_eq!((left(0x06, 0), left(0x33, 2), left(0x36, 4)), (None, None, None));
    }
}
