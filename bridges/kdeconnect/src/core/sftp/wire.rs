//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02): a length, a type, and numbers and strings. Nothing is made
//! room for that did not come.

use accord_model::text::for_screen;
use accord_ports::storage::is_name;

use super::SftpError;

/// The version that we speak; servers of later ones speak it too.
pub(super) const VERSION: u32 = 3;
/// Longest packet that is taken; the usual servers send no longer one.
pub(super) const MAX_PACKET: usize = 256 * 1024 + 1024;
/// Longest handle (section 6.2).
const MAX_HANDLE: usize = 256;

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const STAT: u8 = 17;

/// What is asked of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Init,
    OpenFolder(&'a str),
    ReadFolder(&'a [u8]),
    Stat(&'a str),
    OpenFile(&'a str),
    Read { handle: &'a [u8], offset: u64, length: u32 },
    Close(&'a [u8]),
}

impl Request<'_> {
    /// The whole packet. The version's has no number.
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let (kind, mut body) = match self {
            Self::Init => (INIT, Vec::new()),
            Self::OpenFolder(path) => (OPENDIR, string(path.as_bytes())),
            Self::ReadFolder(handle) => (READDIR, string(handle)),
            Self::Stat(path) => (STAT, string(path.as_bytes())),
            Self::OpenFile(path) => (OPEN, string(path.as_bytes())),
            Self::Read { handle, .. } => (READ, string(handle)),
            Self::Close(handle) => (CLOSE, string(handle)),
        };
        match self {
            // For reading, with no attributes.
            Self::OpenFile(_) => body.extend([0, 0, 0, 1, 0, 0, 0, 0]),
            Self::Read { offset, length, .. } => {
                body.extend(offset.to_be_bytes());
                body.extend(length.to_be_bytes());
            }
            _ => {}
        }
        let number = if *self == Self::Init { VERSION } else { id };
        let length = u32::try_from(body.len() + 5).unwrap_or(u32::MAX);
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(kind);
        packet.extend(number.to_be_bytes());
        packet.append(&mut body);
        packet
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// What a server says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    pub size: Option<u64>,
    /// As POSIX has it: what it is, and who may what.
    pub mode: Option<u32>,
    pub modified: Option<u32>,
}

/// One entry of a folder, with a name that is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub name: String,
    pub attributes: Attributes,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Version(u32),
    Status {
        code: u32,
        message: String,
    },
    Handle(Vec<u8>),
    Data(Vec<u8>),
    /// Entries, how many there were, and how many of them have no usable name.
    Names {
        entries: Vec<Named>,
        nameless: u64,
        all: u64,
    },
    Attributes(Attributes),
}

/// End of a file or folder.
pub(super) const EOF: u32 = 1;
pub(super) const NOT_FOUND: u32 = 2;
pub(super) const DENIED: u32 = 3;

/// Takes the next whole packet out of what came: its number and what it says. `.` and `..` are left out.
///
/// # Errors
/// [`SftpError`] when it is too long or makes no sense.
pub(super) fn next(came: &mut Vec<u8>) -> Result<Option<(u32, Reply)>, SftpError> {
    let Some(head) = came.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if !(5..=MAX_PACKET).contains(&length) {
        return Err(SftpError::Length(length));
    }
    if came.len() < 4 + length {
        return Ok(None);
    }
    let read = read(&came[4..4 + length]);
    came.drain(..4 + length);
    read.map(Some)
}

fn read(packet: &[u8]) -> Result<(u32, Reply), SftpError> {
    let mut from = Reader(packet);
    let kind = from.byte()?;
    let number = from.number()?;
    let reply = match kind {
        // What follows are the server's extensions, which we do not use.
        2 => return Ok((0, Reply::Version(number))),
        101 => {
            let code = from.number()?;
            // Old servers leave the words out.
            let message = from.string().map(String::from_utf8_lossy).unwrap_or_default();
            Reply::Status { code, message: for_screen(&message, 200) }
        }
        102 => match from.string()? {
            handle if handle.len() <= MAX_HANDLE => Reply::Handle(handle.to_vec()),
            _ => return Err(SftpError::Malformed),
        },
        103 => Reply::Data(from.string()?.to_vec()),
        104 => names(&mut from)?,
        105 => Reply::Attributes(from.attributes()?),
        _ => return Err(SftpError::Malformed),
    };
    Ok((number, reply))
}

fn names(from: &mut Reader<'_>) -> Result<Reply, SftpError> {
    let count = from.number()?;
    let (mut entries, mut nameless) = (Vec::new(), 0);
    for _ in 0..count {
        let name = from.string()?;
        // What `ls -l` would print.
        from.string()?;
        let attributes = from.attributes()?;
        match std::str::from_utf8(name) {
            Ok("." | "..") => {}
            Ok(name) if is_name(name) => entries.push(Named { name: name.to_owned(), attributes }),
            _ => nameless += 1,
        }
    }
    Ok(Reply::Names { entries, nameless, all: u64::from(count) })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], SftpError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SftpError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
    fn byte(&mut self) -> Result<u8, SftpError> {
        self.take(1).map(|taken| taken[0])
    }
    fn number(&mut self) -> Result<u32, SftpError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SftpError::Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*taken))
    }
    fn long(&mut self) -> Result<u64, SftpError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SftpError::Malformed)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*taken))
    }
    fn string(&mut self) -> Result<&'a [u8], SftpError> {
        let length = self.number()?;
        self.take(length as usize)
    }
    /// Section 5.
    fn attributes(&mut self) -> Result<Attributes, SftpError> {
        let flags = self.number()?;
        let has = |flag: u32| flags & flag != 0;
        let mut attributes = Attributes::default();
        if has(1) {
            attributes.size = Some(self.long()?);
        }
        if has(2) {
            self.take(8)?;
        }
        if has(4) {
            attributes.mode = Some(self.number()?);
        }
        if has(8) {
            self.number()?;
            attributes.modified = Some(self.number()?);
        }
        if has(0x8000_0000) {
            for _ in 0..self.number()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(attributes)
    }
}
