//! What is received, on its way into this machine's files: one file after the other, whatever the sender does at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use accord_model::Timestamp;
use accord_ports::files::{Giver, PortError, wire};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::core::message::FileOffer;
use crate::core::receive::UploadFault;

/// How often the feature is told that the transfer still lives, and heard whether its owner stopped it.
const BEAT: Duration = Duration::from_secs(1);

/// One transfer that the owner let in.
pub(crate) struct Lane {
    turn: Arc<Mutex<()>>,
    giver: Arc<Mutex<Option<Giver>>>,
    /// Files that may still come.
    open: AtomicUsize,
    finished: AtomicBool,
    /// Cancelled when the feature takes no more.
    broken: CancellationToken,
}

/// A file that has its turn.
pub(crate) struct Turn {
    lane: Arc<Lane>,
    key: wire::Key,
    _turn: OwnedMutexGuard<()>,
}

impl Lane {
    pub(crate) fn new(giver: Giver, files: usize) -> Arc<Self> {
        let lane = Arc::new(Self {
            turn: Arc::default(),
            giver: Arc::new(Mutex::new(Some(giver))),
            open: AtomicUsize::new(files),
            finished: AtomicBool::new(false),
            broken: CancellationToken::new(),
        });
        tokio::spawn(beat(Arc::downgrade(&lane)));
        lane
    }

    /// Cancelled when the feature takes no more: its owner cancelled, or the disk is full.
    pub(crate) fn broken(&self) -> CancellationToken {
        self.broken.clone()
    }

    /// Waits for the turn of a file, and begins it.
    pub(crate) async fn begin(self: &Arc<Self>, offer: &FileOffer) -> Result<Turn, UploadFault> {
        let turn = self.turn.clone().lock_owned().await;
        let modified = offer.modified.as_deref().and_then(|text| text.parse().ok()).unwrap_or_else(Timestamp::now);
        let time = wire::Time {
            seconds: modified.as_second(),
            nanos: modified.subsec_nanosecond().unsigned_abs().min(999_999_999),
        };
        let key = {
            let mut giver = self.giver.lock().await;
            let begun = match giver.as_mut() {
                Some(giver) => giver.file(offer.path.as_str(), Some(offer.size), time).await,
                None => return Err(gone()),
            };
            begun.map_err(|error| self.broke(&error))?
        };
        Ok(Turn { lane: self.clone(), key, _turn: turn })
    }

    /// A file will not come any more.
    pub(crate) fn gave_up(&self) {
        let _ = self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| open.checked_sub(1));
    }

    /// No more files come: what is here is brought to disk.
    pub(crate) async fn finish(&self) -> Result<(), UploadFault> {
        if self.finished.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let Some(giver) = self.giver.lock().await.take() else { return Err(gone()) };
        match giver.finish().await {
            Ok(taken) if taken.failed == 0 => Ok(()),
            Ok(taken) => Err(UploadFault::Storage(format!("{} items were not taken", taken.failed))),
            Err(error) => Err(self.broke(&error)),
        }
    }

    /// The sender stopped, or may not be answered any more.
    pub(crate) async fn stop(&self, reason: wire::StopReason) {
        self.broken.cancel();
        let giver = self.giver.lock().await.take();
        if let Some(giver) = giver {
            giver.stop(reason).await;
        }
    }

    fn broke(&self, error: &PortError) -> UploadFault {
        self.broken.cancel();
        UploadFault::Storage(error.to_string())
    }
}

impl Turn {
    /// The next bytes; the buffer comes back. In a task of its own, so that a piece is never left half way when this is
    /// dropped: no later word would be understood.
    pub(crate) async fn content(&self, piece: Vec<u8>) -> Result<Vec<u8>, UploadFault> {
        let mut giver = self.lane.giver.clone().lock_owned().await;
        let given = tokio::spawn(async move {
            match giver.as_mut() {
                Some(giver) => giver.content(&piece).await.map(|()| Some(piece)),
                None => Ok(None),
            }
        });
        match given.await {
            Ok(Ok(piece)) => piece.ok_or_else(gone),
            Ok(Err(error)) => Err(self.lane.broke(&error)),
            Err(_) => Err(gone()),
        }
    }

    /// The file is whole. Comes back once it is stored, as far as that can be known: the last one waits for all.
    pub(crate) async fn end(self) -> Result<(), UploadFault> {
        {
            let mut giver = self.lane.giver.lock().await;
            match giver.as_mut() {
                Some(giver) => giver.end().await.map_err(|error| self.lane.broke(&error))?,
                None => return Err(gone()),
            }
        }
        if self.lane.open.fetch_sub(1, Ordering::AcqRel) == 1 { self.lane.finish().await } else { Ok(()) }
    }

    /// The file did not come whole; it may come again.
    pub(crate) async fn abandon(self) {
        if let Some(giver) = self.lane.giver.lock().await.as_mut()
            && let Err(error) = giver.abandon(self.key).await
        {
            self.lane.broke(&error);
        }
    }
}

fn gone() -> UploadFault {
    UploadFault::Storage("the transfer is over here".to_owned())
}

async fn beat(lane: std::sync::Weak<Lane>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(lane) = lane.upgrade() else { return };
        let mut giver = lane.giver.lock().await;
        let Some(giver) = giver.as_mut() else { return };
        if let Err(error) = giver.idle().await {
            lane.broke(&error);
            return;
        }
    }
}
