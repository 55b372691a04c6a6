//! Sharing by link.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Ids, Wanted};
use crate::api::shares::{AnswerVisitor, Share, ShareCode, Shares, StartShare};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// Open shares, newest first
#[utoipa::path(get, path = "/shares", tag = "shares", responses((status = 200, body = Shares)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Shares> {
    Json(Shares { shares: hub.shares_now().await })
}

/// Share files, folders or a text with browsers near
#[utoipa::path(post, path = "/shares", tag = "shares", request_body = StartShare,
    responses((status = 200, body = Share), (status = 400, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn start(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<StartShare>) -> Answer<Json<Share>> {
    Ok(Json(hub.start_share(wanted).await?))
}

/// One share
#[utoipa::path(get, path = "/shares/{id}", tag = "shares", params(("id" = String, Path)),
    responses((status = 200, body = Share), (status = 404, body = ApiError)))]
pub async fn get(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Share>> {
    Ok(Json(hub.share_now(&id).await?))
}

/// Its address as a QR code
#[utoipa::path(get, path = "/shares/{id}/code", tag = "shares", params(("id" = String, Path)),
    responses((status = 200, body = ShareCode), (status = 404, body = ApiError)))]
pub async fn code(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<ShareCode>> {
    Ok(Json(hub.share_code(&id).await?))
}

/// Stop sharing; nothing is sent any more once this returns
#[utoipa::path(delete, path = "/shares/{id}", tag = "shares", params(("id" = String, Path)),
    responses((status = 204, description = "Over"), (status = 404, body = ApiError)))]
pub async fn stop(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.stop_share(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a visitor in, or not
#[utoipa::path(post, path = "/shares/{id}/visitors/{visitor}", tag = "shares",
    params(("id" = String, Path), ("visitor" = u64, Path)), request_body = AnswerVisitor,
    responses((status = 200, body = Share), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn answer(
    State(hub): State<Arc<Hub>>,
    Ids(id, visitor): Ids,
    Wanted(wanted): Wanted<AnswerVisitor>,
) -> Answer<Json<Share>> {
    let visitor = visitor.parse().map_err(|_| Failure::not_found("There is no such visitor."))?;
    let answered = hub.blocking(move |hub| hub.answer_visitor(&id, visitor, &wanted)).await?;
    Ok(Json(answered))
}
