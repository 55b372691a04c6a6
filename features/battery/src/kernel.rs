//! Batteries as the kernel shows them: one folder each under `/sys/class/power_supply` (the kernel's
//! `Documentation/ABI/testing/sysfs-class-power`).

use std::path::Path;

use crate::battery::Charge;

/// Where they are.
pub const FOLDER: &str = "/sys/class/power_supply";
const MOST: usize = 16;

/// All batteries that this computer runs on, as one; none when it has none. Those of mice and headphones do not count.
pub fn read(folder: &Path) -> Option<Charge> {
    let entries = std::fs::read_dir(folder).ok()?;
    let cells: Vec<Cell> = entries.flatten().take(MOST).filter_map(|entry| Cell::read(&entry.path())).collect();
    if cells.is_empty() {
        return None;
    }
    // Larger ones weigh more, when all of them say how large they are.
    let known: Option<f64> = cells.iter().map(|cell| cell.full).sum();
    let percent = match known.filter(|sum| *sum > 0.0) {
        Some(sum) => cells.iter().map(|cell| cell.percent * cell.full.unwrap_or(0.0)).sum::<f64>() / sum,
        None => cells.iter().map(|cell| cell.percent).sum::<f64>() / cells.len() as f64,
    };
    let charging = cells.iter().any(|cell| cell.charging) || cells.iter().all(|cell| cell.held);
    Some(Charge::new(percent, charging))
}

struct Cell {
    percent: f64,
    full: Option<f64>,
    charging: bool,
    /// Full, or kept below full on purpose, on the mains.
    held: bool,
}

impl Cell {
    fn read(folder: &Path) -> Option<Self> {
        let text = |file: &str| {
            let text = std::fs::read_to_string(folder.join(file)).ok()?;
            Some(text.trim().chars().take(64).collect::<String>())
        };
        let number = |file: &str| text(file)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        if text("type")? != "Battery"
            || text("scope").as_deref() == Some("Device")
            || text("present").as_deref() == Some("0")
        {
            return None;
        }
        let full = number("energy_full").or_else(|| number("charge_full")).filter(|full| *full > 0.0);
        let now = number("energy_now").or_else(|| number("charge_now"));
        let measured = now.zip(full).map(|(now, full)| now / full * 100.0);
        let percent = number("capacity").or(measured)?.min(100.0);
        let status = text("status").unwrap_or_default();
        let held = matches!(status.as_str(), "Full" | "Not charging");
        Some(Self { percent, full, charging: status == "Charging", held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(dir: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, content) in files {
            std::fs::write(folder.join(file), format!("{content}\n")).unwrap();
        }
    }

    #[test]
    fn a_laptops_batteries_count_together_and_its_mouse_does_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        supply(dir.path(), "AC", &[("type", "Mains"), ("online", "1")]);
        supply(dir.path(), "hidpp_0", &[("type", "Battery"), ("scope", "Device"), ("capacity", "5")]);
        assert_eq!(read(dir.path()), None);
        let cell = |full, capacity, status| {
            [("type", "Battery"), ("energy_full", full), ("capacity", capacity), ("status", status)]
        };
        supply(dir.path(), "BAT0", &cell("30000000", "90", "Full"));
        supply(dir.path(), "BAT1", &cell("10000000", "10", "Charging"));
        assert_eq!(read(dir.path()), Some(Charge { percent: 70, charging: true, low: false }));
        supply(dir.path(), "BAT1", &cell("10000000", "10", "Discharging"));
        assert_eq!(read(dir.path()).map(|charge| charge.charging), Some(false));
    }

    #[test]
    fn nonsense_is_no_battery() {
        let dir = tempfile::tempdir().unwrap();
        supply(dir.path(), "BAT0", &[("type", "Battery"), ("capacity", "lots")]);
        supply(dir.path(), "BAT1", &[("type", "Battery"), ("capacity", "NaN"), ("status", "Charging")]);
        supply(dir.path(), "BAT2", &[("capacity", "50")]);
        assert_eq!(read(dir.path()), None);
        supply(dir.path(), "BAT3", &[("type", "Battery"), ("charge_now", "600"), ("charge_full", "500")]);
        assert_eq!(read(dir.path()), Some(Charge { percent: 100, charging: false, low: false }));
    }
}
