//! One disclosure on its way: from the gate's yes to the record of what left.

use std::sync::Arc;

use accord_model::{EntryKey, FieldSet};
use accord_statement::Entry;
use tokio::io::AsyncWrite;

use crate::{
    ConsentId, DatagramLease, Destination, Envelope, Outflow, Outgoing, RecipientId, SendError,
    envelope::About,
    gate::Inner,
    ledger::{
        Details, Item, PerAddress, RecordKind,
        record::{Draft, MAX_ITEMS},
    },
    rules::{Live, goes_through},
};

/// Proof that the gate let one disclosure through: this entry, this recipient, these fields. Made only
/// by [`crate::BoundGate::permit`]; used by moving it; worthless once the consent ends.
#[must_use = "a permit does nothing until something is sealed or opened under it"]
pub struct Permit {
    pub(crate) gate: Arc<Inner>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) fingerprint: Arc<str>,
    pub(crate) to: RecipientId,
    pub(crate) fields: FieldSet,
    pub(crate) scenario: String,
    pub(crate) component: Arc<str>,
    pub(crate) consent: ConsentId,
    pub(crate) once: bool,
    pub(crate) live: Arc<Live>,
}

/// What the ledger wrote of a disclosure that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The `sent` record.
    pub seq: u64,
    /// The `intent` record that it closes.
    pub intent: u64,
    /// Bytes of content.
    pub bytes: u64,
}

impl Permit {
    /// Which entry it is for.
    pub fn entry(&self) -> &EntryKey {
        &self.entry.key
    }
    /// Which recipient it is for.
    pub fn recipient(&self) -> &RecipientId {
        &self.to
    }
    /// Which fields may be put in.
    pub fn fields(&self) -> FieldSet {
        self.fields
    }

    /// A small message: its intent is durable before the bytes come out.
    ///
    /// # Errors
    /// [`SendError`]; then nothing left.
    pub async fn seal(self, envelope: Envelope, destination: Destination) -> Result<Outgoing, SendError> {
        let fields = envelope.fields();
        // gate-check: envelope-fields
        if !fields.is_subset(self.fields) {
            return Err(self.refuse_fields(fields).await);
        }
        let about = envelope.about.clone();
        let bytes = envelope.encode();
        let mut running = self.begin(destination, fields, about).await?;
        running.tally.fields = fields;
        running.tally.digest = Some(format!("blake3:{}", blake3::hash(&bytes).to_hex()));
        Ok(Outgoing::new(running, bytes))
    }

    /// A stream: its intent is durable before the first byte.
    ///
    /// # Errors
    /// [`SendError`]; then nothing left.
    pub async fn open<W: AsyncWrite + Unpin + Send>(
        self,
        to: W,
        destination: Destination,
    ) -> Result<Outflow<W>, SendError> {
        let fields = self.fields;
        Ok(Outflow::new(self.begin(destination, fields, None).await?, to))
    }

    /// A lease for many small disclosures (beacons, served requests): one intent now, a `sent` record
    /// with exact counts per address at most once a minute, and a last one at its end.
    ///
    /// # Errors
    /// [`SendError`]; then nothing left.
    pub async fn datagrams(self, destination: Destination) -> Result<DatagramLease, SendError> {
        let fields = self.fields;
        Ok(DatagramLease::new(self.begin(destination, fields, None).await?))
    }

    async fn refuse_fields(&self, fields: FieldSet) -> SendError {
        let fields = fields.minus(self.fields);
        let mut draft = Draft::new(RecordKind::Refused);
        draft.public.entry = Some(self.entry.key.clone());
        draft.public.fingerprint = Some(self.fingerprint.to_string());
        draft.public.fields = fields;
        draft.details = Some(Details {
            recipient: Some(self.to.to_string()),
            component: Some(self.component.to_string()),
            message: Some("more was put in than the permit covers".to_owned()),
            ..Details::default()
        });
        self.gate.ledger.append_later(draft);
        SendError::FieldsNotGranted { entry: self.entry.key.clone(), fields }
    }

    async fn begin(
        self,
        destination: Destination,
        fields: FieldSet,
        about: Option<About>,
    ) -> Result<Running, SendError> {
        // gate-check: destination-recipient
        if destination.recipient != self.to {
            return Err(SendError::WrongDestination {
                entry: self.entry.key.clone(),
                to: destination.recipient.to_string(),
            });
        }
        // gate-check: destination-host
        if !destination.host.is_empty() && !goes_through(&self.entry, &destination.host) {
            return Err(SendError::WrongDestination { entry: self.entry.key.clone(), to: destination.host });
        }
        // gate-check: intent-live
        if !self.live.is_on() {
            return Err(SendError::Withdrawn(self.entry.key.clone()));
        }
        if self.once {
            self.gate.mark_used(self.consent).await?;
        }
        let mut draft = Draft::new(RecordKind::Intent);
        draft.public.entry = Some(self.entry.key.clone());
        draft.public.fingerprint = Some(self.fingerprint.to_string());
        draft.public.fields = fields;
        draft.public.consent = Some(self.consent);
        draft.details = Some(Details {
            recipient: Some(destination.recipient.to_string()),
            host: Some(destination.host).filter(|host| !host.is_empty()),
            address: Some(destination.address).filter(|address| !address.is_empty()),
            scenario: Some(self.scenario).filter(|scenario| !scenario.is_empty()),
            component: Some(self.component.to_string()),
            subject: about.as_ref().map(|about| about.subject.clone()),
            message: about.as_ref().map(|about| about.words.clone()),
            ..Details::default()
        });
        let intent = self.gate.ledger.append(draft).await?;
        let running = Running {
            gate: self.gate,
            entry: self.entry.key.clone(),
            fingerprint: self.fingerprint,
            to: self.to,
            fields: self.fields,
            consent: self.consent,
            live: self.live,
            intent,
            about,
            tally: Tally::default(),
            closed: false,
        };
        // gate-check: first-byte-live
        if !running.live.is_on() {
            return Err(running.withdrawn());
        }
        Ok(running)
    }
}

