//! Media servers: looks into their folders, tells where a player fetches a file, and has files come into the inbox as if the
//! server had sent them (the service `storage`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_consent::outlet::OneNear;
use accord_http::BodyLength;
use accord_model::{
    CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs, StreamId, Target, text::for_screen,
};
use accord_ports::Outbox;
use accord_ports::files::wire::{Offer, StopReason, Time};
use accord_ports::files::{Giver, IDLE, PortError, pair};
use accord_ports::storage::{Entry, Kind, Page, check_path, join, sort};
use tokio_util::sync::CancellationToken;

use super::download::Download;
use super::exchange::{NoAnswer, exchange, failed};
use super::law::{self, Law};
use crate::core::description::Server;
use crate::core::directory::{Content, Known, Listing, Object, ROOT, Reading, Resource, parts};
use crate::core::http;
use crate::core::soap;

/// Folders and files of one server that are asked for at once.
const MAX_JOBS: usize = 4;
/// How long an answer may take: a server may have to wake its disks.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// How long a folder that was read counts.
const KEPT: Duration = Duration::from_secs(60);
/// Deepest path.
const MAX_DEPTH: usize = 32;
/// How often a file that broke off is gone on with, and how long after.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);
/// Most that is taken of a file whose size nobody says.
const UNKNOWN_UP_TO: u64 = 1 << 36;

/// What is looked into. Dropped, it ends what runs.
#[derive(Default)]
pub(crate) struct Shelves {
    folders: HashMap<DeviceId, Arc<Mutex<Folders>>>,
    jobs: HashMap<CallId, (DeviceId, CancellationToken)>,
    next: u64,
}

/// Folders that were read, and since when that counts.
#[derive(Default)]
struct Folders {
    known: Known,
    since: Option<Instant>,
}

/// What is asked for.
pub(crate) enum Wanted {
    List { path: String, from: usize },
    Address { path: String },
    Fetch { path: String, transfer: [u8; 16] },
}

/// One question of the owner's to one server.
pub(crate) struct Job {
    law: Law,
    device: DeviceId,
    server: Server,
    folders: Arc<Mutex<Folders>>,
    outbox: Outbox,
    stream: StreamId,
    cancel: CancellationToken,
}

impl Wanted {
    pub(crate) fn read(action: &str, inputs: &Inputs) -> Result<Self, CallError> {
        let path = inputs.get("path").and_then(Data::as_text).unwrap_or_default().to_owned();
        if action != "list" || !path.is_empty() {
            check_path(&path)?;
        }
        if parts(&path).count() > MAX_DEPTH {
            return Err(CallError::BadInput(format!("a path there has at most {MAX_DEPTH} parts")));
        }
        match action {
            "list" => {
                let from = inputs.get("from").and_then(Data::as_int).unwrap_or(0);
                Ok(Self::List { path, from: usize::try_from(from).unwrap_or(0) })
            }
            "address" => Ok(Self::Address { path }),
            "fetch" => {
                let transfer = inputs.get("transfer").and_then(Data::as_text).unwrap_or_default();
                let transfer =
                    hexadecimal(transfer).ok_or_else(|| CallError::BadInput("`transfer` is no id".into()))?;
                Ok(Self::Fetch { path, transfer })
            }
            other => Err(CallError::Unsupported(for_screen(other, 60))),
        }
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 16]> {
    let fits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| fits).map(u128::to_be_bytes)
}

impl Shelves {
    /// A job for one call, unless too much runs there.
    pub(crate) fn begin(
        &mut self,
        call: CallId,
        law: &Law,
        device: &DeviceId,
        server: Server,
        outbox: &Outbox,
    ) -> Result<Job, CallError> {
        self.jobs.retain(|_, (_, cancel)| !cancel.is_cancelled());
        if self.jobs.values().filter(|(of, _)| of == device).count() >= MAX_JOBS {
            return Err(CallError::Refused("too much is asked of it at once; wait until something is over".into()));
        }
        let cancel = CancellationToken::new();
        self.jobs.insert(call, (device.clone(), cancel.clone()));
        self.next += 1;
        Ok(Job {
            law: law.clone(),
            device: device.clone(),
            server,
            folders: self.folders.entry(device.clone()).or_default().clone(),
            outbox: outbox.clone(),
            stream: StreamId(self.next),
            cancel,
        })
    }

