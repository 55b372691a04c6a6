//! Notifications, this computer's and the devices'.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::error::Answer;
use crate::api::extract::{Id, Wanted};
use crate::api::notices::{ActLabel, NotificationRules, Notifications, ReplyText, SendNotification, SentNotification};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// What is there now, newest first
#[utoipa::path(get, path = "/notifications", tag = "notifications", responses((status = 200, body = Notifications)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Notifications> {
    Json(hub.notifications_now())
}

/// Show one on a device
#[utoipa::path(post, path = "/notifications", tag = "notifications", request_body = SendNotification,
    responses((status = 200, body = SentNotification), (status = 400, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn send(
    State(hub): State<Arc<Hub>>,
    Wanted(wanted): Wanted<SendNotification>,
) -> Answer<Json<SentNotification>> {
    Ok(Json(hub.send_notification(wanted).await?))
}

/// The owner's rules
#[utoipa::path(get, path = "/notifications/rules", tag = "notifications",
    responses((status = 200, body = NotificationRules)))]
pub async fn rules(State(hub): State<Arc<Hub>>) -> Answer<Json<NotificationRules>> {
    Ok(Json(hub.notification_rules()?))
}

/// Set all rules
#[utoipa::path(put, path = "/notifications/rules", tag = "notifications", request_body = NotificationRules,
    responses((status = 200, body = NotificationRules), (status = 400, body = ApiError)))]
pub async fn set_rules(
    State(hub): State<Arc<Hub>>,
    Wanted(rules): Wanted<NotificationRules>,
) -> Answer<Json<NotificationRules>> {
    Ok(Json(hub.set_notification_rules(rules).await?))
}

/// Dismiss it here and on every device that shows it
#[utoipa::path(post, path = "/notifications/{id}/dismiss", tag = "notifications", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn dismiss(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.dismiss_notification(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reply a text to it
#[utoipa::path(post, path = "/notifications/{id}/reply", tag = "notifications", params(("id" = String, Path)),
    request_body = ReplyText, responses((status = 204, description = "Replied"), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn reply(State(hub): State<Arc<Hub>>, Id(id): Id, Wanted(reply): Wanted<ReplyText>) -> Answer<StatusCode> {
    hub.reply_notification(&id, &reply.text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Do what one of its actions says
#[utoipa::path(post, path = "/notifications/{id}/act", tag = "notifications", params(("id" = String, Path)),
    request_body = ActLabel, responses((status = 204, description = "Done"), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn act(State(hub): State<Arc<Hub>>, Id(id): Id, Wanted(act): Wanted<ActLabel>) -> Answer<StatusCode> {
    hub.act_notification(&id, &act.action).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Copy the one-time code in it into this computer's clipboard, and nowhere else
#[utoipa::path(post, path = "/notifications/{id}/copy", tag = "notifications", params(("id" = String, Path)),
    responses((status = 204, description = "Copied"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn copy(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.copy_code(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
