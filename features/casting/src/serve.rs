//! Serves things to one device: HEAD and GET with ranges (RFC 9110, 14), each thing at one path, its captions beside it.
//! Everything else is not found.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use accord_consent::outlet::{Served, ServedStream};
use accord_consent::{Personal, SendError};
use accord_http::{Method, RequestHead, Requests, endless_head, portion, response_head};
use accord_model::{FieldCode, FieldSet};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::item::Item;
use crate::live::Live;
use crate::prepare::{Body, Prepared, Seek};

/// Connections at once: demuxers open several to look at the end of a file.
const CONNECTIONS: usize = 16;
/// Things at once: what plays, and what comes next.
const THINGS: usize = 4;
/// Bytes that are read and sent at once.
const PIECE: usize = 256 * 1024;
/// From the first byte of a request to its last, and between two.
const REQUEST_WITHIN: Duration = Duration::from_secs(20);
/// A device that is paused reads no more, and goes on later on the same connection.
const STALLS_FOR: Duration = Duration::from_secs(1800);
const AFTER_ERROR: Duration = Duration::from_millis(300);

/// The place where one device fetches: a listener for it alone, and what is served there now.
pub(crate) struct Stand {
    served: Served,
    at: SocketAddr,
    things: Mutex<Vec<Arc<Thing>>>,
    next: AtomicU64,
    /// Connections now.
    open: AtomicUsize,
}

/// One thing that is served.
pub(crate) struct Thing {
    pub prepared: Prepared,
    /// The only path of it, and without its end that of its captions.
    path: String,
    beside: String,
    at: SocketAddr,
    /// Bytes of it that the device fetched, parts that it fetched twice counted twice.
    fetched: AtomicU64,
    open: AtomicUsize,
    trouble: Mutex<Option<String>>,
    agent: Mutex<Agent>,
}

/// What the device called itself: heard once, and told once.
#[derive(Default)]
enum Agent {
    #[default]
    Unknown,
    Heard(String),
    Told,
}

impl Stand {
    /// With nothing on it yet.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new(served: Served) -> std::io::Result<Arc<Self>> {
        let at = served.local_addr()?;
        let (things, next, open) = (Mutex::default(), AtomicU64::new(1), AtomicUsize::new(0));
        Ok(Arc::new(Self { served, at, things, next, open }))
    }

    /// Whether it is served from this address of ours.
    pub(crate) fn is_at(&self, here: std::net::IpAddr) -> bool {
        self.at.ip() == here
    }

    /// Serves this too, at a new path. What was put there long before is not served any more.
    pub(crate) fn put(&self, prepared: Prepared) -> Arc<Thing> {
        let beside = format!("{}/{}", self.served.path(), self.next.fetch_add(1, Ordering::Relaxed));
        let path = format!("{beside}/media.{}", prepared.format.end);
        let (fetched, open, trouble) = (AtomicU64::new(0), AtomicUsize::new(0), Mutex::default());
        let agent = Mutex::default();
        let thing = Arc::new(Thing { prepared, path, beside, at: self.at, fetched, open, trouble, agent });
        let mut things = self.lock();
        things.push(thing.clone());
        let over = things.len().saturating_sub(THINGS);
        things.drain(..over).for_each(|thing| thing.end());
        thing
    }

    /// Serves this one no more; connections that fetch it just now end with the next piece.
    pub(crate) fn take_away(&self, thing: &Arc<Thing>) {
        self.lock().retain(|one| !Arc::ptr_eq(one, thing));
        thing.end();
    }

    /// Serves nothing any more.
    fn close(&self) {
        self.lock().drain(..).for_each(|thing| thing.end());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Thing>>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, thing: &Arc<Thing>) -> bool {
        self.lock().iter().any(|one| Arc::ptr_eq(one, thing))
    }

    /// What a path names.
    fn find(&self, path: &str) -> Option<(Arc<Thing>, What)> {
        if !self.served.is_path(path) {
            return None;
        }
        self.lock().iter().find_map(|thing| {
            let what = match path.strip_prefix(&*thing.beside) {
                _ if path == thing.path => What::Content,
                Some("/captions.vtt") if thing.prepared.captions.is_some() => What::WebVtt,
                Some("/captions.srt") if thing.prepared.captions.is_some() => What::Srt,
                _ => return None,
            };
            Some((thing.clone(), what))
        })
    }
}

