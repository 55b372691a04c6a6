//! The book of casts: what each is and how it goes, for whoever looks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use accord_model::{CallError, DeviceId, Timestamp};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use accord_consent::Refusal;

use crate::player::Order;
use crate::queue::{Queued, QueuedState, Source};

/// Over ones that are still listed.
const REMEMBERED: usize = 16;
/// Changes that wait for a slow listener.
const CHANGES: usize = 128;
/// While only the position moves as it should, that is told this often.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A place that is so far from where it should be is worth telling, in seconds.
const JUMP: f64 = 2.0;
/// Most ways that are remembered of one thing.
const TRIES: usize = 12;

/// How far it came, by evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is made ready and the device is being told.
    Begins,
    /// The device was told, and said yes.
    Commanded,
    /// It really fetched something of the file.
    Fetched,
    /// Its position advances.
    Moving,
    /// It does not answer; its place is kept for a while.
    Away,
    /// It is over, and why.
    Over(String),
}

/// A way in which something was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// How, in words.
    pub how: String,
    /// Why not; nothing while it may still go well.
    pub failed: Option<String>,
}

/// A sound or captions to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// As a person reads it.
    pub label: String,
}

/// One cast.
#[derive(Debug, Clone, PartialEq)]
pub struct Cast {
    /// Tells it from others of this run.
    pub id: String,
    /// Where; the face that is told now.
    pub device: DeviceId,
    /// What is cast, one after the other; never empty.
    pub queue: Vec<Queued>,
    /// Which of them it is now, from 0.
    pub at: usize,
    /// Files in folders that nothing plays, and what was too much.
    pub left_out: usize,
    /// Bytes of what it is now.
    pub size: Option<u64>,
    /// Bytes that the device fetched of it, parts that it fetched twice counted twice.
    pub fetched: u64,
    /// How far that came.
    pub step: Step,
    /// It is on hold, here or there.
    pub held: bool,
    /// What is not as it should be now, in words.
    pub trouble: Option<String>,
    /// The ways in which it was tried.
    pub tries: Vec<Try>,
    /// What would be tried next.
    pub next: Option<String>,
    /// What the owner could do so that it goes better.
    pub advice: Option<String>,
    /// Where it is in seconds, and when that was so.
    pub position: Option<(f64, Timestamp)>,
    /// How long it is, in seconds.
    pub length: Option<f64>,
    /// The place can be chosen.
    pub seeks: bool,
    /// How loud, in percent, where that can be said.
    pub volume: Option<u8>,
    /// Its sounds, and which was chosen.
    pub sounds: Vec<Choice>,
    #[allow(missing_docs)]
    pub sound: Option<usize>,
    /// Its captions; those of a file beside it are not among them.
    pub texts: Vec<Choice>,
    /// Which captions are shown.
    pub captions: Captions,
    /// The file beside it that has captions.
    pub captions_file: Option<String>,
    /// How long a picture is shown, when there are more.
    pub interval: Duration,
    /// The receiver shows what it is called.
    pub real_title: bool,
    /// Where it is being handed to.
    pub to: Option<DeviceId>,
    /// It is over, and can be gone on with from `position`.
    pub resumes: bool,
    /// What the caller keeps for it; nothing to us.
    pub keeps: Option<String>,
    /// When it began.
    pub since: Timestamp,
}

/// Which captions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Captions {
    /// None.
    #[default]
    Off,
    /// Those of the file beside it.
    File,
    /// The so-many-th of the film itself, from 0.
    Track(usize),
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where.
    pub device: DeviceId,
    /// What, in this order.
    pub what: Vec<Source>,
    /// Captions for the first of it: a file.
    pub subtitles: Option<PathBuf>,
    /// Which sound of the first of it, from 0.
    pub sound: Option<usize>,
    /// Where in the first of it to begin, in seconds.
    pub start: f64,
    /// Have the receiver show what it is called; under an entry of its own.
    pub real_title: bool,
    /// How long a picture is shown, when there are more.
    pub interval: Duration,
    /// Given back in [`Cast::keeps`], also by what goes on from this elsewhere.
    pub keeps: Option<String>,
    /// Other faces of the device, which are tried in this order when it plays in no way on this one. What is served to
    /// another face takes an agreement of its own; one without is passed over.
    pub others: Vec<Other>,
}

