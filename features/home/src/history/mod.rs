//! What devices of the house said: kept on this machine as long as its owner wants, asked for by range and step.
//!
//! Changes are gathered in memory and written together every two seconds; a crash loses those. Everything that was said is
//! kept some days, five minutes some weeks, hours some years, and never more on the disk than was allowed.

mod export;
mod gather;
mod kinds;
mod read;
mod settings;
mod store;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord_model::{Data, DeviceId, Reach, Target, Timestamp, Unit, Value};
use accord_ports::tasks::Tasks;
use accord_registry::{Known, Registry, RegistryEvent, WeakRegistry};
use accord_store::{JsonFile, SHORT_LOG, StoreError};
use tokio::sync::Notify;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinSet;

pub use export::Format as ExportFormat;
use gather::{FIVE, Gather};
pub use kinds::{Kind, Place, is_house_service, is_of_house};
pub use read::{Found, Point, Query};
pub use settings::Settings;
use settings::Shares;
use store::Store;

/// Who speaks for this machine itself.
const OWN: &str = "own";
const WRITE_EVERY: Duration = Duration::from_secs(2);
/// So many rows are written at once without waiting.
const MOST_WAITING: usize = 4096;
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// Looked at whether it is too much no more often than this.
const TIDY_AGAIN: Duration = Duration::from_secs(10);
/// Of what may be used, that much is left when something has to go.
const LEFT: f64 = 0.9;
/// Of what may be used on the disk, so much is for the log, and for what comes until it is looked at.
const BESIDE: u64 = SHORT_LOG + (1 << 20);
/// What is free in the file and not given back to the disk each time, for what comes next.
const FREE: u64 = 1 << 20;
const LARGEST: u64 = 1 << 20;

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Nothing is kept of it.
    #[error("nothing is kept of this; it may be off for this device, or the device has said nothing yet")]
    None,
    /// The question makes no sense.
    #[error("{0}")]
    Bad(String),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings could not be kept.
    #[error("the settings of the history could not be kept: {0}")]
    Settings(std::io::Error),
}

/// How it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Properties that are kept.
    pub kept: usize,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Less is kept than was wished, because it would be too much.
    pub shortened: bool,
}

/// One property that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Of which device.
    pub device: DeviceId,
    /// Of which property.
    pub place: Place,
    /// How.
    pub kind: Kind,
    /// In which unit.
    pub unit: Option<Unit>,
}

/// Keeps what devices of the house say, until it is dropped; [`History::stop`] writes the rest.
pub struct History {
    inner: Arc<Inner>,
    tasks: Tasks,
}

struct Inner {
    store: Store,
    gather: Mutex<Gather>,
    settings: Mutex<Settings>,
    file: JsonFile,
    /// One writes at a time, so that what is deleted is not written after that.
    writing: tokio::sync::Mutex<()>,
    shares: Mutex<Shares>,
    missed: AtomicU64,
    /// The disk took nothing the last time.
    failed: AtomicBool,
    /// Something was deleted of which there may be traces in the file.
    traces: AtomicBool,
    /// One makes the file anew at a time. What is written waits for that in the database, and nobody for it here.
    settling: tokio::sync::Mutex<()>,
    /// More is in the file than may be, as far as that can be told from its length.
    full: Notify,
    /// The last look at it left no more than may be.
    fits: AtomicBool,
}

