//! Questions that wait for an answer, by id. Each is answered at most once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use tokio::sync::oneshot;

/// Questions by id, each with the bridge that owes the answer.
pub(crate) struct Pending<K, V> {
    waiting: Mutex<HashMap<K, (String, oneshot::Sender<V>)>>,
}

impl<K: Eq + Hash + Copy, V> Pending<K, V> {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, (String, oneshot::Sender<V>)>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn wait_for(&self, id: K, bridge: &str) -> oneshot::Receiver<V> {
        let (answer, wait) = oneshot::channel();
        self.lock().insert(id, (bridge.to_owned(), answer));
        wait
    }

    /// False when nobody waits: a late or invented answer.
    pub(crate) fn answer(&self, id: K, value: V) -> bool {
        self.lock().remove(&id).is_some_and(|(_, waiting)| waiting.send(value).is_ok())
    }

    /// Everything a bridge still owes is given up; those who wait see the sender gone.
    pub(crate) fn forget_bridge(&self, bridge: &str) {
        self.lock().retain(|_, (owes, _)| owes != bridge);
    }

    pub(crate) fn forget(&self, id: K) {
        self.lock().remove(&id);
    }
}
