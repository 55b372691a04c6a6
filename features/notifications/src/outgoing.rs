//! What goes out: which device gets what, in order, once; and what waits for those that are away.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use accord_consent::{Envelope, Refusal};
use accord_model::{CallError, Device, DeviceId, Reach, Target, Timestamp};
use accord_registry::Ask;

use crate::codes;
use crate::desktop::LocalNote;
use crate::feature::{Inner, SERVICE, answer_envelope};
use crate::note::Note;
use crate::queue::{Bounds, Op, Waiting};
use crate::rules::{Level, Moment};

const MAX_KNOWN: usize = 64;
/// What may be on its way to a device that is here.
const BURST: usize = 2000;
const FIRST_AGAIN: Duration = Duration::from_secs(5);
const LONGEST_AGAIN: Duration = Duration::from_secs(300);
/// What waits is looked through for what is too old this often, while something waits.
const TIDY: Duration = Duration::from_secs(300);
/// Changes are written together.
const GATHER: Duration = Duration::from_millis(500);

impl Inner {
    /// Puts one of this computer's in front of every device that may have it.
    pub fn distribute(&self, id: &str) {
        let Some(said) = self.lock().book.own(id).map(|own| own.said.clone()) else { return };
        let moment = Moment::now();
        for device in self.recipients() {
            let Some(note) = self.for_device(&device, &said, moment) else { continue };
            let bounds = self.bounds_for(&device);
            let mut state = self.lock();
            let digest = note.digest();
            let Some(own) = state.book.own(id) else { return };
            if own.told.get(&device) == Some(&digest) && state.queue.waiting_for(id).is_empty() {
                continue;
            }
            state.queue.push(&device, Op::Show { id: id.to_owned(), note }, bounds, moment.now);
        }
        self.wake.notify_one();
    }

    /// What one device may have of it: the rules', the consent's and, for codes, caution's part.
    fn for_device(&self, device: &DeviceId, said: &LocalNote, moment: Moment) -> Option<Note> {
        let note = &said.note;
        let of_device = |origin: &str| origin == device.as_str() || origin.trim() == self.device_name(device);
        if said.origin.as_deref().is_some_and(of_device) {
            return None;
        }
        let (mut level, codes_allowed) = {
            let state = self.lock();
            let level = state.rules.sends(device, &note.app, note.urgent, moment);
            (level, state.rules.device(device).codes)
        };
        if !codes_allowed && codes::suspected(&note.texts()) {
            level = level.min(Level::Hidden);
        }
        let full = note.at(level)?;
        match self.mirror.check(device, full.fields()) {
            Ok(()) => Some(full),
            Err(Refusal::FieldsNotGranted { .. }) => {
                let hidden = full.at(Level::Hidden)?;
                self.mirror.check(device, hidden.fields()).is_ok().then_some(hidden)
            }
            Err(_) => None,
        }
    }

    /// Devices that show notifications, those that may, and those that did and are away.
    fn recipients(&self) -> Vec<DeviceId> {
        let here = self.registry.devices().into_iter().filter(|known| known.bridge != "own");
        // One that has just come may not have said yet what it offers.
        let may = |device: &Device| device.services.is_empty() || shows(device);
        let mut all: Vec<DeviceId> =
            here.filter(|known| may(&known.device)).map(|known| known.device.id.clone()).collect();
        let mut state = self.lock();
        for device in &all {
            if state.known.len() < MAX_KNOWN
                && !state.known.contains(device)
                && self.mirror.check(device, accord_model::FieldSet::EMPTY).is_ok()
            {
                state.known.push(device.clone());
                self.dirty.notify_one();
            }
        }
        for device in &state.known {
            // One that is here and no longer shows notifications is none.
            if !all.contains(device) && self.registry.device(device).is_none() {
                all.push(device.clone());
            }
        }
        all
    }

    /// To a device that is here a burst is on its way; it does not wait for long.
    fn bounds_for(&self, device: &DeviceId) -> Bounds {
        let bounds = self.bounds();
        let per_device = if self.is_reachable(device) { bounds.per_device.max(BURST) } else { bounds.per_device };
        Bounds { per_device, ..bounds }
    }

    fn is_reachable(&self, device: &DeviceId) -> bool {
        self.registry.device(device).is_some_and(|known| known.device.reach != Reach::Offline && shows(&known.device))
    }

    /// Devices that can be told something now; they are busy from here on.
    fn due(&self, now: Instant) -> (Vec<DeviceId>, Option<Instant>) {
        let mut state = self.lock();
        if state.queue.expire(self.bounds(), Timestamp::now()) {
            self.dirty.notify_one();
        }
        let mut due = Vec::new();
        let mut next = (!state.queue.is_empty()).then(|| now + TIDY);
        for device in state.queue.devices() {
            let later = state.again.get(&device).map(|(at, _)| *at).filter(|at| *at > now);
            if state.busy.contains(&device) || !self.is_reachable(&device) {
                continue;
            }
            match later {
                Some(at) => next = next.map(|next| next.min(at)),
                None => {
                    state.busy.insert(device.clone());
                    due.push(device);
                }
            }
        }
        let waits =
            |state: &crate::feature::State| state.queue.devices().iter().any(|device| !state.busy.contains(device));
        if state.queue.has_unsaved() && waits(&state) {
            self.dirty.notify_one();
        }
        (due, next)
    }

