//! Several files as one share: [`SendBatch`] gives the packets in order, one payload at a time; [`ReceiveBatch`]
//! follows the packets of a peer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::identity::{DeviceType, Version};
use super::json::Private;
use super::packet::{Packet, PayloadInfo, Share, ShareUpdate};

/// Android gives a batch up when the next packet is later than this after a payload.
pub const NEXT_WITHIN: Duration = Duration::from_secs(1);
/// How long we wait for the next packet of a batch.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Most files of a peer that wait for their turn.
const MAX_WAITING: usize = 64;
/// Desktops of version 7 lose a file, and all after it, whose payload is through before they have written the
/// one before it. They say nothing about that, so the next packet waits as long as the payload before took,
/// within these bounds.
const SLOW_PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(300)..=Duration::from_secs(20);
/// Longest file name in bytes, as file systems have it.
const MAX_FILE_NAME: usize = 255;

/// A file to send.
#[derive(Debug, Clone, PartialEq)]
pub struct OutFile {
    /// Its name; directories are stripped.
    pub name: Private,
    /// Exactly.
    pub size: u64,
    /// Milliseconds since 1970.
    pub last_modified: Option<i64>,
}

/// How soon after a payload the next packet may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once; Android gives up after [`NEXT_WITHIN`].
    Prompt,
    /// After a pause: desktops of version 7.
    Slow,
}

impl Pace {
    /// What a peer needs.
    pub fn of(version: Version, kind: DeviceType) -> Self {
        match (version, kind) {
            (Version::V7, DeviceType::Desktop | DeviceType::Laptop) => Self::Slow,
            _ => Self::Prompt,
        }
    }
    /// Whether a device has to be held back, and how fast a payload may go, in bytes per second, when it does not say how far it
    /// has read. These desktops read without limit into memory, and fall to a twentieth of their speed once much of it is full.
    pub fn limit(self) -> Option<u64> {
        (self == Self::Slow).then_some(64 << 20)
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Listen on a payload port, send the packet that [`Self::packet`] makes, send the payload, then call
    /// [`SendBatch::ended`].
    Payload {
        /// Position in the batch.
        index: usize,
        /// Without its payload's port.
        share: Share,
        /// Its payload's size.
        size: u64,
    },
    /// Send this packet; nothing follows it.
    Packet(Packet),
    /// A payload is on its way; or come back at this time.
    Wait(Option<Instant>),
    /// The batch is through.
    Done,
}

impl Step {
    /// The packet of [`Step::Payload`], with the port we listen on.
    pub fn packet(&self, port: u16) -> Option<Packet> {
        let Self::Payload { share, size, .. } = self else { return None };
        Some(Packet { body: share.clone().into(), payload: Some(PayloadInfo { size: Some(*size), port: Some(port) }) })
    }
}

/// Files to one peer.
#[derive(Debug)]
pub struct SendBatch {
    files: Vec<Option<OutFile>>,
    next: usize,
    pace: Pace,
    running: Option<(Instant, u64)>,
    not_before: Option<Instant>,
    /// The totals changed after the peer heard of them.
    changed: bool,
    /// Files and bytes that are known to come, beyond what was added so far.
    expected: (u64, u64),
}

impl SendBatch {
    /// In this order.
    pub fn new(files: Vec<OutFile>, pace: Pace) -> Self {
        let files = files.into_iter().map(Some).collect();
        Self { files, next: 0, pace, running: None, not_before: None, changed: false, expected: (0, 0) }
    }
    /// So many files and bytes are to come, whether added already or not.
    pub fn expect(&mut self, files: u64, bytes: u64) {
        self.change(|batch| batch.expected = (files, bytes));
    }
    /// More files, while it runs.
    pub fn add(&mut self, files: Vec<OutFile>) {
        self.change(|batch| batch.files.extend(files.into_iter().map(Some)));
    }
    /// A file that cannot be read is left out before its turn.
    pub fn skip(&mut self, index: usize) {
        self.change(|batch| {
            if index >= batch.next {
                batch.files.get_mut(index).and_then(Option::take);
            }
        });
    }
    /// The file whose turn comes next: open it and get its permit now, so that its packet follows within
    /// [`NEXT_WITHIN`].
    pub fn upcoming(&self) -> Option<usize> {
        (self.next..self.files.len()).find(|index| self.files[*index].is_some())
    }
    /// What to do next. Call it again after each packet and each [`Self::ended`].
    pub fn step(&mut self, now: Instant) -> Step {
        if self.running.is_some() {
            return Step::Wait(None);
        }
        if self.upcoming().is_some() && self.not_before.is_some_and(|at| now < at) {
            return Step::Wait(self.not_before);
        }
        if std::mem::take(&mut self.changed) {
            let (number, total) = self.totals();
            let update = ShareUpdate { number_of_files: Some(number), total_payload_size: Some(total) };
            return Step::Packet(update.into());
        }
        let Some(index) = self.upcoming() else { return Step::Done };
        self.next = index + 1;
        let Some(file) = &self.files[index] else { return Step::Done };
        let (number, total) = self.totals();
        let share = Share {
            filename: Some(file_name(&file.name)),
            last_modified: file.last_modified,
            number_of_files: Some(number),
            total_payload_size: Some(total),
            ..Default::default()
        };
        if file.size == 0 {
            // No port and no connection: the peer makes the empty file, and nothing waits for it.
            let payload = Some(PayloadInfo { size: Some(0), port: None });
            return Step::Packet(Packet { body: share.into(), payload });
        }
        self.running = Some((now, file.size));
        Step::Payload { index, share, size: file.size }
    }
    /// The running payload ended, well or not. Gives the time before which no other may follow, of this batch or the next.
    pub fn ended(&mut self, now: Instant) -> Option<Instant> {
        if let (Some((since, size)), Some(limit)) = (self.running.take(), self.pace.limit()) {
            // However fast it went: they are through with it long after they have read it.
            let took = now.saturating_duration_since(since).max(Duration::from_secs_f64(size as f64 / limit as f64));
            self.not_before = Some(now + took.clamp(*SLOW_PAUSE.start(), *SLOW_PAUSE.end()));
        }
        self.not_before
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.totals();
        change(self);
        self.changed |= self.next > 0 && self.totals() != before;
    }
    fn totals(&self) -> (i64, i64) {
        let files = || self.files.iter().flatten();
        let bytes = files().fold(0u64, |sum, file| sum.saturating_add(file.size)).max(self.expected.1);
        let files = (files().count() as u64).max(self.expected.0);
        (i64::try_from(files).unwrap_or(i64::MAX), i64::try_from(bytes).unwrap_or(i64::MAX))
    }
}

/// A file that a peer offers.
#[derive(Debug, Clone, PartialEq)]
pub struct InFile {
    /// A plain file name: no directory, not `.` or `..`, at most 255 bytes. Never overwrite with it.
    pub name: Private,
    /// `None` when the peer does not know.
    pub size: Option<u64>,
    /// Where to fetch it, at the link's peer address; `None` for an empty file: make it.
    pub port: Option<u16>,
    /// Milliseconds since 1970.
    pub last_modified: Option<i64>,
}

/// What a `share.request` is.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// Fetch this now, then call [`ReceiveBatch::ended`].
    Fetch(InFile),
    /// It waits until the running one is through.
    Waits,
    /// A text.
    Text(Private),
    /// A link. Show it; never open it unasked.
    Link(Private),
}

