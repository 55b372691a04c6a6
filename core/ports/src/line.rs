//! One connection's bytes: under the permit for everyone near until the device is known, then under one of its own.

use accord_consent::outlet::{Dialed, Met};
use accord_consent::{Permit, Personal, SendError};
use accord_model::{FieldCode, FieldSet};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

const ADDRESS: FieldSet = FieldSet::one(FieldCode::NetIp);

/// A connection with somebody near.
pub enum Line {
    /// With someone near.
    Near(Met),
    /// With a device, and what every byte to it says beside its own fields.
    Device(Box<Dialed>, FieldSet),
    /// Broken while it changed hands.
    Gone,
}

impl Line {
    /// A connection that was made, or is bound, under a permit. `always`: what every byte to it says beside its own fields.
    pub fn device(dialed: Dialed, always: FieldSet) -> Self {
        let Dialed { reader, mut outflow, address } = dialed;
        // The features note what was sent; hashing it again says nothing more.
        outflow.note_digest(None);
        Self::Device(Box::new(Dialed { reader, outflow, address }), always.union(ADDRESS))
    }

    /// From now on under `permit`.
    ///
    /// # Errors
    /// [`SendError`]; then the connection is gone.
    pub async fn bind(&mut self, permit: Permit, always: FieldSet) -> Result<(), SendError> {
        match std::mem::replace(self, Self::Gone) {
            Self::Near(met) => *self = Self::device(met.under(permit).await?, always),
            other => *self = other,
        }
        Ok(())
    }

    /// Writes all of it; `fields` is what is in it.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn put(&mut self, fields: FieldSet, bytes: &[u8]) -> Result<(), SendError> {
        match self {
            Self::Near(met) => met.put(&Personal::of(fields.union(ADDRESS), bytes)).await,
            Self::Device(dialed, always) => dialed.outflow.put(&Personal::of(fields.union(*always), bytes)).await,
            Self::Gone => Err(SendError::Io(std::io::ErrorKind::NotConnected.into())),
        }
    }

    /// The next bytes; 0 at the end. May be dropped at any time.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Near(met) => met.read(buffer).await,
            Self::Device(dialed, _) => dialed.reader.read(buffer).await,
            Self::Gone => Ok(0),
        }
    }

    /// Notes a file or text that was sent, for the record of a device's or visitor's connection.
    pub fn note_item<T: AsRef<str>>(&mut self, name: &Personal<T>, size: u64) {
        if let Self::Device(dialed, _) = self {
            dialed.outflow.note_item(name, size, None);
        }
    }

    /// Whether it is under a permit of its own.
    pub fn is_bound(&self) -> bool {
        matches!(self, Self::Device(..))
    }

    /// Cancelled once nothing may be said any more.
    pub fn cancelled(&self) -> CancellationToken {
        match self {
            Self::Near(met) => met.cancelled(),
            Self::Device(dialed, _) => dialed.outflow.cancelled(),
            Self::Gone => CancellationToken::new(),
        }
    }

    /// Closes it, and records how it ended.
    pub async fn close(self, outcome: Result<(), String>) {
        let Self::Device(dialed, _) = self else { return };
        let recorded = match outcome {
            Ok(()) => dialed.outflow.finish().await.map(drop),
            Err(why) => {
                dialed.outflow.fail(why).await;
                Ok(())
            }
        };
        if let Err(error) = recorded {
            tracing::debug!(%error, "the end of a connection");
        }
    }
}
