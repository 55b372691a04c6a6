//! The machine.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use accord_model::text::for_screen;
use serde_json::{Map, Value};

use super::wishes::{Aim, commands};
use super::{Command, Event, Input, Job, Output, Trouble, Wanted};
use crate::core::line::{Failure, Lines, Message, command};
use crate::core::quota::{Quota, Sort};
use crate::core::state::{Abilities, Part, Prop, State};

/// How long an answer may take.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
/// How long it may take to say by itself what became of a wish, before it is asked.
pub(super) const SAYS_WITHIN: Duration = Duration::from_millis(400);
/// How often it is asked whether it is still there, when nothing was heard.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How often all of that is told again, so that its age is known.
pub(super) const TELL_EVERY: Duration = Duration::from_secs(300);
/// How long a wish waits for the quota.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often somebody else's word puts it in doubt.
const DOUBT_AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// Wishes that wait, and whose.
const MOST_JOBS: usize = 16;
const MOST_CALLS: usize = 128;

/// A command that was sent and not answered.
struct Flight {
    id: u64,
    method: String,
    until: Instant,
}

/// A connection with a lamp.
pub struct Session {
    abilities: Abilities,
    state: State,
    quota: Quota,
    lines: Lines,
    jobs: VecDeque<Job>,
    flight: Option<Flight>,
    /// When the quota lets the next one leave.
    again_at: Option<Instant>,
    next: u64,
    ready: bool,
    over: bool,
    aim: Aim,
    /// What it has yet to say, and when it is asked for it.
    unsaid: BTreeSet<Prop>,
    ask_at: Option<Instant>,
    /// All is told at the next question, or once it was told so long ago.
    tell_all: bool,
    told: Instant,
    /// When it was heard last, and put in doubt last.
    heard: Instant,
    doubted: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A connection that was just made, with a lamp that can do this and was lit like that. Begins by asking.
    pub fn new(abilities: Abilities, state: State, mut quota: Quota, now: Instant) -> Self {
        quota.connect(now);
        let mut session = Self {
            abilities,
            state,
            quota,
            lines: Lines::default(),
            jobs: VecDeque::new(),
            flight: None,
            again_at: None,
            next: 1,
            ready: false,
            over: false,
            aim: Aim::default(),
            unsaid: BTreeSet::new(),
            ask_at: None,
            tell_all: true,
            told: now,
            heard: now,
            doubted: None,
            outputs: VecDeque::new(),
        };
        session.look(now);
        session.go_on(now);
        session
    }

