//! The files that lie on other devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::browse::{FetchFile, FileAddress, Folder};
use crate::api::error::Answer;
use crate::api::extract::{Id, Params, Wanted};
use crate::api::types::{ApiError, Transfer};
use crate::daemon::hub::Hub;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FolderQuery {
    /// A folder's path on the device; without it, the places where one can begin.
    #[serde(default)]
    path: String,
}

/// What is in a folder of a device
///
/// The device is asked for it; that may take a while when it sleeps.
#[utoipa::path(get, path = "/devices/{id}/files", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name"), FolderQuery),
    responses((status = 200, body = Folder), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn list(State(hub): State<Arc<Hub>>, Id(id): Id, Params(query): Params<FolderQuery>) -> Answer<Json<Folder>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.list_folder(&id, &query.path).await?))
}

/// Have a file of a device come to the inbox
///
/// Answers with the transfer, once it has begun.
#[utoipa::path(post, path = "/devices/{id}/files/fetch", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name")), request_body = FetchFile,
    responses((status = 200, body = Transfer), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn fetch(
    State(hub): State<Arc<Hub>>,
    Id(id): Id,
    Wanted(wanted): Wanted<FetchFile>,
) -> Answer<Json<Transfer>> {
    let id = hub.resolve(&id)?;
    Ok(Json(hub.fetch_file(&id, &wanted.path).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// A file's path on the device.
    path: String,
}

/// Where a player fetches a file of a device itself
///
/// Media servers have such addresses. Nothing is told to a player by this.
#[utoipa::path(get, path = "/devices/{id}/files/address", tag = "devices",
    params(("id" = String, Path, description = "Id or unique name"), FileQuery),
    responses((status = 200, body = FileAddress), (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 502, body = ApiError),
        (status = 409, body = ApiError, description = "`consent-needed` with the prompt, or refused")))]
pub async fn address(
    State(hub): State<Arc<Hub>>,
    Id(id): Id,
    Params(query): Params<FileQuery>,
) -> Answer<Json<FileAddress>> {
    let id = hub.resolve(&id)?;
    let found = hub.file_address(&id, &query.path).await?;
    let accord_browse::Located { address, title, format, seek, length } = found;
    Ok(Json(FileAddress { address, title, format, seek, length }))
}
