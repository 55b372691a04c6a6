//! One cast at work: it has a receiver play one thing after the other, looks at what really happens, tries another way when
//! that gets nowhere, and does what a person wants meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::list;
use accord_consent::outlet::serve as listen;
use accord_consent::{Envelope, Personal, RecipientId};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, Target, Timestamp};
use accord_registry::{Ask, Port};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::book::{Act, Captions, CastError, Choice, Step};
use crate::casts::{Casting, Inner, served};
use crate::evidence::{Evidence, Known, Look, Verdict};
use crate::flow::Flow;
use crate::item::Item;
use crate::prepare::{Body, Options, Prepared, Seek, Track, Wanted};
use crate::queue::{Kind, Queued, QueuedState, Source};
use crate::receiver::{Receiver, Said};
use crate::serve::{Stand, Thing, accept};

/// How long a cast may last, and a device may take to be told.
const LASTS: Duration = Duration::from_secs(12 * 3600);
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(15);
/// How long making a thing ready may take.
const PREPARED_WITHIN: Duration = Duration::from_secs(120);
/// How often one looks what the device does.
const LOOK: Duration = Duration::from_millis(500);
/// How long the place of a device that is away is kept.
const AWAY_FOR: Duration = Duration::from_secs(600);
/// One that is back may still play: that shows within this.
const SHOWS_WITHIN: Duration = Duration::from_secs(4);
/// So far in, "previous" means the beginning of this one, in seconds.
const WELL_UNDER_WAY: f64 = 5.0;
/// So far from where it should begin, it did not hear of that, in seconds.
const ELSEWHERE: f64 = 8.0;
/// How long a device that was wound may say another place.
const SETTLES: Duration = Duration::from_secs(3);
/// How often it is told to go there, and how long it may take.
const BEGINS_TOLD: u32 = 4;
const BEGINS_AGAIN: Duration = Duration::from_secs(2);
/// What the device shows: never the file's name, unless the owner wants that.
const TITLE: &str = "Accord";
const END: &str = "it came to its end";

/// Something for a player to do.
pub(crate) type Order = (Act, oneshot::Sender<Result<(), CastError>>);