/// Another face of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its id.
    pub device: DeviceId,
    /// What it speaks, as a person reads it.
    pub label: String,
}

impl Request {
    /// Of this, with nothing special.
    pub fn new(device: DeviceId, what: Vec<Source>) -> Self {
        let interval = Duration::from_secs(10);
        let (subtitles, sound, start, real_title, keeps, others) = Default::default();
        Self { device, what, subtitles, sound, start, real_title, interval, keeps, others }
    }
}

/// What a person does with a cast that runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Act {
    /// Go on; of one that can be resumed, too.
    Play,
    /// Hold.
    Pause,
    /// To this second.
    Seek(f64),
    /// The next one.
    Next,
    /// The one before; the beginning of this one when it is well under way.
    Previous,
    /// This one of the queue, from 0.
    Show(usize),
    /// So loud, in percent.
    Volume(u8),
    /// These captions.
    Captions(Captions),
    /// This sound of the film.
    Sound(usize),
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub enum CastEvent {
    /// A cast is new, or goes otherwise than told last.
    Changed(Box<Cast>),
    /// It is not listed any more, or never came to be.
    Gone(String),
}

/// Why nothing is cast.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// Not a device that plays what is at an address.
    #[error("{0}")]
    NoRenderer(String),
    /// The file cannot be cast.
    #[error("this cannot be cast: {0}")]
    File(String),
    /// This machine is in no network with the device.
    #[error("this machine and the device share no network, so that it could not fetch anything")]
    NoWay,
    /// The owner has not agreed.
    #[error(transparent)]
    NotConsented(#[from] Refusal),
    /// Nothing could be served.
    #[error("the file cannot be served: {0}")]
    Serve(String),
    /// The device did not take it.
    #[error(transparent)]
    Told(#[from] CallError),
    /// There is no such cast.
    #[error("no such cast is running")]
    NoCast,
    /// It runs, and cannot do that.
    #[error("{0}")]
    NotNow(String),
}

impl Cast {
    /// What it is now.
    pub fn now(&self) -> &Queued {
        &self.queue[self.at.min(self.queue.len() - 1)]
    }

    /// True once nothing is served any more.
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Over(_))
    }

    /// A picture, of which nothing moves.
    pub fn is_picture(&self) -> bool {
        self.now().is_picture()
    }

    /// It is seen that it is shown: it moves, or all of the picture was fetched.
    pub fn is_seen(&self) -> bool {
        let whole = self.size.is_some_and(|size| self.fetched >= size);
        self.step == Step::Moving || (self.step == Step::Fetched && self.is_picture() && whole)
    }

    /// It is over because all of it came to its end.
    pub fn is_done(&self) -> bool {
        self.is_over() && self.queue.last().is_some_and(|last| last.state == QueuedState::Done)
    }

    /// Where it is by now, in seconds.
    pub fn place(&self) -> Option<f64> {
        let (place, said) = self.position?;
        let age = Duration::try_from(Timestamp::now().duration_since(said)).unwrap_or_default();
        let moves = self.step == Step::Moving && !self.held && self.trouble.is_none();
        let now = place + if moves { age.min(Duration::from_secs(15)).as_secs_f64() } else { 0.0 };
        Some(self.length.map_or(now, |length| now.min(length)))
    }

    pub(crate) fn tried(&mut self, how: String) {
        if self.tries.len() < TRIES {
            self.tries.push(Try { how, failed: None });
        }
    }

    pub(crate) fn failed(&mut self, why: &str) {
        if let Some(last) = self.tries.last_mut().filter(|last| last.failed.is_none()) {
            last.failed = Some(why.to_owned());
        }
    }

    /// Whether somebody who knows `before`, so long ago, has to be told.
    fn is_news(&self, before: &Self, ago: Duration) -> bool {
        let of_now = Self { position: before.position, fetched: before.fetched, ..self.clone() };
        if of_now != *before {
            return true;
        }
        let (Some((now, _)), Some((then, _))) = (self.position, before.position) else {
            return self.position.is_some() != before.position.is_some() || ago >= TELL_EVERY;
        };
        let moved = if self.step == Step::Moving && !self.held { ago.as_secs_f64() } else { 0.0 };
        (now - then - moved).abs() > JUMP || (ago >= TELL_EVERY && (now != then || self.fetched != before.fetched))
    }
}

