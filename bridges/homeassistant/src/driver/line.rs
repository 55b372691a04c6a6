//! One connection with a server, under a permit for it: a [`Wire`], and WebSocket over it.

use std::time::Duration;

use accord_consent::SendError;
use accord_ports::tls::Key;
use tokio_util::sync::CancellationToken;

use super::wire::{BEGINS_WITHIN, NoLine, Way, Wire};
use crate::core::ws::{Event, Ws};

const BYE_WITHIN: Duration = Duration::from_millis(500);
const PATH: &str = "/api/websocket";

pub(crate) struct Line {
    wire: Wire,
    ws: Ws,
    /// What came before it was asked for.
    early: Vec<Event>,
}

impl Line {
    /// Connects, lets the server prove its key, and upgrades.
    pub(crate) async fn open(way: &mut Way) -> Result<Self, NoLine> {
        let wire = Wire::open(way).await?;
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| NoLine::odd(error.to_string()))?;
        let ws = Ws::new(&way.place.address.to_string(), PATH, random);
        let mut line = Self { wire, ws, early: Vec::new() };
        let begun = tokio::time::timeout(BEGINS_WITHIN, line.begin()).await;
        begun.unwrap_or_else(|_| Err(NoLine::mute(BEGINS_WITHIN))).map(|()| line)
    }

    async fn begin(&mut self) -> Result<(), NoLine> {
        let cancelled = self.wire.cancelled();
        loop {
            self.flush().await.map_err(NoLine::of)?;
            let events = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Err(NoLine::withdrawn()),
                events = self.next() => events.map_err(NoLine::odd)?,
            };
            let Some(events) = events else {
                return Err(NoLine::odd("it hung up; is it reached by https?".to_owned()));
            };
            let mut events = events.into_iter();
            if let Some(first) = events.next() {
                if first != Event::Open {
                    return Err(NoLine::odd("it does not upgrade as it should".to_owned()));
                }
                self.early = events.collect();
                return Ok(());
            }
        }
    }

    /// What the server proved to hold; nothing in clear.
    pub(crate) fn key(&self) -> Option<Key> {
        self.wire.key
    }

    /// Says a text; it leaves with the next [`Self::flush`].
    pub(crate) fn say(&mut self, text: &str) {
        self.ws.say(text);
    }

    pub(crate) async fn flush(&mut self) -> Result<(), SendError> {
        let bytes = self.ws.take();
        self.wire.send(&bytes).await
    }

    /// What came next, which may be nothing whole; `None` at the end. May be dropped at any time.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Event>>, String> {
        if !self.early.is_empty() {
            return Ok(Some(std::mem::take(&mut self.early)));
        }
        let Some(plain) = self.wire.read().await? else { return Ok(None) };
        self.ws.feed(&plain).map(Some).map_err(|error| error.to_string())
    }

    /// Cancelled once nothing may be said any more.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.wire.cancelled()
    }

    /// Says good-bye.
    pub(crate) async fn close(mut self) {
        self.ws.close();
        let _ = tokio::time::timeout(BYE_WITHIN, self.flush()).await;
    }
}
