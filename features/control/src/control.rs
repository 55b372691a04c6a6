//! The feature: checks, asks again, calls.

use std::time::Duration;

use accord_consent::{BoundGate, Envelope, Personal};
use accord_model::{
    CallError, Data, DeviceId, Effect, EntryKey, FieldCode, FieldSet, Format, IdError, Outputs, Property, StreamClass,
    Target, Verb,
};
use accord_ports::picture::{self, Picture};
use accord_registry::{Ask, Port, Registry};

use crate::check;

const WITHIN: Duration = Duration::from_secs(15);
/// How long a picture may take: a camera may have to wake.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

/// Controls devices. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    registry: Registry,
    port: Port,
    /// The same for what the owner lets be done without being asked; the ledger tells the two apart.
    trusted: Port,
}

/// What the owner said to a call that opens or loses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Word {
    /// Nothing.
    #[default]
    None,
    /// That what this device opens, unlocks or shows is done without asking again. What loses something is asked about.
    Trusted,
    /// Yes to this very call.
    Confirmed,
}

impl Word {
    /// `Confirmed` or nothing.
    pub fn confirmed(confirmed: bool) -> Self {
        if confirmed { Self::Confirmed } else { Self::None }
    }

    fn is_enough(self, effect: Effect) -> bool {
        match effect {
            Effect::Safe | Effect::Physical => true,
            Effect::Security => self != Self::None,
            Effect::Destructive => self == Self::Confirmed,
        }
    }
}

/// Why a device was not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It opens or loses something, and the owner did not confirm this call.
    #[error("`{action}` {}; confirm it first", does(*.effect))]
    NotConfirmed {
        /// What was asked for.
        action: String,
        /// What it does.
        effect: Effect,
    },
    /// See there.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn does(effect: Effect) -> &'static str {
    match effect {
        Effect::Destructive => "cannot be undone",
        _ => "opens, unlocks or runs something there",
    }
}

/// A call that the device takes in this form. Nothing is said yet.
pub struct Prepared {
    device: DeviceId,
    target: Target,
    ask: Ask,
    envelope: Envelope,
    effect: Effect,
    trusted: bool,
}

impl Prepared {
    /// Which kinds of data it will reveal.
    pub fn fields(&self) -> FieldSet {
        self.envelope.fields()
    }

    /// What it is, in the owner's words. When it opens, unlocks or loses something, the ledger says so: of other commands it
    /// holds their kind alone.
    pub fn called(mut self, words: &str) -> Self {
        if self.effect >= Effect::Security {
            self.envelope = self.envelope.about(&self.device, words);
        }
        self
    }
}

impl Control {
    /// Under the entries of `control`, which `gate` is bound to.
    ///
    /// # Errors
    /// Never in a build whose entry has a well-formed name.
    pub fn new(gate: &BoundGate, registry: &Registry) -> Result<Self, IdError> {
        let entry = EntryKey::new(crate::COMMAND)?;
        let port = |scenario| registry.port(gate, entry.clone(), scenario);
        Ok(Self { registry: registry.clone(), port: port("on.control"), trusted: port("on.control.trusted") })
    }

    /// Tells a device what to do, and answers what it says.
    ///
    /// # Errors
    /// [`ControlError`]; [`CallError::NotConsented`] when the owner has not agreed to control this device.
    pub async fn call(
        &self,
        device: &DeviceId,
        target: Target,
        verb: Verb,
        word: Word,
    ) -> Result<Outputs, ControlError> {
        let prepared = self.prepare(device, target, verb, word)?;
        Ok(self.carry_out(prepared).await?)
    }

    /// Checks a call against what the device offers.
    ///
    /// # Errors
    /// [`ControlError`] as for [`Control::call`], except for consent and the way to the device.
    pub fn prepare(&self, device: &DeviceId, target: Target, verb: Verb, word: Word) -> Result<Prepared, ControlError> {
        let (verb, described, effect) = self.check(device, &target, verb, word)?;
        let (ask, inputs) = match verb {
            Verb::Read { properties } => (Ask::Read(properties), vec![]),
            Verb::Act { action, inputs } => {
                let inputs = inputs.into_iter().map(|(id, data)| (field(&described, &id), id, data)).collect();
                (Ask::Act(action), inputs)
            }
            Verb::Write { property, data } => {
                let inputs = vec![(field(&described, &property), "value".to_owned(), data)];
                (Ask::Write(property), inputs)
            }
        };
        let seal = |envelope: Envelope, (field, id, data): (FieldCode, String, Data)| {
            envelope.data(&id, &Personal::new(field, data))
        };
        let envelope = inputs.into_iter().fold(Envelope::new().beside(FieldCode::CommandName), seal);
        let trusted = effect >= Effect::Security && word == Word::Trusted;
        Ok(Prepared { device: device.clone(), target, ask, envelope, effect, trusted })
    }

