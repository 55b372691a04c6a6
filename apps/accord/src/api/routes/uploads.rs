//! Files on their way from a browser.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use accord_model::Timestamp;
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Params};
use crate::api::types::{ApiError, Upload, Uploaded};
use crate::daemon::hub::Hub;
use crate::daemon::uploads::{Look, UploadError};

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let message = error.to_string();
        match error {
            UploadError::Unknown => Self::not_found(message),
            UploadError::TooMany | UploadError::TooManyFiles | UploadError::Exists(_) => Self::conflict(message),
            UploadError::NoSpace(_) => Self::no_space(message),
            UploadError::BadPath(_) | UploadError::Stalled | UploadError::Broken(_) => Self::bad_request(message),
            UploadError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Self::no_space(message)
            }
            UploadError::Io { .. } => Self::internal("The upload failed", message),
        }
    }
}

/// Begin an upload
#[utoipa::path(post, path = "/uploads", tag = "transfers", responses((status = 200, body = Upload), (status = 409, body = ApiError)))]
pub async fn create(State(hub): State<Arc<Hub>>) -> Answer<Json<Upload>> {
    Ok(Json(Upload { id: hub.uploads.create()? }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Where the file lies in what is sent: `photos/2026/a.jpg`.
    path: String,
    /// When it was last changed: RFC 3339, or milliseconds since 1970.
    mtime: Option<String>,
    executable: Option<bool>,
}

/// Stream one file into an upload
#[utoipa::path(put, path = "/uploads/{id}/files", tag = "transfers", params(("id" = String, Path), FileQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = Uploaded), (status = 400, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError), (status = 507, body = ApiError)))]
pub async fn put_file(
    State(hub): State<Arc<Hub>>,
    Id(id): Id,
    Params(file): Params<FileQuery>,
    body: Bytes,
) -> Answer<Json<Uploaded>> {
    let modified = file.mtime.as_deref().map(modified).transpose()?;
    let look = Look { modified, executable: file.executable.unwrap_or(false) };
    let bytes = hub.uploads.put(&id, &file.path, look, body.into_data_stream()).await?;
    Ok(Json(Uploaded { path: file.path, bytes }))
}

/// Give an upload up
#[utoipa::path(delete, path = "/uploads/{id}", tag = "transfers", params(("id" = String, Path)),
    responses((status = 204, description = "Gone"), (status = 404, body = ApiError)))]
pub async fn discard(State(hub): State<Arc<Hub>>, Id(id): Id) -> Answer<StatusCode> {
    hub.uploads.discard(&id)?;
    Ok(StatusCode::NO_CONTENT)
}

fn modified(text: &str) -> Answer<SystemTime> {
    if let Ok(millis) = text.parse::<u64>() {
        return SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(millis))
            .ok_or_else(|| Failure::bad_request("`mtime` is too far in the future."));
    }
    let time: Timestamp =
        text.parse().map_err(|_| Failure::bad_request("`mtime` is RFC 3339 or milliseconds since 1970."))?;
    SystemTime::try_from(time).map_err(|_| Failure::bad_request("`mtime` is out of range."))
}
