//! Devices of this house, shown on a broker: what the feature tells on its stream goes there on a connection of its own, whose
//! last will says that they are away. It is made while something is shown, or lies there that should not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use accord_consent::ConsentWatch;
use accord_model::{
    CallError, CallId, Data, DeviceId, FieldSet, FromBridge, Source, StreamId, Target, Timestamp, Value, Verb,
};
use accord_ports::added::LASTING_S;
use accord_ports::hand::{self, Failures};
use accord_ports::showcase::{Decoder, SERVICE, WISH};
use accord_store::{JsonFile, Vault};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::broker::{PACE, files_of};
use super::form::Added;
use super::law::{self, Law};
use super::line::{Line, NoLine};
use super::mind::Heard;
use crate::core::packet::{Connect, Will};
use crate::core::session::{Event, Input, Output, Session};
use crate::core::showing::{Memory, Showing};

const KEEP_ALIVE: u16 = 30;
/// A stream that ended may have another one in its place: the feature is told of a change, or the hub ends.
const REPLACED_WITHIN: Duration = Duration::from_secs(5);
/// How long after the broker took a connection what was shown before may take to be shown again.
const GRACE: Duration = Duration::from_secs(15);
/// Whoever wants to tell something waits so long for a connection: less than the house waits for a stream.
const OPENS_WITHIN: Duration = Duration::from_secs(15);
/// What a stream of devices that are shown holds, in bytes.
const STREAM: usize = 64 * 1024;
/// What is counted is told no more often.
const COUNTS_EVERY: Duration = Duration::from_secs(1);
/// How long nothing is tried after the law denied something.
const DENIED: Duration = Duration::from_secs(1);
const FAREWELL: Duration = Duration::from_secs(1);
/// No wish waits longer for what became of it: longer than the house works on one.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Wishes that are asked about at once: fewer than the house works on for one device. The others wait their turn.
const ASKED_AT_ONCE: usize = 12;
const PIECE: usize = 16 * 1024;

/// What it is told.
pub(crate) enum Word {
    /// Devices are to be told of, and this is what that reveals: on a stream in the place of another, once the broker is there.
    Stream(StreamId, FieldSet),
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
    /// What is to be told needs a permit for more.
    More,
    Lost(String),
}

/// Somebody who waits for a stream.
struct Pending {
    stream: StreamId,
    fields: FieldSet,
    until: Instant,
}

