//! The house: rooms, and what is kept of what its devices say.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use accord_home::Place;
use accord_home::history::ExportFormat;
use accord_model::{DeviceId, Timestamp};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Ids, Params, Wanted};
use crate::api::home::{
    History, HistoryKept, HistorySettings, HistoryState, HomeOrder, PutInRoom, RenameRoom, Rooms, ShowDevice, Shown,
    ShownPlace,
};
use crate::api::types::ApiError;
use crate::daemon::home;
use crate::daemon::hub::Hub;

/// Rooms, and which devices are in them
#[utoipa::path(get, path = "/home/rooms", tag = "home", responses((status = 200, body = Rooms)))]
pub async fn rooms(State(hub): State<Arc<Hub>>) -> Json<Rooms> {
    Json(hub.rooms())
}

/// All devices of a room go to another one
///
/// A single device goes to a room by `PATCH /devices/{id}` with `room`.
#[utoipa::path(post, path = "/home/rooms/rename", tag = "home", request_body = RenameRoom,
    responses((status = 200, body = Rooms), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn rename_room(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<RenameRoom>) -> Answer<Json<Rooms>> {
    Ok(Json(hub.blocking(move |hub| hub.rename_room(&wanted)).await?))
}

/// Several devices go to a room
#[utoipa::path(post, path = "/home/rooms/put", tag = "home", request_body = PutInRoom,
    responses((status = 200, body = Rooms), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn put_in_room(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<PutInRoom>) -> Answer<Json<Rooms>> {
    Ok(Json(hub.blocking(move |hub| hub.put_in_room(&wanted)).await?))
}

/// The owner's order of rooms and devices
#[utoipa::path(get, path = "/home/order", tag = "home", responses((status = 200, body = HomeOrder)))]
pub async fn order(State(hub): State<Arc<Hub>>) -> Json<HomeOrder> {
    Json(hub.home_order())
}

/// Change that order
#[utoipa::path(put, path = "/home/order", tag = "home", request_body = HomeOrder,
    responses((status = 200, body = HomeOrder), (status = 400, body = ApiError)))]
pub async fn set_order(State(hub): State<Arc<Hub>>, Wanted(wanted): Wanted<HomeOrder>) -> Answer<Json<HomeOrder>> {
    Ok(Json(hub.blocking(move |hub| hub.set_home_order(&wanted)).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Id or unique name.
    device: String,
    service: String,
    #[serde(default)]
    instance: u16,
    property: String,
    /// A day before `to` without it.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Now without it.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Seconds that a point stands for, counted from `from`; 0: as it was said; without it, what fits a graph.
    step: Option<u64>,
}

/// The course of one property
#[utoipa::path(get, path = "/home/history", tag = "home", params(HistoryQuery),
    responses((status = 200, body = History), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn history(State(hub): State<Arc<Hub>>, Params(query): Params<HistoryQuery>) -> Answer<Json<History>> {
    let HistoryQuery { device, service, instance, property, from, to, step } = query;
    let device = with_history(&hub, device).await?;
    let place = Place { service, instance, property };
    Ok(Json(hub.history(home::Wanted { device, place, from, to, step }).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeptQuery {
    /// Id or unique name; everything without it.
    device: Option<String>,
}

/// What there is a history of
#[utoipa::path(get, path = "/home/history/kept", tag = "home", params(KeptQuery),
    responses((status = 200, body = HistoryKept), (status = 404, body = ApiError)))]
pub async fn kept(State(hub): State<Arc<Hub>>, Params(query): Params<KeptQuery>) -> Answer<Json<HistoryKept>> {
    hub.write_history().await?;
    let kept = move |hub: &Arc<Hub>| {
        let device = query.device.as_deref().map(|text| hub.with_history(text)).transpose()?;
        hub.history_kept(device.as_ref())
    };
    Ok(Json(hub.blocking(kept).await?))
}

/// What is kept of what devices say, and how much that is
#[utoipa::path(get, path = "/home/history/settings", tag = "home", responses((status = 200, body = HistoryState)))]
pub async fn settings(State(hub): State<Arc<Hub>>) -> Answer<Json<HistoryState>> {
    Ok(Json(hub.blocking(|hub| hub.history_state()).await?))
}

/// Say what is kept of what devices say
#[utoipa::path(put, path = "/home/history/settings", tag = "home", request_body = HistorySettings,
    responses((status = 200, body = HistoryState), (status = 400, body = ApiError)))]
pub async fn change_settings(
    State(hub): State<Arc<Hub>>,
    Wanted(wanted): Wanted<HistorySettings>,
) -> Answer<Json<HistoryState>> {
    let change = move |hub: &Arc<Hub>| {
        hub.change_history(wanted)?;
        hub.history_state()
    };
    Ok(Json(hub.blocking(change).await?))
}

/// Delete everything that was kept of a device, also of one that is gone
#[utoipa::path(delete, path = "/home/history/of/{device}", tag = "home",
    params(("device" = String, Path, description = "Id or unique name")),
    responses((status = 204, description = "Deleted"), (status = 404, body = ApiError)))]
