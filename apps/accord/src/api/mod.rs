//! The local HTTP API.

pub mod auth;
pub mod error;
pub mod events;
pub mod guard;
pub mod types;
pub mod ui;