impl History {
    /// Opens what is kept in `folder`, and follows what devices say. Make it inside a tokio runtime.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn open(folder: &Path, registry: &Registry) -> Result<Self, HistoryError> {
        let store = Store::open(folder)?;
        let file = JsonFile::new(folder.join("home.json"), LARGEST);
        let settings: Settings = file.load().map_err(HistoryError::Settings)?;
        let mut gather = Gather::new(store.kept()?);
        recover(&store, &mut gather)?;
        let inner = Arc::new(Inner {
            store,
            gather: Mutex::new(gather),
            settings: Mutex::new(settings),
            file,
            writing: tokio::sync::Mutex::default(),
            shares: Mutex::new(Shares::WHOLE),
            missed: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            traces: AtomicBool::new(false),
            settling: tokio::sync::Mutex::default(),
            full: Notify::new(),
            fits: AtomicBool::new(true),
        });
        // At once: later, what waits as an event would come after what it led to.
        let (events, registry) = (registry.events(), registry.downgrade());
        inner.look(&registry);
        let tasks = Tasks::new().with(follow(events, registry, inner.clone())).with(tidy(inner.clone()));
        Ok(Self { inner, tasks })
    }

    /// Writes what is gathered, and ends.
    pub async fn stop(&self) {
        self.tasks.stop().await;
        self.inner.gather().close(now());
        if let Err(error) = self.inner.write().await {
            tracing::warn!(%error, "the last moments of the house's history are not kept");
        }
    }

    /// What the owner wants.
    pub fn settings(&self) -> Settings {
        self.inner.settings()
    }

    /// From now on this is wanted; on disk when this returns. What is no longer wanted ends now, what is older than wanted is
    /// gone soon. Make the call inside a tokio runtime; it writes a file.
    ///
    /// # Errors
    /// [`HistoryError::Bad`], [`HistoryError::Settings`].
    pub fn change(&self, settings: Settings) -> Result<(), HistoryError> {
        settings.check().map_err(HistoryError::Bad)?;
        let mut kept = self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.file.save(&settings).map_err(HistoryError::Settings)?;
        *kept = settings;
        drop(kept);
        self.inner.gather().away_unless(|device| self.inner.keeps(device), now());
        *self.inner.shares.lock().unwrap_or_else(PoisonError::into_inner) = Shares::WHOLE;
        let inner = self.inner.clone();
        tokio::spawn(async move { inner.tidy().await });
        Ok(())
    }

    /// How it stands. Reads the disk.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    pub fn state(&self) -> Result<State, HistoryError> {
        let store = &self.inner.store;
        Ok(State {
            bytes: store.db.sizes()?.files,
            kept: store.rows(None)?.len(),
            since: store.oldest()?.and_then(|at| Timestamp::from_millisecond(at).ok()),
            shortened: *self.inner.shares.lock().unwrap_or_else(PoisonError::into_inner) != Shares::WHOLE,
        })
    }

    /// Writes down what is gathered: what was said is asked for from now on.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    pub async fn flush(&self) -> Result<(), HistoryError> {
        Ok(self.inner.write().await?)
    }

    /// What is kept, of one device when it is named. Reads the disk.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    pub fn kept(&self, device: Option<&DeviceId>) -> Result<Vec<Series>, HistoryError> {
        let rows = self.inner.store.rows(device)?;
        let of = |row: store::Row| Series {
            device: row.device,
            place: row.place,
            kind: row.kind,
            unit: kinds::unit_of(row.unit.as_deref()),
        };
        Ok(rows.into_iter().map(of).collect())
    }

    /// The course of one property.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub async fn query(&self, query: Query) -> Result<Found, HistoryError> {
        self.inner.write().await?;
        let inner = self.inner.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let (open, until) = inner.gather().open(&query.device, &query.place, now());
            read::find(&inner.store, &query, &open, until, now())
        });
        asked.await.unwrap_or(Err(HistoryError::None))
    }

    /// Deletes what was kept of a device, or all of it; no trace of it is left on the disk.
    ///
    /// # Errors
    /// [`HistoryError::Store`].
    pub async fn delete(&self, device: Option<DeviceId>) -> Result<(), HistoryError> {
        let writing = self.inner.writing.lock().await;
        self.inner.gather().forget(device.as_ref());
        if self.inner.store.delete(device).await? {
            self.inner.traces.store(true, Ordering::Relaxed);
        }
        drop(writing);
        // The file is made anew once, of all the faces of a device that are deleted one after the other.
        let _settling = self.inner.settling.lock().await;
        if self.inner.traces.swap(false, Ordering::Relaxed)
            && let Err(error) = self.inner.store.settle().await
        {
            self.inner.traces.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        Ok(())
    }

    /// Writes out everything that is kept in a range, as fine as it is kept; of one device when it is named. `name` knows
    /// what devices are called. Blocks while it writes.
    ///
    /// # Errors
    /// What the database or the writer says.
    pub fn export(
        &self,
        device: Option<&DeviceId>,
        range: (Timestamp, Timestamp),
        format: ExportFormat,
        name: impl Fn(&DeviceId) -> String,
        out: &mut impl std::io::Write,
    ) -> std::io::Result<()> {
        export::write(&self.inner.store, device, range, format, name, out)
    }
}

