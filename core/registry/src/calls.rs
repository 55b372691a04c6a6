//! From features to bridges: what devices are asked, streams to them, and why one is not reached.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use accord_consent::{Outgoing, RecipientId};
use accord_model::why::Explained;
use accord_model::{
    CallError, CallId, Data, DeviceId, Inputs, Outputs, StreamClass, StreamId, Target, Timestamp, ToBridge, Verb, Write,
};

use crate::ask::{Ask, PairStep};
use crate::bridge::ByteStream;
use crate::pending::Pending;
use crate::registry::{Door, Registry, gone, not_let_out, read, write};

/// How long a stream may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// What a bridge may take to answer beyond the time that it was given.
const EXPLAIN_MORE: Duration = Duration::from_secs(2);

/// A question on its way. Dropped before the answer came, it tells the bridge that nobody waits any more.
struct OpenCall<'a> {
    calls: &'a Pending<CallId, Result<Outputs, CallError>>,
    door: &'a Door,
    call: CallId,
    answered: bool,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.calls.forget(self.call);
            let _ = self.door.try_send((ToBridge::Cancel { call: self.call }, None));
        }
    }
}

/// What a bridge added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Which devices.
    pub devices: Vec<DeviceId>,
    /// They are not added yet: the owner's browser is to go there first.
    pub open: Option<String>,
}

impl Registry {
    /// Asks a device for something, and closes the record of what was said: what the bridge could not pass on was not
    /// sent. A write is pending until the device reports it: see [`Registry::write_state`]. When the consent ends, so does
    /// the question: its bridge is told that nobody waits any more.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when nobody speaks for the device, [`CallError::Deadline`] when no answer
    /// came in time, [`CallError::NotConsented`] when the consent ended meanwhile, or what the device answered.
    pub async fn call(
        &self,
        device: &DeviceId,
        target: Target,
        ask: Ask,
        message: Outgoing,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let outcome = while_agreed(&message, self.pass_on(device, target, ask, &message, deadline)).await;
        recorded(message, outcome).await
    }

