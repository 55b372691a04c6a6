//! Packets: one JSON object per line. Every type that we speak is a struct of named fields; the table below
//! names them and says what each reveals when we send it. Other types and broken lines are ignored.

mod control;
mod people;
mod share;
mod state;
#[cfg(test)]
mod tests;

use accord_model::{FieldCode as F, FieldSet, Timestamp, text};
use serde_json::{Map, Value, json};

use super::json::{Field, NotAnObject, parse};
pub use control::*;
pub use people::*;
pub use share::*;
pub use state::*;

const PREFIX: &str = "kdeconnect.";

macro_rules! packets {
    ($($variant:ident = $kind:literal, |$body:pat_param| $fields:expr;)*) => {
        /// What a packet says, by type.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, missing_docs)] // one at a time, and consumed at once
        pub enum Body {
            $(#[doc = concat!("`kdeconnect.", $kind, "`")] $variant($variant),)*
        }
        impl Body {
            /// Every type that is read.
            pub const KINDS: &'static [&'static str] = &[$(concat!("kdeconnect.", $kind)),*];
            /// The type on the wire.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => concat!("kdeconnect.", $kind),)* }
            }
            /// What of ours it reveals when we send it. Data of the peer that we send back is not counted.
            pub fn fields(&self) -> FieldSet {
                match self { $(Self::$variant($body) => FieldSet::from($fields),)* }
            }
            fn read(kind: &str, body: &Value) -> Result<Self, Ignored> {
                match kind {
                    $(concat!("kdeconnect.", $kind) => Field::read(Some(body)).map(Self::$variant).ok_or(Ignored::Malformed(concat!("kdeconnect.", $kind))),)*
                    other => Err(Ignored::Unknown(text::for_screen(other, 60))),
                }
            }
            fn write(&self) -> Option<Value> {
                match self { $(Self::$variant(body) => body.write(),)* }
            }
        }
        $(impl From<$variant> for Body {
            fn from(body: $variant) -> Self {
                Self::$variant(body)
            }
        })*
    };
}

/// Fields that are revealed when something is there.
fn when(there: bool, fields: impl IntoIterator<Item = F>) -> FieldSet {
    if there { fields.into_iter().collect() } else { FieldSet::EMPTY }
}
const NONE: FieldSet = FieldSet::EMPTY;
const COMMAND: FieldSet = FieldSet::one(F::CommandName);

packets! {
    Pair = "pair", |_| NONE;
    Ping = "ping", |ping| when(ping.message.is_some(), [F::TextContent]);
    Share = "share.request", |share| share.fields();
    ShareUpdate = "share.request.update", |_| FieldSet::one(F::FileMeta);
    Clipboard = "clipboard", |_| FieldSet::one(F::ClipboardContent);
    ClipboardConnect = "clipboard.connect", |_| FieldSet::one(F::ClipboardContent);
    ClipboardFile = "clipboard.file", |_| when(true, [F::ClipboardContent, F::FileName]);
    Notification = "notification", |note| note.fields();
    NotificationRequest = "notification.request", |_| NONE;
    NotificationReply = "notification.reply", |_| FieldSet::one(F::TextContent);
    NotificationAction = "notification.action", |_| COMMAND;
    Battery = "battery", |_| FieldSet::one(F::BatteryLevel);
    BatteryRequest = "battery.request", |_| NONE;
    Connectivity = "connectivity_report", |_| FieldSet::one(F::Location);
    FindMyPhone = "findmyphone.request", |_| COMMAND;
    Mpris = "mpris", |_| FieldSet::one(F::MediaNowPlaying);
    MprisRequest = "mpris.request", |request| when(request.commands(), [F::CommandName]);
    SystemVolume = "systemvolume", |_| FieldSet::one(F::DeviceAbilities);
    SystemVolumeRequest = "systemvolume.request", |request| when(request.name.is_some(), [F::CommandName]);
    RunCommand = "runcommand", |_| COMMAND;
    RunCommandRequest = "runcommand.request", |request| when(request.key.is_some(), [F::CommandName]);
    RunCommandOutput = "runcommand.output", |_| when(true, [F::CommandName, F::TextContent]);
    SftpRequest = "sftp.request", |_| NONE;
    Sftp = "sftp", |sftp| when(sftp.port.is_some(), [F::NetIp, F::FileName]);
    Lock = "lock", |_| FieldSet::one(F::Presence);
    LockRequest = "lock.request", |request| when(request.set_locked.is_some(), [F::CommandName]);
    Telephony = "telephony", |_| FieldSet::one(F::NotificationContent);
    TelephonyMute = "telephony.request_mute", |_| COMMAND;
    SmsMessages = "sms.messages", |_| FieldSet::one(F::TextContent);
    SmsSend = "sms.request", |_| FieldSet::one(F::TextContent);
    SmsConversations = "sms.request_conversations", |_| NONE;
    SmsConversation = "sms.request_conversation", |_| NONE;
    SmsAttachmentRequest = "sms.request_attachment", |_| NONE;
    SmsAttachmentFile = "sms.attachment_file", |_| FieldSet::one(F::FileName);
    ContactsUidsRequest = "contacts.request_all_uids_timestamps", |_| NONE;
    ContactsUids = "contacts.response_uids_timestamps", |_| FieldSet::one(F::TextContent);
    ContactsCardsRequest = "contacts.request_vcards_by_uid", |_| NONE;
    ContactsCards = "contacts.response_vcards", |_| FieldSet::one(F::TextContent);
    Mousepad = "mousepad.request", |input| when(input.key.is_some(), [F::TextContent]).union(COMMAND);
    MousepadEcho = "mousepad.echo", |_| NONE;
    KeyboardState = "mousepad.keyboardstate", |_| FieldSet::one(F::DeviceAbilities);
    Presenter = "presenter", |_| COMMAND;
}

