//! Bytes to a server and back, under a permit for it: TCP, and TLS where it is reached by https. The server proves its key
//! before anything is said to it.

use std::time::Duration;

use accord_consent::outlet::{Met, OneNear};
use accord_consent::{Personal, SendError};
use accord_http::{Answer, Method, request_head};
use accord_model::DeviceId;
use accord_model::why::Outcome;
use accord_ports::tls::{Key, Tls, Trust};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::law::{self, Law};
use crate::core::advert::Place;
use crate::core::sign::{Ask, NoTokens, Reader, Tokens};

/// How long a server may take to prove its key, and to do what a connection begins with.
pub(crate) const BEGINS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take for a picture: it asks the camera.
const LOOKS_WITHIN: Duration = Duration::from_secs(15);
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum NoLine {
    /// The consent ended, or does not cover it.
    Denied(String),
    /// The server does not take one, or does not speak as it should.
    Failed(String, Outcome),
    /// It holds another key than the one that it was added with. Nothing was said to it.
    Other(Key),
    /// It does not know the sign-in any more, or did not take the code.
    Refused(String),
    /// It, or what stands before it, does not let us ask for tokens.
    Barred(String),
}

impl NoLine {
    pub(crate) fn of(error: SendError) -> Self {
        match error {
            SendError::Io(_) | SendError::Outlet(_) => {
                let outcome = error.outcome();
                Self::Failed(error.to_string(), outcome)
            }
            error => Self::Denied(error.to_string()),
        }
    }

    pub(crate) fn odd(why: String) -> Self {
        Self::Failed(why.clone(), Outcome::Failed(why))
    }

    pub(crate) fn withdrawn() -> Self {
        Self::Denied("you withdrew your consent".to_owned())
    }

    /// It did not do in time what a connection begins with, or what it was asked for.
    pub(crate) fn mute(within: Duration) -> Self {
        let why = format!("it took a connection and did not speak within {} s", within.as_secs());
        Self::Failed(why, Outcome::Mute)
    }
}

/// Where a server is, who it has to be, and under which lease it is spoken to. The lease of an attempt is gone on with in the
/// next one, so that the attempts of a day are one record.
#[derive(Clone)]
pub(crate) struct Way {
    pub law: Law,
    pub server: DeviceId,
    pub place: Place,
    /// The only key that it may have.
    pub pin: Option<Key>,
    pub lease: Option<OneNear>,
}

impl Way {
    async fn one(&mut self) -> Result<OneNear, NoLine> {
        let one = match self.lease.take().filter(|one| !one.cancelled().is_cancelled()) {
            Some(one) => one,
            None => {
                let permit = self.law.control(&self.server);
                let permit = permit.map_err(|refusal| NoLine::Denied(refusal.to_string()))?;
                OneNear::open(permit, self.place.address.ip()).await.map_err(NoLine::of)?
            }
        };
        self.lease = Some(one.clone());
        Ok(one)
    }

    /// Asks for tokens over a connection of its own. The key that the server proved is the one from then on.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>, client: &str) -> Result<Tokens, NoLine> {
        let request = ask.request(client, &self.place.address.to_string());
        let mut reader = Reader::default();
        let read = |bytes: &[u8], end: bool| {
            reader.take(bytes, end).map(|done| {
                done.map_err(|no| match no {
                    NoTokens::Refused(why) => NoLine::Refused(why),
                    NoTokens::Barred(why) => NoLine::Barred(why),
                    NoTokens::Odd(why) => NoLine::odd(why),
                })
            })
        };
        self.exchange(&request, read, BEGINS_WITHIN).await
    }

    /// Fetches what is at a path of the server, of at most so many bytes: the status that it answers with, and the content.
    pub(crate) async fn get(&mut self, path: &str, longest: usize) -> Result<(u16, Vec<u8>), NoLine> {
        let request = request_head(Method::Get, path, &self.place.address.to_string(), 0, "");
        let mut answer = Answer::new(longest);
        let read = |bytes: &[u8], end: bool| {
            answer.take(bytes, end).map_err(|error| NoLine::odd(error.to_string())).transpose()
        };
        self.exchange(&request, read, LOOKS_WITHIN).await
    }

    /// Asks over a connection of its own, and takes bytes until `read` has what it wants.
    async fn exchange<T>(
        &mut self,
        request: &[u8],
        mut read: impl FnMut(&[u8], bool) -> Option<Result<T, NoLine>>,
        within: Duration,
    ) -> Result<T, NoLine> {
        let mut wire = Wire::open(self).await?;
        self.pin = wire.key.or(self.pin);
        let asked = async {
            wire.send(request).await.map_err(NoLine::of)?;
            loop {
                let bytes = wire.next().await?;
                if let Some(done) = read(bytes.as_deref().unwrap_or_default(), bytes.is_none()) {
                    return done;
                }
                if bytes.is_none() {
                    return Err(NoLine::odd("it hung up".to_owned()));
                }
            }
        };
        tokio::time::timeout(within, asked).await.unwrap_or_else(|_| Err(NoLine::mute(within)))
    }
}

