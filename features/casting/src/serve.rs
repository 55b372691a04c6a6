//! Serves one file to one device: HEAD and GET with ranges (RFC 9110, 14), at one path. Everything else is not found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use accord_consent::outlet::{Served, ServedStream};
use accord_consent::{Personal, SendError};
use accord_http::{Asked, Method, RequestHead, Requests, asked, response_head};
use accord_model::{FieldCode, FieldSet};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::media::Media;

/// Connections at once: demuxers open several to look at the end of a file.
const CONNECTIONS: usize = 16;
/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// From the first byte of a request to its last, and between two.
const REQUEST_WITHIN: Duration = Duration::from_secs(20);
/// A device that is paused reads no more, and goes on later on the same connection.
const STALLS_FOR: Duration = Duration::from_secs(1800);
const AFTER_ERROR: Duration = Duration::from_millis(300);
/// What DLNA wants to know (sections 7.4.1.3.17 and on of its guidelines): bytes can be sought, nothing was converted,
/// it streams.
const FEATURES: &str = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000";

/// What is served, and what of it left.
pub(crate) struct Stand {
    pub media: Media,
    pub served: Served,
    /// The only path.
    pub path: String,
    /// Bytes of the file that the device fetched.
    pub fetched: AtomicU64,
    /// Connections now.
    pub open: AtomicUsize,
}

/// Takes connections until the cast is over.
pub(crate) async fn accept(stand: Arc<Stand>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = stand.served.accept() => accepted,
        };
        match accepted {
            Ok(Some(stream)) if stand.open.load(Ordering::Relaxed) < CONNECTIONS => {
                stand.open.fetch_add(1, Ordering::Relaxed);
                let (stand, stop) = (stand.clone(), stop.clone());
                tasks.spawn(async move {
                    if let Some(Err(why)) = stop.run_until_cancelled(answer(&stand, stream)).await {
                        tracing::debug!("a connection of a cast ended: {why}");
                    }
                    stand.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Ok(Some(_)) => {}
            Ok(None) => return stop.cancel(),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// One request, one answer.
async fn answer(stand: &Arc<Stand>, mut stream: ServedStream) -> Result<(), String> {
    let head = match tokio::time::timeout(REQUEST_WITHIN, request(&mut stream)).await {
        Ok(head) => head?,
        Err(_) => return Err("nothing was asked in time".to_owned()),
    };
    if !stand.served.is_path(&head.path) || head.path != stand.path {
        return plain(&mut stream, 404).await;
    }
    if !matches!(head.method, Method::Get | Method::Head) {
        return plain(&mut stream, 405).await;
    }
    stream.stall_after(STALLS_FOR);
    let size = stand.media.size;
    let (part, from, length) = match asked(head.range.as_deref(), size) {
        Asked::All => (None, 0, size),
        Asked::Part { from, to } => (Some((from, to)), from, to - from + 1),
        Asked::Beyond => {
            let head = response_head(416, 0, "text/plain", false, &format!("Content-Range: bytes */{size}\r\n"));
            return put(&mut stream, FieldSet::one(FieldCode::FileMeta), &head).await;
        }
    };
    let format = stand.media.format;
    let mode = if format.is_picture() { "Interactive" } else { "Streaming" };
    let mut extra = format!(
        "Accept-Ranges: bytes\r\nCache-Control: no-store\r\ntransferMode.dlna.org: {mode}\r\ncontentFeatures.dlna.org: {FEATURES}\r\n"
    );
    if let Some((from, to)) = part {
        extra.push_str(&format!("Content-Range: bytes {from}-{to}/{size}\r\n"));
    }
    let status = if part.is_some() { 206 } else { 200 };
    let bytes = response_head(status, length, format.mime, false, &extra);
    put(&mut stream, FieldSet::one(FieldCode::FileMeta), &bytes).await?;
    if head.method == Method::Head {
        return Ok(());
    }
    content(stand, &mut stream, from, length).await
}

async fn request(stream: &mut ServedStream) -> Result<RequestHead, String> {
    let mut requests = Requests::new(0);
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("it hung up".to_owned());
        }
        match requests.take(&buffer[..read]) {
            Ok(Some((head, _))) => return Ok(head),
            Ok(None) => {}
            Err(fault) => {
                plain(stream, fault.status()).await?;
                return Err(fault.to_string());
            }
        }
    }
}

async fn content(stand: &Arc<Stand>, stream: &mut ServedStream, from: u64, length: u64) -> Result<(), String> {
    let fields = FieldSet::from_iter([FieldCode::FileContent, FieldCode::FileMeta]);
    let mut sent = 0;
    while sent < length {
        let most = usize::try_from(length - sent).unwrap_or(PIECE).min(PIECE);
        let (source, at) = (stand.clone(), from + sent);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; most];
            source.media.read(at, &mut piece).map(|()| piece)
        });
        let piece = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        put(stream, fields, &piece).await?;
        sent += most as u64;
        stand.fetched.fetch_add(most as u64, Ordering::Relaxed);
    }
    Ok(())
}

async fn plain(stream: &mut ServedStream, status: u16) -> Result<(), String> {
    put(stream, FieldSet::EMPTY, &response_head(status, 0, "text/plain", false, "")).await
}

/// Writes all of it. A device that is paused does not read for long, which is no fault.
async fn put(stream: &mut ServedStream, fields: FieldSet, bytes: &[u8]) -> Result<(), String> {
    let sealed = Personal::of(fields.union(FieldSet::one(FieldCode::NetIp)), bytes);
    stream.put(&sealed).await.map_err(|error: SendError| error.to_string())
}
