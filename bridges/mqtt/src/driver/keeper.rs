//! Devices of this house, shown on a broker: what the feature tells on its stream goes there on a connection of its own, whose
//! last will says that they are away. It is made while something is shown, or lies there that should not.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use accord_consent::ConsentWatch;
use accord_model::{CallId, Data, DeviceId, FromBridge, Source, Target, Timestamp, Value, Verb};
use accord_ports::added::LASTING_S;
use accord_ports::showcase::{Decoder, SERVICE, WISH};
use accord_store::JsonFile;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::broker::{MANY, SELDOM, files_of};
use super::form::Added;
use super::law::{self, Law};
use super::line::{Line, NoLine};
use super::mind::Heard;
use crate::core::packet::{Connect, Will};
use crate::core::session::{Event, Input, Output, Session};
use crate::core::showing::{Memory, Showing};

const KEEP_ALIVE: u16 = 30;
/// A stream that ended may have another one in its place: the feature is told of a change, or the hub ends.
const REPLACED_WITHIN: Duration = Duration::from_secs(3);
/// How long after the start what was shown before may take to be shown again.
const GRACE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);
const STEADY: Duration = Duration::from_secs(10);
const FAREWELL: Duration = Duration::from_secs(1);
/// No wish waits longer for what became of it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
/// Wishes that are asked about at once: fewer than the house works on for one device. The others wait their turn.
const ASKED_AT_ONCE: usize = 12;
const PIECE: usize = 16 * 1024;

/// What it is told.
pub(crate) enum Word {
    /// Devices are told of on this stream, in the place of another.
    Stream(DuplexStream),
    /// What became of a wish.
    Answer(CallId, bool),
    /// The broker proved to hold this key, the first one.
    Pin(String),
    /// Nothing may stay there; said when nothing does.
    Forget(oneshot::Sender<()>),
}

/// How a connection ended.
enum End {
    /// The house stops.
    Over,
    /// There is nothing more to do there.
    Done,
    Denied,
    Lost(String),
}

/// Who this hub is on a broker, and what of it may lie there.
pub(super) fn memory_of(folder: &Path, broker: &DeviceId) -> Memory {
    let [.., file] = files_of(folder, broker);
    let memory: Memory = file.load().unwrap_or_else(|error| {
        tracing::warn!(%error, "what of this house is shown on a broker cannot be read");
        Memory::default()
    });
    if memory.is_sound() {
        return memory;
    }
    let mut hub = [0; 6];
    let _ = getrandom::fill(&mut hub);
    Memory::new(data_encoding::HEXLOWER.encode(&hub))
}

pub(crate) struct Keeper {
    law: Law,
    id: DeviceId,
    added: Added,
    file: JsonFile,
    showing: Showing,
    words: mpsc::Receiver<Word>,
    heard: mpsc::Sender<Heard>,
    next: Arc<AtomicU64>,
    stop: CancellationToken,
    stream: Option<DuplexStream>,
    decoder: Decoder,
    /// When everything is taken back that was not told of by then.
    due: Option<Instant>,
    /// Wishes that are not answered: by the number of the question, that of the wish and until when.
    asked: HashMap<CallId, (u64, Instant)>,
    forgets: Option<oneshot::Sender<()>>,
    counts: (usize, u64),
    /// The broker took the last connection.
    was_up: bool,
    consent: ConsentWatch,
}

impl Keeper {
    #[allow(clippy::too_many_arguments, reason = "what a broker's own task has too")]
    pub(super) fn new(
        law: Law,
        added: Added,
        folder: &Path,
        memory: Memory,
        words: mpsc::Receiver<Word>,
        heard: mpsc::Sender<Heard>,
        next: Arc<AtomicU64>,
        stop: CancellationToken,
    ) -> Self {
        let id = added.id();
        let [.., file] = files_of(folder, &id);
        let (showing, consent) = (Showing::new(&added.discovery, memory), law.watch(&id));
        let (stream, decoder, asked) = (None, Decoder::default(), HashMap::new());
        let due = Some(Instant::now() + GRACE);
        Self {
            law,
            id,
            added,
            file,
            showing,
            words,
            heard,
            next,
            stop,
            stream,
            decoder,
            due,
            asked,
            forgets: None,
            counts: (usize::MAX, 0),
            was_up: false,
            consent,
        }
    }

