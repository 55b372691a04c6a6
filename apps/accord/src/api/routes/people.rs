//! Messages and contacts of phones.

use std::sync::Arc;

use accord_people::vcard;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Ids, Params, Wanted};
use crate::api::people::{Contact, Contacts, Labelled, Message, Messages, SendMessage};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// The newest message of each conversation of a phone
#[utoipa::path(get, path = "/devices/{id}/messages", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    responses((status = 200, body = Messages), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn conversations(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Messages>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.conversations(&id).await?.into()))
}

/// Which messages.
#[derive(Debug, Deserialize)]
pub struct Before {
    before: Option<i64>,
}

/// Messages of one conversation
#[utoipa::path(get, path = "/devices/{id}/messages/{thread}", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name"), ("thread" = i64, Path),
        ("before" = Option<i64>, Query, description = "Not newer than this, in milliseconds since 1970")),
    responses((status = 200, body = Messages), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn conversation(
    State(hub): State<Arc<Hub>>,
    Ids(id, thread): Ids,
    Params(Before { before }): Params<Before>,
) -> Answer<Json<Messages>> {
    let id = hub.resolve(&id)?;
    let thread = thread.parse().map_err(|_| Failure::bad_request("A conversation is named by a whole number."))?;
    Ok(Json(hub.conversation(&id, thread, before).await?.into()))
}

/// Have a phone send a text message
#[utoipa::path(post, path = "/devices/{id}/messages", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    request_body = SendMessage,
    responses((status = 204, description = "The phone was told"), (status = 400, body = ApiError), (status = 404, body = ApiError),
        (status = 502, body = ApiError), (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn send(State(hub): State<Arc<Hub>>, Id(id): Id, Wanted(wanted): Wanted<SendMessage>) -> Answer<StatusCode> {
    let id = hub.resolve(&id)?;
    hub.send_message(&id, &wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The address book of a phone
#[utoipa::path(get, path = "/devices/{id}/contacts", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    responses((status = 200, body = Contacts), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn contacts(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Contacts>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.contacts(&id).await?.into()))
}

impl From<accord_people::Messages> for Messages {
    fn from(said: accord_people::Messages) -> Self {
        let of = |message: accord_people::message::Message| Message {
            id: message.id,
            thread: message.thread,
            text: message.text,
            addresses: message.addresses,
            date: accord_model::Timestamp::from_millisecond(message.date_ms).unwrap_or_default(),
            sent: message.sent,
            read: message.read,
            attachments: message.attachments,
        };
        Self { messages: said.messages.into_iter().map(of).collect(), more: said.more }
    }
}

impl From<accord_people::Contacts> for Contacts {
    fn from(said: accord_people::Contacts) -> Self {
        let labelled = |all: Vec<vcard::Labelled>| {
            all.into_iter().map(|one| Labelled { label: one.label, value: one.value }).collect()
        };
        let of = |card: vcard::Card| Contact {
            name: card.name,
            numbers: labelled(card.numbers),
            mails: labelled(card.mails),
        };
        Self { contacts: said.contacts.into_iter().map(of).collect(), more: said.more }
    }
}
