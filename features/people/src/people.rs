//! The feature: asks a phone for what the owner looks at, and has it send what the owner writes.

use std::time::Duration;

use accord_consent::{BoundGate, Envelope, Personal};
use accord_model::{CallError, Data, DeviceId, EntryKey, FieldCode, FieldSet, IdError, Outputs, Target};
use accord_registry::{Ask, Port, Registry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{self, Message};
use crate::vcard::{self, Card};
use crate::{CONTACTS, MESSAGES, REPLY};

/// A phone is asked, looks into its database and answers in many packets: its bridge waits that long.
const WITHIN: Duration = Duration::from_secs(20);
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// Most contacts that are read, a page at a time, and how many pages are asked for.
const MOST_CONTACTS: usize = 5000;
const MOST_PAGES: usize = 100;
/// All pages together.
const ALL_WITHIN: Duration = Duration::from_secs(60);
/// Longest text of a message; a phone parts it.
const MAX_TEXT: usize = 4000;
const MAX_NUMBER: usize = 64;
const MOST_NUMBERS: usize = 20;

/// Messages of a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// The newest first.
    pub messages: Vec<Message>,
    /// There are more than these.
    pub more: bool,
}

/// A phone's address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// By name.
    pub contacts: Vec<Card>,
    /// There are more than these.
    pub more: bool,
}

/// Messages and contacts of phones. Cheap to clone; keeps nothing.
#[derive(Clone)]
pub struct People {
    messages: Port,
    reply: Port,
    contacts: Port,
}

impl People {
    /// Under the entries of `people`, which `gate` is bound to.
    ///
    /// # Errors
    /// Never in a build whose entries have well-formed names.
    pub fn new(gate: &BoundGate, registry: &Registry) -> Result<Self, IdError> {
        let port = |entry: &str| Ok(registry.port(gate, EntryKey::new(entry)?, "on.control"));
        Ok(Self { messages: port(MESSAGES)?, reply: port(REPLY)?, contacts: port(CONTACTS)? })
    }

    /// What asking reveals to the phone.
    pub fn asking() -> FieldSet {
        FieldSet::one(FieldCode::CommandName)
    }

    /// What sending reveals to the phone.
    pub fn sending() -> FieldSet {
        [FieldCode::CommandName, FieldCode::TextContent].into_iter().collect()
    }

    /// The newest message of each conversation.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NotConsented`] when the owner has not agreed to ask this phone.
    pub async fn conversations(&self, phone: &DeviceId) -> Result<Messages, CallError> {
        let (mut messages, more) = self.ask(phone, "conversations", Envelope::new()).await?;
        let mut known = std::collections::HashSet::new();
        messages.retain(|message| known.insert(message.thread));
        Ok(Messages { messages, more })
    }

    /// Messages of one conversation, not newer than `before` (milliseconds since 1970).
    ///
    /// # Errors
    /// As [`People::conversations`].
    pub async fn conversation(
        &self,
        phone: &DeviceId,
        thread: i64,
        before: Option<i64>,
    ) -> Result<Messages, CallError> {
        let which = Envelope::new().plain("thread", thread);
        let which = match before {
            Some(before) => which.plain("before", before),
            None => which,
        };
        let (mut messages, more) = self.ask(phone, "conversation", which).await?;
        messages.retain(|message| message.thread == thread);
        Ok(Messages { messages, more })
    }

    async fn ask(&self, phone: &DeviceId, action: &str, which: Envelope) -> Result<(Vec<Message>, bool), CallError> {
        let which = which.beside(FieldCode::CommandName);
        let said = self.messages.call(phone, Target::new("messages"), Ask::act(action), which, WITHIN).await?;
        let (messages, cut) = message::read(text(&said, "messages"));
        Ok((messages, cut || is_more(&said)))
    }

    /// Has the phone send a text message.
    ///
    /// # Errors
    /// [`CallError::BadInput`] for what is no message, else as [`People::conversations`].
    pub async fn send(&self, phone: &DeviceId, to: &[String], text: &str) -> Result<(), CallError> {
        checked(to, text)?;
        let content = |data: Data| Personal::new(FieldCode::TextContent, data);
        let envelope = Envelope::new()
            .data("to", &content(to.to_vec().into()))
            .data("text", &content(text.into()))
            .beside(FieldCode::CommandName);
        self.reply.call(phone, Target::new("messages"), Ask::act("send"), envelope, SENT_WITHIN).await.map(drop)
    }

    /// The address book.
    ///
    /// # Errors
    /// As [`People::conversations`].
    pub async fn contacts(&self, phone: &DeviceId) -> Result<Contacts, CallError> {
        let all = self.pages(phone);
        tokio::time::timeout(ALL_WITHIN, all).await.unwrap_or(Err(CallError::Deadline(ALL_WITHIN.as_secs())))
    }

    async fn pages(&self, phone: &DeviceId) -> Result<Contacts, CallError> {
        let mut contacts: Vec<Card> = Vec::new();
        let mut after: Option<String> = None;
        let mut more = true;
        for _ in 0..MOST_PAGES {
            let mut which = Envelope::new().beside(FieldCode::CommandName);
            if let Some(after) = &after {
                // The phone's own word for one of its contacts.
                which = which.plain("after", after.as_str());
            }
            let said = self.contacts.call(phone, Target::new("contacts"), Ask::act("list"), which, WITHIN).await?;
            contacts.extend(cards(text(&said, "contacts")));
            more = is_more(&said);
            let last = said.get("last").and_then(Data::as_text);
            // A phone that does not go on would be asked for ever.
            let goes_on = last.is_some_and(|last| after.as_deref().is_none_or(|after| last > after));
            if !more || !goes_on || contacts.len() >= MOST_CONTACTS {
                break;
            }
            after = last.map(str::to_owned);
        }
        more |= contacts.len() > MOST_CONTACTS;
        contacts.truncate(MOST_CONTACTS);
        contacts.sort_by_cached_key(|card| card.name.to_lowercase());
        Ok(Contacts { contacts, more })
    }
}

/// A message that a phone can send.
///
/// # Errors
/// [`CallError::BadInput`].
fn checked(to: &[String], text: &str) -> Result<(), CallError> {
    let is_number = |number: &String| {
        !number.trim().is_empty() && number.len() <= MAX_NUMBER && !number.chars().any(accord_model::text::is_unsafe)
    };
    let why = match () {
        () if to.is_empty() || to.len() > MOST_NUMBERS => format!("a message goes to 1 to {MOST_NUMBERS} numbers"),
        () if !to.iter().all(is_number) => format!("a number has 1 to {MAX_NUMBER} characters"),
        () if text.trim().is_empty() => "the message is empty".to_owned(),
        () if text.chars().count() > MAX_TEXT => format!("a message has at most {MAX_TEXT} characters"),
        () => return Ok(()),
    };
    Err(CallError::BadInput(why))
}

fn text<'a>(said: &'a Outputs, id: &str) -> &'a str {
    said.get(id).and_then(Data::as_text).unwrap_or_default()
}

fn is_more(said: &Outputs) -> bool {
    said.get("more").and_then(Data::as_bool).unwrap_or(false)
}

/// What is no card is passed over.
fn cards(said: &str) -> Vec<Card> {
    let Ok(Value::Array(list)) = serde_json::from_str(said) else { return Vec::new() };
    let card = |one: &Value| vcard::read(one.get("vcard")?.as_str()?);
    list.iter().filter_map(card).take(MOST_CONTACTS).collect()
}
