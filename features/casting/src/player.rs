//! One cast at work: it has a receiver play one thing after the other, looks at what really happens, tries another way when
//! that gets nowhere, and does what a person wants meanwhile.

mod ahead;
mod face;
mod seen;
mod told;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::{Envelope, Personal, RecipientId};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, Target, Timestamp};
use accord_registry::{Ask, Port};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::book::{Act, Captions, CastError, Other};
use crate::casts::{Casting, Inner};
use crate::evidence::Evidence;
use crate::flow::Flow;
use crate::item::Item;
use crate::prepare::{Body, Prepared, Seek};
use crate::queue::Queued;
use crate::receiver::{Receiver, Said};
use crate::serve::{Stand, Thing};
use ahead::Ahead;

/// How long a cast may last, and a device may take to be told.
const LASTS: Duration = Duration::from_secs(12 * 3600);
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// How often one looks what the device does.
const LOOK: Duration = Duration::from_millis(500);
/// So far in, "previous" means the beginning of this one, in seconds.
const WELL_UNDER_WAY: f64 = 5.0;
/// So far from where it should begin, it did not hear of that, in seconds.
const ELSEWHERE: f64 = 8.0;

/// Something for a player to do.
pub(crate) type Order = (Act, oneshot::Sender<Result<(), CastError>>);

/// What a player needs.
pub(crate) struct Player {
    inner: Arc<Inner>,
    number: u64,
    device: DeviceId,
    /// Other faces of it, for when this one plays it in no way.
    others: VecDeque<Other>,
    /// What it speaks, once it is not the first face any more.
    face: Option<String>,
    /// What was tried before is of the same, on another face.
    keeps_tries: bool,
    /// Ends when what this cast needs is agreed to no longer.
    agreed: JoinSet<()>,
    queue: Vec<Queued>,
    real_title: bool,
    interval: Duration,
    subtitles: Option<PathBuf>,
    stop: CancellationToken,
    stand: Option<Arc<Stand>>,
    /// Ends the stand alone.
    stand_ends: CancellationToken,
    /// From where it fetches.
    fetches_from: Option<IpAddr>,
    /// What is shown of the one that it is now.
    sound: Option<usize>,
    captions: Captions,
    at: usize,
    now: Option<Playing>,
    /// What the device was given beforehand, and for which one that was tried.
    ahead: Option<Ahead>,
    tried_ahead: Option<usize>,
    /// Since when the device is away, and whether it was this machine that lost the network.
    away: Option<(Instant, bool)>,
    /// Since when it is back, and the same.
    back: Option<(Instant, bool)>,
}

/// What the device was told last.
struct Playing {
    evidence: Evidence,
    opened: Opened,
    /// When it was told.
    asked: Timestamp,
    told_again: bool,
    /// It was seen to move.
    seen: bool,
    /// Where it should have begun, while that is not seen yet.
    begins_at: Option<Begin>,
    /// The place that it said last, for those that do not say whether they move.
    place: Option<f64>,
    /// Where it was wound to, and when: some say another place for a moment.
    wound: Option<(f64, Timestamp)>,
}

/// A place at which it should have begun.
#[derive(Clone, Copy)]
struct Begin {
    place: f64,
    /// How often it was told to go there, and when it may be told again: some cannot at first.
    told: u32,
    again: Instant,
}

/// What can be played.
#[derive(Clone)]
enum Opened {
    File {
        item: Item,
        thing: Arc<Thing>,
        step: usize,
    },
    /// Raw sound from this second on.
    Sound {
        item: Item,
        flow: Arc<Flow>,
        from: f64,
    },
    Address,
}

impl Opened {
    fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::File { thing, .. } => Some(&thing.prepared),
            Self::Sound { .. } | Self::Address => None,
        }
    }

    /// What the receiver called itself when it first fetched this; told once.
    fn agent(&self) -> Option<String> {
        match self {
            Self::File { thing, .. } => thing.agent(),
            Self::Sound { .. } | Self::Address => None,
        }
    }

    /// Where the receiver's zero is in the whole.
    fn begins(&self) -> f64 {
        match self {
            Self::Sound { from, .. } => *from,
            _ => self.prepared().map_or(0.0, |prepared| prepared.begins),
        }
    }

    /// Another place means to open it anew.
    fn opens_anew(&self) -> bool {
        matches!(self, Self::Sound { .. }) || self.prepared().is_some_and(|prepared| prepared.seek != Seek::Bytes)
    }

    fn trouble(&self) -> Option<String> {
        match self {
            Self::File { thing, .. } => thing.trouble(),
            Self::Sound { flow, .. } => flow.trouble(),
            Self::Address => None,
        }
    }

    fn item(&self) -> Option<&Item> {
        match self {
            Self::File { item, .. } | Self::Sound { item, .. } => Some(item),
            Self::Address => None,
        }
    }

    /// Bytes that the device has to fetch, where that is known.
    fn size(&self) -> Option<u64> {
        match &self.prepared()?.body {
            Body::File(item) => Some(item.size()),
            Body::Made(made) => Some(made.len() as u64),
            Body::Live(_) => None,
        }
    }

    /// Bytes that it has, whether that is all, and connections that are open.
    fn fetched(&self) -> (u64, bool, usize) {
        match self {
            Self::File { thing, .. } => (thing.fetched(), false, thing.open()),
            Self::Sound { flow, .. } => (flow.sent(), flow.whole(), usize::from(!flow.whole())),
            Self::Address => (0, false, 0),
        }
    }
}