/// Why a share is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// No file, text or link.
    #[error("the other device shared something that is no file, text or link; update the app on it")]
    Nothing,
    /// A file without a place to fetch it from.
    #[error("the other device offered a file but not where to fetch it; send it again")]
    NoPayload,
    /// Too many wait.
    #[error("the other device offers more than {MAX_WAITING} files at once; send fewer")]
    TooMany,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files that are through, well or not.
    pub ended: u64,
    /// Files that failed.
    pub failed: u64,
    /// Files that were promised.
    pub files: u64,
    /// Bytes that were promised.
    pub bytes: u64,
}

/// Files from one peer.
#[derive(Debug, Default)]
pub struct ReceiveBatch {
    waiting: VecDeque<InFile>,
    running: bool,
    progress: Progress,
    until: Option<Instant>,
}

impl ReceiveBatch {
    /// A `share.request` came.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub fn share(&mut self, share: &Share, payload: Option<PayloadInfo>, now: Instant) -> Result<Taken, NotTaken> {
        let Some(name) = &share.filename else {
            return match (&share.text, &share.url) {
                (Some(text), _) => Ok(Taken::Text(text.clone())),
                (None, Some(url)) => Ok(Taken::Link(url.clone())),
                (None, None) => Err(NotTaken::Nothing),
            };
        };
        let file = match payload {
            None | Some(PayloadInfo { size: Some(0), .. }) => (Some(0), None),
            Some(PayloadInfo { size, port: Some(port) }) => (size, Some(port)),
            Some(PayloadInfo { port: None, .. }) => return Err(NotTaken::NoPayload),
        };
        if self.waiting.len() >= MAX_WAITING {
            return Err(NotTaken::TooMany);
        }
        self.promise(share.number_of_files, share.total_payload_size);
        let (size, port) = file;
        self.waiting.push_back(InFile { name: file_name(name), size, port, last_modified: share.last_modified });
        self.progress.files = self.progress.files.max(self.progress.ended + self.waiting.len() as u64);
        self.until = Some(now + PATIENCE);
        Ok(self.next().map_or(Taken::Waits, Taken::Fetch))
    }
    /// A `share.request.update` came.
    pub fn update(&mut self, update: &ShareUpdate) {
        self.promise(update.number_of_files, update.total_payload_size);
    }
    /// The running file ended, well or not. Gives the next one to fetch.
    pub fn ended(&mut self, well: bool, now: Instant) -> Option<InFile> {
        self.running = false;
        self.progress.ended += 1;
        self.progress.failed += u64::from(!well);
        self.until = Some(now + PATIENCE);
        self.next()
    }
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }
    /// When to call [`Self::close`] at the latest.
    pub fn timeout(&self) -> Option<Instant> {
        self.until.filter(|_| !self.running)
    }
    /// Ends the batch when all that was promised came, or nothing came for [`PATIENCE`]; gives how far it came.
    /// The next share begins a new one.
    pub fn close(&mut self, now: Instant) -> Option<Progress> {
        let until = self.timeout()?;
        let whole = self.progress.ended >= self.progress.files;
        if !self.waiting.is_empty() || (now < until && !whole) {
            return None;
        }
        Some(std::mem::take(self).progress)
    }

    fn promise(&mut self, files: Option<i64>, bytes: Option<i64>) {
        let known = |promised: Option<i64>, before| promised.and_then(|n| u64::try_from(n).ok()).unwrap_or(before);
        self.progress.files = known(files, self.progress.files);
        self.progress.bytes = known(bytes, self.progress.bytes);
    }
    fn next(&mut self) -> Option<InFile> {
        if self.running {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.running = true;
        Some(next)
    }
}

