//! The machine itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::description::{Abilities, Renderer as Described, Service};
use super::super::didl;
use super::super::http::Answer;
use super::super::soap::{self, Arguments, Fault, NOT_NOW};
use super::step::{Step, Which, format_of};
use super::{Ask, Event, Formats, Input, Offers, Output, Trouble, Value, Wanted};

/// How long a renderer may take to stop, to begin, to go to another place.
const STOPS_WITHIN: Duration = Duration::from_secs(4);
const BEGINS_WITHIN: Duration = Duration::from_secs(5);
const SEEKS_WITHIN: Duration = Duration::from_secs(3);
/// How often one looks meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// How far from the wanted place is there, in seconds: key frames are not everywhere.
const NEAR_ENOUGH: f64 = 6.0;
/// How often one looks while it plays, while it plays and nothing moves, and while it is paused. Else one looks when
/// something is wanted, and when it announces itself.
const PLAYING_EVERY: Duration = Duration::from_secs(1);
const STUCK_EVERY: Duration = Duration::from_secs(5);
const PAUSED_EVERY: Duration = Duration::from_secs(15);
/// Announcements come several at once.
const HEARD_AT_MOST_EVERY: Duration = Duration::from_secs(20);
/// Every so many looks, volume and mute are looked at too.
const VOLUME_EVERY: u32 = 5;
/// Most that is wanted and not done.
const MAX_WAITING: usize = 16;
/// Jobs in a row without an answer, until it counts as gone.
const SILENT_AFTER: u32 = 2;
/// The range of a volume that is not described.
const USUAL_VOLUME: (u16, u16) = (0, 100);

/// The states of AVTransport:1, 2.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Playing,
    Transitioning,
    Paused,
    Stopped,
}

struct Job {
    id: Option<u64>,
    wanted: Wanted,
    steps: VecDeque<Step>,
    /// A refusal that may not matter.
    forgiven: Option<Fault>,
}

/// The machine.
pub struct Renderer {
    described: Described,
    transport: Abilities,
    rendering: Abilities,
    state: State,
    position: Option<f64>,
    /// Looks in a row in which the position stood still while it says that it plays.
    still: u32,
    volume: Option<u16>,
    muted: Option<bool>,
    /// How loud it was before it was silenced from here: some forget (Rygel).
    loud: Option<u16>,
    queue: VecDeque<(u64, Wanted)>,
    job: Option<Job>,
    asked: Option<Step>,
    looks: u32,
    next_look: Option<Instant>,
    last_look: Option<Instant>,
    unanswered: u32,
    outputs: VecDeque<Output>,
    wake: Option<Instant>,
}

