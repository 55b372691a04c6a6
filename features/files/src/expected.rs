//! What the owner asked devices for: it need not be asked about once more when it is offered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use accord_model::DeviceId;

use crate::api::TransferId;
use crate::files::{Files, random_id};
use crate::incoming::id_of;

/// How long a device may take to offer it, and how much may be asked for at once.
const WITHIN: Duration = Duration::from_secs(120);
const MOST: usize = 256;

impl Files {
    /// The owner is about to ask `device` for something. The transfer that it offers under the first of these, random and
    /// 32 hex digits, is taken without asking, once and soon; the second is what that transfer is called here.
    pub fn expect(&self, device: &DeviceId) -> (String, TransferId) {
        let transfer = random_id();
        self.0.expected.note(transfer, device);
        (data_encoding::HEXLOWER.encode(&transfer), id_of(&transfer, device))
    }
}

/// By the id that the transfer is to be offered under, who was asked, and until when that counts.
#[derive(Default)]
pub(crate) struct Expected(Mutex<HashMap<[u8; 16], (DeviceId, Instant)>>);

impl Expected {
    pub fn note(&self, transfer: [u8; 16], device: &DeviceId) {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, until)| *until > now);
        if all.len() < MOST {
            all.insert(transfer, (device.clone(), now + WITHIN));
        }
    }

    /// Whether the owner asked this device for it. It counts once.
    pub fn take(&self, transfer: &[u8; 16], from: &DeviceId) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(transfer);
        found.is_some_and(|(device, until)| device == *from && Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_once_and_for_who_was_asked() {
        let [phone, other] = ["phone", "other"].map(|id| DeviceId::new(id).unwrap());
        let expected = Expected::default();
        expected.note([1; 16], &phone);
        expected.note([2; 16], &phone);
        assert!(expected.take(&[1; 16], &phone) && !expected.take(&[1; 16], &phone));
        assert!(!expected.take(&[2; 16], &other) && !expected.take(&[2; 16], &phone), "another's try uses it up");
        assert!(!expected.take(&[3; 16], &phone));
    }
}