impl Inner {
    fn gather(&self) -> MutexGuard<'_, Gather> {
        self.gather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keeps(&self, device: &DeviceId) -> bool {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).keeps(device)
    }

    /// What is gathered is on the disk when this returns, or is gathered again. Goes on when nobody waits for it any more, so
    /// that nothing is lost by that.
    async fn write(self: &Arc<Self>) -> Result<(), StoreError> {
        let inner = self.clone();
        let work = async move {
            let _writing = inner.writing.lock().await;
            let batch = inner.gather().batch();
            if batch.is_empty() {
                return Ok(());
            }
            let batch = Arc::new(batch);
            let written = inner.store.write(batch.clone(), batch.done).await;
            if written.is_err() {
                inner.gather().put_back(Arc::unwrap_or_clone(batch));
            }
            inner.failed.store(written.is_err(), Ordering::Relaxed);
            inner.look_at_length().await;
            written
        };
        tokio::spawn(work).await.unwrap_or(Ok(()))
    }

    /// What is too much goes soon, not only with the next look.
    async fn look_at_length(&self) {
        let most = u64::from(self.settings().megabytes) << 20;
        let length = tokio::fs::metadata(self.store.db.path()).await.map_or(0, |found| found.len());
        if length > most.saturating_sub(BESIDE) && self.fits.load(Ordering::Relaxed) {
            self.full.notify_one();
        }
    }

    async fn write_or_say(self: &Arc<Self>) {
        let before = self.failed();
        match self.write().await {
            Err(error) if !before => tracing::warn!(%error, "the house's history waits until it can be written"),
            Ok(()) if before => tracing::info!("the house's history is written again"),
            _ => {}
        }
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn describe(&self, known: &Known) {
        let Known { device, bridge } = known;
        let kept = if bridge == OWN { Vec::new() } else { kinds::kept(device) };
        self.gather().describe(&device.id, kept, now());
        match device.reach {
            Reach::Offline => self.gather().away(&device.id, now()),
            _ => device.services.iter().for_each(|service| {
                let target = Target { service: service.id.clone(), instance: service.instance };
                self.take(&device.id, &target, &service.values);
            }),
        }
    }

    fn take<'a>(&self, device: &DeviceId, target: &Target, values: impl IntoIterator<Item = (&'a String, &'a Value)>) {
        let now = now();
        let mut gather = self.gather();
        // Looked at with what is gathered in hand: what is turned off meanwhile ends after this.
        if !self.keeps(device) {
            return;
        }
        for (property, value) in values {
            let number = match &value.data {
                Data::Bool(on) => f64::from(u8::from(*on)),
                data => match data.as_number() {
                    Some(number) => number,
                    None => continue,
                },
            };
            let fresh = i64::try_from(value.fresh_for_s).unwrap_or(i64::MAX).saturating_mul(1000);
            let place = (target.service.as_str(), target.instance, property.as_str());
            gather.take(device, place, number, value.seen.as_millisecond(), fresh, now);
        }
    }

    fn look(&self, registry: &WeakRegistry) {
        let Some(registry) = registry.upgrade() else { return };
        registry.devices().iter().for_each(|known| self.describe(known));
    }

    /// Hours are made up, and what is too old or too much goes.
    async fn tidy(&self) {
        if let Err(error) = self.make_room().await {
            tracing::warn!(%error, "the house's history could not be tidied");
        }
    }

    async fn make_room(&self) -> Result<(), StoreError> {
        let now = now();
        self.store.make_hours(now).await?;
        let settings = self.settings();
        let most = u64::from(settings.megabytes) << 20;
        let mut shares = *self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = self.store.trusted(now).await?;
        if trusted != now {
            tracing::info!(
                "the clock is far ahead of what was: for some hours nothing of the house's history is too old"
            );
        }
        self.store.prune(settings.since(trusted, shares)).await?;
        // What is in use: what is free goes back to the disk below.
        let may = most.saturating_sub(BESIDE);
        if self.store.sizes_now().await?.used > may {
            let left = (may as f64 * LEFT) as u64;
            while self.store.sizes_now().await?.used > left {
                let Some(less) = shares.less() else { break };
                shares = less;
                self.store.prune(settings.since(trusted, shares)).await?;
            }
            tracing::info!(most, "less of the house's history is kept than was wished: it would take too much room");
            *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = shares;
        }
        let used = self.store.sizes_now().await?.used;
        self.store.give_back(if used + FREE > may { 0 } else { FREE }, now).await?;
        let files = self.store.sizes_now().await?.files;
        self.fits.store(files <= most, Ordering::Relaxed);
        Ok(())
    }
}

