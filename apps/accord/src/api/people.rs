//! What the API says of messages and contacts of phones.

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /devices/{id}/messages`, and `…/messages/{thread}`: the newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    pub messages: Vec<Message>,
    /// There are more than these.
    pub more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Names it on the phone.
    pub id: i64,
    /// The conversation that it belongs to.
    pub thread: i64,
    pub text: String,
    /// With whom; of a received one, who wrote it comes first.
    pub addresses: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    pub date: Timestamp,
    /// The phone's owner wrote it.
    pub sent: bool,
    pub read: bool,
    /// Media types of what came with it; that stays on the phone.
    pub attachments: Vec<String>,
}

/// `POST /devices/{id}/messages`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Telephone numbers.
    pub to: Vec<String>,
    pub text: String,
}

/// `GET /devices/{id}/contacts`: by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Contacts {
    pub contacts: Vec<Contact>,
    /// There are more than these.
    pub more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    pub name: String,
    pub numbers: Vec<Labelled>,
    pub mails: Vec<Labelled>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Labelled {
    /// `cell`, `home`, `work`, …; empty when the phone does not say.
    pub label: String,
    pub value: String,
}
