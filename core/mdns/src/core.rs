//! The protocol core.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::api::{Config, Interface, Output, Publication, PublicationId, WishError};

/// Responder and querier in one. Time is monotonic, since any fixed moment.
pub struct Core {
    config: Config,
    interfaces: Vec<Interface>,
    outputs: VecDeque<Output>,
}

impl Core {
    /// A core that knows nothing and sends nothing.
    pub fn new(config: Config) -> Self {
        Self { config, interfaces: Vec::new(), outputs: VecDeque::new() }
    }
    /// Takes a datagram that arrived on port 5353 of `interface`.
    pub fn handle_datagram(&mut self, from: SocketAddr, interface: u32, bytes: &[u8], now: Duration) {
        let _ = (from, interface, bytes, now);
    }
    /// The time named by [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        let _ = now;
    }
    /// The interfaces there are now, all of them. Publications are announced and questions asked again on new ones.
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>, now: Duration) {
        let _ = now;
        self.interfaces = interfaces;
    }
    /// Announces a service until [`Self::unpublish`].
    ///
    /// # Errors
    /// [`WishError::TooMany`].
    pub fn publish(&mut self, publication: Publication, now: Duration) -> Result<PublicationId, WishError> {
        let _ = (publication, now, &self.config);
        Err(WishError::TooMany(0))
    }
    /// Says goodbye.
    pub fn unpublish(&mut self, publication: PublicationId, now: Duration) {
        let _ = (publication, now);
    }
    /// Looks for services of a type until [`Self::stop_browse`].
    ///
    /// # Errors
    /// [`WishError`] when it is no type, or too many are browsed.
    pub fn browse(&mut self, service: &str, now: Duration) -> Result<(), WishError> {
        let _ = (service, now);
        Ok(())
    }
    /// Stops looking; what was found is forgotten without events.
    pub fn stop_browse(&mut self, service: &str) {
        let _ = service;
    }
    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }
}
