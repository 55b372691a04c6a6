//! Casting.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::api::casts::{Cast, CastAct, Casts, StartCast};
use crate::api::error::Answer;
use crate::api::extract::{Id, Params, Wanted};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// What is cast now, and what ended lately, newest first
#[utoipa::path(get, path = "/casts", tag = "casts", responses((status = 200, body = Casts)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Casts> {
    Json(Casts { casts: hub.casts_now() })
}

/// Play files of this machine, or what is at addresses, on a television or loudspeaker
///
/// Answers once the device said yes; what it then really does, the list and the events tell.
#[utoipa::path(post, path = "/casts", tag = "casts", request_body = StartCast,
    responses((status = 200, body = Cast), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn start(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<StartCast>) -> Answer<Json<Cast>> {
    Ok(Json(hub.start_cast(wanted).await?))
}

/// Control a cast
///
/// Answers with it, or with the other one that began where that is so.
#[utoipa::path(post, path = "/casts/{id}", tag = "casts", params(("id" = String, Path)), request_body = CastAct,
    responses((status = 200, body = Cast), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, refused, or it cannot do that now")))]
pub async fn act(State(hub): State<Arc<Hub>>, Id(id): Id, Wanted(act): Wanted<CastAct>) -> Answer<Json<Cast>> {
    Ok(Json(hub.act_on_cast(&id, act).await?))
}

/// Stop a cast; nothing is served any more once this returns
#[utoipa::path(delete, path = "/casts/{id}", tag = "casts", params(("id" = String, Path)),
    responses((status = 204, description = "Over"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn stop(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.stop_cast(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhichPicture {
    /// Which of the queue, from 0.
    at: usize,
}

/// A picture of a cast's queue, to be shown here
#[utoipa::path(get, path = "/casts/{id}/picture", tag = "casts", params(("id" = String, Path), WhichPicture),
    responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 404, body = ApiError)))]
pub async fn picture(State(hub): State<Arc<Hub>>, Id(id): Id, Params(which): Params<WhichPicture>) -> Answer<Response> {
    let (mime, content) = hub.cast_picture(&id, which.at).await?;
    Ok(only_a_picture(mime, content, "private, max-age=3600"))
}

/// Nothing but a picture is ever read into it.
pub(super) fn only_a_picture(mime: &'static str, content: Vec<u8>, kept: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, mime),
        (header::CACHE_CONTROL, kept),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    (headers, Body::from(content)).into_response()
}
