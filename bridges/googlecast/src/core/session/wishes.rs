//! What is wanted, one after the other: what is said for it, and how it is seen that it is done.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::words::{DEFAULT_RECEIVER, DEVICE, Idle, MEDIA, Opened, RECEIVER, State};
use super::machine::{ANSWERS_WITHIN, Session};
use super::{Ended, Event, Ours, Sort, Trouble, Value, Wanted};

/// How long the page may take to load from the internet, and then to take an address. Both together are less than a
/// feature waits.
const LAUNCHES_WITHIN: Duration = Duration::from_secs(9);
/// How long after it was to be opened a page counts as opened from here.
const LAUNCHED_WITHIN: Duration = Duration::from_secs(20);
const LOADS_WITHIN: Duration = Duration::from_secs(12);
const OPENS_WITHIN: Duration = Duration::from_secs(14);
const DOES_WITHIN: Duration = Duration::from_secs(5);
/// How far from the wanted place is there, in seconds: key frames are not everywhere.
const NEAR_ENOUGH: f64 = 6.0;

/// Something that is being done.
pub(super) struct Job {
    pub id: u64,
    goal: Goal,
    pub until: Instant,
    /// The question of which an answer is awaited.
    request: Option<u32>,
    /// It was answered, not refused.
    answered: bool,
    /// When all of it has to be done.
    last: Instant,
}

/// When it is done.
enum Goal {
    /// The page runs; then this is loaded.
    Launched(Box<Opened>),
    /// It plays this.
    Loaded,
    Runs,
    Holds,
    /// Nothing plays.
    Stopped,
    /// This run of the page is over.
    Left(String),
    At(f64),
    Loud(f64),
    Muted(bool),
    Captions(bool),
    /// The answer is all.
    Answered,
}

impl Job {
    /// Whether something is being opened: then the end of what played before means nothing.
    pub fn is_opening(&self) -> bool {
        matches!(self.goal, Goal::Launched(_) | Goal::Loaded)
    }

    fn in_vain(&self) -> Trouble {
        match &self.goal {
            Goal::Launched(_) => {
                Trouble::Ignored("the device did not open Google's player in time; does it reach the internet?")
            }
            Goal::Loaded => Trouble::Ignored("the device took the address and does not play it"),
            _ if self.request.is_some() && !self.answered => Trouble::Ignored("the device did not answer in time"),
            Goal::At(_) => Trouble::Ignored("the device said yes, but it did not go there"),
            Goal::Loud(_) => Trouble::Ignored("the device said yes, but it is as loud as it was"),
            _ => Trouble::Ignored("the device said yes, but it did not do it"),
        }
    }
}

impl Session {
    /// Begins what is wanted.
    pub(super) fn begin(&mut self, id: u64, wanted: Wanted, now: Instant) {
        let outcome = match wanted {
            Wanted::Open(opened) => self.open(id, opened, now),
            Wanted::Volume(level) => {
                let level = f64::from(level) / 100.0;
                let words = json!({ "type": "SET_VOLUME", "volume": { "level": level } });
                self.tell_device(id, words, Goal::Loud(level), now)
            }
            Wanted::Muted(muted) => {
                let words = json!({ "type": "SET_VOLUME", "volume": { "muted": muted } });
                self.tell_device(id, words, Goal::Muted(muted), now)
            }
            Wanted::Look => match self.app.is_some() {
                true => self.ask_media(now),
                false => self.ask_device(now),
            }
            .ok_or(Trouble::Busy)
            .map(|request| self.take_job(id, Goal::Answered, Some(request), ANSWERS_WITHIN, now)),
            Wanted::Stop => self.stop(id, now),
            other => self.tell_media(id, other, now),
        };
        if let Err(trouble) = outcome {
            self.done(id, Err(trouble));
        }
        self.advance_wishes(now);
    }

    fn take_job(&mut self, id: u64, goal: Goal, request: Option<u32>, within: Duration, now: Instant) {
        self.job = Some(Job { id, goal, until: now + within, request, answered: false, last: now + OPENS_WITHIN });
    }

    fn tell_device(&mut self, id: u64, words: serde_json::Value, goal: Goal, now: Instant) -> Result<(), Trouble> {
        let asked = self.ask(RECEIVER, DEVICE, words, Sort::Standing, ANSWERS_WITHIN, now).ok_or(Trouble::Busy)?;
        self.take_job(id, goal, Some(asked), DOES_WITHIN, now);
        Ok(())
    }

