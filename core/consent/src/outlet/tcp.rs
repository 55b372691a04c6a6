//! Connections to one recipient.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "the outlet is where sockets are made")]

use std::net::SocketAddr;

use tokio::net::{
    TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use super::{CONNECT_WITHIN, OutletError, device_permit, failed};
use crate::{Destination, Outflow, Permit, SendError};

/// A connection under a permit. That it is made is disclosed too: the intent is durable before the
/// first packet.
pub struct Dialed {
    /// What the other side says.
    pub reader: OwnedReadHalf,
    /// What we say, sealed and counted.
    pub outflow: Outflow<OwnedWriteHalf>,
    /// Where it went.
    pub address: SocketAddr,
}

/// Connects to an address of the permit's recipient.
///
/// # Errors
/// [`SendError`]; a connection that fails is recorded as an error.
pub async fn dial_tcp(permit: Permit, address: SocketAddr) -> Result<Dialed, SendError> {
    device_permit(&permit, address)?;
    let destination = Destination::new(permit.recipient().clone(), address.to_string());
    connect(permit, destination, vec![address]).await
}

/// Looks up the permit's host and connects to it. The name is asked for only here, after the gate's
/// yes: a look-up tells the resolver.
///
/// # Errors
/// [`SendError`]; a name that is not found or a connection that fails is recorded as an error.
pub async fn dial_host(permit: Permit) -> Result<Dialed, SendError> {
    let destination = Destination::new(permit.recipient().clone(), String::new());
    connect(permit, destination, Vec::new()).await
}

async fn connect(
    permit: Permit,
    destination: Destination,
    mut addresses: Vec<SocketAddr>,
) -> Result<Dialed, SendError> {
    let what = format!("connecting to {}", permit.recipient());
    let host = permit.recipient().as_host().map(str::to_owned);
    // The lease-like outflow over nothing makes the intent durable and closes it should dialing fail.
    let mut pending = permit.open(Pending, destination).await?;
    let stopped = pending.cancelled();
    let dial = async {
        if let (true, Some(host)) = (addresses.is_empty(), host) {
            pending.note_address(format!("the resolver, asked for {host}"));
            addresses = tokio::net::lookup_host(&host).await.map_err(failed(format!("looking up {host}")))?.collect();
        }
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "no address");
        for address in addresses {
            pending.note_address(address.to_string());
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => last = error,
            }
        }
        Err(failed(what.clone())(last))
    };
    let outcome = tokio::select! {
        biased;
        () = stopped.cancelled() => None,
        outcome = tokio::time::timeout(CONNECT_WITHIN, dial) => Some(outcome),
    };
    let error = match outcome {
        None => return Err(pending.withdrawn()),
        Some(Ok(Ok((stream, address)))) => {
            let _ = stream.set_nodelay(true);
            let (reader, writer) = stream.into_split();
            return Ok(Dialed { reader, outflow: pending.over(writer), address });
        }
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => OutletError::Deadline { what },
    };
    pending.fail(&error).await;
    Err(error.into())
}

/// Takes the place of a connection that is not made yet.
struct Pending;

impl tokio::io::AsyncWrite for Pending {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::NotConnected.into()))
    }
    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