impl Renderer {
    /// Begins by asking what it can do and how it stands.
    pub fn new(described: Described) -> Self {
        let mut machine = Self {
            described,
            transport: Abilities::default(),
            rendering: Abilities::default(),
            state: State::Stopped,
            position: None,
            still: 0,
            volume: None,
            muted: None,
            loud: None,
            queue: VecDeque::new(),
            job: None,
            asked: None,
            looks: 0,
            next_look: None,
            last_look: None,
            unanswered: 0,
            outputs: VecDeque::new(),
            wake: None,
        };
        let mut steps = vec![Step::Describe(Which::Transport), Step::Describe(Which::Rendering), Step::Formats];
        steps.extend([Step::Look, Step::Position, Step::Volume, Step::Mute]);
        machine.job = Some(Job { id: None, wanted: Wanted::Look, steps: steps.into(), forgiven: None });
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
            Input::Timeout => {}
        }
        self.advance(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Wait(self.wake))
    }

    /// True while nothing is asked or wanted.
    pub fn is_idle(&self) -> bool {
        self.job.is_none() && self.queue.is_empty()
    }

    // -- jobs ---------------------------------------------------------------------------------------

    fn advance(&mut self, now: Instant) {
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
        let (id, wanted) = match self.queue.pop_front() {
            Some((id, wanted)) => (Some(id), wanted),
            None if self.next_look.is_some_and(|next| now >= next) => (None, Wanted::Look),
            None => {
                self.wake = self.next_look;
                return false;
            }
        };
        let steps = self.steps(&wanted, id.is_some(), now);
        self.job = Some(Job { id, wanted, steps: steps.into(), forgiven: None });
        true
    }

    /// How something is done (the order that renderers of all sorts follow).
    fn steps(&mut self, wanted: &Wanted, asked_for: bool, now: Instant) -> Vec<Step> {
        let transport = |action, forgive| Step::transport(action, Vec::new(), forgive);
        match wanted {
            Wanted::Play | Wanted::Pause | Wanted::PlayPause => vec![Step::Look, Step::Decide],
            Wanted::Open { .. } => vec![Step::Look, Step::Decide],
            Wanted::Stop => vec![transport("Stop", true), Step::Stopped(now + STOPS_WITHIN), Step::Position],
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
                if asked_for || self.looks.is_multiple_of(VOLUME_EVERY) {
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
        let moves = matches!(self.state, State::Playing | State::Transitioning);
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
            Wanted::Open { address, title } => {
                if self.state != State::Stopped {
                    more.extend([Step::transport("Stop", Vec::new(), true), Step::Stopped(now + STOPS_WITHIN)]);
                }
                if self.transport.actions.contains("SetNextAVTransportURI") {
                    let nothing = vec![("NextURI", String::new()), ("NextURIMetaData", String::new())];
                    more.push(Step::transport("SetNextAVTransportURI", nothing, true));
                }
                let item = didl::item(&title, &address, format_of(&address));
                let arguments = vec![("CurrentURI", address), ("CurrentURIMetaData", item)];
                more.push(Step::transport("SetAVTransportURI", arguments, false));
                let begins = Step::Settled(now + STOPS_WITHIN + BEGINS_WITHIN);
                more.extend([Step::play(), begins, Step::Position]);
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

    fn finish(&mut self, outcome: Result<(), Trouble>, now: Instant) {
        let Some(job) = self.job.take() else { return };
        self.done(job.id, outcome);
        self.last_look = Some(now);
        self.next_look = match self.state {
            State::Playing | State::Transitioning if self.still > 10 => Some(now + STUCK_EVERY),
            State::Playing | State::Transitioning => Some(now + PLAYING_EVERY),
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

    // -- asking -------------------------------------------------------------------------------------

    fn ask(&mut self, step: Step) {
        if let Some(ask) = self.question(&step) {
            self.outputs.push_back(Output::Ask(ask));
            self.asked = Some(step);
        }
    }

    /// `None`: it has no such service.
    fn question(&self, step: &Step) -> Option<Ask> {
        let channel = || vec![("Channel", "Master".to_owned())];
        let (which, action, arguments) = match step {
            Step::Describe(which) => return Some(Ask::Describe(self.service(*which)?.scpd.clone()?)),
            Step::Act { which, action, arguments, .. } => (*which, *action, arguments.clone()),
            Step::Look | Step::Stopped(_) | Step::Settled(_) => (Which::Transport, "GetTransportInfo", Vec::new()),
            Step::Position | Step::Arrived(..) => (Which::Transport, "GetPositionInfo", Vec::new()),
            Step::Volume => (Which::Rendering, "GetVolume", channel()),
            Step::Mute => (Which::Rendering, "GetMute", channel()),
            Step::Formats => (Which::Connection, "GetProtocolInfo", Vec::new()),
            Step::Decide | Step::Wait(_) => return None,
        };
        let service = self.service(which)?;
        let instance = [("InstanceID", "0")].into_iter().filter(|_| which != Which::Connection);
        let given = arguments.iter().map(|(name, value)| (*name, value.as_str()));
        let pairs: Vec<(&str, &str)> = instance.chain(given).collect();
        Some(Ask::Call {
            place: service.control.clone(),
            kind: service.kind.clone(),
            action,
            body: soap::call(&service.kind, action, &pairs),
            names_media: action == "SetAVTransportURI",
        })
    }

    fn service(&self, which: Which) -> Option<&Service> {
        match which {
            Which::Transport => Some(&self.described.transport),
            Which::Rendering => self.described.rendering.as_ref(),
            Which::Connection => self.described.connection.as_ref(),
        }
    }

    fn answered(&mut self, answer: Result<Answer, String>, now: Instant) {
        let Some(step) = self.asked.take() else { return };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.unanswered += 1;
                if self.unanswered >= SILENT_AFTER {
                    self.outputs.push_back(Output::Event(Event::Silent));
                }
                return self.finish(Err(Trouble::Lost(why)), now);
            }
        };
        self.unanswered = 0;
        if let Step::Describe(which) = step {
            return self.described(which, &answer);
        }
        let action = match &step {
            Step::Act { action, .. } => action,
            Step::Look | Step::Stopped(_) | Step::Settled(_) => "GetTransportInfo",
            Step::Position | Step::Arrived(..) => "GetPositionInfo",
            Step::Volume => "GetVolume",
            Step::Formats => "GetProtocolInfo",
            _ => "GetMute",
        };
        let outcome = match soap::answer(action, answer.status, &answer.body) {
            Ok(arguments) => self.said(step, &arguments, now),
            Err(fault) => self.refused(&step, fault),
        };
        if let Err(trouble) = outcome {
            self.finish(Err(trouble), now);
        }
    }

    fn refused(&mut self, step: &Step, fault: Fault) -> Result<(), Trouble> {
        let not_now = matches!(fault, Fault::Refused { code: NOT_NOW, .. });
        match step {
            Step::Act { action: "Stop" | "SetNextAVTransportURI", forgive: true, .. } => Ok(()),
            // It may have begun by itself; the next look tells.
            Step::Act { forgive: true, .. } if not_now => {
                if let Some(job) = &mut self.job {
                    job.forgiven = Some(fault);
                }
                Ok(())
            }
            Step::Act { .. } => Err(fault.into()),
            // What it does not tell is not known.
            _ => Ok(()),
        }
    }

    fn said(&mut self, step: Step, arguments: &Arguments, now: Instant) -> Result<(), Trouble> {
        let number = |name: &str| arguments.get(name).and_then(|text| text.trim().parse::<u16>().ok());
        match step {
            Step::Look => self.looked(arguments),
            Step::Stopped(until) => {
                self.looked(arguments);
                if self.state != State::Stopped {
                    return self.again(Step::Stopped(until), until, now, "it did not stop");
                }
            }
            Step::Settled(until) => {
                self.looked(arguments);
                if self.state == State::Transitioning && now < until {
                    return self.again(Step::Settled(until), until, now, "");
                }
                let forgiven = self.job.as_mut().and_then(|job| job.forgiven.take());
                if let Some(fault) = forgiven.filter(|_| !matches!(self.state, State::Playing | State::Transitioning)) {
                    return Err(fault.into());
                }
            }
            Step::Position => self.positioned(arguments),
            Step::Arrived(to, until) => {
                self.positioned(arguments);
                if self.position.is_some_and(|position| (position - to).abs() > NEAR_ENOUGH) {
                    return self.again(Step::Arrived(to, until), until, now, "it did not go there");
                }
            }
            Step::Volume => {
                if let Some(volume) = number("CurrentVolume") {
                    self.volume = Some(volume);
                    self.tell(vec![Value::Volume(self.percent(volume))]);
                }
            }
            Step::Mute => {
                let muted = match arguments.get("CurrentMute").map(|text| text.trim().to_ascii_lowercase()).as_deref() {
                    Some("1" | "true" | "yes") => true,
                    Some("0" | "false" | "no") => false,
                    _ => return Ok(()),
                };
                self.muted = Some(muted);
                self.tell(vec![Value::Muted(muted)]);
            }
            Step::Formats => {
                let formats = arguments.get("Sink").map(|sink| Formats::parse(sink)).unwrap_or_default();
                self.outputs.push_back(Output::Event(Event::Formats(formats)));
            }
            Step::Describe(_) | Step::Act { .. } | Step::Decide | Step::Wait(_) => {}
        }
        Ok(())
    }

    /// Looks once more in a moment, until it is too late.
    fn again(&mut self, step: Step, until: Instant, now: Instant, why: &'static str) -> Result<(), Trouble> {
        if now >= until {
            return Err(Trouble::Ignored(why));
        }
        if let Some(job) = &mut self.job {
            job.steps.push_front(step);
            job.steps.push_front(Step::Wait(now + LOOK_AGAIN));
        }
        Ok(())
    }

    fn described(&mut self, which: Which, answer: &Answer) {
        let abilities = match Abilities::parse(&answer.body) {
            Ok(abilities) if answer.status == 200 => abilities,
            _ => Abilities::default(),
        };
        match which {
            Which::Transport => self.transport = abilities,
            Which::Rendering => self.rendering = abilities,
            Which::Connection => {}
        }
        self.outputs.push_back(Output::Event(Event::Offers(self.offers())));
    }

    /// What it can do. Of one that does not describe itself, what every renderer has to be able to is believed, and pause,
    /// seek and volume, which nearly all have.
    pub fn offers(&self) -> Offers {
        let silent = self.transport.actions.is_empty();
        let can = |action: &str| self.transport.actions.contains(action);
        let undescribed = self.rendering.actions.is_empty();
        let renders = |action: &str| {
            self.described.rendering.is_some() && (undescribed || self.rendering.actions.contains(action))
        };
        Offers {
            pause: silent || can("Pause"),
            seek: silent || can("Seek"),
            next: can("Next"),
            previous: can("Previous"),
            volume: renders("SetVolume"),
            mute: renders("SetMute"),
        }
    }

    // -- what it says -------------------------------------------------------------------------------

    fn looked(&mut self, arguments: &Arguments) {
        let state = arguments.get("CurrentTransportState").map(|text| text.trim().to_ascii_uppercase());
        self.state = match state.as_deref() {
            Some("PLAYING") => State::Playing,
            Some("TRANSITIONING") => State::Transitioning,
            Some("PAUSED_PLAYBACK") => State::Paused,
            _ => State::Stopped,
        };
        if self.state != State::Playing {
            self.still = 0;
            self.tell(vec![Value::Playing(false), Value::Moving(false)]);
        } else {
            self.tell(vec![Value::Playing(true)]);
        }
    }

    fn positioned(&mut self, arguments: &Arguments) {
        let mut values = Vec::new();
        let time = |name: &str| arguments.get(name).and_then(|text| soap::seconds(text));
        let position = time("RelTime");
        if self.state == State::Playing {
            let moves = self.position.zip(position).is_some_and(|(before, now)| now > before);
            self.still = if moves { 0 } else { self.still.saturating_add(1) };
            // Between two looks within one second, the clock of a renderer may stand.
            if moves || self.still > 2 {
                values.push(Value::Moving(moves));
            }
        }
        self.position = position;
        values.extend(position.map(Value::Position));
        values.extend(time("TrackDuration").map(Value::Length));
        if let Some(text) = arguments.get("TrackMetaData") {
            values.push(Value::Track(didl::track(text)));
        }
        self.tell(values);
    }

    fn tell(&mut self, values: Vec<Value>) {
        if !values.is_empty() {
            self.outputs.push_back(Output::Event(Event::Values(values)));
        }
    }

    // -- volume -------------------------------------------------------------------------------------

    fn range(&self) -> (u16, u16) {
        self.rendering.volume.unwrap_or(USUAL_VOLUME)
    }

    fn raw(&self, percent: u8) -> u16 {
        let (least, most) = self.range();
        let span = u32::from(most - least);
        let above = (u32::from(percent.min(100)) * span + 50) / 100;
        least.saturating_add(u16::try_from(above).unwrap_or(most))
    }

    fn percent(&self, volume: u16) -> u8 {
        let (least, most) = self.range();
        let span = u32::from(most - least).max(1);
        let above = u32::from(volume.clamp(least, most) - least);
        u8::try_from((above * 100 + span / 2) / span).unwrap_or(100)
    }

    fn set_volume(&self, raw: u16) -> Step {
        Step::rendering("SetVolume", vec![("Channel", "Master".to_owned()), ("DesiredVolume", raw.to_string())])
    }
}