    /// Says what was prepared.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn carry_out(&self, prepared: Prepared) -> Result<Outputs, CallError> {
        let Prepared { device, target, ask, envelope, trusted, .. } = prepared;
        let port = if trusted { &self.trusted } else { &self.port };
        port.call(&device, target, ask, envelope, WITHIN).await
    }

    /// The same for this machine itself: nothing leaves it, so no consent is needed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn call_own(
        &self,
        own: &DeviceId,
        target: Target,
        verb: Verb,
        word: Word,
    ) -> Result<Outputs, ControlError> {
        let (verb, ..) = self.check(own, &target, verb, word)?;
        if let Verb::Read { properties } = verb {
            return Ok(self.said(own, &target, &properties));
        }
        self.registry.ask_own(target, verb, WITHIN).await?;
        Ok(Outputs::new())
    }

    /// What a camera sees now, or whatever else the device has to be looked at.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::NotConsented`] when the owner has not agreed to control this device.
    pub async fn look(&self, device: &DeviceId, instance: u16) -> Result<Picture, CallError> {
        let known = self.registry.device(device);
        let known = known.ok_or_else(|| CallError::Unreachable(format!("no device {device} is known here")))?;
        let target = Target { service: picture::SERVICE.to_owned(), instance };
        if !known.device.services.iter().any(|one| one.id == target.service && one.instance == instance) {
            return Err(CallError::Unsupported("it has nothing to be looked at".to_owned()));
        }
        let looked = async {
            let envelope = Envelope::new().beside(FieldCode::CommandName);
            let stream = self.port.open(device, target, envelope, StreamClass::Interactive).await?;
            Picture::from_stream(stream).await
        };
        let late = |_| Err(CallError::Deadline(LOOK_WITHIN.as_secs()));
        tokio::time::timeout(LOOK_WITHIN, looked).await.unwrap_or_else(late)
    }

    /// Which kinds of data looking reveals.
    pub fn looking() -> FieldSet {
        FieldSet::one(FieldCode::CommandName)
    }

    fn check(
        &self,
        device: &DeviceId,
        target: &Target,
        verb: Verb,
        word: Word,
    ) -> Result<(Verb, Vec<Property>, Effect), ControlError> {
        let known = self.registry.device(device);
        let known = known.ok_or_else(|| CallError::Unreachable(format!("no device {device} is known here")))?;
        let (verb, effect) = check::checked(&known.device, target, verb)?;
        if !word.is_enough(effect) {
            let action = match &verb {
                Verb::Act { action, .. } => accord_model::text::for_screen(action, 60),
                _ => target.service.clone(),
            };
            return Err(ControlError::NotConfirmed { action, effect });
        }
        let described = check::described(&known.device, target, &verb).to_vec();
        Ok((verb, described, effect))
    }

    fn said(&self, device: &DeviceId, target: &Target, properties: &[String]) -> Outputs {
        let Some(known) = self.registry.device(device) else { return Outputs::new() };
        let mut services = known.device.services.iter();
        let found = services.find(|one| one.id == target.service && one.instance == target.instance);
        let wanted = |id: &String| properties.is_empty() || properties.contains(id);
        let values = found.into_iter().flat_map(|service| &service.values).filter(|(id, _)| wanted(id));
        values.map(|(id, value)| (id.clone(), value.data.clone())).collect()
    }
}

/// What kind of data an input holds. What the device does not call personal is still part of the command, and a text is a
/// text whatever it calls it.
fn field(described: &[Property], id: &str) -> FieldCode {
    let property = described.iter().find(|one| one.id == id);
    let by_format = match property.map(|one| one.format) {
        Some(Format::Text | Format::Texts | Format::Bytes) => FieldCode::TextContent,
        _ => FieldCode::CommandName,
    };
    // What the state of a thing is to be is a command; its state is what it says itself.
    let sensitive = property.and_then(|one| one.sensitive).filter(|field| *field != FieldCode::HomeDeviceState);
    sensitive.unwrap_or(by_format)
}
