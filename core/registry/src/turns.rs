//! How much devices may ask for at once: so many questions and streams each, and so many through one bridge
//! in all, so that no device takes what others need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use accord_model::DeviceId;
use tokio::sync::oneshot;

/// Questions of one device that may be worked on at once.
pub(crate) const QUESTIONS_PER_DEVICE: usize = 16;
/// The same for all devices of one bridge.
const QUESTIONS: usize = 256;
/// Streams that one device may have open.
pub(crate) const STREAMS_PER_DEVICE: usize = 32;
/// The same for all devices of one bridge.
const STREAMS: usize = 256;

/// Queues that are remembered before those that are empty are looked for.
const QUEUES: usize = 64;

/// What is under way for the devices of one bridge.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    questions: Mutex<HashMap<DeviceId, usize>>,
    streams: Mutex<HashMap<DeviceId, usize>>,
    /// By device and service, the end of the last place in the queue.
    queues: Mutex<HashMap<(DeviceId, String), oneshot::Receiver<()>>>,
}

/// A place in a queue: the next one is reached when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    before: Option<oneshot::Receiver<()>>,
    _end: oneshot::Sender<()>,
}

impl Place {
    /// Waits until everyone before is done.
    pub(crate) async fn reached(mut self) -> Self {
        if let Some(before) = self.before.take() {
            let _ = before.await;
        }
        self
    }
}

/// One question or stream under way; over when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    device: DeviceId,
    stream: bool,
}

impl Turns {
    /// `None`: too many.
    pub(crate) fn question(self: &Arc<Self>, device: &DeviceId) -> Option<Turn> {
        self.take(device, false)
    }
    /// `None`: too many.
    pub(crate) fn stream(self: &Arc<Self>, device: &DeviceId) -> Option<Turn> {
        self.take(device, true)
    }

    /// The next place in the queue of one device for one service.
    pub(crate) fn queue(&self, device: &DeviceId, service: &str) -> Place {
        let (end, over) = oneshot::channel();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= QUEUES {
            queues.retain(|_, last| matches!(last.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        }
        let before = queues.insert((device.clone(), service.to_owned()), over);
        Place { before, _end: end }
    }

    fn take(self: &Arc<Self>, device: &DeviceId, stream: bool) -> Option<Turn> {
        let (each, all) = if stream { (STREAMS_PER_DEVICE, STREAMS) } else { (QUESTIONS_PER_DEVICE, QUESTIONS) };
        let mut taken = self.taken(stream).lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= all || taken.get(device).is_some_and(|count| *count >= each) {
            return None;
        }
        *taken.entry(device.clone()).or_default() += 1;
        Some(Turn { turns: self.clone(), device: device.clone(), stream })
    }

    fn taken(&self, stream: bool) -> &Mutex<HashMap<DeviceId, usize>> {
        if stream { &self.streams } else { &self.questions }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.taken(self.stream).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.device) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_queues_is_reached_in_order_and_nobody_waits_for_others() {
        let turns = Turns::default();
        let (one, other) = (DeviceId::new("one").unwrap(), DeviceId::new("other").unwrap());
        let first = turns.queue(&one, "input").reached().await;
        let mut second = tokio::spawn(turns.queue(&one, "input").reached());
        let third = tokio::spawn(turns.queue(&one, "input").reached());
        let _elsewhere = (turns.queue(&other, "input").reached().await, turns.queue(&one, "files").reached().await);
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut second).await.is_err(), "the first is not done");
        drop(first);
        let second = second.await.unwrap();
        assert!(!third.is_finished());
        drop(second);
        drop(third.await.unwrap());
        for n in 0..QUEUES + 1 {
            drop(turns.queue(&DeviceId::new(format!("device-{n}")).unwrap(), "input"));
        }
        assert!(turns.queues.lock().unwrap().len() <= QUEUES, "empty queues are forgotten");
    }

    #[test]
    fn one_device_cannot_take_the_turns_of_others() {
        let turns = Arc::new(Turns::default());
        let (greedy, other) = (DeviceId::new("greedy").unwrap(), DeviceId::new("other").unwrap());
        let mut held: Vec<_> = (0..QUESTIONS_PER_DEVICE).map(|_| turns.question(&greedy).unwrap()).collect();
        assert!(turns.question(&greedy).is_none());
        assert!(turns.question(&other).is_some() && turns.stream(&greedy).is_some());
        held.pop();
        assert!(turns.question(&greedy).is_some());
        drop(held);
        assert!(turns.questions.lock().unwrap().is_empty());
        let many: Vec<_> =
            (0..1000).filter_map(|n| turns.question(&DeviceId::new(format!("device-{n}")).unwrap())).collect();
        assert_eq!(many.len(), QUESTIONS);
    }
}
