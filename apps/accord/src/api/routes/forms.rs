//! Adding devices by a form.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::{Extension, Json};

use crate::api::error::Answer;
use crate::api::extract::Discreet;
use crate::api::forms::{Add, Added, Forms, SigningIn};
use crate::api::guard::{Caller, Door};
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
    Extension(door): Extension<Door>,
    headers: HeaderMap,
    Discreet(wanted): Discreet<Add>,
) -> Answer<Json<Added>> {
    let surface = if caller == Caller::Owner { "cli" } else { "web" };
    // The guard knows the host to be this hub's.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = match (door, host) {
        (Door::Web { tls, .. }, Some(host)) => Some(format!("{}://{host}", if tls { "https" } else { "http" })),
        _ => hub.web_url().map(str::to_owned),
    };
    Ok(Json(hub.add(wanted, surface, origin).await?))
}

/// How signing in with a device's own web page stands
#[utoipa::path(get, path = "/add/sign-in/{id}", tag = "devices", params(("id" = String, Path, description = "as `POST /add` gave it")),
    responses((status = 200, body = SigningIn)))]
pub async fn sign_in(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> Json<SigningIn> {
    Json(hub.sign_in(&id))
}

/// Give up signing in with a device's own web page. Nothing to do when it is over
#[utoipa::path(delete, path = "/add/sign-in/{id}", tag = "devices", params(("id" = String, Path, description = "as `POST /add` gave it")),
    responses((status = 204)))]
pub async fn give_up_sign_in(State(hub): State<Arc<Hub>>, Path(id): Path<String>) -> StatusCode {
    hub.give_up_sign_in(&id).await;
    StatusCode::NO_CONTENT
}
