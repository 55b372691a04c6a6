//! X11: `xclip`. It does not tell changes, so it is asked, only while something wants to know.

use std::time::Duration;

use tokio::sync::mpsc;

use super::run::{read as run_read, write as run_write};
use super::{Change, Content, MAX_TEXT, best};
use crate::api::ClipboardError;
use crate::content::Kind;

const MAX_TYPES: usize = 64 << 10;
const LOOK: Duration = Duration::from_millis(1000);

pub(super) async fn types() -> Result<Vec<String>, ClipboardError> {
    let listed = target("TARGETS", MAX_TYPES).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect())
}

pub(super) async fn read(name: &str, limit: usize) -> Result<Vec<u8>, ClipboardError> {
    Ok(target(name, limit).await?.unwrap_or_default())
}

pub(super) async fn write(content: &Content) -> Result<(), ClipboardError> {
    let name = match content {
        Content::Text(_) => "UTF8_STRING",
        Content::Image(_) => "image/png",
    };
    run_write("xclip", &["-selection", "clipboard", "-in", "-target", name], content.bytes()).await
}

pub(super) async fn watch(tell: mpsc::Sender<Change>) -> Result<(), ClipboardError> {
    let mut before = None;
    loop {
        let now = mark().await?;
        if before.as_ref() != Some(&now) {
            let change = if now.is_empty() { Change::Nothing } else { Change::Copied };
            if tell.send(change).await.is_err() {
                return Ok(());
            }
            before = Some(now);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = tell.closed() => return Ok(()),
        }
    }
}

/// Something that is another one after each change: when its owner took the selection (ICCCM 2.6.2), and for owners that
/// do not say, what it is.
async fn mark() -> Result<Vec<u8>, ClipboardError> {
    if let Some(time) = target("TIMESTAMP", 1024).await?
        && !time.is_empty()
    {
        return Ok(time);
    }
    let types = types().await?;
    let mut mark = types.join("\n").into_bytes();
    if let Ok((kind, name)) = best(&types) {
        let content = match kind {
            Kind::Text => read(name, MAX_TEXT).await,
            Kind::Image => read(name, super::MAX_IMAGE).await,
        };
        mark.extend(blake3::hash(&content.unwrap_or_default()).as_bytes());
    }
    Ok(mark)
}

/// `None` when nothing is copied, or its owner does not have it in this form.
async fn target(name: &str, limit: usize) -> Result<Option<Vec<u8>>, ClipboardError> {
    run_read("xclip", &["-selection", "clipboard", "-out", "-target", name], limit).await
}
