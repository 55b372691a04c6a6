//! What a node is told, and what it answers: the messages of the interaction model.
//!
//! Matter Core Specification 1.4: 8.7 (write), 8.8 (invoke), 8.10 (statuses), 10.2.1 (opcodes).

use std::fmt;

use super::answer::{No, judge};
use matter_interaction::{
    AttributePath, AttributeWriteRequest, CommandPath, InvokeResponse, build_invoke_request,
    build_invoke_request_timed, build_write_request, build_write_request_timed, parse_invoke_response,
    parse_status_response, parse_write_response,
};

/// The messages of the interaction model (10.2.1).
pub(super) mod opcode {
    pub(crate) const STATUS: u8 = 0x01;
    pub(crate) const READ: u8 = 0x02;
    pub(crate) const SUBSCRIBE: u8 = 0x03;
    pub(crate) const SUBSCRIBED: u8 = 0x04;
    pub(crate) const REPORT: u8 = 0x05;
    pub(crate) const WRITE: u8 = 0x06;
    pub(crate) const WRITTEN: u8 = 0x07;
    pub(crate) const INVOKE: u8 = 0x08;
    pub(crate) const INVOKED: u8 = 0x09;
    pub(crate) const TIMED: u8 = 0x0a;
}

/// What a node is told.
#[derive(Clone, PartialEq)]
pub enum Word {
    /// A command with its fields, as TLV.
    Invoke {
        /// Which.
        path: CommandPath,
        /// An anonymous structure.
        fields: Vec<u8>,
        /// It must be announced before (8.8.2.1).
        timed: bool,
    },
    /// An attribute gets a value, as TLV.
    Write {
        /// Which.
        path: AttributePath,
        /// One element.
        value: Vec<u8>,
        /// It must be announced before.
        timed: bool,
    },
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invoke { path, .. } => f.debug_tuple("Invoke").field(path).finish(),
            Self::Write { path, .. } => f.debug_tuple("Write").field(path).finish(),
        }
    }
}

/// Why a word had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The node's status (8.10.1).
    #[error("the device refuses it: {}", status_name(*.0))]
    Status(u8),
    /// It answered that it did not, and why.
    #[error("the device refuses it: {0}")]
    Refused(String),
    /// Too much is under way.
    #[error("the device has not done yet what was wanted before")]
    Busy,
    /// Nobody wants it any more, or its time was over before it was said.
    #[error("it was not begun in time")]
    Expired,
    /// No answer in time.
    #[error("the device did not answer")]
    Late,
    /// It answered what makes no sense.
    #[error("the device answered what cannot be read: {0}")]
    Garbled(String),
}

/// A status in words (8.10.1; the numbers are those of `StatusCodeList.h` of the SDK, from 0xcc on of specification 1.4 and 1.4.1).
pub fn status_name(code: u8) -> String {
    let name = match code {
        0x01 => "it failed",
        0x7d => "the subscription is not known there",
        0x7e => "this machine may not do that there",
        0x7f => "it has no such part",
        0x80 => "it does not take that kind of request",
        0x81 => "it does not know that command",
        0x85 => "the command is malformed",
        0x86 => "it has no such attribute",
        0x87 => "the value is out of its range",
        0x88 => "it cannot be written",
        0x89 => "it has no room for that",
        0x8b => "it has no such thing",
        0x8c => "it does not tell of changes of that",
        0x8d => "the value is of the wrong type",
        0x8f => "it cannot be read",
        0x92 => "its data changed meanwhile",
        0x94 => "it took too long",
        0x9b => "it is not that device",
        0x9c => "it is busy",
        0x9d => "its maker or its network does not let this machine do that",
        0xc3 => "it has no such service",
        0xc5 => "what is behind it is not told of there",
        0xc6 => "it must be announced before",
        0xc7 => "it has no such event",
        0xc8 => "that is more than it can be asked at once",
        0xc9 => "it was announced otherwise than it came",
        0xca => "only while it is being added",
        0xcb => "its present state does not allow that",
        0xcc => "it has no answer to that command",
        0xcd => "its maker's terms changed and have to be accepted, in the maker's app",
        0xce => "it needs maintenance first",
        0xcf => "the value is not possible just now",
        0xd0 => "it is there already",
        0xd1 => "not over this kind of connection",
        code => return format!("status 0x{code:02x}"),
    };
    name.to_owned()
}

pub(super) fn encode(word: &Word, timed: bool) -> (u8, Vec<u8>) {
    match word {
        Word::Invoke { path, fields, .. } if timed => (opcode::INVOKE, build_invoke_request_timed(*path, fields)),
        Word::Invoke { path, fields, .. } => (opcode::INVOKE, build_invoke_request(*path, fields)),
        Word::Write { path, value, .. } => {
            let write = [AttributeWriteRequest { path: *path, value_tlv: value.clone() }];
            (opcode::WRITE, if timed { build_write_request_timed(&write) } else { build_write_request(&write) })
        }
    }
}

/// What came of a word.
pub(super) fn outcome(word: &Word, opcode: u8, payload: &[u8]) -> Result<Vec<u8>, Trouble> {
    let garbled = |error: matter_interaction::ImError| Trouble::Garbled(error.to_string());
    let judged = |code: u8| if code == 0 { Ok(Vec::new()) } else { Err(Trouble::Status(code)) };
    match (word, opcode) {
        (_, opcode::STATUS) => judged(parse_status_response(payload).map_err(garbled)?.unwrap_or(1)),
        (Word::Invoke { path, .. }, opcode::INVOKED) => match parse_invoke_response(payload).map_err(garbled)? {
            InvokeResponse::Status(status) => judged(status.to_u8()),
            InvokeResponse::Command { path: of, .. } if (of.endpoint, of.cluster) != (path.endpoint, path.cluster) => {
                Err(something_else())
            }
            InvokeResponse::Command { path: of, fields_tlv } => match judge(of.cluster, of.command, &fields_tlv) {
                Ok(()) => Ok(fields_tlv),
                Err(No::Refused(why)) => Err(Trouble::Refused(why)),
                Err(No::Garbled(why)) => Err(Trouble::Garbled(why)),
            },
        },
        (Word::Write { .. }, opcode::WRITTEN) => {
            let statuses = parse_write_response(payload).map_err(garbled)?;
            let failed = statuses.iter().find(|(_, status)| !status.is_success());
            judged(failed.map_or(0, |(_, status)| status.to_u8()))
        }
        _ => Err(something_else()),
    }
}

fn something_else() -> Trouble {
    Trouble::Garbled("an answer to something else".to_owned())
}
