//! The statement, the owner's decisions on it, and what waits for one.

use std::sync::Arc;

use accord_consent::{ConsentId, GateError};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Params, Wanted};
use crate::api::types::{AnswerPrompt, ApiError, Consent, Consents, Decide, Entries, Prompts};
use crate::daemon::hub::Hub;

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        let message = error.to_string();
        match error {
            GateError::NoEntry(_) | GateError::NoConsent(_) => Self::not_found(message),
            GateError::NotARecipient { .. } | GateError::WrongFields { .. } | GateError::PastEnd(_) => {
                Self::bad_request(message)
            }
            GateError::StaleNotice(_) => Self::conflict(message),
            _ => Self::internal("The decision could not be recorded", message),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatementQuery {
    /// `json` (default), `md`, `html` or `jsonld`.
    format: Option<String>,
    /// Language of the wording; English without it.
    language: Option<String>,
}

/// The statement that this hub keeps to
#[utoipa::path(get, path = "/statement", tag = "privacy", params(StatementQuery),
    responses((status = 200, description = "In the format asked for"), (status = 400, body = ApiError)))]
pub async fn statement(State(hub): State<Arc<Hub>>, Params(query): Params<StatementQuery>) -> Answer<Response> {
    let language = query.language.as_deref().unwrap_or("en");
    let (media, text) = hub.statement_as(query.format.as_deref().unwrap_or("json"), language)?;
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

/// Entries with the owner's decisions and what was shared lately
#[utoipa::path(get, path = "/entries", tag = "privacy", responses((status = 200, body = Entries)))]
pub async fn entries(State(hub): State<Arc<Hub>>) -> Answer<Json<Entries>> {
    Ok(Json(hub.blocking(|hub| hub.entries()).await?))
}

/// Every decision, also those that are over
#[utoipa::path(get, path = "/consents", tag = "privacy", responses((status = 200, body = Consents)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Consents> {
    Json(Consents { consents: hub.consents() })
}

/// Decide about an entry
#[utoipa::path(post, path = "/consents", tag = "privacy", request_body = Decide,
    responses((status = 200, body = Consent), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn decide(State(hub): State<Arc<Hub>>, Wanted(decision): Wanted<Decide>) -> Answer<Json<Consent>> {
    Ok(Json(hub.blocking(move |hub| hub.decide(&decision)).await?))
}

/// Take a consent or a refusal back; running transfers stop before this answers
#[utoipa::path(delete, path = "/consents/{id}", tag = "privacy", params(("id" = String, Path)),
    responses((status = 204, description = "Withdrawn"), (status = 404, body = ApiError)))]
pub async fn withdraw(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    let id: ConsentId = id.parse().map_err(Failure::bad_request)?;
    hub.blocking(move |hub| hub.withdraw(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Consent receipts (ISO/IEC TS 27560 as JSON-LD)
#[utoipa::path(get, path = "/consents/receipts", tag = "privacy",
    responses((status = 200, body = Object, content_type = "application/ld+json")))]
pub async fn receipts(State(hub): State<Arc<Hub>>) -> Answer<Response> {
    let receipts = hub.blocking(|hub| hub.receipts()).await?;
    Ok(([(header::CONTENT_TYPE, "application/ld+json")], receipts.to_string()).into_response())
}

/// Decisions that something waits for
#[utoipa::path(get, path = "/prompts", tag = "privacy", responses((status = 200, body = Prompts)))]
pub async fn prompts(State(hub): State<Arc<Hub>>) -> Answer<Json<Prompts>> {
    Ok(Json(Prompts { prompts: hub.blocking(|hub| hub.prompts()).await? }))
}

/// Answer a prompt
#[utoipa::path(post, path = "/prompts/{id}", tag = "privacy", params(("id" = String, Path)), request_body = AnswerPrompt,
    responses((status = 200, body = Consent), (status = 404, body = ApiError)))]
pub async fn answer(
    State(hub): State<Arc<Hub>>,
    Id(id): Id,
    Wanted(answer): Wanted<AnswerPrompt>,
) -> Answer<Json<Consent>> {
    Ok(Json(hub.blocking(move |hub| hub.answer_prompt(&id, answer)).await?))
}

/// Put a prompt off without deciding
#[utoipa::path(delete, path = "/prompts/{id}", tag = "privacy", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 404, body = ApiError)))]
pub async fn dismiss(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.dismiss_prompt(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
