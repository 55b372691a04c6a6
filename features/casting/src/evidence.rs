//! What really happens with one thing that is cast, told from two witnesses: what the receiver fetched from us, and whether
//! its position moves. That it says "playing" proves nothing: some say so of an address that does not exist.
//!
//! No I/O and no clock: looks and the time go in, verdicts come out.

use std::time::{Duration, Instant};

use crate::book::Step;

/// A receiver that fetched nothing is told once more after that, and given up after that.
pub(crate) const FETCHES_WITHIN: Duration = Duration::from_secs(8);
const FETCHES_AT_LAST: Duration = Duration::from_secs(20);
/// It fetched and then neither fetches more nor moves: it cannot play that.
const MOVES_WITHIN: Duration = Duration::from_secs(20);
/// It moved, says that it plays, and stands still: that is said, and then it is given up.
const STALL_IS_SAID: Duration = Duration::from_secs(6);
const STALLS_FOR: Duration = Duration::from_secs(90);
/// How long it may say that it does not play, while it is wound or begins the next part.
const GRACE: Duration = Duration::from_secs(3);
/// Doing nothing for so long, and not paused as far as anybody can tell: it was stopped there.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// Looks in a row that show something foreign.
const FOREIGN_LOOKS: u32 = 3;

/// How a receiver that tells such things says that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Stopped,
    Taken,
    Failed,
}

impl Ended {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "finished" => Self::Finished,
            "stopped" => Self::Stopped,
            "taken" => Self::Taken,
            "failed" => Self::Failed,
            _ => return None,
        })
    }
}

/// What is known of it beforehand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub picture: bool,
    /// Nothing is fetched from us: the receiver fetches from elsewhere.
    pub elsewhere: bool,
    /// Bytes, where that is known.
    pub size: Option<u64>,
    /// Seconds.
    pub length: Option<f64>,
    /// Where it begins, in seconds.
    pub from: f64,
    /// The title that the receiver was told.
    pub title: String,
    /// How long a picture is shown before the next one.
    pub interval: Option<Duration>,
}

/// What one look shows. What the receiver said before it was told this one is not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    /// It answers.
    pub here: bool,
    pub playing: Option<bool>,
    pub moving: Option<bool>,
    /// Seconds from the beginning of the whole thing, as of now.
    pub position: Option<f64>,
    pub length: Option<f64>,
    pub title: Option<String>,
    /// It says itself whether what it has open is what it was told here.
    pub ours: Option<bool>,
    /// It says itself how it ended.
    pub ended: Option<Ended>,
    /// Bytes that left, in all.
    pub fetched: u64,
    /// All of it left.
    pub whole: bool,
    /// Connections that are open.
    pub open: usize,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Goes,
    /// It came to its end, or a picture was shown long enough.
    Done,
    /// It gets nowhere like that: try another way. The reason, in words.
    Stuck(&'static str),
    /// It was stopped on the receiver.
    Stopped,
    /// The receiver plays something of somebody else.
    Taken,
    /// It does not answer.
    Away,
    /// It answers again.
    Back,
}

/// The machine for one thing.
#[derive(Debug)]
pub(crate) struct Evidence {
    known: Known,
    pub step: Step,
    /// We had it hold.
    pub held: bool,
    /// It says that it plays, and stands still for a while.
    pub stalls: bool,
    began: Instant,
    fetched: u64,
    fetched_at: Instant,
    whole_at: Option<Instant>,
    moved_at: Instant,
    active_at: Instant,
    silent_since: Option<Instant>,
    was_playing: bool,
    said_our_title: bool,
    foreign: u32,
    away: bool,
    /// The last place that it said while it played, and when.
    last: Option<(f64, Instant)>,
    length: Option<f64>,
}

impl Evidence {
    pub(crate) fn new(known: Known, now: Instant) -> Self {
        Self {
            length: known.length,
            known,
            step: Step::Commanded,
            held: false,
            stalls: false,
            began: now,
            fetched: 0,
            fetched_at: now,
            whole_at: None,
            moved_at: now,
            active_at: now,
            silent_since: None,
            was_playing: false,
            said_our_title: false,
            foreign: 0,
            away: false,
            last: None,
        }
    }

