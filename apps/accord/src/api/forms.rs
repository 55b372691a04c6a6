//! What the API says of adding devices by a form, beside [`super::types`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::types::Device;

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
    /// What is to be done before.
    pub steps: Vec<String>,
    pub fields: Vec<FormField>,
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
    /// The content of a text file.
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
}
