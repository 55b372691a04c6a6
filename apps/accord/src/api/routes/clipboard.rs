//! The clipboard, here and on devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::error::Answer;
use crate::api::extract::{Id, Wanted};
use crate::api::notices::{Clipboard, ClipboardContent, ClipboardRules, SendClipboard, SetClipboard};
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// What can be done, the owner's rules, and what devices copied
#[utoipa::path(get, path = "/clipboard", tag = "clipboard", responses((status = 200, body = Clipboard)))]
pub async fn state(State(hub): State<Arc<Hub>>) -> Answer<Json<Clipboard>> {
    Ok(Json(hub.clipboard_now()?))
}

/// What is in this computer's clipboard
#[utoipa::path(get, path = "/clipboard/content", tag = "clipboard",
    responses((status = 200, body = ClipboardContent), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn content(State(hub): State<Arc<Hub>>) -> Answer<Json<ClipboardContent>> {
    Ok(Json(hub.clipboard_content().await?))
}

/// Put a text into this computer's clipboard
#[utoipa::path(post, path = "/clipboard/content", tag = "clipboard", request_body = SetClipboard,
    responses((status = 204, description = "Copied"), (status = 400, body = ApiError), (status = 409, body = ApiError)))]
pub async fn set(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<SetClipboard>) -> Answer<StatusCode> {
    hub.set_clipboard(wanted.text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send what is in this computer's clipboard to a device
#[utoipa::path(post, path = "/clipboard/send", tag = "clipboard", request_body = SendClipboard,
    responses((status = 204, description = "Sent"), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, secret, or refused")))]
pub async fn send(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<SendClipboard>) -> Answer<StatusCode> {
    hub.send_clipboard(&wanted.device).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Set all rules
#[utoipa::path(put, path = "/clipboard/rules", tag = "clipboard", request_body = ClipboardRules,
    responses((status = 200, body = Clipboard), (status = 400, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` for a device that is to get whatever is copied")))]
pub async fn set_rules(State(hub): State<Arc<Hub>>, Wanted(rules): Wanted<ClipboardRules>) -> Answer<Json<Clipboard>> {
    Ok(Json(hub.set_clipboard_rules(rules).await?))
}

/// Put what a device copied into this computer's clipboard
#[utoipa::path(post, path = "/clipboard/offers/{device}/accept", tag = "clipboard", params(("device" = String, Path)),
    responses((status = 204, description = "Copied"), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn accept(State(hub): State<Arc<Hub>>, Id(device): Id) -> Answer<StatusCode> {
    hub.accept_clipboard(&device).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Do not take what a device copied
#[utoipa::path(post, path = "/clipboard/offers/{device}/refuse", tag = "clipboard", params(("device" = String, Path)),
    responses((status = 204, description = "Not taken"), (status = 404, body = ApiError)))]
pub async fn refuse(State(hub): State<Arc<Hub>>, Id(device): Id) -> Answer<StatusCode> {
    hub.refuse_clipboard(&device)?;
    Ok(StatusCode::NO_CONTENT)
}
