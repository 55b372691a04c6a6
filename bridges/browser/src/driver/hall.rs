//! Where connections and the mind meet: who has the page open, and that something changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::law::Law;
use crate::core::pages::Pages;

/// Connections at once, of all and of one address. Where an added screen is, there is always room for it.
const CONNECTIONS: usize = 64;
const OF_ONE: usize = 8;

/// Shared by all tasks of the bridge.
pub(crate) struct Hall {
    pub law: Law,
    pages: Mutex<Pages>,
    connections: Mutex<HashMap<IpAddr, usize>>,
    /// For pages that wait.
    turn: watch::Sender<u64>,
    /// For the mind.
    pub news: Notify,
}

impl Hall {
    pub(crate) fn new(law: Law, pages: Pages) -> Arc<Self> {
        let (pages, connections, turn) = (Mutex::new(pages), Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { law, pages, connections, turn, news: Notify::new() })
    }

    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something that pages did, and lets the mind look.
    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut Pages, Instant) -> T) -> T {
        let done = act(&mut self.pages(), Instant::now());
        self.news.notify_one();
        done
    }

    /// Pages that wait look again.
    pub(crate) fn wake(&self) {
        self.turn.send_modify(|turn| *turn += 1);
    }

    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turn.subscribe()
    }
}

/// Room for one connection; given back when it is dropped.
pub(crate) struct Room {
    pub hall: Arc<Hall>,
    pub address: IpAddr,
}

impl Room {
    pub(crate) fn take(hall: &Arc<Hall>, address: IpAddr) -> Option<Self> {
        let home = hall.pages().is_home(address);
        let mut taken = hall.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.get(&address).copied().unwrap_or_default();
        if of_one >= OF_ONE || (!home && taken.values().sum::<usize>() >= CONNECTIONS) {
            return None;
        }
        taken.insert(address, of_one + 1);
        Some(Self { hall: hall.clone(), address })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.hall.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}
