//! Why a device cannot be reached: what bridges note for that, and what follows from it. No socket and no clock.
//!
//! A bridge keeps an [`Air`], answers `Explain` with [`Fact`]s, and the application lets [`diagnose`] judge them.

mod air;
mod judge;

use accord_consent::Refusal;
use accord_model::why::{Fact, Standing};
use accord_model::{DeviceId, EntryKey};

pub use air::Air;
pub use judge::{PATIENCE, Subject, diagnose, is_reached};

/// How the owner decided, from the gate's answer.
pub fn consent(entry: &EntryKey, to: Option<&DeviceId>, needed: bool, checked: Result<(), Refusal>) -> Fact {
    let standing = match checked {
        Ok(()) => Standing::Given,
        Err(Refusal::Refused(_)) => Standing::Refused,
        Err(Refusal::Withdrawn(_)) => Standing::Withdrawn,
        Err(Refusal::Expired { .. }) => Standing::Expired,
        Err(Refusal::Lapsed { .. } | Refusal::FieldsNotGranted { .. }) => Standing::Lapsed,
        Err(_) => Standing::Undecided,
    };
    Fact::Consent { entry: entry.clone(), to: to.cloned(), standing, needed }
}
