//! One connection with a device, under a permit for it.

use std::net::SocketAddrV4;
use std::time::Duration;

use accord_consent::outlet::{Met, OneNear};
use accord_consent::{DatagramLease, Personal, SendError};
use accord_model::why::Outcome;
use accord_model::{DeviceId, FieldSet};
use accord_ports::hand::NoLine;
use accord_ports::tls::{Error, Key, Tls, Trust};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::law::{self, Law};

/// How long a device may take to prove its key.
const SHAKES_WITHIN: Duration = Duration::from_secs(8);
const BYE_WITHIN: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

pub(crate) struct Line {
    one: OneNear,
    met: Met,
    tls: Tls,
    buffer: Vec<u8>,
    /// What came with the end of the handshake.
    early: Vec<u8>,
    /// Which fields may be in what is sent.
    pub fields: FieldSet,
    /// Which are in what waits to be sent.
    pending: FieldSet,
    /// What the device proved to hold.
    pub key: Key,
}

impl Line {
    /// Connects, and lets the device prove its key.
    pub(crate) async fn open(law: &Law, device: &DeviceId, at: SocketAddrV4) -> Result<Self, NoLine> {
        let (permit, fields) = law.connection(device).map_err(|refusal| NoLine::Denied(refusal.to_string()))?;
        let one = OneNear::open(permit, (*at.ip()).into()).await?;
        let met = one.dial(at.port()).await?;
        let other = |why: String| NoLine::Failed(why.clone(), Outcome::Failed(why));
        let tls = Tls::new(&Trust::Anyone).map_err(other)?;
        let (buffer, early, pending, key) = (vec![0; PIECE], Vec::new(), FieldSet::EMPTY, Key([0; 32]));
        let mut line = Self { one, met, tls, buffer, early, fields, pending, key };
        match tokio::time::timeout(SHAKES_WITHIN, line.shake()).await {
            Ok(Ok(())) => Ok(line),
            Ok(Err(no)) => Err(no),
            Err(_) => {
                let why = format!("it took a connection and did not speak within {} s", SHAKES_WITHIN.as_secs());
                Err(NoLine::Failed(why, Outcome::Mute))
            }
        }
    }

    async fn shake(&mut self) -> Result<(), NoLine> {
        let failed = |why: String| {
            let why = format!("no encrypted connection: {why}");
            NoLine::Failed(why.clone(), Outcome::Failed(why))
        };
        let cancelled = self.met.cancelled();
        loop {
            self.flush().await?;
            if !self.tls.is_handshaking() {
                break;
            }
            let read = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(NoLine::Denied("you withdrew your consent".to_owned())),
                read = self.met.read(&mut self.buffer) => read,
            };
            let length = read.map_err(|error| failed(error.to_string()))?;
            if length == 0 {
                return Err(failed("it hung up".to_owned()));
            }
            let early = &mut self.early;
            let fed = self.tls.feed(&self.buffer[..length], |plain| early.extend_from_slice(plain));
            fed.map_err(|error: Error| failed(error.to_string()))?;
        }
        self.key = self.tls.key().ok_or_else(|| failed("it showed no certificate".to_owned()))?;
        Ok(())
    }

    /// Encrypts what says these things; it leaves with the next [`Self::flush`].
    pub(crate) fn write(&mut self, fields: FieldSet, plain: &[u8]) {
        self.pending = self.pending.union(fields);
        self.tls.write(plain);
    }

    /// The same for what Google learns of by way of the device: `page` has its say too.
    pub(crate) fn write_page(&mut self, page: &DatagramLease, plain: Vec<u8>) -> Result<(), SendError> {
        let peer = self.met.peer();
        let tls = &mut self.tls;
        page.send_with(&Personal::of(law::media(), plain), peer, |plain| {
            tls.write(plain);
            Ok(plain.len())
        })?;
        self.pending = self.pending.union(law::media());
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SendError> {
        let bytes = self.tls.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let fields = std::mem::take(&mut self.pending).union(law::SEARCH);
        self.met.put(&Personal::of(fields, bytes)).await
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
        let mut plain = Vec::new();
        let closed = self.tls.feed(&self.buffer[..length], |part| plain.extend_from_slice(part));
        let closed = closed.map_err(|error| error.to_string())?;
        Ok((!closed || !plain.is_empty()).then_some(plain))
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.met.cancelled()
    }

    /// Says good-bye.
    pub(crate) async fn close(mut self) {
        self.tls.close();
        let _ = tokio::time::timeout(BYE_WITHIN, self.flush()).await;
        self.one.close();
    }
}
