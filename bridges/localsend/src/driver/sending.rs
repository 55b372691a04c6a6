//! One transfer to a device: what a feature of this machine gives, passed on as LocalSend's requests. One connection
//! carries everything, because what is given comes once and in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::Permit;
use accord_consent::outlet::dial_tcp;
use accord_model::{DeviceId, FieldCode, FieldSet, Timestamp};
use accord_ports::files::wire::{Entry, FailReason, ItemReason, Key, Kind, Offer, RefusedReason, Time, What};
use accord_ports::files::{Given, PortError, Taker};
use accord_registry::ByteStream;
use tokio::sync::mpsc;

use super::caller::{Answer, Caller, NoAnswer, Source};
use super::law::{self, Law};
use super::line::Line;
use crate::core::message::{Announcement, FileOffer, MAX_FILES, MAX_TEXT, RelativePath};
use crate::core::send::{Event, Input, JobId, Options, Output, SendError, Sender};
use crate::core::{Identity, Peer, Protocol, Secret, Target};

/// How long a device that does not answer is tried.
const TRY_FOR: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_secs(2);
/// How long a cancelled transfer's last word may take.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long a receiver that hung up may take to say why.
const WHY_WITHIN: Duration = Duration::from_secs(1);
/// Longest text, and one byte more.
const TEXT: usize = MAX_TEXT + 1;

/// Everything that one transfer needs.
pub(crate) struct Sending {
    pub law: Law,
    pub identity: Arc<Identity>,
    pub device: DeviceId,
    /// Where it may be.
    pub targets: Vec<Target>,
    /// Whether plain HTTP will do.
    pub unencrypted: bool,
    /// As we are told to it.
    pub me: Announcement,
    pub pin: Option<Secret>,
    /// Cancels that came to our server.
    pub cancels: mpsc::Receiver<(Peer, Option<Secret>)>,
}

/// How it ends for the feature.
enum End {
    /// Passed on: files, bytes, and what was left out.
    Done(u64, u64, Vec<(Key, ItemReason)>),
    Refused,
    CancelledThere,
    Unable(String),
    /// The feature is gone, or stopped.
    Nobody,
}

impl Sending {
    /// Until it is over. Everything is told to the feature.
    pub(crate) async fn run(mut self, stream: ByteStream) {
        let (offer, mut taker) = match Taker::open(stream).await {
            Ok(opened) => opened,
            Err(error) => return tracing::debug!(%error, "a stream without an offer"),
        };
        let end = match self.files(&offer, &mut taker).await {
            Ok(parcel) => self.send(parcel, &mut taker).await,
            Err(end) => end,
        };
        let told = match end {
            End::Done(files, bytes, left_out) => taker.done_without(files, bytes, &left_out).await,
            End::Refused => taker.refuse(RefusedReason::Owner).await,
            End::CancelledThere => taker.fail(FailReason::Cancelled).await,
            End::Unable(why) => taker.unable(&why).await,
            End::Nobody => return,
        };
        if let Err(error) = told {
            tracing::debug!(%error, "a feature was not told how its transfer ended");
        }
    }

    /// What is sent, before anybody is asked.
    async fn files(&mut self, offer: &Offer, taker: &mut Taker) -> Result<Parcel, End> {
        if offer.kind != Kind::Files {
            return text(taker).await;
        }
        let items = taker.list(MAX_FILES).await.map_err(|error| match error {
            PortError::TooMany(_) => End::Unable(error.to_string()),
            error => feature(error),
        })?;
        let mut parcel = Parcel::default();
        for item in items {
            parcel.add(item)?;
        }
        match parcel.offers.is_empty() {
            true => Err(End::Unable("LocalSend sends no folders without files, and no links".to_owned())),
            false => Ok(parcel),
        }
    }

