//! Device types (Matter Device Library) and semantic tags (Standard Namespaces) in our words.

use accord_model::DeviceKind as Kind;

/// Device types, what they are, and how much that says: the most telling one of a device names it.
const TYPES: &[(u32, u8, Kind)] = &[
    (0x000A, 20, Kind::Lock),
    (0x0074, 19, Kind::Vacuum),
    (0x0076, 18, Kind::Alarm),
    (0x0072, 17, Kind::Climate),
    (0x0301, 17, Kind::Climate),
    (0x0309, 17, Kind::Climate),
    (0x050F, 17, Kind::Climate),
    (0x002D, 16, Kind::Air),
    (0x0202, 15, Kind::Cover),
    (0x0230, 15, Kind::Cover),
    (0x0231, 14, Kind::Cover),
    (0x0042, 15, Kind::Valve),
    (0x0040, 14, Kind::Valve),
    (0x0028, 14, Kind::Tv),
    (0x0023, 14, Kind::Tv),
    (0x0029, 13, Kind::Tv),
    (0x0022, 13, Kind::Speaker),
    (0x0142, 14, Kind::Camera),
    (0x0143, 14, Kind::Camera),
    (0x0144, 14, Kind::Camera),
    (0x0145, 14, Kind::Camera),
    (0x0070, 14, Kind::Appliance),
    (0x0073, 14, Kind::Appliance),
    (0x0075, 14, Kind::Appliance),
    (0x0078, 14, Kind::Appliance),
    (0x0079, 14, Kind::Appliance),
    (0x007A, 14, Kind::Appliance),
    (0x007B, 14, Kind::Appliance),
    (0x007C, 14, Kind::Appliance),
    (0x0077, 13, Kind::Appliance),
    (0x0071, 13, Kind::Appliance),
    (0x050C, 14, Kind::Appliance),
    (0x050D, 13, Kind::Appliance),
    (0x0018, 12, Kind::Appliance),
    (0x0017, 12, Kind::Appliance),
    (0x0303, 14, Kind::Appliance),
    (0x0100, 12, Kind::Light),
    (0x0101, 12, Kind::Light),
    (0x010C, 12, Kind::Light),
    (0x010D, 12, Kind::Light),
    (0x002B, 11, Kind::Fan),
    (0x010A, 10, Kind::Plug),
    (0x010B, 10, Kind::Plug),
    (0x010F, 9, Kind::Switch),
    (0x0110, 9, Kind::Switch),
    (0x000F, 7, Kind::Button),
    (0x0148, 7, Kind::Button),
    (0x0141, 7, Kind::Button),
    (0x0103, 7, Kind::Switch),
    (0x0104, 7, Kind::Switch),
    (0x0105, 7, Kind::Switch),
    (0x0304, 7, Kind::Switch),
    (0x000B, 6, Kind::Switch),
    (0x0203, 6, Kind::Switch),
    (0x023E, 6, Kind::Switch),
    (0x030A, 6, Kind::Switch),
    (0x0840, 6, Kind::Switch),
    (0x002C, 6, Kind::Sensor),
    (0x0015, 5, Kind::Sensor),
    (0x0041, 5, Kind::Sensor),
    (0x0043, 5, Kind::Sensor),
    (0x0044, 5, Kind::Sensor),
    (0x0045, 5, Kind::Sensor),
    (0x0106, 5, Kind::Sensor),
    (0x0107, 5, Kind::Sensor),
    (0x0302, 5, Kind::Sensor),
    (0x0305, 5, Kind::Sensor),
    (0x0306, 5, Kind::Sensor),
    (0x0307, 5, Kind::Sensor),
    (0x0850, 5, Kind::Sensor),
    (0x000E, 4, Kind::Hub),
    (0x0090, 4, Kind::Hub),
    (0x0091, 4, Kind::Hub),
    (0x0510, 3, Kind::Sensor),
    (0x0511, 3, Kind::Sensor),
    (0x0512, 3, Kind::Sensor),
    (0x0513, 3, Kind::Sensor),
    (0x0514, 3, Kind::Sensor),
];

/// What a device with these types is; where none of them says anything, by its services.
pub(crate) fn kind<'a>(types: &[u32], services: impl Iterator<Item = &'a str>) -> Kind {
    let known = types.iter().filter_map(|one| TYPES.iter().find(|(known, ..)| known == one));
    let by_type = known.max_by_key(|(_, telling, _)| *telling).map(|(.., kind)| *kind);
    by_type
        .or_else(|| services.filter_map(by_service).max_by_key(|(telling, _)| *telling).map(|(_, kind)| kind))
        .unwrap_or(Kind::Other)
}

fn by_service(service: &str) -> Option<(u8, Kind)> {
    Some(match service {
        "door-lock" => (9, Kind::Lock),
        "vacuum" => (8, Kind::Vacuum),
        "climate" => (7, Kind::Climate),
        "cover" => (6, Kind::Cover),
        "valve" => (6, Kind::Valve),
        "light" => (5, Kind::Light),
        "fan" => (4, Kind::Fan),
        "on-off" => (3, Kind::Switch),
        "button" => (2, Kind::Button),
        "temperature" | "humidity" | "pressure" | "illuminance" | "occupancy" | "contact" | "smoke" | "water-leak"
        | "air-quality" | "carbon-monoxide" | "electricity" => (1, Kind::Sensor),
        _ => return None,
    })
}

/// A semantic tag that tells endpoints apart.
pub(crate) fn tag(namespace: u64, tag: u64) -> Option<&'static str> {
    let words: &[&str] = match namespace {
        // Common number.
        0x07 => &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
        // Common position.
        0x08 => &["Left", "Right", "Top", "Bottom", "Middle", "Row", "Column"],
        // Electrical measurement, power source.
        0x0A => &["DC", "AC", "AC phase 1", "AC phase 2", "AC phase 3"],
        0x0F => &["", "Grid", "Solar", "Battery", "EV"],
        // Rooms of a refrigerator.
        0x41 => &["Refrigerator", "Freezer"],
        // Switches.
        0x43 => &["On", "Off", "Toggle", "Up", "Down", "Next", "Previous", "Select", ""],
        _ => return None,
    };
    words.get(usize::try_from(tag).ok()?).copied().filter(|word| !word.is_empty())
}
