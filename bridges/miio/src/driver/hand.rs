//! One added device whose address is known: carries its machine's datagrams to it and back, under a permit for it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use accord_consent::outlet::{DatagramOutlet, OneNear};
use accord_consent::{Personal, SendError};
use accord_model::{CallError, CallId, DeviceId};
use accord_ports::hand::Orders;
use accord_ports::secret::Secret;
use tokio::sync::mpsc;

use super::law::{self, Law};
use super::mind::Heard;
use super::telling::{self, Session, Telling, Told};
use crate::core::device::{Device, Event, Known, Model, Output, Wanted};
use crate::core::packet::Token;

/// How long nothing is tried after the law or the system denied something.
const DENIED: Duration = Duration::from_secs(2);
/// Largest datagram that is read: what a device answers is smaller.
const LARGEST: usize = 16 * 1024;

/// To a hand.
pub(crate) enum Order {
    /// Until when somebody waits for it.
    Wanted(CallId, Wanted, Instant),
    /// Nobody waits for that any more.
    Cancel(CallId),
    /// What its model can do.
    Model(Option<Box<Model>>),
    /// It answered a greeting.
    Look,
}

/// What a hand is made of.
pub(crate) struct Hand {
    pub law: Law,
    pub device: DeviceId,
    /// Which of the hands of this device, one after the other.
    pub number: u64,
    pub at: Ipv4Addr,
    pub port: u16,
    pub secret: Secret,
    pub token: Token,
    pub did: Option<u64>,
    pub most: Option<usize>,
    pub orders: Orders<Order>,
    pub heard: mpsc::Sender<Heard>,
    /// What is wanted and not done.
    pub wanted: BTreeSet<u64>,
}

impl Hand {
    /// Until the mind lets go of it.
    pub(crate) async fn run(mut self) {
        let stop = self.orders.stop();
        let mut session = Session::default();
        let ran = stop.run_until_cancelled(async {
            loop {
                if !self.allowed().await {
                    return;
                }
                let driven = self.drive(&mut session).await;
                session.leave().await;
                match driven {
                    Ok(()) => return,
                    Err(error) => {
                        for call in std::mem::take(&mut self.wanted) {
                            self.reply(CallId(call), error.clone()).await;
                        }
                        self.say(None, None).await;
                    }
                }
                tokio::time::sleep(DENIED).await;
            }
        });
        ran.await.unwrap_or_default();
        session.leave().await;
        let away = CallError::Unreachable("the device is away".to_owned());
        for call in std::mem::take(&mut self.wanted) {
            self.reply(CallId(call), away.clone()).await;
        }
        for order in self.orders.close() {
            if let Order::Wanted(call, ..) = order {
                self.reply(call, away.clone()).await;
            }
        }
    }

    /// Waits for the owner's consent. `false`: it is over.
    async fn allowed(&mut self) -> bool {
        let mut watch = self.law.controls(&self.device);
        loop {
            tokio::select! {
                biased;
                () = watch.allowed() => return true,
                order = self.orders.next() => {
                    let Some(order) = order else { return false };
                    let Order::Wanted(call, ..) = order else { continue };
                    let refusal = self.law.may_control(&self.device).err();
                    let why = refusal.map_or_else(|| "not agreed".to_owned(), |refusal| refusal.to_string());
                    self.reply(call, CallError::NotConsented(why)).await;
                }
            }
        }
    }

    async fn reply(&self, call: CallId, error: CallError) {
        let _ = self.heard.send(Heard::Refused { call, error }).await;
    }

    /// Without an event: nothing is said to it any more. `false`: nobody hears it.
    async fn say(&self, did: Option<u64>, event: Option<Event>) -> bool {
        let (device, hand) = (self.device.clone(), self.number);
        self.heard.send(Heard::Said { device, hand, did, event }).await.is_ok()
    }

