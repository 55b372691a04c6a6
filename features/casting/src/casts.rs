//! The casts that run: one for each device at most.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use accord_consent::outlet::interfaces::{Network, list};
use accord_consent::{BoundGate, Envelope};
use accord_model::{Device, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Origin, Timestamp, Told, What};
use accord_recognition::Recogniser;
use accord_registry::{Ask, Port, Registry};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::address;
use crate::book::{Act, Book, Captions, Cast, CastError, CastEvent, Other, Request, Step};
use crate::item::Item;
use crate::player::{Player, TOLD_WITHIN};
use crate::prepare::{Formats, Receiver as Wants};
use crate::queue::{Queued, QueuedState, Source, expand};
use crate::receiver::Receiver;

/// What a person wants of one cast, and is not done yet.
const ORDERS: usize = 8;
/// A picture that is larger is not shown here.
const LARGEST_PICTURE: usize = 24 << 20;
/// What this machine is called; where that cannot be read, addresses are still compared.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// The longest that a picture is shown before the next.
const SLOWEST: Duration = Duration::from_secs(3600);
const FASTEST: Duration = Duration::from_secs(2);

/// Casts things. Cheap to clone.
#[derive(Clone)]
pub struct Casting(Arc<Inner>);

pub(crate) struct Inner {
    pub gate: BoundGate,
    pub registry: Registry,
    pub network: Network,
    pub recogniser: Recogniser,
    pub formats: Formats,
    pub book: Book,
    pub serve: EntryKey,
    pub command: Port,
    /// The same with the real title.
    pub title: Port,
    /// With an address from which something else serves.
    pub address: Port,
    next: AtomicU64,
}

impl Inner {
    /// What a device is to be served, as far as it says, and its make is recognised.
    pub fn wants(&self, device: &Device) -> Wants {
        let known = self.recogniser.recognise(&self.registry.told(&device.id));
        Wants::of(device).with(&known.quirks)
    }

    /// What a device called itself when it fetched something tells its make.
    pub fn learn(&self, device: &DeviceId, agent: &str) {
        if self.recogniser.is_on() {
            self.registry.learnt(device, Told::new(Origin::UserAgent, What::Agent, agent));
        }
    }
}

impl Casting {
    /// Under the entries of `casting`, which `gate` is bound to. `recogniser` knows what a make wants done differently; what
    /// failed on which model is kept in a file in `data`.
    ///
    /// # Errors
    /// Never in a build whose entries have well-formed names.
    pub fn new(
        gate: BoundGate,
        registry: Registry,
        network: Network,
        recogniser: Recogniser,
        data: &Path,
    ) -> Result<Self, IdError> {
        let port = |entry: &str| Ok::<_, IdError>(registry.port(&gate, EntryKey::new(entry)?, "on.control"));
        let (command, title, address) = (port(COMMAND)?, port(TITLE)?, port(ADDRESS)?);
        let (serve, next) = (EntryKey::new(SERVE)?, AtomicU64::new(1));
        let (formats, book) = (Formats::open(data), Book::default());
        Ok(Self(Arc::new(Inner {
            gate,
            registry,
            network,
            recogniser,
            formats,
            book,
            serve,
            command,
            title,
            address,
            next,
        })))
    }

    /// Has a device play this, one after the other. What was cast to it before ends. The device has said yes to the first of
    /// it once this returns; what it does then, the list and the events tell.
    ///
    /// # Errors
    /// [`CastError`]; then nothing is served.
    pub async fn start(&self, mut request: Request) -> Result<Cast, CastError> {
        request.interval = request.interval.clamp(FASTEST, SLOWEST);
        let what = request.what.clone();
        let expanded = tokio::task::spawn_blocking(move || expand(what)).await;
        let expanded = expanded.map_err(|error| CastError::File(error.to_string()))?.map_err(CastError::File)?;
        self.may_be_told(&expanded.items).await?;
        let from = request.start;
        let captions = if request.subtitles.is_some() { Captions::File } else { Captions::Off };
        self.launch(request, expanded.items, expanded.left_out, (0, from), captions).await
    }

    /// A receiver is not told to ask this machine, where it would fetch whatever answers.
    async fn may_be_told(&self, queue: &[Queued]) -> Result<(), CastError> {
        let addresses = queue.iter().filter_map(|queued| queued.source.address());
        let near = list(self.0.network).await;
        let own: Vec<_> = near.iter().flat_map(|interface| interface.addresses()).collect();
        let name = tokio::fs::read_to_string(HOST_NAME).await.unwrap_or_default();
        for address in addresses {
            address::check(address, &own, name.trim()).map_err(CastError::File)?;
        }
        Ok(())
    }

