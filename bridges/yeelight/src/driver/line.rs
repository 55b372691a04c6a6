//! One connection with a lamp, under a permit for it.

use std::net::SocketAddrV4;

use accord_consent::Personal;
use accord_consent::outlet::{Met, OneNear};
use accord_model::DeviceId;
use accord_ports::hand::NoLine;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::law::{self, Law};

/// Bytes that are read at once.
const PIECE: usize = 4096;

pub(crate) struct Line {
    one: OneNear,
    met: Met,
    buffer: Vec<u8>,
}

impl Line {
    pub(crate) async fn open(law: &Law, device: &DeviceId, at: SocketAddrV4) -> Result<Self, NoLine> {
        let permit = law.control(device).map_err(|refusal| NoLine::Denied(refusal.to_string()))?;
        let one = OneNear::open(permit, (*at.ip()).into()).await.map_err(NoLine::from)?;
        let met = match one.dial(at.port()).await {
            Ok(met) => met,
            Err(error) => {
                one.close();
                return Err(error.into());
            }
        };
        Ok(Self { one, met, buffer: vec![0; PIECE] })
    }

    pub(crate) async fn send(&mut self, bytes: Vec<u8>) -> Result<(), NoLine> {
        self.met.put(&Personal::of(law::standing(), bytes)).await.map_err(NoLine::from)
    }

    /// The next bytes; none at the end. May be dropped at any time.
    pub(crate) async fn read(&mut self) -> std::io::Result<&[u8]> {
        let length = self.met.read(&mut self.buffer).await?;
        Ok(&self.buffer[..length])
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.met.cancelled()
    }

    pub(crate) fn close(self) {
        self.one.close();
    }
}
