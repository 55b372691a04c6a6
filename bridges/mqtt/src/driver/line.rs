//! One connection with a broker, under a permit for it.

use std::time::Duration;

use accord_consent::outlet::{Met, OneNear};
use accord_consent::{Personal, SendError};
use accord_model::why::Outcome;
use accord_model::{DeviceId, FieldSet};
use accord_ports::hand::{self, NoLine::Denied, NoLine::Failed};
use accord_ports::tls::{CertificateError, Error, Tls};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::form::Added;
use super::law::Law;

/// How long a broker may take to prove its key.
const SHAKES_WITHIN: Duration = Duration::from_secs(8);
const BYE_WITHIN: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const PIECE: usize = 32 * 1024;

/// Why there is no connection.
pub(crate) enum NoLine {
    No(hand::NoLine),
    /// It shows another key than before, or one that nobody vouches for.
    Untrusted(String),
}

impl<T: Into<hand::NoLine>> From<T> for NoLine {
    fn from(no: T) -> Self {
        Self::No(no.into())
    }
}

pub(crate) struct Line {
    met: Met,
    tls: Option<Tls>,
    buffer: Vec<u8>,
    /// What came with the end of the handshake.
    early: Vec<u8>,
    out: Vec<u8>,
    fields: FieldSet,
    /// What the broker proved to hold.
    pub key: Option<String>,
}

impl Line {
    /// Connects, and lets the broker prove its key if it is to. `lease`: of the attempt before, which this one goes on with, so
    /// that the attempts of a day are one record.
    pub(crate) async fn open(
        law: &Law,
        id: &DeviceId,
        added: &Added,
        fields: FieldSet,
        lease: &mut Option<OneNear>,
    ) -> Result<Self, NoLine> {
        let one = match lease.take().filter(|one| !one.cancelled().is_cancelled()) {
            Some(one) => one,
            None => {
                let permit =
                    law.permit(id, fields, "while.connected").map_err(|refusal| Denied(refusal.to_string()))?;
                OneNear::open(permit, added.address.ip()).await?
            }
        };
        *lease = Some(one.clone());
        let met = one.dial(added.address.port()).await?;
        let untrusted = |why: String| NoLine::Untrusted(format!("no encrypted connection: {why}"));
        let trust = added.trust().map_err(untrusted)?;
        let tls = trust.map(|trust| Tls::new(&trust)).transpose().map_err(untrusted)?;
        let (buffer, early, out) = (vec![0; PIECE], Vec::new(), Vec::new());
        let mut line = Self { met, tls, buffer, early, out, fields, key: None };
        match tokio::time::timeout(SHAKES_WITHIN, line.shake()).await {
            Ok(Ok(())) => Ok(line),
            Ok(Err(no)) => Err(no),
            Err(_) => {
                let why = format!("it took a connection and did not speak within {} s", SHAKES_WITHIN.as_secs());
                Err(Failed(why, Outcome::Mute).into())
            }
        }
    }

    async fn shake(&mut self) -> Result<(), NoLine> {
        let cancelled = self.met.cancelled();
        loop {
            self.flush().await?;
            let Some(tls) = &self.tls else { return Ok(()) };
            if !tls.is_handshaking() {
                self.key = tls.key().map(|key| key.to_string());
                return Ok(());
            }
            let read = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(Denied("you withdrew your consent".to_owned()).into()),
                read = self.met.read(&mut self.buffer) => read,
            };
            let length = match read {
                Ok(length) if length > 0 => length,
                _ => {
                    let why = "it hung up; does it take encrypted connections on that port?".to_owned();
                    return Err(Failed(why.clone(), Outcome::Failed(why)).into());
                }
            };
            let early = &mut self.early;
            let fed =
                self.tls.as_mut().map(|tls| tls.feed(&self.buffer[..length], |part| early.extend_from_slice(part)));
            if let Some(Err(error)) = fed {
                // It is told what is wrong, as the standard wants.
                let _ = self.flush().await;
                return Err(NoLine::Untrusted(format!("no encrypted connection: {}", said(error))));
            }
        }
    }

    /// It leaves with the next [`Self::flush`].
    pub(crate) fn write(&mut self, plain: &[u8]) {
        match &mut self.tls {
            Some(tls) => tls.write(plain),
            None => self.out.extend_from_slice(plain),
        }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SendError> {
        let bytes = self.tls.as_mut().map_or_else(|| std::mem::take(&mut self.out), Tls::take);
        if bytes.is_empty() {
            return Ok(());
        }
        self.met.put(&Personal::of(self.fields, bytes)).await
    }

    /// The next plaintext; `None` at the end. May be dropped at any time.
    pub(crate) async fn read(&mut self) -> Result<Option<Vec<u8>>, String> {
        if !self.early.is_empty() {
            return Ok(Some(std::mem::take(&mut self.early)));
        }
        let length = self.met.read(&mut self.buffer).await.map_err(|error| error.to_string())?;
        if length == 0 {
            return Ok(None);
        }
        let Some(tls) = &mut self.tls else { return Ok(Some(self.buffer[..length].to_vec())) };
        let mut plain = Vec::new();
        let closed = tls.feed(&self.buffer[..length], |part| plain.extend_from_slice(part)).map_err(said)?;
        Ok((!closed || !plain.is_empty()).then_some(plain))
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.met.cancelled()
    }

    /// Sends what waits, and ends.
    pub(crate) async fn close(mut self) {
        let _ = tokio::time::timeout(BYE_WITHIN, self.flush()).await;
    }
}

/// What an owner can do something with.
fn said(error: Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "it shows another key than before; if its certificate was renewed, add the broker again where it is".to_owned()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate was not signed by the one that was given".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "its certificate is not for this address; make one with the address in it, or add the broker without a certificate"
                .to_owned()
        }
        Error::InvalidMessage(_) => "it does not speak TLS; is that the right port?".to_owned(),
        other => other.to_string(),
    }
}
