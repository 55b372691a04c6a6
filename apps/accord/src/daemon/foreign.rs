//! Pairing with devices that are no hubs: what their bridges say, in the same words as a pairing of hubs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use accord_consent::{Choice, ConsentState, RecipientId, To};
use accord_link::{PairingDirection, PairingId, PairingInfo, PairingMethod, PairingStep};
use accord_model::text::for_screen;
use accord_model::{CallError, Data, Device, DeviceId, EntryKey, Inputs, Outputs, Timestamp};
use accord_registry::{Known, PairStep};

use super::hub::Hub;
use crate::api::error::{Answer, Failure};
use crate::api::types as api;

const WITHIN: Duration = Duration::from_secs(20);
/// How long a pairing is shown that no bridge ends.
const LASTS: Duration = Duration::from_secs(120);
/// How long an ended one is shown.
const SHOWN: Duration = Duration::from_secs(300);
const MOST: usize = 64;
/// Longest text that a device may want to be paired.
const MAX_INPUT: usize = 4096;

/// The pairings of foreign devices, by device: running ones, and those that ended lately.
#[derive(Default)]
pub struct Foreign {
    running: Mutex<BTreeMap<DeviceId, Running>>,
    next: AtomicU64,
}

struct Running {
    info: PairingInfo,
    /// The device's side is done; our owner's is not.
    agreed_there: bool,
    /// Our owner agreed to it together with being controlled from here.
    control: bool,
    /// The faces of the thing as the owner saw it when this began.
    faces: Vec<DeviceId>,
}

impl Foreign {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeviceId, Running>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        for one in running.values_mut() {
            if !is_over(&one.info.step) && one.info.deadline <= now {
                one.info.step = PairingStep::Failed("nobody answered in time; start again".to_owned());
            }
        }
        running.retain(|_, one| !is_over(&one.info.step) || one.info.deadline + SHOWN > now);
        running
    }

    pub fn pairings(&self) -> Vec<PairingInfo> {
        self.lock().values().map(|one| one.info.clone()).collect()
    }

    fn of(&self, id: &PairingId) -> Option<PairingInfo> {
        self.lock().values().find(|one| one.info.id == *id).map(|one| one.info.clone())
    }

    /// Puts a new pairing in place of an earlier one of that device.
    fn begin(
        &self,
        device: &Device,
        faces: Vec<DeviceId>,
        direction: PairingDirection,
        step: PairingStep,
        lasts: Duration,
    ) -> PairingInfo {
        let info = PairingInfo {
            id: PairingId(format!("foreign-{}", self.next.fetch_add(1, Ordering::Relaxed))),
            direction,
            method: PairingMethod::Code,
            step,
            device: Some(device.id.clone()),
            name: Some(device.name.clone()),
            kind: Some(device.kind),
            deadline: Timestamp::now() + lasts,
        };
        let mut running = self.lock();
        if running.len() < MOST || running.contains_key(&device.id) {
            running
                .insert(device.id.clone(), Running { info: info.clone(), agreed_there: false, control: false, faces });
        }
        info
    }

    fn with_control(&self, device: &DeviceId) -> bool {
        self.lock().get(device).is_some_and(|one| one.control)
    }

    fn faces(&self, device: &DeviceId) -> Vec<DeviceId> {
        self.lock().get(device).map(|one| one.faces.clone()).unwrap_or_default()
    }

    fn change(&self, device: &DeviceId, change: impl FnOnce(&mut Running)) -> Option<PairingInfo> {
        let mut running = self.lock();
        let one = running.get_mut(device)?;
        change(one);
        Some(one.info.clone())
    }
}

fn is_over(step: &PairingStep) -> bool {
    matches!(step, PairingStep::Done(_) | PairingStep::Failed(_))
}

/// Whether a device that is no hub is paired, as its bridge says.
pub fn is_paired(device: &Device) -> bool {
    value(device, "paired").and_then(Data::as_bool).unwrap_or(false)
}