    /// The place to go on from, if it has to be begun again.
    pub(crate) fn place(&self) -> f64 {
        self.last.map_or(self.known.from, |(place, _)| place)
    }

    pub(crate) fn length(&self) -> Option<f64> {
        self.length
    }

    /// It was wound: what it said before is no witness any more.
    pub(crate) fn wound(&mut self, to: f64, now: Instant) {
        self.last = Some((to, now));
        (self.silent_since, self.moved_at, self.active_at) = (None, now, now);
    }

    /// It is to go on after it was held.
    pub(crate) fn held(&mut self, held: bool, now: Instant) {
        self.held = held;
        (self.silent_since, self.moved_at, self.active_at) = (None, now, now);
        self.last = self.last.map(|(place, _)| (place, now));
    }

    pub(crate) fn look(&mut self, look: &Look, now: Instant) -> Verdict {
        if !look.here {
            self.away = true;
            return Verdict::Away;
        }
        if std::mem::take(&mut self.away) {
            (self.fetched_at, self.moved_at, self.active_at) = (now, now, now);
            return Verdict::Back;
        }
        self.note(look, now);
        if self.foreign >= FOREIGN_LOOKS {
            return Verdict::Taken;
        }
        // Nobody can end what it had nothing of.
        match look.ended {
            Some(Ended::Failed) => return Verdict::Stuck("the device says that it cannot play this"),
            Some(Ended::Taken) => return Verdict::Taken,
            Some(Ended::Stopped) => return Verdict::Stopped,
            Some(Ended::Finished) if self.step != Step::Commanded && !self.known.picture => return Verdict::Done,
            Some(Ended::Finished) | None => {}
        }
        if self.known.picture { self.picture(now) } else { self.media(look, now) }
    }

    fn note(&mut self, look: &Look, now: Instant) {
        if look.fetched > self.fetched {
            (self.fetched, self.fetched_at, self.active_at) = (look.fetched, now, now);
        }
        let whole = look.whole || self.known.size.is_some_and(|size| self.fetched >= size);
        // Of a picture that is fetched from elsewhere, nobody sees more than that the device says something.
        let word = self.known.picture && self.known.elsewhere && look.playing.is_some();
        if self.whole_at.is_none() && (whole || word) {
            self.whole_at = Some(now);
        }
        if self.step == Step::Commanded && self.fetched > 0 {
            self.step = Step::Fetched;
        }
        let moving = look.moving == Some(true);
        // That it moves counts once it has something of ours: before, it may be what played there until now.
        let has = self.step == Step::Fetched || (self.known.elsewhere && self.step == Step::Commanded);
        if has && moving && !self.known.picture {
            self.step = Step::Moving;
        }
        if moving {
            self.moved_at = now;
        }
        if look.playing == Some(true) {
            (self.was_playing, self.silent_since, self.held) = (true, None, self.held && !moving);
            self.active_at = now;
        } else if look.playing == Some(false) && self.silent_since.is_none() {
            self.silent_since = Some(now);
        }
        self.note_foreign(look);
        if let Some(length) = look.length.filter(|length| *length > 0.0) {
            self.length.get_or_insert(length);
        }
        if let Some(place) = look.position.filter(|place| *place > 0.2 || moving)
            && self.step == Step::Moving
            && look.playing == Some(true)
            && self.foreign == 0
        {
            self.last = Some((place, now));
        }
    }

