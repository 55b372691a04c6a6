//! The machine itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::description::{Abilities, Renderer as Described};
use super::super::didl;
use super::super::gena::{Sid, Teller};
use super::super::place::Place;
use super::super::soap::{self, Fault};
use super::events::Events;
use super::step::{Step, Which};
use super::{Event, Input, Output, Trouble, Wanted};

/// How long a renderer may take to stop, to begin, to go to another place.
pub(super) const STOPS_WITHIN: Duration = Duration::from_secs(4);
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
const SEEKS_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take to be ready to play what it was given.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// How often one looks meanwhile.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How far from the wanted place is there, in seconds: key frames are not everywhere.
pub(super) const NEAR_ENOUGH: f64 = 6.0;
/// How often one looks while it plays, while it plays and nothing moves, and while it is paused. Else one looks when
/// something is wanted, and when it announces itself.
const PLAYING_EVERY: Duration = Duration::from_secs(1);
const STUCK_EVERY: Duration = Duration::from_secs(5);
const PAUSED_EVERY: Duration = Duration::from_secs(15);
/// The same of one that tells of changes by itself; of what moves, after so many looks that saw it move.
const TOLD_PLAYING_EVERY: Duration = Duration::from_secs(2);
const TOLD_PAUSED_EVERY: Duration = Duration::from_secs(60);
const SEEN_MOVING: u32 = 5;
/// How soon after a look one looks again because something changed.
pub(super) const AFTER_EVENT: Duration = Duration::from_millis(500);
/// Announcements come several at once.
const HEARD_AT_MOST_EVERY: Duration = Duration::from_secs(20);
/// Every so many looks, volume and mute are looked at too.
const VOLUME_EVERY: u32 = 5;
/// Most that is wanted and not done.
const MAX_WAITING: usize = 16;
/// Jobs in a row without an answer, until it counts as gone.
pub(super) const SILENT_AFTER: u32 = 2;
/// The range of a volume that is not described.
pub(super) const USUAL_VOLUME: (u16, u16) = (0, 100);

/// The states of AVTransport:1, 2.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Playing,
    Transitioning,
    Paused,
    Stopped,
}

pub(super) struct Job {
    id: Option<u64>,
    /// It only asks it to tell.
    asks: bool,
    wanted: Wanted,
    pub steps: VecDeque<Step>,
    /// A refusal that may not matter.
    pub forgiven: Option<Fault>,
}

/// The machine.
pub struct Renderer {
    pub(super) described: Described,
    pub(super) transport: Abilities,
    pub(super) rendering: Abilities,
    pub(super) state: State,
    pub(super) position: Option<f64>,
    /// Looks in a row in which the position stood still while it says that it plays, and in which it moved.
    pub(super) still: u32,
    pub(super) moving: u32,
    pub(super) volume: Option<u16>,
    pub(super) muted: Option<bool>,
    /// How loud it was before it was silenced from here: some forget (Rygel).
    loud: Option<u16>,
    /// Where it is to go once it moves.
    pub(super) start: Option<f64>,
    /// What it was given to play next, and how often it went on with such a thing.
    pub(super) next: Option<String>,
    pub(super) turn: u32,
    queue: VecDeque<(u64, Wanted)>,
    /// What follows from what was wanted, and nobody waits for.
    pub(super) own: Option<Wanted>,
    pub(super) job: Option<Job>,
    pub(super) asked: Option<Step>,
    pub(super) events: Events,
    looks: u32,
    next_look: Option<Instant>,
    /// When one looks because of what it told.
    pub(super) soon: Option<Instant>,
    pub(super) last_look: Option<Instant>,
    pub(super) unanswered: u32,
    pub(super) outputs: VecDeque<Output>,
    wake: Option<Instant>,
}

