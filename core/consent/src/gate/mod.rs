//! The gate: what the statement declares, what the owner decided, and the one way to a [`Permit`].

mod decide;
mod force;
mod refusals;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use accord_model::{EntryKey, FieldSet, Timestamp};
use accord_statement::Statement;
use tokio::sync::{broadcast, watch};

use refusals::Rolled;

use crate::{
    Choice, Consent, ConsentId, ConsentState, ConsentWatch, Decision, GateError, Ledger, LedgerError, Notice, Permit,
    RecipientId, RecordKind, Refusal, SendError, Signer, To, Which,
    chores::Chores,
    consents::{Consents, Damaged},
    ledger::{
        Details, Item,
        record::{Draft, MAX_ITEMS},
    },
    rules::{Rule, Rules},
};

/// What the gate tells those who follow it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum GateEvent {
    /// The owner decided.
    Decided {
        /// The consent (or refusal).
        consent: ConsentId,
        /// About which entry.
        entry: EntryKey,
        /// For whom.
        to: To,
        /// How.
        choice: Choice,
    },
    /// The owner took a consent back.
    Withdrawn {
        /// Which entry.
        entry: EntryKey,
        /// For whom.
        to: To,
    },
    /// An entry widened; its consent no longer counts.
    Lapsed {
        /// Which entry.
        entry: EntryKey,
        /// For whom.
        to: To,
        /// What is new, in words.
        difference: String,
    },
    /// A consent came to its end.
    Expired {
        /// Which entry.
        entry: EntryKey,
        /// For whom.
        to: To,
    },
    /// The ledger has a new record.
    Recorded {
        /// Its place.
        seq: u64,
        /// What it tells.
        kind: RecordKind,
    },
    /// Something waits for the owner's decision. Told once per entry and recipient until anything is decided.
    Asked {
        /// Which entry.
        entry: EntryKey,
        /// For whom.
        to: RecipientId,
        /// Which fields are wanted.
        fields: FieldSet,
        /// What set it off.
        scenario: String,
        /// What widened since the owner last agreed.
        difference: Option<String>,
    },
}

/// Decides what may leave this device. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    rules: RwLock<Arc<Rules>>,
    book: Mutex<Book>,
    consents: Option<Consents>,
    pub ledger: Ledger,
    events: broadcast::Sender<GateEvent>,
    epoch: watch::Sender<u64>,
    asked: Mutex<HashSet<(EntryKey, RecipientId)>>,
    refusals: Mutex<HashMap<(EntryKey, RecipientId, &'static str), Rolled>>,
    chores: Arc<Chores>,
    _lock: Option<File>,
}

/// Every decision, and the running life of each. Changed by one at a time.
struct Book {
    kept: BTreeMap<(EntryKey, To), Kept>,
    damaged: Vec<Damaged>,
    next: u64,
}

struct Kept {
    consent: Consent,
    rule: Arc<Rule>,
}

const EVENTS: usize = 1024;

/// What came in, for the ledger.
#[derive(Debug, Clone)]
pub struct Received {
    /// The entry under which we answer, if any.
    pub entry: Option<EntryKey>,
    /// From whom.
    pub from: RecipientId,
    /// From where.
    pub address: String,
    /// Which kinds of data.
    pub fields: FieldSet,
    /// How many bytes of content.
    pub bytes: u64,
    /// What set it off.
    pub scenario: String,
    /// Names and sizes.
    pub items: Vec<Item>,
    /// Names what came, so that it can be found again: [`BoundGate::has_received`].
    pub about: Option<String>,
}

impl Gate {
    /// Opens `dir/consents.db` and `dir/ledger.db`, closes intents that a crash left open, and puts
    /// `statement` into force (see [`Gate::adopt`]).
    ///
    /// # Errors
    /// [`GateError`] when another hub runs there, or a database cannot be opened or written.
    pub fn open(dir: &Path, statement: Statement, signer: Arc<dyn Signer>) -> Result<Self, GateError> {
        accord_store::create_private_dir(dir)?;
        let lock = lock(dir)?;
        let consents = Consents::open(&dir.join("consents.db"))?;
        let (events, _) = broadcast::channel(EVENTS);
        let ledger = Ledger::open(&dir.join("ledger.db"), signer, events.clone())?;
        let (kept, damaged) = consents.load()?;
        // Numbers of forgotten decisions are not given again: the ledger names them.
        let next = kept.iter().map(|consent| consent.id.0 + 1).chain(consents.next()?).max().unwrap_or(1);
        let kept = kept.into_iter().map(|consent| {
            let rule = Arc::new(Rule::new(&consent));
            ((consent.entry.clone(), consent.to.clone()), Kept { consent, rule })
        });
        let book = Book { kept: kept.collect(), damaged, next };
        let gate = Self::assemble(statement, book, Some(consents), ledger, events, Some(lock));
        let statement = gate.statement();
        gate.put_into_force(statement)?;
        Chores::start(&gate.inner.chores, Arc::downgrade(&gate.inner));
        Ok(gate)
    }