    /// Somebody else had it play something. What it says itself counts; else its title and its length together, because
    /// a title alone may also come out of our own file.
    fn note_foreign(&mut self, look: &Look) {
        let title = look.title.as_deref().filter(|title| !title.is_empty());
        let other_title = self.said_our_title && title.is_none_or(|title| title != self.known.title);
        let differs = |length: f64, known: f64| length > 0.0 && (length - known).abs() > 1.5;
        let other_length = look.length.zip(self.length).is_some_and(|(now, before)| differs(now, before));
        let foreign = match look.ours {
            Some(ours) => !ours && self.step != Step::Commanded,
            None => other_title && other_length && self.step == Step::Moving,
        };
        self.said_our_title |= title == Some(self.known.title.as_str());
        self.foreign = if foreign { self.foreign + 1 } else { 0 };
    }

    fn picture(&self, now: Instant) -> Verdict {
        match (self.whole_at, self.known.interval) {
            (Some(since), Some(interval)) if now - since >= interval && !self.held => Verdict::Done,
            (Some(_), _) => Verdict::Goes,
            _ => self.begins(now),
        }
    }

    fn media(&mut self, look: &Look, now: Instant) -> Verdict {
        if self.step != Step::Moving {
            if self.short_is_over(now) {
                return Verdict::Done;
            }
            return if self.held { Verdict::Goes } else { self.begins(now) };
        }
        let silent = self.silent_since.map(|since| now - since);
        self.stalls = silent.is_none() && !self.held && now - self.moved_at > STALL_IS_SAID;
        match silent {
            None if self.stalls && now - self.moved_at > STALLS_FOR => {
                Verdict::Stuck("it stood still in the middle, and did not go on")
            }
            None => Verdict::Goes,
            Some(_) if self.held => Verdict::Goes,
            Some(_) if self.at_the_end() => Verdict::Done,
            Some(silent) if silent < GRACE => Verdict::Goes,
            // It went back to the beginning by itself: no pause does that.
            Some(_) if look.position.is_none_or(|now| now < 0.5) && self.place() > 2.0 => Verdict::Stopped,
            // Paused with its own remote control, it keeps the connection.
            Some(_) if look.open > 0 => Verdict::Goes,
            Some(_) if self.length.is_none() && self.whole_at.is_some() => Verdict::Done,
            Some(silent) if silent >= IDLE_FOR && now - self.active_at >= IDLE_FOR => Verdict::Stopped,
            Some(_) => Verdict::Goes,
        }
    }

    /// The place at which it fell silent is where things end.
    fn at_the_end(&self) -> bool {
        let (Some((place, said)), Some(silent), Some(length)) = (self.last, self.silent_since, self.length) else {
            return false;
        };
        let reached = place + silent.saturating_duration_since(said).as_secs_f64();
        reached >= length - (length * 0.02).clamp(1.5, 10.0)
    }

    /// So short that nobody saw it move: all of it was fetched, it said that it played, and now it does not.
    fn short_is_over(&self, now: Instant) -> bool {
        let (Some(_), Some(silent), true) = (self.whole_at, self.silent_since, self.was_playing) else { return false };
        self.length.is_some_and(|length| length < 5.0) && now - silent >= Duration::from_millis(500)
    }

    fn begins(&self, now: Instant) -> Verdict {
        if self.step == Step::Commanded {
            let patience = if self.known.elsewhere { MOVES_WITHIN } else { FETCHES_AT_LAST };
            let why = if self.known.elsewhere {
                "the device said yes, and its position never moved: it cannot reach the address, or not play what is there"
            } else {
                "the device said yes and never fetched the file: a firewall, or a format that it does not play"
            };
            return if now - self.began >= patience { Verdict::Stuck(why) } else { Verdict::Goes };
        }
        if now - self.fetched_at < MOVES_WITHIN || now - self.moved_at < MOVES_WITHIN {
            return Verdict::Goes;
        }
        Verdict::Stuck(if self.known.picture {
            "the device fetched a part of the picture, and no more"
        } else {
            "the device fetched the file and its position never moved: it cannot play this format"
        })
    }

