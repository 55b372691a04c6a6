//! What a phone is asked of messages and contacts: questions whose answer comes in packets, sometimes in many.

use std::time::{Duration, Instant};

use accord_model::{CallError, CallId, Data, DeviceId, FromBridge, Inputs, Outputs};
use serde_json::{Value as Json, json};

use super::calls::missing;
use super::{Running, not_connected};
use crate::core::packet::{
    ContactsCards, ContactsCardsRequest, ContactsUidsRequest, Packet, Sms, SmsConversation, SmsConversations,
};
use crate::core::{KdeId, Private};

/// How long the answer to a question may take, and how long nothing more of it may come before it counts as whole.
const READ_WITHIN: Duration = Duration::from_secs(15);
const QUIET: Duration = Duration::from_millis(1500);
/// The most that one answer holds: it must fit a message of the house.
const MAX_ANSWER: usize = 200 * 1024;
/// Messages of a conversation that are asked for at once.
const MESSAGES: i64 = 100;
/// Contacts that are asked for at once.
const CONTACTS: usize = 200;
/// A contact without its pictures is shorter.
const MAX_CARD: usize = 16 * 1024;
/// Questions that wait at once.
const MAX_READINGS: usize = 16;
/// Kinds of attachments that are named.
const MAX_ATTACHMENTS: usize = 20;

/// A call whose answer comes in packets.
pub(super) struct Reading {
    call: CallId,
    of: KdeId,
    what: What,
    found: Vec<Json>,
    size: usize,
    more: bool,
    until: Instant,
    heard: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The newest message of each: one packet for each.
    Conversations,
    /// One packet with the messages of this one.
    Conversation(i64),
    /// A page of contacts, after this uid, and up to this one once that is known.
    Contacts { after: Option<String>, last: Option<String> },
}

impl Reading {
    pub fn until(&self) -> Instant {
        match (self.heard, &self.what) {
            (Some(heard), What::Conversations) => self.until.min(heard + QUIET),
            (Some(heard), _) => heard,
            (None, _) => self.until,
        }
    }
    fn take(&mut self, item: Json) {
        let size = item.to_string().len() + 1;
        match self.size + size <= MAX_ANSWER {
            true => {
                self.size += size;
                self.found.push(item);
            }
            false => self.more = true,
        }
    }
    fn outcome(self) -> Result<Outputs, CallError> {
        if self.heard.is_none() {
            return Err(CallError::Deadline(READ_WITHIN.as_secs()));
        }
        let id = if matches!(self.what, What::Contacts { .. }) { "contacts" } else { "messages" };
        let list = Data::from(Json::Array(self.found).to_string());
        let mut outputs = Outputs::from([(id.to_owned(), list), ("more".to_owned(), self.more.into())]);
        if let What::Contacts { last: Some(last), .. } = self.what {
            outputs.insert("last".to_owned(), last.into());
        }
        Ok(outputs)
    }
}

impl Running {
    pub(super) fn read(
        &mut self,
        call: CallId,
        device: &DeviceId,
        action: &str,
        inputs: &Inputs,
    ) -> Result<(), CallError> {
        let id = self.ids.get(device).cloned().ok_or_else(not_connected)?;
        let (what, packet) = match action {
            "conversations" => (What::Conversations, SmsConversations {}.into()),
            "conversation" => {
                let thread_id = inputs.get("thread").and_then(Data::as_int).ok_or_else(|| missing("thread"))?;
                let range_start_timestamp = inputs.get("before").and_then(Data::as_int);
                let ask = SmsConversation { thread_id, range_start_timestamp, number_to_request: Some(MESSAGES) };
                (What::Conversation(thread_id), ask.into())
            }
            "list" => {
                let after = inputs.get("after").and_then(Data::as_text).map(str::to_owned);
                (What::Contacts { after, last: None }, Packet::from(ContactsUidsRequest {}))
            }
            other => return Err(CallError::Unsupported(other.to_owned())),
        };
        if !self.peers.get(&id).is_some_and(|peer| peer.incoming.contains(packet.body.kind())) {
            return Err(CallError::Unsupported(format!("its KDE Connect does not take `{}`", packet.body.kind())));
        }
        // Packets do not say which question they answer.
        let is_same =
            |one: &&Reading| one.of == id && std::mem::discriminant(&one.what) == std::mem::discriminant(&what);
        if self.readings.iter().any(|one| is_same(&one)) || self.readings.len() >= MAX_READINGS {
            return Err(CallError::Refused("it is asked that already; try again in a moment".into()));
        }
        self.say(&id, packet)?;
        let until = Instant::now() + READ_WITHIN;
        let reading = Reading { call, of: id, what, found: Vec::new(), size: 0, more: false, until, heard: None };
        self.readings.push(reading);
        Ok(())
    }

