//! `GET /events`: what changes, as it changes. A bounded broadcast; whoever falls behind gets `hello`
//! again and reads everything anew.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event as Frame, KeepAlive, KeepAliveStream, Sse};
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::error::{Answer, Failure};
use super::types::{Event, Status};

const QUEUE: usize = 512;
const MAX_LISTENERS: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Frames = tokio_stream::wrappers::ReceiverStream<Result<Frame, Infallible>>;

/// Where changes are told. Cloning gives another handle to the same hub.
#[derive(Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<Event>>,
    listeners: Arc<AtomicUsize>,
    anew: Arc<Notify>,
    /// Held while a state is looked at and told.
    telling: Arc<Mutex<()>>,
    stop: CancellationToken,
}

impl Events {
    pub fn new(stop: CancellationToken) -> Self {
        let sender = broadcast::channel(QUEUE).0;
        Self { sender, listeners: Arc::default(), anew: Arc::default(), telling: Arc::default(), stop }
    }

    /// Tells all listeners. Nobody listening is fine.
    pub fn tell(&self, event: Event) {
        let _ = self.sender.send(Arc::new(event));
    }

    /// Tells what `look` finds, if it finds something: what is told last was looked at last, whoever else tells of the same.
    pub fn tell_as_it_is(&self, look: impl FnOnce() -> Option<Event>) {
        let _turn = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = look() {
            self.tell(event);
        }
    }

    /// Whether anybody listens; what is told often is made only then.
    pub fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Something was missed or changed widely: everyone gets `hello` and reads everything anew.
    pub fn tell_anew(&self) {
        self.anew.notify_waiters();
    }

    /// A stream for one listener. `status` is asked for each `hello`; `ended` ends it early.
    pub fn stream<F, Fut>(
        &self,
        status: F,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Answer<Sse<KeepAliveStream<Frames>>>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer<Status>> + Send,
    {
        let listener = Listener::join(&self.listeners)
            .ok_or_else(|| Failure::too_many("Too many pages are open; close some.", 10))?;
        let mut receiver = self.sender.subscribe();
        let (stop, anew) = (self.stop.clone(), self.anew.clone());
        let (queue, frames) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            let _listener = listener;
            let run = async {
                let Ok(first) = status().await else { return };
                let mut event = Arc::new(Event::Hello(first));
                loop {
                    let Some(frame) = frame(&event) else { return };
                    if queue.send(Ok(frame)).await.is_err() {
                        return;
                    }
                    let next = tokio::select! {
                        next = receiver.recv() => next,
                        () = anew.notified() => Err(RecvError::Lagged(0)),
                    };
                    event = match next {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_)) => {
                            receiver = receiver.resubscribe();
                            let Ok(status) = status().await else { return };
                            Arc::new(Event::Hello(status))
                        }
                        Err(RecvError::Closed) => return,
                    };
                }
            };
            tokio::select! {
                () = run => {}
                () = stop.cancelled() => {}
                () = ended => {}
                () = queue.closed() => {}
            }
        });
        let frames = Frames::new(frames);
        Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("still here")))
    }
}

/// Counts one open stream.
struct Listener(Arc<AtomicUsize>);

impl Listener {
    fn join(count: &Arc<AtomicUsize>) -> Option<Self> {
        let joined = Self(count.clone());
        (count.fetch_add(1, Ordering::Relaxed) < MAX_LISTENERS).then_some(joined)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn frame(event: &Event) -> Option<Frame> {
    let tagged = serde_json::to_value(event).ok()?;
    Frame::default().event(tagged.get("event")?.as_str()?).json_data(tagged.get("data")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_leaves_makes_room() {
        let count = Arc::new(AtomicUsize::new(0));
        let all: Vec<_> = (0..MAX_LISTENERS).map_while(|_| Listener::join(&count)).collect();
        assert_eq!(all.len(), MAX_LISTENERS);
        assert!(Listener::join(&count).is_none());
        drop(all);
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert!(Listener::join(&count).is_some());
    }
}
