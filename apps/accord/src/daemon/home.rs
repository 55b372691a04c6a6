//! The hub's side of the house: rooms, and what is kept of what its devices say.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use accord_home::history::{ExportFormat, Series, is_house_service, is_of_house};
use accord_home::{Found, HistoryError, Kind, Place, Query, Settings};
use accord_model::text::for_screen;
use accord_model::{DeviceId, Outputs, Target, Timestamp, Value};

use super::house;
use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::home as api;
use crate::api::types::{Device, DeviceChange, Event, Written};

/// So many devices go to a room at once.
const MOST_AT_ONCE: usize = 2_000;

/// A graph has so much when nobody says since when.
const USUAL: Duration = Duration::from_secs(86_400);

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::None => Self::not_found(format!("There is no history: {error}.")),
            HistoryError::Bad(what) => Self::bad_request(what),
            HistoryError::Store(_) => Self::internal("The history cannot be read", error),
            HistoryError::Settings(_) => Self::internal("The settings were not kept", error),
        }
    }
}

/// Which course of which property.
pub struct Wanted {
    pub device: DeviceId,
    pub place: Place,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub step: Option<u64>,
}

impl Hub {
    /// Rooms by name, and what is in no room.
    pub fn rooms(&self) -> api::Rooms {
        let mut rooms: BTreeMap<(bool, String), (String, Vec<String>)> = BTreeMap::new();
        let devices = self.devices();
        for device in devices.into_iter().filter(|device| device.id != house::OWN) {
            let name = room_of(&device);
            // Written differently by its owner and by a bridge, it is one room all the same.
            let room =
                rooms.entry((name.is_empty(), name.to_lowercase())).or_insert_with(|| (name.clone(), Vec::new()));
            // Whichever device comes first: capital letters go before small ones.
            room.0 = name.min(std::mem::take(&mut room.0));
            room.1.push(device.id);
        }
        api::Rooms { rooms: rooms.into_values().map(|(name, devices)| api::Room { name, devices }).collect() }
    }

    /// All devices of a room go to another one.
    pub fn rename_room(&self, wanted: &api::RenameRoom) -> Answer<api::Rooms> {
        let from = wanted.from.trim().to_lowercase();
        let to = wanted.to.trim();
        if from.is_empty() || to.is_empty() {
            return Err(Failure::bad_request("A room has a name, before and after."));
        }
        let is_in = |device: &Device| device.id != house::OWN && room_of(device).to_lowercase() == from;
        let ids: Vec<DeviceId> = self
            .devices()
            .into_iter()
            .filter(is_in)
            .map(|device| DeviceId::new(device.id).map_err(|error| Failure::bad_request(error.to_string())))
            .collect::<Answer<_>>()?;
        if ids.is_empty() {
            return Err(Failure::not_found(format!("No device is in a room `{}`.", for_screen(&wanted.from, 60))));
        }
        self.change_devices(&ids, &DeviceChange { room: Some(to.to_owned()), ..Default::default() })?;
        // It stays where it stood.
        if self.order.rename(&wanted.from, to)? {
            self.events.tell(Event::HomeOrder(self.order.get()));
        }
        Ok(self.rooms())
    }

    /// Devices go to a room, all of them or none.
    pub fn put_in_room(&self, wanted: &api::PutInRoom) -> Answer<api::Rooms> {
        if wanted.devices.is_empty() || wanted.devices.len() > MOST_AT_ONCE {
            return Err(Failure::bad_request(format!("Name at least one device, and at most {MOST_AT_ONCE}.")));
        }
        let ids: Vec<DeviceId> = wanted.devices.iter().map(|device| self.resolve(device)).collect::<Answer<_>>()?;
        if ids.iter().any(|id| id.as_str() == house::OWN) {
            return Err(Failure::bad_request("This machine is in no room of the house."));
        }
        let room = wanted.room.trim().to_owned();
        self.change_devices(&ids, &DeviceChange { room: Some(room), ..Default::default() })?;
        Ok(self.rooms())
    }

    pub fn home_order(&self) -> api::HomeOrder {
        self.order.get()
    }

    pub fn set_home_order(&self, wanted: &api::HomeOrder) -> Answer<api::HomeOrder> {
        let order = self.order.set(wanted)?;
        self.events.tell(Event::HomeOrder(order.clone()));
        Ok(order)
    }

    /// The course of one property of a device, from the face that says it.
    pub async fn history(&self, wanted: Wanted) -> Answer<api::History> {
        let Wanted { device, place, from, to, step } = wanted;
        let device = self.face_for(&device, &place.service);
        let to = to.unwrap_or_else(Timestamp::now);
        let from = from.unwrap_or_else(|| to.checked_sub(USUAL).unwrap_or(Timestamp::UNIX_EPOCH));
        let query = Query { device: device.clone(), place: place.clone(), from, to, step };
        let Found { kind, unit, step, points, total } = self.history.query(query).await?;
        let point = |point: accord_home::Point| api::HistoryPoint {
            time: point.at,
            until: point.until,
            min: point.min,
            mean: point.mean,
            max: point.max,
            grown: point.grown,
        };
        let Place { service, instance, property } = place;
        Ok(api::History {
            device: device.to_string(),
            service,
            instance,
            property,
            kind: kind.into(),
            unit,
            from,
            to,
            step_s: step,
            points: points.into_iter().map(point).collect(),
            total,
        })
    }

    /// What was said until now is there to be asked for.
    pub async fn write_history(&self) -> Answer<()> {
        Ok(self.history.flush().await?)
    }

