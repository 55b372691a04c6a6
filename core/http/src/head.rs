//! Heads of requests and responses.

use super::{HttpError, MAX_HEAD, MAX_HEADERS};

/// Most parameters of a query that are looked at.
const MAX_PARAMETERS: usize = 16;

/// What a request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Other,
}

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// So many bytes.
    Exactly(u64),
    /// In chunks (RFC 9112, section 7.1).
    Chunked,
    /// Until the connection ends; responses only.
    UntilClose,
}

/// What we look at in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// What is asked.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// How the body's length is told.
    pub length: BodyLength,
    /// Whether the connection stays.
    pub keep_alive: bool,
    /// Whether the peer waits for `100 Continue`.
    pub expects: bool,
    /// Whom the peer thinks it speaks to.
    pub host: Option<String>,
    /// The page that makes a browser send this.
    pub origin: Option<String>,
    /// Whether a browser sends it.
    pub browser: bool,
    /// Which part of a file is wanted: [`super::asked`].
    pub range: Option<String>,
    /// The version of the file that the part is to be of.
    pub if_range: Option<String>,
    /// The version of the file that is known already.
    pub if_none_match: Option<String>,
    /// What the program says it is; from outside.
    pub agent: Option<String>,
    /// Whether a player wants to know where the captions of what it fetches are (Samsung's `getCaptionInfo.sec`).
    pub caption_info: bool,
    /// From which second on a player wants what is made for it (DLNA's `TimeSeekRange.dlna.org`), as it says it.
    pub time_seek: Option<String>,
}

impl RequestHead {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
    /// Whether a browser sends it on behalf of a page that is not ours. A page of ours is reached by address or
    /// local name: under any other name, its owner could point that name at us (DNS rebinding).
    pub fn is_foreign(&self) -> bool {
        // Browsers do not say to unencrypted pages that they are browsers, so the name counts for everyone.
        let by_browser = self.browser || self.origin.is_some();
        if self.host.as_deref().map_or(by_browser, |host| !is_local(host)) {
            return true;
        }
        match (&self.origin, &self.host) {
            (None, _) => false,
            (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, authority)| authority != host),
            (Some(_), None) => true,
        }
    }
}

fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.parse::<std::net::IpAddr>().is_ok() || name == "localhost" || name.ends_with(".local")
}

/// What we look at in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// How the body's length is told.
    pub length: BodyLength,
    /// Whether the connection stays.
    pub keep_alive: bool,
}

/// The head at the start of `bytes` and its length; nothing when it is not complete.
///
/// # Errors
/// [`HttpError`].
pub fn read_request(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes).map_err(fault)? {
        httparse::Status::Complete(length) if length <= MAX_HEAD => length,
        httparse::Status::Partial if bytes.len() < MAX_HEAD => return Ok(None),
        _ => return Err(HttpError::HeadTooLong),
    };
    let framing = Framing::read(request.headers, request.version == Some(1))?;
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let target = request.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(HttpError::Malformed("the target is no path"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = |name: &str| {
        let value = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?.value;
        std::str::from_utf8(value).ok().map(str::to_owned)
    };
    let head = RequestHead {
        method,
        path: path.to_owned(),
        query: parameters(query),
        length: framing.length.unwrap_or(BodyLength::None),
        keep_alive: framing.keep_alive,
        expects: framing.expects,
        host: text("host"),
        origin: text("origin"),
        browser: text("sec-fetch-site").is_some(),
        range: text("range"),
        if_range: text("if-range"),
        if_none_match: text("if-none-match"),
        agent: text("user-agent"),
        caption_info: text("getcaptioninfo.sec").is_some_and(|value| value.trim() == "1"),
        time_seek: text("timeseekrange.dlna.org"),
    };
    Ok(Some((head, length)))
}

/// The head at the start of `bytes` and its length; nothing when it is not complete.
///
/// # Errors
/// [`HttpError`].
pub fn head_of_response(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(fault)? {
        httparse::Status::Complete(length) if length <= MAX_HEAD => length,
        httparse::Status::Partial if bytes.len() < MAX_HEAD => return Ok(None),
        _ => return Err(HttpError::HeadTooLong),
    };
    let framing = Framing::read(response.headers, response.version == Some(1))?;
    let status = response.code.filter(|code| *code >= 100).ok_or(HttpError::Malformed("the status is no status"))?;
    let body = match status {
        100..=199 | 204 | 304 => BodyLength::None,
        _ => framing.length.unwrap_or(BodyLength::UntilClose),
    };
    let keep_alive = framing.keep_alive && body != BodyLength::UntilClose;
    Ok(Some((ResponseHead { status, length: body, keep_alive }, length)))
}

/// The value of a header in a whole head, for those that only some protocols look at; the first of several.
pub fn header(head: &[u8], name: &str) -> Option<String> {
    let head = head.trim_ascii_start();
    let lines = head.get(head.iter().position(|byte| *byte == b'\n')? + 1..)?;
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let Ok(httparse::Status::Complete((_, found))) = httparse::parse_headers(lines, &mut headers) else { return None };
    let found = found.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value.trim_ascii()).ok().map(str::to_owned)
}

