//! The wire format of a transfer, version 1. Sans I/O.
//!
//! A transfer runs on one two-way byte stream of the service `files`. Each direction is a sequence of frames:
//!
//! ```text
//! kind   u8        0: message, 1: content
//! length u32 LE    of what follows; at most 128 KiB for a message, 1 MiB for content
//! body             message: postcard encoding of [`Forward`] or [`Back`]; content: bytes of the file begun last
//! ```
//!
//! The sender speaks first, with [`Forward::Offer`]. The receiver may say [`Back::Waiting`] while its owner is asked, then
//! [`Back::Refused`], or any number of [`Back::Have`] and one [`Back::Accepted`]. Then the sender walks its folders while
//! it sends: each item is a [`Forward::Entry`]; a file's is followed by content frames and [`Forward::End`] with the
//! BLAKE3 hash of the whole file. [`Forward::Finish`] ends the walk. The receiver asks for a file whose hash did not fit
//! once more with [`Back::Again`] (the sender then finishes again), brings everything to disk, and ends with
//! [`Back::Done`].
//!
//! **Protocols that want the list first.** A bridge whose protocol names every file before the first byte says
//! [`Back::List`] instead of an answer. The sender then says every item as it will come, without content, and
//! [`Forward::Listed`]. A bridge may end a transfer at any time with [`Back::Unable`], in the owner's words.
//!
//! **Resume.** A broken transfer is offered again under the same id. An item is known by its [`Key`], a hash of its path,
//! size and times, so that a file that changed in between is another item. The receiver tells the keys it holds verified
//! ([`Back::Have`]) and the lengths of files it holds in part ([`Back::Accepted`]). The sender continues such a file at
//! that offset and names the hash of what lies before it; the receiver compares it with the hash of its part.
//!
//! **Deadlines.** Who has nothing to send for 5 s sends [`Forward::Idle`] or [`Back::Received`]; 30 s without progress
//! end the connection.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of this format, sent in the offer.
pub const VERSION: u16 = 1;
/// Longest message body.
pub const MAX_MESSAGE: usize = 128 * 1024;
/// Longest content body.
pub const MAX_CONTENT: usize = 1 << 20;
/// Bytes before a frame's body.
pub const HEADER: usize = 5;
/// Names that an offer may show.
pub const MAX_PREVIEW: usize = 32;
/// Keys in one [`Back::Have`].
pub const MAX_KEYS: usize = 4096;

/// An item of a transfer: the first 16 bytes of a hash of its path, size and times.
pub type Key = [u8; 16];
/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Files and folders, also a stream with a name.
    Files,
    /// A text.
    Text,
    /// A link.
    Url,
}

/// What the receiving owner is shown before the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// [`VERSION`].
    pub version: u16,
    /// Chosen by the sender, random. The same when a broken transfer is offered again.
    pub transfer: [u8; 16],
    /// What it is.
    pub kind: Kind,
    /// Number of files; what was counted so far when not `exact`.
    pub files: u64,
    /// Their bytes together; likewise.
    pub bytes: u64,
    /// Whether everything was counted before offering.
    pub exact: bool,
    /// The first items.
    pub preview: Vec<Preview>,
}

/// One item of an offer's preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Its name, without folders. From outside: not safe to show as it is.
    pub name: String,
    /// Bytes, when known.
    pub size: Option<u64>,
    /// Whether it is a folder.
    pub folder: bool,
}

/// A time in seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A folder. Comes before what it holds.
    Folder {
        /// When it was changed last.
        modified: Time,
    },
    /// A file.
    File {
        /// Bytes; unknown for a stream.
        size: Option<u64>,
        /// When it was changed last.
        modified: Time,
        /// Whether its owner may run it.
        executable: bool,
        /// The content that follows begins here.
        from: u64,
        /// Hash of what lies before `from`; zero when that is 0.
        prefix: Hash,
    },
    /// A symbolic link that stays inside what is sent.
    Link {
        /// Where it points, relative.
        target: String,
    },
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its path, `/` between names. Relative to what is sent.
    pub path: String,
    /// What it is.
    pub what: What,
}

/// From the sender to the receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forward {
    /// First of all.
    Offer(Offer),
    /// The next item.
    Entry(Entry),
    /// The file's content is complete; its hash.
    End {
        /// Of the whole file, from its first byte.
        hash: Hash,
    },
    /// The file begun last, or the one asked for again, will not come (complete).
    Abandon {
        /// Which one.
        key: Key,
    },
    /// What there is altogether; once known, when the offer was not exact. Also before the answer.
    Totals {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
    },
    /// Everything was sent.
    Finish,
    /// Still here.
    Idle,
    /// The sender gives up for good.
    Stop(StopReason),
    /// Every item was said, as [`Back::List`] asked.
    Listed,
}

