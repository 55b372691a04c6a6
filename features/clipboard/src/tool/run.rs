//! Runs one of the tools: bounded output, a deadline, its words when it fails.

use std::process::Stdio;
use std::time::Duration;

use accord_consent::outlet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::api::ClipboardError;

/// The program that copied something may be slow to hand it over, or hang.
const WITHIN: Duration = Duration::from_secs(5);
const MAX_WORDS: u64 = 2000;

/// What a tool wrote, or why not; `None` when it ended with an error of its own.
pub(super) async fn read(
    tool: &'static str,
    arguments: &[&str],
    limit: usize,
) -> Result<Option<Vec<u8>>, ClipboardError> {
    let mut command = outlet::command(tool).map_err(|error| failed(tool, error))?;
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(tool, error))?;
    let Some(stdout) = child.stdout.take() else { return Ok(None) };
    let run = async {
        let mut bytes = Vec::new();
        stdout.take(limit as u64 + 1).read_to_end(&mut bytes).await.map_err(|error| failed(tool, error))?;
        if bytes.len() > limit {
            return Err(ClipboardError::BadContent("what is in the clipboard is too large; send it as a file"));
        }
        let ended = child.wait().await.map_err(|error| failed(tool, error))?;
        Ok(ended.success().then_some(bytes))
    };
    match tokio::time::timeout(WITHIN, run).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed(tool, format!("no answer within {} s", WITHIN.as_secs()))),
    }
}

/// Gives a tool what it is to hold. It goes on in the background by itself, until something else is copied.
pub(super) async fn write(tool: &'static str, arguments: &[&str], bytes: &[u8]) -> Result<(), ClipboardError> {
    let mut command = outlet::command(tool).map_err(|error| failed(tool, error))?;
    // Its background half keeps what it inherits open: nothing of ours.
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(tool, error))?;
    let stdin = child.stdin.take();
    let run = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(bytes).await.map_err(|error| failed(tool, error))?;
            stdin.shutdown().await.map_err(|error| failed(tool, error))?;
        }
        let ended = child.wait().await.map_err(|error| failed(tool, error))?;
        if ended.success() { Ok(()) } else { Err(failed(tool, format!("it ended with {ended}"))) }
    };
    match tokio::time::timeout(WITHIN, run).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed(tool, format!("not done within {} s", WITHIN.as_secs()))),
    }
}

pub(super) fn failed(tool: &'static str, why: impl std::fmt::Display) -> ClipboardError {
    let why = accord_model::text::for_screen(&why.to_string(), MAX_WORDS as usize);
    ClipboardError::Tool { tool, why }
}
