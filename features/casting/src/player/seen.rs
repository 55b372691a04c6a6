//! What is seen of the device, what follows from it, and what of it is shown.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use accord_consent::outlet::interfaces::list;
use accord_model::{CallError, Data, Timestamp};

use super::{Begin, ELSEWHERE, Opened, Player, Playing};
use crate::book::{Captions, CastError, Step};
use crate::evidence::{Look, Verdict};
use crate::queue::{Queued, QueuedState};
use crate::receiver::{Receiver, Said};

/// How long the place of a device that is away is kept.
const AWAY_FOR: Duration = Duration::from_secs(600);
/// One that is back may still play: that shows within this.
const SHOWS_WITHIN: Duration = Duration::from_secs(4);
/// How long a device that was wound may say another place.
const SETTLES: Duration = Duration::from_secs(3);
/// How often it is told to go where it should have begun, and how long it may take.
const BEGINS_TOLD: u32 = 4;
const BEGINS_AGAIN: Duration = Duration::from_secs(2);
/// How long a cast that is over can be gone on with; what was uploaded for it is kept as long.
const RESUMES_FOR: Duration = Duration::from_secs(3600);
const END: &str = "it came to its end";

impl Player {
    pub(super) async fn look(&mut self) -> ControlFlow<()> {
        let receiver = Receiver::find(&self.inner.registry, &self.device).ok();
        let Some(playing) = &mut self.now else { return ControlFlow::Continue(()) };
        let settled = playing.evidence.step == Step::Moving;
        let mut said = receiver.as_ref().map(|receiver| receiver.said(playing.asked, settled)).unwrap_or_default();
        said.position = said.position.filter(|said| playing.believes(*said));
        if self.went_on(&said) {
            self.show(&Said::default(), receiver.as_ref());
            return ControlFlow::Continue(());
        }
        let Some(playing) = &mut self.now else { return ControlFlow::Continue(()) };
        let look = playing.sees(receiver.is_some(), &said);
        let verdict = playing.evidence.look(&look, Instant::now());
        let first_seen = playing.evidence.step == Step::Moving && !std::mem::replace(&mut playing.seen, true);
        if let (true, Opened::File { item, step, .. }, Some(receiver)) = (first_seen, &playing.opened, &receiver) {
            self.inner.formats.worked(item, &self.inner.wants(&receiver.device), *step);
        }
        if let Some(agent) = playing.opened.agent() {
            self.inner.learn(&self.device, &agent);
        }
        self.show(&said, receiver.as_ref());
        if self.back.is_some() && verdict != Verdict::Away {
            return self.returns(&look).await;
        }
        match verdict {
            Verdict::Goes => {
                self.help_along(receiver.as_ref(), &look).await;
                if let Some(receiver) = &receiver {
                    self.give_ahead(receiver, &said).await;
                }
                ControlFlow::Continue(())
            }
            Verdict::Done => {
                self.mark(self.at, QueuedState::Done);
                self.next_one().await
            }
            Verdict::Stuck(why) => self.another_way(why).await,
            Verdict::Stopped => match self.now.as_ref().and_then(|playing| playing.opened.trouble()) {
                Some(why) => self.another_way(&why).await,
                None => self.over("it was stopped on the device", true),
            },
            Verdict::Taken => self.over("something else plays there now: it was taken over by another sender", true),
            Verdict::Away => self.is_away().await,
            Verdict::Back => {
                // What it said before it went is no witness of what it does now.
                if let Some(playing) = &mut self.now {
                    playing.asked = Timestamp::now();
                }
                self.back = self.away.take().map(|(_, ours)| (Instant::now(), ours));
                ControlFlow::Continue(())
            }
        }
    }

