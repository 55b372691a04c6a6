//! One module per part of the API.

pub mod consents;
pub mod devices;
pub mod everyday;
pub mod ledger;
pub mod session;
pub mod status;
pub mod transfers;
pub mod uploads;
