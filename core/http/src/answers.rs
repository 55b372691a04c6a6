//! One answer of a peer, taken whole.

use super::{BodyLength, BodyReader, HttpError, ResponseHead, head_of_response};

/// Reads the answer to one request on a connection, as it comes. Interim answers (1xx) are none.
#[derive(Debug)]
pub struct Answer {
    longest: usize,
    /// Bytes of the head.
    early: Vec<u8>,
    head: Option<(ResponseHead, BodyReader)>,
    body: Vec<u8>,
}

impl Answer {
    /// Its body has at most `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Self { longest, early: Vec::new(), head: None, body: Vec::new() }
    }

    /// Takes the bytes that came, in any portions; `end`: there are no more. The status and the body once both are whole, which is
    /// said once.
    ///
    /// # Errors
    /// [`HttpError`]; [`HttpError::CutShort`] when it ends before it is whole.
    pub fn take(&mut self, bytes: &[u8], end: bool) -> Result<Option<(u16, Vec<u8>)>, HttpError> {
        let mut input = bytes;
        while self.head.is_none() {
            self.early.extend_from_slice(std::mem::take(&mut input));
            match head_of_response(&self.early)? {
                None if end => return Err(HttpError::CutShort),
                None => return Ok(None),
                Some((head, length)) => {
                    let rest = self.early.split_off(length);
                    self.early = rest;
                    // What says that it is too long is not waited for.
                    if matches!(head.length, BodyLength::Exactly(length) if length > self.longest as u64) {
                        return Err(HttpError::BodyTooLong);
                    }
                    if head.status >= 200 {
                        self.head = Some((head, BodyReader::new(head.length)));
                    }
                }
            }
        }
        let Some((head, reader)) = &mut self.head else { return Ok(None) };
        let early = std::mem::take(&mut self.early);
        for mut input in [&early[..], input] {
            while let Some(piece) = reader.next(&mut input)? {
                if self.body.len() + piece.len() > self.longest {
                    return Err(HttpError::BodyTooLong);
                }
                self.body.extend_from_slice(piece);
            }
        }
        match reader.is_done() || (end && reader.ends_with_connection()) {
            true => Ok(Some((head.status, std::mem::take(&mut self.body)))),
            false if end => Err(HttpError::CutShort),
            false => Ok(None),
        }
    }
}

pub(super) fn fuzz(bytes: &[u8], step: usize) {
    let read = |step: usize| {
        let mut answer = Answer::new(64);
        for portion in bytes.chunks(step) {
            match answer.take(portion, false) {
                Ok(None) => {}
                done => return done,
            }
        }
        answer.take(&[], true)
    };
    let whole = read(bytes.len().max(1));
    assert!(!matches!(whole, Ok(None)), "at the end it is said what came");
    // What is too long, or no HTTP, may be seen at another place.
    if let Ok(whole) = whole {
        assert_eq!(read(step.max(1)), Ok(whole));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8], step: usize) -> Result<Option<(u16, Vec<u8>)>, HttpError> {
        let mut answer = Answer::new(8);
        for portion in bytes.chunks(step) {
            if let Some(whole) = answer.take(portion, false)? {
                return Ok(Some(whole));
            }
        }
        answer.take(&[], true)
    }

    #[test]
    fn an_answer_comes_in_any_portions_and_ends_as_it_says() {
        let whole = |status, body: &[u8]| Ok(Some((status, body.to_vec())));
        for step in 1..40 {
            assert_eq!(taken(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", step), whole(200, b"abc"));
            assert_eq!(taken(b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\nabc", step), whole(404, b"abc"));
            assert_eq!(
                taken(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", step),
                whole(200, b"abc")
            );
            assert_eq!(taken(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", step), whole(204, b""));
        }
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_answer() {
        for short in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert_eq!(taken(short.as_bytes(), 7), Err(HttpError::CutShort), "{short}");
        }
        for long in ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12", "HTTP/1.1 200 OK\r\n\r\n123456789"] {
            assert_eq!(taken(long.as_bytes(), 5), Err(HttpError::BodyTooLong), "{long}");
        }
        assert!(matches!(taken(b"SSH-2.0-x\r\n", 4), Err(HttpError::Malformed(_))));
    }
}