/// Since when the server is paired that a thing is spoken to through.
pub fn server_since(device: &Device) -> Option<Timestamp> {
    device.via.as_ref()?;
    device.service("pairing")?.values.get("paired").map(|value| value.seen)
}

/// Whether the device proves who it is. Bridges whose devices always do, and only those, say nothing of it.
pub fn is_proved(device: &Device) -> bool {
    value(device, "verified").and_then(Data::as_bool).unwrap_or(true)
}

/// What both screens show, to compare once more later.
pub fn verification(device: &Device) -> Option<String> {
    Some(for_screen(value(device, "verification")?.as_text()?, 40))
}

fn value<'a>(device: &'a Device, property: &str) -> Option<&'a Data> {
    device.service("pairing")?.values.get(property).map(|value| &value.data)
}

/// What a device wants to be paired, such as a token: all of it, and nothing else. No message repeats what was given.
fn wanted_inputs(device: &Device, mut given: BTreeMap<String, String>) -> Answer<Inputs> {
    let request = device.service("pairing").and_then(|service| service.actions.iter().find(|one| one.id == "request"));
    let mut inputs = Inputs::new();
    for wanted in request.into_iter().flat_map(|request| &request.inputs) {
        let text = given.remove(&wanted.id).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let shown = for_screen(&wanted.id, 40);
        match text {
            None => return Err(Failure::bad_request(format!("This device can be paired only with its {shown}."))),
            Some(text) if text.len() > MAX_INPUT => {
                return Err(Failure::bad_request(format!("The {shown} is too long.")));
            }
            Some(text) => drop(inputs.insert(wanted.id.clone(), Data::Text(text))),
        }
    }
    match given.is_empty() {
        true => Ok(inputs),
        false => Err(Failure::bad_request("This device is paired without anything of that kind.")),
    }
}

impl Hub {
    /// Whether pairing with this device is its bridge's affair.
    pub fn is_foreign(&self, device: &DeviceId) -> bool {
        self.registry.device(device).is_some_and(|known| known.device.service("pairing").is_some())
    }

    /// The entry under which a bridge speaks with a device of its own.
    pub fn entry_of(&self, bridge: &str) -> Option<EntryKey> {
        let statement = self.gate.statement();
        let of_bridge =
            |entry: &&accord_statement::Entry| entry.key.owner() == bridge && entry.recipient.id == "paired-device";
        statement.entries.iter().find(of_bridge).map(|entry| entry.key.clone())
    }

    pub async fn start_foreign(&self, device: &DeviceId, given: BTreeMap<String, String>) -> Answer<PairingInfo> {
        let known = self.foreign_device(device)?;
        let inputs = wanted_inputs(&known.device, given)?;
        if is_paired(&known.device) && self.may_speak(&known) {
            return Err(Failure::conflict(format!("{} is paired already.", for_screen(&known.device.name, 64))));
        }
        let info = self.foreign.begin(
            &known.device,
            self.faces_of(device),
            PairingDirection::Out,
            PairingStep::Connecting,
            LASTS,
        );
        if let Err(error) = self.registry.pair(device, PairStep::Request, inputs, WITHIN).await {
            let failed = PairingStep::Failed(error.to_string());
            self.foreign.change(device, |one| one.info.step = failed);
            return Err(Failure::unreachable(error.to_string()));
        }
        Ok(self.foreign.of(&info.id).unwrap_or(info))
    }

