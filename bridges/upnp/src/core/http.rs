//! Requests to devices, and their answers as they come: RFC 9112 as far as small devices speak it. One request on one
//! connection; no redirect is followed.

use accord_http::{BodyLength, BodyReader, HttpError, head_of_response, header};

use super::place::Place;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, unpacked.
    pub body: Vec<u8>,
    /// What it says of a subscription (4.1.2): its name, and how long it lasts.
    pub subscribed: [Option<String>; 2],
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It is not HTTP, or its head is too long.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It is longer than allowed.
    #[error("the answer is larger than allowed")]
    Large,
    /// It ended too early.
    #[error("the answer ended too early")]
    Short,
}

/// A request for a document. It says nothing of this machine.
pub fn get(place: &Place) -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.path, place.at).into_bytes()
}

/// A request for a file from this byte on.
pub fn get_from(place: &Place, from: u64) -> Vec<u8> {
    let range = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
    format!("GET {} HTTP/1.1\r\nHost: {}\r\n{range}Connection: close\r\n\r\n", place.path, place.at).into_bytes()
}

/// A SOAP call (UPnP Device Architecture, 3.1.1).
pub fn post(place: &Place, service: &str, action: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nSOAPACTION: \"{service}#{action}\"\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        place.path,
        place.at,
        body.len()
    )
    .into_bytes()
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reading {
    limit: usize,
    /// What is not read yet: a part of a head.
    bytes: Vec<u8>,
    head: Option<(u16, BodyReader)>,
    subscribed: [Option<String>; 2],
    body: Vec<u8>,
}

impl Reading {
    /// With a body of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), head: None, subscribed: [None, None], body: Vec::new() }
    }

    /// More bytes came. The answer, once it is whole.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Option<Answer>, NoAnswer> {
        self.bytes.extend_from_slice(bytes);
        while self.head.is_none() {
            let Some((head, length)) = head_of_response(&self.bytes)? else { return Ok(None) };
            if matches!(head.length, BodyLength::Exactly(length) if length > self.limit as u64) {
                return Err(NoAnswer::Large);
            }
            self.subscribed = ["SID", "TIMEOUT"].map(|name| header(&self.bytes[..length], name));
            self.bytes.drain(..length);
            // A status 1xx only announces another head (RFC 9110, 15.2).
            if head.status >= 200 {
                // Nothing follows what answers a subscription, though some do not say so.
                let ends = self.subscribed[0].is_some();
                let head_length = if ends { BodyLength::None } else { head.length };
                self.head = Some((head.status, BodyReader::new(head_length)));
            }
        }
        let Some((_, reader)) = &mut self.head else { return Ok(None) };
        let taken = std::mem::take(&mut self.bytes);
        let mut rest = taken.as_slice();
        while let Some(piece) = reader.next(&mut rest)? {
            if self.body.len() + piece.len() > self.limit {
                return Err(NoAnswer::Large);
            }
            self.body.extend_from_slice(piece);
        }
        Ok(if reader.is_done() { self.whole() } else { None })
    }

    fn whole(&mut self) -> Option<Answer> {
        let (status, _) = self.head.as_ref()?;
        let body = std::mem::take(&mut self.body);
        Some(Answer { status: *status, body, subscribed: std::mem::take(&mut self.subscribed) })
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub fn end(&mut self) -> Result<Answer, NoAnswer> {
        let ends = self.head.as_ref().is_some_and(|(_, reader)| reader.ends_with_connection());
        if ends { self.whole().ok_or(NoAnswer::Short) } else { Err(NoAnswer::Short) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], step: usize) -> Result<Answer, NoAnswer> {
        let mut reading = Reading::new(64);
        for piece in bytes.chunks(step) {
            if let Some(answer) = reading.bytes(piece)? {
                return Ok(answer);
            }
        }
        reading.end()
    }

    #[test]
    fn answers_are_read_in_any_pieces() {
        for (bytes, status, body) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"[..], 200, &b"abc"[..]),
            (b"HTTP/1.0 500 Oh\n\nto the end", 500, b"to the end"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nCONTENT-LENGTH:1\r\n\r\nx", 200, b"x"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
            (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 204, b""),
        ] {
            for step in [1, 2, 7, 1000] {
                assert_eq!(
                    read(bytes, step),
                    Ok(Answer { status, body: body.to_vec(), ..Answer::default() }),
                    "{step}"
                );
            }
        }
    }

    #[test]
    fn a_subscription_is_answered_by_a_head_alone() {
        let answer = read(b"HTTP/1.1 200 OK\r\nSID: uuid:1\r\nTIMEOUT: Second-300\r\n\r\n", 5).unwrap();
        assert_eq!(answer.subscribed, [Some("uuid:1".to_owned()), Some("Second-300".to_owned())]);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (text, error) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n".to_owned(), Some(NoAnswer::Large)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(), None),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(), None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_owned(), Some(NoAnswer::Short)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx".to_owned(), None),
            (format!("{chunked}ffffffffffffffff\r\n{}", "x".repeat(65)), Some(NoAnswer::Large)),
            (format!("{chunked}40\r\nx"), Some(NoAnswer::Short)),
            (format!("{chunked}1\r\nxyz\r\n"), None),
            (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(65)), Some(NoAnswer::Large)),
            (format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000)), Some(HttpError::HeadTooLong.into())),
            (format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(70)), Some(HttpError::HeadTooLong.into())),
            ("SSH-2.0-x\r\n\r\n".to_owned(), None),
            (String::new(), Some(NoAnswer::Short)),
        ] {
            let (read, begins) = (read(text.as_bytes(), 1000), &text[..text.len().min(70)]);
            match error {
                Some(error) => assert_eq!(read, Err(error), "{begins}"),
                None => assert!(matches!(read, Err(NoAnswer::Http(HttpError::Malformed(_)))), "{begins}: {read:?}"),
            }
        }
    }
}
