//! Why a device cannot be reached.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};

use crate::api::error::Answer;
use crate::api::extract::Id;
use crate::api::types::ApiError;
use crate::api::why::{AddWhy, DeviceWhy, HouseWhy};
use crate::daemon::hub::Hub;

/// Why a device cannot be reached
///
/// It is asked once for that, as far as the owner agreed to speak with it; takes up to ten seconds.
#[utoipa::path(get, path = "/devices/{id}/why", tag = "devices", params(("id" = String, Path, description = "Id or unique name")),
    responses((status = 200, body = DeviceWhy), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn device(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<Json<DeviceWhy>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.why(&id).await?))
}

/// What hinders this machine from reaching devices; nothing is sent
#[utoipa::path(get, path = "/why", tag = "hub", responses((status = 200, body = HouseWhy)))]
pub async fn house(State(hub): State<Arc<Hub>>) -> Json<HouseWhy> {
    Json(hub.why_here().await)
}

/// What would hinder a device from being found or reached, before it is added; nothing is sent
#[utoipa::path(get, path = "/why/{bridge}", tag = "hub", params(("bridge" = String, Path, description = "As `GET /forms` names it")),
    responses((status = 200, body = AddWhy), (status = 404, body = ApiError)))]
pub async fn adding(State(hub): State<Arc<Hub>>, Path(bridge): Path<String>) -> Answer<Json<AddWhy>> {
    Ok(Json(hub.why_add(&bridge).await?))
}
