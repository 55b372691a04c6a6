//! The list of transfers: in memory with everything that runs, and one small file each in the state folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use accord_model::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::api::{Direction, State, Transfer, TransferId};
use crate::engine::Progress;
use crate::wire::Offer;

/// What is remembered of a transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub transfer: Transfer,
    /// The id on the wire.
    pub wire: [u8; 16],
    /// Outgoing: what is sent.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
    /// Outgoing: a stream's name; its content is not remembered.
    #[serde(default)]
    pub stream: Option<String>,
    /// Outgoing: it ran before. Incoming: the owner said yes.
    #[serde(default)]
    pub accepted: bool,
    /// Incoming: what the owner was shown, and said yes to.
    #[serde(default)]
    pub offer: Option<Offer>,
    /// Incoming: the inbox that it began in.
    #[serde(default)]
    pub inbox: PathBuf,
    /// When anything happened last.
    pub touched: Timestamp,
}

/// A transfer with everything that runs for it.
pub(crate) struct Live {
    pub saved: Saved,
    pub progress: Arc<Progress>,
    pub cancel: CancellationToken,
    /// The connection that serves it now; a newer one takes over.
    pub session: CancellationToken,
    /// Held by whoever works on its files.
    pub turn: Arc<tokio::sync::Mutex<()>>,
    /// The owner's answer to an offer.
    pub answer: Option<oneshot::Sender<bool>>,
    pub reader: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub running: bool,
    /// From an earlier run of the hub, which may have been killed at any point.
    pub reloaded: bool,
    pub rate: Rate,
}

impl Live {
    pub fn new(saved: Saved) -> Self {
        let progress = Progress::default();
        let transfer = &saved.transfer;
        progress.total(transfer.files_total, transfer.bytes_total, transfer.exact);
        progress.at(transfer.files_done, transfer.bytes_done);
        Self {
            saved,
            progress: Arc::new(progress),
            cancel: CancellationToken::new(),
            session: CancellationToken::new(),
            turn: Arc::default(),
            answer: None,
            reader: None,
            running: false,
            reloaded: false,
            rate: Rate::default(),
        }
    }

    /// Whether the owner has not answered yet.
    pub fn is_offer(&self) -> bool {
        let Saved { transfer, accepted, .. } = &self.saved;
        transfer.direction == Direction::In && !accepted && !transfer.state.is_over()
    }

    /// Brings the progress into what is shown and remembered.
    pub fn refresh(&mut self) {
        let (progress, transfer) = (&self.progress, &mut self.saved.transfer);
        if transfer.state.is_over() && transfer.finished.is_some() {
            return;
        }
        transfer.files_done = progress.files.load(Relaxed);
        transfer.bytes_done = progress.bytes.load(Relaxed);
        transfer.files_total = progress.files_total.load(Relaxed).max(transfer.files_done);
        transfer.bytes_total = progress.bytes_total.load(Relaxed).max(transfer.bytes_done);
        transfer.exact = progress.exact.load(Relaxed);
        let skipped = progress.skipped();
        (transfer.skipped, transfer.skipped_count) = (skipped.lines, skipped.count);
    }

    /// What is shown.
    pub fn view(&mut self) -> Transfer {
        self.refresh();
        let mut transfer = self.saved.transfer.clone();
        if transfer.state == State::Running {
            transfer.rate = self.rate.now();
            transfer.remaining_s = transfer.rate.filter(|rate| *rate > 0 && transfer.exact).map(|rate| {
                let left = transfer.bytes_total.saturating_sub(transfer.bytes_done);
                left.div_ceil(rate)
            });
        }
        transfer
    }
}

/// Bytes per second, smoothed.
#[derive(Default)]
pub(crate) struct Rate {
    last: Option<(Instant, u64)>,
    smooth: Option<f64>,
}

impl Rate {
    pub fn sample(&mut self, bytes: u64) {
        let now = Instant::now();
        if let Some((then, before)) = self.last {
            let seconds = now.duration_since(then).as_secs_f64();
            if seconds < 0.05 {
                return;
            }
            let rate = bytes.saturating_sub(before) as f64 / seconds;
            // Half of what is shown is at most a second old.
            let keep = 0.5_f64.powf(seconds);
            self.smooth = Some(self.smooth.map_or(rate, |smooth| smooth * keep + rate * (1.0 - keep)));
        }
        self.last = Some((now, bytes));
    }
    pub fn now(&self) -> Option<u64> {
        self.smooth.map(|rate| rate as u64)
    }
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Every transfer by id.
pub(crate) type Book = BTreeMap<TransferId, Live>;

/// Makes the folder, private.
pub(crate) fn prepare(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Reads every transfer that is remembered; what cannot be read is left out.
pub(crate) fn load(dir: &Path) -> io::Result<Vec<Saved>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => match fs::read(&path).map(|bytes| serde_json::from_slice::<Saved>(&bytes)) {
                Ok(Ok(saved)) => all.push(saved),
                Ok(Err(error)) => {
                    tracing::warn!(file = %path.display(), %error, "a remembered transfer cannot be read")
                }
                Err(error) => tracing::warn!(file = %path.display(), %error, "a remembered transfer cannot be read"),
            },
            Some("new") => {
                let _ = fs::remove_file(&path);
            }
            _ => {}
        }
    }
    Ok(all)
}

/// Remembers a transfer; whole or not at all.
pub(crate) fn save(dir: &Path, saved: &Saved) -> io::Result<()> {
    let path = dir.join(format!("{}.json", saved.transfer.id.as_str()));
    accord_store::replace_private(&path, &serde_json::to_vec(saved)?)
}

/// Forgets a transfer.
pub(crate) fn forget(dir: &Path, id: &TransferId) {
    let _ = fs::remove_file(dir.join(format!("{}.json", id.as_str())));
}