    /// Our owner compared the codes and agrees. `None`: not a pairing of ours.
    pub async fn confirm_foreign(
        &self,
        id: &PairingId,
        code: Option<&str>,
        control: bool,
        surface: &'static str,
    ) -> Option<Answer<PairingInfo>> {
        let info = self.foreign.of(id)?;
        let device = info.device?;
        let shown = match &info.step {
            PairingStep::Compare(shown) => shown.as_deref(),
            PairingStep::Waiting | PairingStep::Done(_) => return self.foreign.of(id).map(Ok),
            _ => return Some(Err(Failure::conflict("That pairing is over; start a new one."))),
        };
        if let (Some(shown), Some(code)) = (shown, code)
            && !shown.eq_ignore_ascii_case(code.trim())
        {
            let _ = self.reject_foreign(id).await;
            return Some(Err(Failure::conflict("The code does not match; nothing was paired.")));
        }
        if info.direction == PairingDirection::In
            && let Err(error) = self.registry.pair(&device, PairStep::Accept, Inputs::new(), WITHIN).await
        {
            self.foreign.change(&device, |one| one.info.step = PairingStep::Failed(error.to_string()));
            return Some(Err(Failure::unreachable(error.to_string())));
        }
        self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), surface);
        let info = self.foreign.change(&device, |one| {
            one.control = control;
            one.info.step = if one.agreed_there { PairingStep::Done(device.clone()) } else { PairingStep::Waiting };
        })?;
        if matches!(info.step, PairingStep::Done(_)) {
            self.foreign_paired(&info, &device);
        }
        Some(Ok(info))
    }

    pub async fn reject_foreign(&self, id: &PairingId) -> Option<PairingInfo> {
        let info = self.foreign.of(id)?;
        let device = info.device?;
        let step = if info.direction == PairingDirection::In { PairStep::Reject } else { PairStep::Unpair };
        if let Err(error) = self.registry.pair(&device, step, Inputs::new(), WITHIN).await {
            tracing::debug!(%device, %error, "the device was not told of the refusal");
        }
        let refused = PairingStep::Failed("you refused".to_owned());
        self.foreign.change(&device, |one| {
            if !is_over(&one.info.step) {
                one.info.step = refused;
            }
        })
    }

    /// Has the bridge forget a device, and tell it if it can.
    pub async fn unpair_foreign(&self, device: &DeviceId) -> Answer<()> {
        // Its bridge alone can forget it: without that it would be there again at the next start.
        if !self.registry.is_spoken_for(device) {
            let why = "It cannot be removed now: the part of Accord that speaks to it is not running. Restart Accord, and try again.";
            return Err(Failure::conflict(why));
        }
        match self.registry.pair(device, PairStep::Unpair, Inputs::new(), WITHIN).await {
            Ok(()) => Ok(()),
            // Nothing was forgotten: it belongs to another device, or that could not be written down.
            Err(CallError::Unsupported(why) | CallError::BadInput(why) | CallError::Device(why)) => {
                Err(Failure::conflict(why))
            }
            Err(error) => {
                tracing::info!(%device, %error, "forgotten here; the device was not told");
                Ok(())
            }
        }
    }

    /// A bridge says how a pairing goes. The pairing as it is now, when there is one to tell of.
    pub fn on_foreign(&self, device: &DeviceId, event: &str, arguments: &Outputs) -> Option<PairingInfo> {
        if event == "unpaired" {
            self.let_go(device);
            return None;
        }
        let known = self.registry.device(device)?;
        let code = arguments.get("verification").and_then(Data::as_text).map(|code| for_screen(code, 40));
        let seconds = arguments.get("seconds").and_then(Data::as_number).unwrap_or(30.0).clamp(1.0, 600.0);
        let lasts = Duration::from_secs_f64(seconds);
        let compare = PairingStep::Compare(code.clone());
        match event {
            "asked" => {
                Some(self.foreign.begin(&known.device, self.faces_of(device), PairingDirection::In, compare, lasts))
            }
            "requested" => self.foreign.change(device, |one| {
                if matches!(one.info.step, PairingStep::Connecting) {
                    one.info.step = compare;
                    one.info.deadline = Timestamp::now() + lasts;
                }
            }),
            "paired" => {
                let info = self.foreign.change(device, |one| {
                    one.agreed_there = true;
                    match one.info.step {
                        PairingStep::Waiting => one.info.step = PairingStep::Done(device.clone()),
                        PairingStep::Connecting => one.info.step = PairingStep::Compare(None),
                        _ => {}
                    }
                    // Our owner may take a moment longer to look.
                    one.info.deadline = one.info.deadline.max(Timestamp::now() + LASTS);
                })?;
                if matches!(info.step, PairingStep::Done(_)) {
                    self.foreign_paired(&info, device);
                }
                Some(info)
            }
            "failed" => {
                let why = arguments.get("message").and_then(Data::as_text).unwrap_or("the other device refused");
                let why = for_screen(why, 300);
                self.foreign.change(device, |one| {
                    if !is_over(&one.info.step) {
                        one.info.step = PairingStep::Failed(why);
                    }
                })
            }
            _ => None,
        }
    }

    /// It let go of this machine some time after the owner wanted that: what was agreed for it ends only now. It may be gone by now.
    fn let_go(&self, device: &DeviceId) {
        let forgotten = self.forget_agreed(device).and_then(|()| self.forget_joined(device));
        if let Err(failure) = forgotten {
            tracing::error!(%device, %failure, "a device was removed, and what was agreed for it is not forgotten");
        }
    }

    /// Both sides agreed: that is consent to speak with this device, as the pairing showed. What was agreed for one of
    /// the same name before does not come back: it may hold another key.
    fn foreign_paired(&self, info: &PairingInfo, device: &DeviceId) {
        let surface = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).remove(&info.id);
        let bridge = self.registry.device(device).map(|known| known.bridge.clone());
        let entry = bridge.as_deref().and_then(|bridge| self.entry_of(bridge));
        let (Some(surface), Some(bridge), Some(entry)) = (surface, bridge, entry) else { return };
        if let Err(failure) = self.forget_agreed(device) {
            tracing::error!(%device, %failure, "what was agreed before could not be ended, so nothing is shared now");
            return;
        }
        let to = To::One(RecipientId::device(device));
        if let Err(failure) = self.decide_as(entry, to, Choice::Always, None, surface) {
            tracing::warn!(%device, %failure, "paired, but nothing is shared with it");
        }
        if self.foreign.with_control(device)
            && let Err(failure) = self.agree_to_control(&bridge, device, surface)
        {
            tracing::warn!(%device, %failure, "paired, but it is asked about when it is controlled");
        }
        // What the owner saw as one thing is one from now on, and what claims to belong to it later does not join it.
        self.added_with(&self.foreign.faces(device));
    }

    pub fn foreign_paired_devices(&self) -> Vec<api::PairedDevice> {
        let paired = self.registry.devices().into_iter().filter(|known| is_paired(&known.device));
        paired
            .map(|known| api::PairedDevice {
                device: known.device.id.to_string(),
                name: self.device_name(known.device.id.as_str()).unwrap_or_default(),
                kind: known.device.kind,
                since: known
                    .device
                    .service("pairing")
                    .and_then(|service| service.values.get("paired"))
                    .map_or(Timestamp::UNIX_EPOCH, |value| value.seen),
                until: None,
                fingerprint: verification(&known.device).unwrap_or_default(),
                witness_of: None,
                witnessed_by: None,
            })
            .collect()
    }

    /// All faces of the thing that this is a face of, the thing's own first.
    fn faces_of(&self, device: &DeviceId) -> Vec<DeviceId> {
        let thing = self.registry.thing(device);
        thing.into_iter().flat_map(|thing| thing.faces).map(|face| face.known.device.id.clone()).collect()
    }

    fn may_speak(&self, known: &Known) -> bool {
        let Some(entry) = self.entry_of(&known.bridge) else { return false };
        let to = To::One(RecipientId::device(&known.device.id));
        self.gate
            .consents()
            .iter()
            .any(|consent| consent.entry == entry && consent.to == to && consent.state == ConsentState::Given)
    }

    fn foreign_device(&self, device: &DeviceId) -> Answer<Arc<Known>> {
        self.registry
            .device(device)
            .filter(|known| known.device.service("pairing").is_some())
            .ok_or_else(|| Failure::not_found(format!("`{device}` is not near.")))
    }
}
