//! What a renderer tells by itself (GENA), and when it is asked to. It may never do, or stop: whoever relies on it looks all
//! the same, only less often.

use std::time::{Duration, Instant};

use super::super::description::Renderer as Described;
use super::super::gena::{Change, Notice, Sid, Teller};
use super::super::place::Place;
use super::Ask;

/// How long before one that refused is asked again.
const REFUSED_FOR: Duration = Duration::from_secs(600);
/// Statuses that answer an event (4.3.2).
const TAKEN: u16 = 200;
const FOREIGN: u16 = 412;
const TOO_MANY: u16 = 503;
/// Events of one renderer that are taken in a second: one that is wound tells a dozen.
const MOST_A_SECOND: u32 = 30;

pub(super) struct Events {
    subscriptions: Vec<Subscription>,
    counted: (Option<Instant>, u32),
}

struct Subscription {
    teller: Teller,
    place: Place,
    sid: Option<Sid>,
    /// When it is asked, for the first time or to go on.
    due: Instant,
    /// The number of the next event, once there was one.
    next: Option<u32>,
    /// What came before the answer that names the subscription.
    early: Option<Notice>,
    asking: bool,
}

/// What is to be made of an event.
pub(super) struct Told {
    pub status: u16,
    pub changes: Vec<Change>,
    /// One before it is missing.
    pub missed: bool,
}

impl Told {
    fn nothing(status: u16) -> Self {
        Self { status, changes: Vec::new(), missed: false }
    }
}

impl Events {
    pub fn of(described: &Described, now: Instant) -> Self {
        let place = |teller| match teller {
            Teller::Transport => described.transport.events.clone(),
            Teller::Rendering => described.rendering.as_ref()?.events.clone(),
        };
        let subscription = |teller| {
            let place = place(teller)?;
            Some(Subscription { teller, place, sid: None, due: now, next: None, early: None, asking: false })
        };
        Self { subscriptions: Teller::ALL.into_iter().filter_map(subscription).collect(), counted: (None, 0) }
    }

    fn get(&mut self, teller: Teller) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|one| one.teller == teller)
    }

    /// When something is to be asked.
    pub fn wake(&self) -> Option<Instant> {
        self.subscriptions.iter().map(|one| one.due).min()
    }

    pub fn due(&self, now: Instant) -> Option<Teller> {
        self.subscriptions.iter().find(|one| one.due <= now).map(|one| one.teller)
    }

    /// The question, first or again.
    pub fn ask(&mut self, teller: Teller) -> Option<Ask> {
        let one = self.get(teller)?;
        one.asking = true;
        let place = one.place.clone();
        Some(match one.sid.clone() {
            Some(sid) => Ask::Renew { place, sid },
            None => Ask::Subscribe { place, teller },
        })
    }

    /// The answer: what is granted, if anything. What it told before that follows.
    pub fn answered(&mut self, teller: Teller, granted: Option<(Sid, Duration)>, now: Instant) -> Option<Told> {
        let one = self.get(teller)?;
        one.asking = false;
        let early = one.early.take();
        let Some((sid, lasts)) = granted else {
            // It may have forgotten the subscription, and take a new one.
            let forgot = one.sid.take().is_some();
            one.due = now + if forgot { Duration::ZERO } else { REFUSED_FOR };
            one.next = None;
            return None;
        };
        one.due = now + lasts / 2;
        if one.sid.as_ref() != Some(&sid) {
            (one.sid, one.next) = (Some(sid), None);
        }
        early.filter(|notice| one.sid.as_ref() == Some(&notice.sid)).map(|notice| one.take(notice))
    }

    pub fn told(&mut self, teller: Teller, notice: Notice, now: Instant) -> Told {
        let (since, count) = &mut self.counted;
        if since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            (*since, *count) = (Some(now), 0);
        }
        *count += 1;
        if *count > MOST_A_SECOND {
            return Told::nothing(TOO_MANY);
        }
        let Some(one) = self.get(teller) else { return Told::nothing(FOREIGN) };
        match &one.sid {
            Some(sid) if *sid == notice.sid => one.take(notice),
            // It may be told before it is answered (4.1.2).
            None if one.asking && one.early.is_none() => {
                one.early = Some(notice);
                Told::nothing(TAKEN)
            }
            _ => Told::nothing(FOREIGN),
        }
    }

    /// Whether this one tells: it did so at least once.
    pub fn tells(&self, teller: Teller) -> bool {
        self.subscriptions.iter().any(|one| one.teller == teller && one.sid.is_some() && one.next.is_some())
    }

    /// Nothing arrives any more: both are asked anew, in a while.
    pub fn deaf(&mut self, now: Instant) {
        for one in &mut self.subscriptions {
            (one.sid, one.next, one.early, one.due) = (None, None, None, now + REFUSED_FOR);
        }
    }

    /// What it tells of, to have it end that.
    pub fn running(&self) -> Vec<(Place, Sid)> {
        let running = self.subscriptions.iter().filter_map(|one| Some((one.place.clone(), one.sid.clone()?)));
        running.collect()
    }
}

impl Subscription {
    fn take(&mut self, notice: Notice) -> Told {
        let number = notice.number;
        // One that was taken already says nothing new; one that is not the next shows that others are missing (4.3.1).
        if self.next.is_some_and(|next| number != 0 && number < next) {
            return Told::nothing(TAKEN);
        }
        let missed = self.next.map_or(number != 0, |next| number != next);
        // After the largest comes 1.
        self.next = Some(number.checked_add(1).unwrap_or(1));
        Told { status: TAKEN, changes: notice.changes, missed }
    }
}
