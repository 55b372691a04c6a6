//! Pairing, and adding devices.

use std::collections::BTreeMap;

use accord_model::{DeviceKind, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Field, LedgerHead};

/// `GET /pairings`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pairings {
    /// Devices that are paired.
    pub paired: Vec<PairedDevice>,
    /// Pairings that run now or ended in the last minutes.
    pub running: Vec<Pairing>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PairedDevice {
    pub device: String,
    pub name: String,
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Short form of the other device's statement key, to compare by eye.
    pub fingerprint: String,
    /// The head of their ledger that we keep as witness, and ours that they keep.
    pub witness_of: Option<LedgerHead>,
    pub witnessed_by: Option<LedgerHead>,
}

/// `POST /pairings`: exactly one of the fields. `GET /pairings/{id}` follows it.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartPairing {
    /// A device from `devices` (its id or its name).
    pub device: Option<String>,
    /// A ticket or the content of a QR code: `accord:pair/1?…`.
    pub ticket: Option<String>,
    /// `ip:port` of a hub.
    pub address: Option<String>,
    /// With `device`: what its service `pairing` wants for `request`, such as a token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

impl std::fmt::Debug for StartPairing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, ticket, address, inputs } = self;
        let ticket = if ticket.is_some() { "a ticket" } else { "no ticket" };
        write!(f, "StartPairing({device:?}, {ticket}, {address:?}, {} inputs)", inputs.len())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pairing {
    pub id: String,
    pub direction: Direction,
    pub method: PairingMethod,
    pub state: PairingState,
    pub device: Option<String>,
    pub name: Option<String>,
    #[schema(value_type = Option<String>)]
    pub kind: Option<DeviceKind>,
    /// Six digits to compare with the other screen.
    pub code: Option<String>,
    /// What the other device will learn once paired (entry `link/connection`).
    pub shares: Vec<Field>,
    /// What can be agreed to in the same step: see [`ConfirmPairing::agrees`].
    #[serde(default)]
    pub offers: Vec<Offer>,
    pub error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub deadline: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    In,
    Out,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingMethod {
    Code,
    Ticket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingState {
    Connecting,
    /// A code is shown; our owner has not said whether it matches (or, by ticket, whether to let this device in).
    Compare,
    /// Our owner agreed; the other has not yet.
    Waiting,
    Done,
    Failed,
}

/// `POST /pairings/{id}/confirm`: with the code typed from the other screen, or without when the owner compared it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPairing {
    pub code: Option<String>,
    /// Entries of the pairing's offers that the owner agrees to beside.
    #[serde(default)]
    pub agrees: Vec<String>,
}

/// An entry that can be agreed to where a device is added.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    pub entry: String,
    /// `Control it from here`
    pub title: String,
    /// What that shares, in a sentence.
    pub says: String,
    /// What is granted by it.
    pub fields: Vec<Field>,
    /// Without it, nothing comes of adding it.
    pub needed: bool,
}

/// `POST /pairings/ticket`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// The pairing that waits for someone to use it.
    pub pairing: String,
    pub ticket: String,
    /// The same as a QR code.
    pub qr_svg: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
}

/// How devices of one kind are added, once an entry lets this machine be found by them. They are of the bridge that owns
/// the entry: `devices` show it as `bridge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Join {
    /// `Phone with KDE Connect`
    pub what: String,
    /// What most of them are.
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// What is to be done on the device, by its system.
    pub systems: Vec<JoinSystem>,
    /// It opens a page; `GET /receiver` tells where.
    pub page: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinSystem {
    pub name: String,
    pub steps: Vec<String>,
}
