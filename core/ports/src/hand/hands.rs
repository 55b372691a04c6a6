//! The hands of a mind: at most one for each device, begun, told and let go of by it, and ended with it.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use accord_model::DeviceId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Orders;

/// The hands, and whatever else runs as long as their mind. All of it is told to end when this is dropped.
#[derive(Debug)]
pub struct Hands<O> {
    held: HashMap<DeviceId, Held<O>>,
    /// Orders that a hand has not followed yet.
    room: usize,
    next: u64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Held<O> {
    number: u64,
    orders: mpsc::Sender<O>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A hand's place among them.
#[derive(Debug)]
pub struct Place<O> {
    /// Which of the hands of this mind, one after the other.
    pub number: u64,
    /// What it is told.
    pub orders: Orders<O>,
}

impl<O> Hands<O> {
    /// None yet. `room`: orders that may wait for one of them.
    pub fn new(room: usize) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { held: HashMap::new(), room, next: 1, tasks, stop }
    }

    /// A device gets a hand, in place of the one that it may have. Only inside a tokio runtime.
    pub fn begin<F>(&mut self, id: &DeviceId, hand: impl FnOnce(Place<O>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.let_go(id);
        let (orders, inbox) = mpsc::channel(self.room);
        let (number, stop) = (self.next, self.stop.child_token());
        self.next += 1;
        let task = self.tasks.spawn(hand(Place { number, orders: Orders::new(inbox, stop.clone()) }));
        self.held.insert(id.clone(), Held { number, orders, stop, task });
    }

    /// The way to a device's hand.
    pub fn get(&self, id: &DeviceId) -> Option<&mpsc::Sender<O>> {
        self.held.get(id).map(|held| &held.orders)
    }

    /// Whether it is the device's hand of now that has this number.
    pub fn is_current(&self, id: &DeviceId, number: u64) -> bool {
        self.held.get(id).is_some_and(|held| held.number == number)
    }

    /// A device's hand is to end. Whoever has to know when it did can wait for it.
    pub fn let_go(&mut self, id: &DeviceId) -> Option<JoinHandle<()>> {
        let held = self.held.remove(id)?;
        held.stop.cancel();
        Some(held.task)
    }

    /// The same for all of them.
    pub fn let_go_of_all(&mut self) {
        self.held.drain().for_each(|(_, held)| held.stop.cancel());
    }

    /// Runs a task beside the hands, dropped when they end.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await.unwrap_or_default() });
    }

    /// Runs a task beside the hands that ends by itself, and is waited for when they end.
    pub fn accompany(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends everything. `false`: it did not end in time.
    pub async fn end(&mut self, within: Duration) -> bool {
        self.stop.cancel();
        self.held.clear();
        self.tasks.close();
        tokio::time::timeout(within, self.tasks.wait()).await.is_ok()
    }
}

impl<O> Drop for Hands<O> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::added::device_id;

    /// Follows orders until it is let go of.
    async fn hand(mut place: Place<u8>, told: mpsc::Sender<(u64, u8)>) {
        let stop = place.orders.stop();
        while let Some(Some(order)) = stop.run_until_cancelled(place.orders.next()).await {
            told.send((place.number, order)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_device_has_one_hand_and_the_one_before_is_let_go_of() {
        let (told, mut heard) = mpsc::channel(8);
        let (mut hands, id) = (Hands::new(1), device_id("lab", "one"));
        hands.begin(&id, |place| hand(place, told.clone()));
        hands.get(&id).unwrap().try_send(1).unwrap();
        assert!(hands.get(&id).unwrap().try_send(2).is_err(), "only so many wait");
        assert_eq!(heard.recv().await, Some((1, 1)));
        hands.begin(&id, |place| hand(place, told.clone()));
        assert!(!hands.is_current(&id, 1) && hands.is_current(&id, 2));
        hands.get(&id).unwrap().send(3).await.unwrap();
        assert_eq!(heard.recv().await, Some((2, 3)));
        hands.let_go(&id).unwrap().await.unwrap();
        assert!(hands.get(&id).is_none() && !hands.is_current(&id, 2) && hands.let_go(&id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn all_end_with_their_mind_and_who_does_not_is_not_waited_for_long() {
        let (told, _heard) = mpsc::channel(8);
        let mut hands = Hands::new(1);
        for name in ["one", "two"] {
            hands.begin(&device_id("lab", name), |place| hand(place, told.clone()));
        }
        let beside = CancellationToken::new();
        let ends = beside.clone().drop_guard();
        hands.spawn(async move {
            let _ends = ends;
            std::future::pending().await
        });
        let whole = CancellationToken::new();
        let done = whole.clone();
        hands.accompany(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.cancel();
        });
        tokio::task::yield_now().await;
        assert!(hands.end(Duration::from_secs(2)).await);
        assert!(beside.is_cancelled() && whole.is_cancelled());

        let mut hands = Hands::<u8>::new(1);
        hands.begin(&device_id("lab", "deaf"), |_| std::future::pending());
        hands.let_go_of_all();
        assert!(hands.get(&device_id("lab", "deaf")).is_none());
        assert!(!hands.end(Duration::from_secs(2)).await);
    }
}