pub async fn delete(State(hub): State<Arc<Hub>>, Id(device): Id) -> Answer<StatusCode> {
    let device = with_history(&hub, device).await?;
    hub.delete_history(Some(&device)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete everything that was kept
#[utoipa::path(delete, path = "/home/history", tag = "home", responses((status = 204, description = "Deleted")))]
pub async fn delete_all(State(hub): State<Arc<Hub>>) -> Answer<StatusCode> {
    hub.delete_history(None).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `csv` or `json`.
    format: Option<String>,
    /// Id or unique name; all devices without it.
    device: Option<String>,
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

/// Everything that is kept, as a file
#[utoipa::path(get, path = "/home/history/export", tag = "home", params(ExportQuery),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 400, body = ApiError), (status = 404, body = ApiError)))]
pub async fn export(State(hub): State<Arc<Hub>>, Params(query): Params<ExportQuery>) -> Answer<Response> {
    let (format, media, file) = match query.format.as_deref().unwrap_or("csv") {
        "csv" => (ExportFormat::Csv, "text/csv; charset=utf-8", "attachment; filename=\"accord-history.csv\""),
        "json" => (ExportFormat::Json, "application/json", "attachment; filename=\"accord-history.json\""),
        _ => return Err(Failure::bad_request("A history is written out as `csv` or `json`.")),
    };
    hub.write_history().await?;
    let device = match query.device {
        Some(text) => Some(with_history(&hub, text).await?),
        None => None,
    };
    let to = query.to.unwrap_or_else(|| Timestamp::now() + Duration::from_secs(1));
    let range = (query.from.unwrap_or(Timestamp::UNIX_EPOCH), to);
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(8);
    tokio::task::spawn_blocking(move || {
        let mut out = std::io::BufWriter::with_capacity(64 * 1024, super::ledger::Lines(sender.clone()));
        let written = hub.export_history(device.as_ref(), range, format, &mut out).and_then(|()| out.flush());
        if let Err(error) = written {
            let _ = sender.blocking_send(Err(error));
        }
    });
    let headers = [(header::CONTENT_TYPE, media), (header::CONTENT_DISPOSITION, file)];
    Ok((headers, Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))).into_response())
}

/// The device that a text names, or the id of one that is gone: the disk is looked at for that.
async fn with_history(hub: &Arc<Hub>, text: String) -> Answer<DeviceId> {
    hub.blocking(move |hub| hub.with_history(&text)).await
}

/// Where devices can be shown beside this hub, and which are
#[utoipa::path(get, path = "/home/shown", tag = "home", responses((status = 200, body = Shown)))]
pub async fn shown(State(hub): State<Arc<Hub>>) -> Json<Shown> {
    Json(hub.shown_devices())
}

/// Show a device in a place, such as an MQTT broker for Home Assistant
///
/// Answers 409 with a prompt until the owner agreed to show devices there, and with `control` to control this device.
#[utoipa::path(put, path = "/home/shown/{place}/{device}", tag = "home", request_body = ShowDevice,
    params(("place" = String, Path, description = "Id or unique name"), ("device" = String, Path, description = "Id or unique name")),
    responses((status = 200, body = ShownPlace), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
pub async fn show(
    State(hub): State<Arc<Hub>>,
    Ids(place, device): Ids,
    Wanted(wanted): Wanted<ShowDevice>,
) -> Answer<Json<ShownPlace>> {
    Ok(Json(hub.blocking(move |hub| hub.show_device(&place, &device, wanted)).await?))
}

/// Show a device in a place no more; what is kept of it there is deleted
#[utoipa::path(delete, path = "/home/shown/{place}/{device}", tag = "home",
    params(("place" = String, Path, description = "Id or unique name"), ("device" = String, Path, description = "Id or unique name")),
    responses((status = 204, description = "Not shown there any more"), (status = 404, body = ApiError)))]
pub async fn take_back(State(hub): State<Arc<Hub>>, Ids(place, device): Ids) -> Answer<StatusCode> {
    hub.blocking(move |hub| hub.take_device_back(&place, &device)).await?;
    Ok(StatusCode::NO_CONTENT)
}