    pub(super) fn messages_came(&mut self, id: &KdeId, messages: Vec<Sms>) {
        for reading in self.readings.iter_mut().filter(|one| one.of == *id) {
            let thread = match reading.what {
                What::Conversations => None,
                What::Conversation(thread) => Some(thread),
                What::Contacts { .. } => continue,
            };
            // A phone that was asked once tells every new message by itself.
            let is_wanted = |message: &&Sms| thread.is_none_or(|thread| message.thread_id == Some(thread));
            if !messages.is_empty() && !messages.iter().any(|message| is_wanted(&message)) {
                continue;
            }
            reading.heard = Some(Instant::now());
            messages.iter().filter(is_wanted).for_each(|message| reading.take(message_json(message)));
        }
    }

    /// Which contacts there are: now the cards of one page.
    pub(super) fn contacts_there(&mut self, id: &KdeId, mut uids: Vec<String>) {
        let asked = self.readings.iter_mut().find(|one| one.of == *id && matches!(one.what, What::Contacts { .. }));
        let Some(Reading { what: What::Contacts { after, last }, more, heard, .. }) = asked else { return };
        uids.sort_unstable();
        uids.retain(|uid| after.as_ref().is_none_or(|after| uid > after));
        *more = uids.len() > CONTACTS;
        uids.truncate(CONTACTS);
        *last = uids.last().cloned();
        if uids.is_empty() {
            *heard = Some(Instant::now());
        } else if let Err(error) = self.say(id, ContactsCardsRequest { uids }.into()) {
            tracing::debug!(%error, "contacts are not asked for");
        }
    }

    pub(super) fn contacts_came(&mut self, id: &KdeId, cards: ContactsCards) {
        let asked = self.readings.iter_mut().find(|one| one.of == *id && matches!(one.what, What::Contacts { .. }));
        let Some(reading) = asked else { return };
        reading.heard = Some(Instant::now());
        for (uid, card) in cards.0 {
            let card = without_pictures(card.as_str());
            if card.len() <= MAX_CARD {
                reading.take(json!({ "uid": uid, "vcard": card }));
            }
        }
    }

    /// Answers what is whole, or too late.
    pub(super) async fn end_readings(&mut self, now: Instant) {
        let (over, left): (Vec<_>, Vec<_>) = self.readings.drain(..).partition(|reading| reading.until() <= now);
        self.readings = left;
        for reading in over {
            self.tell(FromBridge::Reply { call: reading.call, outcome: reading.outcome() }).await;
        }
    }
}

/// As the service `messages` has it.
fn message_json(message: &Sms) -> Json {
    let from: Vec<_> = message.addresses.iter().map(|address| address.address.as_str()).collect();
    let attached: Vec<_> = message.attachments.iter().flatten().take(MAX_ATTACHMENTS).collect();
    let attached: Vec<_> = attached.iter().map(|one| one.mime_type.as_deref().unwrap_or_default()).collect();
    json!({
        "id": message.id,
        "thread": message.thread_id,
        "text": message.body.as_ref().map(Private::as_str),
        "addresses": from,
        "date_ms": message.date,
        "sent": message.kind == Some(2),
        "read": message.read == Some(1),
        "attachments": attached,
    })
}

/// A vCard without what takes the most room in it and is not shown: pictures, sounds and keys (RFC 6350, section 6; lines
/// are folded by a space, section 3.2, in version 2.1 and base64 also by an empty line).
fn without_pictures(card: &str) -> String {
    const LARGE: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];
    let mut kept = String::new();
    let mut inside = false;
    for line in card.lines() {
        let is_folded = line.starts_with([' ', '\t']);
        if !is_folded {
            let name = line.split([';', ':']).next().unwrap_or_default();
            let name = name.rsplit('.').next().unwrap_or_default();
            inside = LARGE.iter().any(|large| name.eq_ignore_ascii_case(large));
        }
        if !inside && !line.is_empty() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_come_without_their_pictures() {
        let card = "BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Ada\r\nPHOTO;ENCODING=BASE64;JPEG:/9j/4AAQ\r\n AAAA\r\n BBBB\r\n\r\n\
                    item1.LOGO:x\r\nKEYWORDS:kept\r\nTEL;CELL:123\r\nEND:VCARD\r\n";
        let kept = "BEGIN:VCARD\nVERSION:2.1\nFN:Ada\nKEYWORDS:kept\nTEL;CELL:123\nEND:VCARD\n";
        assert_eq!(without_pictures(card), kept);
    }

    #[test]
    fn an_answer_holds_what_fits_and_says_that_there_is_more() {
        let what = What::Conversations;
        let (found, until) = (Vec::new(), Instant::now() + READ_WITHIN);
        let of = KdeId::from_bytes([1; 16]);
        let mut reading =
            Reading { call: CallId(1), of, what, found, size: 0, more: false, until, heard: Some(Instant::now()) };
        for n in 0..100 {
            reading.take(json!({ "id": n, "text": "x".repeat(4000) }));
        }
        let outputs = reading.outcome().unwrap();
        assert_eq!(outputs["more"], Data::Bool(true));
        assert!(outputs["messages"].as_text().unwrap().len() <= MAX_ANSWER + 2);
    }
}