impl Player {
    pub(crate) fn new(inner: Arc<Inner>, number: u64, stop: CancellationToken) -> Option<Self> {
        let casts = inner.book.lock();
        let running = casts.get(&number)?;
        let (cast, request) = (&running.cast, &running.request);
        let (device, queue, interval) = (cast.device.clone(), cast.queue.clone(), cast.interval);
        let (subtitles, sound, captions) = (request.subtitles.clone(), cast.sound, cast.captions);
        let real_title = cast.real_title;
        let others = request.others.iter().filter(|other| other.device != device).cloned().collect();
        drop(casts);
        Some(Self {
            inner,
            number,
            device,
            others,
            face: None,
            keeps_tries: false,
            agreed: JoinSet::new(),
            queue,
            real_title,
            interval,
            subtitles,
            stop,
            stand: None,
            stand_ends: CancellationToken::new(),
            fetches_from: None,
            sound,
            captions,
            at: 0,
            now: None,
            ahead: None,
            tried_ahead: None,
            away: None,
            back: None,
        })
    }

    /// Plays from this one of the queue and this place in it, until the cast is over. `first` is told how the beginning went.
    pub(crate) async fn run(
        mut self,
        (at, from): (usize, f64),
        first: oneshot::Sender<Result<(), CastError>>,
        orders: mpsc::Receiver<Order>,
    ) {
        let (inner, number, stop) = (self.inner.clone(), self.number, self.stop.clone());
        let whole = tokio::time::timeout(LASTS, self.play(at, from, first, orders));
        if !matches!(stop.run_until_cancelled(whole).await, Some(Ok(()))) {
            // By its time, or because the owner took the consent back; one that was ended before says that already.
            inner.book.end(number, "its time is over, or you withdrew your consent", false);
            stop.cancel();
        }
    }

