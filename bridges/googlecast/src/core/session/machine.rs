//! The machine: links, signs of life, and what the device says of itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::super::frame::{Frames, Message, Payload};
use super::super::words::{
    self, App, CONNECTION, DEVICE, DeviceStatus, HEARTBEAT, Idle, MEDIA, Media, MediaStatus, RECEIVER, State, Word, can,
};
use super::wishes::Job;
use super::{Ended, Event, Input, Offers, Ours, Output, Sort, Trouble, Value, Wanted};

/// How often a sign of life is sent, and how long without one the device counts as gone (sheet of Chromium:
/// `KeepAliveHandler`, 5 s and 15 s).
const PING_EVERY: Duration = Duration::from_secs(5);
const GONE_AFTER: Duration = Duration::from_secs(15);
/// How long an answer is awaited.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(8);
/// How often one looks while it plays, while it says so and stands still, and while it is paused: it tells of changes by
/// itself.
const PLAYING_EVERY: Duration = Duration::from_secs(1);
const STUCK_EVERY: Duration = Duration::from_secs(5);
const PAUSED_EVERY: Duration = Duration::from_secs(15);
/// Looks in a row in which the position stood still, until that is said, and until one looks less often.
const STILL: u32 = 3;
const STUCK: u32 = 10;
/// Messages in a second, until it is taken for a flood.
const MAX_MESSAGES: u32 = 200;
/// Most that is wanted and not done, and that is asked and not answered.
const MAX_WAITING: usize = 16;
const MAX_ASKED: usize = 64;

/// Who is asked, and until when the answer is awaited.
pub(super) struct Asked {
    pub of: String,
    pub until: Instant,
}

/// The machine. One for each connection.
pub struct Session {
    me: String,
    frames: Frames,
    outputs: VecDeque<Output>,
    ready: bool,
    begun: Instant,
    over: bool,
    heard: Instant,
    pinged: Instant,
    counted: (Instant, u32),
    pub(super) asked: BTreeMap<u32, Asked>,
    next_request: u32,
    // What it said of itself.
    pub(super) level: Option<f64>,
    pub(super) muted: Option<bool>,
    fixed: bool,
    pub(super) app: Option<App>,
    pub(super) playing: Option<MediaStatus>,
    media: Media,
    pub(super) tracks_on: Vec<i64>,
    offers: Offers,
    /// Where it was when it was last looked at, to see whether it moves.
    mark: Option<(Instant, i64, f64)>,
    still: u32,
    next_look: Option<Instant>,
    pub(super) ours: Option<Ours>,
    /// The page was to be opened, and nothing was loaded into it yet; until then, one that opens is ours to end.
    pub(super) launched: Option<Instant>,
    /// It is to end as soon as it is there.
    pub(super) leaves: bool,
    // What is wanted.
    pub(super) queue: VecDeque<(u64, Wanted)>,
    pub(super) job: Option<Job>,
}

