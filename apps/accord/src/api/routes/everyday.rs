//! Devices told what to do, the owner's commands, who is here.

use std::sync::Arc;

use accord_model::Outputs;
use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde::Deserialize;

use super::casts::only_a_picture;
use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Params, Wanted};
use crate::api::guard::Caller;
use crate::api::types::{ApiError, Call, OwnCommands, Presences};
use crate::daemon::hub::Hub;

/// Tell one service of a device to read, set or do something
#[utoipa::path(post, path = "/devices/{id}/call", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name; `this` for this machine")), request_body = Call,
    responses((status = 200, description = "What the device answers, by name", body = Object), (status = 400, body = ApiError),
        (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, `confirm-needed`, or refused")))]
pub async fn call(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Wanted(call): Wanted<Call>,
) -> Answer<Json<Outputs>> {
    let id = hub.resolve(&id)?;
    let from = if caller == Caller::Owner { "from the command line" } else { "from the web UI" };
    Ok(Json(hub.call_device(&id, call, from).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Which of its services `picture`.
    #[serde(default)]
    instance: u16,
}

/// What a camera sees now, or whatever else a device has to be looked at
///
/// The device is asked for it; that may take a while when it sleeps. Nothing of it is kept.
#[utoipa::path(get, path = "/devices/{id}/picture", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name"), Which),
    responses((status = 200, content_type = "image/*", body = Vec<u8>), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn picture(State(hub): State<Arc<Hub>>, Id(id): Id, Params(which): Params<Which>) -> Answer<Response> {
    let id = hub.resolve(&id)?;
    let picture = hub.look_at(&id, which.instance).await?;
    Ok(only_a_picture(picture.format(), picture.into_bytes(), "no-store"))
}

/// Commands that devices may be allowed to have run
#[utoipa::path(get, path = "/commands", tag = "devices", responses((status = 200, body = OwnCommands)))]
pub async fn commands(State(hub): State<Arc<Hub>>) -> Json<OwnCommands> {
    Json(hub.commands())
}

/// Write the list of commands anew (only at this computer's command line)
#[utoipa::path(put, path = "/commands", tag = "devices", request_body = OwnCommands,
    responses((status = 200, body = OwnCommands), (status = 400, body = ApiError), (status = 403, body = ApiError)))]
pub async fn change_commands(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Wanted(wanted): Wanted<OwnCommands>,
) -> Answer<Json<OwnCommands>> {
    // A browser that somebody else got hold of must not become a shell.
    if caller != Caller::Owner {
        return Err(Failure::forbidden("Commands are written down at this computer: run `accord commands add`."));
    }
    Ok(Json(hub.blocking(move |hub| hub.change_commands(wanted)).await?))
}

/// Paired devices and whether they are here
#[utoipa::path(get, path = "/presence", tag = "devices", responses((status = 200, body = Presences)))]
pub async fn presence(State(hub): State<Arc<Hub>>) -> Answer<Json<Presences>> {
    Ok(Json(hub.presence()?))
}
