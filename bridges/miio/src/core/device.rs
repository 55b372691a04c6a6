//! One added device: what it is, what it says every few seconds, and what it is told, one question at a time. Orders go
//! before looking, and nothing waits for a device that is away. One that tells of changes by itself ([`super::push`]) is looked
//! at seldom, so that what it did not tell is found.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use accord_model::{CallError, Data, Outputs, Target};
use serde_json::{Value, json};

use super::dialect::{Dialect, MOST_AT_ONCE};
use super::line::{self, Failure, Line, MAX_QUESTION, Question, refusal};
use super::map::{Map, State, Step};
use super::packet::Token;
pub use super::push::Hub;
use super::push::Push;
use super::refused::Refused;
pub use super::said::{Event, Info, Refuses, Trouble, Wanted};
use super::spec::At;

/// How often it is looked at; what is no standard service's, each sixth time.
const EVERY: Duration = Duration::from_secs(10);
const SELDOM: u32 = 6;
/// After an order it is looked at again and again for a while: doors and curtains take their time.
const LIVELY: Duration = Duration::from_secs(2);
const LIVELY_FOR: Duration = Duration::from_secs(12);
/// What was written is asked for after so long each: some devices answer before they have done it.
const LOOK_AFTER: [Duration; 3] = [Duration::ZERO, Duration::from_millis(400), Duration::from_millis(1200)];
/// Longest time between two tries with a device that does not answer.
const AT_MOST: Duration = Duration::from_secs(300);
/// What is the same is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How long what it says holds, in seconds.
pub const FRESH_S: u64 = 150;
/// Orders that wait.
const MOST_ORDERS: usize = 32;

/// What a model is spoken to in, and what it can do.
#[derive(Debug, Clone)]
pub struct Model {
    /// How it is spoken to.
    pub dialect: Dialect,
    /// What it can do, in our words.
    pub map: Map,
}

/// What is known of a device when it is begun with.
pub struct Known {
    /// Its secret.
    pub token: Token,
    /// Its number, once it said so.
    pub did: Option<u64>,
    /// Where the numbers of questions begin.
    pub first: u32,
    /// How many properties its model takes at once, when it showed that.
    pub most: Option<usize>,
}

/// What comes out. Ask until [`Output::Wait`].
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send this to the device.
    Send(Vec<u8>),
    /// Send this to the device from where it tells of changes by itself.
    Push(Vec<u8>),
    /// Something happened.
    Event(Event),
    /// Nothing more for now; come back at this time at the latest.
    Wait(Instant),
}

enum Job {
    Info,
    /// These are looked at; whether what is the same is told too.
    Look {
        ats: Vec<At>,
        tell: bool,
    },
    /// An order's questions, and by which properties one sees that it was done.
    Tell {
        call: u64,
        questions: VecDeque<(Question, bool)>,
        shows: Vec<At>,
    },
    Read {
        call: u64,
        target: Target,
        wanted: Vec<String>,
        ats: Vec<At>,
        /// What it said of that, and why it did not say the rest.
        heard: Vec<At>,
        failure: Option<Failure>,
    },
    Try(u64),
}

impl Job {
    fn call(&self) -> Option<u64> {
        match self {
            Self::Tell { call, .. } | Self::Read { call, .. } | Self::Try(call) => Some(*call),
            Self::Info | Self::Look { .. } => None,
        }
    }
}

/// One device.
pub struct Device {
    line: Line,
    token: Token,
    push: Option<Push>,
    /// Where the numbers of what the next subscription asks begin.
    push_from: u32,
    /// It told by itself since it was last asked for everything.
    relied_on: bool,
    /// By service, when it was looked at last because something happened there.
    happened: BTreeMap<u16, Instant>,
    model: Option<Model>,
    state: State,
    orders: VecDeque<Job>,
    /// The job whose question is under way, and what of it was asked.
    now: Option<(Job, Vec<At>)>,
    /// To be looked at, by when.
    attention: Vec<(Instant, Vec<At>)>,
    next_look: Instant,
    looks: u32,
    lively_until: Instant,
    is_known: bool,
    failures: u32,
    most: usize,
    /// How many were asked for at once before that seemed too much, until an answer shows that fewer help.
    before: Option<usize>,
    /// Until when what is wanted is waited for, by call.
    until: BTreeMap<u64, Instant>,
    refused: Refused,
    /// What of that was told.
    refuses: Refuses,
    told: BTreeMap<(String, u16, String), (Data, Instant)>,
    out: VecDeque<Output>,
}

