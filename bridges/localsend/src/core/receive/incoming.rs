//! One upload while its bytes come in: exact size, and the hash if the sender told one.

use sha2::{Digest, Sha256};

/// What an upload must be.
#[derive(Clone)]
pub struct Incoming {
    left: u64,
    hash: Option<(Sha256, [u8; 32])>,
}

/// Why an upload is not the file that was offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// Other bytes arrived than were sent.
    #[error("the file arrived damaged: its checksum is not the one that was told")]
    Checksum,
    /// The sender ended it early.
    #[error("the file is {0} bytes shorter than it was said to be")]
    TooShort(u64),
    /// The sender sent more than it offered.
    #[error("the file is longer than it was said to be")]
    TooLong,
    /// The connection ended in the middle.
    #[error("the connection broke off in the middle of the file")]
    CutShort,
    /// The sender sent nothing for too long.
    #[error("the sender stopped in the middle of the file")]
    Stalled,
    /// It could not be stored here.
    #[error("the file could not be stored: {0}")]
    Storage(String),
}

impl Incoming {
    /// For a file of `size` bytes.
    pub fn new(size: u64, sha256: Option<[u8; 32]>) -> Self {
        Self { left: size, hash: sha256.map(|expected| (Sha256::new(), expected)) }
    }
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`UploadFault::TooLong`].
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), UploadFault> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(UploadFault::TooLong)?;
        if let Some((hash, _)) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }
    /// There are no more.
    ///
    /// # Errors
    /// [`UploadFault::TooShort`] or [`UploadFault::Checksum`].
    pub fn end(&mut self) -> Result<(), UploadFault> {
        if self.left > 0 {
            return Err(UploadFault::TooShort(self.left));
        }
        let is_damaged = self.hash.take().is_some_and(|(hash, expected)| hash.finalize()[..] != expected);
        if is_damaged { Err(UploadFault::Checksum) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("left", &self.left).field("hashed", &self.hash.is_some()).finish()
    }
}
