//! Both clocks that the protocol needs; the core reads none itself.

use std::time::Instant;

use accord_model::Timestamp;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For timestamps on the wire.
    pub wall: Timestamp,
}

impl Now {
    /// Later, on both clocks.
    #[must_use]
    pub fn after(self, time: std::time::Duration) -> Self {
        Self { instant: self.instant + time, wall: self.wall.saturating_add(time).unwrap_or(Timestamp::MAX) }
    }
}
