//! The gate's table: what the statement declares and the owner granted, as one snapshot that a permit
//! is looked up in without waiting for anyone.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use accord_model::{EntryKey, FieldSet, Timestamp};
use accord_statement::{Entry, Statement};
use tokio_util::sync::CancellationToken;

use crate::{Choice, Consent, ConsentId, ConsentState, Notice, RecipientId, Refusal, To};

/// Whether what a consent let out may still go on. Shared by the table and everything that runs.
pub(crate) struct Live {
    on: RwLock<bool>,
    until: Option<Timestamp>,
    stopped: CancellationToken,
}

impl Live {
    pub fn new(until: Option<Timestamp>) -> Arc<Self> {
        Arc::new(Self { on: RwLock::new(true), until, stopped: CancellationToken::new() })
    }

    /// Runs `act` unless stopped. [`Live::stop`] waits for it, so that nothing moves once that returns;
    /// `act` must not block.
    pub fn run<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let on = self.on.read().unwrap_or_else(PoisonError::into_inner);
        // gate-check: live-ended
        if self.ended() {
            return None;
        }
        (*on).then(act)
    }

    pub fn is_on(&self) -> bool {
        self.run(|| ()).is_some()
    }

    pub fn stop(&self) {
        *self.on.write().unwrap_or_else(PoisonError::into_inner) = false;
        self.stopped.cancel();
    }

    pub fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// True past the end of the consent.
    pub fn ended(&self) -> bool {
        self.until.is_some_and(|end| Timestamp::now() >= end)
    }
}

/// The lives under one consent: one per recipient, so that a no to one recipient leaves the others of a
/// decision on any alone.
#[derive(Default)]
pub(crate) struct Lives {
    state: Mutex<LivesState>,
    until: Option<Timestamp>,
}

#[derive(Default)]
struct LivesState {
    each: HashMap<RecipientId, Arc<Live>>,
    stopped: bool,
}

const MOST_LIVES: usize = 256;

impl Lives {
    fn new(until: Option<Timestamp>) -> Self {
        Self { until, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, LivesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn of(&self, to: &RecipientId) -> Arc<Live> {
        let mut state = self.state();
        if let Some(live) = state.each.get(to) {
            return live.clone();
        }
        if state.each.len() >= MOST_LIVES {
            state.each.retain(|_, live| Arc::strong_count(live) > 1 || !live.is_on());
        }
        let live = Live::new(self.until);
        if state.stopped {
            live.stop();
        }
        state.each.insert(to.clone(), live.clone());
        live
    }

    pub fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.each.drain().for_each(|(_, live)| live.stop());
    }

    pub fn stop_one(&self, to: &RecipientId) {
        // Kept as stopped, for permits that are being looked up in the table of before.
        self.of(to).stop();
    }
}

/// One consent as the table holds it.
pub(crate) struct Rule {
    pub consent: ConsentId,
    pub state: ConsentState,
    pub fields: FieldSet,
    pub until: Option<Timestamp>,
    pub changed: Option<Timestamp>,
    pub decided: Timestamp,
    /// Set by the first permit of a [`Choice::Once`].
    pub used: Option<Arc<AtomicBool>>,
    pub lives: Lives,
}

impl Rule {
    pub fn new(consent: &Consent) -> Self {
        let used =
            (consent.choice == Choice::Once).then(|| Arc::new(AtomicBool::new(consent.state == ConsentState::Used)));
        Self {
            consent: consent.id,
            state: consent.state.clone(),
            fields: consent.fields,
            until: consent.until(),
            changed: consent.changed,
            decided: consent.decided,
            used,
            lives: Lives::new(consent.until()),
        }
    }

    /// The rule of a damaged record: a no.
    pub fn unreadable() -> Arc<Self> {
        Arc::new(Self {
            consent: ConsentId(0),
            state: ConsentState::Unreadable,
            fields: FieldSet::EMPTY,
            until: None,
            changed: None,
            decided: Timestamp::UNIX_EPOCH,
            used: None,
            lives: Lives::default(),
        })
    }

    fn is_used(&self) -> bool {
        self.used.as_ref().is_some_and(|used| used.load(Ordering::Acquire))
    }

    /// True for the one caller that uses a [`Choice::Once`], and always for other choices.
    pub fn take(&self) -> bool {
        self.used.as_ref().is_none_or(|used| !used.swap(true, Ordering::AcqRel))
    }
}

/// One entry with the decisions on it.
pub(crate) struct EntryRules {
    pub fingerprint: Arc<str>,
    pub entry: Arc<Entry>,
    pub notice: Arc<Notice>,
    declared: FieldSet,
    one: HashMap<RecipientId, Arc<Rule>>,
    any: Option<Arc<Rule>>,
    /// A damaged record may have been a no; decisions on any recipient do not count beside it.
    any_in_doubt: bool,
}

impl EntryRules {
    fn new(entry: &Entry) -> Self {
        Self {
            fingerprint: entry.fingerprint().to_string().into(),
            entry: Arc::new(entry.clone()),
            notice: Arc::new(Notice::of(entry, "en")),
            declared: entry.field_set(),
            one: HashMap::new(),
            any: None,
            any_in_doubt: false,
        }
    }

