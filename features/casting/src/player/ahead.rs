//! What comes next, given to the device beforehand, so that it goes on without a gap: sounds after sounds, on devices that
//! take that.

use accord_model::Timestamp;
use accord_registry::Ask;

use super::{Opened, Player};
use crate::book::{Captions, Step};
use crate::queue::{Kind, QueuedState, Source};
use crate::receiver::{Receiver, Said};

/// What is played is surely played by then, in seconds: what comes next may be given.
const WELL_BEGUN: f64 = 2.0;
/// A device whose place falls from so near the end to so near the beginning went on, whatever it says, in seconds.
const NEAR_END: f64 = 6.0;
const NEAR_BEGINNING: f64 = 4.0;

/// What the device was given.
pub(super) struct Ahead {
    at: usize,
    opened: Opened,
    /// How often it had gone on by itself until then.
    turn: i64,
}

impl Player {
    /// Gives it what comes next, once, when that can be done.
    pub(super) async fn give_ahead(&mut self, receiver: &Receiver, said: &Said) {
        let Some(playing) = &self.now else { return };
        let begun = playing.evidence.step == Step::Moving && playing.evidence.place() > WELL_BEGUN;
        let at = self.at + 1;
        let is_sound = |at: usize| self.queue.get(at).is_some_and(|queued| queued.kind == Kind::Sound);
        if !begun || playing.evidence.held || !receiver.can("enqueue") || !is_sound(self.at) || !is_sound(at) {
            return;
        }
        let Some(Source::Path(path)) = self.queue.get(at).map(|queued| queued.source.clone()) else { return };
        if self.tried_ahead.replace(at) == Some(at) || receiver.takes_raw() {
            return;
        }
        let chosen = (self.sound.take(), std::mem::replace(&mut self.captions, Captions::Off));
        let served = self.serve(receiver, at, path, 0.0, 0).await;
        (self.sound, self.captions) = chosen;
        // What cannot be played says so when its turn comes.
        let Ok(opened) = served else { return };
        let message = self.message(receiver, at, &opened, 0.0);
        let port = if self.real_title { &self.inner.title } else { &self.inner.command };
        let told = port.call(&self.device, receiver.target(), Ask::act("enqueue"), message, super::TOLD_WITHIN).await;
        match told {
            Ok(_) => {
                let turn = said.turn.map_or(0, |(turn, _)| turn);
                self.ahead = Some(Ahead { at, opened, turn });
            }
            Err(error) => {
                tracing::debug!(device = %self.device, %error, "it takes nothing beforehand");
                self.drop_ahead(opened);
            }
        }
    }

    /// `true`: it went on by itself with what it was given.
    pub(super) fn went_on(&mut self, said: &Said) -> bool {
        let (Some(ahead), Some(playing)) = (&self.ahead, &self.now) else { return false };
        let told = said.turn.filter(|(turn, _)| *turn > ahead.turn).map(|(_, seen)| seen);
        let fell = said.position.filter(|(place, _)| {
            let end = playing.evidence.length().filter(|length| *length > NEAR_END + NEAR_BEGINNING);
            *place < NEAR_BEGINNING
                && said.playing == Some(true)
                && end.is_some_and(|length| playing.evidence.place() >= length - NEAR_END)
        });
        let named = (said.playing == Some(true) && self.is_named(ahead.at, said)).then(Timestamp::now);
        let Some(since) = told.or(fell.map(|(_, seen)| seen)).or(named) else { return false };
        let Some(Ahead { at, opened, .. }) = self.ahead.take() else { return false };
        self.goes_on_with(at, opened, since);
        true
    }

    fn goes_on_with(&mut self, at: usize, opened: Opened, since: Timestamp) {
        self.mark(self.at, QueuedState::Done);
        (self.sound, self.captions) = (None, Captions::Off);
        let how = opened.prepared().map(|prepared| prepared.how.clone()).unwrap_or_default();
        let next = opened.prepared().and_then(|prepared| prepared.next.clone());
        let advice = opened.prepared().and_then(|prepared| prepared.advice.clone());
        self.inner.book.update(self.number, |cast| {
            cast.tries.clear();
            cast.tried(format!("{how}; without a gap"));
            (cast.next, cast.advice) = (next, advice);
        });
        self.opened(at, 0.0, opened, since);
    }

    /// What it was given is not wanted any more.
    pub(super) fn forget_ahead(&mut self) {
        self.tried_ahead = None;
        if let Some(ahead) = self.ahead.take() {
            self.drop_ahead(ahead.opened);
        }
    }

    fn drop_ahead(&self, opened: Opened) {
        if let (Opened::File { thing, .. }, Some(stand)) = (&opened, &self.stand) {
            stand.take_away(thing);
        }
    }

    /// It says that it plays this one, by a title that it has of us.
    fn is_named(&self, at: usize, said: &Said) -> bool {
        let (now, next) = (self.title(self.at), self.title(at));
        now != next && said.title.as_deref() == Some(next.as_str())
    }
}
