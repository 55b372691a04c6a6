//! In which order the owner wants to see rooms and devices of the house. Local to this hub.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use accord_model::DeviceId;
use accord_store::replace_private;

use super::notes::{NoteError, text};
use crate::api::error::{Answer, Failure};
use crate::api::home::HomeOrder;

const MAX_ROOMS: usize = 500;
const MAX_DEVICES: usize = 4096;

/// The order, kept in `home-order.json`.
pub struct Order {
    path: PathBuf,
    kept: RwLock<HomeOrder>,
}

impl Order {
    /// A damaged file costs the order, not the hub.
    pub fn open(dir: &Path) -> Self {
        let path = dir.join("home-order.json");
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| error.to_string())
                .and_then(|read: HomeOrder| checked(&read).map_err(|failure| failure.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HomeOrder::default()),
            Err(error) => Err(error.to_string()),
        };
        let kept = kept.unwrap_or_else(|why| {
            tracing::warn!("the order of rooms and devices in {} is not used: {why}", path.display());
            HomeOrder::default()
        });
        Self { path, kept: RwLock::new(kept) }
    }

    pub fn get(&self) -> HomeOrder {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// On disk when this returns.
    pub fn set(&self, wanted: &HomeOrder) -> Answer<HomeOrder> {
        let wanted = checked(wanted)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.save(&wanted)?;
        kept.clone_from(&wanted);
        Ok(wanted)
    }

    /// A room is called otherwise now; true when that changed the order.
    pub fn rename(&self, from: &str, to: &str) -> Answer<bool> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let is_from = |room: &String| room.to_lowercase() == from.trim().to_lowercase();
        if !kept.rooms.iter().any(is_from) {
            return Ok(false);
        }
        let mut next = kept.clone();
        next.rooms.iter_mut().filter(|room| is_from(room)).for_each(|room| to.clone_into(room));
        let next = checked(&next)?;
        self.save(&next)?;
        *kept = next;
        Ok(true)
    }

    fn save(&self, order: &HomeOrder) -> Answer<()> {
        let bytes = serde_json::to_vec(order).map_err(|error| NoteError::NotSaved(error.to_string()))?;
        Ok(replace_private(&self.path, &bytes).map_err(|error| NoteError::NotSaved(error.to_string()))?)
    }
}

/// Every room and device once, the first time that it is named.
fn checked(order: &HomeOrder) -> Answer<HomeOrder> {
    if order.rooms.len() > MAX_ROOMS || order.devices.len() > MAX_DEVICES {
        let most = format!("An order has at most {MAX_ROOMS} rooms and {MAX_DEVICES} devices.");
        return Err(Failure::bad_request(most));
    }
    let mut rooms = Vec::new();
    let mut known = BTreeSet::new();
    for room in &order.rooms {
        rooms.extend(text(room)?.filter(|room| known.insert(room.to_lowercase())));
    }
    let mut devices = Vec::new();
    let mut known = BTreeSet::new();
    for device in &order.devices {
        let id = DeviceId::new(device).map_err(|error| Failure::bad_request(error.to_string()))?;
        if known.insert(id.clone()) {
            devices.push(id.to_string());
        }
    }
    Ok(HomeOrder { rooms, devices })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rooms: &[&str], devices: &[&str]) -> HomeOrder {
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        HomeOrder { rooms: all(rooms), devices: all(devices) }
    }

    #[test]
    fn an_order_outlives_the_hub_names_everything_once_and_follows_a_room_that_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Order::open(dir.path());
        kept.set(&order(&["Hall", " hall ", "Attic"], &["lamp-2", "lamp-1", "lamp-2"])).unwrap();
        assert_eq!(Order::open(dir.path()).get(), order(&["Hall", "Attic"], &["lamp-2", "lamp-1"]));
        assert!(kept.rename("HALL", "Entrance").unwrap());
        assert!(!kept.rename("Cellar", "Attic").unwrap());
        assert_eq!(Order::open(dir.path()).get().rooms, ["Entrance", "Attic"]);
        assert!(kept.rename("entrance", "attic").unwrap(), "two become one");
        assert_eq!(kept.get().rooms, ["attic"]);
    }

    #[test]
    fn what_is_no_order_is_refused_and_a_damaged_file_costs_the_order_alone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Order::open(dir.path());
        let rooms: Vec<String> = (0..=MAX_ROOMS).map(|n| format!("Room {n}")).collect();
        let many: Vec<&str> = rooms.iter().map(String::as_str).collect();
        for bad in [order(&["a\u{202e}b"], &[]), order(&[], &["not an id\n"]), order(&many, &[])] {
            assert!(kept.set(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(kept.get(), HomeOrder::default());
        std::fs::write(dir.path().join("home-order.json"), "{").unwrap();
        assert_eq!(Order::open(dir.path()).get(), HomeOrder::default());
    }
}
