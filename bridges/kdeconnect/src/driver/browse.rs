//! The service `storage` of phones: asks on the link for a way in, keeps it open while it is used, lists folders, and has
//! files come into the inbox as if the phone had sent them.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};
use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs, text::for_screen};
use accord_ports::files::wire::{FailReason, Offer, StopReason, Time};
use accord_ports::files::{Giver, IDLE, PortError};
use accord_ports::storage::{Entry, Kind, Page, check_path};
use russh::ChannelStream;
use russh::client::Msg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::link::at;
use super::payload::Context;
use super::ssh::{Ssh, withdrawn};
use super::{Happening, Running, incoming, not_connected};
use crate::core::packet::{Sftp as Way, SftpRequest};
use crate::core::sftp::{Event, Input, Listing, Output, STALL_TIME, Sftp};
use crate::core::{KdeId, Private};

/// How long the phone may take to open its file server.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that is not used for this long is closed.
const KEPT: Duration = Duration::from_secs(60);
/// Folders and files of one device that are asked for at once.
const MAX_JOBS: usize = 8;
/// Places to begin that a phone may name.
const MAX_PLACES: usize = 64;
/// Ports below are no file server's that an app could open.
const LOWEST_PORT: u16 = 1024;

/// What answers a question for a way in: the answer, and where the device is.
pub(crate) type WayAnswer = oneshot::Sender<Result<(Way, IpAddr), CallError>>;

/// One device that is looked into. Dropped, it ends what runs.
pub(crate) struct Browser {
    door: Arc<Door>,
    all: CancellationToken,
}

/// What the jobs of one device share.
struct Door {
    ctx: Context,
    open: Mutex<Option<Arc<Open>>>,
    /// The folder that was read last, for its further pages.
    listed: Lock<Option<(String, Listing, Instant)>>,
    jobs: AtomicUsize,
    closes: Lock<Option<AbortOnDropHandle<()>>>,
}

struct Open {
    ssh: Ssh,
    places: Vec<Entry>,
}

enum Job {
    List { path: String, from: usize },
    Fetch { path: String, transfer: [u8; 16] },
}

impl Running {
    /// Begins what was asked of the service; it replies by itself.
    pub(super) fn browse(
        &mut self,
        call: CallId,
        device: &DeviceId,
        action: &str,
        inputs: &Inputs,
    ) -> Result<(), CallError> {
        let job = Job::read(action, inputs)?;
        let id = self.ids.get(device).cloned().ok_or_else(not_connected)?;
        let peer = self.peers.get(&id).filter(|peer| peer.paired.is_some()).ok_or_else(not_connected)?;
        if !peer.shows_storage() {
            return Err(CallError::Unsupported("its KDE Connect shows no files".into()));
        }
        let up = peer.link.as_ref().filter(|up| up.secured).ok_or_else(not_connected)?;
        let context = Context { busy: None, ..self.context(peer, up) };
        let peer = self.peers.get_mut(&id).ok_or_else(not_connected)?;
        let busy = peer.busy.clone();
        let browser = peer.browser.get_or_insert_with(|| Browser::new(context));
        let turn = browser.door.clone().turn()?;
        let (cancel, outbox) = (browser.token(), self.outbox.clone());
        self.jobs.retain(|_, job| !job.is_cancelled());
        self.jobs.insert(call, cancel.clone());
        self.tasks.spawn(async move {
            let _busy = busy;
            // What is over counts as cancelled, so that it is forgotten.
            let over = cancel.clone().drop_guard();
            let outcome = turn.door.run(job, &cancel).await;
            drop((over, turn));
            let _ = outbox.send((FromBridge::Reply { call, outcome }, None)).await;
        });
        Ok(())
    }

    /// Nobody waits for this any more.
    pub(super) fn cancelled(&mut self, call: CallId) {
        if let Some(job) = self.jobs.remove(&call) {
            job.cancel();
        }
    }

    /// Asks a device for a way in.
    pub(super) fn ask_way(&mut self, id: &KdeId, answer: WayAnswer) {
        match self.say(id, SftpRequest { start_browsing: true }.into()) {
            Ok(_) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.way = Some(answer);
                }
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    /// A device tells how its files can be had. What nobody asked for is dropped.
    pub(super) fn way_came(&mut self, id: &KdeId, way: Way) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        if let (Some(answer), Some(up)) = (peer.way.take(), &peer.link) {
            let _ = answer.send(Ok((way, up.address)));
        }
    }
}

