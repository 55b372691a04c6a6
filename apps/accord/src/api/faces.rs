//! What the API says of a device's faces and of what it is recognised as.

use accord_model::{Reach, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::Trust;

/// One of the ways in which a device is here: a television may speak DLNA and Google Cast. What you agree to is agreed to
/// for one face.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Face {
    pub id: String,
    /// What it calls itself there.
    pub name: String,
    /// Which bridge speaks for it.
    pub bridge: String,
    /// What that protocol is called.
    pub speaks: String,
    pub trust: Trust,
    #[schema(value_type = String)]
    pub reach: Reach,
    pub addresses: Vec<String>,
    /// When something was heard of it last, since the hub started.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub heard: Option<Timestamp>,
}

/// What a device is, as far as it says; read here from what it says unasked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Recognised {
    pub maker: Option<Learnt>,
    pub model: Option<Learnt>,
    /// `tv`, `speaker`, `projector`, `box`, `app` or `group`.
    pub kind: Option<Learnt>,
    /// The size of its screen.
    pub screen: Option<Learnt>,
    /// How many points its picture has.
    pub picture: Option<Learnt>,
}

/// A value, and where it was learnt.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Learnt {
    pub value: String,
    pub source: String,
}

/// Two devices that are one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinDevices {
    /// Id or unique name; the joined device has its id.
    pub device: String,
    /// Id or unique name.
    pub with: String,
}
