//! Casting.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::casts::{Cast, Casts, StartCast};
use crate::api::error::Answer;
use crate::api::extract::{Id, Wanted};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// What is cast now, and what ended lately, newest first
#[utoipa::path(get, path = "/casts", tag = "casts", responses((status = 200, body = Casts)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Casts> {
    Json(Casts { casts: hub.casts_now() })
}

/// Play a file of this machine on a television or loudspeaker
///
/// Answers once the device said yes; what it then really does, the list tells.
#[utoipa::path(post, path = "/casts", tag = "casts", request_body = StartCast,
    responses((status = 200, body = Cast), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn start(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<StartCast>) -> Answer<Json<Cast>> {
    Ok(Json(hub.start_cast(wanted).await?))
}

/// Stop a cast; nothing is served any more once this returns
#[utoipa::path(delete, path = "/casts/{id}", tag = "casts", params(("id" = String, Path)),
    responses((status = 204, description = "Over"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn stop(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.stop_cast(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
