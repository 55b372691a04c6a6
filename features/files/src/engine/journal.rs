//! What a receiver knows of a transfer that is not complete, as a file that is only ever appended to. A record that was
//! cut by a kill is ignored with everything after it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use crate::wire::{Hash, ItemReason, Key, Time};

const LONGEST: usize = 64 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The system was started anew (a hash of its boot id): what comes before may not have reached the disk.
    Boot(Key),
    /// A folder was made.
    Folder {
        /// Its path as sent.
        path: String,
        /// Its path here.
        local: String,
        /// When it was changed last.
        modified: Time,
    },
    /// A big file was begun.
    Begun {
        /// Its key.
        key: Key,
        /// Hash of its path as sent.
        path: Key,
        /// Its path here.
        local: String,
    },
    /// A file is complete and verified.
    File {
        /// Its key.
        key: Key,
        /// Hash of its path as sent.
        path: Key,
        /// Its path here.
        local: String,
        /// Its bytes.
        size: u64,
        /// Their hash.
        hash: Hash,
    },
    /// A link to be made at the end.
    Link {
        /// Hash of its path as sent.
        path: Key,
        /// Its path here.
        local: String,
        /// Where it points.
        target: String,
    },
    /// An item was not taken.
    Failed {
        /// Hash of its path as sent.
        path: Key,
        /// Its key.
        key: Key,
        /// Why.
        reason: ItemReason,
    },
    /// Everything is verified and on disk.
    Complete,
    /// A root was moved to its place in the inbox, or is about to be.
    Published {
        /// Its name in the tree.
        name: String,
        /// Its name in the inbox.
        as_name: String,
    },
}

/// The open journal.
pub struct Journal {
    file: File,
    buffer: Vec<u8>,
}

impl Journal {
    /// Reads what is there, cuts off what is broken, and goes on behind it.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(mut file: File) -> io::Result<(Self, Vec<Record>)> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (records, valid) = parse(&bytes);
        file.set_len(valid as u64)?;
        file.seek(SeekFrom::Start(valid as u64))?;
        Ok((Self { file, buffer: Vec::new() }, records))
    }

    /// Notes a record; it is safe from a kill after the next [`Journal::flush`].
    pub fn add(&mut self, record: &Record) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 12]);
        self.buffer =
            postcard::to_extend(record, std::mem::take(&mut self.buffer)).expect("a record of plain data encodes");
        let body = &self.buffer[start + 12..];
        let (length, check) = (body.len() as u32, check(body));
        self.buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.buffer[start + 4..start + 12].copy_from_slice(&check);
    }

    /// Hands noted records to the system.
    ///
    /// # Errors
    /// What the system said.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Brings everything to disk.
    ///
    /// # Errors
    /// What the system said.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }
}

fn check(body: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
    check
}

/// The records of a journal, and how many bytes of it are sound.
pub fn parse(bytes: &[u8]) -> (Vec<Record>, usize) {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some((record, length)) = one(&bytes[at..]) {
        records.push(record);
        at += length;
    }
    (records, at)
}

fn one(bytes: &[u8]) -> Option<(Record, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let body = bytes.get(12..12 + length.min(LONGEST + 1))?;
    if body.len() != length || check(body) != bytes[4..12] {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Some((record, 12 + length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_cut_by_a_kill_is_dropped_and_the_journal_goes_on() {
        let mut file = tempfile::tempfile().unwrap();
        let records = [
            Record::Boot([1; 16]),
            Record::Begun { key: [2; 16], path: [3; 16], local: "a/b".into() },
            Record::Complete,
        ];
        let (mut journal, _) = Journal::open(file.try_clone().unwrap()).unwrap();
        records.iter().for_each(|record| journal.add(record));
        journal.flush().unwrap();
        let whole = file.metadata().unwrap().len();
        file.set_len(whole - 1).unwrap();
        file.rewind().unwrap();
        let (mut journal, read) = Journal::open(file.try_clone().unwrap()).unwrap();
        assert_eq!(read, records[..2]);
        journal.add(&Record::Complete);
        journal.flush().unwrap();
        file.rewind().unwrap();
        assert_eq!(Journal::open(file).unwrap().1, records);
    }

    proptest! {
        #[test]
        fn a_broken_journal_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let (_, valid) = parse(&bytes);
            prop_assert!(valid <= bytes.len());
        }
    }
}
