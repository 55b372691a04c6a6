//! Whether a peer may be connected, and what is connected to it, under one lock: a connection is either taken while
//! the consent stands, and then ended with it, or not taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `L` is the lease, `C` a connection.
pub(crate) struct Standing<L, C>(Mutex<State<L, C>>);

struct State<L, C> {
    lease: Option<L>,
    all: Vec<Arc<C>>,
}

impl<L: Clone, C> Standing<L, C> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { lease: None, all: Vec::new() }))
    }

    /// From now on connections are taken.
    pub(crate) fn begin(&self, lease: L) {
        self.lock().lease = Some(lease);
    }

    /// Takes a connection. `also` runs before any end can come between. `None` when there is no lease.
    pub(crate) fn adopt<T>(&self, connection: &Arc<C>, also: impl FnOnce() -> T) -> Option<T> {
        let mut state = self.lock();
        state.lease.as_ref()?;
        state.all.push(connection.clone());
        Some(also())
    }

    /// From now on no connection is taken; those that were.
    pub(crate) fn end(&self) -> Vec<Arc<C>> {
        let mut state = self.lock();
        state.lease = None;
        std::mem::take(&mut state.all)
    }

    /// A connection is over; the lease, unless [`Standing::end`] gave the connection back already.
    pub(crate) fn over(&self, connection: &Arc<C>) -> Option<L> {
        let mut state = self.lock();
        let before = state.all.len();
        state.all.retain(|known| !Arc::ptr_eq(known, connection));
        state.lease.clone().filter(|_| state.all.len() < before)
    }

    /// The lease and everything that was taken, while there is one.
    pub(crate) fn now(&self) -> Option<(L, Vec<Arc<C>>)> {
        let state = self.lock();
        Some((state.lease.clone()?, state.all.clone()))
    }

    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        self.lock().all.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State<L, C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[test]
    fn no_connection_is_taken_without_a_lease_and_each_is_given_back_once() {
        let standing = Standing::<u8, u8>::new();
        let (one, two) = (Arc::new(1), Arc::new(2));
        assert!(standing.adopt(&one, || panic!("no lease")).is_none());
        standing.begin(7);
        standing.adopt(&one, || ()).unwrap();
        standing.adopt(&two, || ()).unwrap();
        assert_eq!((standing.over(&one), standing.over(&one)), (Some(7), None));
        let ended = standing.end();
        assert!(ended.len() == 1 && Arc::ptr_eq(&ended[0], &two));
        assert!(standing.over(&two).is_none() && standing.adopt(&one, || ()).is_none());
    }

    #[test]
    fn whenever_the_end_comes_no_connection_survives_it() {
        for _ in 0..50 {
            let standing = Standing::<(), AtomicBool>::new();
            let shown = AtomicUsize::new(0);
            standing.begin(());
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    for _ in 0..200 {
                        let open = Arc::new(AtomicBool::new(true));
                        if standing.adopt(&open, || shown.fetch_add(1, Ordering::SeqCst)).is_none() {
                            open.store(false, Ordering::SeqCst);
                        }
                        std::thread::yield_now();
                        if standing.lock().lease.is_none() {
                            assert!(standing.all().is_empty());
                        }
                    }
                });
                threads.spawn(|| standing.end().iter().for_each(|open| open.store(false, Ordering::SeqCst)));
            });
            assert!(standing.all().is_empty());
        }
    }
}