    /// What there is a history of: of all faces of a device, or of everything.
    pub fn history_kept(&self, device: Option<&DeviceId>) -> Answer<api::HistoryKept> {
        let kept = match device {
            None => self.history.kept(None)?,
            Some(device) => {
                let mut kept = Vec::new();
                for face in self.faces_with_history(device) {
                    kept.extend(self.history.kept(Some(&face))?);
                }
                kept
            }
        };
        let of = |series: Series| api::HistorySeries {
            device: series.device.to_string(),
            service: series.place.service,
            instance: series.place.instance,
            property: series.place.property,
            kind: series.kind.into(),
            unit: series.unit,
        };
        Ok(api::HistoryKept { kept: kept.into_iter().map(of).collect() })
    }

    pub fn history_state(&self) -> Answer<api::HistoryState> {
        let state = self.history.state()?;
        let Settings { on, all_days, five_minutes_days, hours_days, megabytes, off } = self.history.settings();
        let off = off.iter().map(ToString::to_string).collect();
        Ok(api::HistoryState {
            settings: api::HistorySettings { on, all_days, five_minutes_days, hours_days, megabytes, off },
            bytes: state.bytes,
            kept: state.kept,
            since: state.since,
            shortened: state.shortened,
        })
    }

    pub fn change_history(&self, wanted: api::HistorySettings) -> Answer<()> {
        let api::HistorySettings { on, all_days, five_minutes_days, hours_days, megabytes, off } = wanted;
        let mut left_out = std::collections::BTreeSet::new();
        for device in off {
            // One that is gone stays left out.
            match self.resolve(&device).or_else(|failure| DeviceId::new(&device).map_err(|_| failure)) {
                Ok(id) => left_out.extend(self.faces_with_history(&id)),
                Err(failure) => return Err(failure),
            }
        }
        Ok(self.history.change(Settings { on, all_days, five_minutes_days, hours_days, megabytes, off: left_out })?)
    }

    /// Deletes what was kept of a device that is here or gone, or all of it.
    pub async fn delete_history(&self, device: Option<&DeviceId>) -> Answer<()> {
        match device {
            None => self.history.delete(None).await?,
            Some(device) => {
                for face in self.faces_with_history(device) {
                    self.history.delete(Some(face)).await?;
                }
            }
        }
        Ok(())
    }

    /// Writes out what is kept; blocks while it does.
    pub fn export_history(
        &self,
        device: Option<&DeviceId>,
        range: (Timestamp, Timestamp),
        format: ExportFormat,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        let name = |id: &DeviceId| self.device_name(id.as_str()).unwrap_or_default();
        self.history.export(device, range, format, name, out)
    }

    /// All faces of a device when it is named, a face when that is.
    fn faces_with_history(&self, device: &DeviceId) -> Vec<DeviceId> {
        let thing = self.registry.thing(device).filter(|thing| thing.device.id == *device);
        let faces: Vec<DeviceId> =
            thing.into_iter().flat_map(|thing| thing.faces).map(|face| face.known.device.id.clone()).collect();
        if faces.is_empty() { vec![device.clone()] } else { faces }
    }

    /// The device that a text names, or the id of one that is gone.
    pub fn with_history(&self, text: &str) -> Answer<DeviceId> {
        self.resolve(text).or_else(|failure| {
            let id = DeviceId::new(text).map_err(|_| failure)?;
            match self.history.kept(Some(&id))?.is_empty() {
                false => Ok(id),
                true => Err(super::devices::no_device(text)),
            }
        })
    }

    /// The UIs are told that something happened at a device of the house.
    pub(super) fn tell_happened(&self, face: &DeviceId, target: &Target, event: &str, arguments: &Outputs) {
        let known = self.registry.device(face).filter(|_| self.events.is_heard());
        if !known.is_some_and(|known| is_of_house(&known.device)) || !is_house_service(&target.service) {
            return;
        }
        let Some(thing) = self.registry.thing_id(face) else { return };
        self.events.tell(Event::Happened(api::Happened {
            device: thing.to_string(),
            service: target.service.clone(),
            instance: target.instance,
            event: for_screen(event, 60),
            arguments: arguments.clone(),
        }));
    }

    /// The UIs are told what is new of one service, as long as that is what they would show.
    pub(super) fn tell_values(&self, face: &DeviceId, target: &Target, values: &BTreeMap<String, Value>) {
        self.tell_service(face, target, values.keys(), values);
    }

    /// The UIs are told what became of a write, as long as that is what they would show.
    pub(super) fn tell_written(&self, face: &DeviceId, target: &Target, property: &String) {
        self.tell_service(face, target, [property], &BTreeMap::new());
    }

    fn tell_service<'a>(
        &self,
        face: &DeviceId,
        target: &Target,
        written: impl IntoIterator<Item = &'a String>,
        values: &BTreeMap<String, Value>,
    ) {
        if !self.events.is_heard() {
            return;
        }
        let Some(thing) = self.registry.thing_id(face) else { return };
        // What another face is asked for is told by that one, also when this is the thing's own.
        if self.face_for(&thing, &target.service) != *face {
            return;
        }
        let writes = written.into_iter().filter_map(|property| {
            let state = self.registry.write_state(face, target, property)?;
            Some(Written {
                service: target.service.clone(),
                instance: target.instance,
                property: property.clone(),
                state,
            })
        });
        self.events.tell_as_it_is(|| {
            Some(Event::Values(api::Values {
                device: thing.to_string(),
                service: target.service.clone(),
                instance: target.instance,
                writes: writes.collect(),
                values: values.clone(),
            }))
        });
    }
}

impl From<Kind> for api::HistoryKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Level => Self::Level,
            Kind::Meter => Self::Meter,
            Kind::Switch => Self::Switch,
        }
    }
}

/// As the owner or a bridge calls it, safe to show.
fn room_of(device: &Device) -> String {
    device.room.as_deref().map(|room| for_screen(room.trim(), 100)).unwrap_or_default()
}
