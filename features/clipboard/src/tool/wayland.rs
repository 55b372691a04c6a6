//! Wayland: `wl-copy` and `wl-paste`, which speak the data-control protocols.

use std::process::Stdio;
use std::time::Duration;

use accord_consent::outlet;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use super::run::{failed, read as run_read, write as run_write};
use super::{Change, Content};
use crate::api::ClipboardError;

const MAX_TYPES: usize = 64 << 10;
/// Changes are told at most so often.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn types() -> Result<Vec<String>, ClipboardError> {
    let listed = run_read("wl-paste", &["--list-types"], MAX_TYPES).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&listed).lines().map(str::to_owned).collect())
}

pub(super) async fn read(name: &str, limit: usize) -> Result<Vec<u8>, ClipboardError> {
    let arguments = ["--no-newline", "--type", name];
    Ok(run_read("wl-paste", &arguments, limit).await?.unwrap_or_default())
}

pub(super) async fn write(content: &Content) -> Result<(), ClipboardError> {
    let name = match content {
        Content::Text(_) => "text/plain;charset=utf-8",
        Content::Image(_) => "image/png",
    };
    run_write("wl-copy", &["--type", name], content.bytes()).await
}

/// `wl-paste --watch` runs a command for each change; this one says the state that wl-clipboard knows since 2.2.
pub(super) async fn watch(tell: mpsc::Sender<Change>) -> Result<(), ClipboardError> {
    let mut command = outlet::command("wl-paste").map_err(|error| failed("wl-paste", error))?;
    command.args(["--watch", "sh", "-c", "cat >/dev/null; echo \"${CLIPBOARD_STATE:-data}\""]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed("wl-paste", error))?;
    let Some(stdout) = child.stdout.take() else { return Ok(()) };
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line.map_err(|error| failed("wl-paste", error))?,
            () = tell.closed() => return Ok(()),
        };
        let Some(line) = line else {
            let why = "it ended; does this compositor have the data-control protocol?";
            return Err(failed("wl-paste", why));
        };
        let change = if line.trim() == "data" { Change::Copied } else { Change::Nothing };
        if tell.send(change).await.is_err() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