impl Device {
    /// Begins with it.
    pub fn new(known: Known, now: Instant) -> Self {
        Self {
            line: Line::new(known.token.clone(), known.did, known.first),
            token: known.token,
            push: None,
            push_from: told::first_of(known.first),
            relied_on: false,
            happened: BTreeMap::new(),
            model: None,
            state: State::default(),
            orders: VecDeque::new(),
            now: None,
            attention: Vec::new(),
            next_look: now,
            looks: 0,
            lively_until: now,
            is_known: false,
            failures: 0,
            most: known.most.unwrap_or(MOST_AT_ONCE).clamp(1, MOST_AT_ONCE),
            before: None,
            until: BTreeMap::new(),
            refused: Refused::default(),
            refuses: Refuses::default(),
            told: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// Its number, once it proved so.
    pub fn did(&self) -> Option<u64> {
        self.line.did()
    }

    /// What its model can do; `None` when nobody knows.
    pub fn model(&mut self, model: Option<Model>, now: Instant) {
        self.model = model;
        self.push = self.push.take().filter(|_| self.can_push());
        self.state = State::default();
        self.told.clear();
        self.refused.clear();
        self.tell_refused();
        (self.next_look, self.looks) = (now, 0);
        self.go_on(now);
    }

    /// It is wanted, by somebody who waits until then. What was not asked by that time is not done later.
    pub fn wanted(&mut self, call: u64, wanted: Wanted, until: Instant, now: Instant) {
        self.expire(now);
        if until <= now {
            return self.done(call, Err(Trouble::Call(late())));
        }
        if self.orders.len() >= MOST_ORDERS {
            let busy = CallError::Unreachable("the device has not done yet what was wanted before".to_owned());
            return self.done(call, Err(Trouble::Call(busy)));
        }
        match self.job(call, wanted) {
            Ok(job) => {
                self.until.insert(call, until);
                self.orders.push_back(job);
            }
            Err(error) => self.done(call, Err(Trouble::Call(error))),
        }
        self.go_on(now);
    }

    /// Nobody waits for that any more: it is not done, if it was not yet.
    pub fn cancel(&mut self, call: u64, now: Instant) {
        self.forget(call, now);
        self.go_on(now);
    }

    /// Look at it now: it may be back.
    pub fn look(&mut self, now: Instant) {
        self.next_look = now;
        self.go_on(now);
    }

    /// Takes a datagram from its address.
    pub fn datagram(&mut self, bytes: &[u8], now: Instant) {
        self.expire(now);
        self.line.datagram(bytes, now);
        self.go_on(now);
    }

    /// The time that [`Output::Wait`] named has come.
    pub fn timeout(&mut self, now: Instant) {
        self.expire(now);
        self.line.timeout(now);
        self.go_on(now);
    }

    /// Gives one output.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        let line = match self.line.poll_output() {
            line::Output::Send(bytes) => return Output::Send(bytes),
            // Taken by `go_on` already.
            line::Output::Answer(_) => None,
            line::Output::Wait(wake) => wake,
        };
        let attention = self.attention.iter().map(|(at, _)| *at);
        let push = self.push.as_ref().filter(|_| self.line.is_idle()).map(Push::wake);
        let idle = attention.chain([self.next_look]).chain(push).min().unwrap_or(self.next_look);
        Output::Wait(self.until.values().copied().chain([line.unwrap_or(idle)]).min().unwrap_or(idle))
    }

    // -- what is wanted -----------------------------------------------------------------------------