    /// Until the owner removes the broker, or the house stops.
    pub(super) async fn run(mut self) {
        let (mut failures, mut rests, mut lease) = (0_u32, None, None);
        while self.wait(rests.take()).await {
            let (mut since, stop) = (None, self.stop.clone());
            self.was_up = false;
            let fields = law::shown_fields(self.added.user.is_some());
            let line = Line::open(&self.law, &self.id, &self.added, fields, &mut lease);
            let line = stop.run_until_cancelled(line).await;
            let end = match line {
                None => End::Over,
                Some(Ok(line)) => {
                    since = Some(Instant::now());
                    let end = self.drive(line).await;
                    if self.was_up {
                        // It was a connection; the next one has a record of its own.
                        lease = None;
                    }
                    end
                }
                Some(Err(NoLine::Denied(_))) => End::Denied,
                Some(Err(NoLine::Failed(why, _) | NoLine::Untrusted(why))) => End::Lost(why),
            };
            self.showing.down();
            self.tell_counts().await;
            match end {
                End::Over => break,
                End::Done => failures = 0,
                End::Denied => rests = Some(Instant::now() + AGAIN),
                End::Lost(why) => {
                    // Said once, and not each time for days.
                    match failures {
                        0 => tracing::info!(broker = %self.id, "devices are not shown on an MQTT broker now: {why}"),
                        _ => tracing::debug!(broker = %self.id, "devices are not shown on an MQTT broker now: {why}"),
                    }
                    let steady = since.is_some_and(|since: Instant| since.elapsed() > STEADY);
                    failures = if steady { 1 } else { failures.saturating_add(1) };
                    let pause = match failures {
                        MANY.. => SELDOM,
                        _ => AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(AGAIN_AT_MOST),
                    };
                    rests = Some(Instant::now() + pause);
                }
            }
        }
        if let Err(why) = self.remember() {
            tracing::warn!(broker = %self.id, "{why}");
        }
    }

