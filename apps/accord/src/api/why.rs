//! The API's types for the question why a device cannot be reached.

use accord_model::why::{Code, Fact};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /devices/{id}/why`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceWhy {
    pub device: String,
    pub name: String,
    /// Which bridge speaks for it.
    pub bridge: String,
    /// What the owner knows the protocol as: `KDE Connect`, `LocalSend`, `Accord`.
    pub app: String,
    /// It answered just now.
    pub reached: bool,
    /// What stands in the way, the reason first.
    pub obstacles: Vec<Obstacle>,
    /// What was seen.
    #[schema(value_type = Vec<Object>)]
    pub facts: Vec<Fact>,
}

/// `GET /why`: this machine itself, way by way.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HouseWhy {
    pub ways: Vec<Way>,
}

/// `GET /why/{bridge}`: what would hinder a device of that bridge from being found or reached, before it is added.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct AddWhy {
    pub bridge: String,
    pub app: String,
    /// What stands in the way here, the reason first. What it takes the owner to agree to is none of them: that is asked when it is
    /// added.
    pub obstacles: Vec<Obstacle>,
    /// In which networks its devices are looked for, once that is agreed to; nothing where none are looked for.
    pub searched: Vec<Searched>,
}

/// An interface of this machine on which devices are looked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Searched {
    /// `eth0`, `wlan0`, …
    pub interface: String,
    /// This machine's addresses there, each with the length of its network's prefix: `192.168.1.5/24`.
    pub networks: Vec<String>,
    /// Whether anybody else is heard there; absent where that is not known, or not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<bool>,
}

/// How one protocol stands here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = WhyWay)]
pub struct Way {
    pub bridge: String,
    pub app: String,
    pub obstacles: Vec<Obstacle>,
    #[schema(value_type = Vec<Object>)]
    pub facts: Vec<Fact>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Obstacle {
    /// The same in every version: `app-closed`, `other-network`, `port-taken`, …
    #[schema(value_type = String)]
    pub code: Code,
    pub weight: Weight,
    /// What is so.
    pub says: String,
    /// What to do.
    pub remedy: String,
    /// What it takes the owner to agree to, where that is what is missing.
    #[serde(default)]
    pub agree: Option<WhyAgree>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhyAgree {
    pub entry: String,
    pub title: String,
    /// As `POST /consents` takes it: `any`, or `device:<id>`.
    pub to: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// It is the reason.
    Blocks,
    /// It may be, or something works less well.
    Hinders,
}
