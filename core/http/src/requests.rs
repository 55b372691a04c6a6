//! Small requests of one connection, one after the other.

use super::{BodyReader, HttpError, MAX_HEAD, RequestHead, read_request};

/// Reads requests whose bodies are small: forms and short JSON.
#[derive(Debug)]
pub struct Requests {
    limit: usize,
    /// Bytes that came and are not read yet.
    early: Vec<u8>,
    body: Option<(RequestHead, BodyReader, Vec<u8>)>,
}

impl Requests {
    /// Bodies have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, early: Vec::new(), body: None }
    }

    /// True while a request has begun and is not whole.
    pub fn is_amid(&self) -> bool {
        self.body.is_some() || !self.early.is_empty()
    }

    /// Takes the bytes that came, in any portions; gives the next request once it is whole. Call it with nothing to look
    /// whether a further one came along.
    ///
    /// # Errors
    /// [`HttpError`]; nothing that follows on the connection can be understood.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<(RequestHead, Vec<u8>)>, HttpError> {
        if self.early.len() + bytes.len() > 4 * MAX_HEAD + self.limit {
            return Err(HttpError::TooEager);
        }
        self.early.extend_from_slice(bytes);
        if self.body.is_none() {
            let Some((head, length)) = read_request(&self.early)? else { return Ok(None) };
            self.early.drain(..length);
            let reader = BodyReader::new(head.length);
            self.body = Some((head, reader, Vec::new()));
        }
        let Some((_, reader, body)) = &mut self.body else { return Ok(None) };
        let mut input = &self.early[..];
        while let Some(piece) = reader.next(&mut input)? {
            if body.len() + piece.len() > self.limit {
                return Err(HttpError::BodyTooLong);
            }
            body.extend_from_slice(piece);
        }
        let read = self.early.len() - input.len();
        let done = reader.is_done();
        self.early.drain(..read);
        Ok(self.body.take_if(|_| done).map(|(head, _, body)| (head, body)))
    }
}

pub(super) fn fuzz(bytes: &[u8], step: usize) {
    let read = |step: usize| {
        let mut requests = Requests::new(64);
        let mut all = Vec::new();
        for portion in bytes.chunks(step) {
            let mut next = requests.take(portion);
            while let Ok(Some(request)) = next {
                all.push(request);
                next = requests.take(&[]);
            }
            if next.is_err() {
                break;
            }
        }
        all
    };
    // A longer look ahead may find what is wrong sooner, never other requests.
    let (one, other) = (read(step.max(1)), read(bytes.len().max(1)));
    assert!(one.iter().zip(&other).all(|(one, other)| one == other));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_any_portions_come_out_whole_and_in_order() {
        let bytes = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
        for step in 1..bytes.len() {
            let mut requests = Requests::new(3);
            let mut paths = Vec::new();
            for portion in bytes.chunks(step) {
                let mut next = requests.take(portion).unwrap();
                while let Some((head, body)) = next {
                    paths.push((head.path, body.len()));
                    next = requests.take(&[]).unwrap();
                }
            }
            assert_eq!(paths, [("/a".to_owned(), 3), ("/b".to_owned(), 0)]);
            assert!(!requests.is_amid());
        }
    }

    #[test]
    fn too_much_is_refused_before_it_is_kept() {
        let long = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
        assert_eq!(Requests::new(3).take(long), Err(HttpError::BodyTooLong));
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        assert_eq!(Requests::new(3).take(endless.as_bytes()), Err(HttpError::HeadTooLong));
        let mut requests = Requests::new(3);
        assert_eq!(requests.take(&vec![b'x'; 5 * MAX_HEAD]), Err(HttpError::TooEager));
    }
}