    /// What is said to whatever plays there, whoever began it.
    fn tell_media(&mut self, id: u64, wanted: Wanted, now: Instant) -> Result<(), Trouble> {
        let playing = self.playing.as_ref().filter(|playing| playing.state != State::Idle);
        let (session, state) =
            playing.map(|one| (one.session, one.state)).ok_or(Trouble::NotNow("nothing plays there"))?;
        let runs = matches!(state, State::Playing | State::Buffering);
        let (mut words, goal) = match wanted {
            Wanted::Play if runs => return self.done_already(id),
            Wanted::Pause if !runs => return self.done_already(id),
            Wanted::Play => (json!({ "type": "PLAY" }), Goal::Runs),
            Wanted::Pause => (json!({ "type": "PAUSE" }), Goal::Holds),
            Wanted::PlayPause if runs => (json!({ "type": "PAUSE" }), Goal::Holds),
            Wanted::PlayPause => (json!({ "type": "PLAY" }), Goal::Runs),
            Wanted::Seek(to) => (json!({ "type": "SEEK", "currentTime": to.max(0.0) }), Goal::At(to.max(0.0))),
            Wanted::Next => (json!({ "type": "QUEUE_UPDATE", "jump": 1 }), Goal::Answered),
            Wanted::Previous => (json!({ "type": "QUEUE_UPDATE", "jump": -1 }), Goal::Answered),
            Wanted::Captions(on) => {
                let Some(track) = self.captions().first().copied() else {
                    return Err(Trouble::NotNow("what plays there has no captions"));
                };
                let tracks = if on { vec![track] } else { Vec::new() };
                (json!({ "type": "EDIT_TRACKS_INFO", "activeTrackIds": tracks }), Goal::Captions(on))
            }
            _ => return Err(Trouble::NotNow("this cannot be done there")),
        };
        words["mediaSessionId"] = json!(session);
        let transport = self.app.as_ref().map(|app| app.transport.clone()).unwrap_or_default();
        let asked = self.ask(&transport, MEDIA, words, Sort::Standing, ANSWERS_WITHIN, now).ok_or(Trouble::Busy)?;
        self.take_job(id, goal, Some(asked), DOES_WITHIN, now);
        Ok(())
    }

    fn done_already(&mut self, id: u64) -> Result<(), Trouble> {
        self.done(id, Ok(()));
        Ok(())
    }

    /// What was begun from here ends with its page; of another sender's, what plays.
    fn stop(&mut self, id: u64, now: Instant) -> Result<(), Trouble> {
        let Some(app) = self.app.clone() else { return self.done_already(id) };
        if self.ours.as_ref().is_some_and(|ours| ours.session == app.session) {
            let words = json!({ "type": "STOP", "sessionId": app.session });
            return self.tell_device(id, words, Goal::Left(app.session), now);
        }
        let playing = self.playing.as_ref().filter(|playing| playing.state != State::Idle);
        let Some(session) = playing.map(|playing| playing.session) else { return self.done_already(id) };
        let words = json!({ "type": "STOP", "mediaSessionId": session });
        let asked = self.ask(&app.transport, MEDIA, words, Sort::Standing, ANSWERS_WITHIN, now).ok_or(Trouble::Busy)?;
        self.take_job(id, Goal::Stopped, Some(asked), DOES_WITHIN, now);
        Ok(())
    }

    /// The owner took the consent back: the page is ended, whoever waits for what.
    pub(super) fn leave(&mut self, now: Instant) {
        self.leaves = self.launched.is_some();
        if let Some(job) = self.job.take_if(|job| job.is_opening()) {
            self.done(job.id, Err(Trouble::NotNow("you withdrew your consent")));
        }
        let waiting = std::mem::take(&mut self.queue).into_iter();
        let (opens, others): (Vec<_>, Vec<_>) = waiting.partition(|(_, wanted)| matches!(wanted, Wanted::Open(_)));
        self.queue = others.into();
        opens.into_iter().for_each(|(id, _)| self.done(id, Err(Trouble::NotNow("you withdrew your consent"))));
        if let Some(ours) = self.ours.clone() {
            let words = json!({ "type": "STOP", "sessionId": ours.session });
            self.ask(RECEIVER, DEVICE, words, Sort::Standing, ANSWERS_WITHIN, now);
        }
    }

    /// A page that was opened from here, and into which nothing will be loaded, is ended.
    pub(super) fn end_launched(&mut self, now: Instant) {
        let Some(app) = self.app.as_ref().filter(|app| app.id == DEFAULT_RECEIVER) else { return };
        let awaited = self.job.as_ref().is_some_and(Job::is_opening);
        if self.launched.is_none() || awaited {
            return;
        }
        let words = json!({ "type": "STOP", "sessionId": app.session });
        (self.launched, self.leaves) = (None, false);
        self.ask(RECEIVER, DEVICE, words, Sort::Standing, ANSWERS_WITHIN, now);
    }

    // -- playing something --------------------------------------------------------------------------

