//! What other devices may do with this machine.

use accord_model::DeviceId;

/// One kind of remote control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remote {
    /// Control this machine's media players.
    Media,
    /// Ring this machine, so that it is found.
    Ring,
    /// Run commands of the owner's list.
    Commands,
    /// Move this machine's pointer and type on it.
    Input,
}

impl Remote {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Media, Self::Ring, Self::Commands, Self::Input];

    /// The service of this machine that it is about ([`accord_model::Device::asks`]).
    pub const fn service(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Ring => "ringer",
            Self::Commands => "command",
            Self::Input => "input",
        }
    }
}

/// What the owner allowed. Nothing is allowed until the owner says so.
pub trait Grants: Send + Sync + 'static {
    /// Whether `device` may do this with this machine now.
    fn allows(&self, device: &DeviceId, what: Remote) -> bool;
}
