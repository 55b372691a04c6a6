//! The statement, what the owner decided of it, and what waits for a decision.

use accord_model::{FieldCode, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Join, Record};

/// `GET /entries` → `{ "entries": [Entry] }`: the statement joined with the owner's decisions and what was shared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entries {
    pub statement: StatementInfo,
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatementInfo {
    pub title: String,
    pub version: String,
    pub publisher: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub key: String,
    pub title: String,
    /// Who receives: `paired-device`, `local-network`, `relay`, or a company.
    pub recipient: String,
    pub recipient_name: String,
    pub means: String,
    pub fields: Vec<Field>,
    /// What is shared, in a sentence.
    pub data: String,
    pub purpose: String,
    pub scenario: String,
    pub method: String,
    pub transport: String,
    pub hosts: Vec<String>,
    pub storage: String,
    pub retention: String,
    pub rules_url: Option<String>,
    pub fingerprint: String,
    pub consents: Vec<Consent>,
    /// The newest disclosures and refusals under this entry.
    pub lately: Vec<Record>,
    /// Devices that can be added once this is agreed to.
    pub join: Option<Join>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Field {
    #[schema(value_type = String)]
    pub code: FieldCode,
    pub label: String,
    pub required: bool,
    pub sensitive: bool,
}

/// `GET /consents` → `{ "consents": [Consent] }`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Consents {
    pub consents: Vec<Consent>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    pub id: String,
    pub entry: String,
    pub entry_title: String,
    /// `any`, `network:lan`, `device:<id>`, `host:<name:port>`.
    pub to: String,
    pub to_name: String,
    pub choice: Choice,
    pub state: ConsentState,
    #[schema(value_type = Vec<String>)]
    pub fields: Vec<FieldCode>,
    #[schema(value_type = String, format = DateTime)]
    pub decided: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub withdrawn: Option<Timestamp>,
    /// Why it lapsed: what the new statement shares in addition.
    pub difference: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    Always,
    Once,
    Until,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentState {
    Given,
    Refused,
    /// A `once` that was used.
    Used,
    Expired,
    Withdrawn,
    /// The statement widened; asks again.
    Lapsed,
}

/// `POST /consents`: the owner decides. Takes effect before it answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    pub entry: String,
    /// As in [`Consent::to`]; a device's id or name is taken too. Without it: any recipient of the entry's class.
    pub to: Option<String>,
    pub choice: Choice,
    /// With `until`.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Only these fields; all when absent. Required fields cannot be left out.
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    /// Where the owner saw the entry: `web`, `cli`, `phone`.
    pub surface: Option<String>,
}

/// `GET /prompts` → `{ "prompts": [Prompt] }`: decisions that something waits for, in context.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Prompts {
    pub prompts: Vec<Prompt>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    pub id: String,
    pub entry: Entry,
    pub to: String,
    pub to_name: String,
    /// What wants it, in the owner's words: "Send 3 files to Phone".
    pub because: String,
    /// What widened since the owner last agreed.
    pub difference: Option<String>,
    /// What this very act needs, where that is known: an answer without fields grants these, and leaves out the others of the entry.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    /// These are more than was agreed to, which stands however this is answered, unless it is answered with `never`.
    #[serde(default)]
    pub adds: bool,
    #[schema(value_type = String, format = DateTime)]
    pub asked: Timestamp,
}

/// `POST /prompts/{id}`: the owner's answer to a prompt, as [`Decide`] for its entry and recipient.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerPrompt {
    pub choice: Choice,
    /// With `until`.
    pub until: Option<Timestamp>,
    #[schema(value_type = Option<Vec<String>>)]
    pub fields: Option<Vec<FieldCode>>,
    pub surface: Option<String>,
}
