//! One command as a child process: without a shell, without input, what it prints kept up to a bound.

use std::process::Stdio;
use std::time::Duration;

use accord_consent::outlet::{OwnersCommand, owners_command};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;

/// Most bytes of what it prints.
pub const MAX_OUTPUT: usize = 16 * 1024;
/// How long the one who asked waits. A command that takes longer goes on.
const WAIT: Duration = Duration::from_secs(10);

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// None: ended by a signal.
    pub code: Option<i32>,
    /// What it printed, on either way, in the order in which it ended up here.
    pub output: Vec<u8>,
}

/// Starts it. `None`: it still runs, and goes on while `turn` is held for it.
pub async fn run(command: &OwnersCommand, turn: OwnedSemaphorePermit) -> std::io::Result<Option<Ended>> {
    let mut child =
        owners_command(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let mut running = tokio::spawn(async move {
        let _turn = turn;
        // Waited for first: what a command leaves running in the background may keep its output open for ever.
        let printed = tokio::spawn(async move { tokio::join!(read(out), read(errors)) });
        let status = child.wait().await?;
        let grace = tokio::time::timeout(Duration::from_millis(500), printed).await;
        let (mut output, errors) = grace.ok().and_then(Result::ok).unwrap_or_default();
        output.extend(errors);
        output.truncate(MAX_OUTPUT);
        Ok(Ended { code: status.code(), output })
    });
    match tokio::time::timeout(WAIT, &mut running).await {
        Ok(Ok(ended)) => ended.map(Some),
        Ok(Err(panic)) => Err(std::io::Error::other(panic)),
        Err(_) => Ok(None),
    }
}

/// Reads to the end, so that the command is not held up, and keeps the beginning.
async fn read(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length.min(MAX_OUTPUT - kept.len())]);
    }
    kept
}