pub(crate) struct Wire {
    met: Met,
    tls: Option<Tls>,
    buffer: Vec<u8>,
    /// What the server proved to hold; nothing in clear.
    pub key: Option<Key>,
}

impl Wire {
    /// Connects, and lets the server prove its key.
    pub(crate) async fn open(way: &mut Way) -> Result<Self, NoLine> {
        let one = way.one().await?;
        let met = one.dial(way.place.address.port()).await.map_err(NoLine::of)?;
        let tls = way.place.tls.then(|| Tls::new(&Trust::Anyone)).transpose().map_err(NoLine::odd)?;
        let mut wire = Self { met, tls, buffer: vec![0; PIECE], key: None };
        let shaken = tokio::time::timeout(BEGINS_WITHIN, wire.shake(way.pin)).await;
        shaken.unwrap_or_else(|_| Err(NoLine::mute(BEGINS_WITHIN))).map(|()| wire)
    }

    async fn shake(&mut self, pin: Option<Key>) -> Result<(), NoLine> {
        let cancelled = self.met.cancelled();
        while self.tls.as_ref().is_some_and(Tls::is_handshaking) {
            let bytes = self.tls.as_mut().map(Tls::take).unwrap_or_default();
            if !bytes.is_empty() {
                self.met.put(&Personal::of(law::SEARCH, bytes)).await.map_err(NoLine::of)?;
            }
            if !self.tls.as_ref().is_some_and(Tls::is_handshaking) {
                break;
            }
            let length = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(NoLine::withdrawn()),
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
        Ok(())
    }

    /// Sends, with what TLS itself has to say.
    pub(crate) async fn send(&mut self, plain: &[u8]) -> Result<(), SendError> {
        let bytes = match &mut self.tls {
            None => plain.to_vec(),
            Some(tls) => {
                if !plain.is_empty() {
                    tls.write(plain);
                }
                tls.take()
            }
        };
        match bytes.is_empty() {
            true => Ok(()),
            false => self.met.put(&Personal::of(law::standing(), bytes)).await,
        }
    }

    /// What came next, which may be nothing; `None` at the end. May be dropped at any time.
    pub(crate) async fn read(&mut self) -> Result<Option<Vec<u8>>, String> {
        let length = self.met.read(&mut self.buffer).await.map_err(|error| error.to_string())?;
        if length == 0 {
            return Ok(None);
        }
        let Some(tls) = &mut self.tls else { return Ok(Some(self.buffer[..length].to_vec())) };
        let mut plain = Vec::new();
        let closed = tls.feed(&self.buffer[..length], |part| plain.extend_from_slice(part));
        let closed = closed.map_err(|error| error.to_string())?;
        Ok((!closed || !plain.is_empty()).then_some(plain))
    }

    /// The same while the consent lasts.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, NoLine> {
        let cancelled = self.met.cancelled();
        tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(NoLine::withdrawn()),
            read = self.read() => read.map_err(NoLine::odd),
        }
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.met.cancelled()
    }
}