fn fault(error: httparse::Error) -> HttpError {
    match error {
        httparse::Error::TooManyHeaders => HttpError::HeadTooLong,
        httparse::Error::Version => HttpError::Malformed("it is not HTTP/1.0 or HTTP/1.1"),
        _ => HttpError::Malformed("its head cannot be read"),
    }
}

struct Framing {
    length: Option<BodyLength>,
    keep_alive: bool,
    expects: bool,
}

impl Framing {
    /// Two ways to read a length are none (RFC 9112, section 6.3): whoever stands between could see another.
    fn read(headers: &[httparse::Header<'_>], is_11: bool) -> Result<Self, HttpError> {
        let mut framing = Self { length: None, keep_alive: is_11, expects: false };
        for header in headers {
            let value = header.value;
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let says = |word: &str| {
                value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
            };
            if is("content-length") {
                let number = std::str::from_utf8(value.trim_ascii())
                    .ok()
                    .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|text| text.parse().ok()).map(BodyLength::Exactly);
                let number = number.ok_or(HttpError::Malformed("Content-Length is no number"))?;
                if framing.length.is_some_and(|known| known != number) {
                    return Err(HttpError::Malformed("it has two lengths"));
                }
                framing.length = Some(number);
            } else if is("transfer-encoding") {
                if framing.length.is_some() {
                    return Err(HttpError::Malformed("it has two lengths"));
                }
                if !is_11 || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(HttpError::Malformed("its transfer encoding is not known"));
                }
                framing.length = Some(BodyLength::Chunked);
            } else if is("connection") {
                framing.keep_alive = !says("close") && (is_11 || says("keep-alive"));
            } else if is("expect") {
                framing.expects = is_11 && says("100-continue");
            }
        }
        Ok(framing)
    }
}

fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS);
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_component(name), decode_component(value))
        })
        .collect()
}

/// A part of a query or form, decoded; what is no UTF-8 is replaced.
pub fn decode_component(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16);
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                bytes.push((digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0)) as u8);
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A field of a form (`application/x-www-form-urlencoded`), decoded and trimmed; `None` when it is missing or empty.
pub fn form_field(form: &[u8], name: &str) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(decode_component(value).trim().to_owned()).filter(|value| !value.is_empty())
}

/// A text as part of a query (RFC 3986, section 2.3).
pub fn encode_component(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A request's head. `length`: of the body, with its content type.
pub fn request_head(method: Method, target: &str, host: &str, length: u64, content_type: &str) -> Vec<u8> {
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post | Method::Other => "POST",
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    if length > 0 || method == "POST" {
        head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The head of a response whose length is not known: it ends with the connection, as devices that speak HTTP/1.0 understand
/// too.
pub fn endless_head(content_type: &str, extra: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{extra}Connection: close\r\n\r\n").into_bytes()
}

/// A response's head. `extra`: further lines, each with its end.
pub fn response_head(status: u16, length: u64, content_type: &str, keep_alive: bool, extra: &str) -> Vec<u8> {
    let words = match status {
        100 => return b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    };
    let mut head = format!("HTTP/1.1 {status} {words}\r\n");
    if status != 204 && status != 304 {
        head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n"));
    }
    head.push_str(extra);
    head.push_str(if keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" });
    head.into_bytes()
}