/// Why a sender gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// Its owner cancelled.
    Cancelled,
    /// Its owner no longer agrees to share.
    Withdrawn,
    /// It cannot read what it offered.
    Failed,
}

/// From the receiver to the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Back {
    /// The owner is being asked.
    Waiting,
    /// No.
    Refused(RefusedReason),
    /// Verified items.
    Have {
        /// Their keys.
        keys: Vec<Key>,
    },
    /// Yes: send.
    Accepted {
        /// Files held in part: key and length.
        partial: Vec<(Key, u64)>,
    },
    /// The hash did not fit; once more, from the beginning.
    Again {
        /// Which file.
        key: Key,
    },
    /// How far it is; also: still here.
    Received {
        /// Content bytes written.
        bytes: u64,
        /// Files verified.
        files: u64,
    },
    /// Everything is verified, on disk and in its place.
    Done {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Items that were not taken, the first few with their reason.
        failed: Vec<(Key, ItemReason)>,
        /// How many were not taken.
        failed_count: u64,
    },
    /// It cannot go on.
    Failed(FailReason),
    /// Say every item, without content, before the answer. Once at most.
    List,
    /// A bridge says why the foreign device does not get it.
    Unable {
        /// For the owner; at most 300 characters count.
        message: String,
    },
}

/// Why an offer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusedReason {
    /// The owner said no.
    Owner,
    /// Nobody answered in time.
    NoAnswer,
    /// Too many offers wait already.
    Busy,
    /// Another version of this format is needed.
    Version,
}

/// Why one item is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemReason {
    /// Its path leaves the inbox or is no path.
    Path,
    /// Its name is too long.
    Long,
    /// More than 64 folders deep.
    Deep,
    /// Its folder is missing or is none.
    Folder,
    /// The hash did not fit, twice.
    Hash,
    /// A link that leaves what was sent.
    Link,
    /// The disk said no.
    Disk,
    /// The sender gave it up.
    Abandoned,
    /// The receiving owner left it out.
    NotWanted,
    /// The foreign device's protocol has no such items, or the device did not take it.
    Foreign,
}

/// Why a receiver cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailReason {
    /// Its owner cancelled.
    Cancelled,
    /// The disk is full.
    NoSpace {
        /// Bytes that are still needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk said no.
    Disk,
    /// The sender broke the rules of this format.
    Protocol,
    /// More came than was offered.
    TooMuch,
}

/// Bytes that are not this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame of an unknown kind.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// A frame longer than allowed.
    #[error("a frame of {0} bytes, more than allowed")]
    TooLong(u32),
    /// A message that cannot be read.
    #[error("a message that cannot be read")]
    Message,
    /// Content where none belongs.
    #[error("content without a file")]
    Content,
}