/// What was counted so far.
#[derive(Default)]
pub(crate) struct Tally {
    pub fields: FieldSet,
    pub bytes: u64,
    pub framing: u64,
    pub wire: Option<u64>,
    pub count: u64,
    pub digest: Option<String>,
    pub items: Vec<Item>,
    pub addresses: Vec<PerAddress>,
    /// The last of the addresses is where all of it goes.
    pub dialed: bool,
}

impl Tally {
    /// One more disclosure to this address.
    pub fn add(&mut self, address: String, bytes: u64) {
        let known = self.addresses.iter().position(|place| place.address == address || place.address == OTHERS);
        match known {
            Some(index) => {
                self.addresses[index].count += 1;
                self.addresses[index].bytes += bytes;
            }
            None => {
                let full = self.addresses.len() >= MOST_ADDRESSES;
                let address = if full { OTHERS.to_owned() } else { address };
                self.addresses.push(PerAddress { address, count: 1, bytes });
            }
        }
    }
}

const MOST_ADDRESSES: usize = 256;
const OTHERS: &str = "others";

/// An intent that is open. Whatever happens to it, one record closes it: `sent`, or `error` if it is
/// dropped.
pub(crate) struct Running {
    gate: Arc<Inner>,
    pub entry: EntryKey,
    fingerprint: Arc<str>,
    to: RecipientId,
    pub fields: FieldSet,
    consent: ConsentId,
    pub live: Arc<Live>,
    pub intent: u64,
    about: Option<About>,
    pub tally: Tally,
    closed: bool,
}

impl Running {
    pub fn recipient(&self) -> &RecipientId {
        &self.to
    }

    pub fn withdrawn(&self) -> SendError {
        SendError::Withdrawn(self.entry.clone())
    }

    /// Refuses what the permit does not cover; else notes it as put in.
    pub fn admit(&mut self, fields: FieldSet) -> Result<(), SendError> {
        // gate-check: put-fields
        if !fields.is_subset(self.fields) {
            return Err(SendError::FieldsNotGranted { entry: self.entry.clone(), fields: fields.minus(self.fields) });
        }
        self.tally.fields = self.tally.fields.union(fields);
        Ok(())
    }

    fn draft(&mut self, kind: RecordKind, message: Option<String>) -> Draft {
        let mut tally = std::mem::take(&mut self.tally);
        if let Some(place) = tally.addresses.last_mut().filter(|_| tally.dialed) {
            place.bytes = tally.bytes + tally.framing;
        }
        let mut draft = Draft::new(kind);
        draft.public.entry = Some(self.entry.clone());
        draft.public.fingerprint = Some(self.fingerprint.to_string());
        draft.public.fields = tally.fields;
        draft.public.consent = Some(self.consent);
        draft.public.refers = Some(self.intent);
        draft.public.bytes = Some(tally.bytes);
        draft.public.framing = Some(tally.framing).filter(|bytes| *bytes > 0);
        draft.public.wire_bytes = tally.wire;
        draft.public.count = Some(tally.count).filter(|count| *count > 0);
        let mut items = tally.items;
        items.truncate(MAX_ITEMS);
        let about = self.about.as_ref();
        let words = about.map(|about| about.words.clone());
        draft.details = Some(Details {
            recipient: Some(self.to.to_string()),
            subject: about.map(|about| about.subject.clone()),
            message: match (words, message) {
                (Some(words), Some(message)) => Some(format!("{words}: {message}")),
                (words, message) => words.or(message),
            },
            digest: tally.digest,
            items,
            addresses: tally.addresses,
            ..Details::default()
        });
        if self.live.ended() {
            self.gate.look_at_ends();
        }
        draft
    }

    pub async fn sent(mut self) -> Result<Sent, SendError> {
        self.closed = true;
        let (intent, bytes) = (self.intent, self.tally.bytes);
        let draft = self.draft(RecordKind::Sent, None);
        let seq = self.gate.ledger.append(draft).await?;
        Ok(Sent { seq, intent, bytes })
    }

    /// What was sent since the last such record; the intent stays open.
    pub fn sent_so_far(&mut self) {
        let mut draft = self.draft(RecordKind::Sent, None);
        draft.public.goes_on = true;
        self.gate.ledger.append_later(draft);
    }

    /// The last `sent` of a lease.
    pub fn sent_to_the_end(mut self) {
        self.closed = true;
        let message = (!self.live.is_on()).then(|| "stopped: the consent ended".to_owned());
        let draft = self.draft(RecordKind::Sent, message);
        self.gate.ledger.append_later(draft);
    }

    pub async fn failed(mut self, why: &str) {
        self.closed = true;
        let why = accord_model::text::for_screen(why, 500);
        let draft = self.draft(RecordKind::Error, Some(why));
        if let Err(error) = self.gate.ledger.append(draft).await {
            tracing::error!(%error, intent = self.intent, "a broken-off disclosure could not be recorded");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let why = if self.live.is_on() { "broken off" } else { "stopped: the consent ended" };
        let draft = self.draft(RecordKind::Error, Some(why.to_owned()));
        self.gate.ledger.append_later(draft);
    }
}
