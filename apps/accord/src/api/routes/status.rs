//! How the hub is, its settings, and what happens as it happens.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};

use crate::api::error::Answer;
use crate::api::extract::Wanted;
use crate::api::guard::Caller;
use crate::api::types::{ApiError, Event, IdReset, Settings, Status};
use crate::daemon::hub::Hub;

/// How the hub is, and what is off
#[utoipa::path(get, path = "/status", tag = "hub", responses((status = 200, body = Status)))]
pub async fn status(State(hub): State<Arc<Hub>>) -> Answer<Json<Status>> {
    Ok(Json(hub.blocking(|hub| hub.status()).await?))
}

/// Settings
#[utoipa::path(get, path = "/settings", tag = "hub", responses((status = 200, body = Settings)))]
pub async fn settings(State(hub): State<Arc<Hub>>) -> Json<Settings> {
    Json(hub.settings())
}

/// Change the settings
#[utoipa::path(put, path = "/settings", tag = "hub", request_body = Settings,
    responses((status = 200, body = Settings), (status = 400, body = ApiError)))]
pub async fn change_settings(
    State(hub): State<Arc<Hub>>,
    Wanted(settings): Wanted<Settings>,
) -> Answer<Json<Settings>> {
    Ok(Json(hub.blocking(move |hub| hub.change_settings(&settings)).await?))
}

/// Give this device new ids
///
/// A new link key, new announcement ids, a new port. Paired devices that are connected are told; the others must
/// be paired again.
#[utoipa::path(post, path = "/settings/reset-id", tag = "hub", responses((status = 200, body = IdReset)))]
pub async fn reset_id(State(hub): State<Arc<Hub>>) -> Answer<Json<IdReset>> {
    Ok(Json(hub.reset_id().await?))
}

/// What changes, as server-sent events: `hello` first, and again after a gap
#[utoipa::path(get, path = "/events", tag = "hub",
    responses((status = 200, description = "Stream of events; `event:` is the tag, `data:` the content", body = Event, content_type = "text/event-stream")))]
pub async fn events(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Answer<Response> {
    let mut revoked = hub.auth.revoked();
    let ended = async move {
        let Caller::Session { id } = caller else { return std::future::pending().await };
        loop {
            match revoked.recv().await {
                Ok(ended) if ended == id => return,
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    let events = hub.events.clone();
    let status = move || {
        let hub = hub.clone();
        async move { hub.blocking(|hub| hub.status()).await }
    };
    Ok(events.stream(status, ended)?.into_response())
}
