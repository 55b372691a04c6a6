//! One connection with a server, under a permit for it: TCP, TLS where it is reached by https, WebSocket.

use std::time::Duration;

use accord_consent::outlet::{Met, OneNear};
use accord_consent::{Personal, SendError};
use accord_model::DeviceId;
use accord_model::why::Outcome;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::law::{self, Law};
use crate::core::advert::Place;
use crate::core::ws::{Event, Ws};
use accord_ports::tls::{Key, Tls, Trust};

/// How long a server may take to prove its key and to upgrade.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
const BYE_WITHIN: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
const PATH: &str = "/api/websocket";

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoLine {
    /// The consent ended, or does not cover it.
    Denied(String),
    /// The server does not take one, or does not speak as it should.
    Failed(String, Outcome),
    /// It holds another key than the one that it was added with. Nothing was said to it.
    Other(Key),
}

impl NoLine {
    fn of(error: SendError) -> Self {
        match error {
            SendError::Io(_) | SendError::Outlet(_) => {
                let outcome = error.outcome();
                Self::Failed(error.to_string(), outcome)
            }
            error => Self::Denied(error.to_string()),
        }
    }

    fn odd(why: String) -> Self {
        Self::Failed(why.clone(), Outcome::Failed(why))
    }
}

pub(crate) struct Line {
    one: OneNear,
    met: Met,
    tls: Option<Tls>,
    ws: Ws,
    buffer: Vec<u8>,
    /// What came before it was asked for.
    early: Vec<Event>,
    /// What the server proved to hold; nothing in clear.
    pub key: Option<Key>,
}

impl Line {
    /// Connects, lets the server prove its key, and upgrades. `pin`: the only key that it may have. `lease`: of the attempt
    /// before, which this one goes on with, so that the attempts of a day are one record.
    pub(crate) async fn open(
        law: &Law,
        server: &DeviceId,
        place: Place,
        pin: Option<Key>,
        lease: &mut Option<OneNear>,
    ) -> Result<Self, NoLine> {
        let one = match lease.take().filter(|one| !one.cancelled().is_cancelled()) {
            Some(one) => one,
            None => {
                let permit = law.connection(server).map_err(|refusal| NoLine::Denied(refusal.to_string()))?;
                OneNear::open(permit, place.address.ip()).await.map_err(NoLine::of)?
            }
        };
        *lease = Some(one.clone());
        let met = one.dial(place.address.port()).await.map_err(NoLine::of)?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| NoLine::odd(error.to_string()))?;
        let tls = place.tls.then(|| Tls::new(&Trust::Anyone)).transpose().map_err(NoLine::odd)?;
        let ws = Ws::new(&place.address.to_string(), PATH, random);
        let mut line = Self { one, met, tls, ws, buffer: vec![0; PIECE], early: Vec::new(), key: None };
        match tokio::time::timeout(BEGINS_WITHIN, line.begin(pin)).await {
            Ok(Ok(())) => Ok(line),
            Ok(Err(no)) => Err(no),
            Err(_) => {
                let why = format!("it took a connection and did not speak within {} s", BEGINS_WITHIN.as_secs());
                Err(NoLine::Failed(why, Outcome::Mute))
            }
        }
    }

    async fn begin(&mut self, pin: Option<Key>) -> Result<(), NoLine> {
        let cancelled = self.met.cancelled();
        let withdrawn = || NoLine::Denied("you withdrew your consent".to_owned());
        while self.tls.as_ref().is_some_and(Tls::is_handshaking) {
            self.send_tls().await?;
            if !self.tls.as_ref().is_some_and(Tls::is_handshaking) {
                break;
            }
            let length = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(withdrawn()),
                read = self.met.read(&mut self.buffer) => read,
            };
            let length = length.map_err(|error| NoLine::odd(format!("no encrypted connection: {error}")))?;
            if length == 0 {
                return Err(NoLine::odd("no encrypted connection: it hung up; is it reached by http?".to_owned()));
            }
            if let Some(tls) = &mut self.tls {
                let fed = tls.feed(&self.buffer[..length], |_| {});
                fed.map_err(|why| NoLine::odd(format!("no encrypted connection: {why}; is it reached by http?")))?;
            }
        }
        if let Some(tls) = &self.tls {
            let key = tls.key().ok_or_else(|| NoLine::odd("it showed no certificate".to_owned()))?;
            if pin.is_some_and(|pin| pin != key) {
                return Err(NoLine::Other(key));
            }
            self.key = Some(key);
        }
        loop {
            self.flush().await.map_err(NoLine::of)?;
            let events = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(withdrawn()),
                events = self.next() => events.map_err(NoLine::odd)?,
            };
            let Some(events) = events else {
                return Err(NoLine::odd("it hung up; is it reached by https?".to_owned()));
            };
            let mut events = events.into_iter();
            if let Some(first) = events.next() {
                if first != Event::Open {
                    return Err(NoLine::odd("it does not upgrade as it should".to_owned()));
                }
                self.early = events.collect();
                return Ok(());
            }
        }
    }

    /// Says a text; it leaves with the next [`Self::flush`].
    pub(crate) fn say(&mut self, text: &str) {
        self.ws.say(text);
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SendError> {
        let mut bytes = self.ws.take();
        if let Some(tls) = &mut self.tls {
            if !bytes.is_empty() {
                tls.write(&bytes);
            }
            bytes = tls.take();
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => self.met.put(&Personal::of(law::standing(), bytes)).await,
        }
    }

    async fn send_tls(&mut self) -> Result<(), NoLine> {
        let bytes = self.tls.as_mut().map(Tls::take).unwrap_or_default();
        match bytes.is_empty() {
            true => Ok(()),
            false => self.met.put(&Personal::of(law::SEARCH, bytes)).await.map_err(NoLine::of),
        }
    }

    /// What came next, which may be nothing whole; `None` at the end. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Event>>, String> {
        if !self.early.is_empty() {
            return Ok(Some(std::mem::take(&mut self.early)));
        }
        let length = self.met.read(&mut self.buffer).await.map_err(|error| error.to_string())?;
        if length == 0 {
            return Ok(None);
        }
        let Some(tls) = &mut self.tls else {
            return self.ws.feed(&self.buffer[..length]).map(Some).map_err(|error| error.to_string());
        };
        let mut plain = Vec::new();
        let closed = tls.feed(&self.buffer[..length], |part| plain.extend_from_slice(part));
        let closed = closed.map_err(|error| error.to_string())?;
        let events = self.ws.feed(&plain).map_err(|error| error.to_string())?;
        Ok((!closed || !events.is_empty()).then_some(events))
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.met.cancelled()
    }

    /// Says good-bye.
    pub(crate) async fn close(mut self) {
        self.ws.close();
        let _ = tokio::time::timeout(BYE_WITHIN, self.flush()).await;
        self.one.close();
    }
}