#[derive(Clone, Copy)]
enum What {
    Content,
    WebVtt,
    Srt,
}

impl Thing {
    /// What the device called itself when it first asked; only once.
    pub(crate) fn agent(&self) -> Option<String> {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*agent {
            Agent::Heard(_) => match std::mem::replace(&mut *agent, Agent::Told) {
                Agent::Heard(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    fn heard(&self, text: Option<&str>) {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Agent::Unknown, Some(text)) = (&*agent, text) {
            *agent = Agent::Heard(text.to_owned());
        }
    }

    /// The address of the content.
    pub(crate) fn address(&self) -> String {
        format!("http://{}{}", self.at, self.path)
    }

    /// The address of its captions, where it has some that are not part of the picture.
    pub(crate) fn captions(&self) -> Option<String> {
        let captions = self.prepared.captions.as_ref()?;
        Some(self.captions_as(captions.end))
    }

    fn captions_as(&self, end: &str) -> String {
        format!("http://{}{}/captions.{end}", self.at, self.beside)
    }

    /// Bytes of the content that the device fetched.
    pub(crate) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Connections now that fetch it.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Why it cannot be served any more, in words: the file was changed, the conversion failed.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nothing is made of it any more.
    fn end(&self) {
        if let Body::Live(live) = &self.prepared.body {
            live.end();
        }
    }

    fn note_trouble(&self, why: &str) {
        tracing::info!("what is cast cannot be served on: {why}");
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
    }

    fn note_fetched(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What DLNA wants to know (guidelines 7.4.1.3.17 and on): whether bytes can be sought, whether it was converted, how it
    /// is transferred. The same stands in what a bridge tells the device.
    fn features(&self) -> &'static str {
        match (self.prepared.seek, self.prepared.format.is_picture()) {
            (_, true) => "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=00F00000000000000000000000000000",
            (Seek::Bytes, _) => "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000",
            (Seek::Time, _) => "DLNA.ORG_OP=10;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=01500000000000000000000000000000",
            (Seek::None, _) => "DLNA.ORG_OP=00;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=01500000000000000000000000000000",
        }
    }

    /// How long it is, counted from its own beginning.
    fn rest(&self) -> Option<f64> {
        self.prepared.length.map(|length| (length - self.prepared.begins).max(0.0))
    }

    /// From which second of a conversion on it is wanted, where that is said (DLNA guidelines, 7.5.4.3.2.24). `Err`: the status
    /// that answers what cannot be had.
    fn wanted_from(&self, head: &RequestHead) -> Result<Option<f64>, u16> {
        let Some(wanted) = head.time_seek.as_deref() else { return Ok(None) };
        let from = npt(wanted).ok_or(400_u16)?;
        match (self.prepared.seek, self.rest()) {
            (Seek::Time, Some(rest)) if from < rest => Ok(Some(from)),
            (Seek::Time, Some(_)) => Err(416),
            // Some ask so for the beginning of everything.
            _ if from == 0.0 => Ok(None),
            _ => Err(406),
        }
    }

    fn lines(&self, head: &RequestHead) -> String {
        let ranges = if self.prepared.seek == Seek::Bytes { "bytes" } else { "none" };
        let mode = if self.prepared.format.is_picture() { "Interactive" } else { "Streaming" };
        let mut lines = format!(
            "Accept-Ranges: {ranges}\r\nCache-Control: no-store\r\n{CORS}transferMode.dlna.org: {mode}\r\n\
             contentFeatures.dlna.org: {}\r\n",
            self.features()
        );
        if head.caption_info && self.prepared.captions.is_some() {
            lines.push_str(&format!("CaptionInfo.sec: {}\r\n", self.captions_as("srt")));
        }
        lines
    }
}

/// A page in the device's own browser may read it, of whatever origin it is: the address is the secret, not the origin.
const CORS: &str = "Access-Control-Allow-Origin: *\r\n";

/// Takes connections until this stand is not needed any more. When its time is over, so is the whole cast.
pub(crate) async fn accept(stand: Arc<Stand>, stop: CancellationToken, cast: CancellationToken) {
    take_all(&stand, &stop, &cast).await;
    stand.close();
}

async fn take_all(stand: &Arc<Stand>, stop: &CancellationToken, cast: &CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = stand.served.accept() => accepted,
        };
        match accepted {
            Ok(Some(stream)) if stand.open.load(Ordering::Relaxed) < CONNECTIONS => {
                stand.open.fetch_add(1, Ordering::Relaxed);
                let (stand, stop) = (stand.clone(), stop.clone());
                tasks.spawn(async move {
                    if let Some(Err(why)) = stop.run_until_cancelled(answer(&stand, stream)).await {
                        tracing::debug!("a connection of a cast ended: {why}");
                    }
                    stand.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Ok(Some(_)) => {}
            Ok(None) => return cast.cancel(),
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// One connection that fetches a thing, for as long as it does.
pub(crate) struct Fetch<'a> {
    pub stand: &'a Arc<Stand>,
    pub thing: Arc<Thing>,
    pub stream: ServedStream,
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.thing.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request, one answer.
async fn answer(stand: &Arc<Stand>, mut stream: ServedStream) -> Result<(), String> {
    let head = match tokio::time::timeout(REQUEST_WITHIN, request(&mut stream)).await {
        Ok(head) => head?,
        Err(_) => return Err("nothing was asked in time".to_owned()),
    };
    let Some((thing, what)) = stand.find(&head.path) else { return plain(&mut stream, 404).await };
    if !matches!(head.method, Method::Get | Method::Head) {
        return plain(&mut stream, 405).await;
    }
    stream.stall_after(STALLS_FOR);
    let captions = thing.prepared.captions.as_ref();
    let (text, mime) = match (what, captions) {
        (What::Content, _) | (_, None) => {
            thing.heard(head.agent.as_deref());
            thing.open.fetch_add(1, Ordering::Relaxed);
            return Fetch { stand, thing, stream }.content(&head).await;
        }
        (What::WebVtt, Some(captions)) => (captions.cues.web_vtt(), "text/vtt; charset=utf-8"),
        (What::Srt, Some(captions)) => (captions.cues.srt(), "application/x-subrip; charset=utf-8"),
    };
    let answer = response_head(200, text.len() as u64, mime, false, &format!("Cache-Control: no-store\r\n{CORS}"));
    put(&mut stream, FieldSet::one(FieldCode::FileMeta), &answer).await?;
    match head.method {
        Method::Head => Ok(()),
        _ => put(&mut stream, FieldSet::one(FieldCode::FileContent), text.as_bytes()).await,
    }
}

impl Fetch<'_> {
    async fn content(mut self, head: &RequestHead) -> Result<(), String> {
        match self.thing.prepared.body.clone() {
            Body::File(item) => self.file(head, &item).await,
            Body::Made(made) => {
                let part = self.begin(head, made.len() as u64).await?;
                let (from, length) = (usize::try_from(part.0), usize::try_from(part.1));
                let (Ok(from), Ok(length)) = (from, length) else { return Ok(()) };
                for piece in made[from..from + length].chunks(PIECE) {
                    self.piece(piece).await?;
                }
                Ok(())
            }
            Body::Live(live) => self.live(head, &live).await,
        }
    }

    /// Says which part of so many bytes follows: from where on, and how many.
    async fn begin(&mut self, head: &RequestHead, size: u64) -> Result<(u64, u64), String> {
        let part = portion(head.range.as_deref(), size);
        let extra = self.thing.lines(head) + &part.lines;
        let mime = self.thing.prepared.format.mime;
        self.put(FieldCode::FileMeta, &response_head(part.status, part.length, mime, false, &extra)).await?;
        Ok((part.from, if head.method == Method::Head { 0 } else { part.length }))
    }

    /// What is made while it is fetched: from the beginning, until the connection ends.
    async fn live(&mut self, head: &RequestHead, live: &Arc<Live>) -> Result<(), String> {
        let from = match self.thing.wanted_from(head) {
            Ok(from) => from,
            Err(status) => return plain(&mut self.stream, status).await,
        };
        let mut lines = self.thing.lines(head);
        if let (Some(from), Some(rest)) = (from, self.thing.rest()) {
            lines.push_str(&format!("TimeSeekRange.dlna.org: npt={from:.3}-{rest:.3}/{rest:.3}\r\n"));
        }
        let answer = endless_head(self.thing.prepared.format.mime, &lines);
        if head.method == Method::Head {
            return self.put(FieldCode::FileMeta, &answer).await;
        }
        let mut turn = live.turn(from.unwrap_or_default());
        let mut is_told = false;
        let over = turn.over.clone();
        let all = async {
            loop {
                let piece = match turn.next().await {
                    Ok(piece) => piece,
                    Err(why) => {
                        self.thing.note_trouble(&why);
                        if !is_told {
                            plain(&mut self.stream, 500).await?;
                        }
                        return Err(why);
                    }
                };
                // What cannot be made at all is not promised.
                if !std::mem::replace(&mut is_told, true) {
                    self.put(FieldCode::FileMeta, &answer).await?;
                }
                if piece.is_empty() {
                    return Ok(());
                }
                self.piece(&piece).await?;
            }
        };
        let taken = || Err("another connection took it over".to_owned());
        over.run_until_cancelled(all).await.unwrap_or_else(taken)
    }

    /// A file that is there, or a part of it.
    async fn file(&mut self, head: &RequestHead, item: &Item) -> Result<(), String> {
        let (from, length) = self.begin(head, item.size()).await?;
        let mut sent = 0;
        while sent < length {
            let most = usize::try_from(length - sent).unwrap_or(PIECE).min(PIECE);
            let (source, at) = (item.clone(), from + sent);
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; most];
                source.read(at, &mut piece).map(|()| piece)
            });
            let read = read.await.map_err(|error| error.to_string())?;
            let piece = read.map_err(|error| {
                self.thing.note_trouble(&error.to_string());
                error.to_string()
            })?;
            self.piece(&piece).await?;
            sent += most as u64;
        }
        Ok(())
    }

    /// A piece of the content.
    async fn piece(&mut self, piece: &[u8]) -> Result<(), String> {
        if !self.stand.has(&self.thing) {
            return Err("it is not served any more".to_owned());
        }
        self.put(FieldCode::FileContent, piece).await?;
        self.thing.note_fetched(piece.len() as u64);
        Ok(())
    }

    async fn put(&mut self, what: FieldCode, bytes: &[u8]) -> Result<(), String> {
        put(&mut self.stream, FieldSet::from_iter([what, FieldCode::FileMeta]), bytes).await
    }
}

/// The beginning of a range in normal play time: `npt=12.5-`, `npt=0:01:02.5-0:02:00` (RFC 2326, 3.6).
fn npt(text: &str) -> Option<f64> {
    let range = text.trim().strip_prefix("npt=").filter(|range| range.len() <= 64)?;
    let (from, to) = range.split_once('-')?;
    let seconds = |text: &str| -> Option<f64> {
        let parts: Vec<&str> = text.split(':').collect();
        let plain = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !matches!(parts.len(), 1 | 3) || !parts.iter().all(plain) {
            return None;
        }
        let all = parts.iter().try_fold(0.0, |all, part| Some(all * 60.0 + part.parse::<f64>().ok()?))?;
        (0.0..1e7).contains(&all).then_some(all)
    };
    let from = seconds(from)?;
    let to = to.split('/').next().unwrap_or_default();
    (to.is_empty() || seconds(to).is_some_and(|to| to >= from)).then_some(from)
}

async fn request(stream: &mut ServedStream) -> Result<RequestHead, String> {
    let mut requests = Requests::new(0);
    let mut buffer = vec![0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("it hung up".to_owned());
        }
        match requests.take(&buffer[..read]) {
            Ok(Some((head, _))) => return Ok(head),
            Ok(None) => {}
            Err(fault) => {
                plain(stream, fault.status()).await?;
                return Err(fault.to_string());
            }
        }
    }
}

async fn plain(stream: &mut ServedStream, status: u16) -> Result<(), String> {
    put(stream, FieldSet::EMPTY, &response_head(status, 0, "text/plain", false, "")).await
}

/// Writes all of it. A device that is paused does not read for long, which is no fault.
async fn put(stream: &mut ServedStream, fields: FieldSet, bytes: &[u8]) -> Result<(), String> {
    let sealed = Personal::of(fields.union(FieldSet::one(FieldCode::NetIp)), bytes);
    stream.put(&sealed).await.map_err(|error: SendError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_players_write_them() {
        for (text, from) in [
            ("npt=0-", Some(0.0)),
            ("npt=12.5-", Some(12.5)),
            (" npt=00:01:02.500-00:02:00 ", Some(62.5)),
            ("npt=5-7/120.0", Some(5.0)),
            ("npt=7-5", None),
            ("npt=-5", None),
            ("npt=1:2-", None),
            ("npt=1e3-", None),
            ("npt=99999999-", None),
            ("bytes=0-", None),
            ("npt=now-", None),
            ("", None),
        ] {
            assert_eq!(npt(text), from, "{text}");
        }
    }
}
