//! What a hand is told to do, and what of it waits for a connection.

use std::time::{Duration, Instant};

use accord_model::CallId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// An order is begun within this time or not at all: whoever gave it is told soon after that it failed.
pub const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// Orders that wait for a connection.
const MOST_WAITING: usize = 64;

/// What a hand that stays connected can be told.
pub trait Order: Send {
    /// What has to come of it while there is no connection.
    fn asks(&self) -> Asks;
}

/// What an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Something that is done or refused.
    Call(CallId),
    /// Why the peer is not reached.
    Why(CallId),
    /// Nothing: the peer announced itself anew.
    Announced,
    /// Nothing that is of interest without a connection.
    Nothing,
}

/// The hand's end of its queue of orders.
#[derive(Debug)]
pub struct Orders<O> {
    inbox: mpsc::Receiver<O>,
    waiting: Vec<O>,
    stop: CancellationToken,
}

impl<O> Orders<O> {
    pub(super) fn new(inbox: mpsc::Receiver<O>, stop: CancellationToken) -> Self {
        Self { inbox, waiting: Vec::new(), stop }
    }

    /// The next one; `None` once the mind let go. May be dropped at any time.
    pub async fn next(&mut self) -> Option<O> {
        self.inbox.recv().await
    }

    /// Those that wait for a connection.
    pub fn waiting(&self) -> &[O] {
        &self.waiting
    }

    /// The same, which do not wait any more.
    pub fn take_waiting(&mut self) -> Vec<O> {
        std::mem::take(&mut self.waiting)
    }

    /// Cancelled when the mind let go.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Takes no more. All that are left.
    pub fn close(&mut self) -> Vec<O> {
        self.inbox.close();
        self.everything()
    }

    /// All that were given until now.
    pub fn everything(&mut self) -> Vec<O> {
        let mut all = self.take_waiting();
        all.extend(std::iter::from_fn(|| self.inbox.try_recv().ok()));
        all
    }

    /// Keeps one, whatever it asks for and however many wait.
    pub fn push(&mut self, order: O) {
        self.waiting.push(order);
    }
}

impl<O: Order> Orders<O> {
    /// Keeps one for when there is a connection. A call that comes back has to be refused: too many wait.
    #[must_use]
    pub fn keep(&mut self, order: O) -> Option<CallId> {
        match order.asks() {
            Asks::Call(call) if self.waiting.len() >= MOST_WAITING => return Some(call),
            Asks::Call(_) | Asks::Why(_) => self.waiting.push(order),
            Asks::Announced | Asks::Nothing => {}
        }
        None
    }
}

/// How long an order may still be begun.
#[derive(Debug, Clone)]
pub struct Term {
    until: Instant,
    given_up: CancellationToken,
}

impl Term {
    /// For an order that is given now.
    pub fn new(now: Instant) -> Self {
        Self { until: now + BEGUN_WITHIN, given_up: CancellationToken::new() }
    }

    /// Whoever gave the order does not want it any more.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Until when, unless it is given up before.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// It may not be begun any more.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until || self.is_given_up()
    }

    /// Nobody wants it any more.
    pub fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Order for Asks {
        fn asks(&self) -> Asks {
            *self
        }
    }

    #[test]
    fn an_order_is_begun_in_time_or_not_at_all() {
        let now = Instant::now();
        let term = Term::new(now);
        assert!(!term.is_over(now) && term.is_over(term.until()) && term.until() == now + BEGUN_WITHIN);
        term.clone().give_up();
        assert!(term.is_over(now), "whoever holds it");
    }

    #[test]
    fn only_so_many_wait_and_whoever_asks_why_always_does() {
        let (given, inbox) = mpsc::channel(4);
        let mut orders = Orders::new(inbox, CancellationToken::new());
        for number in 0..MOST_WAITING as u64 {
            assert_eq!(orders.keep(Asks::Call(CallId(number))), None);
        }
        assert_eq!(orders.keep(Asks::Call(CallId(99))), Some(CallId(99)));
        assert_eq!(orders.keep(Asks::Announced), None);
        assert_eq!(orders.keep(Asks::Why(CallId(7))), None);
        given.try_send(Asks::Call(CallId(100))).unwrap();
        let all = orders.close();
        assert_eq!(all.len(), MOST_WAITING + 2);
        assert_eq!(all[MOST_WAITING..], [Asks::Why(CallId(7)), Asks::Call(CallId(100))], "in their order");
        assert!(given.try_send(Asks::Announced).is_err() && orders.waiting().is_empty());
    }
}