    async fn send(&mut self, mut parcel: Parcel, taker: &mut Taker) -> End {
        let fields = parcel.fields();
        let mut feed = Feed { taker, ahead: None, gone: false };
        let opened = tokio::select! {
            opened = self.open(fields) => opened,
            () = feed.interrupt() => return End::Nobody,
        };
        let (target, mut caller) = match opened {
            Ok((target, caller)) => (target, Some(caller)),
            Err(why) => return End::Unable(why),
        };
        let options = Options { parallel: 1, attempts: 1, unencrypted: self.unencrypted, ..Options::default() };
        let offers = std::mem::take(&mut parcel.offers);
        let mut core = Sender::new(self.me.clone(), target.clone(), offers, options, Instant::now());
        let mut run = Run::new(parcel);
        loop {
            match core.poll_output() {
                Output::Ask { job, request, file, .. } => {
                    if core.is_over() {
                        // The last word of a transfer that was cancelled here: on a connection of its own.
                        let word = async {
                            let mut caller = self.connect(&target, FieldSet::EMPTY).await.ok()?;
                            let outcome = caller.ask(request, &mut super::caller::Quiet).await;
                            caller.close(outcome.map(drop).map_err(|_| "not told".to_owned())).await;
                            Some(())
                        };
                        let _ = tokio::time::timeout(LAST_WORD, word).await;
                        return End::Nobody;
                    }
                    if let Some(file) = file {
                        match run.begin(file, core.files(), &mut feed).await {
                            Ok(true) => {}
                            Ok(false) => {
                                core.handle(Input::Failed(job, "it changed meanwhile".to_owned()), Instant::now());
                                continue;
                            }
                            Err(end) => {
                                close(caller, Err("the feature stopped")).await;
                                if matches!(end, End::Nobody) {
                                    core.handle(Input::Cancel, Instant::now());
                                    caller = None;
                                    continue;
                                }
                                return end;
                            }
                        }
                    }
                    if caller.is_none() {
                        match self.connect(&target, fields).await {
                            Ok(connected) => caller = Some(connected),
                            Err(why) => {
                                core.handle(Input::Failed(job, why), Instant::now());
                                continue;
                            }
                        }
                    }
                    let Some(mut open) = caller.take() else { continue };
                    let mut body = Body { feed: &mut feed, run: &mut run, file };
                    let asked = ask(&mut open, request, &mut body, &mut core, &mut self.cancels).await;
                    match asked {
                        Asked::Answer(Answer { status, body, again }) => {
                            if again {
                                caller = Some(open)
                            } else {
                                open.close(Ok(())).await
                            }
                            core.handle(Input::Answer { job, status, body: &body }, Instant::now());
                        }
                        Asked::None(NoAnswer::Denied(why)) => {
                            open.close(Err(why.clone())).await;
                            return End::Unable(format!("not shared: {why}"));
                        }
                        Asked::None(NoAnswer::Connection(why)) => {
                            open.close(Err(why.clone())).await;
                            if file.is_none() || !self.cancelled_there(&mut core).await {
                                core.handle(Input::Failed(job, why), Instant::now());
                            }
                        }
                        Asked::None(NoAnswer::Stopped) if feed.gone => {
                            open.close(Err("stopped here".to_owned())).await;
                            core.handle(Input::Cancel, Instant::now());
                        }
                        Asked::None(NoAnswer::Stopped) => {
                            // The file is not what it was when it was offered; the next one may be.
                            open.close(Err("the file changed meanwhile".to_owned())).await;
                            core.handle(Input::Failed(job, "it changed meanwhile".to_owned()), Instant::now());
                        }
                        Asked::Over => open.close(Err("cancelled there".to_owned())).await,
                    }
                }
                Output::Abort(JobId(_)) => {}
                Output::Event(event) => match self.event(event, &mut core, &mut run, &mut feed).await {
                    None => {}
                    Some(end) => {
                        close(caller, Ok(())).await;
                        return end;
                    }
                },
                Output::Wait(_) => {
                    close(caller, Ok(())).await;
                    return End::Nobody;
                }
            }
        }
    }

    async fn event(&mut self, event: Event, core: &mut Sender, run: &mut Run, feed: &mut Feed<'_>) -> Option<End> {
        match event {
            Event::Waiting | Event::Sending(_) => None,
            Event::PinNeeded { wrong } => {
                match self.pin.take() {
                    Some(pin) if !wrong => core.handle(Input::Pin(pin), Instant::now()),
                    _ => {
                        let how = "set it as `pin` of the device's service `files`, and send again";
                        let what = if wrong { "the PIN is wrong" } else { "the other device asks for a PIN" };
                        return Some(End::Unable(format!("{what}; {how}")));
                    }
                }
                None
            }
            Event::Accepted(wanted) => {
                let left_out = run.accept(&wanted, core.files().len());
                if run.parcel.text.is_none() && feed.taker.accept_without(&left_out).await.is_err() {
                    core.handle(Input::Cancel, Instant::now());
                    feed.gone = true;
                }
                None
            }
            Event::Sent(file) => {
                run.sent += 1;
                run.bytes += core.files().get(file).map_or(0, |offer| offer.size);
                feed.taker.passed_on(run.sent, run.bytes);
                None
            }
            Event::NotSent(file, error) => {
                run.last_error = Some(error.to_string());
                run.leave_out(file, ItemReason::Foreign);
                None
            }
            Event::Finished { .. } => Some(run.finish(feed).await),
            Event::Failed(SendError::Cancelled) => None,
            Event::Failed(SendError::Declined) if !run.accepted && run.parcel.text.is_none() => Some(End::Refused),
            Event::Failed(SendError::CancelledByPeer) if run.accepted => Some(End::CancelledThere),
            Event::Failed(error) => Some(End::Unable(error.to_string())),
        }
    }