    /// What may be needed until it goes by itself.
    pub(super) async fn help_along(&mut self, receiver: Option<&Receiver>, look: &Look) {
        let (Some(receiver), Some(playing)) = (receiver, &mut self.now) else { return };
        if playing.evidence.deaf(Instant::now()) && !std::mem::replace(&mut playing.told_again, true) {
            let (opened, from) = (playing.opened.clone(), playing.evidence.place());
            self.inner.book.update(self.number, |cast| {
                cast.failed("the device said yes and fetched nothing");
                cast.tried("told once more".to_owned());
            });
            if let Err(error) = self.tell(receiver, self.at, &opened, from).await {
                tracing::info!(device = %self.device, %error, "the device was not told once more");
            }
            return;
        }
        // Not all hear where to begin.
        if playing.evidence.step == Step::Moving
            && let Some(place) = look.position
            && let Some(begin) = playing.begins_at
        {
            if place > begin.place - ELSEWHERE || begin.told >= BEGINS_TOLD || !receiver.seeks() {
                playing.begins_at = None;
                return;
            }
            if Instant::now() < begin.again {
                return;
            }
            let wanted = begin.place;
            playing.begins_at = Some(Begin { told: begin.told + 1, again: Instant::now() + BEGINS_AGAIN, ..begin });
            if let Err(error) = self.write(receiver.target(), "position", Data::Float(wanted)).await {
                tracing::info!(device = %self.device, %error, "the device did not begin where it should");
            } else if let Some(playing) = &mut self.now {
                playing.evidence.wound(wanted, Instant::now());
            }
        }
    }

