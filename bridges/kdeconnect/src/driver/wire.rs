//! The connection under a link: with a device that is not known yet under the consent for everyone near, with a paired
//! one under the consent for it.

use accord_consent::outlet::{Dialed, Met};
use accord_consent::{Permit, SendError};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::law::seal;
use crate::core::link::Transmit;

/// One TCP connection.
pub(crate) enum Wire {
    Near(Met),
    Device(Box<Dialed>),
    Lost,
}

impl Wire {
    pub async fn put(&mut self, transmit: Transmit) -> Result<(), SendError> {
        match self {
            Self::Near(met) => met.put(&seal(transmit)).await,
            Self::Device(dialed) => {
                dialed.outflow.put(&seal(transmit)).await?;
                dialed.outflow.flush().await
            }
            Self::Lost => Err(SendError::Io(std::io::ErrorKind::NotConnected.into())),
        }
    }
    /// 0 at the end. May be dropped at any time.
    pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Near(met) => met.read(buffer).await,
            Self::Device(dialed) => dialed.reader.read(buffer).await,
            Self::Lost => Ok(0),
        }
    }
    /// The device is paired, and the owner agreed to speak with it.
    pub async fn under(&mut self, permit: Permit) -> Result<(), SendError> {
        match std::mem::replace(self, Self::Lost) {
            Self::Near(met) => {
                let mut dialed = met.under(permit).await?;
                // A link says little and lives long: what was said is in the records of the features.
                dialed.outflow.note_digest(None);
                *self = Self::Device(Box::new(dialed));
            }
            other => *self = other,
        }
        Ok(())
    }
    pub fn cancelled(&self) -> CancellationToken {
        match self {
            Self::Near(met) => met.cancelled(),
            Self::Device(dialed) => dialed.outflow.cancelled(),
            Self::Lost => CancellationToken::new(),
        }
    }
    pub async fn close(self) {
        if let Self::Device(dialed) = self
            && let Err(error) = dialed.outflow.finish().await
        {
            tracing::debug!(%error, "a link's last record");
        }
    }
}