impl Job {
    fn read(action: &str, inputs: &Inputs) -> Result<Self, CallError> {
        let path = inputs.get("path").and_then(Data::as_text).unwrap_or_default().to_owned();
        match action {
            "list" => {
                if !path.is_empty() {
                    check_path(&path)?;
                }
                let from = inputs.get("from").and_then(Data::as_int).unwrap_or(0);
                Ok(Self::List { path, from: usize::try_from(from).unwrap_or(0) })
            }
            "fetch" => {
                check_path(&path)?;
                let transfer = inputs.get("transfer").and_then(Data::as_text).unwrap_or_default();
                let transfer = data_encoding::HEXLOWER.decode(transfer.as_bytes()).ok();
                let transfer = transfer.and_then(|bytes| bytes.try_into().ok());
                let transfer = transfer.ok_or_else(|| CallError::BadInput("`transfer` is no id".into()))?;
                Ok(Self::Fetch { path, transfer })
            }
            other => Err(CallError::Unsupported(for_screen(other, 60))),
        }
    }
}

impl Browser {
    fn new(ctx: Context) -> Self {
        let door = Door {
            ctx,
            open: Mutex::default(),
            listed: Lock::default(),
            jobs: AtomicUsize::new(0),
            closes: Lock::default(),
        };
        Self { door: Arc::new(door), all: CancellationToken::new() }
    }

    fn token(&self) -> CancellationToken {
        self.all.child_token()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

/// One job's place among those of its device.
struct Turn {
    door: Arc<Door>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.door.jobs.fetch_sub(1, Ordering::SeqCst) == 1 {
            let weak = Arc::downgrade(&self.door);
            let closes = tokio::spawn(Door::close_later(weak));
            *lock(&self.door.closes) = Some(AbortOnDropHandle::new(closes));
        }
    }
}

impl Door {
    fn turn(self: Arc<Self>) -> Result<Turn, CallError> {
        if self.jobs.fetch_add(1, Ordering::SeqCst) >= MAX_JOBS {
            self.jobs.fetch_sub(1, Ordering::SeqCst);
            return Err(CallError::Refused("too much is asked of it at once; wait until something is over".into()));
        }
        *lock(&self.closes) = None;
        Ok(Turn { door: self })
    }

    async fn close_later(door: Weak<Self>) {
        tokio::time::sleep(KEPT).await;
        if let Some(door) = door.upgrade() {
            *door.open.lock().await = None;
            *lock(&door.listed) = None;
        }
    }

    async fn run(&self, job: Job, cancel: &CancellationToken) -> Result<Outputs, CallError> {
        let open = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            open = self.open() => open?,
        };
        match job {
            Job::List { path, from } => tokio::select! {
                biased;
                () = cancel.cancelled() => Err(cancelled()),
                listed = self.list(&open, path, from) => listed.map(Page::into_outputs),
            },
            Job::Fetch { path, transfer } => self.fetch(&open, &path, transfer, cancel).await,
        }
    }

    /// The connection; a new one when there is none.
    async fn open(&self) -> Result<Arc<Open>, CallError> {
        let mut kept = self.open.lock().await;
        if let Some(open) = kept.as_ref().filter(|open| open.ssh.is_open()) {
            return Ok(open.clone());
        }
        *kept = None;
        // An answer that came late has a password that holds no more: the next one has the one that does.
        for _ in 0..2 {
            let (way, address) = self.ask().await?;
            let port = way.port.filter(|port| *port >= LOWEST_PORT);
            let (Some(port), Some(password)) = (port, &way.password) else {
                return Err(CallError::Device("it names no port and password of its file server".into()));
            };
            let user = way.user.as_deref().unwrap_or("kdeconnect");
            let to = SocketAddr::new(address, port);
            if let Some(ssh) = Ssh::connect(&self.ctx, to, user, password).await? {
                let open = Arc::new(Open { ssh, places: places(&way) });
                *kept = Some(open.clone());
                return Ok(open);
            }
        }
        Err(CallError::Refused("its file server does not take the password that it gave; try again".into()))
    }

