//! Requests to devices, and their answers as they come: RFC 9112 as far as small devices speak it. One request on one
//! connection; no redirect is followed.

use super::place::Place;

/// Longest head of an answer.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, unpacked.
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is not HTTP.
    #[error("the answer is not HTTP")]
    Form,
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

/// How long the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    ToTheEnd,
}

/// Reads one answer.
#[derive(Debug)]
pub struct Reading {
    limit: usize,
    bytes: Vec<u8>,
    head: Option<(u16, Length)>,
}

impl Reading {
    /// With a body of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), head: None }
    }

    /// More bytes came. The answer, once it is whole.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Option<Answer>, HttpError> {
        self.bytes.extend_from_slice(bytes);
        while self.head.is_none() {
            if !self.read_head()? {
                return Ok(None);
            }
        }
        // Chunks carry a few bytes of framing each; the unpacked body is held to the limit.
        if self.bytes.len() > self.limit.saturating_mul(2).saturating_add(MAX_HEAD) {
            return Err(HttpError::Large);
        }
        self.whole(false)
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn end(&mut self) -> Result<Answer, HttpError> {
        self.whole(true)?.ok_or(HttpError::Short)
    }

    /// True: a head was taken off, also one that only announces another (status 1xx).
    fn read_head(&mut self) -> Result<bool, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let end = match response.parse(&self.bytes) {
            Ok(httparse::Status::Complete(end)) if end <= MAX_HEAD => end,
            Ok(httparse::Status::Partial) if self.bytes.len() <= MAX_HEAD => return Ok(false),
            Ok(_) => return Err(HttpError::Large),
            Err(httparse::Error::TooManyHeaders) => return Err(HttpError::Large),
            Err(_) => return Err(HttpError::Form),
        };
        let status = response.code.ok_or(HttpError::Form)?;
        let length = length(response.headers, self.limit)?;
        self.bytes.drain(..end);
        if !(100..200).contains(&status) {
            self.head = Some((status, length));
        }
        Ok(true)
    }

    fn whole(&mut self, ended: bool) -> Result<Option<Answer>, HttpError> {
        let Some((status, length)) = self.head else { return Ok(None) };
        let body = match length {
            Length::Known(length) if self.bytes.len() >= length => Some(self.bytes[..length].to_vec()),
            Length::Known(_) => None,
            Length::ToTheEnd if self.bytes.len() > self.limit => return Err(HttpError::Large),
            Length::ToTheEnd => ended.then(|| std::mem::take(&mut self.bytes)),
            Length::Chunked => unchunked(&self.bytes, self.limit)?,
        };
        Ok(body.map(|body| Answer { status, body }))
    }
}

fn length(headers: &[httparse::Header<'_>], limit: usize) -> Result<Length, HttpError> {
    let values = |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    if let Some(coding) = values("transfer-encoding").next() {
        let chunked = coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return if chunked { Ok(Length::Chunked) } else { Err(HttpError::Form) };
    }
    let mut found = None;
    for header in values("content-length") {
        let text = std::str::from_utf8(header.value).map_err(|_| HttpError::Form)?.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(HttpError::Form);
        }
        let length = text.parse::<usize>().ok().filter(|length| *length <= limit).ok_or(HttpError::Large)?;
        if found.is_some_and(|known| known != length) {
            return Err(HttpError::Form);
        }
        found = Some(length);
    }
    Ok(found.map_or(Length::ToTheEnd, Length::Known))
}

/// The body, once its last chunk is there (RFC 9112, 7.1).
fn unchunked(mut bytes: &[u8], limit: usize) -> Result<Option<Vec<u8>>, HttpError> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) if bytes.len() <= 1024 => return Ok(None),
            _ => return Err(HttpError::Form),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= limit - body.len()).ok_or(HttpError::Large)?;
        let rest = &bytes[start..];
        if rest.len() < size + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&rest[..size]);
        bytes = rest[size..].strip_prefix(b"\r\n").ok_or(HttpError::Form)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], step: usize) -> Result<Answer, HttpError> {
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
                assert_eq!(read(bytes, step), Ok(Answer { status, body: body.to_vec() }), "{step}");
            }
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let long = "x".repeat(65);
        for (text, error) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n".to_owned(), HttpError::Large),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_owned(), HttpError::Large),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(), HttpError::Form),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(), HttpError::Form),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_owned(), HttpError::Short),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx".to_owned(), HttpError::Form),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n".to_owned(), HttpError::Large),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nx".to_owned(), HttpError::Short),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n".to_owned(), HttpError::Form),
            (format!("HTTP/1.1 200 OK\r\n\r\n{long}"), HttpError::Large),
            (format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(MAX_HEAD)), HttpError::Large),
            (format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1)), HttpError::Large),
            ("SSH-2.0-x\r\n\r\n".to_owned(), HttpError::Form),
            (String::new(), HttpError::Short),
        ] {
            assert_eq!(read(text.as_bytes(), 1000), Err(error), "{}", &text[..text.len().min(70)]);
        }
    }
}
