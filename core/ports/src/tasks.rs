//! The tasks of a feature: ended with it, and awaited where its end matters.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// Ends its tasks when it is dropped.
#[derive(Default)]
pub struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// No task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more, which runs from now on. Only inside a tokio runtime.
    #[must_use]
    pub fn with(self, task: impl Future<Output = ()> + Send + 'static) -> Self {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
        self
    }

    /// Ends them; once this returns, they hold nothing any more.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}
