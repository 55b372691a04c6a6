//! What a phone says of its messages: a JSON list, as the service `messages` has it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shown;

/// Most messages of one answer.
pub const MOST: usize = 2000;
const MAX_TEXT: usize = 8000;
const MAX_ADDRESS: usize = 100;
const MOST_ADDRESSES: usize = 50;
const MOST_ATTACHMENTS: usize = 20;
/// Milliseconds of the year 9999: no phone is later.
const LATEST: i64 = 253_402_300_799_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Names it on the phone.
    pub id: i64,
    /// The conversation that it belongs to.
    pub thread: i64,
    /// What it says; safe to show.
    pub text: String,
    /// With whom: of a received one, who wrote it comes first.
    pub addresses: Vec<String>,
    /// When, in milliseconds since 1970.
    pub date_ms: i64,
    /// The phone's owner wrote it.
    pub sent: bool,
    /// It was read there.
    pub read: bool,
    /// What kinds of things came with it, as media types; they stay on the phone.
    pub attachments: Vec<String>,
}

/// The messages in an answer, the newest first, and whether some were left out. What is no message is passed over.
///
/// ```
/// let said = r#"[{"id":1,"thread":7,"text":"hi","addresses":["+49123"],"date_ms":1000,"sent":false,"read":true}]"#;
/// let (messages, more) = accord_people::message::read(said);
/// assert_eq!((messages[0].text.as_str(), messages[0].thread, more), ("hi", 7, false));
/// ```
pub fn read(said: &str) -> (Vec<Message>, bool) {
    let Ok(Value::Array(list)) = serde_json::from_str(said) else { return (Vec::new(), false) };
    let mut messages: Vec<Message> = list.iter().filter_map(message).collect();
    messages.sort_by_key(|message| (std::cmp::Reverse(message.date_ms), message.id));
    messages.dedup_by_key(|message| (message.thread, message.id, message.date_ms));
    let more = messages.len() > MOST;
    messages.truncate(MOST);
    (messages, more)
}

fn message(said: &Value) -> Option<Message> {
    let texts = |id: &str, most: usize| -> Vec<String> {
        let list = said.get(id).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let texts = list.iter().filter_map(Value::as_str).take(most);
        texts.map(|text| accord_model::text::for_screen(text, MAX_ADDRESS)).collect()
    };
    let flag = |id: &str| said.get(id).and_then(Value::as_bool).unwrap_or(false);
    Some(Message {
        id: said.get("id")?.as_i64()?,
        thread: said.get("thread")?.as_i64()?,
        text: shown(said.get("text").and_then(Value::as_str).unwrap_or_default(), MAX_TEXT),
        addresses: texts("addresses", MOST_ADDRESSES),
        date_ms: said.get("date_ms").and_then(Value::as_i64).unwrap_or(0).clamp(0, LATEST),
        sent: flag("sent"),
        read: flag("read"),
        attachments: texts("attachments", MOST_ATTACHMENTS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_newest_first_once_each_and_safe_to_show() {
        let said = r#"[{"id":1,"thread":7,"text":"old","addresses":["1"],"date_ms":1},
            {"id":2,"thread":7,"text":"a\u001b[2J\u202eb\nc","addresses":["x\u0007"],"date_ms":99999999999999999},
            {"id":1,"thread":7,"text":"old","addresses":["1"],"date_ms":1},
            {"id":3}, 7, null, {"id":"x","thread":1}]"#;
        let (messages, more) = read(said);
        assert_eq!((messages.len(), more), (2, false));
        assert_eq!(messages[0].text, "a\u{FFFD}[2J\u{FFFD}b\nc");
        assert_eq!((messages[0].addresses[0].as_str(), messages[0].date_ms), ("x\u{FFFD}", LATEST));
        for nonsense in ["", "{}", "[[[[", "null"] {
            assert_eq!(read(nonsense), (vec![], false), "{nonsense}");
        }
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let said = format!(r#"[{{"id":1,"thread":1,"text":"{}"}}]"#, "x".repeat(100_000));
        assert_eq!(read(&said).0[0].text.chars().count(), MAX_TEXT + 1);
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_without_panic(said in "\\PC{0,200}", id in proptest::num::i64::ANY) {
            let _ = read(&said);
            let _ = read(&format!(r#"[{{"id":{id},"thread":{id},"date_ms":{id}}}]"#));
        }
    }
}
