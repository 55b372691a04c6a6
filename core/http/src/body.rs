//! Bodies, in the portions in which they come.

use super::{BodyLength, HttpError};

/// Longest line with the size of a chunk, in bytes; extensions are passed over.
pub const MAX_CHUNK_LINE: usize = 256;
/// Most bytes of trailers.
const MAX_TRAILERS: usize = 4096;

/// Takes the framing off a body.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Bytes(u64),
    Forever,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

impl BodyReader {
    /// For a body whose length is told like this.
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Exactly(0) => State::Done,
            BodyLength::Exactly(length) => State::Bytes(length),
            BodyLength::Chunked => State::ChunkSize,
            BodyLength::UntilClose => State::Forever,
        };
        Self { state, line: Vec::new(), trailers: 0 }
    }

    /// True when the body is complete. What `input` still holds belongs to the next message.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
    /// True when the end of the connection is the end of the body.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::Forever
    }

    /// The next piece of content at the front of `input`; nothing when there is none, or none any more.
    ///
    /// # Errors
    /// [`HttpError::Malformed`].
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, HttpError> {
        while !input.is_empty() {
            match self.state {
                State::Done => return Ok(None),
                State::Forever => return Ok(Some(std::mem::take(input))),
                State::Bytes(left) => {
                    let (piece, left) = split(input, left);
                    self.state = if left == 0 { State::Done } else { State::Bytes(left) };
                    return Ok(Some(piece));
                }
                State::Chunk(left) => {
                    let (piece, left) = split(input, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(Some(piece));
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.take_line(input)?,
            }
        }
        Ok(None)
    }

    fn take_line(&mut self, input: &mut &[u8]) -> Result<(), HttpError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        if self.line.len() + piece.len() > MAX_CHUNK_LINE {
            return Err(HttpError::Malformed("a line between chunks is too long"));
        }
        self.line.extend_from_slice(piece);
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err(HttpError::Malformed("a line between chunks has no end"));
        };
        self.state = match self.state {
            State::ChunkEnd if text.is_empty() => State::ChunkSize,
            State::ChunkSize => match httparse::parse_chunk_size(&line) {
                Ok(httparse::Status::Complete((_, 0))) => State::Trailer,
                Ok(httparse::Status::Complete((_, size))) => State::Chunk(size),
                _ => return Err(HttpError::Malformed("the size of a chunk is no number")),
            },
            State::Trailer if text.is_empty() => State::Done,
            State::Trailer => {
                self.trailers += line.len();
                if self.trailers > MAX_TRAILERS {
                    return Err(HttpError::Malformed("its trailers are too long"));
                }
                State::Trailer
            }
            _ => return Err(HttpError::Malformed("a chunk is longer than it says")),
        };
        Ok(())
    }
}

fn split<'a>(input: &mut &'a [u8], left: u64) -> (&'a [u8], u64) {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (piece, rest) = input.split_at(length);
    *input = rest;
    (piece, left - length as u64)
}

/// All content of a chunked body that comes in portions of `step` bytes.
pub(super) fn read_all(bytes: &[u8], step: usize) -> Result<(Vec<u8>, bool), HttpError> {
    let mut reader = BodyReader::new(BodyLength::Chunked);
    let mut content = Vec::new();
    for mut portion in bytes.chunks(step) {
        while let Some(piece) = reader.next(&mut portion)? {
            content.extend_from_slice(piece);
        }
    }
    Ok((content, reader.is_done()))
}
