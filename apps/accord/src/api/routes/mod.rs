//! One module per part of the API.

pub mod browse;
pub mod casts;
pub mod clipboard;
pub mod consents;
pub mod devices;
pub mod everyday;
pub mod forms;
pub mod home;
pub mod ledger;
pub mod notifications;
pub mod people;
pub mod receiver;
pub mod screens;
pub mod session;
pub mod shares;
pub mod status;
pub mod transfers;
pub mod uploads;
pub mod why;