impl Renderer {
    /// Begins by asking what it can do and how it stands.
    pub fn new(described: Described, now: Instant) -> Self {
        let mut machine = Self {
            events: Events::of(&described, now),
            described,
            transport: Abilities::default(),
            rendering: Abilities::default(),
            state: State::Stopped,
            position: None,
            still: 0,
            moving: 0,
            volume: None,
            muted: None,
            loud: None,
            start: None,
            next: None,
            turn: 0,
            queue: VecDeque::new(),
            own: None,
            job: None,
            asked: None,
            looks: 0,
            next_look: None,
            soon: None,
            last_look: None,
            unanswered: 0,
            outputs: VecDeque::new(),
            wake: None,
        };
        let mut steps = vec![Step::Describe(Which::Transport), Step::Describe(Which::Rendering), Step::Formats];
        steps.extend([Step::Look, Step::Position, Step::Volume, Step::Mute]);
        machine.job = Some(Job { id: None, asks: false, wanted: Wanted::Look, steps: steps.into(), forgiven: None });
        machine
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Wanted(id, _) if self.queue.len() >= MAX_WAITING => self.done(Some(id), Err(Trouble::Busy)),
            Input::Wanted(id, wanted) => self.queue.push_back((id, wanted)),
            Input::Heard => {
                if self.last_look.is_none_or(|last| now >= last + HEARD_AT_MOST_EVERY) {
                    self.next_look = Some(now);
                }
            }
            Input::Answered(answer) => self.answered(answer, now),
            Input::Deaf => self.events.deaf(now),
            Input::Timeout => {}
        }
        self.advance(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Wait(self.wake))
    }

    /// What it tells of by itself, to have it end that.
    pub fn subscriptions(&self) -> Vec<(Place, Sid)> {
        self.events.running()
    }

    pub(super) fn moves(&self) -> bool {
        matches!(self.state, State::Playing | State::Transitioning)
    }

    /// True while nothing is asked or wanted.
    pub fn is_idle(&self) -> bool {
        self.job.is_none() && self.queue.is_empty()
    }

    // -- jobs ---------------------------------------------------------------------------------------

    pub(super) fn advance(&mut self, now: Instant) {
        self.wake = None;
        while self.asked.is_none() {
            let Some(job) = &mut self.job else {
                if !self.begin_next(now) {
                    return;
                }
                continue;
            };
            match job.steps.pop_front() {
                None => self.finish(Ok(()), now),
                Some(Step::Wait(until)) if now < until => {
                    job.steps.push_front(Step::Wait(until));
                    self.wake = Some(until);
                    return;
                }
                Some(Step::Wait(_)) => {}
                Some(Step::Rest(rest)) => job.steps.push_front(Step::Wait(now + rest)),
                Some(Step::Begin) => {
                    if !matches!(self.state, State::Playing | State::Transitioning) {
                        job.steps.push_front(Step::play());
                    }
                }
                Some(Step::Decide) => {
                    if let Err(trouble) = self.decide(now) {
                        self.finish(Err(trouble), now);
                    }
                }
                Some(step) => self.ask(step),
            }
        }
    }

    fn begin_next(&mut self, now: Instant) -> bool {
        let job = if let Some((id, wanted)) = self.queue.pop_front() {
            let anew = matches!(
                wanted,
                Wanted::Open { .. } | Wanted::Stop | Wanted::Seek(_) | Wanted::Next | Wanted::Previous
            );
            if anew {
                (self.start, self.own) = (None, None);
            }
            Some((Some(id), wanted))
        } else if let Some(own) = self.own.take() {
            Some((None, own))
        } else {
            let due = [self.next_look, self.soon].into_iter().flatten().min();
            due.is_some_and(|due| now >= due).then_some((None, Wanted::Look))
        };
        let (job, steps) = match (job, self.events.due(now)) {
            (Some((id, wanted)), _) => {
                if wanted == Wanted::Look {
                    self.soon = None;
                }
                let steps = self.steps(&wanted, id.is_some(), now);
                (Job { id, asks: false, wanted, steps: VecDeque::new(), forgiven: None }, steps)
            }
            (None, Some(teller)) => {
                let job = Job { id: None, asks: true, wanted: Wanted::Look, steps: VecDeque::new(), forgiven: None };
                (job, vec![Step::Subscribe(teller)])
            }
            (None, None) => {
                self.wake = [self.next_look, self.soon, self.events.wake()].into_iter().flatten().min();
                return false;
            }
        };
        self.job = Some(Job { steps: steps.into(), ..job });
        true
    }

    /// How something is done (the order that renderers of all sorts follow).
    fn steps(&mut self, wanted: &Wanted, asked_for: bool, now: Instant) -> Vec<Step> {
        let transport = |action, forgive| Step::transport(action, Vec::new(), forgive);
        match wanted {
            Wanted::Play | Wanted::Pause | Wanted::PlayPause => vec![Step::Look, Step::Decide],
            Wanted::Open { .. } => vec![Step::Look, Step::Decide],
            Wanted::Stop => {
                let mut steps = vec![transport("Stop", true), Step::Stopped(now + STOPS_WITHIN), Step::Position];
                // What others have it play later is not to be followed by ours.
                if self.next.take().is_some() {
                    steps.insert(0, follows(String::new(), String::new(), true));
                }
                steps
            }
            Wanted::Enqueue { .. } => vec![Step::Decide],
            Wanted::Next => vec![transport("Next", false), Step::Settled(now + BEGINS_WITHIN), Step::Position],
            Wanted::Previous => vec![transport("Previous", false), Step::Settled(now + BEGINS_WITHIN), Step::Position],
            Wanted::Seek(to) => {
                let arguments = vec![("Unit", "REL_TIME".to_owned()), ("Target", soap::clock(*to))];
                vec![
                    Step::transport("Seek", arguments, false),
                    Step::Arrived(to.floor(), now + SEEKS_WITHIN),
                    Step::Look,
                ]
            }
            Wanted::Volume(percent) => {
                self.volume = None;
                vec![self.set_volume(self.raw(*percent)), Step::Volume, Step::Decide]
            }
            Wanted::Muted(muted) => {
                if *muted && self.muted != Some(true) {
                    self.loud = self.volume.filter(|volume| *volume > 0);
                }
                let arguments = vec![("Channel", "Master".to_owned()), ("DesiredMute", u8::from(*muted).to_string())];
                vec![Step::rendering("SetMute", arguments), Step::Mute, Step::Volume, Step::Decide]
            }
            Wanted::Look => {
                self.looks = self.looks.wrapping_add(1);
                let mut steps = vec![Step::Look, Step::Position];
                let tells = self.events.tells(Teller::Rendering);
                if asked_for || (!tells && self.looks.is_multiple_of(VOLUME_EVERY)) {
                    steps.extend([Step::Volume, Step::Mute]);
                }
                steps
            }
        }
    }

    /// Goes on by what was seen meanwhile.
    fn decide(&mut self, now: Instant) -> Result<(), Trouble> {
        // What is left to do is in the steps; the wish itself is over, except for what a later look decides.
        let Some(wanted) = self.job.as_mut().map(|job| std::mem::replace(&mut job.wanted, Wanted::Look)) else {
            return Ok(());
        };
        let moves = self.moves();
        let mut more = Vec::new();
        match wanted {
            Wanted::Play | Wanted::PlayPause if !moves => {
                more.extend([Step::play(), Step::Settled(now + BEGINS_WITHIN), Step::Position]);
            }
            Wanted::Play => more.push(Step::Position),
            Wanted::Pause | Wanted::PlayPause if moves => {
                let pause = Step::transport("Pause", Vec::new(), false);
                more.extend([pause, Step::Settled(now + BEGINS_WITHIN), Step::Position]);
            }
            Wanted::Pause if self.state == State::Paused => {}
            Wanted::Pause => return Err(Trouble::NotNow("nothing plays there")),
            Wanted::Open { item, start, manner } => {
                if manner.stop_first && self.state != State::Stopped {
                    more.extend([Step::transport("Stop", Vec::new(), true), Step::Stopped(now + STOPS_WITHIN)]);
                }
                if manner.clear_next && self.transport.actions.contains("SetNextAVTransportURI") {
                    more.push(follows(String::new(), String::new(), true));
                }
                self.next = None;
                let document = if manner.metadata { didl::document(&item, manner.captions) } else { String::new() };
                let arguments = vec![("CurrentURI", item.address), ("CurrentURIMetaData", document)];
                more.push(Step::transport("SetAVTransportURI", arguments, true));
                let begins = Step::Settled(now + STOPS_WITHIN + BEGINS_WITHIN + manner.rest);
                let ready = Step::Ready(now + STOPS_WITHIN + READY_WITHIN + manner.rest);
                more.extend([Step::Rest(manner.rest), Step::Look, ready, Step::Begin, begins, Step::Position]);
                self.start = start;
            }
            Wanted::Enqueue { item, manner } => {
                // What cannot be taken back would play later, in the middle of something else.
                if !manner.clear_next || !self.offers().enqueue {
                    return Err(Trouble::NotNow("this device is given nothing to be played next"));
                }
                let document = if manner.metadata { didl::document(&item, manner.captions) } else { String::new() };
                self.next = Some(item.address.clone());
                more.push(follows(item.address, document, false));
            }
            Wanted::Volume(percent) => {
                let wanted = self.raw(percent);
                if self.volume.is_some_and(|volume| volume.abs_diff(wanted) > 1) {
                    return Err(Trouble::Ignored("it is as loud as it was"));
                }
            }
            Wanted::Muted(false) if self.volume == Some(0) => {
                if let Some(loud) = self.loud.take() {
                    more.extend([self.set_volume(loud), Step::Volume]);
                }
            }
            Wanted::Muted(wanted) if self.muted.is_some_and(|muted| muted != wanted) => {
                return Err(Trouble::Ignored("its sound is as it was"));
            }
            _ => {}
        }
        if let Some(job) = &mut self.job {
            more.into_iter().rev().for_each(|step| job.steps.push_front(step));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, outcome: Result<(), Trouble>, now: Instant) {
        let Some(job) = self.job.take() else { return };
        if outcome.is_err() && job.id.is_some() {
            self.start = None;
        }
        self.done(job.id, outcome);
        if job.asks {
            return;
        }
        self.last_look = Some(now);
        let tells = self.events.tells(Teller::Transport);
        self.next_look = match self.state {
            State::Playing | State::Transitioning if self.still > 10 => Some(now + STUCK_EVERY),
            State::Playing if tells && self.moving >= SEEN_MOVING => Some(now + TOLD_PLAYING_EVERY),
            State::Playing | State::Transitioning => Some(now + PLAYING_EVERY),
            State::Paused if tells => Some(now + TOLD_PAUSED_EVERY),
            State::Paused => Some(now + PAUSED_EVERY),
            // It may take a moment to begin.
            State::Stopped => job.id.map(|_| now + PLAYING_EVERY),
        };
    }

    fn done(&mut self, id: Option<u64>, outcome: Result<(), Trouble>) {
        if let Some(id) = id {
            self.outputs.push_back(Output::Event(Event::Done(id, outcome)));
        }
    }
}

/// What it plays next; nothing takes that back.
fn follows(address: String, document: String, forgive: bool) -> Step {
    Step::transport("SetNextAVTransportURI", vec![("NextURI", address), ("NextURIMetaData", document)], forgive)
}