    async fn ask(&self) -> Result<(Way, IpAddr), CallError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.ctx.happened.send(Happening::AskWay(self.ctx.id.clone(), answer)).await;
        asked.map_err(|_| not_connected())?;
        let (way, address) = match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(answered) => answered.unwrap_or_else(|_| Err(not_connected()))?,
            Err(_) if !self.ctx.is_linked().await => return Err(not_connected()),
            Err(_) => return Err(CallError::Deadline(ANSWER_WITHIN.as_secs())),
        };
        match &way.error_message {
            Some(message) => Err(CallError::Device(for_screen(message, 300))),
            None => Ok((way, address)),
        }
    }

    async fn list(&self, open: &Open, path: String, from: usize) -> Result<Page, CallError> {
        let path = match (path.as_str(), &open.places[..]) {
            ("", [place]) => place.path.clone(),
            ("", places) => return Ok(Page::of("", places, from, false, 0)),
            _ => path,
        };
        if from > 0
            && let Some((listed, listing, at)) = lock(&self.listed).as_ref()
            && *listed == path
            && at.elapsed() < KEPT
        {
            return Ok(Page::of(&path, &listing.entries, from, listing.more, listing.nameless));
        }
        let mut talk = Talk::begin(&open.ssh, Sftp::list(&path, Instant::now())).await?;
        let Event::Listed(listing) = talk.next().await? else { return Err(senseless()) };
        let page = Page::of(&path, &listing.entries, from, listing.more, listing.nameless);
        *lock(&self.listed) = page.next.map(|_| (path, listing, Instant::now()));
        Ok(page)
    }

    async fn fetch(
        &self,
        open: &Open,
        path: &str,
        transfer: [u8; 16],
        cancel: &CancellationToken,
    ) -> Result<Outputs, CallError> {
        let found = async {
            let mut talk = Talk::begin(&open.ssh, Sftp::get(path, Instant::now())).await?;
            match talk.next().await? {
                Event::Found { size, modified } => Ok((talk, size, modified)),
                _ => Err(senseless()),
            }
        };
        let (mut talk, size, modified) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            found = found => found?,
        };
        let name = path.rsplit('/').find(|name| !name.is_empty()).unwrap_or("file");
        let mut giver = incoming::open(&self.ctx).await.map_err(not_taken)?;
        let offer = Giver::new_offer(transfer, 1, size);
        let offer = Offer { preview: vec![Giver::preview(name, Some(size))], ..offer };
        tokio::select! {
            biased;
            // Dropping the giver takes the offer back.
            () = cancel.cancelled() => return Err(cancelled()),
            taken = giver.offer(offer) => taken.map_err(not_taken)?,
        }
        let time = Time { seconds: modified.unwrap_or_default(), nanos: 0 };
        giver.file(name, Some(size), time).await.map_err(not_taken)?;
        talk.sftp.go_on(Instant::now());
        match pass_on(&mut talk, &mut giver, cancel).await {
            Ok(()) => {}
            Err(Broken::Phone(error)) => {
                giver.stop(StopReason::Failed).await;
                return Err(error);
            }
            Err(Broken::Cancelled) => {
                giver.stop(StopReason::Cancelled).await;
                return Err(cancelled());
            }
            Err(Broken::Here(error)) => return Err(not_taken(error)),
        }
        let taken = giver.finish().await.map_err(not_taken)?;
        if taken.files != 1 {
            return Err(CallError::Refused("the file could not be kept here".into()));
        }
        Ok(Outputs::from([("bytes".to_owned(), Data::from(i64::try_from(taken.bytes).unwrap_or(i64::MAX)))]))
    }
}

/// Who ended a file before its end.
enum Broken {
    Phone(CallError),
    Here(PortError),
    Cancelled,
}

impl From<PortError> for Broken {
    fn from(error: PortError) -> Self {
        Self::Here(error)
    }
}

async fn pass_on(talk: &mut Talk, giver: &mut Giver, cancel: &CancellationToken) -> Result<(), Broken> {
    loop {
        let event = {
            let mut next = std::pin::pin!(talk.next());
            loop {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return Err(Broken::Cancelled),
                    event = &mut next => break event.map_err(Broken::Phone)?,
                    () = tokio::time::sleep(IDLE) => giver.idle().await?,
                }
            }
        };
        match event {
            Event::Data(data) => giver.content(&data).await?,
            Event::Done => return Ok(giver.end().await?),
            _ => return Err(Broken::Phone(senseless())),
        }
    }
}

/// One job on a channel of its own.
struct Talk {
    stream: ChannelStream<Msg>,
    sftp: Sftp,
    buffer: Vec<u8>,
    stopped: CancellationToken,
}

impl Talk {
    async fn begin(ssh: &Ssh, sftp: Sftp) -> Result<Self, CallError> {
        let stream = ssh.sftp().await?;
        Ok(Self { stream, sftp, buffer: vec![0; 64 * 1024], stopped: ssh.stopped() })
    }

    async fn next(&mut self) -> Result<Event, CallError> {
        let Self { stream, sftp, buffer, stopped } = self;
        loop {
            match sftp.poll_output(Instant::now()) {
                Output::Transmit(bytes) => {
                    let written = async {
                        stream.write_all(&bytes).await?;
                        stream.flush().await
                    };
                    if !matches!(tokio::time::timeout(STALL_TIME, written).await, Ok(Ok(()))) {
                        sftp.handle(Input::Closed, Instant::now());
                    }
                }
                Output::Event(Event::Failed(_)) if stopped.is_cancelled() => return Err(withdrawn()),
                Output::Event(Event::Failed(error)) => return Err(CallError::Device(error.to_string())),
                Output::Event(event) => return Ok(event),
                Output::Wait(until) => tokio::select! {
                    biased;
                    () = stopped.cancelled() => return Err(withdrawn()),
                    read = stream.read(buffer) => match read {
                        Ok(length @ 1..) => sftp.handle(Input::Bytes(&buffer[..length]), Instant::now()),
                        _ => sftp.handle(Input::Closed, Instant::now()),
                    },
                    () = at(until) => sftp.handle(Input::Timeout, Instant::now()),
                },
            }
        }
    }
}