impl Body {
    /// Whether the answer to this may be longer than an ordinary line.
    pub(crate) fn asks_for_much(&self) -> bool {
        matches!(
            self,
            Self::SmsConversations(_)
                | Self::SmsConversation(_)
                | Self::ContactsUidsRequest(_)
                | Self::ContactsCardsRequest(_)
        )
    }
    /// Whether this may be longer than an ordinary line.
    pub(crate) fn may_be_long(&self) -> bool {
        matches!(self, Self::SmsMessages(_) | Self::ContactsUids(_) | Self::ContactsCards(_))
    }
}

/// Bytes that belong to a packet and come on a connection of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadInfo {
    /// How many; `None` when the sender does not know. 0 means that there is nothing to fetch.
    pub size: Option<u64>,
    /// Where the sender listens; `None` with size 0.
    pub port: Option<u16>,
}

/// A packet from a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// What it says.
    pub body: Body,
    /// What comes with it.
    pub payload: Option<PayloadInfo>,
}

/// Why a line was passed over. The link goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// Longer than allowed.
    #[error("a line that is too long")]
    TooLong,
    /// No JSON object with a type and a body.
    #[error("a line that is no packet")]
    NotAPacket,
    /// A type that we do not speak.
    #[error("a packet of the unknown type `{0}`")]
    Unknown(String),
    /// A required field is missing or of the wrong type.
    #[error("a packet of type `{0}` that lacks something")]
    Malformed(&'static str),
}

impl Packet {
    /// Reads one line.
    ///
    /// # Errors
    /// [`Ignored`].
    pub fn parse(line: &[u8]) -> Result<Self, Ignored> {
        let packet = parse(line).map_err(|error| match error {
            NotAnObject::NotJson => Ignored::NotAPacket,
            NotAnObject::TooManyParts => Ignored::TooLong,
        })?;
        let kind = packet.get("type").and_then(Value::as_str).ok_or(Ignored::NotAPacket)?;
        let empty = Value::Object(Map::new());
        let body = Body::read(kind, packet.get("body").filter(|body| !body.is_null()).unwrap_or(&empty))?;
        Ok(Self { body, payload: payload(&packet) })
    }

    /// The line, with its newline; `id` is the time in milliseconds.
    pub fn line(&self, wall: Timestamp) -> Vec<u8> {
        let body = self.body.write().unwrap_or_default();
        let mut packet = json!({ "id": wall.as_millisecond(), "type": self.body.kind(), "body": body });
        if let Some(payload) = self.payload {
            packet["payloadSize"] = payload.size.map_or(json!(-1), |size| json!(size));
            if let Some(port) = payload.port {
                packet["payloadTransferInfo"] = json!({ "port": port });
            }
        }
        format!("{packet}\n").into_bytes()
    }
}

impl<T: Into<Body>> From<T> for Packet {
    fn from(body: T) -> Self {
        Self { body: body.into(), payload: None }
    }
}

fn payload(packet: &Map<String, Value>) -> Option<PayloadInfo> {
    let size = i64::read(packet.get("payloadSize"));
    let port = packet.get("payloadTransferInfo").and_then(|info| u16::read(info.get("port")));
    if size.is_none() && port.is_none() {
        return None;
    }
    Some(PayloadInfo { size: size.and_then(|size| u64::try_from(size).ok()), port: port.filter(|port| *port >= 1024) })
}

/// The type without the common prefix, for logs.
pub fn short(kind: &str) -> &str {
    kind.strip_prefix(PREFIX).unwrap_or(kind)
}