    async fn play(
        &mut self,
        at: usize,
        from: f64,
        first: oneshot::Sender<Result<(), CastError>>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        match self.begin(at, from).await {
            Ok(()) => drop(first.send(Ok(()))),
            Err(error) => {
                self.inner.book.drop_line(self.number);
                drop(first.send(Err(error)));
                return;
            }
        }
        self.agreed = self.agreed();
        loop {
            tokio::select! {
                Some(_) = self.agreed.join_next() => {
                    return self.inner.book.end(self.number, "you withdrew your consent", false);
                }
                order = orders.recv() => {
                    let Some((act, answer)) = order else { return };
                    let outcome = self.obey(act).await;
                    self.show(&Said::default(), None);
                    // What played was ended for what could not be begun.
                    let why = outcome.as_ref().err().filter(|_| self.now.is_none()).map(ToString::to_string);
                    let _ = answer.send(outcome);
                    if let Some(why) = why {
                        let _ = self.over(&why, true);
                        return;
                    }
                }
                () = tokio::time::sleep(LOOK) => {
                    if self.look().await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    /// Ends when what this cast needs is agreed to no longer. What was agreed to for once is spent by now, and not followed.
    fn agreed(&self) -> JoinSet<()> {
        let mut agreed = JoinSet::new();
        let request = self.inner.book.lock().get(&self.number).map(|running| running.request.clone());
        let to = RecipientId::device(&self.device);
        for (entry, _) in request.iter().flat_map(Casting::needs) {
            let Ok(entry) = EntryKey::new(entry) else { continue };
            let mut watch = self.inner.gate.watch(&entry, &to);
            if watch.is_allowed() {
                agreed.spawn(async move { watch.ended().await });
            }
        }
        agreed
    }

    // -- what a person wants ------------------------------------------------------------------------

    async fn obey(&mut self, act: Act) -> Result<(), CastError> {
        let receiver = Receiver::find(&self.inner.registry, &self.device)?;
        let Some(playing) = &self.now else { return Err(CastError::NotNow("nothing is shown there now".to_owned())) };
        let place = playing.evidence.place();
        let picture = self.queue.get(self.at).is_some_and(Queued::is_picture);
        match act {
            Act::Play | Act::Pause => self.hold(&receiver, act == Act::Pause, picture).await,
            Act::Seek(_) if picture => Err(CastError::NotNow("a picture has no length".to_owned())),
            Act::Seek(to) => self.seek(&receiver, to).await,
            Act::Next if self.at + 1 >= self.queue.len() => Err(CastError::NotNow("this is the last one".to_owned())),
            Act::Next => self.show_another(self.at + 1).await,
            Act::Previous if self.at == 0 || (place > WELL_UNDER_WAY && !picture) => self.seek(&receiver, 0.0).await,
            Act::Previous => self.show_another(self.at - 1).await,
            Act::Show(at) if at < self.queue.len() => self.show_another(at).await,
            Act::Show(_) => Err(CastError::NotNow("there are not so many in the queue".to_owned())),
            Act::Volume(percent) => {
                let loudness = receiver.loudness();
                let no = || CastError::NotNow("this device's volume cannot be changed from here".to_owned());
                let (target, property) = loudness.ok_or_else(no)?;
                Ok(self.write(target, property, Data::Int(percent.min(100).into())).await?)
            }
            Act::Captions(Captions::File) if self.subtitles.is_none() => {
                Err(CastError::NotNow("no file with captions was given".to_owned()))
            }
            Act::Captions(captions) => {
                let before = std::mem::replace(&mut self.captions, captions);
                self.anew(place).await.inspect_err(|_| self.captions = before)
            }
            Act::Sound(track) => {
                let before = self.sound.replace(track);
                self.anew(place).await.inspect_err(|_| self.sound = before)
            }
        }
    }

    async fn hold(&mut self, receiver: &Receiver, held: bool, picture: bool) -> Result<(), CastError> {
        let action = if held { "pause" } else { "play" };
        if !picture {
            if !receiver.can(action) {
                return Err(CastError::NotNow(format!("this device cannot {action}")));
            }
            let message = Envelope::new().beside(FieldCode::CommandName);
            self.inner.command.call(&self.device, receiver.target(), Ask::act(action), message, TOLD_WITHIN).await?;
        }
        if let Some(playing) = &mut self.now {
            playing.evidence.held(held, Instant::now());
        }
        Ok(())
    }

    async fn seek(&mut self, receiver: &Receiver, to: f64) -> Result<(), CastError> {
        let Some(playing) = &self.now else { return Err(CastError::NoCast) };
        if !to.is_finite() || to < 0.0 {
            return Err(CastError::NotNow("a place is in seconds from the beginning".to_owned()));
        }
        let length = playing.evidence.length();
        let to = length.map_or(to, |length| to.min((length - 1.0).max(0.0)));
        if playing.opened.opens_anew() {
            return self.anew(to).await;
        }
        if !receiver.seeks() {
            return Err(CastError::NotNow("this device cannot go to another place".to_owned()));
        }
        let there = to - playing.opened.begins();
        self.write(receiver.target(), "position", Data::Float(there.max(0.0))).await?;
        if let Some(playing) = &mut self.now {
            playing.evidence.wound(to, Instant::now());
            (playing.begins_at, playing.wound) = (None, Some((to, Timestamp::now())));
        }
        self.inner.book.update(self.number, |cast| cast.position = Some((to, Timestamp::now())));
        Ok(())
    }

    async fn show_another(&mut self, at: usize) -> Result<(), CastError> {
        let before = (self.sound, self.captions);
        (self.sound, self.captions) = (None, Captions::Off);
        self.begin(at, 0.0).await.inspect_err(|_| (self.sound, self.captions) = before)
    }

    /// The same one once more from a place on, as it is wanted now.
    async fn anew(&mut self, place: f64) -> Result<(), CastError> {
        let step = match self.now.as_ref().map(|playing| &playing.opened) {
            Some(Opened::File { step, .. }) => *step,
            Some(Opened::Sound { .. }) => 0,
            _ => return Err(CastError::NotNow("what is fetched from elsewhere can only be taken as it is".to_owned())),
        };
        self.open(self.at, place, step).await
    }

    async fn write(&self, target: Target, property: &str, data: Data) -> Result<(), CallError> {
        let value = Personal::new(FieldCode::CommandName, data);
        let message = Envelope::new().beside(FieldCode::CommandName).data("value", &value);
        let port: &Port = &self.inner.command;
        port.call(&self.device, target, Ask::write(property), message, TOLD_WITHIN).await.map(drop)
    }
}
