//! What the API says of adding devices by a form, beside [`super::types`].

use std::collections::BTreeMap;
use std::fmt;

use accord_model::{DeviceKind, Reach};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::{Device, Offer};

/// `GET /forms`: how devices are added that are not found by themselves, or need a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Forms {
    pub forms: Vec<Form>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Form {
    pub bridge: String,
    pub way: String,
    /// As a title.
    pub what: String,
    /// The same beside other ways of its bridge: `By address`.
    #[serde(default)]
    pub how: String,
    /// What is mostly added by it.
    #[serde(default = "other")]
    #[schema(value_type = String)]
    pub kind: DeviceKind,
    /// What is to be done before.
    pub steps: Vec<String>,
    pub fields: Vec<FormField>,
    /// It can be filled in without its secrets, with `sign_in`: what a button for that says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// What can be agreed to in the same step: see [`Add::agrees`].
    #[serde(default)]
    pub offers: Vec<Offer>,
    /// What was added by it, and can be added again when it is at another address: see [`Add::again`].
    #[serde(default)]
    pub again: Vec<AddedBefore>,
}

/// A device that was added by a form.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AddedBefore {
    pub id: String,
    pub name: String,
    #[schema(value_type = String)]
    pub reach: Reach,
}

fn other() -> DeviceKind {
    DeviceKind::Other
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FormField {
    pub id: String,
    pub label: String,
    pub hint: String,
    pub kind: FormKind,
    pub required: bool,
    /// Not to be shown while it is typed; never read back.
    pub secret: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FormKind {
    Text,
    /// The content of a file: its text, or its bytes in base64 in a data URL (RFC 2397).
    File,
    /// `yes` or `no`.
    Switch,
}

/// `POST /add`: a form, filled in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Add {
    pub bridge: String,
    pub way: String,
    /// By the id of the field.
    pub inputs: BTreeMap<String, String>,
    /// The owner signs in with the device's own web page instead of giving its secrets: see [`Added::open`].
    #[serde(default)]
    pub sign_in: bool,
    /// Entries of the form's offers that the owner agrees to beside. One that is needed, and neither given nor here, is asked for.
    #[serde(default)]
    pub agrees: Vec<String>,
    /// By its id, one that was added by this form: it is at another address, or has other secrets, and stays the same device
    /// with all that was agreed to for it. Secrets that are not given stay what they are, and so does what is optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
    /// It is kept although it does not answer now, and is reached once it is there. Without this what is given by its address and
    /// does not answer is not added: `not-reached`.
    #[serde(default)]
    pub away: bool,
}

impl fmt::Debug for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Add({}/{}, {} inputs)", self.bridge, self.way, self.inputs.len())
    }
}

/// What was added. What is not reached yet says why: `GET /devices/{id}/why`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Added {
    pub devices: Vec<Device>,
    /// They are not added yet: the owner's browser is to go there, and comes back to this hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// How that stands says `GET /add/sign-in/{id}` with this id. There is one at a time, for ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_in: Option<String>,
    /// The address was given by a name: this is its number, by which what was added is known from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<LookedUp>,
}

/// Which number a name has in the networks of this machine. Nothing proves it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LookedUp {
    pub name: String,
    pub address: String,
}

/// `GET /add/sign-in/{id}`: how signing in with a device's own web page stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SigningIn {
    pub state: SigningInState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was added.
    pub devices: Vec<Device>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SigningInState {
    /// It took too long, was given up, or another one was begun since.
    None,
    /// The owner's browser has not come back yet.
    Waits,
    Done,
    Failed,
}
