//! Devices and pairing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Body, Discreet, Id, Wanted};
use crate::api::faces::JoinDevices;
use crate::api::guard::Caller;
use crate::api::types::{
    AddDevice, ApiError, ConfirmPairing, Device, DeviceChange, Devices, Pairing, Pairings, StartPairing, Ticket,
};
use crate::daemon::hub::Hub;

/// All devices, this one included
#[utoipa::path(get, path = "/devices", tag = "devices", responses((status = 200, body = Devices)))]
pub async fn list(State(hub): State<Arc<Hub>>) -> Json<Devices> {
    Json(Devices { devices: hub.devices() })
}

/// Look for a hub at an address, where multicast is blocked
#[utoipa::path(post, path = "/devices", tag = "devices", request_body = AddDevice,
    responses((status = 200, body = Device), (status = 400, body = ApiError), (status = 409, body = ApiError), (status = 502, body = ApiError)))]
pub async fn add(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<AddDevice>) -> Answer<Json<Device>> {
    Ok(Json(hub.add_device(&wanted.address).await?))
}

/// One device
#[utoipa::path(get, path = "/devices/{id}", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    responses((status = 200, body = Device), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn get(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Device>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.device(&id)?))
}

/// Name, place, prefer, block or trust a device
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    request_body = DeviceChange, responses((status = 200, body = Device), (status = 400, body = ApiError), (status = 403, body = ApiError),
        (status = 404, body = ApiError)))]
pub async fn change(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Wanted(change): Wanted<DeviceChange>,
) -> Answer<Json<Device>> {
    // A browser that somebody else got hold of must not become a keyboard of this computer.
    if change.remote_input == Some(true) && caller != Caller::Owner {
        return Err(Failure::forbidden(
            "Who may type here is decided at this computer: run `accord devices set DEVICE --remote-input true`.",
        ));
    }
    let id = hub.resolve(&id)?;
    Ok(Json(hub.blocking(move |hub| hub.change_device(&id, change)).await?))
}

/// Two devices are one thing: join them
#[utoipa::path(post, path = "/devices/join", tag = "devices", request_body = JoinDevices,
    responses((status = 200, body = Device), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn join(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<JoinDevices>) -> Answer<Json<Device>> {
    Ok(Json(hub.blocking(move |hub| hub.join_devices(&wanted)).await?))
}

/// A face of a device is a device of its own: split it off; all of them, when the device itself is named
#[utoipa::path(post, path = "/devices/{id}/split", tag = "devices", params(("id" = String, Path, description = "Id of a face, or of the device")),
    responses((status = 200, body = Device), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn split(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Device>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.blocking(move |hub| hub.split_device(&id)).await?))
}

/// Paired devices and pairings under way
#[utoipa::path(get, path = "/pairings", tag = "pairing", responses((status = 200, body = Pairings)))]
pub async fn pairings(State(hub): State<Arc<Hub>>) -> Answer<Json<Pairings>> {
    Ok(Json(hub.blocking(|hub| hub.pairings()).await?))
}

/// Start pairing with a device, a ticket or an address
#[utoipa::path(post, path = "/pairings", tag = "pairing", request_body = StartPairing,
    responses((status = 200, body = Pairing), (status = 400, body = ApiError), (status = 409, body = ApiError), (status = 502, body = ApiError)))]
pub async fn pair(State(hub): State<Arc<Hub>>, Discreet(wanted): Discreet<StartPairing>) -> Answer<Json<Pairing>> {
    Ok(Json(hub.start_pairing(wanted).await?))
}

/// One pairing
#[utoipa::path(get, path = "/pairings/{id}", tag = "pairing", params(("id" = String, Path)),
    responses((status = 200, body = Pairing), (status = 404, body = ApiError)))]
pub async fn pairing(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Pairing>> {
    Ok(Json(hub.pairing(&id)?))
}

/// The codes match: let this device in
#[utoipa::path(post, path = "/pairings/{id}/confirm", tag = "pairing", params(("id" = String, Path)), request_body = ConfirmPairing,
    responses((status = 200, body = Pairing), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn confirm(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(wanted): Body<ConfirmPairing>,
) -> Answer<Json<Pairing>> {
    let surface = if caller == Caller::Owner { "cli" } else { "web" };
    Ok(Json(hub.confirm_pairing(&id, wanted, surface).await?))
}

/// Do not let this device in
#[utoipa::path(post, path = "/pairings/{id}/reject", tag = "pairing", params(("id" = String, Path)),
    responses((status = 200, body = Pairing), (status = 404, body = ApiError)))]
pub async fn reject(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<Pairing>> {
    Ok(Json(hub.reject_pairing(&id).await?))
}

/// Show a ticket that another device can scan
#[utoipa::path(post, path = "/pairings/ticket", tag = "pairing",
    responses((status = 200, body = Ticket), (status = 409, body = ApiError)))]
pub async fn ticket(State(hub): State<Arc<Hub>>) -> Answer<Json<Ticket>> {
    Ok(Json(hub.show_ticket().await?))
}

/// Forget a paired device and withdraw what was agreed for it
#[utoipa::path(delete, path = "/pairings/paired/{device}", tag = "pairing",
    params(("device" = String, Path, description = "Id or unique name")),
    responses((status = 204, description = "Forgotten"), (status = 404, body = ApiError)))]
pub async fn unpair(State(hub): State<Arc<Hub>>, Id(device): Id) -> Answer<StatusCode> {
    let device = hub.resolve(&device)?;
    hub.unpair(&device).await?;
    Ok(StatusCode::NO_CONTENT)
}
