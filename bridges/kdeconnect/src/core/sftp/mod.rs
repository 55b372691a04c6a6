//! Looking into a phone: the client's side of SFTP, for one job on a channel of its own: to list a folder, or to get a file.
//! What is read is asked for in a window, so that a file comes as fast as the network is, and no faster than it is taken.

#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use accord_ports::storage::{Entry, Kind, MAX_ENTRIES, join, sort};

use self::wire::{Attributes, Reply, Request};

/// A server that says nothing for this long is gone.
pub const STALL_TIME: Duration = Duration::from_secs(30);
/// Bytes that one request asks for: what every server gives at once.
const CHUNK: u32 = 32 * 1024;
/// Requests under way.
const WINDOW: usize = 16;
/// Answers about a folder that bring nothing new, after which the server is not believed.
const EMPTY_ANSWERS: u32 = 64;

/// What happens to the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes of the channel.
    Bytes(&'a [u8]),
    /// The channel ended.
    Closed,
    /// Time passed.
    Timeout,
}

/// What the machine wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Put this on the channel.
    Transmit(Vec<u8>),
    /// This happened.
    Event(Event),
    /// Nothing until more comes, or until then.
    Wait(Option<Instant>),
}

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The folder, sorted.
    Listed(Listing),
    /// It is a file. Its content is asked for after [`Sftp::go_on`].
    Found {
        /// Bytes.
        size: u64,
        /// When it was changed last, in seconds since 1970.
        modified: Option<i64>,
    },
    /// The next bytes of the file.
    Data(Vec<u8>),
    /// All of the file came.
    Done,
    /// It did not work. Nothing comes after this.
    Failed(SftpError),
}

/// What is in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Folders first.
    pub entries: Vec<Entry>,
    /// There are more than [`MAX_ENTRIES`].
    pub more: bool,
    /// Entries without a usable name.
    pub nameless: u64,
}

/// Why it did not work, in words for the owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SftpError {
    /// A packet of no sensible length.
    #[error("it sent a packet of {0} bytes, which is none of SFTP")]
    Length(usize),
    /// A packet that cannot be read, or that nobody asked for.
    #[error("it answers in no way that SFTP knows")]
    Malformed,
    /// It speaks a version that we do not.
    #[error("it speaks version {0} of SFTP only")]
    Version(u32),
    /// See there.
    #[error("there is no such file or folder on it")]
    NotFound,
    /// The device's owner, or its system, does not show this.
    #[error("it does not let this be seen; allow it in its KDE Connect app, or choose another folder")]
    Denied,
    /// Neither a folder nor a file that could be had.
    #[error("that is no file")]
    NoFile,
    /// What the server says, escaped.
    #[error("it cannot do that ({0})")]
    Said(String),
    /// Fewer bytes came than it said there were.
    #[error("the file changed while it was read: {got} of {size} bytes came")]
    Short {
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        size: u64,
    },
    /// The connection ended.
    #[error("it closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("it said nothing for {} s; is it awake?", STALL_TIME.as_secs())]
    Stalled,
}

#[derive(Debug)]
enum Step {
    /// The version was asked for.
    Hello,
    OpenFolder,
    Folder {
        handle: Vec<u8>,
        listing: Listing,
        empty: u32,
    },
    Stat,
    /// Until the owner of this machine takes the file.
    Found(u64),
    OpenFile(u64),
    File(Reading),
    Over,
}

#[derive(Debug)]
struct Reading {
    handle: Vec<u8>,
    size: u64,
    /// Where the next request begins.
    at: u64,
    /// What was asked for, in order.
    asked: VecDeque<Portion>,
    /// Bytes that were handed on.
    got: u64,
    /// Portions that wait to be taken.
    ready: usize,
}

#[derive(Debug)]
struct Portion {
    id: u32,
    offset: u64,
    length: u32,
    came: Vec<u8>,
}

impl Portion {
    fn is_whole(&self) -> bool {
        self.came.len() == self.length as usize
    }
}

#[derive(Debug)]
enum Job {
    List(String),
    Get(String),
}

/// One job.
#[derive(Debug)]
pub struct Sftp {
    job: Job,
    step: Step,
    came: Vec<u8>,
    out: VecDeque<Output>,
    next: u32,
    /// The one answer that is due, unless a file is read.
    due: u32,
    until: Option<Instant>,
}

impl Sftp {
    /// Lists a folder.
    pub fn list(path: &str, now: Instant) -> Self {
        Self::new(Job::List(path.to_owned()), now)
    }

    /// Gets a file.
    pub fn get(path: &str, now: Instant) -> Self {
        Self::new(Job::Get(path.to_owned()), now)
    }

