//! Payloads on the wire: connections of their own, under the consent for their device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord_consent::outlet::{self, Dialed, Served, ServedStream};
use accord_model::{CallError, DeviceId, FieldSet};
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::law::{Law, seal};
use super::link::at;
use super::{Happening, Outbox, not_connected};
use crate::core::KdeId;
use crate::core::certificate::PeerCertificate;
use crate::core::link::Own;
use crate::core::packet::Packet;
use crate::core::payload::{
    CONNECT_TIME, Event, Input, Output, PAYLOAD_PORTS, PayloadError, Receiver, STALL_TIME, Sender, Size,
};

/// A listener's permit lasts as long as the longest transfer that is believed in.
const LONGEST: Duration = Duration::from_secs(48 * 3600);
/// Portions of a payload that wait to be stored: what holds back a sender.
const WAITING: usize = 8;
const PORTION: usize = 64 * 1024;
/// How long to wait for a free port while others hold all of them.
const FREE_WITHIN: Duration = Duration::from_secs(20);

/// What a transfer needs of the driver.
#[derive(Clone)]
pub(crate) struct Context {
    pub own: Arc<Own>,
    pub law: Law,
    pub id: KdeId,
    pub device: DeviceId,
    pub certificate: PeerCertificate,
    pub happened: mpsc::Sender<Happening>,
    pub outbox: Outbox,
    /// One payload at a time; not before this.
    pub turn: Arc<Mutex<Option<Instant>>>,
    /// Held while something moves.
    pub busy: Option<Arc<()>>,
}