    /// A receiver that hangs up may be telling us why just now.
    async fn cancelled_there(&mut self, core: &mut Sender) -> bool {
        let told = async {
            while let Some((peer, session)) = self.cancels.recv().await {
                core.handle(Input::PeerCancelled { peer: &peer, session: session.as_deref() }, Instant::now());
                if core.is_over() {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(WHY_WITHIN, told).await.unwrap_or(false)
    }

    /// A connection to wherever the device answers.
    async fn open(&self, fields: FieldSet) -> Result<(Target, Caller), String> {
        let mut permit = Some(self.permit(fields).await?);
        let begun = Instant::now();
        let mut last = "it is not near; open LocalSend there".to_owned();
        loop {
            for target in &self.targets {
                let permit = match permit.take() {
                    Some(permit) => permit,
                    None => self.permit(fields).await?,
                };
                match self.dial(target, permit).await {
                    Ok(caller) => return Ok((target.clone(), caller)),
                    Err(why) => last = why,
                }
            }
            if begun.elapsed() > TRY_FOR || self.targets.is_empty() {
                return Err(format!("the device cannot be reached: {last}"));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits for the owner's decision, if there is none.
    async fn permit(&self, fields: FieldSet) -> Result<Permit, String> {
        let permit = self.law.transfer_once_decided(&self.device, fields, "on.send").await;
        permit.map_err(|refusal| format!("not shared: {refusal}"))
    }

    async fn connect(&self, target: &Target, fields: FieldSet) -> Result<Caller, String> {
        let permit = self.law.transfer(&self.device, fields, "on.send").map_err(|refusal| refusal.to_string())?;
        self.dial(target, permit).await
    }

    async fn dial(&self, target: &Target, permit: Permit) -> Result<Caller, String> {
        let tls = match target.protocol {
            Protocol::Http => None,
            Protocol::Https => Some(self.identity.client_config(target.pin()).map_err(|error| error.to_string())?),
        };
        let dialed = dial_tcp(permit, target.address).await.map_err(|error| error.to_string())?;
        Caller::new(Line::device(dialed, FieldSet::EMPTY), tls)
    }
}

async fn close(caller: Option<Caller>, outcome: Result<(), &str>) {
    if let Some(caller) = caller {
        caller.close(outcome.map_err(str::to_owned)).await;
    }
}

/// The feature's stream does not go on.
fn feature(error: PortError) -> End {
    tracing::debug!(%error, "the feature stopped");
    End::Nobody
}

enum Asked {
    Answer(Answer),
    None(NoAnswer),
    /// The other side cancelled; the core knows.
    Over,
}

/// Asks, and hears meanwhile whether the other side cancels through our server.
async fn ask(
    caller: &mut Caller,
    request: crate::core::http::client::Request,
    body: &mut Body<'_, '_>,
    core: &mut Sender,
    cancels: &mut mpsc::Receiver<(Peer, Option<Secret>)>,
) -> Asked {
    let mut asking = std::pin::pin!(caller.ask(request, body));
    loop {
        tokio::select! {
            biased;
            answer = &mut asking => return match answer {
                Ok(answer) => Asked::Answer(answer),
                Err(none) => Asked::None(none),
            },
            Some((peer, session)) = cancels.recv() => {
                core.handle(Input::PeerCancelled { peer: &peer, session: session.as_deref() }, Instant::now());
                if core.is_over() {
                    return Asked::Over;
                }
            }
        }
    }
}

/// What is sent, and how the feature calls it.
#[derive(Default)]
struct Parcel {
    offers: Vec<FileOffer>,
    /// By place in the offers.
    keys: Vec<Key>,
    /// Items that LocalSend does not have.
    left_out: Vec<(Key, ItemReason)>,
    text: Option<Vec<u8>>,
}

impl Parcel {
    fn add(&mut self, item: Entry) -> Result<(), End> {
        let Entry { key, path, what } = item;
        match what {
            What::Folder { .. } => {}
            What::Link { .. } => self.left_out.push((key, ItemReason::Foreign)),
            What::File { size: None, .. } => {
                let why = "LocalSend needs to know the size before; send it as a file";
                return Err(End::Unable(why.to_owned()));
            }
            What::File { size: Some(size), modified, .. } => match RelativePath::parse(&path) {
                Ok(path) => {
                    let mut offer = FileOffer::new(format!("{}", self.offers.len()), path, size);
                    offer.file_type = file_type(offer.path.file_name()).to_owned();
                    offer.modified = stamp(modified);
                    self.offers.push(offer);
                    self.keys.push(key);
                }
                Err(_) => self.left_out.push((key, ItemReason::Path)),
            },
        }
        Ok(())
    }

    fn fields(&self) -> FieldSet {
        let names = FieldSet::from_iter([FieldCode::FileName, FieldCode::FileMeta]);
        let content = match self.text {
            Some(_) => FieldSet::from_iter([FieldCode::TextContent, FieldCode::FileContent]),
            None => FieldSet::one(FieldCode::FileContent),
        };
        names.union(content).union(law::STATE)
    }
}

/// A text is known only once the feature sends it.
async fn text(taker: &mut Taker) -> Result<Parcel, End> {
    taker.accept().await.map_err(feature)?;
    let (mut text, mut name) = (Vec::new(), String::new());
    loop {
        match taker.next().await.map_err(feature)? {
            Given::Entry(entry) => name = entry.path,
            Given::Content(bytes) if text.len() + bytes.len() < TEXT => text.extend_from_slice(bytes),
            Given::Content(_) => return Err(End::Unable("the text is too long; send it as a file".to_owned())),
            Given::Finish => break,
            Given::Abandon(_) => return Err(End::Nobody),
            Given::End(_) | Given::Totals(..) => {}
        }
    }
    let words = String::from_utf8_lossy(&text).into_owned();
    let path = RelativePath::parse(&name).or_else(|_| RelativePath::parse("text.txt"));
    let path = path.map_err(|fault| End::Unable(fault.to_string()))?;
    let offers = vec![FileOffer::text("0", path, words.clone())];
    Ok(Parcel { offers, keys: vec![Key::default()], left_out: Vec::new(), text: Some(words.into_bytes()) })
}

fn stamp(time: Time) -> Option<String> {
    let nanos = i32::try_from(time.nanos.min(999_999_999)).ok()?;
    Timestamp::new(time.seconds, nanos).ok().filter(|_| time != Time::default()).map(|time| time.to_string())
}

/// By the ending of its name; receivers choose icons and folders by it.
fn file_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "mkv" => "video/x-matroska",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "apk" => "application/vnd.android.package-archive",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// How far it is.
struct Run {
    parcel: Parcel,
    places: HashMap<Key, usize>,
    accepted: bool,
    sent: u64,
    bytes: u64,
    left_out: HashMap<usize, ItemReason>,
    last_error: Option<String>,
    /// Bytes of the running file, and those of them that are still to come.
    size: u64,
    left: u64,
    /// How much of a text was sent.
    at: usize,
}

impl Run {
    fn new(parcel: Parcel) -> Self {
        let places = parcel.keys.iter().copied().enumerate().map(|(place, key)| (key, place)).collect();
        let (accepted, sent, bytes, size, left, at) = Default::default();
        Self { parcel, places, accepted, sent, bytes, left_out: HashMap::new(), last_error: None, size, left, at }
    }

    /// The keys of what is not wanted.
    fn accept(&mut self, wanted: &[usize], all: usize) -> Vec<Key> {
        self.accepted = true;
        let wanted: std::collections::HashSet<_> = wanted.iter().collect();
        let unwanted: Vec<usize> = (0..all).filter(|place| !wanted.contains(place)).collect();
        for place in &unwanted {
            self.left_out.insert(*place, ItemReason::NotWanted);
        }
        unwanted.iter().filter_map(|place| self.parcel.keys.get(*place)).copied().collect()
    }

    fn leave_out(&mut self, place: usize, reason: ItemReason) {
        self.left_out.insert(place, reason);
    }

    /// Goes on to the file at `place`. False: the feature does not give it as it was offered.
    async fn begin(&mut self, place: usize, offers: &[FileOffer], feed: &mut Feed<'_>) -> Result<bool, End> {
        let size = offers.get(place).map_or(0, |offer| offer.size);
        (self.size, self.left, self.at) = (size, size, 0);
        if self.parcel.text.is_some() {
            return Ok(true);
        }
        loop {
            match feed.next().await.map_err(feature)? {
                Some(Told::Entry(key)) if self.places.get(&key) == Some(&place) => return Ok(true),
                // Files come in the order of the list: this one was passed over.
                Some(Told::Entry(key)) if self.places.get(&key).is_some_and(|other| *other > place) => {
                    feed.ahead = Some(Told::Entry(key));
                    return Ok(false);
                }
                Some(Told::Finish) => {
                    feed.ahead = Some(Told::Finish);
                    return Ok(false);
                }
                Some(Told::Entry(_) | Told::End | Told::Abandon) | None => {}
            }
        }
    }

    async fn finish(&mut self, feed: &mut Feed<'_>) -> End {
        if !self.accepted && self.parcel.text.is_none() {
            return End::Unable("the other device wanted nothing of it".to_owned());
        }
        if self.parcel.text.is_some() {
            return match &self.last_error {
                Some(why) => End::Unable(why.clone()),
                None => End::Done(1, self.parcel.text.as_ref().map_or(0, Vec::len) as u64, Vec::new()),
            };
        }
        if self.sent == 0
            && let Some(why) = &self.last_error
        {
            return End::Unable(why.clone());
        }
        // What is left is folders, links and what was passed over.
        loop {
            match feed.next().await {
                Ok(Some(Told::Finish)) => break,
                Ok(_) => {}
                Err(error) => return feature(error),
            }
        }
        let mut left_out = std::mem::take(&mut self.parcel.left_out);
        left_out
            .extend(self.left_out.iter().filter_map(|(place, reason)| Some((*self.parcel.keys.get(*place)?, *reason))));
        End::Done(self.sent, self.bytes, left_out)
    }
}

/// What the feature said, without content.
enum Told {
    Entry(Key),
    End,
    Abandon,
    Finish,
}

/// The feature's stream, one word ahead at most.
struct Feed<'a> {
    taker: &'a mut Taker,
    ahead: Option<Told>,
    /// The feature stopped, or is gone.
    gone: bool,
}

impl Feed<'_> {
    /// The next word; `None` for content that is passed over, and totals.
    async fn next(&mut self) -> Result<Option<Told>, PortError> {
        if let Some(told) = self.ahead.take() {
            return Ok(Some(told));
        }
        Ok(match self.taker.next().await? {
            Given::Entry(entry) if matches!(entry.what, What::File { .. }) => Some(Told::Entry(entry.key)),
            Given::End(_) => Some(Told::End),
            Given::Abandon(_) => Some(Told::Abandon),
            Given::Finish => Some(Told::Finish),
            Given::Entry(_) | Given::Content(_) | Given::Totals(..) => None,
        })
    }

    /// Comes back when the feature stops. Reads one word ahead at most; not while content is to come.
    async fn interrupt(&mut self) {
        while self.ahead.is_none() {
            match self.next().await {
                Ok(told) => self.ahead = told,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        std::future::pending().await
    }
}

/// The body of one request.
struct Body<'a, 'b> {
    feed: &'a mut Feed<'b>,
    run: &'a mut Run,
    file: Option<usize>,
}

impl Source for Body<'_, '_> {
    async fn next(&mut self, most: usize, body: &mut Vec<u8>) -> bool {
        if let Some(text) = &self.run.parcel.text {
            let end = (self.run.at + most).min(text.len());
            body.extend_from_slice(&text[self.run.at..end]);
            self.run.at = end;
            self.run.left = (text.len() - end) as u64;
            return !body.is_empty();
        }
        if self.file.is_none() || self.feed.ahead.is_some() {
            return false;
        }
        loop {
            match self.feed.taker.next().await {
                Ok(Given::Content(bytes)) if bytes.len() as u64 <= self.run.left && bytes.len() <= most => {
                    self.run.left -= bytes.len() as u64;
                    body.extend_from_slice(bytes);
                    self.feed.taker.passed_on(self.run.sent, self.run.bytes + self.run.size - self.run.left);
                    return true;
                }
                Ok(Given::Totals(..)) => {}
                Ok(Given::Entry(entry)) => {
                    self.feed.ahead = Some(Told::Entry(entry.key));
                    return false;
                }
                Ok(Given::Finish) => {
                    self.feed.ahead = Some(Told::Finish);
                    return false;
                }
                // Longer or shorter than it was offered, or unreadable.
                Ok(_) => return false,
                Err(_) => {
                    self.feed.gone = true;
                    return false;
                }
            }
        }
    }

    async fn interrupt(&mut self) {
        if self.file.is_some() && self.run.left > 0 {
            std::future::pending::<()>().await;
        }
        self.feed.interrupt().await;
    }
}
