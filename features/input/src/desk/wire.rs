//! A connection to an X server: requests out, replies in (X11 protocol, section 1). The messages are `x11rb-protocol`'s,
//! the socket is the outlet's.

use std::time::Duration;

use accord_consent::outlet::local;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use x11rb_protocol::connect::Connect;
use x11rb_protocol::protocol::xproto::{GetInputFocusRequest, Setup};
use x11rb_protocol::x11_utils::{ReplyRequest, Request, TryParse, VoidRequest};
use x11rb_protocol::xauth::{self, Family};

use super::DeskError;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A reply is at most so long: what we ask for fits many times.
const MAX_REPLY: usize = 1 << 20;
const HEADER: usize = 32;
const ERROR: u8 = 0;
const REPLY: u8 = 1;
const GENERIC: u8 = 35;
pub(super) const MAPPING_NOTIFY: u8 = 34;

/// One connection.
pub(super) struct Wire {
    stream: tokio::net::UnixStream,
    /// Of the last request.
    sequence: u16,
    out: Vec<u8>,
    /// The keyboard mapping was changed from this key on, for so many keys.
    pub remapped: Vec<(u8, u8)>,
}

impl Wire {
    /// Connects to the display that the environment names.
    pub async fn connect(display: &str) -> Result<(Self, Setup), DeskError> {
        let connecting = async {
            let (mut stream, number) =
                local::display(display).await.map_err(|error| DeskError::None(error.to_string()))?;
            let authority = tokio::task::spawn_blocking(move || authority(number)).await.ok().flatten();
            let (name, data) = authority.unwrap_or_default();
            let (mut connect, request) = Connect::with_authorization(name, data);
            stream.write_all(&request).await.map_err(gone)?;
            loop {
                let read = stream.read(connect.buffer()).await.map_err(gone)?;
                if read == 0 {
                    return Err(DeskError::None("the X server hung up".into()));
                }
                if connect.advance(read) {
                    break;
                }
            }
            let why = |error: &dyn std::fmt::Display| {
                DeskError::None(format!(
                    "the X server does not let us in: {}",
                    accord_model::text::for_screen(&error.to_string(), 200)
                ))
            };
            let setup = connect.into_setup().map_err(|error| why(&error))?;
            Ok((Self { stream, sequence: 0, out: Vec::new(), remapped: Vec::new() }, setup))
        };
        tokio::time::timeout(CONNECT_WITHIN, connecting).await.unwrap_or(Err(DeskError::Deadline))
    }

    /// A request without an answer, to be sent with the next that has one. `opcode` is the extension's.
    pub fn put<R: VoidRequest>(&mut self, request: R, opcode: u8) {
        self.queue(request, opcode);
    }

    /// A request and its answer.
    pub async fn ask<R: ReplyRequest>(&mut self, request: R) -> Result<R::Reply, DeskError>
    where
        R::Reply: TryParse,
    {
        self.queue(request, 0);
        let reply = self.reply().await?;
        let (reply, _) = R::Reply::try_parse(&reply).map_err(|error| DeskError::Gone(error.to_string()))?;
        Ok(reply)
    }

    /// Sends what was put, without waiting for the server to do it.
    pub async fn flush(&mut self) -> Result<(), DeskError> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out).await.map_err(gone)
    }

    /// Sends what was put, and waits until the server did it; an error of any of it is the outcome.
    pub async fn sync(&mut self) -> Result<(), DeskError> {
        self.ask(GetInputFocusRequest).await.map(drop)
    }

    fn queue<R: Request>(&mut self, request: R, opcode: u8) {
        let (bytes, _) = Request::serialize(request, opcode);
        self.out.extend(bytes);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// The answer to the last request.
    async fn reply(&mut self) -> Result<Vec<u8>, DeskError> {
        self.flush().await?;
        let mut failed = None;
        loop {
            let mut packet = vec![0; HEADER];
            self.stream.read_exact(&mut packet).await.map_err(gone)?;
            let kind = packet[0] & 0x7f;
            if matches!(packet[0], REPLY | GENERIC) {
                let length = u32::from_ne_bytes([packet[4], packet[5], packet[6], packet[7]]);
                let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_mul(4);
                if length > MAX_REPLY {
                    return Err(DeskError::Gone("the X server says too much".into()));
                }
                packet.resize(HEADER + length, 0);
                self.stream.read_exact(&mut packet[HEADER..]).await.map_err(gone)?;
            }
            let is_last = u16::from_ne_bytes([packet[2], packet[3]]) == self.sequence;
            match packet[0] {
                // X11 protocol, section 4: code and what was asked; nothing of what was typed.
                ERROR => {
                    let (code, opcode) = (packet[1], packet[10]);
                    let error = DeskError::Refused(format!("error {code} of the X server to request {opcode}"));
                    if is_last {
                        return Err(error);
                    }
                    failed = Some(error);
                }
                REPLY if is_last => return failed.map_or(Ok(packet), Err),
                _ if kind == MAPPING_NOTIFY && self.remapped.len() < 256 => self.remapped.push((packet[5], packet[6])),
                _ => {}
            }
        }
    }
}

/// What shows the server that we are this desktop's: the cookie in the user's authority file.
fn authority(display: u16) -> Option<(Vec<u8>, Vec<u8>)> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    xauth::get_auth(Family::LOCAL, host.trim().as_bytes(), display).ok().flatten()
}

fn gone(error: std::io::Error) -> DeskError {
    DeskError::Gone(error.to_string())
}
