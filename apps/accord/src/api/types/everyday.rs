//! The owner's commands, and who is here.

use accord_model::{DeviceKind, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET|PUT /commands`: the owner's list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCommands {
    pub commands: Vec<OwnCommand>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnCommand {
    /// What devices see.
    pub name: String,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
}

/// `GET /presence`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Presences {
    pub devices: Vec<Presence>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    pub device: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    pub here: bool,
    /// Since when it is here.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
}
