//! The ledger: pages, one record, verification and export.

use std::io::Write;
use std::sync::Arc;

use accord_consent::{LedgerError, Query as LedgerQuery};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::api::error::{Answer, Failure};
use crate::api::extract::{Id, Params};
use crate::api::types::{ApiError, LedgerPage, Record, Verification};
use crate::daemon::hub::Hub;

const PAGE: usize = 50;
const LARGEST_PAGE: usize = 500;

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::NoRecord(_) => Self::not_found(error.to_string()),
            error => Self::internal("The ledger cannot be read", error),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Any text in the record, in any case.
    search: Option<String>,
    /// One kind of record.
    kind: Option<String>,
    /// One entry of the statement.
    entry: Option<String>,
    /// `network:lan`, `device:<id>`, `host:<name:port>`, or a device's name or id.
    recipient: Option<String>,
    /// Only records before this one: `next` of the page before.
    before: Option<u64>,
    /// At most so many; 50 without it, never more than 500.
    limit: Option<usize>,
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.trim().is_empty())
}

/// Records, newest first
#[utoipa::path(get, path = "/ledger", tag = "ledger", params(PageQuery),
    responses((status = 200, body = LedgerPage), (status = 400, body = ApiError)))]
pub async fn list(State(hub): State<Arc<Hub>>, Params(query): Params<PageQuery>) -> Answer<Json<LedgerPage>> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let bad = |error: String| Failure::bad_request(error);
    let wanted = LedgerQuery {
        search: filled(query.search).map(|text| text.chars().take(200).collect()),
        kind: filled(query.kind).map(|kind| kind.parse()).transpose().map_err(bad)?,
        entry: filled(query.entry)
            .map(|entry| entry.parse().map_err(|error: accord_model::IdError| bad(error.to_string())))
            .transpose()?,
        recipient: filled(query.recipient).map(|to| hub.recipient(&to)).transpose()?,
        before: query.before,
        limit: Some(limit),
    };
    let page = hub.blocking(move |hub| hub.ledger_page(&wanted, limit)).await?;
    Ok(Json(page))
}

/// One record
#[utoipa::path(get, path = "/ledger/{seq}", tag = "ledger", params(("seq" = u64, Path)),
    responses((status = 200, body = Record), (status = 404, body = ApiError)))]
pub async fn get(State(hub): State<Arc<Hub>>, Id(seq): Id) -> Answer<Json<Record>> {
    let seq: u64 = seq.parse().map_err(|_| Failure::not_found("The ledger has no such record."))?;
    Ok(Json(hub.blocking(move |hub| hub.ledger_record(seq)).await?))
}

/// Hash every record again and check signatures and witnesses
#[utoipa::path(post, path = "/ledger/verify", tag = "ledger", responses((status = 200, body = Verification)))]
pub async fn verify(State(hub): State<Arc<Hub>>) -> Answer<Json<Verification>> {
    Ok(Json(hub.blocking(|hub| hub.verify_ledger()).await?))
}

/// Every record as one line of JSON, oldest first
#[utoipa::path(get, path = "/ledger/export", tag = "ledger",
    responses((status = 200, body = String, content_type = "application/x-ndjson")))]
pub async fn export(State(hub): State<Arc<Hub>>) -> Response {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(8);
    let ledger = hub.gate.ledger().clone();
    tokio::task::spawn_blocking(move || {
        let mut lines = std::io::BufWriter::with_capacity(64 * 1024, Lines(sender.clone()));
        if let Err(error) = ledger.export(&mut lines) {
            let _ = sender.blocking_send(Err(std::io::Error::other(error.to_string())));
        }
    });
    let name = "attachment; filename=\"accord-ledger.ndjson\"";
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CONTENT_DISPOSITION, name)];
    (headers, Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))).into_response()
}

/// Hands what is written to a response, as fast as the reader takes it.
pub(super) struct Lines(pub(super) mpsc::Sender<std::io::Result<Bytes>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the reader left"))?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