impl Session {
    /// Begins to speak under the name `me`, which is to be another one each time. `ours`: what was opened on an earlier
    /// connection.
    pub fn new(me: &str, ours: Option<Ours>, now: Instant) -> Self {
        let mut session = Self {
            me: me.to_owned(),
            frames: Frames::default(),
            outputs: VecDeque::new(),
            ready: false,
            begun: now,
            over: false,
            heard: now,
            pinged: now,
            counted: (now, 0),
            asked: BTreeMap::new(),
            next_request: 1,
            level: None,
            muted: None,
            fixed: false,
            app: None,
            playing: None,
            media: Media::default(),
            tracks_on: Vec::new(),
            offers: Offers::default(),
            mark: None,
            still: 0,
            next_look: None,
            ours,
            launched: None,
            leaves: false,
            queue: VecDeque::new(),
            job: None,
        };
        session.send(RECEIVER, CONNECTION, &json!({ "type": "CONNECT" }), Sort::Standing);
        session.ask_device(now);
        session
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.over {
            if let Input::Wanted(id, _) = input {
                self.done(id, Err(Trouble::Lost("the device is away".to_owned())));
            }
            return;
        }
        match input {
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Wanted(id, _) if self.queue.len() >= MAX_WAITING => self.done(id, Err(Trouble::Busy)),
            Input::Wanted(id, wanted) => self.queue.push_back((id, wanted)),
            Input::Leave => self.leave(now),
            Input::Timeout => {}
        }
        self.advance(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    /// Whether the page of Google runs because of us, or is about to.
    pub fn holds_page(&self) -> bool {
        let opening = self.job.as_ref().is_some_and(Job::is_opening);
        opening
            || self.leaves
            || self.ours.is_some()
            || self.queue.iter().any(|(_, wanted)| matches!(wanted, Wanted::Open(_)))
    }

    fn wake(&self) -> Instant {
        let ping = (self.pinged + PING_EVERY).min(self.heard + GONE_AFTER);
        let ping = if self.ready { ping } else { ping.min(self.begun + ANSWERS_WITHIN) };
        let asked = self.asked.values().map(|asked| asked.until);
        let job = self.job.as_ref().map(|job| job.until);
        asked.chain(job).chain(self.launched).chain(self.next_look).chain([ping]).min().unwrap_or(ping)
    }

    fn advance(&mut self, now: Instant) {
        if now >= self.heard + GONE_AFTER {
            return self.end("it gave no sign of life for 15 seconds".to_owned());
        }
        if !self.ready && now >= self.begun + ANSWERS_WITHIN {
            return self.end("it does not say how it stands; is it a Cast device?".to_owned());
        }
        if now >= self.pinged + PING_EVERY {
            self.pinged = now;
            self.send(RECEIVER, HEARTBEAT, &json!({ "type": "PING" }), Sort::Standing);
        }
        self.asked.retain(|_, asked| asked.until > now);
        if self.launched.is_some_and(|until| until <= now) {
            (self.launched, self.leaves) = (None, false);
        }
        if self.next_look.is_some_and(|next| now >= next) {
            self.next_look = None;
            if !self.asked.values().any(|asked| asked.of != RECEIVER) {
                self.ask_media(now);
            }
            self.plan_look(now);
        }
        self.advance_wishes(now);
        // Until it has said how it stands, nothing can be wanted of it.
        while self.ready && self.job.is_none() && !self.over {
            let Some((id, wanted)) = self.queue.pop_front() else { return };
            self.begin(id, wanted, now);
        }
    }

    pub(super) fn end(&mut self, why: String) {
        let job = self.job.take().map(|job| job.id);
        let waiting: Vec<u64> = job.into_iter().chain(self.queue.drain(..).map(|(id, _)| id)).collect();
        waiting.into_iter().for_each(|id| self.done(id, Err(Trouble::Lost(why.clone()))));
        self.over = true;
        self.event(Event::Over(why));
    }

    // -- saying -------------------------------------------------------------------------------------

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(super) fn done(&mut self, id: u64, outcome: Result<(), Trouble>) {
        self.event(Event::Done(id, outcome));
    }

    fn tell(&mut self, values: Vec<Value>) {
        if !values.is_empty() {
            self.event(Event::Values(values));
        }
    }

    fn send(&mut self, to: &str, namespace: &str, words: &Json, sort: Sort) -> bool {
        let message = Message {
            source: self.me.clone(),
            destination: to.to_owned(),
            namespace: namespace.to_owned(),
            payload: Payload::Text(words.to_string()),
        };
        let bytes = message.encode();
        let fits = bytes.is_some();
        self.outputs.extend(bytes.map(|bytes| Output::Send(bytes, sort)));
        fits
    }

    /// Asks, and gives the number of the question; `None` when it cannot be asked.
    pub(super) fn ask(
        &mut self,
        of: &str,
        namespace: &str,
        mut words: Json,
        sort: Sort,
        within: Duration,
        now: Instant,
    ) -> Option<u32> {
        if self.asked.len() >= MAX_ASKED {
            return None;
        }
        let number = self.next_request;
        self.next_request = self.next_request.checked_add(1).unwrap_or(1);
        words["requestId"] = json!(number);
        if !self.send(of, namespace, &words, sort) {
            return None;
        }
        self.asked.insert(number, Asked { of: of.to_owned(), until: now + within });
        Some(number)
    }

    pub(super) fn ask_device(&mut self, now: Instant) -> Option<u32> {
        self.ask(RECEIVER, DEVICE, json!({ "type": "GET_STATUS" }), Sort::Standing, ANSWERS_WITHIN, now)
    }

    pub(super) fn ask_media(&mut self, now: Instant) -> Option<u32> {
        let transport = self.app.as_ref()?.transport.clone();
        self.ask(&transport, MEDIA, json!({ "type": "GET_STATUS" }), Sort::Standing, ANSWERS_WITHIN, now)
    }

    // -- hearing ------------------------------------------------------------------------------------

    fn bytes(&mut self, mut bytes: &[u8], now: Instant) {
        while !self.over {
            match self.frames.take(&mut bytes) {
                Ok(Some(message)) => self.message(&message, now),
                Ok(None) => return,
                Err(fault) => return self.end(fault.to_string()),
            }
        }
    }

    fn message(&mut self, message: &Message, now: Instant) {
        if now >= self.counted.0 + Duration::from_secs(1) {
            self.counted = (now, 0);
        }
        self.counted.1 += 1;
        if self.counted.1 > MAX_MESSAGES {
            return self.end(format!("it sent more than {MAX_MESSAGES} messages in a second"));
        }
        self.heard = now;
        if message.destination != self.me && message.destination != "*" {
            return;
        }
        let Payload::Text(text) = &message.payload else { return };
        let Some(said) = words::read(text) else { return };
        let from_device = message.source == RECEIVER;
        let from_app = self.app.as_ref().is_some_and(|app| app.transport == message.source);
        // Only who was asked answers.
        let answers = self.asked.get(&said.request).is_some_and(|asked| asked.of == message.source);
        match (message.namespace.as_str(), said.word) {
            (HEARTBEAT, Word::Ping) => {
                let to = message.source.clone();
                self.send(&to, HEARTBEAT, &json!({ "type": "PONG" }), Sort::Standing);
            }
            (CONNECTION, Word::Close) if from_device => return self.end("it ended the connection".to_owned()),
            (CONNECTION, Word::Close) if from_app => {
                self.app = None;
                self.nothing_plays();
                self.ask_device(now);
            }
            (DEVICE, Word::Device(status)) if from_device => self.device(status, now),
            (MEDIA, Word::Media(status)) if from_app => self.media(status, now),
            (DEVICE | MEDIA, Word::No(why)) if answers => {
                self.asked.remove(&said.request);
                return self.refused(said.request, why);
            }
            _ => {}
        }
        if answers {
            self.asked.remove(&said.request);
            self.answered(said.request);
        }
    }

    fn device(&mut self, status: DeviceStatus, now: Instant) {
        if !self.ready {
            self.ready = true;
            self.event(Event::Ready);
        }
        self.fixed = status.fixed;
        self.level = status.level.or(self.level);
        self.muted = status.muted.or(self.muted);
        let mut values = Vec::new();
        values.extend(status.level.map(|level| Value::Volume(percent(level))));
        values.extend(status.muted.map(Value::Muted));
        self.tell(values);
        let runs_on = |ours: &Ours| status.app.as_ref().is_some_and(|app| app.session == ours.session);
        if let Some(ours) = self.ours.take_if(|ours| !runs_on(ours)) {
            let how = if status.app.is_some() { Ended::Taken } else { Ended::Stopped };
            self.ours_ended(&ours, how);
            self.event(Event::Ours(None));
        }
        if status.app != self.app {
            self.app = status.app;
            self.nothing_plays();
            self.end_launched(now);
            if let Some(app) = self.app.clone() {
                self.send(&app.transport, CONNECTION, &json!({ "type": "CONNECT" }), Sort::Standing);
                self.ask_media(now);
            }
        } else if self.app.is_none() && self.playing.is_none() && self.next_look.is_none() {
            self.nothing_plays();
        }
        self.weigh_offers();
    }

    fn media(&mut self, status: Option<MediaStatus>, now: Instant) {
        let Some(mut status) = status else {
            self.nothing_plays();
            return self.weigh_offers();
        };
        // A word of what was played before is of no interest once something else plays.
        if self.playing.as_ref().is_some_and(|before| before.session > status.session && before.state != State::Idle) {
            return;
        }
        let is_new = self.playing.as_ref().is_none_or(|before| before.session != status.session);
        if is_new {
            (self.media, self.mark, self.still) = (Media::default(), None, 0);
            self.tracks_on.clear();
        }
        if status.commands.is_none() {
            status.commands = self.playing.as_ref().filter(|_| !is_new).and_then(|before| before.commands);
        }
        if let Some(media) = status.media.take() {
            self.media = media;
        }
        if let Some(on) = status.tracks_on.take() {
            self.tracks_on = on;
        }
        let mut values = Vec::new();
        let runs = matches!(status.state, State::Playing | State::Buffering);
        values.push(Value::Playing(runs));
        let moves = self.moves(&status, now);
        values.extend(moves.map(Value::Moving));
        if status.state != State::Idle {
            let Media { title, artist, album, .. } = self.media.clone();
            values.push(Value::Track(title, artist, album));
            values.extend(self.media.length.map(Value::Length));
            values.extend(status.position.map(Value::Position));
            let captions = &self.media.captions;
            if !captions.is_empty() {
                values.push(Value::Captions(self.tracks_on.iter().any(|on| captions.contains(on))));
            }
        }
        let (state, idle) = (status.state, status.idle);
        self.playing = Some(status);
        self.tell(values);
        self.weigh_ours(state, idle);
        self.weigh_offers();
        self.plan_look(now);
    }

    /// Whether the position advances, and no faster than time does: a jump is no playing. `None`: not known yet.
    fn moves(&mut self, status: &MediaStatus, now: Instant) -> Option<bool> {
        let position = status.position.filter(|_| status.state == State::Playing);
        let Some(position) = position else {
            self.mark = None;
            if status.state == State::Buffering {
                self.still = self.still.saturating_add(1);
                return (self.still >= STILL).then_some(false);
            }
            self.still = 0;
            return Some(false);
        };
        let Some((at, session, before)) = self.mark.filter(|mark| mark.1 == status.session) else {
            self.mark = Some((now, status.session, position));
            return None;
        };
        let passed = now.saturating_duration_since(at).as_secs_f64();
        let advanced = position - before;
        if advanced > 0.0 && advanced <= passed * 2.5 + 0.5 {
            (self.mark, self.still) = (Some((now, session, position)), 0);
            return Some(true);
        }
        if advanced == 0.0 && passed < 0.5 {
            // Two words of the same moment.
            return None;
        }
        (self.mark, self.still) = (Some((now, session, position)), self.still.saturating_add(1));
        (self.still >= STILL).then_some(false)
    }

    /// What played before is of no interest any more.
    pub(super) fn forget_media(&mut self) {
        (self.playing, self.media, self.mark, self.still) = (None, Media::default(), None, 0);
        self.tracks_on.clear();
        self.next_look = None;
    }

    fn nothing_plays(&mut self) {
        self.forget_media();
        self.tell(vec![Value::Playing(false), Value::Moving(false), Value::Ours(false)]);
    }

    fn plan_look(&mut self, now: Instant) {
        let after = match self.playing.as_ref().map(|playing| playing.state) {
            Some(State::Playing | State::Buffering) if self.still > STUCK => STUCK_EVERY,
            Some(State::Playing | State::Buffering) => PLAYING_EVERY,
            Some(State::Paused) => PAUSED_EVERY,
            _ => return self.next_look = None,
        };
        // What it says unasked does not put the look off for ever.
        let next = now + after;
        self.next_look =
            Some(self.next_look.filter(|planned| *planned > now).map_or(next, |planned| planned.min(next)));
    }

    fn weigh_offers(&mut self) {
        let playing = self.playing.as_ref().filter(|playing| playing.state != State::Idle);
        let commands = playing.and_then(|playing| playing.commands);
        let has = |bit: u64, otherwise: bool| commands.map_or(otherwise, |bits| bits & bit != 0);
        let offers = Offers {
            pause: has(can::PAUSE, true),
            seek: has(can::SEEK, true),
            next: has(can::NEXT, false),
            previous: has(can::PREVIOUS, false),
            volume: !self.fixed,
            captions: !self.media.captions.is_empty(),
        };
        if offers != self.offers {
            self.offers = offers;
            self.event(Event::Offers(offers));
        }
    }

    // -- what was opened from here ------------------------------------------------------------------

    /// Whether what plays is what was opened from here.
    pub(super) fn is_ours(&self) -> bool {
        let app = self.app.as_ref().map(|app| app.session.as_str());
        let runs = |ours: &Ours| !ours.address.is_empty() && app == Some(&ours.session);
        self.ours.as_ref().is_some_and(|ours| runs(ours) && self.media.address == ours.address)
    }

    pub(super) fn captions(&self) -> &[i64] {
        &self.media.captions
    }

    fn weigh_ours(&mut self, state: State, idle: Option<Idle>) {
        let is_ours = self.is_ours();
        self.tell(vec![Value::Ours(is_ours && state != State::Idle)]);
        let Some(ours) = self.ours.clone() else { return };
        if self.job.as_ref().is_some_and(Job::is_opening) {
            return;
        }
        let how = match (state, idle) {
            (State::Idle, _) if !is_ours => return,
            (State::Idle, Some(Idle::Finished)) => Ended::Finished,
            (State::Idle, Some(Idle::Error)) => Ended::Failed,
            (State::Idle, Some(Idle::Interrupted)) => Ended::Taken,
            (State::Idle, _) => Ended::Stopped,
            _ if !is_ours && !self.media.address.is_empty() => {
                // Another sender uses the page, which is not ours to end any more.
                self.ours_ended(&ours, Ended::Taken);
                self.ours = None;
                return self.event(Event::Ours(None));
            }
            _ => return,
        };
        self.ours_ended(&ours, how);
        // The page still runs, and is ours to end.
        if let Some(ours) = &mut self.ours {
            ours.address.clear();
        }
    }

    fn ours_ended(&mut self, ours: &Ours, how: Ended) {
        if !ours.address.is_empty() {
            self.tell(vec![Value::Ended(how)]);
        }
    }
}

fn percent(level: f64) -> u8 {
    (level * 100.0).round().clamp(0.0, 100.0) as u8
}
