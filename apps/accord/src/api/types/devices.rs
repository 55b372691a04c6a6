//! Devices, and what is said to them.

use accord_model::{DeviceKind, Reach, Service, Timestamp, Verb, WriteState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::faces::{Face, Recognised};

/// `GET /devices` → `{ "devices": [Device] }`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Devices {
    pub devices: Vec<Device>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Device {
    pub id: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    pub maker: Option<String>,
    pub model: Option<String>,
    pub room: Option<String>,
    pub favourite: bool,
    /// What the owner wants it shown as: a name of one of the UI's icons.
    #[serde(default)]
    pub icon: Option<String>,
    pub trust: Trust,
    #[schema(value_type = String)]
    pub reach: Reach,
    /// `ip:port` forms, best first.
    pub addresses: Vec<String>,
    /// The live path, when connected.
    pub path: Option<Path>,
    /// Which bridge speaks for it: `link`, …
    pub bridge: String,
    /// The server or bridge that it is spoken to through, with which it is added and removed.
    #[serde(default)]
    pub via: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub first_seen: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Accept what it sends without asking.
    pub auto_accept: bool,
    /// What opens, unlocks or looks there is done without asking again; off until the owner says so.
    #[serde(default)]
    pub trusted_effects: bool,
    /// What it may do with this machine.
    pub remote: RemoteControl,
    /// What of that its protocol can ask for at all.
    #[serde(default)]
    pub asks: RemoteControl,
    /// It moves this machine's pointer and types here just now.
    pub input_now: bool,
    /// When it did that last, since the hub started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub input_last: Option<Timestamp>,
    /// What became of the last writes to its properties.
    pub writes: Vec<Written>,
    #[schema(value_type = Vec<Object>)]
    pub services: Vec<Service>,
    /// The ways in which it is here, its own id's first.
    #[serde(default)]
    pub faces: Vec<Face>,
    /// Ids of devices that may be the same one; nothing is joined by that.
    #[serde(default)]
    pub maybe: Vec<String>,
    /// What it is recognised as, with the owner's agreement.
    #[serde(default)]
    pub recognised: Option<Recognised>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// This machine.
    Own,
    Paired,
    /// Seen on the network, not paired.
    Seen,
    Blocked,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Path {
    /// `quic` or `tls`.
    pub carrier: String,
    pub address: String,
    pub relayed: bool,
    pub rtt_ms: Option<f64>,
}

/// `PATCH /devices/{id}`: only what is given changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// A name of the owner's own; empty to go back to the device's.
    pub name: Option<String>,
    pub room: Option<String>,
    pub favourite: Option<bool>,
    /// A name of one of the UI's icons: small letters, digits and dashes; empty to go back to what it is.
    pub icon: Option<String>,
    pub blocked: Option<bool>,
    pub auto_accept: Option<bool>,
    /// Open, unlock and look there without asking again. What loses something is asked about all the same.
    pub trusted_effects: Option<bool>,
    /// Let it control this machine's players.
    pub remote_media: Option<bool>,
    /// Let it ring this machine.
    pub remote_ring: Option<bool>,
    /// Let it have commands of the owner's list run.
    pub remote_commands: Option<bool>,
    /// Let it move this machine's pointer and type here. Turned on at this computer's command line alone.
    pub remote_input: Option<bool>,
}

impl DeviceChange {
    /// Nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        let Self {
            name,
            room,
            favourite,
            icon,
            blocked,
            auto_accept,
            trusted_effects,
            remote_media,
            remote_ring,
            remote_commands,
            remote_input,
        } = self;
        let allowed = [auto_accept, remote_media, remote_ring, remote_commands, remote_input];
        let own = [favourite, blocked, trusted_effects];
        let texts = [name, room, icon];
        texts.into_iter().all(Option::is_none) && own.into_iter().chain(allowed).all(Option::is_none)
    }

    /// Without what another change holds.
    pub fn without(mut self, other: &Self) -> Self {
        let take = |mine: &mut Option<bool>, theirs: Option<bool>| {
            if theirs.is_some() {
                *mine = None;
            }
        };
        take(&mut self.auto_accept, other.auto_accept);
        take(&mut self.remote_media, other.remote_media);
        take(&mut self.remote_ring, other.remote_ring);
        take(&mut self.remote_commands, other.remote_commands);
        take(&mut self.remote_input, other.remote_input);
        self
    }

    /// Only what is noted beside a pairing: its icon, what may be done without asking again, and remote control.
    pub fn beside_pairing(&self) -> Self {
        Self {
            icon: self.icon.clone(),
            trusted_effects: self.trusted_effects,
            remote_media: self.remote_media,
            remote_ring: self.remote_ring,
            remote_commands: self.remote_commands,
            remote_input: self.remote_input,
            ..Self::default()
        }
    }
}

/// What a device may do with this machine, nothing until the owner says so; or can ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RemoteControl {
    pub media: bool,
    pub ring: bool,
    pub commands: bool,
    pub input: bool,
}

/// One write to a property.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Written {
    pub service: String,
    pub instance: u16,
    pub property: String,
    /// `pending`, `confirmed` by the device, or `unconfirmed` within five seconds.
    #[schema(value_type = String)]
    pub state: WriteState,
}

/// `POST /devices/{id}/call`: answers what the device does, by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub service: String,
    /// Which one of several alike.
    #[serde(default)]
    pub instance: u16,
    /// `{"verb":"read","properties":[…]}`, `{"verb":"write","property":…,"data":…}` or `{"verb":"act","action":…,"inputs":{…}}`.
    #[schema(value_type = Object)]
    pub verb: Verb,
    /// The owner confirmed this very call; for what opens or loses something.
    #[serde(default)]
    pub confirmed: bool,
}

/// `POST /devices`: look for a hub at an address where multicast is blocked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDevice {
    /// `ip:port`.
    pub address: String,
}