    /// Begins with this one of the queue and this place in it.
    async fn launch(
        &self,
        request: Request,
        queue: Vec<Queued>,
        left_out: usize,
        (at, from): (usize, f64),
        captions: Captions,
    ) -> Result<Cast, CastError> {
        let inner = &self.0;
        Receiver::find(&inner.registry, &request.device)?;
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let (orders, inbox) = mpsc::channel(ORDERS);
        let stop = CancellationToken::new();
        let captions_file = request.subtitles.as_ref().and_then(|path| path.file_name());
        let captions_file = captions_file.map(|name| name.to_string_lossy().into_owned());
        let cast = Cast {
            id: number.to_string(),
            device: request.device.clone(),
            queue,
            at,
            left_out,
            size: None,
            fetched: 0,
            step: Step::Begins,
            held: false,
            trouble: None,
            tries: Vec::new(),
            next: None,
            advice: None,
            position: None,
            length: None,
            seeks: false,
            volume: None,
            sounds: Vec::new(),
            sound: request.sound,
            texts: Vec::new(),
            captions,
            captions_file,
            interval: request.interval,
            real_title: request.real_title,
            to: None,
            resumes: false,
            keeps: request.keeps.clone(),
            since: Timestamp::now(),
        };
        inner.book.open(number, cast, request, orders, stop.clone());
        let Some(player) = Player::new(inner.clone(), number, stop) else { return Err(CastError::NoCast) };
        let (first, begun) = oneshot::channel();
        tokio::spawn(player.run((at, from), first, inbox));
        // A player that is stopped before it could begin says nothing.
        let ended = || CastError::NotNow("it was stopped before it could begin".to_owned());
        match tokio::time::timeout(ANSWERED_WITHIN, begun).await {
            Ok(begun) => begun.map_err(|_| ended())??,
            Err(_) => return Err(CastError::NotNow(SLOW.to_owned())),
        }
        inner.book.get(number).ok_or(CastError::NoCast)
    }

    /// What casting takes: entries, and what leaves under each.
    pub fn needs(request: &Request) -> Vec<(&'static str, FieldSet)> {
        let told = FieldSet::from_iter([FieldCode::CommandName, FieldCode::MediaNowPlaying]);
        let described = told.union(FieldSet::one(FieldCode::FileMeta));
        let mut needs = vec![(COMMAND, described)];
        if request.what.iter().any(|source| matches!(source, Source::Path(_))) {
            needs.push((SERVE, served()));
            if request.real_title {
                needs.push((TITLE, described));
            }
        }
        if request.what.iter().any(|source| source.address().is_some()) {
            needs.push((ADDRESS, described));
            let named = request.what.iter().any(|source| matches!(source, Source::There(_)));
            if named && request.real_title && !needs.iter().any(|(entry, _)| *entry == TITLE) {
                needs.push((TITLE, described));
            }
        }
        needs
    }

    /// What a cast was begun with.
    pub fn request(&self, id: &str) -> Option<Request> {
        self.0.book.lock().get(&id.parse().ok()?).map(|running| running.request.clone())
    }