    /// True once it should have fetched something and did not: telling it once more may help.
    pub(crate) fn deaf(&self, now: Instant) -> bool {
        self.step == Step::Commanded && !self.known.elsewhere && now - self.began >= FETCHES_WITHIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lab {
        evidence: Evidence,
        now: Instant,
        look: Look,
    }

    impl Lab {
        fn new(known: Known) -> Self {
            let now = Instant::now();
            let look = Look { here: true, ..Look::default() };
            Self { evidence: Evidence::new(known, now), now, look }
        }

        fn film() -> Self {
            let size = Some(1000);
            Self::new(Known { size, title: "Accord".into(), ..Known::default() })
        }

        /// Plays for so many seconds from where it is, looked at twice a second.
        fn plays(&mut self, seconds: u32) -> Verdict {
            let from = self.look.position.unwrap_or_default();
            let mut verdict = Verdict::Goes;
            for half in 1..=seconds * 2 {
                (self.look.playing, self.look.moving) = (Some(true), Some(true));
                self.look.position = Some(from + f64::from(half) / 2.0);
                verdict = self.later(500);
            }
            verdict
        }

        fn later(&mut self, millis: u64) -> Verdict {
            self.now += Duration::from_millis(millis);
            self.evidence.look(&self.look, self.now)
        }

        /// The first verdict that says something, within so many seconds.
        fn until(&mut self, seconds: u32) -> Verdict {
            let all = (0..seconds * 2).map(|_| self.later(500)).find(|verdict| *verdict != Verdict::Goes);
            all.unwrap_or(Verdict::Goes)
        }

        fn stands(&mut self, position: Option<f64>) {
            (self.look.playing, self.look.moving, self.look.position) = (Some(false), Some(false), position);
        }
    }

    #[test]
    fn what_moves_before_anything_was_fetched_is_not_ours() {
        let mut lab = Lab::film();
        lab.plays(3);
        assert_eq!(lab.evidence.step, Step::Commanded);
        lab.look.fetched = 10;
        lab.plays(1);
        assert_eq!(lab.evidence.step, Step::Moving);
    }

    #[test]
    fn a_device_that_never_fetches_is_told_again_and_then_given_up() {
        let mut lab = Lab::film();
        lab.look.playing = Some(true);
        lab.later(7900);
        assert!(!lab.evidence.deaf(lab.now));
        lab.later(200);
        assert!(lab.evidence.deaf(lab.now));
        assert!(matches!(lab.until(20), Verdict::Stuck(why) if why.contains("never fetched")));
    }

    #[test]
    fn a_device_that_says_playing_and_stands_still_is_stuck() {
        let mut lab = Lab::film();
        (lab.look.playing, lab.look.moving, lab.look.fetched) = (Some(true), Some(false), 1000);
        assert_eq!(lab.until(19), Verdict::Goes);
        assert!(matches!(lab.until(5), Verdict::Stuck(why) if why.contains("never moved")));
        // One that buffers gets its time.
        let mut lab = Lab::film();
        lab.look.playing = Some(true);
        for _ in 0..60 {
            lab.look.fetched += 1;
            assert_eq!(lab.later(1000), Verdict::Goes);
        }
    }

    #[test]
    fn the_end_is_told_from_a_stop_and_from_a_pause() {
        for (stops_at, position, open, wanted) in [
            (59, Some(0.0), 0, Verdict::Done),
            (60, Some(60.0), 0, Verdict::Done),
            (59, None, 1, Verdict::Done),
            (30, Some(0.0), 0, Verdict::Stopped),
            (30, None, 0, Verdict::Stopped),
            (30, Some(30.0), 1, Verdict::Goes),
            (30, Some(30.0), 0, Verdict::Stopped),
        ] {
            let mut lab = Lab::film();
            (lab.look.fetched, lab.look.length, lab.look.open) = (1000, Some(60.0), open);
            assert_eq!(lab.plays(stops_at), Verdict::Goes);
            lab.stands(position);
            assert_eq!(lab.until(30), wanted, "{stops_at} {position:?} {open}");
        }
    }

    #[test]
    fn what_we_hold_stays_for_hours_and_goes_on() {
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.length) = (1000, Some(60.0));
        lab.plays(59);
        lab.evidence.held(true, lab.now);
        lab.stands(Some(59.0));
        assert_eq!(lab.until(7200), Verdict::Goes);
        lab.evidence.held(false, lab.now);
        assert_eq!(lab.plays(1), Verdict::Goes);
        lab.stands(Some(0.0));
        assert_eq!(lab.until(2), Verdict::Done);
    }

