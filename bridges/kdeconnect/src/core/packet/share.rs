//! Pairing, pings, files, text, links and the clipboard.

use accord_model::{FieldCode, FieldSet};

use crate::core::json::{Private, object};

object! {
    /// Asks for a pairing, accepts one, or ends it.
    pub struct Pair {
        /// True to ask or to accept, false to refuse, cancel or unpair.
        pair: bool = "pair",
        /// Unix seconds; in the request of version 8 alone.
        timestamp: Option<i64> = "timestamp",
    }
}
object! {
    /// Shows a notification.
    pub struct Ping {
        /// What it says.
        message: Option<Private> = "message",
    }
}
object! {
    /// A file (with a payload), a text or a link.
    pub struct Share {
        /// Name without directories. From outside: may hold anything.
        filename: Option<Private> = "filename",
        /// Milliseconds since 1970.
        creation_time: Option<i64> = "creationTime",
        /// Milliseconds since 1970.
        last_modified: Option<i64> = "lastModified",
        /// The sender wants it opened at once. Never done unasked.
        open: Option<bool> = "open",
        /// Files in this batch.
        number_of_files: Option<i64> = "numberOfFiles",
        /// Bytes in this batch.
        total_payload_size: Option<i64> = "totalPayloadSize",
        /// A text instead of a file.
        text: Option<Private> = "text",
        /// A link instead of a file.
        url: Option<Private> = "url",
    }
}
object! {
    /// New totals of a batch that is under way.
    pub struct ShareUpdate {
        /// Files in this batch.
        number_of_files: Option<i64> = "numberOfFiles",
        /// Bytes in this batch.
        total_payload_size: Option<i64> = "totalPayloadSize",
    }
}
object! {
    /// Something was copied.
    pub struct Clipboard {
        /// The text.
        content: Private = "content",
    }
}
object! {
    /// What the clipboard holds when the link comes up.
    pub struct ClipboardConnect {
        /// The text.
        content: Private = "content",
        /// When it was copied, in milliseconds since 1970. 0 means unknown: ignore it.
        timestamp: i64 = "timestamp",
    }
}
object! {
    /// A file or picture was copied; it comes as payload.
    pub struct ClipboardFile {
        /// Its name. From outside: may hold anything.
        filename: Private = "filename",
    }
}

impl Share {
    pub(super) fn fields(&self) -> FieldSet {
        let file = super::when(self.filename.is_some(), [FieldCode::FileName, FieldCode::FileMeta]);
        file.union(super::when(self.text.is_some() || self.url.is_some(), [FieldCode::TextContent]))
    }
}