    /// Nobody waits for this any more.
    pub(crate) fn cancel(&mut self, call: CallId) {
        if let Some((_, cancel)) = self.jobs.remove(&call) {
            cancel.cancel();
        }
    }

    /// A server is gone, or described differently.
    pub(crate) fn let_go(&mut self, device: &DeviceId) {
        self.folders.remove(device);
        self.jobs.values().filter(|(of, _)| of == device).for_each(|(_, cancel)| cancel.cancel());
    }

    pub(crate) fn end(&mut self) {
        self.folders.clear();
        self.jobs.drain().for_each(|(_, (_, cancel))| cancel.cancel());
    }
}

impl Job {
    /// Does it and replies.
    pub(crate) async fn run(self, call: CallId, wanted: Wanted) {
        // What is over counts as cancelled, so that it is forgotten.
        let _over = self.cancel.clone().drop_guard();
        let outcome = match wanted {
            Wanted::Fetch { path, transfer } => self.fetch(&path, transfer).await,
            other => match self.cancel.run_until_cancelled(self.look(other)).await {
                Some(outcome) => outcome,
                None => Err(cancelled()),
            },
        };
        self.outbox.reply(call, outcome).await;
    }

    async fn open(&self) -> Result<OneNear, CallError> {
        let permit = self.law.permit(&self.device, law::looking(), "on.browse");
        let permit = permit.map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let address = *self.server.directory.control.at.ip();
        let one = OneNear::open(permit, address.into()).await;
        one.map_err(|error| told(failed(error, NoAnswer::Unreachable)))
    }

    async fn look(&self, wanted: Wanted) -> Result<Outputs, CallError> {
        let one = self.open().await?;
        match wanted {
            Wanted::List { path, from } => {
                let id = self.folder(&one, &path).await?;
                let listing = self.listing(&one, &id).await?;
                let path = if path.is_empty() { "/".to_owned() } else { path };
                let mut entries: Vec<Entry> = listing.objects.iter().map(|object| entry(&path, object)).collect();
                sort(&mut entries);
                Ok(Page::of(&path, &entries, from, listing.more, listing.nameless).into_outputs())
            }
            Wanted::Address { path } | Wanted::Fetch { path, .. } => {
                let (name, resource) = self.file(&one, &path).await?;
                Ok(address(&name, &resource))
            }
        }
    }

    /// The id of the folder at a path, from the outermost on. Nothing is followed but the path itself, so that a folder that
    /// holds itself does no harm.
    async fn folder(&self, one: &OneNear, path: &str) -> Result<String, CallError> {
        let mut id = ROOT.to_owned();
        for name in parts(path) {
            let listing = self.listing(one, &id).await?;
            let found = listing.objects.into_iter().find(|object| object.name == name);
            match found.map(|object| (object.id, object.content)) {
                Some((inner, Content::Folder)) => id = inner,
                Some(_) => return Err(CallError::Device(format!("`{}` is no folder there", for_screen(name, 100)))),
                None => return Err(not_there(name)),
            }
        }
        Ok(id)
    }

    async fn file(&self, one: &OneNear, path: &str) -> Result<(String, Resource), CallError> {
        let path = path.trim_end_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let id = self.folder(one, folder).await?;
        let found = self.listing(one, &id).await?.objects.into_iter().find(|object| object.name == name);
        match found.map(|object| object.content) {
            Some(Content::File(resource)) => Ok((name.to_owned(), resource)),
            Some(Content::Folder) => Err(CallError::Device(format!("`{}` is a folder there", for_screen(name, 100)))),
            Some(Content::Nowhere) => {
                Err(CallError::Device("the server names no address of this on its own host".to_owned()))
            }
            None => Err(not_there(name)),
        }
    }