    fn job(&mut self, call: u64, wanted: Wanted) -> Result<Job, CallError> {
        if wanted == Wanted::Try {
            return Ok(Job::Try(call));
        }
        let unknown = || CallError::Unsupported("what this model can do is not known here".to_owned());
        let Model { dialect, map } = self.model.as_ref().ok_or_else(unknown)?;
        let did = self.line.did().unwrap_or_default().to_string();
        let cannot = || CallError::Unsupported("this model cannot be told that".to_owned());
        let (step, shows) = match wanted {
            Wanted::Try => return Ok(Job::Try(call)),
            Wanted::Read(target, wanted) => {
                let all = map.behind(&target);
                let ats = match &wanted[..] {
                    [] => all,
                    names => names.iter().flat_map(|name| map.told_by(&target, name)).collect(),
                };
                let ats = ats.into_iter().filter(|at| dialect.knows(*at)).collect();
                return Ok(Job::Read { call, target, wanted, ats, heard: Vec::new(), failure: None });
            }
            Wanted::Write(target, property, data) => {
                (map.write(&target, &property, &data, &mut self.state)?, map.told_by(&target, &property))
            }
            Wanted::Act(target, action, inputs) => {
                (map.act(&target, &action, inputs, &self.state)?, map.behind(&target))
            }
        };
        let questions = match step {
            Step::Set(values) => {
                let questions = dialect.write(&did, &values).ok_or_else(cannot)?;
                questions.into_iter().map(|question| (question, true)).collect()
            }
            Step::Act(at, inputs) => VecDeque::from([(dialect.act(&did, at, &inputs).ok_or_else(cannot)?, false)]),
        };
        let readable = |at: &At| map.spec().property(*at).is_some_and(|one| one.read) && dialect.knows(*at);
        Ok(Job::Tell { call, questions, shows: shows.into_iter().filter(readable).collect() })
    }

    /// What nobody waits for any more is not done.
    fn expire(&mut self, now: Instant) {
        let late: Vec<u64> = self.until.iter().filter(|(_, until)| **until <= now).map(|(call, _)| *call).collect();
        late.into_iter().for_each(|call| self.forget(call, now));
    }

    fn forget(&mut self, call: u64, now: Instant) {
        if self.until.remove(&call).is_none() {
            return;
        }
        self.orders.retain(|job| job.call() != Some(call));
        if matches!(&self.now, Some((Job::Try(of), _)) if *of == call) {
            let so_far = self.line.silence();
            (self.most, self.now) = (self.before.take().unwrap_or(self.most), None);
            self.line.forget();
            return self.done(call, Err(Trouble::Device(so_far)));
        }
        if let Some((job, _)) = self.now.take_if(|(job, _)| job.call() == Some(call)) {
            // Whether fewer at once help was not found out.
            self.most = self.before.take().unwrap_or(self.most);
            if self.line.forget()
                && let Job::Tell { shows, .. } = job
            {
                // It may have been done.
                self.attention.push((now, shows));
                self.attention.truncate(2 * MOST_ORDERS);
            }
        }
        self.done(call, Err(Trouble::Call(late())));
    }

    fn done(&mut self, call: u64, outcome: Result<Outputs, Trouble>) {
        self.until.remove(&call);
        self.out.push_back(Output::Event(Event::Done(call, outcome)));
    }

    // -- one question after the other ---------------------------------------------------------------

    fn go_on(&mut self, now: Instant) {
        self.go_on_with_push(now);
        loop {
            match self.line.poll_output() {
                line::Output::Send(bytes) => self.out.push_back(Output::Send(bytes)),
                line::Output::Answer(answer) => self.answered(answer, now),
                line::Output::Wait(_) if self.line.is_idle() && self.now.is_none() => {
                    if !self.begin(now) {
                        return;
                    }
                }
                line::Output::Wait(_) => return,
            }
        }
    }