    /// A gate that forgets everything when it ends; for benches.
    #[cfg(feature = "volatile")]
    #[doc(hidden)]
    pub fn volatile(statement: Statement, signer: Arc<dyn Signer>) -> Self {
        let (events, _) = broadcast::channel(EVENTS);
        let ledger = Ledger::volatile(signer, events.clone());
        let book = Book { kept: BTreeMap::new(), damaged: Vec::new(), next: 1 };
        Self::assemble(statement, book, None, ledger, events, None)
    }

    fn assemble(
        statement: Statement,
        book: Book,
        consents: Option<Consents>,
        ledger: Ledger,
        events: broadcast::Sender<GateEvent>,
        lock: Option<File>,
    ) -> Self {
        let chores = Arc::new(Chores::default());
        ledger.on_record({
            let chores = chores.clone();
            move || chores.something_happened()
        });
        let inner = Inner {
            rules: RwLock::new(Arc::new(Rules::new(Arc::new(statement)))),
            book: Mutex::new(book),
            consents,
            ledger,
            events,
            epoch: watch::Sender::new(0),
            asked: Mutex::default(),
            refusals: Mutex::default(),
            chores,
            _lock: lock,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A gate for one feature or bridge: it sees only entries whose key begins with `owner/`.
    pub fn bind(&self, owner: &str) -> BoundGate {
        BoundGate { inner: self.inner.clone(), owner: owner.into() }
    }

    /// The statement in force.
    pub fn statement(&self) -> Arc<Statement> {
        self.inner.rules().statement.clone()
    }

    /// Puts a new statement into force at once. Consents to entries that widened lapse and stop what
    /// runs under them; narrowed ones carry over, cut to what is still declared; reworded ones carry
    /// over; refusals stay. Returns the consents that lapsed.
    ///
    /// # Errors
    /// [`GateError`] when it could not be stored. What lapsed has lapsed nevertheless.
    pub fn adopt(&self, statement: Statement) -> Result<Vec<Consent>, GateError> {
        self.put_into_force(Arc::new(statement))
    }

    /// The notice that a decision on this entry needs, in `language` if the entry has it.
    ///
    /// # Errors
    /// [`GateError::NoEntry`].
    pub fn notice(&self, entry: &EntryKey, language: &str) -> Result<Notice, GateError> {
        let statement = self.statement();
        let found = statement.entry(entry).ok_or_else(|| GateError::NoEntry(entry.clone()))?;
        Ok(Notice::of(found, language))
    }

    /// Takes the owner's decision; it is durable and in force once this returns. Blocks for a few
    /// milliseconds. It replaces an earlier decision on the same entry and recipient; what runs under
    /// that is stopped if the new one does not allow it.
    ///
    /// # Errors
    /// [`GateError`]; then nothing changed, except that a refusal is in force even if it could not be stored.
    pub fn decide(&self, decision: Decision) -> Result<Consent, GateError> {
        self.inner.decide(decision)
    }

    /// Takes a consent back. Once this returns nothing leaves under it any more, and what ran is
    /// stopped. Works without a notice, always.
    ///
    /// # Errors
    /// [`GateError::NoConsent`]; or a database failed: then it is in force until the hub ends, but not stored.
    pub fn withdraw(&self, which: impl Into<Which>) -> Result<Consent, GateError> {
        self.inner.withdraw(which.into())
    }

    /// Forgets a decision about a visitor that is over: withdrawn, expired, used or lapsed. An address is somebody else's
    /// tomorrow, and what was decided about it then is no decision about them. The ledger keeps what was decided.
    ///
    /// # Errors
    /// [`GateError::Counts`] when it is not about a visitor, is in force, or is a no.
    pub fn forget(&self, id: ConsentId) -> Result<(), GateError> {
        self.inner.forget(id)
    }

    /// Every decision with what became of it, by entry and recipient.
    pub fn consents(&self) -> Vec<Consent> {
        let book = self.inner.book();
        book.kept.values().map(|kept| kept.now()).collect()
    }

    /// How many stored decisions cannot be read. Each counts as a no; decisions on any recipient do not
    /// count beside it, until it is decided anew or discarded.
    pub fn damaged(&self) -> usize {
        self.inner.book().damaged.len()
    }

    /// Discards stored decisions that cannot be read; what they were about is undecided then.
    ///
    /// # Errors
    /// [`GateError`] when that could not be stored; then they still count.
    pub fn discard_damaged(&self) -> Result<(), GateError> {
        let mut book = self.inner.book();
        if let Some(stored) = &self.inner.consents {
            stored.discard_damaged()?;
        }
        book.damaged.clear();
        self.inner.renew(None, &book);
        Ok(())
    }

    /// What a permit for these fields would meet. Writes nothing and uses nothing up.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&self, entry: &EntryKey, to: &RecipientId, fields: FieldSet) -> Result<(), Refusal> {
        self.inner.rules().judge(None, entry, to, fields).map(drop)
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// The owner's consents as records after ISO/IEC TS 27560 in DPV's JSON-LD.
    pub fn receipts(&self) -> serde_json::Value {
        crate::receipts::render(&self.statement(), &self.consents())
    }

    /// What happens from now on. A slow follower misses the oldest and is told how many.
    pub fn events(&self) -> broadcast::Receiver<GateEvent> {
        self.inner.events.subscribe()
    }

    /// How often anything changed that a permit depends on.
    pub fn epoch(&self) -> u64 {
        *self.inner.epoch.borrow()
    }
}

/// The gate as a feature or bridge holds it: for its own entries only. Cheap to clone.
#[derive(Clone)]
pub struct BoundGate {
    inner: Arc<Inner>,
    owner: Arc<str>,
}

impl BoundGate {
    /// A permit to let out these fields under this entry to this recipient, set off by `scenario`.
    /// Under a microsecond. A refusal is recorded (those alike are rolled into one record a minute).
    ///
    /// # Errors
    /// The [`Refusal`]; for [`Refusal::Undecided`] and [`Refusal::Lapsed`] the owner is asked.
    pub fn permit(
        &self,
        entry: &EntryKey,
        to: &RecipientId,
        fields: FieldSet,
        scenario: &str,
    ) -> Result<Permit, Refusal> {
        // gate-check: here-lets-nothing-out
        if to.is_here() {
            return Err(Refusal::HostNotDeclared { entry: entry.clone(), to: to.to_string() });
        }
        let rules = self.inner.rules();
        let refusal = match rules.judge(Some(&self.owner), entry, to, fields) {
            Ok(allowed) if allowed.rule.take() => {
                let once = allowed.rule.used.is_some();
                return Ok(Permit {
                    gate: self.inner.clone(),
                    entry: allowed.entry.entry.clone(),
                    fingerprint: allowed.entry.fingerprint.clone(),
                    to: to.clone(),
                    fields,
                    scenario: scenario.to_owned(),
                    component: self.owner.clone(),
                    consent: allowed.rule.consent,
                    once,
                    live: allowed.rule.lives.of(to),
                });
            }
            Ok(allowed) => Refusal::Undecided { entry: entry.clone(), notice: allowed.entry.notice.clone() },
            Err(refusal) => refusal,
        };
        if matches!(refusal, Refusal::Expired { .. }) {
            self.inner.look_at_ends();
        }
        self.inner.refused(&self.owner, entry, to, fields, scenario, &refusal);
        Err(refusal)
    }

    /// What a permit would meet. Writes nothing and uses nothing up.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&self, entry: &EntryKey, to: &RecipientId, fields: FieldSet) -> Result<(), Refusal> {
        self.inner.rules().judge(Some(&self.owner), entry, to, fields).map(drop)
    }

    /// Follows whether this entry is allowed for this recipient.
    pub fn watch(&self, entry: &EntryKey, to: &RecipientId) -> ConsentWatch {
        ConsentWatch::new(self.inner.clone(), self.owner.clone(), entry.clone(), to.clone())
    }

    /// Records what came in from someone.
    ///
    /// # Errors
    /// [`SendError::Ledger`] when it could not be recorded.
    pub async fn received(&self, received: Received) -> Result<u64, SendError> {
        let mut draft = Draft::new(RecordKind::Received);
        draft.public.entry = received.entry.filter(|entry| entry.owner() == &*self.owner);
        draft.public.fields = received.fields;
        draft.public.bytes = Some(received.bytes);
        draft.public.count = Some(received.items.len() as u64).filter(|count| *count > 0);
        let mut items = received.items;
        items.truncate(MAX_ITEMS);
        draft.details = Some(Details {
            message: received.about,
            recipient: Some(received.from.to_string()),
            address: Some(received.address),
            scenario: Some(received.scenario),
            component: Some(self.owner.to_string()),
            items,
            ..Details::default()
        });
        Ok(self.inner.ledger.append(draft).await?)
    }

    /// Whether something was recorded as received under this name. For what may have been recorded just before the hub
    /// was killed.
    ///
    /// # Errors
    /// [`SendError::Ledger`] when the ledger cannot be read.
    pub async fn has_received(&self, about: &str) -> Result<bool, SendError> {
        let (ledger, about) = (self.inner.ledger.clone(), about.to_owned());
        let look = move || -> Result<bool, LedgerError> {
            let query = crate::Query {
                kind: Some(RecordKind::Received),
                search: Some(about),
                limit: Some(1),
                ..crate::Query::default()
            };
            Ok(!ledger.list(&query)?.is_empty())
        };
        let found =
            tokio::task::spawn_blocking(look).await.map_err(|error| SendError::Io(std::io::Error::other(error)))?;
        Ok(found?)
    }

    /// The statement in force.
    pub fn statement(&self) -> Arc<Statement> {
        self.inner.rules().statement.clone()
    }
}

impl Kept {
    /// The consent as it stands, with uses and ends that are not written yet.
    fn now(&self) -> Consent {
        let mut consent = self.consent.clone();
        if consent.state == ConsentState::Given {
            if self.rule.used.as_ref().is_some_and(|used| used.load(std::sync::atomic::Ordering::Acquire)) {
                consent.state = ConsentState::Used;
            } else if consent.until().is_some_and(|end| Timestamp::now() >= end) {
                consent.state = ConsentState::Expired;
            }
        }
        consent
    }
}

impl Inner {
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: GateEvent) {
        drop(self.events.send(event));
    }

