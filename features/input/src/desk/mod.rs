//! The desktops that take strokes. X11 takes them by its XTEST extension; on Wayland, the desktop's portal does, after it
//! asked the person in front of it.

mod keys;
mod portal;
mod wire;
mod x11;

use async_trait::async_trait;

use crate::Stroke;

/// One desktop's pointer and keyboard.
#[async_trait]
pub trait Desk: Send + 'static {
    /// Does it.
    async fn play(&mut self, stroke: &Stroke) -> Result<(), DeskError>;
    /// Nobody uses it for now: leaves nothing behind of what was typed.
    async fn tidy(&mut self);
}

/// Why a desktop does not take a stroke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// No desktop, or none that takes it.
    #[error("{0}")]
    None(String),
    /// It was there, and is no more.
    #[error("the desktop is gone: {0}")]
    Gone(String),
    /// It said no.
    #[error("the desktop refused: {0}")]
    Refused(String),
    /// It takes too long.
    #[error("the desktop did not take it in time")]
    Deadline,
}

impl DeskError {
    /// Whether another try needs another connection.
    pub(crate) fn is_broken(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Whether this session has a desktop that may take strokes.
pub fn is_there() -> bool {
    variable("WAYLAND_DISPLAY").is_some() || variable("DISPLAY").is_some()
}

/// This session's desktop.
pub(crate) async fn open() -> Result<Box<dyn Desk>, DeskError> {
    match (variable("WAYLAND_DISPLAY"), variable("DISPLAY")) {
        // Xwayland would take strokes as well, for X11's windows alone.
        (Some(_), _) => Ok(Box::new(portal::Portal::open().await?)),
        (None, Some(display)) => Ok(Box::new(x11::X11::open(&display).await?)),
        (None, None) => Err(DeskError::None(
            "the hub runs outside a desktop session (neither WAYLAND_DISPLAY nor DISPLAY is set)".into(),
        )),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
