//! The way to the running hub: HTTP/1 over its Unix socket, with the types of [`crate::api::types`].

use std::time::Duration;

use accord_consent::outlet::OutletError;
use accord_consent::outlet::local::unix_connect;
use accord_model::text::for_screen;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use crate::api::types::{ApiError, Event};
use crate::state::StateDir;

/// An answer larger than this is not ours.
const MAX_ANSWER: usize = 64 << 20;
const MAX_EVENT: usize = 4 << 20;
/// Making a decision effective or starting a pairing may take the hub a while.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum HubError {
    #[error("No hub is running for {0}; start one with `accord up`")]
    NotRunning(String),
    /// The hub answered and said no.
    #[error("{}", for_screen(&.0.message, 2000))]
    Said(Box<ApiError>),
    #[error("the hub for {hub} cannot be reached: {why}")]
    Unreachable { hub: String, why: String },
    #[error("the hub stopped while it was asked for {what}")]
    Broken { what: String, source: hyper::Error },
    #[error("the hub did not answer {what} within {} s", PATIENCE.as_secs())]
    Slow { what: String },
    #[error("the hub's answer to {what} cannot be understood ({why}); are `accord` and the hub of one version?")]
    Strange { what: String, why: String },
}

impl HubError {
    pub fn is_not_running(&self) -> bool {
        matches!(self, Self::NotRunning(_))
    }
    /// The hub's own word for what is wrong, as in [`ApiError::error`].
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Said(error) => Some(&error.error),
            _ => None,
        }
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

/// A hub that may be running on these folders.
#[derive(Debug, Clone)]
pub struct Hub {
    state: StateDir,
}

impl Hub {
    pub fn new(state: StateDir) -> Self {
        Self { state }
    }

    pub fn state(&self) -> &StateDir {
        &self.state
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HubError> {
        self.call(Method::GET, path, None::<&()>).await
    }
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, HubError> {
        self.call(Method::POST, path, Some(body)).await
    }
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, HubError> {
        self.call(Method::PUT, path, Some(body)).await
    }
    /// An answer that is no JSON, as it is.
    pub async fn content(&self, path: &str) -> Result<Bytes, HubError> {
        self.bytes(Method::GET, path, None::<&()>).await
    }
    /// For calls whose answer says nothing more than that it is done.
    pub async fn tell(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<(), HubError> {
        self.bytes(method, path, body).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, HubError> {
        let what = format!("{method} {path}");
        let bytes = self.bytes(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| HubError::Strange { what, why: error.to_string() })
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Bytes, HubError> {
        let what = format!("{method} {path}");
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|error| HubError::Strange { what: what.clone(), why: error.to_string() })?
                .into(),
            None => Bytes::new(),
        };
        let ask = async {
            let response = self.send(method, path, "application/json", full(body)).await?;
            read(&what, response).await
        };
        timeout(PATIENCE, ask).await.map_err(|_| HubError::Slow { what: what.clone() })?
    }

    /// Streams a body of unknown length; takes as long as the reader does.
    pub async fn upload(&self, path: &str, from: impl AsyncRead + Send + Sync + 'static) -> Result<(), HubError> {
        let stream = ReaderStream::with_capacity(from, 256 << 10).map_ok(Frame::data);
        let body = BodyExt::boxed(StreamBody::new(stream));
        let response = self.send(Method::PUT, path, "application/octet-stream", body).await?;
        read(&format!("PUT {path}"), response).await.map(drop)
    }

    /// The body of a large answer as it comes.
    pub async fn download(&self, path: &str) -> Result<impl Stream<Item = Result<Bytes, HubError>> + use<>, HubError> {
        let what = format!("GET {path}");
        let response = self.send(Method::GET, path, "application/json", full(Bytes::new())).await?;
        if !response.status().is_success() {
            return Err(read(&what, response).await.err().unwrap_or(HubError::Slow { what }));
        }
        Ok(response
            .into_body()
            .into_data_stream()
            .map_err(move |source| HubError::Broken { what: what.clone(), source }))
    }

    /// Live events, until the hub stops.
    pub async fn events(&self) -> Result<Events, HubError> {
        let body = self.download("/events").await?;
        Ok(Events { body: Box::pin(body), buffer: Vec::new() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &'static str,
        body: Body,
    ) -> Result<Response<Incoming>, HubError> {
        let what = format!("{method} {path}");
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| HubError::Broken { what: what.clone(), source })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the hub ended early");
            }
        });
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "accord")
            .header(header::CONTENT_TYPE, content)
            .body(body)
            .map_err(|error| HubError::Strange { what: what.clone(), why: error.to_string() })?;
        sender.send_request(request).await.map_err(|source| HubError::Broken { what, source })
    }

    async fn connect(&self) -> Result<UnixStream, HubError> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let absent = |error: &std::io::Error| matches!(error.kind(), NotFound | ConnectionRefused);
        let unreachable = |why: String| HubError::Unreachable { hub: self.state.label(), why };
        let address = match self.state.socket_address() {
            Ok(address) => address,
            Err(error) if absent(&error) => return Err(HubError::NotRunning(self.state.label())),
            Err(error) => return Err(unreachable(error.to_string())),
        };
        match unix_connect(address.path()).await {
            Ok(stream) => Ok(stream),
            Err(OutletError::Io { cause, .. }) if absent(&cause) => Err(HubError::NotRunning(self.state.label())),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

async fn read(what: &str, response: Response<Incoming>) -> Result<Bytes, HubError> {
    let status = response.status();
    let strange = |why: String| HubError::Strange { what: what.to_owned(), why };
    let body =
        Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| strange(error.to_string()))?;
    let bytes = body.to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    Err(match serde_json::from_slice::<ApiError>(&bytes) {
        Ok(error) => HubError::Said(Box::new(error)),
        Err(_) if status == StatusCode::NOT_FOUND => strange("it does not know this request".into()),
        Err(_) => strange(format!("{status}: {}", for_screen(&String::from_utf8_lossy(&bytes), 200))),
    })
}

