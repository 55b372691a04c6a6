//! The API on real listeners.
