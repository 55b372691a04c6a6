//! The page for screens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::error::Answer;
use crate::api::receiver::Receiver;
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// Where the page is that screens open
#[utoipa::path(get, path = "/receiver", tag = "casts", responses((status = 200, body = Receiver)))]
pub async fn get(State(hub): State<Arc<Hub>>) -> Answer<Json<Receiver>> {
    Ok(Json(hub.receiver_now().await?))
}

/// Open it; a screen that opens it shows a code then, and is added as other devices are
#[utoipa::path(post, path = "/receiver", tag = "casts", responses((status = 200, body = Receiver),
    (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn open(State(hub): State<Arc<Hub>>) -> Answer<Json<Receiver>> {
    Ok(Json(hub.open_receiver().await?))
}

/// Close it: the consent to it is taken back
#[utoipa::path(delete, path = "/receiver", tag = "casts", responses((status = 204, description = "Closed")))]
pub async fn close(State(hub): State<Arc<Hub>>) -> Answer<StatusCode> {
    hub.close_receiver().await?;
    Ok(StatusCode::NO_CONTENT)
}