    /// Lets the machine run while the consent lasts.
    async fn drive(&mut self, session: &mut Session) -> Result<(), CallError> {
        let permit = self.law.control(&self.device);
        let permit = permit.map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let one = OneNear::open(permit, self.at.into()).await.map_err(failed)?;
        let own = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let socket = one.datagrams(own).map_err(|error| CallError::Unreachable(error.to_string()))?;
        let known = Known { token: self.token.clone(), did: self.did, first: first(), most: self.most };
        let Session { machine, telling } = session;
        let machine = machine.insert(Device::new(known, Instant::now()));
        machine.look(Instant::now());
        let cancelled = one.cancelled();
        let (mut tells, mut tells_from) = (self.law.tells(&self.device), Instant::now());
        let mut buffer = vec![0; LARGEST];
        loop {
            let wake = match machine.poll_output() {
                Output::Send(bytes) => {
                    self.send(&socket, bytes).await?;
                    continue;
                }
                Output::Push(bytes) => {
                    if let Some(open) = &*telling
                        && !open.say(bytes).await
                    {
                        (*telling, tells_from) = (None, telling::again());
                        machine.push(None, Instant::now());
                    }
                    continue;
                }
                Output::Event(event) => {
                    let done = if let Event::Done(call, _) = &event { Some(*call) } else { None };
                    if !self.say(machine.did(), Some(event)).await {
                        return Ok(());
                    }
                    done.map(|call| self.wanted.remove(&call));
                    continue;
                }
                Output::Wait(wake) => wake,
            };
            let can_push = machine.can_push();
            if !can_push {
                *telling = None;
            }
            tokio::select! {
                biased;
                () = cancelled.cancelled() => {
                    return Err(CallError::NotConsented("you withdrew your consent".to_owned()));
                }
                order = self.orders.next() => match order {
                    None => return Ok(()),
                    Some(Order::Look) => machine.look(Instant::now()),
                    Some(Order::Model(model)) => machine.model(model.map(|model| *model), Instant::now()),
                    Some(Order::Wanted(call, what, until)) => {
                        self.wanted.insert(call.0);
                        machine.wanted(call.0, what, until, Instant::now());
                    }
                    Some(Order::Cancel(call)) => machine.cancel(call.0, Instant::now()),
                },
                received = socket.receive(&mut buffer) => match received {
                    Ok((length, from)) if from.port() == self.port => {
                        machine.datagram(&buffer[..length], Instant::now());
                    }
                    Ok(_) => {}
                    // Its system said that nobody hears there: that is told by the silence that follows.
                    Err(error) => {
                        tracing::debug!(%error, "a device's datagram was not received");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                // Before what is told, so that no flood of it holds this up.
                () = tokio::time::sleep_until(wake.into()) => machine.timeout(Instant::now()),
                told = telling::next(telling) => match told {
                    Told::Datagram(length) => {
                        if let Some(open) = &*telling {
                            machine.pushed(&open.buffer[..length], Instant::now());
                        }
                    }
                    Told::Nothing => {}
                    Told::Over => {
                        *telling = None;
                        machine.push(None, Instant::now());
                    }
                },
                () = telling::due(&mut tells, tells_from), if can_push && telling.is_none() => {
                    match Telling::open(&self.law, &self.device, (self.at, self.port), &self.secret).await {
                        Ok(open) => machine.push(Some(telling.insert(open).hub), Instant::now()),
                        Err(why) => {
                            tells_from = telling::again();
                            tracing::debug!(device = %self.device, "it cannot tell of changes by itself: {why}");
                        }
                    }
                }
            }
        }
    }

    async fn send(&self, socket: &DatagramOutlet, bytes: Vec<u8>) -> Result<(), CallError> {
        let sent = socket.send(&Personal::of(law::standing(), bytes), SocketAddr::from((self.at, self.port))).await;
        match sent {
            Ok(()) => Ok(()),
            // No way there, or nobody: as with a datagram that is lost.
            Err(SendError::Io(error)) => {
                tracing::debug!(%error, device = %self.device, "a datagram did not leave");
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Where the numbers of questions begin: ten for every second, so that none comes again soon, after a restart either.
fn first() -> u32 {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (passed.as_millis() / 100 % 0x7fff_ffff) as u32
}

fn failed(error: SendError) -> CallError {
    match error {
        SendError::Io(_) | SendError::Outlet(_) => CallError::Unreachable(error.to_string()),
        error => CallError::NotConsented(error.to_string()),
    }
}