/// A crash left the last minutes without their five minutes: they are made up from what was said.
fn recover(store: &Store, gather: &mut Gather) -> Result<(), StoreError> {
    let Some(done) = store.five_done()? else { return store.begin(now()) };
    // What is said of a number is kept by the second.
    for (before, said) in store.since(done - done.rem_euclid(1000))? {
        let Some((end, _)) = said.last().copied() else { continue };
        let (device, place, kind) = (before.device.clone(), before.place.clone(), before.kind);
        let mut again = Gather::new(vec![before]);
        again.describe(&device, vec![(place.clone(), kind, None)], done);
        for (at, value) in said {
            match value {
                Some(value) => {
                    let place = (place.service.as_str(), place.instance, place.property.as_str());
                    again.take(&device, place, value, at, i64::MAX, at);
                }
                None => again.away(&device, at),
            }
        }
        // What came after the last word is not known.
        again.close(end);
        gather.add(again.batch().five);
    }
    gather.broke_off(done);
    Ok(())
}

async fn follow(mut events: Receiver<RegistryEvent>, registry: WeakRegistry, inner: Arc<Inner>) {
    let mut every = tokio::time::interval(WRITE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut five = now() / FIVE;
    // Nothing here waits for the disk: what is said meanwhile would be missed.
    let mut writing = JoinSet::new();
    loop {
        let mut due = false;
        tokio::select! {
            event = events.recv() => match event {
                Ok(RegistryEvent::Seen(known)) => inner.describe(&known),
                Ok(RegistryEvent::Values(device, target, values)) => inner.take(&device, &target, &values),
                Ok(RegistryEvent::Gone(device)) => inner.gather().away(&device, now()),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    let before = inner.missed.fetch_add(missed, Ordering::Relaxed);
                    if before == 0 {
                        tracing::warn!(missed, "more changes come than the history of the house can follow");
                    }
                    inner.look(&registry);
                }
                Err(RecvError::Closed) => return,
            },
            _ = every.tick() => {
                let now = now();
                if now / FIVE != five {
                    five = now / FIVE;
                    inner.gather().carry(now);
                }
                due = !inner.gather().has_nothing();
            }
            Some(_) = writing.join_next() => {}
        }
        if writing.is_empty() {
            // What cannot be written is tried again with the next tick.
            if due || inner.gather().waiting() >= MOST_WAITING && !inner.failed() {
                let inner = inner.clone();
                writing.spawn(async move { inner.write_or_say().await });
            }
        } else {
            inner.gather().bound();
        }
    }
}

async fn tidy(inner: Arc<Inner>) {
    // Not at once: a start has other things to do.
    tokio::time::sleep(Duration::from_secs(30)).await;
    loop {
        inner.tidy().await;
        tokio::time::sleep(TIDY_AGAIN).await;
        let _ = tokio::time::timeout(TIDY_EVERY - TIDY_AGAIN, inner.full.notified()).await;
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests;
