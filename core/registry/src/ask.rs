//! How a feature asks a device for something: under one of its entries, with what it says sealed until then.

use std::time::Duration;

use accord_consent::{BoundGate, Destination, Envelope, Outgoing, RecipientId, Refusal};
use accord_model::{CallError, DeviceId, EntryKey, FieldSet, Inputs, Outputs, StreamClass, Target, Verb};

use crate::bridge::ByteStream;
use crate::registry::{Registry, WeakRegistry};

/// What is wanted of a service. The inputs travel in the message beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Read properties; all when empty.
    Read(Vec<String>),
    /// Write a property: the message's input `value`.
    Write(String),
    /// Do something with the message's inputs.
    Act(String),
}

impl Ask {
    /// An action.
    pub fn act(action: &str) -> Self {
        Self::Act(action.to_owned())
    }

    /// A write of the message's input `value`.
    pub fn write(property: &str) -> Self {
        Self::Write(property.to_owned())
    }

    pub(crate) fn with(self, mut inputs: Inputs) -> Result<Verb, CallError> {
        Ok(match self {
            Self::Read(properties) => Verb::Read { properties },
            Self::Act(action) => Verb::Act { action, inputs },
            Self::Write(property) => match inputs.remove("value") {
                Some(data) => Verb::Write { property, data },
                None => return Err(CallError::BadInput("a write needs `value`".into())),
            },
        })
    }
}

/// What the owner decides about pairing with a device that is no hub. Said to its bridge, which tells the device under
/// entries of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairStep {
    /// Ask the device to pair.
    Request,
    /// Agree to the device's request.
    Accept,
    /// Refuse it.
    Reject,
    /// Forget the device.
    Unpair,
}

impl PairStep {
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Unpair => "unpair",
        }
    }
}

/// What a service of this machine answers to a device that asks.
pub enum Answer {
    /// Done; nothing more to say.
    Done,
    /// This, sealed for the device that asked.
    Sealed(Box<Outgoing>),
}

/// One entry of a feature as a way to ask devices. Cheap to clone; does not keep the registry alive, so that a service's
/// handler may hold one.
#[derive(Clone)]
pub struct Port {
    registry: WeakRegistry,
    gate: BoundGate,
    entry: EntryKey,
    scenario: &'static str,
}

impl Registry {
    /// A way to ask devices under one entry of the feature that `gate` is bound to.
    pub fn port(&self, gate: &BoundGate, entry: EntryKey, scenario: &'static str) -> Port {
        Port { registry: self.downgrade(), gate: gate.clone(), entry, scenario }
    }
}

impl Port {
    /// Whether the owner agreed that `device` gets these. Writes nothing down, and asks nobody.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, device: &DeviceId, fields: FieldSet) -> Result<(), Refusal> {
        self.gate.check(&self.entry, &self.recipient(device), fields)
    }

    /// Asks `device`. Without the owner's consent nothing is said, and the owner is asked.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NotConsented`] without consent.
    pub async fn call(
        &self,
        device: &DeviceId,
        target: Target,
        ask: Ask,
        envelope: Envelope,
        within: Duration,
    ) -> Result<Outputs, CallError> {
        let message = self.seal(device, envelope).await?;
        match self.registry() {
            Some(registry) => registry.call(device, target, ask, message, within).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }

    /// Opens a byte stream of a service of `device`, for what comes on it. Without the owner's consent nothing is said, and the
    /// owner is asked.
    ///
    /// # Errors
    /// As [`Port::call`].
    pub async fn open(
        &self,
        device: &DeviceId,
        target: Target,
        envelope: Envelope,
        class: StreamClass,
    ) -> Result<ByteStream, CallError> {
        let message = self.seal(device, envelope).await?;
        match self.registry() {
            Some(registry) => registry.open_asked(device, target, message, class).await,
            None => Err(CallError::Unreachable("this hub is ending".into())),
        }
    }

    /// Seals an answer to `device`.
    ///
    /// # Errors
    /// [`CallError::NotConsented`].
    pub async fn answer(&self, device: &DeviceId, envelope: Envelope) -> Result<Answer, CallError> {
        self.seal(device, envelope).await.map(|message| Answer::Sealed(Box::new(message)))
    }

    fn recipient(&self, device: &DeviceId) -> RecipientId {
        self.registry().map_or_else(|| RecipientId::device(device), |registry| registry.recipient(device))
    }

    fn registry(&self) -> Option<Registry> {
        self.registry.upgrade()
    }

    async fn seal(&self, device: &DeviceId, envelope: Envelope) -> Result<Outgoing, CallError> {
        let to = self.recipient(device);
        let permit = self
            .gate
            .permit(&self.entry, &to, envelope.fields(), self.scenario)
            .map_err(|refusal| CallError::NotConsented(refusal.to_string()))?;
        let known = self.registry().and_then(|registry| registry.device(device));
        let through = known.map(|known| format!("bridge:{}", known.bridge)).unwrap_or_default();
        permit
            .seal(envelope, Destination::new(to, through))
            .await
            .map_err(|error| CallError::NotConsented(error.to_string()))
    }
}