    pub(super) async fn next_one(&mut self) -> ControlFlow<()> {
        if self.at + 1 >= self.queue.len() {
            let failed = self.queue.iter().filter(|one| matches!(one.state, QueuedState::Failed(_))).count();
            return match failed {
                0 => self.over(END, false),
                failed => self.over(&format!("{END}; {failed} of {} could not be shown", self.queue.len()), false),
            };
        }
        (self.sound, self.captions) = (None, Captions::Off);
        match self.begin(self.at + 1, 0.0).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.over(&error.to_string(), false),
        }
    }

    /// It gets nowhere like that.
    pub(super) async fn another_way(&mut self, why: &str) -> ControlFlow<()> {
        let Some(playing) = self.now.take() else { return ControlFlow::Continue(()) };
        let why = playing.opened.trouble().unwrap_or_else(|| why.to_owned());
        let place = playing.evidence.place();
        let unchanged = playing.opened.item().is_some_and(|item| item.check().is_ok());
        match (&playing.opened, Receiver::find(&self.inner.registry, &self.device)) {
            (Opened::File { thing, step, .. }, Ok(receiver)) if unchanged && thing.prepared.next.is_some() => {
                self.failed(&playing.opened, &receiver, &why);
                match self.open(self.at, place, step + 1).await {
                    Ok(()) => return ControlFlow::Continue(()),
                    Err(CastError::File(_) | CastError::Told(CallError::Device(_))) => {}
                    Err(error) => return self.over(&error.to_string(), true),
                }
            }
            _ => self.inner.book.update(self.number, |cast| cast.failed(&why)),
        }
        // A file that was changed is no better elsewhere.
        let same = unchanged || matches!(playing.opened, Opened::Address);
        if same && self.another_face().await {
            self.keeps_tries = true;
            return match self.begin(self.at, place).await {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => self.over(&error.to_string(), true),
            };
        }
        self.mark(self.at, QueuedState::Failed(why.clone()));
        if self.at + 1 >= self.queue.len() {
            return self.over(&why, false);
        }
        self.next_one().await
    }

    pub(super) fn failed(&self, opened: &Opened, receiver: &Receiver, why: &str) {
        if let Opened::File { item, thing, step } = opened {
            self.inner.formats.failed(item, &self.inner.wants(&receiver.device), *step);
            if let Some(stand) = &self.stand {
                stand.take_away(thing);
            }
        }
        self.inner.book.update(self.number, |cast| cast.failed(why));
    }

    pub(super) async fn is_away(&mut self) -> ControlFlow<()> {
        if self.away.is_none() {
            let near = list(self.inner.network).await;
            // No interface of this machine is in its network any more: then it is not the device that went.
            let ours =
                self.fetches_from.is_some_and(|address| !near.iter().any(|interface| interface.is_on_link(address)));
            self.away = Some((Instant::now(), ours));
            self.back = None;
        }
        match self.away {
            Some((since, _)) if since.elapsed() >= AWAY_FOR => self.over("the device is away", true),
            _ => ControlFlow::Continue(()),
        }
    }

    /// It answers again. What still plays goes on; what broke off here is begun again; else it is for the owner to say.
    pub(super) async fn returns(&mut self, look: &Look) -> ControlFlow<()> {
        let (Some((since, ours)), Some(playing)) = (self.back, &self.now) else { return ControlFlow::Continue(()) };
        let picture = self.queue.get(self.at).is_some_and(Queued::is_picture);
        let held = playing.evidence.held;
        if look.moving == Some(true)
            && look.position.is_none_or(|place| (place - playing.evidence.place()).abs() < 600.0)
        {
            self.back = None;
            return ControlFlow::Continue(());
        }
        if since.elapsed() < SHOWS_WITHIN {
            return ControlFlow::Continue(());
        }
        self.back = None;
        if !ours || held {
            return self.over("the device was away; it is back", !picture);
        }
        match self.begin(self.at, playing.evidence.place()).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => self.over(&error.to_string(), true),
        }
    }

    pub(super) fn over(&mut self, why: &str, resumes: bool) -> ControlFlow<()> {
        let place = self.now.as_ref().map(|playing| playing.evidence.place());
        let picture = self.queue.get(self.at).is_some_and(Queued::is_picture);
        self.inner.book.update(self.number, |cast| {
            if let Some(place) = place.filter(|place| resumes && *place > 0.0) {
                cast.position = Some((place, Timestamp::now()));
            }
        });
        self.inner.book.end(self.number, why, resumes && !picture);
        if resumes && !picture {
            let (inner, number) = (self.inner.clone(), self.number);
            tokio::spawn(async move {
                tokio::time::sleep(RESUMES_FOR).await;
                inner.book.lapse(number);
            });
        }
        ControlFlow::Break(())
    }

    pub(super) fn mark(&mut self, at: usize, state: QueuedState) {
        if let Some(queued) = self.queue.get_mut(at) {
            queued.state = state;
        }
        let queue = self.queue.clone();
        self.inner.book.update(self.number, |cast| cast.queue = queue);
    }

    pub(super) fn show(&mut self, said: &Said, receiver: Option<&Receiver>) {
        let Some(playing) = &self.now else { return };
        let evidence = &playing.evidence;
        let (begins, length) = (playing.opened.begins(), evidence.length());
        let (fetched, ..) = playing.opened.fetched();
        let away = self.away.is_some() || self.back.is_some();
        let step = if away { Step::Away } else { evidence.step.clone() };
        let paused = step == Step::Moving && said.playing == Some(false);
        let held = evidence.held || paused;
        let trouble = match (&step, playing.opened.trouble()) {
            (Step::Away, _) => Some("it does not answer; the place is kept".to_owned()),
            (_, Some(trouble)) => Some(trouble),
            _ if evidence.stalls => Some("it says that it plays, and stands still".to_owned()),
            _ => None,
        };
        let seeks = receiver.is_some_and(Receiver::seeks) || playing.opened.opens_anew();
        let position = said.position.map(|(place, seen)| (place + begins, seen)).filter(|_| step == Step::Moving);
        let known = receiver.is_some();
        self.inner.book.update(self.number, |cast| {
            (cast.step, cast.held, cast.trouble, cast.fetched) = (step, held, trouble, fetched);
            (cast.length, cast.position) = (length.or(cast.length), position.or(cast.position));
            if known {
                (cast.seeks, cast.volume) = (seeks && !cast.is_picture(), said.volume);
            }
        });
    }
}

impl Playing {
    /// Right after it was wound, a place is only believed near where it was sent.
    pub(super) fn believes(&self, (place, seen): (f64, Timestamp)) -> bool {
        let Some((to, at)) = self.wound else { return true };
        let settled = Duration::try_from(seen.duration_since(at)).is_ok_and(|since| since > SETTLES);
        let there = place + self.opened.begins();
        settled || (seen >= at && (there - to).abs() < ELSEWHERE)
    }

    pub(super) fn sees(&mut self, here: bool, said: &Said) -> Look {
        let begins = self.opened.begins();
        let (fetched, whole, open) = self.opened.fetched();
        let place = said.place();
        let advanced = self.place.zip(place).is_some_and(|(before, now)| now > before + 0.05);
        self.place = place.or(self.place);
        let moving = said.moving.or_else(|| (said.playing == Some(true) && advanced).then_some(true));
        Look {
            here,
            playing: said.playing,
            moving,
            position: place.map(|place| place + begins),
            length: said.length.filter(|_| begins == 0.0),
            title: said.title.clone(),
            ours: said.ours,
            ended: said.ended,
            fetched,
            whole,
            open,
        }
    }
}
