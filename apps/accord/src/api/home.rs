//! What the API says of the house, beside [`super::types`]: rooms, and what is kept of what devices said.

use std::collections::{BTreeMap, BTreeSet};

use accord_model::{Timestamp, Unit, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::Written;

/// `GET /home/rooms`: every room that a device is in, by name; devices in no room last, with an empty name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rooms {
    pub rooms: Vec<Room>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Room {
    pub name: String,
    /// Ids of devices, in the order of their names.
    pub devices: Vec<String>,
}

/// `POST /home/rooms/rename`: all devices of a room go to another one, which may be there already.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameRoom {
    pub from: String,
    pub to: String,
}

/// `POST /home/rooms/put`: devices go to a room, all of them or none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutInRoom {
    /// Ids or unique names.
    pub devices: Vec<String>,
    /// Empty: to the room that its bridge says, if one.
    pub room: String,
}

/// `GET` and `PUT /home/order`: in which order the owner wants to see rooms and devices. What is not named stands behind,
/// by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HomeOrder {
    pub rooms: Vec<String>,
    /// Ids. They need not be here now.
    pub devices: Vec<String>,
}

/// `GET /home/history?device=&service=&instance=&property=&from=&to=&step=`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The id under which it is kept: that of the face that said it.
    pub device: String,
    pub service: String,
    pub instance: u16,
    pub property: String,
    pub kind: HistoryKind,
    #[schema(value_type = Option<String>)]
    pub unit: Option<Unit>,
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Seconds that one point stands for. Absent: the points are what the device said, each until the next.
    pub step_s: Option<u64>,
    /// Oldest first. Where nothing is known there is no point.
    pub points: Vec<HistoryPoint>,
    /// Of `meter`: how much it counted in all of the range.
    pub total: Option<f64>,
}

/// How a property is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryKind {
    /// A number that goes up and down: `mean` is over time.
    Level,
    /// A number that only grows, such as energy: `grown` is by how much in that time. A meter that begins anew is seen.
    Meter,
    /// Yes or no: 1 or 0 as said, and with a step `mean` is the part of the time in which it was yes.
    Switch,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPoint {
    /// When it was said; with a step, when the time that it stands for begins.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Without a step: from then on nothing was known, until the next point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    /// Of `meter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown: Option<f64>,
}

/// `GET /home/history/kept?device=`: what there is a history of; of one device when it is named.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryKept {
    pub kept: Vec<HistorySeries>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistorySeries {
    pub device: String,
    pub service: String,
    pub instance: u16,
    pub property: String,
    pub kind: HistoryKind,
    #[schema(value_type = Option<String>)]
    pub unit: Option<Unit>,
}

/// `GET /home/history/settings`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryState {
    pub settings: HistorySettings,
    /// What it takes on the disk now, in bytes.
    pub bytes: u64,
    /// How many properties are kept.
    pub kept: usize,
    /// Since when.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Less than `settings` says is kept, because it would take more than `megabytes`.
    pub shortened: bool,
}

/// `PUT /home/history/settings`: what is kept of what devices of the house say, on this machine alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistorySettings {
    /// Off keeps what is there, and nothing new.
    pub on: bool,
    /// How many days everything that was said is kept: 1 to 90.
    pub all_days: u32,
    /// How many days least, mean and greatest of every five minutes are kept, and every change of what is yes or no: 1 to 730.
    pub five_minutes_days: u32,
    /// How many days those of every hour are kept: 1 to 7300.
    pub hours_days: u32,
    /// Never more than this on the disk: 16 to 16384.
    pub megabytes: u32,
    /// Devices of which nothing is kept.
    pub off: BTreeSet<String>,
}

/// Values of one service of a device changed. Told in place of the whole device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Values {
    /// The device's id, as in `devices`.
    pub device: String,
    pub service: String,
    pub instance: u16,
    /// What is new, by property.
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Value>,
    /// How the last writes to these properties stand now.
    pub writes: Vec<Written>,
}

/// Something happened at a device: a button was pressed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Happened {
    pub device: String,
    pub service: String,
    pub instance: u16,
    pub event: String,
    #[schema(value_type = Object)]
    pub arguments: BTreeMap<String, accord_model::Data>,
}

/// `GET /home/shown`: where devices can be shown beside this hub, such as an MQTT broker for Home Assistant, and which are.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Shown {
    pub places: Vec<ShownPlace>,
}

/// One place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShownPlace {
    /// The broker's id, as in `devices`.
    pub device: String,
    pub name: String,
    /// Whether the owner agreed to show devices there (`home/share`).
    pub agreed: bool,
    /// How many are shown there now, as the bridge says.
    pub now: u64,
    /// How much was wished from there since the hub started and not done.
    pub refused: u64,
    /// For how many devices more there is no room.
    pub left_out: u64,
    /// Why nothing is shown there now, though something is chosen: the broker is away, or the owner agreed to less for it.
    pub problem: Option<String>,
    /// By name. Those that are shown, and those that could be.
    pub devices: Vec<ShownDevice>,
}

/// A device and what others see of it in a place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ShownDevice {
    pub device: String,
    pub name: String,
    /// Absent: it is not shown there.
    pub shown: Option<ShowDevice>,
    /// Whether it opens, unlocks or disarms something.
    pub secures: bool,
    /// It is or can do more than when it was chosen, such as by a face that was joined: that is not shown until it is chosen again.
    pub more: bool,
}

/// `PUT /home/shown/{place}/{device}`: a device is shown in a place, and what those who see it may do with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShowDevice {
    /// They may control it; otherwise they see what it says.
    pub control: bool,
    /// They may also open, unlock and disarm it, without anybody being asked.
    pub opens: bool,
}