    /// Asks what is to be asked next. `false`: nothing is, now.
    fn begin(&mut self, now: Instant) -> bool {
        let due = |(at, _): &(Instant, Vec<At>)| *at <= now;
        let job = if !self.is_known && self.next_look <= now {
            Job::Info
        } else if let Some(order) = self.orders.pop_front() {
            order
        } else if let Some(index) = self.attention.iter().position(due) {
            // What it just did not want to say may be said now that it was told it.
            let mut ats = self.attention.swap_remove(index).1;
            ats.retain(|at| !self.refused.lacks(*at, now));
            Job::Look { ats, tell: true }
        } else if self.next_look <= now {
            let all = self.looks.is_multiple_of(SELDOM);
            self.looks = self.looks.wrapping_add(1);
            self.next_look = now + if now < self.lively_until { LIVELY } else { EVERY };
            let pushes = self.pushes();
            let asked = self.model.as_ref().map(|model| {
                let is_told = |at: At| pushes && model.map.spec().property(at).is_some_and(|one| one.notify);
                let due = |(at, often): &(At, bool)| all || (*often && !is_told(*at));
                let asked = model.map.asked().filter(due).filter(|(at, _)| model.dialect.knows(*at));
                asked.map(|(at, _)| at).filter(|at| !self.refused.rests(*at, now)).collect()
            });
            match asked.filter(|ats: &Vec<At>| !ats.is_empty()) {
                Some(ats) => Job::Look { ats, tell: false },
                // It tells of everything that would be asked for now.
                None if pushes && !all => return false,
                // It is not known what can be asked, or nothing is to be asked now: whether it is there always can be.
                None => Job::Info,
            }
        } else {
            return false;
        };
        self.ask(job, now);
        true
    }

    fn ask(&mut self, mut job: Job, now: Instant) {
        let info = || Question::new("miIO.info", json!([]));
        let mut asked = Vec::new();
        let question = match &mut job {
            Job::Info | Job::Try(_) => Some(info()),
            Job::Tell { questions, .. } => questions.front().map(|(question, _)| question.clone()),
            Job::Look { ats, .. } | Job::Read { ats, .. } => {
                asked = self.portion(ats);
                let model = self.model.as_ref().filter(|_| !asked.is_empty());
                model.map(|model| model.dialect.read(&self.line.did().unwrap_or_default().to_string(), &asked))
            }
        };
        match question {
            Some(question) => {
                self.line.ask(question, now);
                self.now = Some((job, asked));
            }
            None => self.finish(job),
        }
    }

    /// As many of these as one question holds; they are taken off.
    fn portion(&self, ats: &mut Vec<At>) -> Vec<At> {
        let Some(model) = &self.model else { return Vec::new() };
        if model.dialect.is_whole() {
            return std::mem::take(ats);
        }
        let did = self.line.did().unwrap_or_default().to_string();
        let mut count = self.most.min(ats.len());
        while count > 1 && model.dialect.read(&did, &ats[..count]).length() > MAX_QUESTION {
            count -= 1;
        }
        ats.drain(..count).collect()
    }

    /// A job of which nothing is left to be asked.
    fn finish(&mut self, job: Job) {
        match job {
            Job::Read { call, failure: Some(failure), heard, .. } if heard.is_empty() => {
                self.done(call, Err(Trouble::Device(failure)));
            }
            Job::Read { call, target, wanted, heard, .. } => {
                let said = self.model.as_ref().map(|model| model.map.say(&self.state, |at| heard.contains(&at)));
                let said = said.unwrap_or_default();
                let values =
                    said.into_iter().find(|(one, _)| *one == target).map(|(_, values)| values).unwrap_or_default();
                let fits = |name: &String| wanted.is_empty() || wanted.contains(name);
                self.done(call, Ok(values.into_iter().filter(|(name, _)| fits(name)).collect()));
            }
            Job::Tell { call, .. } | Job::Try(call) => self.done(call, Ok(Outputs::new())),
            Job::Look { tell, .. } => self.relied_on |= !tell && self.pushes(),
            Job::Info => {}
        }
    }