/// The last part of a name, made a plain file name; `file` when nothing is left.
pub fn file_name(name: &Private) -> Private {
    let last = name.as_str().rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe: String = last.chars().map(|c| if accord_model::text::is_unsafe(c) { '_' } else { c }).collect();
    while safe.len() > MAX_FILE_NAME {
        // Keep the end: it says what the file is.
        let first = safe.chars().next().map_or(1, char::len_utf8);
        safe.drain(..first);
    }
    let safe = safe.trim();
    Private::from(if matches!(safe, "" | "." | "..") { "file" } else { safe })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::packet::Body;

    fn file(name: &str, size: u64) -> OutFile {
        OutFile { name: name.into(), size, last_modified: None }
    }
    fn share(step: &Step) -> (&Share, bool) {
        match step {
            Step::Payload { share, .. } => (share, true),
            Step::Packet(Packet { body: Body::Share(share), .. }) => (share, false),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_payload_at_a_time_and_empty_files_wait_for_nothing() {
        let now = Instant::now();
        let mut batch = SendBatch::new(vec![file("/home/me/a", 3), file("empty", 0), file("b", 4)], Pace::Prompt);
        assert_eq!(batch.upcoming(), Some(0));
        let first = batch.step(now);
        let (packet, payload) = share(&first);
        assert_eq!((packet.filename.as_ref().unwrap().as_str(), payload), ("a", true));
        assert_eq!((packet.number_of_files, packet.total_payload_size), (Some(3), Some(7)));
        let packet = first.packet(1740).unwrap();
        assert_eq!(packet.payload, Some(PayloadInfo { size: Some(3), port: Some(1740) }));
        assert_eq!((batch.step(now), batch.upcoming()), (Step::Wait(None), Some(1)));
        batch.ended(now);
        let empty = batch.step(now);
        assert!(!share(&empty).1);
        assert_eq!(share(&batch.step(now)).0.filename, Some("b".into()));
        batch.ended(now);
        assert_eq!(batch.step(now), Step::Done);
    }

    #[test]
    fn totals_that_change_are_told_before_the_next_file() {
        let now = Instant::now();
        let mut batch = SendBatch::new(vec![file("a", 3), file("gone", 9), file("b", 4)], Pace::Prompt);
        batch.step(now);
        batch.skip(1);
        batch.add(vec![file("c", 5)]);
        batch.ended(now);
        let update = ShareUpdate { number_of_files: Some(3), total_payload_size: Some(12) };
        assert_eq!(batch.step(now), Step::Packet(update.into()));
        assert_eq!(share(&batch.step(now)).0.filename, Some("b".into()));
        batch.ended(now);
        assert_eq!(share(&batch.step(now)).0.filename, Some("c".into()));
    }

    #[test]
    fn what_is_expected_is_told_from_the_first_file_on() {
        let now = Instant::now();
        let mut batch = SendBatch::new(vec![file("a", 3)], Pace::Prompt);
        batch.expect(2, 7);
        let first = batch.step(now);
        assert_eq!((share(&first).0.number_of_files, share(&first).0.total_payload_size), (Some(2), Some(7)));
        batch.ended(now);
        batch.add(vec![file("b", 4)]);
        assert_eq!(share(&batch.step(now)).0.filename, Some("b".into()), "nothing changed");
    }

    #[test]
    fn old_desktops_get_time_to_write_a_file_before_the_next_one() {
        let now = Instant::now();
        let pace = Pace::of(Version::V7, DeviceType::Desktop);
        let mut batch = SendBatch::new(vec![file("a", 3), file("b", 4)], pace);
        batch.step(now);
        let after = now + Duration::from_secs(2);
        let again = now + Duration::from_secs(4);
        assert_eq!(batch.ended(after), Some(again), "another batch waits too");
        assert_eq!(batch.step(after), Step::Wait(Some(again)), "as long as it took");
        assert!(matches!(batch.step(again), Step::Payload { index: 1, .. }));
        batch.ended(again);
        assert_eq!(batch.step(again), Step::Done);
        for prompt in [Pace::of(Version::V7, DeviceType::Phone), Pace::of(Version::V8, DeviceType::Desktop)] {
            assert_eq!((prompt, prompt.limit()), (Pace::Prompt, None));
        }
    }

    fn offer(name: &str, files: i64) -> Share {
        Share { filename: Some(name.into()), number_of_files: Some(files), ..Default::default() }
    }
    fn at(port: u16, size: u64) -> Option<PayloadInfo> {
        Some(PayloadInfo { size: Some(size), port: Some(port) })
    }

    #[test]
    fn files_are_fetched_one_after_the_other() {
        let now = Instant::now();
        let mut batch = ReceiveBatch::default();
        let Ok(Taken::Fetch(first)) = batch.share(&offer("../../a", 3), at(1740, 5), now) else { panic!() };
        assert_eq!((first.name.as_str(), first.size, first.port), ("a", Some(5), Some(1740)));
        assert_eq!(batch.share(&offer("b", 3), at(1741, 5), now), Ok(Taken::Waits));
        assert_eq!(batch.ended(true, now).unwrap().name, "b".into());
        assert_eq!(batch.ended(false, now), None);
        let Ok(Taken::Fetch(empty)) = batch.share(&offer("c", 3), None, now) else { panic!() };
        assert_eq!((empty.size, empty.port), (Some(0), None));
        assert_eq!(batch.close(now), None, "one still runs");
        batch.ended(true, now);
        assert_eq!(batch.close(now), Some(Progress { ended: 3, failed: 1, files: 3, bytes: 0 }));
        assert_eq!((batch.timeout(), batch.close(now)), (None, None));
    }

    #[test]
    fn a_batch_whose_rest_never_comes_ends() {
        let now = Instant::now();
        let mut batch = ReceiveBatch::default();
        batch.share(&offer("a", 2), at(1740, 5), now).unwrap();
        batch.ended(true, now);
        assert_eq!(batch.close(now + NEXT_WITHIN), None);
        let progress = batch.close(batch.timeout().unwrap()).unwrap();
        assert_eq!((progress.ended, progress.files), (1, 2));
    }

    #[test]
    fn texts_links_and_nonsense_are_told_apart() {
        let now = Instant::now();
        let mut batch = ReceiveBatch::default();
        let text = Share { text: Some("hi".into()), ..Default::default() };
        assert_eq!(batch.share(&text, None, now), Ok(Taken::Text("hi".into())));
        let link = Share { url: Some("https://a".into()), ..Default::default() };
        assert_eq!(batch.share(&link, None, now), Ok(Taken::Link("https://a".into())));
        assert_eq!(batch.share(&Share::default(), None, now), Err(NotTaken::Nothing));
        let nowhere = Some(PayloadInfo { size: Some(5), port: None });
        assert_eq!(batch.share(&offer("a", 1), nowhere, now), Err(NotTaken::NoPayload));
        let taken = (0..1000).filter(|_| batch.share(&offer("a", i64::MAX), at(1740, 5), now).is_ok());
        assert_eq!(taken.count(), MAX_WAITING + 1);
    }

    #[test]
    fn names_are_plain_file_names() {
        let long = format!("{}.jpg", "ä".repeat(300));
        for (name, safe) in
            [("/etc/passwd", "passwd"), ("a\\b.txt", "b.txt"), ("..", "file"), ("x/", "file"), ("a\nb", "a_b")]
        {
            assert_eq!(file_name(&name.into()).as_str(), safe);
        }
        let cut = file_name(&long.as_str().into());
        assert!(cut.as_str().len() <= MAX_FILE_NAME && cut.as_str().ends_with(".jpg"));
    }
}
