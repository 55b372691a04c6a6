//! A listener for one recipient: what it fetches is disclosed.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

use super::{CONNECT_WITHIN, OutletError, failed, udp::is_near};
use crate::{DatagramLease, Destination, Permit, Personal, SendError};

/// A listener that only one address may use, for a limited time, under a path that nobody can guess.
pub struct Served {
    listener: TcpListener,
    lease: DatagramLease,
    recipient: IpAddr,
    path: String,
    ends: Instant,
}

/// One accepted connection.
pub struct ServedStream {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    lease: DatagramLease,
    peer: SocketAddr,
    ends: Instant,
    patience: Duration,
}

/// Listens on `bind` for connections from `recipient_addr`, a device near, alone, for `lifetime`.
///
/// # Errors
/// [`SendError`]; then nothing is served.
pub async fn serve(
    permit: Permit,
    bind: SocketAddr,
    recipient_addr: IpAddr,
    lifetime: Duration,
) -> Result<Served, SendError> {
    let recipient = permit.recipient().clone();
    let near = recipient.as_host().is_none() && is_near(recipient_addr.to_canonical());
    // gate-check: served-near
    if !near {
        let address = SocketAddr::new(recipient_addr, 0);
        return Err(OutletError::WrongAddress { address, recipient: recipient.to_string() }.into());
    }
    let visitor = recipient.as_visitor();
    // gate-check: served-visitor
    if visitor.is_some_and(|visitor| visitor != recipient_addr.to_canonical()) {
        let address = SocketAddr::new(recipient_addr, 0);
        return Err(OutletError::WrongAddress { address, recipient: recipient.to_string() }.into());
    }
    let destination = Destination::new(recipient, recipient_addr.to_string());
    let lease = permit.datagrams(destination).await?;
    let listener =
        TcpListener::bind(bind).await.map_err(failed(format!("listening on {bind}"))).map_err(SendError::from)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| SendError::Io(std::io::Error::other(error.to_string())))?;
    let path = format!("/{}", BASE64URL_NOPAD.encode(&secret));
    Ok(Served { listener, lease, recipient: recipient_addr, path, ends: Instant::now() + lifetime })
}

impl Served {
    /// The path under which it serves: `/` and 43 random characters.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// True when a request's path is that, or below it.
    pub fn is_path(&self, asked: &str) -> bool {
        let (start, rest) = asked.split_at_checked(self.path.len()).unwrap_or((asked, ""));
        bool::from(start.as_bytes().ct_eq(self.path.as_bytes())) && (rest.is_empty() || rest.starts_with(['/', '?']))
    }
    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
    /// The next connection of the recipient; `None` once the lifetime or the consent has ended. Others
    /// are closed unanswered.
    ///
    /// # Errors
    /// What the system says.
    pub async fn accept(&self) -> std::io::Result<Option<ServedStream>> {
        let cancelled = self.lease.cancelled();
        loop {
            let accepted = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Ok(None),
                () = tokio::time::sleep_until(self.ends) => return Ok(None),
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = accepted?;
            // gate-check: served-recipient
            if peer.ip().to_canonical() != self.recipient.to_canonical() {
                continue;
            }
            let _ = stream.set_nodelay(true);
            let (reader, writer) = stream.into_split();
            let (lease, ends, patience) = (self.lease.clone(), self.ends, CONNECT_WITHIN);
            return Ok(Some(ServedStream { reader, writer, lease, peer, ends, patience }));
        }
    }
}

impl ServedStream {
    /// Who connected.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Writes all of a sealed value.
    ///
    /// # Errors
    /// [`SendError`], also when the listener's lifetime is over.
    pub async fn put<T: AsRef<[u8]>>(&mut self, value: &Personal<T>) -> Result<(), SendError> {
        put(&self.lease, &self.writer, self.peer, value, Some(self.ends), self.patience).await
    }

    /// How long the other side may read nothing until a write fails; ten seconds unless told. A player that is paused
    /// reads nothing for long.
    pub fn stall_after(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Ends our side, for protocols where the end is part of the message; the other side can still be read.
    ///
    /// # Errors
    /// What the system says.
    pub async fn shutdown(&mut self) -> std::io::Result<()> {
        self.writer.shutdown().await
    }

    /// Writes framing that holds nothing personal (status lines, lengths).
    ///
    /// # Errors
    /// As [`ServedStream::put`].
    pub async fn frame(&mut self, bytes: &[u8]) -> Result<(), SendError> {
        self.put(&Personal::plain(bytes)).await
    }
}

impl AsyncRead for ServedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

/// Writes all of a sealed value to a socket under a lease, until `ends`, within `patience` of the last progress.
pub(super) async fn put<T: AsRef<[u8]>>(
    lease: &DatagramLease,
    writer: &OwnedWriteHalf,
    peer: SocketAddr,
    value: &Personal<T>,
    ends: Option<Instant>,
    patience: Duration,
) -> Result<(), SendError> {
    let cancelled = lease.cancelled();
    let mut at = 0;
    while at < value.len() {
        // gate-check: served-lifetime
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            return Err(OutletError::Deadline { what: "the listener's time".to_owned() }.into());
        }
        match lease.send_with(value, peer, |bytes| writer.try_write(&bytes[at..])) {
            Ok(0) => return Err(SendError::Io(std::io::ErrorKind::WriteZero.into())),
            Ok(taken) => at += taken,
            Err(SendError::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    ready = tokio::time::timeout(patience, writer.writable()) => match ready {
                        Ok(ready) => ready?,
                        Err(_) => return Err(OutletError::Deadline { what: peer.to_string() }.into()),
                    },
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