/// What a player needs.
pub(crate) struct Player {
    inner: Arc<Inner>,
    number: u64,
    device: DeviceId,
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
        matches!(self, Self::Sound { .. }) || self.prepared().is_some_and(|prepared| prepared.seek == Seek::None)
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
        drop(casts);
        Some(Self {
            inner,
            number,
            device,
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
        let mut agreed = self.agreed();
        loop {
            tokio::select! {
                Some(_) = agreed.join_next() => {
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

    // -- what the device is told --------------------------------------------------------------------

    /// Begins with this one. One that cannot be shown costs itself, and the next has its turn.
    async fn begin(&mut self, mut at: usize, mut from: f64) -> Result<(), CastError> {
        loop {
            let error = match self.open(at, from, 0).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let only_this = matches!(
                error,
                CastError::File(_)
                    | CastError::Told(CallError::Device(_) | CallError::BadInput(_) | CallError::Refused(_))
            );
            if !only_this {
                return Err(error);
            }
            self.mark(at, QueuedState::Failed(error.to_string()));
            (at, from, self.sound, self.captions) = (at + 1, 0.0, None, Captions::Off);
            if at >= self.queue.len() {
                return Err(error);
            }
        }
    }

    /// Has the device play this one from a place on, in the way of this step or the next ones.
    async fn open(&mut self, at: usize, from: f64, mut step: usize) -> Result<(), CastError> {
        let mut anew = at != self.at || step == 0;
        loop {
            let receiver = Receiver::find(&self.inner.registry, &self.device)?;
            let source = self.queue.get(at).map(|queued| queued.source.clone()).ok_or(CastError::NoCast)?;
            let asked = Timestamp::now();
            let raw = receiver.takes_raw();
            let opened = match source {
                Source::Path(path) if raw => {
                    self.inner.others_end(&self.device, self.number);
                    self.flow(&receiver, path, from).await?
                }
                Source::Address(_) if raw => {
                    return Err(CastError::File("this device takes sound from here, and fetches nothing".to_owned()));
                }
                Source::Path(path) => self.serve(&receiver, at, path, from, step).await?,
                Source::Address(_) => Opened::Address,
            };
            let how = match (&opened, opened.prepared()) {
                (_, Some(prepared)) => prepared.how.clone(),
                (Opened::Sound { .. }, _) => "as raw sound".to_owned(),
                _ => "from its own address".to_owned(),
            };
            let next = opened.prepared().and_then(|prepared| prepared.next.clone());
            let advice = opened.prepared().and_then(|prepared| prepared.advice.clone());
            let last = next.is_none();
            let forget = std::mem::take(&mut anew);
            self.inner.book.update(self.number, |cast| {
                if forget {
                    cast.tries.clear();
                }
                cast.tried(how);
                (cast.next, cast.advice) = (next, advice);
            });
            if raw {
                self.opened(at, from, opened, asked);
                return Ok(());
            }
            self.inner.others_end(&self.device, self.number);
            let asked = Timestamp::now();
            match self.tell(&receiver, at, &opened, from).await {
                Ok(()) => {
                    self.opened(at, from, opened, asked);
                    return Ok(());
                }
                Err(error @ CallError::Device(_)) if !last => {
                    self.failed(&opened, &receiver, &error.to_string());
                    step += 1;
                }
                Err(error) => {
                    self.inner.book.update(self.number, |cast| cast.failed(&error.to_string()));
                    return Err(error.into());
                }
            }
        }
    }

    /// Makes a file ready and serves it.
    async fn serve(
        &mut self,
        receiver: &Receiver,
        at: usize,
        path: PathBuf,
        from: f64,
        step: usize,
    ) -> Result<Opened, CastError> {
        let item = open_item(path).await?;
        let captions = match (self.captions, &self.subtitles) {
            (Captions::File, Some(path)) => Wanted::File(path.clone()),
            (Captions::Track(track), _) => Wanted::Track(track),
            _ => Wanted::None,
        };
        let options = Options { audio_track: self.sound, captions, start: from, step, ..Options::default() };
        let wants = self.inner.wants(&receiver.device);
        let preparing = tokio::time::timeout(PREPARED_WITHIN, self.inner.formats.prepare(&item, &wants, &options));
        let prepared = match preparing.await {
            Ok(prepared) => prepared.map_err(CastError::File)?,
            Err(_) => return Err(CastError::File("looking into it takes too long".to_owned())),
        };
        if let Some(queued) = self.queue.get_mut(at) {
            queued.kind = Kind::by_mime(prepared.format.mime, queued.kind);
        }
        let thing = self.stand(receiver).await?.put(prepared);
        Ok(Opened::File { item, thing, step })
    }

    /// Lets the sound of a file flow to a loudspeaker.
    async fn flow(&mut self, receiver: &Receiver, path: PathBuf, from: f64) -> Result<Opened, CastError> {
        // What flows there until now ends first: it takes one stream at a time.
        self.now = None;
        let item = open_item(path).await?;
        let options = Options { audio_track: self.sound, start: from, ..Options::default() };
        let wants = self.inner.wants(&receiver.device);
        let pcm = self.inner.formats.pcm(&item, &wants, &options);
        let pcm = match tokio::time::timeout(PREPARED_WITHIN, pcm).await {
            Ok(pcm) => pcm.map_err(CastError::File)?,
            Err(_) => return Err(CastError::File("looking into it takes too long".to_owned())),
        };
        let flow = Flow::begin(&self.inner, &self.device, receiver.target(), pcm, &self.stop).await?;
        Ok(Opened::Sound { item, flow: Arc::new(flow), from })
    }

    /// The place where the device fetches, opened with the first file.
    async fn stand(&mut self, receiver: &Receiver) -> Result<Arc<Stand>, CastError> {
        let unknown =
            || CastError::NoRenderer("it is not known from where this device would fetch the file".to_owned());
        let address = receiver.address().ok_or_else(unknown)?;
        let near = list(self.inner.network).await;
        let here = near.iter().filter(|interface| interface.is_on_link(address)).find_map(|one| one.v4.first());
        let (here, _) = here.ok_or(CastError::NoWay)?;
        if let Some(stand) = &self.stand
            && self.fetches_from == Some(address)
            && stand.is_at((*here).into())
        {
            return Ok(stand.clone());
        }
        // One of the two has another address than before: nothing could be fetched at the old one.
        self.stand_ends.cancel();
        self.stand_ends = self.stop.child_token();
        let to = RecipientId::device(&self.device);
        let permit = self.inner.gate.permit(&self.inner.serve, &to, served(), "on.send")?;
        let served = listen(permit, SocketAddr::new((*here).into(), 0), address, LASTS).await;
        let served = served.map_err(|error| CastError::Serve(error.to_string()))?;
        let stand = Stand::new(served).map_err(|error| CastError::Serve(error.to_string()))?;
        tokio::spawn(accept(stand.clone(), self.stand_ends.clone(), self.stop.clone()));
        (self.stand, self.fetches_from) = (Some(stand.clone()), Some(address));
        Ok(stand)
    }

    async fn tell(&self, receiver: &Receiver, at: usize, opened: &Opened, from: f64) -> Result<(), CallError> {
        let takes = receiver.takes();
        let named = self.real_title && matches!(opened, Opened::File { .. });
        let said = |text: String| Personal::new(FieldCode::MediaNowPlaying, Data::Text(text));
        let known = |data: Data| Personal::new(FieldCode::FileMeta, data);
        let mut message = Envelope::new().beside(FieldCode::CommandName).data("title", &said(self.title(at)));
        let mut start = from;
        match opened {
            Opened::Address => {
                let address = self.queue.get(at).map(|queued| queued.name.clone()).unwrap_or_default();
                message = message.data("address", &said(address));
            }
            // Nothing is said to one that takes raw sound: it has it.
            Opened::Sound { .. } => return Ok(()),
            Opened::File { thing, .. } => {
                let prepared = &thing.prepared;
                message = message.data("address", &said(thing.address()));
                start = prepared.start;
                if takes.contains("format") {
                    message = message.data("format", &known(Data::Text(prepared.format.mime.to_owned())));
                }
                if takes.contains("seek") {
                    message = message.data("seek", &known(Data::Text(prepared.seek.as_str().to_owned())));
                }
                if let Some(length) = prepared.length.filter(|_| takes.contains("length")) {
                    message = message.data("length", &known(Data::Float(length)));
                }
                if let Some(captions) = thing.captions().filter(|_| takes.contains("captions")) {
                    message = message.data("captions", &said(captions));
                }
            }
        }
        if start > 0.0 && takes.contains("start") {
            message = message.data("start", &known(Data::Float(start)));
        }
        let port = match opened {
            Opened::Address => &self.inner.address,
            _ if named => &self.inner.title,
            _ => &self.inner.command,
        };
        port.call(&self.device, receiver.target(), Ask::act("open"), message, TOLD_WITHIN).await.map(drop)
    }

    /// What the device shows. An address says enough itself.
    fn title(&self, at: usize) -> String {
        match self.queue.get(at) {
            Some(Queued { source: Source::Path(path), .. }) if self.real_title => path
                .file_stem()
                .map_or(TITLE.to_owned(), |stem| accord_model::text::for_screen(&stem.to_string_lossy(), 120)),
            _ => TITLE.to_owned(),
        }
    }

    /// The device said yes.
    fn opened(&mut self, at: usize, from: f64, opened: Opened, asked: Timestamp) {
        let picture = self.queue.get(at).is_some_and(Queued::is_picture);
        let known = Known {
            picture,
            elsewhere: matches!(opened, Opened::Address),
            size: opened.size(),
            length: opened.prepared().and_then(|prepared| prepared.length),
            from,
            title: self.title(at),
            interval: (at + 1 < self.queue.len()).then_some(self.interval),
        };
        if at != self.at {
            let before = self.at;
            if self.queue.get(before).is_some_and(|queued| queued.state == QueuedState::Now) {
                self.mark(before, QueuedState::Waits);
            }
        }
        self.at = at;
        self.mark(at, QueuedState::Now);
        let size = known.size;
        let (sounds, texts) = opened.prepared().map(tracks).unwrap_or_default();
        let (sound, captions, length) = (self.sound, self.captions, known.length);
        let (number, queue) = (self.number, self.queue.clone());
        self.inner.book.update(number, |cast| {
            (cast.at, cast.queue, cast.size, cast.length) = (at, queue, size, length);
            (cast.step, cast.held, cast.trouble, cast.fetched) = (Step::Commanded, false, None, 0);
            (cast.position, cast.sounds, cast.texts) = (None, sounds, texts);
            (cast.sound, cast.captions) = (sound, captions);
        });
        let begin = Begin { place: from, told: 0, again: Instant::now() };
        let begins_at = (from > ELSEWHERE && !opened.opens_anew()).then_some(begin);
        let evidence = Evidence::new(known, Instant::now());
        if let (Some(Playing { opened: Opened::File { thing, .. }, .. }), Some(stand)) = (&self.now, &self.stand) {
            stand.take_away(thing);
        }
        self.now = Some(Playing {
            evidence,
            opened,
            asked,
            told_again: false,
            seen: false,
            begins_at,
            place: None,
            wound: None,
        });
        (self.away, self.back) = (None, None);
    }

    // -- what is seen -------------------------------------------------------------------------------

    async fn look(&mut self) -> ControlFlow<()> {
        let receiver = Receiver::find(&self.inner.registry, &self.device).ok();
        let Some(playing) = &mut self.now else { return ControlFlow::Continue(()) };
        let settled = playing.evidence.step == Step::Moving;
        let mut said = receiver.as_ref().map(|receiver| receiver.said(playing.asked, settled)).unwrap_or_default();
        said.position = said.position.filter(|said| playing.believes(*said));
        let look = playing.sees(receiver.is_some(), &said);
        let verdict = playing.evidence.look(&look, Instant::now());
        let first_seen = playing.evidence.step == Step::Moving && !std::mem::replace(&mut playing.seen, true);
        if let (true, Opened::File { item, step, .. }, Some(receiver)) = (first_seen, &playing.opened, &receiver) {
            self.inner.formats.worked(item, &self.inner.wants(&receiver.device), *step);
        }
        if let Some(agent) = playing.opened.agent() {
            self.inner.learn(&self.device, &agent);
        }
        self.show(&said, receiver.as_ref());
        if self.back.is_some() && verdict != Verdict::Away {
            return self.returns(&look).await;
        }
        match verdict {
            Verdict::Goes => {
                self.help_along(receiver.as_ref(), &look).await;
                ControlFlow::Continue(())
            }
            Verdict::Done => {
                self.mark(self.at, QueuedState::Done);
                self.next_one().await
            }
            Verdict::Stuck(why) => self.another_way(why).await,
            Verdict::Stopped => match self.now.as_ref().and_then(|playing| playing.opened.trouble()) {
                Some(why) => self.another_way(&why).await,
                None => self.over("it was stopped on the device", true),
            },
            Verdict::Taken => self.over("something else plays there now: it was taken over by another sender", true),
            Verdict::Away => self.is_away().await,
            Verdict::Back => {
                // What it said before it went is no witness of what it does now.
                if let Some(playing) = &mut self.now {
                    playing.asked = Timestamp::now();
                }
                self.back = self.away.take().map(|(_, ours)| (Instant::now(), ours));
                ControlFlow::Continue(())
            }
        }
    }

    /// What may be needed until it goes by itself.
    async fn help_along(&mut self, receiver: Option<&Receiver>, look: &Look) {
        let (Some(receiver), Some(playing)) = (receiver, &mut self.now) else { return };
        if playing.evidence.deaf(Instant::now()) && !std::mem::replace(&mut playing.told_again, true) {
            let (opened, from) = (playing.opened.clone(), playing.evidence.place());
            self.inner.book.update(self.number, |cast| {
                cast.failed("the device said yes and fetched nothing");
                cast.tried("told once more".to_owned());
            });
            if let Err(error) = self.tell(receiver, self.at, &opened, from).await {
                tracing::info!(device = %self.device, %error, "the device was not told once more");
            }
            return;
        }
        // Not all hear where to begin.
        if playing.evidence.step == Step::Moving
            && let Some(place) = look.position
            && let Some(begin) = playing.begins_at
        {
            if place > begin.place - ELSEWHERE || begin.told >= BEGINS_TOLD || !receiver.seeks() {
                playing.begins_at = None;
                return;
            }
            if Instant::now() < begin.again {
                return;
            }
            let wanted = begin.place;
            playing.begins_at = Some(Begin { told: begin.told + 1, again: Instant::now() + BEGINS_AGAIN, ..begin });
            if let Err(error) = self.write(receiver.target(), "position", Data::Float(wanted)).await {
                tracing::info!(device = %self.device, %error, "the device did not begin where it should");
            } else if let Some(playing) = &mut self.now {
                playing.evidence.wound(wanted, Instant::now());
            }
        }
    }

    async fn next_one(&mut self) -> ControlFlow<()> {
        if self.at + 1 >= self.queue.len() {
            let failed = self.queue.iter().filter(|one| matches!(one.state, QueuedState::Failed(_))).count();
            return match failed {
                0 => self.over(END, false),
                failed => self.over(&format!("{END}; {failed} of {} could not be shown", self.queue.len()), false),
            };
        }
        (self.sound, self.captions) = (None, Captions::Off);
        match self.begin(self.at + 1, 0.0).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.over(&error.to_string(), false),
        }
    }

    /// It gets nowhere like that.
    async fn another_way(&mut self, why: &str) -> ControlFlow<()> {
        let Some(playing) = self.now.take() else { return ControlFlow::Continue(()) };
        let why = playing.opened.trouble().unwrap_or_else(|| why.to_owned());
        let place = playing.evidence.place();
        let unchanged = playing.opened.item().is_some_and(|item| item.check().is_ok());
        match (&playing.opened, Receiver::find(&self.inner.registry, &self.device)) {
            (Opened::File { thing, step, .. }, Ok(receiver)) if unchanged && thing.prepared.next.is_some() => {
                self.failed(&playing.opened, &receiver, &why);
                match self.open(self.at, place, step + 1).await {
                    Ok(()) => return ControlFlow::Continue(()),
                    Err(CastError::File(_) | CastError::Told(CallError::Device(_))) => {}
                    Err(error) => return self.over(&error.to_string(), true),
                }
            }
            _ => self.inner.book.update(self.number, |cast| cast.failed(&why)),
        }
        self.mark(self.at, QueuedState::Failed(why.clone()));
        if self.at + 1 >= self.queue.len() {
            return self.over(&why, false);
        }
        self.next_one().await
    }

    fn failed(&self, opened: &Opened, receiver: &Receiver, why: &str) {
        if let Opened::File { item, thing, step } = opened {
            self.inner.formats.failed(item, &self.inner.wants(&receiver.device), *step);
            if let Some(stand) = &self.stand {
                stand.take_away(thing);
            }
        }
        self.inner.book.update(self.number, |cast| cast.failed(why));
    }

    async fn is_away(&mut self) -> ControlFlow<()> {
        if self.away.is_none() {
            let near = list(self.inner.network).await;
            // No interface of this machine is in its network any more: then it is not the device that went.
            let ours =
                self.fetches_from.is_some_and(|address| !near.iter().any(|interface| interface.is_on_link(address)));
            self.away = Some((Instant::now(), ours));
            self.back = None;
        }
        match self.away {
            Some((since, _)) if since.elapsed() >= AWAY_FOR => self.over("the device is away", true),
            _ => ControlFlow::Continue(()),
        }
    }

    /// It answers again. What still plays goes on; what broke off here is begun again; else it is for the owner to say.
    async fn returns(&mut self, look: &Look) -> ControlFlow<()> {
        let (Some((since, ours)), Some(playing)) = (self.back, &self.now) else { return ControlFlow::Continue(()) };
        let picture = self.queue.get(self.at).is_some_and(Queued::is_picture);
        let held = playing.evidence.held;
        if look.moving == Some(true)
            && look.position.is_none_or(|place| (place - playing.evidence.place()).abs() < 600.0)
        {
            self.back = None;
            return ControlFlow::Continue(());
        }
        if since.elapsed() < SHOWS_WITHIN {
            return ControlFlow::Continue(());
        }
        self.back = None;
        if !ours || held {
            return self.over("the device was away; it is back", !picture);
        }
        match self.begin(self.at, playing.evidence.place()).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.over(&error.to_string(), true),
        }
    }

    fn over(&mut self, why: &str, resumes: bool) -> ControlFlow<()> {
        let place = self.now.as_ref().map(|playing| playing.evidence.place());
        let picture = self.queue.get(self.at).is_some_and(Queued::is_picture);
        self.inner.book.update(self.number, |cast| {
            if let Some(place) = place.filter(|place| resumes && *place > 0.0) {
                cast.position = Some((place, Timestamp::now()));
            }
        });
        self.inner.book.end(self.number, why, resumes && !picture);
        ControlFlow::Break(())
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

    // -- what is shown ------------------------------------------------------------------------------

    fn mark(&mut self, at: usize, state: QueuedState) {
        if let Some(queued) = self.queue.get_mut(at) {
            queued.state = state;
        }
        let queue = self.queue.clone();
        self.inner.book.update(self.number, |cast| cast.queue = queue);
    }

    fn show(&mut self, said: &Said, receiver: Option<&Receiver>) {
        let Some(playing) = &self.now else { return };
        let evidence = &playing.evidence;
        let (begins, length) = (playing.opened.begins(), evidence.length());
        let (fetched, ..) = playing.opened.fetched();
        let away = self.away.is_some() || self.back.is_some();
        let step = if away { Step::Away } else { evidence.step.clone() };
        let paused = step == Step::Moving && said.playing == Some(false);
        let held = evidence.held || paused;
        let trouble = match (&step, playing.opened.trouble()) {
            (Step::Away, _) => Some("it does not answer; the place is kept".to_owned()),
            (_, Some(trouble)) => Some(trouble),
            _ if evidence.stalls => Some("it says that it plays, and stands still".to_owned()),
            _ => None,
        };
        let seeks = receiver.is_some_and(Receiver::seeks) || playing.opened.opens_anew();
        let position = said.position.map(|(place, seen)| (place + begins, seen)).filter(|_| step == Step::Moving);
        let known = receiver.is_some();
        self.inner.book.update(self.number, |cast| {
            (cast.step, cast.held, cast.trouble, cast.fetched) = (step, held, trouble, fetched);
            (cast.length, cast.position) = (length.or(cast.length), position.or(cast.position));
            if known {
                (cast.seeks, cast.volume) = (seeks && !cast.is_picture(), said.volume);
            }
        });
    }
}

/// The sounds and the captions to choose from.
fn tracks(prepared: &Prepared) -> (Vec<Choice>, Vec<Choice>) {
    let choice = |track: &Track| Choice { label: track.label.clone() };
    (prepared.sounds.iter().map(choice).collect(), prepared.texts.iter().map(choice).collect())
}

async fn open_item(path: PathBuf) -> Result<Item, CastError> {
    let item = tokio::task::spawn_blocking(move || Item::open(&path)).await;
    item.map_err(|error| CastError::File(error.to_string()))?.map_err(CastError::File)
}

impl Playing {
    /// Right after it was wound, a place is only believed near where it was sent.
    fn believes(&self, (place, seen): (f64, Timestamp)) -> bool {
        let Some((to, at)) = self.wound else { return true };
        let settled = Duration::try_from(seen.duration_since(at)).is_ok_and(|since| since > SETTLES);
        let there = place + self.opened.begins();
        settled || (seen >= at && (there - to).abs() < ELSEWHERE)
    }

    fn sees(&mut self, here: bool, said: &Said) -> Look {
        let begins = self.opened.begins();
        let (fetched, whole, open) = self.opened.fetched();
        let place = said.place();
        let advanced = self.place.zip(place).is_some_and(|(before, now)| now > before + 0.05);
        self.place = place.or(self.place);
        let moving = said.moving.or_else(|| (said.playing == Some(true) && advanced).then_some(true));
        Look {
            here,
            playing: said.playing,
            moving,
            position: place.map(|place| place + begins),
            length: said.length.filter(|_| begins == 0.0),
            title: said.title.clone(),
            ours: said.ours,
            ended: said.ended,
            fetched,
            whole,
            open,
        }
    }
}
