//! Buffers of one mebibyte that are used again and again, so that no chunk of a transfer allocates.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes in a block.
pub const BLOCK: usize = 1 << 20;
const KEEP: usize = 16;

/// Where free blocks wait.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// A free block, or a new one.
    pub fn get(&self) -> Block {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Block { bytes: free.unwrap_or_else(|| vec![0; BLOCK]), used: 0, pool: self.clone() }
    }
}

/// A buffer; goes back to its pool when dropped.
pub struct Block {
    bytes: Vec<u8>,
    used: usize,
    pool: Pool,
}

impl Block {
    /// Bytes in use.
    pub fn len(&self) -> usize {
        self.used
    }
    /// True when nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
    /// Bytes still free.
    pub fn room(&self) -> usize {
        BLOCK - self.used
    }
    /// The free part.
    pub fn free_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }
    /// The part in use.
    pub fn used_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.used]
    }
    /// `count` more bytes are in use.
    pub fn advance(&mut self, count: usize) {
        self.used = (self.used + count).min(BLOCK);
    }
    /// Forgets everything after `length`.
    pub fn truncate(&mut self, length: usize) {
        self.used = self.used.min(length);
    }
    /// Appends; false when it does not fit.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        match self.free_mut().get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.advance(bytes.len());
                true
            }
            None => false,
        }
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEEP {
            free.push(bytes);
        }
    }
}