/// Why a payload did not go through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error(transparent)]
    Payload(#[from] PayloadError),
    #[error(transparent)]
    Send(#[from] accord_consent::SendError),
    #[error(transparent)]
    Refusal(#[from] accord_consent::Refusal),
    #[error("{0}")]
    Said(#[from] CallError),
    #[error("{0}")]
    Other(String),
}

impl Context {
    /// Says a packet; tells where the device is.
    pub async fn say(&self, packet: Packet) -> Result<IpAddr, CallError> {
        let (answer, said) = oneshot::channel();
        let sent = self.happened.send(Happening::Say(self.id.clone(), packet, answer)).await;
        sent.map_err(|_| not_connected())?;
        said.await.unwrap_or_else(|_| Err(not_connected()))
    }
    /// Where the device is linked from now.
    pub async fn address(&self) -> Result<IpAddr, CallError> {
        let (answer, address) = oneshot::channel();
        let sent = self.happened.send(Happening::Where(self.id.clone(), answer)).await;
        sent.map_err(|_| not_connected())?;
        address.await.ok().flatten().ok_or_else(not_connected)
    }
    pub async fn is_linked(&self) -> bool {
        self.address().await.is_ok()
    }

    /// Listens for the device to fetch a payload.
    pub async fn offer(&self, address: IpAddr) -> Result<(Served, u16), Failed> {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let until = Instant::now() + FREE_WITHIN;
        loop {
            let mut last = None;
            for port in PAYLOAD_PORTS {
                let permit = self.law.connection(&self.device, "on.send")?;
                match outlet::serve(permit, (any, port).into(), address, LONGEST).await {
                    Ok(served) => return Ok((served, port)),
                    Err(error) => last = Some(error),
                }
            }
            if Instant::now() > until {
                let last = last.map(|error| error.to_string()).unwrap_or_default();
                return Err(Failed::Other(format!("no port between 1739 and 1764 is free to send from ({last})")));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// One payload on its way out.
pub(crate) struct Giving {
    stream: ServedStream,
    sender: Sender,
    over: Option<Result<u64, PayloadError>>,
    buffer: Vec<u8>,
}

impl Giving {
    /// Waits for the device to connect and to prove who it is.
    /// `fields`: what is in it.
    pub async fn accept(
        ctx: &Context,
        served: &Served,
        size: u64,
        limit: Option<u64>,
        fields: FieldSet,
    ) -> Result<Self, Failed> {
        let accepted = tokio::time::timeout(CONNECT_TIME, served.accept()).await;
        let stream = match accepted {
            Err(_) => return Err(Failed::Other("the device did not fetch the file; is it awake?".to_owned())),
            Ok(Err(error)) => return Err(Failed::Other(error.to_string())),
            Ok(Ok(None)) => return Err(PayloadError::Stopped.into()),
            Ok(Ok(Some(stream))) => stream,
        };
        let certificate = ctx.own.certificate();
        let sender = Sender::new(certificate, &ctx.certificate, size, fields, limit, Instant::now());
        let sender = sender.map_err(PayloadError::from)?;
        Ok(Self { stream, sender, over: None, buffer: vec![0; 4096] })
    }

    /// Sends all of `bytes`.
    pub async fn put(&mut self, mut bytes: &[u8]) -> Result<(), Failed> {
        while !bytes.is_empty() {
            match self.sender.room(Instant::now()) {
                0 => self.step().await?,
                _ => {
                    let taken = self.sender.write(bytes, Instant::now());
                    bytes = &bytes[taken..];
                    self.flush().await?;
                    self.hear().await;
                }
            }
        }
        Ok(())
    }

    /// The file has no more bytes: waits until the device has taken all.
    pub async fn end(mut self) -> Result<u64, Failed> {
        self.sender.end_of_file();
        self.flush().await?;
        if self.over.is_none()
            && let Err(error) = self.stream.shutdown().await
        {
            tracing::debug!(%error, "a payload's connection was closed already");
        }
        loop {
            self.flush().await?;
            if let Some(over) = self.over.take() {
                return Ok(over?);
            }
            self.step().await?;
        }
    }

    async fn flush(&mut self) -> Result<Option<Instant>, Failed> {
        loop {
            match self.sender.poll_output() {
                Output::Transmit(transmit) => self.stream.put(&seal(transmit)).await?,
                Output::Event(Event::Done(bytes)) => self.over = Some(Ok(bytes)),
                Output::Event(Event::Failed(error)) => self.over = Some(Err(error)),
                Output::Event(Event::Ready | Event::Data(_)) => {}
                Output::Wait(wake) => return Ok(wake),
            }
        }
    }

    /// Takes what the device said meanwhile, if anything.
    async fn hear(&mut self) {
        tokio::select! {
            biased;
            read = self.stream.read(&mut self.buffer) => self.heard(read),
            () = std::future::ready(()) => {}
        }
    }

    fn heard(&mut self, read: std::io::Result<usize>) {
        match read {
            Ok(0) | Err(_) => self.sender.handle(Input::Closed, Instant::now()),
            Ok(length) => self.sender.handle(Input::Bytes(&self.buffer[..length]), Instant::now()),
        }
    }

    /// Waits for something to happen.
    async fn step(&mut self) -> Result<(), Failed> {
        let wake = self.flush().await?;
        if let Some(Err(error)) = &self.over {
            return Err(error.clone().into());
        }
        tokio::select! {
            read = self.stream.read(&mut self.buffer) => self.heard(read),
            () = at(wake) => self.sender.handle(Input::Timeout, Instant::now()),
        }
        Ok(())
    }
}

/// A portion of a payload that comes in.
pub(crate) enum Portion {
    Bytes(Vec<u8>),
    /// All of it came.
    Whole,
    Failed(Failed),
}

/// Fetches a payload: connects at once, since senders do not wait long, and reads on only as fast as it is taken.
/// Dropping the other end stops it.
pub(crate) fn fetch(ctx: Context, from: SocketAddr, size: Size) -> mpsc::Receiver<Portion> {
    let (to, portions) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let last = match fetching(&ctx, from, size, &to).await {
            Ok(()) => Portion::Whole,
            Err(error) => Portion::Failed(error),
        };
        let _ = to.send(last).await;
    });
    portions
}

async fn fetching(ctx: &Context, from: SocketAddr, size: Size, to: &mpsc::Sender<Portion>) -> Result<(), Failed> {
    let permit = ctx.law.connection(&ctx.device, "on.receive")?;
    let Dialed { mut reader, mut outflow, .. } = outlet::dial_tcp(permit, from).await?;
    outflow.note_digest(None);
    let own = ctx.own.certificate();
    let mut receiver = Receiver::new(own, &ctx.certificate, size, Instant::now()).map_err(PayloadError::from)?;
    let stopped = outflow.cancelled();
    let mut buffer = vec![0; PORTION];
    // While nobody takes what came, nothing is read, and that is not the sender's fault.
    let mut patient_until = Instant::now();
    let outcome = loop {
        let wake = match receiver.poll_output() {
            Output::Transmit(transmit) => {
                outflow.put(&seal(transmit)).await?;
                outflow.flush().await?;
                continue;
            }
            Output::Event(Event::Ready) => continue,
            Output::Event(Event::Data(data)) => {
                let since = Instant::now();
                if to.send(Portion::Bytes(data)).await.is_err() {
                    break Err(PayloadError::Stopped);
                }
                if since.elapsed() > Duration::from_secs(1) {
                    patient_until = Instant::now() + STALL_TIME;
                }
                continue;
            }
            Output::Event(Event::Done(_)) => break Ok(()),
            Output::Event(Event::Failed(error)) => break Err(error),
            Output::Wait(wake) => wake.map(|wake| wake.max(patient_until)),
        };
        tokio::select! {
            biased;
            () = stopped.cancelled() => break Err(PayloadError::Stopped),
            () = to.closed() => break Err(PayloadError::Stopped),
            read = reader.read(&mut buffer) => match read {
                Ok(0) | Err(_) => receiver.handle(Input::Closed, Instant::now()),
                Ok(length) => receiver.handle(Input::Bytes(&buffer[..length]), Instant::now()),
            },
            () = at(wake) => receiver.handle(Input::Timeout, Instant::now()),
        }
    };
    match &outcome {
        Ok(()) => drop(outflow.finish().await),
        Err(error) => outflow.fail(error).await,
    }
    Ok(outcome?)
}
