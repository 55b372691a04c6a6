//! This machine's screen on another one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::error::Answer;
use crate::api::extract::{Id, Wanted};
use crate::api::screens::{ScreenShares, ShowScreen, ShownScreen};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// Screens that are shown now, and those that ended lately, newest first
#[utoipa::path(get, path = "/screens", tag = "casts", responses((status = 200, body = ScreenShares)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<ScreenShares> {
    Json(ScreenShares { screens: hub.screens_now() })
}

/// Show what a browser on this machine captures on a device
///
/// The browser offers it over WebRTC; the hub passes it on to the device alone.
#[utoipa::path(post, path = "/screens", tag = "casts", request_body = ShowScreen,
    responses((status = 200, body = ShownScreen), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn start(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<ShowScreen>) -> Answer<Json<ShownScreen>> {
    Ok(Json(hub.show_screen(wanted).await?))
}

/// Stop showing a screen; nothing more is sent once this returns
#[utoipa::path(delete, path = "/screens/{id}", tag = "casts", params(("id" = String, Path)),
    responses((status = 204, description = "Over"), (status = 404, body = ApiError)))]
pub async fn stop(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.stop_screen(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