    async fn tell(&self, device: &DeviceId, op: &Op) -> Result<(), CallError> {
        let (port, action, envelope) = match op {
            Op::Show { id, note } => (&self.mirror, "show", note.envelope(id)),
            Op::Remove { id } => (&self.mirror, "dismiss", Envelope::new().plain("id", id.as_str())),
            Op::Dismiss { id } => (&self.answer, "dismiss", answer_envelope(id)),
        };
        let within = self.config.answer_within;
        port.call(device, Target::new(SERVICE), Ask::act(action), envelope, within).await.map(drop)
    }

    /// Takes the next for a device out of the queue, or lets the device go; also when it went away meanwhile.
    fn take(&self, device: &DeviceId) -> Option<Waiting> {
        let is_here = self.is_reachable(device);
        let mut state = self.lock();
        let Some(waiting) = is_here.then(|| state.queue.pop(device)).flatten() else {
            state.busy.remove(device);
            return None;
        };
        if let Op::Show { id, note } = &waiting.op
            && let Some(own) = state.book.own_mut(id)
        {
            // Before it is sent: the answer may be quick.
            own.told.insert(device.clone(), note.digest());
        }
        Some(waiting)
    }

    fn put_back(&self, device: &DeviceId, waiting: Waiting) {
        let bounds = self.bounds_for(device);
        let mut state = self.lock();
        if let Op::Show { id, .. } = &waiting.op {
            // Taken back meanwhile: then it need not be shown any more.
            match state.book.own_mut(id) {
                Some(_) => state.queue.put_back(device, waiting, bounds),
                None if waiting.saved => state.queue.put_back(device, waiting, bounds),
                None => state.queue.forget(device, id),
            }
        } else {
            state.queue.put_back(device, waiting, bounds);
        }
        let wait = state.again.get(device).map_or(FIRST_AGAIN, |(_, wait)| (*wait * 2).min(LONGEST_AGAIN));
        state.again.insert(device.clone(), (Instant::now() + wait, wait));
        state.busy.remove(device);
        drop(state);
        self.dirty.notify_one();
        self.wake.notify_one();
    }
}

fn shows(device: &Device) -> bool {
    let offers = |service: &accord_model::Service| service.actions.iter().any(|action| action.id == "show");
    device.service(SERVICE).is_some_and(offers)
}

/// Sends what waits to whom it can be sent.
pub(crate) async fn courier(weak: Weak<Inner>) {
    let Some((wake, stop)) = weak.upgrade().map(|inner| (inner.wake.clone(), inner.stop.clone())) else { return };
    loop {
        let Some(inner) = weak.upgrade() else { return };
        let (due, next) = inner.due(Instant::now());
        for device in due {
            tokio::spawn(deliver(inner.clone(), device));
        }
        drop(inner);
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake.notified() => {}
            () = sleep => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Tells one device everything that waits for it, in order.
async fn deliver(inner: Arc<Inner>, device: DeviceId) {
    while let Some(waiting) = inner.take(&device) {
        if waiting.saved
            && let Err(error) = inner.save().await
        {
            // Sent now, it would be sent again after a crash.
            tracing::warn!(%error, "what waits for a device cannot be taken out of the state file; it waits on");
            return inner.put_back(&device, waiting);
        }
        match inner.tell(&device, &waiting.op).await {
            Ok(()) => drop(inner.lock().again.remove(&device)),
            Err(CallError::Unreachable(why)) => {
                tracing::debug!(%device, why, "a notification waits");
                return inner.put_back(&device, waiting);
            }
            // Whether it arrived nobody knows; it is not sent twice.
            Err(error) => tracing::debug!(%device, %error, "a notification was not taken"),
        }
        if let Op::Show { id, .. } = &waiting.op {
            inner.tell_own(id);
        }
    }
}

/// Writes changes of what waits, several together.
pub(crate) async fn keep(weak: Weak<Inner>) {
    let Some((dirty, stop)) = weak.upgrade().map(|inner| (inner.dirty.clone(), inner.stop.clone())) else { return };
    let changed = async || {
        dirty.notified().await;
        tokio::time::sleep(GATHER).await;
    };
    loop {
        tokio::select! {
            () = changed() => {}
            () = stop.cancelled() => return,
        }
        let Some(inner) = weak.upgrade() else { return };
        if let Err(error) = inner.save().await {
            tracing::warn!(%error, "what waits for devices that are away could not be kept");
        }
    }
}