/// Who this hub is on a broker, and what of it may lie there.
pub(super) fn memory_of(folder: &Vault, broker: &DeviceId) -> Memory {
    let [_, file, hub] = files_of(folder, broker);
    let memory: Memory = file.load().unwrap_or_else(|error| {
        tracing::warn!(%error, "what of this house is shown on a broker cannot be read, so that some of it may stay there");
        Memory::default()
    });
    if memory.is_sound() {
        return memory;
    }
    // Otherwise what lies there would be taken for somebody else's.
    let before = Memory::new(hub.load().unwrap_or_default());
    if before.is_sound() {
        return before;
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
    /// Who this hub is there, once more; until it is written.
    hub: Option<JsonFile>,
    showing: Showing,
    words: mpsc::Receiver<Word>,
    heard: mpsc::Sender<Heard>,
    next: Arc<AtomicU64>,
    stop: CancellationToken,
    /// Only while the broker is there.
    stream: Option<DuplexStream>,
    decoder: Decoder,
    pending: Option<Pending>,
    /// What that which is told reveals beside what each connection does.
    reveals: FieldSet,
    /// When everything is taken back that was not told of by then.
    due: Option<Instant>,
    /// Wishes that are not answered: by the number of the question, that of the wish and until when.
    asked: HashMap<CallId, (u64, Instant)>,
    forgets: Option<oneshot::Sender<()>>,
    counts: (usize, u64, usize),
    counts_next: Instant,
    /// The broker took the last connection.
    was_up: bool,
    consent: ConsentWatch,
}

impl Keeper {
    #[allow(clippy::too_many_arguments, reason = "what a broker's own task has too")]
    pub(super) fn new(
        law: Law,
        added: Added,
        folder: &Vault,
        memory: Memory,
        words: mpsc::Receiver<Word>,
        heard: mpsc::Sender<Heard>,
        next: Arc<AtomicU64>,
        stop: CancellationToken,
    ) -> Self {
        let id = added.id();
        let [_, file, hub] = files_of(folder, &id);
        let (showing, consent) = (Showing::new(&added.discovery, memory), law.controls(&id));
        let (stream, decoder, asked) = (None, Decoder::default(), HashMap::new());
        Self {
            law,
            id,
            added,
            file,
            hub: Some(hub),
            showing,
            words,
            heard,
            next,
            stop,
            stream,
            decoder,
            pending: None,
            reveals: FieldSet::EMPTY,
            due: None,
            asked,
            forgets: None,
            counts: (usize::MAX, 0, 0),
            counts_next: Instant::now(),
            was_up: false,
            consent,
        }
    }

    /// Until the owner removes the broker, or the house stops.
    pub(super) async fn run(mut self) {
        let (mut failures, mut rests, mut lease, mut leased) = (None::<Failures>, None, None, FieldSet::EMPTY);
        while self.wait(rests.take()).await {
            let (mut since, stop) = (None, self.stop.clone());
            self.was_up = false;
            let fields = self.fields();
            if std::mem::replace(&mut leased, fields) != fields {
                lease = None;
            }
            let line = Line::open(&self.law, &self.id, &self.added, fields, &mut lease);
            let line = stop.run_until_cancelled(line).await;
            let end = match line {
                None => End::Over,
                Some(Ok(line)) => {
                    since = Some(Instant::now());
                    let end = self.drive(line, fields).await;
                    if self.was_up {
                        // It was a connection; the next one has a record of its own.
                        lease = None;
                    }
                    end
                }
                Some(Err(NoLine::No(hand::NoLine::Denied(_)))) => End::Denied,
                Some(Err(NoLine::No(hand::NoLine::Failed(why, _)) | NoLine::Untrusted(why))) => End::Lost(why),
            };
            self.showing.down();
            self.lose_stream();
            self.due = None;
            self.tell_counts(Instant::now()).await;
            match end {
                End::Over => break,
                End::Done | End::More => failures = None,
                End::Denied => rests = Some(Instant::now() + DENIED),
                End::Lost(why) => {
                    let lasted = since.map_or(Duration::ZERO, |since: Instant| since.elapsed());
                    let now = Failures::again(Failures::after(failures, lasted));
                    // Said once, and not each time for days.
                    if now.is_first() {
                        tracing::info!(broker = %self.id, "devices are not shown on an MQTT broker now: {why}");
                    }
                    failures = Some(now);
                    rests = Some(Instant::now() + PACE.pause(now));
                }
            }
        }
        if let Err(why) = self.remember() {
            tracing::warn!(broker = %self.id, "{why}");
        }
    }

    /// What a connection reveals now: what is told, if the owner agreed to that, and otherwise only that something is no more.
    fn fields(&self) -> FieldSet {
        let bare = self.bare();
        let all = bare.union(self.reveals);
        if self.law.may_say(&self.id, all).is_ok() { all } else { bare }
    }

    /// What each connection reveals.
    fn bare(&self) -> FieldSet {
        law::fields(self.added.user.is_some())
    }

    /// Who is to prove a key has to have shown it: that is the first connection's.
    fn is_trusted(&self) -> bool {
        !self.added.tls || self.added.authority.is_some() || self.added.pin.is_some()
    }

    fn lose_stream(&mut self) {
        self.stream = None;
        self.showing.hush();
    }

    /// Until a connection is needed, may be made, and was not tried just now. `false`: it is over.
    async fn wait(&mut self, rests: Option<Instant>) -> bool {
        let stop = self.stop.clone();
        loop {
            let now = Instant::now();
            self.look(now).await;
            let may = self.law.may_say(&self.id, self.bare()).is_ok();
            let rested = rests.is_none_or(|until| until <= now);
            let is_wanted = self.pending.is_some() || self.showing.is_wanted();
            if is_wanted && self.is_trusted() && may && rested {
                return true;
            }
            let wake = self.times().chain(rests.filter(|_| !rested)).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                word = self.words.recv() => match word {
                    Some(word) => self.take(word).await,
                    None => return false,
                },
                _ = self.consent.changed() => {}
                () = at(wake) => {}
            }
        }
    }

    async fn drive(&mut self, mut line: Line, fields: FieldSet) -> End {
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
        let end = self.talk(&mut session, &mut line, fields).await;
        if matches!(end, End::Over | End::Done | End::More) {
            let now = Instant::now();
            if let Some(farewell) = self.showing.farewell().filter(|_| !matches!(end, End::More)) {
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

    async fn talk(&mut self, session: &mut Session, line: &mut Line, fields: FieldSet) -> End {
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
            if up && let Some(pending) = self.pending.take() {
                if !pending.fields.is_subset(fields) {
                    self.pending = Some(pending);
                    return End::More;
                }
                self.accept(pending.stream).await;
            }
            if up && self.stream.is_none() && self.showing.is_gone() {
                return End::Done;
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => return End::Denied,
                () = stop.cancelled() => return End::Over,
                word = self.words.recv() => match word {
                    Some(word) => self.take(word).await,
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
                            self.due = Some(Instant::now() + GRACE);
                        }
                        Event::Message(message) => self.showing.message(&message, Instant::now()),
                        Event::Published(number, outcome) => {
                            self.showing.published(number, outcome.is_ok(), Instant::now());
                        }
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
                && let Some((number, wish)) = self.showing.poll_wish(now)
            {
                let call = CallId(self.next.fetch_add(1, Ordering::Relaxed));
                self.asked.insert(call, (number, now + ANSWERS_WITHIN));
                let verb = Verb::Act { action: WISH.to_owned(), inputs: wish.inputs() };
                let (device, target) = (self.id.clone(), Target::new(SERVICE));
                self.tell(FromBridge::Asked { call, device, target, verb }).await;
            }
            self.tell_counts(now).await;
            if !busy {
                return Ok(self.times().chain(self.showing.poll_timeout()).fold(wake, Instant::min));
            }
        }
    }

    /// When something becomes due.
    fn times(&self) -> impl Iterator<Item = Instant> + '_ {
        let asked = self.asked.values().map(|(_, until)| *until);
        let counts = (self.counts != self.showing.counts()).then_some(self.counts_next);
        asked.chain(self.pending.as_ref().map(|pending| pending.until)).chain(self.due).chain(counts)
    }

    /// What became due.
    async fn look(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            if self.stream.is_none() {
                self.showing.withdraw();
                self.reveals = FieldSet::EMPTY;
            }
        }
        if let Some(pending) = &self.pending {
            if let Err(error) = self.may_tell(pending.fields) {
                self.fail_pending(error).await;
            } else if pending.until <= now {
                self.fail_pending(CallError::Unreachable("the broker cannot be reached".to_owned())).await;
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
        self.tell_counts(now).await;
    }

    /// Whether something that reveals this may be told at all.
    fn may_tell(&self, fields: FieldSet) -> Result<(), CallError> {
        if self.forgets.is_some() {
            return Err(CallError::Unreachable("the broker is being removed".to_owned()));
        }
        let may = self.law.may_say(&self.id, self.bare().union(fields));
        may.map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let why = "the broker has not shown its key so far";
        self.is_trusted().then_some(()).ok_or_else(|| CallError::Unreachable(why.to_owned()))
    }

    async fn fail_pending(&mut self, error: CallError) {
        if let Some(Pending { stream, .. }) = self.pending.take() {
            self.tell(FromBridge::StreamFailed { stream, error }).await;
        }
    }

    /// What is to be shown is told from now on.
    async fn accept(&mut self, stream: StreamId) {
        let (ours, theirs) = tokio::io::duplex(STREAM);
        (self.stream, self.decoder, self.due) = (Some(ours), Decoder::default(), None);
        // What is not told of by the new one is not shown any more.
        self.showing.begin_anew();
        let _ = self.heard.send(Heard::Stream(self.id.clone(), stream, theirs)).await;
    }

    async fn take(&mut self, word: Word) {
        match word {
            Word::Stream(stream, fields) => {
                self.fail_pending(CallError::Unreachable("another stream took its place".to_owned())).await;
                self.reveals = fields;
                self.pending = Some(Pending { stream, fields, until: Instant::now() + OPENS_WITHIN });
                // Whether it may be told is looked at next.
            }
            Word::Answer(call, done) => {
                if let Some((number, _)) = self.asked.remove(&call) {
                    self.showing.answered(number, done, Instant::now());
                }
            }
            Word::Pin(key) => self.added.pin = Some(key),
            Word::Forget(done) => {
                self.lose_stream();
                (self.due, self.forgets) = (None, Some(done));
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
            self.lose_stream();
            self.due = Some(Instant::now() + REPLACED_WITHIN);
        }
    }

    fn remember(&mut self) -> Result<(), String> {
        let Some(memory) = self.showing.poll_memory() else { return Ok(()) };
        let hub = self.hub.take().map_or(Ok(()), |file| {
            let saved = file.save(&memory.hub);
            self.hub = saved.is_err().then_some(file);
            saved
        });
        hub.and_then(|()| self.file.save(memory)).map_err(|error| {
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

    async fn tell_counts(&mut self, now: Instant) {
        let counts = self.showing.counts();
        if self.counts == counts || now < self.counts_next {
            return;
        }
        let (shown, refused, left_out) = counts;
        if left_out > 0 && self.counts.2 == 0 {
            tracing::warn!(broker = %self.id, left_out, "there is no room for all devices that are to be shown");
        }
        (self.counts, self.counts_next) = (counts, now + COUNTS_EVERY);
        let value = |count: u64| {
            let data = Data::Int(i64::try_from(count).unwrap_or(i64::MAX));
            Value { data, seen: Timestamp::now(), source: Source::Pushed, fresh_for_s: LASTING_S }
        };
        let values =
            [("shown", value(shown as u64)), ("refused", value(refused)), ("left-out", value(left_out as u64))];
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
