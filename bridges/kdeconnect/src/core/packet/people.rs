//! What people tell each other: notifications, calls, messages, contacts.

use std::collections::BTreeMap;

use accord_model::{FieldCode, FieldSet};
use serde_json::Value;

use crate::core::json::{Field, NumberText, Private, object};

object! {
    /// A notification is there (again: the same id is an update) or gone.
    pub struct Notification {
        /// Names it on the sender.
        id: String = "id",
        /// Whose it is.
        app_name: Option<String> = "appName",
        /// First line.
        title: Option<Private> = "title",
        /// The rest.
        text: Option<Private> = "text",
        /// `title: text`. Android shows nothing else of ours.
        ticker: Option<Private> = "ticker",
        /// Can be dismissed.
        is_clearable: Option<bool> = "isClearable",
        /// Was there already when we asked.
        silent: Option<bool> = "silent",
        /// Milliseconds since 1970, as text.
        time: Option<NumberText> = "time",
        /// Can be answered under this id.
        request_reply_id: Option<String> = "requestReplyId",
        /// Labels of buttons.
        actions: Option<Vec<String>> = "actions",
        /// Earlier messages.
        conversation: Option<Vec<ConversationLine>> = "conversation",
        /// The chat's name.
        group_name: Option<Private> = "groupName",
        /// MD5 of the icon; the icon itself comes as payload when it is new.
        payload_hash: Option<String> = "payloadHash",
        /// It is gone.
        is_cancel: Option<bool> = "isCancel",
    }
}
object! {
    /// One message of a chat.
    pub struct ConversationLine {
        /// Who wrote it.
        sender: Option<Private> = "sender",
        /// What.
        content: Option<Private> = "content",
    }
}
object! {
    /// Asks for all notifications, or dismisses one.
    pub struct NotificationRequest {
        /// Send all.
        request: Option<bool> = "request",
        /// Dismiss this one.
        cancel: Option<String> = "cancel",
    }
}
object! {
    /// Answers a notification.
    pub struct NotificationReply {
        /// From the notification.
        request_reply_id: String = "requestReplyId",
        /// The answer.
        message: Private = "message",
    }
}
object! {
    /// Presses a button of a notification.
    pub struct NotificationAction {
        /// The notification's id.
        key: String = "key",
        /// The button's label.
        action: String = "action",
    }
}
object! {
    /// A call.
    pub struct Telephony {
        /// `ringing`, `talking`, `missedCall`; old `sms`, `disconnected`.
        event: Option<String> = "event",
        /// Whose number.
        phone_number: Option<Private> = "phoneNumber",
        /// Whose name.
        contact_name: Option<Private> = "contactName",
        /// JPEG in base64.
        phone_thumbnail: Option<Private> = "phoneThumbnail",
        /// The event is over.
        is_cancel: Option<bool> = "isCancel",
    }
}
object! {
    /// Silences the ringing. The phone acts on the type alone.
    pub struct TelephonyMute {
        /// `mute`.
        action: Option<String> = "action",
    }
}
object! {
    /// A telephone number.
    pub struct Address {
        /// The number.
        address: Private = "address",
    }
}
object! {
    /// Text messages.
    pub struct SmsMessages {
        /// 2.
        version: Option<i64> = "version",
        /// Oldest or newest first; sort by date.
        messages: Vec<Sms> = "messages",
    }
}
object! {
    /// One text message.
    pub struct Sms {
        /// Names it on the phone.
        id: i64 = "_id",
        /// Bits: 1 text, 2 several recipients.
        event: Option<i64> = "event",
        /// The text.
        body: Option<Private> = "body",
        /// From or to whom.
        addresses: Vec<Address> = "addresses",
        /// Milliseconds since 1970.
        date: Option<i64> = "date",
        /// 1 received, 2 sent; Android's numbers.
        kind: Option<i64> = "type",
        /// Which conversation.
        thread_id: Option<i64> = "thread_id",
        /// 1 when read.
        read: Option<i64> = "read",
        /// Which SIM.
        sub_id: Option<i64> = "sub_id",
        /// Pictures and such.
        attachments: Option<Vec<SmsAttachment>> = "attachments",
    }
}
object! {
    /// A picture or such in a message.
    pub struct SmsAttachment {
        /// Names it, with the next.
        part_id: Option<i64> = "part_id",
        /// What it is.
        mime_type: Option<String> = "mime_type",
        /// Base64.
        encoded_thumbnail: Option<Private> = "encoded_thumbnail",
        /// Names it, with `part_id`.
        unique_identifier: Option<Private> = "unique_identifier",
    }
}
object! {
    /// Sends a text message from the phone.
    pub struct SmsSend {
        /// 2.
        version: i64 = "version",
        /// To whom.
        addresses: Vec<Address> = "addresses",
        /// What.
        message_body: Private = "messageBody",
        /// From which SIM.
        sub_id: Option<i64> = "subID",
    }
}
object! {
    /// Asks for the newest message of every conversation.
    pub struct SmsConversations {}
}
object! {
    /// Asks for messages of one conversation.
    pub struct SmsConversation {
        /// Which.
        thread_id: i64 = "threadID",
        /// Not newer than this, in milliseconds since 1970.
        range_start_timestamp: Option<i64> = "rangeStartTimestamp",
        /// At most so many.
        number_to_request: Option<i64> = "numberToRequest",
    }
}
object! {
    /// Asks for an attachment.
    pub struct SmsAttachmentRequest {
        /// From the message.
        part_id: i64 = "part_id",
        /// From the message.
        unique_identifier: Private = "unique_identifier",
    }
}
object! {
    /// An attachment; it comes as payload.
    pub struct SmsAttachmentFile {
        /// Its `unique_identifier`.
        filename: Private = "filename",
    }
}
object! {
    /// Asks which contacts there are. The phone asks its owner first.
    pub struct ContactsUidsRequest {}
}
object! {
    /// Asks for contacts.
    pub struct ContactsCardsRequest {
        /// Which.
        uids: Vec<String> = "uids",
    }
}

/// Which contacts there are, and when each was changed (milliseconds since 1970).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContactsUids(pub BTreeMap<String, i64>);

/// Contacts as vCards, by uid.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContactsCards(pub BTreeMap<String, Private>);

macro_rules! by_uid {
    ($($name:ident)*) => { $(
        impl Field for $name {
            /// `uids` lists the keys under which the values stand.
            fn read(value: Option<&Value>) -> Option<Self> {
                let map = value?.as_object()?;
                let uids = Vec::<String>::read(map.get("uids"))?;
                Some(Self(uids.into_iter().filter_map(|uid| {
                    let value = Field::read(Some(map.get(&uid)?))?;
                    Some((uid, value))
                }).collect()))
            }
            fn write(&self) -> Option<Value> {
                let mut body = self.0.write()?;
                body["uids"] = Value::from_iter(self.0.keys().map(String::as_str));
                Some(body)
            }
        }
    )* };
}
by_uid!(ContactsUids ContactsCards);

impl Notification {
    pub(super) fn fields(&self) -> FieldSet {
        let said = [&self.title, &self.text, &self.ticker, &self.group_name].iter().any(|text| text.is_some())
            || self.conversation.is_some()
            || self.payload_hash.is_some();
        super::when(said, [FieldCode::NotificationContent]).union(FieldSet::one(FieldCode::NotificationApp))
    }
}