    /// True when the statement lets this entry go to such a recipient at all.
    pub fn declares(&self, to: &RecipientId) -> bool {
        let stays_here = self.entry.recipient.id == THIS_HUB;
        // gate-check: here-not-elsewhere
        if stays_here != to.is_here() {
            return false;
        }
        if stays_here {
            return true;
        }
        // gate-check: transport-none
        if self.entry.method.transport == "none" {
            return false;
        }
        let to_everyone_near = self.entry.recipient.id == EVERYONE_NEAR;
        if to.is_lan() {
            return to_everyone_near;
        }
        if let Some(host) = to.as_host() {
            return goes_through(&self.entry, host);
        }
        // gate-check: device-not-everyone
        if to_everyone_near {
            return false;
        }
        // Whoever is a visitor is no device of the owner's, and the reverse.
        let to_visitors = self.entry.recipient.id == VISITORS;
        // gate-check: visitor-not-device
        if to_visitors != to.as_visitor().is_some() {
            return false;
        }
        let to_hosts = self.entry.method.transport == "hosts" || !self.entry.hosts.is_empty();
        // gate-check: device-not-host
        if to_hosts {
            return false;
        }
        true
    }
}

/// The recipient of entries that go to whoever listens on the networks this machine is in.
const EVERYONE_NEAR: &str = "local-network";
/// The recipient of entries about what is taken note of here and goes nowhere.
const THIS_HUB: &str = "this-hub";
/// The recipient of entries that go to addresses near of which nothing else is known.
const VISITORS: &str = "visitor";

/// True when the entry may go to or through `host` (`name:port`). A relay that the statement does not
/// name is one that the owner names, in a decision on that host.
pub(crate) fn goes_through(entry: &Entry, host: &str) -> bool {
    entry.allows_host(host) || owner_names_hosts(entry)
}

fn owner_names_hosts(entry: &Entry) -> bool {
    entry.method.transport == "relay" && entry.hosts.is_empty()
}

/// The whole table at one moment.
pub(crate) struct Rules {
    pub statement: Arc<Statement>,
    entries: HashMap<EntryKey, EntryRules>,
}

/// A yes, with what the permit needs to know.
pub(crate) struct Allowed<'a> {
    pub entry: &'a EntryRules,
    pub rule: &'a Arc<Rule>,
}

impl Rules {
    pub fn new(statement: Arc<Statement>) -> Self {
        let entries = statement.entries.iter().map(|entry| (entry.key.clone(), EntryRules::new(entry))).collect();
        Self { statement, entries }
    }

    pub fn entry(&self, key: &EntryKey) -> Option<&EntryRules> {
        self.entries.get(key)
    }

    pub fn add(&mut self, entry: &EntryKey, to: &To, rule: Arc<Rule>) {
        let Some(rules) = self.entries.get_mut(entry) else { return };
        match to {
            To::Any => rules.any = Some(rule),
            To::One(recipient) => drop(rules.one.insert(recipient.clone(), rule)),
        }
    }

    /// A damaged record: its own recipient is refused, and decisions on any recipient no longer count,
    /// in its entry or, if that cannot be read either, in every entry.
    pub fn doubt(&mut self, entry: Option<&EntryKey>, to: Option<&To>, rule: &Arc<Rule>) {
        match entry.filter(|entry| self.entries.contains_key(*entry)) {
            Some(key) => {
                if let Some(to) = to {
                    self.add(key, to, rule.clone());
                }
                if let Some(rules) = self.entries.get_mut(key) {
                    rules.any_in_doubt = true;
                }
            }
            None => self.entries.values_mut().for_each(|rules| rules.any_in_doubt = true),
        }
    }