/// Writes one message as a frame at the start of `to`. `None` when it does not fit.
pub fn write_message<M: Serialize>(message: &M, to: &mut [u8]) -> Option<usize> {
    let room = to.len().min(HEADER + MAX_MESSAGE);
    let body = to.get_mut(HEADER..room)?;
    let length = postcard::to_slice(message, body).ok()?.len();
    to[0] = 0;
    to[1..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
    Some(HEADER + length)
}

/// One message as a frame of its own.
pub fn message<M: Serialize>(message: &M) -> Vec<u8> {
    let mut frame = vec![0; HEADER + MAX_MESSAGE];
    let length = write_message(message, &mut frame).expect("own messages are bounded");
    frame.truncate(length);
    frame
}

/// Writes a content frame's header at the start of `to`.
pub fn write_content_header(length: usize, to: &mut [u8]) {
    to[0] = 1;
    to[1..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
}

/// What a decoder found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a, M> {
    /// A whole message.
    Message(M),
    /// The next bytes of content.
    Content(&'a [u8]),
}

/// Cuts a stream of bytes, in whatever portions they come, into messages and content.
///
/// ```
/// use accord_ports::files::wire::{message, Decoder, Forward, Piece};
/// let bytes = message(&Forward::Finish);
/// let (mut first, mut rest) = bytes.split_at(3);
/// let mut decoder = Decoder::<Forward>::default();
/// assert_eq!(decoder.next(&mut first).unwrap(), None);
/// assert_eq!(decoder.next(&mut rest).unwrap(), Some(Piece::Message(Forward::Finish)));
/// ```
#[derive(Debug)]
pub struct Decoder<M> {
    head: [u8; HEADER],
    head_have: usize,
    /// Body bytes still to come, once the head is complete.
    missing: usize,
    body: Vec<u8>,
    message: std::marker::PhantomData<fn() -> M>,
}

impl<M> Default for Decoder<M> {
    fn default() -> Self {
        Self { head: [0; HEADER], head_have: 0, missing: 0, body: Vec::new(), message: std::marker::PhantomData }
    }
}

impl<M: DeserializeOwned> Decoder<M> {
    /// Takes the next piece off the front of `input`. `None`: more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]; the stream is of no use after it.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a, M>>, FrameError> {
        loop {
            if self.head_have < HEADER {
                let take = (HEADER - self.head_have).min(input.len());
                let (bytes, rest) = input.split_at(take);
                self.head[self.head_have..self.head_have + take].copy_from_slice(bytes);
                self.head_have += take;
                *input = rest;
                if self.head_have < HEADER {
                    return Ok(None);
                }
                let length = u32::from_le_bytes([self.head[1], self.head[2], self.head[3], self.head[4]]);
                let limit = match self.head[0] {
                    0 => MAX_MESSAGE,
                    1 => MAX_CONTENT,
                    kind => return Err(FrameError::Kind(kind)),
                };
                if length as usize > limit {
                    return Err(FrameError::TooLong(length));
                }
                self.missing = length as usize;
                self.body.clear();
            }
            if self.head[0] == 1 {
                if self.missing == 0 {
                    self.head_have = 0;
                    continue;
                }
                if input.is_empty() {
                    return Ok(None);
                }
                let (bytes, rest) = input.split_at(self.missing.min(input.len()));
                *input = rest;
                self.missing -= bytes.len();
                if self.missing == 0 {
                    self.head_have = 0;
                }
                return Ok(Some(Piece::Content(bytes)));
            }
            let (bytes, rest) = input.split_at(self.missing.min(input.len()));
            *input = rest;
            self.missing -= bytes.len();
            if self.body.is_empty() && self.missing == 0 {
                self.head_have = 0;
                return parse(bytes).map(|message| Some(Piece::Message(message)));
            }
            self.body.extend_from_slice(bytes);
            if self.missing > 0 {
                return Ok(None);
            }
            self.head_have = 0;
            return parse(&self.body).map(|message| Some(Piece::Message(message)));
        }
    }
}

/// Reads one message body.
///
/// # Errors
/// [`FrameError::Message`] when it is not exactly one message.
pub fn parse<M: DeserializeOwned>(body: &[u8]) -> Result<M, FrameError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(path: &str) -> Forward {
        let what = What::File {
            size: Some(3),
            modified: Time { seconds: -1, nanos: 5 },
            executable: true,
            from: 0,
            prefix: [0; 32],
        };
        Forward::Entry(Entry { key: [7; 16], path: path.into(), what })
    }

    fn collect(bytes: &[u8], cut: usize) -> Result<(Vec<Forward>, Vec<u8>), FrameError> {
        let mut decoder = Decoder::<Forward>::default();
        let (mut messages, mut content) = (Vec::new(), Vec::new());
        for mut part in bytes.chunks(cut.max(1)) {
            while let Some(piece) = decoder.next(&mut part)? {
                match piece {
                    Piece::Message(message) => messages.push(message),
                    Piece::Content(bytes) => content.extend_from_slice(bytes),
                }
            }
        }
        Ok((messages, content))
    }

    #[test]
    fn a_hash_is_the_last_thing_in_its_message() {
        let bytes = message(&Forward::End { hash: [9; 32] });
        assert_eq!(bytes[bytes.len() - 32..], [9; 32]);
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_before_it_is_stored() {
        let mut decoder = Decoder::<Forward>::default();
        assert_eq!(decoder.next(&mut &[0, 1, 0, 2, 0][..]), Err(FrameError::TooLong(131_073)));
        let mut decoder = Decoder::<Forward>::default();
        assert_eq!(decoder.next(&mut &[1, 1, 0, 16, 0][..]), Err(FrameError::TooLong(1_048_577)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(cut in 1usize..64, path in "\\PC{0,80}", content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = message(&entry(&path));
            let mut header = [0; HEADER];
            write_content_header(content.len(), &mut header);
            bytes.extend_from_slice(&header);
            bytes.extend_from_slice(&content);
            bytes.extend(message(&Forward::End { hash: [1; 32] }));
            let (messages, got) = collect(&bytes, cut).unwrap();
            prop_assert_eq!(messages, vec![entry(&path), Forward::End { hash: [1; 32] }]);
            prop_assert_eq!(got, content);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000), cut in 1usize..400) {
            let _ = collect(&bytes, cut);
            let _ = parse::<Back>(&bytes);
            let _ = parse::<Forward>(&bytes);
        }
    }
}