    fn new(job: Job, now: Instant) -> Self {
        let until = Some(now + STALL_TIME);
        let mut sftp = Self { job, step: Step::Hello, came: Vec::new(), out: VecDeque::new(), next: 0, due: 0, until };
        sftp.out.push_back(Output::Transmit(Request::Init.encode(0)));
        sftp
    }

    /// The file that was found is wanted.
    pub fn go_on(&mut self, now: Instant) {
        if let (Step::Found(size), Job::Get(path)) = (&self.step, &self.job) {
            let (size, path) = (*size, path.clone());
            self.step = Step::OpenFile(size);
            self.ask(&Request::OpenFile(&path));
            self.until = Some(now + STALL_TIME);
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.step, Step::Over) {
            return;
        }
        let outcome = match input {
            Input::Bytes(bytes) => self.bytes(bytes, now),
            Input::Closed => Err(SftpError::Closed),
            Input::Timeout if self.until.is_some_and(|until| until <= now) => Err(SftpError::Stalled),
            Input::Timeout => Ok(()),
        };
        if let Err(error) = outcome {
            self.over(Event::Failed(error));
        }
    }

    /// Gives one output. More of a file is asked for as it is taken from here.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        let output = self.out.pop_front();
        if matches!(output, Some(Output::Event(Event::Data(_)))) {
            if let Step::File(reading) = &mut self.step {
                reading.ready -= 1;
            }
            self.read_on();
            // Whoever takes its time with a portion is not waited for here.
            self.until = self.until.map(|until| until.max(now + STALL_TIME));
        }
        output.unwrap_or(Output::Wait(self.until))
    }

    fn bytes(&mut self, bytes: &[u8], now: Instant) -> Result<(), SftpError> {
        self.came.extend_from_slice(bytes);
        while let Some((id, reply)) = wire::next(&mut self.came)? {
            self.until = self.until.map(|_| now + STALL_TIME);
            self.reply(id, reply)?;
            if matches!(self.step, Step::Over) {
                break;
            }
        }
        Ok(())
    }

    fn reply(&mut self, id: u32, reply: Reply) -> Result<(), SftpError> {
        if let Step::File(_) = self.step {
            return self.portion(id, reply);
        }
        let is_hello = matches!(self.step, Step::Hello);
        if is_hello != matches!(reply, Reply::Version(_)) || (!is_hello && id != self.due) {
            return Err(SftpError::Malformed);
        }
        match (std::mem::replace(&mut self.step, Step::Over), reply) {
            (Step::Hello, Reply::Version(wire::VERSION..)) => self.begin(),
            (Step::Hello, Reply::Version(version)) => return Err(SftpError::Version(version)),
            (Step::OpenFolder, Reply::Handle(handle)) => {
                self.ask(&Request::ReadFolder(&handle));
                self.step = Step::Folder { handle, listing: Listing::default(), empty: 0 };
            }
            (Step::Folder { handle, listing, empty }, reply) => self.folder(handle, listing, empty, reply)?,
            (Step::Stat, Reply::Attributes(attributes)) => self.found(attributes)?,
            (Step::OpenFile(size), Reply::Handle(handle)) => {
                let asked = VecDeque::new();
                self.step = Step::File(Reading { handle, size, at: 0, asked, got: 0, ready: 0 });
                self.read_on();
            }
            (_, Reply::Status { code, message }) => return Err(refused(code, message)),
            _ => return Err(SftpError::Malformed),
        }
        Ok(())
    }

    fn begin(&mut self) {
        match &self.job {
            Job::List(path) => {
                let path = path.clone();
                self.step = Step::OpenFolder;
                self.ask(&Request::OpenFolder(&path));
            }
            Job::Get(path) => {
                let path = path.clone();
                self.step = Step::Stat;
                self.ask(&Request::Stat(&path));
            }
        }
    }

    fn folder(&mut self, handle: Vec<u8>, mut listing: Listing, empty: u32, reply: Reply) -> Result<(), SftpError> {
        let Job::List(path) = &self.job else { return Err(SftpError::Malformed) };
        let (entries, nameless, all) = match reply {
            Reply::Names { entries, nameless, all } => (entries, nameless, all),
            Reply::Status { code: wire::EOF, .. } => {
                self.listed(&handle, listing);
                return Ok(());
            }
            Reply::Status { code, message } => return Err(refused(code, message)),
            _ => return Err(SftpError::Malformed),
        };
        let empty = if entries.is_empty() { empty + 1 } else { 0 };
        if all == 0 || empty > EMPTY_ANSWERS {
            return Err(SftpError::Malformed);
        }
        listing.nameless = listing.nameless.saturating_add(nameless);
        let room = MAX_ENTRIES - listing.entries.len();
        listing.more = entries.len() > room;
        let path = path.clone();
        listing.entries.extend(entries.into_iter().take(room).map(|one| entry(&path, one.name, one.attributes)));
        if listing.more {
            self.listed(&handle, listing);
            return Ok(());
        }
        self.ask(&Request::ReadFolder(&handle));
        self.step = Step::Folder { handle, listing, empty };
        Ok(())
    }

    fn listed(&mut self, handle: &[u8], mut listing: Listing) {
        sort(&mut listing.entries);
        self.ask(&Request::Close(handle));
        self.over(Event::Listed(listing));
    }

    fn found(&mut self, attributes: Attributes) -> Result<(), SftpError> {
        let (Kind::File, Some(size)) = (kind(attributes), attributes.size) else { return Err(SftpError::NoFile) };
        let modified = attributes.modified.map(i64::from);
        self.step = Step::Found(size);
        self.until = None;
        self.out.push_back(Output::Event(Event::Found { size, modified }));
        Ok(())
    }

    fn portion(&mut self, id: u32, reply: Reply) -> Result<(), SftpError> {
        let Step::File(reading) = &mut self.step else { return Err(SftpError::Malformed) };
        let (got, size) = (reading.got, reading.size);
        let Some(portion) = reading.asked.iter_mut().find(|portion| portion.id == id) else {
            return Err(SftpError::Malformed);
        };
        match reply {
            Reply::Data(data) => {
                if data.is_empty() || portion.came.len() + data.len() > portion.length as usize {
                    return Err(SftpError::Malformed);
                }
                portion.came.extend(data);
            }
            Reply::Status { code: wire::EOF, .. } => return Err(SftpError::Short { got, size }),
            Reply::Status { code, message } => return Err(refused(code, message)),
            _ => return Err(SftpError::Malformed),
        }
        if !portion.is_whole() {
            // Servers may give less than was asked for (section 6.4).
            self.next += 1;
            portion.id = self.next;
            let offset = portion.offset + portion.came.len() as u64;
            let length = portion.length - portion.came.len() as u32;
            let packet = Request::Read { handle: &reading.handle, offset, length }.encode(self.next);
            self.out.push_back(Output::Transmit(packet));
        }
        while reading.asked.front().is_some_and(Portion::is_whole) {
            let Some(portion) = reading.asked.pop_front() else { break };
            reading.got += portion.came.len() as u64;
            reading.ready += 1;
            self.out.push_back(Output::Event(Event::Data(portion.came)));
        }
        self.read_on();
        Ok(())
    }

    /// Asks for as much of the file as the window has room for.
    fn read_on(&mut self) {
        let Step::File(reading) = &mut self.step else { return };
        while reading.at < reading.size && reading.asked.len() + reading.ready < WINDOW {
            let length = u32::try_from(reading.size - reading.at).unwrap_or(CHUNK).min(CHUNK);
            self.next += 1;
            let (id, offset) = (self.next, reading.at);
            let packet = Request::Read { handle: &reading.handle, offset, length }.encode(id);
            self.out.push_back(Output::Transmit(packet));
            reading.asked.push_back(Portion { id, offset, length, came: Vec::new() });
            reading.at += u64::from(length);
        }
        if reading.got == reading.size {
            let handle = std::mem::take(&mut reading.handle);
            self.ask(&Request::Close(&handle));
            self.over(Event::Done);
        }
    }

    fn ask(&mut self, request: &Request<'_>) {
        self.next += 1;
        self.due = self.next;
        self.out.push_back(Output::Transmit(request.encode(self.next)));
    }

    fn over(&mut self, event: Event) {
        self.step = Step::Over;
        self.until = None;
        self.came = Vec::new();
        self.out.push_back(Output::Event(event));
    }
}

fn entry(folder: &str, name: String, attributes: Attributes) -> Entry {
    let kind = kind(attributes);
    let size = attributes.size.filter(|_| kind == Kind::File);
    Entry { path: join(folder, &name), name, kind, size, modified: attributes.modified.map(i64::from) }
}

/// By the mode's file type. A server that tells no mode tells a file.
fn kind(attributes: Attributes) -> Kind {
    match attributes.mode.map(|mode| mode & 0o170_000) {
        Some(0o040_000) => Kind::Folder,
        Some(0o120_000) => Kind::Link,
        None | Some(0 | 0o100_000) => Kind::File,
        Some(_) => Kind::Other,
    }
}

fn refused(code: u32, message: String) -> SftpError {
    match code {
        wire::NOT_FOUND => SftpError::NotFound,
        wire::DENIED => SftpError::Denied,
        _ if message.is_empty() => SftpError::Said(format!("error {code}")),
        _ => SftpError::Said(message),
    }
}