    fn answered(&mut self, answer: Result<Value, Failure>, now: Instant) {
        let Some((job, asked)) = self.now.take() else { return };
        let result = match answer {
            Ok(result) => result,
            Err(failure @ (Failure::Silent | Failure::Deaf | Failure::Other(_) | Failure::New)) => {
                return self.mute(job, asked, failure, now);
            }
            Err(failure) => {
                self.is_back(now);
                return self.refused(job, asked, failure, now);
            }
        };
        self.is_back(now);
        if let (Some(push), Some(clock)) = (&mut self.push, self.line.proof()) {
            push.clock(clock);
        }
        match job {
            Job::Info => self.is(&result, now),
            Job::Try(call) => self.done(call, Ok(Outputs::new())),
            Job::Look { ats, tell } => {
                self.heard(&asked, &result, tell, now);
                self.more(Job::Look { ats, tell }, now);
            }
            Job::Read { call, target, wanted, ats, mut heard, failure } => {
                let (fresh, refusal) = self.heard(&asked, &result, true, now);
                heard.extend(fresh);
                self.more(Job::Read { call, target, wanted, ats, heard, failure: failure.or(refusal) }, now);
            }
            Job::Tell { call, mut questions, shows } => {
                let Some(model) = &self.model else { return };
                let sets = questions.pop_front().is_some_and(|(_, sets)| sets);
                let outcome = if sets { model.dialect.written(&result) } else { model.dialect.acted(&result) };
                if let Err(failure) = outcome {
                    return self.done(call, Err(Trouble::Device(failure)));
                }
                if questions.is_empty() {
                    self.attention.extend(LOOK_AFTER.map(|after| (now + after, shows.clone())));
                    self.attention.truncate(2 * MOST_ORDERS);
                    self.lively_until = now + LIVELY_FOR;
                    self.next_look = self.next_look.min(now + LIVELY);
                    return self.done(call, Ok(Outputs::new()));
                }
                self.ask(Job::Tell { call, questions, shows }, now);
            }
        }
    }

    /// It answers. If it did not before, it is asked what it is.
    fn is_back(&mut self, now: Instant) {
        self.failures = 0;
        if self.before.take().is_some() {
            self.out.push_back(Output::Event(Event::Most(self.most)));
        }
        if !self.is_known {
            self.next_look = now;
        }
    }

    /// What is left of a job goes on at once.
    fn more(&mut self, job: Job, now: Instant) {
        self.ask(job, now);
    }

    fn is(&mut self, result: &Value, now: Instant) {
        self.next_look = now + EVERY;
        if self.is_known {
            return;
        }
        match Info::read(result) {
            Some(info) => {
                self.is_known = true;
                self.out.push_back(Output::Event(Event::Is(info)));
            }
            None => self.out.push_back(Output::Event(Event::Down(Failure::Garbled))),
        }
    }

    /// It does not answer. What was wanted of it is not done when it comes back, and nobody waits for that.
    fn mute(&mut self, job: Job, asked: Vec<At>, failure: Failure, now: Instant) {
        // What answers greetings, and answered questions before, was asked too much at once.
        let in_portions = self.model.as_ref().is_some_and(|model| !model.dialect.is_whole());
        if let (Job::Look { .. } | Job::Read { .. }, Failure::Deaf, true) = (&job, &failure, self.line.is_proven())
            && in_portions
            && asked.len() > 1
        {
            self.before.get_or_insert(self.most);
            self.most = (asked.len() / 2).max(1);
            return self.again(job, asked, now);
        }
        // It was away, and how much was asked had nothing to do with that.
        self.most = self.before.take().unwrap_or(self.most);
        self.failures = self.failures.saturating_add(1);
        self.is_known = false;
        self.push = None;
        self.attention.clear();
        self.told.clear();
        self.refused.clear();
        self.tell_refused();
        let pause = EVERY * 2u32.saturating_pow(self.failures.min(6) - 1);
        self.next_look = now + pause.min(AT_MOST);
        for job in std::iter::once(job).chain(std::mem::take(&mut self.orders)) {
            if let Some(call) = job.call() {
                self.done(call, Err(Trouble::Device(failure.clone())));
            }
        }
        self.out.push_back(Output::Event(Event::Down(failure)));
    }

    /// The same is asked again, in smaller portions.
    fn again(&mut self, mut job: Job, asked: Vec<At>, now: Instant) {
        if let Job::Look { ats, .. } | Job::Read { ats, .. } = &mut job {
            ats.splice(0..0, asked);
        }
        self.ask(job, now);
    }

