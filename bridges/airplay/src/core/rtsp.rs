//! Requests and answers of the control connection (RTSP 1.0, RFC 2326), as far as RAOP uses them. One request is under way
//! at a time.

/// Longest head and body of an answer.
const MAX_HEAD: usize = 8 * 1024;
const MAX_BODY: usize = 16 * 1024;
/// Most lines of a head.
const MAX_LINES: usize = 64;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is wanted.
    pub method: &'static str,
    /// Of what.
    pub uri: String,
    /// Beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// With its type.
    pub body: Option<(&'static str, Vec<u8>)>,
}

impl Request {
    /// Without headers of its own.
    pub fn new(method: &'static str, uri: &str) -> Self {
        Self { method, uri: uri.to_owned(), headers: Vec::new(), body: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, kind: &'static str, body: Vec<u8>) -> Self {
        self.body = Some((kind, body));
        self
    }

    /// Its bytes. `standing` are headers that every request has.
    pub fn encode(&self, number: u32, standing: &[(&str, &str)]) -> Vec<u8> {
        let mut head = format!("{} {} RTSP/1.0\r\nCSeq: {number}\r\n", self.method, self.uri);
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in standing.iter().copied().chain(own) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some((kind, body)) = &self.body {
            head.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let body = self.body.iter().flat_map(|(_, body)| body.iter().copied());
        head.into_bytes().into_iter().chain(body).collect()
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// To which request, as it says.
    pub number: Option<u32>,
    headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value, without blanks around it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Why an answer cannot be read. The connection is of no use after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It does not begin as an answer does.
    #[error("what answers there does not speak RTSP")]
    Form,
    /// Longer than is taken.
    #[error("its answer is longer than {} KiB", (MAX_HEAD + MAX_BODY) / 1024)]
    Long,
}

/// Reads answers as they come.
#[derive(Debug, Default)]
pub struct Reading {
    bytes: Vec<u8>,
}

impl Reading {
    /// Bytes came. Once it failed, it has to be left.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        if self.bytes.len() + bytes.len() > 2 * (MAX_HEAD + MAX_BODY) {
            return Err(BadAnswer::Long);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next answer, once it is whole.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub fn poll(&mut self) -> Result<Option<Answer>, BadAnswer> {
        let Some(end) = self.bytes.windows(4).take(MAX_HEAD).position(|four| four == b"\r\n\r\n") else {
            let is_begin = b"RTSP/1.0 ".iter().zip(&self.bytes).all(|(known, byte)| known == byte);
            return match self.bytes.len() {
                _ if !is_begin => Err(BadAnswer::Form),
                length if length >= MAX_HEAD => Err(BadAnswer::Long),
                _ => Ok(None),
            };
        };
        let mut answer = head(&self.bytes[..end])?;
        let length = match answer.header("Content-Length") {
            None => 0,
            Some(text) => text.parse::<usize>().map_err(|_| BadAnswer::Form)?,
        };
        if length > MAX_BODY {
            return Err(BadAnswer::Long);
        }
        let whole = end + 4 + length;
        if self.bytes.len() < whole {
            return Ok(None);
        }
        answer.body = self.bytes[end + 4..whole].to_vec();
        self.bytes.drain(..whole);
        Ok(Some(answer))
    }
}

fn head(bytes: &[u8]) -> Result<Answer, BadAnswer> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadAnswer::Form)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("RTSP/1.0 ")).ok_or(BadAnswer::Form)?;
    let status = status.split(' ').next().unwrap_or_default();
    let status = match status.parse() {
        Ok(number @ 100..=599) if status.len() == 3 => number,
        _ => return Err(BadAnswer::Form),
    };
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(BadAnswer::Form)?;
        if headers.len() >= MAX_LINES {
            return Err(BadAnswer::Long);
        }
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let number = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("CSeq"));
    let number = number.and_then(|(_, value)| value.parse().ok());
    Ok(Answer { status, number, headers, body: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Answer>, BadAnswer> {
        let mut reading = Reading::default();
        reading.take(bytes)?;
        reading.poll()
    }

    #[test]
    fn requests_say_what_is_wanted_and_nothing_else() {
        let request = Request::new("SET_PARAMETER", "rtsp://10.0.0.1/7")
            .header("Session", "1")
            .body("text/parameters", b"x".to_vec());
        assert_eq!(
            String::from_utf8(request.encode(3, &[("DACP-ID", "AB")])).unwrap(),
            "SET_PARAMETER rtsp://10.0.0.1/7 RTSP/1.0\r\nCSeq: 3\r\nDACP-ID: AB\r\nSession: 1\r\n\
             Content-Type: text/parameters\r\nContent-Length: 1\r\n\r\nx"
        );
    }

    #[test]
    fn answers_are_read_in_pieces_and_one_after_the_other() {
        let bytes =
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2\r\nX:y \r\n\r\nhiRTSP/1.0 453 Busy\r\ncseq: 2\r\n\r\n";
        let mut reading = Reading::default();
        let mut answers = Vec::new();
        for byte in bytes {
            reading.take(&[*byte]).unwrap();
            answers.extend(reading.poll().unwrap());
        }
        let [first, second] = answers.try_into().unwrap();
        assert_eq!(
            (first.status, first.number, first.header("x"), first.body.as_slice()),
            (200, Some(1), Some("y"), &b"hi"[..])
        );
        assert_eq!((second.status, second.number), (453, Some(2)));
    }

    #[test]
    fn answers_that_mean_harm_are_refused() {
        for bad in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"\x00\x01",
            b"RTSP/1.0 2000 OK\r\n\r\n",
            b"RTSP/1.0 +20 OK\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"RTSP/1.0 200 \xff\r\n\r\n",
        ] {
            assert_eq!(read(bad), Err(BadAnswer::Form), "{}", bad.escape_ascii());
        }
        assert_eq!(read(b"RTSP/1.0 200 OK\r\nContent-Length: 4294967295\r\n\r\n"), Err(BadAnswer::Long));
        let endless = [b"RTSP/1.0 200 OK\r\n".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert_eq!(read(&endless), Err(BadAnswer::Long));
        assert_eq!(read(&vec![b'R'; 1 << 20]), Err(BadAnswer::Long));
        let lines = [b"RTSP/1.0 200 OK".as_slice(), &b"\r\na:b".repeat(65), b"\r\n\r\n"].concat();
        assert_eq!(read(&lines), Err(BadAnswer::Long));
    }
}