    fn open(&mut self, id: u64, opened: Box<Opened>, now: Instant) -> Result<(), Trouble> {
        if self.app.as_ref().is_some_and(|app| app.id == DEFAULT_RECEIVER) {
            self.take_job(id, Goal::Launched(opened), None, LAUNCHES_WITHIN, now);
            return Ok(());
        }
        // What another app shows is ended by this: one app at a time.
        let words = json!({ "type": "LAUNCH", "appId": DEFAULT_RECEIVER });
        let asked = self.ask(RECEIVER, DEVICE, words, Sort::Page, LAUNCHES_WITHIN, now).ok_or(Trouble::Busy)?;
        self.take_job(id, Goal::Launched(opened), Some(asked), LAUNCHES_WITHIN, now);
        (self.launched, self.leaves) = (Some(now + LAUNCHED_WITHIN), false);
        Ok(())
    }

    fn load(&mut self, now: Instant) {
        let Some(mut job) = self.job.take() else { return };
        let (Goal::Launched(opened), Some(app)) = (&job.goal, self.app.clone()) else { return self.job = Some(job) };
        let address = opened.address.clone();
        let Some(asked) = self.ask(&app.transport, MEDIA, opened.load(), Sort::Page, LOADS_WITHIN, now) else {
            self.done(job.id, Err(Trouble::Busy));
            return self.end_launched(now);
        };
        (self.launched, self.leaves) = (None, false);
        job.until = (now + LOADS_WITHIN).min(job.last);
        (job.request, job.answered, job.goal) = (Some(asked), false, Goal::Loaded);
        self.job = Some(job);
        self.forget_media();
        let ours = Ours { session: app.session, address };
        self.ours = Some(ours.clone());
        self.event(Event::Ours(Some(ours)));
        self.event(Event::Values(vec![Value::Ended(Ended::Not)]));
    }

    // -- how it goes --------------------------------------------------------------------------------

    /// A question was answered, and not refused.
    pub(super) fn answered(&mut self, request: u32) {
        if let Some(job) = self.job.as_mut().filter(|job| job.request == Some(request)) {
            job.answered = true;
        }
    }

    /// The device said no.
    pub(super) fn refused(&mut self, request: u32, why: String) {
        let Some(job) = self.job.take_if(|job| job.request == Some(request)) else { return };
        if matches!(job.goal, Goal::Launched(_)) {
            self.launched = None;
        }
        let trouble = match &job.goal {
            Goal::Loaded => Trouble::Unplayable(why),
            _ => Trouble::Refused(why),
        };
        if let (Goal::Loaded, Some(ours)) = (&job.goal, &mut self.ours) {
            ours.address.clear();
        }
        self.done(job.id, Err(trouble));
    }

    /// The device gave up on what it was told to play.
    fn unplayable(&mut self) {
        if let Some(ours) = &mut self.ours {
            ours.address.clear();
        }
        if let Some(job) = self.job.take() {
            self.done(job.id, Err(Trouble::Unplayable("ERROR".to_owned())));
        }
    }

    /// Looks whether what is being done is done, or will not be.
    pub(super) fn advance_wishes(&mut self, now: Instant) {
        let Some(job) = &self.job else { return };
        let playing = self.playing.as_ref();
        let state = playing.map_or(State::Idle, |playing| playing.state);
        let is_done = match &job.goal {
            Goal::Launched(_) => {
                if self.app.as_ref().is_some_and(|app| app.id == DEFAULT_RECEIVER) {
                    return self.load(now);
                }
                false
            }
            Goal::Loaded if state == State::Idle => {
                if playing.is_some_and(|playing| playing.idle == Some(Idle::Error)) && self.is_ours() {
                    return self.unplayable();
                }
                false
            }
            Goal::Loaded => self.is_ours(),
            Goal::Runs => matches!(state, State::Playing | State::Buffering),
            Goal::Holds => matches!(state, State::Paused | State::Idle),
            Goal::Stopped => state == State::Idle,
            Goal::Left(session) => self.app.as_ref().is_none_or(|app| app.session != *session),
            Goal::At(to) => {
                let at = playing.and_then(|playing| playing.position);
                job.answered && at.is_some_and(|at| (at - to).abs() <= NEAR_ENOUGH)
            }
            Goal::Loud(level) => job.answered && self.level.is_some_and(|now| (now - level).abs() < 0.03),
            Goal::Muted(muted) => job.answered && self.muted == Some(*muted),
            Goal::Captions(on) => {
                let shown = self.tracks_on.iter().any(|one| self.captions().contains(one));
                job.answered && shown == *on
            }
            Goal::Answered => job.answered,
        };
        if !is_done && now < job.until {
            return;
        }
        let Some(job) = self.job.take() else { return };
        let outcome = if is_done { Ok(()) } else { Err(job.in_vain()) };
        self.done(job.id, outcome);
    }
}
