//! When another device's battery is worth a word: once when it gets low, once when it is charged.

use std::collections::HashMap;

use accord_model::{DeviceId, Service, Timestamp};

const LOW: i64 = 15;
/// A battery that was low counts as filled again from here on, so that one that hovers is told of once.
const NO_LONGER_LOW: i64 = 20;
const NO_LONGER_FULL: i64 = 95;
const MOST: usize = 1024;

/// A word about one device's battery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Whose.
    pub device: DeviceId,
    /// 0 to 100.
    pub percent: i64,
    /// Charged; else low.
    pub charged: bool,
    /// When the device said so.
    pub seen: Timestamp,
}

#[derive(Default)]
struct State {
    low: bool,
    full: bool,
    /// Seen before it was full: a device that is full when it is first seen was not just charged.
    was_less: bool,
}

/// What was told of each device.
#[derive(Default)]
pub struct Alerts(HashMap<DeviceId, State>);

impl Alerts {
    /// What is worth a word in what the battery says now. What is old news is not.
    pub fn look(&mut self, device: &DeviceId, battery: &Service, now: Timestamp) -> Option<Alert> {
        let value = battery.values.get("percent").filter(|value| value.is_fresh(now))?;
        let percent = value.data.as_int().filter(|percent| (0..=100).contains(percent))?;
        let flag = |id: &str| {
            let value = battery.values.get(id).filter(|value| value.is_fresh(now))?;
            value.data.as_bool()
        };
        let charging = flag("charging").unwrap_or(false);
        if self.0.len() >= MOST && !self.0.contains_key(device) {
            return None;
        }
        let state = self.0.entry(device.clone()).or_default();
        let alert = |charged| Some(Alert { device: device.clone(), percent, charged, seen: value.seen });
        if charging || percent >= NO_LONGER_LOW {
            state.low = false;
        }
        if percent < NO_LONGER_FULL {
            state.full = false;
            state.was_less = true;
        }
        if !charging && !state.low && (percent <= LOW || flag("low") == Some(true)) {
            state.low = true;
            return alert(false);
        }
        if charging && percent == 100 && !state.full {
            state.full = true;
            return if state.was_less { alert(true) } else { None };
        }
        None
    }

    /// The device is gone.
    pub fn forget(&mut self, device: &DeviceId) {
        self.0.remove(device);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use accord_model::{Data, Source, Value, catalogue};

    use super::*;

    fn battery(percent: i64, charging: bool, seen: Timestamp) -> Service {
        let mut service = catalogue::battery();
        let value = |data| Value { data, seen, source: Source::Pushed, fresh_for_s: 60 };
        service.values.insert("percent".into(), value(Data::Int(percent)));
        service.values.insert("charging".into(), value(Data::Bool(charging)));
        service
    }

    #[test]
    fn low_and_charged_are_told_once_and_old_news_never() {
        let phone = DeviceId::new("phone").unwrap();
        let now = Timestamp::now();
        let mut alerts = Alerts::default();
        let mut told = |percent, charging| {
            alerts.look(&phone, &battery(percent, charging, now), now).map(|alert| (alert.percent, alert.charged))
        };
        assert_eq!(told(100, true), None, "it was full before we looked");
        assert_eq!(told(50, false), None);
        assert_eq!(told(15, false), Some((15, false)));
        assert_eq!(told(14, false), None);
        assert_eq!(told(16, false), None);
        assert_eq!(told(15, false), None, "it hovers");
        assert_eq!(told(15, true), None);
        assert_eq!(told(100, true), Some((100, true)));
        assert_eq!(told(100, true), None);
        assert_eq!(told(99, true), None);
        assert_eq!(told(100, true), None);
        let old = battery(3, false, now - Duration::from_secs(3600));
        assert_eq!(Alerts::default().look(&phone, &old, now), None);
    }
}