    /// It answers that it does not.
    fn refused(&mut self, mut job: Job, asked: Vec<At>, failure: Failure, now: Instant) {
        let in_portions = self.model.as_ref().is_some_and(|model| !model.dialect.is_whole());
        let is_busy = matches!(failure, Failure::Device { code: -9999 | -30001, .. });
        match &mut job {
            // It answers, and that is what was to be found out.
            Job::Info if self.is_known => self.next_look = now + EVERY,
            Job::Info => {
                self.next_look = now + EVERY;
                self.out.push_back(Output::Event(Event::Down(failure)));
            }
            Job::Try(call) => self.done(*call, Ok(Outputs::new())),
            Job::Tell { call, .. } => self.done(*call, Err(Trouble::Device(failure))),
            // One that it does not know spoils the others: each by itself.
            Job::Look { .. } | Job::Read { .. } if asked.len() > 1 && in_portions && !is_busy => {
                let (before, half) = (self.most, asked.len() / 2);
                self.most = half.max(1);
                self.again(job, asked, now);
                self.most = before;
            }
            Job::Look { ats, .. } | Job::Read { ats, .. } => {
                // Who is busy is busy for the rest, too.
                let rest = if is_busy { std::mem::take(ats) } else { Vec::new() };
                asked.into_iter().chain(rest).for_each(|at| self.refused.note(at, failure.clone(), now));
                self.tell_refused();
                if let Job::Read { failure: first, .. } = &mut job {
                    first.get_or_insert(failure);
                }
                self.more(job, now);
            }
        }
    }

    /// Says what it refuses, when that is something else than before.
    fn tell_refused(&mut self) {
        let refuses = self.refused.all(self.model.as_ref().map(|model| &model.map));
        if refuses != self.refuses {
            self.refuses = refuses.clone();
            self.out.push_back(Output::Event(Event::Refuses(refuses)));
        }
    }

    /// What it said. What of it is new is told; which ones that are, and why it does not say another one.
    fn heard(&mut self, asked: &[At], result: &Value, tell: bool, now: Instant) -> (Vec<At>, Option<Failure>) {
        let relied_on = self.relied_on && !tell;
        let Some(model) = &self.model else { return (Vec::new(), None) };
        let mut fresh = Vec::new();
        let mut failure = None;
        let mut missed = false;
        for (at, value) in model.dialect.heard(asked, result) {
            match value {
                Ok(value) => {
                    self.refused.said(at);
                    if let Some(data) = model.map.hear(at, &value) {
                        let is_told = || model.map.spec().property(at).is_some_and(|one| one.notify);
                        let before = self.state.natives.insert(at, data.clone());
                        missed |= relied_on && before.is_some_and(|before| before != data) && is_told();
                        fresh.push(at);
                    }
                }
                Err(code) => {
                    let why = refusal(code);
                    self.refused.note(at, why.clone(), now);
                    failure.get_or_insert(why);
                }
            }
        }
        let said = self.fresh(&fresh, tell, now);
        if !said.is_empty() {
            self.out.push_back(Output::Event(Event::Values(said)));
        }
        if let Some(push) = self.push.as_mut().filter(|_| missed) {
            push.missed(now);
        }
        self.tell_refused();
        (fresh, failure)
    }

    /// What is to be told after it said these; also what is the same, when `tell`.
    fn fresh(&mut self, fresh: &[At], tell: bool, now: Instant) -> Vec<(Target, BTreeMap<String, Data>)> {
        let Some(model) = &self.model else { return Vec::new() };
        let mut said = model.map.say(&self.state, |at| fresh.contains(&at));
        for (target, values) in &mut said {
            values.retain(|name, data| {
                let key = (target.service.clone(), target.instance, name.clone());
                let before = self.told.get(&key);
                let is_old = before.is_some_and(|(one, at)| one == data && now < *at + TELL_AGAIN);
                if tell || !is_old {
                    self.told.insert(key, (data.clone(), now));
                }
                tell || !is_old
            });
        }
        said.retain(|(_, values)| !values.is_empty());
        said
    }
}

fn late() -> CallError {
    CallError::Unreachable("the device did not answer while that was waited for".to_owned())
}

#[path = "device_told.rs"]
mod told;

#[cfg(test)]
#[path = "device_told_tests.rs"]
mod told_tests;

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