    /// All that run, and those that ended lately, newest first.
    pub fn list(&self) -> Vec<Cast> {
        let mut casts: Vec<Cast> = self.0.book.lock().values().map(|running| running.cast.clone()).collect();
        casts.reverse();
        casts
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Cast> {
        self.0.book.get(id.parse().ok()?)
    }

    /// A picture of a cast's queue as it lies here, with its MIME type; for the owner's own screen. Blocks for the disk.
    pub fn picture(&self, id: &str, at: usize) -> Option<(&'static str, Vec<u8>)> {
        let cast = self.get(id)?;
        let queued = cast.queue.get(at)?;
        let Source::Path(path) = &queued.source else { return None };
        let item = Item::open(path).ok()?;
        let format = item.container().format();
        let size = usize::try_from(item.size()).ok().filter(|size| format.is_picture() && *size <= LARGEST_PICTURE)?;
        let mut content = vec![0; size];
        item.read(0, &mut content).ok()?;
        Some((format.mime, content))
    }

    /// What changes, from now on.
    pub fn events(&self) -> broadcast::Receiver<CastEvent> {
        self.0.book.events()
    }

    /// Does something with a cast. One that is over and can be gone on with begins anew, from its place, as another cast.
    ///
    /// # Errors
    /// [`CastError`].
    pub async fn act(&self, id: &str, act: Act) -> Result<Cast, CastError> {
        let number: u64 = id.parse().map_err(|_| CastError::NoCast)?;
        let cast = self.0.book.get(number).ok_or(CastError::NoCast)?;
        if cast.is_over() {
            return match act {
                Act::Play if cast.resumes => {
                    let again = self.go_on(number, cast.device.clone(), None).await?;
                    self.0.book.lapse(number);
                    Ok(again)
                }
                _ => Err(CastError::NoCast),
            };
        }
        let orders = self.0.book.lock().get(&number).map(|running| running.orders.clone());
        let (answer, outcome) = oneshot::channel();
        let full = |_| CastError::NotNow("it has not done yet what was wanted before".to_owned());
        orders.ok_or(CastError::NoCast)?.try_send((act, answer)).map_err(full)?;
        match tokio::time::timeout(ANSWERED_WITHIN, outcome).await {
            Ok(outcome) => outcome.map_err(|_| CastError::NoCast)??,
            Err(_) => return Err(CastError::NotNow(SLOW.to_owned())),
        }
        self.0.book.get(number).ok_or(CastError::NoCast)
    }

    /// The same from where it is, on another device, `others` being that one's other faces. Here it is stopped only once it is seen to go on there; it goes on here
    /// when it does not.
    ///
    /// # Errors
    /// [`CastError`]; then nothing has changed here.
    pub async fn hand_over(&self, id: &str, to: &DeviceId, others: Vec<Other>) -> Result<Cast, CastError> {
        let number: u64 = id.parse().map_err(|_| CastError::NoCast)?;
        let cast = self.0.book.get(number).filter(|cast| !cast.is_over()).ok_or(CastError::NoCast)?;
        if cast.device == *to {
            return Err(CastError::NotNow("it is on that device already".to_owned()));
        }
        if cast.to.is_some() {
            return Err(CastError::NotNow("it is being handed over already".to_owned()));
        }
        let taken = self.go_on(number, to.clone(), Some(others)).await?;
        self.0.book.update(number, |cast| cast.to = Some(to.clone()));
        let (casting, new) = (self.clone(), taken.id.clone());
        tokio::spawn(async move { casting.hand_on(number, &new).await });
        Ok(taken)
    }

    /// Waits until it is seen there, and stops it here.
    async fn hand_on(&self, number: u64, new: &str) {
        let mut events = self.0.book.events();
        loop {
            match self.get(new) {
                Some(cast) if cast.is_seen() => break,
                Some(cast) if !cast.is_over() => {}
                _ => return self.0.book.update(number, |cast| cast.to = None),
            }
            match events.recv().await {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
        self.halt(number, "it goes on on another device").await;
    }

    /// What this cast has left, from its place, as another cast.
    async fn go_on(&self, number: u64, device: DeviceId, others: Option<Vec<Other>>) -> Result<Cast, CastError> {
        let (mut request, cast) = {
            let casts = self.0.book.lock();
            let running = casts.get(&number).ok_or(CastError::NoCast)?;
            (running.request.clone(), running.cast.clone())
        };
        request.device = device;
        request.others = others.unwrap_or(request.others);
        request.sound = cast.sound;
        let mut queue = cast.queue.clone();
        for queued in &mut queue {
            if matches!(queued.state, QueuedState::Now | QueuedState::Failed(_)) {
                queued.state = QueuedState::Waits;
            }
        }
        let place = cast.place().unwrap_or_default();
        self.launch(request, queue, cast.left_out, (cast.at, place), cast.captions).await
    }

    /// Serves a device nothing any more, and tells it nothing either.
    pub fn leave(&self, device: &DeviceId, why: &str) {
        self.0.all_end(device, 0, why);
    }

    /// Ends a cast: the device is told to stop, and nothing is served any more.
    ///
    /// # Errors
    /// [`CastError::NoCast`].
    pub async fn stop(&self, id: &str) -> Result<(), CastError> {
        let number: u64 = id.parse().map_err(|_| CastError::NoCast)?;
        self.0.book.get(number).filter(|cast| !cast.is_over()).ok_or(CastError::NoCast)?;
        self.halt(number, "you stopped it").await;
        Ok(())
    }

    async fn halt(&self, number: u64, why: &str) {
        let Some(cast) = self.0.book.get(number).filter(|cast| !cast.is_over()) else { return };
        // From now on nothing is served; that the device then stops is no news.
        self.0.book.end(number, why, false);
        let Ok(receiver) = Receiver::find(&self.0.registry, &cast.device) else { return };
        let message = Envelope::new().beside(FieldCode::CommandName);
        let told = self.0.command.call(&cast.device, receiver.target(), Ask::act("stop"), message, TOLD_WITHIN).await;
        if let Err(error) = told {
            tracing::info!(device = %cast.device, %error, "the device was not told to stop; nothing is served to it any more");
        }
    }

    /// Ends all, without telling the devices.
    pub fn close(&self) {
        let numbers: Vec<u64> = self.0.book.lock().keys().copied().collect();
        numbers.into_iter().for_each(|number| self.0.book.end(number, "this hub ended", false));
    }
}

impl Inner {
    /// Ends what is cast there, but for this one.
    pub(crate) fn others_end(&self, device: &DeviceId, but: u64) {
        self.all_end(device, but, "something else was cast there");
    }

    fn all_end(&self, device: &DeviceId, but: u64, why: &str) {
        let of_device = |(number, running): &(&u64, &crate::book::Running)| {
            running.cast.device == *device && !running.cast.is_over() && **number != but
        };
        let numbers: Vec<u64> = self.book.lock().iter().filter(of_device).map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.book.end(number, why, false));
    }
}

/// Whoever wants something is not kept waiting longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(180);
const SLOW: &str = "it takes long; `accord casts` tells how it goes on";
const SERVE: &str = "casting/serve";
const COMMAND: &str = "casting/command";
const TITLE: &str = "casting/title";
const ADDRESS: &str = "casting/address";

/// Everything that a device is sent of a file.
pub(crate) fn served() -> FieldSet {
    FieldSet::from_iter([FieldCode::NetIp, FieldCode::FileMeta, FieldCode::FileContent])
}
