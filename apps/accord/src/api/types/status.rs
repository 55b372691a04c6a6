//! How this hub is, and its settings.

use accord_model::DeviceKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LedgerHead;

/// `GET /status`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// This machine's device id in `devices`.
    pub device: String,
    pub state_dir: String,
    /// Address of the web UI, when it is served.
    pub http: Option<String>,
    /// Whether this hub looks for and shows itself to devices on the network.
    pub discovery: Switch,
    pub uptime_s: u64,
    pub ledger: LedgerHead,
    /// Consent prompts that wait for the owner.
    pub prompts: usize,
    /// Incoming offers that wait for the owner.
    pub offers: usize,
    /// What is off because it was refused or never asked, and how to turn it on.
    pub off: Vec<OffFeature>,
    /// First start: nobody has decided anything yet.
    pub first_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    On,
    /// Refused by the owner.
    Off,
    /// Never decided.
    Undecided,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OffFeature {
    pub entry: String,
    pub title: String,
    /// What does not work without it.
    pub effect: String,
    /// A command that turns it on.
    pub turn_on: String,
}

fn yes() -> bool {
    true
}

/// `GET|PUT /settings`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// Folder for received files.
    pub inbox: String,
    /// Show desktop notifications for offers.
    pub notify: bool,
    /// Tell of smoke, water, a siren and other alarms of the house; they are told when nothing is said.
    #[serde(default = "yes")]
    pub alarms: bool,
    /// Relay of the owner's own; none by default.
    pub relay: Option<String>,
}

/// `POST /settings/reset-id`: this device has new ids and a new link key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct IdReset {
    /// Paired devices that were connected: they know the new key and come back by themselves.
    pub told: Vec<String>,
    /// Paired devices that were away: pair with them again.
    pub pair_again: Vec<String>,
}