    /// Statement → consent → limits. Takes nothing and writes nothing.
    pub fn judge(
        &self,
        owner: Option<&str>,
        entry: &EntryKey,
        to: &RecipientId,
        fields: FieldSet,
    ) -> Result<Allowed<'_>, Refusal> {
        // gate-check: owner
        if owner.is_some_and(|owner| owner != entry.owner()) {
            return Err(Refusal::NotYours { entry: entry.clone(), owner: owner.unwrap_or_default().to_owned() });
        }
        let Some(rules) = self.entries.get(entry) else {
            return Err(Refusal::NoEntry(entry.clone()));
        };
        // gate-check: bounded
        if rules.entry.unbounded {
            return Err(Refusal::NoEntry(entry.clone()));
        }
        // gate-check: recipient
        if !rules.declares(to) {
            return Err(Refusal::HostNotDeclared { entry: entry.clone(), to: to.to_string() });
        }
        // gate-check: declared-fields
        if !fields.is_subset(rules.declared) {
            return Err(Refusal::FieldsNotGranted { entry: entry.clone(), fields: fields.minus(rules.declared) });
        }
        // A decision on this recipient goes before one on any.
        let mut found = rules.one.get(to);
        if found.is_none() && !(to.as_host().is_some() && owner_names_hosts(&rules.entry)) {
            // gate-check: any-in-doubt
            if rules.any_in_doubt {
                return Err(Refusal::Refused(entry.clone()));
            }
            found = rules.any.as_ref();
        }
        let undecided = || Refusal::Undecided { entry: entry.clone(), notice: rules.notice.clone() };
        let Some(rule) = found else {
            return Err(undecided());
        };
        // gate-check: refused
        if matches!(rule.state, ConsentState::Refused | ConsentState::Unreadable) {
            return Err(Refusal::Refused(entry.clone()));
        }
        // gate-check: withdrawn
        if rule.state == ConsentState::Withdrawn {
            return Err(Refusal::Withdrawn(entry.clone()));
        }
        // gate-check: lapsed
        if let ConsentState::Lapsed(difference) = &rule.state {
            return Err(Refusal::Lapsed {
                entry: entry.clone(),
                difference: difference.clone(),
                notice: rules.notice.clone(),
            });
        }
        // gate-check: expired-for-good
        if rule.state == ConsentState::Expired {
            return Err(Refusal::Expired {
                entry: entry.clone(),
                at: rule.until.or(rule.changed).unwrap_or(rule.decided),
            });
        }
        // gate-check: once
        if rule.is_used() {
            return Err(undecided());
        }
        // gate-check: until
        if let Some(until) = rule.until.filter(|until| is_outside(Timestamp::now(), rule.decided, *until)) {
            return Err(Refusal::Expired { entry: entry.clone(), at: until });
        }
        // gate-check: granted-fields
        if !fields.is_subset(rule.fields) {
            return Err(Refusal::FieldsNotGranted { entry: entry.clone(), fields: fields.minus(rule.fields) });
        }
        Ok(Allowed { entry: rules, rule })
    }
}

/// True when a consent from `decided` until `until` does not hold at `now`: past its end, or before it
/// was given, which says that the clock was set back and cannot be relied on.
fn is_outside(now: Timestamp, decided: Timestamp, until: Timestamp) -> bool {
    const SLACK: std::time::Duration = std::time::Duration::from_secs(60);
    now >= until || now < decided - SLACK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: ConsentState, until: Timestamp) -> Result<(), Refusal> {
        let (statement, _) = crate::example::parts();
        let mut rules = Rules::new(Arc::new(statement));
        let entry = EntryKey::new("example/hello").unwrap();
        let to: RecipientId = "device:phone".parse().unwrap();
        let fields = FieldSet::one(accord_model::FieldCode::DeviceName);
        let rule = Rule {
            state,
            fields,
            until: Some(until),
            decided: Timestamp::now(),
            ..Arc::into_inner(Rule::unreadable()).unwrap()
        };
        rules.add(&entry, &To::One(to.clone()), Arc::new(rule));
        rules.judge(Some("example"), &entry, &to, fields).map(drop)
    }

    #[test]
    fn what_runs_stops_at_the_end_even_before_anyone_noticed() {
        let hour = std::time::Duration::from_secs(3600);
        assert!(Live::new(Some(Timestamp::now() + hour)).is_on());
        assert!(!Live::new(Some(Timestamp::now() - hour)).is_on());
    }

    #[test]
    fn a_consent_ends_at_its_end_even_before_anyone_noticed() {
        let hour = std::time::Duration::from_secs(3600);
        assert!(judged(ConsentState::Given, Timestamp::now() + hour).is_ok());
        assert!(matches!(judged(ConsentState::Given, Timestamp::now() - hour), Err(Refusal::Expired { .. })));
    }

    #[test]
    fn a_consent_that_ended_stays_ended_when_the_clock_is_set_back() {
        let later = Timestamp::now() + std::time::Duration::from_secs(3600);
        assert!(matches!(judged(ConsentState::Expired, later), Err(Refusal::Expired { .. })));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_prolong_a_consent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(!is_outside(at(1500), at(1000), at(2000)));
        assert!(is_outside(at(2000), at(1000), at(2000)));
        assert!(is_outside(at(900), at(1000), at(2000)));
    }
}