    async fn listing(&self, one: &OneNear, id: &str) -> Result<Listing, CallError> {
        if let Some(listing) = self.known(id) {
            return Ok(listing);
        }
        let service = &self.server.directory;
        let mut reading = Reading::new(id);
        loop {
            let body = reading.question(&service.kind);
            let request = http::post(&service.control, &service.kind, "Browse", &body);
            let dial = one.dial(service.control.at.port());
            let answer = match exchange(dial, law::looking(), request, ANSWERS_WITHIN).await {
                Ok(answer) => answer,
                Err(NoAnswer::Large) if reading.too_long() => continue,
                Err(why) => return Err(told(why)),
            };
            let arguments = soap::answer("Browse", answer.status, &answer.body);
            let arguments = arguments.map_err(|fault| CallError::Device(fault.to_string()))?;
            let all = reading.answer(&arguments, &service.control);
            if all.map_err(|error| CallError::Device(error.to_string()))? {
                break;
            }
        }
        let listing = reading.finish();
        let mut folders = self.lock();
        folders.since.get_or_insert_with(Instant::now);
        folders.known.keep(id, listing.clone());
        Ok(listing)
    }

    fn known(&self, id: &str) -> Option<Listing> {
        let mut folders = self.lock();
        if folders.since.is_some_and(|since| since.elapsed() > KEPT) {
            *folders = Folders::default();
        }
        folders.known.get(id).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // -- a file comes here --------------------------------------------------------------------------

    async fn fetch(&self, path: &str, transfer: [u8; 16]) -> Result<Outputs, CallError> {
        let begun = async {
            let one = self.open().await?;
            let (name, resource) = self.file(&one, path).await?;
            let download = Download::begin(&one, &resource.place, 0).await.map_err(told)?;
            Ok::<_, CallError>((one, name, resource, download))
        };
        let begun = self.cancel.run_until_cancelled(begun).await;
        let (one, name, resource, download) = begun.unwrap_or_else(|| Err(cancelled()))?;
        let size = match download.length {
            BodyLength::Exactly(size) => Some(size),
            _ => resource.size,
        };
        let mut giver = self.giver().await.map_err(not_taken)?;
        let offer = Giver::new_offer(transfer, 1, size.unwrap_or(0));
        let offer = Offer { preview: vec![Giver::preview(&name, size)], exact: size.is_some(), ..offer };
        // Dropping the giver takes the offer back.
        let taken = self.cancel.run_until_cancelled(giver.offer(offer)).await;
        taken.ok_or_else(cancelled)?.map_err(not_taken)?;
        giver.file(&name, size, Time::default()).await.map_err(not_taken)?;
        let passed =
            match self.cancel.run_until_cancelled(self.pass_on(&one, &resource, download, size, &mut giver)).await {
                Some(passed) => passed,
                None => Err(Broken::Cancelled),
            };
        match passed {
            Ok(()) => {}
            Err(Broken::There(error)) => {
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

    /// A stream to the feature that keeps files.
    async fn giver(&self) -> Result<Giver, PortError> {
        let (mut ours, theirs) = pair("upnp");
        ours.path.encrypted = false;
        let (device, target) = (self.device.clone(), Target::new("files"));
        let opened = FromBridge::StreamOpened { stream: self.stream, device, target, inputs: Inputs::new() };
        if !self.outbox.carry(opened, ours).await {
            return Err(PortError::Broken(std::io::ErrorKind::NotConnected.into()));
        }
        Ok(Giver::new(theirs))
    }

    /// All of the file, in one piece or, where the server can, going on after it broke off.
    async fn pass_on(
        &self,
        one: &OneNear,
        resource: &Resource,
        mut download: Download,
        size: Option<u64>,
        giver: &mut Giver,
    ) -> Result<(), Broken> {
        let (mut have, mut tries) = (0u64, 0);
        loop {
            let ended = loop {
                let piece = {
                    let mut next = std::pin::pin!(download.next());
                    loop {
                        tokio::select! {
                            biased;
                            piece = &mut next => break piece,
                            () = tokio::time::sleep(IDLE) => giver.idle().await?,
                        }
                    }
                };
                match piece {
                    Ok(Some(bytes)) => {
                        have += bytes.len() as u64;
                        if have > size.unwrap_or(UNKNOWN_UP_TO) {
                            return Err(Broken::There(CallError::Device("it sends more than it said".into())));
                        }
                        giver.content(&bytes).await?;
                    }
                    Ok(None) if size.is_none_or(|size| size == have) => return Ok(giver.end().await?),
                    Ok(None) => break "the file ended too early".to_owned(),
                    Err(NoAnswer::Denied(why)) => return Err(Broken::There(CallError::NotConsented(why))),
                    Err(why) => break why.to_string(),
                }
            };
            tries += 1;
            let whole = size.filter(|_| resource.seek && tries <= TRIES);
            let Some(whole) = whole else {
                return Err(Broken::There(CallError::Device(format!("the file broke off: {ended}"))));
            };
            tracing::debug!("a file of a media server broke off at {have} and is gone on with: {ended}");
            giver.idle().await?;
            tokio::time::sleep(AGAIN).await;
            download = match Download::begin(one, &resource.place, have).await {
                Ok(download) if download.goes_on(have, whole) => download,
                Ok(_) => return Err(Broken::There(CallError::Device("the file broke off, and is another now".into()))),
                Err(why) => return Err(Broken::There(told(why))),
            };
        }
    }
}

/// Who ended a file before its end.
enum Broken {
    There(CallError),
    Here(PortError),
    Cancelled,
}

impl From<PortError> for Broken {
    fn from(error: PortError) -> Self {
        Self::Here(error)
    }
}

fn entry(folder: &str, object: &Object) -> Entry {
    let (kind, size) = match &object.content {
        Content::Folder => (Kind::Folder, None),
        Content::File(resource) => (Kind::File, resource.size),
        Content::Nowhere => (Kind::Other, None),
    };
    Entry { name: object.name.clone(), path: join(folder, &object.name), kind, size, modified: None }
}

/// What a player is to be told of a file.
fn address(name: &str, resource: &Resource) -> Outputs {
    let title = name.rsplit_once('.').map_or(name, |(title, _)| title);
    let seek = if resource.seek { "bytes" } else { "none" };
    let mut outputs = Outputs::from([
        ("address".to_owned(), Data::from(resource.place.to_string())),
        ("title".to_owned(), Data::from(title)),
        ("seek".to_owned(), Data::from(seek)),
    ]);
    if let Some(format) = &resource.format {
        outputs.insert("format".to_owned(), Data::from(format.as_str()));
    }
    if let Some(length) = resource.length {
        outputs.insert("length".to_owned(), Data::Float(length));
    }
    outputs
}

fn told(why: NoAnswer) -> CallError {
    match why {
        NoAnswer::Denied(why) => CallError::NotConsented(why),
        NoAnswer::Unreachable(why) => CallError::Unreachable(why),
        why => CallError::Device(why.to_string()),
    }
}

fn not_there(name: &str) -> CallError {
    CallError::Device(format!("there is no `{}` there", for_screen(name, 100)))
}

fn not_taken(error: PortError) -> CallError {
    CallError::Refused(match error {
        PortError::Refused(_) => "you did not take it".into(),
        other => format!("it could not be kept here: {other}"),
    })
}

fn cancelled() -> CallError {
    CallError::Refused("it was cancelled, or the server is gone".into())
}
