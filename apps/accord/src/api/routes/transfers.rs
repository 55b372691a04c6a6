//! Sending and receiving.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Body, Id, Params, Wanted};
use crate::api::guard::Caller;
use crate::api::types::{Accept, ApiError, Inbox, StartTransfer, Transfer, Transfers};
use crate::daemon::hub::Hub;
use crate::daemon::pipes::PipeError;

/// All transfers, newest first
#[utoipa::path(get, path = "/transfers", tag = "transfers", responses((status = 200, body = Transfers)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Transfers> {
    Json(Transfers { transfers: hub.transfers() })
}

/// Send files, a text or a link to a device
#[utoipa::path(post, path = "/transfers", tag = "transfers", request_body = StartTransfer,
    responses((status = 200, body = Transfer), (status = 400, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn start(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<StartTransfer>) -> Answer<Json<Transfer>> {
    Ok(Json(hub.start_transfer(wanted).await?))
}

/// Stream what a transfer with `stream` sends (through the Unix socket only)
#[utoipa::path(put, path = "/transfers/{id}/content", tag = "transfers", params(("id" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "Everything was taken over"), (status = 400, body = ApiError),
        (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn content(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    body: axum::body::Body,
) -> Answer<StatusCode> {
    if caller != Caller::Owner {
        return Err(Failure::forbidden("Streams come from the command line: `accord send DEVICE -`."));
    }
    hub.pipes.feed(&id, body.into_data_stream()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<PipeError> for Failure {
    fn from(error: PipeError) -> Self {
        let message = error.to_string();
        match error {
            PipeError::Unknown => Self::not_found(message),
            PipeError::Over => Self::conflict(message),
            PipeError::Broken(_) => Self::bad_request(message),
        }
    }
}

/// Longest wait for the end of a transfer in one request.
const LONGEST_WAIT: u32 = 30_000;

/// How one transfer is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TransferQuery {
    /// Answer when it is over, or after so many milliseconds; at most 30,000.
    #[serde(default)]
    #[param(default = 0, maximum = 30_000)]
    wait: u32,
}

/// One transfer
#[utoipa::path(get, path = "/transfers/{id}", tag = "transfers", params(("id" = String, Path), TransferQuery),
    responses((status = 200, body = Transfer), (status = 404, body = ApiError)))]
pub async fn get(
    State(hub): State<Arc<Hub>>,
    Id(id): Id,
    Params(query): Params<TransferQuery>,
) -> Answer<Json<Transfer>> {
    let within = Duration::from_millis(query.wait.min(LONGEST_WAIT).into());
    Ok(Json(hub.transfer_over(&id, within).await?))
}

/// Stop a transfer
#[utoipa::path(post, path = "/transfers/{id}/cancel", tag = "transfers", params(("id" = String, Path)),
    responses((status = 200, body = Transfer), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn cancel(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Transfer>> {
    Ok(Json(hub.cancel_transfer(&id).await?))
}

/// Try a transfer again; it goes on where it was
#[utoipa::path(post, path = "/transfers/{id}/retry", tag = "transfers", params(("id" = String, Path)),
    responses((status = 200, body = Transfer), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn retry(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Transfer>> {
    Ok(Json(hub.retry_transfer(&id).await?))
}

/// Remove a transfer that is over from the list; files stay
#[utoipa::path(delete, path = "/transfers/{id}", tag = "transfers", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn remove(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.remove_transfer(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What waits for an answer, and what was received
#[utoipa::path(get, path = "/inbox", tag = "transfers", responses((status = 200, body = Inbox)))]
pub async fn inbox(State(hub): State<Arc<Hub>>) -> Json<Inbox> {
    Json(hub.inbox())
}

/// Receive what is offered
#[utoipa::path(post, path = "/inbox/{id}/accept", tag = "transfers", params(("id" = String, Path)), request_body = Accept,
    responses((status = 200, body = Transfer), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn accept(State(hub): State<Arc<Hub>>, Id(id): Id, Body(wanted): Body<Accept>) -> Answer<Json<Transfer>> {
    Ok(Json(hub.blocking(move |hub| hub.accept_offer(&id, wanted.always)).await?))
}

/// Refuse what is offered
#[utoipa::path(post, path = "/inbox/{id}/refuse", tag = "transfers", params(("id" = String, Path)),
    responses((status = 200, body = Transfer), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn refuse(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Transfer>> {
    Ok(Json(hub.blocking(move |hub| hub.refuse_offer(&id)).await?))
}
