//! Files, texts and links from a device. Payloads are connected to at once, since a sender waits no longer than ten
//! seconds, and read once the owner said yes.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use accord_model::{FromBridge, Inputs, StreamId, Target, Timestamp};
use accord_ports::files::wire::{Kind, MAX_PREVIEW, Offer, StopReason, Time};
use accord_ports::files::{Giver, IDLE, PortError, pair};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::link::at;
use super::payload::{Context, Portion, fetch};
use crate::core::Private;
use crate::core::batch::{InFile, PATIENCE, ReceiveBatch, Taken, file_name};
use crate::core::packet::{Body, PayloadInfo, Share};
use crate::core::payload::Size;

/// Offers of one device that may wait.
const WAITING: usize = 64;
/// Texts and links of one device that wait for the owner at once.
const TEXTS: usize = 8;
/// The most that is taken of a payload whose sender does not know how long it is.
const UNKNOWN_UP_TO: u64 = 1 << 40;

/// A `share.request` or an update of it, and where the device is.
pub(crate) struct Offered {
    pub body: Body,
    pub payload: Option<PayloadInfo>,
    pub address: IpAddr,
}

/// Takes what one device offers, until the handle is dropped.
pub(crate) fn begin(ctx: Context) -> (mpsc::Sender<Offered>, AbortOnDropHandle<()>) {
    let (to, offers) = mpsc::channel(WAITING);
    // The device counts as busy while something moves, not while this task waits for it.
    let busy = ctx.busy.as_ref().map(Arc::downgrade).unwrap_or_default();
    let ctx = Context { busy: None, ..ctx };
    let task = Taking { ctx, busy, offers, texts: Arc::new(Semaphore::new(TEXTS)), skipped: None };
    (to, AbortOnDropHandle::new(tokio::spawn(task.run())))
}

struct Taking {
    ctx: Context,
    busy: Weak<()>,
    offers: mpsc::Receiver<Offered>,
    texts: Arc<Semaphore>,
    /// Files of a batch that the owner refused or stopped and that the device does not know of.
    skipped: Option<(u64, Instant)>,
}

#[derive(Default)]
struct Batch {
    core: ReceiveBatch,
    queue: VecDeque<Fetching>,
    well: u64,
}

/// A file, and the bytes that come of it.
struct Fetching {
    file: InFile,
    portions: Option<mpsc::Receiver<Portion>>,
}

impl Taking {
    async fn run(mut self) {
        while let Some(offered) = self.offers.recv().await {
            let _busy = self.busy.upgrade();
            let mut batch = Batch::default();
            self.add(&mut batch, offered);
            if !batch.queue.is_empty() {
                self.take(batch).await;
            }
        }
    }

    /// One more share, which may belong to this batch.
    fn add(&mut self, batch: &mut Batch, offered: Offered) {
        let Offered { body, payload, address } = offered;
        let share = match body {
            Body::Share(share) => share,
            Body::ShareUpdate(update) => return batch.core.update(&update),
            _ => return,
        };
        if share.filename.is_some() && self.is_skipped(&share) {
            return;
        }
        match batch.core.share(&share, payload, Instant::now()) {
            Ok(Taken::Text(text)) => self.text(Kind::Text, text),
            Ok(Taken::Link(link)) => self.text(Kind::Url, link),
            Ok(Taken::Fetch(_) | Taken::Waits) => {
                let file = in_file(&share, payload);
                let portions = file.port.map(|port| {
                    let size = file.size.map_or(Size::UpTo(UNKNOWN_UP_TO), Size::Exactly);
                    fetch(self.ctx.clone(), SocketAddr::new(address, port), size)
                });
                batch.queue.push_back(Fetching { file, portions });
            }
            Err(error) => tracing::info!(device = %self.ctx.device, %error, "a share is not taken"),
        }
    }