    /// Until a connection is needed, may be made, and was not tried just now. `false`: it is over.
    async fn wait(&mut self, rests: Option<Instant>) -> bool {
        let (mut buffer, stop) = (vec![0; PIECE], self.stop.clone());
        loop {
            let now = Instant::now();
            self.look(now).await;
            // Who is to prove a key has to have shown it: that is the first connection's.
            let trusted = !self.added.tls || self.added.authority.is_some() || self.added.pin.is_some();
            let may = self.law.may_show(&self.id, self.added.user.is_some()).is_ok();
            let rested = rests.is_none_or(|until| until <= now);
            if self.showing.is_wanted() && trusted && may && rested {
                return true;
            }
            let wake = self.due.into_iter().chain(rests.filter(|_| !rested)).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                word = self.words.recv() => match word {
                    Some(word) => self.take(word),
                    None => return false,
                },
                read = read(&mut self.stream, &mut buffer) => self.told(read, &buffer),
                _ = self.consent.changed() => {}
                () = at(wake) => {}
            }
        }
    }

    async fn drive(&mut self, mut line: Line) -> End {
        let mut seed = [0; 6];
        let _ = getrandom::fill(&mut seed);
        let connect = Connect {
            client: format!("accord-{}", data_encoding::HEXLOWER.encode(&seed)),
            keep_alive: KEEP_ALIVE,
            user: self.added.user.clone(),
            password: self.added.password.clone(),
            will: Some(Will { topic: self.showing.status(), payload: b"offline".to_vec() }),
        };
        // What it leaves behind if it is lost is remembered first.
        if let Err(why) = self.remember_will() {
            return End::Lost(why);
        }
        let mut session = Session::new(&connect, Instant::now());
        session.handle(Input::Filters(self.showing.filters()), Instant::now());
        let end = self.talk(&mut session, &mut line).await;
        if matches!(end, End::Over | End::Done) {
            let now = Instant::now();
            if let Some(farewell) = self.showing.farewell() {
                session.handle(Input::Publish(u64::MAX, farewell), now);
            }
            session.handle(Input::Close, now);
            loop {
                match session.poll_output() {
                    Output::Send(bytes, _) => line.write(&bytes),
                    Output::Event(_) => {}
                    Output::Wait(_) => break,
                }
            }
        }
        if !matches!(end, End::Denied) {
            let _ = tokio::time::timeout(FAREWELL, line.close()).await;
        }
        end
    }

    async fn talk(&mut self, session: &mut Session, line: &mut Line) -> End {
        let (mut buffer, cancelled, stop) = (vec![0; PIECE], line.cancelled(), self.stop.clone());
        let mut up = false;
        loop {
            self.look(Instant::now()).await;
            let wake = match self.pump(session, line, &mut up).await {
                Ok(wake) => wake,
                Err(why) => return End::Lost(why),
            };
            match line.flush().await {
                Ok(()) => {}
                Err(error @ (accord_consent::SendError::Io(_) | accord_consent::SendError::Outlet(_))) => {
                    return End::Lost(error.to_string());
                }
                Err(_) => return End::Denied,
            }
            if up && self.showing.is_gone() {
                return End::Done;
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::Denied,
                () = stop.cancelled() => return End::Over,
                word = self.words.recv() => match word {
                    Some(word) => self.take(word),
                    None => return End::Over,
                },
                read = line.read() => match read {
                    Ok(Some(plain)) => session.handle(Input::Bytes(&plain), Instant::now()),
                    Ok(None) => return End::Lost("it hung up".to_owned()),
                    Err(why) => return End::Lost(why),
                },
                read = read(&mut self.stream, &mut buffer) => self.told(read, &buffer),
                () = tokio::time::sleep_until(wake.into()) => {
                    let now = Instant::now();
                    session.handle(Input::Timeout, now);
                    self.showing.handle_timeout(now);
                }
            }
        }
    }

    /// Does all that is to be done now; when there is something to do again.
    async fn pump(&mut self, session: &mut Session, line: &mut Line, up: &mut bool) -> Result<Instant, String> {
        loop {
            let wake = loop {
                match session.poll_output() {
                    Output::Send(bytes, _) => line.write(&bytes),
                    Output::Wait(wake) => break wake,
                    Output::Event(event) => match event {
                        Event::Up => {
                            (*up, self.was_up) = (true, true);
                            self.showing.up();
                        }
                        Event::Message(message) => self.showing.message(&message, Instant::now()),
                        Event::Published(number, outcome) => self.showing.published(number, outcome.is_ok()),
                        Event::Denied(filter) => {
                            let filter = accord_model::text::for_screen(&filter, 100);
                            tracing::warn!(broker = %self.id, "the broker does not let this user listen to {filter}");
                        }
                        Event::Skipped(_) => {}
                        Event::Refused(refusal) => return Err(refusal.to_string()),
                        Event::Over(why) => return Err(why),
                    },
                }
            };
            let now = Instant::now();
            self.remember()?;
            let mut busy = false;
            while let Some((number, message)) = self.showing.poll_publish() {
                busy = true;
                session.handle(Input::Publish(number, message), now);
            }
            while self.asked.len() < ASKED_AT_ONCE
                && let Some((number, wish)) = self.showing.poll_wish()
            {
                let call = CallId(self.next.fetch_add(1, Ordering::Relaxed));
                self.asked.insert(call, (number, now + ANSWERS_WITHIN));
                let verb = Verb::Act { action: WISH.to_owned(), inputs: wish.inputs() };
                let (device, target) = (self.id.clone(), Target::new(SERVICE));
                self.tell(FromBridge::Asked { call, device, target, verb }).await;
            }
            self.tell_counts().await;
            if !busy {
                let asked = self.asked.values().map(|(_, until)| *until);
                let times = asked.chain(self.showing.poll_timeout()).chain(self.due);
                return Ok(times.fold(wake, Instant::min));
            }
        }
    }

    /// What became due.
    async fn look(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            match self.stream {
                Some(_) => self.showing.settle(),
                None => self.showing.withdraw(),
            }
        }
        let late: Vec<CallId> =
            self.asked.iter().filter(|(_, (_, until))| *until <= now).map(|(call, _)| *call).collect();
        for (number, _) in late.into_iter().filter_map(|call| self.asked.remove(&call)) {
            self.showing.answered(number, false, now);
        }
        if self.forgets.is_some() && self.showing.is_gone() {
            // On disk too, before its file goes.
            let _ = self.remember();
            if let Some(done) = self.forgets.take() {
                let _ = done.send(());
            }
        }
        self.tell_counts().await;
    }

    fn take(&mut self, word: Word) {
        match word {
            Word::Stream(_) if self.forgets.is_some() => {}
            Word::Stream(stream) => {
                self.stream = Some(stream);
                self.decoder = Decoder::default();
                // What is not told of by the new one is not shown any more.
                self.due = None;
                self.showing.begin_anew();
            }
            Word::Answer(call, done) => {
                if let Some((number, _)) = self.asked.remove(&call) {
                    self.showing.answered(number, done, Instant::now());
                }
            }
            Word::Pin(key) => self.added.pin = Some(key),
            Word::Forget(done) => {
                (self.stream, self.due, self.forgets) = (None, None, Some(done));
                self.showing.withdraw();
            }
        }
    }

    /// What came on the stream.
    fn told(&mut self, read: std::io::Result<usize>, buffer: &[u8]) {
        let length = read.unwrap_or_default();
        self.decoder.feed(&buffer[..length]);
        let broken = loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.showing.frame(frame, Instant::now()),
                Ok(None) => break length == 0,
                Err(broken) => {
                    tracing::warn!(broker = %self.id, %broken, "what is to be shown cannot be read");
                    break true;
                }
            }
        };
        if broken {
            self.stream = None;
            self.due = Some(Instant::now() + REPLACED_WITHIN);
        }
    }

    fn remember(&mut self) -> Result<(), String> {
        let Some(memory) = self.showing.poll_memory() else { return Ok(()) };
        self.file.save(memory).map_err(|error| {
            self.showing.not_saved();
            format!("what is shown there cannot be written down, so that nothing is shown: {error}")
        })
    }

    fn remember_will(&mut self) -> Result<(), String> {
        self.showing.remember_will();
        self.remember()
    }

    async fn tell(&self, message: FromBridge) {
        let _ = self.heard.send(Heard::Tell(Box::new(message))).await;
    }

    async fn tell_counts(&mut self) {
        let counts = self.showing.counts();
        if std::mem::replace(&mut self.counts, counts) == counts {
            return;
        }
        let value = |count: u64| {
            let data = Data::Int(i64::try_from(count).unwrap_or(i64::MAX));
            Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: LASTING_S }
        };
        let (shown, refused) = counts;
        let values = [("shown", value(shown as u64)), ("refused", value(refused))];
        let values: BTreeMap<String, Value> = values.map(|(id, value)| (id.to_owned(), value)).into();
        self.tell(FromBridge::Values { device: self.id.clone(), target: Target::new(SERVICE), values }).await;
    }
}

async fn read(stream: &mut Option<DuplexStream>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