/// The hub's event stream.
pub struct Events {
    body: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, HubError>> + Send>>,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event that this version knows; `None` when the hub has stopped.
    pub async fn next(&mut self) -> Result<Option<Event>, HubError> {
        loop {
            while let Some(event) = self.take() {
                if let Some(event) = parse_event(&event) {
                    return Ok(Some(event));
                }
            }
            match self.body.try_next().await? {
                Some(bytes) if self.buffer.len() + bytes.len() <= MAX_EVENT => self.buffer.extend_from_slice(&bytes),
                Some(_) => {
                    return Err(HubError::Strange { what: "GET /events".into(), why: "an event without end".into() });
                }
                None => return Ok(None),
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let rest = self.buffer.split_off(end + 2);
        Some(std::mem::replace(&mut self.buffer, rest))
    }
}

/// One block of a server-sent event stream (WHATWG HTML, section 9.2), as our own hub writes it.
fn parse_event(block: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(block).ok()?;
    let mut tag = "";
    let mut data = String::new();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => tag = value,
            "data" => {
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
            }
            _ => {}
        }
    }
    let data: serde_json::Value = serde_json::from_str(&data).ok()?;
    serde_json::from_value(serde_json::json!({ "event": tag, "data": data })).ok()
}

/// A path as part of a `file:` URL (RFC 8089), whatever its bytes.
pub fn escape_path(path: &[u8]) -> String {
    path.split(|byte| *byte == b'/').map(escape_bytes).collect::<Vec<_>>().join("/")
}

/// Text as one segment or value of a URL (RFC 3986, section 2.3).
pub fn escape(text: &str) -> String {
    escape_bytes(text.as_bytes())
}

fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whole_and_unknown_ones_skipped() {
        let block = b"event: transfer-gone\ndata: {\"id\":\"t1\"}\n\n";
        assert!(matches!(parse_event(block), Some(Event::TransferGone { id }) if id == "t1"));
        assert!(parse_event(b": keep-alive\n\n").is_none());
        assert!(parse_event(b"event: later\ndata: {}\n\n").is_none());
        assert!(parse_event(b"\xff\n\n").is_none());
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_url() {
        assert_eq!(escape("a/b?c=d e\u{e9}"), "a%2Fb%3Fc%3Dd%20e%C3%A9");
        assert_eq!(escape_path(b"/a b/\xff.txt"), "/a%20b/%FF.txt");
    }
}
