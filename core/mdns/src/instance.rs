//! What is known of one instance: who names it, where it is, and whether it is to be asked for.

use std::net::IpAddr;
use std::time::Duration;

use crate::api::{FoundAddress, ServiceInstance};
use crate::core::Shared;
use crate::life::Life;
use crate::name::Name;

const SECOND: Duration = Duration::from_secs(1);
/// Questions for what an announcement left out, before waiting for the next announcement.
const RESOLVE_TRIES: u32 = 4;

pub(crate) struct Instance {
    pub service: String,
    pub name: Name,
    pub label: String,
    /// The browsed types and subtypes whose pointers name it.
    pub by: Vec<String>,
    /// As long as one of them does.
    pub ptr: Option<Life>,
    /// It is asked for by its own name, whoever points at it.
    pub wanted: bool,
    /// Who spoke of it first, for limits; nobody when it was wanted first.
    pub source: Option<IpAddr>,
    /// Where it was heard last.
    pub interface: Option<u32>,
    pub srv: Option<Service>,
    pub txt: Option<(Vec<u8>, Life)>,
    pub reported: Option<ServiceInstance>,
    pub tries: u32,
    /// When it was asked for last.
    pub asked: Option<Duration>,
    pub resolve_at: Duration,
    /// Ask whether it is still there.
    pub doubted: bool,
}

pub(crate) struct Service {
    pub host: Name,
    /// Of the host.
    pub key: Vec<u8>,
    pub port: u16,
    pub life: Life,
}

pub(crate) struct Host {
    pub addresses: Vec<(FoundAddress, Life)>,
}

impl Instance {
    pub fn new(service: String, name: Name, label: String, resolve_at: Duration) -> Self {
        Self {
            service,
            name,
            label,
            by: Vec::new(),
            ptr: None,
            wanted: false,
            source: None,
            interface: None,
            srv: None,
            txt: None,
            reported: None,
            tries: 0,
            asked: None,
            resolve_at,
            doubted: false,
        }
    }
    /// Somebody points at it, or it is wanted by name.
    pub fn is_named(&self, now: Duration) -> bool {
        self.wanted || self.ptr.is_some_and(|ptr| ptr.ends() > now)
    }
    /// It said goodbye, or somebody did in its name: it is asked, once more for each that comes after the answer.
    pub fn said_goodbye(&mut self, shared: &mut Shared, now: Duration) {
        if self.reported.is_some() && !self.doubted {
            (self.doubted, self.resolve_at) = (true, now + SECOND + shared.chance.millis(20, 120));
        }
    }
    pub fn wants_asking(&self) -> bool {
        self.doubted || (self.reported.is_none() && (self.wanted || self.tries < RESOLVE_TRIES))
    }
    /// The one interface to ask on; `None`: on all of them.
    pub fn where_to_ask(&self) -> Option<u32> {
        self.interface.filter(|_| self.reported.is_some() || !self.wanted)
    }
    /// Asked again soon, never more often than once a second.
    pub fn ask_anew(&mut self, shared: &mut Shared, now: Duration) {
        if self.wanted && self.reported.is_none() {
            let earliest = self.asked.map_or(now, |last| last + SECOND);
            self.resolve_at = self.resolve_at.min(earliest.max(now + shared.chance.millis(20, 120)));
            self.tries = 0;
        }
    }
}