/// One line of the book.
pub(crate) struct Running {
    pub cast: Cast,
    pub request: Request,
    pub orders: mpsc::Sender<Order>,
    /// Ends its player, and all that it serves.
    pub stop: CancellationToken,
    told: Option<(Cast, Instant)>,
}

/// All that run, and those that ended lately.
pub(crate) struct Book {
    casts: Mutex<BTreeMap<u64, Running>>,
    events: broadcast::Sender<CastEvent>,
}

impl Default for Book {
    fn default() -> Self {
        Self { casts: Mutex::default(), events: broadcast::channel(CHANGES).0 }
    }
}

impl Book {
    pub(crate) fn events(&self) -> broadcast::Receiver<CastEvent> {
        self.events.subscribe()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.casts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open(
        &self,
        number: u64,
        cast: Cast,
        request: Request,
        orders: mpsc::Sender<Order>,
        stop: CancellationToken,
    ) {
        self.lock().insert(number, Running { cast, request, orders, stop, told: None });
        self.update(number, |_| ());
    }

    pub(crate) fn get(&self, number: u64) -> Option<Cast> {
        self.lock().get(&number).map(|running| running.cast.clone())
    }

    /// Changes a cast that runs, and tells that as far as it is news.
    pub(crate) fn update(&self, number: u64, change: impl FnOnce(&mut Cast)) {
        let mut casts = self.lock();
        let Some(running) = casts.get_mut(&number).filter(|running| !running.cast.is_over()) else { return };
        change(&mut running.cast);
        let now = Instant::now();
        let news = running.told.as_ref().is_none_or(|(before, at)| running.cast.is_news(before, now - *at));
        if news {
            running.told = Some((running.cast.clone(), now));
            let _ = self.events.send(CastEvent::Changed(Box::new(running.cast.clone())));
        }
    }

    /// Nothing is served any more, and no permit is held.
    pub(crate) fn end(&self, number: u64, why: &str, resumes: bool) {
        self.update(number, |cast| {
            (cast.step, cast.trouble, cast.next, cast.to) = (Step::Over(why.to_owned()), None, None, None);
            cast.resumes = resumes;
        });
        if let Some(running) = self.lock().get(&number) {
            running.stop.cancel();
        }
        self.forget_old();
    }

    /// One that never came to be.
    pub(crate) fn drop_line(&self, number: u64) {
        let gone = self.lock().remove(&number);
        if let Some(running) = gone {
            running.stop.cancel();
            let _ = self.events.send(CastEvent::Gone(running.cast.id));
        }
    }

    /// One that is over cannot be gone on with any more.
    pub(crate) fn lapse(&self, number: u64) {
        let mut casts = self.lock();
        let Some(running) = casts.get_mut(&number).filter(|running| running.cast.is_over() && running.cast.resumes)
        else {
            return;
        };
        running.cast.resumes = false;
        let _ = self.events.send(CastEvent::Changed(Box::new(running.cast.clone())));
    }

    fn forget_old(&self) {
        let mut casts = self.lock();
        let over = casts.iter().filter(|(_, running)| running.cast.is_over()).map(|(number, _)| *number);
        let over: Vec<u64> = over.collect();
        for number in over.iter().take(over.len().saturating_sub(REMEMBERED)) {
            if let Some(running) = casts.remove(number) {
                let _ = self.events.send(CastEvent::Gone(running.cast.id));
            }
        }
    }
}