    /// What was sent lately, for the next connection.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.over {
            return;
        }
        match input {
            Input::Bytes(bytes) => match self.lines.feed(bytes) {
                Ok(messages) => messages.into_iter().for_each(|message| self.message(message, now)),
                Err(why) => self.end(why),
            },
            Input::Wanted(call, wanted) => self.want(call, wanted, now),
            Input::GivenUp(call) => return self.give_up(call),
            Input::Doubt => {
                if self.doubted.is_none_or(|last| now >= last + DOUBT_AT_MOST_EVERY) {
                    self.doubted = Some(now);
                    self.look(now);
                }
            }
            Input::Ask => self.look(now),
            Input::Timeout => {}
        }
        self.go_on(now);
    }

    /// Whether a command is under way, so that the lamp has to say something soon.
    pub fn awaits_answer(&self) -> bool {
        self.flight.is_some()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.wake()))
    }

    fn wake(&self) -> Instant {
        let flight = self.flight.as_ref().map(|flight| flight.until);
        [flight, self.again_at, self.ask_at]
            .into_iter()
            .flatten()
            .chain([self.heard + LOOK_EVERY])
            .min()
            .unwrap_or(self.heard)
    }

    // -- wishes -------------------------------------------------------------------------------------

    fn want(&mut self, call: u64, wanted: Wanted, now: Instant) {
        let waiting = self.jobs.iter().map(|job| job.calls.len()).sum::<usize>();
        if waiting >= MOST_CALLS {
            return self.done(vec![call], &Err(Trouble::Busy));
        }
        let mut calls = vec![call];
        while self.jobs.back().is_some_and(|job| job.steps.is_none() && wanted.replaces(job.wanted)) {
            calls.extend(self.jobs.pop_back().into_iter().flat_map(|job| job.calls));
        }
        if self.jobs.len() >= MOST_JOBS {
            return self.done(calls, &Err(Trouble::Busy));
        }
        self.jobs.push_back(Job { calls, wanted, steps: None, expects: Vec::new(), since: now });
    }

    /// Drops a wish that was not begun. Those that it took the place of go with it.
    fn give_up(&mut self, call: u64) {
        let of = |job: &Job| job.steps.is_none() && job.calls.contains(&call);
        let Some(at) = self.jobs.iter().position(of) else { return };
        let newest = self.jobs[at].calls.first() == Some(&call);
        let calls = match newest && self.jobs[at].wanted != Wanted::Look {
            true => self.jobs.remove(at).map(|job| job.calls).unwrap_or_default(),
            false => {
                self.jobs[at].calls.retain(|one| *one != call);
                vec![call]
            }
        };
        self.done(calls, &Err(Trouble::Late));
    }

    /// A question of ours.
    fn look(&mut self, now: Instant) {
        let waits = self.jobs.iter().any(|job| job.wanted == Wanted::Look);
        if !waits {
            self.jobs.push_back(Job {
                calls: Vec::new(),
                wanted: Wanted::Look,
                steps: None,
                expects: Vec::new(),
                since: now,
            });
        }
    }

    /// Does what is due.
    fn go_on(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if self.flight.as_ref().is_some_and(|flight| now >= flight.until) {
            let why = format!("the lamp did not answer within {} s", ANSWERS_WITHIN.as_secs());
            return self.end(why);
        }
        if self.ask_at.is_some_and(|at| now >= at) {
            self.tell_all |= !std::mem::take(&mut self.unsaid).is_empty();
            self.ask_at = None;
            self.look(now);
        }
        if now >= self.heard + LOOK_EVERY && self.flight.is_none() {
            self.look(now);
        }
        self.again_at = None;
        while self.flight.is_none() && self.step(now) {}
    }

    /// Sends the next command. `false`: none can be sent now.
    fn step(&mut self, now: Instant) -> bool {
        let Some(job) = self.jobs.front_mut() else { return false };
        let sort = if job.calls.is_empty() { Sort::Question } else { job.wanted.sort() };
        // What was begun is brought to its end.
        let sort = if job.steps.is_some() { Sort::Pressing } else { sort };
        let wait = self.quota.wait(sort, now);
        if !wait.is_zero() {
            let Some(job) = self.jobs.pop_front() else { return false };
            if job.calls.is_empty() {
                // It is asked again later; others are not held up.
                self.ask_at = Some(now + wait.max(Duration::from_secs(1)));
                self.heard = now;
                return true;
            }
            if now + wait > job.since + PATIENCE {
                self.done(job.calls, &Err(Trouble::Quota(wait.as_secs().max(1))));
                return true;
            }
            self.jobs.push_front(job);
            self.again_at = Some(now + wait);
            return false;
        }
        let wanted = job.wanted;
        let steps = job.steps.get_or_insert_with(|| {
            let (steps, expects) = commands(wanted, &self.state, &mut self.aim);
            job.expects = expects;
            steps
        });
        let Some(Command { method, params }) = steps.pop_front() else { return false };
        let (id, until) = (self.next, now + ANSWERS_WITHIN);
        self.next += 1;
        self.quota.spend(now);
        self.outputs.push_back(Output::Send(command(id, &method, &params)));
        self.flight = Some(Flight { id, method, until });
        true
    }

    fn done(&mut self, calls: Vec<u64>, outcome: &Result<(), Trouble>) {
        let done = calls.into_iter().map(|call| Output::Event(Event::Done(call, outcome.clone())));
        self.outputs.extend(done);
    }

    // -- what it says -------------------------------------------------------------------------------

    fn message(&mut self, message: Message, now: Instant) {
        self.heard = now;
        match message {
            Message::Props(props) => self.props(&props),
            Message::Result { id, outcome } => {
                // An answer to nothing that was asked is none.
                let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
                self.answered(&flight.method, outcome, now);
            }
        }
    }

    fn props(&mut self, props: &Map<String, Value>) {
        let touched: Vec<Prop> = props.iter().filter_map(|(word, value)| self.state.take_json(word, value)).collect();
        // What the lamp says is what counts, whoever wished it.
        if touched.iter().any(|prop| matches!(prop, Prop::Hue | Prop::Sat | Prop::Rgb | Prop::Ct | Prop::ColorMode)) {
            self.aim.color[usize::from(Part::Main.instance())] = None;
        }
        if touched
            .iter()
            .any(|prop| matches!(prop, Prop::BgHue | Prop::BgSat | Prop::BgRgb | Prop::BgCt | Prop::BgMode))
        {
            self.aim.color[usize::from(Part::Ambient.instance())] = None;
        }
        self.told(&touched, true);
        for prop in &touched {
            self.unsaid.remove(prop);
        }
        if self.unsaid.is_empty() {
            self.ask_at = None;
        }
    }

    fn answered(&mut self, method: &str, outcome: Result<Vec<Value>, Failure>, now: Instant) {
        let Some(job) = self.jobs.front_mut() else { return };
        match outcome {
            Ok(result) if method == "get_prop" => {
                let Some(job) = self.jobs.pop_front() else { return };
                let words = Prop::ALL.iter().map(|prop| prop.word());
                let before = self.state.clone();
                let mut touched: Vec<Prop> =
                    words.zip(&result).filter_map(|(word, value)| self.state.take_json(word, value)).collect();
                if self.tell_all || !job.calls.is_empty() || now >= self.told + TELL_EVERY {
                    (self.tell_all, self.told) = (false, now);
                } else {
                    touched.retain(|prop| before.get(*prop) != self.state.get(*prop));
                }
                self.aim = Aim::default();
                let first = !std::mem::replace(&mut self.ready, true);
                if first {
                    self.outputs.push_back(Output::Event(Event::Ready));
                }
                self.told(&touched, false);
                self.done(job.calls, &Ok(()));
            }
            Ok(_) if job.steps.as_ref().is_some_and(|steps| !steps.is_empty()) => {}
            Ok(_) => {
                let Some(job) = self.jobs.pop_front() else { return };
                self.unsaid.extend(job.expects);
                if !self.unsaid.is_empty() {
                    self.ask_at = Some(self.ask_at.unwrap_or(now + SAYS_WITHIN));
                }
                self.done(job.calls, &Ok(()));
            }
            Err(failure) => {
                let Some(job) = self.jobs.pop_front() else { return };
                self.aim = Aim::default();
                if method == "get_prop" && !self.ready {
                    return self
                        .end(format!("the lamp does not say how it is lit: {}", for_screen(&failure.message, 100)));
                }
                let quota = failure.message.to_ascii_lowercase().contains("quota");
                let trouble = if quota {
                    Trouble::ItsQuota
                } else {
                    let message = for_screen(&failure.message, 100);
                    Trouble::Refused { method: method.to_owned(), code: failure.code, message }
                };
                self.done(job.calls, &Err(trouble));
            }
        }
    }

    fn told(&mut self, touched: &[Prop], pushed: bool) {
        if touched.contains(&Prop::ActiveMode) && !self.abilities.moonlight {
            self.abilities.moonlight = true;
            self.outputs.push_back(Output::Event(Event::Abilities(self.abilities.clone())));
        }
        if touched.is_empty() {
            return;
        }
        let said = self.state.said(&self.abilities, touched);
        self.outputs.push_back(Output::Event(Event::Said { pushed, said }));
    }

    fn end(&mut self, why: String) {
        self.over = true;
        self.outputs.push_back(Output::Event(Event::Over(why)));
    }
}