    async fn take(&mut self, mut batch: Batch) {
        let Ok(mut giver) = open(&self.ctx).await else { return };
        let offer = offer_of(&batch);
        let answered = {
            let asking = giver.offer(offer);
            tokio::pin!(asking);
            loop {
                tokio::select! {
                    answered = &mut asking => break answered,
                    Some(offered) = self.offers.recv() => self.add(&mut batch, offered),
                }
            }
        };
        let taken = match answered {
            Ok(()) => self.give_all(&mut giver, &mut batch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::info!(device = %self.ctx.device, %error, "files of a device are not taken further");
            return self.skip(&batch);
        }
        // There is no word for "the sender stopped" in KDE Connect: what broke and never came whole is that.
        let ended = if batch.well == 0 {
            giver.stop(StopReason::Cancelled).await;
            Ok(())
        } else {
            giver.finish().await.map(drop)
        };
        if let Err(error) = ended {
            tracing::info!(device = %self.ctx.device, %error, "files of a device did not all reach the inbox");
        }
    }

    async fn give_all(&mut self, giver: &mut Giver, batch: &mut Batch) -> Result<(), PortError> {
        loop {
            while let Some(mut fetching) = batch.queue.pop_front() {
                let well = self.give(giver, batch, &mut fetching).await?;
                batch.well += u64::from(well);
                batch.core.ended(well, Instant::now());
            }
            let until = batch.core.timeout();
            if batch.core.close(Instant::now()).is_some() || until.is_none() {
                return Ok(());
            }
            tokio::select! {
                Some(offered) = self.offers.recv() => self.add(batch, offered),
                () = at(until) => {}
                () = tokio::time::sleep(IDLE) => giver.idle().await?,
            }
        }
    }

    /// Gives one file. False when it did not come whole.
    async fn give(&mut self, giver: &mut Giver, batch: &mut Batch, fetching: &mut Fetching) -> Result<bool, PortError> {
        let Fetching { file, portions } = fetching;
        let key = giver.file(file.name.as_str(), file.size, time(file.last_modified)).await?;
        let Some(portions) = portions else {
            giver.end().await?;
            return Ok(true);
        };
        loop {
            tokio::select! {
                portion = portions.recv() => match portion {
                    Some(Portion::Bytes(bytes)) => giver.content(&bytes).await?,
                    Some(Portion::Whole) => {
                        giver.end().await?;
                        return Ok(true);
                    }
                    Some(Portion::Failed(error)) => {
                        tracing::info!(device = %self.ctx.device, %error, "a file did not come whole");
                        giver.abandon(key).await?;
                        return Ok(false);
                    }
                    None => {
                        giver.abandon(key).await?;
                        return Ok(false);
                    }
                },
                Some(offered) = self.offers.recv() => self.add(batch, offered),
                () = tokio::time::sleep(IDLE) => giver.idle().await?,
            }
        }
    }

    /// A text or a link: an offer of its own.
    fn text(&self, kind: Kind, text: Private) {
        let Ok(permit) = self.texts.clone().try_acquire_owned() else {
            return tracing::info!(device = %self.ctx.device, "it sends too many texts at once");
        };
        let ctx = self.ctx.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let bytes = text.as_str().as_bytes();
            let size = bytes.len() as u64;
            let offer = Offer { kind, ..Giver::new_offer(transfer(), 1, size) };
            let given = async {
                let mut giver = open(&ctx).await?;
                giver.offer(offer).await?;
                giver.file("text", Some(size), Time::default()).await?;
                giver.content(bytes).await?;
                giver.end().await?;
                giver.finish().await.map(drop)
            };
            if let Err(error) = given.await {
                tracing::info!(device = %ctx.device, %error, "a text of a device is not taken");
            }
        });
    }

    fn skip(&mut self, batch: &Batch) {
        let progress = batch.core.progress();
        let known = progress.ended + batch.queue.len() as u64 + 1;
        let left = progress.files.saturating_sub(known);
        self.skipped = (left > 0).then(|| (left, Instant::now() + PATIENCE));
    }

    fn is_skipped(&mut self, share: &Share) -> bool {
        let of_many = share.number_of_files.is_some_and(|files| files > 1);
        match &mut self.skipped {
            Some((left, until)) if of_many && *left > 0 && Instant::now() < *until => {
                *left -= 1;
                *until = Instant::now() + PATIENCE;
                true
            }
            _ => {
                self.skipped = None;
                false
            }
        }
    }
}

/// A stream to the feature.
pub(super) async fn open(ctx: &Context) -> Result<Giver, PortError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (ours, theirs) = pair("kdeconnect");
    let stream = StreamId(NEXT.fetch_add(1, Ordering::Relaxed));
    let (device, target, inputs) = (ctx.device.clone(), Target::new("files"), Inputs::new());
    let opened = FromBridge::StreamOpened { stream, device, target, inputs };
    let sent = ctx.outbox.send((opened, Some(ours))).await;
    sent.map_err(|_| PortError::Broken(std::io::ErrorKind::NotConnected.into()))?;
    Ok(Giver::new(theirs))
}

fn offer_of(batch: &Batch) -> Offer {
    let progress = batch.core.progress();
    let known: u64 = batch.queue.iter().filter_map(|fetching| fetching.file.size).sum();
    let (files, bytes) = (progress.files.max(1), progress.bytes.max(known));
    let preview = batch.queue.iter().take(MAX_PREVIEW);
    let preview = preview.map(|fetching| Giver::preview(fetching.file.name.as_str(), fetching.file.size)).collect();
    // Devices change their totals while a batch runs.
    Offer { preview, exact: false, ..Giver::new_offer(transfer(), files, bytes) }
}

fn transfer() -> [u8; 16] {
    let mut id = [0; 16];
    if getrandom::fill(&mut id).is_err() {
        id[..8].copy_from_slice(&Timestamp::now().as_nanosecond().to_le_bytes()[..8]);
    }
    id
}

fn in_file(share: &Share, payload: Option<PayloadInfo>) -> InFile {
    let name = share.filename.as_ref().map_or_else(|| "file".into(), file_name);
    let (size, port) = match payload {
        None | Some(PayloadInfo { size: Some(0), .. }) => (Some(0), None),
        Some(PayloadInfo { size, port }) => (size, port),
    };
    InFile { name, size, port, last_modified: share.last_modified }
}

fn time(ms: Option<i64>) -> Time {
    let ms = ms.unwrap_or_default();
    Time { seconds: ms.div_euclid(1000), nanos: (ms.rem_euclid(1000) * 1_000_000) as u32 }
}