    fn save(&self, consents: &[Consent]) -> Result<(), GateError> {
        match &self.consents {
            Some(stored) if !consents.is_empty() => Ok(stored.save(consents)?),
            _ => Ok(()),
        }
    }

    /// Makes the book the table in force.
    fn renew(&self, statement: Option<Arc<Statement>>, book: &Book) {
        let statement = statement.unwrap_or_else(|| self.rules().statement.clone());
        let mut rules = Rules::new(statement);
        for ((entry, to), kept) in &book.kept {
            rules.add(entry, to, kept.rule.clone());
        }
        for damaged in &book.damaged {
            rules.doubt(damaged.entry.as_ref(), damaged.to.as_ref(), &Rule::unreadable());
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.epoch.send_modify(|epoch| *epoch += 1);
        let ends = book
            .kept
            .values()
            .filter(|kept| kept.rule.state == ConsentState::Given)
            .filter_map(|kept| kept.consent.until());
        self.chores.next_end(ends.min());
    }

    /// Once a minute while something happens: rolled refusals, ended consents, a checkpoint.
    /// A consent was found past its end: that is made final, in case the clock is set back.
    pub fn look_at_ends(&self) {
        self.chores.look_again();
    }

    pub fn do_chores(&self) {
        self.flush_refusals(|rolled| rolled.since.elapsed() >= crate::chores::EVERY);
        self.expire();
        if let Err(error) = self.ledger.checkpoint() {
            tracing::error!(%error, "the ledger's checkpoint could not be written");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.chores.stop();
        self.flush_refusals(|_| true);
        if self.consents.is_some()
            && let Err(error) = self.ledger.checkpoint()
        {
            tracing::error!(%error, "the ledger's last checkpoint could not be written");
        }
    }
}

fn lock(dir: &Path) -> Result<File, GateError> {
    let path = dir.join("gate.lock");
    accord_store::private_file(&path)?;
    let failed = |cause| accord_store::StoreError::File { path: path.clone(), cause: Arc::new(cause) };
    let file = File::options().write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(GateError::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(cause)) => Err(failed(cause).into()),
    }
}
