//! One link: the core's machine between a connection and the driver.

use std::time::Instant;

use accord_consent::Permit;
use accord_model::{CallError, FieldSet, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::Happening;
use super::wire::Wire;
use crate::core::Now;
use crate::core::link::{End, Event, Input, Link, LinkNo, Output, Setup};
use crate::core::packet::Packet;
use crate::core::pairing::Command;

/// Orders that may wait.
const QUEUE: usize = 128;

/// What the driver wants of a link.
pub(crate) enum Order {
    Pair(Command),
    Say(Packet, oneshot::Sender<Result<(), CallError>>),
    /// From now on under the consent for this device, with these kinds of content.
    Under(Permit, FieldSet),
    Close,
}

/// The driver's end of a link.
pub(crate) struct Handle {
    orders: mpsc::Sender<Order>,
}

impl Handle {
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(QUEUE);
        (Self { orders }, inbox)
    }
    /// False when the link is gone or has too much to do.
    pub fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }
    /// Says a packet; the answer comes when it is written.
    pub fn say(&self, packet: Packet) -> oneshot::Receiver<Result<(), CallError>> {
        let (done, answer) = oneshot::channel();
        if let Err(error) = self.orders.try_send(Order::Say(packet, done))
            && let Order::Say(_, done) = error.into_inner()
        {
            let _ = done.send(Err(CallError::Unreachable("the device does not take what is sent to it".into())));
        }
        answer
    }
}

/// Both clocks now.
pub(crate) fn now() -> Now {
    Now { instant: Instant::now(), wall: Timestamp::now() }
}

/// Runs one link to its end, which it tells.
pub(crate) async fn run(
    no: LinkNo,
    setup: Setup,
    wire: Wire,
    orders: mpsc::Receiver<Order>,
    happened: mpsc::Sender<Happening>,
) {
    let link = Link::new(setup, now());
    let mut task = Task { no, link, wire, content: None, orders, happened };
    let end = task.run().await;
    let Task { wire, happened, .. } = task;
    let _ = happened.send(Happening::Ended(no, end)).await;
    wire.close().await;
}

struct Task {
    no: LinkNo,
    link: Link,
    wire: Wire,
    /// What may be said; nothing before the owner agreed.
    content: Option<FieldSet>,
    orders: mpsc::Receiver<Order>,
    happened: mpsc::Sender<Happening>,
}

impl Task {
    async fn run(&mut self) -> End {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            let wake = match self.flush().await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            let stopped = self.wire.cancelled();
            tokio::select! {
                () = stopped.cancelled() => return End::ByUs,
                read = self.wire.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => self.link.handle(Input::Closed, now()),
                    Ok(length) => self.link.handle(Input::Bytes(&buffer[..length]), now()),
                },
                order = self.orders.recv() => match order {
                    None => self.link.handle(Input::Close, now()),
                    Some(order) => if let Err(end) = self.obey(order).await {
                        return end;
                    },
                },
                () = at(wake) => self.link.handle(Input::Timeout, now()),
            }
        }
    }

    /// Does what the core wants, until it waits.
    async fn flush(&mut self) -> Result<Option<Instant>, End> {
        loop {
            match self.link.poll_output() {
                Output::Transmit(transmit) => {
                    if let Err(error) = self.wire.put(transmit).await {
                        tracing::debug!(%error, link = self.no.0, "a link broke");
                        self.link.handle(Input::Closed, now());
                    }
                }
                Output::Event(Event::Ended(end)) => return Err(end),
                Output::Event(event) => {
                    if self.happened.send(Happening::Link(self.no, event)).await.is_err() {
                        return Err(End::ByUs);
                    }
                }
                Output::Wait(wake) => return Ok(wake),
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Pair(command) => self.link.handle(Input::Pair(command), now()),
            Order::Close => self.link.handle(Input::Close, now()),
            Order::Under(permit, content) => {
                if let Err(error) = self.wire.under(permit).await {
                    tracing::warn!(%error, "a paired KDE Connect device is not spoken to");
                    return Err(End::ByUs);
                }
                self.content = Some(content);
                let _ = self.happened.send(Happening::Secured(self.no)).await;
            }
            Order::Say(packet, done) => {
                let said = self.say(&packet).await;
                let end = if let Err(Ended(end, _)) = &said { Some(end.clone()) } else { None };
                let _ = done.send(said.map_err(|Ended(_, error)| error).and_then(|said| said));
                if let Some(end) = end {
                    return Err(end);
                }
            }
        }
        Ok(())
    }

    async fn say(&mut self, packet: &Packet) -> Result<Result<(), CallError>, Ended> {
        let Some(content) = self.content else {
            return Ok(Err(CallError::NotConsented("the owner has not agreed to speak with this device yet".into())));
        };
        // Checked before it is encrypted: a record that is left out breaks the connection. What the device's own
        // abilities say is in every connection.
        let missing = packet.body.fields().minus(content);
        let missing = missing.minus(FieldSet::one(accord_model::FieldCode::DeviceAbilities));
        if !missing.is_empty() {
            let message = format!("`{}` does not let out {missing:?}", super::law::CONNECTION);
            return Ok(Err(CallError::NotConsented(message)));
        }
        if let Err(error) = self.link.send(packet, now()) {
            return Ok(Err(CallError::Unreachable(error.to_string())));
        }
        match self.flush().await {
            Ok(_) => Ok(Ok(())),
            Err(end) => Err(Ended(end, CallError::Unreachable("the connection broke".into()))),
        }
    }
}

struct Ended(End, CallError);

/// Sleeps until then, or for ever.
pub(crate) async fn at(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}