    /// Opens a byte stream of a service of a device, for what comes on it, and closes the record of what was said for that. When
    /// the consent ends before it is open, it is given up.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn open_asked(
        &self,
        device: &DeviceId,
        target: Target,
        message: Outgoing,
        class: StreamClass,
    ) -> Result<ByteStream, CallError> {
        let opened = async {
            let inputs = self.inputs_for(device, &message)?;
            self.open_stream(device, target, inputs, class).await
        };
        let outcome = while_agreed(&message, opened).await;
        recorded(message, outcome).await
    }

    async fn pass_on(
        &self,
        device: &DeviceId,
        target: Target,
        ask: Ask,
        message: &Outgoing,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let verb = ask.with(self.inputs_for(device, message)?)?;
        let written = match &verb {
            Verb::Write { property, data } => {
                let key = (device.clone(), target.clone(), property.clone());
                let write_of =
                    Write::new(data.clone(), Timestamp::now()).in_steps(self.step(device, &target, property));
                write(&self.0.writes).insert(key.clone(), write_of);
                Some(key)
            }
            _ => None,
        };
        let outcome = self.command(device, target, verb, deadline).await;
        if let (Err(_), Some(key)) = (&outcome, written) {
            write(&self.0.writes).remove(&key);
        }
        outcome
    }

    fn inputs_for(&self, device: &DeviceId, message: &Outgoing) -> Result<Inputs, CallError> {
        match *message.recipient() == self.recipient(device) {
            true => message.inputs().map_err(not_let_out),
            false => Err(CallError::BadInput("the message is for another device".into())),
        }
    }

    /// Tells the bridge of a device that is no hub what the owner decided about pairing with it. `inputs` is what the
    /// device's service `pairing` wants for that step, such as a token.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn pair(
        &self,
        device: &DeviceId,
        step: PairStep,
        inputs: Inputs,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let verb = Verb::Act { action: step.action().to_owned(), inputs };
        self.command(device, Target::new("pairing"), verb, deadline).await.map(drop)
    }

    /// Has a bridge add a device that the owner describes: see [`ToBridge::Add`]. Nothing leaves this machine by that, but to
    /// a device that the owner agreed to before.
    ///
    /// # Errors
    /// [`CallError::BadInput`] with what the bridge wants instead, [`CallError::Unreachable`] when the bridge does not run,
    /// [`CallError::Deadline`].
    pub async fn add(&self, bridge: &str, way: &str, inputs: Inputs, deadline: Duration) -> Result<Added, CallError> {
        let door = read(&self.0.bridges).get(bridge).cloned().ok_or_else(gone)?;
        let message = |call| ToBridge::Add { call, way: way.to_owned(), inputs };
        let outputs = self.put(bridge, &door, message, deadline).await?;
        let said = outputs.get("devices").and_then(|data| data.as_texts()).unwrap_or_default();
        let devices: Vec<DeviceId> = said.iter().filter_map(|id| DeviceId::new(id).ok()).collect();
        // Another bridge's device is not this one's to add.
        let of_bridge = |id: &DeviceId| self.device(id).is_some_and(|known| known.bridge == bridge);
        match devices.iter().all(of_bridge) && !devices.is_empty() {
            true => Ok(Added { devices, open: outputs.get("open").and_then(Data::as_text).map(str::to_owned) }),
            false => Err(CallError::Device("the bridge did not say which device it added".into())),
        }
    }

    /// Has a bridge forget that the owner was to sign in: see [`ToBridge::Add`].
    ///
    /// # Errors
    /// As [`Registry::add`].
    pub async fn give_up_adding(&self, bridge: &str, inputs: Inputs, deadline: Duration) -> Result<(), CallError> {
        let door = read(&self.0.bridges).get(bridge).cloned().ok_or_else(gone)?;
        let message = |call| ToBridge::Add { call, way: "not-signed-in".to_owned(), inputs };
        self.put(bridge, &door, message, deadline).await.map(drop)
    }

    /// Who gets what is said to a device: the device itself, or the one of the same bridge that speaks for it, such as the
    /// server that a lamp belongs to.
    pub fn recipient(&self, device: &DeviceId) -> RecipientId {
        self.0.recipient(device)
    }

    /// The smallest difference of a number, as the device describes it; 0 when it does not.
    fn step(&self, device: &DeviceId, target: &Target, property: &str) -> f64 {
        let devices = read(&self.0.devices);
        let services = devices.get(device).into_iter().flat_map(|known| &known.device.services);
        let mut services = services.filter(|one| one.id == target.service && one.instance == target.instance);
        let found = services.next().and_then(|service| service.properties.iter().find(|one| one.id == property));
        found.and_then(|property| property.range).map_or(0.0, |range| range.step)
    }

    async fn command(
        &self,
        device: &DeviceId,
        target: Target,
        verb: Verb,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let (bridge, door) = self.door(device)?;
        let message = |call| ToBridge::Call { call, device: device.clone(), target, verb };
        self.put(&bridge, &door, message, deadline).await
    }

    /// Puts a question to a bridge.
    async fn put(
        &self,
        bridge: &str,
        door: &Door,
        message: impl FnOnce(CallId) -> ToBridge,
        deadline: Duration,
    ) -> Result<Outputs, CallError> {
        let call = CallId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let answer = self.0.calls.wait_for(call, bridge);
        let mut open = OpenCall { calls: &self.0.calls, door, call, answered: false };
        let asked = async {
            door.send((message(call), None)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        };
        match tokio::time::timeout(deadline, asked).await {
            Ok(outcome) => {
                open.answered = true;
                outcome
            }
            Err(_) => Err(CallError::Deadline(deadline.as_secs())),
        }
    }

    /// Opens a byte stream to a service of a device.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn open_stream(
        &self,
        device: &DeviceId,
        target: Target,
        inputs: Inputs,
        class: StreamClass,
    ) -> Result<ByteStream, CallError> {
        let (bridge, door) = self.door(device)?;
        let stream = StreamId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let ready = self.0.streams.wait_for(stream, &bridge);
        let opened = async {
            let message = ToBridge::OpenStream { stream, device: device.clone(), target, inputs, class };
            door.send((message, None)).await.map_err(|_| gone())?;
            ready.await.map_err(|_| gone())?
        };
        match tokio::time::timeout(OPEN_WITHIN, opened).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.0.streams.forget(stream);
                Err(CallError::Deadline(OPEN_WITHIN.as_secs()))
            }
        }
    }

    /// Asks a bridge what it knows about why a device is or is not reached, or how it stands itself. A device that is not
    /// connected is asked once for that, as far as the owner agreed.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when the bridge does not run, [`CallError::Deadline`] when it says nothing in time.
    pub async fn explain(
        &self,
        bridge: &str,
        device: Option<&DeviceId>,
        within: Duration,
    ) -> Result<Explained, CallError> {
        let door = read(&self.0.bridges).get(bridge).cloned().ok_or_else(gone)?;
        let call = CallId(self.0.next.fetch_add(1, Ordering::Relaxed));
        let answer = self.0.explanations.wait_for(call, bridge);
        let asked = async {
            let message = ToBridge::Explain { call, device: device.cloned(), within: within.as_secs() };
            door.send((message, None)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())
        };
        // The bridge has all of that time, and a moment to say so.
        let outcome = tokio::time::timeout(within + EXPLAIN_MORE, asked).await;
        outcome.unwrap_or_else(|_| {
            self.0.explanations.forget(call);
            Err(CallError::Deadline(within.as_secs()))
        })
    }

    fn door(&self, device: &DeviceId) -> Result<(String, Door), CallError> {
        let known =
            self.device(device).ok_or_else(|| CallError::Unreachable(format!("no device {device} is known here")))?;
        let door = read(&self.0.bridges).get(&known.bridge).cloned().ok_or_else(gone)?;
        Ok((known.bridge.clone(), door))
    }
}

/// What came of a question; `None` when the consent ended before. Then it has left, and its answer is not waited for.
async fn while_agreed<T>(
    message: &Outgoing,
    asked: impl Future<Output = Result<T, CallError>>,
) -> Option<Result<T, CallError>> {
    let stopped = message.cancelled();
    tokio::select! {
        biased;
        outcome = asked => Some(outcome),
        () = stopped.cancelled() => None,
    }
}

/// Closes the record of a question: what the bridge could not pass on was not sent.
async fn recorded<T>(message: Outgoing, outcome: Option<Result<T, CallError>>) -> Result<T, CallError> {
    match outcome {
        Some(Err(
            error @ (CallError::Unreachable(_)
            | CallError::Unsupported(_)
            | CallError::NotConsented(_)
            | CallError::BadInput(_)),
        )) => {
            message.fail(&error).await;
            Err(error)
        }
        outcome => {
            message.handed_on().await.map_err(not_let_out)?;
            outcome.unwrap_or_else(|| Err(CallError::NotConsented("the consent ended".into())))
        }
    }
}