    #[test]
    fn standing_still_in_the_middle_is_said_first_and_then_given_up() {
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.length) = (500, Some(60.0));
        lab.plays(10);
        lab.look.moving = Some(false);
        assert_eq!(lab.until(10), Verdict::Goes);
        assert!(lab.evidence.stalls);
        assert!(matches!(lab.until(100), Verdict::Stuck(_)));
    }

    #[test]
    fn another_senders_title_is_noticed_and_a_title_of_the_file_is_not() {
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.length, lab.look.title) = (1000, Some(60.0), Some("Accord".into()));
        lab.plays(10);
        lab.look.title = Some("A tag of the file".into());
        assert_eq!(lab.plays(5), Verdict::Goes);
        (lab.look.title, lab.look.length, lab.look.position) = (Some("Foreign".into()), Some(33.0), Some(0.0));
        assert_eq!(lab.plays(3), Verdict::Taken);
        assert!((lab.evidence.place() - 15.0).abs() < 0.1, "where ours was, not theirs");
        // One that says so itself is believed.
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.ours) = (1000, Some(true));
        assert_eq!(lab.plays(5), Verdict::Goes);
        lab.look.ours = Some(false);
        assert_eq!(lab.plays(2), Verdict::Taken);
    }

    #[test]
    fn what_a_device_says_of_the_end_is_heard_once_it_had_something() {
        for (ended, fetched, wanted) in [
            (Ended::Finished, 1000, Verdict::Done),
            (Ended::Finished, 0, Verdict::Goes),
            (Ended::Stopped, 1000, Verdict::Stopped),
            (Ended::Taken, 1000, Verdict::Taken),
            (Ended::Failed, 0, Verdict::Stuck("the device says that it cannot play this")),
        ] {
            let mut lab = Lab::film();
            (lab.look.fetched, lab.look.ended) = (fetched, Some(ended));
            assert_eq!(lab.later(500), wanted, "{ended:?}");
        }
    }

    #[test]
    fn pictures_change_once_they_were_shown_and_one_alone_stays() {
        let known =
            Known { picture: true, size: Some(100), interval: Some(Duration::from_secs(5)), ..Known::default() };
        let mut lab = Lab::new(known.clone());
        lab.look.fetched = 50;
        assert_eq!(lab.until(10), Verdict::Goes, "a half is no picture");
        lab.look.fetched = 100;
        assert_eq!(lab.until(5), Verdict::Goes);
        assert_eq!(lab.until(2), Verdict::Done);
        let mut lab = Lab::new(Known { interval: None, ..known });
        lab.look.fetched = 100;
        lab.stands(None);
        assert_eq!(lab.until(7200), Verdict::Goes);
        assert_eq!(lab.evidence.step, Step::Fetched);
    }

    #[test]
    fn a_short_sound_that_nobody_saw_moving_is_over() {
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.playing, lab.look.length) = (1000, Some(true), Some(2.0));
        lab.later(500);
        lab.stands(Some(0.0));
        assert_eq!(lab.until(3), Verdict::Done);
    }

    #[test]
    fn a_device_that_was_away_keeps_its_place() {
        let mut lab = Lab::film();
        (lab.look.fetched, lab.look.length) = (1000, Some(60.0));
        lab.plays(20);
        lab.look.here = false;
        assert_eq!(lab.later(500), Verdict::Away);
        assert_eq!(lab.later(100_000), Verdict::Away);
        lab.look.here = true;
        assert_eq!(lab.later(500), Verdict::Back);
        assert!((lab.evidence.place() - 20.0).abs() < 0.1);
        assert_eq!(lab.plays(5), Verdict::Goes);
    }
}