/// Where one may begin: what the phone names, or the one folder that it says.
fn places(way: &Way) -> Vec<Entry> {
    let names = way.path_names.as_deref().unwrap_or_default();
    let paths = way.multi_paths.iter().flatten().take(MAX_PLACES);
    let named = paths.enumerate().map(|(at, path)| (path, names.get(at)));
    let several: Vec<Entry> = named.filter_map(|(path, name)| place(path.as_str(), name)).collect();
    if !several.is_empty() {
        return several;
    }
    let one = way.path.as_ref().and_then(|path| place(path.as_str(), None));
    vec![one.unwrap_or_else(|| folder("/".to_owned(), "/"))]
}

fn place(path: &str, name: Option<&Private>) -> Option<Entry> {
    check_path(path).ok()?;
    let last = path.rsplit('/').find(|name| !name.is_empty()).unwrap_or("/");
    let name = name.map(Private::as_str).filter(|name| !name.trim().is_empty()).unwrap_or(last);
    let path = path.trim_end_matches('/');
    Some(folder(if path.is_empty() { "/".to_owned() } else { path.to_owned() }, name))
}

fn folder(path: String, name: &str) -> Entry {
    let name = for_screen(name, 100).replace('/', " ");
    let name = if name.trim().is_empty() { "All files".to_owned() } else { name };
    Entry { name, path, kind: Kind::Folder, size: None, modified: None }
}

fn not_taken(error: PortError) -> CallError {
    CallError::Refused(match error {
        PortError::Refused(_) => "you did not take it".into(),
        PortError::Failed(FailReason::Cancelled) => "you cancelled it".into(),
        other => format!("it could not be kept here: {other}"),
    })
}

fn cancelled() -> CallError {
    CallError::Refused("it was cancelled".into())
}

fn senseless() -> CallError {
    CallError::Device("its file server answers in no way that SFTP knows".into())
}

fn lock<T>(lock: &Lock<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(path: Option<&str>, several: &[(&str, &str)]) -> Way {
        let private = |text: &str| Private::from(text);
        Way {
            path: path.map(private),
            multi_paths: Some(several.iter().map(|(path, _)| private(path)).collect()),
            path_names: Some(several.iter().map(|(_, name)| private(name)).collect()),
            ..Way::default()
        }
    }

    #[test]
    fn one_begins_where_the_phone_says_if_that_is_a_place() {
        let of = |way: &Way| places(way).into_iter().map(|place| (place.path, place.name)).collect::<Vec<_>>();
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect()
        };
        let several = way(Some("/"), &[("/storage/emulated/0/", "Internal storage"), ("/storage/1-2", "")]);
        assert_eq!(of(&several), own(&[("/storage/emulated/0", "Internal storage"), ("/storage/1-2", "1-2")]));
        let odd = way(Some("/sd"), &[("../..", "Up"), ("/sd/../etc", "Etc"), ("x", "X")]);
        assert_eq!(of(&odd), own(&[("/sd", "sd")]));
        assert_eq!(of(&way(None, &[])), own(&[("/", "All files")]));
        assert_eq!(of(&way(None, &[("/a", "a/b")])), own(&[("/a", "a b")]));
        let many: Vec<_> = (0..500).map(|_| ("/a", "a")).collect();
        assert_eq!(of(&way(None, &many)).len(), MAX_PLACES);
    }

    #[test]
    fn only_whole_paths_are_asked_for() {
        let inputs = |path: &str, transfer: &str| {
            Inputs::from([("path".to_owned(), path.into()), ("transfer".to_owned(), transfer.into())])
        };
        let id = "0123456789abcdef0123456789abcdef";
        assert!(matches!(Job::read("list", &inputs("", "")), Ok(Job::List { from: 0, .. })));
        assert!(matches!(Job::read("fetch", &inputs("/sd/a", id)), Ok(Job::Fetch { .. })));
        for (action, path, transfer) in [
            ("list", "/sd/../etc", ""),
            ("fetch", "", id),
            ("fetch", "/sd/a", "00"),
            ("fetch", "/sd/a", "../../../../x"),
        ] {
            assert!(
                matches!(Job::read(action, &inputs(path, transfer)), Err(CallError::BadInput(_))),
                "{action} {path}"
            );
        }
        assert!(matches!(Job::read("delete", &inputs("/sd/a", id)), Err(CallError::Unsupported(_))));
    }
}
