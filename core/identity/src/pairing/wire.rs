//! Pairing frames as bytes: kind, role, then fields in a fixed order; texts and lists carry their length.

use accord_model::DeviceKind;

use super::{Claim, MAX_FRAME, PairingError, Purpose, Refusal, safe_name};
use crate::key::{Signature, StatementKey};

/// The only version so far.
pub(super) const VERSION: u8 = 1;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Initiator = 1,
    Responder = 2,
}

impl Role {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Which way in, without its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Code = 1,
    Ticket = 2,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub versions: Vec<u8>,
    pub purpose: Option<Purpose>,
    pub way: Option<Way>,
    pub transport: [u8; 32],
    pub commitment: [u8; 32],
    pub claim: Claim,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub version: u8,
    pub purpose: Option<Purpose>,
    pub way: Option<Way>,
    pub transport: [u8; 32],
    pub nonce: [u8; 32],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub statement: StatementKey,
    pub transport: [u8; 32],
    pub claim: Claim,
    pub by_statement: Signature,
    pub by_transport: Signature,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Hello(Hello),
    Reply(Reply),
    Reveal([u8; 32]),
    Confirm([u8; 32]),
    Record(Box<Record>),
    Abort(Refusal),
}

impl Frame {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Reply(_) => "reply",
            Self::Reveal(_) => "reveal",
            Self::Confirm(_) => "confirm",
            Self::Record(_) => "record",
            Self::Abort(_) => "abort",
        }
    }

    pub(super) fn encode(&self, role: Role) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(256));
        match self {
            Self::Hello(hello) => {
                out.head(1, role);
                out.text(&hello.versions);
                out.text(hello.purpose.map_or("", Purpose::as_str).as_bytes());
                out.byte(hello.way.map_or(0, |way| way as u8));
                out.fixed(&hello.transport);
                out.fixed(&hello.commitment);
                out.claim(&hello.claim);
            }
            Self::Reply(reply) => {
                out.head(2, role);
                out.byte(reply.version);
                out.text(reply.purpose.map_or("", Purpose::as_str).as_bytes());
                out.byte(reply.way.map_or(0, |way| way as u8));
                out.fixed(&reply.transport);
                out.fixed(&reply.nonce);
            }
            Self::Reveal(nonce) => {
                out.head(3, role);
                out.fixed(nonce);
            }
            Self::Confirm(mac) => {
                out.head(4, role);
                out.fixed(mac);
            }
            Self::Record(record) => {
                out.head(5, role);
                out.0.extend_from_slice(&signed_part(&record.statement, &record.transport, &record.claim));
                out.fixed(&record.by_statement);
                out.fixed(&record.by_transport);
            }
            Self::Abort(refusal) => {
                out.head(6, role);
                out.byte(refusal.code());
            }
        }
        out.0
    }

    /// Reads a frame and who says to have sent it. Every byte must be accounted for.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Role, Self), PairingError> {
        if bytes.len() > MAX_FRAME {
            return Err(PairingError::Malformed("longer than allowed"));
        }
        let mut input = Reader(bytes);
        let kind = input.byte()?;
        let role = match input.byte()? {
            1 => Role::Initiator,
            2 => Role::Responder,
            _ => return Err(PairingError::Malformed("unknown role")),
        };
        let frame = match kind {
            1 => Self::Hello(Hello {
                versions: input.text(16)?.to_vec(),
                purpose: input.purpose()?,
                way: input.way()?,
                transport: input.fixed()?,
                commitment: input.fixed()?,
                claim: input.claim()?,
            }),
            2 => Self::Reply(Reply {
                version: input.byte()?,
                purpose: input.purpose()?,
                way: input.way()?,
                transport: input.fixed()?,
                nonce: input.fixed()?,
            }),
            3 => Self::Reveal(input.fixed()?),
            4 => Self::Confirm(input.fixed()?),
            5 => Self::Record(Box::new(Record {
                statement: match input.byte()? {
                    StatementKey::ED25519 => StatementKey::Ed25519(input.fixed()?),
                    _ => return Err(PairingError::Malformed("unknown key algorithm")),
                },
                transport: input.fixed()?,
                claim: input.claim()?,
                by_statement: input.fixed()?,
                by_transport: input.fixed()?,
            })),
            6 => Self::Abort(Refusal::from_code(input.byte()?)),
            _ => return Err(PairingError::Malformed("unknown kind")),
        };
        if input.0.is_empty() { Ok((role, frame)) } else { Err(PairingError::Malformed("bytes left over")) }
    }
}

/// The part of a record that its signatures cover, besides role and transcript.
pub(super) fn signed_part(statement: &StatementKey, transport: &[u8; 32], claim: &Claim) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(160));
    out.byte(statement.algorithm());
    out.fixed(statement.as_bytes());
    out.fixed(transport);
    out.claim(claim);
    out.0
}

/// The same part of a record frame that was read, exactly as it came.
pub(super) fn signed_part_of(frame: &[u8]) -> &[u8] {
    frame.get(2..frame.len().saturating_sub(2 * size_of::<Signature>())).unwrap_or_default()
}

/// A frame that turns someone away before a run begins (busy, too many, not open).
pub fn refusal_frame(refusal: Refusal) -> Vec<u8> {
    Frame::Abort(refusal).encode(Role::Responder)
}

/// True for a frame with which a run begins. Whoever waits for one gives nothing to those who only connect.
pub fn is_hello(frame: &[u8]) -> bool {
    matches!(Frame::decode(frame), Ok((Role::Initiator, Frame::Hello(_))))
}

/// Entry for fuzzing: reads any bytes as a frame and writes back what was understood.
pub fn fuzz(bytes: &[u8]) {
    if let Ok((role, frame)) = Frame::decode(bytes) {
        let again = frame.encode(role);
        assert_eq!(Frame::decode(&again).ok(), Some((role, frame)), "what was read is written and read the same");
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn head(&mut self, kind: u8, role: Role) {
        self.0.extend([kind, role as u8]);
    }
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
    fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn text(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).expect("texts here are at most a few hundred bytes");
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }
    fn claim(&mut self, claim: &Claim) {
        self.text(claim.name.as_bytes());
        self.text(claim.kind.as_str().as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PairingError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(PairingError::Malformed("cut short"))?;
        self.0 = rest;
        Ok(head)
    }
    fn byte(&mut self) -> Result<u8, PairingError> {
        Ok(self.take(1)?[0])
    }
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], PairingError> {
        self.take(N)?.try_into().map_err(|_| PairingError::Malformed("cut short"))
    }
    fn text(&mut self, limit: usize) -> Result<&'a [u8], PairingError> {
        let len = usize::from(u16::from_be_bytes(self.fixed()?));
        if len > limit {
            return Err(PairingError::Malformed("a text longer than allowed"));
        }
        self.take(len)
    }
    fn utf8(&mut self, limit: usize) -> Result<&'a str, PairingError> {
        std::str::from_utf8(self.text(limit)?).map_err(|_| PairingError::Malformed("not UTF-8"))
    }
    fn purpose(&mut self) -> Result<Option<Purpose>, PairingError> {
        self.utf8(32).map(Purpose::parse)
    }
    fn way(&mut self) -> Result<Option<Way>, PairingError> {
        Ok(match self.byte()? {
            1 => Some(Way::Code),
            2 => Some(Way::Ticket),
            _ => None,
        })
    }
    fn claim(&mut self) -> Result<Claim, PairingError> {
        let name = safe_name(self.utf8(4 * super::MAX_NAME)?);
        let kind = self.utf8(32)?.parse().unwrap_or(DeviceKind::Other);
        Ok(Claim { name, kind })
    }
}
