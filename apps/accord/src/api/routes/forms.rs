//! Adding devices by a form.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use crate::api::error::Answer;
use crate::api::extract::Discreet;
use crate::api::forms::{Add, Added, Forms};
use crate::api::guard::Caller;
use crate::api::types::ApiError;
use crate::daemon::hub::Hub;

/// What can be added by a form
#[utoipa::path(get, path = "/forms", tag = "devices", responses((status = 200, body = Forms)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Forms> {
    Json(hub.forms())
}

/// Add devices by a form. That is consent to the bridge's connection with them
#[utoipa::path(post, path = "/add", tag = "devices", request_body = Add,
    responses((status = 200, body = Added), (status = 400, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError), (status = 502, body = ApiError)))]
pub async fn add(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Discreet(wanted): Discreet<Add>,
) -> Answer<Json<Added>> {
    let surface = if caller == Caller::Owner { "cli" } else { "web" };
    Ok(Json(hub.add(wanted, surface).await?))
}
